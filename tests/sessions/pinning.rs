//! Who waits for a connection that belongs to somebody, for how long, and who may have one.

use std::time::Duration;

use crate::support::{
    Database, Message, Pgusher, Postgres, Raw, Transcript, both_versions,
    message::{extended, query, sync},
};

/// Statements that leave something that only their own connection has, and those that give it up.
const PINS: [(&str, &str); 14] = [
    ("LISTEN news", "UNLISTEN news"),
    ("CREATE TEMP TABLE mine (i int)", "DROP TABLE mine"),
    ("CREATE TABLE pg_temp.mine (i int)", "DROP TABLE mine"),
    ("CREATE TEMPORARY TABLE mine AS SELECT 1", "DROP TABLE mine"),
    ("SELECT 1 AS i INTO TEMP mine", "DROP TABLE mine"),
    ("CREATE TEMP VIEW mine AS SELECT 1", "DROP VIEW mine"),
    ("CREATE TEMP SEQUENCE mine", "DROP SEQUENCE mine"),
    ("SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)"),
    (
        "SELECT pg_try_advisory_lock_shared(1, 2)",
        "SELECT pg_advisory_unlock_all()",
    ),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"),
    ("PREPARE p AS SELECT 1", "DEALLOCATE p"),
    ("PREPARE p (int) AS SELECT $1", "DISCARD ALL"),
    ("LISTEN \"News\"", "DISCARD ALL"),
    ("CREATE TEMP TABLE mine (i int)", "DISCARD TEMP"),
];

fn with(server: &Postgres, size: usize, database: &str, config: &str) -> Pgusher {
    Pgusher::in_front_of(server)
        .pool_size(size)
        .log_level("info")
        .database(database)
        .config(config)
        .start()
}

/// The types and the error, if there is one.
fn told(client: &mut Raw, bytes: &[u8]) -> (String, Option<Message>) {
    client.send(bytes);
    let messages = client.until_ready();
    let types = Transcript::of(&messages).types();
    (
        types,
        messages.into_iter().find(|message| message.tag == b'E'),
    )
}

both_versions! {
    /// E3: the connection comes back by the statement that gives up what held it.
    given_back, |server| {
        let database = server.fresh_database();
        let pgusher = with(server, 1, "", "");
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        for (pin, unpin) in PINS {
            client.rows(pin);
            other.send(&query("SELECT 1"));
            // It is the client's own meanwhile, and by messages too.
            let pid = client.backend_pid();
            assert_eq!(client.ask(&[extended("SELECT 1", &[]), sync()].concat()).types(), "1 2 T D C Z:I");
            assert_eq!(client.backend_pid(), pid, "{pin}");
            assert!(!other.hears_within(Duration::ZERO), "{pin}");
            client.rows(unpin);
            assert_eq!(other.transcript().types(), "T D C Z:I", "{pin}");
            // Nobody had to open another.
            assert_eq!(other.backend_pid(), pid, "{pin}");
        }
    }
}

both_versions! {
    /// Who waits in vain is told so after `query_wait_timeout`, and served later.
    waits_in_vain, |server| {
        let database = server.fresh_database();
        let pgusher = with(server, 1, "", "[timeouts]\nquery_wait_timeout = \"1s\"");
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        client.rows("LISTEN news");
        let (types, _) = told(&mut other, &query("SELECT 1"));
        assert!(types.starts_with("E:") && types.ends_with("Z:I"), "{types}");
        // Who holds it waits for nothing.
        assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
        client.rows("UNLISTEN *");
        assert_eq!(other.ask(&query("SELECT 1")).types(), "T D C Z:I");
    }
}

/// Runs `check` with a client of a pgusher that refuses to pin, and somebody else.
fn refusing(server: &Postgres, check: impl Fn(&mut Raw, &mut Raw, &Database<'_>)) {
    let database = server.fresh_database();
    let pgusher = with(server, 1, "pinning = \"off\"", "");
    let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
    check(&mut client, &mut other, &database);
}

both_versions! {
    /// `pinning = "off"` refuses what would pin, with a hint, and nothing of it happens.
    refused, |server| refusing(server, |client, other, _| {
        for (pin, _) in PINS {
            for bytes in [query(pin), [extended(pin, &[]), sync()].concat()] {
                let (types, error) = told(client, &bytes);
                let error = error.unwrap_or_else(|| panic!("{pin}: {types}"));
                assert_eq!(error.sqlstate(), "0A000", "{pin}: {}", error.text());
                assert!(error.field(b'H').is_some(), "{pin}: a hint");
                assert!(types.ends_with("Z:I"), "{pin}: {types}");
                // The session goes on, and so does the other one.
                assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
                assert_eq!(other.ask(&query("SELECT 1")).types(), "T D C Z:I");
                let left = "SELECT (SELECT count(*) FROM pg_listening_channels()) \
                    + (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()) \
                    + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) \
                    + (SELECT count(*) FROM pg_cursors WHERE is_holdable) \
                    + (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)";
                assert_eq!(other.value(left), "0", "{pin}");
            }
        }
    })
}

both_versions! {
    /// A refusal within a block fails it, as any error does.
    refused_in_a_block, |server| refusing(server, |client, other, database| {
        for (pin, _) in PINS {
            assert_eq!(client.ask(&query("BEGIN")).types(), "C Z:T");
            let (types, error) = told(client, &query(pin));
            assert_eq!(error.map(|it| it.sqlstate()).as_deref(), Some("0A000"), "{pin}: {types}");
            assert!(types.ends_with("Z:E"), "{pin}: {types}");
            assert_eq!(client.ask(&query("SELECT 1")).types(), "E:25P02 Z:E");
            assert_eq!(client.ask(&query("COMMIT")).types(), "C Z:I");
        }
        // Behind and in front of others in one text.
        database.sql("CREATE TABLE t (v int); GRANT ALL ON t TO app");
        for text in ["INSERT INTO t VALUES (1); LISTEN news", "LISTEN news; INSERT INTO t VALUES (1)"] {
            let (types, error) = told(client, &query(text));
            assert_eq!(error.map(|it| it.sqlstate()).as_deref(), Some("0A000"), "{text}: {types}");
            assert_eq!(other.value("SELECT count(*) FROM t"), "0", "{text}");
        }
        // In a batch, what is behind it is skipped.
        let batch = [extended("LISTEN news", &[]), extended("INSERT INTO t VALUES (1)", &[]), sync()].concat();
        let (types, error) = told(client, &batch);
        assert_eq!(error.map(|it| it.sqlstate()).as_deref(), Some("0A000"), "{types}");
        assert_eq!(other.value("SELECT count(*) FROM t"), "0");
    })
}

both_versions! {
    /// What needs no connection of its own is not refused.
    not_refused, |server| refusing(server, |client, _, _| {
        for sql in [
            "SET work_mem = '1234kB'", "SELECT pg_advisory_xact_lock(1)", "NOTIFY news", "UNLISTEN *", "DEALLOCATE ALL", "DISCARD ALL",
            "BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c; COMMIT", "SELECT 'LISTEN news'", "SELECT pg_advisory_unlock_all()", "CLOSE ALL",
            "CREATE TABLE made (i int)", "DROP TABLE made", "BEGIN; CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1; COMMIT",
        ] {
            let heard = client.ask(&query(sql));
            assert!(!heard.types().contains("E:"), "{sql}: {heard:?}");
        }
    })
}

both_versions! {
    /// `max_pinned`: beyond it nobody may pin, until somebody gives up.
    max_pinned, |server| {
        let database = server.fresh_database();
        let pgusher = with(server, 3, "max_pinned = 2", "");
        let [mut one, mut two, mut third] = [(); 3].map(|()| pgusher.raw(&database.name));
        let refused = |client: &mut Raw| {
            let (types, error) = told(client, &query("LISTEN news"));
            assert_eq!(error.map(|it| it.sqlstate()).as_deref(), Some("53400"), "{types}");
            assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
        };
        one.rows("LISTEN news");
        two.rows("SELECT pg_advisory_lock(2)");
        refused(&mut third);
        // Who has one already may do more with it.
        one.rows("CREATE TEMP TABLE mine (i int)");
        refused(&mut third);
        one.rows("UNLISTEN *");
        refused(&mut third);
        one.rows("DROP TABLE mine");
        assert_eq!(one.ask(&query("SELECT 1")).types(), "T D C Z:I");
        third.rows("LISTEN news");
        refused(&mut one);
        // Leaving gives it back too.
        drop(two);
        crate::support::eventually("there is room again", || {
            one.ask(&query("LISTEN news")).types() == "C Z:I"
        });
    }
}

both_versions! {
    /// `pin_timeout` ends who keeps a connection and does nothing with it.
    pin_timeout, |server| {
        let database = server.fresh_database();
        let pgusher = with(server, 1, "", "[timeouts]\npin_timeout = \"300ms\"");
        for (pin, unpin) in [PINS[0], PINS[1], PINS[7]] {
            let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
            client.rows(pin);
            other.send(&query("SELECT 1"));
            assert_eq!(client.transcript_until_eof().types(), "FATAL:57P05 eof", "{pin}");
            assert_eq!(other.transcript().types(), "T D C Z:I");
            // Not who is busy, in a transaction, or has nothing.
            let mut client = pgusher.raw(&database.name);
            client.rows(pin);
            assert_eq!(client.ask(&query("SELECT pg_sleep(0.5)")).types(), "T D C Z:I");
            client.rows("BEGIN");
            let pause = server.value("SELECT pg_sleep(0.5)");
            assert_eq!(pause, "");
            client.rows("COMMIT");
            client.rows(unpin);
            assert_eq!(other.value("SELECT pg_sleep(0.5)"), "");
            assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
        }
    }
}

both_versions! {
    /// In session mode a connection is not pinned, whatever is on it.
    no_pins_in_session_mode, |server| {
        let database = server.fresh_database();
        let pgusher = with(server, 1, "pool_mode = \"session\"\npinning = \"off\"", "[timeouts]\npin_timeout = \"50ms\"");
        let mut client = crate::login(pgusher.port(), "app", &database.name, &[("options", "-c work_mem=1234kB")]);
        for (pin, _) in PINS {
            // Some make what another has made.
            client.ask(&query(pin));
            // So that pgusher asks what there is.
            client.rows("RESET work_mem");
        }
        assert_eq!(server.value("SELECT pg_sleep(0.2)"), "");
        assert_eq!(client.value("SHOW work_mem"), "1234kB");
    }
}

both_versions! {
    /// LOAD has no opposite: it keeps the connection until its client leaves.
    load, |server| {
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).pool_size(1).log_level("info").upstream_user("postgres", "").start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let pid = client.backend_pid();
        client.rows("LOAD 'auto_explain'");
        client.rows("SET auto_explain.log_min_duration = 1234");
        other.send(&query("SELECT pg_backend_pid(), count(*) FROM pg_settings WHERE name LIKE 'auto_explain%'"));
        for _ in 0..3 {
            assert_eq!(client.rows("SHOW auto_explain.log_min_duration")[0][0].as_deref(), Some("1234ms"));
            assert_eq!(client.backend_pid(), pid);
        }
        client.rows("DISCARD ALL");
        assert_eq!(client.rows("SHOW auto_explain.log_min_duration")[0][0].as_deref(), Some("-1"));
        assert!(!other.hears_within(Duration::ZERO));
        drop(client);
        // What was loaded cannot be taken away: it is another connection.
        let answer = other.transcript();
        assert!(answer.text().contains(" | 0\n") && !answer.text().contains(&format!("D {pid} |")), "{answer:?}");
    }
}
