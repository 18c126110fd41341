//! Transactions per second: the burst, the delay, the refusal, the rate.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    Refusal, client_of, come, passed, refused, server,
    support::{
        Pgusher, Raw,
        message::{bind, execute, extended, parse, query, sync},
    },
    wait, with, with_tenants,
};

const ONE: &str = "SELECT 1";

fn batch(sql: &str) -> Vec<u8> {
    [extended(sql, &[]), sync()].concat()
}

#[test]
fn behind_the_burst_is_the_end() {
    let database = server().fresh_database();
    let pgusher =
        with_tenants("[limits]\ntransactions_per_second = 1\nburst = 4\nmax_delay = \"1ms\"")
            .start();
    let mut client = client_of("acme", &pgusher, &database);
    let mut second = client_of("acme", &pgusher, &database);
    assert_eq!(client.ask(&query(ONE)).types(), "T D C Z:I");
    assert_eq!(client.ask(&batch(ONE)).types(), "1 2 T D C Z:I");
    assert_eq!(second.ask(&query(ONE)).types(), "T D C Z:I");
    // A text of two statements is one transaction.
    assert_eq!(
        second.ask(&query("SELECT 1; SELECT 2")).types(),
        "T D C T D C Z:I"
    );
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(refused(&mut client, &query(ONE)));
        told.push(refused(&mut second, &batch(ONE)));
    }
    for Refusal {
        message,
        detail,
        retry,
    } in &told
    {
        assert_eq!(message, "tenant \"acme\" starts too many transactions");
        let expected = "limit=transactions_per_second per_second=1 burst=4 tenant=acme";
        assert_eq!(detail, expected);
        assert!((1..=1000).contains(&retry.as_millis()), "{retry:?}");
    }
    // Nobody else is meant.
    assert_eq!(client_of("globex", &pgusher, &database).value(ONE), "1");
    assert_eq!(pgusher.raw(&database.name).value(ONE), "1");
    // What was refused was not counted, and the time that was told is enough.
    let last = told.last().unwrap().retry;
    wait(&second, last);
    assert_eq!(second.value("SELECT 'on it goes'"), "on it goes");
    refused(&mut client, &query(ONE));
}

#[test]
fn a_short_wait_is_waited() {
    let database = server().fresh_database();
    let pgusher =
        with_tenants("[limits]\ntransactions_per_second = 10\nburst = 2\nmax_delay = \"150ms\"")
            .start();
    let mut client = client_of("acme", &pgusher, &database);
    let start = Instant::now();
    for nth in 0..12 {
        let request = if nth % 2 == 0 { query(ONE) } else { batch(ONE) };
        let types = client.ask(&request).types();
        assert!(types.ends_with("T D C Z:I"), "{types}");
    }
    // Ten of them had to wait for their tenth of a second.
    let passed = start.elapsed();
    assert!(passed >= Duration::from_millis(990), "{passed:?}");
    assert!(passed < Duration::from_millis(1900), "{passed:?}");
}

/// Each has the token that it was promised: those who ask later cannot take it, and who would
/// have to wait for longer than is allowed does not stand in the way of anybody.
#[test]
fn a_place_is_kept() {
    let database = server().fresh_database();
    database.sql("CREATE TABLE t (id serial, n int); GRANT ALL ON t, t_id_seq TO app");
    let pgusher =
        with_tenants("[limits]\ntransactions_per_second = 4\nburst = 1\nmax_delay = \"1050ms\"")
            .start();
    let mut clients: Vec<Raw> = (0..5)
        .map(|_| client_of("acme", &pgusher, &database))
        .collect();
    let mut late = client_of("acme", &pgusher, &database);
    let order = [3, 0, 4, 1, 2];
    for nth in order {
        clients[nth].send(&query(&format!("INSERT INTO t (n) VALUES ({nth})")));
        passed(&pgusher);
    }
    let told = refused(&mut late, &query("INSERT INTO t (n) VALUES (9)"));
    assert!(told.retry <= Duration::from_millis(250), "{told:?}");
    for client in &mut clients {
        assert_eq!(client.transcript().types(), "C Z:I");
    }
    let served = database.value("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t");
    assert_eq!(served, order.map(|nth| nth.to_string()).join(" "));
}

/// Transactions that several clients get in so much time, when they ask as fast as they can.
fn count(pgusher: &Pgusher, clients: Vec<Raw>, time: Duration) -> usize {
    let start = Instant::now();
    let work = |mut client: Raw| {
        let mut done = 0;
        loop {
            assert_eq!(client.value(ONE), "1");
            if start.elapsed() >= time {
                return done;
            }
            done += 1;
        }
    };
    let _ = pgusher;
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || work(client)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

/// Over two databases, both users and four workers it is one tenant.
#[test]
fn the_rate_is_right() {
    const RATE: usize = 80;
    const BURST: usize = 20;
    const SECONDS: usize = 3;
    let databases = [server().fresh_database(), server().fresh_database()];
    let pgusher = Pgusher::in_front_of(server())
        .log_level("info")
        .config("[runtime]\nworkers = 4\nspread = \"even\"\n[users.other]\npassword = \"secret\"")
        .config("[tenant]\nsetting = \"app.tenant_id\"\nrequired = false")
        .config(&format!(
            "[limits]\ntransactions_per_second = {RATE}\nburst = {BURST}\nmax_delay = \"10s\""
        ))
        .start();
    let clients: Vec<Raw> = (0..8)
        .map(|nth| {
            let user = if nth % 4 < 2 { "app" } else { "other" };
            come(&pgusher, &databases[nth % 2], user, Some("acme")).unwrap()
        })
        .collect();
    let done = count(&pgusher, clients, Duration::from_secs(SECONDS as u64));
    let expected = RATE * SECONDS + BURST;
    assert!(done <= expected + 1, "{done} of {expected}");
    assert!(done * 100 >= expected * 96, "{done} of {expected}");
}

/// Who has no tenant is a tenant of its own: each user, with the tier that it has.
#[test]
fn users_without_tenants() {
    let database = server().fresh_database();
    let tiers = "[limits]\ntransactions_per_second = 1\nburst = 2\nmax_delay = \"1ms\"\n\
                 [limits.tiers.few]\ntransactions_per_second = 1\nburst = 3\n\
                 [users.few]\nbypass = true\ntier = \"few\"\n\
                 [users.many]\nbypass = true\ntier = \"many\"\n\
                 [limits.tiers.many]\ntransactions_per_second = 0";
    for pgusher in [with(tiers).start(), with_tenants(tiers).start()] {
        let come = |user| come(&pgusher, &database, user, None).unwrap();
        for (user, burst) in [("app", 2), ("few", 3), ("other", 2)] {
            let (mut client, mut second) = (come(user), come(user));
            for _ in 0..burst {
                assert_eq!(client.value(ONE), "1");
            }
            let told = refused(&mut second, &query(ONE));
            let expected = format!("user \"{user}\" starts too many transactions");
            assert_eq!(told.message, expected);
            let expected =
                format!("limit=transactions_per_second per_second=1 burst={burst} user={user}");
            assert_eq!(told.detail, expected);
        }
        let mut many = come("many");
        for _ in 0..50 {
            assert_eq!(many.value(ONE), "1");
        }
    }
}

/// What pgusher does in front of a statement, and is answered before it, costs nothing.
#[test]
fn what_is_done_for_a_statement_is_part_of_it() {
    let database = server().fresh_database();
    database.sql(
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; \
         CREATE TABLE t (n int); GRANT ALL ON t TO app; ALTER TABLE t OWNER TO app",
    );
    let own = [bind("", "a", &[]), execute("", 0), sync()].concat();
    for (mode, setup) in [
        ("", "SELECT 1"),
        ("pool_mode = \"session\"", "SELECT 1"),
        ("", "CREATE TEMP TABLE kept ()"),
    ] {
        let pgusher =
            with_tenants("[limits]\ntransactions_per_second = 1\nburst = 12\nmax_delay = \"1ms\"")
                .pool_size(1)
                .database(mode)
                .start();
        let mut client = client_of("acme", &pgusher, &database);
        client.rows(setup);
        let prepared = client.ask(&[parse("a", "SELECT 7"), sync()].concat());
        assert_eq!(prepared.types(), "1 Z:I");
        for (request, types) in [
            (query("VACUUM t"), "C Z:I"),
            (batch("VACUUM t"), "1 2 n C Z:I"),
            (query("CALL p()"), "C Z:I"),
            (batch("CALL p()"), "1 2 n C Z:I"),
            (query("DO $$ BEGIN COMMIT; END $$"), "C Z:I"),
            (query("EXECUTE a"), "T D C Z:I"),
            (own.clone(), "2 D C Z:I"),
            (query("DISCARD PLANS"), "C Z:I"),
            (query("EXECUTE a"), "T D C Z:I"),
        ] {
            assert_eq!(client.ask(&request).types(), types, "{mode} {setup}");
        }
        // Eleven so far: one is left.
        assert_eq!(client.value(ONE), "1", "{mode} {setup}");
        let told = refused(&mut client, &query(ONE));
        assert!(told.retry <= Duration::from_secs(1), "{told:?}");
    }
}
