//! The database that knows the tenants is not there.

use crate::{PLAN, Stage, error_of, eventually, support::both_versions};

const DOWN: &str = "tenants cannot be asked for; those that are known go on";
const BACK: &str = "tenants can be asked for again";

both_versions!(
    /// What was known is used, whatever its age; who is new is refused; each outage is two lines in
    /// the log (H5).
    an_outage,
    |pg| {
        let stage = Stage::new(pg, "ttl = \"50ms\"\nmax_stale = \"1h\"\ntimeout = \"500ms\"");
        let mut client = stage.client_of("acme");
        assert_eq!(client.value(PLAN), "gold");
        stage.line.refuse();
        stage.line.cut();
        eventually("it is noticed", || {
            assert_eq!(client.value(PLAN), "gold");
            stage.pgusher.log_contains(DOWN)
        });
        for _ in 0..20 {
            assert_eq!(client.value(PLAN), "gold");
            let told = stage.login("plain").expect_err("nobody knows");
            assert_eq!(told, "FATAL:08001: tenant \"plain\" cannot be looked up");
            assert_eq!(stage.client_of("acme").value(PLAN), "gold");
        }
        stage.database.sql("UPDATE public.tenants SET tier = 'silver'");
        stage.line.accept();
        eventually("it is back", || client.value(PLAN) == "silver");
        assert_eq!(stage.client_of("plain").value(PLAN), "silver");
        stage.pgusher.wait_for_log(BACK);
        assert_eq!(stage.pgusher.log().matches(DOWN).count(), 1);
        assert_eq!(stage.pgusher.log().matches(BACK).count(), 1);
    }
);

both_versions!(
    /// Not for ever: beyond `max_stale` nobody knows any more.
    what_is_too_old,
    |pg| {
        let stage = Stage::new(pg, "ttl = \"50ms\"\nmax_stale = \"300ms\"\ntimeout = \"200ms\"");
        let mut client = stage.client_of("acme");
        assert_eq!(client.value(PLAN), "gold");
        stage.line.refuse();
        stage.line.cut();
        let refused = "08001: tenant \"acme\" cannot be looked up";
        eventually("it is too old", || error_of(&mut client, PLAN) == refused);
        stage.line.accept();
        eventually("it is back", || error_of(&mut client, PLAN).is_empty());
    }
);

both_versions!(
    /// A connection that died while nobody asked is replaced before anybody notices (F2).
    a_connection_that_died,
    |pg| {
        let stage = Stage::new(pg, "");
        assert_eq!(stage.client_of("acme").value(PLAN), "gold");
        stage.line.cut();
        assert_eq!(stage.client_of("plain").value(PLAN), "default");
        stage.line.close();
        assert!(stage.login("nobody").is_err_and(|told| told.starts_with("FATAL:28000")));
        assert!(!stage.pgusher.log_contains(DOWN));
        assert_eq!(stage.line.accepted(), 3);
    }
);
