//! Who does not come in, and that nobody is told why but the log.

use crate::{
    Issuer, REFUSED, login,
    support::{
        Raw, both_versions,
        message::{Message, password},
    },
    taking_tokens,
    token::{Signer, base64url, claims},
};
use serde_json::json;

/// All that a client hears that sends this as its password.
fn heard(port: u16, user: &str, database: &str, token: &str) -> Vec<Message> {
    let mut client = Raw::connect(port);
    client.startup(&[("user", user), ("database", database)]);
    let asked = client.next();
    client.send(&password(token));
    let error = client.next();
    client.expect_eof();
    vec![asked, error]
}

both_versions!(
    /// A4, A5: each kind of wrong token, and each kind of user, gets the same two messages; the log says
    /// what it was, and not a letter of the token.
    all_refusals_look_alike, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("")).start();
        let port = pgusher.port();
        let good = issuer.token(json!({}));
        assert!(login(&pgusher, "app", &good, &database, &[]).is_ok());
        let stranger = Signer::new("ES256", "first");
        let unknown = Signer::new("ES256", "unknown");
        let now = claims(json!({}))["iat"].as_u64().unwrap();
        let said = claims(json!({"sub": "app"}));
        let (front, signature) = good.rsplit_once('.').unwrap();
        let unsigned = format!(
            "{}.{}.",
            base64url(br#"{"alg":"none"}"#),
            base64url(said.to_string().as_bytes())
        );
        let wrong = [
            ("secret".to_owned(), "it is malformed: it has not three parts"),
            ("a.b.c".to_owned(), "it is malformed: a part is not base64url"),
            (unsigned, "its algorithm is not among the configured ones"),
            (format!("{front}.{}", signature.chars().rev().collect::<String>()), ""),
            (stranger.token(&said), "its signature is wrong"),
            (unknown.token(&said), "no key of the issuer's fits it"),
            (issuer.token(json!({"exp": now - 31})), "it has expired"),
            (issuer.token(json!({"exp": null})), "it does not expire"),
            (issuer.token(json!({"nbf": now + 100})), "it does not hold yet"),
            (issuer.token(json!({"iss": "https://other"})), "it is from another issuer"),
            (issuer.token(json!({"aud": "another"})), "it is for another audience"),
            (issuer.token(json!({"sub": "admin"})), "it is for another user"),
            (issuer.token(json!({"sub": null})), "it has no usable claim of the user"),
        ];
        let first = heard(port, "app", &database.name, "x");
        assert_eq!(first[0].body, [0, 0, 0, 3]);
        assert_eq!(format!("{}: {}", first[1].notation(), first[1].text()), REFUSED);
        for (token, _) in &wrong {
            assert_eq!(heard(port, "app", &database.name, token), first, "{token}");
        }
        // The log says of a crowd how many there were, and of a few what each was.
        for few in wrong.chunks(4) {
            let pgusher = taking_tokens(pg, &issuer.section("")).start();
            for (token, why) in few {
                heard(pgusher.port(), "app", &database.name, token);
                pgusher.wait_for_log(why);
            }
        }
        // Neither who is configured nor what there is makes a difference.
        assert_eq!(heard(port, "app", "nowhere", &wrong[4].0), first);
        for user in ["stranger", "postgres"] {
            let other = heard(port, user, &database.name, &good);
            let text = other[1].text();
            assert_eq!(text, format!("password authentication failed for user \"{user}\""));
        }
        let empty = heard(port, "app", &database.name, "");
        assert_eq!(empty, first);
        let log = pgusher.log();
        for token in wrong.iter().map(|(token, _)| token).chain([&good]) {
            for part in token.split('.').filter(|part| part.len() > 8) {
                assert!(!log.contains(part), "{part}");
            }
        }
    }
);

both_versions!(
    /// An answer that is no password message is that, and not a wrong token.
    malformed_answers, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let mut pgusher = taking_tokens(pg, &issuer.section("")).start();
        for body in [&b""[..], b"x", b"x\0y", b"x\0\0"] {
            let mut client = Raw::connect(pgusher.port());
            client.startup(&[("user", "app"), ("database", &database.name)]);
            client.expect("R");
            client.send(&crate::support::message::message(b'p', body));
            client.expect("FATAL:08P01");
            client.expect_eof();
        }
        assert!(pgusher.is_running());
    }
);

both_versions!(
    /// A token does not open the server: pgusher's own password does, or nothing.
    the_server_never_sees_it, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("")).upstream_as_client().start();
        let error = login(&pgusher, "app", &issuer.token(json!({})), &database, &[]).unwrap_err();
        assert!(error.starts_with("FATAL:08001"), "{error}");
        assert!(pgusher.log_contains("a client's token does not open the server"));
        let token = issuer.token(json!({"sub": "app_trust"}));
        let mut client = login(&pgusher, "app_trust", &token, &database, &[]).unwrap();
        assert_eq!(client.value("SELECT session_user"), "app_trust");
    }
);
