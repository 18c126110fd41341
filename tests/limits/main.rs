//! Limits: what is counted, what happens to those who are too many, and that the counts come
//! back when they leave. The database itself is asked how many connections it has.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod servers;
mod storms;
mod waiting;

use support::{
    Database, Pgusher, Raw,
    message::{query, ssl_request},
};

/// How many connections the database has, those of the superuser left out.
fn connections(database: &Database<'_>) -> usize {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename <> 'postgres'",
        database.name
    );
    database.server.value(&sql).parse().expect("a number")
}

/// Returns when what was sent before to a pgusher with one worker has been read there: that
/// worker took two more connections since, and answered them.
fn passed(pgusher: &Pgusher) {
    for _ in 0..2 {
        let mut witness = Raw::connect(pgusher.port());
        witness.send(&ssl_request());
        assert_eq!(witness.byte(), Some(b'N'));
    }
}

/// Clients in a transaction each, which hold a server connection each.
fn holders(pgusher: &Pgusher, database: &str, count: usize) -> Vec<Raw> {
    let begin = |_| {
        let mut client = pgusher.raw(database);
        assert_eq!(client.ask(&query("BEGIN")).types(), "C Z:T");
        client
    };
    (0..count).map(begin).collect()
}
