//! A tenant's part of a pool: the most, what is kept for it, what it cannot take, and how many of
//! its requests may wait.

use crate::{
    client_of, holders, passed, server,
    support::{
        Raw,
        message::{extended, query, sync},
    },
    with_tenants,
};

const ONE: &str = "SELECT 1";

/// Its request waits, although somebody else is served.
#[track_caller]
fn waits(client: &mut Raw, witness: &mut Raw) {
    client.send(&query(ONE));
    client.expect_silence(witness);
}

// G7
#[test]
fn max_servers() {
    let database = server().fresh_database();
    let pgusher = with_tenants("[limits]\nmax_servers = 2")
        .pool_size(4)
        .database("spare_servers = 0")
        .start();
    let mut other = client_of("globex", &pgusher, &database);
    let mut holding = holders("acme", &pgusher, &database, 2);
    let mut third = client_of("acme", &pgusher, &database);
    waits(&mut third, &mut other);
    // Another tenant has as many of its own.
    let mut others = holders("globex", &pgusher, &database, 2);
    assert_eq!(database.connections(), 4);
    for client in &mut others {
        client.rows("COMMIT");
    }
    // Idle ones by now, and it waits still.
    third.expect_silence(&mut other);
    holding[0].rows("COMMIT");
    assert_eq!(third.transcript().types(), "T D C Z:I");
}

// G7
#[test]
fn a_kept_connection_is_one_of_the_most() {
    let database = server().fresh_database();
    let pgusher = with_tenants("[limits]\nmax_servers = 2")
        .pool_size(4)
        .database("spare_servers = 0")
        .start();
    let mut other = client_of("globex", &pgusher, &database);
    let mut first = client_of("acme", &pgusher, &database);
    let mut second = client_of("acme", &pgusher, &database);
    first.rows("CREATE TEMP TABLE t ()");
    second.rows("CREATE TEMP TABLE t ()");
    let mut third = client_of("acme", &pgusher, &database);
    waits(&mut third, &mut other);
    // Those who have one go on.
    assert_eq!(first.value("SELECT count(*) FROM t"), "0");
    assert_eq!(second.value("SELECT count(*) FROM t"), "0");
    first.rows("DROP TABLE t");
    assert_eq!(third.transcript().types(), "T D C Z:I");
    // And one who leaves with it makes room too.
    let mut fourth = client_of("acme", &pgusher, &database);
    first.rows("BEGIN");
    waits(&mut fourth, &mut other);
    drop(second);
    assert_eq!(fourth.transcript().types(), "T D C Z:I");
}

// G7
#[test]
fn max_waiting() {
    let database = server().fresh_database();
    let pgusher = with_tenants("[limits]\nmax_servers = 1\nmax_waiting = 2")
        .pool_size(2)
        .database("spare_servers = 0")
        .start();
    let mut holding = holders("acme", &pgusher, &database, 1);
    let mut waiting: Vec<Raw> = (0..2)
        .map(|_| {
            let mut client = client_of("acme", &pgusher, &database);
            client.send(&query(ONE));
            passed(&pgusher);
            client
        })
        .collect();
    let mut refused = client_of("acme", &pgusher, &database);
    for request in [query(ONE), [extended(ONE, &[]), sync()].concat()] {
        refused.send(&request);
        let told = refused.expect("E:53300");
        let expected =
            "too many requests of this tenant wait for a server connection (max_waiting = 2)";
        assert_eq!(told.text(), expected);
        refused.expect("Z:I");
    }
    // Another tenant has a queue of its own.
    let mut others = holders("globex", &pgusher, &database, 1);
    let mut other = client_of("globex", &pgusher, &database);
    other.send(&query(ONE));
    passed(&pgusher);
    others[0].rows("COMMIT");
    assert_eq!(other.transcript().types(), "T D C Z:I");
    holding[0].rows("COMMIT");
    for client in &mut waiting {
        assert_eq!(client.transcript().types(), "T D C Z:I");
    }
    assert_eq!(refused.value(ONE), "1");
}

#[test]
fn min_servers() {
    let database = server().fresh_database();
    let config = "[limits.tiers.vip]\nmin_servers = 2\n[tenants.vip]\ntier = \"vip\"";
    let pgusher = with_tenants(config)
        .pool_size(4)
        .database("spare_servers = 0")
        .start();
    let mut vip: Vec<Raw> = (0..2)
        .map(|_| client_of("vip", &pgusher, &database))
        .collect();
    // It uses the pool, so two are its own.
    assert_eq!(vip[0].value(ONE), "1");
    let mut witness = client_of("vip", &pgusher, &database);
    let mut greedy = holders("greedy", &pgusher, &database, 2);
    let mut third = client_of("greedy", &pgusher, &database);
    waits(&mut third, &mut witness);
    for client in &mut vip {
        assert_eq!(client.ask(&query("BEGIN")).types(), "C Z:T");
    }
    assert_eq!(database.connections(), 4);
    // What it gives back is not for others.
    vip[0].rows("COMMIT");
    third.expect_silence(&mut witness);
    greedy[0].rows("COMMIT");
    assert_eq!(third.transcript().types(), "T D C Z:I");
}

#[test]
fn spare_servers() {
    let database = server().fresh_database();
    let pgusher = with_tenants("").pool_size(10).start();
    // Alone, it has them all.
    let mut greedy = holders("greedy", &pgusher, &database, 10);
    for client in &mut greedy {
        client.rows("COMMIT");
    }
    // Where others are, a fifth is not for it.
    let mut other = client_of("other", &pgusher, &database);
    assert_eq!(other.value(ONE), "1");
    for client in &mut greedy[..8] {
        assert_eq!(client.ask(&query("BEGIN")).types(), "C Z:T");
    }
    waits(&mut greedy[8], &mut other);
    let mut others = holders("other", &pgusher, &database, 1);
    others.extend(holders("third", &pgusher, &database, 1));
    greedy[0].rows("COMMIT");
    assert_eq!(greedy[8].transcript().types(), "T D C Z:I");
}
