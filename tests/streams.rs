//! What is too large to be held: COPY, large values, large results, and many clients. It passes
//! through at the speed of the slower side, in bounded memory that is given back afterwards.
//!
//! `PGUSHER_TEST_STREAM_MB` is the size of a stream (64), `PGUSHER_TEST_LARGE=1` makes it 1 GB.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what is not as expected ends the test, and what was measured is said"
)]

#[path = "streams/idle_tls.rs"]
mod idle_tls;
#[path = "tls/rust.rs"]
mod rust;
mod support;

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use support::{
    Pgusher, Postgres, Raw, both_versions, eventually,
    message::{bind, copy_data, copy_done, copy_fail, execute, extended, parse, query, sync},
    patience,
    pgusher::Builder,
};

/// What a pgusher may grow by while anything passes through it, in kB.
const GROWTH: u64 = 8_000;

/// How large a stream is, in bytes.
fn size() -> usize {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<usize>().ok())
    };
    let large = number("PGUSHER_TEST_LARGE")
        .filter(|it| *it > 0)
        .map(|_| 1_000);
    large
        .or_else(|| number("PGUSHER_TEST_STREAM_MB"))
        .unwrap_or(64)
        << 20
}

fn pool_of(server: &Postgres, size: usize) -> Builder {
    Pgusher::in_front_of(server)
        .log_level("info")
        .pool_size(size)
        .config("[runtime]\nworkers = 1")
}

/// Watches how much memory a pgusher holds, at its most.
struct Watch<'a> {
    before: u64,
    most: AtomicU64,
    over: AtomicBool,
    pgusher: &'a Pgusher,
}

impl<'a> Watch<'a> {
    fn new(pgusher: &'a Pgusher) -> Self {
        let before = pgusher.resident_kb();
        let (most, over) = (AtomicU64::new(before), AtomicBool::new(false));
        Self {
            before,
            most,
            over,
            pgusher,
        }
    }

    /// What it grew by at its most while `work` was done, in kB.
    fn growth_during(&self, work: impl FnOnce()) -> u64 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !self.over.load(Ordering::Relaxed) {
                    self.most
                        .fetch_max(self.pgusher.resident_kb(), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            // Also when `work` fails: a scope waits for its threads.
            let _end = End(&self.over);
            work();
        });
        self.most.load(Ordering::Relaxed) - self.before
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work`; fails if pgusher's memory grew by more than it may.
#[track_caller]
fn in_bounded_memory(pgusher: &Pgusher, work: impl FnOnce()) {
    let growth = Watch::new(pgusher).growth_during(work);
    println!("grew by {growth} kB");
    assert!(growth < GROWTH, "pgusher grew by {growth} kB");
}

/// Messages by type, and the bytes of their bodies: for results that nobody wants to keep.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    rows: usize,
    bytes: usize,
    errors: usize,
}

/// Reads messages up to and with the next ReadyForQuery, and counts them. Nothing may have been
/// read ahead.
fn count_until_ready(stream: &TcpStream) -> io::Result<Count> {
    let mut reader = io::BufReader::with_capacity(65_536, stream);
    let mut count = Count::default();
    loop {
        let mut header = [0; 5];
        reader.read_exact(&mut header)?;
        let [tag, length @ ..] = header;
        let body = u64::from(u32::from_be_bytes(length)) - 4;
        let read = io::copy(&mut reader.by_ref().take(body), &mut io::sink())?;
        if read < body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match tag {
            b'D' | b'd' => {
                count.rows += 1;
                count.bytes += usize::try_from(body).unwrap();
            }
            b'E' => count.errors += 1,
            b'Z' => return Ok(count),
            _ => {}
        }
    }
}

/// A row of a COPY, 1,000 bytes with its end of line.
fn line(i: usize) -> Vec<u8> {
    let mut line = format!("{i}\t");
    line.extend(std::iter::repeat_n('x', 999 - line.len()));
    line.push('\n');
    line.into_bytes()
}

const LINE: usize = 1_000;
const IN: &str = "COPY big FROM STDIN";

fn table(database: &support::Database<'_>) {
    database.sql("CREATE UNLOGGED TABLE big (i int, x text); GRANT ALL ON big TO PUBLIC");
}

/// Sends rows in messages that end anywhere; says how many were meant.
fn send_rows(client: &Raw, bytes: usize) -> JoinHandle<io::Result<()>> {
    let mut stream = client.stream();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        for i in 0..bytes / LINE {
            text.extend(line(i));
            // Larger and smaller than what pgusher holds at once, in turns.
            let piece = if i % 7 == 0 { 200_003 } else { 30_011 };
            if text.len() >= piece {
                stream.write_all(&copy_data(&text))?;
                text.clear();
            }
        }
        stream.write_all(&copy_data(&text))?;
        stream.write_all(&copy_done())
    })
}

both_versions!(
    /// COPY in (C15, D3).
    copy_in,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        client.value("SELECT 1");
        in_bounded_memory(&pgusher, || {
            client.send(&query(IN));
            client.expect("G");
            other.send(&query("SELECT count(*), sum(i::bigint), sum(length(x)) FROM big"));
            send_rows(&client, size()).join().unwrap().expect("all is taken");
            assert_eq!(client.transcript().types(), "C Z:I");
        });
        let rows = size() / LINE;
        // The other had to wait until the COPY was over (D3).
        let heard = other.until_ready();
        let row = heard.iter().find(|message| message.tag == b'D').expect("a row");
        let digits: usize = (0..rows).map(|i| i.to_string().len()).sum();
        let expected = [rows, rows * (rows - 1) / 2, rows * (LINE - 2) - digits];
        assert_eq!(row.columns(), expected.map(|it| Some(it.to_string().into_bytes())));
    }
);

both_versions!(
    /// COPY out (D4).
    copy_out,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        client.value("SELECT 1");
        let rows = size() / LINE;
        in_bounded_memory(&pgusher, || {
            let sql = format!(
                "COPY (SELECT repeat('x', 999) FROM generate_series(1, {rows})) TO STDOUT"
            );
            client.send(&query(&sql));
            let count = count_until_ready(&client.stream()).expect("all of it");
            assert_eq!(count, Count { rows, bytes: rows * LINE, errors: 0 });
        });
        assert_eq!(client.value("SELECT 'on'"), "on");
    }
);

both_versions!(
    /// The server fails early and the client goes on sending for long: it is told at once, what
    /// it still sends is dropped, and the server is somebody else's meanwhile (D1).
    copy_in_that_fails,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        other.value("SELECT 1");
        in_bounded_memory(&pgusher, || {
            client.send(&query(IN));
            client.expect("G");
            client.send(&copy_data(b"no number\tx\n"));
            assert_eq!(client.transcript().types(), "E:22P02 Z:I");
            let sending = send_rows(&client, size());
            for _ in 0..20 {
                assert_eq!(other.value("SELECT count(*) FROM big"), "0");
            }
            sending.join().unwrap().expect("all is taken");
            assert_eq!(client.value("SELECT 'on'"), "on");
        });
    }
);

both_versions!(
    /// The same when the client does not look before it has sent everything (D1).
    copy_in_that_fails_unseen,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        client.send(&query(IN));
        client.send(&copy_data(b"no number\tx\n"));
        send_rows(&client, size()).join().unwrap().expect("all is taken");
        assert_eq!(client.transcript().types(), "G E:22P02 Z:I");
        assert_eq!(client.value("SELECT count(*) FROM big"), "0");
    }
);

both_versions!(
    /// And by the extended protocol: skipped to the Sync (D1, D2).
    extended_copy_in_that_fails,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        client.send(&[parse("", IN), bind("", "", &[]), execute("", 0)].concat());
        client.send(&copy_data(b"no number\tx\n"));
        send_rows(&client, size() / 4).join().unwrap().expect("all is taken");
        client.send(&sync());
        assert_eq!(client.transcript().types(), "1 2 G E:22P02 Z:I");
        assert_eq!(client.value("SELECT count(*) FROM big"), "0");
    }
);

both_versions!(
    /// The client gives up after much data.
    copy_fail_after_much,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        let data: Vec<u8> = (0..8_000).flat_map(line).collect();
        client.send(&[query(IN), copy_data(&data), copy_fail("changed my mind")].concat());
        assert_eq!(client.transcript().types(), "G E:57014 Z:I");
        assert_eq!(client.value("SELECT count(*) FROM big"), "0");
    }
);

both_versions!(
    /// Syncs before and within much data do not count (D2).
    sync_before_copy_done,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let data: Vec<u8> = (0..1_000).flat_map(line).collect();
        client.send(&[parse("", IN), bind("", "", &[]), execute("", 0), sync()].concat());
        client.send(&[copy_data(&data), sync(), copy_data(&data)].concat());
        assert_eq!(client.transcript_until(b'G').types(), "1 2 G");
        other.send(&query("SELECT count(*) FROM big"));
        client.send(&[sync(), copy_data(&data), copy_done(), sync()].concat());
        assert_eq!(client.transcript().types(), "C Z:I");
        let heard = other.until_ready();
        let row = heard.iter().find(|message| message.tag == b'D').expect("a row");
        assert_eq!(row.columns(), [Some(b"3000".to_vec())]);
    }
);

both_versions!(
    /// One value of 64 MiB, there and back (C15).
    one_large_value,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        let value: Vec<u8> = (0..64 << 20).map(|i: u32| b'a' + (i % 25) as u8).collect();
        client.value("SELECT 1");
        in_bounded_memory(&pgusher, || {
            client.send(&[extended("SELECT $1::text", &[Some(&value)]), sync()].concat());
            let heard = client.until_ready();
            let row = heard.iter().find(|message| message.tag == b'D').expect("a row");
            // Not by `assert_eq`: nobody wants to read 64 MiB.
            assert!(row.columns() == [Some(value)], "the value came back changed");
        });
        assert_eq!(client.value("SELECT 'on'"), "on");
    }
);

both_versions!(
    /// A million rows to a reader that stalls, and then reads: the server waits, not pgusher's
    /// memory, and nothing is lost (D4).
    a_result_to_a_slow_reader,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        other.value("SELECT 1");
        in_bounded_memory(&pgusher, || {
            client.send(&query("SELECT i, 'and some text' FROM generate_series(1, 1000000) i"));
            let stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' \
                         AND datname = current_database()";
            eventually("the server waits for its reader", || database.value(stuck) == "1");
            for _ in 0..100 {
                assert_eq!(other.value("SELECT 'served'"), "served");
            }
            let digits: usize = (1..=1_000_000_usize).map(|i| i.to_string().len()).sum();
            let expected = Count {
                rows: 1_000_000,
                bytes: digits + 1_000_000 * (2 + 4 + 4 + "and some text".len()),
                errors: 0,
            };
            assert_eq!(count_until_ready(&client.stream()).expect("all of it"), expected);
        });
    }
);

both_versions!(
    /// A client that leaves in the middle of a result, of a row, and of a COPY: the next one on
    /// the same pool hears its own answers and nothing else (D4, C18).
    gone_in_the_middle,
    |pg| {
        let database = pg.fresh_database();
        table(&database);
        let pgusher = pool_of(pg, 1).start();
        let half_a_row = copy_data(&line(1)).split_at(500).0.to_vec();
        let long = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)";
        let leave = [
            (query(long), b'T'),
            (query("SELECT repeat('x', 100000000)"), b'T'),
            (query("COPY (SELECT repeat('x', 50000000)) TO STDOUT"), b'H'),
            ([query(IN), copy_data(&line(1))].concat(), b'G'),
            ([query(IN), half_a_row].concat(), b'G'),
        ];
        for (request, first) in leave {
            let mut client = pgusher.raw(&database.name);
            client.send(&request);
            client.until(first);
            drop(client);
            let mut next = pgusher.raw(&database.name);
            assert_eq!(next.ask(&query("SELECT 'mine'")).types(), "T D C Z:I");
            assert_eq!(next.value("SELECT count(*) FROM big"), "0");
        }
    }
);

/// How long each of these takes: half of them no longer than the first, none longer than the second.
fn waits(client: &mut Raw, mut go_on: impl FnMut() -> bool) -> (Duration, Duration, usize) {
    let mut times = Vec::new();
    while go_on() {
        let start = Instant::now();
        assert_eq!(client.value("SELECT 1"), "1");
        times.push(start.elapsed());
    }
    times.sort();
    let longest = times.last().copied().unwrap_or_default();
    (
        times.get(times.len() / 2).copied().unwrap_or_default(),
        longest,
        times.len(),
    )
}

both_versions!(
    /// One huge stream beside a small client, on one thread: the small one is served in between (D5).
    a_stream_beside_a_small_client,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        other.value("SELECT 1");
        let rows = size() * 4 / LINE;
        let over = AtomicBool::new(false);
        let (half, longest, count) = std::thread::scope(|scope| {
            scope.spawn(|| {
                let _end = End(&over);
                let sql = format!("SELECT repeat('x', 989) FROM generate_series(1, {rows})");
                client.send(&query(&sql));
                let count = count_until_ready(&client.stream()).unwrap_or_else(|error| {
                    let servers = "SELECT pid, state, wait_event, left(query, 40) FROM pg_stat_activity \
                                   WHERE datname = current_database()";
                    panic!("{error}; the servers: {:?}", database.sql(servers))
                });
                assert_eq!(count.rows, rows);
            });
            waits(&mut other, || !over.load(Ordering::Relaxed))
        });
        println!("{count} small queries: half within {half:?}, all within {longest:?}");
        assert!(count > 5, "the stream left room for {count} queries only");
        // Wide enough for a machine with ten times more to do than it can: what must not be is a
        // small query that waits for the end of the stream.
        assert!(half < Duration::from_millis(250), "half of them took {half:?} and longer");
        assert!(longest < Duration::from_secs(2), "one took {longest:?}");
    }
);

both_versions!(
    /// What a large message took is given back when it has passed (I1).
    memory_after_large_messages,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 4).start();
        let mut clients: Vec<Raw> = (0..20).map(|_| pgusher.raw(&database.name)).collect();
        clients.iter_mut().for_each(|client| _ = client.value("SELECT 1"));
        let before = pgusher.resident_kb();
        let value = vec![b'x'; 4 << 20];
        for client in &mut clients {
            client.ask(&[extended("SELECT $1::text", &[Some(&value)]), sync()].concat());
            client.ask(&query(&format!("SELECT length('{}')", "x".repeat(1 << 20))));
        }
        let after = pgusher.resident_kb();
        println!("{before} kB before, {after} kB after");
        assert!(after < before + 2_000, "{before} kB before, {after} kB after");
    }
);

/// Lets this process, and those that it starts, open as many files as the system allows, and
/// says how many that are.
fn open_files() -> usize {
    let me = std::process::id().to_string();
    let limit = || {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let mut numbers = line
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned);
        (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        )
    };
    let hard = limit().1;
    // Where there is no `prlimit` the limit stays as it is.
    let _ = Command::new("prlimit")
        .args(["--pid", &me, &format!("--nofile={hard}:{hard}")])
        .status();
    limit().0.parse().unwrap_or(0)
}

/// How many clients a burst has.
const BURST: usize = 500;

/// So many clients at once, each with an answer under way and half a request of 20,000 bytes; all
/// leave. What pgusher held meanwhile, in kB.
fn burst(pgusher: &Pgusher, database: &support::Database<'_>, count: usize) -> u64 {
    let files = pgusher.open_files();
    let mut clients: Vec<Raw> = (0..count).map(|_| pgusher.raw(&database.name)).collect();
    for client in &mut clients {
        client.send(&query("SELECT repeat('x', 20000)"));
        client.send(&query(&"x".repeat(20_000))[..15_000]);
    }
    for client in &mut clients {
        assert_eq!(client.transcript().types(), "T D C Z:I");
    }
    let during = pgusher.resident_kb();
    drop(clients);
    // Neither they nor their requests are left.
    let asking = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = '{}' AND state <> 'idle' AND pid <> pg_backend_pid()",
        database.name
    );
    eventually("all have left", || {
        pgusher.open_files() < files + count / 2 && database.value(&asking) == "0"
    });
    during
}

both_versions!(
    /// Bursts of clients leave nothing behind that the next burst does not use again (K4).
    memory_after_bursts,
    |pg| {
        if open_files() < 2 * BURST {
            println!("skipped: too few files may be open");
            return;
        }
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        let most: Vec<u64> = (0..8).map(|_| burst(&pgusher, &database, BURST)).collect();
        println!("{most:?} kB with {BURST} clients, {} kB after", pgusher.resident_kb());
        // What leaks is in every one that follows. That one of them meets pages which the allocator
        // has not swept yet, or finds some swept, says nothing.
        let mut growth: Vec<_> = most.windows(2).map(|it| it[1] as i64 - it[0] as i64).collect();
        growth.sort_unstable();
        let usual = growth[growth.len() / 2];
        assert!(usual < 300, "each burst takes {usual} kB more: {most:?} kB");
    }
);

/// What a burst of clients took is given back to the system when it is over (K4, I1, I6).
#[cfg(feature = "jemalloc")]
#[test]
fn memory_is_given_back_after_a_burst() {
    let pg = support::postgres(support::Version::V18);
    if open_files() < 2 * BURST {
        println!("skipped: too few files may be open");
        return;
    }
    let database = pg.fresh_database();
    let pgusher = pool_of(pg, 2).start();
    burst(&pgusher, &database, 10);
    let before = pgusher.resident_kb();
    let during = burst(&pgusher, &database, BURST);
    println!(
        "{before} kB before, {during} kB with {BURST} clients, {} kB after",
        pgusher.resident_kb()
    );
    // The allocator keeps pages for ten seconds, should another burst come: that is half of what
    // others have patience for, and its thread may be late.
    let deadline = Instant::now() + 3 * patience();
    while pgusher.resident_kb() >= before + 3_000 {
        assert!(
            Instant::now() < deadline,
            "{} kB are not given back",
            pgusher.resident_kb()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

both_versions!(
    /// Five thousand clients that have asked once and are silent since: what each of them takes, also
    /// when it has prepared a statement (I1, I4, I5).
    idle_clients,
    |pg| {
        const CLIENTS: usize = 5_000;
        let files = open_files();
        if files < CLIENTS + 500 {
            println!("skipped: {files} files may be open, {CLIENTS} clients need more");
            return;
        }
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).listen("max_clients = 6000").start();
        let mut clients: Vec<Raw> = Vec::with_capacity(CLIENTS);
        let connect = |clients: &mut Vec<Raw>, count| {
            for _ in 0..count {
                let mut client = pgusher.raw(&database.name);
                client.value("SELECT 1");
                clients.push(client);
            }
        };
        connect(&mut clients, 100);
        let before = pgusher.resident_kb();
        connect(&mut clients, CLIENTS - 100);
        let each = (pgusher.resident_kb() - before) * 1024 / (CLIENTS as u64 - 100);
        println!("{each} bytes for each of {CLIENTS} idle clients");
        assert!(each < 3_000, "{each} bytes for each idle client");
        for client in clients.iter_mut().skip(100) {
            client.ask(&[parse("by_id", "SELECT $1::int"), sync()].concat());
        }
        let each = (pgusher.resident_kb() - before) * 1024 / (CLIENTS as u64 - 100);
        println!("{each} bytes for each when it has prepared a statement");
        assert!(each < 4_000, "{each} bytes for each idle client with a statement");
        // And they are served as if they were few.
        let start = Instant::now();
        for client in clients.iter_mut().step_by(50) {
            assert_eq!(client.value("SELECT 'on'"), "on");
        }
        assert!(start.elapsed() < patience());
    }
);
