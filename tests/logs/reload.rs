//! What the log says can be changed while pgusher runs.

use std::fs;

use super::{
    builder, lines, parsed, some_lines,
    support::{Pgusher, Raw, eventually, message::query, temp::TempDir},
};

const CONSOLE: &str = "[console]\nadmin_users = [\"app\"]";

/// Replaces these words of the configuration, and waits until it is taken over.
fn reload(pgusher: &Pgusher, nth: usize, old: &str, new: &str) {
    let config = pgusher.config();
    assert!(config.contains(old), "{config}");
    pgusher.write_config(&config.replace(old, new));
    pgusher.signal("HUP");
    let done = "the configuration was read again and taken over";
    some_lines(pgusher, done, nth);
}

#[test]
fn the_level_changes() {
    let pgusher = builder().config(CONSOLE).start();
    let probe = || drop(Raw::connect(pgusher.port()));
    let seen = "a connection ended before it became a session";
    probe();
    reload(&pgusher, 1, "level = \"info\"", "level = \"debug\"");
    probe();
    some_lines(&pgusher, seen, 1);
    // And back, by the console.
    let mut admin = pgusher.raw("pgusher");
    admin.ask(&query("SET log.level = 'info'"));
    probe();
    admin.ask(&query("SET log.level = 'debug'"));
    probe();
    some_lines(&pgusher, seen, 2);
    // One that is none changes nothing.
    assert!(
        admin
            .ask(&query("SET log.level = 'loud'"))
            .types()
            .starts_with("E:")
    );
    probe();
    some_lines(&pgusher, seen, 3);
    assert_eq!(lines(&pgusher, seen).len(), 3);
}

#[test]
fn what_is_told_changes() {
    let pgusher = builder().log("slow_after = \"off\"").start();
    let mut client = pgusher.raw("postgres");
    some_lines(&pgusher, "client connected", 1);
    client.rows("SELECT pg_sleep(0.2)");
    let new = "slow_after = \"100ms\"\nslow_statements = true\nconnections = false\naudit = false";
    reload(&pgusher, 1, "slow_after = \"off\"", new);
    client.rows("SELECT pg_sleep(0.2)");
    let line = &some_lines(&pgusher, "slow transaction", 1)[0];
    assert_eq!(line["statement"], "SELECT pg_sleep($?)");
    // No audit, and no lines of those that go.
    client.send(b"!\0\0\0\x04");
    client.transcript_until_eof();
    drop(pgusher.raw("postgres"));
    pgusher.terminate();
    pgusher.wait_for_log("\"stopped\"");
    assert_eq!(lines(&pgusher, "client disconnected").len(), 0);
    let targets = parsed(&pgusher.log());
    assert!(
        targets
            .iter()
            .all(|line| line["target"] != "pgusher::audit")
    );
}

#[test]
fn the_audit_file_can_be_moved_away() {
    let home = TempDir::new();
    let path = home.path().join("audit.jsonl");
    let moved = home.path().join("audit.jsonl.1");
    let old = format!("audit_file = \"{}\"", path.display());
    let pgusher = builder().auth("password").log(&old).start();
    let guess = || Raw::try_login(pgusher.port(), "app", "wrong", "postgres").map(drop);
    let count = |path| fs::read_to_string(path).unwrap_or_default().lines().count();
    guess().unwrap_err();
    eventually("a line", || count(&path) == 1);
    fs::rename(&path, &moved).unwrap();
    guess().unwrap_err();
    eventually("a line in the file that was moved", || count(&moved) == 2);
    reload(&pgusher, 1, "[runtime]", "[runtime]");
    guess().unwrap_err();
    eventually("a line in the new file", || count(&path) == 1);
    // One that cannot be opened: everything stays as it is.
    let config = pgusher.config();
    let wrong = "audit_file = \"/no/such/directory/audit.jsonl\"";
    pgusher.write_config(&config.replace(&old, wrong));
    pgusher.signal("HUP");
    pgusher.wait_for_log("/no/such/directory/audit.jsonl cannot be opened");
    guess().unwrap_err();
    eventually("a second line", || count(&path) == 2);
    // And without one, into the log.
    pgusher.write_config(&config.replace(&old, ""));
    pgusher.signal("HUP");
    some_lines(
        &pgusher,
        "the configuration was read again and taken over",
        2,
    );
    guess().unwrap_err();
    some_lines(
        &pgusher,
        "password authentication failed for user \"app\"",
        1,
    );
    assert_eq!((count(&path), count(&moved)), (2, 2));
}
