//! What the log says: of clients that come and go, of refusals, of slow transactions; and how little of it
//! when there is a crowd (H5).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod connections;
mod reload;
mod slow;
mod storms;

use serde_json::Value;
use support::{Pgusher, Postgres, Version, eventually, pgusher::Builder};

/// No line depends on the server's version.
fn server() -> &'static Postgres {
    support::postgres(Version::V18)
}

/// A pgusher that writes what it writes as JSON, as it usually is: at info.
fn builder() -> Builder {
    Pgusher::in_front_of(server())
        .log_level("info")
        .log("format = \"json\"")
        .config("[runtime]\nworkers = 1")
}

/// Lines of JSON, the last one only if it is complete.
fn parsed(text: &str) -> Vec<Value> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    complete.lines().map(line).collect()
}

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

/// All lines so far with this message.
fn lines(pgusher: &Pgusher, wanted: &str) -> Vec<Value> {
    let mut lines = parsed(&pgusher.log());
    lines.retain(|line| message(line) == wanted);
    lines
}

/// Waits for the first so many lines with this message.
#[track_caller]
fn some_lines(pgusher: &Pgusher, wanted: &str, count: usize) -> Vec<Value> {
    eventually(wanted, || lines(pgusher, wanted).len() >= count);
    lines(pgusher, wanted)
}

/// The only line with this message, as `key=value` in the order of these keys.
#[track_caller]
fn the_line(pgusher: &Pgusher, wanted: &str, keys: &[&str]) -> String {
    let lines = some_lines(pgusher, wanted, 1);
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    fields(line, keys)
}

fn fields(line: &Value, keys: &[&str]) -> String {
    let field = |key: &&str| match &line[*key] {
        Value::Null => format!("{key}=-"),
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    keys.iter().map(field).collect::<Vec<_>>().join(" ")
}
