//! Statements that refuse a transaction block, or may commit inside (T8, T9, T10).

use crate::{
    stage::{Stage, Way},
    support::{Version, both_versions, postgres},
};

both_versions! {
    /// T8, T10
    maintenance, |server| Stage::new(server).tell_all(&[
        &["VACUUM owned", "INSERT INTO seen VALUES ('a')"],
        &["INSERT INTO seen VALUES ('a')", "VACUUM (ANALYZE) owned", "INSERT INTO seen VALUES ('b')"],
        &["CREATE INDEX CONCURRENTLY made_index ON owned (tell(v))", "TABLE owned",
          "REINDEX INDEX CONCURRENTLY made_index", "DROP INDEX CONCURRENTLY made_index"],
        &["BEGIN", "VACUUM owned", "ROLLBACK", "INSERT INTO seen VALUES ('a')"],
        &["REINDEX TABLE owned", "CLUSTER", "INSERT INTO seen VALUES ('b')"],
        &["ALTER SYSTEM SET work_mem = '4MB'", "ALTER SYSTEM RESET work_mem", "TABLE owned"],
        &["VACUUM nowhere", "INSERT INTO seen VALUES ('b')"],
        &["VACUUM owned nonsense", "INSERT INTO seen VALUES ('b')"],
    ])
}

both_versions! {
    /// T8: what is slow is told in fewer ways.
    databases, |server| {
        let mut stage = Stage::new(server);
        let name = format!("{}_made", stage.database.name);
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        let drop = format!("DROP DATABASE IF EXISTS {name}");
        for way in [Way::Simple, Way::Extended, Way::SimplePipelined, Way::OneText] {
            stage.tell(&[&create, "INSERT INTO seen VALUES ('a')", &drop, "TABLE owned"], way);
        }
        stage.finish();
    }
}

both_versions! {
    /// T9, T10
    procedures, |server| Stage::new(server).tell_all(&[
        &["CALL plain()", "TABLE owned"],
        &["CALL commits()", "INSERT INTO seen VALUES ('a')"],
        &["INSERT INTO seen VALUES ('a')", "CALL plain()", "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "CALL plain()", "INSERT INTO seen VALUES ('a')", "COMMIT"],
        &["BEGIN", "CALL commits()", "COMMIT", "INSERT INTO seen VALUES ('a')"],
        &["CALL nothing()", "INSERT INTO seen VALUES ('a')"],
    ])
}

both_versions! {
    /// T9, T10
    do_blocks, |server| Stage::new(server).tell_all(&[
        &["DO $$ BEGIN INSERT INTO seen VALUES ('do'); END $$", "TABLE owned"],
        &["DO $$ BEGIN INSERT INTO seen VALUES ('a'); COMMIT; INSERT INTO seen VALUES ('b'); ROLLBACK; \
           INSERT INTO seen VALUES ('c'); END $$", "INSERT INTO seen VALUES ('d')"],
        &["DO $$ BEGIN INSERT INTO seen VALUES ('a'); COMMIT; PERFORM 1/0; END $$",
          "INSERT INTO seen VALUES ('b')"],
        &["INSERT INTO seen VALUES ('a')", "DO $$ BEGIN INSERT INTO seen VALUES ('do'); END $$",
          "INSERT INTO seen VALUES ('b')"],
        &["DO $$ BEGIN RAISE NOTICE '%', current_setting('app.tenant_id'); END $$",
          "DO $$ BEGIN RAISE EXCEPTION '%', current_setting('app.tenant_id'); END $$",
          "INSERT INTO seen VALUES ('b')"],
        &["BEGIN", "DO $$ BEGIN INSERT INTO seen VALUES ('do'); END $$", "ROLLBACK",
          "DO 'begin insert into seen values (''quoted''); end'"],
    ])
}

both_versions! {
    /// What forgets everything: the context is there again.
    discarding, |server| Stage::new(server).tell_all(&[
        &["DISCARD PLANS", "INSERT INTO seen VALUES ('a')"],
        &["DISCARD SEQUENCES", "DISCARD TEMP", "INSERT INTO seen VALUES ('a')"],
        &["BEGIN", "INSERT INTO seen VALUES ('a')", "DISCARD PLANS", "INSERT INTO seen VALUES ('b')", "COMMIT"],
    ])
}

const COMMITS_IN_BETWEEN: &[&str] = &[
    "INSERT INTO seen VALUES ('a')",
    "CALL commits()",
    "INSERT INTO seen VALUES ('b')",
];

const VACUUM_BEHIND_COMMIT: &[&str] = &[
    "BEGIN",
    "INSERT INTO seen VALUES ('a')",
    "COMMIT",
    "VACUUM owned",
    "INSERT INTO seen VALUES ('b')",
];

both_versions! {
    /// T8, T9: what needs a bracket may also stand between others, but not within a batch.
    in_between, |server| {
        let mut stage = Stage::new(server);
        for way in Way::ALL {
            if !matches!(way, Way::OneBatch | Way::TwoInABatch | Way::NamedInOneBatch) {
                stage.tell(COMMITS_IN_BETWEEN, way);
                stage.tell(VACUUM_BEHIND_COMMIT, way);
            }
        }
        stage.finish();
    }
}

/// Nothing can be put around one of several statements of a batch. A procedure that commits
/// there (PostgreSQL 15 to 17 let it) has no context behind its COMMIT, not another one; a VACUUM
/// behind a COMMIT is refused.
#[test]
#[ignore = "no context can be given around a statement in the middle of a batch"]
fn in_between_in_a_batch() {
    let mut stage = Stage::new(postgres(Version::V15));
    for way in [Way::OneBatch, Way::TwoInABatch, Way::NamedInOneBatch] {
        stage.tell(COMMITS_IN_BETWEEN, way);
        stage.tell(VACUUM_BEHIND_COMMIT, way);
    }
    stage.finish();
}
