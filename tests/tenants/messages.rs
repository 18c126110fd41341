//! Messages of every size and kind: COPY, FunctionCall, Flush, portals, long texts, comments.

use crate::{
    SEEN, client_of,
    stage::{Stage, Way},
    support::{
        Raw, Transcript, both_versions,
        message::{
            bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, function_call,
            parse, query, sync,
        },
    },
    with_tenants,
};

const COPY_IN: &str = "COPY seen (what) FROM STDIN";
const COPY_OUT: &str = "COPY (SELECT v, tenant FROM owned ORDER BY v) TO STDOUT";

fn start(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[]), execute("", 0)].concat()
}

/// Each write with one ReadyForQuery.
fn asks<const N: usize>(client: &mut Raw, writes: [Vec<u8>; N]) -> Vec<Transcript> {
    writes.iter().map(|bytes| client.ask(bytes)).collect()
}

both_versions! {
    /// D1, D2, D3
    copy, |server| {
        let mut stage = Stage::new(server);
        let data = || [copy_data(b"a\nb\n"), copy_done()].concat();
        stage.run("in", |client| asks(client, [[query(COPY_IN), data()].concat(), query("TABLE owned")]));
        stage.run("in, waiting", |client| {
            client.send(&query(COPY_IN));
            let begun = client.transcript_until(b'G');
            vec![begun, client.ask(&data()), client.ask(&query("TABLE owned"))]
        });
        stage.run("in a block", |client| asks(client, [
            query("BEGIN"), [query(COPY_IN), data()].concat(), query("COMMIT"), [query(COPY_IN), data()].concat(),
        ]));
        stage.run("in a text", |client| asks(client, [
            [query(&format!("INSERT INTO seen VALUES ('a'); COMMIT; {COPY_IN}; TABLE owned")), data()].concat(),
        ]));
        stage.run("in, extended", |client| asks(client, [
            [start(COPY_IN), data(), sync()].concat(), query("TABLE owned"),
        ]));
        stage.run("in behind BEGIN, extended", |client| asks(client, [
            [start("BEGIN"), start(COPY_IN), data(), start("COMMIT"), sync()].concat(), query("TABLE owned"),
        ]));
        stage.run("in, given up", |client| asks(client, [
            [query(COPY_IN), copy_fail("no")].concat(), query("TABLE owned"),
        ]));
        stage.run("in, wrong", |client| asks(client, [
            [query("COPY late FROM STDIN"), copy_data(b"1\nx\n"), copy_done()].concat(), query("TABLE owned"),
        ]));
        stage.run("out", |client| asks(client, [query(COPY_OUT), [start(COPY_OUT), sync()].concat()]));
        stage.run("out in a text", |client| asks(client, [query(&format!("BEGIN; {COPY_OUT}; COMMIT; {COPY_OUT}"))]));
        stage.finish();
    }
}

both_versions! {
    /// C17
    function_calls, |server| {
        // `current_setting(text, boolean)` in every PostgreSQL.
        let call = || function_call(3294, &[Some(b"app.tenant_id"), Some(b"t")]);
        let fails = || function_call(3294, &[Some(b"app.tenant_id"), Some(b"what")]);
        let mut stage = Stage::new(server);
        stage.run("alone", |client| asks(client, [call(), call(), query("TABLE owned"), call()]));
        stage.run("in a block", |client| asks(client, [query("BEGIN"), call(), query("COMMIT AND CHAIN"), call(), query("ROLLBACK"), call()]));
        stage.run("failing", |client| asks(client, [fails(), call(), query("BEGIN"), fails(), call(), query("ROLLBACK"), call()]));
        stage.run("pipelined", |client| {
            client.send(&[call(), query("TABLE owned"), call(), start("TABLE owned"), sync(), call()].concat());
            (0..5).map(|_| client.transcript()).collect()
        });
        stage.finish();
    }
}

both_versions! {
    /// C7, C9
    portals_and_flush, |server| {
        let mut stage = Stage::new(server);
        let row = "SELECT current_setting('app.tenant_id'), generate_series(1, 3)";
        stage.run("flush", |client| {
            client.send(&[parse("", row), flush()].concat());
            let parsed = client.transcript_until(b'1');
            client.send(&[bind("", "", &[]), flush()].concat());
            let bound = client.transcript_until(b'2');
            vec![parsed, bound, client.ask(&[execute("", 0), sync()].concat())]
        });
        stage.run("flush behind BEGIN", |client| {
            client.send(&[start("BEGIN"), flush()].concat());
            let begun = client.transcript_until(b'C');
            client.send(&[start("INSERT INTO seen VALUES ('a')"), flush()].concat());
            let inserted = client.transcript_until(b'C');
            vec![begun, inserted, client.ask(&[start("COMMIT"), start(row), sync()].concat())]
        });
        stage.run("limits", |client| asks(client, [[
            parse("", row), bind("p", "", &[]), describe(b'P', "p"), execute("p", 1), execute("p", 1),
            close(b'P', "p"), bind("p", "", &[]), execute("p", 0), sync(),
        ].concat()]));
        stage.run("two portals", |client| asks(client, [
            query("BEGIN"),
            [parse("s", row), bind("p", "s", &[]), bind("", "s", &[]), execute("p", 1), execute("", 1), sync()].concat(),
            [execute("p", 1), execute("", 1), sync()].concat(),
            query("COMMIT"),
            [bind("p", "s", &[]), bind("", "s", &[]), execute("", 1), execute("p", 1), sync()].concat(),
        ]));
        stage.run("bound before BEGIN", |client| asks(client, [
            [parse("b", "BEGIN"), parse("i", "INSERT INTO seen VALUES ('a')"), parse("c", "COMMIT"), sync()].concat(),
            [bind("b", "b", &[]), bind("i", "i", &[]), execute("b", 0), execute("i", 0), bind("c", "c", &[]), execute("c", 0), sync()].concat(),
            [bind("i", "i", &[]), bind("j", "i", &[]), execute("i", 0), execute("j", 0), sync()].concat(),
        ]));
        stage.run("only described", |client| asks(client, [
            [parse("", row), describe(b'S', ""), sync()].concat(),
            [bind("", "", &[]), describe(b'P', ""), sync()].concat(),
            [bind("", "", &[]), execute("", 0), sync()].concat(),
        ]));
        stage.run("over an error", |client| asks(client, [
            [start("INSERT INTO seen VALUES ('a')"), start("SELECT 1/0"), start("INSERT INTO seen VALUES ('b')"), sync()].concat(),
            [start("INSERT INTO seen VALUES ('c')"), sync()].concat(),
            [start("BEGIN"), start("nonsense"), sync()].concat(),
            [start("ROLLBACK"), start("INSERT INTO seen VALUES ('d')"), sync()].concat(),
        ]));
        stage.finish();
    }
}

both_versions! {
    /// C15: a text that is not seen whole.
    long_texts, |server| {
        let mut stage = Stage::new(server);
        let long = |size: usize| "x".repeat(size);
        for size in [32_700, 32_767, 300_000] {
            let insert = format!("INSERT INTO seen VALUES ('a{}')", long(size));
            let wrong = format!("SELECT nowhere, '{}'", long(size));
            for way in Way::ALL {
                stage.tell(&[&insert, "INSERT INTO seen VALUES ('b')"], way);
            }
            for way in [Way::Simple, Way::Extended, Way::SimplePipelined, Way::Named] {
                stage.tell(&["BEGIN", &insert, "COMMIT AND CHAIN", &insert, "COMMIT"], way);
                stage.tell(&[&wrong, "INSERT INTO seen VALUES ('b')"], way);
                stage.tell(&["BEGIN", &wrong, &insert, "ROLLBACK", &insert], way);
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// A simple query in a batch that has no Sync yet (C17): it must not wait for what cannot come.
    queries_within_batches, |server| {
        let mut stage = Stage::new(server);
        let insert = || start("INSERT INTO seen VALUES ('a')");
        for text in [
            "INSERT INTO seen VALUES ('b')",
            "INSERT INTO seen VALUES ('b'); TABLE owned",
            "SELECT 1/0",
            "INSERT INTO seen VALUES ('b'); COMMIT; INSERT INTO seen VALUES ('c')",
            "LOCK TABLE late",
            "",
        ] {
            stage.run(&format!("behind an INSERT: {text}"), |client| {
                asks(client, [[insert(), query(text)].concat(), sync()])
            });
            stage.run(&format!("behind a COMMIT: {text}"), |client| {
                let batch = [start("BEGIN"), insert(), start("COMMIT")].concat();
                asks(client, [[batch, query(text)].concat(), sync()])
            });
        }
        stage.run("VACUUM", |client| asks(client, [[insert(), query("VACUUM owned")].concat(), sync()]));
        let call = || function_call(3294, &[Some(b"app.tenant_id"), Some(b"t")]);
        stage.run("a function call", |client| asks(client, [[insert(), call()].concat(), sync()]));
        stage.finish();
    }
}

both_versions! {
    /// What cannot be read may hold a COMMIT, and takes back what went before if it fails.
    a_doubtful_query_within_a_batch_is_refused, |server| {
        let database = server.fresh_database();
        database.sql("CREATE TABLE t (v int); GRANT ALL ON t TO app");
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let heard = acme.ask(&[start("INSERT INTO t VALUES (1)"), query("nonsense")].concat());
        assert_eq!(heard.types(), "1 2 C E:0A000 Z:I");
        assert_eq!(acme.ask(&sync()).types(), "Z:I");
        assert_eq!(database.value("SELECT count(*) FROM t"), "0");
        assert_eq!(acme.value(SEEN), "acme");
    }
}

both_versions! {
    /// A statement that was prepared in SQL is bound by a message: nobody has read its text.
    prepared_in_sql, |server| {
        let mut stage = Stage::new(server);
        let run = || [bind("", "p", &[]), execute("", 0), sync()].concat();
        let prepare = || query("BEGIN; PREPARE p AS INSERT INTO seen VALUES ('p') RETURNING tenant");
        stage.run("in a block", |client| asks(client, [prepare(), run(), query("COMMIT AND CHAIN"), run(), query("DEALLOCATE p; COMMIT")]));
        stage.run("in SQL", |client| asks(client, [prepare(), query("EXECUTE p"), query("COMMIT AND CHAIN"), query("EXECUTE p"), query("DEALLOCATE p; COMMIT")]));
        stage.finish();
    }
}

both_versions! {
    /// What cannot be read for certain is either PostgreSQL's to refuse, or done under the tenant.
    doubtful_texts, |server| Stage::new(server).tell_all(&[
        &["SELECT 'open", "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO seen VALUES ($$a$$)", "SELECT $x$ open", "INSERT INTO seen VALUES ('b')"],
        &["SELECT 1a", "INSERT INTO seen VALUES ('b')"],
        &["/* open", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "SELECT 'open", "COMMIT", "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO seen VALUES (E'it\\'s; COMMIT; ')", "INSERT INTO seen VALUES ('it''s; COMMIT')"],
        &["INSERT INTO seen VALUES (U&'\\0061; BEGIN')", "SELECT U&\"v\" FROM owned"],
        &["CREATE FUNCTION pg_temp.f() RETURNS text BEGIN ATOMIC SELECT 'a'; SELECT 'b'; END",
          "INSERT INTO seen VALUES ('b')"],
        &["SELECT 1 \u{1}", "INSERT INTO seen VALUES ('b')"],
    ])
}

both_versions! {
    /// Positions are counted in characters of the client's own text.
    positions, |server| Stage::new(server).tell_all(&[
        &["SELECT 'äöü €', nowhere FROM owned", "INSERT INTO seen VALUES ('ä')"],
        &["SELECT 'ä' AS \"ö\"", "SELECT '🦀' nowhere from", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "INSERT INTO seen VALUES ('ä')", "COMMIT", "SELECT '€', nowhere FROM owned"],
        &["/* ü */ INSERT INTO seen VALUES ('a') -- ü", "\n/* ü */ SELECT nowhere"],
        &["COMMIT", "SELECT 'ä'", "COMMIT", "SELECT 'ä', nowhere"],
        &["SELECT 1/0, 'ä'", "VACUUM nowhere", "CALL nothing('ä')", "TABLE nowhere"],
        &["DO 'begin perform nowhere; end'", "SELECT * FROM nowhere"],
        &["COPY nowhere TO STDOUT", "CREATE TABLE made (v nowhere)"],
    ])
}

both_versions! {
    /// The tenant's comment is taken out, and what is behind it stands where it stood.
    comments_of_the_same_tenant, |server| Stage::new(server).tell_all(&[
        &["/* tenant_id='acme' */ SELECT nowhere FROM owned", "INSERT INTO seen VALUES ('b')"],
        &["SELECT 'ä', nowhere FROM owned /* tenant_id='acme' */", "INSERT INTO seen VALUES ('b')"],
        &["/*a='ä',tenant_id='acme'*/ INSERT INTO seen VALUES ('a')", "/*a='ä'*/ SELECT nowhere"],
        &["/* tenant_id='acme' */ BEGIN", "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["/* tenant_id='acme' */ VACUUM owned", "/* tenant_id='acme' */ CALL commits()"],
        &["/* tenant_id='acme' */ SELECT '/* tenant_id=''globex'' */', nowhere"],
        &["/* tenant_id='acme' */", "TABLE owned"],
        &["/*€ tenant_id='acme'*/ SELECT nowhere"],
    ])
}
