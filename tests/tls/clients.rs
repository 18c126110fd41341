//! Clients: libpq in all its modes, certificates of clients, what is read again on a reload.

use crate::{
    psql,
    support::{Authority, Pgusher, Version, certs, eventually, postgres},
};

/// Whether it is encrypted is known to pgusher only: the way to the server is not.
fn version_of(log: &Pgusher) -> usize {
    log.log().matches("the TLS handshake failed").count()
}

#[test]
fn libpq_gets_tls_as_its_sslmode_and_ours_say() {
    let authority = Authority::new();
    let server = authority.server("server", &["db.example.com"]);
    let ca = authority.ca();
    let pg = postgres(Version::V15);
    for (ours, plain, encrypted) in [
        ("disable", true, false),
        ("allow", true, true),
        ("prefer", true, true),
        ("require", false, true),
    ] {
        let pgusher = Pgusher::in_front_of(pg)
            .auth("scram-sha-256")
            .tls(&server, &format!("mode = \"{ours}\""))
            .start();
        let answer = |parameters: &str| psql(&pgusher, parameters, "SELECT 42");
        for (theirs, works) in [
            ("sslmode=disable".to_owned(), plain),
            ("sslmode=allow".to_owned(), true),
            ("sslmode=prefer".to_owned(), true),
            ("sslmode=require".to_owned(), encrypted),
            (
                format!("sslmode=verify-ca sslrootcert={}", ca.display()),
                encrypted,
            ),
            (
                format!(
                    "host=db.example.com sslmode=verify-full sslrootcert={}",
                    ca.display()
                ),
                encrypted,
            ),
            (
                format!(
                    "host=db.example.org sslmode=verify-full sslrootcert={}",
                    ca.display()
                ),
                false,
            ),
        ] {
            let got = answer(&theirs);
            assert_eq!(got.is_ok(), works, "{ours}, {theirs}: {got:?}");
            if works {
                assert_eq!(got.unwrap(), "42");
            }
        }
        if !plain {
            let refused = answer("sslmode=disable").unwrap_err();
            assert!(refused.contains("this server requires TLS"), "{refused}");
        }
        if !encrypted {
            let refused = answer("sslmode=require").unwrap_err();
            assert!(refused.contains("does not support SSL"), "{refused}");
        }
    }
}

#[test]
fn without_a_certificate_of_the_authority_nobody_gets_into_the_verify_modes() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.server("server", &["localhost"]);
    let known = authority.client("known", "app");
    let unknown = stranger.client("unknown", "app");
    let pg = postgres(Version::V15);
    for mode in ["verify-ca", "verify-full"] {
        let lines = format!(
            "mode = \"{mode}\"\nclient_ca = \"{}\"",
            authority.ca().display()
        );
        let pgusher = Pgusher::in_front_of(pg)
            .auth("scram-sha-256")
            .tls(&server, &lines)
            .start();
        let with = |files: &certs::Files| {
            let (cert, key) = (files.cert.display(), files.key.display());
            let parameters = format!("sslmode=require sslcert={cert} sslkey={key}");
            psql(&pgusher, &parameters, "SELECT 42")
        };
        assert_eq!(with(&known), Ok("42".to_owned()), "{mode}");
        assert!(with(&unknown).is_err(), "{mode}");
        assert!(psql(&pgusher, "sslmode=require", "SELECT 42").is_err());
        assert!(psql(&pgusher, "sslmode=disable", "SELECT 42").is_err());
        eventually("the log says why", || version_of(&pgusher) == 2);
        // Others still come in.
        assert_eq!(with(&known), Ok("42".to_owned()), "{mode}");
    }
}

#[test]
fn a_certificate_may_be_asked_for_and_not_be_needed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.server("server", &["localhost"]);
    let unknown = stranger.client("unknown", "app");
    let lines = format!(
        "mode = \"require\"\nclient_ca = \"{}\"",
        authority.ca().display()
    );
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .auth("scram-sha-256")
        .tls(&server, &lines)
        .start();
    let none = psql(&pgusher, "sslmode=require", "SELECT 42");
    assert_eq!(none, Ok("42".to_owned()));
    let (cert, key) = (unknown.cert.display(), unknown.key.display());
    let wrong = format!("sslmode=require sslcert={cert} sslkey={key}");
    assert!(psql(&pgusher, &wrong, "SELECT 42").is_err());
}

#[test]
fn certificates_are_read_again_and_those_who_are_in_stay() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.server("server", &["db.example.com"]);
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .auth("scram-sha-256")
        .tls(&files, "mode = \"require\"")
        .start();
    let trusting = |authority: &Authority| {
        format!(
            "sslmode=verify-full host=db.example.com sslrootcert={}",
            authority.ca().display()
        )
    };
    assert!(psql(&pgusher, &trusting(&old), "SELECT 1").is_ok());
    assert!(psql(&pgusher, &trusting(&new), "SELECT 1").is_err());
    let mut stays =
        crate::rust::connect(pgusher.port(), crate::rust::config(&old), "db.example.com");

    // A key that does not fit changes nothing.
    let others = new.server("server", &["db.example.com"]);
    std::fs::copy(&others.cert, &files.cert).unwrap();
    pgusher.signal("HUP");
    pgusher.wait_for_log("is not the key of");
    assert!(psql(&pgusher, &trusting(&old), "SELECT 1").is_ok());

    std::fs::copy(&others.key, &files.key).unwrap();
    pgusher.signal("HUP");
    eventually("the new certificate is shown", || {
        psql(&pgusher, &trusting(&new), "SELECT 1").is_ok()
    });
    assert!(psql(&pgusher, &trusting(&old), "SELECT 1").is_err());

    use std::io::Write;
    stays.write_all(&crate::rust::startup("app")).unwrap();
    let mut tag = [0];
    std::io::Read::read_exact(&mut stays, &mut tag).unwrap();
    assert_eq!(&tag, b"R");
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_before_anything_begins() {
    let authority = Authority::new();
    let mut server = authority.server("server", &["localhost"]);
    server.key = authority.server("other", &["localhost"]).key;
    let started = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&server, "")
        .try_start();
    let said = started.expect_err("it does not start");
    assert!(said.contains("[listen.tls]: "), "{said}");
    assert!(said.contains("other.key is not the key of "), "{said}");
}

// A10
#[test]
fn logins_are_bound_to_the_connection() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .auth("scram-sha-256")
        .tls(&server, "mode = \"prefer\"")
        .start();
    let answer = |parameters: &str| psql(&pgusher, parameters, "SELECT 42");
    for binding in ["disable", "prefer", "require"] {
        let parameters = format!("sslmode=require channel_binding={binding}");
        assert_eq!(answer(&parameters), Ok("42".to_owned()), "{binding}");
    }
    // Without TLS there is nothing to bind to, and nothing is offered.
    let bare = answer("sslmode=disable channel_binding=require").unwrap_err();
    assert!(bare.contains("channel binding required"), "{bare}");
    assert_eq!(
        answer("sslmode=disable channel_binding=prefer"),
        Ok("42".to_owned())
    );
}

#[test]
fn the_console_says_who_is_encrypted() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .auth("scram-sha-256")
        .tls(&server, "mode = \"prefer\"")
        .config("[console]\nstats_users = [\"app\"]")
        .start();
    let tls = |parameters: &str| {
        let shown = psql(
            &pgusher,
            &format!("dbname=pgusher {parameters}"),
            "SHOW CLIENTS",
        );
        let shown = shown.unwrap();
        let suites = shown.split('|').filter(|field| field.starts_with("TLSv1."));
        suites.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tls("sslmode=require"), ["TLSv1.3/TLS_AES_256_GCM_SHA384"]);
    assert_eq!(tls("sslmode=disable"), [""; 0]);
    let old = tls("sslmode=require ssl_max_protocol_version=TLSv1.2");
    assert_eq!(
        old,
        ["TLSv1.2/TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]
    );
}

// A13
#[test]
fn handshakes_are_done_where_nothing_is_relayed() {
    let authority = Authority::new();
    // A key that takes its time.
    let (cert, key) = (
        authority.home().join("rsa.crt"),
        authority.home().join("rsa.key"),
    );
    let mut openssl = std::process::Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-nodes",
        "-newkey",
        "rsa:4096",
        "-subj",
        "/CN=localhost",
    ]);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert);
    assert!(openssl.output().expect("openssl runs").status.success());
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&certs::Files { cert, key }, "mode = \"require\"")
        .config("[runtime]\nworkers = 1")
        .start();
    for _ in 0..20 {
        assert_eq!(
            psql(&pgusher, "sslmode=require", "SELECT 42"),
            Ok("42".to_owned())
        );
    }
    let handshakes = pgusher.processor_time("pgusher-tls");
    let relaying = pgusher.processor_time("pgusher-0");
    assert!(
        handshakes > relaying,
        "{handshakes:?}, and relaying {relaying:?}"
    );
}
