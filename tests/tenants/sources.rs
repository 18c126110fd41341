//! Who the tenant is: by the connection, and what holds when it is not said or said twice.

use crate::{
    SEEN, anonymous, client_of, error_in, error_of, login,
    support::{
        Version, both_versions,
        message::{extended, function_call, query, sync},
        postgres,
    },
    with_tenants,
};

both_versions! {
    /// A16
    of_the_connection, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let port = pgusher.port();
        for (user, more) in [
            ("app", &[("app.tenant_id", "acme")][..]),
            ("app", &[("APP.Tenant_ID", "acme")]),
            ("app", &[("options", "-c app.tenant_id=acme")]),
            ("app", &[("options", "--app.tenant-id=acme -c work_mem=1MB")]),
            ("app.acme", &[]),
            ("app.acme", &[("app.tenant_id", "acme")]),
            ("app.acme", &[("options", "-c app.tenant_id=acme")]),
            ("app.acme", &[("app.tenant_id", "")]),
        ] {
            let mut client = login(port, user, &database, more).unwrap_or_else(|error| panic!("{user} {more:?}: {error}"));
            assert_eq!(client.value(SEEN), "acme", "{user} {more:?}");
            assert_eq!(client.value("SELECT current_user"), "app");
            let mut other = client_of("globex", &pgusher, &database);
            assert_eq!(other.value(SEEN), "globex");
        }
    }
}

both_versions! {
    /// J8: two that disagree, and ids that are none.
    logins_that_are_refused, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        for (user, more, code) in [
            ("app.acme", &[("app.tenant_id", "globex")][..], "28000"),
            ("app.acme", &[("options", "-c app.tenant_id=globex")], "28000"),
            ("app", &[("app.tenant_id", "a b")], "22023"),
            ("app", &[("app.tenant_id", "a'b")], "22023"),
            ("app.", &[], "22023"),
        ] {
            let error = login(pgusher.port(), user, &database, more).unwrap_err();
            assert!(error.starts_with(&format!("FATAL:{code}")), "{user} {more:?}: {error}");
        }
    }
}

both_versions! {
    /// J6: without a tenant nothing that could see data runs, and the rest does.
    required, |server| {
        let database = server.fresh_database();
        database.sql("CREATE TABLE t (v int); GRANT ALL ON t TO app");
        let pgusher = with_tenants(server, "").start();
        let mut client = anonymous(&pgusher, &database);
        let insert = "INSERT INTO t VALUES (1)";
        let long = format!("INSERT INTO t VALUES (1) -- {}", "x".repeat(50_000));
        for bytes in [
            query(insert),
            query("VACUUM t"),
            query("DO 'begin insert into t values (1); end'"),
            query(&long),
            query("nonsense"),
            query("COPY t TO STDOUT"),
            query("BEGIN; COMMIT; INSERT INTO t VALUES (1)"),
            [extended(insert, &[]), sync()].concat(),
            [extended(&long, &[]), sync()].concat(),
            [extended("DO 'begin insert into t values (1); end'", &[]), sync()].concat(),
            function_call(1397, &[Some(b"-5")]),
        ] {
            let (types, said) = error_in(&mut client, &bytes);
            assert!(types.ends_with("E:28000 Z:I"), "{types}: {said} {}", bytes.escape_ascii().to_string().get(..60).unwrap_or(""));
            assert_eq!(said, "no tenant is known for this transaction");
        }
        client.rows("BEGIN");
        let (types, _) = error_of(&mut client, insert);
        assert_eq!(types, "E:28000 Z:E");
        assert_eq!(client.ask(&query(insert)).types(), "E:25P02 Z:E");
        assert_eq!(client.ask(&query("COMMIT")).types(), "C Z:I");
        client.rows("BEGIN");
        let (types, _) = error_in(&mut client, &[extended(insert, &[]), sync()].concat());
        assert!(types.ends_with("E:28000 Z:E"), "{types}");
        assert_eq!(client.ask(&query("ROLLBACK")).types(), "C Z:I");
        assert_eq!(database.value("SELECT count(*) FROM t"), "0");
        assert_eq!(client.ask(&query("BEGIN; SET LOCAL work_mem = '1MB'; COMMIT")).types(), "C C C Z:I");
        assert_eq!(client.ask(&query("SET app.tenant_id = 'acme'")).types(), "C Z:I");
        client.rows(insert);
    }
}

both_versions! {
    /// If nothing can name one later, the login is refused.
    required_at_the_login, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "sources = [\"user\"]").start();
        let error = login(pgusher.port(), "app", &database, &[]).unwrap_err();
        assert!(error.starts_with("FATAL:28000"), "{error}");
        let error = login(pgusher.port(), "app.acme", &database, &[("app.tenant_id", "acme")]).unwrap_err();
        assert!(error.starts_with("FATAL:42501"), "{error}");
        let mut client = login(pgusher.port(), "app.acme", &database, &[]).unwrap();
        assert_eq!(client.value(SEEN), "acme");
        // The source is off: a comment is a comment.
        assert_eq!(client.value(&format!("/* tenant_id='globex' */ {SEEN}")), "acme");
        assert_eq!(error_of(&mut client, "SET app.tenant_id = 'globex'").0, "E:42501 Z:I");
    }
}

both_versions! {
    /// J17: who may work without one, does, and sees nothing of those who were there.
    not_required_and_bypassed, |server| {
        let database = server.fresh_database();
        for (more, user) in [("required = false", "app"), ("", "both")] {
            let pgusher = with_tenants(server, more).start();
            let mut acme = login(pgusher.port(), user, &database, &[("app.tenant_id", "acme")]).unwrap();
            for text in [SEEN, "VACUUM pg_class", "BEGIN; SELECT 1; COMMIT", "DO 'begin end'"] {
                let mut nobody = login(pgusher.port(), user, &database, &[]).unwrap();
                acme.ask(&query(text));
                assert_eq!(nobody.value(SEEN), "", "behind {text}");
                let batch = nobody.ask(&[extended(SEEN, &[]), sync()].concat());
                assert_eq!(batch.types(), "1 2 T D C Z:I");
                assert!(!batch.text().contains("acme"), "{batch:?}");
            }
            let mut next = login(pgusher.port(), user, &database, &[]).unwrap();
            assert_eq!(next.value(SEEN), "", "{more}");
        }
    }
}

both_versions! {
    /// More settings, by tenant, in every form; the next one has its own.
    more_settings, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(
            server,
            "[tenant.settings]\nwork_mem = \"5MB\"\n\"app.plan\" = \"basic\"\n\
             [tenants.acme.settings]\nwork_mem = \"7MB\"\nsearch_path = \"acme, public\"",
        ).start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        let mut nobody = login(pgusher.port(), "both", &database, &[]).unwrap();
        let all = "SELECT concat_ws(' ', current_setting('app.tenant_id', true), current_setting('work_mem'), \
                   nullif(current_setting('app.plan', true), ''), current_setting('search_path'))";
        let told = format!("DO $$ BEGIN RAISE NOTICE '%', ({all}); END $$");
        let own = "acme 7MB basic acme, public";
        for _ in 0..2 {
            assert_eq!(acme.value(all), own);
            assert!(acme.ask(&query(&told)).text().contains(own));
            assert!(acme.ask(&[extended(&told, &[]), sync()].concat()).text().contains(own));
            assert_eq!(globex.value(all), "globex 5MB basic \"$user\", public");
            assert!(acme.ask(&[extended(all, &[]), sync()].concat()).text().contains(own));
            let block = [extended("BEGIN", &[]), extended(all, &[]), extended("COMMIT", &[]), sync()].concat();
            assert!(acme.ask(&block).text().contains(own));
            assert_eq!(nobody.value(all).trim_start(), "4MB \"$user\", public");
        }
    }
}

/// Who bypasses is as on a database without tenants: what it calls is not read (E4).
#[test]
fn a_setting_of_one_that_bypasses_is_left_behind() {
    let server = postgres(Version::V18);
    let database = server.fresh_database();
    let pgusher = with_tenants(server, "").start();
    let mut nobody = login(pgusher.port(), "both", &database, &[]).unwrap();
    nobody.rows("SELECT set_config('app.tenant_id', 'evil', false)");
    let mut next = login(pgusher.port(), "both", &database, &[]).unwrap();
    assert_eq!(next.value(SEEN), "");
}

/// `docs/tenants.md`: they are defaults, not limits.
#[test]
fn a_clients_own_setting_is_stronger() {
    let server = postgres(Version::V18);
    let database = server.fresh_database();
    let pgusher = with_tenants(server, "[tenant.settings]\nwork_mem = \"5MB\"").start();
    let mut acme = client_of("acme", &pgusher, &database);
    let shown = acme.value("BEGIN; SET LOCAL work_mem = '1MB'; SHOW work_mem; COMMIT");
    assert_eq!(shown, "1MB");
    let shown =
        acme.value("BEGIN; SET LOCAL work_mem = '1MB'; SELECT current_setting('work_mem'); COMMIT");
    assert_eq!(shown, "1MB");
    for sql in ["BEGIN", "SET LOCAL work_mem = '1MB'"] {
        acme.ask(&[extended(sql, &[]), sync()].concat());
    }
    assert_eq!(acme.value("SELECT current_setting('work_mem')"), "1MB");
    acme.ask(&query("COMMIT"));
    assert_eq!(acme.value("SELECT current_setting('work_mem')"), "5MB");
}
