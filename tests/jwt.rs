//! Tokens against arbitrary bytes: the properties of `tests/properties/token.rs`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is not as expected ends the test"
)]

#[path = "properties/token.rs"]
mod properties;

use proptest::collection::vec;
use proptest::prelude::*;

/// JSON that is nearly what a token says, in pieces.
fn almost_a_token() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        Just(r#"{"alg":"EdDSA"}"#.to_owned()),
        Just(r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#.to_owned()),
        r#"\{"alg":"(EdDSA|none|RS256)"(,"(crit|typ|kid|alg)":("[a-zJWT]{1,3}"|null|\[\]))?\}"#,
    ];
    let value = r#"("i"|"a"|""|null|17[0-9]{8}|18[0-9]{8}(\.5)?|-1|1e[0-9]{1,3}|\["a"\]|\["b","a"\]|\{\}|true)"#;
    let claim = format!(r#""(iss|aud|exp|nbf|iat|sub|tenant|tier|cnf)":{value}"#);
    let good = Just(r#""iss":"i","aud":"a","sub":"i","exp":1800000009"#.to_owned());
    let more = vec(
        proptest::string::string_regex(&claim).expect("a pattern"),
        0..4,
    );
    (header, good, more).prop_map(|(header, good, more)| {
        let claims = [vec![good], more].concat().join(",");
        format!("\x02{header}\n{{{claims}}}").into_bytes()
    })
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        properties::token(&bytes);
    }

    #[test]
    fn any_claims(bytes in almost_a_token()) {
        properties::token(&bytes);
    }

    #[test]
    fn any_message(message in r"OAUTHBEARER\x00[\x00\xff]{3}[\x00-\x40](n|y|p=x),(a=x)?,\x01(auth=(Bearer )?[a-z.]{0,9}\x01){0,2}\x01?") {
        properties::token(&[&[3], message.as_bytes()].concat());
    }

    /// Any flipped byte is seen, wherever it is.
    #[test]
    fn any_flipped_byte(at in any::<prop::sample::Index>(), with in 1..=u8::MAX) {
        let good = properties::sign(br#"{"alg":"EdDSA"}"#, br#"{"iss":"i","aud":"a","sub":"x","exp":1800000009}"#);
        let mut bytes = [&[0], good.as_bytes()].concat();
        let at = 1 + at.index(good.len());
        bytes[at] ^= with;
        properties::token(&bytes);
    }
}

/// The seeds of the fuzz target are inputs like any other.
#[test]
fn seeds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/token");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("seeds") {
        let path = entry.expect("a file").path();
        properties::token(&std::fs::read(path).expect("a seed"));
        count += 1;
    }
    assert!(count >= 8, "{count}");
}
