//! What is said over TLS tells nobody who exists.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pgusher::auth::certificate::end_point;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    login::asked,
    rust,
    support::{Authority, Pgusher, Version, message, postgres},
};

/// How a client answers, when it is asked by SCRAM.
#[derive(Debug, Clone, Copy)]
enum Answers<'a> {
    /// By the mechanism that is not bound.
    Unbound,
    /// By the one that is bound, to this certificate.
    Bound(&'a [u8]),
    /// As somebody who was told that nothing could be bound.
    Deceived,
}

/// All that a client hears who knows no password. What is random is left out, what is told of it is not.
fn heard(
    port: u16,
    authority: &Authority,
    user: &str,
    method: &str,
    answers: Answers<'_>,
) -> Vec<String> {
    let mut stream = rust::connect(port, rust::config(authority), "localhost");
    stream.write_all(&rust::startup(user)).unwrap();
    let (kind, data) = asked(&mut stream);
    let mut heard = Vec::new();
    if method == "scram-sha-256" {
        heard.push(format!("{kind} {}", data.escape_ascii()));
        let (mechanism, header, binding): (_, _, &[u8]) = match answers {
            Answers::Unbound => ("SCRAM-SHA-256", "n,,", b""),
            Answers::Deceived => ("SCRAM-SHA-256", "y,,", b""),
            Answers::Bound(hash) => ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", hash),
        };
        let first = format!("{header}n=,r=fyko+d2lbbFgONRv9qkxdawL");
        let length = u32::try_from(first.len()).unwrap().to_be_bytes();
        let initial = [mechanism.as_bytes(), b"\0", &length, first.as_bytes()].concat();
        stream.write_all(&message::message(b'p', &initial)).unwrap();
        if !matches!(answers, Answers::Deceived) {
            let (kind, challenge) = asked(&mut stream);
            let challenge = String::from_utf8(challenge).unwrap();
            let masked = challenge
                .split(',')
                .map(|part| match part.strip_prefix("i=") {
                    Some(_) => part.to_owned(),
                    None => format!("{} and {} bytes", &part[..1], part.len() - 2),
                });
            heard.push(format!("{kind} {}", masked.collect::<Vec<_>>().join(",")));
            let nonce = challenge.split(',').next().unwrap();
            let bound = STANDARD.encode([header.as_bytes(), binding].concat());
            let last = format!("c={bound},{nonce},p={}=", "A".repeat(43));
            stream
                .write_all(&message::message(b'p', last.as_bytes()))
                .unwrap();
        }
    } else {
        heard.push(format!("{kind} and {} bytes", data.len()));
        let wrong = message::password("md500000000000000000000000000000000");
        stream.write_all(&wrong).unwrap();
    }
    let error = rust::until_ready(&mut stream).unwrap_err();
    heard.push(error.replace(user, "USER"));
    assert!(
        rust::rest(&mut stream).is_empty(),
        "something behind the error"
    );
    heard
}

// A4, A10
#[test]
fn over_tls_nobody_can_tell_who_exists() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let der = CertificateDer::from_pem_file(&server.cert).unwrap();
    let hash = end_point(&der).unwrap();
    for method in ["password", "md5", "scram-sha-256"] {
        let pgusher = Pgusher::in_front_of(postgres(Version::V15))
            .auth(method)
            .tls(&server, "mode = \"require\"")
            .config("[auth.failures]\ndelay = 0")
            .config("[users.nobody]\npool_size = 1")
            .config("[users.hashed]\npassword = \"md50123456789abcdef0123456789abcdef\"")
            .start();
        for answers in [
            Answers::Unbound,
            Answers::Bound(&hash),
            Answers::Bound(&[0; 32]),
            Answers::Deceived,
        ] {
            let ask = |user| heard(pgusher.port(), &authority, user, method, answers);
            let wrong = ask("app");
            if method == "scram-sha-256" {
                let offered = "10 SCRAM-SHA-256-PLUS\\x00SCRAM-SHA-256\\x00\\x00";
                assert_eq!(wrong[0], offered);
            }
            for user in ["stranger", "nobody", "hashed", "x; DROP"] {
                assert_eq!(ask(user), wrong, "{user}, {method}, {answers:?}");
            }
        }
    }
}
