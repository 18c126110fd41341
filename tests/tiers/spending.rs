//! What a transaction costs is known when it is over: the debt is paid before the next one.

use std::time::{Duration, Instant};

use crate::{
    client_of, refused, server,
    support::message::{extended, query, sync},
    wait, with_tenants,
};

fn batch(sql: &str) -> Vec<u8> {
    [extended(sql, &[]), sync()].concat()
}

#[test]
fn server_time() {
    let database = server().fresh_database();
    let pgusher = with_tenants(
        "[limits]\nserver_time_per_second = \"500ms\"\nserver_time_burst = \"200ms\"\nmax_delay = \"1ms\"",
    )
    .start();
    let mut client = client_of("acme", &pgusher, &database);
    for request in [query, |sql: &str| batch(sql)] {
        let mut second = client_of("acme", &pgusher, &database);
        assert_eq!(client.value("SELECT 1"), "1");
        client.send(&request("SELECT pg_sleep(0.7)"));
        client.until_ready();
        for _ in 0..3 {
            let told = refused(&mut second, &query("SELECT 1"));
            assert_eq!(told.message, "tenant \"acme\" uses too much server time");
            let expected =
                "limit=server_time_per_second per_second_ms=500 burst_ms=200 tenant=acme";
            assert_eq!(told.detail, expected);
            // Half a second is owed, and that is a second's worth. A moment has passed since.
            assert!((600..=1_200).contains(&told.retry.as_millis()), "{told:?}");
        }
        assert_eq!(
            client_of("globex", &pgusher, &database).value("SELECT 1"),
            "1"
        );
        let told = refused(&mut client, &request("SELECT 1"));
        wait(&client, told.retry);
        assert_eq!(second.value("SELECT 'paid'"), "paid");
    }
}

/// Of a block, the time in which the client is silent counts too: nobody else has the server then.
#[test]
fn a_block_that_idles() {
    let database = server().fresh_database();
    let pgusher = with_tenants(
        "[limits]\nserver_time_per_second = \"500ms\"\nserver_time_burst = \"100ms\"\nmax_delay = \"1ms\"",
    )
    .start();
    let mut client = client_of("acme", &pgusher, &database);
    assert_eq!(client.ask(&query("BEGIN")).types(), "C Z:T");
    wait(&client, Duration::from_millis(400));
    assert_eq!(client.ask(&query("COMMIT")).types(), "C Z:I");
    let told = refused(&mut client, &query("SELECT 1"));
    assert!((400..=900).contains(&told.retry.as_millis()), "{told:?}");
}

#[test]
fn bytes() {
    let database = server().fresh_database();
    let pgusher = with_tenants(
        "[limits]\nbytes_per_second = 20000\nbytes_burst = 10000\nmax_delay = \"1ms\"",
    )
    .start();
    let mut client = client_of("acme", &pgusher, &database);
    assert_eq!(client.value("SELECT 1"), "1");
    assert_eq!(client.value("SELECT repeat('x', 30000)").len(), 30_000);
    let told = refused(&mut client, &batch("SELECT 1"));
    assert_eq!(told.message, "tenant \"acme\" reads too many bytes");
    let expected = "limit=bytes_per_second per_second=20000 burst=10000 tenant=acme";
    assert_eq!(told.detail, expected);
    // 20,000 bytes and some are owed.
    assert!((800..=1_100).contains(&told.retry.as_millis()), "{told:?}");
    wait(&client, told.retry);
    assert_eq!(client.value("SELECT 'paid'"), "paid");
}

/// Who may wait for long enough waits, and is served.
#[test]
fn a_debt_that_is_waited_for() {
    let database = server().fresh_database();
    let pgusher = with_tenants(
        "[limits]\nserver_time_per_second = \"500ms\"\nserver_time_burst = \"100ms\"\nmax_delay = \"10s\"",
    )
    .start();
    let mut client = client_of("acme", &pgusher, &database);
    client.rows("SELECT pg_sleep(0.4)");
    let start = Instant::now();
    assert_eq!(client.value("SELECT 'paid'"), "paid");
    let passed = start.elapsed();
    assert!(passed >= Duration::from_millis(590), "{passed:?}");
    assert!(passed < Duration::from_millis(2_000), "{passed:?}");
}
