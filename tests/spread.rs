//! Clients move between the threads that relay, as the load comes and goes, and notice nothing.

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use support::{
    Pgusher, Raw, Version,
    message::{bind, execute, flush, parse, query, sync},
    patience,
};

const CLIENTS: usize = 12;

/// Messages that only pgusher works for: there is nothing to flush.
const EMPTY: usize = 5000;

fn name(nth: usize) -> String {
    format!("client {nth}")
}

fn client(pgusher: &Pgusher, database: &str, nth: usize) -> Raw {
    let mut client = pgusher.raw(database);
    client.ask(&query(&format!("SET application_name = '{}'", name(nth))));
    let prepared = parse("mine", &format!("SELECT {nth}, $1::text"));
    client.ask(&[prepared, sync()].concat());
    client
}

/// It is still what it was, wherever it is.
#[track_caller]
fn is_itself(client: &mut Raw, nth: usize) {
    assert_eq!(client.value("SHOW application_name"), name(nth));
    let run = [bind("", "mine", &[Some(b"x")]), execute("", 0), sync()].concat();
    assert_eq!(
        client.ask(&run).text(),
        format!("2 \nD {nth} | x\nC SELECT 1\\x00\nZ I")
    );
}

/// All at once.
fn each(clients: &mut [Raw], act: impl Fn(&mut Raw, usize) + Sync) {
    thread::scope(|scope| {
        for (nth, client) in clients.iter_mut().enumerate() {
            let act = &act;
            scope.spawn(move || act(client, nth));
        }
    });
}

/// Keeps pgusher busy, in all of them, until it has said `needle`.
fn work_until(clients: &mut [Raw], pgusher: &Pgusher, needle: &str) {
    let over = AtomicBool::new(false);
    let deadline = Instant::now() + patience();
    each(clients, |client, nth| {
        let request = [flush().repeat(EMPTY), query("SELECT 1")].concat();
        while !over.load(Ordering::Relaxed) {
            client.ask(&request);
            if nth == 0 && (pgusher.log_contains(needle) || Instant::now() > deadline) {
                over.store(true, Ordering::Relaxed);
            }
        }
    });
    pgusher.wait_for_log(needle);
}

/// When one thread has no time left, half of those who work go to a second one, with all that
/// they have: settings, statements, deadlines, and the key that cancels what they do. When there
/// is little to do they come back.
#[test]
fn clients_move_with_all_they_have() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = Pgusher::in_front_of(pg)
        .pool_size(CLIENTS)
        .config("[runtime]\nworkers = 2\n[timeouts]\nquery_timeout = \"2s\"")
        .start();
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|nth| client(&pgusher, &database.name, nth))
        .collect();
    assert!(!pgusher.log_contains("so many are in use"));
    work_until(&mut clients, &pgusher, "so many are in use workers=2");
    each(&mut clients, is_itself);
    for client in &mut clients {
        client.send(&query("SELECT pg_sleep(60)"));
        database.wait_for_running("pg_sleep", 1);
        client.cancel();
        assert_eq!(client.transcript().types(), "T E:57014 Z:I");
    }
    each(&mut clients, |client, nth| {
        let error = client.ask(&query("SELECT pg_sleep(60)")).text();
        assert!(error.contains("57014"), "{error}");
        is_itself(client, nth);
    });
    pgusher.wait_for_log("so many are in use workers=1");
    each(&mut clients, is_itself);
}
