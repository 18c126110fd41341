//! TLS byte by byte: what clients do that mean well, and what those do that do not.

use std::io::{Read, Write};

use crate::{
    rust,
    support::{Authority, Pgusher, Raw, Version, eventually, message, postgres},
};

fn start(mode: &str) -> (Authority, Pgusher) {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&server, &format!("mode = \"{mode}\""))
        .start();
    (authority, pgusher)
}

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const GSS_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

// A1
#[test]
fn what_was_sent_in_clear_before_the_handshake_is_not_read_behind_it() {
    let (_authority, pgusher) = start("require");
    for behind in [&b"X"[..], &rust::startup("app")] {
        let mut stream = rust::plain(pgusher.port());
        stream.write_all(&[SSL_REQUEST, behind].concat()).unwrap();
        let said = rust::rest(&mut stream);
        assert_ne!(said.first(), Some(&b'S'));
        let said = said.escape_ascii().to_string();
        let words = "received unencrypted data after an encryption request";
        assert!(said.contains(words), "{said}");
    }
    // Between our answer and the handshake it is no handshake.
    let mut stream = rust::plain(pgusher.port());
    stream.write_all(SSL_REQUEST).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    stream.write_all(&rust::startup("app")).unwrap();
    let said = rust::rest(&mut stream);
    // An alert of TLS at most.
    assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
}

// A9
#[test]
fn inside_of_tls_nobody_asks_for_it_again() {
    let (authority, pgusher) = start("prefer");
    for request in [SSL_REQUEST, GSS_REQUEST] {
        let mut stream = rust::connect(pgusher.port(), rust::config(&authority), "localhost");
        stream.write_all(request).unwrap();
        let said = rust::rest(&mut stream).escape_ascii().to_string();
        assert!(said.contains("too many encryption requests"), "{said}");
    }
    // GSSAPI first, as libpq may do it, is declined, and TLS comes after.
    let mut stream = rust::plain(pgusher.port());
    let mut answer = [0];
    for (request, expected) in [(GSS_REQUEST, b"N"), (SSL_REQUEST, b"S")] {
        stream.write_all(request).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, expected);
    }
    let mut stream = rust::over(stream, rust::config(&authority), "localhost");
    stream.write_all(&rust::startup("app")).unwrap();
    rust::until_ready(&mut stream).unwrap();
}

#[test]
fn the_handshake_may_begin_at_once_if_it_names_the_protocol() {
    let (authority, pgusher) = start("prefer");
    let direct = |protocols: &[&[u8]]| {
        let mut config = rust::config(&authority);
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        let mut stream = rust::over(rust::plain(pgusher.port()), config, "localhost");
        let shaken = stream.conn.complete_io(&mut stream.sock);
        shaken.map_err(|error| error.to_string())?;
        // Whoever is refused must not have said anything that nobody reads: the end of such a
        // connection is a reset, which overtakes the last words.
        if protocols.contains(&&b"postgresql"[..]) {
            stream.write_all(&rust::startup("app")).unwrap();
        }
        rust::until_ready(&mut stream)
    };
    assert!(direct(&[b"postgresql"]).is_ok());
    assert!(direct(&[b"h2", b"postgresql"]).is_ok());
    let refused = direct(&[]).unwrap_err();
    assert!(refused.contains("without ALPN"), "{refused}");
    let refused = direct(&[b"h2"]).unwrap_err();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[test]
fn where_there_is_no_tls_a_handshake_is_no_startup_message() {
    let authority = Authority::new();
    let pgusher = Pgusher::in_front_of(postgres(Version::V15)).start();
    let stream = rust::plain(pgusher.port());
    let mut stream = rust::over(stream, rust::config(&authority), "localhost");
    assert!(stream.write_all(&rust::startup("app")).is_err());
}

// B1
#[test]
fn cancel_requests_come_through_tls_and_past_it() {
    let (authority, pgusher) = start("require");
    for encrypted in [true, false] {
        let mut client = rust::connect(pgusher.port(), rust::config(&authority), "localhost");
        client.write_all(&rust::startup("app")).unwrap();
        let welcome = rust::until_ready(&mut client).unwrap();
        let (_, key) = welcome.iter().find(|(tag, _)| *tag == b'K').unwrap();
        let query = message::query("SELECT pg_sleep(60)");
        client.write_all(&query).unwrap();
        eventually("it runs", || {
            let running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'";
            postgres(Version::V15).value(running) == "1"
        });
        let request = [b"\0\0\0\x10\x04\xd2\x16\x2e", &key[..]].concat();
        if encrypted {
            let config = rust::config(&authority);
            let mut canceller = rust::connect(pgusher.port(), config, "localhost");
            canceller.write_all(&request).unwrap();
            rust::rest(&mut canceller);
        } else {
            let mut canceller = rust::plain(pgusher.port());
            canceller.write_all(&request).unwrap();
            rust::rest(&mut canceller);
        }
        let said = rust::until_ready(&mut client).unwrap_err();
        assert!(said.contains("57014"), "{said}");
    }
}

// A15
#[test]
fn a_handshake_that_is_not_finished_ends_in_time_and_holds_up_nobody() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&server, "")
        .config("[timeouts]\nclient_login_timeout = \"300ms\"")
        .start();
    let mut half = rust::plain(pgusher.port());
    half.write_all(b"\x16\x03\x01").unwrap();
    let mut asked = rust::plain(pgusher.port());
    asked.write_all(SSL_REQUEST).unwrap();
    Raw::login(pgusher.port(), "app", "", "postgres").value("SELECT 1");
    assert!(!rust::rest(&mut half).contains(&b'S'));
    assert_eq!(rust::rest(&mut asked).first(), Some(&b'S'));
}

// I2
#[test]
fn no_record_is_longer_than_what_a_client_reads_at_once() {
    let (authority, pgusher) = start("require");
    let mut client = rust::connect(pgusher.port(), rust::config(&authority), "localhost");
    client.write_all(&rust::startup("app")).unwrap();
    rust::until_ready(&mut client).unwrap();
    let query = message::query("SELECT repeat('x', 1000000)");
    client.write_all(&query).unwrap();
    // Below the TLS of the client: what comes is looked at, and then handed on.
    let mut longest = 0;
    let mut received = 0;
    let (mut seen, mut records): (Vec<u8>, usize) = (Vec::new(), 0);
    while received < 1_000_000 {
        let mut piece = [0; 65536];
        let read = client.sock.read(&mut piece).unwrap();
        assert!(read > 0, "the stream ended behind {received} bytes");
        seen.extend_from_slice(&piece[..read]);
        while let Some(header) = seen.get(..5) {
            let size = usize::from(u16::from_be_bytes([header[3], header[4]]));
            if seen.len() < 5 + size {
                break;
            }
            (longest, received, records) = (longest.max(size), received + size, records + 1);
            seen.drain(..5 + size);
        }
    }
    // Beside the content there are its type and the tag.
    assert!((8000..=8192 + 1 + 16).contains(&longest), "{longest}");
    assert!(records > 100, "{records}");
}

#[test]
fn old_versions_of_tls_are_not_spoken() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let newest = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&server, "min_version = \"1.3\"")
        .start();
    let usual = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&server, "")
        .start();
    let speak = |pgusher: &Pgusher, version: &str| {
        let at = format!("127.0.0.1:{}", pgusher.port());
        let mut openssl = std::process::Command::new("openssl");
        openssl.args([
            "s_client",
            "-starttls",
            "postgres",
            "-connect",
            &at,
            version,
        ]);
        openssl.args(["-cipher", "DEFAULT@SECLEVEL=0"]);
        openssl.stdin(std::process::Stdio::null());
        openssl.output().expect("openssl runs").status.success()
    };
    assert!(speak(&usual, "-tls1_3"));
    assert!(speak(&usual, "-tls1_2"));
    assert!(!speak(&usual, "-tls1_1"));
    assert!(!speak(&usual, "-tls1"));
    assert!(speak(&newest, "-tls1_3"));
    assert!(!speak(&newest, "-tls1_2"));
}

// A1
#[test]
fn a_handshake_comes_behind_the_header_of_a_proxy() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .tls(&server, "mode = \"require\"")
        .config("[console]\nstats_users = [\"app\"]")
        .proxies("\"127.0.0.0/8\"")
        .start();
    let port = pgusher.proxy_port();
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 5432\r\n";
    for direct in [false, true] {
        let mut config = rust::config(&authority);
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let mut stream = rust::plain(port);
        if direct {
            stream.write_all(header).unwrap();
        } else {
            stream.write_all(&[header, SSL_REQUEST].concat()).unwrap();
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"S");
        }
        let mut stream = rust::over(stream, config, "localhost");
        stream.write_all(&rust::startup("app")).unwrap();
        rust::until_ready(&mut stream).unwrap();
        eventually("the client's own address is in the log", || {
            pgusher.log().matches("address=192.0.2.7:4321").count() > usize::from(direct)
        });
    }
    // Inside of TLS it is no header.
    let mut stream = rust::over(rust::plain(port), rust::config(&authority), "localhost");
    assert!(stream.write_all(header).is_err() || rust::rest(&mut stream).is_empty());
}
