//! The console: who is there is a user like others, and no tenant's.

use crate::{
    Issuer, login,
    support::{Database, Raw, both_versions},
    with_tenants,
};
use serde_json::json;

both_versions!(
    /// A7
    who_may_come_to_the_console, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = with_tenants(pg, &issuer, "")
            .config("[console]\nadmin_users = [\"boss\"]")
            .start();
        let visit = |user: &str, said| {
            let mut raw = Raw::connect(pgusher.port());
            raw.startup(&[("user", user), ("database", "pgusher")]);
            raw.authenticate(user, &issuer.token(said)).map(|()| raw)
        };
        let mut boss = visit("boss", json!({"sub": "boss"})).unwrap();
        assert!(!boss.rows("SHOW POOLS").is_empty() || !boss.rows("SHOW VERSION").is_empty());
        for (user, said, code) in [
            ("boss", json!({"sub": "app"}), "28P01"),
            ("app", json!({"sub": "app"}), "42501"),
            ("boss", json!({"sub": "boss", "app_metadata": {"tenant": "acme"}}), "42501"),
            ("boss.acme", json!({"sub": "boss"}), "42501"),
        ] {
            let error = visit(user, said.clone()).unwrap_err();
            assert!(error.starts_with(&format!("FATAL:{code}")), "{user} {said}: {error}");
        }
        // On a database, a token without a tenant is refused to the boss as to others.
        let nobody = |database: &Database<'_>| {
            login(&pgusher, "boss", &issuer.token(json!({"sub": "boss"})), database, &[])
        };
        assert!(nobody(&database).unwrap_err().starts_with("FATAL:28P01"));
    }
);

both_versions!(
    /// A file of rules says who comes with a token and who with a password; and it is asked again
    /// when the token has said where the name is to be cut.
    rules_by_user, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let rules = issuer.home.path().join("pg_hba.conf");
        let lines = [
            "host all boss 127.0.0.1/32 scram-sha-256",
            "host all web 127.0.0.1/32 oauth",
            "host all alice.x 127.0.0.1/32 reject",
            "host all all 127.0.0.1/32 jwt",
        ];
        std::fs::write(&rules, lines.join("\n")).unwrap();
        let pgusher = with_tenants(pg, &issuer, "")
            .auth(&format!("scram-sha-256\"\nhba = \"{}", rules.display()))
            .config("[console]\nadmin_users = [\"boss\"]\n[users.boss]\npassword = \"b\"")
            .start();
        Raw::login(pgusher.port(), "boss", "b", "pgusher").rows("SHOW VERSION");
        let tenant = json!({"tenant": "acme"});
        let come = |user: &str, sub: &str| {
            let token = issuer.token(json!({"sub": sub, "app_metadata": tenant}));
            login(&pgusher, user, &token, &database, &[])
        };
        assert!(come("app", "app").is_ok());
        assert!(come("app.acme", "app").is_ok());
        assert!(come("alice.y", "alice.y").is_ok());
        assert!(come("alice.x", "alice.x").unwrap_err().starts_with("FATAL:28P01"));
        assert!(come("boss", "boss").unwrap_err().starts_with("FATAL:28P01"));
        let mut web = Raw::connect(pgusher.port());
        web.startup(&[("user", "web"), ("database", &database.name)]);
        assert_eq!(&web.next().body[4..], b"OAUTHBEARER\0\0");
    }
);
