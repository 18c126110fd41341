//! Servers that die, vanish, restart, stall or cannot be reached: each client keeps its
//! connection, hears of it once, and goes on by itself when the server is back.

mod support;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use support::{
    Database, Line, Pgusher, Postgres, Raw, both_versions, eventually,
    message::{bind, copy_data, copy_done, describe, execute, extended, flush, parse, query, sync},
    postgres::PASSWORD,
    temp::TempDir,
    try_connect,
};

const SLEEP: &str = "SELECT pg_sleep(60)";

fn ask(client: &mut Raw, sql: &str) -> String {
    client.ask(&query(sql)).types()
}

/// Ends all connections of `app` here, as an operator does, and waits until they are gone.
fn terminate_all(database: &Database<'_>) {
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND usename = 'app'",
    );
    eventually("the backends are gone", || database.connections() == 0);
}

/// The ways in which a backend dies: with a last word, and without one. The second takes all
/// the others of the server with it.
const DEATHS: [fn(&Database<'_>); 2] = [terminate_all, |database| database.kill9_backend()];

both_versions!(
    /// Idle connections that the server has closed are not handed out (F2, K2).
    dead_idle_connections_are_not_handed_out,
    |pg| {
        let database = pg.fresh_database();
        let line = Line::to(pg.port());
        let pgusher = Pgusher::in_front_of(pg).through(&line).start();
        let mut clients: Vec<Raw> = (0..5).map(|_| pgusher.raw(&database.name)).collect();
        let deaths: [&dyn Fn(); 3] = [&|| terminate_all(&database), &|| line.cut(), &|| line.close()];
        for die in deaths {
            for _ in 0..5 {
                for (sql, heard) in [("BEGIN", "C Z:T"), ("COMMIT", "C Z:I")] {
                    clients.iter_mut().for_each(|client| assert_eq!(ask(client, sql), heard));
                }
                assert_eq!(database.connections(), 5);
                die();
                line.wait_until_ended();
                for client in &mut clients {
                    assert_eq!(ask(client, "SELECT 1"), "T D C Z:I");
                }
                assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
            }
        }
    }
);

/// One that dies under a client: one error, one ReadyForQuery for each that is owed, and the
/// truth about the transaction (F3).
fn a_backend_dies_under(pg: &Postgres, die: fn(&Database<'_>)) {
    let database = pg.fresh_database();
    let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
    let mut client = pgusher.raw(&database.name);
    let mut witness = Raw::login(pgusher.port(), "app", PASSWORD, "postgres");
    client.rows("CREATE TABLE t (i int)");
    // The tests' servers do not wait for the disk, and one death is to take all with it.
    database.sql("CHECKPOINT");
    let die_when_running = || {
        database.wait_for_running("pg_sleep(60)", 1);
        die(&database);
    };

    // Outside a block.
    client.send(&query(SLEEP));
    die_when_running();
    let heard = client.transcript().types();
    assert!(
        ["E:08006 Z:I", "T E:08006 Z:I"].contains(&heard.as_str()),
        "{heard}"
    );
    assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");

    // Inside one: it has failed until the client rolls back, whatever it says.
    for end in ["ROLLBACK", "COMMIT", "ABORT", "END"] {
        assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
        assert_eq!(ask(&mut client, "INSERT INTO t VALUES (1)"), "C Z:T");
        client.send(&query(SLEEP));
        die_when_running();
        let heard = client.transcript().types();
        assert!(
            ["E:08006 Z:E", "T E:08006 Z:E"].contains(&heard.as_str()),
            "{heard}"
        );
        assert_eq!(ask(&mut client, "INSERT INTO t VALUES (2)"), "E:25P02 Z:E");
        assert_eq!(ask(&mut client, "BEGIN"), "E:25P02 Z:E");
        let batch = [extended("INSERT INTO t VALUES (3)", &[]), sync()].concat();
        assert_eq!(client.ask(&batch).types(), "E:25P02 Z:E");
        assert_eq!(ask(&mut client, ""), "I Z:E");
        assert_eq!(client.ask(&sync()).types(), "Z:E");
        assert_eq!(ask(&mut client, end), "C Z:I");
        assert_eq!(client.value("SELECT count(*) FROM t"), "0");
    }

    // The client is silent inside its block: its next message hears it.
    assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
    assert_eq!(ask(&mut client, "INSERT INTO t VALUES (1)"), "C Z:T");
    die(&database);
    witness_recovery(&mut witness);
    client.expect_silence(&mut witness);
    assert_eq!(ask(&mut client, "INSERT INTO t VALUES (2)"), "E:08006 Z:E");
    assert_eq!(ask(&mut client, "SELECT 1"), "E:25P02 Z:E");
    assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
    assert_eq!(client.value("SELECT count(*) FROM t"), "0");
    // In the extended protocol too, where its batch is skipped to its Sync.
    assert_eq!(ask(&mut client, "BEGIN"), "C Z:T");
    die(&database);
    witness_recovery(&mut witness);
    client.expect_silence(&mut witness);
    let batch = [extended("SELECT 1", &[]), extended("SELECT 2", &[]), sync()].concat();
    assert_eq!(client.ask(&batch).types(), "E:08006 Z:E");
    assert_eq!(client.ask(&batch).types(), "E:25P02 Z:E");
    let rollback = [
        parse("", "ROLLBACK"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    assert_eq!(client.ask(&rollback).types(), "1 2 C Z:I");
    assert_eq!(client.ask(&batch).types(), "1 2 T D C 1 2 T D C Z:I");

    // A pipeline: an error and a ReadyForQuery for each Sync and each query, and no more.
    let slow = [parse("", SLEEP), bind("", "", &[]), execute("", 0), sync()].concat();
    client.send(
        &[
            slow.clone(),
            batch.clone(),
            query("SELECT 1"),
            sync(),
            batch.clone(),
        ]
        .concat(),
    );
    die_when_running();
    for unit in 0..5 {
        let heard = client.transcript().types();
        assert!(heard.ends_with("E:08006 Z:I"), "{unit}: {heard}");
        assert!(unit == 0 || heard == "E:08006 Z:I", "{unit}: {heard}");
    }
    assert_eq!(client.ask(&batch).types(), "1 2 T D C 1 2 T D C Z:I");

    // A batch that is still open: its error at once, its ReadyForQuery with its Sync (C3).
    client.send(&[&slow[..slow.len() - 5], &flush()].concat());
    die_when_running();
    let heard = client.transcript_until(b'E').types();
    assert!(heard.ends_with("E:08006"), "{heard}");
    client.expect_silence(&mut witness);
    client.send(&[extended("SELECT 1", &[]), describe(b'P', ""), flush()].concat());
    assert_eq!(client.ask(&sync()).types(), "Z:I");
    // Answered so far, and open: the next message hears it.
    client.send(&[extended("INSERT INTO t VALUES (4)", &[]), flush()].concat());
    client.until(b'C');
    die(&database);
    witness_recovery(&mut witness);
    client.send(&extended("INSERT INTO t VALUES (5)", &[]));
    assert_eq!(client.ask(&sync()).types(), "E:08006 Z:I");
    assert_eq!(client.value("SELECT count(*) FROM t"), "0");
    assert_eq!(client.ask(&batch).types(), "1 2 T D C 1 2 T D C Z:I");
}

/// After a death that took the whole server along its own connection is gone too: until it answers.
fn witness_recovery(witness: &mut Raw) {
    eventually("the server answers again", || {
        ask(witness, "SELECT 1") == "T D C Z:I"
    });
}

both_versions!(a_backend_is_terminated, |pg| a_backend_dies_under(
    pg, DEATHS[0]
));
both_versions!(a_backend_is_killed, |pg| {
    a_backend_dies_under(&Postgres::own(pg.version()), DEATHS[1]);
});

both_versions!(
    /// Fifty clients at work while the server is restarted, politely and not: all keep their
    /// connections, and each hears of each restart at most once.
    a_restart_under_load,
    |shared| {
        let pg = Postgres::own(shared.version());
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(&pg).pool_size(10).log_level("info").start();
        let started = pg.value("SELECT pg_postmaster_start_time()");
        let (done, queries) = (AtomicBool::new(false), AtomicUsize::new(0));
        let progress = |than: usize| {
            let target = queries.load(Ordering::Relaxed) + than;
            eventually("clients work", || queries.load(Ordering::Relaxed) >= target);
        };
        let errors: Vec<Vec<String>> = std::thread::scope(|scope| {
            let client = || {
                let mut client = pgusher.raw(&database.name);
                let mut errors = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    for sql in ["SELECT 1", "BEGIN", "SELECT pg_sleep(0.002)", "COMMIT"] {
                        let heard = ask(&mut client, sql);
                        if heard.contains("E:") {
                            let failed = heard.ends_with("Z:E");
                            errors.push(heard);
                            if failed {
                                assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
                            }
                            break;
                        }
                        queries.fetch_add(1, Ordering::Relaxed);
                    }
                }
                assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");
                errors
            };
            let clients: Vec<_> = (0..50).map(|_| scope.spawn(client)).collect();
            progress(1_000);
            pg.restart();
            progress(1_000);
            pg.kill9();
            pg.restart();
            progress(1_000);
            done.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        for errors in &errors {
            assert!(errors.len() <= 2, "{errors:?}");
            assert!(errors.iter().all(|heard| heard.contains("E:08006 Z:")), "{errors:?}");
        }
        assert_ne!(pg.value("SELECT pg_postmaster_start_time()"), started);
        assert!(database.connections() <= 10);
    }
);

both_versions!(
    /// A server that does not answer for a while is waited for.
    a_stalled_server_is_waited_for,
    |shared| {
        let pg = Postgres::own(shared.version());
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(&pg).pool_size(2).start();
        let mut clients: Vec<Raw> = (0..6).map(|_| pgusher.raw(&database.name)).collect();
        let elsewhere = Pgusher::in_front_of(shared).start();
        let mut witness = elsewhere.raw("postgres");
        pg.stall();
        clients.iter_mut().for_each(|client| client.send(&query("SELECT 'late'")));
        clients[0].expect_silence(&mut witness);
        clients[5].expect_silence(&mut witness);
        pg.resume();
        for client in &mut clients {
            assert_eq!(client.transcript().types(), "T D C Z:I");
        }
    }
);

both_versions!(
    /// A line that breaks within a row: nothing of a row that fits the window is forwarded, and
    /// the client goes on; a client that is inside a larger one can only be disconnected.
    a_line_breaks_within_a_row,
    |pg| {
        let database = pg.fresh_database();
        let line = Line::to(pg.port());
        let pgusher = Pgusher::in_front_of(pg).through(&line).pool_size(1).start();
        let mut client = pgusher.raw(&database.name);
        for width in [50, 1_000, 20_000, 32_000] {
            for block in [false, true] {
                if block {
                    client.rows("BEGIN");
                } else {
                    client.rows("SELECT 1");
                }
                line.close_after(width / 2 + 60);
                let sql = format!("SELECT repeat('x', {width})");
                let heard = client.ask(&query(&sql));
                line.close_after(u64::MAX);
                let expected = if block { "T E:08006 Z:E" } else { "T E:08006 Z:I" };
                assert_eq!(heard.types(), expected, "{width}");
                if block {
                    assert_eq!(ask(&mut client, "SELECT 1"), "E:25P02 Z:E");
                    assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
                }
                assert_eq!(client.value(&sql).len() as u64, width);
            }
        }
        for width in [70_000, 1_000_000] {
            client.rows("SELECT 1");
            line.close_after(width / 2 + 60);
            client.send(&query(&format!("SELECT repeat('x', {width})")));
            let end = loop {
                match client.try_next() {
                    Ok(Some(message)) => assert_eq!(message.notation(), "T"),
                    other => break other,
                }
            };
            line.close_after(u64::MAX);
            assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
            client = pgusher.raw(&database.name);
            assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");
        }
    }
);

/// A client that cannot be welcomed is told `reason`, quickly; it can once `mend` has been called.
fn told_and_mended(pgusher: &Pgusher, database: &str, reason: &str, mend: impl FnOnce()) {
    let begin = Instant::now();
    let login = || Raw::try_login(pgusher.port(), "app", PASSWORD, database).map(drop);
    for _ in 0..3 {
        let told = login().err().unwrap_or_default();
        assert!(
            told.starts_with("FATAL:08001: ") && told.contains(reason),
            "{told}"
        );
    }
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    mend();
    eventually("it recovers", || login().is_ok());
}

both_versions!(
    /// Clients hear the real reason, fast, and it ends when its cause does (F6).
    the_real_reason_is_told,
    |pg| {
        let database = pg.fresh_database();
        let name = &database.name;
        let role = format!("role_of_{name}");
        pg.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'other'"));
        let pgusher = Pgusher::in_front_of(pg).upstream_user(&role, PASSWORD).start();
        let reason = format!("password authentication failed for user \"{role}\"");
        told_and_mended(&pgusher, name, &reason, || {
            pg.sql(&format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'"));
        });

        let pgusher = Pgusher::in_front_of(pg).start();
        let missing = format!("later_{name}");
        let reason = format!("database \"{missing}\" does not exist");
        told_and_mended(&pgusher, &missing, &reason, || {
            pg.sql(&format!("CREATE DATABASE {missing} TEMPLATE template0"));
        });

        let line = Line::to(pg.port());
        line.refuse();
        let timeouts = "[timeouts]\nserver_outage_timeout = \"300ms\"";
        let pgusher = Pgusher::in_front_of(pg).through(&line).config(timeouts).start();
        told_and_mended(&pgusher, name, "refused", || line.accept());
        // One that was let in before keeps its connection.
        let mut client = pgusher.raw(name);
        client.rows("SELECT 1");
        line.refuse();
        line.cut();
        line.wait_until_ended();
        let heard = client.ask(&query("SELECT 1"));
        assert_eq!(heard.types(), "E:08001 Z:I");
        assert!(heard.text().contains("refused"), "{heard:?}");
        let batch = [extended("SELECT 1", &[]), sync()].concat();
        assert_eq!(client.ask(&batch).types(), "E:08001 Z:I");
        line.accept();
        eventually("it recovers", || ask(&mut client, "SELECT 1") == "T D C Z:I");
    }
);

both_versions!(
    /// Clients that give up waiting, however many, leave the server connections alone (F4), and
    /// what they had asked for never runs (G2).
    clients_time_out_in_the_queue,
    |pg| {
        let database = pg.fresh_database();
        let line = Line::to(pg.port());
        let timeouts = "[timeouts]\nquery_wait_timeout = \"1s\"";
        let pgusher = Pgusher::in_front_of(pg)
            .through(&line)
            .pool_size(2)
            .config(timeouts)
            .log_level("info")
            .start();
        let mut holders = [pgusher.raw(&database.name), pgusher.raw(&database.name)];
        holders[0].rows("CREATE TABLE t (i int)");
        let pids = holders.each_mut().map(|holder| {
            holder.rows("BEGIN");
            holder.backend_pid()
        });
        let mut clients: Vec<Raw> = (0..200).map(|_| pgusher.raw(&database.name)).collect();
        for round in 0..2 {
            for (nth, client) in clients.iter_mut().enumerate() {
                if nth % 2 == round {
                    client.send(&query("INSERT INTO t VALUES (1)"));
                } else {
                    client.send(&[extended("INSERT INTO t VALUES (1)", &[]), sync()].concat());
                }
            }
            for client in &mut clients {
                assert_eq!(client.transcript().types(), "E:53300 Z:I");
            }
        }
        for (holder, pid) in holders.iter_mut().zip(pids) {
            assert_eq!(holder.backend_pid(), pid);
            holder.rows("COMMIT");
        }
        for client in &mut clients {
            assert!(pids.contains(&client.backend_pid()));
        }
        assert_eq!(clients[0].value("SELECT count(*) FROM t"), "0");
        assert_eq!(line.accepted(), 2);
    }
);

both_versions!(
    /// The server may be reached by a name or a unix socket, and so may pgusher by its clients.
    names_and_sockets,
    async |pg| {
        let database = pg.fresh_database();
        let (name, port) = (&database.name, pg.port());
        let dir = TempDir::new();
        let login = format!("postgres://app:{PASSWORD}@");
        let socket_dir = pg.socket_dir().display();
        let config = format!(
            "[databases.by_name]\nurl = \"{login}localhost:{port}/{name}?sslmode=disable\"\n\
             [databases.by_socket]\nurl = \"{login}/{name}?host={socket_dir}&port={port}\"\n"
        );
        let pgusher = Pgusher::in_front_of(pg)
            .unix_socket(&dir.path().join(".s.PGSQL.6432"))
            .config(&config)
            .start();
        for (database, address) in [("by_name", "local"), ("by_socket", "socket")] {
            let tcp = pgusher.url(database);
            let unix = format!("host={} port=6432 user=app dbname={database}", dir.path().display());
            for url in [tcp, unix] {
                let client = try_connect(&url).await.unwrap();
                let sql = "SELECT current_database()::text, coalesce(host(inet_server_addr()), 'socket')";
                let row = client.query_one(sql, &[]).await.unwrap();
                assert_eq!(row.get::<_, &str>(0), name);
                let heard = row.get::<_, &str>(1);
                let local = ["127.0.0.1", "::1"].contains(&heard);
                assert!(heard == address || (local && address == "local"), "{heard}");
                // A cancel goes the same ways.
                let cancel = client.cancel_token();
                let there = Database { server: pg, name: name.clone() };
                let (slept, cancelled) = tokio::join!(client.batch_execute(SLEEP), async {
                    tokio::task::block_in_place(|| there.wait_for_running("pg_sleep(60)", 1));
                    cancel.cancel_query(tokio_postgres::NoTls).await
                });
                cancelled.unwrap();
                let code = slept.unwrap_err().code().cloned();
                assert_eq!(code, Some(tokio_postgres::error::SqlState::QUERY_CANCELED));
            }
        }
    }
);

both_versions!(
    /// A statement that was prepared by a message outlives the server connection.
    a_named_statement_outlives_its_server,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let mut client = pgusher.raw(&database.name);
        let prepare = [parse("kept", "SELECT $1::int"), sync()].concat();
        assert_eq!(client.ask(&prepare).types(), "1 Z:I");
        let run = [bind("", "kept", &[Some(b"5")]), execute("", 0), sync()].concat();
        for _ in 0..3 {
            assert_eq!(client.ask(&run).types(), "2 D C Z:I");
            terminate_all(&database);
        }
        assert_eq!(client.ask(&run).types(), "2 D C Z:I");
        // One that was on its way when the server died was never prepared.
        let late = [extended(SLEEP, &[]), parse("late", "SELECT 1"), sync()].concat();
        client.send(&late);
        database.wait_for_running("pg_sleep(60)", 1);
        terminate_all(&database);
        assert!(client.transcript().types().ends_with("E:08006 Z:I"));
        let run_late = [bind("", "late", &[]), execute("", 0), sync()].concat();
        assert_eq!(client.ask(&run_late).types(), "E:26000 Z:I");
        assert_eq!(client.ask(&run).types(), "2 D C Z:I");
    }
);

both_versions!(
    /// The server dies while it reads COPY data: what the client goes on to send is dropped, and
    /// its next request is answered (D1).
    a_server_dies_during_copy,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let mut client = pgusher.raw(&database.name);
        client.rows("CREATE TABLE t (i int)");
        for block in [false, true] {
            if block {
                client.rows("BEGIN");
            }
            client.send(&query("COPY t FROM STDIN"));
            client.until(b'G');
            client.send(&copy_data(b"1\n"));
            terminate_all(&database);
            let status = if block { "E:08006 Z:E" } else { "E:08006 Z:I" };
            assert_eq!(client.transcript().types(), status);
            let large = copy_data("1\n".repeat(50_000).as_bytes());
            client.send(&[copy_data(b"2\n"), large, copy_done()].concat());
            if block {
                assert_eq!(ask(&mut client, "ROLLBACK"), "C Z:I");
            }
            assert_eq!(client.value("SELECT count(*) FROM t"), "0");
        }
    }
);

both_versions!(
    /// A client of session mode whose server connection dies in silence has lost what its session
    /// held, locks among it: it hears of that, once.
    a_session_is_not_lost_in_silence,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).database("pool_mode = \"session\"").start();
        let mut client = pgusher.raw(&database.name);
        for _ in 0..2 {
            client.rows("SELECT pg_advisory_lock(1)");
            terminate_all(&database);
            assert_eq!(ask(&mut client, "SELECT 1"), "E:08006 Z:I");
            assert_eq!(ask(&mut client, "SELECT 1"), "T D C Z:I");
        }
        let batch = [extended("SELECT 1", &[]), sync()].concat();
        terminate_all(&database);
        assert_eq!(client.ask(&batch).types(), "E:08006 Z:I");
        assert_eq!(client.ask(&batch).types(), "1 2 T D C Z:I");
    }
);
