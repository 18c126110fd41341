//! TLS on both sides: who gets it, who is refused, and what it is worth.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by failing"
)]

#[macro_use]
mod support;

#[path = "tls/bytes.rs"]
mod bytes;
#[path = "tls/clients.rs"]
mod clients;
#[path = "tls/equal.rs"]
mod equal;
#[path = "tls/hostile.rs"]
mod hostile;
#[path = "tls/identity.rs"]
mod identity;
#[path = "tls/login.rs"]
mod login;
#[path = "tls/rust.rs"]
mod rust;
#[path = "tls/servers.rs"]
mod servers;

use std::process::{Command, Output};

use support::{Pgusher, postgres::PASSWORD};

/// What psql says to a query, over a connection with these parameters: its answer, or its error.
fn psql(pgusher: &Pgusher, parameters: &str, sql: &str) -> Result<String, String> {
    let port = pgusher.port();
    psql_at(
        port,
        &format!("user=app password={PASSWORD} {parameters}"),
        sql,
    )
}

fn psql_at(port: u16, parameters: &str, sql: &str) -> Result<String, String> {
    let psql = support::postgres::psql().expect("psql");
    let place = format!("hostaddr=127.0.0.1 port={port} dbname=postgres {parameters}");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(psql)
        .args(["-XAtq", "-c", sql, &place])
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .expect("psql runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").trim().to_owned();
    match status.success() {
        true => Ok(text(stdout)),
        false => Err(text(stderr)),
    }
}
