//! Refusals and what is done on the console, each with the same fields.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    builder, fields, lines, parsed, server, some_lines,
    support::{
        Pgusher, Raw, eventually, message::query, pgusher::Builder, postgres::PASSWORD,
        temp::TempDir,
    },
    the_line,
};

const FIELDS: [&str; 9] = [
    "level", "target", "event", "user", "database", "tenant", "code", "kind", "why",
];

const CONSOLE: &str = "[console]\nadmin_users = [\"app\"]\nstats_users = [\"stats\"]\n\
                       [users.stats]\npassword = \"s\"";

fn with_tenants() -> Builder {
    builder().config("[tenant]\nsetting = \"app.tenant_id\"")
}

fn client_of(tenant: &str, pgusher: &Pgusher) -> Result<Raw, String> {
    let mut client = Raw::connect(pgusher.port());
    client.startup(&[
        ("user", "app"),
        ("database", "postgres"),
        ("app.tenant_id", tenant),
    ]);
    client.authenticate("app", PASSWORD).map(|()| client)
}

#[test]
fn a_login_is_refused() {
    let pgusher = builder().auth("password").only("postgres").start();
    let login = |user, password, database| {
        let refusal = Raw::try_login(pgusher.port(), user, password, database);
        refusal.map(drop).unwrap_err()
    };
    login("app", "wr0ng", "postgres");
    let text = "password authentication failed for user \"app\"";
    assert_eq!(
        the_line(&pgusher, text, &FIELDS),
        "level=INFO target=pgusher::audit event=login user=app database=postgres tenant=- \
         code=28P01 kind=InvalidPassword why=wrong password"
    );
    // The client is not told which of the two it was; the operator is.
    login("nobody", "wr0ng", "postgres");
    let text = "password authentication failed for user \"nobody\"";
    let line = the_line(&pgusher, text, &FIELDS);
    assert!(
        line.ends_with("kind=InvalidPassword why=no such user"),
        "{line}"
    );
    login("app", PASSWORD, "other");
    let line = the_line(&pgusher, "database \"other\" does not exist", &FIELDS);
    assert!(
        line.ends_with("code=3D000 kind=DatabaseUnknown why=-"),
        "{line}"
    );
    assert!(
        lines(&pgusher, text)[0]["address"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert!(!pgusher.log_contains("wr0ng") && !pgusher.log_contains(PASSWORD));
}

/// A name with a line in it stays in the line that tells of it.
#[test]
fn nobody_writes_lines_of_his_own() {
    let pgusher = Pgusher::in_front_of(server())
        .log_level("info")
        .only("postgres")
        .start();
    let name = "x\r\n2001-01-01T00:00:00Z  INFO pgusher: made up";
    let refusal = Raw::try_login(pgusher.port(), "app", PASSWORD, name);
    assert!(refusal.is_err());
    pgusher.wait_for_log("does not exist");
    let log = pgusher.log();
    assert!(!log.lines().any(|line| line.starts_with("2001")), "{log}");
}

#[test]
fn a_request_is_refused() {
    let pgusher = with_tenants()
        .config("[limits]\ntransactions_per_second = 1\nmax_delay = 0\nmax_clients = 2")
        .config("[limits.tiers.slow]\nmax_delay = \"1ms\"\n[tenants.initech]\ntier = \"slow\"")
        .start();
    let mut acme = client_of("acme", &pgusher).unwrap();
    acme.rows("SELECT 'not for the log'");
    assert_eq!(
        acme.ask(&query("SET app.tenant_id = 'globex'")).types(),
        "E:42501 Z:I"
    );
    let denied = "permission denied to change \"app.tenant_id\"";
    eventually("an audit line", || !audit(&pgusher).is_empty());
    let line = fields(&audit(&pgusher)[0], &FIELDS);
    assert_eq!(
        line,
        "level=INFO target=pgusher::audit event=request user=app database=postgres tenant=acme \
         code=42501 kind=TenantProtected why=-",
        "{denied}"
    );
    let id = acme.key().0;
    assert_eq!(audit(&pgusher)[0]["client"], id);
    // Too many of one tenant's clients: refused when they come.
    let _second = client_of("acme", &pgusher).unwrap();
    assert!(client_of("acme", &pgusher).is_err());
    eventually("an audit line", || audit(&pgusher).len() == 2);
    let line = fields(&audit(&pgusher)[1], &FIELDS);
    assert!(
        line.contains("event=login user=app database=postgres tenant=acme "),
        "{line}"
    );
    // More transactions than its tier has.
    let mut initech = client_of("initech", &pgusher).unwrap();
    assert_eq!(
        initech.ask(&query("SELECT 'not for the log'")).types(),
        "T D C Z:I"
    );
    assert_eq!(
        initech.ask(&query("SELECT 'not for the log'")).types(),
        "E:53400 Z:I"
    );
    eventually("an audit line", || audit(&pgusher).len() == 3);
    let line = fields(&audit(&pgusher)[2], &FIELDS);
    assert!(line.contains("event=request"), "{line}");
    assert!(
        line.contains("tenant=initech code=53400 kind=TenantLimit"),
        "{line}"
    );
    assert!(!pgusher.log_contains("not for the log"));
}

fn audit(pgusher: &Pgusher) -> Vec<Value> {
    let mut lines = parsed(&pgusher.log());
    lines.retain(|line| line["target"] == "pgusher::audit");
    lines
}

#[test]
fn the_console_is_watched() {
    let pgusher = with_tenants().config(CONSOLE).log_level("debug").start();
    let mut admin = pgusher.raw("pgusher");
    admin.ask(&query("SUSPEND TENANT acme"));
    admin.rows("SHOW TENANTS");
    let mut stats = Raw::login(pgusher.port(), "stats", "s", "pgbouncer");
    stats.ask(&query("KILL TENANT acme"));
    let keys = ["level", "event", "user", "command", "kind"];
    for (text, expected) in [
        (
            "a visitor came to the console (admin)",
            "level=INFO event=login user=app command=- kind=-",
        ),
        (
            "done on the console",
            "level=INFO event=command user=app command=SUSPEND TENANT \"acme\" kind=-",
        ),
        (
            "seen on the console",
            "level=DEBUG event=command user=app command=SHOW TENANTS kind=-",
        ),
        (
            "permission denied to KILL on the console",
            "level=INFO event=command user=stats command=- kind=ConsoleRefused",
        ),
    ] {
        assert_eq!(the_line(&pgusher, text, &keys), expected);
        assert_eq!(lines(&pgusher, text)[0]["target"], "pgusher::audit");
    }
}

#[test]
fn without_audit_a_refusal_is_worth_a_line_at_debug() {
    let pgusher = builder()
        .auth("password")
        .log_level("debug")
        .log("audit = false")
        .config(CONSOLE)
        .start();
    let refusal = Raw::try_login(pgusher.port(), "app", "wrong", "postgres").map(drop);
    refusal.unwrap_err();
    let line = the_line(
        &pgusher,
        "a client was refused something",
        &["level", "user"],
    );
    assert_eq!(line, "level=DEBUG user=app");
    // What changes something is said all the same.
    let mut admin = pgusher.raw("pgusher");
    admin.ask(&query("SUSPEND USER app"));
    some_lines(&pgusher, "done on the console", 1);
    assert_eq!(audit(&pgusher), Vec::<Value>::new());
}

#[test]
fn audit_lines_can_have_a_file() {
    let home = TempDir::new();
    let path = home.path().join("audit.jsonl");
    fs::write(&path, "{\"message\":\"from before\"}\n").unwrap();
    let pgusher = builder()
        .auth("password")
        .log(&format!("audit_file = \"{}\"", path.display()))
        .start();
    let refusal = Raw::try_login(pgusher.port(), "app", "wrong", "postgres").map(drop);
    refusal.unwrap_err();
    let read = |path: &Path| parsed(&fs::read_to_string(path).unwrap_or_default());
    eventually("a line in the file", || read(&path).len() == 2);
    let lines = read(&path);
    assert_eq!(lines[0]["message"], "from before");
    assert_eq!(
        fields(&lines[1], &["level", "target", "event", "kind"]),
        "level=INFO target=pgusher::audit event=login kind=InvalidPassword"
    );
    assert!(lines[1]["timestamp"].is_string());
    assert_eq!(audit(&pgusher), Vec::<Value>::new());
}

#[test]
fn a_file_that_cannot_be_opened_is_said_at_the_start() {
    let log = builder()
        .log("audit_file = \"no-such-directory/audit.jsonl\"")
        .try_start()
        .unwrap_err();
    assert!(
        log.contains("no-such-directory/audit.jsonl cannot be opened: "),
        "{log}"
    );
}
