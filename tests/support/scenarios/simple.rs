//! The simple protocol: one message, one ReadyForQuery.

use super::{Raw, Scenario, Transcript, joined, scenarios};
use crate::support::message::{message, query};

scenarios! {
    /// The least of all.
    simple_query: "T D C Z:I" => |client| client.ask(&query("SELECT 1 AS one"));

    /// Nothing at all.
    empty_query: "I Z:I" => |client| client.ask(&query(""));

    /// Text without a statement is an empty query as well.
    only_a_comment: "I Z:I I Z:I" => |client| joined([
        client.ask(&query("/* nothing */ -- at all")),
        client.ask(&query(" ; ;")),
    ]);

    /// Many statements, one ReadyForQuery.
    several_statements: "T D C T D C T C Z:I" => |client| client.ask(&query(
        "SELECT 1; SELECT 'two'; SELECT WHERE false",
    ));

    /// What stands after an error does not run.
    error_in_the_middle: "T D C E:22012 Z:I" =>
        |client| client.ask(&query("SELECT 1; SELECT 1/0; SELECT 2"));

    /// Rows may have gone out before the error comes.
    error_after_rows: "T D D E:22012 Z:I" =>
        |client| client.ask(&query("SELECT 10 / (3 - i) FROM generate_series(1, 5) i"));

    /// The position in the text is part of the error.
    syntax_error: "E:42601 Z:I" => |client| client.ask(&query("SELECT 1 FROM WHERE x"));

    /// Statements of one message are one transaction.
    message_is_a_transaction: "C C E:22012 Z:I T D C Z:I" => |client| joined([
        client.ask(&query("CREATE TABLE gone (i int); INSERT INTO gone VALUES (1); SELECT 1/0")),
        client.ask(&query("SELECT to_regclass('gone')")),
    ]);

    /// A transaction over several messages.
    transaction: "C Z:I C Z:T C Z:T C Z:I T D C Z:I" => |client| joined([
        client.ask(&query("CREATE TABLE kept (i int)")),
        client.ask(&query("BEGIN")),
        client.ask(&query("INSERT INTO kept VALUES (1), (2)")),
        client.ask(&query("COMMIT")),
        client.ask(&query("SELECT count(*) FROM kept")),
    ]);

    /// A transaction that is taken back.
    rolled_back: "C Z:I C Z:T C Z:T C Z:I T D C Z:I" => |client| joined([
        client.ask(&query("CREATE TABLE taken_back (i int)")),
        client.ask(&query("BEGIN")),
        client.ask(&query("INSERT INTO taken_back VALUES (1)")),
        client.ask(&query("ROLLBACK")),
        client.ask(&query("SELECT count(*) FROM taken_back")),
    ]);

    /// After an error only the end is accepted, and COMMIT says ROLLBACK.
    failed_transaction: "C Z:T E:22012 Z:E E:25P02 Z:E I Z:E C Z:I" => |client| joined([
        client.ask(&query("BEGIN")),
        client.ask(&query("SELECT 1/0")),
        client.ask(&query("SELECT 1")),
        client.ask(&query("")),
        client.ask(&query("COMMIT")),
    ]);

    /// A savepoint brings a failed transaction back.
    savepoints: "C C Z:T E:42P01 Z:E C Z:T T D C Z:T C C Z:I" => |client| joined([
        client.ask(&query("BEGIN; SAVEPOINT here")),
        client.ask(&query("SELECT * FROM no_such_table")),
        client.ask(&query("ROLLBACK TO here")),
        client.ask(&query("SELECT 1")),
        client.ask(&query("RELEASE here; COMMIT")),
    ]);

    /// BEGIN and work in one message, the end in another; one message ends and begins.
    transaction_across_messages: "C T D C Z:T C C Z:T C T D C Z:I" => |client| joined([
        client.ask(&query("BEGIN; SELECT 1")),
        client.ask(&query("COMMIT; BEGIN")),
        client.ask(&query("COMMIT; SELECT 2")),
    ]);

    /// A new transaction without a BEGIN.
    commit_and_chain: "C Z:T C Z:T C Z:I" => |client| joined([
        client.ask(&query("BEGIN ISOLATION LEVEL SERIALIZABLE")),
        client.ask(&query("COMMIT AND CHAIN")),
        client.ask(&query("ROLLBACK")),
    ]);

    /// Warnings, no errors.
    begin_twice_and_end_twice: "C Z:T N:25001 C Z:T C Z:I N:25P01 C Z:I" => |client| joined([
        client.ask(&query("BEGIN")),
        client.ask(&query("BEGIN")),
        client.ask(&query("COMMIT")),
        client.ask(&query("COMMIT")),
    ]);

    /// Notices come where they were raised.
    notices: "T D C N:00000 N:01000 C T D C Z:I" => |client| client.ask(&query(
        "SELECT 1; DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$; SELECT 2",
    ));

    /// An error with all that an error can carry.
    rich_error: "E:P0042 Z:I" => |client| client.ask(&query(
        "DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = 'P0042', DETAIL = 'more',
         HINT = 'try', COLUMN = 'c', TABLE = 't', SCHEMA = 's', CONSTRAINT = 'k',
         DATATYPE = 'd'; END $$",
    ));

    /// A setting of one transaction.
    set_local: "C C T D C C Z:I T D C Z:I" => |client| joined([
        client.ask(&query("BEGIN; SET LOCAL work_mem = '1234kB'; SHOW work_mem; COMMIT")),
        client.ask(&query("SHOW work_mem")),
    ]);

    /// A setting of the session.
    set_and_show: "C Z:I T D C Z:I C Z:I T D C Z:I" => |client| joined([
        client.ask(&query("SET work_mem = '2345kB'")),
        client.ask(&query("SHOW work_mem")),
        client.ask(&query("RESET work_mem")),
        client.ask(&query("SHOW work_mem")),
    ]);

    /// A setting that is reported to the client; the report comes once, with ReadyForQuery.
    reported_setting: "C S:application_name Z:I C Z:T C Z:T C C S:application_name Z:I" =>
        |client| joined([
            client.ask(&query("SET application_name = 'first'")),
            client.ask(&query("BEGIN")),
            client.ask(&query("SET LOCAL application_name = 'first'")),
            client.ask(&query("SET application_name = 'second'; COMMIT")),
        ]);

    /// Several Querys in one packet, answered one by one.
    pipelined_queries: "T D C Z:I E:22012 Z:I T D C Z:I" => |client| {
        client.send(&[query("SELECT 1"), query("SELECT 1/0"), query("SELECT 3")].concat());
        joined([client.transcript(), client.transcript(), client.transcript()])
    };

    /// Every byte in a packet of its own (A6).
    byte_by_byte: "T D C Z:I" => |client| {
        client.dribble(&query("SELECT 'slowly'"));
        client.transcript()
    };

    /// Bytes that are not UTF-8 get PostgreSQL's own answer, so they must reach it as they are.
    not_utf8: "E:22021 Z:I" => |client| client.ask(&message(b'Q', b"SELECT 'caf\xe9'\0"));

    /// Many rows.
    many_rows: "T D*10000 C Z:I" =>
        |client| client.ask(&query("SELECT i, 'row ' || i FROM generate_series(1, 10000) i"));

    /// A row of 1 MiB (C15).
    large_row: "T D C Z:I" =>
        |client| client.ask(&query("SELECT repeat('0123456789abcdef', 65536)"));

    /// A row of 64 MiB (C15).
    huge_row: "T D C Z:I" =>
        |client| client.ask(&query("SELECT repeat('0123456789abcdef', 4194304)"));

    /// A text of 1 MiB (C15).
    large_query: "T D C Z:I" =>
        |client| client.ask(&query(&format!("SELECT length('{}')", "x".repeat(1 << 20))));

    /// A row without columns and columns without a value.
    empty_and_null: "T D C T D C Z:I" =>
        |client| client.ask(&query("SELECT; SELECT NULL::text, '', NULL::int"));

    /// A cursor inside a transaction.
    sql_cursor: "C C Z:T T D D C Z:T T D C Z:T C C Z:I" => |client| joined([
        client.ask(&query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 3)")),
        client.ask(&query("FETCH 2 FROM c")),
        client.ask(&query("FETCH 2 FROM c")),
        client.ask(&query("CLOSE c; COMMIT")),
    ]);

    /// PREPARE as SQL, all in one transaction.
    sql_prepare: "C C T D C C C Z:I" => |client| client.ask(&query(
        "BEGIN; PREPARE p AS SELECT $1::int; EXECUTE p(7); DEALLOCATE p; COMMIT",
    ));

    /// A notification to oneself comes before ReadyForQuery (E3).
    listen_and_notify: "C Z:I C A Z:I C Z:I" => |client| joined([
        client.ask(&query("LISTEN channel")),
        client.ask(&query("NOTIFY channel, 'payload'")),
        client.ask(&query("UNLISTEN channel")),
    ]);
}
