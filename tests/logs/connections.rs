//! Clients come and go, and that is all that is said of it.

use super::{
    builder, lines, message, parsed, some_lines,
    support::{Raw, message::query, postgres::PASSWORD},
    the_line,
};

const WHO: [&str; 4] = ["level", "user", "database", "tenant"];

#[test]
fn a_client_is_told_of_when_it_comes_and_when_it_goes() {
    let pgusher = builder().start();
    let mut client = pgusher.raw("postgres");
    let (id, _) = client.key();
    let expected = "level=INFO user=app database=postgres tenant=-";
    assert_eq!(the_line(&pgusher, "client connected", &WHO), expected);
    let connected = &lines(&pgusher, "client connected")[0];
    assert_eq!(connected["client"], id);
    let address = client.stream().local_addr().unwrap().to_string();
    assert_eq!(connected["address"], address.as_str());
    for _ in 0..3 {
        client.rows("SELECT 1");
    }
    client.rows("BEGIN; SELECT 1; COMMIT");
    drop(client);
    assert_eq!(the_line(&pgusher, "client disconnected", &WHO), expected);
    let gone = &lines(&pgusher, "client disconnected")[0];
    assert_eq!(
        (&gone["client"], &gone["transactions"]),
        (&id.into(), &4.into())
    );
    assert_eq!(gone["address"], address.as_str());
    assert!(gone["lasted_s"].as_f64().unwrap() >= 0.0);
}

#[test]
fn the_tenant_stands_beside_its_user() {
    let pgusher = builder()
        .config("[tenant]\nsetting = \"app.tenant_id\"")
        .start();
    let mut client = Raw::connect(pgusher.port());
    client.startup(&[
        ("user", "app"),
        ("database", "postgres"),
        ("app.tenant_id", "acme"),
    ]);
    client.authenticate("app", PASSWORD).unwrap();
    let expected = "level=INFO user=app database=postgres tenant=acme";
    assert_eq!(the_line(&pgusher, "client connected", &WHO), expected);
    drop(client);
    assert_eq!(the_line(&pgusher, "client disconnected", &WHO), expected);
}

// H5
#[test]
fn however_a_client_goes_it_is_nobodys_error() {
    let pgusher = builder()
        .config("[timeouts]\nclient_idle_timeout = \"200ms\"")
        .start();
    let mut expected = Vec::new();
    let mut gone = |why: &'static str| {
        expected.push(why);
        let lines = some_lines(&pgusher, "client disconnected", expected.len());
        let found: Vec<&str> = lines.iter().map(|it| it["why"].as_str().unwrap()).collect();
        assert_eq!(found, expected);
    };
    let mut polite = pgusher.raw("postgres");
    polite.send(b"X\0\0\0\x04");
    gone("goodbye");
    drop(pgusher.raw("postgres"));
    gone("it closed the connection");
    // In the middle of a transaction, and in the middle of an answer.
    let mut hasty = pgusher.raw("postgres");
    hasty.send(&query("BEGIN; SELECT generate_series(1, 1000000)"));
    hasty.next();
    hasty.reset();
    gone("the connection broke");
    let idle = pgusher.raw("postgres");
    gone("IdleTimeout");
    drop(idle);
    let mut stranger = pgusher.raw("postgres");
    stranger.send(b"!\0\0\0\x04");
    gone("ProtocolViolation");
    // Those that never logged in are not worth a line.
    drop(Raw::connect(pgusher.port()));
    Raw::connect(pgusher.port()).reset();
    drop(pgusher.raw("postgres"));
    gone("it closed the connection");
    for line in parsed(&pgusher.log()) {
        assert_eq!(line["level"], "INFO", "{line}");
        let audit = line["target"] == "pgusher::audit";
        assert_eq!(audit, line["kind"] == "ProtocolViolation", "{line}");
        assert!(!message(&line).contains("turned away"), "{line}");
    }
}

#[test]
fn who_does_not_want_such_lines_has_none() {
    let pgusher = builder().log("connections = false").start();
    drop(pgusher.raw("postgres"));
    let refusal = Raw::try_login(pgusher.port(), "app", PASSWORD, "no such").map(drop);
    assert!(refusal.unwrap_err().starts_with("FATAL:08001: "));
    some_lines(&pgusher, "a client was turned away", 1);
    pgusher.terminate();
    pgusher.wait_for_log("stopped");
    assert!(!pgusher.log_contains("connected"), "{}", pgusher.log());
}
