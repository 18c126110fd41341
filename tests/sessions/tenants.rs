//! The same with tenants: a session's own settings are carried, its tenant's are left alone.

use crate::{
    Parameters,
    stage::Stage,
    support::{Postgres, both_versions, pgusher::Builder},
};

const ACME: Parameters<'static> = &[("app.tenant_id", "acme")];

/// The others, who have no tenant, are those who look.
fn with_tenants(builder: Builder) -> Builder {
    builder.config("[tenant]\nsetting = \"app.tenant_id\"\nrequired = false\n")
}

fn as_directly(server: &Postgres, scripts: &[&[&str]]) {
    let mut stage = Stage::with(server, "app_trust", with_tenants);
    stage.tell_with(ACME, scripts);
    stage.finish();
}

const TENANT: &str = "SELECT current_setting('app.tenant_id')";

both_versions! {
    /// E1, J16
    settings_beside_the_tenant, |server| as_directly(server, &[
        &["SET work_mem = '1234kB'", "SHOW work_mem", TENANT, "RESET work_mem", "SHOW work_mem", TENANT],
        &["BEGIN", "SET work_mem = '1234kB'", TENANT, "COMMIT", "SHOW work_mem", TENANT],
        &["BEGIN", "SET work_mem = '1234kB'", "ROLLBACK", "SHOW work_mem", TENANT],
        &["BEGIN", "SAVEPOINT s", "SET TimeZone = 'Asia/Tokyo'", "ROLLBACK TO s", TENANT, "COMMIT", "SHOW TimeZone"],
        &["BEGIN", "SET TimeZone = 'Asia/Tokyo'", "COMMIT AND CHAIN", TENANT, "SET DateStyle = 'German'", "ROLLBACK", "SHOW TimeZone", "SHOW DateStyle"],
        &["SELECT set_config('work_mem', '1234kB', false)", TENANT, "SHOW work_mem"],
        &["SET app.one = 'x'", "SET search_path = a, public", TENANT, "SELECT current_setting('app.one')", "SELECT count(*) FROM t"],
        &["SET ROLE visitor", TENANT, "SELECT current_user", "RESET ROLE", "SELECT current_user", TENANT],
        &["SET work_mem = '1234kB'; SELECT 1/0", "SHOW work_mem", TENANT],
        &["CALL commits('work_mem', '123')", "SHOW work_mem", TENANT],
        &["DO $$ BEGIN SET work_mem = '1234kB'; END $$", "SHOW work_mem", TENANT],
        &["SELECT sets('TimeZone', 'Asia/Tokyo')", "SHOW TimeZone", TENANT],
        &["SET default_transaction_read_only = on", TENANT, "INSERT INTO t VALUES (1)", "SHOW transaction_read_only"],
        &["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", TENANT],
        &["SET standard_conforming_strings = off", "SELECT 'a\\'b'", TENANT],
        &["SET NAMES 'LATIN1'", TENANT, "SHOW client_encoding"],
    ])
}

both_versions! {
    /// E3
    held_beside_the_tenant, |server| as_directly(server, &[
        &["CREATE TEMP TABLE mine AS SELECT current_setting('app.tenant_id') AS t", "TABLE mine", TENANT, "DROP TABLE mine", TENANT],
        &["SELECT pg_advisory_lock(1)", TENANT, "SELECT pg_advisory_unlock(1)", TENANT],
        &["LISTEN news", TENANT, "NOTIFY news, 'x'", "UNLISTEN news", TENANT],
        &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT current_setting('app.tenant_id')", "COMMIT", "FETCH c", "CLOSE c", TENANT],
        &["PREPARE p AS SELECT current_setting('app.tenant_id')", "EXECUTE p", "DEALLOCATE p", TENANT],
        &["LISTEN news", "SET work_mem = '1234kB'", "BEGIN", "SET work_mem = '2345kB'", TENANT, "ROLLBACK", "UNLISTEN news", "SHOW work_mem", TENANT],
        &["BEGIN", "CREATE TEMP TABLE mine (i int)", "ROLLBACK", TENANT],
    ])
}

both_versions! {
    /// T14: a client that names its tenant by SET.
    named_by_set, |server| {
        let mut stage = Stage::with(server, "app_trust", with_tenants);
        stage.tell_all(&[
            &["SET app.tenant_id = 'acme'", TENANT, "SET work_mem = '1234kB'", TENANT, "SHOW work_mem", "RESET app.tenant_id", "SHOW work_mem"],
            &["SET app.tenant_id = 'acme'", "LISTEN news", TENANT, "UNLISTEN *", TENANT],
            &["SET app.tenant_id = 'acme'", "SET work_mem = '1234kB'", "DISCARD ALL", "SHOW work_mem", "SELECT nullif(current_setting('app.tenant_id', true), '')"],
            &["SET work_mem = '1234kB'", "SET app.tenant_id = 'acme'", "RESET ALL", "SHOW work_mem", "SELECT nullif(current_setting('app.tenant_id', true), '')"],
        ]);
        stage.finish();
    }
}
