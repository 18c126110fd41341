//! Tenants share statements that have no name, and nothing else.

use crate::{
    anonymous, client_of, error_in, login,
    support::{
        Database, Postgres, Raw, both_versions,
        message::{extended, lossy, query, sync},
    },
    with_tenants,
};

const SETUP: &str = "
    CREATE TABLE owned (v int, w int DEFAULT 0, tenant text DEFAULT current_setting('app.tenant_id', true));
    INSERT INTO owned VALUES (1, 0, 'acme'), (2, 0, 'acme'), (3, 0, 'globex');
    ALTER TABLE owned OWNER TO app;
    ALTER TABLE owned ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON owned USING (tenant = current_setting('app.tenant_id', true));
    CREATE VIEW on_server AS SELECT * FROM pg_prepared_statements WHERE statement LIKE '%owned%';
    GRANT SELECT ON on_server TO app";

const READ: &str = "SELECT v FROM owned WHERE v < $1 ORDER BY v";
const CHANGE: &str = "UPDATE owned SET w = w + 1 WHERE v < $1";
const FILL: &str = "INSERT INTO owned (v) VALUES ($1) RETURNING tenant";

fn database(server: &Postgres) -> Database<'_> {
    let database = server.fresh_database();
    database.sql(SETUP);
    database
}

/// What comes of a statement without a name: its rows, and its tag.
fn run(client: &mut Raw, sql: &str, value: &[u8]) -> String {
    client.send(&[extended(sql, &[Some(value)]), sync()].concat());
    let messages = client.until_ready();
    let said = messages.iter().filter_map(|it| match it.tag {
        b'D' => it.columns().pop().flatten().map(|it| lossy(&it)),
        b'C' => Some(it.command()),
        b'E' => Some(it.sqlstate()),
        _ => None,
    });
    said.collect::<Vec<_>>().join(" ")
}

/// What is on the server connection of a pool of one.
fn on_server(client: &mut Raw) -> Vec<Option<String>> {
    let sql = "SELECT string_agg(statement, '|' ORDER BY statement), bool_or(generic_plans > 0) FROM on_server";
    client.rows(sql).remove(0)
}

both_versions! {
    /// J2, C13: row-level security is asked anew each time, also of a plan that is one for all.
    each_sees_its_own, |server| {
        let database = database(server);
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        for turn in 1..=12 {
            assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2", "turn {turn}");
            assert_eq!(run(&mut globex, READ, b"100"), "3 SELECT 1", "turn {turn}");
            assert_eq!(run(&mut acme, CHANGE, b"100"), "UPDATE 2", "turn {turn}");
            assert_eq!(run(&mut globex, CHANGE, b"100"), "UPDATE 1", "turn {turn}");
            assert_eq!(run(&mut acme, FILL, b"100"), "acme INSERT 0 1");
            assert_eq!(run(&mut globex, FILL, b"100"), "globex INSERT 0 1");
        }
        let all = [FILL, READ, CHANGE].join("|");
        assert_eq!(on_server(&mut acme), [Some(all), Some("t".into())]);
        // One who is above tenants, on the same server connection.
        let mut both = login(pgusher.port(), "both", &database, &[]).unwrap();
        for _ in 0..3 {
            assert_eq!(run(&mut both, READ, b"100"), "SELECT 0");
            assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2");
        }
    }
}

both_versions! {
    /// J9: the tenant of a comment is its statement's, and the statement all others'.
    by_comments, |server| {
        let database = database(server);
        let pgusher = with_tenants(server, "").start();
        let mut client = anonymous(&pgusher, &database);
        for turn in 1..=8 {
            for (tenant, seen) in [("acme", "1 2 SELECT 2"), ("globex", "3 SELECT 1"), ("initech", "SELECT 0")] {
                let text = format!("/* tenant_id='{tenant}' */ {READ}");
                assert_eq!(run(&mut client, &text, b"100"), seen, "turn {turn} of {tenant}");
            }
            assert_eq!(run(&mut client, READ, b"100"), "28000", "turn {turn} of nobody");
        }
        let mut acme = client_of("acme", &pgusher, &database);
        assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2");
        let statement = on_server(&mut acme).remove(0).unwrap();
        assert_eq!(statement.trim(), READ);
        // Bound later, it is still its comment's.
        let text = format!("/* tenant_id='globex' */ {READ}");
        client.ask(&[crate::support::message::parse("", &text), sync()].concat());
        assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2");
        let bound = [crate::support::message::bind("", "", &[Some(b"100")]), crate::support::message::execute("", 0), sync()].concat();
        assert_eq!(client.ask(&bound).text().lines().filter(|it| it.starts_with('D')).collect::<Vec<_>>(), ["D 3"]);
    }
}

both_versions! {
    /// J4: in blocks, with savepoints and chains.
    in_blocks, |server| {
        let database = database(server);
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        for _ in 0..4 {
            acme.rows("BEGIN");
            assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2");
            acme.rows("SAVEPOINT a");
            let (types, _) = error_in(&mut acme, &query("SELECT 1/0"));
            assert_eq!(types, "E:22012 Z:E");
            assert_eq!(run(&mut acme, READ, b"100"), "25P02");
            acme.rows("ROLLBACK TO a");
            assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2");
            acme.rows("COMMIT AND CHAIN");
            assert_eq!(run(&mut acme, READ, b"100"), "1 2 SELECT 2");
            acme.rows("ROLLBACK");
        }
    }
}
