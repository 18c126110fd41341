//! OAUTHBEARER (RFC 7628), the server's side, as PostgreSQL 18 speaks it: a bearer token in a SASL
//! message.
//!
//! ```text
//!   client                                    server
//!     │        n,,^Aauth=Bearer <token>^A^A      │
//!     ├─────────────────────────────────────────▶│  good: it is in
//!     │   {"status": "invalid_token", …}         │
//!     │◀─────────────────────────────────────────┤  bad, or empty: where tokens are to be had
//!     │        ^A                                │
//!     ├─────────────────────────────────────────▶│  and refused
//! ```
//!
//! Whatever is wrong with a token, the client hears the same two messages.

use super::AuthError;
use super::client::MAX_ANSWER;
use super::sasl;
use super::token::Token;

/// The name of the mechanism.
pub const MECHANISM: &str = "OAUTHBEARER";

/// What stands between the pairs of a message.
const KVSEP: u8 = 1;

/// Where a client may get a token: what it is told when it has none, or a bad one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The issuer, or the full address of its discovery document.
    pub issuer: String,
    /// What to ask it for.
    pub scope: String,
}

impl Discovery {
    /// The answer to a token that is not good.
    pub(super) fn refusal(&self) -> Vec<u8> {
        let mut place = self.issuer.clone();
        if !place.contains("/.well-known/") {
            place.push_str("/.well-known/openid-configuration");
        }
        let [place, scope] =
            [place, self.scope.clone()].map(|text| serde_json::Value::from(text).to_string());
        let json = format!(
            r#"{{ "status": "invalid_token", "openid-configuration": {place}, "scope": {scope} }}"#
        );
        json.into_bytes()
    }
}

/// What a client says first.
#[derive(Debug)]
pub(super) enum First {
    /// It wants to be asked with an empty challenge.
    Nothing,
    /// It has no token, and asks where to get one.
    Discovery,
    /// It has one.
    Token(Token),
    /// What it has is no bearer token.
    NoToken,
}

const fn malformed(what: &'static str) -> AuthError {
    AuthError::ClientMessage(what)
}

/// Reads a SASLInitialResponse.
pub(super) fn initial(body: &[u8]) -> Result<First, AuthError> {
    let (mechanism, first) = sasl::initial_response(body)?;
    if mechanism != MECHANISM.as_bytes() {
        return Err(malformed("a SASL mechanism that was not offered"));
    }
    first.map_or(Ok(First::Nothing), message)
}

/// Reads the client's first message.
pub(super) fn message(bytes: &[u8]) -> Result<First, AuthError> {
    if bytes.len() > MAX_ANSWER {
        return Err(malformed("the OAUTHBEARER message is too long"));
    }
    let pairs = match bytes {
        [] => return Err(malformed("the OAUTHBEARER message is empty")),
        [b'n' | b'y', b',', b'a', ..] => {
            return Err(AuthError::ClientUnsupported("an authorization identity"));
        }
        [b'n' | b'y', b',', b',', KVSEP, pairs @ ..] => pairs,
        [b'p', ..] => {
            return Err(malformed(
                "the OAUTHBEARER message has channel binding data, which OAuth has not",
            ));
        }
        _ => return Err(malformed("the OAUTHBEARER message does not begin as one")),
    };
    match auth(pairs)? {
        [] => Ok(First::Discovery),
        header => Ok(bearer(header).map_or(First::NoToken, First::Token)),
    }
}

/// The value of `auth` among the pairs, which end with an empty one, and nothing behind it.
fn auth(mut rest: &[u8]) -> Result<&[u8], AuthError> {
    let mut auth = None;
    loop {
        let end = memchr::memchr(KVSEP, rest);
        let split =
            end.and_then(|end| Some((rest.get(..end)?, rest.get(end.saturating_add(1)..)?)));
        let Some((pair, behind)) = split else {
            return Err(malformed("the OAUTHBEARER message is not terminated"));
        };
        rest = behind;
        if pair.is_empty() {
            break;
        }
        let at = memchr::memchr(b'=', pair);
        let split = at.and_then(|at| Some((pair.get(..at)?, pair.get(at.saturating_add(1)..)?)));
        let Some((key, value)) = split else {
            return Err(malformed(
                "the OAUTHBEARER message has a key without a value",
            ));
        };
        if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
            return Err(malformed("the OAUTHBEARER message has an invalid key"));
        }
        let is_text = |byte: &u8| byte.is_ascii_graphic() || b" \t\r\n".contains(byte);
        if !value.iter().all(is_text) {
            return Err(malformed("the OAUTHBEARER message has an invalid value"));
        }
        if key == b"auth" && auth.replace(value).is_some() {
            return Err(malformed("the OAUTHBEARER message has more than one token"));
        }
    }
    if !rest.is_empty() {
        return Err(malformed("the OAUTHBEARER message goes on behind its end"));
    }
    auth.ok_or(malformed("the OAUTHBEARER message has no token"))
}

/// The token in `Bearer <token>` (RFC 6750); the scheme in any case, as PostgreSQL takes it.
fn bearer(header: &[u8]) -> Option<Token> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, rest) = header.split_at_checked(SCHEME.len())?;
    let token = rest.trim_ascii_start();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let sound =
        scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty() && token.iter().all(is_token);
    sound.then(|| Token::new(token))
}

/// Whether this is the one answer that is allowed to a refusal.
pub(super) fn is_farewell(bytes: &[u8]) -> bool {
    bytes == [KVSEP]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::client::{Exchange, Proof, Random, Step};
    use crate::auth::token::{Bearer, Why};
    use crate::config::settings::AuthMethod;
    use crate::error::Kind;

    fn read(bytes: &[u8]) -> String {
        match message(bytes) {
            Ok(First::Token(token)) => token.as_bytes().escape_ascii().to_string(),
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn messages_that_are_read() {
        for (bytes, expected) in [
            (
                &b"n,,\x01auth=Bearer a.b-c_d~e+f/g=\x01\x01"[..],
                "a.b-c_d~e+f/g=",
            ),
            (b"y,,\x01auth=bearer  x\x01\x01", "x"),
            (
                b"n,,\x01host=db\x01port=5432\x01auth=BEARER x\x01foo=\x01\x01",
                "x",
            ),
            (b"n,,\x01auth=\x01\x01", "Discovery"),
            (b"n,,\x01auth=Basic x\x01\x01", "NoToken"),
            (b"n,,\x01auth=Bearer\x01\x01", "NoToken"),
            (b"n,,\x01auth=Bearer \x01\x01", "NoToken"),
            (b"n,,\x01auth=Bearer x y\x01\x01", "NoToken"),
            (b"n,,\x01auth=x\x01\x01", "NoToken"),
        ] {
            assert_eq!(read(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    // A5
    #[test]
    fn messages_that_are_refused() {
        for (bytes, part) in [
            (&b""[..], "empty"),
            (b"\x01", "begin"),
            (b"n", "begin"),
            (b"n,", "begin"),
            (b"n,,", "begin"),
            (b"n,,auth=Bearer x\x01\x01", "begin"),
            (b"x,,\x01auth=Bearer x\x01\x01", "begin"),
            (
                b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",
                "channel binding",
            ),
            (
                b"n,a=admin,\x01auth=Bearer x\x01\x01",
                "authorization identity",
            ),
            (b"n,,\x01", "terminated"),
            (b"n,,\x01\x01", "no token"),
            (b"n,,\x01host=x\x01\x01", "no token"),
            (b"n,,\x01auth=Bearer x", "terminated"),
            (b"n,,\x01auth=Bearer x\x01", "terminated"),
            (b"n,,\x01auth=Bearer x\x01\x01\x01", "behind its end"),
            (
                b"n,,\x01auth=Bearer x\x01auth=Bearer x\x01\x01",
                "more than one",
            ),
            (b"n,,\x01auth\x01\x01", "without a value"),
            (b"n,,\x01=x\x01\x01", "invalid key"),
            (b"n,,\x01a1=x\x01\x01", "invalid key"),
            (b"n,,\x01auth=Bearer \0\x01\x01", "invalid value"),
            (b"n,,\x01auth=Bearer \xff\x01\x01", "invalid value"),
        ] {
            let said = read(bytes);
            assert!(said.contains(part), "{}: {said}", bytes.escape_ascii());
        }
        let long = [b"n,,\x01auth=Bearer ", &vec![b'x'; 70_000][..], b"\x01\x01"].concat();
        assert!(read(&long).contains("too long"));
    }

    // A5, A6
    #[test]
    fn initial_responses_with_wrong_lengths() {
        let with = |mechanism: &str, len: i32, rest: &[u8]| {
            [mechanism.as_bytes(), b"\0", &len.to_be_bytes(), rest].concat()
        };
        assert!(matches!(
            initial(&with("OAUTHBEARER", -1, b"")),
            Ok(First::Nothing)
        ));
        let good = b"n,,\x01auth=\x01\x01";
        assert!(matches!(
            initial(&with("OAUTHBEARER", 11, good)),
            Ok(First::Discovery)
        ));
        for (mechanism, len) in [
            ("OAUTHBEARER", 10),
            ("OAUTHBEARER", 12),
            ("OAUTHBEARER", -2),
            ("OAUTHBEARER", i32::MIN),
            ("OAUTHBEARER", i32::MAX),
            ("OAUTHBEARER", -1),
            ("SCRAM-SHA-256", 11),
            ("oauthbearer", 11),
            ("", 11),
        ] {
            assert!(
                initial(&with(mechanism, len, good)).is_err(),
                "{mechanism} {len}"
            );
        }
        assert!(initial(b"").is_err());
        assert!(initial(b"OAUTHBEARER").is_err());
    }

    #[test]
    fn where_tokens_are_to_be_had() {
        let said = |issuer: &str, scope: &str| {
            let (issuer, scope) = (issuer.to_owned(), scope.to_owned());
            String::from_utf8(Discovery { issuer, scope }.refusal()).unwrap()
        };
        assert_eq!(
            said("https://id.example", "openid \"x\""),
            r#"{ "status": "invalid_token", "openid-configuration": "https://id.example/.well-known/openid-configuration", "scope": "openid \"x\"" }"#
        );
        assert!(
            said(
                "https://id.example/.well-known/oauth-authorization-server",
                ""
            )
            .contains(r#": "https://id.example/.well-known/oauth-authorization-server","#)
        );
    }

    /// An exchange, the frames that it sends, and how it goes on after the client's answers.
    fn exchange(method: AuthMethod, answers: &[&[u8]]) -> (Vec<String>, Step) {
        let random = Random {
            nonce: [7; 18],
            md5_salt: [1; 4],
            server_seed: &[3; 32],
            salted_by: b"app",
        };
        let discovery = Discovery {
            issuer: "https://x".to_owned(),
            scope: "s".to_owned(),
        };
        let exchange = Exchange::new(method, b"app", None, random);
        let mut exchange = exchange.with_discovery(discovery);
        let mut asked = Vec::new();
        let mut answers = answers.iter();
        let mut step = exchange.start();
        loop {
            step = match step {
                Step::Ask(frame) => {
                    asked.push(frame.get(5..).unwrap().escape_ascii().to_string());
                    exchange.answer(answers.next().unwrap())
                }
                Step::Verify(token) => exchange.verified(match token.as_bytes() {
                    b"good" => Ok(bearer()),
                    _ => Err(Why::Expired),
                }),
                end => return (asked, end),
            };
        }
    }

    fn bearer() -> Bearer {
        Bearer {
            user: Some("app".to_owned()),
            tenant: None,
            tier: None,
            expires: 9,
        }
    }

    fn initial_of(message: &[u8]) -> Vec<u8> {
        let len = i32::try_from(message.len()).unwrap().to_be_bytes();
        [b"OAUTHBEARER\0", &len[..], message].concat()
    }

    const OFFER: &str = r"\x00\x00\x00\nOAUTHBEARER\x00\x00";
    const EMPTY: &str = r"\x00\x00\x00\x0b";
    const REFUSAL: &str = r#"\x00\x00\x00\x0b{ \"status\": \"invalid_token\", \"openid-configuration\": \"https://x/.well-known/openid-configuration\", \"scope\": \"s\" }"#;

    #[test]
    fn exchanges_that_end_well() {
        let good = b"n,,\x01auth=Bearer good\x01\x01";
        for (method, answers, frames) in [
            (
                AuthMethod::Jwt,
                vec![b"good\0".to_vec()],
                vec![r"\x00\x00\x00\x03"],
            ),
            (AuthMethod::Oauth, vec![initial_of(good)], vec![OFFER]),
            (
                AuthMethod::Oauth,
                vec![b"OAUTHBEARER\0\xff\xff\xff\xff".to_vec(), good.to_vec()],
                vec![OFFER, EMPTY],
            ),
        ] {
            let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
            let (asked, end) = exchange(method, &answers);
            assert_eq!(asked, frames);
            let Step::Accepted {
                frames,
                proof: Proof::Bearer(found),
            } = end
            else {
                panic!("{end:?}")
            };
            assert_eq!((frames, found), (Vec::new(), bearer()));
        }
    }

    // A4
    #[test]
    fn exchanges_that_do_not() {
        let bad = initial_of(b"n,,\x01auth=Bearer bad\x01\x01");
        let none = initial_of(b"n,,\x01auth=\x01\x01");
        let odd = initial_of(b"n,,\x01auth=Basic good\x01\x01");
        for (first, why) in [
            (&bad, Why::Expired),
            (&none, Why::Discovery),
            (&odd, Why::Malformed("it is no bearer token")),
        ] {
            let (asked, end) = exchange(AuthMethod::Oauth, &[first, b"\x01"]);
            assert_eq!(asked, [OFFER, REFUSAL]);
            let Step::Refused(error) = end else {
                panic!("{end:?}")
            };
            assert_eq!(error, AuthError::Bearer(why));
            assert_eq!(error.told(), Kind::InvalidToken);
            for farewell in [
                &b""[..],
                b"\x01\x01",
                b"x",
                b"n,,\x01auth=Bearer good\x01\x01",
            ] {
                let (_, end) = exchange(AuthMethod::Oauth, &[first, farewell]);
                let Step::Refused(error) = end else {
                    panic!("{end:?}")
                };
                assert_eq!(error.told(), Kind::ProtocolViolation);
            }
        }
        for (answer, told) in [
            (&b"bad\0"[..], Kind::InvalidPassword),
            (b"\0", Kind::InvalidPassword),
            (b"good", Kind::ProtocolViolation),
            (b"good\0x", Kind::ProtocolViolation),
        ] {
            let (_, end) = exchange(AuthMethod::Jwt, &[answer]);
            let Step::Refused(error) = end else {
                panic!("{end:?}")
            };
            assert_eq!(error.told(), told);
        }
    }

    #[test]
    fn nobody_verifies_what_was_not_sent() {
        let random = Random {
            nonce: [7; 18],
            md5_salt: [1; 4],
            server_seed: &[3; 32],
            salted_by: b"app",
        };
        for method in [
            AuthMethod::Jwt,
            AuthMethod::Oauth,
            AuthMethod::Trust,
            AuthMethod::Scram,
        ] {
            let mut exchange = Exchange::new(method, b"app", None, random);
            exchange.start();
            let end = exchange.verified(Ok(bearer()));
            assert!(
                matches!(end, Step::Refused(AuthError::OutOfTurn)),
                "{method:?}"
            );
        }
    }
}
