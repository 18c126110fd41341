//! Cancel requests: they hit what their client runs, or wait for, and nothing else.

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use support::{
    Pgusher, Raw, both_versions,
    message::{bind, cancel_request, execute, extended, message, parse, query, sync},
    patience,
    postgres::PASSWORD,
    raw::{V3_0, V3_2},
};

const SLEEP: &str = "SELECT pg_sleep(60)";

/// Asks the listener at `port` to cancel, with any key; returns when the request was taken.
fn cancel_with(port: u16, pid: u32, secret: &[u8]) {
    let mut other = Raw::connect(port);
    other.send(&cancel_request(pid, secret));
    // One with a secret of an impossible length may be called nonsense before that.
    other.transcript_until_eof();
}

/// Ends those who go on until they are told, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends `request` and cancels it again and again until it has been answered: nobody outside can
/// know when a client has begun to wait.
fn ask_and_cancel(client: &mut Raw, port: u16, request: &[u8], until: u8) -> String {
    let (pid, secret) = client.key();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cancel_with(port, pid, &secret);
            }
        });
        let _over = Over(&done);
        client.send(request);
        client.transcript_until(until).types()
    })
}

both_versions!(
    /// What a client hears of its cancelled query is what it hears without pgusher, and its
    /// connection goes on: no answer too many (B2), in any protocol, in and out of a block.
    a_running_query_is_cancelled,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).start();
        let batch = [extended(SLEEP, &[]), extended("SELECT 1", &[]), sync()].concat();
        let heard = |mut client: Raw| {
            let mut heard = Vec::new();
            let mut witness = database.raw();
            for request in [query(SLEEP), query("SELECT 1; SELECT pg_sleep(60); SELECT 2"), batch.clone()] {
                for block in [false, true] {
                    if block {
                        heard.push(client.ask(&query("BEGIN")));
                    }
                    client.send(&request);
                    database.wait_for_running("pg_sleep(60)", 1);
                    client.cancel();
                    heard.push(client.transcript());
                    client.expect_silence(&mut witness);
                    heard.push(client.ask(&query("SELECT 'after'")));
                    heard.push(client.ask(&query("ROLLBACK")));
                    heard.push(client.ask(&query("SELECT 'out'")));
                }
            }
            heard
        };
        let direct = heard(database.raw());
        let last = direct.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(last[..4], ["T E:57014 Z:I", "T D C Z:I", "N:25P01 C Z:I", "T D C Z:I"]);
        assert_eq!(heard(pgusher.raw(&database.name)), direct);
    }
);

both_versions!(
    /// A cancel that comes while nothing runs does nothing, then or later (B2).
    a_cancel_in_silence_does_nothing,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).start();
        let mut client = pgusher.raw(&database.name);
        let mut witness = pgusher.raw(&database.name);
        for _ in 0..20 {
            client.cancel();
            client.expect_silence(&mut witness);
            assert_eq!(client.value("SELECT 1"), "1");
            client.rows("BEGIN");
            client.cancel();
            client.expect_silence(&mut witness);
            assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:T");
            client.rows("COMMIT");
        }
    }
);

both_versions!(
    /// A cancelled client leaves the queue: what it had asked for never runs (B3, G2).
    a_waiting_client_is_cancelled,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let mut holder = pgusher.raw(&database.name);
        let mut waiter = pgusher.raw(&database.name);
        holder.rows("CREATE TABLE t (i int)");
        let insert = "INSERT INTO t VALUES (1)";
        holder.rows("BEGIN");
        let port = pgusher.port();
        let heard = ask_and_cancel(&mut waiter, port, &query(insert), b'Z');
        assert_eq!(heard, "E:57014 Z:I");
        let batch = extended(insert, &[]);
        let heard = ask_and_cancel(&mut waiter, port, &[batch.clone(), sync()].concat(), b'Z');
        assert_eq!(heard, "E:57014 Z:I");
        // C3: no ReadyForQuery before the client's Sync, and nothing of the batch runs.
        assert_eq!(ask_and_cancel(&mut waiter, port, &batch, b'E'), "E:57014");
        assert_eq!(waiter.ask(&[batch, sync()].concat()).types(), "Z:I");
        // Larger than what is held of a waiting client's frame.
        let long = format!("INSERT INTO t SELECT length('{}')", "x".repeat(200_000));
        assert_eq!(ask_and_cancel(&mut waiter, port, &query(&long), b'Z'), "E:57014 Z:I");
        holder.rows("COMMIT");
        assert_eq!(waiter.value("SELECT count(*) FROM t"), "0");
        waiter.rows(insert);
        assert_eq!(holder.value("SELECT count(*) FROM t"), "1");
    }
);

both_versions!(
    /// A late cancel never hits the next client of the server connection (B1).
    a_cancel_never_hits_another_client,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).log_level("info").start();
        let work = "SELECT count(*) FROM generate_series(1, 2000)";
        let batch = [parse("", work), bind("", "", &[]), execute("", 0), sync()].concat();
        let (hits, cancels, turns) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Instant::now();
        // Long enough for something to be tried, on a busy machine too.
        let goes_on = || {
            let counts = [&hits, &cancels, &turns].map(|count| count.load(Ordering::Relaxed));
            let tried = counts.iter().all(|count| *count > 50);
            start.elapsed() < if tried { Duration::from_secs(4) } else { patience() }
        };
        let mut victim = pgusher.raw(&database.name);
        std::thread::scope(|scope| {
            let (pid, secret) = victim.key();
            for _ in 0..2 {
                let (cancels, secret, port) = (&cancels, secret.clone(), pgusher.port());
                let goes_on = &goes_on;
                scope.spawn(move || {
                    while goes_on() {
                        cancel_with(port, pid, &secret);
                        cancels.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            scope.spawn(|| {
                while goes_on() {
                    for request in [&query(work), &batch] {
                        let heard = victim.ask(request).types();
                        assert!(heard.ends_with("Z:I"), "{heard}");
                        if heard.contains("E:57014") {
                            hits.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut other = pgusher.raw(&database.name);
                    while goes_on() {
                        assert_eq!(other.ask(&query(work)).types(), "T D C Z:I");
                        assert_eq!(other.ask(&batch).types(), "1 2 D C Z:I");
                        turns.fetch_add(2, Ordering::Relaxed);
                    }
                });
            }
        });
        // Otherwise nothing was tried.
        let counts = [hits, cancels, turns].map(AtomicUsize::into_inner);
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    }
);

both_versions!(
    /// A flood of cancels, right ones and wrong ones, hurts nobody but who is cancelled (B4).
    a_flood_of_cancels_is_harmless,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(2).log_level("info").start();
        let mut victim = pgusher.raw(&database.name);
        let mut other = pgusher.raw(&database.name);
        let (pid, secret) = victim.key();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for nth in 0..8_u32 {
                let (secret, done, port) = (&secret, &done, pgusher.port());
                scope.spawn(move || {
                    let mut wrong = 0_u32;
                    while !done.load(Ordering::Relaxed) {
                        wrong = wrong.wrapping_add(1);
                        if nth % 2 == 0 {
                            cancel_with(port, pid, secret);
                        } else {
                            cancel_with(port, pid.wrapping_add(wrong % 3), &wrong.to_be_bytes());
                        }
                    }
                });
            }
            let _over = Over(&done);
            for _ in 0..20 {
                let heard = victim.ask(&query(SLEEP)).types();
                assert!(["T E:57014 Z:I", "E:57014 Z:I"].contains(&heard.as_str()), "{heard}");
                for _ in 0..10 {
                    assert_eq!(other.ask(&query("SELECT 1")).types(), "T D C Z:I");
                }
            }
        });
        assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
        assert!(database.connections() <= 2);
    }
);

both_versions!(
    /// Keys are of pgusher's own making, differ, and only the whole key counts (B5).
    only_the_right_key_cancels,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).start();
        let mut clients: Vec<Raw> = (0..50).map(|_| pgusher.raw(&database.name)).collect();
        let mut keys: Vec<_> = clients.iter().map(Raw::key).collect();
        keys.sort();
        keys.dedup_by_key(|(pid, _)| *pid);
        assert_eq!(keys.len(), 50);
        let mut secrets: Vec<_> = keys.iter().map(|(_, secret)| secret.clone()).collect();
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), 50);

        for (version, length) in [(V3_0, 4), (V3_2, 32)] {
            let mut victim = Raw::connect(pgusher.port());
            let params = [("user", "app"), ("database", database.name.as_str())];
            victim.send(&support::message::startup(version, &params));
            victim.authenticate("app", PASSWORD).unwrap();
            let (pid, secret) = victim.key();
            assert_eq!(secret.len(), length);
            victim.send(&query(SLEEP));
            database.wait_for_running("pg_sleep(60)", 1);
            let (witness, stranger) = clients.split_first_mut().unwrap();
            let mut flipped = secret.clone();
            *flipped.last_mut().unwrap() ^= 1;
            let longer = [secret.as_slice(), b"\0"].concat();
            let (_, others) = stranger[0].key();
            let wrong = [&flipped, &longer, &others, &secret[..length - 1].to_vec()];
            for secret in wrong {
                cancel_with(pgusher.port(), pid, secret);
            }
            cancel_with(pgusher.port(), pid ^ 0x8000_0000, &secret);
            victim.expect_silence(witness);
            cancel_with(pgusher.port(), pid, &secret);
            assert_eq!(victim.transcript().types(), "T E:57014 Z:I");
            // A session that is over has no key any more.
            drop(victim);
            cancel_with(pgusher.port(), pid, &secret);
        }
        assert_eq!(clients[0].value("SELECT 1"), "1");
    }
);

both_versions!(
    /// Settings that travel in front of the client's query are not what a cancel hits (B3).
    settings_in_front_survive_a_cancel,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).log_level("info").start();
        let login = |name: &str| {
            let mut client = Raw::connect(pgusher.port());
            let params = [
                ("user", "app"),
                ("database", database.name.as_str()),
                ("application_name", name),
                ("search_path", name),
            ];
            client.startup(&params);
            client.authenticate("app", PASSWORD).unwrap();
            client
        };
        let (mut one, mut other) = (login("one"), login("other"));
        for _ in 0..100 {
            let heard = ask_and_cancel(&mut one, pgusher.port(), &query(SLEEP), b'Z');
            assert!(["T E:57014 Z:I", "E:57014 Z:I"].contains(&heard.as_str()), "{heard}");
            assert_eq!(other.value("SHOW search_path"), "other");
            assert_eq!(one.value("SHOW search_path"), "one");
        }
    }
);

/// A server that gives no key, or the number 0, is left alone, and its client is not hurt (B6).
#[test]
fn a_server_without_keys() {
    for key in [None, Some([0_u8; 8])] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It answers each query when it is asked the next time: the test decides when.
        let (answer, may_answer) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_some(&mut stream);
            let mut hello = message(b'R', &0_i32.to_be_bytes());
            hello.extend(message(b'S', b"client_encoding\0UTF8\0"));
            if let Some(key) = key {
                hello.extend(message(b'K', &key));
            }
            hello.extend(message(b'Z', b"I"));
            stream.write_all(&hello).unwrap();
            while read_some(&mut stream) > 0 {
                may_answer.recv().unwrap();
                let done = [message(b'C', b"SELECT 0\0"), message(b'Z', b"I")].concat();
                stream.write_all(&done).unwrap();
            }
        });
        let config = format!(
            "[databases.keyless]\nurl = \"postgres://app@127.0.0.1:{port}/x?sslmode=disable\"\n"
        );
        let pg = support::postgres(support::Version::V18);
        let pgusher = Pgusher::in_front_of(pg).config(&config).start();
        let mut client = pgusher.raw("keyless");
        let mut witness = pgusher.raw("postgres");
        client.send(&query("SHOW anything"));
        client.cancel();
        client.expect_silence(&mut witness);
        answer.send(()).unwrap();
        assert_eq!(client.transcript().types(), "C Z:I");
        answer.send(()).unwrap();
        assert_eq!(client.ask(&query("SHOW more")).types(), "C Z:I");
    }
}

fn read_some(stream: &mut TcpStream) -> usize {
    stream.read(&mut [0; 1024]).unwrap_or(0)
}
