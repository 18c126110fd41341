//! Settings by messages: values in a Bind, several commands up to one Sync, and errors between.

use crate::{
    stage::{Stage, Write, batch},
    support::{
        both_versions,
        message::{
            bind, bind_formats, close, describe, execute, extended, flush, function_call, parse,
            parse_typed, query, sync,
        },
    },
};

const SHOW: &str = "SHOW work_mem";

fn show() -> Write {
    batch(&[extended(SHOW, &[])])
}

/// The unnamed statement with these values.
fn config(sql: &str, values: &[&str]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
    extended(sql, &values)
}

/// Runs each script with all sessions looked at, and with another client passing by.
fn as_directly(server: &crate::support::Postgres, scripts: &[(&str, Vec<Write>)]) {
    let mut stage = Stage::new(server);
    for (name, script) in scripts {
        for look in [true, false] {
            stage.run(&format!("{name}, looking: {look}"), &[], script, look);
        }
    }
    stage.finish();
}

both_versions! {
    /// E4: what is set is a value of the Bind.
    set_config_with_values, |server| {
        let all = "SELECT set_config($1, $2, $3)";
        let value = "SELECT set_config('work_mem', $1, false)";
        let run = |values: [&[u8]; 3], formats: &[u16]| {
            [bind_formats("", "s", formats, &values.map(Some), &[]), execute("", 0)].concat()
        };
        let text = |name: &str, value: &str, local: &str| run([name.as_bytes(), value.as_bytes(), local.as_bytes()], &[]);
        as_directly(server, &[
            ("a value", vec![batch(&[config(value, &["1234kB"])]), show(), batch(&[config(value, &["2345kB"])]), show()]),
            ("all three", vec![batch(&[config(all, &["work_mem", "1234kB", "f"])]), show()]),
            ("is it local?", vec![batch(&[config("SELECT set_config('work_mem', '1234kB', $1)", &["true"])]), show(),
                batch(&[config("SELECT set_config('work_mem', '1234kB', $1)", &["0"])]), show()]),
            ("NULL for it", vec![batch(&[extended(all, &[Some(b"work_mem"), None, Some(b"f")])]), show()]),
            ("named", vec![
                batch(&[parse("s", all)]),
                batch(&[text("work_mem", "1234kB", "f")]), show(),
                batch(&[text("app.one", "it's", "f"), text("work_mem", "2345kB", "f")]), show(), query_of("SELECT current_setting('app.one')"),
                batch(&[text("work_mem", "3456kB", "t"), extended(SHOW, &[])]), show(),
            ]),
            ("named, in binary", vec![
                batch(&[parse_typed("s", all, &[25, 25, 16])]),
                batch(&[run([b"work_mem", b"1234kB", b"\0"], &[1])]), show(),
                batch(&[run([b"app.one", b"x", b"\0"], &[0, 1, 1])]), query_of("SELECT current_setting('app.one')"),
                batch(&[run([b"work_mem", b"3456kB", b"\x01"], &[0, 0, 1])]), show(),
            ]),
            ("in a block", vec![query_of("BEGIN"), batch(&[config(all, &["work_mem", "1234kB", "f"])]), query_of("ROLLBACK"), show(),
                query_of("BEGIN"), batch(&[config(all, &["work_mem", "1234kB", "f"])]), query_of("COMMIT"), show()]),
            ("a value that is wrong", vec![batch(&[config(value, &["nonsense"])]), show()]),
            ("a lock", vec![
                batch(&[parse("s", "SELECT pg_advisory_lock($1)"), parse("u", "SELECT pg_advisory_unlock($1)")]),
                batch(&[bind("", "s", &[Some(b"7")]), execute("", 0)]),
                batch(&[bind("", "s", &[Some(b"8")]), execute("", 0)]),
                batch(&[bind("", "u", &[Some(b"7")]), execute("", 0)]),
                batch(&[bind("", "u", &[Some(b"8")]), execute("", 0)]),
                show(),
            ]),
        ]);
    }
}

both_versions! {
    /// E1, C2: what is behind an error is not done, and what is before it is taken back.
    batches, |server| {
        let set = |value: &str| extended(&format!("SET work_mem = '{value}'"), &[]);
        let error = || extended("SELECT 1/0", &[]);
        as_directly(server, &[
            ("two SETs", vec![batch(&[set("1234kB"), set("2345kB")]), show()]),
            ("two SETs with an error behind", vec![batch(&[set("1234kB"), set("2345kB"), error()]), show()]),
            ("two SETs with an error between", vec![batch(&[set("1234kB"), error(), set("2345kB")]), show()]),
            ("an error in another batch", vec![([set("1234kB"), sync(), error(), sync(), set("2345kB"), error(), sync(), extended(SHOW, &[]), sync()].concat(), 4), show()]),
            ("BEGIN, SET and COMMIT", vec![batch(&[extended("BEGIN", &[]), set("1234kB"), extended("COMMIT", &[])]), show()]),
            ("SET, BEGIN, SET and ROLLBACK", vec![batch(&[set("2345kB"), extended("BEGIN", &[]), set("1234kB"), extended("ROLLBACK", &[])]), show()]),
            ("a Parse that fails", vec![batch(&[set("1234kB"), parse("", "SELECT FROM WHERE")]), show()]),
            ("prepared, not executed", vec![batch(&[parse("s", "SET work_mem = '1234kB'"), describe(b'S', "s")]), show(),
                batch(&[bind("", "s", &[])]), show(), batch(&[bind("", "s", &[]), execute("", 0)]), show(), batch(&[close(b'S', "s")]), show()]),
            ("a portal of its own", vec![batch(&[parse("", "SET work_mem = '1234kB'"), bind("p", "", &[]), execute("p", 0), close(b'P', "p")]), show()]),
            ("with a Flush", vec![([set("1234kB"), flush(), extended(SHOW, &[]), flush(), sync()].concat(), 1), show()]),
            ("a Query behind the Sync", vec![([set("1234kB"), sync(), query(SHOW), set("2345kB"), sync(), query(SHOW)].concat(), 4), show()]),
            ("with rows to come", vec![batch(&[
                parse("", "SELECT set_config('work_mem', v || 'kB', false) FROM (VALUES ('1234'), ('2345'), ('3456')) x(v)"),
                bind("", "", &[]), execute("", 1), execute("", 1)]), show()]),
            ("BEGIN and SET in one batch, COMMIT in the next", vec![batch(&[extended("BEGIN", &[]), set("1234kB")]), batch(&[extended("COMMIT", &[])]), show()]),
            ("the same statement many times", vec![batch(&[parse("s", "SET work_mem = '1234kB'")]), batch(&[bind("", "s", &[]), execute("", 0)]),
                query_of("RESET work_mem"), show(), batch(&[bind("", "s", &[]), execute("", 0)]), show(),
                query_of("DISCARD ALL"), show()]),
            ("many pipelined SETs", vec![((0..50).flat_map(|nth| [set(&format!("{}kB", 1000 + nth)), sync()].concat()).collect(), 50), show()]),
            ("SETs and what pins in one batch", vec![
                batch(&[set("1234kB"), extended("LISTEN news", &[])]), show(),
                batch(&[extended("UNLISTEN news", &[]), set("2345kB")]), show(),
            ]),
            ("pinned and not, in one write", vec![
                ([query("LISTEN news"), query("UNLISTEN news"), query("SET work_mem = '1234kB'")].concat(), 3), show(),
            ]),
        ]);
    }
}

fn query_of(sql: &str) -> Write {
    (query(sql), 1)
}

both_versions! {
    /// C17: what is called by number has no text at all.
    function_calls, |server| {
        let call = |oid: u32, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
            (function_call(oid, &values), 1)
        };
        let [set_config, lock, unlock] = ["set_config(text, text, boolean)", "pg_advisory_lock(bigint)", "pg_advisory_unlock(bigint)"]
            .map(|name| server.value(&format!("SELECT '{name}'::regprocedure::oid")).parse::<u32>().unwrap());
        as_directly(server, &[
            ("set_config", vec![call(set_config, &["work_mem", "1234kB", "f"]), show()]),
            ("set_config in a block", vec![query_of("BEGIN"), call(set_config, &["work_mem", "1234kB", "f"]), query_of("COMMIT"), show()]),
            ("a lock", vec![call(lock, &["7"]), show(), call(unlock, &["7"]), show()]),
        ]);
    }
}

both_versions! {
    /// A value has the bytes of its client's encoding, whichever connection it comes to.
    encodings, |server| {
        let raw = |bytes: &[u8]| (crate::support::message::message(b'Q', &[bytes, b"\0"].concat()), 1);
        let own = || query_of("SELECT current_setting('app.one'), length(current_setting('app.one'))");
        as_directly(server, &[
            ("LATIN1", vec![query_of("SET NAMES 'LATIN1'"), raw(b"SET app.one = 'gr\xfc\xdfe'"), own(), own(),
                query_of("SET NAMES 'UTF8'"), own(), own(), query_of("RESET app.one"), own()]),
            ("UTF8, then LATIN1", vec![raw("SET app.one = 'grüße'".as_bytes()), own(), query_of("SET client_encoding = latin1"), own(), own(),
                query_of("RESET ALL"), own()]),
            ("in one text", vec![raw(b"SET NAMES 'LATIN1'; SET app.one = 'gr\xfc\xdfe'"), raw(b"SET app.one = '\xfc'; SET NAMES 'UTF8'"), own(), own()]),
            ("in a block", vec![query_of("BEGIN"), query_of("SET NAMES 'LATIN1'"), raw(b"SET app.one = 'gr\xfc\xdfe'"), query_of("COMMIT"), own(), own(),
                query_of("BEGIN"), query_of("SET NAMES 'UTF8'"), raw("SET app.two = 'ü'".as_bytes()), query_of("ROLLBACK"), own()]),
            ("what LATIN1 cannot say", vec![raw("SET app.one = '☃ snow'".as_bytes()), query_of("SET NAMES 'LATIN1'"), query_of("SELECT 1"),
                query_of("SELECT length(current_setting('app.one'))"), query_of("SET NAMES 'UTF8'"), own()]),
            ("SQL_ASCII", vec![query_of("SET client_encoding = 'SQL_ASCII'"), raw("SET app.one = 'grüße'".as_bytes()), own(), query_of("SET NAMES 'LATIN1'"), own()]),
            ("names", vec![query_of("SET NAMES 'LATIN1'"), raw(b"SET application_name = 'gr\xfc\xdfe'"), query_of("SHOW application_name"),
                raw(b"SET search_path = 'gr\xfc\xdfe', public"), query_of("SHOW search_path"), query_of("RESET ALL"), query_of("SHOW search_path")]),
        ]);
    }
}
