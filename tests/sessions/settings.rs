//! Settings: as long as the session, the transaction or the savepoint, and for nobody else (E1).

use std::time::Duration;

use crate::{
    stage::Stage,
    support::{both_versions, message::query},
};

/// Tells scripts.
fn as_directly(server: &crate::support::Postgres, scripts: &[&[&str]]) {
    let mut stage = Stage::new(server);
    stage.tell_all(scripts);
    stage.finish();
}

both_versions! {
    /// E1
    outside_of_blocks, |server| as_directly(server, &[
        &["SET work_mem = '1234kB'", "SHOW work_mem", "RESET work_mem", "SHOW work_mem"],
        &["SET SESSION work_mem TO 1234", "SET work_mem TO DEFAULT", "SHOW work_mem"],
        &["SET LOCAL work_mem = '1234kB'", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "SET work_mem = '1MB'", "SET statement_timeout = '59s'", "SHOW work_mem", "SHOW statement_timeout"],
        &["SET work_mem = '1234kB'", "SET statement_timeout = 59000", "RESET ALL", "SHOW work_mem", "SHOW statement_timeout"],
        &["SET work_mem = 'nonsense'", "SHOW work_mem"],
        &["SET nowhere = 1", "SET log_statement = 'all'", "SET max_connections = 7", "SHOW work_mem"],
        &["SET work_mem = '1234kB'; SHOW work_mem; RESET work_mem; SHOW work_mem", "SHOW work_mem"],
        &["SET work_mem = '1234kB'; SELECT 1/0", "SHOW work_mem"],
        &["SET work_mem = '1234kB'; COMMIT; SET work_mem = '4321kB'; SELECT 1/0", "SHOW work_mem"],
        &["SET work_mem = '1234kB'; SELECT FROM WHERE", "SHOW work_mem"],
        &["/* one */ SET /* two /* three */ */ work_mem -- four\n = '1234kB' -- five", "SHOW work_mem"],
        &["set WORK_MEM to '1234kB'", "SHOW Work_Mem", "set \"work_mem\" = 2345", "SHOW work_mem"],
        &["SET random_page_cost = 1.5", "SET geqo_threshold = +7", "SET enable_seqscan = off", "SET log_parameter_max_length_on_error = -1"],
        &["SET enable_seqscan = no", "SET enable_seqscan TO DEFAULT", "SET enable_sort = 0", "SET enable_hashjoin = false"],
        &["SET xmloption = document", "SET XML OPTION CONTENT", "SET XML OPTION DOCUMENT"],
        &["SET plan_cache_mode = force_generic_plan", "SET default_tablespace = ''", "SET temp_tablespaces = ''", "SET row_security = off"],
    ])
}

both_versions! {
    /// E1
    in_blocks, |server| as_directly(server, &[
        &["BEGIN", "SET work_mem = '1234kB'", "SHOW work_mem", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "SHOW work_mem", "ROLLBACK", "SHOW work_mem"],
        &["BEGIN", "SET LOCAL work_mem = '1234kB'", "SHOW work_mem", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "SELECT 1/0", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "SELECT 1/0", "ROLLBACK", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "SET work_mem = '2345kB'", "ROLLBACK", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "RESET work_mem", "SHOW work_mem", "ROLLBACK", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "RESET work_mem", "SHOW work_mem", "COMMIT", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "RESET ALL", "ROLLBACK", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "RESET ALL", "COMMIT", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "SET LOCAL work_mem = '2345kB'", "SHOW work_mem", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "SET LOCAL work_mem = '2345kB'", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET LOCAL work_mem = '2345kB'", "SET work_mem = '1234kB'", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "COMMIT AND CHAIN", "SET work_mem = '2345kB'", "ROLLBACK", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "ROLLBACK AND CHAIN", "SET statement_timeout = '59s'", "COMMIT", "SHOW work_mem", "SHOW statement_timeout"],
        &["BEGIN", "SAVEPOINT s", "SET work_mem = '1234kB'", "ROLLBACK TO s", "SHOW work_mem", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SAVEPOINT s", "SET work_mem = '1234kB'", "RELEASE s", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SAVEPOINT s", "SET work_mem = '1234kB'", "RELEASE s", "ROLLBACK", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "SAVEPOINT s", "SET work_mem = '2345kB'", "SAVEPOINT s2",
          "SET work_mem = '3456kB'", "ROLLBACK TO s2", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET work_mem = '1234kB'", "SAVEPOINT s", "SET work_mem = '2345kB'", "SELECT 1/0", "ROLLBACK TO s", "COMMIT", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "SAVEPOINT s", "RESET work_mem", "ROLLBACK TO s", "RESET statement_timeout", "COMMIT", "SHOW work_mem"],
        &["BEGIN; SET work_mem = '1234kB'; COMMIT; BEGIN; SET work_mem = '2345kB'; ROLLBACK", "SHOW work_mem"],
        &["BEGIN; SET work_mem = '1234kB'", "SHOW work_mem; COMMIT; SHOW work_mem"],
        &["START TRANSACTION READ ONLY", "SET work_mem = '1234kB'", "END", "SHOW work_mem"],
        &["BEGIN", "INSERT INTO late VALUES (1), (1)", "SET work_mem = '1234kB'", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET LOCAL TimeZone = 'Asia/Tokyo'", "SELECT now() IS NOT NULL", "COMMIT", "SHOW TimeZone"],
    ])
}

both_versions! {
    /// E4: a function that is called is not a command, and has no tag of its own.
    set_config, |server| as_directly(server, &[
        &["SELECT set_config('work_mem', '1234kB', false)", "SHOW work_mem"],
        &["SELECT set_config('work_mem', '1234kB', true)", "SHOW work_mem"],
        &["BEGIN", "SELECT set_config('work_mem', '1234kB', false)", "ROLLBACK", "SHOW work_mem"],
        &["BEGIN", "SELECT set_config('work_mem', '1234kB', false)", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "SELECT set_config('work_mem', '1234kB', true)", "COMMIT", "SHOW work_mem"],
        &["SELECT pg_catalog.set_config('search_path', '', false)", "SHOW search_path", "SELECT count(*) FROM t", "SELECT count(*) FROM public.t"],
        &["SELECT set_config('work_mem', '1234kB', false), set_config('statement_timeout', '59s', false), 1", "SHOW work_mem", "SHOW statement_timeout"],
        &["SELECT set_config('work_mem', '1234kB', v > 0) FROM (VALUES (0)) x(v)", "SHOW work_mem"],
        &["SELECT set_config('app.one', set_config('app.two', 'x', false) || 'y', false)", "SELECT current_setting('app.one')", "SELECT current_setting('app.two')"],
        &["SELECT \"set_config\"('work_mem', '1234kB', false)", "SHOW work_mem"],
        &["SELECT pg_catalog . /* here */ set_config ('work_mem', '1234kB', false)", "SHOW work_mem"],
        &["SELECT SET_CONFIG('Work_Mem', '1234kB', FALSE)", "SHOW work_mem"],
        &["WITH x AS MATERIALIZED (SELECT set_config('work_mem', '1234kB', false)) SELECT * FROM x", "SHOW work_mem"],
        &["VALUES (set_config('work_mem', '1234kB', false))", "SHOW work_mem"],
        &["SELECT set_config('work_mem', '1234kB', false) FROM t", "SHOW work_mem"],
        &["INSERT INTO t SELECT length(set_config('work_mem', '1234kB', false))", "SHOW work_mem", "SELECT v FROM t"],
        &["CREATE TABLE made AS SELECT set_config('work_mem', '1234kB', false)", "SHOW work_mem"],
        &["EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT set_config('work_mem', '1234kB', false)", "SHOW work_mem"],
        &["COPY (SELECT set_config('work_mem', '1234kB', false)) TO STDOUT", "SHOW work_mem"],
        &["BEGIN", "DECLARE c CURSOR FOR SELECT set_config('work_mem', '1234kB', false)", "FETCH c", "COMMIT", "SHOW work_mem"],
        &["BEGIN", "DECLARE c CURSOR FOR SELECT set_config('work_mem', '1234kB', false)", "COMMIT", "SHOW work_mem"],
        &["UPDATE pg_settings SET setting = '1234kB' WHERE name = 'work_mem'", "SHOW work_mem"],
        &["SELECT set_config('nowhere', '1', false)", "SELECT set_config('work_mem', 'x', false)", "SHOW work_mem"],
        &["SELECT set_config('work_mem', NULL, false)", "SHOW work_mem"],
        &["SET work_mem = '2345kB'", "SELECT set_config('work_mem', NULL, false)", "SHOW work_mem"],
        &["SELECT set_config('work_mem', '1234kB', false); SELECT 1/0", "SHOW work_mem"],
    ])
}

both_versions! {
    /// Where a setting changes inside of something else, and the text tells it.
    in_code, |server| as_directly(server, &[
        &["DO $$ BEGIN SET work_mem = '1234kB'; END $$", "SHOW work_mem"],
        &["DO $$ BEGIN PERFORM set_config('work_mem', '1234kB', false); END $$", "SHOW work_mem"],
        &["DO $$ BEGIN EXECUTE 'SET work_mem = ' || quote_literal('1234kB'); END $$", "SHOW work_mem"],
        &["DO $$ BEGIN SET LOCAL work_mem = '1234kB'; END $$", "SHOW work_mem"],
        &["DO $$ BEGIN SET work_mem = '1234kB'; PERFORM 1/0; EXCEPTION WHEN OTHERS THEN NULL; END $$", "SHOW work_mem"],
        &["CALL commits('work_mem', '123')", "SHOW work_mem"],
        &["SELECT with_own_setting()", "SHOW work_mem"],
        // Reported, and so seen.
        &["SELECT sets('TimeZone', 'Asia/Tokyo')", "SHOW TimeZone", "RESET TimeZone", "SHOW TimeZone"],
        &["BEGIN", "SELECT sets('TimeZone', 'Asia/Tokyo')", "ROLLBACK", "SHOW TimeZone"],
        &["BEGIN", "SELECT sets('DateStyle', 'German')", "COMMIT", "SELECT date '2026-11-21'"],
        &["PREPARE p AS SELECT set_config('work_mem', $1, false)", "EXECUTE p('1234kB')", "SHOW work_mem", "DEALLOCATE p", "SHOW work_mem"],
    ])
}

both_versions! {
    /// E5: what is reported is told as it is.
    reported, |server| as_directly(server, &[
        &["SET DateStyle = 'German'", "SHOW DateStyle", "SET DateStyle = 'MDY'", "SHOW DateStyle", "SELECT date '2026-11-21'"],
        &["SET DateStyle = 'DMY'", "SET DateStyle = 'SQL'", "SELECT date '2026-11-21'", "RESET DateStyle", "SELECT date '2026-11-21'"],
        &["SET datestyle TO postgres, dmy", "SHOW DateStyle", "BEGIN", "SET LOCAL datestyle = iso", "COMMIT", "SHOW DateStyle"],
        &["SET IntervalStyle = 'iso_8601'", "SELECT interval '1 day 2 hours'", "RESET IntervalStyle"],
        &["SET TIME ZONE 'Europe/Berlin'", "SHOW TimeZone", "SET TIME ZONE LOCAL", "SHOW TimeZone"],
        &["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SHOW TimeZone", "SELECT timestamptz '2026-11-21 00:00Z'", "SET TIME ZONE DEFAULT", "SHOW TimeZone"],
        &["SET TIME ZONE -7", "SHOW TimeZone", "SELECT timestamptz '2026-11-21 00:00Z'", "SET TIME ZONE 5.5", "SHOW TimeZone"],
        &["SET TIME ZONE '<-07>+07'", "SHOW TimeZone", "SELECT timestamptz '2026-11-21 00:00Z'"],
        &["SET LOCAL TIME ZONE 'Asia/Tokyo'", "SHOW TimeZone"],
        &["SET NAMES 'LATIN1'", "SHOW client_encoding", "SELECT 'ab'", "SET NAMES DEFAULT", "SHOW client_encoding"],
        &["SET client_encoding TO 'SQL_ASCII'", "SHOW client_encoding", "RESET client_encoding", "SHOW client_encoding"],
        &["SET NAMES LATIN1", "BEGIN", "SET NAMES UTF8", "ROLLBACK", "SHOW client_encoding"],
        &["SET application_name = 'mine'", "SHOW application_name", "SET application_name = ''", "SHOW application_name"],
        &["SET application_name = 'with ''quotes'' and \"these\" \\ '", "SHOW application_name"],
        &["SET standard_conforming_strings = off", "SELECT 'a\\'b'", "SELECT 'it\\\\s'", "SHOW standard_conforming_strings"],
        &["SET standard_conforming_strings = off", "SET app.one = 'a\\'b; RESET ALL; --'", "SELECT current_setting('app.one')", "SET standard_conforming_strings = on", "SELECT current_setting('app.one')"],
        &["SET search_path = a, \"B c\", 'd,e'", "SHOW search_path", "SELECT current_schemas(false)"],
        &["SET search_path = 'a, public'", "SHOW search_path", "SELECT current_schemas(false)"],
        &["SELECT set_config('search_path', 'a, \"B c\"', false)", "SHOW search_path", "CREATE TABLE made (v int)", "SELECT count(*) FROM a.made"],
        &["SET search_path TO a", "SELECT 't'::regclass::oid = 'a.t'::regclass::oid", "RESET search_path", "SELECT 't'::regclass::oid = 'public.t'::regclass::oid"],
        &["SET SCHEMA 'a'", "SHOW search_path", "SET search_path TO ''", "SHOW search_path", "SET search_path = \"$user\", public, a", "SHOW search_path"],
        &["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "INSERT INTO t VALUES (1)", "SHOW default_transaction_read_only",
          "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "INSERT INTO t VALUES (2)"],
        &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE", "SHOW transaction_isolation", "SHOW transaction_deferrable"],
        &["BEGIN", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ", "ROLLBACK", "SHOW transaction_isolation"],
        &["SET default_transaction_read_only = on", "SET work_mem = '1234kB'", "INSERT INTO t VALUES (1)", "SHOW work_mem"],
    ])
}

both_versions! {
    values, |server| {
        let long = format!("SET app.one = '{}'", "long ".repeat(2_000));
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["SET app.one = 'x'", "SELECT current_setting('app.one')", "SET app.two TO y", "SELECT current_setting('app.two')", "RESET app.one", "SELECT current_setting('app.one')"],
            &["SET app.one = 'it''s \"quoted\"; DROP TABLE t; --'", "SELECT current_setting('app.one')"],
            &["SET app.one = 'back\\slash\\'", "SELECT current_setting('app.one')", "SELECT current_setting('app.one')"],
            &["SET app.one = E'new\\nline\\ttab\\'quote'", "SELECT current_setting('app.one')"],
            &["SET app.one = U&'\\2603 snow'", "SELECT current_setting('app.one')"],
            &["SET app.one = $$dollar 'quoted' $1$$", "SELECT current_setting('app.one')"],
            &["SET app.one = 'Grüße, ☃, 日本'", "SELECT current_setting('app.one')"],
            &["SET app.one = ''", "SELECT current_setting('app.one')", "SELECT current_setting('app.one', true) IS NULL"],
            &["SET app.one = 1.50", "SELECT current_setting('app.one')", "SET app.one = -3", "SELECT current_setting('app.one')", "SET app.one = on", "SELECT current_setting('app.one')", "SET app.one TO a, b, 'C d'", "SELECT current_setting('app.one')"],
            &["SET \"app\".\"one\" = 'x'", "SELECT current_setting('app.one')", "SET APP.One = 'y'", "SELECT current_setting('app.one')"],
            &["SET myapp.user_id = 42", "SELECT current_setting('myapp.user_id')::int + 1"],
            &["BEGIN", "SET LOCAL app.one = 'x'", "COMMIT", "SELECT current_setting('app.one')", "SELECT current_setting('app.one', true)"],
            &[&long, "SELECT length(current_setting('app.one'))"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// C10
    discarded, |server| as_directly(server, &[
        &["SET work_mem = '1234kB'", "SET app.one = 'x'", "SET TimeZone = 'Asia/Tokyo'", "DISCARD ALL", "SHOW work_mem", "SELECT current_setting('app.one')", "SHOW TimeZone"],
        &["SET work_mem = '1234kB'", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "SHOW work_mem"],
        &["SET work_mem = '1234kB'", "BEGIN", "DISCARD ALL", "COMMIT", "SHOW work_mem"],
        &["DISCARD ALL", "DISCARD ALL"],
    ])
}

both_versions! {
    /// E1, E5: the next statement finds another server connection.
    on_another_connection, |server| {
        let mut stage = Stage::alternating(server);
        stage.tell_all(&[
            &["SET work_mem = '1234kB'", "SHOW work_mem", "SHOW work_mem", "RESET work_mem", "SHOW work_mem", "SHOW work_mem"],
            &["SET work_mem = '1234kB'", "SET statement_timeout = '59s'", "RESET ALL", "SHOW work_mem", "SHOW statement_timeout", "SET work_mem = '2345kB'", "SHOW work_mem"],
            &["SET work_mem = '1234kB'", "BEGIN", "SET work_mem = '2345kB'", "ROLLBACK", "SHOW work_mem", "SHOW work_mem"],
            &["SET work_mem = '1234kB'", "BEGIN", "RESET work_mem", "COMMIT", "SHOW work_mem", "SHOW work_mem"],
            &["SET work_mem = '1234kB'", "BEGIN", "RESET ALL", "ROLLBACK", "SHOW work_mem", "SHOW work_mem"],
            &["SELECT set_config('work_mem', '1234kB', false)", "SHOW work_mem", "SELECT set_config('work_mem', '2345kB', false)", "SHOW work_mem"],
            &["SET DateStyle = 'German'", "SET DateStyle = 'MDY'", "SHOW DateStyle", "SET DateStyle = 'ISO'", "SHOW DateStyle", "RESET DateStyle", "SHOW DateStyle"],
            &["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SHOW TimeZone", "SELECT timestamptz '2026-11-21 00:00Z'", "SET TIME ZONE -3.5", "SHOW TimeZone", "SET TIME ZONE DEFAULT", "SHOW TimeZone"],
            &["SET search_path = a, \"B c\", 'd,e'", "SHOW search_path", "SET search_path = ''", "SHOW search_path", "SELECT current_schemas(false)", "SET search_path = 'x\"y'", "SHOW search_path", "SHOW search_path"],
            &["SET NAMES 'LATIN1'", "SHOW client_encoding", "SELECT U&'\\00fc'", "RESET client_encoding", "SELECT U&'\\00fc'"],
            &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "SHOW transaction_isolation", "INSERT INTO t VALUES (1)", "RESET ALL", "INSERT INTO t VALUES (2)"],
            &["SET ROLE visitor", "SELECT current_user", "SELECT current_user", "RESET ROLE", "SELECT current_user"],
            &["SET ROLE visitor", "SET work_mem = '1234kB'", "RESET ALL", "SELECT current_user", "DISCARD ALL", "SELECT current_user", "SHOW work_mem"],
            &["SET app.one = 'Grüße ''☃'' \\'", "SELECT current_setting('app.one')", "SET app.one = ''", "SELECT current_setting('app.one')"],
            &["SET application_name = 'mine'", "SHOW application_name", "BEGIN", "SET LOCAL application_name = 'local'", "COMMIT", "SHOW application_name", "RESET application_name", "SHOW application_name"],
            &["DO $$ BEGIN SET work_mem = '1234kB'; END $$", "SHOW work_mem", "SELECT sets('TimeZone', 'Asia/Tokyo')", "SHOW TimeZone", "SHOW TimeZone"],
            &["SET work_mem = '1234kB'", "LISTEN news", "SHOW work_mem", "SET work_mem = '2345kB'", "UNLISTEN news", "SHOW work_mem", "SHOW work_mem"],
            &["CREATE TEMP TABLE mine (i int)", "SET work_mem = '1234kB'", "TABLE mine", "DROP TABLE mine", "SHOW work_mem", "SHOW work_mem"],
            &["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
        ]);
        // In the same batch it could not be read, and would keep its connection.
        stage.tell_apart(&["SET standard_conforming_strings = off", "SET app.one = 'a\\'b\\\\c'", "SELECT current_setting('app.one')", "SELECT 'a\\'b'", "SET standard_conforming_strings = on", "SELECT current_setting('app.one')"]);
        stage.finish();
    }
}

both_versions! {
    /// Where pgusher is not PostgreSQL: a setting of the application's own that code sets where no text
    /// tells is not found, as the server does not list it. Nobody else finds it either.
    own_in_code, |server| {
        let database = server.fresh_database();
        database.sql(crate::stage::SETUP);
        let pgusher = crate::support::Pgusher::in_front_of(server).pool_size(1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let seen = "SELECT coalesce(current_setting('app.one', true), '')";
        for code in ["CALL commits('app.one', 'x')", "DO $$ BEGIN SET app.one = 'x'; END $$"] {
            client.rows(code);
            assert_eq!(other.value(seen), "", "{code}");
            assert_eq!(client.value(seen), "", "{code}");
        }
    }
}

both_versions! {
    /// Where pgusher is not PostgreSQL: a name that is worked out may be one of the application's own,
    /// which the server does not list. Who sets such a one keeps its connection.
    by_names_worked_out, |server| {
        let database = server.fresh_database();
        let pgusher = crate::support::Pgusher::in_front_of(server).pool_size(1).start();
        let mut other = pgusher.raw(&database.name);
        for sql in [
            "SELECT set_config('work' || '_mem', '1234kB', false)",
            "SELECT set_config(name, '1234kB', false) FROM pg_settings WHERE name = 'work_mem'",
            r#"SELECT U&"set\005fconfig"('work_mem', '1234kB', false)"#,
        ] {
            let mut client = pgusher.raw(&database.name);
            client.rows(sql);
            other.send(&query("SHOW work_mem"));
            assert_eq!(client.value("SHOW work_mem"), "1234kB", "{sql}");
            assert!(!other.hears_within(Duration::ZERO), "{sql}");
            drop(client);
            assert!(other.transcript().text().contains("\nD 4MB\n"), "{sql}");
        }
    }
}
