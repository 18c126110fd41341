//! Versions of the protocol and its options (A8): PostgreSQL 18 is what they are compared with.

use crate::support::{
    Pgusher, Raw, Version, both_versions, eventually,
    message::{query, startup},
    postgres,
    raw::{V3_0, V3_2},
};

/// The NegotiateProtocolVersion messages of a login, and how long the cancel key's secret is.
fn negotiated(port: u16, version: u32, options: &[(&str, &str)]) -> (Vec<Vec<u8>>, usize) {
    let mut client = Raw::connect(port);
    let who = [("user", "app_trust"), ("database", "postgres")];
    client.send(&startup(version, &[&who, options].concat()));
    let heard = client.until_ready();
    let negotiations = heard.into_iter().filter(|message| message.tag == b'v');
    let bodies = negotiations.map(|message| message.body).collect();
    assert_eq!(client.value("SELECT 1"), "1");
    (bodies, client.key().1.len())
}

both_versions!(
    /// A8: once, and what PostgreSQL 18 says, whatever stands behind.
    negotiation_is_that_of_postgresql_18,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        let newest = postgres(Version::V18).port();
        let one: &[_] = &[("_pq_.x", "1")];
        let two: &[_] = &[("_pq_.x", "1"), ("_pq_.command_compression", "on")];
        for version in [V3_0, V3_2, 0x0003_0003, 0x0003_0063, 0x0003_270f] {
            for options in [&[], one, two] {
                let heard = negotiated(pgusher.port(), version, options);
                let asked = version != V3_0 && version != V3_2 || !options.is_empty();
                assert_eq!(heard.0.len(), usize::from(asked), "{version:#x} {options:?}");
                let right = negotiated(newest, version, options);
                assert_eq!(heard, right, "{version:#x} {options:?}");
            }
        }
    }
);

both_versions!(
    /// A8: there never was a 3.1; who asks for it gets 3.0, is told so, and can work.
    protocol_3_1,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        let (told, key) = negotiated(pgusher.port(), 0x0003_0001, &[]);
        assert_eq!(told, [[V3_0.to_be_bytes(), [0; 4]].concat()]);
        assert_eq!(key, 4);
    }
);

both_versions!(
    /// A8: other protocols are refused in PostgreSQL's words.
    other_protocols,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        // To one of protocol 2 PostgreSQL answers in protocol 2, which nobody speaks any more.
        for version in [0x0002_0000, 0, 1] {
            let mut client = Raw::connect(pgusher.port());
            client.send(&startup(version, &[("user", "app"), ("database", "postgres")]));
            assert_eq!(client.transcript_until_eof().types(), "FATAL:0A000 eof");
        }
        for version in [0x0004_0000, 0x7fff_ffff, u32::MAX] {
            let refused = |port| {
                let mut client = Raw::connect(port);
                client.send(&startup(version, &[("user", "app"), ("database", "postgres")]));
                let error = client.expect("FATAL:0A000");
                client.expect_eof();
                error.text()
            };
            let right = refused(postgres(Version::V18).port());
            assert_eq!(refused(pgusher.port()), right, "{version:#x}");
        }
    }
);

both_versions!(
    /// A8, B1: the long key of 3.2 cancels, and a key that differs in one byte does not.
    a_long_cancel_key,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).start();
        let database = pg.fresh_database();
        let mut client = Raw::connect(pgusher.port());
        client.send(&startup(V3_2, &[("user", "app"), ("database", &database.name)]));
        client.until_ready();
        let (pid, mut secret) = client.key();
        assert_eq!(secret.len(), 32);
        client.send(&query("SELECT pg_sleep(600)"));
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = '{}' AND wait_event = 'PgSleep'",
            database.name
        );
        eventually("the query runs", || pg.value(&running) == "1");
        secret[31] ^= 1;
        for wrong in [secret.as_slice(), &secret[..4], &[0; 32]] {
            let mut other = Raw::connect(pgusher.port());
            other.send(&crate::support::message::cancel_request(pid, wrong));
            other.expect_eof();
        }
        assert_eq!(pg.value(&running), "1");
        client.cancel();
        assert_eq!(client.transcript().types(), "T E:57014 Z:I");
    }
);
