//! Transactions of the client's own: how they begin, go on, and end.

use crate::{
    stage::Stage,
    support::{
        both_versions,
        message::{extended, query, sync},
    },
};

both_versions! {
    /// T4, T6
    begin_and_commit, |server| Stage::new(server).tell_all(&[
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "SELECT v, tenant FROM owned", "COMMIT",
          "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO seen VALUES ('a')", "BEGIN", "INSERT INTO seen VALUES ('b')", "COMMIT",
          "INSERT INTO seen VALUES ('c')"],
        &["START TRANSACTION READ WRITE", "INSERT INTO seen VALUES ('a')", "END",
          "SELECT v, tenant FROM owned"],
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "ROLLBACK", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "ABORT", "SHOW app.tenant_id"],
        &["BEGIN", "COMMIT", "INSERT INTO seen VALUES ('a')", "BEGIN", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "BEGIN", "INSERT INTO seen VALUES ('a')", "COMMIT", "COMMIT",
          "INSERT INTO seen VALUES ('b')"],
    ])
}

both_versions! {
    /// T5, T6: what comes right behind BEGIN still may.
    modes_of_a_transaction, |server| Stage::new(server).tell_all(&[
        &["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "INSERT INTO seen VALUES ('a')",
          "SHOW transaction_isolation", "COMMIT"],
        &["BEGIN ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation",
          "INSERT INTO seen VALUES ('a')", "COMMIT", "SHOW transaction_isolation"],
        &["START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "TABLE owned",
          "INSERT INTO seen VALUES ('a')", "COMMIT", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "SET TRANSACTION READ ONLY", "INSERT INTO seen VALUES ('a')", "ROLLBACK",
          "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "SHOW transaction_isolation", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
          "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["BEGIN", "SELECT current_setting('app.tenant_id')",
          "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["BEGIN", "SET LOCAL work_mem = '1MB'", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
          "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["BEGIN ISOLATION LEVEL REPEATABLE READ", "LOCK TABLE late", "INSERT INTO seen VALUES ('a')",
          "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "COMMIT"],
    ])
}

both_versions! {
    /// A lock that is taken before the first query is held when the snapshot is taken (T5).
    a_lock_comes_before_the_snapshot, |server| {
        let mut stage = Stage::new(server);
        for begin in [
            vec![query("BEGIN ISOLATION LEVEL REPEATABLE READ"), query("LOCK TABLE late")],
            vec![query("BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE late")],
            vec![[extended("BEGIN ISOLATION LEVEL REPEATABLE READ", &[]),
                extended("LOCK TABLE late", &[]), sync()].concat()],
            vec![query("BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"), query("LOCK TABLE late")],
        ] {
            let port = server.port();
            let name = stage.database.name.clone();
            stage.run("a lock", |client| {
                let mut heard: Vec<_> = begin.iter().map(|bytes| client.ask(bytes)).collect();
                // Somebody commits in between.
                let mut other = crate::support::Raw::login(port, "postgres", "", &name);
                other.rows("SET app.tenant_id = 'acme'; INSERT INTO seen VALUES ('in between')");
                heard.push(client.ask(&query("SELECT what FROM seen")));
                heard.push(client.ask(&query("COMMIT")));
                assert!(heard[heard.len() - 2].text().contains("in between"), "{heard:?}");
                heard
            });
        }
        stage.finish();
    }
}

both_versions! {
    /// T11
    chains, |server| Stage::new(server).tell_all(&[
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "COMMIT AND CHAIN", "INSERT INTO seen VALUES ('b')",
          "ROLLBACK AND CHAIN", "INSERT INTO seen VALUES ('c')", "COMMIT", "INSERT INTO seen VALUES ('d')"],
        &["BEGIN ISOLATION LEVEL SERIALIZABLE", "COMMIT AND CHAIN", "SHOW transaction_isolation",
          "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "TABLE owned", "COMMIT AND NO CHAIN", "TABLE owned"],
        &["BEGIN", "SELECT 1/0", "COMMIT AND CHAIN", "INSERT INTO seen VALUES ('b')", "COMMIT"],
        &["BEGIN", "SAVEPOINT s", "COMMIT AND CHAIN", "ROLLBACK TO s", "ROLLBACK AND CHAIN",
          "INSERT INTO seen VALUES ('b')", "COMMIT"],
        &["COMMIT AND CHAIN", "INSERT INTO seen VALUES ('a')"],
    ])
}

both_versions! {
    /// T12
    savepoints, |server| Stage::new(server).tell_all(&[
        &["BEGIN", "SAVEPOINT s", "INSERT INTO seen VALUES ('a')", "SELECT 1/0",
          "INSERT INTO seen VALUES ('no')", "ROLLBACK TO s", "INSERT INTO seen VALUES ('b')",
          "RELEASE s", "COMMIT", "INSERT INTO seen VALUES ('c')"],
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "SAVEPOINT s", "SAVEPOINT \"S\"", "TABLE owned",
          "ROLLBACK TO SAVEPOINT s", "TABLE owned", "ROLLBACK TO \"S\"", "ROLLBACK"],
        &["SAVEPOINT s", "INSERT INTO seen VALUES ('a')"],
        &["ROLLBACK TO s", "RELEASE s", "INSERT INTO seen VALUES ('a')"],
        &["BEGIN", "SAVEPOINT s", "ROLLBACK TO s", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
          "INSERT INTO seen VALUES ('a')", "COMMIT"],
    ])
}

both_versions! {
    failed_blocks, |server| Stage::new(server).tell_all(&[
        &["BEGIN", "SELECT 1/0", "INSERT INTO seen VALUES ('a')", "COMMIT", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "nonsense", "TABLE owned", "", "ROLLBACK",
          "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "SELECT 1/0", "BEGIN", "COMMIT", "TABLE owned"],
        &["BEGIN", "SELECT 1/0", "ROLLBACK", "BEGIN", "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["BEGIN", "SELECT 1/0", "VACUUM", "LOCK late", "DO ''", "ROLLBACK"],
    ])
}

both_versions! {
    /// What ends or goes back where nothing began, and what only makes sense in a block (T18).
    control_outside_of_a_block, |server| Stage::new(server).tell_all(&[
        &["COMMIT", "INSERT INTO seen VALUES ('a')"],
        &["ROLLBACK", "INSERT INTO seen VALUES ('a')"],
        &["END", "TABLE owned"],
        &["LOCK TABLE late", "INSERT INTO seen VALUES ('a')"],
        &["SET LOCAL work_mem = '1MB'", "INSERT INTO seen VALUES ('a')"],
        &["SET TRANSACTION READ ONLY", "INSERT INTO seen VALUES ('a')"],
        &["SET CONSTRAINTS ALL IMMEDIATE", "INSERT INTO late VALUES (1)"],
        &["INSERT INTO late VALUES (1)", "SET CONSTRAINTS ALL IMMEDIATE", "INSERT INTO late VALUES (2)"],
        &["PREPARE TRANSACTION 'nothing'", "INSERT INTO seen VALUES ('a')"],
        &["INSERT INTO seen VALUES ('a')", "LOCK TABLE late", "INSERT INTO seen VALUES ('b')"],
    ])
}

both_versions! {
    cursors, |server| Stage::new(server).tell_all(&[
        &["DECLARE c CURSOR FOR SELECT v, tenant FROM owned", "TABLE owned"],
        &["BEGIN", "DECLARE c CURSOR FOR SELECT v, current_setting('app.tenant_id') FROM owned",
          "FETCH 1 FROM c", "FETCH ALL FROM c", "CLOSE c", "COMMIT"],
        &["BEGIN", "DECLARE c SCROLL CURSOR FOR TABLE owned", "MOVE 1 IN c", "FETCH BACKWARD 1 IN c",
          "COMMIT", "INSERT INTO seen VALUES ('a')"],
        &["TABLE owned", "DECLARE c CURSOR FOR TABLE owned", "FETCH c", "CLOSE c"],
        &["DECLARE c CURSOR WITH HOLD FOR TABLE owned", "TABLE owned"],
    ])
}

both_versions! {
    two_phases, |server| Stage::new(server).tell_all(&[
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "PREPARE TRANSACTION 'two phases'",
          "INSERT INTO seen VALUES ('b')", "COMMIT PREPARED 'two phases'", "INSERT INTO seen VALUES ('c')"],
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "PREPARE TRANSACTION 'two phases'",
          "ROLLBACK PREPARED 'two phases'", "TABLE owned"],
        &["BEGIN", "SELECT 1/0", "PREPARE TRANSACTION 'two phases'", "INSERT INTO seen VALUES ('b')"],
        &["COMMIT PREPARED 'nothing'", "INSERT INTO seen VALUES ('b')"],
    ])
}
