//! The PROXY protocol: where a client comes from is what a trusted proxy says, and nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use support::{
    Message, Pgusher, Postgres, Raw, both_versions, message, patience,
    pgusher::Builder,
    postgres::PASSWORD,
    raw::{V3_0, connect_from},
    temp::TempDir,
};

/// A pgusher that listens for proxies, and where.
struct Stage {
    pgusher: Pgusher,
    proxies: u16,
}

impl Stage {
    fn new(pg: &Postgres, networks: &str, more: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = Pgusher::in_front_of(pg).auth("password").proxies(networks);
        let pgusher = more(builder).start();
        let proxies = pgusher.proxy_port();
        Self { pgusher, proxies }
    }

    /// A connection of a proxy.
    fn proxy(&self) -> TcpStream {
        self.proxy_from("127.0.0.1")
    }

    fn proxy_from(&self, from: &str) -> TcpStream {
        connect_from(from, self.proxies)
    }
}

fn hello(database: &str) -> Vec<u8> {
    message::startup(V3_0, &[("user", "app"), ("database", database)])
}

fn v1(from: &str) -> Vec<u8> {
    let kind = if from.contains(':') { "TCP6" } else { "TCP4" };
    let to = if from.contains(':') {
        "2001:db8::2"
    } else {
        "198.51.100.7"
    };
    format!("PROXY {kind} {from} {to} 56324 6432\r\n").into_bytes()
}

fn v2(from: [u8; 4]) -> Vec<u8> {
    let added = [0x04, 0, 3, 1, 2, 3];
    let body = [
        &from[..],
        &[198, 51, 100, 7, 0xdc, 0x04, 0x19, 0x20],
        &added,
    ]
    .concat();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length[..], &body].concat()
}

/// What is heard until the end.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => drop(other.expect("an end")),
    }
    heard
}

// The header counts for the log, the console and the server's `application_name`; what comes
// behind it in the same packet is the client's first message.
both_versions!(a_client_has_its_own_address, |pg| {
    let database = pg.fresh_database();
    let stage = Stage::new(pg, "\"127.0.0.0/8\"", |it| {
        it.database("application_name = \"{address}\"")
            .config("[console]\nadmin_users = [\"app\"]")
    });
    let own = "PROXY UNKNOWN\r\n".as_bytes().to_vec();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    for (header, address) in [
        (v1("192.0.2.1"), "192.0.2.1"),
        (v1("2001:db8::1"), "2001:db8::1"),
        (v1("::ffff:192.0.2.3"), "192.0.2.3"),
        (v2([192, 0, 2, 2]), "192.0.2.2"),
        (own, "127.0.0.1"),
        (local, "127.0.0.1"),
    ] {
        for piece in [1, 7, 1000] {
            let mut stream = stage.proxy();
            let packet = [header.as_slice(), &hello(&database.name)].concat();
            for part in packet.chunks(piece) {
                stream.write_all(part).unwrap();
            }
            assert_eq!(Message::read(&mut stream).body[3], 3, "{address}");
            stream.write_all(&message::password(PASSWORD)).unwrap();
            while Message::read(&mut stream).tag != b'Z' {}
            stream
                .write_all(&message::query("SHOW application_name"))
                .unwrap();
            let row = loop {
                let heard = Message::read(&mut stream);
                if heard.tag == b'D' {
                    break heard;
                }
            };
            assert!(row.body.ends_with(address.as_bytes()), "{address}: {row:?}");
            let mut console = stage.pgusher.raw("pgusher");
            let clients = console.rows("SHOW CLIENTS");
            let is_shown = |row: &Vec<Option<String>>| {
                row.contains(&Some(address.to_owned()))
                    && row.contains(&Some(database.name.clone()))
            };
            assert!(clients.iter().any(is_shown), "{address}: {clients:?}");
        }
        if address != "127.0.0.1" {
            let shown = if address.contains(':') {
                format!("[{address}]")
            } else {
                address.to_owned()
            };
            stage
                .pgusher
                .wait_for_log(&format!("address={shown}:56324"));
        }
    }
    // The other address knows nothing of headers.
    let mut stream = TcpStream::connect(("127.0.0.1", stage.pgusher.port())).unwrap();
    stream.write_all(&v1("192.0.2.1")).unwrap();
    let said = rest(&mut stream);
    assert!(said.is_empty() || said[0] == b'E', "{said:?}");
    assert_eq!(stage.pgusher.raw(&database.name).value("SELECT 1"), "1");
});

// A1: nobody hears a word who is no proxy, or sends no header.
both_versions!(who_is_no_proxy_hears_nothing, |pg| {
    let database = pg.fresh_database();
    let stage = Stage::new(pg, "\"127.0.0.2/32\", \"2001:db8::/32\"", |it| it);
    let mut stream = stage.proxy();
    stream
        .write_all(&[v1("192.0.2.1"), hello(&database.name)].concat())
        .unwrap();
    assert_eq!(rest(&mut stream), b"");
    stage
        .pgusher
        .wait_for_log("comes from none of its networks");
    let mut lines = 4;
    for (bytes, why) in [
        (hello(&database.name), "is missing"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(), "is missing"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "is missing"),
        (
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n".to_vec(),
            "has a port that is none",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01x".to_vec(),
            "is shorter than it says",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
            "is longer than 4096 bytes",
        ),
    ] {
        let mut stream = stage.proxy_from("127.0.0.2");
        stream.write_all(&bytes).unwrap();
        assert_eq!(rest(&mut stream), b"", "{why}");
        // Of many alike only the first are logged (H5).
        if lines > 0 {
            lines -= 1;
            let line = format!("the PROXY header {why}");
            stage.pgusher.wait_for_log(&line);
        }
    }
    let mut stream = stage.proxy_from("127.0.0.2");
    stream
        .write_all(&[v1("192.0.2.1"), hello(&database.name)].concat())
        .unwrap();
    assert_eq!(Message::read(&mut stream).tag, b'R');
});

// A1: who is gone before it was asked where it comes from has proven nothing by that, and what it has
// said of itself is believed as little.
both_versions!(who_is_gone_already_is_no_proxy, |pg| {
    let database = pg.fresh_database();
    let stage = Stage::new(pg, "\"127.0.0.2/32\"", |it| it);
    for _ in 0..100 {
        let mut stream = stage.proxy();
        let nonsense = b"\0\0\0\x0c\0\x03\0\0abcd".as_slice();
        let _ = stream.write_all(&[&v1("192.0.2.9"), nonsense].concat());
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    // By then one that comes behind them is served.
    let mut stream = stage.proxy_from("127.0.0.2");
    stream
        .write_all(&[v1("192.0.2.1"), hello(&database.name)].concat())
        .unwrap();
    assert_eq!(Message::read(&mut stream).tag, b'R');
    assert!(!stage.pgusher.log_contains("192.0.2.9"));
});

// A1, A15: a header that does not come has the login's deadline; what is sent behind an encryption
// request is refused as ever.
both_versions!(a_header_has_a_deadline_and_the_rest_its_rules, |pg| {
    let stage = Stage::new(pg, "\"127.0.0.1/32\"", |it| {
        it.config("[timeouts]\nclient_login_timeout = \"300ms\"")
    });
    for part in [
        &b""[..],
        b"PROXY TCP4 192",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10ab",
    ] {
        let began = Instant::now();
        let mut stream = stage.proxy();
        stream.write_all(part).unwrap();
        let said = rest(&mut stream);
        assert!(said.is_empty() || said[0] == b'E', "{said:?}");
        assert!(began.elapsed() >= Duration::from_millis(290));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let mut stream = stage.proxy();
    let request = b"\0\0\0\x08\x04\xd2\x16\x2f".as_slice();
    stream
        .write_all(&[&v1("192.0.2.1"), request, &hello("x")].concat())
        .unwrap();
    let said = String::from_utf8(rest(&mut stream)).unwrap();
    assert!(
        said.contains("received unencrypted data after an encryption request"),
        "{said}"
    );
});

// Rules and blocks are about clients, and not about the proxy through which all of them come.
both_versions!(the_clients_address_counts, |pg| {
    let (database, home) = (pg.fresh_database(), TempDir::new());
    let rules = home.path().join("rules");
    std::fs::write(
        &rules,
        "host all all 192.0.2.0/24 password\nhost all all 198.51.100.1/32 trust\n",
    )
    .unwrap();
    let stage = Stage::new(pg, "\"127.0.0.1/32\"", |it| {
        it.auth(&format!("password\"\nhba = \"{}", rules.display()))
            .config("[auth.failures]\ndelay = 0\nblock_after = 2")
            .listen("connections_per_second = 1\nconnection_burst = 20")
    });
    let try_from = |from: &str, password: &str| {
        let mut stream = stage.proxy();
        stream
            .write_all(&[v1(from), hello(&database.name)].concat())
            .unwrap();
        let first = Message::read(&mut stream);
        if first.tag == b'E' {
            return first.text();
        }
        if first.body[3] == 0 {
            return "trusted".to_owned();
        }
        stream.write_all(&message::password(password)).unwrap();
        let second = Message::read(&mut stream);
        match second.tag {
            b'R' => "in".to_owned(),
            _ => second.text(),
        }
    };
    let wrong = "password authentication failed for user \"app\"";
    assert!(try_from("10.0.0.1", "").starts_with("no pg_hba.conf entry for host \"10.0.0.1\""));
    assert_eq!(try_from("198.51.100.1", ""), "trusted");
    assert_eq!(try_from("192.0.2.1", "x"), wrong);
    assert_eq!(try_from("192.0.2.1", "x"), wrong);
    assert_eq!(try_from("192.0.2.1", PASSWORD), wrong);
    assert_eq!(try_from("192.0.2.2", PASSWORD), "in");
    stage.pgusher.wait_for_log(
        "an address is blocked: too many logins from there have failed address=192.0.2.1",
    );
    let often: Vec<String> = (0..40).map(|_| try_from("192.0.2.9", PASSWORD)).collect();
    assert!(
        often.contains(&"too many connections from this address".to_owned()),
        "{often:?}"
    );
    assert_eq!(try_from("192.0.2.10", PASSWORD), "in");
});

/// Whoever can reach the socket is a proxy.
#[test]
fn a_unix_socket_is_for_proxies_too() {
    let pg = support::postgres(support::Version::V15);
    let (database, home) = (pg.fresh_database(), TempDir::new());
    let socket = home.path().join("proxies");
    let pgusher = Pgusher::in_front_of(pg)
        .database("application_name = \"{address}\"")
        .config(&format!(
            "[listen.proxy]\naddress = \"{}\"",
            socket.display()
        ))
        .start();
    pgusher.wait_for_log("listening for proxies");
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream
        .write_all(&[v1("192.0.2.1"), hello(&database.name)].concat())
        .unwrap();
    while Message::read(&mut stream).tag != b'Z' {}
    stream
        .write_all(&message::query("SHOW application_name"))
        .unwrap();
    let heard: Vec<Message> = (0..2).map(|_| Message::read(&mut stream)).collect();
    assert!(heard[1].body.ends_with(b"192.0.2.1"), "{heard:?}");
    assert_eq!(
        Raw::login(pgusher.port(), "app", "", &database.name).value("SELECT 1"),
        "1"
    );
}

#[test]
fn what_makes_no_sense_does_not_start() {
    let pg = support::postgres(support::Version::V15);
    for (lines, why) in [
        (
            "networks = [\"10.0.0.0/8\"]",
            "[listen.proxy] has no address",
        ),
        (
            "address = \"127.0.0.1:0\"",
            "[listen.proxy] has no networks",
        ),
        (
            "address = \"127.0.0.1:0\"\nnetworks = [\"10.0.0.0/99\"]",
            "which has a mask length that is none",
        ),
    ] {
        let log = Pgusher::in_front_of(pg)
            .config(&format!("[listen.proxy]\n{lines}"))
            .try_start()
            .unwrap_err();
        assert!(log.contains(why), "{log}");
    }
}
