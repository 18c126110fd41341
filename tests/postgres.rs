//! The harness against PostgreSQL itself: what the scenarios hear there is what they must hear
//! from pgusher, and the tools of the tests do what their names say.

mod support;

use std::time::{Duration, Instant};

use support::{
    Line, Pgusher, Postgres, Raw, Version, both_versions, connect, eventually,
    message::{message, query, ssl_request, startup},
    patience,
    pgusher::listening_port,
    postgres::PASSWORD,
    raw::{V3_0, V3_2},
    scenarios, try_connect,
};

both_versions!(
    /// Every scenario hears what its table says.
    scenarios_hear_what_they_say,
    |pg| {
        let mut wrong = Vec::new();
        let database = pg.fresh_database();
        for scenario in scenarios::all() {
            database.wipe();
            let transcript = (scenario.run)(&mut database.raw());
            let expected = scenario.types(pg.version());
            if transcript.types() != expected {
                wrong.push(format!(
                    "{}:\n  expected {expected}\n  heard    {transcript}\n{transcript:?}",
                    scenario.name
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
);

both_versions!(
    /// Two runs are equal even where process numbers and OIDs are not.
    two_runs_are_equal,
    |pg| {
        let names = ["listen_and_notify", "error_after_rows", "several_statements"];
        for scenario in names.map(scenarios::named) {
            let (one, other) = (pg.fresh_database(), pg.fresh_database());
            assert_eq!((scenario.run)(&mut one.raw()), (scenario.run)(&mut other.raw()));
        }
        let mut client = pg.fresh_database().raw();
        client.rows("CREATE TABLE t (i int)");
        let first = client.ask(&query("SELECT i FROM t"));
        client.rows("DROP TABLE t; CREATE TABLE t (i int)");
        assert_eq!(client.ask(&query("SELECT i FROM t")), first);
        assert_ne!(client.ask(&query("SELECT i AS j FROM t")), first);
    }
);

both_versions!(
    /// Each user can log in the way it should, and not with a wrong password.
    logins,
    |pg| {
        let database = pg.fresh_database();
        for user in ["app", "app_md5", "app_clear", "app_trust"] {
            let mut client = Raw::login(pg.port(), user, PASSWORD, &database.name);
            assert_eq!(client.value("SELECT current_user"), user);
            let refused = Raw::try_login(pg.port(), user, "wrong", &database.name).err();
            let expected = (user != "app_trust").then_some("FATAL:28P01");
            let told = refused.as_deref().and_then(|text| text.split(": ").next());
            assert_eq!(told, expected, "{user}");
        }
        let refused = Raw::try_login(pg.port(), "app", PASSWORD, "nowhere").err();
        assert!(refused.expect("no such database").starts_with("FATAL:3D000"));
    }
);

both_versions!(
    /// Drivers connect too.
    a_driver_connects,
    async |pg| {
        let database = pg.fresh_database();
        let client = connect(&database.url()).await;
        let row = client.query_one("SELECT $1::int + 1", &[&41_i32]).await.expect("a row");
        assert_eq!(row.get::<_, i32>(0), 42);
        assert!(try_connect(&format!("{}_not", database.url())).await.is_err());
    }
);

both_versions!(
    /// A cancel ends what runs and nothing else.
    cancel,
    |pg| {
        let database = pg.fresh_database();
        let mut client = database.raw();
        let pid = client.backend_pid();
        client.send(&query("SELECT pg_sleep(600)"));
        let running =
            format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
        eventually("the query runs", || database.value(&running) == "1");
        client.cancel();
        assert_eq!(client.transcript().types(), "T E:57014 Z:I");
        client.cancel();
        assert_eq!(client.value("SELECT 'goes on'"), "goes on");
    }
);

/// Protocol 3.2 has longer keys, and who does not know it says what it knows (A8).
#[test]
fn protocol_3_2() {
    let login = |version, expected: &str| {
        let pg = support::postgres(version);
        let mut client = Raw::connect(pg.port());
        client.send(&startup(
            V3_2,
            &[("user", "app_trust"), ("database", "postgres")],
        ));
        let heard = client.transcript();
        let kinds: Vec<_> = heard
            .types()
            .split(' ')
            .filter(|kind| !kind.starts_with('S'))
            .map(String::from)
            .collect();
        assert_eq!(kinds.join(" "), expected, "{version:?}");
        client.key().1.len()
    };
    assert_eq!(login(Version::V15, "v R K Z:I"), 4);
    assert_eq!(login(Version::V18, "R K Z:I"), 32);
}

both_versions!(
    /// A longer key cancels as well, and the wrong one does nothing (B1).
    cancel_of_either_protocol,
    |pg| {
        let mut client = Raw::connect(pg.port());
        let version = if pg.version() == Version::V18 { V3_2 } else { V3_0 };
        client.send(&startup(version, &[("user", "app_trust"), ("database", "postgres")]));
        client.until_ready();
        let pid = client.key().0;
        client.send(&query("SELECT pg_sleep(600)"));
        let running =
            format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
        eventually("the query runs", || pg.value(&running) == "1");
        client.cancel();
        assert_eq!(client.transcript().types(), "T E:57014 Z:I");
    }
);

both_versions!(
    /// One byte answers an SSLRequest.
    no_tls_here,
    |pg| {
        let mut client = Raw::connect(pg.port());
        client.send(&ssl_request());
        assert_eq!(client.byte(), Some(b'N'));
        client.startup(&[("user", "app_trust"), ("database", "postgres")]);
        client.authenticate("app_trust", "").expect("a login");
    }
);

both_versions!(
    /// A killed backend tells its client, and only that one.
    kill_backend,
    |pg| {
        let database = pg.fresh_database();
        let (mut victim, mut other) = (database.raw(), database.raw());
        pg.kill_backend(victim.backend_pid());
        assert_eq!(victim.transcript_until_eof().types(), "FATAL:57P01 eof");
        assert_eq!(other.value("SELECT 1"), "1");
    }
);

/// A server of one's own can be stopped, killed and started again, on the same port.
#[test]
fn stop_and_kill_and_restart() {
    let pg = Postgres::own(Version::V15);
    let database = pg.fresh_database();
    let mut client = database.raw();
    pg.stop_fast();
    assert_eq!(client.transcript_until_eof().types(), "FATAL:57P01 eof");
    assert!(Raw::try_connect(pg.port()).is_err());
    pg.restart();
    let mut client = database.raw();
    pg.kill9();
    client.expect_eof();
    pg.restart();
    assert_eq!(database.raw().value("SELECT 1"), "1");
}

/// A stalled server keeps its connections and answers when it is resumed.
#[test]
fn stall_and_resume() {
    let pg = Postgres::own(Version::V18);
    let shared = support::postgres(Version::V18);
    let (mut client, mut witness) = (pg.fresh_database().raw(), shared.fresh_database().raw());
    pg.stall();
    client.send(&query("SELECT 1"));
    client.expect_silence(&mut witness);
    pg.resume();
    assert_eq!(client.transcript().types(), "T D C Z:I");
}

/// The server and its directory are gone when the value is.
#[test]
fn a_server_leaves_nothing_behind() {
    let pg = Postgres::own(Version::V15);
    let (home, port, pid) = (pg.socket_dir().to_owned(), pg.port(), pg.pid());
    assert!(home.join("data").is_dir());
    drop(pg);
    assert!(!home.exists());
    assert!(Raw::try_connect(port).is_err());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

fn over(line: &Line, database: &str) -> Raw {
    Raw::login(line.port(), "app", PASSWORD, database)
}

/// A line carries both ways and counts.
#[test]
fn line_carries_and_counts() {
    let pg = support::postgres(Version::V15);
    let database = pg.fresh_database();
    let line = Line::to(pg.port());
    let mut client = over(&line, &database.name);
    let (sent, received) = (line.bytes_to_target(), line.bytes_to_caller());
    client.ask(&query("SELECT repeat('x', 100000)"));
    assert_eq!(line.bytes_to_target() - sent, 32);
    assert!((100_000..100_200).contains(&(line.bytes_to_caller() - received)));
    assert_eq!((line.accepted(), line.open()), (1, 1));
    drop(client);
    eventually("the line is closed", || line.open() == 0);
}

/// A cut line resets both ends; a closed one ends them; either carries new connections.
#[test]
fn line_cut_and_closed() {
    let pg = support::postgres(Version::V15);
    let database = pg.fresh_database();
    let line = Line::to(pg.port());
    let mut client = over(&line, &database.name);
    let pid = client.backend_pid();
    let alive = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    line.cut();
    client.expect_eof();
    eventually("the backend noticed", || database.value(&alive) == "0");
    let mut client = over(&line, &database.name);
    line.close();
    client.expect_eof();
    assert_eq!(over(&line, &database.name).value("SELECT 1"), "1");
    assert_eq!(line.accepted(), 3);
}

/// A stalled line holds everything back and loses nothing.
#[test]
fn line_stalled() {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let line = Line::to(pg.port());
    let (mut client, mut witness) = (over(&line, &database.name), database.raw());
    line.stall();
    client.send(&query("SELECT 1"));
    client.expect_silence(&mut witness);
    line.resume();
    assert_eq!(client.transcript().types(), "T D C Z:I");
}

/// A slow line takes its time.
#[test]
fn line_delayed() {
    let pg = support::postgres(Version::V18);
    let line = Line::to(pg.port());
    let mut client = over(&line, &pg.fresh_database().name);
    line.delay(Duration::from_millis(40));
    let start = Instant::now();
    client.ask(&query("SELECT 1"));
    assert!(
        start.elapsed() >= Duration::from_millis(80),
        "{:?}",
        start.elapsed()
    );
}

/// A line can end in the middle of a row.
#[test]
fn line_ends_within_a_row() {
    let pg = support::postgres(Version::V15);
    let line = Line::to(pg.port());
    let mut client = over(&line, &pg.fresh_database().name);
    client.send(&query("SELECT 1"));
    client.until_ready();
    line.close_after(5_000);
    client.send(&query("SELECT repeat('x', 100000)"));
    client.expect("T");
    let error = client.try_next().expect_err("no whole row");
    assert!(
        error
            .to_string()
            .starts_with("the connection ended within a message: D"),
        "{error}"
    );
}

/// Nobody listens, and then somebody does again; old connections are not touched.
#[test]
fn line_refusing() {
    let pg = support::postgres(Version::V15);
    let database = pg.fresh_database();
    let line = Line::to(pg.port());
    let mut client = over(&line, &database.name);
    line.refuse();
    let refused = Raw::try_connect(line.port()).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(client.value("SELECT 1"), "1");
    line.accept();
    assert_eq!(over(&line, &database.name).value("SELECT 2"), "2");
}

/// Silence is told from an answer.
#[test]
fn silence_is_told_from_an_answer() {
    let database = support::postgres(Version::V15).fresh_database();
    let (mut client, mut witness) = (database.raw(), database.raw());
    client.expect_silence(&mut witness);
    client.send(&message(b'S', b""));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // The answer to a Sync comes at once, and surely within this many of the witness.
        for _ in 0..1_000 {
            client.expect_silence(&mut witness);
        }
    }));
    assert!(outcome.is_err());
}

/// The port is found in the log however the line is dressed, and only in a whole line.
#[test]
fn the_port_is_read_from_the_log() {
    let plain = "2026-01-01T00:00:00Z  INFO pgusher: listening address=127.0.0.1:40001 tls=off\n";
    assert_eq!(listening_port(plain), Some(40_001));
    let coloured = "INFO \u{1b}[2mpgusher\u{1b}[0m: listening \u{1b}[3maddress\u{1b}[0m\
                    \u{1b}[2m=\u{1b}[0m127.0.0.1:40002\n";
    assert_eq!(listening_port(coloured), Some(40_002));
    assert_eq!(
        listening_port("INFO listening address=\"127.0.0.1:40003\"\n"),
        Some(40_003)
    );
    assert_eq!(listening_port("INFO listening address=127.0.0.1:4"), None);
    assert_eq!(
        listening_port("INFO metrics address=127.0.0.1:40004\n"),
        None
    );
    assert_eq!(listening_port(""), None);
}

/// A pgusher that cannot start is told from one that is slow: at once, and with its log.
#[test]
fn a_pgusher_that_does_not_start() {
    let pg = support::postgres(Version::V15);
    let start = Instant::now();
    let started = Pgusher::in_front_of(pg)
        .config("[nonsense]\nkey = 1")
        .try_start();
    assert!(
        started.is_err(),
        "it started with a configuration that makes no sense"
    );
    assert!(start.elapsed() < patience());
}

/// `eventually` waits for what becomes true.
#[test]
fn eventually_waits() {
    assert!(patience() >= Duration::from_secs(1));
    let mut tries = 0;
    eventually("the third try", || {
        tries += 1;
        tries == 3
    });
    assert_eq!(tries, 3);
}
