//! Settings and statements that are not like the others, and what pgusher asks on its own account:
//! nothing that a client has set may bend it.

use crate::{
    stage::Stage,
    support::{Postgres, Way, both_versions},
};

fn as_directly(server: &Postgres, scripts: &[&[&str]]) {
    let mut stage = Stage::new(server);
    stage.tell_all(scripts);
    stage.finish();
}

both_versions! {
    /// Settings of a transaction look like those of a session, and end by themselves.
    of_transactions, |server| as_directly(server, &[
        &["SET transaction_isolation = 'serializable'", "SHOW transaction_isolation", "SELECT 1"],
        &["BEGIN", "SET transaction_read_only = on", "SHOW transaction_read_only", "COMMIT", "SHOW transaction_read_only", "INSERT INTO t VALUES (1)"],
        &["BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE", "SHOW transaction_isolation", "COMMIT", "SHOW transaction_isolation"],
        &["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "SELECT 1", "COMMIT", "SHOW transaction_isolation"],
        &["SET TRANSACTION READ ONLY", "SET CONSTRAINTS ALL DEFERRED", "SELECT 1"],
        &["SELECT set_config('transaction_isolation', 'serializable', false)", "SHOW transaction_isolation"],
        &["BEGIN", "SET CONSTRAINTS ALL IMMEDIATE", "COMMIT", "RESET transaction_isolation", "SELECT 1"],
    ])
}

both_versions! {
    /// Settings that cannot be read, or cannot be set again.
    one_way, |server| as_directly(server, &[
        &["SET SEED TO 0.5", "SELECT random()", "SELECT 1"],
        &["SET seed = 0.25", "RESET seed", "SHOW seed", "SELECT 1"],
        &["SELECT setseed(0.5)", "SELECT random()"],
        &["SET tcp_keepalives_idle = 77", "SHOW tcp_keepalives_idle", "RESET tcp_keepalives_idle", "SELECT 1"],
        &["SET ssl_renegotiation_limit = 0", "SET default_with_oids = off", "SELECT 1"],
        &["SET is_superuser = on", "SET server_version = '9.6'", "SET session_authorization = 'postgres'", "SHOW server_version"],
        &["SET lc_messages = 'C'", "SET ignore_system_indexes = on", "SET log_connections = on", "SELECT 1"],
        &["SET plpgsql.variable_conflict = 'use_column'", "SHOW plpgsql.variable_conflict", "RESET plpgsql.variable_conflict", "SHOW plpgsql.variable_conflict"],
        &["SET app = 'x'", "SET \"app.one.two\" = 'x'", "SET app.one.two = 'y'", "SELECT current_setting('app.one.two', true)"],
    ])
}

both_versions! {
    /// E1: `temp_buffers` cannot be changed once a temporary table was used.
    temp_buffers, |server| as_directly(server, &[
        &["SET temp_buffers = '2MB'", "SHOW temp_buffers", "RESET temp_buffers", "SHOW temp_buffers"],
        &["SET temp_buffers = '2MB'", "CREATE TEMP TABLE mine (i int)", "INSERT INTO mine VALUES (1)", "DROP TABLE mine", "SHOW temp_buffers", "SHOW temp_buffers"],
        &["CREATE TEMP TABLE mine (i int)", "INSERT INTO mine VALUES (1)", "SET temp_buffers = '2MB'", "DROP TABLE mine", "SHOW temp_buffers"],
        &["SELECT 1", "SHOW temp_buffers"],
    ])
}

both_versions! {
    /// J15: what pgusher says itself is not heard, however much is to be told.
    all_messages, |server| {
        let mut stage = Stage::new(server);
        // A prepared statement's name on the server is told too, where all is.
        let script = &["SET client_min_messages = debug5", "SELECT 1", "SHOW work_mem", "RESET client_min_messages", "SELECT 1"];
        for way in [Way::Simple, Way::SimplePipelined, Way::Extended] {
            stage.run(&format!("{way:?}: {script:?}"), &[], &way.writes(script), true);
        }
        stage.tell_all(&[
        &["SET client_min_messages = debug1", "SET work_mem = '1234kB'", "CREATE TABLE made (v int PRIMARY KEY)", "DROP TABLE made", "RESET ALL", "SELECT 1"],
        &["SET client_min_messages = error", "SET LOCAL work_mem = '1234kB'", "SELECT 1"],
        &["SET client_min_messages = log", "SET log_statement_stats = on", "SELECT 1"],
        &["SET debug_print_plan = on", "SET debug_pretty_print = off", "SELECT 1", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
        &["SET log_min_messages = debug5", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// A2: names in what pgusher asks mean what they should, whatever is in front in `search_path`.
    names_of_others, |server| {
        let mut stage = Stage::new(server);
        stage.setup("
            CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;
            CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.current_setting(text, bool) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.pg_listening_channels() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.pg_my_temp_schema() RETURNS oid LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.\"same\"(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.same_oid(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.same_int(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE FUNCTION evil.joined(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
            CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
            CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.same_oid);
            CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.same_int);
            CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same);
            CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.joined);
            CREATE TABLE evil.pg_settings (evil int); CREATE TABLE evil.pg_class (evil int);
            CREATE TABLE evil.pg_locks (evil int); CREATE TABLE evil.pg_cursors (evil int);
            CREATE TABLE evil.pg_prepared_statements (evil int);
            GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC;");
        let evil = "SET search_path = evil, pg_catalog, public";
        let scripts: &[&[&str]] = &[
            &[evil, "SHOW search_path", "SET work_mem = '1234kB'", "SHOW work_mem", "RESET ALL", "SHOW work_mem"],
            &[evil, "SELECT pg_catalog.set_config('work_mem', '1234kB', false)", "SHOW work_mem", "DISCARD ALL", "SHOW search_path"],
            &[evil, "LISTEN news", "SHOW work_mem", "UNLISTEN news", "SHOW search_path"],
            &[evil, "SELECT pg_advisory_lock(1)", "SHOW work_mem", "SELECT pg_advisory_unlock(1)", "SHOW search_path"],
            &[evil, "CREATE TEMP TABLE mine (i int)", "SHOW work_mem", "DROP TABLE mine", "SHOW search_path"],
            &[evil, "BEGIN", "SET TimeZone = 'Asia/Tokyo'", "COMMIT", "SHOW TimeZone", "SET ROLE visitor", "SHOW role"],
        ];
        stage.tell_unseen(scripts);
        stage.finish();
    }
}

both_versions! {
    /// E6: a connection that cannot be cleaned is closed.
    cleaned_in_vain, |server| {
        let database = server.fresh_database();
        let pgusher = crate::support::Pgusher::in_front_of(server).pool_size(1).start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        client.rows("DO $$ BEGIN FOR i IN 1 .. 500 LOOP EXECUTE 'CREATE TEMP TABLE mine' || i || ' (v text)'; END LOOP; END $$");
        let pid = client.value("SELECT pg_backend_pid()");
        // Nobody can drop so many tables in that time.
        client.rows("SET statement_timeout = '1ms'");
        drop(client);
        assert_eq!(other.value("SHOW statement_timeout"), "0");
        assert_ne!(other.value("SELECT pg_backend_pid()"), pid);
        assert!(pgusher.log_contains("could not be cleaned"), "{}", pgusher.log());
        assert_eq!(other.value("SELECT coalesce(to_regclass('pg_temp.mine1')::text, 'none')"), "none");
    }
}

both_versions! {
    /// A setting that cannot be carried because what it names is gone hurts nobody else.
    a_role_that_is_dropped, |server| {
        let database = server.fresh_database();
        let pgusher = crate::support::Pgusher::in_front_of(server).pool_size(1).log_level("info").start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        server.sql("DROP ROLE IF EXISTS short_lived; CREATE ROLE short_lived; GRANT short_lived TO app");
        client.rows("SET ROLE short_lived");
        assert_eq!(other.value("SELECT current_user"), "app");
        server.sql("DROP ROLE short_lived");
        for _ in 0..3 {
            let heard = client.ask(&crate::support::message::query("SELECT 1"));
            assert!(heard.types().starts_with("E:") && heard.types().ends_with("Z:I"), "{heard}");
            assert_eq!(other.value("SELECT current_user"), "app");
        }
    }
}

both_versions! {
    /// Timeouts that a client sets for itself do not end what others do, nor their connection.
    timeouts_of_others, |server| {
        let database = server.fresh_database();
        let pgusher = crate::support::Pgusher::in_front_of(server).pool_size(1).log_level("info").start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        for setting in ["idle_session_timeout", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
            client.ask(&crate::support::message::query(&format!("SET {setting} = '20ms'")));
            server.value("SELECT pg_sleep(0.06)");
            assert_eq!(other.value("SELECT pg_sleep(0.06)"), "", "{setting}");
            other.rows("BEGIN");
            server.value("SELECT pg_sleep(0.06)");
            other.rows("COMMIT");
            assert_eq!(other.value(&format!("SHOW {setting}")), "0");
            drop(client);
            client = pgusher.raw(&database.name);
        }
    }
}
