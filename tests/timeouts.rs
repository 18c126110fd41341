//! Timeouts: each ends what it is about, says so, and leaves everything else as it was.

mod support;

use std::time::{Duration, Instant};

use support::{
    Line, Pgusher, Postgres, Raw, both_versions, eventually,
    message::{extended, parse, query, sync},
    postgres::PASSWORD,
};

fn ask(client: &mut Raw, sql: &str) -> String {
    client.ask(&query(sql)).types()
}

/// A pgusher with these lines in `[timeouts]` and one server connection.
fn with_timeouts(pg: &Postgres, lines: &str) -> Pgusher {
    let config = format!("[timeouts]\n{lines}");
    Pgusher::in_front_of(pg)
        .pool_size(1)
        .config(&config)
        .start()
}

both_versions!(
    /// What runs too long is cancelled, and its client goes on.
    query_timeout,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = with_timeouts(pg, "query_timeout = \"200ms\"");
        let mut client = pgusher.raw(&database.name);
        let pid = client.backend_pid();
        let slow = "SELECT pg_sleep(60)";
        let heard = client.ask(&query(slow));
        assert_eq!(heard.types(), "T E:57014 Z:I");
        assert!(heard.text().contains("pgusher's query_timeout"), "{heard:?}");
        assert!(heard.text().contains("200ms"), "{heard:?}");
        assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");

        let batch = [extended(slow, &[]), extended("SELECT 1", &[]), sync()].concat();
        let heard = client.ask(&batch);
        assert_eq!(heard.types(), "1 2 T E:57014 Z:I");
        assert!(heard.text().contains("pgusher's query_timeout"), "{heard:?}");
        assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");

        assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
        let heard = client.ask(&query(slow));
        assert_eq!(heard.types(), "T E:57014 Z:E");
        assert!(heard.text().contains("pgusher's query_timeout"), "{heard:?}");
        assert_eq!(ask(&mut client, "SELECT 1"), "E:25P02 Z:E");
        assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
        assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
        assert_eq!(client.ask(&batch).types(), "1 2 T E:57014 Z:E");
        assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");

        // It is about one query, not a transaction of quick ones, and not about silence (G3).
        assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
        for _ in 0..5 {
            assert_eq!(ask(&mut client, "SELECT pg_sleep(0.1)"), "T D C Z:T");
        }
        let silence = pgusher_of(pg).raw(&database.name).value("SELECT pg_sleep(0.5)");
        assert_eq!(silence, "");
        assert_eq!(ask(&mut client, "COMMIT"), "C Z:I");
        // Each query of a pipeline has its own time.
        client.send(&query("SELECT pg_sleep(0.1)").repeat(5));
        for _ in 0..5 {
            assert_eq!(client.transcript().types(), "T D C Z:I");
        }
        // The server's own cancel keeps its own words.
        client.rows("BEGIN; SET LOCAL statement_timeout = 20");
        let heard = client.ask(&query(slow));
        assert_eq!(heard.types(), "T E:57014 Z:E");
        assert!(heard.text().contains("due to statement timeout"), "{heard:?}");
        assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
        // None of it cost a server connection.
        assert_eq!(client.backend_pid(), pid);
    }
);

/// A pgusher without timeouts, for what must take its time elsewhere.
fn pgusher_of(pg: &Postgres) -> Pgusher {
    Pgusher::in_front_of(pg).start()
}

both_versions!(
    /// A client that is silent in its block loses the transaction, not its connection; others
    /// have the server connection at once.
    idle_transaction_timeout,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = with_timeouts(pg, "idle_transaction_timeout = \"200ms\"");
        let mut client = pgusher.raw(&database.name);
        let mut other = pgusher.raw(&database.name);
        client.rows("CREATE TABLE t (i int)");
        for extended_protocol in [false, true] {
            let pid = client.backend_pid();
            let said = |sql: &str| match extended_protocol {
                true => [extended(sql, &[]), sync()].concat(),
                false => query(sql),
            };
            assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
            assert_eq!(ask(&mut client, "INSERT INTO t VALUES (1)"), "C Z:T");
            // Waits for the only server connection, and gets it clean.
            assert_eq!(other.value("SELECT count(*) FROM t"), "0");
            assert_eq!(other.backend_pid(), pid);
            client.expect_silence(&mut other);
            let heard = client.ask(&said("INSERT INTO t VALUES (2)"));
            assert_eq!(heard.types(), "E:25P03 Z:E");
            assert!(heard.text().contains("idle_transaction_timeout"), "{heard:?}");
            assert_eq!(client.ask(&said("INSERT INTO t VALUES (3)")).types(), "E:25P02 Z:E");
            // In the meantime nobody is kept out for long by a client that never rolls back.
            assert_eq!(other.value("SELECT count(*) FROM t"), "0");
            assert_eq!(client.ask(&said("SELECT 1")).types(), "E:25P02 Z:E");
            let rollback = client.ask(&said("ROLLBACK")).types();
            assert!(rollback.ends_with("C Z:I"), "{rollback}");
            assert_eq!(client.value("SELECT count(*) FROM t"), "0");
        }
        // Silence outside a transaction, and a long query inside one, are none of its business.
        assert_eq!(other.value("SELECT pg_sleep(0.5)"), "");
        client.rows("BEGIN");
        assert_eq!(ask(&mut client, "SELECT pg_sleep(0.5)"), "T D C Z:T");
        client.rows("COMMIT");
    }
);

both_versions!(
    /// A transaction that lasts too long is rolled back, busy or silent.
    transaction_timeout,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = with_timeouts(pg, "transaction_timeout = \"300ms\"");
        let mut client = pgusher.raw(&database.name);
        let mut other = pgusher.raw(&database.name);
        client.rows("CREATE TABLE t (i int)");
        // Busy with one statement.
        client.rows("BEGIN; INSERT INTO t VALUES (1)");
        let heard = client.ask(&query("SELECT pg_sleep(60)"));
        assert_eq!(heard.types(), "T E:25P04 Z:E");
        assert!(heard.text().contains("pgusher's transaction_timeout"), "{heard:?}");
        assert_eq!(other.value("SELECT count(*) FROM t"), "0");
        assert_eq!(ask(&mut client, "SELECT 1"), "E:25P02 Z:E");
        assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
        // Silent.
        client.rows("BEGIN; INSERT INTO t VALUES (1)");
        assert_eq!(other.value("SELECT count(*) FROM t"), "0");
        assert_eq!(ask(&mut client, "SELECT 1"), "E:25P04 Z:E");
        assert_eq!(ask(&mut client, "COMMIT"), "C Z:I");
        // Busy with many statements.
        client.rows("BEGIN");
        let begin = Instant::now();
        let heard = loop {
            let heard = ask(&mut client, "SELECT pg_sleep(0.01)");
            if heard.contains("E:") {
                break heard;
            }
            assert!(begin.elapsed() < Duration::from_secs(10));
        };
        assert!(heard.ends_with("E:25P04 Z:E"), "{heard}");
        assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
        // Many short transactions are not one long one.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(800) {
            assert_eq!(ask(&mut client, "SELECT pg_sleep(0.01)"), "T D C Z:I");
        }
        assert_eq!(client.value("SELECT count(*) FROM t"), "0");
    }
);

both_versions!(
    /// A client that says nothing for too long is told and disconnected; not in a transaction.
    client_idle_timeout,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = with_timeouts(pg, "client_idle_timeout = \"300ms\"");
        let mut idle = pgusher.raw(&database.name);
        let mut busy = pgusher.raw(&database.name);
        busy.rows("BEGIN");
        let begin = Instant::now();
        assert_eq!(idle.transcript_until_eof().types(), "FATAL:57P05 eof");
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(ask(&mut busy, "SELECT pg_sleep(0.5)"), "T D C Z:T");
        assert_eq!(ask(&mut busy, "COMMIT"), "C Z:I");
        assert_eq!(busy.transcript_until_eof().types(), "FATAL:57P05 eof");
        // One that waits for a server connection is not silent.
        let (mut holder, mut waiter) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        holder.rows("BEGIN");
        waiter.send(&query("SELECT 'waited'"));
        assert_eq!(ask(&mut holder, "SELECT pg_sleep(0.6)"), "T D C Z:T");
        assert_eq!(ask(&mut holder, "COMMIT"), "C Z:I");
        assert_eq!(waiter.transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// Connections that nobody needs are closed; those of min_pool_size stay.
    server_idle_timeout,
    |pg| {
        let database = pg.fresh_database();
        let config = "[timeouts]\nserver_idle_timeout = \"200ms\"";
        for keep in [0, 2] {
            let keeping = format!("min_pool_size = {keep}");
            let pgusher = Pgusher::in_front_of(pg).database(&keeping).config(config).start();
            let mut clients: Vec<Raw> = (0..4).map(|_| pgusher.raw(&database.name)).collect();
            for sql in ["BEGIN", "SELECT 1", "COMMIT"] {
                clients.iter_mut().for_each(|client| _ = client.rows(sql));
            }
            assert_eq!(database.connections(), 4);
            eventually("the idle ones are closed", || database.connections() == keep);
            for client in &mut clients {
                assert_eq!(client.value("SELECT 1"), "1");
            }
        }
        eventually("pgusher has gone", || database.connections() == 0);
    }
);

both_versions!(
    /// Old connections are replaced, between transactions, and no client notices.
    server_lifetime,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = with_timeouts(pg, "server_lifetime = \"200ms\"");
        let mut client = pgusher.raw(&database.name);
        let mut pids = Vec::new();
        while pids.len() < 5 {
            pids.push(client.backend_pid());
            pids.dedup();
            assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");
        }
        // Not within one.
        client.rows("BEGIN");
        let pid = client.backend_pid();
        assert_eq!(ask(&mut client, "SELECT pg_sleep(0.5)"), "T D C Z:T");
        assert_eq!(client.backend_pid(), pid);
        assert_eq!(ask(&mut client, "COMMIT"), "C Z:I");
        assert_ne!(client.backend_pid(), pid);
        assert!(database.connections() <= 2);
    }
);

both_versions!(
    /// A server that takes the connection and says nothing is given up, and clients are told.
    server_connect_timeout,
    |pg| {
        let database = pg.fresh_database();
        let line = Line::to(pg.port());
        let config = "[timeouts]\nserver_connect_timeout = \"200ms\"\nserver_outage_timeout = \"500ms\"";
        let pgusher = Pgusher::in_front_of(pg).through(&line).config(config).start();
        let mut client = pgusher.raw(&database.name);
        client.rows("SELECT 1");
        line.stall();
        let begin = Instant::now();
        let told = Raw::try_login(pgusher.port(), "app_trust", PASSWORD, &database.name);
        // Users of one upstream user share a pool or not; what they hear is the same.
        if let Err(told) = told {
            assert!(told.starts_with("FATAL:08001: "), "{told}");
            assert!(told.contains("server_connect_timeout"), "{told}");
        }
        line.cut();
        line.wait_until_ended();
        let heard = client.ask(&query("SELECT 1"));
        assert_eq!(heard.types(), "E:08001 Z:I");
        assert!(heard.text().contains("server_connect_timeout"), "{heard:?}");
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        line.resume();
        eventually("it recovers", || ask(&mut client, "SELECT 1") == "T D C Z:I");
    }
);

both_versions!(
    /// A server that does not obey a cancel in time is left; its client is told why it was cancelled.
    cancel_wait_timeout,
    |pg| {
        let database = pg.fresh_database();
        let line = Line::to(pg.port());
        let config = "[timeouts]\nquery_timeout = \"200ms\"\ncancel_wait_timeout = \"300ms\"";
        let pgusher = Pgusher::in_front_of(pg).through(&line).pool_size(1).config(config).start();
        let mut client = pgusher.raw(&database.name);
        for (block, expected) in [(false, "E:57014 Z:I"), (true, "E:57014 Z:E")] {
            client.rows(if block { "BEGIN" } else { "SELECT 1" });
            line.stall();
            let begin = Instant::now();
            let heard = client.ask(&query("SELECT pg_sleep(0)"));
            assert_eq!(heard.types(), expected);
            assert!(heard.text().contains("pgusher's query_timeout"), "{heard:?}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
            line.resume();
            if block {
                assert_eq!(ask(&mut client, "SELECT 1"), "E:25P02 Z:E");
                assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
            }
            assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");
        }
        eventually("what was left is closed", || database.connections() == 1);
    }
);

both_versions!(
    /// Clients are kept waiting while the server is away, but not for ever.
    server_outage_timeout,
    |shared| {
        let pg = Postgres::own(shared.version());
        let database = pg.fresh_database();
        let name = database.name.as_str();
        let login = |pgusher: &Pgusher| {
            let mut client = pgusher.raw(name);
            client.rows("SELECT 1");
            client
        };
        let patient = Pgusher::in_front_of(&pg).start();
        let impatient = with_timeouts(&pg, "server_outage_timeout = \"400ms\"");
        let (mut waits, mut gives_up) = (login(&patient), login(&impatient));
        pg.stop_fast();
        waits.send(&query("SELECT 'back'"));
        let begin = Instant::now();
        assert_eq!(ask(&mut gives_up, "SELECT 1"), "E:08001 Z:I");
        assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        pg.restart();
        assert_eq!(waits.transcript().types(), "T D C Z:I");
        eventually("it recovers", || ask(&mut gives_up, "SELECT 1") == "T D C Z:I");
    }
);

both_versions!(
    /// A database may have its own, and 0 is off (G4); without a word only the waiting is limited.
    each_database_its_own,
    |pg| {
        let database = pg.fresh_database();
        let port = pg.port();
        let section = |name: &str, line: &str| {
            let url = format!("postgres://app:{PASSWORD}@127.0.0.1:{port}/{}?sslmode=disable", database.name);
            format!("[databases.{name}]\nurl = \"{url}\"\npool_size = 1\n{line}\n")
        };
        let config = [
            "[timeouts]\nquery_timeout = \"100ms\"\nidle_transaction_timeout = \"100ms\"\n".to_owned(),
            section("inherits", ""),
            section("longer", "query_timeout = \"20s\"\nidle_transaction_timeout = \"20s\""),
            section("zero", "query_timeout = 0\nidle_transaction_timeout = 0"),
            section("off", "query_timeout = \"off\"\nidle_transaction_timeout = \"off\""),
        ];
        let pgusher = Pgusher::in_front_of(pg).config(&config.concat()).start();
        let defaults = pgusher_of(pg);
        for (pgusher, name, limited) in [
            (&pgusher, "inherits", true),
            (&pgusher, "longer", false),
            (&pgusher, "zero", false),
            (&pgusher, "off", false),
            (&defaults, database.name.as_str(), false),
        ] {
            let mut client = pgusher.raw(name);
            let heard = ask(&mut client, "SELECT pg_sleep(0.5)");
            assert_eq!(heard, if limited { "T E:57014 Z:I" } else { "T D C Z:I" }, "{name}");
            client.rows("BEGIN");
            // Half a second of silence, measured by somebody else.
            database.value("SELECT pg_sleep(0.5)");
            let heard = ask(&mut client, "SELECT 1");
            assert_eq!(heard, if limited { "E:25P03 Z:E" } else { "T D C Z:T" }, "{name}");
            client.rows("ROLLBACK");
        }
    }
);

both_versions!(
    /// A message that is cut off by a timeout is not made whole by what pgusher says last.
    a_timeout_within_a_large_message,
    |pg| {
        let database = pg.fresh_database();
        let config = "query_timeout = \"200ms\"\ncancel_wait_timeout = \"200ms\"";
        let pgusher = with_timeouts(pg, config);
        let mut client = pgusher.raw(&database.name);
        client.rows("CREATE TABLE t (i int)");
        let text = query(&format!("INSERT INTO t VALUES (1) --{}", "x".repeat(100_000)));
        let (most, rest) = text.split_at(text.len() - 2);
        client.send(most);
        assert_eq!(client.transcript().types(), "E:57014 Z:I");
        client.send(rest);
        assert_eq!(client.value("SELECT count(*) FROM t"), "0");
        let large = [parse("", &"x ".repeat(50_000)), sync()].concat();
        assert_eq!(client.ask(&large).types(), "E:42601 Z:I");
    }
);

both_versions!(
    /// A cancel that comes too late for the query that it was meant for does not hit the next one.
    a_timeout_hits_its_own_query_only,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = with_timeouts(pg, "query_timeout = \"20ms\"");
        let mut client = pgusher.raw(&database.name);
        let (mut ended, mut cancelled) = (0, 0);
        // As close to the limit as can be, however busy the machine is: many end just before their
        // cancel arrives.
        let mut seconds = 0.02;
        for _ in 0..300 {
            client.rows("BEGIN");
            let slow = client.ask(&query(&format!("SELECT pg_sleep({seconds})")));
            let asked = Instant::now();
            let next = client.ask(&query("SELECT 1"));
            // On a busy machine it may be this one's own time that has passed.
            let is_late = asked.elapsed() >= Duration::from_millis(20);
            match slow.types().as_str() {
                "T D C Z:T" => {
                    ended += 1;
                    seconds += 0.000_3;
                    assert!(is_late || next.types() == "T D C Z:T", "{next:?}");
                }
                "T E:57014 Z:E" | "T D E:57014 Z:E" => {
                    cancelled += 1;
                    seconds = f64::max(seconds - 0.000_3, 0.0);
                    assert!(slow.text().contains("pgusher's query_timeout"), "{slow:?}");
                    assert_eq!(next.types(), "E:25P02 Z:E");
                }
                other => panic!("{other}"),
            }
            client.rows("ROLLBACK");
        }
        assert!(ended > 10 && cancelled > 10, "{ended} ended, {cancelled} cancelled");
    }
);
