//! OAUTHBEARER, byte by byte: what PostgreSQL 18's clients send, and what they must not.

use crate::{
    Issuer,
    support::{Pgusher, Raw, both_versions, message::message},
    taking_tokens,
};
use serde_json::json;

const REFUSED: &str = "OAuth bearer authentication failed for user \"app\"";
const REFUSAL: &str = r#"{ "status": "invalid_token", "openid-configuration": "https://id.example.com/.well-known/openid-configuration", "scope": "openid db" }"#;

/// A client that has been offered the mechanism.
fn offered(pgusher: &Pgusher, database: &str) -> Raw {
    let mut client = Raw::connect(pgusher.port());
    client.startup(&[("user", "app"), ("database", database)]);
    let offer = client.next();
    assert_eq!(
        (offer.tag, &*offer.body),
        (b'R', &b"\0\0\0\x0aOAUTHBEARER\0\0"[..])
    );
    client
}

fn initial(mechanism: &str, response: Option<&[u8]>) -> Vec<u8> {
    let (len, response) = match response {
        Some(response) => (i32::try_from(response.len()).unwrap(), response),
        None => (-1, &b""[..]),
    };
    let body = [mechanism.as_bytes(), b"\0", &len.to_be_bytes(), response].concat();
    message(b'p', &body)
}

fn bearer(token: &str) -> Vec<u8> {
    format!("n,,\x01auth=Bearer {token}\x01\x01").into_bytes()
}

both_versions!(
    /// With the first message, and after an empty challenge.
    a_good_token, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("")).auth("oauth").start();
        let long = issuer.token(json!({"groups": "x".repeat(45_000)}));
        for token in [issuer.token(json!({})), long] {
            let mut client = offered(&pgusher, &database.name);
            client.send(&initial("OAUTHBEARER", Some(&bearer(&token))));
            client.until_ready();
            assert_eq!(client.value("SELECT session_user"), "app");
            let mut client = offered(&pgusher, &database.name);
            client.send(&initial("OAUTHBEARER", None));
            let challenge = client.next();
            assert_eq!((challenge.tag, &*challenge.body), (b'R', &[0, 0, 0, 11][..]));
            client.send(&message(b'p', &bearer(&token)));
            client.until_ready();
            assert_eq!(client.value("SELECT session_user"), "app");
        }
        assert!(!pgusher.log_contains(&issuer.token(json!({}))[..20]));
    }
);

both_versions!(
    /// A4: a bad token, another user's, and none at all: the same two messages, and where to get one.
    a_bad_token, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let section = issuer.section("scope = \"openid db\"");
        let pgusher = taking_tokens(pg, &section).auth("oauth").start();
        for first in [
            bearer("x"),
            bearer(&issuer.token(json!({"exp": 5}))),
            bearer(&issuer.token(json!({"sub": "other"}))),
            b"n,,\x01auth=\x01\x01".to_vec(),
            b"n,,\x01auth=Basic eDp5\x01\x01".to_vec(),
        ] {
            let mut client = offered(&pgusher, &database.name);
            client.send(&initial("OAUTHBEARER", Some(&first)));
            let told = client.next();
            assert_eq!(told.tag, b'R');
            assert_eq!(&told.body[..4], [0, 0, 0, 11]);
            assert_eq!(String::from_utf8_lossy(&told.body[4..]), REFUSAL);
            let json: serde_json::Value = serde_json::from_slice(&told.body[4..]).unwrap();
            assert_eq!(json["status"], "invalid_token");
            client.send(&message(b'p', b"\x01"));
            let error = client.next();
            assert_eq!((error.notation().as_str(), error.text().as_str()), ("FATAL:28000", REFUSED));
            client.expect_eof();
        }
        for why in ["three parts", "it has expired", "it is for another user", "only asked where", "no bearer token"] {
            pgusher.wait_for_log(why);
        }
    }
);

both_versions!(
    /// A5, A10: what is no message of the exchange.
    malformed, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let mut pgusher = taking_tokens(pg, &issuer.section("")).auth("oauth").start();
        let token = issuer.token(json!({}));
        let good = bearer(&token);
        let text = String::from_utf8(good.clone()).unwrap();
        for (bytes, code) in [
            (initial("SCRAM-SHA-256", Some(&good)), "08P01"),
            (initial("OAUTHBEARER-PLUS", Some(&good)), "08P01"),
            (message(b'p', format!("{token}\0").as_bytes()), "08P01"),
            (message(b'p', b""), "08P01"),
            (initial("OAUTHBEARER", Some(b"")), "08P01"),
            (initial("OAUTHBEARER", Some(b"\x01")), "08P01"),
            (initial("OAUTHBEARER", Some(text.replace("n,,", "p=tls-exporter,,").as_bytes())), "08P01"),
            (initial("OAUTHBEARER", Some(text.replace("n,,", "n,a=admin,").as_bytes())), "0A000"),
            (initial("OAUTHBEARER", Some(text.trim_end_matches('\x01').as_bytes())), "08P01"),
            (initial("OAUTHBEARER", Some(format!("{text}x").as_bytes())), "08P01"),
        ] {
            let mut client = offered(&pgusher, &database.name);
            client.send(&bytes);
            client.expect(&format!("FATAL:{code}"));
            client.expect_eof();
        }
        // Nor is a second try in the place of the farewell.
        for farewell in [good, b"".to_vec(), b"\x01\x01".to_vec()] {
            let mut client = offered(&pgusher, &database.name);
            client.send(&initial("OAUTHBEARER", Some(&bearer("x"))));
            client.expect("R");
            client.send(&message(b'p', &farewell));
            client.expect("FATAL:08P01");
            client.expect_eof();
        }
        assert!(pgusher.is_running());
    }
);
