//! A tenant that is given by the connection cannot be changed by a statement (J2, T14).

use crate::{
    SEEN, client_of, error_in, login,
    support::{
        both_versions,
        message::{
            bind, execute, extended, function_call, message, parse, parse_typed, query, sync,
        },
    },
    with_tenants,
};

/// Ways to become somebody else.
const CHANGES: &[&str] = &[
    "SET app.tenant_id = 'globex'",
    "SET LOCAL app.tenant_id = 'globex'",
    "set session \"APP\".\"tenant_id\" to globex",
    "SET app.tenant_id TO DEFAULT",
    "RESET app.tenant_id",
    "SET app.tenant_id = ''",
    "SELECT set_config('app.tenant_id', 'globex', false)",
    "SELECT set_config('app.tenant_id', 'globex', true)",
    "SELECT pg_catalog.set_config('App.Tenant_Id', 'globex', true)",
    "SELECT set_config('app.' || 'tenant_id', 'globex', true)",
    "SELECT 1; SET app.tenant_id = 'globex'; INSERT INTO t DEFAULT VALUES",
    "UPDATE pg_settings SET setting = 'globex' WHERE name = 'app.tenant_id'",
    "SELECT \"set_config\"('app.tenant_id', 'globex', true)",
    "WITH x AS (SELECT set_config('app.tenant_id', 'globex', true)) SELECT * FROM x",
];

both_versions! {
    /// Refused as PostgreSQL would refuse it: outside of a block, in one, and in a batch.
    changes_are_refused, |server| {
        let database = server.fresh_database();
        database.sql("CREATE TABLE t (v text DEFAULT current_setting('app.tenant_id')); GRANT ALL ON t TO app");
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        let mut wrong = Vec::new();
        for change in CHANGES {
            let mut check = |what: &str, heard: String, expected: &str| {
                if !heard.ends_with(expected) {
                    wrong.push(format!("{change} {what}: {heard}, not {expected}"));
                }
            };
            let (types, _) = error_in(&mut acme, &query(change));
            check("alone", types, "E:42501 Z:I");
            check("behind", acme.value(SEEN), "acme");
            if !change.contains(';') {
                let batch = [extended(change, &[]), extended(SEEN, &[]), sync()].concat();
                let (types, _) = error_in(&mut acme, &batch);
                check("in a batch", types, "E:42501 Z:I");
                let named = [parse("p", change), bind("", "p", &[]), execute("", 0), sync()].concat();
                let (types, _) = error_in(&mut acme, &named);
                check("named", types, "E:42501 Z:I");
                acme.ask(&[crate::support::message::close(b'S', "p"), sync()].concat());
            }
            acme.rows("BEGIN; INSERT INTO t DEFAULT VALUES");
            let (types, _) = error_in(&mut acme, &query(change));
            check("in a block", types, "E:42501 Z:E");
            check("then", acme.ask(&query("SELECT 1")).types(), "E:25P02 Z:E");
            check("at its end", acme.ask(&query("COMMIT")).types(), "C Z:I");
            check("the next one", globex.value(SEEN), "globex");
        }
        assert_eq!(database.value("SELECT count(*) FROM t"), "0");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

both_versions! {
    /// Parameters of a Bind are looked at when they come.
    changes_by_parameters, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        acme.ask(&[parse("s", "SELECT set_config($1, $2, true)"), sync()].concat());
        let run = |name: &[u8], value: &[u8]| {
            [bind("", "s", &[Some(name), Some(value)]), execute("", 0), extended(SEEN, &[]), sync()].concat()
        };
        let (types, _) = error_in(&mut acme, &run(b"app.tenant_id", b"globex"));
        assert_eq!(types, "E:42501 Z:I");
        let (types, _) = error_in(&mut acme, &run(b"APP.TENANT_ID", b"globex"));
        assert_eq!(types, "E:42501 Z:I");
        let heard = acme.ask(&run(b"work_mem", b"1MB"));
        assert_eq!(heard.types(), "2 D C 1 2 T D C Z:I");
        assert!(heard.text().contains("D acme"), "{heard:?}");
        // To name the tenant that it has is no change.
        let heard = acme.ask(&run(b"app.tenant_id", b"acme"));
        assert!(heard.text().matches("D acme").count() == 2, "{heard:?}");
        assert_eq!(acme.ask(&query("SET app.tenant_id = 'acme'")).types(), "C Z:I");
        assert_eq!(acme.value(SEEN), "acme");
    }
}

both_versions! {
    /// What has no text of its own, or one that is hard to read, is no way around it either (J2).
    changes_in_disguise, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        let batch = |sql: &str| [extended(sql, &[]), sync()].concat();
        // By now each connection has the statement that gives the context.
        for client in [&mut acme, &mut globex] {
            client.ask(&batch(SEEN));
        }
        acme.ask(&[parse("s", "SELECT set_config('app.tenant_id', 'globex', true)"), sync()].concat());
        acme.ask(&[parse("all", "RESET ALL"), sync()].concat());
        let set = |name: &[u8]| function_call(2078, &[Some(name), Some(b"globex"), Some(b"true")]);
        let blank = [
            parse_typed("", "SELECT set_config($1, 'globex', true)", &[1042]),
            bind("", "", &[Some(b"app.tenant_id ")]), execute("", 0), sync(),
        ].concat();
        let mut attempts = vec![
            ("E:42501", query("EXECUTE s")),
            ("E:42501", query(&format!("EXECUTE s; {SEEN}"))),
            ("E:42501", query("EXPLAIN ANALYZE EXECUTE s")),
            ("E:42501", batch("EXECUTE s")),
            ("E:42501", set(b"app.tenant_id")),
            ("E:42501", set(b"APP.Tenant_Id")),
            ("E:42501", blank),
        ];
        for name in (0..8).map(|number| format!("pgusher_{number}")) {
            let in_capitals = name.to_uppercase();
            for (wanted, text) in [
                ("E:0A000", format!("EXECUTE {name}('app.tenant_id', 'globex')")),
                ("E:0A000", format!("DEALLOCATE {name}")),
                ("E:0A000", format!("EXPLAIN EXECUTE {in_capitals}")),
                ("E:42501", format!("EXECUTE U&\"\\0070{}\"", &name[1..])),
            ] {
                attempts.extend([(wanted, query(&text)), (wanted, batch(&text))]);
            }
        }
        for (wanted, bytes) in &attempts {
            let shown = bytes.escape_ascii();
            let (types, _) = error_in(&mut acme, bytes);
            assert!(types.contains(wanted) && types.ends_with("Z:I"), "{shown}: {types}");
            assert_eq!(acme.value(SEEN), "acme", "{shown}");
            acme.rows("BEGIN; SELECT 1");
            let (types, _) = error_in(&mut acme, bytes);
            assert!(types.contains(wanted) && types.ends_with("Z:E"), "{shown} in a block: {types}");
            acme.rows("ROLLBACK");
            assert!(acme.ask(&batch(SEEN)).text().contains("D acme"), "{shown}");
            assert_eq!(globex.value(SEEN), "globex", "{shown}");
            assert!(globex.ask(&batch(SEEN)).text().contains("D globex"), "{shown}");
        }
        // Within a batch, too.
        let inside = [extended("SELECT 1", &[]), query("EXECUTE pgusher_1"), sync()].concat();
        acme.send(&inside);
        let heard = acme.transcript().types();
        assert!(heard.ends_with("E:0A000 Z:I") || heard.ends_with("E:0A000 Z:T"), "{heard}");
        acme.transcript();
        // Another setting may be set, and RESET ALL be prepared: the context is there again.
        acme.rows("BEGIN; SELECT 1");
        assert_eq!(acme.ask(&set(b"my.own")).types(), "V Z:T");
        assert_eq!(acme.value(SEEN), "acme");
        acme.rows("EXECUTE \"all\"");
        assert_eq!(acme.value(SEEN), "acme");
        acme.rows("COMMIT");
        // In an encoding in which a backslash may be half of a letter.
        acme.rows("SET client_encoding = 'SJIS'");
        for sql in ["SET app.tenant_id = 'globex' /*?*/", "SET app.tenant_id = 'globex' /*?*/; SELECT 1"] {
            let text: Vec<u8> = sql.bytes().map(|byte| if byte == b'?' { 0xb1 } else { byte }).collect();
            let bytes = message(b'Q', &[&text[..], b"\0"].concat());
            assert_eq!(error_in(&mut acme, &bytes).0, "E:42501 Z:I", "{sql}");
            acme.rows("BEGIN; SELECT 1");
            assert_eq!(error_in(&mut acme, &bytes).0, "E:42501 Z:E", "{sql}");
            acme.rows("ROLLBACK");
        }
        assert_eq!(acme.value(SEEN), "acme");
    }
}

both_versions! {
    /// What forgets all settings is no attempt; the context is there again behind it.
    resets_of_everything, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        for reset in ["RESET ALL", "DISCARD ALL"] {
            assert_eq!(acme.ask(&query(reset)).types(), "C Z:I", "{reset}");
            assert_eq!(acme.value(SEEN), "acme");
            assert_eq!(acme.ask(&[extended(reset, &[]), sync()].concat()).types(), "1 2 n C Z:I", "{reset}");
            assert_eq!(acme.value(SEEN), "acme");
            acme.send(&[query(reset), query(SEEN), extended(SEEN, &[]), sync()].concat());
            assert_eq!(acme.transcript().types(), "C Z:I");
            for _ in 0..2 {
                assert!(acme.transcript().text().contains("D acme"), "{reset}");
            }
            assert_eq!(globex.value(SEEN), "globex");
        }
        assert_eq!(acme.value(&format!("RESET ALL; {SEEN}")), "acme");
        acme.rows("BEGIN; SELECT 1");
        acme.rows("RESET ALL");
        assert_eq!(acme.value(SEEN), "acme");
        let batch = acme.ask(&[extended("RESET ALL", &[]), extended(SEEN, &[]), sync()].concat());
        assert!(batch.text().contains("D acme"), "{batch:?}");
        acme.rows("COMMIT");
        assert_eq!(acme.value(SEEN), "acme");
        assert_eq!(globex.value(SEEN), "globex");
    }
}

both_versions! {
    /// T14: where nothing is protected, what a statement sets is gone with its transaction, or at
    /// least with its client; so is what no text shows.
    nothing_survives, |server| {
        let database = server.fresh_database();
        database.sql(
            "CREATE FUNCTION evil() RETURNS text LANGUAGE plpgsql AS \
             $$ BEGIN EXECUTE 'SET app.tenant_id = ''evil'''; RETURN ''; END $$",
        );
        for protect in ["protect = true", "protect = false\nsources = [\"startup\"]"] {
            let pgusher = with_tenants(server, protect).start();
            let as_ = |tenant: &str| login(pgusher.port(), "both", &database, &[("app.tenant_id", tenant)]).unwrap();
            let (mut acme, mut globex) = (as_("acme"), as_("globex"));
            for evil in [
                "SET app.tenant_id = 'evil'",
                "SELECT set_config('app.tenant_id', 'evil', false)",
                "SELECT evil()",
                "BEGIN; SELECT evil(); COMMIT",
                "DO $$ BEGIN PERFORM evil(); COMMIT; END $$",
            ] {
                acme.ask(&query(evil));
                assert_eq!(globex.value(SEEN), "globex", "behind {evil}");
                acme.ask(&query(evil));
                assert_eq!(acme.value(SEEN), "acme", "behind {evil}");
                acme.ask(&[extended(evil, &[]), sync()].concat());
                assert_eq!(globex.value(SEEN), "globex", "behind {evil}");
            }
        }
    }
}

both_versions! {
    /// T14: to say what holds anyway is allowed, and leaves nothing either.
    saying_it_again_leaves_nothing, |server| {
        let database = server.fresh_database();
        for more in ["", "protect = false\nsources = [\"startup\"]"] {
            let pgusher = with_tenants(server, more).start();
            let of_acme = [("app.tenant_id", "acme")];
            let mut acme = login(pgusher.port(), "both", &database, &of_acme).unwrap();
            let mut nobody = login(pgusher.port(), "both", &database, &[]).unwrap();
            let set = "SET app.tenant_id = 'acme'";
            let call = "SELECT set_config('app.tenant_id', $1, false)";
            for bytes in [
                query(set),
                query("SELECT set_config('app.tenant_id', 'acme', false)"),
                query("BEGIN; SET app.tenant_id = 'acme'; COMMIT"),
                [extended(set, &[]), sync()].concat(),
                [extended(call, &[Some(b"acme")]), sync()].concat(),
            ] {
                let heard = acme.ask(&bytes).types();
                assert!(heard.ends_with("C Z:I"), "{heard}");
                assert_eq!(nobody.value(SEEN), "", "{more} {}", bytes.escape_ascii());
            }
        }
    }
}
