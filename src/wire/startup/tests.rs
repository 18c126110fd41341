use super::*;
use crate::wire::write;

/// A packet with `body` behind the version, its length right.
fn packet(version: Version, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::sized(&mut out, |out| {
        out.extend_from_slice(&version.number().to_be_bytes());
        out.extend_from_slice(body);
    });
    out
}

fn request(code: u32, body: &[u8]) -> Vec<u8> {
    packet(Version::from_number(code), body)
}

fn startup_of(body: &str) -> Result<Startup, BadStartup> {
    match parse(&packet(Version::V3_0, body.as_bytes()))? {
        Opening::Startup(startup) => Ok(startup),
        other => panic!("{other:?}"),
    }
}

fn refusal(body: &str) -> (Fault, String) {
    let bad = startup_of(body).unwrap_err();
    (bad.fault, bad.message)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn settings_of(body: &str) -> Vec<String> {
    let startup = startup_of(body).unwrap();
    startup
        .settings
        .iter()
        .map(|(name, value)| format!("{}={}", text(name), text(value)))
        .collect()
}

#[test]
fn a_length_is_judged_before_the_packet_has_come() {
    // A6
    for short in [&[][..], &[0], &[0xff, 0xff, 0xff]] {
        assert_eq!(length(short), Ok(None));
    }
    for (field, expected) in [
        (0, None),
        (4, None),
        (7, None),
        (8, Some(8)),
        (10_004, Some(10_004)),
        (10_005, None),
        (i32::MAX, None),
        (i32::MIN, None),
        (-1, None),
        (i32::from_be_bytes(*b"GET "), None),
        (i32::from_be_bytes([0x16, 3, 1, 0]), None), // a TLS handshake
    ] {
        let got = length(&field.to_be_bytes());
        match expected {
            Some(size) => assert_eq!(got, Ok(Some(size))),
            None => assert_eq!(got, Err(bad_length()), "{field}"),
        }
    }
}

#[test]
fn a_packet_must_be_as_long_as_it_says() {
    let whole = packet(Version::V3_0, b"user\0a\0\0");
    assert!(parse(&whole).is_ok());
    for end in 0..whole.len() {
        assert_eq!(parse(&whole[..end]), Err(bad_length()));
    }
    let mut more = whole;
    more.push(0);
    assert_eq!(parse(&more), Err(bad_length()));
}

#[test]
fn requests_carry_nothing() {
    assert_eq!(parse(&request(SSL_REQUEST, b"")), Ok(Opening::Ssl));
    assert_eq!(parse(&request(GSS_REQUEST, b"")), Ok(Opening::Gss));
    // A1: PostgreSQL would throw the byte away; a client that sends it is up to something.
    assert_eq!(parse(&request(SSL_REQUEST, b"\0")), Err(bad_length()));
    assert_eq!(parse(&request(GSS_REQUEST, b"\0")), Err(bad_length()));
}

#[test]
fn a_cancel_key_has_4_to_256_bytes_of_secret() {
    for len in [4, 32, 256] {
        let mut bytes = Vec::new();
        write::cancel_request(&mut bytes, 0x8000_0001, &vec![7; len]);
        let expected = Opening::Cancel {
            pid: 0x8000_0001,
            secret: vec![7; len],
        };
        assert_eq!(parse(&bytes), Ok(expected));
    }
    for len in [0, 1, 3, 257] {
        let mut bytes = Vec::new();
        write::cancel_request(&mut bytes, 1, &vec![7; len]);
        let bad = parse(&bytes).unwrap_err();
        assert_eq!(
            bad.message,
            "invalid length of cancel key in cancel request packet"
        );
    }
    let bad = parse(&request(CANCEL_REQUEST, b"\0\0\0")).unwrap_err();
    assert_eq!(bad.message, "invalid length of cancel request packet");
}

#[test]
fn a_startup_says_who_and_where() {
    let startup = startup_of("user\0app\0database\0shop\0client_encoding\0UTF8\0\0").unwrap();
    assert_eq!(
        startup,
        Startup {
            version: Version::V3_0,
            user: b"app".into(),
            database: b"shop".into(),
            replication: false,
            settings: vec![(b"client_encoding".into(), b"UTF8".into())],
            unknown_options: vec![],
        }
    );
    assert_eq!(startup_of("user\0app\0\0").unwrap().database, b"app");
    assert_eq!(
        startup_of("database\0\0user\0app\0\0").unwrap().database,
        b"app"
    );
    assert_eq!(startup_of("user\0a\0user\0b\0\0").unwrap().user, b"b");
}

#[test]
fn without_a_user_there_is_no_session() {
    let expected = (
        Fault::NoUser,
        "no PostgreSQL user name specified in startup packet".to_owned(),
    );
    for body in ["\0", "user\0\0\0", "USER\0app\0\0", "user\0app\0user\0\0\0"] {
        assert_eq!(refusal(body), expected, "{body:?}");
    }
}

#[test]
fn the_terminator_is_the_last_byte_and_the_only_one() {
    let message = "invalid startup packet layout: expected terminator as last byte";
    for body in [
        "",
        "user\0app\0",
        "user\0app",
        "user\0",
        "user",
        "user\0app\0\0\0",
        "user\0app\0\0x",
        "user\0app\0\0database\0shop\0\0",
        // PostgreSQL lets a lone byte stand for the terminator, because its own sentinel follows.
        "user\0app\0x",
    ] {
        assert_eq!(
            refusal(body),
            (Fault::Protocol, message.to_owned()),
            "{body:?}"
        );
    }
}

#[test]
fn settings_come_from_options_first_and_the_last_wins() {
    // A16
    for (body, expected) in [
        (
            "user\0u\0application_name\0\0\0",
            &["application_name="] as &[&str],
        ),
        (
            "user\0u\0a\x001\0options\0-c a=2 -c b=3\0\0",
            &["b=3", "a=1"],
        ),
        (
            "user\0u\0TimeZone\0UTC\0timezone\0CET\0\0",
            &["timezone=CET"],
        ),
        ("user\0u\0options\0-c A=1 --a=2 -ca=3\0\0", &["a=3"]),
        ("user\0u\0options\0-c a=1\0options\0-c b=2\0\0", &["b=2"]),
        ("user\0u\0options\0\0\0", &[]),
        (
            "user\0u\0options\0-c app.tenant_id=acme\\ co\0\0",
            &["app.tenant_id=acme co"],
        ),
    ] {
        assert_eq!(settings_of(body), expected, "{body:?}");
    }
    let (fault, message) = refusal("user\0u\0options\0-c a\0\0");
    assert_eq!(
        (fault.code(), message.as_str()),
        ("42601", "-c a requires a value")
    );
}

#[test]
fn a_setting_cannot_be_named_like_what_a_startup_says_itself() {
    // A2
    for (body, name) in [
        ("user\0u\0options\0-c user=postgres\0\0", "user"),
        ("user\0u\0options\0--User=postgres\0\0", "User"),
        ("user\0u\0options\0-c database=x\0\0", "database"),
        ("user\0u\0options\0-c replication=1\0\0", "replication"),
        ("user\0u\0options\0-c options=x\0\0", "options"),
        ("user\0u\0options\0-c -pq-.x=1\0\0", "_pq_.x"),
        ("user\0u\0options\0--=1\0\0", ""),
        ("user\0u\0Database\0x\0\0", "Database"),
        ("user\0u\0REPLICATION\0on\0\0", "REPLICATION"),
        ("user\0u\0_PQ_.x\0\0\0", "_PQ_.x"),
    ] {
        let message = format!("unrecognized configuration parameter \"{name}\"");
        assert_eq!(refusal(body), (Fault::UnknownSetting, message), "{body:?}");
    }
}

#[test]
fn a_packet_full_of_settings_keeps_them_all() {
    let mut body = String::from("user\0u\0");
    (0..1_500).for_each(|n| body.push_str(&format!("{n:04}\0\0")));
    body.push('\0');
    assert_eq!(startup_of(&body).unwrap().settings.len(), 1_500);
}

#[test]
fn replication_is_a_boolean_or_database() {
    let ask = |value: &str| startup_of(&format!("user\0u\0replication\0{value}\0\0"));
    for value in ["true", "T", "tRu", "yes", "y", "on", "ON", "1", "database"] {
        assert!(ask(value).unwrap().replication, "{value}");
    }
    for value in ["false", "f", "no", "N", "off", "of", "0"] {
        assert!(!ask(value).unwrap().replication, "{value}");
    }
    for value in ["", "o", "DATABASE", "truely", "10", " true", "2"] {
        let message = format!("invalid value for parameter \"replication\": \"{value}\"");
        let bad = ask(value).unwrap_err();
        assert_eq!((bad.fault.code(), bad.message), ("22023", message));
    }
}

#[test]
fn a_refusal_repeats_only_printable_ascii() {
    let bad = parse(&packet(
        Version::V3_0,
        b"user\0u\0replication\0\x1b\xff\"\0\0",
    ))
    .unwrap_err();
    assert_eq!(
        bad.message,
        r#"invalid value for parameter "replication": "\x1b\xff\"""#
    );
}

#[test]
fn only_major_version_3_is_spoken() {
    for (major, minor) in [(2, 0), (0, 0), (4, 0), (1234, 5681)] {
        let bad = parse(&packet(Version { major, minor }, b"user\0u\0\0")).unwrap_err();
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
        assert_eq!((bad.fault.code(), bad.message), ("0A000", message));
    }
    assert!(
        parse(&packet(
            Version {
                major: 3,
                minor: 9999
            },
            b"user\0u\0\0"
        ))
        .is_ok()
    );
}

#[test]
fn a_client_is_told_at_most_once_what_is_spoken() {
    // A8
    let asked = vec![b"_pq_.a".to_vec()];
    let v3 = |minor| Version { major: 3, minor };
    for (minor, unknown, speak, told) in [
        (0, &[][..], 0, false),
        (1, &[], 0, true),
        (2, &[], 2, false),
        (3, &[], 2, true),
        (9999, &[], 2, true),
        (0, &asked[..], 0, true),
        (2, &asked, 2, true),
    ] {
        let announce = told.then_some(Announcement {
            version: v3(speak),
            unknown,
        });
        let expected = Negotiated {
            speak: v3(speak),
            announce,
        };
        assert_eq!(negotiate(v3(minor), unknown), expected, "3.{minor}");
    }
    let startup = startup_of("user\0u\0_pq_.a\x001\0_pq_\0x\0_pq_.b\0\0\0").unwrap();
    assert_eq!(
        startup.unknown_options,
        [b"_pq_.a".to_vec(), b"_pq_.b".to_vec()]
    );
    assert_eq!(startup.settings, [(b"_pq_".to_vec(), b"x".to_vec())]);
}
