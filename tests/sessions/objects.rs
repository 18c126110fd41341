//! What a session has that only its own server connection can have: others wait for as long as it
//! has it, and not longer (E3).

use crate::{stage::Stage, support::both_versions};

both_versions! {
    /// E3
    temporary_tables, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["CREATE TEMP TABLE mine (i int)", "INSERT INTO mine VALUES (1)", "SELECT * FROM mine", "DROP TABLE mine", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "SET work_mem = '1234kB'", "SELECT * FROM mine", "SHOW work_mem"],
            &["CREATE LOCAL TEMPORARY TABLE mine AS SELECT 1", "CREATE TEMP TABLE IF NOT EXISTS mine (i int)", "DROP TABLE pg_temp.mine", "SELECT 1"],
            &["create /* a */ temp -- b\n table \"Mine\" (i int)", "DROP TABLE IF EXISTS \"Mine\", nowhere", "SELECT 1"],
            &["CREATE TABLE pg_temp.mine (i int)", "SELECT count(*) FROM mine", "DROP TABLE mine", "SELECT 1"],
            &["SET search_path = pg_temp, public", "CREATE TABLE mine (i int)", "DROP TABLE mine", "SELECT 1"],
            &["SET search_path = pg_temp, public; CREATE TABLE mine (i int)", "DROP TABLE mine", "SHOW search_path"],
            &["SELECT 1 AS i INTO TEMP mine", "TABLE mine", "DROP TABLE mine", "SELECT 1"],
            &["SELECT 1 AS i INTO TEMPORARY TABLE mine FROM t", "DROP TABLE mine", "SELECT 1"],
            &["SELECT 1 AS i INTO pg_temp.mine", "DROP TABLE mine", "SELECT 1"],
            &["WITH x AS (SELECT 1 AS i) SELECT * INTO LOCAL TEMP mine FROM x", "DROP TABLE mine", "SELECT 1"],
            &["EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) CREATE TEMP TABLE mine AS SELECT 1", "DROP TABLE mine", "SELECT 1"],
            &["CREATE TEMP VIEW mine AS SELECT 1 AS i", "TABLE mine", "DROP VIEW mine", "SELECT 1"],
            &["CREATE OR REPLACE TEMP RECURSIVE VIEW mine (i) AS SELECT 1", "TABLE mine", "DROP VIEW mine", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "CREATE VIEW made_of_it AS TABLE mine", "DROP TABLE mine CASCADE", "SELECT 1"],
            &["CREATE TEMP SEQUENCE mine", "SELECT nextval('mine')", "SELECT currval('mine')", "DROP SEQUENCE mine", "SELECT 1"],
            &["CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT pg_temp.mine()", "DROP FUNCTION pg_temp.mine()", "SELECT 1"],
            &["CREATE TYPE pg_temp.mine AS (i int)", "SELECT (1)::text", "DROP TYPE mine", "SELECT 1"],
            &["CREATE DOMAIN pg_temp.mine AS int", "SELECT 1::mine", "DROP DOMAIN mine", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "ALTER TABLE mine RENAME TO renamed", "DROP TABLE renamed", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "CREATE TEMP TABLE more (i int)", "DROP TABLE mine", "DROP TABLE more", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "DISCARD TEMP", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "DISCARD ALL", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "DISCARD PLANS", "TABLE mine", "DISCARD TEMPORARY", "SELECT 1"],
            &["DO $$ BEGIN CREATE TEMP TABLE mine (i int); END $$", "TABLE mine", "DROP TABLE mine", "SELECT 1"],
            &["DO $$ BEGIN CREATE TEMP TABLE mine (i int); DROP TABLE mine; END $$", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int); SELECT 1/0", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int); DROP TABLE mine", "SELECT 1"],
            &["CREATE TABLE made (i int)", "DROP TABLE made", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E3: those that end with their transaction hold nobody.
    temporary_tables_in_blocks, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["BEGIN", "CREATE TEMP TABLE mine (i int) ON COMMIT DROP", "INSERT INTO mine VALUES (1)", "TABLE mine", "COMMIT", "SELECT 1"],
            &["BEGIN", "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1", "COMMIT", "TABLE mine"],
            &["BEGIN", "CREATE TEMP TABLE mine (i int) ON COMMIT DELETE ROWS", "INSERT INTO mine VALUES (1)", "COMMIT", "TABLE mine", "DROP TABLE mine"],
            &["BEGIN", "CREATE TEMP TABLE mine (i int)", "ROLLBACK", "SELECT 1"],
            &["BEGIN", "CREATE TEMP TABLE mine (i int)", "SELECT 1/0", "COMMIT", "SELECT 1"],
            &["BEGIN", "CREATE TEMP TABLE mine (i int)", "COMMIT", "SELECT count(*) FROM mine", "DROP TABLE pg_temp.mine", "SELECT 1"],
            &["BEGIN", "SAVEPOINT s", "CREATE TEMP TABLE mine (i int)", "ROLLBACK TO s", "COMMIT", "SELECT 1"],
            &["BEGIN", "SAVEPOINT s", "CREATE TEMP TABLE mine (i int)", "RELEASE s", "COMMIT", "DROP TABLE mine", "SELECT 1"],
            &["BEGIN", "CREATE TEMP TABLE mine (i int)", "DROP TABLE mine", "COMMIT", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "BEGIN", "DROP TABLE mine", "ROLLBACK", "TABLE mine", "DROP TABLE mine", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int)", "BEGIN", "DROP TABLE mine", "COMMIT", "SELECT 1"],
            &["CREATE TEMP TABLE mine (i int) ON COMMIT DROP", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E3: locks of the session are counted, and know nothing of transactions.
    advisory_locks, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock(1)",
              "SELECT pg_advisory_unlock(1)", "SELECT 1"],
            &["SELECT pg_advisory_lock(1)", "SELECT 1", "SET work_mem = '1234kB'", "SELECT 1"],
            &["SELECT pg_advisory_lock(1), pg_advisory_lock_shared(2), pg_try_advisory_lock(3, 4)", "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock_all()", "SELECT 1"],
            &["SELECT pg_try_advisory_lock(1)", "SELECT pg_try_advisory_lock_shared(1)", "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock_shared(1)", "SELECT 1"],
            &["SELECT pg_advisory_xact_lock(1)", "SELECT pg_try_advisory_xact_lock(1)", "BEGIN", "SELECT pg_advisory_xact_lock(1)", "COMMIT", "SELECT 1"],
            &["BEGIN", "SELECT pg_advisory_lock(1)", "ROLLBACK", "SELECT 1", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
            &["BEGIN", "SELECT pg_advisory_lock(1)", "SELECT 1/0", "COMMIT", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
            &["BEGIN", "SAVEPOINT s", "SELECT pg_advisory_lock(1)", "ROLLBACK TO s", "COMMIT", "SELECT pg_advisory_unlock_all()", "SELECT 1"],
            &["SELECT pg_advisory_lock(1)", "BEGIN", "SELECT pg_advisory_unlock(1)", "ROLLBACK", "SELECT 1"],
            &["BEGIN", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "COMMIT", "SELECT 1"],
            &["SELECT pg_advisory_lock(1); SELECT 1/0", "SELECT 1", "SELECT pg_advisory_unlock(1)"],
            &["SELECT pg_advisory_lock(v) FROM (VALUES (1), (2), (1)) x(v)", "SELECT pg_advisory_unlock(v) FROM (VALUES (1), (2), (1)) x(v)", "SELECT 1"],
            &["SELECT pg_catalog. PG_ADVISORY_LOCK (1)", "SELECT \"pg_advisory_unlock\"(1)", "SELECT 1"],
            &["SELECT 1/0 FROM pg_advisory_lock(1)", "SELECT 1", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
            &["SELECT pg_advisory_lock(9223372036854775807)", "SELECT pg_advisory_lock(-1)", "SELECT pg_advisory_unlock_all()", "SELECT 1"],
            &["DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
            &["SELECT pg_advisory_lock(1)", "DISCARD ALL", "SELECT 1"],
            &["SELECT pg_advisory_lock(1)", "DISCARD PLANS", "SELECT 1", "SELECT pg_advisory_unlock(1)"],
            &["PREPARE p AS SELECT pg_advisory_lock(1)", "EXECUTE p", "DEALLOCATE p", "SELECT pg_advisory_unlock(1)", "SELECT 1"],
            &["SELECT 'pg_advisory_lock(1)'", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E3
    cursors_with_hold, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "COMMIT", "FETCH 2 FROM c", "CLOSE c", "SELECT 1"],
            &["DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "MOVE c", "FETCH ALL c", "CLOSE ALL", "SELECT 1"],
            &["DECLARE \"C 1\" BINARY INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT 1", "CLOSE \"C 1\"", "SELECT 1"],
            &["DECLARE c NO SCROLL CURSOR WITH /* x */ HOLD FOR SELECT 1", "CLOSE c", "CLOSE c", "SELECT 1"],
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "ROLLBACK", "FETCH c", "SELECT 1"],
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1/0", "COMMIT", "FETCH c", "SELECT 1"],
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE d CURSOR WITH HOLD FOR SELECT 2", "CLOSE c", "COMMIT", "FETCH d", "CLOSE d", "SELECT 1"],
            &["BEGIN", "DECLARE c CURSOR FOR SELECT 1", "FETCH c", "COMMIT", "FETCH c", "SELECT 1"],
            &["DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", "SELECT 1"],
            &["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "BEGIN", "CLOSE c", "ROLLBACK", "SELECT 1"],
            &["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DISCARD ALL", "SELECT 1"],
            &["BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "FETCH c; CLOSE c", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// C10, E3
    prepared_by_sql, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p", "EXECUTE p", "SELECT 1"],
            &["PREPARE p (int, text) AS SELECT $1 + 1, $2", "EXECUTE p(1, 'x')", "DEALLOCATE ALL", "SELECT 1"],
            &["PREPARE \"P p\" AS SELECT 1", "EXECUTE \"P p\"", "DEALLOCATE PREPARE \"P p\"", "SELECT 1"],
            &["PREPARE p AS SELECT 1", "PREPARE p AS SELECT 2", "PREPARE q AS SELECT 3", "DEALLOCATE p", "EXECUTE q", "DEALLOCATE q", "SELECT 1"],
            &["BEGIN", "PREPARE p AS SELECT 1", "ROLLBACK", "EXECUTE p", "DEALLOCATE p", "SELECT 1"],
            &["BEGIN", "PREPARE p AS SELECT 1", "SELECT 1/0", "COMMIT", "EXECUTE p", "DEALLOCATE p", "SELECT 1"],
            &["PREPARE p AS SELECT 1", "BEGIN", "DEALLOCATE p", "ROLLBACK", "EXECUTE p", "SELECT 1"],
            &["PREPARE p AS SELECT 1", "DISCARD PLANS", "EXECUTE p", "DISCARD ALL", "EXECUTE p"],
            &["PREPARE p AS SELECT v FROM t", "CREATE TABLE made AS EXECUTE p", "DEALLOCATE PREPARE ALL", "SELECT 1"],
            &["PREPARE p AS SELECT nowhere", "SELECT 1", "DEALLOCATE p"],
            &["PREPARE p AS INSERT INTO t VALUES (1)", "EXECUTE p", "EXECUTE p", "SELECT count(*) FROM t", "DEALLOCATE p"],
            &["PREPARE p AS SELECT 1; SELECT 1/0", "EXECUTE p", "DEALLOCATE p", "SELECT 1"],
            &["PREPARE p AS SELECT current_setting('work_mem')", "SET work_mem = '1234kB'", "EXECUTE p", "DEALLOCATE p", "SHOW work_mem"],
            &["EXPLAIN (COSTS OFF) SELECT 1", "PREPARE p AS SELECT 1", "EXPLAIN (COSTS OFF) EXECUTE p", "DEALLOCATE p"],
            &["DEALLOCATE p", "DEALLOCATE ALL", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E3
    listening, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["LISTEN news", "NOTIFY news, 'one'", "SELECT pg_notify('news', 'two')", "UNLISTEN news", "NOTIFY news", "SELECT 1"],
            &["LISTEN news", "LISTEN news", "LISTEN more", "UNLISTEN news", "NOTIFY more", "UNLISTEN more", "SELECT 1"],
            &["LISTEN news", "LISTEN more", "UNLISTEN *", "SELECT 1"],
            &["LISTEN \"News\"", "NOTIFY \"News\", 'it''s'", "UNLISTEN news", "UNLISTEN \"News\"", "SELECT 1"],
            &["BEGIN", "LISTEN news", "ROLLBACK", "NOTIFY news", "SELECT 1"],
            &["BEGIN", "LISTEN news", "NOTIFY news, 'x'", "COMMIT", "UNLISTEN *", "SELECT 1"],
            &["BEGIN", "LISTEN news", "UNLISTEN news", "COMMIT", "SELECT 1"],
            &["LISTEN news", "BEGIN", "UNLISTEN news", "ROLLBACK", "NOTIFY news", "UNLISTEN news", "SELECT 1"],
            &["BEGIN", "SAVEPOINT s", "LISTEN news", "ROLLBACK TO s", "COMMIT", "SELECT 1"],
            &["LISTEN news; SELECT 1/0", "SELECT 1"],
            &["LISTEN news", "DISCARD ALL", "SELECT 1"],
            &["NOTIFY news", "UNLISTEN *", "UNLISTEN news", "SELECT pg_notify('news', '')", "SELECT 1"],
            &["DO $$ BEGIN EXECUTE 'LISTEN news'; END $$", "NOTIFY news", "UNLISTEN news", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// Several things at once, each given up in its turn.
    several, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["LISTEN news", "CREATE TEMP TABLE mine (i int)", "UNLISTEN *", "SELECT 1", "DROP TABLE mine", "SELECT 1"],
            &["SELECT pg_advisory_lock(1)", "PREPARE p AS SELECT 1", "SELECT pg_advisory_unlock(1)", "DEALLOCATE p", "SELECT 1"],
            &["SET work_mem = '1234kB'", "LISTEN news", "SET work_mem = '2345kB'", "BEGIN", "SET TimeZone = 'Asia/Tokyo'", "ROLLBACK", "UNLISTEN news", "SHOW work_mem"],
            &["LISTEN news", "SET ROLE visitor", "SET search_path = a", "UNLISTEN news", "SELECT current_user", "SHOW search_path"],
            &["LISTEN news", "RESET ALL", "SET DateStyle = 'German'", "UNLISTEN news", "SHOW DateStyle"],
            &["SET work_mem = '1234kB'", "LISTEN news", "DISCARD ALL", "SHOW work_mem"],
            &["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "LISTEN news", "CLOSE c", "UNLISTEN news", "SELECT 1"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// A transaction that is prepared leaves the session, its settings stay.
    two_phases, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["BEGIN", "INSERT INTO t VALUES (1)", "SET work_mem = '1234kB'", "PREPARE TRANSACTION 'x'", "SHOW work_mem", "COMMIT PREPARED 'x'", "SELECT v FROM t"],
            &["BEGIN", "INSERT INTO t VALUES (1)", "SET LOCAL work_mem = '1234kB'", "PREPARE TRANSACTION 'x'", "SHOW work_mem", "ROLLBACK PREPARED 'x'", "SELECT v FROM t"],
            &["BEGIN", "CREATE TEMP TABLE mine (i int)", "PREPARE TRANSACTION 'x'", "SELECT 1"],
            &["BEGIN", "SELECT pg_advisory_xact_lock(1)", "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'", "SELECT 1"],
            &["BEGIN", "SELECT pg_advisory_lock(1)", "PREPARE TRANSACTION 'x'", "ROLLBACK PREPARED 'x'", "SELECT pg_advisory_unlock_all()", "SELECT 1"],
        ]);
        stage.finish();
    }
}

/// E3: what sequences gave is the session's own.
#[test]
#[ignore = "the values that sequences gave stay with the server connection"]
fn sequences() {
    let mut stage = Stage::new(crate::support::postgres(crate::support::Version::V18));
    stage.tell_all(&[
        &[
            "SELECT nextval('s')",
            "SELECT currval('s')",
            "SELECT lastval()",
            "DISCARD SEQUENCES",
            "SELECT lastval()",
        ],
        &["SELECT nextval('s')", "SELECT lastval()"],
        &["SELECT lastval()", "SELECT currval('s')"],
    ]);
    stage.finish();
}
