//! Those who never finish logging in (A15), and servers that talk while we log in (A14).

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    goes_on, started,
    support::{
        Line, Pgusher, Raw, both_versions, eventually,
        message::{message, query, ssl_request, startup},
        raw::V3_0,
    },
};

both_versions!(
    /// A15: whatever a client waits with, its time ends.
    the_login_has_a_deadline,
    |pg| {
        let database = pg.fresh_database();
        let mut pgusher = Pgusher::in_front_of(pg)
            .auth("scram-sha-256")
            .config("[timeouts]\nclient_login_timeout = \"400ms\"")
            .start();
        let login = startup(V3_0, &[("user", "app"), ("database", &database.name)]);
        let silent = Raw::connect(pgusher.port());
        let mut half = Raw::connect(pgusher.port());
        half.send(&login[..login.len() - 1]);
        let mut asked = started(pgusher.port(), "app", &database.name);
        asked.expect("R");
        let mut encrypted = Raw::connect(pgusher.port());
        encrypted.send(&ssl_request());
        assert_eq!(encrypted.byte(), Some(b'N'));
        for mut client in [silent, half, asked, encrypted] {
            let error = client.expect("FATAL:08P01");
            assert_eq!(error.text(), "the login was not finished within 400ms");
            client.expect_eof();
        }
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A15, G4: off means off. The deadline of another proxy tells when it would have been over.
    no_deadline,
    |pg| {
        let database = pg.fresh_database();
        let with = |line: &str| Pgusher::in_front_of(pg).config(&format!("[timeouts]\n{line}")).start();
        let (never, soon) = (
            with("client_login_timeout = \"off\""),
            with("client_login_timeout = \"300ms\""),
        );
        let mut patient = Raw::connect(never.port());
        let mut hasty = Raw::connect(soon.port());
        hasty.expect("FATAL:08P01");
        patient.startup(&[("user", "app"), ("database", &database.name)]);
        patient.authenticate("app", "").expect("a login");
    }
);

both_versions!(
    /// A15: connections that only stand there do not stop others.
    half_open_connections,
    |pg| {
        let database = pg.fresh_database();
        let mut pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        let mut standing = Vec::new();
        for nth in 0..150 {
            let mut client = Raw::connect(pgusher.port());
            match nth % 3 {
                0 => {}
                1 => client.send(&[0, 0]),
                _ => client.startup(&[("user", "app"), ("database", &database.name)]),
            }
            standing.push(client);
        }
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A15: the number of logins under way is bounded; who has logged in does not count.
    max_handshakes,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).listen("max_handshakes = 2").start();
        let mut inside: Vec<Raw> = (0..4).map(|_| pgusher.raw(&database.name)).collect();
        let mut standing = [Raw::connect(pgusher.port()), Raw::connect(pgusher.port())];
        for client in &mut standing {
            client.send(&ssl_request());
            assert_eq!(client.byte(), Some(b'N'));
        }
        let mut third = Raw::connect(pgusher.port());
        let error = third.expect("FATAL:53300");
        assert_eq!(error.text(), "too many clients are logging in at once");
        third.expect_eof();
        for client in &mut inside {
            assert_eq!(client.value("SELECT 1"), "1");
        }
        drop(standing);
        eventually("there is room again", || {
            Raw::try_login(pgusher.port(), "app", "", &database.name).is_ok()
        });
    }
);

/// A server that says much before and during the login, and answers each query with nothing.
fn talkative_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || talk(stream));
        }
    });
    port
}

fn talk(mut stream: TcpStream) -> std::io::Result<()> {
    let notice = message(b'N', b"SNOTICE\0C00000\0Mgood morning\0\0");
    let setting = |value: &str| message(b'S', &[b"TimeZone\0", value.as_bytes(), b"\0"].concat());
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer)?;
    let before = [
        notice.clone(),
        setting("early"),
        message(b'R', &[0, 0, 0, 3]),
    ]
    .concat();
    stream.write_all(&before)?;
    let _ = stream.read(&mut buffer)?;
    let after = [
        notice.clone(),
        setting("Mars/Olympus"),
        message(b'R', &[0; 4]),
        notice.clone(),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]),
        notice,
        message(b'Z', b"I"),
    ];
    stream.write_all(&after.concat())?;
    while stream.read(&mut buffer)? > 0 {
        stream.write_all(&[message(b'I', b""), message(b'Z', b"I")].concat())?;
    }
    Ok(())
}

both_versions!(
    /// A14: notices and settings at any point of the server's login, and the last one counts.
    a_server_that_talks_during_the_login,
    |pg| {
        let line = Line::to(talkative_server());
        let pgusher = Pgusher::in_front_of(pg).through(&line).start();
        let mut client = pgusher.raw("any");
        assert_eq!(client.parameters["TimeZone"], "Mars/Olympus");
        assert_eq!(client.ask(&query("")).types(), "I Z:I");
    }
);
