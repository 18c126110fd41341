//! `pgusher policy` on real servers: what it prints can be applied, twice, and does what it says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::process::Command;

use support::{Database, Postgres, Raw, both_versions, message::query};

/// A type of tenants' column, and two tenants of it.
struct Kind {
    name: &'static str,
    column: &'static str,
    ids: [&'static str; 2],
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "uuid",
        column: "uuid",
        ids: [
            "0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b",
            "1b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b",
        ],
    },
    Kind {
        name: "text",
        column: "text",
        ids: ["acme", "globex"],
    },
    Kind {
        name: "text",
        column: "varchar(20)",
        ids: ["acme", "globex"],
    },
    Kind {
        name: "bigint",
        column: "bigint",
        ids: ["1", "-2"],
    },
    Kind {
        name: "bigint",
        column: "integer",
        ids: ["1", "-2"],
    },
];

/// What the program prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .arg("policy")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script statement by statement, as psql does: each ends at the end of a line.
fn apply(owner: &mut Raw, script: &str) {
    for statement in script.split_inclusive(";\n") {
        let heard = owner.ask(&query(statement)).types();
        assert!(
            !heard.contains("E:") && heard.contains(" Z:"),
            "{statement}\n{heard}"
        );
    }
}

/// A fresh database with the table `name`, which `app_trust` owns and `app` may use, and a row of each
/// tenant in it.
fn stage<'pg>(pg: &'pg Postgres, kind: &Kind, name: &str) -> Database<'pg> {
    let database = pg.fresh_database();
    let [one, two] = kind.ids;
    database.sql(&format!(
        "CREATE SCHEMA \"Shop\"; GRANT ALL ON SCHEMA \"Shop\", public TO app_trust, app; \
         CREATE TABLE {name} (tenant_id {} NOT NULL, n int); \
         INSERT INTO {name} VALUES ('{one}', 1), ('{two}', 2); \
         ALTER TABLE {name} OWNER TO app_trust; GRANT ALL ON {name} TO app",
        kind.column
    ));
    database
}

fn login(database: &Database<'_>, user: &str) -> Raw {
    Raw::login(
        database.server.port(),
        user,
        support::postgres::PASSWORD,
        &database.name,
    )
}

both_versions!(
    /// Own rows only, for the owner too; other tenants' cannot be written; no tenant is no rows.
    /// J5: and an empty setting is no tenant and no error.
    rows_are_seen_by_their_tenant,
    |pg| {
        for kind in &KINDS {
            for table in ["orders", r#""Shop"."user""#] {
                let database = stage(pg, kind, table);
                let script = printed(&[table, "--type", kind.name, "--default"]);
                let mut owner = login(&database, "app_trust");
                apply(&mut owner, &script);
                apply(&mut owner, &script);
                for user in ["app_trust", "app"] {
                    rows_of_one_tenant(&mut login(&database, user), kind, table);
                }
            }
        }
    }
);

fn rows_of_one_tenant(client: &mut Raw, kind: &Kind, table: &str) {
    let [own, foreign] = kind.ids;
    let seen = format!("SELECT string_agg(n::text, ',' ORDER BY n) FROM {table}");
    // The setting does not exist yet, then it does, then it is empty.
    assert_eq!(client.value(&seen), "", "{}", kind.column);
    let types = |client: &mut Raw, sql: &str| client.ask(&query(sql)).types();
    let insert = format!("INSERT INTO {table} (n) VALUES (9)");
    assert_eq!(types(client, &insert), "E:42501 Z:I");

    client.rows(&format!("BEGIN; SET LOCAL app.tenant_id = '{own}'"));
    assert_eq!(client.value(&seen), "1");
    client.rows(&format!("INSERT INTO {table} VALUES ('{own}', 3)"));
    client.rows(&format!("INSERT INTO {table} (n) VALUES (4)"));
    assert_eq!(client.value(&seen), "1,3,4");
    client.rows(&format!("UPDATE {table} SET n = n + 10"));
    assert_eq!(client.value(&seen), "11,13,14");
    client.rows("SAVEPOINT s");
    for write in [
        format!("INSERT INTO {table} VALUES ('{foreign}', 5)"),
        format!("UPDATE {table} SET tenant_id = '{foreign}'"),
    ] {
        assert_eq!(types(client, &write), "E:42501 Z:E", "{write}");
        client.rows("ROLLBACK TO s");
    }
    client.rows(&format!("DELETE FROM {table} WHERE n = 2"));
    client.rows(&format!("SET LOCAL app.tenant_id = '{foreign}'"));
    assert_eq!(client.value(&seen), "2");
    client.rows("ROLLBACK");

    assert_eq!(
        client.value("SELECT current_setting('app.tenant_id', true)"),
        ""
    );
    assert_eq!(client.value(&seen), "");
    assert_eq!(types(client, &insert), "E:42501 Z:I");
}

both_versions!(
    /// The index serves the policy, and the setting is read once and not for each row.
    an_index_serves_the_policy,
    |pg| {
        for kind in &KINDS {
            let database = stage(pg, kind, "orders");
            let [own, foreign] = kind.ids;
            database.sql(&format!(
                "INSERT INTO orders SELECT '{foreign}', n FROM generate_series(1, 20000) n"
            ));
            let mut owner = login(&database, "app_trust");
            apply(&mut owner, &printed(&["orders", "--type", kind.name]));
            database.sql("ANALYZE orders");
            let mut client = login(&database, "app");
            client.rows(&format!("SET app.tenant_id = '{own}'"));
            // Half of the table for any tenant, as the statistics have it: not worth an index by itself.
            client.rows("SET enable_seqscan = off");
            let plan: Vec<String> = client
                .rows("EXPLAIN (COSTS OFF) SELECT * FROM orders")
                .into_iter()
                .flatten()
                .flatten()
                .collect();
            let plan = plan.join("\n");
            assert!(plan.contains("orders_tenant_id_idx"), "{}\n{plan}", kind.column);
            assert!(plan.contains("Index Cond: ("), "{plan}");
            assert!(plan.contains("InitPlan"), "{plan}");
            assert!(!plan.contains("Filter:"), "{plan}");
        }
    }
);

#[test]
fn what_is_no_table_is_a_wrong_command_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .args(["policy", "orders; DROP TABLE orders"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
}
