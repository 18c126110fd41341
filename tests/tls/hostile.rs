//! The handshake as a whole against anything: bytes that were made up and bytes that were changed, in
//! clear, in place of a TLS handshake, and inside of TLS.
//!
//! `PGUSHER_TEST_FUZZ_SECONDS` says for how long (else 5,000 connections), `PGUSHER_TEST_FUZZ_SEED` with
//! which seed.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

use crate::{
    login, rust,
    support::{
        Authority, Pgusher, Raw, Version, eventually, message, patience, postgres,
        postgres::PASSWORD,
    },
};

/// How many connections are tried if nobody says for how long.
const CONNECTIONS: usize = 5_000;
/// How many at once.
const AT_ONCE: usize = 6;
/// How many logins there may be at once: one that is never given back is soon missed.
const HANDSHAKES: usize = 40;

/// SplitMix64: what a seed gives is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.roll() % count as u64).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.roll().to_le_bytes()[0]).collect()
    }

    /// A few changes, or none.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.roll().to_le_bytes()[0]),
                2 => {
                    let more = self.bytes(40);
                    bytes.splice(at..at, more);
                }
                3 => {
                    let again = bytes[at..].to_vec();
                    bytes.extend(again);
                }
                // Lengths, codes and types are at the beginning.
                4 if bytes.len() > 8 => {
                    let at = self.below(9);
                    bytes[at] ^= 1 << self.below(8);
                }
                _ if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0xff][self.below(4)],
                _ => {}
            }
        }
    }
}

/// The first message of SCRAM.
fn scram(mechanism: &str, first: &str) -> Vec<u8> {
    let length = u32::try_from(first.len()).unwrap().to_be_bytes();
    let body = [mechanism.as_bytes(), b"\0", &length, first.as_bytes()].concat();
    message::message(b'p', &body)
}

/// What a client may say in clear, or inside of TLS: mostly in an order that gets somewhere.
fn dialogue(dice: &mut Dice) -> Vec<u8> {
    let nonce = "r=fyko+d2lbbFgONRv9qkxdawL";
    let startup = |parameters: &[(&str, &str)]| message::startup(3 << 16, parameters);
    let mut all = Vec::new();
    let first = if dice.below(3) == 0 { 0 } else { 4 };
    for at in 0..=dice.below(5) {
        let from = if at == 0 { first } else { 9 };
        let mut one = match from + dice.below(14 - from) {
            0 => message::ssl_request(),
            1 => message::gssenc_request(),
            2 => message::cancel_request(1, b"\0\0\0\x01"),
            3 => startup(&[("user", "app"), ("replication", "true")]),
            4 => message::startup(3 << 16 | 2, &[("user", "app"), ("_pq_.x", "y")]),
            5 => startup(&[("user", "app.acme"), ("options", "-c a=b")]),
            6 => startup(&[("user", "nobody"), ("database", "x")]),
            7 | 8 => rust::startup("app"),
            9 => message::password("a password"),
            10 => scram(
                "SCRAM-SHA-256-PLUS",
                &format!("p=tls-server-end-point,,n=,{nonce}"),
            ),
            11 => scram("SCRAM-SHA-256", &format!("n,,n=,{nonce}")),
            12 => message::message(
                b'p',
                format!("c=biws,{nonce},p={}=", "A".repeat(43)).as_bytes(),
            ),
            _ => dice.bytes(300),
        };
        if dice.below(3) == 0 {
            dice.change(&mut one);
        }
        all.extend(one);
    }
    all
}

/// The beginning of a TLS handshake, as it goes over the line.
fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// What was heard while it was TLS that should be spoken: records of TLS, or nothing.
fn is_tls(mut heard: &[u8]) -> bool {
    while let [kind, 3, _, high, low, rest @ ..] = heard {
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        if !(20..=23).contains(kind) || size > 17_000 {
            return false;
        }
        heard = rest.get(size..).unwrap_or_default();
    }
    matches!(heard, [] | [20..=23, ..])
}

fn finish(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
}

/// One hostile connection.
fn connection(port: u16, dice: &mut Dice, configs: &[Arc<ClientConfig>; 2]) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    // Nothing of ours is waited for longer than the time that a login may take.
    stream.set_read_timeout(Some(patience()))?;
    stream.set_nodelay(true)?;
    let said = dialogue(dice);
    match dice.below(7) {
        // Gone before it is answered.
        0 => stream.write_all(&said)?,
        1 | 2 => {
            stream.write_all(&said)?;
            finish(&stream);
            rust::rest(&mut stream);
        }
        // Something that is no handshake, or a changed one, where one is due.
        way @ (3 | 4) => {
            let asked = way == 3;
            if asked {
                stream.write_all(&message::ssl_request())?;
                let mut answer = [0];
                stream.read_exact(&mut answer)?;
                assert_eq!(&answer, b"S");
            }
            let mut bytes = hello(&configs[usize::from(!asked)]);
            dice.change(&mut bytes);
            if dice.below(4) == 0 {
                bytes.extend(&said);
            }
            // Else it is none, and the first byte says so.
            if asked || bytes.first() == Some(&0x16) {
                let _ = stream.write_all(&bytes);
                finish(&stream);
                let heard = rust::rest(&mut stream);
                assert!(is_tls(&heard), "in a handshake: {}", heard.escape_ascii());
            }
        }
        // Inside of TLS.
        way => {
            let mut config = &configs[1];
            if way == 5 {
                stream.write_all(&message::ssl_request())?;
                stream.read_exact(&mut [0])?;
                config = &configs[0];
            }
            let mut stream = rust::over(stream, ClientConfig::clone(config), "localhost");
            let _ = stream.write_all(&said);
            stream.conn.send_close_notify();
            let _ = stream.flush();
            finish(&stream.sock);
            rust::rest(&mut stream);
        }
    }
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A client that means well comes in by the same door, in clear and over TLS.
fn good_client(port: u16, config: &ClientConfig, who: usize) {
    if who.is_multiple_of(2) {
        let mut client = Raw::login(port, "app", PASSWORD, "postgres");
        assert_eq!(client.value("SELECT 'in'"), "in");
    } else {
        let mut client = rust::connect(port, config.clone(), "localhost");
        login::log_in(&mut client, "app", PASSWORD);
        client.write_all(&message::query("SELECT 'in'")).unwrap();
        rust::until_ready(&mut client).unwrap();
    }
}

// A1, A9, A15
#[test]
fn nothing_that_is_said_before_the_login_harms_anybody() {
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let ca = authority.ca().display().to_string();
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .log_level("info")
        .auth("scram-sha-256")
        .listen(&format!("max_handshakes = {HANDSHAKES}"))
        .tls(&server, &format!("mode = \"prefer\"\nclient_ca = \"{ca}\""))
        .config("[timeouts]\nclient_login_timeout = \"5s\"\n[console]\nadmin_users = [\"app\"]")
        .config("[tenant]\nrequired = false\nsources = [\"sni\", \"user\"]")
        .start();
    let port = pgusher.port();
    let config = rust::config(&authority);
    let mut direct = config.clone();
    direct.alpn_protocols = vec![b"postgresql".to_vec()];
    let configs = [Arc::new(config.clone()), Arc::new(direct)];
    let mut stays = Raw::login(port, "app", PASSWORD, "postgres");
    for who in 0..2 {
        good_client(port, &config, who);
    }
    let files = pgusher.open_files();

    let seed = number("PGUSHER_TEST_FUZZ_SEED").unwrap_or(8);
    let until =
        number("PGUSHER_TEST_FUZZ_SECONDS").map(|it| Instant::now() + Duration::from_secs(it));
    let (begun, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let goes_on = || match until {
        Some(until) => Instant::now() < until,
        None => begun.load(Ordering::Relaxed) < CONNECTIONS,
    };
    let served = std::thread::scope(|scope| {
        let hostile = || {
            while goes_on() {
                let which = begun.fetch_add(1, Ordering::Relaxed) as u64;
                let mut dice = Dice(seed << 40 | which);
                // Whoever is refused hears that in its own way, which may be a reset.
                let _ = connection(port, &mut dice, &configs);
            }
        };
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(hostile)).collect();
        let good = scope.spawn(|| {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) {
                good_client(port, &config, served);
                served += 1;
            }
            served
        });
        let ends: Vec<_> = all.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::Relaxed);
        let served = good.join().unwrap();
        ends.into_iter().for_each(|end| end.unwrap());
        served
    });
    let count = begun.load(Ordering::Relaxed);
    println!("{count} hostile connections, {served} that meant well");
    assert!(served > 2, "{served}");
    assert_eq!(stays.value("SELECT 'still'"), "still");

    let mut console = Raw::login(port, "app", PASSWORD, "pgusher");
    eventually("all of them are gone", || {
        let lists = console.rows("SHOW LISTS");
        let items = |name: &str| {
            let row = lists.iter().find(|row| row[0].as_deref() == Some(name));
            row.unwrap()[1].clone().unwrap()
        };
        // The one that stays, and the console.
        items("login_clients") == "0" && items("used_clients") == "2"
    });
    // One more for the console, and what the pool may have opened; a leak would be thousands.
    eventually("their files are closed", || {
        pgusher.open_files() <= files + 1 + 20
    });
    // As many at once as ever.
    let waiting: Vec<_> = (1..HANDSHAKES).map(|_| rust::plain(port)).collect();
    for stream in &waiting {
        assert_eq!(stream.take_error().unwrap().map(|it| it.kind()), None);
    }
    good_client(port, &config, 1);
    drop(waiting);
    let log = pgusher.log();
    assert!(!log.contains("panicked"), "{log}");
}
