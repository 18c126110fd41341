//! The source `set`: a client that names its tenant as it does without pgusher hears and sees the
//! same, and leaves nothing behind (T14).

use crate::{
    SEEN, anonymous, client_of, error_of,
    stage::Stage,
    support::{
        Raw, both_versions,
        message::{bind, execute, extended, parse, query, sync},
    },
    with_tenants,
};

const SET: &str = "SET app.tenant_id = 'acme'";

both_versions! {
    /// E1, T14: to the end of the session, or of the transaction, or not at all.
    as_without_pgusher, |server| Stage::by_hand(server).tell_all(&[
        &[SET, "INSERT INTO seen VALUES ('a')", "TABLE owned"],
        &["SET app.tenant_id TO acme", "BEGIN", "INSERT INTO seen VALUES ('a')", "COMMIT", "TABLE owned"],
        &["BEGIN", "SET LOCAL app.tenant_id = 'acme'", "INSERT INTO seen VALUES ('a')", "TABLE owned", "COMMIT"],
        &["BEGIN", SET, "INSERT INTO seen VALUES ('a')", "COMMIT", "INSERT INTO seen VALUES ('b')"],
        &["SELECT set_config('app.tenant_id', 'acme', false)", "INSERT INTO seen VALUES ('a')", "TABLE owned"],
        &["BEGIN", "SELECT set_config('app.tenant_id', 'acme', true)", "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["BEGIN", "SELECT pg_catalog.set_config('app.tenant_id', 'acme', false) AS x, 1", "TABLE owned", "COMMIT", "TABLE owned"],
        &[SET, "SET app.tenant_id = 'acme'", "INSERT INTO seen VALUES ('a')", "RESET app.tenant_id"],
        &["SET SESSION app.tenant_id = acme", "BEGIN", "SAVEPOINT s", "INSERT INTO seen VALUES ('a')",
          "SELECT 1/0", "ROLLBACK TO s", "INSERT INTO seen VALUES ('b')", "COMMIT"],
        &["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", SET, "INSERT INTO seen VALUES ('a')", "COMMIT", "TABLE owned"],
        &["BEGIN", "SAVEPOINT s", "SET LOCAL app.tenant_id = 'acme'", "RELEASE s", "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &[SET, "CALL commits()", "INSERT INTO seen VALUES ('b')"],
        &[SET, "VACUUM owned", "TABLE owned"],
    ])
}

/// A session whose tenant was set, and one beside it, on two server connections.
fn pair(
    server: &'static crate::support::Postgres,
    database: &crate::support::Database<'_>,
) -> (crate::Pgusher, Raw, Raw) {
    let pgusher = with_tenants(server, "required = false")
        .pool_size(2)
        .start();
    let (client, other) = (
        anonymous(&pgusher, database),
        client_of("globex", &pgusher, database),
    );
    (pgusher, client, other)
}

both_versions! {
    /// E1: what was set goes with the client to every server connection.
    goes_along, |server| {
        let database = server.fresh_database();
        let (pgusher, mut client, mut other) = pair(server, &database);
        let mut third = anonymous(&pgusher, &database);
        let mut pids = std::collections::BTreeSet::new();
        assert_eq!(client.ask(&query(SET)).types(), "C Z:I");
        for _ in 0..3 {
            for holds in [false, true] {
                if holds {
                    other.rows("BEGIN; SELECT 1");
                }
                let seen = client.rows("SELECT current_setting('app.tenant_id'), pg_backend_pid()");
                assert_eq!(seen[0][0].as_deref(), Some("acme"));
                pids.insert(seen[0][1].clone());
                assert!(third.value(SEEN).is_empty());
                if holds {
                    other.rows("COMMIT");
                }
                // Takes turns with the client, so that it meets the other connection.
                third.rows("BEGIN; SELECT 1");
                assert_eq!(client.value(SEEN), "acme");
                third.rows("COMMIT");
            }
        }
        assert!(!pids.is_empty());
    }
}

both_versions! {
    /// E1: SET with the ends of its transaction.
    with_its_transaction, |server| {
        let database = server.fresh_database();
        let (_pgusher, mut client, mut other) = pair(server, &database);
        client.rows(SET);
        client.rows("BEGIN; SET app.tenant_id = 'initech'");
        assert_eq!(client.value(SEEN), "initech");
        client.rows("ROLLBACK");
        assert_eq!(client.value(SEEN), "acme");
        client.rows("BEGIN; SET LOCAL app.tenant_id = 'initech'");
        assert_eq!(client.value(SEEN), "initech");
        client.rows("COMMIT");
        assert_eq!(client.value(SEEN), "acme");
        // Back to a savepoint, before anything was done as somebody.
        client.rows("BEGIN; SAVEPOINT s; SET app.tenant_id = 'initech'; ROLLBACK TO s");
        assert_eq!(client.value(SEEN), "acme");
        client.rows("COMMIT");
        client.rows("BEGIN");
        client.rows("SET app.tenant_id = 'initech'");
        client.rows("COMMIT");
        assert_eq!(client.value(SEEN), "initech");
        // A failed transaction takes it back too.
        client.ask(&query("BEGIN; SET app.tenant_id = 'acme'; SELECT 1/0"));
        client.ask(&query("COMMIT"));
        assert_eq!(client.value(SEEN), "initech");
        client.rows("RESET app.tenant_id");
        assert_eq!(client.value(SEEN), "");
        client.rows("SET app.tenant_id = ''");
        assert_eq!(client.value(SEEN), "");
        assert_eq!(other.value(SEEN), "globex");
    }
}

both_versions! {
    /// J1: as parameters of a Bind, named and unnamed, and with other parameters beside.
    as_a_parameter, |server| {
        let database = server.fresh_database();
        let (_pgusher, mut client, mut other) = pair(server, &database);
        let sql = "SELECT set_config('app.tenant_id', $1, false)";
        for tenant in ["acme", "initech", "acme"] {
            let batch = [extended(sql, &[Some(tenant.as_bytes())]), sync()].concat();
            assert_eq!(client.ask(&batch).types(), "1 2 T D C Z:I");
            assert_eq!(client.value(SEEN), tenant);
            assert_eq!(other.value(SEEN), "globex");
        }
        client.ask(&[parse("s", "SELECT set_config($1, $2, $3)"), sync()].concat());
        let run = |tenant: &str, local: &str| {
            let values = [Some(b"app.tenant_id".as_slice()), Some(tenant.as_bytes()), Some(local.as_bytes())];
            [bind("", "s", &values), execute("", 0)].concat()
        };
        assert_eq!(client.ask(&[run("initech", "f"), sync()].concat()).types(), "2 D C Z:I");
        assert_eq!(client.value(SEEN), "initech");
        client.rows("BEGIN");
        assert_eq!(client.ask(&[run("acme", "true"), sync()].concat()).types(), "2 D C Z:T");
        assert_eq!(client.value(SEEN), "acme");
        client.rows("COMMIT");
        assert_eq!(client.value(SEEN), "initech");
        // With what it is for, in one batch.
        let batch = [run("acme", "t"), extended(SEEN, &[]), sync()].concat();
        assert!(client.ask(&batch).text().contains("D acme\nC SELECT 1"));
        assert_eq!(client.value(SEEN), "initech");
        assert_eq!(other.value(SEEN), "globex");
    }
}

both_versions! {
    /// A transaction has one tenant, and is failed as PostgreSQL would fail it.
    no_second_tenant_in_a_transaction, |server| {
        let database = server.fresh_database();
        database.sql("CREATE TABLE t (v text DEFAULT current_setting('app.tenant_id')); GRANT ALL ON t TO app");
        let (_pgusher, mut client, mut other) = pair(server, &database);
        let insert = "INSERT INTO t DEFAULT VALUES";
        for (second, heard, then) in [
            (query("SET app.tenant_id = 'initech'"), "C Z:T", "E:25001 Z:E"),
            (query("SET LOCAL app.tenant_id = 'initech'; INSERT INTO t DEFAULT VALUES"), "E:25001 Z:E", "E:25P02 Z:E"),
            (query("SELECT set_config('app.tenant_id', 'initech', true)"), "T D C Z:T", "E:25001 Z:E"),
            (query("/* tenant_id='initech' */ INSERT INTO t DEFAULT VALUES"), "E:28000 Z:E", "E:25P02 Z:E"),
            ([extended("SELECT set_config('app.tenant_id', $1, true)", &[Some(b"initech")]), sync()].concat(),
                "1 2 T D C Z:T", "E:25001 Z:E"),
        ] {
            client.rows(SET);
            client.rows("BEGIN");
            client.rows(insert);
            client.send(&[second, query(insert)].concat());
            assert_eq!((client.transcript().types().as_str(), client.transcript().types().as_str()), (heard, then));
            assert_eq!(client.ask(&query("COMMIT")).types(), "C Z:I");
            assert_eq!(database.value("SELECT count(*) FROM t"), "0");
            assert_eq!(client.value(SEEN), "acme");
            assert_eq!(other.value(SEEN), "globex");
        }
    }
}

both_versions! {
    /// What is no id is refused before it reaches anybody.
    values_that_are_no_ids, |server| {
        let database = server.fresh_database();
        let (_pgusher, mut client, _other) = pair(server, &database);
        client.rows(SET);
        for value in ["'a b'", "'a''; DROP'", "'ä'", "1.5", "$$a\\b$$"] {
            let (types, said) = error_of(&mut client, &format!("SET app.tenant_id = {value}"));
            if types == "E:22023 Z:I" {
                assert_eq!(client.value(SEEN), "acme", "{value}: {said}");
            } else {
                assert_eq!((value, types.as_str()), ("1.5", "C Z:I"), "{said}");
                client.rows(SET);
            }
        }
        let (types, _) = error_of(&mut client, "SELECT set_config('app.tenant_id', 'a' || 'b', false)");
        assert_eq!(types, "E:22023 Z:I");
        assert_eq!(client.value(SEEN), "acme");
    }
}
