//! Rules files: pgusher lets in whom PostgreSQL would, and asks for what it would ask for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use support::{
    Pgusher, Postgres, Raw, Version, both_versions, eventually,
    message::{query, startup},
    patience, postgres,
    postgres::PASSWORD,
    raw::V3_0,
    temp::TempDir,
};

/// What a server says first to somebody who comes from `from`: what it asks for, or why not.
fn first_words(from: &str, port: u16, user: &str, database: &str) -> String {
    let hello = startup(V3_0, &[("user", user), ("database", database)]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    socket.connect(&to.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience())).unwrap();
    stream.write_all(&hello).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut impl std::io::Read) -> String {
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let [tag, length @ ..] = head;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body).unwrap();
    let message = support::Message { tag, body };
    match tag {
        b'R' => format!("R:{}", message.body[3]),
        _ => format!("{}: {}", message.notation(), message.text()),
    }
}

/// As far as the rules go: whoever is let in without being asked may meet other troubles.
fn ruled(words: String) -> String {
    match words.starts_with("FATAL:28000") || words.starts_with("R:") {
        true => words,
        false => "R:0".to_owned(),
    }
}

/// Rules that both can read.
const RULES: [&str; 6] = [
    "host all all 127.0.0.1/32 trust\nhost all all 127.0.0.2/32 reject\n",
    "host db2 app 127.0.0.1/32 md5\nhost db1,db2 app,\"app_md5\" 127.0.0.0 255.255.255.254 password\nhost all app_md5 all scram-sha-256\n",
    "host sameuser all all trust\nhost \"sameuser\" all all md5\nhost db1 \"all\" all password\n",
    "hostssl all all all trust\nhostgssenc all all all trust\nhostnossl db1 all all md5\nhostnogssenc db2 all all password\n",
    "local all all trust\nhost all all ::/0 trust\nhost replication all all trust\nhost \"app\",, ,db1 \\\n app # more\n",
    "host db1 app all md5 # \"open\nhost \"db1\"\"\" all all trust\nhost all all 127.0.0.0/8 password\n",
];

/// And since PostgreSQL 16.
const NEWER: [&str; 2] = [
    "host /^db[2-9]$ all all trust\nhost all /app_ all password\nhost \"/^(app|db1)$\" app all md5\n",
    "include_if_exists nothing_of_this_name.conf\nhost db1 all all reject\nhost all all all trust\n",
];

/// The same rules in a server of its own, and in a pgusher.
fn compared(version: Version) {
    let server = Postgres::own(version);
    for database in ["db1", "db2", "app"] {
        server.sql(&format!("CREATE DATABASE {database}"));
    }
    let home = TempDir::new();
    let secrets = home.path().join("userlist.txt");
    let query = "SELECT string_agg(format('\"%s\" \"%s\"', rolname, rolpassword), E'\\n') FROM pg_authid WHERE rolcanlogin";
    fs::write(&secrets, server.value(query)).unwrap();
    let file = server.value("SHOW hba_file");
    let newer = NEWER.iter().filter(|_| version == Version::V18);
    for rules in RULES.iter().chain(newer) {
        // Somebody must be able to look after the server.
        let rules = format!("host postgres postgres 127.0.0.1/32 trust\n{rules}");
        // A line that PostgreSQL cannot read either.
        let rules = rules.replace(" app # more\n", " app 127.0.0.1/32 md5 # more\n");
        fs::write(&file, &rules).unwrap();
        let wrong = "SELECT coalesce(string_agg(error, ','), '') FROM pg_hba_file_rules WHERE error NOT LIKE '%cannot match%'";
        assert_eq!(server.value(wrong), "", "{rules}");
        let loaded = server.value("SELECT pg_conf_load_time()");
        server.sql("SELECT pg_reload_conf()");
        eventually("the server has read the rules", || {
            server.value("SELECT pg_conf_load_time()") != loaded
        });
        let own = home.path().join("pg_hba.conf");
        fs::write(&own, &rules).unwrap();
        let pgusher = Pgusher::in_front_of(&server)
            .userlist(&secrets)
            .auth(&format!("scram-sha-256\"\nhba = \"{}", own.display()))
            .start();
        for from in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            for user in ["app", "app_clear"] {
                for database in ["db1", "db2", "app"] {
                    let theirs = first_words(from, server.port(), user, database);
                    let ours = first_words(from, pgusher.port(), user, database);
                    assert_eq!(
                        ruled(ours),
                        ruled(theirs),
                        "{rules}\n{from} {user} {database}"
                    );
                }
            }
        }
    }
}

#[test]
fn as_postgresql_15() {
    compared(Version::V15);
}

#[test]
fn as_postgresql_18() {
    compared(Version::V18);
}

/// A pgusher with these rules in a file of its own.
fn with_rules(pg: &Postgres, home: &TempDir, rules: &str) -> support::pgusher::Builder {
    let file = home.path().join("rules");
    fs::write(&file, rules).unwrap();
    Pgusher::in_front_of(pg).auth(&format!("scram-sha-256\"\nhba = \"{}", file.display()))
}

both_versions!(rules_are_read_again, |pg| {
    let (database, home) = (pg.fresh_database(), TempDir::new());
    let rules = "host all app all password\nhost pgusher,app all 127.0.0.2/32 trust\n";
    let pgusher = with_rules(pg, &home, rules)
        .config("[console]\nadmin_users = [\"app\"]")
        .start();
    let asked = |from: &str, user: &str| first_words(from, pgusher.port(), user, &database.name);
    assert_eq!(asked("127.0.0.1", "app"), "R:3");
    let mut console = pgusher.raw("pgusher");
    let mut client = pgusher.raw(&database.name);
    let mut reload = |rules: &str| {
        fs::write(home.path().join("rules"), rules).unwrap();
        console.send(&query("RELOAD"));
        let answer = console.until_ready();
        let error = answer.iter().find(|it| it.tag == b'E');
        error.map(|it| format!("{:?}", it.fields()))
    };
    // What is wrong changes nothing.
    let error = reload("host all app all reject\nhost all all all magic\n").unwrap();
    assert!(
        error.contains("line 2, column 18: \\\"magic\\\" is no method"),
        "{error}"
    );
    assert_eq!(asked("127.0.0.1", "app"), "R:3");
    assert_eq!(reload("host all app 127.0.0.2/32 md5\n"), None);
    let refused = format!(
        "FATAL:28000: no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"{}\", no encryption",
        database.name
    );
    assert_eq!(asked("127.0.0.1", "app"), refused);
    assert_eq!(asked("127.0.0.2", "app"), "R:5");
    // Who is in stays in.
    assert_eq!(client.value("SELECT 1"), "1");
    // The console has its name, as any database.
    assert_eq!(reload("host pgusher app all md5\n"), None);
    assert_eq!(
        first_words("127.0.0.1", pgusher.port(), "app", "pgusher"),
        "R:5"
    );
    assert!(asked("127.0.0.1", "app").starts_with("FATAL:28000"));
    pgusher.wait_for_log("kind=\"NoRule\"");
});

both_versions!(sockets_and_tenants, |pg| {
    let (database, home) = (pg.fresh_database(), TempDir::new());
    let socket = home.path().join("socket");
    let rules = "local all app trust\nhost all other all trust\nhost sameuser app all md5\n";
    let pgusher = with_rules(pg, &home, rules)
        .unix_socket(&socket)
        .config("[users.other]\n[tenant]\nsetting = \"app.tenant_id\"\nsources = [\"user\"]")
        .start();
    let local = |user: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        let hello = startup(V3_0, &[("user", user), ("database", &database.name)]);
        stream.write_all(&hello).unwrap();
        answer(&mut stream)
    };
    // The user counts, whoever the tenant is.
    assert_eq!(local("app.acme"), "R:0");
    assert_eq!(
        local("other.acme"),
        format!(
            "FATAL:28000: no pg_hba.conf entry for host \"[local]\", user \"other\", database \"{}\", no encryption",
            database.name
        )
    );
    let mut raw = Raw::connect(pgusher.port());
    raw.startup(&[("user", "app.acme")]);
    assert_eq!(
        raw.next().body[3],
        5,
        "the database is the user's, not the tenant's"
    );
});

// A4: whether there is a user, or a database, a rule does not tell.
both_versions!(rules_tell_nobody_who_exists, |pg| {
    let home = TempDir::new();
    let pgusher = with_rules(pg, &home, "host all all 127.0.0.1/32 scram-sha-256\n").start();
    for (user, database) in [("app", "nothing"), ("nobody", "postgres")] {
        assert_eq!(
            first_words("127.0.0.1", pgusher.port(), user, database),
            "R:10"
        );
        let words = first_words("127.0.0.2", pgusher.port(), user, database);
        assert!(
            words.starts_with("FATAL:28000: no pg_hba.conf entry"),
            "{words}"
        );
    }
    let error = Raw::try_login(pgusher.port(), "nobody", PASSWORD, "postgres").unwrap_err();
    assert_eq!(
        error,
        "FATAL:28P01: password authentication failed for user \"nobody\""
    );
});

#[test]
fn wrong_rules_do_not_start() {
    let (pg, home) = (postgres(Version::V15), TempDir::new());
    let log = with_rules(pg, &home, "host all +admins all md5\nhost all\n")
        .try_start()
        .unwrap_err();
    assert!(
        log.contains("line 1, column 10: members of a role"),
        "{log}"
    );
    assert!(
        log.contains("line 2, column 6: the line ends before the users"),
        "{log}"
    );
    let missing = Path::new("/nowhere/pg_hba.conf");
    let log = Pgusher::in_front_of(pg)
        .auth(&format!("md5\"\nhba = \"{}", missing.display()))
        .try_start()
        .unwrap_err();
    assert!(log.contains("which does not exist"), "{log}");
}
