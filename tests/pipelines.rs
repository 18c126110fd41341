//! Pipelines: many requests under way at once, in every order that the protocol allows, and
//! what becomes of them when something goes wrong in the middle.

mod support;

use std::io::Write as _;

use support::{
    Pgusher, Postgres, Raw, both_versions, eventually,
    message::{bind, describe, execute, extended, flush, function_call, parse, query, sync},
    pgusher::Builder,
};

/// How long the long pipelines are.
const MANY: usize = 10_000;
/// `abs(int4)` in every PostgreSQL.
const ABS: u32 = 1397;

fn pool_of(server: &Postgres, size: usize) -> Builder {
    Pgusher::in_front_of(server)
        .log_level("info")
        .pool_size(size)
        .config("[runtime]\nworkers = 2\nspread = \"even\"")
}

/// Says all this on a thread of its own: who pipelines much must read while it writes.
fn say(client: &Raw, bytes: Vec<u8>) {
    let mut stream = client.stream();
    std::thread::spawn(move || stream.write_all(&bytes));
}

/// Parse, Bind, Execute of the unnamed statement.
fn step(sql: &str, value: &str) -> Vec<u8> {
    [
        parse("", sql),
        bind("", "", &[Some(value.as_bytes())]),
        execute("", 0),
    ]
    .concat()
}

fn batch(sql: &str, value: &str) -> Vec<u8> {
    [step(sql, value), sync()].concat()
}

/// The answer to one step.
fn expect_row(client: &mut Raw, value: &str) {
    client.expect("1");
    client.expect("2");
    let row = client.expect("D");
    assert_eq!(row.columns(), [Some(value.as_bytes().to_vec())]);
    client.expect("C");
}

/// Takes an advisory lock of the database until it is dropped.
struct Held(Raw);

impl Held {
    fn new(database: &support::Database<'_>) -> Self {
        let mut holder = database.raw();
        holder.rows("SELECT pg_advisory_lock(7)");
        Self(holder)
    }

    fn let_go(mut self) {
        self.0.rows("SELECT pg_advisory_unlock(7)");
    }
}

const LOCK: &str = "SELECT pg_advisory_xact_lock(7)";

both_versions!(
    /// Clients share one server connection, each with its whole pipeline; every row reaches the
    /// one who asked for it (C1, C8).
    batches_of_several_clients,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 1).start();
        std::thread::scope(|scope| {
            for who in ["a", "b", "c"] {
                let (pgusher, database) = (&pgusher, &database.name);
                scope.spawn(move || {
                    let mut client = pgusher.raw(database);
                    let one = |i| batch("SELECT $1::text", &format!("{who}{i}"));
                    say(&client, (0..MANY / 4).flat_map(one).collect());
                    for i in 0..MANY / 4 {
                        expect_row(&mut client, &format!("{who}{i}"));
                        client.expect("Z:I");
                    }
                });
            }
        });
    }
);

both_versions!(
    /// One batch of ten thousand steps and one Sync; a waiting client has its turn after it (C1).
    one_batch_of_many_steps,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let steps = (0..MANY).flat_map(|i| step("SELECT $1::text", &i.to_string()));
        say(&client, steps.chain(sync()).collect());
        expect_row(&mut client, "0");
        other.send(&query("SELECT 'other'"));
        for i in 1..MANY {
            expect_row(&mut client, &i.to_string());
        }
        client.expect("Z:I");
        assert_eq!(other.transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// An error in the middle of a long batch: nothing of the rest is answered but the Sync, and
    /// the next client hears nothing of it (C2, C19).
    an_error_in_the_middle_of_one_batch,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        let value = |i| if i == MANY / 2 { "0".into() } else { "7".to_owned() };
        let steps = (0..MANY).flat_map(|i| step("SELECT 7 / $1::int", &value(i)));
        say(&client, steps.chain(sync()).chain(query("SELECT 'next'")).collect());
        for _ in 0..MANY / 2 {
            expect_row(&mut client, "1");
        }
        // After so many executions PostgreSQL has one plan for all values, in which it folds no constant.
        assert_eq!(client.transcript().types(), "1 2 E:22012 Z:I");
        assert_eq!(client.transcript().types(), "T D C Z:I");
        assert_eq!(pgusher.raw(&database.name).value("SELECT 'other'"), "other");
    }
);

both_versions!(
    /// Every third of many batches fails, in whichever of its messages; all are answered in
    /// their order (C1, C2).
    errors_among_many_batches,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (pgusher, database) = (&pgusher, &database.name);
                scope.spawn(move || {
                    let mut client = pgusher.raw(database);
                    let one = |i: usize| match i % 6 {
                        1 => batch("SELECT FROM WHERE $1", "never"),
                        4 => [step("SELECT 1 / $1::int", "0"), batch("SELECT $1::text", "no")].concat(),
                        _ => batch("SELECT $1::text", &i.to_string()),
                    };
                    say(&client, (0..MANY / 4).flat_map(one).collect());
                    for i in 0..MANY / 4 {
                        match i % 6 {
                            1 => assert_eq!(client.transcript().types(), "E:42601 Z:I"),
                            4 => assert_eq!(client.transcript().types(), "1 E:22012 Z:I"),
                            _ => {
                                expect_row(&mut client, &i.to_string());
                                client.expect("Z:I");
                            }
                        }
                    }
                });
            }
        });
    }
);

both_versions!(
    /// Of several Syncs under way the first answered one does not free the server (C1).
    released_after_the_last_sync,
    |pg| {
        let (database, elsewhere) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut witness = pgusher.raw(&elsewhere.name);
        let held = Held::new(&database);
        let blocked = [extended(LOCK, &[]), sync(), sync()].concat();
        client.send(&[batch("SELECT $1::text", "first"), sync(), blocked].concat());
        expect_row(&mut client, "first");
        client.expect("Z:I");
        client.expect("Z:I");
        other.send(&query("SELECT 'other'"));
        other.expect_silence(&mut witness);
        held.let_go();
        assert_eq!(client.transcript().types(), "1 2 T D C Z:I");
        client.expect("Z:I");
        assert_eq!(other.transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// The same with simple queries: one Query's answer is not all that is owed (C1).
    released_after_the_last_query,
    |pg| {
        let (database, elsewhere) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut witness = pgusher.raw(&elsewhere.name);
        let held = Held::new(&database);
        client.send(&[query("SELECT 1"), query(LOCK), query("SELECT 3")].concat());
        assert_eq!(client.transcript().types(), "T D C Z:I");
        other.send(&query("SELECT 'other'"));
        other.expect_silence(&mut witness);
        held.let_go();
        assert_eq!(client.transcript().types(), "T D C Z:I");
        assert_eq!(client.transcript().types(), "T D C Z:I");
        assert_eq!(other.transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// Step by step with Flush: the server stays with the client until its Sync, and every
    /// step is answered at once (C7, C8).
    flush_by_flush,
    |pg| {
        let (database, elsewhere) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut witness = pgusher.raw(&elsewhere.name);
        for round in 0..50 {
            let value = format!("round {round}");
            client.send(&[parse("", "SELECT $1::text"), describe(b'S', ""), flush()].concat());
            assert_eq!(client.transcript_until(b'T').types(), "1 t T");
            if round == 0 {
                other.send(&query("SELECT 'other'"));
                other.expect_silence(&mut witness);
            }
            client.send(&[bind("", "", &[Some(value.as_bytes())]), flush()].concat());
            client.expect("2");
            client.send(&[execute("", 0), flush()].concat());
            assert_eq!(client.expect("D").columns(), [Some(value.into_bytes())]);
            client.expect("C");
            client.send(&sync());
            client.expect("Z:I");
            if round == 0 {
                assert_eq!(other.transcript().types(), "T D C Z:I");
            }
        }
    }
);

both_versions!(
    /// The unnamed statement is the client's own from Parse to Sync, however many clients are at
    /// it at once (C8).
    unnamed_statements_of_many_clients,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 3).start();
        std::thread::scope(|scope| {
            for who in 0..16 {
                let (pgusher, database) = (&pgusher, &database.name);
                scope.spawn(move || {
                    let mut client = pgusher.raw(database);
                    for round in 0..100 {
                        let mine = format!("{who}.{round}");
                        let sql = format!("SELECT '{mine}' || $1::text");
                        client.send(&[parse("", &sql), flush()].concat());
                        client.expect("1");
                        let rest = [bind("", "", &[Some(b"!")]), execute("", 0), sync()];
                        client.send(&rest.concat());
                        client.expect("2");
                        let row = client.expect("D");
                        assert_eq!(row.columns(), [Some(format!("{mine}!").into_bytes())]);
                        client.expect("C");
                        client.expect("Z:I");
                    }
                });
            }
        });
    }
);

both_versions!(
    /// Portals read in pieces over many Syncs, by more clients than there are servers (C9).
    portals_of_many_clients,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        std::thread::scope(|scope| {
            for who in 0..8 {
                let (pgusher, database) = (&pgusher, &database.name);
                scope.spawn(move || {
                    let mut client = pgusher.raw(database);
                    let sql = format!("SELECT {who}000 + i FROM generate_series(0, 99) i");
                    let begin = [extended("BEGIN", &[]), parse("", &sql), bind("p", "", &[])];
                    client.send(&[begin.concat(), sync()].concat());
                    assert_eq!(client.transcript().types(), "1 2 n C 1 2 Z:T");
                    let mut rows = Vec::new();
                    for _ in 0..10 {
                        client.send(&[execute("p", 10), sync()].concat());
                        let heard = client.until_ready();
                        rows.extend(heard.iter().filter(|it| it.tag == b'D').map(|it| it.columns()));
                    }
                    let expected = (0..100).map(|i| format!("{}", who * 1000 + i).into_bytes());
                    assert_eq!(rows, expected.map(|it| vec![Some(it)]).collect::<Vec<_>>());
                    client.rows("COMMIT");
                });
            }
        });
    }
);

both_versions!(
    /// A client that pipelines simple queries and does not read: it is not read from either, so
    /// it takes no memory, holds up nobody, and has all its answers when it wants them (C1).
    queries_without_reading,
    |pg| {
        const QUERIES: usize = 50_000;
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        other.value("SELECT 1");
        let before = pgusher.resident_kb();
        let one = |i: usize| query(&format!("SELECT {i}, repeat('x', 1000)"));
        say(&client, (0..QUERIES).flat_map(one).collect());
        let stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' \
                     AND datname = current_database()";
        eventually("the server is not read from", || database.value(stuck) == "1");
        for _ in 0..100 {
            assert_eq!(other.value("SELECT 'served'"), "served");
        }
        let grown = pgusher.resident_kb().saturating_sub(before);
        assert!(grown < 8_000, "{grown} kB for a client that does not read");
        for i in 0..QUERIES {
            let heard = client.until_ready();
            let row = heard.iter().find(|message| message.tag == b'D');
            let number = row.and_then(|row| row.columns().into_iter().next().flatten());
            assert_eq!(number, Some(i.to_string().into_bytes()));
        }
    }
);

both_versions!(
    /// More requests are under way than are remembered: reading pauses, and none is lost.
    more_than_may_be_outstanding,
    |pg| {
        const SYNCS: usize = 150_000;
        let (database, elsewhere) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        let mut witness = pgusher.raw(&elsewhere.name);
        let before = pgusher.resident_kb();
        let held = Held::new(&database);
        client.send(&query(LOCK));
        say(&client, sync().repeat(SYNCS));
        client.expect_silence(&mut witness);
        let grown = pgusher.resident_kb().saturating_sub(before);
        assert!(grown < 8_000, "{grown} kB");
        held.let_go();
        assert_eq!(client.transcript().types(), "T D C Z:I");
        for _ in 0..SYNCS {
            client.expect("Z:I");
        }
        assert_eq!(client.value("SELECT 'on'"), "on");
    }
);

both_versions!(
    /// A client that never says Sync, and leaves: its work is undone and the server is whoever
    /// is next's (C8, F1).
    never_a_sync,
    |pg| {
        let database = pg.fresh_database();
        database.sql("CREATE TABLE t (i text); GRANT ALL ON t TO PUBLIC");
        let pgusher = pool_of(pg, 1).start();
        let mut client = pgusher.raw(&database.name);
        let insert = |i: usize| step("INSERT INTO t VALUES ($1)", &i.to_string());
        say(&client, (0..MANY / 4).flat_map(insert).chain(flush()).collect());
        for _ in 0..MANY / 4 {
            client.expect("1");
            client.expect("2");
            client.expect("C");
        }
        let mut other = pgusher.raw(&database.name);
        other.send(&query("SELECT count(*) FROM t"));
        drop(client);
        let heard = other.until_ready();
        let row = heard.iter().find(|message| message.tag == b'D').expect("a row");
        assert_eq!(row.columns(), [Some(b"0".to_vec())]);
    }
);

both_versions!(
    /// A client that never says Sync, and stays: it is in a transaction as far as time is
    /// concerned, so it does not keep the server for ever (C8).
    never_a_sync_and_stays,
    |pg| {
        let database = pg.fresh_database();
        let timeouts = "[timeouts]\nidle_transaction_timeout = \"100ms\"";
        let pgusher = pool_of(pg, 1).config(timeouts).start();
        let mut client = pgusher.raw(&database.name);
        client.send(&[step("SELECT $1::text", "mine"), flush()].concat());
        expect_row(&mut client, "mine");
        assert_eq!(pgusher.raw(&database.name).value("SELECT 'other'"), "other");
        // It hears of it when it speaks again, and may go on then.
        let heard = client.ask(&batch("SELECT $1::text", "late"));
        assert_eq!(heard.types(), "E:25P03 Z:I");
        assert_eq!(client.value("SELECT 'on'"), "on");
    }
);

/// A pool of one whose server is taken, and a short patience.
fn taken(server: &'static Postgres) -> (Pgusher, support::Database<'static>, Raw) {
    let database = server.fresh_database();
    database.sql("CREATE TABLE t (i text); GRANT ALL ON t TO PUBLIC");
    let timeouts = "[timeouts]\nquery_wait_timeout = \"1s\"";
    let pgusher = pool_of(server, 1).config(timeouts).start();
    let mut holder = pgusher.raw(&database.name);
    holder.rows("BEGIN");
    (pgusher, database, holder)
}

const INSERT: &str = "INSERT INTO t VALUES ($1)";

both_versions!(
    /// No server for a batch: an error at once, nothing more before the client's own Sync, then
    /// one ReadyForQuery; and nothing of it is ever executed (C3, G2).
    no_server_for_a_batch,
    |pg| {
        let (pgusher, database, mut holder) = taken(pg);
        let (mut client, mut witness) = (pgusher.raw(&database.name), database.raw());
        client.send(&[step(INSERT, "first"), flush()].concat());
        assert_eq!(client.transcript_until(b'E').types(), "E:53300");
        client.send(&[step(INSERT, "second"), query("SELECT 'unheard'"), flush()].concat());
        client.expect_silence(&mut witness);
        client.send(&sync());
        client.expect("Z:I");
        holder.rows("COMMIT");
        assert_eq!(client.value("SELECT count(*) FROM t"), "0");
    }
);

both_versions!(
    /// No server, and several requests have come already: each has its own error and its own
    /// ReadyForQuery, and none is executed (C3, G2).
    no_server_for_several_requests,
    |pg| {
        let (pgusher, database, mut holder) = taken(pg);
        let mut client = pgusher.raw(&database.name);
        let simple = query("INSERT INTO t VALUES ('simple')");
        let all = [batch(INSERT, "one"), batch(INSERT, "two"), simple, sync()].concat();
        client.send(&all);
        for _ in 0..3 {
            assert_eq!(client.transcript().types(), "E:53300 Z:I");
        }
        client.expect("Z:I");
        holder.rows("COMMIT");
        assert_eq!(client.value("SELECT count(*) FROM t"), "0");
    }
);

both_versions!(
    /// A client that leaves while it waits is not served later (G2).
    gone_while_waiting,
    |pg| {
        let (pgusher, database, mut holder) = taken(pg);
        let before = pgusher.open_files();
        for _ in 0..20 {
            pgusher.raw(&database.name).send(&batch(INSERT, "gone"));
        }
        // One whose leave was not noticed yet may be served, as PostgreSQL would.
        eventually("all are gone", || pgusher.open_files() <= before);
        holder.rows("COMMIT");
        assert_eq!(pgusher.raw(&database.name).value("SELECT count(*) FROM t"), "0");
    }
);

both_versions!(
    /// FunctionCalls: each is answered by itself, as a Query is (C17).
    function_calls,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = pool_of(pg, 2).start();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (pgusher, database) = (&pgusher, &database.name);
                scope.spawn(move || {
                    let mut client = pgusher.raw(database);
                    let call = |i: i32| function_call(ABS, &[Some((-i).to_string().as_bytes())]);
                    let wrong = function_call(ABS, &[Some(b"no number")]);
                    let all = (0..1_000).flat_map(|i| [call(i), wrong.clone()].concat());
                    say(&client, all.collect());
                    for i in 0..1_000_i32 {
                        let value = client.expect("V");
                        assert_eq!(value.body[4..], *i.to_string().as_bytes());
                        client.expect("Z:I");
                        assert_eq!(client.transcript().types(), "E:22P02 Z:I");
                    }
                });
            }
        });
    }
);

both_versions!(
    /// FunctionCalls in a transaction keep the server; one that fails fails the transaction (C17).
    function_calls_in_a_transaction,
    |pg| {
        let (database, elsewhere) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = pool_of(pg, 1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut witness = pgusher.raw(&elsewhere.name);
        client.rows("BEGIN");
        assert_eq!(client.ask(&function_call(ABS, &[Some(b"-1")])).types(), "V Z:T");
        other.send(&query("SELECT 'other'"));
        other.expect_silence(&mut witness);
        assert_eq!(client.ask(&function_call(ABS, &[Some(b"x")])).types(), "E:22P02 Z:E");
        assert_eq!(client.ask(&function_call(ABS, &[Some(b"-1")])).types(), "E:25P02 Z:E");
        other.expect_silence(&mut witness);
        assert_eq!(client.ask(&query("ROLLBACK")).types(), "C Z:I");
        assert_eq!(other.transcript().types(), "T D C Z:I");
    }
);
