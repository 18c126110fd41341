//! Connections of a tenant: how many, and how many at once.

use crate::{
    client_of, come, refusal, server,
    support::{Database, Message, Pgusher, Raw, eventually, message::query, postgres::PASSWORD},
    wait, with, with_tenants,
};

/// The error that the login of a tenant's client gets.
#[track_caller]
fn turned_away(pgusher: &Pgusher, database: &Database<'_>, tenant: &str) -> Message {
    let mut raw = Raw::connect(pgusher.port());
    raw.startup(&[
        ("user", "app"),
        ("database", &database.name),
        ("app.tenant_id", tenant),
    ]);
    let told = raw.until(b'E').pop().unwrap();
    assert_eq!(told.field(b'S').as_deref(), Some("FATAL"));
    raw.expect_eof();
    told
}

#[test]
fn connections_per_second() {
    let database = server().fresh_database();
    let pgusher =
        with_tenants("[limits]\nconnections_per_second = 1\nconnection_burst = 4").start();
    for _ in 0..4 {
        drop(client_of("acme", &pgusher, &database));
    }
    let mut last = None;
    for _ in 0..10 {
        let told = refusal(&turned_away(&pgusher, &database, "acme"));
        assert_eq!(told.message, "tenant \"acme\" connected too often");
        let expected = "limit=connections_per_second per_second=1 burst=4 tenant=acme";
        assert_eq!(told.detail, expected);
        assert!((1..=1000).contains(&told.retry.as_millis()), "{told:?}");
        last = Some(told.retry);
    }
    let mut other = client_of("globex", &pgusher, &database);
    assert_eq!(other.value("SELECT 1"), "1");
    wait(&other, last.unwrap());
    assert_eq!(
        client_of("acme", &pgusher, &database).value("SELECT 1"),
        "1"
    );
}

// G6, G7
#[test]
fn max_clients() {
    let database = server().fresh_database();
    let config = "[limits]\nmax_clients = 3\n[limits.tiers.large]\nmax_clients = 5\n\
                  [users.large]\nbypass = true\ntier = \"large\"";
    let pgusher = with_tenants(config).start();
    let mut inside: Vec<Raw> = (0..3)
        .map(|_| client_of("acme", &pgusher, &database))
        .collect();
    for _ in 0..10 {
        let told = turned_away(&pgusher, &database, "acme");
        assert_eq!(told.sqlstate(), "53300");
        assert_eq!(told.text(), "too many connections for tenant \"acme\"");
        assert_eq!(told.field(b'H').as_deref(), Some("Its max_clients is 3."));
    }
    for client in &mut inside {
        assert_eq!(client.value("SELECT 1"), "1");
    }
    // One tenant's many are not another's.
    let others: Vec<Raw> = (0..3)
        .map(|_| client_of("globex", &pgusher, &database))
        .collect();
    drop(inside.pop());
    eventually("there is room", || {
        come(&pgusher, &database, "app", Some("acme"))
            .map(|it| inside.push(it))
            .is_ok()
    });
    turned_away(&pgusher, &database, "acme");
    drop(others);
    let users: Vec<Raw> = (0..5)
        .map(|_| come(&pgusher, &database, "large", None).unwrap())
        .collect();
    let told = come(&pgusher, &database, "large", None).unwrap_err();
    assert_eq!(told, "FATAL:53300: too many connections for user \"large\"");
    drop(users);
    eventually("there is room", || {
        come(&pgusher, &database, "large", None).is_ok()
    });
}

/// G6: the seat comes back however a client leaves, and when it never came in.
#[test]
fn the_count_recovers() {
    let database = server().fresh_database();
    let pgusher = with_tenants("[limits]\nmax_clients = 3")
        .auth("scram-sha-256")
        .start();
    let come = || come(&pgusher, &database, "app", Some("acme"));
    for _ in 0..6 {
        let ways: [fn(Raw); 5] = [
            drop,
            Raw::reset,
            |mut client| client.send(&query("BEGIN; SELECT pg_sleep(600)")),
            |mut client| {
                client.send(&query("BEGIN; SELECT pg_sleep(600)"));
                client.reset();
            },
            |mut client| client.send(&[b'Q', 0, 0]),
        ];
        for way in ways {
            if let Ok(client) = come() {
                way(client);
            }
        }
        let wrong = Raw::try_login(pgusher.port(), "app.acme", "wrong", &database.name);
        assert!(wrong.unwrap_err().starts_with("FATAL:28P01"));
        // The database server does not let it in: it had its seat already.
        let nowhere = Raw::try_login(pgusher.port(), "app.acme", PASSWORD, "nowhere");
        assert!(nowhere.is_err());
    }
    let mut inside = Vec::new();
    eventually("all three seats are free", || {
        inside.clear();
        inside.extend((0..3).map_while(|_| come().ok()));
        inside.len() == 3
    });
    assert!(come().unwrap_err().starts_with("FATAL:53300"));
}

/// No `[tenant]` at all: it is the user that has come too often.
#[test]
fn users_without_tenants() {
    let database = server().fresh_database();
    let pgusher = with("[limits]\nconnections_per_second = 1\nconnection_burst = 2").start();
    for user in ["app", "other"] {
        let come = || come(&pgusher, &database, user, None);
        let _two = [come().unwrap(), come().unwrap()];
        let expected = format!("FATAL:53400: user \"{user}\" connected too often");
        assert_eq!(come().unwrap_err(), expected);
    }
}
