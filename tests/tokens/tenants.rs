//! The tenant that a token names: nobody's word goes before it.

use crate::{
    Issuer, REFUSED, login,
    support::{Message, Raw, both_versions, message::query},
    with_tenants,
};
use serde_json::{Value, json};

const SEEN: &str = "SELECT current_setting('app.tenant_id', true)";

fn of(tenant: Value) -> Value {
    json!({"app_metadata": {"tenant": tenant}})
}

fn error_of(client: &mut Raw, sql: &str) -> String {
    client.send(&query(sql));
    let messages = client.until_ready();
    let error = messages.iter().find(|message| message.tag == b'E');
    error.map_or_else(String::new, Message::notation)
}

both_versions!(
    /// Row-level security sees the tenant of the token, on a connection that all share.
    rows_of_the_token, |pg| {
        let database = pg.fresh_database();
        database.sql(
            "CREATE TABLE orders (tenant text DEFAULT current_setting('app.tenant_id'), what text);
             ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY own ON orders USING (tenant = (SELECT current_setting('app.tenant_id', true)));
             INSERT INTO orders VALUES ('acme', 'anvil'), ('globex', 'globe'), ('globex', 'glue');
             GRANT ALL ON orders TO app",
        );
        let issuer = Issuer::new();
        let pgusher = with_tenants(pg, &issuer, "").start();
        let client = |tenant: &str| {
            login(&pgusher, "app", &issuer.token(of(json!(tenant))), &database, &[]).unwrap()
        };
        let (mut acme, mut globex) = (client("acme"), client("globex"));
        for _ in 0..3 {
            assert_eq!(acme.value("SELECT string_agg(what, ' ' ORDER BY what) FROM orders"), "anvil");
            assert_eq!(globex.value("SELECT string_agg(what, ' ' ORDER BY what) FROM orders"), "globe glue");
        }
        assert_eq!(acme.value("INSERT INTO orders (what) VALUES ('axe') RETURNING tenant"), "acme");
        assert_eq!(globex.value("SELECT count(*) FROM orders"), "2");
    }
);

both_versions!(
    /// J8, J9: weaker sources may confirm what the token says, and nothing else.
    weaker_sources, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = with_tenants(pg, &issuer, "").start();
        let token = issuer.token(of(json!("acme")));
        for (user, more, code) in [
            ("app", &[("app.tenant_id", "globex")][..], "28000"),
            ("app", &[("options", "-c app.tenant_id=globex")], "28000"),
            ("app.globex", &[], "28000"),
            ("app.globex", &[("app.tenant_id", "acme")], "28000"),
            ("app.", &[], "22023"),
        ] {
            let error = login(&pgusher, user, &token, &database, more).unwrap_err();
            assert!(error.starts_with(&format!("FATAL:{code}")), "{user} {more:?}: {error}");
        }
        for (user, more) in [
            ("app", &[][..]),
            ("app.acme", &[]),
            ("app", &[("app.tenant_id", "acme")]),
            ("app.acme", &[("options", "-c app.tenant_id=acme")]),
        ] {
            let mut client = login(&pgusher, user, &token, &database, more).unwrap();
            assert_eq!(client.value(SEEN), "acme", "{user} {more:?}");
            for sql in [
                "SET app.tenant_id = 'globex'",
                "SET LOCAL app.tenant_id = 'globex'",
                "RESET app.tenant_id",
                "SELECT set_config('app.tenant_id', 'globex', false)",
            ] {
                assert_eq!(error_of(&mut client, sql), "E:42501", "{sql}");
            }
            let comment = format!("{SEEN} /* tenant_id='globex' */");
            assert_eq!(error_of(&mut client, &comment), "E:28000");
            let comment = format!("{SEEN} /* tenant_id='acme' */");
            assert_eq!(client.value(&comment), "acme");
            assert_eq!(client.value(SEEN), "acme");
        }
    }
);

both_versions!(
    /// A token without a tenant is no token for any tenant, whatever else the client says.
    without_a_tenant, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = with_tenants(pg, &issuer, "").start();
        for said in [json!({}), of(Value::Null), json!({"app_metadata": "acme"}), json!({"tenant": "acme"})] {
            let token = issuer.token(said);
            for (user, more) in [("app", &[][..]), ("app", &[("app.tenant_id", "acme")]), ("app.acme", &[])] {
                let error = login(&pgusher, user, &token, &database, more).unwrap_err();
                assert_eq!(error, REFUSED.replace("app", user), "{more:?}");
            }
        }
        pgusher.wait_for_log("it names no tenant");
        // Ids that are none, by the format.
        for odd in [json!("a b"), json!("a'b"), json!("")] {
            let token = issuer.token(of(odd.clone()));
            assert!(login(&pgusher, "app", &token, &database, &[]).is_err(), "{odd}");
        }
        // Who may do without is named by the token, and by nothing else.
        let mut said = json!({"sub": "jobs"});
        let mut jobs = login(&pgusher, "jobs", &issuer.token(said.clone()), &database, &[]).unwrap();
        assert_eq!(jobs.value("SELECT 1"), "1");
        said["app_metadata"] = json!({"tenant": "acme"});
        let mut jobs = login(&pgusher, "jobs", &issuer.token(said), &database, &[]).unwrap();
        assert_eq!(jobs.value(SEEN), "acme");
        assert_eq!(error_of(&mut jobs, "RESET app.tenant_id"), "E:42501");
    }
);

both_versions!(
    /// Numbers are ids too, and claims may be named by a URL.
    numbers_and_urls, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let builder = with_tenants(pg, &issuer, "");
        let toml = builder.toml();
        assert!(toml.contains("tenant_claim = [\"app_metadata\", \"tenant\"]"));
        let section = issuer.section("tenant_claim = \"https://example.com/tenant\"");
        let pgusher = crate::taking_tokens(pg, &section)
            .config("[tenant]\nsources = [\"jwt\"]\nformat = \"integer\"")
            .start();
        let token = issuer.token(json!({"https://example.com/tenant": 42}));
        let mut client = login(&pgusher, "app", &token, &database, &[]).unwrap();
        assert_eq!(client.value(SEEN), "42");
        let error = login(&pgusher, "app", &token, &database, &[("app.tenant_id", "42")]);
        assert!(error.unwrap_err().starts_with("FATAL:42501"), "startup is no source here");
    }
);

both_versions!(
    /// The tier of the token is the tenant's, unless the file or the operator says another.
    tiers, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = with_tenants(pg, &issuer, "tier_claim = \"plan\"")
            .config(
                "[limits.tiers.gold]\nsettings = { \"app.plan\" = \"shiny\" }\n\
                 [tenants.listed]\n[limits.settings]\n\"app.plan\" = \"plain\"\n",
            )
            .start();
        let plan = "SELECT current_setting('app.plan', true)";
        let come = |tenant: &str, tier: Value| {
            let mut said = of(json!(tenant));
            said["plan"] = tier;
            login(&pgusher, "app", &issuer.token(said), &database, &[]).unwrap()
        };
        let mut acme = come("acme", json!("gold"));
        assert_eq!(acme.value(plan), "shiny");
        assert_eq!(come("globex", Value::Null).value(plan), "plain");
        assert_eq!(come("listed", json!("gold")).value(plan), "plain");
        // It says nothing, and nothing changes.
        come("acme", Value::Null);
        assert_eq!(acme.value(plan), "shiny");
        // A reload does not forget it.
        pgusher.signal("HUP");
        pgusher.wait_for_log("the configuration was read again and taken over");
        assert_eq!(acme.value(plan), "shiny");
        // The last one holds, for all.
        come("acme", json!("default"));
        assert_eq!(acme.value(plan), "plain");
        assert!(!pgusher.log_contains("a tier that does not exist"));
        for _ in 0..3 {
            assert_eq!(come("globex", json!("platinum")).value(plan), "plain");
        }
        pgusher.wait_for_log("platinum");
        assert_eq!(pgusher.log().matches("tokens name a tier that does not exist").count(), 1);
    }
);
