//! The first bytes: lengths that lie, packets in pieces, requests for encryption.

use crate::{
    goes_on, started,
    support::{
        Pgusher, Raw, both_versions,
        message::{
            gssenc_request, message, message_with_length, query, ssl_request, startup, terminate,
        },
        raw::V3_0,
    },
};

both_versions!(
    /// A1: bytes behind a request for encryption were put there by somebody in between. Nothing
    /// of them is read, not even a whole login.
    bytes_behind_an_encryption_request,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        let login = startup(V3_0, &[("user", "app"), ("database", &database.name)]);
        let behind = [
            [login, query("CREATE TABLE smuggled ()")].concat(),
            b"\0".to_vec(),
            ssl_request(),
        ];
        for request in [ssl_request(), gssenc_request()] {
            for behind in &behind {
                let mut client = Raw::connect(pgusher.port());
                client.send(&[request.as_slice(), behind].concat());
                assert_eq!(client.transcript_until_eof().types(), "FATAL:08P01 eof");
            }
        }
        assert_eq!(database.value("SELECT to_regclass('smuggled')"), "");
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A9: one request of each kind, in either order, and then a client must begin.
    encryption_requests_are_bounded,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        for requests in [
            [ssl_request(), gssenc_request()],
            [gssenc_request(), ssl_request()],
        ] {
            let mut client = Raw::connect(pgusher.port());
            for request in requests {
                client.send(&request);
                assert_eq!(client.byte(), Some(b'N'));
            }
            client.startup(&[("user", "app"), ("database", &database.name)]);
            client.authenticate("app", "").expect("a login");
            assert_eq!(client.value("SELECT 1"), "1");
        }
        for request in [ssl_request(), gssenc_request()] {
            let mut client = Raw::connect(pgusher.port());
            for _ in 0..2 {
                client.send(&request);
                assert_eq!(client.byte(), Some(b'N'));
            }
            client.send(&request);
            assert_eq!(client.transcript_until_eof().types(), "FATAL:08P01 eof");
        }
    }
);

both_versions!(
    /// A5: a login that comes byte by byte is a login.
    a_login_in_pieces,
    |pg| {
        let database = pg.fresh_database();
        for method in ["trust", "password", "scram-sha-256"] {
            let pgusher = Pgusher::in_front_of(pg).auth(method).start();
            let mut client = Raw::connect(pgusher.port());
            client.dribble(&ssl_request());
            assert_eq!(client.byte(), Some(b'N'));
            client.dribble(&startup(
                V3_0,
                &[("user", "app"), ("database", &database.name), ("options", "-c app.x=1")],
            ));
            if method == "password" {
                client.expect("R");
                client.dribble(&crate::support::message::password("secret"));
            }
            client.authenticate("app", "secret").expect("a login");
            client.dribble(&query("SELECT current_setting('app.x')"));
            assert_eq!(client.transcript().types(), "T D C Z:I");
        }
    }
);

both_versions!(
    /// What is sent in one piece with the login is the session's first.
    a_query_behind_the_startup_message,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        let login = startup(V3_0, &[("user", "app"), ("database", &database.name)]);
        let mut client = Raw::connect(pgusher.port());
        client.send(&[login, query("SELECT 1")].concat());
        client.until_ready();
        assert_eq!(client.transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// A6: a startup packet of an impossible length is refused by its first four bytes.
    lengths_of_the_startup_packet,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        for length in [0_u32, 1, 4, 7, 10_005, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, u32::MAX] {
            let mut client = Raw::connect(pgusher.port());
            client.send(&length.to_be_bytes());
            assert_eq!(client.transcript_until_eof().types(), "FATAL:08P01 eof", "{length}");
        }
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A client that is told to leave before it has begun sends a Terminate first and counts on no answer.
    a_goodbye_and_nothing_before_it,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        for port in [pg.port(), pgusher.port()] {
            let mut client = Raw::connect(port);
            client.send(&terminate());
            assert_eq!(client.transcript_until_eof().types(), "eof");
        }
    }
);

both_versions!(
    /// A5, A6: a startup packet that ends early, whole or within a pair, or says nothing.
    malformed_startup_packets,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        let packet = |body: &[u8]| {
            let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
            [length.as_slice(), &V3_0.to_be_bytes(), body].concat()
        };
        for body in [
            b"user\0app\0".as_slice(),
            b"user\0app",
            b"user\0app\0database\0",
            b"user",
            b"user\0app\0\0trailing",
        ] {
            let mut client = Raw::connect(pgusher.port());
            client.send(&packet(body));
            let told = client.transcript_until_eof().types();
            assert_eq!(told, "FATAL:08P01 eof", "{}", body.escape_ascii());
        }
        for body in [b"\0".as_slice(), b"", b"user\0\0\0", b"database\0x\0\0"] {
            let mut client = Raw::connect(pgusher.port());
            client.send(&packet(body));
            let mut direct = Raw::connect(pg.port());
            direct.send(&packet(body));
            assert_eq!(
                client.transcript_until_eof().types(),
                direct.transcript_until_eof().types(),
                "{}",
                body.escape_ascii()
            );
        }
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A5: who stops in the middle is gone, at any byte, and nobody else minds.
    truncated_startup_packets,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        let whole = startup(V3_0, &[("user", "app"), ("database", &database.name)]);
        for end in 0..whole.len() {
            let mut client = Raw::connect(pgusher.port());
            client.send(&whole[..end]);
            client.finish_sending();
            client.expect_eof();
        }
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A6: the largest startup packet is PostgreSQL's, and it is read.
    a_large_startup_packet,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        let long = "x".repeat(9_800);
        let mut client = Raw::connect(pgusher.port());
        client.startup(&[("user", "app"), ("database", &database.name), ("app.long", &long)]);
        client.authenticate("app", "").expect("a login");
        assert_eq!(client.value("SELECT length(current_setting('app.long'))"), "9800");
    }
);

both_versions!(
    /// A6: while a password is awaited, nothing else comes in, and nothing of impossible length.
    lengths_of_the_password,
    |pg| {
        let database = pg.fresh_database();
        for method in ["password", "md5", "scram-sha-256"] {
            let mut pgusher = Pgusher::in_front_of(pg).auth(method).start();
            for bytes in [
                message_with_length(b'p', 0, b""),
                message_with_length(b'p', 3, b""),
                message_with_length(b'p', -1, b""),
                message_with_length(b'p', i32::MIN, b""),
                message_with_length(b'p', i32::MAX, b""),
                message_with_length(b'p', 100_000, b""),
                message(b'p', b""),
                query("SELECT 1"),
                b"\0\0\0\0\0".to_vec(),
            ] {
                let mut client = started(pgusher.port(), "app", &database.name);
                client.expect("R");
                client.send(&bytes);
                let told = client.transcript_until_eof().types();
                assert_eq!(told, "FATAL:08P01 eof", "{method}: {}", bytes.escape_ascii());
            }
            goes_on(&mut pgusher, &database.name);
        }
    }
);

both_versions!(
    /// A6: a long password is a password: as long as PostgreSQL's, tokens need it.
    a_long_password,
    |pg| {
        let database = pg.fresh_database();
        let long = "x".repeat(60_000);
        let pgusher = Pgusher::in_front_of(pg)
            .auth("password")
            .config(&format!("[users.token]\npassword = \"{long}\""))
            .start();
        let mut client = Raw::login(pgusher.port(), "token", &long, &database.name);
        assert_eq!(client.value("SELECT 1"), "1");
        let wrong = format!("{}y", &long[1..]);
        let refused = Raw::try_login(pgusher.port(), "token", &wrong, &database.name).err();
        assert!(refused.expect("a wrong password").starts_with("FATAL:28P01"));
    }
);
