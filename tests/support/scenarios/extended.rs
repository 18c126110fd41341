//! The extended protocol: statements, portals, pipelines.

use super::{Raw, Scenario, Transcript, joined, scenarios};
use crate::support::message::{
    bind, bind_formats, close, describe, execute, extended, flush, function_call, parse,
    parse_typed, query, sync,
};

/// `abs(int4)` in every PostgreSQL.
const ABS: u32 = 1397;
/// The type `int4`.
const INT4: u32 = 23;

scenarios! {
    /// Unnamed statement, unnamed portal: what drivers send most.
    unnamed: "1 2 T D C Z:I" =>
        |client| client.ask(&[extended("SELECT $1::int", &[Some(b"7")]), sync()].concat());

    /// A statement without a result.
    no_data: "1 2 n C Z:I" =>
        |client| client.ask(&[extended("CREATE TABLE made (i int)", &[]), sync()].concat());

    /// An empty text is no error here either.
    empty_statement: "1 2 n I Z:I" => |client| client.ask(&[extended("", &[]), sync()].concat());

    /// Describe of a statement gives its parameters and its row.
    describe_statement: "1 t T Z:I 1 t n Z:I" => |client| joined([
        client.ask(&[parse("d", "SELECT $1::int, $2::text"), describe(b'S', "d"), sync()].concat()),
        client.ask(&[parse("e", "SET work_mem = '1MB'"), describe(b'S', "e"), sync()].concat()),
    ]);

    /// Describe of a portal knows the formats.
    describe_portal: "1 2 T T D C Z:I" => |client| client.ask(&[
        parse("", "SELECT 1, 2"),
        bind_formats("p", "", &[], &[], &[1, 0]),
        describe(b'P', "p"),
        describe(b'P', "p"),
        execute("p", 0),
        sync(),
    ].concat());

    /// A named statement lives over transactions.
    named_statement: "1 Z:I 2 D C Z:I C Z:T 2 D C Z:T C Z:I 2 D C Z:I" => |client| {
        let run = [bind("", "kept", &[Some(b"5")]), execute("", 0), sync()].concat();
        joined([
            client.ask(&[parse("kept", "SELECT $1::int * 2"), sync()].concat()),
            client.ask(&run),
            client.ask(&query("BEGIN")),
            client.ask(&run),
            client.ask(&query("COMMIT")),
            client.ask(&run),
        ])
    };

    /// A name that is taken stays taken (C11, K3).
    name_taken: "1 Z:I E:42P05 Z:I 2 D C Z:I" => |client| joined([
        client.ask(&[parse("twice", "SELECT 1"), sync()].concat()),
        client.ask(&[parse("twice", "SELECT 2"), sync()].concat()),
        client.ask(&[bind("", "twice", &[]), execute("", 0), sync()].concat()),
    ]);

    /// Even the same text again is refused (C11, K3).
    same_text_twice: "1 1 E:42P05 Z:I" => |client| client.ask(
        &[parse("a", "SELECT 1"), parse("b", "SELECT 1"), parse("a", "SELECT 1"), sync()].concat(),
    );

    /// The unnamed statement is replaced by each Parse.
    unnamed_replaced: "1 1 2 D C Z:I" => |client| client.ask(&[
        parse("", "SELECT 'first'"),
        parse("", "SELECT 'second'"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ].concat());

    /// The unnamed statement lives on after Sync, and dies by a simple Query (C8).
    unnamed_after_sync: "1 Z:I 2 D C Z:I T D C Z:I E:26000 Z:I" => |client| {
        let run = [bind("", "", &[]), execute("", 0), sync()].concat();
        joined([
            client.ask(&[parse("", "SELECT 'still here'"), sync()].concat()),
            client.ask(&run),
            client.ask(&query("SELECT 1")),
            client.ask(&run),
        ])
    };

    /// What does not exist: statements are 26000 (C11), portals 34000.
    missing_names: "E:26000 Z:I E:26000 Z:I E:34000 Z:I E:34000 Z:I" => |client| joined([
        client.ask(&[bind("", "nobody", &[]), sync()].concat()),
        client.ask(&[describe(b'S', "nobody"), sync()].concat()),
        client.ask(&[describe(b'P', "nobody"), sync()].concat()),
        client.ask(&[execute("nobody", 0), sync()].concat()),
    ]);

    /// A Parse that failed leaves no name behind (C4).
    failed_parse_leaves_nothing: "E:42601 Z:I E:26000 Z:I 1 Z:I" => |client| joined([
        client.ask(&[parse("n", "SELECT FROM WHERE"), sync()].concat()),
        client.ask(&[bind("", "n", &[]), sync()].concat()),
        client.ask(&[parse("n", "SELECT 1"), sync()].concat()),
    ]);

    /// Closing frees the name; closing nothing is fine.
    close_statement: "1 3 3 1 2 D C Z:I" => |client| client.ask(&[
        parse("c", "SELECT 1"),
        close(b'S', "c"),
        close(b'S', "never was"),
        parse("c", "SELECT 2"),
        bind("", "c", &[]),
        execute("", 0),
        sync(),
    ].concat());

    /// Closing a portal is not closing its statement (C9).
    close_portal: "1 2 3 2 D C Z:I" => |client| client.ask(&[
        parse("c", "SELECT 1"),
        bind("p", "c", &[]),
        close(b'P', "p"),
        bind("p", "c", &[]),
        execute("p", 0),
        sync(),
    ].concat());

    /// Bind to a statement that was closed in the same batch.
    use_after_close: "1 3 E:26000 Z:I" => |client| client.ask(
        &[parse("c", "SELECT 1"), close(b'S', "c"), bind("", "c", &[]), sync()].concat(),
    );

    /// DEALLOCATE as SQL is Close (C10).
    deallocate: "1 1 Z:I C Z:I E:26000 Z:I 2 D C Z:I C Z:I E:26000 Z:I" => |client| {
        let run = |name: &str| [bind("", name, &[]), execute("", 0), sync()].concat();
        joined([
            client.ask(&[parse("x", "SELECT 1"), parse("y", "SELECT 2"), sync()].concat()),
            client.ask(&query("DEALLOCATE x")),
            client.ask(&run("x")),
            client.ask(&run("y")),
            client.ask(&query("DEALLOCATE ALL")),
            client.ask(&run("y")),
        ])
    };

    /// DISCARD ALL takes the statements along (C10).
    discard_all: "1 Z:I C Z:I E:26000 Z:I 1 Z:I" => |client| joined([
        client.ask(&[parse("x", "SELECT 1"), sync()].concat()),
        client.ask(&query("DISCARD ALL")),
        client.ask(&[bind("", "x", &[]), sync()].concat()),
        client.ask(&[parse("x", "SELECT 1"), sync()].concat()),
    ]);

    /// A row limit suspends the portal, and it goes on (C9).
    row_limit: "1 2 D D s D D s D C Z:I" => |client| client.ask(&[
        parse("", "SELECT generate_series(1, 5)"),
        bind("", "", &[]),
        execute("", 2),
        execute("", 2),
        execute("", 2),
        sync(),
    ].concat());

    /// Inside a transaction a portal lives over Sync, outside it does not (C9).
    portal_over_sync: "C Z:T 1 2 D s Z:T D s Z:T C Z:I E:34000 Z:I" => |client| joined([
        client.ask(&query("BEGIN")),
        client.ask(&[
            parse("", "SELECT generate_series(1, 5)"),
            bind("p", "", &[]),
            execute("p", 1),
            sync(),
        ].concat()),
        client.ask(&[execute("p", 1), sync()].concat()),
        client.ask(&query("COMMIT")),
        client.ask(&[execute("p", 1), sync()].concat()),
    ]);

    /// A suspended portal is gone after Sync outside a transaction (C9).
    suspended_portal_dies: "1 2 D s Z:I E:34000 Z:I" => |client| joined([
        client.ask(&[
            parse("", "SELECT generate_series(1, 5)"),
            bind("p", "", &[]),
            execute("p", 1),
            sync(),
        ].concat()),
        client.ask(&[execute("p", 1), sync()].concat()),
    ]);

    /// Two portals of one transaction, in turns.
    interleaved_portals: "C Z:T 1 2 2 D s D s D s D s Z:T C Z:I" => |client| joined([
        client.ask(&query("BEGIN")),
        client.ask(&[
            parse("s", "SELECT generate_series($1::int, 9)"),
            bind("p", "s", &[Some(b"1")]),
            bind("q", "s", &[Some(b"5")]),
            execute("p", 1),
            execute("q", 1),
            execute("p", 1),
            execute("q", 1),
            sync(),
        ].concat()),
        client.ask(&query("COMMIT")),
    ]);

    /// Flush brings the answers without ending the batch (C7).
    flush_without_sync: "1 t T 2 D C Z:I" => |client| {
        client.send(&[parse("f", "SELECT $1::int"), describe(b'S', "f"), flush()].concat());
        let described = client.transcript_until(b'T');
        let rest = [bind("", "f", &[Some(b"1")]), execute("", 0), sync()].concat();
        joined([described, client.ask(&rest)])
    };

    /// An error answers a Flush too, and then nothing is heard until Sync (C7, C2).
    flush_after_error: "E:42601 Z:I" => |client| {
        client.send(&[parse("", "SELECT FROM WHERE"), flush()].concat());
        let error = client.transcript_until(b'E');
        joined([error, client.ask(&[flush(), extended("SELECT 1", &[]), sync()].concat())])
    };

    /// A statement that works for the client between Flushes, in one implicit transaction (C7).
    steps_by_flush: "1 2 C 1 2 D C Z:I T D C Z:I" => |client| {
        let create = "CREATE TABLE steps (i int)";
        client.send(&[parse("", create), bind("", "", &[]), execute("", 0), flush()].concat());
        let first = client.transcript_until(b'C');
        let count = "SELECT count(*) FROM steps";
        let second = [parse("", count), bind("", "", &[]), execute("", 0), sync()].concat();
        joined([first, client.ask(&second), client.ask(&query("SELECT to_regclass('steps')"))])
    };

    /// Many batches, each with its Sync, before the first answer is read (C1).
    pipeline_of_batches: "1 2 D C Z:I 1 2 D C Z:I 1 E:22012 Z:I 1 2 D C Z:I" => |client| {
        for divisor in [1, 2, 0, 4] {
            let value = divisor.to_string();
            client.send(&[
                parse("", "SELECT 100 / $1::int"),
                bind("", "", &[Some(value.as_bytes())]),
                execute("", 0),
                sync(),
            ].concat());
        }
        joined([client.transcript(), client.transcript(), client.transcript(), client.transcript()])
    };

    /// A thousand batches, each with its Sync (C1, C2).
    pipeline_of_1000: "1000 batches" => |client| {
        let batch = |i: usize| {
            let value = i.to_string();
            [bind("", "s", &[Some(value.as_bytes())]), execute("", 0), sync()].concat()
        };
        let statement = [parse("s", "SELECT $1::int"), sync()].concat();
        client.send(&[statement, (0..1000).flat_map(batch).collect()].concat());
        client.expect("1");
        client.expect("Z:I");
        for i in 0..1000 {
            client.expect("2");
            let row = client.expect("D");
            assert_eq!(row.columns(), [Some(i.to_string().into_bytes())]);
            client.expect("C");
            client.expect("Z:I");
        }
        let mut transcript = Transcript::of(&[]);
        transcript.note("1000 batches");
        transcript
    };

    /// A thousand statements and one Sync (C2).
    pipeline_of_1000_with_one_sync: "1000 statements" => |client| {
        let step = [bind("", "s", &[Some(b"1")]), execute("", 0)].concat();
        client.send(&[parse("s", "SELECT $1::int"), step.repeat(1000), sync()].concat());
        client.expect("1");
        for _ in 0..1000 {
            client.expect("2");
            client.expect("D");
            client.expect("C");
        }
        client.expect("Z:I");
        let mut transcript = Transcript::of(&[]);
        transcript.note("1000 statements");
        transcript
    };

    /// After an error everything up to Sync is skipped (C2).
    pipeline_error: "1 2 D C E:42601 Z:I 2 D C Z:I" => |client| joined([
        client.ask(&[
            parse("s", "SELECT 1"),
            bind("", "s", &[]),
            execute("", 0),
            parse("bad", "SELECT FROM WHERE"),
            bind("", "s", &[]),
            execute("", 0),
            close(b'S', "s"),
            sync(),
        ].concat()),
        client.ask(&[bind("", "s", &[]), execute("", 0), sync()].concat()),
    ]);

    /// A batch is one transaction: its error takes back what went before.
    pipeline_error_takes_back: "C Z:I 1 2 C 1 E:22012 Z:I T D C Z:I" => |client| joined([
        client.ask(&query("CREATE TABLE batch (i int)")),
        client.ask(&[
            parse("", "INSERT INTO batch VALUES (1)"),
            bind("", "", &[]),
            execute("", 0),
            parse("", "SELECT 1 / $1::int"),
            bind("", "", &[Some(b"0")]),
            execute("", 0),
            sync(),
        ].concat()),
        client.ask(&query("SELECT count(*) FROM batch")),
    ]);

    /// A statement parsed in a batch that failed later exists all the same (C4, C19).
    parsed_before_the_error: "1 E:26000 Z:I 2 D C Z:I" => |client| joined([
        client.ask(&[parse("s", "SELECT 1"), bind("", "nobody", &[]), sync()].concat()),
        client.ask(&[bind("", "s", &[]), execute("", 0), sync()].concat()),
    ]);

    /// A simple Query after an error, before Sync, is skipped as well (C2).
    query_after_error: "E:42601 Z:I T D C Z:I" => |client| joined([
        client.ask(&[parse("", "SELECT FROM WHERE"), query("SELECT 'unheard'"), sync()].concat()),
        client.ask(&query("SELECT 'heard'")),
    ]);

    /// A simple Query within a batch. In newer versions it does not end the batch's transaction,
    /// and its ReadyForQuery says so: `T`, though nobody said BEGIN. The Sync ends it (J3).
    query_within_batch: "1 2 D C T D C Z:I Z:I | 1 2 D C T D C Z:T Z:I" => |client| {
        let batch = [parse("", "SELECT 1"), bind("", "", &[]), execute("", 0)].concat();
        joined([client.ask(&[batch, query("SELECT 2")].concat()), client.ask(&sync())])
    };

    /// Each Sync is answered, wanted or not.
    bare_syncs: "Z:I Z:I Z:I" => |client| {
        client.send(&[sync(), sync(), sync()].concat());
        joined([client.transcript(), client.transcript(), client.transcript()])
    };

    /// A transaction by the extended protocol; BEGIN shares its batch with work.
    extended_transaction: "1 2 C 1 2 D C Z:T 1 2 C Z:I" => |client| joined([
        client.ask(&[
            parse("", "BEGIN"),
            bind("", "", &[]),
            execute("", 0),
            parse("", "SELECT 1"),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ].concat()),
        client.ask(&[parse("", "COMMIT"), bind("", "", &[]), execute("", 0), sync()].concat()),
    ]);

    /// A failed transaction by the extended protocol.
    extended_failed_transaction: "C Z:T 1 E:22012 Z:E E:25P02 Z:E 1 2 n C Z:I" => |client| joined([
        client.ask(&query("BEGIN")),
        client.ask(&[extended("SELECT 1 / $1::int", &[Some(b"0")]), sync()].concat()),
        client.ask(&[extended("SELECT 1", &[]), sync()].concat()),
        client.ask(&[extended("ROLLBACK", &[]), sync()].concat()),
    ]);

    /// Values and results in binary.
    binary_values: "1 2 T D C Z:I" => |client| client.ask(&[
        parse_typed("", "SELECT $1, $2", &[INT4, INT4]),
        bind_formats("", "", &[1], &[Some(&7_i32.to_be_bytes()), None], &[1]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ].concat());

    /// A value of 1 MiB there and back (C15).
    large_value: "1 2 T D C Z:I" => |client| {
        let value = b"0123456789abcdef".repeat(65_536);
        client.ask(&[extended("SELECT $1::text", &[Some(&value)]), sync()].concat())
    };

    /// Values that do not fit are errors, and the connection goes on.
    bad_values: "1 E:08P01 Z:I 1 E:22P02 Z:I 1 2 T D C Z:I" => |client| joined([
        client.ask(&[extended("SELECT 1", &[Some(b"too many")]), sync()].concat()),
        client.ask(&[extended("SELECT $1::int", &[Some(b"no number")]), sync()].concat()),
        client.ask(&[extended("SELECT $1::int", &[None]), sync()].concat()),
    ]);

    /// Executing a finished portal again gives no rows.
    execute_again: "1 2 D C C Z:I" => |client| client.ask(&[
        parse("", "SELECT 1"),
        bind("", "", &[]),
        execute("", 0),
        execute("", 0),
        sync(),
    ].concat());

    /// Notices within a batch.
    notices_in_batch: "1 2 N:00000 C Z:I" => |client| client.ask(&[
        parse("", "DO $$ BEGIN RAISE NOTICE 'one'; END $$"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ].concat());

    /// A name longer than PostgreSQL's identifiers.
    long_name: "1 2 D C Z:I" => |client| {
        let name = "n".repeat(5_000);
        client.ask(&[parse(&name, "SELECT 1"), bind("", &name, &[]), execute("", 0), sync()].concat())
    };

    /// FunctionCall (C17).
    function_call_works: "V Z:I V Z:I" => |client| joined([
        client.ask(&function_call(ABS, &[Some(b"-5")])),
        client.ask(&function_call(ABS, &[None])),
    ]);

    /// FunctionCall of what does not exist, and with a bad value (C17).
    function_call_fails: "E:42883 Z:I E:22P02 Z:I C Z:T E:42883 Z:E C Z:I" => |client| joined([
        client.ask(&function_call(1, &[])),
        client.ask(&function_call(ABS, &[Some(b"no number")])),
        client.ask(&query("BEGIN")),
        client.ask(&function_call(1, &[])),
        client.ask(&query("ROLLBACK")),
    ]);

    /// FunctionCall after an error, before Sync, is skipped (C17, C2).
    function_call_skipped: "E:42601 Z:I" => |client| client.ask(
        &[parse("", "SELECT FROM WHERE"), function_call(ABS, &[Some(b"-5")]), sync()].concat(),
    );
}
