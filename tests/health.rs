//! `/healthz`, `/readyz` and `pgusher health`.

#![allow(clippy::expect_used, reason = "a test fails by failing")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use support::{Pgusher, Raw, Version, eventually, patience, postgres};

const HTTP: &str = "[http]\naddress = \"127.0.0.1:0\"\n";

/// The status code and the body.
fn get(pgusher: &Pgusher, path: &str) -> (String, String) {
    let (code, _, body) = pgusher.get(path, "Host: x\r\n");
    (code.to_string(), body.trim_end().to_owned())
}

fn answer(code: &str, body: &str) -> (String, String) {
    (code.to_owned(), body.to_owned())
}

#[test]
fn readiness_follows_the_logins_and_the_stop() {
    let server = postgres(Version::V15);
    let database = server.fresh_database();
    let nowhere = "[databases.nowhere]\nurl = \"postgres://app@127.0.0.1:1/app\"\nserver_outage_timeout = \"50ms\"\n";
    let mut pgusher = Pgusher::in_front_of(server)
        .config(HTTP)
        .config(nowhere)
        .start();
    assert_eq!(get(&pgusher, "/healthz"), answer("200", "ok"));
    // Nobody has asked for a server yet, and nothing speaks against being asked.
    assert_eq!(get(&pgusher, "/readyz"), answer("200", "ready"));

    // The only login so far has failed: whoever is sent here would fare no better.
    assert!(Raw::try_login(pgusher.port(), "app", "", "nowhere").is_err());
    let (code, why) = get(&pgusher, "/readyz");
    assert_eq!(code, "503");
    assert!(
        why.starts_with("cannot connect to the database server of \"nowhere\""),
        "{why}"
    );
    assert_eq!(get(&pgusher, "/healthz"), answer("200", "ok"));

    // One that works is enough.
    let mut client = pgusher.raw(&database.name);
    assert_eq!(get(&pgusher, "/readyz"), answer("200", "ready"));

    // Who stops wants nobody new, and is not ill.
    client.rows("BEGIN");
    pgusher.terminate();
    eventually("pgusher says that it stops", || {
        get(&pgusher, "/readyz") == answer("503", "stopping")
    });
    assert_eq!(get(&pgusher, "/healthz"), answer("200", "ok"));
    client.rows("COMMIT");
    assert!(pgusher.wait_exit(Duration::from_secs(10)).success());
}

#[test]
fn the_command_asks_the_running_process() {
    let server = postgres(Version::V15);
    let mut pgusher = Pgusher::in_front_of(server).config(HTTP).start();
    let http = format!("127.0.0.1:{}", pgusher.http_port());
    let home = support::temp::TempDir::new();
    let file = home.path().join("health.toml");
    let config = pgusher.config().replace(
        "[http]\naddress = \"127.0.0.1:0\"",
        &format!("[http]\naddress = \"{http}\""),
    );
    std::fs::write(&file, config).expect("a configuration");
    let health = || {
        let command = Command::new(env!("CARGO_BIN_EXE_pgusher"))
            .args(["health", "--config"])
            .arg(&file)
            .output();
        let output = command.expect("pgusher runs");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    assert_eq!(health(), (Some(0), String::new()));
    pgusher.terminate();
    assert!(pgusher.wait_exit(Duration::from_secs(10)).success());
    let (code, said) = health();
    assert_eq!(code, Some(1));
    let expected = format!("pgusher: no answer from http://{http}/healthz: ");
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_probe_that_talks_without_end_is_hung_up_on() {
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .config(HTTP)
        .start();
    let mut stream = TcpStream::connect(("127.0.0.1", pgusher.http_port())).expect("a connection");
    stream
        .set_read_timeout(Some(patience()))
        .expect("a deadline");
    stream
        .write_all(&[b'x'; 8 * 1024])
        .expect("room in the socket");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
}
