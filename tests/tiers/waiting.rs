//! What may happen to a client while its transaction is delayed.

use std::time::{Duration, Instant};

use crate::{
    Builder, client_of, come, passed, refused, server,
    support::{
        Database, Pgusher, Raw, eventually,
        message::{extended, query, sync, terminate},
        patience,
    },
    with_tenants,
};

const ONE: &str = "SELECT 1";

/// The next transaction of a tenant may begin after two seconds only, and waits.
fn slow() -> Builder {
    with_tenants(
        "[limits]\nserver_time_per_second = \"100ms\"\nserver_time_burst = \"100ms\"\nmax_delay = \"30s\"",
    )
}

fn in_debt(pgusher: &Pgusher, database: &Database<'_>) -> Raw {
    let mut client = client_of("acme", pgusher, database);
    client.rows("SELECT pg_sleep(0.3)");
    client
}

// B1
#[test]
fn a_cancel() {
    let database = server().fresh_database();
    let pgusher = slow().start();
    let mut client = in_debt(&pgusher, &database);
    for request in [query(ONE), [extended(ONE, &[]), sync()].concat()] {
        let start = Instant::now();
        client.send(&request);
        passed(&pgusher);
        client.cancel();
        assert_eq!(client.transcript().types(), "E:57014 Z:I");
        assert!(start.elapsed() < Duration::from_millis(1500));
    }
    // The connection goes on, and what follows waits for its own time.
    assert_eq!(client.value("SELECT 'on it goes'"), "on it goes");
}

/// What was sent behind it is answered for itself.
#[test]
fn a_cancel_within_a_pipeline() {
    let database = server().fresh_database();
    let pgusher = slow().start();
    let mut client = in_debt(&pgusher, &database);
    client.send(&[query("SELECT 'a'"), query("SELECT 'b'")].concat());
    passed(&pgusher);
    client.cancel();
    assert_eq!(client.transcript().types(), "E:57014 Z:I");
    assert_eq!(client.transcript().text().lines().nth(1), Some("D b"));
}

// G6
#[test]
fn a_departure() {
    let database = server().fresh_database();
    database.sql("CREATE TABLE t (n int); GRANT ALL ON t TO app");
    let pgusher = with_tenants(
        "[limits]\nserver_time_per_second = \"100ms\"\nserver_time_burst = \"100ms\"\n\
         max_delay = \"30s\"\nmax_clients = 3",
    )
    .start();
    let mut last = in_debt(&pgusher, &database);
    let ways: [fn(Raw); 3] = [drop, Raw::reset, |mut client| client.send(&terminate())];
    let insert = query("INSERT INTO t VALUES (1)");
    for way in ways {
        let mut client = client_of("acme", &pgusher, &database);
        client.send(&insert);
        passed(&pgusher);
        way(client);
        eventually("its seat is free", || {
            let come = || come(&pgusher, &database, "app", Some("acme"));
            come().is_ok_and(|_first| come().is_ok())
        });
    }
    assert_eq!(last.value(ONE), "1");
    assert_eq!(database.value("SELECT count(*) FROM t"), "0");
}

/// H2: a request that waits already is still served, and answered.
#[test]
fn a_shutdown() {
    let database = server().fresh_database();
    let mut pgusher = slow().start();
    let mut client = in_debt(&pgusher, &database);
    let mut idle = client_of("acme", &pgusher, &database);
    client.send(&query(ONE));
    passed(&pgusher);
    pgusher.terminate();
    assert_eq!(idle.transcript_until_eof().types(), "FATAL:57P01 eof");
    let heard = client.transcript_until_eof().types();
    assert_eq!(heard, "T D C Z:I FATAL:57P01 eof");
    assert!(pgusher.wait_exit(patience()).success());
}

/// Who may not be kept waiting for so long is told at once, and when it is worth while to ask.
#[test]
fn query_wait_timeout_is_shorter() {
    let database = server().fresh_database();
    let pgusher = slow()
        .config("[timeouts]\nquery_wait_timeout = \"1s\"")
        .start();
    let mut client = in_debt(&pgusher, &database);
    let told = refused(&mut client, &query(ONE));
    assert!((1000..4000).contains(&told.retry.as_millis()), "{told:?}");
    crate::wait(&client, told.retry);
    assert_eq!(client.value(ONE), "1");
}

/// A client that idles is not one that is delayed.
#[test]
fn other_timeouts_do_not_count() {
    let database = server().fresh_database();
    let pgusher = slow()
        .config(
            "[timeouts]\nclient_idle_timeout = \"1s\"\nquery_timeout = \"1s\"\n\
             transaction_timeout = \"1s\"\nidle_transaction_timeout = \"1s\"",
        )
        .start();
    let mut client = in_debt(&pgusher, &database);
    let start = Instant::now();
    assert_eq!(client.value(ONE), "1");
    assert!(
        start.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        start.elapsed()
    );
}
