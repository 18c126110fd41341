//! Who the session is: SET ROLE and SET SESSION AUTHORIZATION (E2).

use crate::{stage::Stage, support::both_versions};

both_versions! {
    /// E2
    roles, |server| {
        let mut stage = Stage::new(server);
        stage.tell_all(&[
            &["SET ROLE visitor", "SELECT current_user, session_user", "SHOW role", "RESET ROLE", "SELECT current_user"],
            &["SET ROLE visitor", "SET ROLE NONE", "SELECT current_user"],
            &["SET ROLE visitor", "RESET ALL", "SELECT current_user", "DISCARD ALL", "SELECT current_user"],
            &["SET ROLE 'visitor'", "SET role = 'pg_monitor'", "SELECT current_user", "SET role TO DEFAULT", "SELECT current_user"],
            &["SET ROLE \"Odd \"\"Role\"", "SELECT current_user", "SET work_mem = '1234kB'", "SELECT current_user"],
            &["SET ROLE nobody_at_all", "SELECT current_user", "SET ROLE postgres", "SELECT current_user"],
            &["SELECT set_config('role', 'visitor', false)", "SELECT current_user"],
            &["BEGIN", "SET ROLE visitor", "ROLLBACK", "SELECT current_user"],
            &["BEGIN", "SET ROLE visitor", "COMMIT", "SELECT current_user"],
            &["BEGIN", "SET LOCAL ROLE visitor", "SELECT current_user", "COMMIT", "SELECT current_user"],
            &["BEGIN", "SELECT set_config('role', 'visitor', true)", "COMMIT", "SELECT current_user"],
            &["SET ROLE visitor", "BEGIN", "RESET ROLE", "ROLLBACK", "SELECT current_user"],
            &["SET ROLE visitor", "BEGIN", "SAVEPOINT s", "SET ROLE NONE", "ROLLBACK TO s", "COMMIT", "SELECT current_user"],
            &["SET ROLE visitor", "DROP TABLE t", "SELECT current_user", "SELECT 1/0", "SELECT current_user"],
            &["SET ROLE visitor", "CREATE TEMP TABLE mine (i int)", "RESET ROLE", "TABLE mine", "DROP TABLE mine", "SELECT current_user"],
            &["SET SESSION AUTHORIZATION app_trust", "SELECT session_user", "SET SESSION AUTHORIZATION DEFAULT"],
            &["SET SESSION AUTHORIZATION visitor", "SELECT session_user"],
            &["SET ROLE visitor", "SET SESSION AUTHORIZATION DEFAULT", "SELECT current_user"],
            &["SET ROLE visitor", "RESET SESSION AUTHORIZATION", "SELECT current_user"],
            &["DO $$ BEGIN SET ROLE visitor; END $$", "SELECT current_user"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E2: a superuser may become anybody, and `is_superuser` is reported (E5).
    session_authorization, |server| {
        let mut stage = Stage::of_superuser(server);
        stage.tell_all(&[
            &["SET SESSION AUTHORIZATION visitor", "SELECT session_user, current_user", "SHOW is_superuser",
              "RESET SESSION AUTHORIZATION", "SELECT session_user", "SHOW is_superuser"],
            &["SET SESSION AUTHORIZATION visitor", "SELECT count(*) FROM t", "DROP TABLE t", "SELECT session_user"],
            &["SET SESSION AUTHORIZATION app", "SET ROLE visitor", "SELECT session_user, current_user", "RESET ROLE", "SELECT current_user",
              "SET ROLE postgres", "SET SESSION AUTHORIZATION DEFAULT", "SELECT session_user"],
            &["SET ROLE app", "SELECT current_user, session_user", "SHOW is_superuser", "SET SESSION AUTHORIZATION visitor", "SELECT current_user, session_user"],
            &["BEGIN", "SET SESSION AUTHORIZATION visitor", "ROLLBACK", "SELECT session_user"],
            &["BEGIN", "SET SESSION AUTHORIZATION visitor", "COMMIT", "SELECT session_user"],
            &["BEGIN", "SET LOCAL SESSION AUTHORIZATION visitor", "COMMIT", "SELECT session_user"],
            &["SET SESSION AUTHORIZATION visitor", "RESET ALL", "SELECT session_user", "DISCARD ALL", "SELECT session_user"],
            &["SELECT set_config('session_authorization', 'visitor', false)", "SELECT session_user"],
            &["SET session_authorization = 'visitor'", "SELECT session_user", "SET SESSION AUTHORIZATION postgres", "SELECT session_user"],
            &["SET SESSION AUTHORIZATION \"Odd \"\"Role\"", "SELECT session_user"],
            &["SET session_replication_role = replica", "SET log_statement = 'all'", "SHOW session_replication_role", "SET log_min_messages = error",
              "RESET session_replication_role"],
            &["SET log_statement = 'none'", "SET SESSION AUTHORIZATION visitor", "SHOW log_statement", "SELECT session_user"],
        ]);
        stage.finish();
    }
}
