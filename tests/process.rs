//! The process: how it stops, how it starts without a file, and what its exit codes say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::{
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
};

use support::{
    Database, Pgusher, Postgres, Raw, Version, both_versions, eventually,
    message::{query, ssl_request},
    patience,
    pgusher::eventually_refused,
    postgres::PASSWORD,
    temp::TempDir,
};

fn connections(database: &Database<'_>) -> String {
    database.server.value(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
        database.name
    ))
}

both_versions!(
    /// H2: on SIGTERM an open transaction goes on to its end, who idles is told and closed, nobody
    /// comes in any more, and then the process ends well.
    sigterm_lets_transactions_finish,
    |pg| {
        for signal in ["TERM", "INT"] {
            let database = pg.fresh_database();
            database.sql("CREATE TABLE t (n int); GRANT ALL ON t TO app");
            let mut pgusher = Pgusher::in_front_of(pg).start();
            let (mut idle, mut used) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
            used.rows("SELECT 1");
            let mut open = pgusher.raw(&database.name);
            open.rows("BEGIN; INSERT INTO t VALUES (1)");
            pgusher.signal(signal);
            for client in [&mut idle, &mut used] {
                assert_eq!(client.transcript_until_eof().types(), "FATAL:57P01 eof");
            }
            eventually_refused(pgusher.port());
            assert!(pgusher.is_running());
            open.rows("INSERT INTO t VALUES (2)");
            assert_eq!(open.ask(&query("COMMIT")).types(), "C Z:I");
            assert_eq!(open.transcript_until_eof().types(), "FATAL:57P01 eof");
            assert_eq!(pgusher.wait_exit(patience()).code(), Some(0), "{signal}");
            assert_eq!(database.value("SELECT count(*) FROM t"), "2");
            eventually("no server connection is left", || connections(&database) == "0");
        }
    }
);

both_versions!(
    /// H2: a statement that runs is not cut off, and its rows arrive.
    sigterm_lets_statements_finish,
    |pg| {
        let database = pg.fresh_database();
        let mut pgusher = Pgusher::in_front_of(pg).start();
        let mut idle = pgusher.raw(&database.name);
        let mut running = pgusher.raw(&database.name);
        running.send(&query("SELECT pg_sleep(0.5); SELECT generate_series(1, 1000)"));
        let sleeping = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = '{}' AND wait_event = 'PgSleep'",
            database.name
        );
        eventually("the query runs", || pg.value(&sleeping) == "1");
        pgusher.terminate();
        assert_eq!(idle.transcript_until_eof().types(), "FATAL:57P01 eof");
        let heard = running.transcript_until_eof().types();
        assert_eq!(heard, "T D C T D*1000 C Z:I FATAL:57P01 eof");
        assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
    }
);

both_versions!(
    /// H2: a request that waits already is still served, and answered.
    sigterm_while_somebody_waits,
    |pg| {
        let database = pg.fresh_database();
        database.sql("CREATE TABLE t (n int); GRANT ALL ON t TO app");
        let mut pgusher = Pgusher::in_front_of(pg)
            .pool_size(1)
            .config("[runtime]\nworkers = 1")
            .start();
        let (mut idle, mut waiting) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut open = pgusher.raw(&database.name);
        open.rows("BEGIN");
        waiting.send(&query("INSERT INTO t VALUES (1)"));
        let mut witness = Raw::connect(pgusher.port());
        witness.send(&ssl_request());
        assert_eq!(witness.byte(), Some(b'N'));
        drop(witness);
        pgusher.terminate();
        assert_eq!(idle.transcript_until_eof().types(), "FATAL:57P01 eof");
        open.rows("COMMIT");
        assert_eq!(waiting.transcript_until_eof().types(), "C Z:I FATAL:57P01 eof");
        assert_eq!(database.value("SELECT count(*) FROM t"), "1");
        assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
    }
);

both_versions!(
    /// H2: the second signal does not wait; what was open is rolled back.
    a_second_sigterm,
    |pg| {
        let database = pg.fresh_database();
        database.sql("CREATE TABLE t (n int); GRANT ALL ON t TO app");
        let mut pgusher = Pgusher::in_front_of(pg).start();
        let mut idle = pgusher.raw(&database.name);
        let mut open = pgusher.raw(&database.name);
        open.rows("BEGIN; INSERT INTO t VALUES (1)");
        pgusher.terminate();
        assert_eq!(idle.transcript_until_eof().types(), "FATAL:57P01 eof");
        assert!(pgusher.is_running());
        pgusher.terminate();
        assert_eq!(pgusher.wait_exit(patience()).code(), Some(0));
        assert!(open.transcript_until_eof().types().ends_with("eof"));
        eventually("the backend is gone", || connections(&database) == "0");
        assert_eq!(database.value("SELECT count(*) FROM t"), "0");
    }
);

both_versions!(
    /// H2, A15: nobody who has not logged in holds up the end, and without anybody it is at once.
    sigterm_waits_for_no_stranger,
    |pg| {
        let database = pg.fresh_database();
        for strangers in [0, 3] {
            let mut pgusher = Pgusher::in_front_of(pg)
                .auth("scram-sha-256")
                .config("[timeouts]\nclient_login_timeout = \"off\"")
                .start();
            drop(pgusher.raw(&database.name));
            let mut standing: Vec<Raw> =
                (0..strangers).map(|_| Raw::connect(pgusher.port())).collect();
            for (nth, client) in standing.iter_mut().enumerate() {
                client.send(&ssl_request());
                assert_eq!(client.byte(), Some(b'N'));
                if nth > 0 {
                    client.startup(&[("user", "app"), ("database", &database.name)]);
                    client.expect("R");
                }
            }
            pgusher.terminate();
            let status = pgusher.wait_exit(patience() / 2);
            assert_eq!(status.code(), Some(0), "{strangers} strangers");
        }
    }
);

fn pgusher(args: &[&str], database_url: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgusher"));
    command
        .args(args)
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG");
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    command
}

/// Code, standard output and standard error.
fn ended(mut command: Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("pgusher starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A URL is enough: clients log in with the user and the password that stand in it. One test for
/// both versions, because only one can have the address that is promised.
#[test]
fn serve_with_a_url_only() {
    for version in [Version::V15, Version::V18] {
        serves_with_a_url_only(support::postgres(version));
    }
}

fn serves_with_a_url_only(pg: &Postgres) {
    const PORT: u16 = 6432;
    let database = pg.fresh_database();
    let free = TcpListener::bind(("127.0.0.1", PORT)).is_ok();
    if !free {
        // Somebody else's: then it must say so, and not serve anybody.
        let (code, _, said) = ended(pgusher(&["serve"], Some(&database.url())));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("cannot listen on 127.0.0.1:6432"), "{said}");
        return;
    }
    let child = pgusher(&["serve"], Some(&database.url()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pgusher starts");
    let mut running = Running(child);
    let mut client = None;
    eventually("somebody is let in", || {
        client = Raw::try_login(PORT, "app", PASSWORD, &database.name).ok();
        client.is_some() || running.0.try_wait().is_ok_and(|status| status.is_some())
    });
    let mut client = client.expect("pgusher serves");
    assert_eq!(client.value("SELECT current_database()"), database.name);
    let wrong = Raw::try_login(PORT, "app", "wrong", &database.name).err();
    assert!(wrong.expect("refused").starts_with("FATAL:28P01"));
    drop(client);
    support::postgres::signal("TERM", &[running.0.id()]);
    let mut code = None;
    eventually("it ends", || {
        code = running.0.try_wait().expect("its own child");
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(0));
}

/// Exit codes: 0 is right, 2 is a wrong configuration or command line, with its line.
#[test]
fn check_says_what_is_wrong() {
    let home = TempDir::new();
    let file = home.path().join("pgusher.toml");
    let path = file.display().to_string();
    let check = |toml: &str| {
        std::fs::write(&file, toml).expect("a file");
        ended(pgusher(&["check", "--config", &path], None))
    };
    let right = "[users.app]\npassword = \"secret\"\n\
                 [databases.app]\nurl = \"postgres://app:hidden@127.0.0.1/app?sslmode=disable\"\n";
    let ok = format!("{path}: ok\n");
    assert_eq!(check(right), (Some(0), ok.clone(), String::new()));

    let (code, out, said) = check(&format!(
        "{right}pool_sise = 5\npool_mode = \"statement\"\n"
    ));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        said.contains(&format!("{path}:5:")) && said.contains("pool_size"),
        "{said}"
    );
    assert!(said.contains(&format!("{path}:6:")), "{said}");
    assert!(!said.contains("hidden"), "{said}");

    let (code, out, said) = check("[listen\n");
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    let (code, out, said) = check(&format!(
        "{right}[auth]\nmethod = \"trust\"\n[listen]\naddress = \"0.0.0.0:1\""
    ));
    assert_eq!((code, out), (Some(0), ok));
    assert!(said.starts_with("pgusher: warning: "), "{said}");
}

/// Without a configuration there is nothing to check and nothing to serve.
#[test]
fn nothing_to_go_by() {
    let missing = "/nowhere/pgusher.toml";
    for verb in ["check", "serve"] {
        let (code, out, said) = ended(pgusher(&[verb], None));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{verb}");
        assert!(
            said.contains("--config") && said.contains("DATABASE_URL"),
            "{said}"
        );
        let (code, out, said) = ended(pgusher(&[verb, "--config", missing], None));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{verb}");
        assert_eq!(
            said,
            format!("pgusher: {missing}: the file does not exist\n")
        );
        let (code, _, said) = ended(pgusher(&[verb], Some("mysql://app:hidden@host/app")));
        assert_eq!(code, Some(2), "{verb}");
        assert!(!said.contains("hidden"), "{said}");
    }
    let url = Some("postgres://app:hidden@127.0.0.1/app?sslmode=disable");
    let (code, out, said) = ended(pgusher(&["check"], url));
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "DATABASE_URL: ok\n"),
        "{said}"
    );
    assert_eq!(ended(pgusher(&["no-such-verb"], None)).0, Some(2));
    assert_eq!(ended(pgusher(&["--version"], None)).0, Some(0));
}

/// An address that is taken is a failure of running, not of the configuration.
#[test]
fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = TempDir::new();
    let file = home.path().join("pgusher.toml");
    let address = taken.local_addr().expect("its address");
    let toml = format!(
        "[listen]\naddress = \"{address}\"\n[users.app]\npassword = \"x\"\n\
         [databases.app]\nurl = \"postgres://app:x@127.0.0.1/app?sslmode=disable\"\n"
    );
    std::fs::write(&file, toml).expect("a file");
    let path = file.display().to_string();
    let (code, _, said) = ended(pgusher(&["serve", "--config", &path], None));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
}
