//! `notice_after`: who was held up for long is told so, in front of the answer.

use crate::{
    client_of, holders, passed, server,
    support::{
        Message, Raw, Transcript,
        message::{extended, query, sync},
    },
    with_tenants,
};

/// A notice, and how many milliseconds it speaks of.
#[track_caller]
fn waited(notice: &Message) -> u64 {
    assert_eq!(notice.notation(), "N:00000");
    assert_eq!(notice.field(b'S').as_deref(), Some("NOTICE"));
    let detail = notice.field(b'D').unwrap();
    let millis = detail.strip_prefix("tenant=acme waited_ms=").unwrap();
    let expected = format!("pgusher: this transaction waited {millis} ms before it began");
    assert_eq!(notice.text(), expected);
    let hint = "Its tenant is at a limit, or the pool is busy.";
    assert_eq!(notice.field(b'H').as_deref(), Some(hint));
    millis.parse().unwrap()
}

#[track_caller]
fn told(client: &mut Raw, types: &str) -> u64 {
    let heard = client.until_ready();
    assert_eq!(Transcript::of(&heard).types(), types);
    waited(&heard[0])
}

#[test]
fn of_a_limit() {
    let database = server().fresh_database();
    let pgusher = with_tenants(
        "[limits]\ntransactions_per_second = 2\nburst = 1\nmax_delay = \"10s\"\nnotice_after = \"50ms\"",
    )
    .start();
    let mut client = client_of("acme", &pgusher, &database);
    assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
    for (request, types) in [
        (query("SELECT 1"), "N:00000 T D C Z:I"),
        (
            [extended("SELECT 1", &[]), sync()].concat(),
            "N:00000 1 2 T D C Z:I",
        ),
        (query("BEGIN"), "N:00000 C Z:T"),
    ] {
        client.send(&request);
        let millis = told(&mut client, types);
        assert!((50..=1000).contains(&millis), "{millis}");
    }
    assert_eq!(client.ask(&query("COMMIT")).types(), "C Z:I");
    // On a connection of its own too.
    client.send(&query("CREATE TEMP TABLE t ()"));
    told(&mut client, "N:00000 C Z:I");
    // This one may have come while the server was still asked what it keeps, and then the one
    // behind it pays for both.
    client.rows("SELECT * FROM t");
    client.send(&query("SELECT * FROM t"));
    told(&mut client, "N:00000 T C Z:I");
}

#[test]
fn of_a_busy_pool() {
    let database = server().fresh_database();
    let pgusher = with_tenants("[limits]\nnotice_after = \"150ms\"")
        .pool_size(1)
        .start();
    let mut client = client_of("acme", &pgusher, &database);
    for (request, types) in [
        (query("SELECT 1"), "N:00000 T D C Z:I"),
        (
            [extended("SELECT 1", &[]), sync()].concat(),
            "N:00000 1 2 T D C Z:I",
        ),
    ] {
        let mut holding = holders("globex", &pgusher, &database, 1);
        client.send(&request);
        passed(&pgusher);
        holding[0].rows("SELECT pg_sleep(0.2)");
        holding[0].rows("COMMIT");
        let millis = told(&mut client, types);
        assert!((150..=5000).contains(&millis), "{millis}");
    }
    assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
}

#[test]
fn not_of_a_short_wait_nor_unasked() {
    let database = server().fresh_database();
    for notice in ["", "notice_after = \"10s\""] {
        let pgusher = with_tenants(&format!(
            "[limits]\ntransactions_per_second = 5\nburst = 1\nmax_delay = \"10s\"\n{notice}"
        ))
        .start();
        let mut client = client_of("acme", &pgusher, &database);
        for _ in 0..3 {
            assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
        }
    }
}
