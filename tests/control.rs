//! What an operator does with pools and clients: pausing, renewing, sending away, ending; on the
//! console and by signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as expected ends the test"
)]

mod support;

use std::{io::Read as _, time::Duration};

use support::{
    Message, Pgusher, Raw, Transcript, Version, both_versions, eventually,
    message::{query, terminate},
    patience,
    pgusher::{Builder, eventually_refused},
};

const CONSOLE: &str = r#"
[console]
admin_users = ["app"]
[runtime]
workers = 2
spread = "even"
"#;

fn in_front_of(pg: &support::Postgres) -> Builder {
    Pgusher::in_front_of(pg).config(CONSOLE)
}

fn console(pgusher: &Pgusher) -> Raw {
    pgusher.raw("pgusher")
}

/// Says a command that must be done; its tag is its first word.
#[track_caller]
fn done(console: &mut Raw, command: &str) {
    console.send(&query(command));
    is_done(console, command);
}

#[track_caller]
fn is_done(console: &mut Raw, command: &str) {
    let messages = console.until_ready();
    let tag = command.split_whitespace().next().unwrap().to_uppercase();
    assert_eq!(messages.len(), 2, "{command}: {messages:?}");
    assert_eq!(messages[0].notation(), "C", "{command}");
    assert_eq!(messages[0].command(), tag);
}

/// Says what must be answered by an error; its SQLSTATE and its text.
#[track_caller]
fn refused(console: &mut Raw, command: &str) -> (String, String) {
    console.send(&query(command));
    let messages = console.until_ready();
    assert_eq!(messages.len(), 2, "{command}: {messages:?}");
    (messages[0].sqlstate(), messages[0].text())
}

/// `paused` and `disabled` of a database.
#[track_caller]
fn standing(console: &mut Raw, database: &str) -> [String; 2] {
    console.send(&query("SHOW DATABASES"));
    let messages = console.until_ready();
    let names = names(&messages[0]);
    let at = |name: &str| names.iter().position(|it| it == name).unwrap();
    let rows = messages.iter().filter(|message| message.tag == b'D');
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    for columns in rows.map(Message::columns) {
        if text(&columns[0]) == database {
            return [at("paused"), at("disabled")].map(|at| text(&columns[at]));
        }
    }
    panic!("{database} is not listed");
}

/// The names of columns in a RowDescription.
fn names(description: &Message) -> Vec<String> {
    let mut rest = &description.body[2..];
    let mut names = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0).unwrap();
        names.push(String::from_utf8(rest[..end].to_vec()).unwrap());
        rest = &rest[end + 1 + 18..];
    }
    names
}

/// What pgusher as a whole is: the first that holds.
#[track_caller]
fn state(console: &mut Raw) -> String {
    let mut rows = console.rows("SHOW STATE").into_iter();
    let row = rows.find(|row| row[1].as_deref() == Some("yes"));
    row.unwrap()[0].clone().unwrap()
}

/// The error that ends the connection.
#[track_caller]
fn farewell(client: &mut Raw) -> String {
    client.transcript_until_eof().types()
}

fn types(client: &mut Raw) -> String {
    let transcript: Transcript = client.transcript();
    transcript.types()
}

both_versions!(
    a_pause_waits_for_transactions_and_lets_nobody_begin_one,
    |pg| {
        let (database, other) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = in_front_of(pg).start();
        let mut admin = console(&pgusher);
        let mut open = pgusher.raw(&database.name);
        let mut idle = pgusher.raw(&database.name);
        open.rows("BEGIN");
        idle.rows("SELECT 1");
        let pause = format!("PAUSE {}", database.name);
        admin.send(&query(&pause));
        // It begins at once: the idle connection is closed.
        eventually("only the one in use is left", || {
            database.connections() == 1
        });
        idle.send(&query("SELECT 2"));
        assert!(!admin.hears_within(Duration::from_millis(100)));
        // Other databases do not notice.
        let mut elsewhere = pgusher.raw(&other.name);
        assert_eq!(elsewhere.value("SELECT 3"), "3");
        // What is open goes on to its end.
        assert_eq!(open.value("SELECT 4"), "4");
        assert_eq!(open.ask(&query("COMMIT")).types(), "C Z:I");
        is_done(&mut admin, &pause);
        assert_eq!(database.connections(), 0);
        assert!(!idle.hears_within(Duration::from_millis(100)));
        // Who comes in the pause is let in: what the server reports is known.
        let mut new = pgusher.raw(&database.name);
        new.send(&query("SELECT 5"));
        done(&mut admin, &pause);
        assert_eq!(standing(&mut admin, &database.name), ["1", "0"]);
        assert_eq!(state(&mut admin), "active");
        done(&mut admin, &format!("RESUME {}", database.name));
        for client in [&mut idle, &mut new] {
            assert_eq!(types(client), "T D C Z:I");
        }
        let logged = format!("PAUSE {:?}", database.name);
        assert!(pgusher.log_contains(&logged));
    }
);

both_versions!(
    /// A server that is restarted in a pause is not missed by anybody.
    all_databases_can_be_paused_and_a_server_restarted,
    |pg| {
        let server = support::Postgres::own(pg.version());
        let database = server.fresh_database();
        let pgusher = in_front_of(&server).start();
        let mut admin = console(&pgusher);
        let mut client = pgusher.raw(&database.name);
        client.rows("SELECT 1");
        done(&mut admin, "PAUSE");
        assert_eq!(state(&mut admin), "paused");
        client.send(&query("SELECT 2"));
        server.stop_fast();
        let mut second = pgusher.raw(&database.name);
        second.send(&query("SELECT 3"));
        server.restart();
        done(&mut admin, "RESUME");
        assert_eq!(types(&mut client), "T D C Z:I");
        assert_eq!(types(&mut second), "T D C Z:I");
        assert!(!pgusher.log_contains("no connection to the database server"));
    }
);

// H6
#[test]
fn who_waits_in_a_pause_waits_no_longer_than_it_may() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg)
        .config("[timeouts]\nquery_wait_timeout = \"1s\"")
        .start();
    let mut client = pgusher.raw(&database.name);
    client.rows("SELECT 1");
    done(&mut console(&pgusher), "PAUSE");
    assert_eq!(client.ask(&query("SELECT 1")).types(), "E:53300 Z:I");
    // A cancel ends the waiting, too.
    client.send(&query("SELECT 1"));
    client.cancel();
    assert!(["E:57014 Z:I", "E:53300 Z:I"].contains(&types(&mut client).as_str()));
}

// H6
#[test]
fn a_pause_that_is_not_waited_for_is_over() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).start();
    let mut open = pgusher.raw(&database.name);
    open.rows("BEGIN");
    let mut client = pgusher.raw(&database.name);
    // Canceled.
    let mut admin = console(&pgusher);
    let mut watch = console(&pgusher);
    let mut is_paused = || {
        eventually("it is paused", || {
            standing(&mut watch, &database.name) == ["1", "0"]
        });
    };
    admin.send(&query("PAUSE"));
    is_paused();
    client.send(&query("SELECT 1"));
    assert!(!client.hears_within(Duration::from_millis(100)));
    admin.cancel();
    assert_eq!(types(&mut admin), "E:57014 Z:I");
    assert_eq!(types(&mut client), "T D C Z:I");
    // Left alone.
    admin.send(&query("PAUSE"));
    is_paused();
    client.send(&query("SELECT 1"));
    assert!(!client.hears_within(Duration::from_millis(100)));
    drop(admin);
    assert_eq!(types(&mut client), "T D C Z:I");
    // Ended by somebody else.
    let (mut admin, mut other) = (console(&pgusher), console(&pgusher));
    let pause = format!("PAUSE {}", database.name);
    admin.send(&query(&pause));
    is_paused();
    client.send(&query("SELECT 1"));
    assert!(!client.hears_within(Duration::from_millis(100)));
    done(&mut other, "RESUME");
    assert_eq!(types(&mut client), "T D C Z:I");
    assert_eq!(types(&mut admin), "E:57014 Z:I");
    // One that was there before stays.
    done(&mut other, "KILL");
    assert_eq!(farewell(&mut open), "FATAL:57P01 eof");
    assert_eq!(farewell(&mut client), "FATAL:57P01 eof");
    let mut client = pgusher.raw(&database.name);
    done(&mut other, "PAUSE");
    other.send(&query("PAUSE"));
    other.cancel();
    types(&mut other);
    client.send(&query("SELECT 1"));
    assert!(!client.hears_within(Duration::from_millis(100)));
    done(&mut other, "RESUME");
    assert_eq!(types(&mut client), "T D C Z:I");
}

// A client with a connection to itself holds a pause up until it leaves.
#[test]
fn a_pause_waits_for_those_with_a_connection_of_their_own() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).start();
    let mut admin = console(&pgusher);
    let mut pinned = pgusher.raw(&database.name);
    pinned.rows("LISTEN a");
    admin.send(&query("PAUSE"));
    assert!(!admin.hears_within(Duration::from_millis(100)));
    assert_eq!(pinned.value("SELECT 1"), "1");
    pinned.send(&terminate());
    is_done(&mut admin, "PAUSE");
    assert_eq!(database.connections(), 0);
}

both_versions!(a_suspended_pool_keeps_its_connections, |pg| {
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).start();
    let mut admin = console(&pgusher);
    let mut client = pgusher.raw(&database.name);
    let pid = client.value("SELECT pg_backend_pid()");
    client.rows("BEGIN");
    admin.send(&query("SUSPEND"));
    assert!(!admin.hears_within(Duration::from_millis(100)));
    assert_eq!(client.ask(&query("COMMIT")).types(), "C Z:I");
    is_done(&mut admin, "SUSPEND");
    assert_eq!(database.connections(), 1);
    client.send(&query("SELECT pg_backend_pid()"));
    assert!(!client.hears_within(Duration::from_millis(100)));
    done(&mut admin, "RESUME");
    let row = client.until_ready();
    assert_eq!(row[1].columns(), [Some(pid.into_bytes())]);
});

#[test]
fn a_disabled_database_lets_nobody_in() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).start();
    let mut admin = console(&pgusher);
    let mut client = pgusher.raw(&database.name);
    done(&mut admin, &format!("DISABLE {}", database.name));
    let refusal = Raw::try_login(pgusher.port(), "app", "", &database.name).map(drop);
    let expected = format!("FATAL:57P03: database {:?} is disabled", database.name);
    assert_eq!(refusal, Err(expected));
    assert_eq!(standing(&mut admin, &database.name), ["0", "1"]);
    assert_eq!(client.value("SELECT 1"), "1");
    // It is not forgotten for being unused.
    drop(client);
    eventually("nobody is in", || database.connections() <= 1);
    done(&mut admin, &format!("KILL {}", database.name));
    done(&mut admin, &format!("RESUME {}", database.name));
    let refusal = Raw::try_login(pgusher.port(), "app", "", &database.name);
    assert!(refusal.is_err());
    done(&mut admin, &format!("enable '{}'", database.name));
    assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
}

both_versions!(
    a_reconnect_replaces_each_connection_when_nobody_has_it,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = in_front_of(pg).start();
        let mut admin = console(&pgusher);
        let (mut open, mut idle) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        open.rows("BEGIN");
        let pid = |client: &mut Raw| client.value("SELECT pg_backend_pid()");
        let (held, used) = (pid(&mut open), pid(&mut idle));
        done(&mut admin, "WAIT_CLOSE");
        done(&mut admin, &format!("RECONNECT {}", database.name));
        let new = pid(&mut idle);
        assert!(new != held && new != used);
        // SHOW SERVERS says which of them must go: by process, whether it is to be closed.
        let mut seen: Vec<_> = admin
            .rows("SHOW SERVERS")
            .into_iter()
            .map(|row| (row[16].clone().unwrap(), row[13].clone().unwrap()))
            .collect();
        let mut expected = vec![(held.clone(), "1".to_owned()), (new, "0".to_owned())];
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
        admin.send(&query("WAIT_CLOSE"));
        assert!(!admin.hears_within(Duration::from_millis(100)));
        assert_eq!(pid(&mut open), held);
        assert_eq!(open.ask(&query("COMMIT")).types(), "C Z:I");
        is_done(&mut admin, "WAIT_CLOSE");
        assert_ne!(pid(&mut open), held);
        done(&mut admin, "RECONNECT");
        done(&mut admin, &format!("WAIT_CLOSE {}", database.name));
    }
);

both_versions!(
    who_is_killed_hears_why_and_its_statement_is_cancelled,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = in_front_of(pg).pool_size(1).start();
        let mut admin = console(&pgusher);
        let (mut busy, mut waiting) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut quiet = pgusher.raw(&database.name);
        busy.send(&query("SELECT pg_sleep(1000)"));
        database.wait_for_running("pg_sleep", 1);
        waiting.send(&query("SELECT 1"));
        let server = database.value(
            "SELECT pid FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND pid <> pg_backend_pid()",
        );
        for client in [&mut busy, &mut quiet] {
            done(&mut admin, &format!("KILL_CLIENT {}", client.key().0));
            assert_eq!(farewell(client), "FATAL:57P01 eof");
        }
        // The connection itself is as good as new.
        assert_eq!(types(&mut waiting), "T D C Z:I");
        assert_eq!(waiting.value("SELECT pg_backend_pid()"), server);
        let (code, text) = refused(&mut admin, "KILL_CLIENT 4294967295");
        assert_eq!(
            (code.as_str(), text.as_str()),
            ("42704", "no client has the id 4294967295")
        );
        // Visitors of the console have numbers too.
        let id = admin.key().0;
        admin.send(&query(&format!("KILL_CLIENT {id}")));
        assert!(farewell(&mut admin).ends_with("FATAL:57P01 eof"));
    }
);

both_versions!(
    /// H6
    a_killed_database_is_empty_and_paused, |pg| {
    let (database, other) = (pg.fresh_database(), pg.fresh_database());
    let pgusher = in_front_of(pg).pool_size(2).start();
    let mut admin = console(&pgusher);
    let mut clients: Vec<Raw> = (0..4).map(|_| pgusher.raw(&database.name)).collect();
    clients[0].send(&query("SELECT pg_sleep(1000)"));
    clients[1].rows("BEGIN");
    database.wait_for_running("pg_sleep", 1);
    // This one waits for a server connection, and the last for nothing.
    clients[2].send(&query("SELECT 1"));
    let mut elsewhere = pgusher.raw(&other.name);
    done(&mut admin, &format!("KILL {}", database.name));
    for client in &mut clients {
        assert_eq!(farewell(client), "FATAL:57P01 eof");
    }
    eventually("nothing is left at the server", || {
        database.connections() == 0
    });
    assert_eq!(elsewhere.value("SELECT 1"), "1");
    let mut new = pgusher.raw(&database.name);
    new.send(&query("SELECT 1"));
    assert!(!new.hears_within(Duration::from_millis(100)));
    done(&mut admin, "RESUME");
    assert_eq!(types(&mut new), "T D C Z:I");
});

// In the middle of a row an error would be read as a part of it.
#[test]
fn who_is_killed_in_the_middle_of_a_row_is_cut_off() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).start();
    let mut client = pgusher.raw(&database.name);
    client.send(&query("SELECT repeat('x', 100000000)"));
    client.expect("T");
    let mut stream = client.stream();
    let mut part = vec![0; 1_000_000];
    stream.read_exact(&mut part).unwrap();
    assert!(part.ends_with(b"xxxx"));
    let kill = format!("KILL_CLIENT {}", client.key().0);
    done(&mut console(&pgusher), &kill);
    let mut rest = Vec::new();
    // Closed or reset: what matters is what comes before.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 99_000_000 && rest.iter().all(|byte| *byte == b'x'));
}

#[test]
fn signals_pause_and_resume() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).start();
    let mut client = pgusher.raw(&database.name);
    client.rows("SELECT 1");
    pgusher.signal("USR1");
    eventually("it is paused", || database.connections() == 0);
    client.send(&query("SELECT 1"));
    // A database that comes to be is paused, too, and one client that logs in there waits.
    let other = pg.fresh_database();
    let mut new = Raw::connect(pgusher.port());
    new.startup(&[("user", "app"), ("database", &other.name)]);
    assert!(!new.hears_within(Duration::from_millis(100)));
    pgusher.signal("USR2");
    assert_eq!(types(&mut client), "T D C Z:I");
    assert!(new.hears_within(patience()));
}

both_versions!(
    /// H2: the end comes when transactions are over, as with SIGTERM, and who waits in a pause is told.
    shutdown_waits_for_servers,
    |pg| {
        let (database, paused) = (pg.fresh_database(), pg.fresh_database());
        let mut pgusher = in_front_of(pg).start();
        let mut admin = console(&pgusher);
        let mut waiting = pgusher.raw(&paused.name);
        waiting.rows("SELECT 1");
        done(&mut admin, &format!("PAUSE {}", paused.name));
        let (mut open, mut idle) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        open.rows("BEGIN");
        waiting.send(&query("SELECT 1"));
        assert!(!waiting.hears_within(Duration::from_millis(100)));
        done(&mut admin, "SHUTDOWN WAIT_FOR_SERVERS");
        assert_eq!(farewell(&mut idle), "FATAL:57P01 eof");
        let told = farewell(&mut waiting);
        assert!(told.starts_with("E:57P01 Z:I") || told.starts_with("FATAL:57P01"), "{told}");
        assert_eq!(farewell(&mut admin), "FATAL:57P01 eof");
        eventually_refused(pgusher.port());
        assert_eq!(open.ask(&query("COMMIT")).types(), "C Z:I");
        assert_eq!(farewell(&mut open), "FATAL:57P01 eof");
        assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
    }
);

#[test]
fn shutdown_waits_for_clients() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let mut pgusher = in_front_of(pg).start();
    let mut admin = console(&pgusher);
    let (mut first, mut second) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
    done(&mut admin, "SHUTDOWN WAIT_FOR_CLIENTS");
    eventually_refused(pgusher.port());
    // They may begin as many transactions as they like.
    for client in [&mut first, &mut second] {
        assert_eq!(client.value("SELECT 1"), "1");
    }
    first.send(&terminate());
    assert_eq!(second.value("SELECT 1"), "1");
    assert!(pgusher.is_running());
    second.send(&terminate());
    // Who is on the console does not hold it up.
    assert_eq!(farewell(&mut admin), "FATAL:57P01 eof");
    assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
}

#[test]
fn who_does_not_want_to_wait_for_clients_says_so() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let mut pgusher = in_front_of(pg).start();
    let (mut open, mut idle) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
    open.rows("BEGIN");
    done(&mut console(&pgusher), "SHUTDOWN WAIT_FOR_CLIENTS");
    eventually_refused(pgusher.port());
    pgusher.terminate();
    assert_eq!(farewell(&mut idle), "FATAL:57P01 eof");
    assert!(pgusher.is_running());
    pgusher.terminate();
    assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
}

#[test]
fn shutdown_at_once_waits_for_nobody() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    for by_signal in [false, true] {
        let mut pgusher = in_front_of(pg).start();
        let mut open = pgusher.raw(&database.name);
        open.rows("BEGIN");
        match by_signal {
            true => pgusher.signal("QUIT"),
            false => done(&mut console(&pgusher), "SHUTDOWN"),
        }
        assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
        pgusher.wait_for_log("stopped at once");
        open.expect_eof();
    }
}

#[test]
fn what_is_misspelt_does_nothing() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let pgusher = in_front_of(pg).only(&database.name).start();
    let mut admin = console(&pgusher);
    let unknown = (
        "3D000".to_owned(),
        "database \"nowhere\" does not exist".to_owned(),
    );
    for verb in [
        "PAUSE",
        "RESUME",
        "DISABLE",
        "ENABLE",
        "RECONNECT",
        "KILL",
        "WAIT_CLOSE",
    ] {
        assert_eq!(refused(&mut admin, &format!("{verb} nowhere")), unknown);
        let two = refused(&mut admin, &format!("{verb} a b"));
        assert_eq!(
            two,
            ("42601".to_owned(), "syntax error at \"b\"".to_owned())
        );
    }
    for command in [
        "DISABLE",
        "SUSPEND a",
        "KILL_CLIENT",
        "KILL_CLIENT a",
        "SHUTDOWN NOW",
        "PAUSE; SHUTDOWNN",
    ] {
        assert_eq!(refused(&mut admin, command).0, "42601", "{command}");
    }
    assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
    assert!(!pgusher.log_contains("done on the console"));
}

// A7
#[test]
fn who_may_look_controls_nothing() {
    let pg = support::postgres(Version::V18);
    let pgusher = Pgusher::in_front_of(pg)
        .config("[console]\nstats_users = [\"app\"]")
        .start();
    let mut stats = console(&pgusher);
    for command in [
        "PAUSE",
        "SUSPEND",
        "RESUME",
        "DISABLE a",
        "ENABLE a",
        "RECONNECT",
        "WAIT_CLOSE",
        "KILL",
        "KILL_CLIENT 1",
        "SHUTDOWN",
        "SHUTDOWN WAIT_FOR_CLIENTS",
    ] {
        assert_eq!(refused(&mut stats, command).0, "42501", "{command}");
    }
}
