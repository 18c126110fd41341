//! Who waits for an answer, and what may happen meanwhile.

use std::time::Duration;

use crate::{
    PLAN, Stage, error_among, error_of,
    support::{
        Raw, both_versions,
        message::{extended, query, ssl_request, sync},
    },
};

/// Long enough for a test to hold an answer back.
const PATIENT: &str = "timeout = \"1m\"";

/// Returns when what was sent before to a pgusher with one worker has been read there.
fn passed(stage: &Stage) {
    for _ in 0..2 {
        let mut witness = Raw::connect(stage.pgusher.port());
        witness.send(&ssl_request());
        assert_eq!(witness.byte(), Some(b'N'));
    }
}

both_versions!(
    /// However many wait, there is one question; and what they have sent is not lost.
    one_question_for_all,
    |pg| {
        let stage = Stage::new(pg, PATIENT);
        let mut holder = stage.hold_answers();
        let mut clients: Vec<Raw> = (0..20).map(|_| stage.anonymous()).collect();
        for client in &mut clients {
            client.rows("SET app.tenant_id = 'acme'");
            client.send(&query(PLAN));
            client.send(&[extended(PLAN, &[]), sync()].concat());
        }
        stage.wait_for_question();
        passed(&stage);
        holder.rows("SELECT pg_advisory_unlock(7)");
        for client in &mut clients {
            assert_eq!(client.transcript().types(), "T D C Z:I");
            let text = client.transcript().text();
            assert!(text.contains("D gold"), "{text}");
        }
        assert_eq!(stage.asked("acme"), 1);
        // One connection, and none of the pools'.
        assert_eq!(stage.line.accepted(), 1);
    }
);

both_versions!(
    /// Others go on while one tenant is asked for, those with and those without one.
    nobody_else_waits,
    |pg| {
        let tenant = "[tenants.listed]\n[users.nobody]\nbypass = true";
        let stage = Stage::with(pg, crate::FIND, PATIENT, tenant);
        let mut known = stage.client_of("plain");
        let holder = stage.hold_answers();
        let mut waiting = stage.anonymous();
        waiting.rows("SET app.tenant_id = 'acme'");
        waiting.send(&query(PLAN));
        stage.wait_for_question();
        assert_eq!(known.value(PLAN), "default");
        assert_eq!(stage.client_of("listed").value(PLAN), "default");
        let mut bypass = Raw::connect(stage.pgusher.port());
        bypass.startup(&[("user", "nobody"), ("database", &stage.database.name)]);
        bypass.authenticate("nobody", "").unwrap();
        assert_eq!(bypass.value("SELECT 1"), "1");
        drop(holder);
        assert_eq!(waiting.transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// A cancel ends the waiting; the next request asks again.
    a_cancel,
    |pg| {
        let stage = Stage::new(pg, PATIENT);
        let holder = stage.hold_answers();
        let mut client = stage.anonymous();
        client.rows("SET app.tenant_id = 'acme'");
        client.send(&query(PLAN));
        stage.wait_for_question();
        client.cancel();
        let error = error_among(&client.until_ready());
        assert_eq!(error, "57014: canceling statement due to user request");
        client.send(&query(PLAN));
        passed(&stage);
        drop(holder);
        assert_eq!(client.transcript().types(), "T D C Z:I");
        assert_eq!(stage.asked("acme"), 1);
    }
);

both_versions!(
    /// Clients that leave while they wait, at the login and later, leave nothing behind.
    a_client_that_leaves,
    |pg| {
        let stage = Stage::new(pg, PATIENT);
        let holder = stage.hold_answers();
        let mut client = stage.anonymous();
        client.rows("SET app.tenant_id = 'acme'");
        client.send(&query(PLAN));
        let mut newcomer = Raw::connect(stage.pgusher.port());
        let name = &stage.database.name;
        let parameters = [("user", "app"), ("database", name), ("app.tenant_id", "acme")];
        newcomer.startup(&parameters);
        stage.wait_for_question();
        passed(&stage);
        client.reset();
        newcomer.reset();
        drop(holder);
        assert_eq!(stage.client_of("acme").value(PLAN), "gold");
        assert_eq!(stage.asked("acme"), 1);
    }
);

both_versions!(
    /// Whoever waits when pgusher is stopped gets its answer, and then hears that it must go.
    a_shutdown,
    |pg| {
        let mut stage = Stage::new(pg, PATIENT);
        let holder = stage.hold_answers();
        let mut client = stage.anonymous();
        client.rows("SET app.tenant_id = 'acme'");
        client.send(&query(PLAN));
        stage.wait_for_question();
        stage.pgusher.terminate();
        stage.pgusher.wait_for_log("stopping");
        drop(holder);
        let text = client.transcript_until_eof().text();
        assert!(text.contains("D gold") && text.contains("57P01"), "{text}");
        assert!(stage.pgusher.wait_exit(Duration::from_secs(20)).success());
    }
);

both_versions!(
    /// An answer that takes too long is none; the client is told so and goes on.
    too_slow,
    |pg| {
        let stage = Stage::new(pg, "timeout = \"300ms\"");
        let holder = stage.hold_answers();
        let mut client = stage.anonymous();
        client.rows("SET app.tenant_id = 'acme'");
        let error = error_of(&mut client, PLAN);
        assert_eq!(error, "08001: tenant \"acme\" cannot be looked up");
        let told = stage.login("plain").expect_err("no answer");
        assert_eq!(told, "FATAL:08001: tenant \"plain\" cannot be looked up");
        drop(holder);
        crate::eventually("it is looked up", || error_of(&mut client, PLAN).is_empty());
        assert_eq!(client.value(PLAN), "gold");
    }
);
