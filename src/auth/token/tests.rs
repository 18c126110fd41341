//! What becomes of tokens: good ones of every kind, and one bad one for every rule.

use std::sync::LazyLock;

use serde_json::{Value, json};

use self::made::{AUDIENCE, ISSUER, Signer, base64url, jwks};
use super::*;

#[path = "../../../tests/support/token.rs"]
#[allow(
    dead_code,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub,
    missing_docs,
    reason = "it belongs to the tests of the program too"
)]
mod made;

/// The time at which all of this happens.
const NOW: u64 = 1_800_000_000;

static SIGNERS: LazyLock<Vec<Signer>> = LazyLock::new(|| {
    Algorithm::ALL
        .iter()
        .map(|it| Signer::new(it.name(), it.name()))
        .collect()
});

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let signers: Vec<&Signer> = SIGNERS.iter().collect();
    KeySet::parse(jwks(&signers).as_bytes()).unwrap()
});

fn es256() -> &'static Signer {
    SIGNERS.get(1).unwrap()
}

fn rules() -> Rules {
    let path = |names: &[&str]| Path::new(names.iter().map(|it| (*it).to_owned()).collect());
    Rules {
        algorithms: Algorithm::ALL.to_vec(),
        claims: Claims {
            issuer: ISSUER.to_owned(),
            audiences: vec![AUDIENCE.to_owned(), "other".to_owned()],
            leeway: 30,
            user: path(&["sub"]),
            tenant: path(&["app.meta/data", "tenant"]),
            tier: path(&["plan"]),
        },
        users: Vec::new(),
    }
}

/// What a good token says, with changes; `null` takes something away.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "app", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        "app.meta/data": {"tenant": "acme"}, "plan": "gold",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims
            .as_object_mut()
            .unwrap()
            .insert(name.clone(), value.clone());
    }
    claims
}

fn verify(token: &str) -> Result<Bearer, Why> {
    let (rules, keys) = (&rules(), &*KEYS);
    Verifier { rules, keys }.verify(token.as_bytes(), NOW)
}

fn says(changes: Value) -> Result<Bearer, Why> {
    verify(&es256().token(&claims(changes)))
}

fn headed(header: &str) -> Result<Bearer, Why> {
    verify(&es256().sign(header, &claims(json!({})).to_string()))
}

#[test]
fn good_tokens_of_every_kind() {
    for signer in SIGNERS.iter() {
        let bearer = verify(&signer.token(&claims(json!({})))).unwrap();
        assert_eq!(
            bearer,
            Bearer {
                user: Some("app".to_owned()),
                tenant: Some("acme".to_owned()),
                tier: Some("gold".to_owned()),
                expires: NOW + 60,
            }
        );
    }
}

/// The example of RFC 7515, A.2 and A.3: keys, tokens and signatures that others have made.
#[test]
fn the_examples_of_the_rfc() {
    let keys = r#"{"keys": [
        {"kty":"RSA",
         "n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
         "e":"AQAB"},
        {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let keys = KeySet::parse(keys.as_bytes()).unwrap();
    assert_eq!(keys.counts(), (2, 0));
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rs = format!(
        "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let es = format!(
        "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    // Everything about them is right but that they are for nobody.
    let mut rules = rules();
    rules.claims.issuer = "joe".to_owned();
    let verifier = Verifier {
        rules: &rules,
        keys: &keys,
    };
    for token in [rs, es] {
        assert_eq!(
            verifier.verify(token.as_bytes(), 1_300_819_379),
            Err(Why::Audience)
        );
        let (front, signature) = token.rsplit_once('.').unwrap();
        let other = format!("{front}.{}", signature.replacen(['c', 'D'], "E", 1));
        assert_eq!(
            verifier.verify(other.as_bytes(), 1_300_819_379),
            Err(Why::Signature)
        );
    }
}

#[test]
fn what_a_token_must_say() {
    let malformed = |what| Err(Why::Claim(what));
    for (changes, why) in [
        (json!({"iss": null}), Err(Why::Issuer)),
        (json!({"iss": "https://id.example.com/"}), Err(Why::Issuer)),
        (json!({"iss": [ISSUER]}), Err(Why::Issuer)),
        (json!({"iss": "HTTPS://id.example.com"}), Err(Why::Issuer)),
        (json!({"aud": null}), Err(Why::Audience)),
        (json!({"aud": ""}), Err(Why::Audience)),
        (json!({"aud": []}), Err(Why::Audience)),
        (json!({"aud": "postgres2"}), Err(Why::Audience)),
        (json!({"aud": "postgres other"}), Err(Why::Audience)),
        (json!({"aud": ["a", "b"]}), Err(Why::Audience)),
        (json!({"aud": ["postgres", 1]}), Err(Why::Audience)),
        (json!({"aud": {"postgres": true}}), Err(Why::Audience)),
        (json!({"exp": null}), Err(Why::NoExpiry)),
        (json!({"exp": NOW - 30}), Err(Why::Expired)),
        (json!({"exp": 0}), Err(Why::Expired)),
        (json!({"exp": -1}), Err(Why::Expired)),
        (json!({"exp": "1900000000"}), malformed("exp")),
        (json!({"exp": true}), malformed("exp")),
        (json!({"exp": 1e300}), malformed("exp")),
        (json!({"exp": u64::MAX}), malformed("exp")),
        (json!({"exp": i64::MIN}), malformed("exp")),
        (json!({"nbf": NOW + 31}), Err(Why::NotYet)),
        (json!({"nbf": [NOW]}), malformed("nbf")),
        (json!({"iat": NOW + 31}), Err(Why::NotYet)),
        (json!({"iat": {}}), malformed("iat")),
        (json!({"cnf": {"jkt": "x"}}), Err(Why::Bound)),
        (json!({"sub": null}), malformed("claim of the user")),
        (json!({"sub": ""}), malformed("claim of the user")),
        (json!({"sub": 7}), malformed("claim of the user")),
        (json!({"sub": ["app"]}), malformed("claim of the user")),
        (json!({"sub": "app\0"}), malformed("claim of the user")),
        (
            json!({"sub": "a".repeat(1025)}),
            malformed("claim of the user"),
        ),
        (
            json!({"app.meta/data": {"tenant": ""}}),
            malformed("tenant"),
        ),
        (
            json!({"app.meta/data": {"tenant": ["acme"]}}),
            malformed("tenant"),
        ),
        (
            json!({"app.meta/data": {"tenant": true}}),
            malformed("tenant"),
        ),
        (
            json!({"app.meta/data": {"tenant": 1.5}}),
            malformed("tenant"),
        ),
        (json!({"plan": {}}), malformed("tier")),
    ] {
        assert_eq!(says(changes.clone()), why, "{changes}");
    }
}

#[test]
fn what_a_token_may_say() {
    for changes in [
        json!({"aud": ["x", "postgres"]}),
        json!({"aud": "other"}),
        json!({"exp": NOW - 29}),
        json!({"exp": NOW as f64 + 0.5}),
        json!({"nbf": NOW + 30, "iat": NOW + 30}),
        json!({"nbf": null, "iat": null}),
        json!({"nbf": -5}),
        json!({"scope": "anything", "jti": "x", "more": [{"deep": null}]}),
    ] {
        assert!(says(changes.clone()).is_ok(), "{changes}");
    }
    let tenant = |changes| says(changes).unwrap().tenant;
    assert_eq!(
        tenant(json!({"app.meta/data": {"tenant": 42}})).as_deref(),
        Some("42")
    );
    assert_eq!(
        tenant(json!({"app.meta/data": {"tenant": -42}})).as_deref(),
        Some("-42")
    );
    // A dot is a letter like others: this is another claim than the configured one.
    let elsewhere = json!({"app.meta/data": null, "app": {"meta/data": {"tenant": "x"}}, "app.meta/data.tenant": "x"});
    assert_eq!(tenant(elsewhere), None);
    assert_eq!(tenant(json!({"app.meta/data": null})), None);
    assert_eq!(tenant(json!({"app.meta/data": "acme"})), None);
    assert_eq!(tenant(json!({"app.meta/data": {"tenant": null}})), None);
    assert_eq!(says(json!({"plan": null})).unwrap().tier, None);
}

#[test]
fn headers_that_are_refused() {
    for (header, why) in [
        (r#"{"alg":"none"}"#, Why::Algorithm),
        (r#"{"alg":"None"}"#, Why::Algorithm),
        (r#"{"alg":""}"#, Why::Algorithm),
        (r#"{"alg":null}"#, Why::Algorithm),
        (r#"{"alg":["ES256"]}"#, Why::Algorithm),
        (r#"{"alg":"HS256"}"#, Why::Algorithm),
        (r#"{"alg":"es256"}"#, Why::Algorithm),
        (r#"{"alg":"PS256"}"#, Why::Algorithm),
        (r#"{"typ":"JWT"}"#, Why::Algorithm),
        // Of another kind than the key.
        (r#"{"alg":"RS256","kid":"ES256"}"#, Why::UnknownKey),
        (r#"{"alg":"RS256","kid":"RS256"}"#, Why::Signature),
        (r#"{"alg":"EdDSA","kid":"EdDSA"}"#, Why::Signature),
        (r#"{"alg":"ES384","kid":"ES384"}"#, Why::Signature),
        (r#"{"alg":"ES256","kid":"other"}"#, Why::UnknownKey),
        (r#"{"alg":"ES256","kid":"es256"}"#, Why::UnknownKey),
        (
            r#"{"alg":"ES256","kid":7}"#,
            Why::Malformed("its key id is not one"),
        ),
        (
            r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
            Why::Critical,
        ),
        (r#"{"alg":"ES256","crit":[]}"#, Why::Critical),
        (r#"{"alg":"ES256","crit":null}"#, Why::Critical),
        (r#"{"alg":"ES256","typ":"logout+jwt"}"#, Why::Type),
        (r#"{"alg":"ES256","typ":"dpop+jwt"}"#, Why::Type),
        (r#"{"alg":"ES256","typ":""}"#, Why::Type),
        (r#"{"alg":"ES256","typ":1}"#, Why::Type),
        (
            r#"{"alg":"none","alg":"ES256"}"#,
            Why::Malformed("its header is not an object"),
        ),
        (
            r#"["ES256"]"#,
            Why::Malformed("its header is not an object"),
        ),
        ("", Why::Malformed("its header is not an object")),
    ] {
        assert_eq!(headed(header), Err(why), "{header}");
    }
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":"ES256","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","typ":"application/AT+JWT"}"#,
        // Whose key it brings along is of no interest.
        r#"{"alg":"ES256","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example","x5c":["x"]}"#,
    ] {
        assert!(headed(header).is_ok(), "{header}");
    }
    let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(300));
    assert_eq!(headed(&long), Err(Why::Malformed("its key id is not one")));
}

/// The classic: the public key, which everybody has, taken for a shared secret.
#[test]
fn a_public_key_is_no_secret() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let rsa = SIGNERS.first().unwrap();
    let secret = rsa.jwk().to_string();
    let signed = format!(
        "{}.{}",
        base64url(br#"{"alg":"HS256","kid":"RS256"}"#),
        base64url(claims(json!({})).to_string().as_bytes())
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", base64url(&mac.finalize().into_bytes()));
    assert_eq!(verify(&token), Err(Why::Algorithm));
    let set = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "RS256", "alg": "HS256"}]});
    assert!(KeySet::parse(set.to_string().as_bytes()).is_err());
}

#[test]
fn only_configured_algorithms() {
    let mut rules = rules();
    rules.algorithms = vec![Algorithm::EdDsa];
    let verifier = Verifier {
        rules: &rules,
        keys: &KEYS,
    };
    for signer in SIGNERS.iter() {
        let token = signer.token(&claims(json!({})));
        let verified = verifier.verify(token.as_bytes(), NOW);
        let is_ed = signer.jwk().get("alg") == Some(&json!("EdDSA"));
        assert_eq!(verified.err(), (!is_ed).then_some(Why::Algorithm));
    }
}

// A5, A6
#[test]
fn texts_that_are_no_tokens() {
    let good = es256().token(&claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!("{good}")
    };
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "secret".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.x"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("Bearer {good}"),
        // JWE has five parts.
        format!("{good}.{payload}.{signature}"),
        good.replace(['-', '_'], "+"),
    ] {
        if bad != good {
            assert!(verify(&bad).is_err(), "{bad}");
        }
    }
    assert_eq!(
        verify(&format!("{good}{}", "A".repeat(MAX_TOKEN))),
        Err(Why::TooLong)
    );
    // The bits behind the last byte are zero, or it is another text for the same bytes.
    let spare = header.len() % 4 != 0 || payload.len() % 4 != 0 || signature.len() % 4 != 0;
    assert!(spare, "one part ends within a group");
}

#[test]
fn any_change_of_a_single_bit_is_seen() {
    for signer in SIGNERS.iter() {
        let good = signer.token(&claims(json!({}))).into_bytes();
        let (rules, keys) = (&rules(), &*KEYS);
        let verifier = Verifier { rules, keys };
        assert!(verifier.verify(&good, NOW).is_ok());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                *bad.get_mut(at).unwrap() ^= 1 << bit;
                assert!(verifier.verify(&bad, NOW).is_err(), "byte {at} bit {bit}");
            }
            let cut = good.get(..at).unwrap();
            assert!(verifier.verify(cut, NOW).is_err(), "cut at {at}");
        }
    }
}

#[test]
fn sets_of_keys() {
    let read = |keys: Value| KeySet::parse(json!({"keys": keys}).to_string().as_bytes());
    let good = es256().jwk();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key.as_object_mut().unwrap().insert(name.to_owned(), value);
        key
    };
    for usable in [
        with("kid", json!(null)),
        with("use", json!(null)),
        with("alg", json!(null)),
        with("key_ops", json!(["verify", "sign"])),
        with("d", json!("private")),
        with("x5c", json!(["MII"])),
    ] {
        assert_eq!(
            read(json!([usable])).map(|set| set.counts()),
            Ok((1, 0)),
            "{usable}"
        );
    }
    let short = |n: usize, e: &str| json!({"kty": "RSA", "n": base64url(&vec![0xff; n]), "e": e});
    for useless in [
        with("use", json!("enc")),
        with("alg", json!("ES384")),
        with("alg", json!("HS256")),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!("encrypt")),
        with("kty", json!("oct")),
        with("kty", json!("EC2")),
        with("crv", json!("P-384")),
        with("crv", json!("secp256k1")),
        with("x", json!(base64url(&[1; 31]))),
        with("x", json!("***")),
        with("y", json!(null)),
        with("kid", json!(7)),
        json!("EC"),
        json!({}),
        short(255, "AQAB"),
        short(1025, "AQAB"),
        short(256, ""),
        short(256, "AA"),
        // 2047 bits
        json!({"kty": "RSA", "n": base64url(&[&[0x7f][..], &[0xff; 255]].concat()), "e": "AQAB"}),
        json!({"kty": "OKP", "crv": "X25519", "x": base64url(&[1; 32])}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&[1; 33])}),
    ] {
        let both = read(json!([useless, good])).unwrap();
        assert_eq!(both.counts(), (1, 1), "{useless}");
        assert!(read(json!([useless])).is_err(), "{useless}");
    }
    assert!(read(json!(vec![good.clone(); 32])).is_ok());
    assert!(read(json!(vec![good.clone(); 33])).is_err());
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let large = format!("{}{}", jwks(&[es256()]), " ".repeat(MAX_SET));
    assert!(KeySet::parse(large.as_bytes()).is_err());
}

/// Keys that change: two with one name, one without.
#[test]
fn which_key_is_meant() {
    let (one, two) = (Signer::new("ES256", "k"), Signer::new("ES256", "k"));
    let both = KeySet::parse(jwks(&[&one, &two]).as_bytes()).unwrap();
    let rules = rules();
    for signer in [&one, &two] {
        let token = signer.token(&claims(json!({})));
        let verifier = Verifier {
            rules: &rules,
            keys: &both,
        };
        assert!(verifier.verify(token.as_bytes(), NOW).is_ok());
        let nameless = signer.sign(r#"{"alg":"ES256"}"#, &claims(json!({})).to_string());
        assert!(verifier.verify(nameless.as_bytes(), NOW).is_ok());
    }
    let alone = KeySet::parse(jwks(&[&one]).as_bytes()).unwrap();
    let verifier = Verifier {
        rules: &rules,
        keys: &alone,
    };
    let token = two.token(&claims(json!({})));
    assert_eq!(verifier.verify(token.as_bytes(), NOW), Err(Why::Signature));
    let mut jwk = one.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    let nameless = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let verifier = Verifier {
        rules: &rules,
        keys: &nameless,
    };
    let token = one.token(&claims(json!({})));
    assert!(verifier.verify(token.as_bytes(), NOW).is_ok());
}

/// Anybody can have signatures verified, and so only a few are for one token.
#[test]
fn a_token_is_tried_with_few_keys() {
    let signers: Vec<Signer> = ["1", "2", "3", "4", "5"]
        .map(|id| Signer::new("EdDSA", id))
        .into();
    let all: Vec<&Signer> = signers.iter().collect();
    let keys = KeySet::parse(jwks(&all).as_bytes()).unwrap();
    let rules = rules();
    let verifier = Verifier {
        rules: &rules,
        keys: &keys,
    };
    let claims = claims(json!({}));
    for (at, signer) in signers.iter().enumerate() {
        let named = signer.token(&claims);
        assert!(verifier.verify(named.as_bytes(), NOW).is_ok());
        let nameless = signer.sign(r#"{"alg":"EdDSA"}"#, &claims.to_string());
        let verified = verifier.verify(nameless.as_bytes(), NOW);
        assert_eq!(verified.is_ok(), at < 4, "{at}");
    }
}

#[test]
fn who_may_log_in() {
    let bearer = |user: Option<&str>, tenant: Option<&str>| Bearer {
        user: user.map(str::to_owned),
        tenant: tenant.map(str::to_owned),
        tier: None,
        expires: NOW,
    };
    let named = rules();
    assert_eq!(
        named.admit(&bearer(Some("app"), Some("a")), "app", false),
        Ok(())
    );
    assert_eq!(
        named.admit(&bearer(Some("app"), Some("a")), "App", false),
        Err(Why::OtherUser)
    );
    assert_eq!(
        named.admit(&bearer(Some("app"), None), "app", false),
        Err(Why::NoTenant)
    );
    assert_eq!(named.admit(&bearer(Some("app"), None), "app", true), Ok(()));
    let listed = Rules {
        users: vec!["app".to_owned(), "jobs".to_owned()],
        ..rules()
    };
    assert_eq!(listed.admit(&bearer(None, Some("a")), "app", false), Ok(()));
    assert_eq!(
        listed.admit(&bearer(None, Some("a")), "other", false),
        Err(Why::UserNotListed)
    );
    // It says nothing of the user, so it cannot be the token of somebody who sees all.
    assert_eq!(
        listed.admit(&bearer(None, None), "jobs", true),
        Err(Why::NoTenant)
    );
    let mut free = listed;
    free.claims.tenant = None;
    assert_eq!(free.admit(&bearer(None, None), "app", false), Ok(()));
}

#[test]
fn nothing_prints_a_token() {
    let token = es256().token(&claims(json!({})));
    assert_eq!(format!("{:?}", Token::new(token.as_bytes())), "Password(…)");
    for why in [Why::Signature, Why::Malformed("x"), Why::Claim("exp")] {
        assert!(!why.to_string().contains("ey"), "{why}");
    }
}
