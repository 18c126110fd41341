//! What is open goes on to its end: no limit meets anybody who may hold locks (J13).

use crate::{
    client_of, refused, server,
    support::{
        Way,
        message::{copy_data, copy_done, query},
    },
    with_tenants,
};

const NARROW: &str = "[limits]\ntransactions_per_second = 1\nburst = 1\nmax_delay = \"1ms\"\n\
                      server_time_per_second = \"1ms\"\nbytes_per_second = 100";

// J13
#[test]
fn a_block_is_never_refused() {
    let database = server().fresh_database();
    database.sql("CREATE TABLE t (n int); GRANT ALL ON t TO app");
    // Preparing something before the block is a transaction of its own.
    let ways = Way::ALL.into_iter();
    let ways = ways.filter(|way| !matches!(way, Way::Named | Way::NamedInOneBatch));
    for (nth, way) in ways.enumerate() {
        let pgusher = with_tenants(NARROW).log_level("info").start();
        let tenant = format!("t{nth}");
        let mut client = client_of(&tenant, &pgusher, &database);
        let mut script = vec!["BEGIN"];
        script.extend(["SELECT repeat('x', 1000)"; 200]);
        script.extend([
            "SAVEPOINT a",
            "SELECT 1 / 0",
            "ROLLBACK TO a",
            "SELECT pg_sleep(0.01)",
        ]);
        script.push("COMMIT");
        let heard = way.tell(&script, &mut client);
        let types: Vec<String> = heard.iter().map(ToString::to_string).collect();
        let errors: Vec<&str> = types
            .iter()
            .flat_map(|it| it.split(' '))
            .filter(|it| it.starts_with("E:"))
            .collect();
        // In one text, and in one batch, an error ends it all.
        assert_eq!(errors.first(), Some(&"E:22012"), "{way:?}");
        assert!(
            errors.iter().all(|it| ["E:22012", "E:25P02"].contains(it)),
            "{way:?} {errors:?}"
        );
        if types.last().unwrap().ends_with("Z:E") {
            client.rows("ROLLBACK");
        }
        // Behind it, the bill.
        refused(&mut client, &query("SELECT 1"));
    }
}

// J13
#[test]
fn a_failed_block_and_a_copy_come_to_their_ends() {
    let database = server().fresh_database();
    database.sql("CREATE TABLE t (n int); GRANT ALL ON t TO app");
    let pgusher = with_tenants(NARROW).start();
    let mut failed = client_of("acme", &pgusher, &database);
    assert_eq!(failed.ask(&query("BEGIN")).types(), "C Z:T");
    assert_eq!(failed.ask(&query("SELECT 1 / 0")).types(), "E:22012 Z:E");
    for _ in 0..20 {
        assert_eq!(failed.ask(&query("SELECT 1")).types(), "E:25P02 Z:E");
    }
    assert_eq!(failed.ask(&query("ROLLBACK")).types(), "C Z:I");
    refused(&mut failed, &query("BEGIN"));

    let mut copying = client_of("globex", &pgusher, &database);
    copying.send(&query("COPY t FROM STDIN"));
    copying.expect("G");
    for _ in 0..200 {
        copying.send(&copy_data(b"1\n"));
    }
    copying.send(&copy_done());
    assert_eq!(copying.transcript().types(), "C Z:I");
    let told = refused(&mut copying, &query("COPY t FROM STDIN"));
    assert!(told.message.starts_with("tenant \"globex\" "), "{told:?}");
    // A COPY that was refused: its data is ignored, as PostgreSQL ignores it.
    copying.send(&[copy_data(b"2\n"), copy_done(), query("SELECT 1")].concat());
    assert_eq!(copying.transcript().types(), "E:53400 Z:I");
    assert_eq!(database.value("SELECT count(*) FROM t"), "200");
}

/// Who names its tenant when the transaction is open is let in, and the tenant pays.
#[test]
fn a_tenant_that_is_named_inside() {
    const SLOW: &str = "[limits.tiers.slow]\ntransactions_per_second = 1\nburst = 2\n\
                        max_delay = \"1ms\"\n[tenants.acme]\ntier = \"slow\"";
    let database = server().fresh_database();
    let pgusher = with_tenants(SLOW).start();
    let mut client = pgusher.raw(&database.name);
    for _ in 0..10 {
        client.rows("BEGIN");
        client.rows("SET LOCAL app.tenant_id = 'acme'");
        assert_eq!(
            client.value("SELECT current_setting('app.tenant_id')"),
            "acme"
        );
        client.rows("COMMIT");
    }
    let mut acme = client_of("acme", &pgusher, &database);
    let told = refused(&mut acme, &query("SELECT 1"));
    assert_eq!(
        told.detail,
        "limit=transactions_per_second per_second=1 burst=2 tenant=acme"
    );
    // Ten were taken of two, and the next is the eleventh.
    assert!(
        (7_000..=9_000).contains(&told.retry.as_millis()),
        "{told:?}"
    );
    // Its own user is not in debt.
    assert_eq!(client.value("SELECT 'nobody'"), "nobody");
}
