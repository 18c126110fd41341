//! Real drivers against pgusher: what applications bring, with more clients than servers.
//!
//! Each driver has its checks in `tests/drivers/`; `make drivers` installs them and runs these
//! tests, which are ignored otherwise because they need packages from the network.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "what is not as expected ends the test, and what a driver says is shown"
)]

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use support::{Pgusher, Version};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a driver's checks against a pool of two, and directly when that fails, to tell whose
/// fault it is.
#[track_caller]
fn checks_hold(command: impl Fn() -> Command) {
    for version in [Version::V15, Version::V18] {
        let pg = support::postgres(version);
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .log_level("info")
            .auth("scram-sha-256")
            .pool_size(2)
            .config("[runtime]\nworkers = 2")
            .start();
        let run = |url: &str| {
            let output = command()
                .env("DATABASE_URL", url)
                .current_dir(here("tests/drivers"))
                .output()
                .unwrap_or_else(|error| panic!("{:?}: {error}", command()));
            let said = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&said).into_owned(),
            )
        };
        let (held, said) = run(&pgusher.url(&database.name));
        println!("{version:?}\n{said}");
        if !held {
            let (_, directly) = run(&database.url());
            panic!("with {version:?}, through pgusher:\n{said}\n--- directly:\n{directly}");
        }
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new(here(".cache/drivers/python/bin/python"));
    command.arg(here("tests/drivers").join(script));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(here("tests/drivers").join(script));
    command.env("NODE_PATH", here(".cache/drivers/node/node_modules"));
    command
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(here(".cache/drivers/java/postgresql.jar"));
    command.arg(here("tests/drivers").join(format!("{class}.java")));
    command
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn psycopg3() {
    checks_hold(|| python("psycopg3.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn asyncpg() {
    checks_hold(|| python("asyncpg_.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn psycopg2() {
    checks_hold(|| python("psycopg2_.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn sqlalchemy() {
    checks_hold(|| python("sqlalchemy_.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn node_postgres() {
    checks_hold(|| node("node_postgres.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn postgres_js() {
    checks_hold(|| node("postgres_js.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn jdbc() {
    checks_hold(|| java("Jdbc"));
}
