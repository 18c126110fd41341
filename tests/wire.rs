//! The byte layer against arbitrary bytes, and against pgwire as a second opinion.
//!
//! pgwire's decoders panic on frames that are cut and read past those that lie, so it is asked
//! only about frames that are well-formed: there, both must see the same.

#![expect(clippy::unwrap_used, reason = "what is not as expected ends the test")]

#[path = "properties/wire.rs"]
mod properties;

use bytes::BytesMut;
use pgusher::wire::backend;
use pgusher::wire::frame::{self, HEADER};
use pgusher::wire::frontend::{self, Bind, Parse, Target};
use pgusher::wire::startup::{self, Opening};
use pgusher::wire::write::{self, Report};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage as FromServer, PgWireFrontendMessage as FromClient,
    ProtocolVersion,
};
use pgwire::messages::{cancel, extendedquery, response, simplequery};
use proptest::collection::vec;
use proptest::prelude::*;

/// A frame that some client or server could send, as far as its header says.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let tag = proptest::sample::select(b"QPBFdpCDEHSXcf".to_vec());
    (tag, vec(any::<u8>(), 0..40)).prop_map(|(tag, body)| framed(tag, &body))
}

fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::frame(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

/// Bytes that may be a header of the PROXY protocol.
fn almost_a_header() -> impl Strategy<Value = Vec<u8>> {
    let line = "(PROXY )?(TCP4|TCP6|UNKNOWN)( [0-9a-f.:]{1,15}){0,5}\\r?\n.{0,8}";
    let addresses = std::vec![
        "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n",
        "PROXY TCP6 ::1 2001:db8::1 65535 0\r\n",
    ];
    let binary = (
        proptest::sample::select(std::vec![0x20u8, 0x21, 0x22, 0x11]),
        proptest::sample::select(std::vec![0x00u8, 0x11, 0x21, 0x31, 0x12]),
        0..300u16,
        vec(any::<u8>(), 0..300),
    );
    prop_oneof![
        line.prop_map(String::into_bytes),
        proptest::sample::select(addresses).prop_map(|it| it.as_bytes().to_vec()),
        binary.prop_map(|(command, family, length, body)| {
            let head = b"\r\n\r\n\0\r\nQUIT\n";
            [head, &[command, family][..], &length.to_be_bytes(), &body].concat()
        }),
    ]
}

/// Bytes that get past the first look more often than arbitrary ones do.
fn almost_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        Just(0x0003_0000),
        Just(0x0003_0002),
        Just(startup::CANCEL_REQUEST),
        Just(startup::SSL_REQUEST),
        any::<u32>(),
    ];
    let word = prop_oneof![
        Just("user".to_owned()),
        Just("database".to_owned()),
        Just("options".to_owned()),
        Just("replication".to_owned()),
        Just("_pq_.x".to_owned()),
        Just("-c a=1 --b-c=2\\ 3 -e".to_owned()),
        Just("on".to_owned()),
        "[ -~]{0,6}",
    ];
    (code, vec(word, 0..8), vec(any::<u8>(), 0..3), any::<bool>()).prop_map(
        |(code, words, noise, terminated)| {
            let mut out = Vec::new();
            write::sized(&mut out, |out| {
                out.extend_from_slice(&code.to_be_bytes());
                words
                    .iter()
                    .for_each(|word| write::cstr(out, word.as_bytes()));
                if terminated {
                    out.push(0);
                } else {
                    out.extend_from_slice(&noise);
                }
            });
            out
        },
    )
}

/// Names that settings may have and that pgwire can tell apart.
fn settings() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(("[a-z]{2}\\.[a-z]{1,6}", "[^\0]{0,12}"), 0..6)
}

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,24}"
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_how_a_stream_is_read(
        frames in vec(any_frame(), 0..6),
        tail in vec(any::<u8>(), 0..8),
    ) {
        let mut stream = frames.concat();
        let whole = properties::frames(frame::frontend, [stream.as_slice()]);
        prop_assert_eq!(&whole, &(frames, Ok(vec![])));
        for at in 0..=stream.len() {
            let (front, back) = stream.split_at(at);
            prop_assert_eq!(&properties::frames(frame::frontend, [front, back]), &whole);
        }
        stream.extend_from_slice(&tail);
        properties::frame(&stream);
    }

    #[test]
    fn arbitrary_bytes_break_nothing(bytes in vec(any::<u8>(), 0..200)) {
        properties::frame(&bytes);
        properties::startup(&bytes);
        properties::proxy(&bytes);
        properties::frontend(&bytes);
    }

    #[test]
    fn headers_of_proxies_end_where_they_end(header in almost_a_header(), behind in vec(any::<u8>(), 0..20)) {
        properties::proxy(&[header, behind].concat());
    }

    #[test]
    fn bodies_that_look_right_break_nothing(
        words in vec("[SPa-c\0]{0,4}", 0..4),
        noise in vec(0..3u8, 0..6),
    ) {
        properties::frontend(&[words.join("\0").as_bytes(), &noise].concat());
    }

    #[test]
    fn packets_that_look_right_break_nothing(packet in almost_a_packet()) {
        properties::startup(&packet);
    }

    #[test]
    fn options_carry_any_value(settings in settings()) {
        // A16: escaped as libpq's manual says, in both spellings.
        let escape = |text: &str| -> String {
            text.chars().flat_map(|c| match c {
                '\\' => vec!['\\', c],
                c if c.is_ascii_whitespace() || c == '\x0b' => vec!['\\', c],
                c => vec![c],
            }).collect()
        };
        let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut options = String::new();
        for (n, (name, value)) in settings.iter().enumerate() {
            let switch = ["-c ", "-c", "--"][n % 3];
            options.push_str(&format!("{switch}{name}={} ", escape(value)));
            expected.retain(|(known, _)| known != name.as_bytes());
            expected.push((name.clone().into(), value.clone().into()));
        }
        let mut packet = Vec::new();
        let parameters = [(&b"user"[..], &b"u"[..]), (b"options", options.as_bytes())];
        write::startup(&mut packet, 0x0003_0000, parameters);
        match startup::parse(&packet) {
            Ok(Opening::Startup(startup)) => prop_assert_eq!(startup.settings, expected),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    // From here on: the second opinion.

    #[test]
    fn parse_reads_as_pgwire_reads(name in text(), sql in text(), types in vec(any::<u32>(), 0..9)) {
        let theirs = extendedquery::Parse::new(option(&name), sql.clone(), types.clone());
        let bytes = encoded(FromClient::Parse(theirs));
        let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
        let ours = Parse { name: name.as_bytes(), text: sql.as_bytes(), types: &types };
        prop_assert_eq!(Parse::read(body(&bytes)), Ok(ours));
        match from_client(&bytes) {
            FromClient::Parse(theirs) => {
                prop_assert_eq!(theirs.name.unwrap_or_default(), name);
                prop_assert_eq!(theirs.query, sql);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn bind_reads_as_pgwire_reads(
        portal in text(),
        statement in text(),
        values in vec(proptest::option::of(vec(any::<u8>(), 0..9)), 0..5),
    ) {
        let values = values.into_iter().map(|value| value.map(Into::into)).collect();
        let theirs = extendedquery::Bind::new(
            option(&portal), option(&statement), vec![0], values, vec![1],
        );
        let bytes = encoded(FromClient::Bind(theirs));
        let ours = Bind::read(body(&bytes)).unwrap();
        prop_assert_eq!((ours.portal, ours.statement), (portal.as_bytes(), statement.as_bytes()));
        match from_client(&bytes) {
            FromClient::Bind(theirs) => {
                prop_assert_eq!(theirs.portal_name.unwrap_or_default(), portal);
                prop_assert_eq!(theirs.statement_name.unwrap_or_default(), statement);
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn describe_and_close_read_as_pgwire_reads(name in text(), statement: bool) {
        let kind = if statement { b'S' } else { b'P' };
        let describe = extendedquery::Describe::new(kind, option(&name));
        let close = extendedquery::Close::new(kind, option(&name));
        let expected = match kind {
            b'S' => Target::Statement(name.as_bytes()),
            _ => Target::Portal(name.as_bytes()),
        };
        for (tag, message) in
            [(b'D', FromClient::Describe(describe)), (b'C', FromClient::Close(close))]
        {
            let bytes = encoded(message);
            prop_assert_eq!(bytes[0], tag);
            prop_assert_eq!(frontend::target(body(&bytes)), Ok(expected));
            match from_client(&bytes) {
                FromClient::Describe(extendedquery::Describe { target_type, name: theirs, .. })
                | FromClient::Close(extendedquery::Close { target_type, name: theirs, .. }) => {
                    prop_assert_eq!((target_type, theirs.unwrap_or_default()), (kind, name.clone()));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn query_reads_as_pgwire_reads_and_writes(sql in text()) {
        let mut bytes = Vec::new();
        write::query(&mut bytes, sql.as_bytes());
        let theirs = FromClient::Query(simplequery::Query::new(sql.clone()));
        prop_assert_eq!(&encoded(theirs), &bytes);
        prop_assert_eq!(frontend::query(body(&bytes)), Ok(sql.as_bytes()));
        match from_client(&bytes) {
            FromClient::Query(theirs) => prop_assert_eq!(theirs.query, sql),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn parameter_status_reads_as_pgwire_reads_and_writes(name in text(), value in text()) {
        let mut bytes = Vec::new();
        write::parameter_status(&mut bytes, name.as_bytes(), value.as_bytes());
        let theirs = ParameterStatus::new(name.clone(), value.clone());
        prop_assert_eq!(
            backend::parameter_status(body(&bytes)),
            Ok((name.as_bytes(), value.as_bytes()))
        );
        match from_server(&bytes) {
            FromServer::ParameterStatus(read) => prop_assert_eq!(read, theirs),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn cancel_keys_read_as_pgwire_reads_and_writes(pid: u32, secret in vec(any::<u8>(), 4..=256)) {
        let signed = i32::from_be_bytes(pid.to_be_bytes());
        let mut bytes = Vec::new();
        write::backend_key(&mut bytes, pid, &secret);
        let key = || SecretKey::Bytes(secret.clone().into());
        prop_assert_eq!(backend::backend_key(body(&bytes)), Ok((pid, secret.as_slice())));
        match from_server(&bytes) {
            FromServer::BackendKeyData(read) => {
                prop_assert_eq!(read, BackendKeyData::new(signed, key()));
            }
            other => prop_assert!(false, "{other:?}"),
        }

        let mut bytes = Vec::new();
        write::cancel_request(&mut bytes, pid, &secret);
        let theirs = FromClient::CancelRequest(cancel::CancelRequest::new(signed, key()));
        prop_assert_eq!(&encoded(theirs), &bytes);
        prop_assert_eq!(startup::parse(&bytes), Ok(Opening::Cancel { pid, secret }));
    }

    #[test]
    fn reports_read_as_pgwire_reads(
        message in text(),
        detail in proptest::option::of(text()),
        hint in proptest::option::of(text()),
        routine in proptest::option::of(text()),
        fatal: bool,
    ) {
        let severity = if fatal { "FATAL" } else { "ERROR" };
        let report = Report {
            severity,
            code: "53300",
            message: &message,
            detail: detail.as_deref(),
            hint: hint.as_deref(),
            routine: routine.as_deref(),
        };
        let mut bytes = Vec::new();
        write::report(&mut bytes, b'E', &report);
        let ours = backend::Fields::read(body(&bytes));
        prop_assert_eq!(ours.is_fatal(), fatal);
        let FromServer::ErrorResponse(response::ErrorResponse { fields, .. }) = from_server(&bytes)
        else { panic!("not an error") };
        let field = |code| {
            let found = fields.iter().find(|(known, _)| *known == code);
            found.map(|(_, text)| text.clone())
        };
        for code in [b'S', b'V'] {
            prop_assert_eq!(field(code), Some(severity.to_owned()));
        }
        for (code, view, written) in [
            (b'V', ours.severity, Some(severity.to_owned())),
            (b'C', ours.code, Some("53300".to_owned())),
            (b'M', ours.message, Some(message.clone())),
            (b'D', ours.detail, detail.clone()),
            (b'H', ours.hint, hint.clone()),
        ] {
            prop_assert_eq!(view, written.as_deref().unwrap_or_default().as_bytes());
            prop_assert_eq!(field(code), written);
        }
        prop_assert_eq!(field(b'R'), routine);
    }

    #[test]
    fn startups_read_as_pgwire_reads(
        user in "[^\0]{1,12}", database in text(), settings in settings(),
    ) {
        let user_and_database = [("user", user.as_str()), ("database", database.as_str())];
        let all = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = user_and_database.into_iter().chain(all).collect();
        let mut bytes = Vec::new();
        let pairs = all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        write::startup(&mut bytes, 0x0003_0002, pairs);
        let theirs = match FromClient::decode(&mut BytesMut::from(&bytes[..]), &opening()) {
            Ok(Some(FromClient::Startup(theirs))) => theirs,
            other => panic!("{other:?}"),
        };
        let Ok(Opening::Startup(ours)) = startup::parse(&bytes) else { panic!("no startup") };
        prop_assert_eq!(
            (ours.version.major, ours.version.minor),
            (theirs.protocol_number_major, theirs.protocol_number_minor)
        );
        prop_assert_eq!(&ours.user, theirs.parameters["user"].as_bytes());
        let named = if database.is_empty() { &user } else { &database };
        prop_assert_eq!(&ours.database, named.as_bytes());
        let mut settings = ours.settings;
        settings.sort();
        let theirs: Vec<_> = theirs.parameters.into_iter()
            .filter(|(name, _)| !["user", "database"].contains(&name.as_str()))
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect();
        prop_assert_eq!(settings, theirs);
    }
}

/// The seeds of the fuzz targets are inputs like any other.
#[test]
fn the_corpus_breaks_nothing() {
    for (target, property) in [
        ("frame", properties::frame as fn(&[u8])),
        ("proxy", properties::proxy),
        ("startup", properties::startup),
        ("frontend", properties::frontend),
    ] {
        let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for file in std::fs::read_dir(&folder).unwrap() {
            property(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{folder} is empty");
    }
}

#[test]
fn what_the_proxy_says_while_a_client_logs_in_is_read_by_pgwire() {
    let mut bytes = Vec::new();
    let unknown = [b"_pq_.a".to_vec(), b"_pq_.b".to_vec()];
    write::negotiate_protocol(&mut bytes, startup::Version::V3_2.number(), &unknown);
    match from_server(&bytes) {
        FromServer::NegotiateProtocolVersion(read) => {
            assert_eq!(read.newest_minor_protocol, 0x0003_0002);
            assert_eq!(read.unsupported_options, ["_pq_.a", "_pq_.b"]);
        }
        other => panic!("{other:?}"),
    }
    for (kind, data, expected) in [
        (0, &b""[..], Authentication::Ok),
        (3, b"", Authentication::CleartextPassword),
        (5, b"salt", Authentication::MD5Password(b"salt".to_vec())),
        (
            10,
            b"SCRAM-SHA-256\0\0",
            Authentication::SASL(vec!["SCRAM-SHA-256".into()]),
        ),
        (11, b"r=x", Authentication::SASLContinue(b"r=x"[..].into())),
        (12, b"v=x", Authentication::SASLFinal(b"v=x"[..].into())),
    ] {
        let mut bytes = Vec::new();
        write::authentication(&mut bytes, kind, data);
        match from_server(&bytes) {
            FromServer::Authentication(read) => assert_eq!(read, expected),
            other => panic!("{other:?}"),
        }
        assert_eq!(backend::authentication(body(&bytes)), Ok((kind, data)));
    }
    for (status, expected) in [
        (b'I', response::TransactionStatus::Idle),
        (b'T', response::TransactionStatus::Transaction),
        (b'E', response::TransactionStatus::Error),
    ] {
        let mut bytes = Vec::new();
        write::ready_for_query(&mut bytes, status);
        match from_server(&bytes) {
            FromServer::ReadyForQuery(read) => assert_eq!(read.status, expected),
            other => panic!("{other:?}"),
        }
    }
}

fn option(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}

fn body(frame: &[u8]) -> &[u8] {
    let header = frame::backend(frame).unwrap().unwrap();
    assert_eq!(header.size, frame.len());
    &frame[HEADER..]
}

fn encoded(message: FromClient) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.encode(&mut out).unwrap();
    out.to_vec()
}

/// What pgwire knows when a connection has just been made, or has been refused TLS.
fn opening() -> DecodeContext {
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    context.awaiting_frontend_ssl = false;
    context
}

fn session() -> DecodeContext {
    let mut context = opening();
    context.awaiting_frontend_startup = false;
    context
}

fn from_client(frame: &[u8]) -> FromClient {
    assert_eq!(frame::frontend(frame).unwrap().unwrap().size, frame.len());
    let mut bytes = BytesMut::from(frame);
    let message = FromClient::decode(&mut bytes, &session()).unwrap().unwrap();
    assert!(bytes.is_empty(), "pgwire left {bytes:?}");
    message
}

fn from_server(frame: &[u8]) -> FromServer {
    let mut bytes = BytesMut::from(frame);
    let message = FromServer::decode(&mut bytes, &session()).unwrap().unwrap();
    assert!(bytes.is_empty(), "pgwire left {bytes:?}");
    message
}
