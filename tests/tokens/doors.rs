//! Who comes in: tokens of every kind, of every length, by real clients.

use std::process::Command;

use crate::{
    Issuer, REFUSED, login,
    support::{Database, Pgusher, Raw, both_versions, postgres::psql, temp::TempDir},
    taking_tokens,
    token::{Signer, claims, jwks},
};
use serde_json::json;

/// What libpq is told.
fn ask(pgusher: &Pgusher, database: &Database<'_>, token: &str) -> Option<Result<String, String>> {
    let out = Command::new(psql()?)
        .args(["-X", "-A", "-t", "-c", "SELECT session_user"])
        .arg(format!(
            "host=127.0.0.1 port={} user=app dbname={} sslmode=disable",
            pgusher.port(),
            database.name
        ))
        .env("PGPASSWORD", token)
        .output()
        .expect("psql runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    Some(match out.status.success() {
        true => Ok(text(out.stdout)),
        false => Err(text(out.stderr)),
    })
}

both_versions!(
    /// A token of each kind is a password to libpq, which knows nothing of tokens.
    psql_with_a_token,
    |pg| {
        let database = pg.fresh_database();
        let signers = ["RS256", "ES256", "ES384", "EdDSA"].map(|it| Signer::new(it, it));
        let issuer = Issuer::new();
        issuer.publish(&signers.each_ref());
        let pgusher = taking_tokens(pg, &issuer.section("")).start();
        for signer in &signers {
            let token = signer.token(&claims(json!({"sub": "app"})));
            let Some(said) = ask(&pgusher, &database, &token) else {
                return;
            };
            assert_eq!(said.as_deref(), Ok("app"), "{signer:?}");
            let other = signer.token(&claims(json!({"sub": "other"})));
            let said = ask(&pgusher, &database, &other).unwrap().unwrap_err();
            assert!(said.contains("password authentication failed for user \"app\""), "{said}");
        }
    }
);

both_versions!(
    /// A6: tokens with many claims are long. What PostgreSQL would not read, nobody reads.
    long_tokens,
    |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("")).start();
        let token = |size: usize| issuer.token(json!({"groups": "x".repeat(size * 3 / 4)}));
        for size in [8 << 10, 60 << 10] {
            let token = token(size);
            assert!(token.len() > size);
            let mut client = login(&pgusher, "app", &token, &database, &[]).unwrap();
            assert_eq!(client.value("SELECT 1"), "1");
            if let Some(said) = ask(&pgusher, &database, &token) {
                assert_eq!(said.as_deref(), Ok("app"), "{size}");
            }
            // As long, and wrong in its last letter or two.
            let wrong = format!("{}AA", &token[..token.len() - 2]);
            let error = login(&pgusher, "app", &wrong, &database, &[]).unwrap_err();
            assert_eq!(error, REFUSED);
        }
        let error = login(&pgusher, "app", &token(70 << 10), &database, &[]).unwrap_err();
        assert!(error.starts_with("FATAL:08P01"), "{error}");
    }
);

both_versions!(
    /// Nobody is asked for a token where others could read it.
    plaintext, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let section = issuer.section("").replace("allow_plaintext = true\n", "");
        let home = TempDir::new();
        let socket = home.path().join(".s.PGSQL.5432");
        for method in ["jwt", "oauth"] {
            let pgusher = taking_tokens(pg, &section).auth(method).unix_socket(&socket).start();
            let mut client = Raw::connect(pgusher.port());
            client.startup(&[("user", "app"), ("database", &database.name)]);
            let error = client.next();
            assert_eq!(
                (error.notation().as_str(), error.text().as_str()),
                ("FATAL:28000", "a token is asked for, and the connection is not encrypted")
            );
            assert!(error.field(b'H').unwrap().contains("sslmode=require"));
            client.expect_eof();
            if method == "jwt" && let Some(psql) = psql() {
                let out = Command::new(psql)
                    .args(["-X", "-A", "-t", "-c", "SELECT session_user", "-U", "app", "-h"])
                    .arg(home.path())
                    .args(["-p", "5432", "-d", &database.name])
                    .env("PGPASSWORD", issuer.token(json!({})))
                    .output()
                    .expect("psql runs");
                assert_eq!(String::from_utf8(out.stdout).unwrap(), "app\n");
            }
        }
    }
);

both_versions!(
    /// Without a claim for the user, the bearer of any good token may be one of a few.
    listed_users, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("users = [\"app\", \"web.x\"]")).start();
        let token = issuer.token(json!({"sub": "whoever"}));
        for user in ["app", "web.x"] {
            let mut client = login(&pgusher, user, &token, &database, &[]).unwrap();
            assert_eq!(client.value("SELECT 1"), "1");
        }
        let error = login(&pgusher, "whoever", &token, &database, &[]).unwrap_err();
        assert_eq!(error, REFUSED.replace("app", "whoever"));
    }
);

both_versions!(
    /// Nobody has to list those whom the issuer knows: the token says who they are.
    users_of_the_issuer, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("")).start();
        let name = "alice@example.com";
        let token = issuer.token(json!({"sub": name}));
        let mut client = login(&pgusher, name, &token, &database, &[]).unwrap();
        assert_eq!(client.value("SELECT 1"), "1");
        assert_eq!(login(&pgusher, "app", &token, &database, &[]).unwrap_err(), REFUSED);
        let both = jwks(&[&issuer.signer]);
        assert!(!pgusher.log().contains(&both));
    }
);
