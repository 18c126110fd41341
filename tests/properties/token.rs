//! What must hold of tokens, sets of keys and OAUTHBEARER messages for any bytes at all.
//!
//! The first byte says what the others are: a token as it comes from a stranger, what an issuer publishes,
//! a header and claims (a line each) that the issuer has signed, or a SASL message.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use pgusher::auth::client::{Exchange, Random, Step};
use pgusher::auth::token::{Algorithm, Bearer, Claims, KeySet, Path, Rules, Verifier, Why};
use pgusher::config::settings::AuthMethod;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;

pub(crate) const NOW: u64 = 1_800_000_000;

fn signer() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed")
}

/// A token of these two texts.
pub(crate) fn sign(header: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let signature = signer().sign(signed.as_bytes());
    format!("{signed}.{}", BASE64URL.encode(signature.as_ref()))
}

fn verify(token: &[u8]) -> Result<Bearer, Why> {
    let x = BASE64URL.encode(signer().public_key().as_ref());
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
    let keys = KeySet::parse(set.as_bytes()).expect("a key");
    let path = |name: &str| Path::new(vec![name.to_owned()]);
    let rules = Rules {
        algorithms: Algorithm::ALL.to_vec(),
        claims: Claims {
            issuer: "i".to_owned(),
            audiences: vec!["a".to_owned()],
            leeway: 30,
            user: path("sub"),
            tenant: path("tenant"),
            tier: path("tier"),
        },
        users: Vec::new(),
    };
    Verifier {
        rules: &rules,
        keys: &keys,
    }
    .verify(token, NOW)
}

/// The property.
pub(crate) fn token(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        // Nobody can sign but the issuer.
        0 => assert!(verify(rest).is_err()),
        1 => {
            if let Ok(set) = KeySet::parse(rest) {
                let (keys, _) = set.counts();
                assert!((1..=32).contains(&keys));
            }
        }
        2 => {
            let mut parts = rest.splitn(2, |byte| *byte == b'\n');
            let (header, claims) = (parts.next(), parts.next());
            let (header, claims) = (header.unwrap_or_default(), claims.unwrap_or_default());
            if let Ok(bearer) = verify(sign(header, claims).as_bytes()) {
                holds(header, claims, &bearer);
            }
        }
        _ => exchange(rest),
    }
}

/// A token was accepted: so it says what it must, as another reader of JSON reads it.
fn holds(header: &[u8], claims: &[u8], bearer: &Bearer) {
    let header: Value = serde_json::from_slice(header).expect("JSON");
    let claims: Value = serde_json::from_slice(claims).expect("JSON");
    assert_eq!(header["alg"], "EdDSA");
    assert!(header.get("crit").is_none());
    assert_eq!(claims["iss"], "i");
    let aud = &claims["aud"];
    assert!(aud == "a" || aud.as_array().expect("a list").iter().any(|it| it == "a"));
    assert!(bearer.expires + 30 > NOW);
    assert_eq!(
        claims["exp"].as_f64().expect("a number").floor(),
        bearer.expires as f64
    );
    assert_eq!(claims["sub"].as_str(), bearer.user.as_deref());
    assert!(bearer.tenant.as_ref().is_none_or(|it| !it.is_empty()));
}

/// No message lets anybody in before a token is verified, and only a bearer token is ever looked at.
fn exchange(bytes: &[u8]) {
    let random = Random {
        nonce: [7; 18],
        md5_salt: [1; 4],
        server_seed: &[3; 32],
        salted_by: b"app",
    };
    let mut exchange = Exchange::new(AuthMethod::Oauth, b"app", None, random);
    assert!(matches!(exchange.start(), Step::Ask(_)));
    match exchange.answer(bytes) {
        Step::Ask(_) => {
            let next = exchange.answer(bytes);
            assert!(matches!(next, Step::Refused(_) | Step::Verify(_)));
        }
        Step::Verify(token) => {
            assert!(!token.as_bytes().is_empty());
            let refused = exchange.verified(Err(Why::Signature));
            assert!(matches!(refused, Step::Ask(_)));
            assert!(matches!(exchange.answer(b"\x01"), Step::Refused(_)));
        }
        Step::Refused(_) => {}
        step => panic!("{step:?}"),
    }
}
