//! Statements of all kinds, alone and in a row, outside of blocks.

use crate::{
    client_of,
    stage::Stage,
    support::{
        both_versions,
        message::{extended, query, sync},
    },
    with_tenants,
};

both_versions! {
    /// An acknowledged row is there: PostgreSQL 18 loses it if a context that came by the extended
    /// protocol stands in front of a simple query (T2).
    what_is_acknowledged_is_committed, |server| {
        let database = server.fresh_database();
        database.sql("CREATE TABLE t (v int); GRANT ALL ON t TO app");
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let insert = "INSERT INTO t VALUES (1)";
        assert_eq!(acme.ask(&query(insert)).types(), "C Z:I");
        assert_eq!(database.value("SELECT count(*) FROM t"), "1");
        assert_eq!(acme.ask(&[extended(insert, &[]), sync()].concat()).types(), "1 2 n C Z:I");
        assert_eq!(database.value("SELECT count(*) FROM t"), "2");
        assert_eq!(acme.ask(&query(insert)).types(), "C Z:I");
        assert_eq!(database.value("SELECT count(*) FROM t"), "3");
        // In one write, in turns.
        let all = [query(insert), extended(insert, &[]), sync(), query(insert)].concat();
        acme.send(&all);
        for types in ["C Z:I", "1 2 n C Z:I", "C Z:I"] {
            assert_eq!(acme.transcript().types(), types);
        }
        assert_eq!(database.value("SELECT count(*) FROM t"), "6");
    }
}

both_versions! {
    /// T1, T3, T16
    queries, |server| Stage::new(server).tell_all(&[
        &["SELECT current_setting('app.tenant_id')", "SHOW app.tenant_id", "TABLE owned"],
        &["INSERT INTO seen VALUES ('a')", "INSERT INTO seen VALUES ('b')", "SELECT what, tenant FROM seen"],
        &["INSERT INTO owned VALUES (7)", "SELECT v, tenant FROM owned ORDER BY v"],
        &["INSERT INTO owned VALUES (8, 'globex')", "SELECT count(*) FROM owned"],
        &["UPDATE owned SET v = v + 10", "DELETE FROM owned WHERE v > 11", "SELECT v FROM owned"],
        &["WITH x AS (INSERT INTO seen VALUES ('w') RETURNING what, tenant) SELECT * FROM x"],
        &["VALUES (current_setting('app.tenant_id'))", "SELECT v FROM owned ORDER BY v FOR UPDATE"],
        &["(SELECT v FROM owned) UNION (SELECT 9) ORDER BY 1"],
        &["EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) \
           INSERT INTO seen VALUES ('explained')"],
        &["MERGE INTO owned o USING (VALUES (1)) s (v) ON o.v = s.v \
           WHEN MATCHED THEN UPDATE SET v = 100 WHEN NOT MATCHED THEN INSERT (v) VALUES (s.v)",
          "SELECT v FROM owned ORDER BY v"],
    ])
}

both_versions! {
    /// T1, T3
    definitions, |server| Stage::new(server).tell_all(&[
        &["CREATE TABLE made AS SELECT v, tenant FROM owned", "SELECT v, tenant FROM made ORDER BY v"],
        &["SELECT v INTO made FROM owned", "SELECT count(*) FROM made", "DROP TABLE made"],
        &["CREATE MATERIALIZED VIEW made_view AS SELECT current_setting('app.tenant_id') AS t",
          "SELECT t FROM made_view", "REFRESH MATERIALIZED VIEW made_view", "SELECT t FROM made_view"],
        // Not on `owned`: how many rows that are dead already are told of is not certain.
        &["CREATE TABLE made AS SELECT v FROM owned", "CREATE INDEX made_index ON made (tell(v))",
          "ANALYZE made", "DROP INDEX made_index"],
        &["CREATE TABLE made (v int)", "ALTER TABLE made ADD w int DEFAULT 1", "INSERT INTO made VALUES (1)",
          "TABLE made", "ALTER TABLE made DROP w", "TABLE made", "TRUNCATE late"],
        &["COMMENT ON TABLE owned IS 'x'", "GRANT SELECT ON owned TO PUBLIC"],
    ])
}

both_versions! {
    /// An error takes the whole of its text or batch along, and nothing more (T19).
    errors, |server| Stage::new(server).tell_all(&[
        &["INSERT INTO seen VALUES ('a')", "SELECT 1/0", "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO seen VALUES ('a')", "SELECT FROM WHERE", "INSERT INTO seen VALUES ('b')"],
        &["SELECT nowhere FROM owned", "INSERT INTO seen VALUES ('b')"],
        &["SELECT 10 / (2 - v), tenant FROM owned ORDER BY v", "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO late VALUES (100)", "INSERT INTO seen VALUES ('b')"],
        &["FROBNICATE the table", "INSERT INTO seen VALUES ('b')"],
    ])
}

both_versions! {
    /// What fails at the commit has its context until then.
    deferred_constraints, |server| Stage::new(server).tell_all(&[
        &["INSERT INTO late VALUES (1)", "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO late VALUES (-1)", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "INSERT INTO late VALUES (1)", "COMMIT", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "INSERT INTO late VALUES (-1)", "COMMIT", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "INSERT INTO late VALUES (-1)", "COMMIT AND CHAIN", "INSERT INTO seen VALUES ('b')", "COMMIT"],
        &["BEGIN", "INSERT INTO late VALUES (2)", "SET CONSTRAINTS ALL IMMEDIATE",
          "INSERT INTO late VALUES (-1)", "COMMIT", "INSERT INTO seen VALUES ('b')"],
    ])
}

both_versions! {
    /// T17
    texts_without_a_statement, |server| Stage::new(server).tell_all(&[
        &["", "INSERT INTO seen VALUES ('b')", ""],
        &["  \n", "/* nothing */", "-- nothing\n", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "", "INSERT INTO seen VALUES ('b')", "", "COMMIT", ""],
    ])
}
