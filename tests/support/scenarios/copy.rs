//! COPY: the part of the protocol where both sides speak at once.

use super::{Raw, Scenario, Transcript, joined, scenarios};
use crate::support::message::{bind, copy_data, copy_done, copy_fail, execute, parse, query, sync};

fn table(client: &mut Raw) {
    client.rows("CREATE TABLE IF NOT EXISTS numbers (i int)");
}

fn start(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[]), execute("", 0)].concat()
}

const IN: &str = "COPY numbers FROM STDIN";

scenarios! {
    /// Rows in.
    copy_in: "G C Z:I T D C Z:I" => |client| {
        table(client);
        client.send(&query(IN));
        let answer = client.transcript_until(b'G');
        let data = [copy_data(b"1\n2\n"), copy_data(b"3"), copy_data(b"\n"), copy_done()].concat();
        joined([answer, client.ask(&data), client.ask(&query("SELECT sum(i) FROM numbers"))])
    };

    /// Everything in one packet, before the server has answered.
    copy_in_at_once: "G C Z:I T D C Z:I" => |client| {
        table(client);
        joined([
            client.ask(&[query(IN), copy_data(b"1\n2\n"), copy_done()].concat()),
            client.ask(&query("SELECT sum(i) FROM numbers")),
        ])
    };

    /// Rows in by one statement among others.
    copy_among_others: "T D C G C T D C Z:I" => |client| {
        table(client);
        let sql = format!("SELECT 1; {IN}; SELECT count(*) FROM numbers");
        client.ask(&[query(&sql), copy_data(b"1\n2\n"), copy_done()].concat())
    };

    /// The server fails while the client still sends; what comes late is dropped (D1).
    copy_in_failing: "G E:22P02 Z:I T D C Z:I T D C Z:I" => |client| {
        table(client);
        let late = [copy_data(b"3\n"), copy_data(b"4\n"), copy_done()].concat();
        let data = [query(IN), copy_data(b"1\n"), copy_data(b"no number\n"), late].concat();
        joined([
            client.ask(&data),
            client.ask(&query("SELECT 'next'")),
            client.ask(&query("SELECT count(*) FROM numbers")),
        ])
    };

    /// CopyDone that comes after the error was read (D1).
    late_copy_done: "G E:22P02 Z:I T D C Z:I" => |client| {
        table(client);
        let failed = client.ask(&[query(IN), copy_data(b"no number\n1\n2\n")].concat());
        client.send(&[copy_data(b"3\n"), copy_done()].concat());
        joined([failed, client.ask(&query("SELECT count(*) FROM numbers"))])
    };

    /// A COPY that cannot even begin; the eager client sends its data all the same (D1).
    copy_that_never_began: "E:42P01 Z:I T D C Z:I" => |client| joined([
        client.ask(&[
            query("COPY no_such_table FROM STDIN"),
            copy_data(b"1\n"),
            copy_done(),
        ].concat()),
        client.ask(&query("SELECT 'next'")),
    ]);

    /// The client gives up.
    copy_fail_by_client: "G E:57014 Z:I T D C Z:I" => |client| {
        table(client);
        joined([
            client.ask(&[query(IN), copy_data(b"1\n"), copy_fail("changed my mind")].concat()),
            client.ask(&query("SELECT count(*) FROM numbers")),
        ])
    };

    /// The client gives up inside a transaction.
    copy_fail_in_transaction: "C Z:T G E:57014 Z:E C Z:I" => |client| {
        table(client);
        joined([
            client.ask(&query("BEGIN")),
            client.ask(&[query(IN), copy_fail("changed my mind")].concat()),
            client.ask(&query("ROLLBACK")),
        ])
    };

    /// Rows out.
    copy_out: "H d d d c C Z:I" =>
        |client| client.ask(&query("COPY (SELECT generate_series(1, 3)) TO STDOUT"));

    /// Rows out, and an error among them.
    copy_out_failing: "H d d E:22012 Z:I T D C Z:I" => |client| joined([
        client.ask(&query("COPY (SELECT 10 / (3 - i) FROM generate_series(1, 5) i) TO STDOUT")),
        client.ask(&query("SELECT 'next'")),
    ]);

    /// Many rows out (D4).
    copy_out_much: "H d*20000 c C Z:I" => |client| client.ask(&query(
        "COPY (SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i) TO STDOUT",
    ));

    /// Many rows in, in messages that end anywhere.
    copy_in_much: "G C Z:I T D C Z:I" => |client| {
        table(client);
        let text: String = (1..=200_000).map(|i| format!("{i}\n")).collect();
        let data = text.as_bytes().chunks(40_001).flat_map(copy_data).collect();
        joined([
            client.ask(&[query(IN), data, copy_done()].concat()),
            client.ask(&query("SELECT count(*), sum(i::bigint) FROM numbers")),
        ])
    };

    /// COPY messages outside COPY are dropped without a word (D1).
    copy_messages_outside_copy: "T D C Z:I" => |client| client.ask(&[
        copy_data(b"nobody asked"),
        copy_done(),
        copy_fail("for nothing"),
        query("SELECT 'next'"),
    ].concat());

    /// Rows in by the extended protocol.
    extended_copy_in: "1 2 G C Z:I T D C Z:I" => |client| {
        table(client);
        joined([
            client.ask(&[start(IN), copy_data(b"1\n2\n"), copy_done(), sync()].concat()),
            client.ask(&query("SELECT sum(i) FROM numbers")),
        ])
    };

    /// A Sync that came before CopyDone does not count (D2).
    sync_before_copy_done: "1 2 G C Z:I T D C Z:I" => |client| {
        table(client);
        joined([
            client.ask(&[
                start(IN),
                sync(),
                copy_data(b"1\n2\n"),
                copy_done(),
                sync(),
            ].concat()),
            client.ask(&query("SELECT sum(i) FROM numbers")),
        ])
    };

    /// Rows in by the extended protocol, and the server fails (D1, D2).
    extended_copy_in_failing: "1 2 G E:22P02 Z:I T D C Z:I" => |client| {
        table(client);
        joined([
            client.ask(&[start(IN), copy_data(b"no number\n"), copy_done(), sync()].concat()),
            client.ask(&query("SELECT 'next'")),
        ])
    };

    /// Rows in by the extended protocol, and the client gives up: skipped to Sync.
    extended_copy_fail: "1 2 G E:57014 Z:I" => |client| {
        table(client);
        let more = [copy_fail("changed my mind"), start("SELECT 'unheard'"), sync()].concat();
        client.ask(&[start(IN), more].concat())
    };

    /// Rows out by the extended protocol, with another statement behind.
    extended_copy_out: "1 2 H d d c C 1 2 D C Z:I" => |client| client.ask(&[
        start("COPY (SELECT generate_series(1, 2)) TO STDOUT"),
        start("SELECT 'next'"),
        sync(),
    ].concat());

    /// A message that has no place in COPY ends it, and with it the connection.
    query_within_copy: "G E:08P01 FATAL:08P01 eof" => |client| {
        table(client);
        client.send(&[query(IN), copy_data(b"1\n"), query("SELECT 'too early'")].concat());
        client.transcript_until_eof()
    };
}
