//! A statement that meets a server connection which has not parsed it, after tables have changed (C12).
//!
//! Two clients: one talks to PostgreSQL, the other to pgusher with two server connections. Between
//! the writes of the second, somebody takes the server connection that it had, so that its
//! statements have to be parsed anew on the other one.

use crate::{
    login,
    stage::Write,
    support::{
        Message, Pgusher, Postgres, Raw, both_versions,
        message::{bind, close, describe, execute, extended, flush, lossy, parse, query, sync},
    },
};

const MAKE: &str = "DROP TABLE IF EXISTS made, other; CREATE TABLE made (v int, w text); CREATE TABLE other (v int);
    INSERT INTO made VALUES (1, 'one')";

/// What of a reply is the same wherever it comes from.
fn heard(messages: &[Message]) -> Vec<String> {
    let of_error = |it: &Message| {
        let field = |code| it.field(code).unwrap_or_default();
        format!("E {} {} {}", it.sqlstate(), it.text(), field(b'R'))
    };
    let tell = |it: &Message| match it.tag {
        b'E' => Some(of_error(it)),
        // PostgreSQL says what a statement takes before it says that its rows have changed.
        b't' | b'N' => None,
        _ => Some(it.notation()),
    };
    messages.iter().filter_map(tell).collect()
}

/// What a client hears to which `before` and `after` are said, and somebody else does `change` in between.
fn hear(
    connect: impl Fn() -> Raw,
    elsewhere: bool,
    before: &[u8],
    change: &str,
    after: &[Write],
) -> Vec<String> {
    let (mut client, mut changer) = (connect(), connect());
    changer.rows(MAKE);
    client.send(&[before, &query("SELECT pg_backend_pid()")].concat());
    let mut all = heard(&client.until_ready());
    let pid = value_in(&client.until_ready());
    assert!(all.contains(&"T".to_owned()), "it was described: {all:?}");
    changer.rows(change);
    let _holder = elsewhere.then(|| take(&pid, &connect));
    for (write, ready) in after {
        client.send(write);
        for _ in 0..*ready {
            all.extend(heard(&client.until_ready()));
        }
    }
    all
}

/// The one value among the replies.
#[track_caller]
fn value_in(messages: &[Message]) -> String {
    let row = messages.iter().find(|it| it.tag == b'D');
    let mut values = row.map(Message::columns).unwrap_or_default();
    let Some(Some(value)) = values.pop() else {
        panic!("no value in {messages:?}");
    };
    lossy(&value)
}

/// Takes the server connection with this process, of two, so that others get the other one.
fn take(pid: &str, connect: impl Fn() -> Raw) -> Raw {
    take_one(connect, |it| it == pid)
}

/// Takes the other one.
fn leave(pid: &str, connect: impl Fn() -> Raw) -> Raw {
    take_one(connect, |it| it != pid)
}

fn take_one(connect: impl Fn() -> Raw, is_it: impl Fn(&str) -> bool) -> Raw {
    let mut holders = [connect(), connect()];
    for holder in &mut holders {
        holder.rows("BEGIN");
    }
    let mut holders = holders.into_iter();
    let found =
        holders.find_map(|mut it| is_it(&it.value("SELECT pg_backend_pid()")).then_some(it));
    for mut other in holders {
        other.rows("COMMIT");
    }
    let Some(found) = found else {
        panic!("it is none of the two");
    };
    found
}

#[track_caller]
fn compare(server: &Postgres, before: &[u8], change: &str, after: &[Write]) {
    let database = server.fresh_database();
    let direct = hear(|| database.raw(), false, before, change, after);
    let pgusher = Pgusher::in_front_of(server).pool_size(2).start();
    let connect = || login(pgusher.port(), "app", &database.name, &[]);
    assert_eq!(
        direct,
        hear(connect, true, before, change, after),
        "{change}"
    );
}

fn prepare(name: &str, sql: &str) -> Vec<u8> {
    [parse(name, sql), describe(b'S', name), sync()].concat()
}

fn run(name: &str) -> Vec<u8> {
    [bind("", name, &[]), execute("", 0), sync()].concat()
}

const OTHER_TYPE: &str = "ALTER TABLE made ALTER v TYPE text";

both_versions! {
    /// C12
    seen_by_a_connection_that_had_not_parsed_it, |server| {
        let all = prepare("s", "SELECT * FROM made");
        let again = |sql: &str| [close(b'S', "s"), prepare("s", sql)].concat();
        for change in [OTHER_TYPE, "ALTER TABLE made ADD x int", "ALTER TABLE made DROP v", "ALTER TABLE made RENAME v TO x",
            "DROP TABLE made; CREATE TABLE made (v text, w text)", "DO $$ BEGIN ALTER TABLE made ADD x int; END $$"] {
            compare(server, &all, change, &[
                (run("s"), 1),
                // It stays so, until it is prepared anew.
                (run("s"), 1),
                ([describe(b'S', "s"), sync()].concat(), 1),
                (query("EXECUTE s"), 1),
                (again("SELECT * FROM made"), 1),
                (run("s"), 1),
            ]);
        }
    }
}

both_versions! {
    /// C12
    nothing_that_concerns_it_has_changed, |server| {
        for (sql, change) in [
            ("SELECT * FROM made", "ALTER TABLE other ADD x int"),
            ("SELECT * FROM made", "CREATE TABLE IF NOT EXISTS another (v int)"),
            ("SELECT w FROM made", OTHER_TYPE),
            ("SELECT v FROM made", "DROP TABLE made; CREATE TABLE made (v int, x int); INSERT INTO made VALUES (2, 3)"),
        ] {
            compare(server, &prepare("s", sql), change, &[(run("s"), 1), (query("EXECUTE s"), 1), (run("s"), 1)]);
        }
    }
}

both_versions! {
    /// C12: the rest of the batch is skipped, a block has failed.
    in_batches_and_blocks, |server| {
        let all = prepare("s", "SELECT * FROM made");
        let insert = || extended("INSERT INTO other VALUES (1)", &[]);
        let count = || (query("SELECT count(*) FROM other"), 1);
        let bound = || [bind("", "s", &[]), execute("", 0)].concat();
        for after in [
            vec![([insert(), bound(), insert(), sync()].concat(), 1), count()],
            vec![([bound(), insert(), sync(), insert(), sync()].concat(), 2), count()],
            vec![(query("BEGIN"), 1), ([insert(), sync()].concat(), 1), (run("s"), 1), (query("SELECT 1"), 1), (query("ROLLBACK"), 1), count()],
            vec![(query("BEGIN"), 1), ([insert(), sync()].concat(), 1), (query("EXECUTE s"), 1), (query("COMMIT"), 1), count()],
            vec![(query("BEGIN"), 1), (query("SAVEPOINT a"), 1), (run("s"), 1), (query("ROLLBACK TO a"), 1), ([insert(), sync()].concat(), 1),
                (query("COMMIT"), 1), count()],
            vec![([query("BEGIN"), insert(), sync(), run("s"), query("ROLLBACK")].concat(), 4), count()],
            vec![([flush(), bound(), flush(), sync()].concat(), 1), count()],
        ] {
            compare(server, &all, OTHER_TYPE, &after);
        }
    }
}

both_versions! {
    /// C12: one that takes something else now is refused too, where PostgreSQL would convert what it takes: the
    /// driver knows one type, and the server connection another.
    what_it_takes, |server| {
        let (pgusher, database) = (Pgusher::in_front_of(server).pool_size(2).start(), server.fresh_database());
        let connect = || login(pgusher.port(), "app", &database.name, &[]);
        let (mut client, mut changer) = (connect(), connect());
        changer.rows(MAKE);
        client.send(&[prepare("s", "INSERT INTO made VALUES ($1)"), query("SELECT pg_backend_pid()")].concat());
        client.until_ready();
        let pid = value_in(&client.until_ready());
        changer.rows("ALTER TABLE made ALTER v TYPE bigint");
        let _holder = take(&pid, connect);
        client.send(&[bind("", "s", &[Some(b"7")]), execute("", 0), sync()].concat());
        let expected = ["E 0A000 cached plan must not change result type RevalidateCachedQuery", "Z:I"];
        assert_eq!(heard(&client.until_ready()), expected);
        assert_eq!(client.value("SELECT count(*) FROM made"), "1");
    }
}

both_versions! {
    /// C12: a change that went past pgusher is known when the first statement has met it.
    past_pgusher, |server| {
        let (pgusher, database) = (Pgusher::in_front_of(server).pool_size(2).start(), server.fresh_database());
        let connect = || login(pgusher.port(), "app", &database.name, &[]);
        let (mut client, mut other) = (connect(), connect());
        database.raw().rows(MAKE);
        client.send(&[prepare("s", "SELECT * FROM made"), query("SELECT pg_backend_pid()")].concat());
        client.until_ready();
        let pid = value_in(&client.until_ready());
        database.raw().rows(OTHER_TYPE);
        let refused = ["E 0A000 cached plan must not change result type RevalidateCachedQuery", "Z:I"];
        let ask = |client: &mut Raw, bytes: &[u8]| {
            client.send(bytes);
            heard(&client.until_ready())
        };
        // PostgreSQL says so where it was parsed, and from then on pgusher does elsewhere.
        let holder = leave(&pid, connect);
        assert_eq!(ask(&mut client, &run("s")), refused);
        drop(holder);
        let holder = take(&pid, connect);
        assert_eq!(ask(&mut client, &run("s")), refused);
        // Who prepares it anew gets a new one, here and there.
        assert_eq!(ask(&mut other, &prepare("q", "SELECT * FROM made")), ["1", "T", "Z:I"]);
        assert_eq!(ask(&mut other, &run("q")), ["2", "D", "C", "Z:I"]);
        drop(holder);
        let _holder = leave(&pid, connect);
        assert_eq!(ask(&mut other, &run("q")), ["2", "D", "C", "Z:I"]);
    }
}
