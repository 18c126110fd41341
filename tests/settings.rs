//! Settings that are changed on the console, and the list of all of them.

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
    Message, Pgusher, Raw, Version, eventually, message::query, pgusher::Builder,
    postgres::PASSWORD,
};

fn builder() -> Builder {
    let pg = support::postgres(Version::V18);
    Pgusher::in_front_of(pg)
        .config("[console]\nadmin_users = [\"app\"]\nstats_users = [\"stats\"]")
        .config("[users.stats]\npassword = \"hush\"")
}

#[track_caller]
fn done(console: &mut Raw, command: &str) {
    console.send(&query(command));
    let messages = console.until_ready();
    assert_eq!(messages[0].notation(), "C", "{:?}", messages[0].fields());
    assert_eq!(messages[0].command(), command.split(' ').next().unwrap());
}

#[track_caller]
fn refused(console: &mut Raw, command: &str) -> Message {
    console.send(&query(command));
    let mut messages = console.until_ready();
    assert_eq!(messages.len(), 2, "{command}");
    assert_eq!(messages[0].tag, b'E', "{command}");
    messages.remove(0)
}

/// The value, the default and whether it can be changed.
#[track_caller]
fn shown(console: &mut Raw, key: &str) -> (String, String, String) {
    let rows = console.rows("SHOW CONFIG");
    let mut rows = rows.into_iter().map(|row| {
        let row: Vec<String> = row.into_iter().map(Option::unwrap).collect();
        <[String; 4]>::try_from(row).unwrap()
    });
    let row = rows.find(|row| row[0] == key);
    let [_, value, default, changeable] = row.unwrap_or_else(|| panic!("{key} is not listed"));
    (value, default, changeable)
}

fn three(value: &str, default: &str, changeable: &str) -> (String, String, String) {
    (value.to_owned(), default.to_owned(), changeable.to_owned())
}

#[test]
fn a_setting_is_changed_until_pgusher_ends() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = builder().start();
    let mut admin = pgusher.raw("pgusher");
    let mut client = pgusher.raw(&database.name);
    let slow = query("SELECT pg_sleep(0.3)");
    assert_eq!(client.ask(&slow).types(), "T D C Z:I");
    for set in [
        "SET timeouts.query_timeout = '50ms'",
        "SET timeouts.query_timeout = 50ms",
        "set \"timeouts\".\"query_timeout\" to '50ms'",
        // PgBouncer's name, and its seconds.
        "SET query_timeout = 0.05",
        "SET query_timeout = '0.05'",
    ] {
        console_sets(&mut admin, set);
        assert_eq!(client.ask(&slow).types(), "T E:57014 Z:I", "{set}");
        let all = shown(&mut admin, "timeouts.query_timeout");
        assert_eq!(all, three("50ms", "off", "yes"));
        assert_eq!(
            shown(&mut admin, "query_timeout"),
            three("0.05", "0", "yes")
        );
        // It goes before the file, also when that is read again.
        done(&mut admin, "RELOAD");
        assert_eq!(client.ask(&slow).types(), "T E:57014 Z:I", "{set}");
        done(&mut admin, "SET query_timeout = DEFAULT");
        assert_eq!(client.ask(&slow).types(), "T D C Z:I");
    }
}

#[track_caller]
fn console_sets(console: &mut Raw, command: &str) {
    console.send(&query(command));
    let messages = console.until_ready();
    assert_eq!(messages[0].notation(), "C", "{:?}", messages[0].fields());
    assert_eq!(messages[0].command(), "SET");
}

#[test]
fn settings_of_single_databases_and_of_all() {
    let pg = support::postgres(Version::V18);
    let (one, two) = (pg.fresh_database(), pg.fresh_database());
    let url = format!(
        "postgres://app:{PASSWORD}@127.0.0.1:{}/{}?sslmode=disable",
        pg.port(),
        two.name
    );
    let pgusher = builder()
        .pool_size(1)
        .config(&format!(
            "[databases.\"the.other\"]\nurl = \"{url}\"\nmin_pool_size = 1"
        ))
        .start();
    let mut admin = pgusher.raw("pgusher");
    let mut clients: Vec<Raw> = (0..2).map(|_| pgusher.raw(&one.name)).collect();
    clients[0].rows("BEGIN");
    clients[1].send(&query("BEGIN"));
    assert!(!clients[1].hears_within(Duration::from_millis(100)));
    done(&mut admin, "SET databases.*.pool_size = 2");
    assert_eq!(clients[1].transcript().types(), "C Z:T");
    assert_eq!(
        shown(&mut admin, "databases.\"*\".pool_size"),
        three("2", "20", "yes")
    );
    // A default is for those who do not say it themselves.
    let _other = pgusher.raw("the.other");
    for client in &mut clients {
        client.rows("COMMIT");
    }
    done(&mut admin, "SET databases.*.pool_size = 5");
    done(&mut admin, "SET min_pool_size = 3");
    eventually("three are kept open", || one.connections() == 3);
    assert_eq!(two.connections(), 1);
    done(&mut admin, "SET databases.\"the.other\".min_pool_size = 2");
    eventually("two are kept open", || two.connections() == 2);
    let key = "databases.\"the.other\".min_pool_size";
    assert_eq!(shown(&mut admin, key), three("2", "0", "yes"));
}

#[test]
fn what_cannot_be_set() {
    let pgusher = builder().start();
    let mut admin = pgusher.raw("pgusher");
    for (command, code, text) in [
        (
            "SET runtime.workers = 2",
            "42501",
            "runtime.workers takes effect at the start only",
        ),
        (
            "SET listen.address = 'a:1'",
            "42501",
            "listen.address takes effect at the start only",
        ),
        (
            "SET http.address = '1.1.1.1:1'",
            "42501",
            "http.address takes effect at the start only",
        ),
        (
            "SET users.app.password = 'x'",
            "42501",
            "users.app.password is a secret, which is not for the console",
        ),
        (
            "SET databases.*.url = 'x'",
            "42501",
            "databases.*.url is a secret, which is not for the console",
        ),
        (
            "SET timeouts.query_timeot = '1s'",
            "42704",
            "there is no setting timeouts.query_timeot",
        ),
        (
            "SET timeouts = '1s'",
            "42601",
            "\"SET timeouts\" is no command of the console",
        ),
        ("SET log.level", "42601", "the command does not end here"),
        (
            "SET log.level = 'info' 'debug'",
            "42601",
            "syntax error at \"debug\"",
        ),
    ] {
        let error = refused(&mut admin, command);
        assert_eq!(
            (error.sqlstate().as_str(), error.text().as_str()),
            (code, text),
            "{command}"
        );
    }
    // Values that are none.
    let cannot = |key: &str| format!("{key} cannot have this value, and nothing has changed");
    for (key, value, detail) in [
        (
            "timeouts.query_timeout",
            "soon",
            "query_timeout in [timeouts] must be",
        ),
        (
            "listen.max_clients",
            "-1",
            "max_clients in [listen] must be",
        ),
        (
            "databases.*.pool_size",
            "0",
            "pool_size in [databases.\"*\"] must be",
        ),
        // One value, whatever it looks like.
        (
            "listen.max_clients",
            "5\n[console]\nadmin_users = []",
            "max_clients in [listen] must be",
        ),
        ("log.level", "loud", "level in [log] must be one of"),
        (
            "limits.tiers.x.weight",
            "2000",
            "weight in [limits.tiers.x] must be",
        ),
        (
            "databases.nowhere.pool_size",
            "5",
            "[databases.nowhere] has no url",
        ),
    ] {
        let error = refused(&mut admin, &format!("SET {key} = '{value}'"));
        assert_eq!(
            (error.sqlstate().as_str(), error.text()),
            ("F0000", cannot(key))
        );
        let told = error.field(b'D').unwrap();
        assert!(told.contains(detail), "{told}");
        // It stands in no line of the file.
        assert!(!told.contains(".toml:0"), "{told}");
    }
    assert_eq!(
        shown(&mut admin, "max_client_conn"),
        three("10000", "10000", "yes")
    );
    // A wrong one is not kept for later.
    done(&mut admin, "RELOAD");
    // What drivers say is not ours.
    done(&mut admin, "SET extra_float_digits = 3");
    done(
        &mut admin,
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    );
}

#[test]
fn all_settings_are_listed_but_for_secrets() {
    let pgusher = builder()
        .config("[timeouts]\nquery_wait_timeout = \"50ms\"\n[log]".trim_end_matches("[log]"))
        .config("[tenants.acme]")
        .start();
    let mut stats = Raw::login(pgusher.port(), "stats", "hush", "pgbouncer");
    let columns = stats.ask(&query("SHOW CONFIG")).types();
    assert!(columns.starts_with("T D*"), "{columns}");
    let rows = stats.rows("SHOW CONFIG");
    let cell = |row: &[Option<String>], nth: usize| row[nth].clone().unwrap();
    // The exporter for PgBouncer looks for these two.
    assert_eq!(cell(&rows[0], 0), "max_client_conn");
    assert!(
        rows.iter()
            .any(|row| cell(row, 0) == "max_user_connections")
    );
    for row in &rows {
        let key = cell(row, 0);
        assert!(!key.contains("password") && !key.contains("url"), "{key}");
        assert!(!key.starts_with("tenants."), "{key}");
        for nth in [1, 2] {
            let value = cell(row, nth);
            assert!(
                !value.contains(PASSWORD) && !value.contains("hush"),
                "{key}"
            );
        }
        assert!(["yes", "no"].contains(&cell(row, 3).as_str()), "{key}");
    }
    for (key, value, default, changeable) in [
        ("query_wait_timeout", "0.05", "120", "yes"),
        ("timeouts.query_wait_timeout", "50ms", "2m", "yes"),
        ("server_lifetime", "3600", "3600", "yes"),
        ("default_pool_size", "5", "20", "yes"),
        ("pool_mode", "transaction", "transaction", "yes"),
        ("auth_type", "trust", "scram-sha-256", "yes"),
        ("log.level", "debug", "info", "yes"),
        ("log.format", "text", "text", "no"),
        ("console.stats_users", "[\"stats\"]", "[]", "yes"),
        ("runtime.workers", "2", "", "no"),
        ("runtime.spread", "even", "load", "no"),
    ] {
        assert_eq!(
            shown(&mut stats, key),
            three(value, default, changeable),
            "{key}"
        );
    }
    let error = refused(&mut stats, "SET log.level = 'info'");
    assert_eq!(error.sqlstate(), "42501");
}
