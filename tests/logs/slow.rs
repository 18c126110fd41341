//! Transactions that take long.

use serde_json::Value;

use super::{
    builder, fields, lines, parsed, server, some_lines,
    support::{
        Raw,
        message::{bind, execute, parse, query, sync},
        pgusher::Builder,
        postgres::PASSWORD,
    },
};

const SLOW: &str = "slow transaction";

fn slow_after(time: &str) -> Builder {
    builder().log(&format!("slow_after = \"{time}\""))
}

fn number(line: &Value, key: &str) -> f64 {
    line[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key}: {line}"))
}

#[test]
fn what_takes_long_is_told_once() {
    let database = server().fresh_database();
    let pgusher = slow_after("1s").start();
    let mut client = pgusher.raw(&database.name);
    client.rows("SELECT 'fast'");
    client.rows("SELECT pg_sleep(1.1)");
    let line = &some_lines(&pgusher, SLOW, 1)[0];
    let who = ["level", "user", "tenant", "queries", "errors", "statement"];
    assert_eq!(
        fields(line, &who),
        "level=WARN user=app tenant=- queries=1 errors=0 statement=-"
    );
    assert_eq!(line["database"], database.name.as_str());
    assert_eq!(line["client"], client.key().0);
    let took = number(line, "took_ms");
    assert!((1100.0..20_000.0).contains(&took), "{took}");
    assert!(number(line, "waited_ms") < 1000.0, "{line}");
    assert!(number(line, "bytes_out") > 20.0);
    // A transaction is one, however many requests it has, and each may be fast.
    for sql in ["BEGIN", "SELECT pg_sleep(0.6)", "SELECT pg_sleep(0.6)"] {
        client.rows(sql);
    }
    assert_eq!(lines(&pgusher, SLOW).len(), 1);
    client.rows("ROLLBACK");
    let line = &some_lines(&pgusher, SLOW, 2)[1];
    assert_eq!(line["queries"], 4);
    client.rows("SELECT 'fast'");
    drop(client);
    pgusher.terminate();
    pgusher.wait_for_log("stopped");
    assert_eq!(lines(&pgusher, SLOW).len(), 2, "{}", pgusher.log());
}

#[test]
fn the_wait_counts() {
    let database = server().fresh_database();
    let pgusher = slow_after("100ms").pool_size(1).start();
    let mut holder = pgusher.raw(&database.name);
    let mut waiter = pgusher.raw(&database.name);
    holder.rows("BEGIN");
    waiter.send(&query("SELECT 1"));
    assert!(!waiter.hears_within(std::time::Duration::from_millis(150)));
    holder.rows("COMMIT");
    waiter.until_ready();
    let all = some_lines(&pgusher, SLOW, 2);
    let id = waiter.key().0;
    let line = all.iter().find(|line| line["client"] == id).unwrap();
    assert!(number(line, "waited_ms") >= 140.0, "{line}");
    assert!(
        number(line, "took_ms") >= number(line, "waited_ms"),
        "{line}"
    );
}

#[test]
fn texts_are_masked_and_only_shown_if_asked_for() {
    let database = server().fresh_database();
    let pgusher = slow_after("500ms").log("slow_statements = true").start();
    let mut client = pgusher.raw(&database.name);
    client.rows(
        "/* for the boss */ SELECT pg_sleep(0.6), 'secret', \"datname\" FROM pg_database LIMIT 1",
    );
    let masked = "SELECT pg_sleep($?), $?, \"datname\" FROM pg_database LIMIT $?";
    assert_eq!(some_lines(&pgusher, SLOW, 1)[0]["statement"], masked);
    // A statement that was prepared earlier.
    let text = "SELECT pg_sleep($1::float8 / 10), 'secret'";
    client.ask(&[parse("s", text), sync()].concat());
    client.ask(
        &[
            bind("", "s", &[Some(b"6".as_slice())]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let masked = "SELECT pg_sleep($1::float8 / $?), $?";
    assert_eq!(some_lines(&pgusher, SLOW, 2)[1]["statement"], masked);
    // A client that reads strings as they used to be.
    client.rows("SET standard_conforming_strings = off");
    client.rows(r"SELECT pg_sleep(0.6), E'\'secret', '\\', '\'secret'");
    assert_eq!(
        some_lines(&pgusher, SLOW, 3)[2]["statement"],
        "SELECT pg_sleep($?), $?, $?, …"
    );
    assert!(!pgusher.log_contains("secret") && !pgusher.log_contains("boss"));
}

#[test]
fn a_session_of_its_own_is_told_of_by_the_transaction() {
    let database = server().fresh_database();
    let pgusher = slow_after("500ms")
        .database("pool_mode = \"session\"")
        .start();
    let mut client = pgusher.raw(&database.name);
    for count in 1..=3 {
        client.rows("SELECT pg_sleep(0.6)");
        client.rows("SELECT 'fast'");
        assert_eq!(some_lines(&pgusher, SLOW, count).len(), count);
    }
}

// H5
#[test]
fn each_tenant_has_so_many_lines() {
    let database = server().fresh_database();
    let pgusher = slow_after("1ms")
        .config("[tenant]\nsetting = \"app.tenant_id\"")
        .start();
    for (tenant, count) in [("noisy", 14), ("quiet", 1)] {
        let mut client = Raw::connect(pgusher.port());
        client.startup(&[
            ("user", "app"),
            ("database", &database.name),
            ("app.tenant_id", tenant),
        ]);
        client.authenticate("app", PASSWORD).unwrap();
        for _ in 0..count {
            client.rows("SELECT pg_sleep(0.002)");
        }
    }
    pgusher.wait_for_log("more like it in the last 10 s");
    let of = |tenant: &str| {
        let mut lines = lines(&pgusher, SLOW);
        lines.retain(|line| line["tenant"] == tenant);
        lines.len()
    };
    assert_eq!((of("noisy"), of("quiet")), (10, 1));
    let mut more = parsed(&pgusher.log());
    more.retain(|line| line["left_out"] == 4 && line["tenant"] == "noisy");
    assert_eq!(more.len(), 1, "{}", pgusher.log());
}
