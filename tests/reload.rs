//! The configuration is read again while clients are in: what changes for whom, and when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as expected ends the test"
)]

mod support;

use std::time::Duration;

use support::{
    Database, Pgusher, Postgres, Raw, Version, both_versions, eventually,
    message::{query, terminate},
    pgusher::Builder,
    postgres::PASSWORD,
};

const CONSOLE: &str = "[console]\nadmin_users = [\"app\"]\n";

fn in_front_of(pg: &Postgres) -> Builder {
    Pgusher::in_front_of(pg).config(CONSOLE)
}

/// Changes the file: each text must stand in it.
#[track_caller]
fn edit(pgusher: &Pgusher, changes: &[(&str, &str)]) {
    let mut text = pgusher.config();
    for (from, to) in changes {
        assert!(text.contains(from), "{from:?} does not stand in\n{text}");
        text = text.replace(from, to);
    }
    pgusher.write_config(&text);
}

/// Says RELOAD, which must be done; the notices.
#[track_caller]
fn reload(console: &mut Raw) -> Vec<String> {
    console.send(&query("RELOAD"));
    let mut messages = console.until_ready();
    assert_eq!(messages.pop().unwrap().notation(), "Z:I");
    let done = messages.pop().unwrap();
    assert_eq!(done.notation(), "C", "{:?}", done.fields());
    assert_eq!(done.command(), "RELOAD");
    let notices = messages.iter();
    notices
        .map(|message| {
            assert_eq!(message.tag, b'N');
            message.text()
        })
        .collect()
}

#[track_caller]
fn edited(pgusher: &Pgusher, changes: &[(&str, &str)]) {
    edit(pgusher, changes);
    assert_eq!(reload(&mut pgusher.raw("pgusher")), Vec::<String>::new());
}

/// A file for one database and the users `app` and `other`, who show their passwords.
fn with_passwords(pg: &Postgres, database: &Database<'_>) -> Builder {
    Pgusher::in_front_of(pg)
        .auth("scram-sha-256")
        .only(&database.name)
        .config(CONSOLE)
        .config("[users.other]\npassword = \"one\"\nmax_clients = 1")
}

both_versions!(users_change, |pg| {
    let database = pg.fresh_database();
    let pgusher = with_passwords(pg, &database).start();
    let login =
        |user: &str, password: &str| Raw::try_login(pgusher.port(), user, password, &database.name);
    let mut client = login("other", "one").unwrap();
    assert!(
        login("other", "one")
            .unwrap_err()
            .starts_with("FATAL:53300")
    );
    edited(
        &pgusher,
        &[("\"one\"\nmax_clients = 1", "\"two\"\nmax_clients = 2")],
    );
    assert!(
        login("other", "one")
            .unwrap_err()
            .starts_with("FATAL:28P01")
    );
    let _second = login("other", "two").unwrap();
    assert!(
        login("other", "two")
            .unwrap_err()
            .starts_with("FATAL:53300")
    );
    // Gone, and another has come.
    edited(&pgusher, &[("[users.other]", "[users.third]")]);
    assert!(
        login("other", "two")
            .unwrap_err()
            .starts_with("FATAL:28P01")
    );
    assert_eq!(login("third", "two").unwrap().value("SELECT 1"), "1");
    // Who is in stays in.
    assert_eq!(client.value("SELECT 1"), "1");
});

// H1
#[test]
fn a_wrong_file_changes_nothing() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = with_passwords(pg, &database).start();
    let mut admin = pgusher.raw("pgusher");
    edit(
        &pgusher,
        &[
            ("\"one\"", "\"two\""),
            ("pool_size = 5", "pool_sise = 5"),
            ("max_clients = 1", "max_clients = \"secret\""),
        ],
    );
    admin.send(&query("RELOAD"));
    let messages = admin.until_ready();
    assert_eq!(messages[0].notation(), "E:F0000");
    let told = "the configuration is wrong, and nothing has changed";
    assert_eq!(messages[0].text(), told);
    let detail = messages[0].field(b'D').unwrap();
    let lines: Vec<&str> = detail.lines().collect();
    assert_eq!(lines.len(), 2, "{detail}");
    assert!(lines[0].contains("unknown key \"pool_sise\""), "{detail}");
    assert!(
        lines[1].contains("max_clients in [users.other]"),
        "{detail}"
    );
    let old = Raw::try_login(pgusher.port(), "other", "one", &database.name);
    assert_eq!(old.unwrap().value("SELECT 1"), "1");
    // The log gets the same from a signal.
    pgusher.signal("HUP");
    pgusher.wait_for_log(told);
    assert!(pgusher.log_contains("unknown key \"pool_sise\""));
    // A file that is not there is as wrong as any.
    pgusher.write_config("");
    let messages = {
        admin.send(&query("RELOAD"));
        admin.until_ready()
    };
    assert_eq!(messages[0].notation(), "E:F0000");
    assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
}

#[test]
fn a_signal_reloads() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = with_passwords(pg, &database).start();
    edit(
        &pgusher,
        &[("\"one\"", "\"two\""), ("workers = 2", "workers = 3")],
    );
    pgusher.signal("HUP");
    pgusher.wait_for_log("the configuration was read again and taken over");
    pgusher.wait_for_log("runtime.workers: takes effect at the next start");
    let client = Raw::try_login(pgusher.port(), "other", "two", &database.name);
    assert_eq!(client.unwrap().value("SELECT 1"), "1");
}

both_versions!(databases_come_and_go, |pg| {
    let (one, two) = (pg.fresh_database(), pg.fresh_database());
    let pgusher = in_front_of(pg).only(&one.name).start();
    let login = |name: &str| Raw::try_login(pgusher.port(), "app", PASSWORD, name);
    let mut client = login(&one.name).unwrap();
    client.rows("SELECT 1");
    assert!(login(&two.name).unwrap_err().starts_with("FATAL:3D000"));
    edited(&pgusher, &[(&one.name, &two.name)]);
    assert_eq!(
        login(&two.name).unwrap().value("SELECT current_database()"),
        two.name
    );
    assert!(login(&one.name).unwrap_err().starts_with("FATAL:3D000"));
    // Who is in works on, and takes the server connection along when it leaves.
    assert_eq!(client.value("SELECT current_database()"), one.name);
    assert_eq!(one.connections(), 1);
    client.send(&terminate());
    eventually("no server connection is left", || one.connections() == 0);
    // And back.
    edited(&pgusher, &[(&two.name, &one.name)]);
    assert_eq!(login(&one.name).unwrap().value("SELECT 1"), "1");
});

both_versions!(a_database_moves, |pg| {
    let (one, two) = (pg.fresh_database(), pg.fresh_database());
    let pgusher = in_front_of(pg).only("shop").config("").start();
    // The name behind the port is where it is at the server.
    let at = |name: &str| format!(":{}/{name}?", pg.port());
    edited(&pgusher, &[(&format!(":{}?", pg.port()), &at(&one.name))]);
    let (mut open, mut idle) = (pgusher.raw("shop"), pgusher.raw("shop"));
    open.rows("BEGIN");
    let place = |client: &mut Raw| client.value("SELECT current_database()");
    assert_eq!(
        (place(&mut open), place(&mut idle)),
        (one.name.clone(), one.name.clone())
    );
    edited(&pgusher, &[(&at(&one.name), &at(&two.name))]);
    assert_eq!(place(&mut idle), two.name);
    assert_eq!(place(&mut open), one.name);
    let mut admin = pgusher.raw("pgusher");
    admin.send(&query("WAIT_CLOSE"));
    assert!(!admin.hears_within(Duration::from_millis(100)));
    assert_eq!(open.ask(&query("COMMIT")).types(), "C Z:I");
    assert_eq!(admin.transcript().types(), "C Z:I");
    assert_eq!(place(&mut open), two.name);
    assert_eq!(one.connections(), 0);
    // What has not moved keeps its connections.
    let pid = open.value("SELECT pg_backend_pid()");
    edited(&pgusher, &[("pool_size = 5", "pool_size = 6")]);
    assert_eq!(open.value("SELECT pg_backend_pid()"), pid);
});

#[test]
fn a_database_is_logged_in_to_as_somebody_else() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    pg.sql("DROP ROLE IF EXISTS reload_other; CREATE ROLE reload_other LOGIN PASSWORD 'p'");
    let pgusher = in_front_of(pg).start();
    let mut client = pgusher.raw(&database.name);
    assert_eq!(client.value("SELECT current_user"), "app");
    edited(
        &pgusher,
        &[(
            &format!("postgres://app:{PASSWORD}@"),
            "postgres://reload_other:p@",
        )],
    );
    assert_eq!(client.value("SELECT current_user"), "reload_other");
    let mut new = pgusher.raw(&database.name);
    assert_eq!(new.value("SELECT current_user"), "reload_other");
}

// H1
#[test]
fn pools_become_larger_and_smaller() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).pool_size(1).start();
    let mut clients: Vec<Raw> = (0..3).map(|_| pgusher.raw(&database.name)).collect();
    clients[0].rows("BEGIN");
    clients[1].send(&query("BEGIN"));
    assert!(!clients[1].hears_within(Duration::from_millis(100)));
    // Who waits is served.
    edited(&pgusher, &[("pool_size = 1", "pool_size = 2")]);
    assert_eq!(clients[1].transcript().types(), "C Z:T");
    edited(&pgusher, &[("pool_size = 2", "pool_size = 1")]);
    clients[2].send(&query("SELECT 1"));
    assert_eq!(clients[0].ask(&query("COMMIT")).types(), "C Z:I");
    assert!(!clients[2].hears_within(Duration::from_millis(100)));
    assert_eq!(clients[1].ask(&query("COMMIT")).types(), "C Z:I");
    assert_eq!(clients[2].transcript().types(), "T D C Z:I");
    assert_eq!(database.connections(), 1);
}

both_versions!(timeouts_hold_from_the_next_transaction_on, |pg| {
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg)
        .config("[timeouts]\nquery_timeout = \"off\"")
        .start();
    let mut client = pgusher.raw(&database.name);
    client.rows("BEGIN");
    edited(
        &pgusher,
        &[("query_timeout = \"off\"", "query_timeout = \"50ms\"")],
    );
    assert_eq!(
        client.ask(&query("SELECT pg_sleep(0.3)")).types(),
        "T D C Z:T"
    );
    client.rows("COMMIT");
    assert_eq!(
        client.ask(&query("SELECT pg_sleep(10)")).types(),
        "T E:57014 Z:I"
    );
});

#[test]
fn limits_change_for_those_who_are_in() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg)
        .config("[tenant]\nsetting = \"app.tenant_id\"\n[limits]\nweight = 1\n")
        .start();
    let mut client = Raw::connect(pgusher.port());
    client.startup(&[
        ("user", "app"),
        ("database", &database.name),
        ("app.tenant_id", "acme"),
    ]);
    client.authenticate("app", PASSWORD).unwrap();
    client.rows("SELECT 1");
    edited(
        &pgusher,
        &[(
            "weight = 1",
            "weight = 1\ntransactions_per_second = 1\nmax_delay = \"1ms\"",
        )],
    );
    assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
    assert_eq!(client.ask(&query("SELECT 1")).types(), "E:53400 Z:I");
    // What was used is not forgotten when nothing changes.
    edited(&pgusher, &[]);
    assert_eq!(client.ask(&query("SELECT 1")).types(), "E:53400 Z:I");
    edited(&pgusher, &[("transactions_per_second = 1\n", "")]);
    assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
    // Another policy is for those who come from now on.
    edited(
        &pgusher,
        &[("[limits]", "settings = { work_mem = \"1234kB\" }\n[limits]")],
    );
    let mut new = Raw::connect(pgusher.port());
    new.startup(&[
        ("user", "app"),
        ("database", &database.name),
        ("app.tenant_id", "acme"),
    ]);
    new.authenticate("app", PASSWORD).unwrap();
    assert_eq!(new.value("SELECT current_setting('work_mem')"), "1234kB");
}

#[test]
fn the_console_and_the_number_of_clients_change() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg)
        .config("[users.stats]\npassword = \"s\"")
        .start();
    let console = |user: &str| Raw::try_login(pgusher.port(), user, "", "pgusher");
    assert!(console("stats").is_err());
    edited(
        &pgusher,
        &[("admin_users", "stats_users = [\"stats\"]\nadmin_users")],
    );
    assert!(
        console("stats")
            .unwrap()
            .value("SHOW VERSION")
            .starts_with("pgusher")
    );
    edited(&pgusher, &[("[listen]", "[listen]\nmax_clients = 1")]);
    let login = || Raw::try_login(pgusher.port(), "app", "", &database.name);
    let mut first = None;
    // The console has to go first.
    eventually("there is room", || {
        first = login().ok();
        first.is_some()
    });
    let second = login();
    assert!(second.unwrap_err().starts_with("FATAL:53300"));
    drop(first);
}

#[test]
fn what_cannot_change_is_told() {
    let pg = support::postgres(Version::V18);
    let pgusher = in_front_of(pg).config("[runtime]\nworkers = 1").start();
    let mut admin = pgusher.raw("pgusher");
    edit(
        &pgusher,
        &[
            (
                "workers = 1",
                "workers = 2\n[tenant]\nsetting = \"app.tenant_id\"",
            ),
            ("127.0.0.1:0", "127.0.0.1:1"),
            ("[log]", "[log]\nformat = \"json\""),
        ],
    );
    let expected = [
        "listen.address: takes effect at the next start",
        "runtime.workers: takes effect at the next start",
        "log.format: takes effect at the next start",
        "tenant.setting, tenant.format, tenant.seal.setting, or whether there is a [tenant] or a [tenant.seal]: takes effect at the next start",
    ];
    // It is still so when it is read again.
    for _ in 0..2 {
        assert_eq!(reload(&mut admin), expected);
    }
}

#[test]
fn the_log_changes_its_level() {
    let pg = support::postgres(Version::V18);
    let pgusher = in_front_of(pg).start();
    pgusher.wait_for_log("listening");
    edited(&pgusher, &[("level = \"debug\"", "level = \"error\"")]);
    let before = pgusher.log();
    pgusher.raw("pgusher").rows("SHOW VERSION");
    assert_eq!(pgusher.log(), before);
    edited(&pgusher, &[("level = \"error\"", "level = \"info\"")]);
    pgusher.wait_for_log("RELOAD");
}

// A7
#[test]
fn who_may_look_reloads_nothing() {
    let pg = support::postgres(Version::V18);
    let pgusher = Pgusher::in_front_of(pg)
        .config("[console]\nstats_users = [\"app\"]")
        .start();
    let mut stats = pgusher.raw("pgusher");
    stats.send(&query("RELOAD"));
    assert_eq!(stats.transcript().types(), "E:42501 Z:I");
}
