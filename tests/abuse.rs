//! Those who guess passwords or come too often, as the whole program treats them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use support::{
    Database, Message, Pgusher, Postgres, Raw, both_versions, message,
    message::query,
    pgusher::Builder,
    postgres::PASSWORD,
    raw::{V3_0, connect_from},
    temp::TempDir,
};

/// Tries to log in with a password in clear; what comes of it.
fn login(from: &str, port: u16, user: &str, password: &str, database: &str) -> String {
    let mut stream = connect_from(from, port);
    let hello = message::startup(V3_0, &[("user", user), ("database", database)]);
    stream.write_all(&hello).unwrap();
    let first = Message::read(&mut stream);
    if first.tag == b'E' {
        return format!("at once {}: {}", first.notation(), first.text());
    }
    stream.write_all(&message::password(password)).unwrap();
    let second = Message::read(&mut stream);
    match second.tag {
        b'R' => "in".to_owned(),
        _ => format!("{}: {}", second.notation(), second.text()),
    }
}

fn refused(user: &str) -> String {
    format!("FATAL:28P01: password authentication failed for user \"{user}\"")
}

/// A pgusher that asks for passwords in clear.
fn started(pg: &Postgres, failures: &str, more: impl FnOnce(Builder) -> Builder) -> Pgusher {
    let builder = Pgusher::in_front_of(pg)
        .auth("password")
        .log_level("info")
        .config(&format!("[auth.failures]\n{failures}"));
    more(builder).start()
}

fn within<'a>(pg: &'a Postgres) -> Database<'a> {
    pg.fresh_database()
}

// A12, A15: an answer is held back, and longer the next time. It holds up nobody else, not even
// where only one client may log in at a time.
both_versions!(an_answer_is_held_back_and_nobody_else, |pg| {
    let database = within(pg);
    let name = database.name.as_str();
    let delay = Duration::from_millis(700);
    let pgusher = started(pg, "delay = \"700ms\"\nmax_delay = \"10s\"", |it| {
        it.listen("max_handshakes = 1")
            .config("[runtime]\nworkers = 1")
    });
    let port = pgusher.port();
    for (user, times) in [("app", 1), ("app", 2), ("nobody", 1), ("app", 4)] {
        let began = Instant::now();
        let said = login("127.0.0.1", port, user, "wrong", name);
        assert_eq!(said, refused(user));
        assert!(
            began.elapsed() >= delay * times,
            "{user} {times}: {:?}",
            began.elapsed()
        );
    }
    // The fourth of `app` takes 5.6 seconds.
    std::thread::scope(|scope| {
        let guess = scope.spawn(|| {
            let mut stream = connect_from("127.0.0.1", port);
            let hello = message::startup(V3_0, &[("user", "app"), ("database", name)]);
            stream.write_all(&hello).unwrap();
            assert_eq!(Message::read(&mut stream).tag, b'R');
            stream.write_all(&message::password("wrong")).unwrap();
            assert_eq!(Message::read(&mut stream).tag, b'E');
        });
        support::eventually("the failure is noticed", || {
            pgusher.log().matches("why=\"wrong password\"").count() == 4
        });
        for _ in 0..5 {
            let mut client = pgusher.raw(name);
            assert_eq!(client.value("SELECT 1"), "1");
        }
        assert!(!guess.is_finished(), "they were not served meanwhile");
        guess.join().unwrap();
    });
});

// A4, A12: an address is blocked for all users, those that exist and those that do not, with the
// words of a wrong password; the same users come in from elsewhere.
both_versions!(an_address_is_blocked, |pg| {
    let database = within(pg);
    let name = database.name.as_str();
    let rules = "delay = 0\nblock_after = 3\nexempt = [\"127.0.0.1/32\"]";
    let pgusher = started(pg, rules, |it| {
        it.config("[console]\nadmin_users = [\"app\"]\n[http]\naddress = \"127.0.0.1:0\"")
    });
    let try_to =
        |from: &str, user: &str, password: &str| login(from, pgusher.port(), user, password, name);
    assert_eq!(try_to("127.0.0.2", "app", "wrong"), refused("app"));
    assert_eq!(try_to("127.0.0.2", "app", PASSWORD), "in");
    for user in ["app", "nobody", "app"] {
        assert_eq!(try_to("127.0.0.2", user, "wrong"), refused(user));
    }
    for user in ["app", "nobody"] {
        let said = try_to("127.0.0.2", user, PASSWORD);
        assert_eq!(said, format!("at once {}", refused(user)));
    }
    assert_eq!(try_to("127.0.0.3", "app", PASSWORD), "in");
    assert_eq!(try_to("127.0.0.1", "app", PASSWORD), "in");
    for _ in 0..5 {
        assert_eq!(try_to("127.0.0.1", "app", "wrong"), refused("app"));
    }
    assert_eq!(try_to("127.0.0.1", "app", PASSWORD), "in");
    let line = "an address is blocked: too many logins from there have failed address=127.0.0.2 seconds=600";
    assert_eq!(pgusher.log().matches(line).count(), 1, "{}", pgusher.log());
    assert_eq!(pgusher.log().matches("an address is blocked").count(), 1);
    // What holds is what the configuration says now.
    let mut console = pgusher.raw("pgusher");
    pgusher.write_config(
        &pgusher
            .config()
            .replace("block_after = 3", "block_after = 0"),
    );
    console.send(&query("RELOAD"));
    assert!(console.until_ready().iter().all(|it| it.tag != b'E'));
    assert_eq!(try_to("127.0.0.2", "app", PASSWORD), "in");
});

// A15
both_versions!(an_address_comes_too_often, |pg| {
    let (database, home) = (within(pg), TempDir::new());
    let socket = home.path().join("socket");
    let pgusher = started(pg, "exempt = [\"127.0.0.1/32\"]", |it| {
        it.listen("connections_per_second = 1\nconnection_burst = 3")
            .unix_socket(&socket)
            .config("[http]\naddress = \"127.0.0.1:0\"")
    });
    let began = Instant::now();
    let came = |from: &str| login(from, pgusher.port(), "app", PASSWORD, &database.name);
    let words: Vec<String> = (0..12).map(|_| came("127.0.0.2")).collect();
    let lasted = usize::try_from(began.elapsed().as_secs()).unwrap();
    let refused = "at once FATAL:53300: too many connections from this address";
    let let_in = words.iter().filter(|it| *it == "in").count();
    assert!(
        words.iter().all(|it| it == "in" || it == refused),
        "{words:?}"
    );
    assert!(
        (3..=4 + lasted).contains(&let_in),
        "{words:?} in {lasted} s"
    );
    assert_eq!(came("127.0.0.3"), "in");
    for _ in 0..10 {
        assert_eq!(came("127.0.0.1"), "in");
    }
});

#[test]
fn what_was_seen_is_counted() {
    let pg = support::postgres(support::Version::V15);
    let database = within(pg);
    let rules = "delay = 0\nblock_after = 2\nexempt = []";
    let pgusher = started(pg, rules, |it| {
        it.listen("connections_per_second = 1\nconnection_burst = 5")
            .config("[http]\naddress = \"127.0.0.1:0\"")
    });
    for _ in 0..8 {
        login("127.0.0.2", pgusher.port(), "app", "wrong", &database.name);
    }
    let (_, _, page) = pgusher.get("/metrics", "Host: x\r\n");
    let count = |name: &str| -> usize {
        let line = page.lines().find_map(|it| it.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert_eq!(count("pgusher_login_failures_total "), 2);
    assert_eq!(count("pgusher_login_blocks_total "), 1);
    let (blocked, refused) = (
        count("pgusher_logins_blocked_total "),
        count("pgusher_connections_refused_total "),
    );
    assert_eq!(blocked + refused, 6);
    assert!(refused >= 1, "{refused}");
}

/// The client that is refused because it is blocked is still a client that can cancel.
#[test]
fn who_is_in_stays_in() {
    let pg = support::postgres(support::Version::V18);
    let database = within(pg);
    let pgusher = started(pg, "delay = 0\nblock_after = 1\nexempt = []", |it| it);
    let mut client = Raw::login(pgusher.port(), "app", PASSWORD, &database.name);
    assert_eq!(
        login("127.0.0.1", pgusher.port(), "app", "wrong", &database.name),
        refused("app")
    );
    assert!(Raw::try_login(pgusher.port(), "app", PASSWORD, &database.name).is_err());
    client.send(&query("SELECT pg_sleep(1000)"));
    database.wait_for_running("pg_sleep", 1);
    client.cancel();
    assert!(client.until_ready().iter().any(|it| it.tag == b'E'));
}
