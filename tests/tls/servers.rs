//! The way to the server: each mode, against a server that has TLS and one that has none.

use crate::support::{
    self, Authority, Pgusher, Postgres, Raw, Version, certs::Files, eventually, message,
    postgres::PASSWORD,
};

/// Who is connected to the server as `app`, with TLS or without; with which certificate.
const SEEN: &str = "SELECT ssl, coalesce(client_dn, '-') FROM pg_stat_ssl \
                    JOIN pg_stat_activity USING (pid) WHERE usename = 'app'";

struct Stage {
    pg: Postgres,
    authority: Authority,
}

impl Stage {
    fn new(version: Version) -> Self {
        let authority = Authority::new();
        let pg = Postgres::own(version);
        let files = authority.server("server", &["localhost", "127.0.0.1"]);
        pg.encrypt(&files, &authority.ca());
        Self { pg, authority }
    }

    fn ca(&self) -> String {
        self.authority.ca().display().to_string()
    }

    /// What the server sees of us, or what the client hears.
    fn seen(&self, parameters: &str) -> Result<String, String> {
        seen(&self.pg, parameters)
    }
}

fn seen(pg: &Postgres, parameters: &str) -> Result<String, String> {
    let pgusher = Pgusher::in_front_of(pg).upstream_tls(parameters).start();
    let login = Raw::try_login(pgusher.port(), "app", "", "postgres");
    let mut client = login.map_err(|error| error.to_string())?;
    let _ = client.value("SELECT 1");
    let rows = pg.sql(SEEN);
    let text = |row: &Vec<Option<String>>| {
        let fields = row.iter().map(|it| it.clone().unwrap_or_default());
        fields.collect::<Vec<_>>().join(" ")
    };
    Ok(rows.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn all_modes(version: Version) {
    let stage = Stage::new(version);
    let (ca, stranger) = (stage.ca(), Authority::new());
    let unknown = stranger.ca().display().to_string();
    for (parameters, expected) in [
        ("sslmode=disable".to_owned(), Some("f -")),
        ("sslmode=allow".to_owned(), Some("f -")),
        (String::new(), Some("t -")),
        ("sslmode=prefer".to_owned(), Some("t -")),
        ("sslmode=require".to_owned(), Some("t -")),
        (format!("sslmode=require&sslrootcert={ca}"), Some("t -")),
        (format!("sslmode=require&sslrootcert={unknown}"), None),
        (format!("sslmode=verify-ca&sslrootcert={ca}"), Some("t -")),
        (format!("sslmode=verify-ca&sslrootcert={unknown}"), None),
        (format!("sslmode=verify-full&sslrootcert={ca}"), Some("t -")),
        (format!("sslmode=verify-full&sslrootcert={unknown}"), None),
    ] {
        let got = stage.seen(&parameters);
        let is = got.as_deref().ok();
        assert_eq!(is, expected, "{parameters}: {got:?}");
    }
    // The same connections end with the server's TLS.
    let other = stage.authority.server("other", &["db.example.com"]);
    stage.pg.encrypt(&other, &stage.authority.ca());
    let full = stage.seen(&format!("sslmode=verify-full&sslrootcert={ca}"));
    assert!(
        full.clone().unwrap_err().contains("not valid for"),
        "{full:?}"
    );
    let chain = stage.seen(&format!("sslmode=verify-ca&sslrootcert={ca}"));
    assert_eq!(chain.as_deref(), Ok("t -"));
}

#[test]
fn each_mode_does_what_libpq_would_pg15() {
    all_modes(Version::V15);
}

#[test]
fn each_mode_does_what_libpq_would_pg18() {
    all_modes(Version::V18);
}

#[test]
fn a_server_without_tls_is_used_only_by_those_who_do_not_insist() {
    // Of its own: on a shared one others are seen, too.
    let pg = Postgres::own(Version::V15);
    assert_eq!(seen(&pg, "sslmode=prefer").as_deref(), Ok("f -"));
    assert_eq!(seen(&pg, "sslmode=allow").as_deref(), Ok("f -"));
    let refused = seen(&pg, "sslmode=require").unwrap_err();
    assert!(
        refused.contains("it has no TLS, and sslmode asks for it"),
        "{refused}"
    );
}

#[test]
fn a_certificate_of_ours_is_shown_to_a_server_that_asks() {
    let stage = Stage::new(Version::V18);
    let Files { cert, key } = stage.authority.client("ours", "app");
    stage.pg.let_in("hostssl all app all cert");
    let with = format!(
        "sslmode=require&sslcert={}&sslkey={}",
        cert.display(),
        key.display()
    );
    assert_eq!(stage.seen(&with).as_deref(), Ok("t /CN=app"));
    assert!(stage.seen("sslmode=require").is_err());
}

#[test]
fn modes_that_leave_it_open_try_the_other_way() {
    let stage = Stage::new(Version::V15);
    stage.pg.let_in("hostssl all app all scram-sha-256");
    assert_eq!(stage.seen("sslmode=allow").as_deref(), Ok("t -"));
    assert!(stage.seen("sslmode=disable").is_err());
    stage.pg.let_in("hostnossl all app all scram-sha-256");
    assert_eq!(stage.seen("sslmode=prefer").as_deref(), Ok("f -"));
    assert!(stage.seen("sslmode=require").is_err());
}

#[test]
fn the_handshake_begins_at_once_where_the_url_says_so() {
    let stage = Stage::new(Version::V18);
    let direct = "sslmode=require&sslnegotiation=direct";
    assert_eq!(stage.seen(direct).as_deref(), Ok("t -"));
    let old = Stage::new(Version::V15);
    assert!(old.seen(direct).is_err());
}

// B1
#[test]
fn cancel_requests_are_encrypted_too() {
    let stage = Stage::new(Version::V18);
    let pgusher = Pgusher::in_front_of(&stage.pg)
        .upstream_tls(&format!("sslmode=verify-full&sslrootcert={}", stage.ca()))
        .start();
    // Nothing gets in without TLS.
    let mut client = pgusher.raw("postgres");
    client.send(&message::query("SELECT pg_sleep(60)"));
    eventually("it runs", || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
        stage.pg.value(running) == "1"
    });
    client.cancel();
    let told = client.transcript().to_string();
    assert!(told.contains("57014"), "{told}");
}

#[test]
fn results_and_copies_of_any_size_pass() {
    let stage = Stage::new(Version::V15);
    let files = stage.authority.server("ours", &["localhost"]);
    let pgusher = Pgusher::in_front_of(&stage.pg)
        .auth("scram-sha-256")
        .upstream_tls("sslmode=require")
        .tls(&files, "mode = \"require\"")
        .start();
    let sum = "SELECT count(*), sum(length(t)) FROM (SELECT repeat('x', n % 50000) AS t FROM generate_series(1, 3000) n) s";
    let direct = stage.pg.sql(sum);
    let text = crate::psql(
        &pgusher,
        "sslmode=require",
        "SELECT repeat('x', n % 50000) FROM generate_series(1, 3000) n",
    );
    let lines: Vec<usize> = text.unwrap().lines().map(str::len).collect();
    let expected = |at: usize| direct[0][at].clone().unwrap();
    assert_eq!(lines.len().to_string(), expected(0));
    assert_eq!(lines.iter().sum::<usize>().to_string(), expected(1));

    let psql = support::postgres::psql().unwrap();
    let place = format!(
        "hostaddr=127.0.0.1 port={} dbname=postgres user=app password={PASSWORD} sslmode=require",
        pgusher.port()
    );
    let data: String = (0..20_000)
        .map(|n| format!("{n}\t{}\n", "y".repeat(n % 900)))
        .collect();
    let path = stage.authority.home().join("data");
    std::fs::write(&path, &data).unwrap();
    let copy = format!("\\copy big from '{}'", path.display());
    let loaded = std::process::Command::new(psql)
        .args([
            "-XAtq",
            "-c",
            "CREATE TEMP TABLE big (n int, t text)",
            "-c",
            &copy,
        ])
        .args(["-c", "SELECT count(*), sum(length(t)) FROM big", &place])
        .output()
        .unwrap();
    let total: usize = (0..20_000).map(|n| n % 900).sum();
    assert_eq!(
        String::from_utf8_lossy(&loaded.stdout).trim(),
        format!("20000|{total}"),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
}

// A10
fn bound(version: Version) {
    let stage = Stage::new(version);
    stage
        .pg
        .let_in("hostssl all app all scram-sha-256\nhostssl all app_md5 all md5");
    for (binding, mode, works) in [
        ("require", "require", true),
        ("prefer", "require", true),
        ("disable", "require", true),
    ] {
        let parameters = format!("sslmode={mode}&channel_binding={binding}");
        let got = stage.seen(&parameters);
        assert_eq!(got.is_ok(), works, "{parameters}: {got:?}");
    }
    // Who must bind does not log in otherwise.
    stage.pg.let_in("host all app all password");
    for parameters in [
        "sslmode=require&channel_binding=require",
        "sslmode=disable&channel_binding=require",
    ] {
        let got = stage.seen(parameters).unwrap_err();
        assert!(
            got.contains("channel_binding=require"),
            "{parameters}: {got}"
        );
    }
    stage.pg.let_in("host all app all trust");
    let got = stage
        .seen("sslmode=require&channel_binding=require")
        .unwrap_err();
    assert!(got.contains("channel_binding=require"), "{got}");
}

#[test]
fn logins_are_bound_to_the_connection_pg15() {
    bound(Version::V15);
}

#[test]
fn logins_are_bound_to_the_connection_pg18() {
    bound(Version::V18);
}

#[test]
fn a_server_that_dies_while_it_is_written_to_is_lost_and_nothing_spins() {
    let stage = Stage::new(Version::V15);
    let pgusher = Pgusher::in_front_of(&stage.pg)
        .upstream_tls("sslmode=require")
        .config("[runtime]\nworkers = 1")
        .pool_size(1)
        .start();
    let mut client = pgusher.raw("postgres");
    client.send(&message::query(
        "CREATE TEMP TABLE t (v text); COPY t FROM STDIN",
    ));
    let _ = client.until(b'G');
    let backend: i32 = stage
        .pg
        .value(
            "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND query LIKE 'CREATE TEMP%'",
        )
        .parse()
        .unwrap();
    // It reads nothing any more, so what is sent is left over at last.
    let pid = u32::try_from(backend).unwrap();
    support::postgres::signal("STOP", &[pid]);
    let data = message::message(b'd', &[b'x'; 8000]);
    let mut stream = client.stream();
    stream
        .set_write_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();
    while std::io::Write::write_all(&mut stream, &data).is_ok() {}
    support::postgres::signal("KILL", &[pid]);
    // The server restarts its processes; others are served by the only place of the pool.
    eventually("somebody else is served", || {
        let login = Raw::try_login(pgusher.port(), "app", "", "postgres");
        login.is_ok_and(|mut other| other.value("SELECT 42") == "42")
    });
    let before = pgusher.processor_time("");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let busy = pgusher.processor_time("") - before;
    assert!(
        busy < std::time::Duration::from_millis(250),
        "{busy:?} of processor time in half a second of rest"
    );
}
