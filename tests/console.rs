//! The console: who may come, what is answered in both protocols, and that psql and a driver like it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as expected ends the test"
)]

mod support;

use std::process::{Command, Output};

use support::{
    Message, Pgusher, Raw, Version, block_on, connect,
    message::{
        bind, bind_formats, close, copy_data, describe, execute, extended, flush, function_call,
        message, parse, query, sync, terminate,
    },
    patience,
    pgusher::Builder,
    postgres::{PASSWORD, psql},
};

const CONFIG: &str = r#"
[console]
admin_users = ["admin", "app.acme"]
stats_users = ["stats"]
[users.admin]
password = "a"
[users.stats]
password = "s"
[tenant]
setting = "app.tenant_id"
[limits.tiers.pro]
transactions_per_second = 100
burst = 200
server_time_per_second = "500ms"
max_delay = "1s"
max_servers = 5
weight = 3
"#;

fn builder() -> Builder {
    let pg = support::postgres(Version::V18);
    Pgusher::in_front_of(pg).auth("scram-sha-256")
}

fn pgusher() -> Pgusher {
    builder().config(CONFIG).start()
}

fn admin(pgusher: &Pgusher) -> Raw {
    Raw::login(pgusher.port(), "admin", "a", "pgusher")
}

fn stats(pgusher: &Pgusher) -> Raw {
    Raw::login(pgusher.port(), "stats", "s", "pgbouncer")
}

/// What is not what the client asked for: the SQLSTATE, the message and the hint.
fn told(messages: &[Message]) -> (String, String, String) {
    let error = messages.iter().find(|message| message.tag == b'E').unwrap();
    (
        error.sqlstate(),
        error.text(),
        error.field(b'H').unwrap_or_default(),
    )
}

fn refused(client: &mut Raw, sql: &str) -> (String, String, String) {
    client.send(&query(sql));
    let messages = client.until_ready();
    assert_eq!(messages[0].field(b'V').as_deref(), Some("ERROR"), "{sql}");
    assert_eq!(messages.len(), 2, "{sql}");
    told(&messages)
}

/// Some columns of `SHOW TENANTS`, one line for each row.
fn tenants(client: &mut Raw) -> Vec<String> {
    let rows = client.rows("SHOW TENANTS").into_iter();
    let line = |row: Vec<Option<String>>| {
        let row: Vec<String> = row.into_iter().map(Option::unwrap).collect();
        assert_eq!(row.len(), 11);
        row[..4].join(" ")
    };
    rows.map(line).collect()
}

// A7
#[test]
fn only_those_who_are_listed_come_in() {
    let pgusher = pgusher();
    let port = pgusher.port();
    let login = |user: &str, password: &str, database: &str| {
        Raw::try_login(port, user, password, database).map(drop)
    };
    for database in ["pgusher", "pgbouncer"] {
        assert_eq!(login("admin", "a", database), Ok(()));
        assert_eq!(login("stats", "s", database), Ok(()));
        let refusal = login("app", PASSWORD, database).unwrap_err();
        assert_eq!(refusal, "FATAL:42501: user \"app\" may not use the console");
        // Before anybody is told that they may not, they show who they are.
        for (user, password) in [("app", "wrong"), ("admin", "wrong"), ("nobody", "a")] {
            let refusal = login(user, password, database).unwrap_err();
            assert!(refusal.starts_with("FATAL:28P01: "), "{refusal}");
        }
        // A tenant in the name: rights are a user's, even if somebody has listed that name.
        for (user, password) in [("admin.acme", "a"), ("app.acme", PASSWORD)] {
            let refusal = login(user, password, database).unwrap_err();
            assert!(refusal.starts_with("FATAL:42501: "), "{refusal}");
        }
    }
    pgusher.wait_for_log("a visitor came to the console");
}

#[test]
fn a_database_of_that_name_goes_first() {
    let pg = support::postgres(Version::V18);
    let url = format!(
        "postgres://app:{PASSWORD}@127.0.0.1:{}/postgres?sslmode=disable",
        pg.port()
    );
    let pgusher = builder()
        .config("[console]\nstats_users = [\"app\"]")
        .config(&format!("[databases.pgbouncer]\nurl = \"{url}\""))
        .start();
    let mut database = pgusher.raw("pgbouncer");
    assert_eq!(database.value("SELECT current_database()"), "postgres");
    let mut console = pgusher.raw("pgusher");
    assert!(console.value("SHOW VERSION").starts_with("pgusher "));
}

#[test]
fn without_users_there_is_no_console() {
    for console in ["", "[console]"] {
        let pgusher = builder().only("app").config(console).start();
        let refusal = Raw::try_login(pgusher.port(), "app", PASSWORD, "pgusher");
        assert_eq!(
            refusal.unwrap_err(),
            "FATAL:3D000: database \"pgusher\" does not exist"
        );
    }
}

// A7
#[test]
fn who_may_look_changes_nothing() {
    let pgusher = pgusher();
    let mut stats = stats(&pgusher);
    for sql in [
        "SUSPEND TENANT acme",
        "RESUME TENANT acme",
        "KILL TENANT acme",
        "SET TENANT acme tier = 'pro'",
        "SUSPEND USER app",
        "kill user app",
        // What stands in front of it is done, what stands behind it is not.
        "/* SHOW TENANTS */ SUSPEND TENANT acme; SHOW TENANTS",
    ] {
        let (code, message, hint) = refused(&mut stats, sql);
        assert_eq!(code, "42501", "{sql}");
        assert!(message.starts_with("permission denied to "), "{message}");
        assert_eq!(hint, "It takes one of the admin_users in [console].");
    }
    let suspend = [extended("SUSPEND TENANT acme", &[]), sync()].concat();
    assert_eq!(stats.ask(&suspend).types(), "1 2 n E:42501 Z:I");
    assert_eq!(tenants(&mut stats), Vec::<String>::new());
    assert!(stats.rows("SHOW HELP").len() > 25);
    assert_eq!(
        stats.ask(&query("SET extra_float_digits = 3")).types(),
        "C Z:I"
    );
    assert!(!pgusher.log_contains("done on the console"));
}

#[test]
fn tenants_are_suspended_resumed_and_given_tiers() {
    let pgusher = pgusher();
    let mut admin = admin(&pgusher);
    let done = |admin: &mut Raw, sql: &str, tag: &str| {
        admin.send(&query(sql));
        let messages = admin.until_ready();
        assert_eq!(messages[0].command(), tag, "{sql}");
        assert_eq!(messages.len(), 2, "{sql}");
    };
    // Before it has ever been here.
    done(&mut admin, "SUSPEND TENANT acme;", "SUSPEND");
    done(&mut admin, "set tenant 'Acme' tier = 'pro'", "SET");
    done(&mut admin, "SET USER app tier TO pro", "SET");
    let all = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    let expected = [
        "tenant Acme pro f",
        "tenant acme default t",
        "user app pro f",
    ];
    assert_eq!(tenants(&mut admin), all(&expected));
    assert_eq!(admin.rows("SHOW TENANTS LIMIT 2").len(), 2);
    done(&mut admin, "RESUME TENANT acme", "RESUME");
    done(&mut admin, "SET TENANT Acme tier = 'default'", "SET");
    done(&mut admin, "KILL TENANT Acme", "KILL");
    let expected = [
        "tenant Acme default f",
        "tenant acme default f",
        "user app pro f",
    ];
    assert_eq!(tenants(&mut admin), all(&expected));

    let row = admin.rows("SHOW USER app").swap_remove(0);
    let row: Vec<&str> = row
        .iter()
        .map(|value| value.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(row[..4], ["user", "app", "pro", "f"]);
    let limits = "100 200 500 500 - - - - 1000 5 0 - - 3";
    assert_eq!(row[11..].join(" "), limits);

    pgusher.wait_for_log("done on the console");
    for logged in [
        "command=SUSPEND TENANT \"acme\"",
        "command=SET TENANT \"Acme\" tier = \"pro\"",
        "command=SET USER \"app\" tier = \"pro\"",
        "command=KILL TENANT \"Acme\"",
    ] {
        pgusher.wait_for_log(logged);
    }
}

#[test]
fn mistakes_are_told_and_harm_nothing() {
    let pgusher = pgusher();
    let mut admin = admin(&pgusher);
    admin.rows("SUSPEND TENANT known");
    let lists = "SHOW HELP lists all commands.";
    for (sql, code, message, hint) in [
        (
            "SHOW TENNANTS",
            "42601",
            "\"SHOW TENNANTS\" is no command of the console",
            "Is SHOW TENANTS meant? SHOW HELP lists all commands.",
        ),
        (
            "SELECT now()",
            "42601",
            "\"SELECT now()\" is no command of the console",
            lists,
        ),
        // One that is none, and none is done.
        (
            "RESUME TENANT known; NO",
            "42601",
            "\"NO\" is no command of the console",
            lists,
        ),
        (
            "SHOW TENANT stranger",
            "42704",
            "tenant \"stranger\" has no account",
            "",
        ),
        (
            "RESUME TENANT stranger",
            "42704",
            "tenant \"stranger\" has no account",
            "",
        ),
        (
            "KILL TENANT stranger",
            "42704",
            "tenant \"stranger\" has no account",
            "",
        ),
        (
            "SUSPEND USER stranger",
            "42704",
            "user \"stranger\" does not exist",
            "",
        ),
        (
            "SET TENANT acme tier = 'pr0'",
            "42704",
            "tier \"pr0\" does not exist",
            "Is pro meant?",
        ),
        (
            "SET TENANT acme tier = 'platinum'",
            "42704",
            "tier \"platinum\" does not exist",
            "Tiers are the sections [limits.tiers.NAME], and default.",
        ),
    ] {
        let expected = (code.to_owned(), message.to_owned(), hint.to_owned());
        assert_eq!(refused(&mut admin, sql), expected, "{sql}");
    }
    let (code, message, _) = refused(&mut admin, "SUSPEND TENANT 'a b'");
    assert_eq!(code, "22023");
    assert!(message.starts_with("tenant id "), "{message}");
    assert_eq!(tenants(&mut admin), ["tenant known default t"]);

    let pgusher = builder()
        .config("[console]\nadmin_users = [\"app\"]")
        .start();
    let mut admin = pgusher.raw("pgusher");
    let (code, message, _) = refused(&mut admin, "SUSPEND TENANT acme");
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("42704", "there are no tenants: no [tenant] is configured")
    );
}

#[test]
fn several_commands_at_once() {
    let pgusher = pgusher();
    let mut admin = admin(&pgusher);
    for (sql, types) in [
        ("", "I Z:I"),
        (" ; -- nothing", "I Z:I"),
        (
            "SUSPEND TENANT a; SUSPEND TENANT b; SHOW TENANTS",
            "C C T D D C Z:I",
        ),
        // The first that fails is the last.
        (
            "SHOW VERSION; KILL TENANT x; SHOW VERSION",
            "T D C E:42704 Z:I",
        ),
        ("BEGIN; SHOW VERSION", "C T D C Z:T"),
        ("SHOW transaction_isolation", "T D C Z:T"),
        ("NO", "E:42601 Z:T"),
        ("ROLLBACK", "C Z:I"),
        // asyncpg, when a pool takes its connection back.
        (
            "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
            "T D C*4 Z:I",
        ),
    ] {
        assert_eq!(admin.ask(&query(sql)).types(), types, "{sql}");
    }
    assert_eq!(admin.parameters["client_encoding"], "UTF8");
    assert_eq!(admin.parameters["standard_conforming_strings"], "on");
    let version = admin.value("SHOW server_version");
    assert_eq!(admin.parameters["server_version"], version);
    assert!(version.starts_with("15.0 (pgusher "), "{version}");
    admin.send(&terminate());
    admin.expect_eof();
}

#[test]
fn the_extended_protocol() {
    let pgusher = pgusher();
    let mut admin = admin(&pgusher);
    admin.rows("SUSPEND TENANT a; SUSPEND TENANT b; SUSPEND TENANT c");
    let mut ask = |what: &str, parts: &[Vec<u8>], types: &str| {
        let heard = admin.ask(&[parts.concat(), sync()].concat());
        assert_eq!(heard.types(), types, "{what}");
        heard.text()
    };
    ask("all", &[extended("SHOW TENANTS", &[])], "1 2 T D D D C Z:I");
    let described = ask(
        "columns come before rows",
        &[parse("s", "SHOW TENANTS LIMIT 1"), describe(b'S', "s")],
        "1 t T Z:I",
    );
    assert!(
        described.contains("kind(0.0 type 25 -1 -1 format 0) name"),
        "{described}"
    );
    assert!(
        described.contains("suspended(0.0 type 16 1 -1 format 0)"),
        "{described}"
    );
    let binary = ask(
        "binary",
        &[
            bind_formats("", "s", &[], &[], &[1]),
            describe(b'P', ""),
            execute("", 0),
        ],
        "2 T D C Z:I",
    );
    assert!(
        binary.contains("clients(0.0 type 20 8 -1 format 1)"),
        "{binary}"
    );
    assert!(
        binary.contains(r"tenant | a | default | \x01 | \x00\x00\x00\x00\x00\x00\x00\x00 |"),
        "{binary}"
    );
    ask("again", &[bind("", "s", &[]), execute("", 0)], "2 D C Z:I");
    ask(
        "no rows",
        &[
            parse("", "SUSPEND TENANT a"),
            describe(b'S', ""),
            bind("", "", &[]),
            execute("", 0),
        ],
        "1 t n 2 C Z:I",
    );
    ask("an empty text", &[extended("", &[])], "1 2 n I Z:I");
    ask(
        "row by row",
        &[
            parse("all", "SHOW TENANTS"),
            bind("p", "all", &[]),
            execute("p", 2),
            execute("p", 2),
            execute("p", 2),
        ],
        "1 2 D D s D C C Z:I",
    );
    ask(
        "portals end with their transaction",
        &[execute("p", 0)],
        "E:34000 Z:I",
    );
    ask(
        "or go on in it",
        &[
            extended("BEGIN", &[]),
            bind("p", "all", &[]),
            execute("p", 1),
        ],
        "1 2 n C 2 D s Z:T",
    );
    ask(
        "in the next batch",
        &[execute("p", 0), extended("COMMIT", &[])],
        "D D C 1 2 n C Z:I",
    );
    ask(
        "closed",
        &[
            close(b'S', "all"),
            close(b'P', "never"),
            bind("", "all", &[]),
        ],
        "3 3 E:26000 Z:I",
    );
    ask(
        "what follows an error is skipped",
        &[
            parse("", "NO"),
            bind("", "", &[]),
            query("SHOW HELP"),
            copy_data(b"x"),
        ],
        "E:42601 Z:I",
    );
    ask(
        "two in one",
        &[parse("", "SHOW HELP; SHOW HELP")],
        "E:42601 Z:I",
    );
    ask(
        "a parameter",
        &[parse("", "SHOW TENANT $1"), bind("", "", &[Some(b"a")])],
        "1 E:0A000 Z:I",
    );
    ask(
        "what is no tenant",
        &[extended("SHOW TENANT $1", &[])],
        "1 2 T E:22023 Z:I",
    );
    let long = "n".repeat(300);
    ask("a long name", &[parse(&long, "SHOW HELP")], "E:0A000 Z:I");

    // Without a Sync only a Flush brings the answers.
    admin.send(&[extended("SHOW VERSION", &[]), flush()].concat());
    assert_eq!(admin.transcript_until(b'C').types(), "1 2 T D C");
    assert_eq!(admin.ask(&sync()).types(), "Z:I");
    // An error goes at once: the Flush behind it is skipped.
    admin.send(&[parse("", "NO"), flush()].concat());
    admin.expect("E:42601");
    assert_eq!(admin.ask(&sync()).types(), "Z:I");
    assert_eq!(admin.ask(&function_call(1, &[])).types(), "E:0A000 Z:I");
}

#[test]
fn what_is_no_message_ends_the_visit() {
    let pgusher = pgusher();
    for (bytes, what) in [
        (message(b'?', b""), "no type"),
        (message(b'Q', b"SHOW HELP"), "no end"),
        (message(b'Q', b"SHOW HELP\0;\0"), "more than its text"),
        (message(b'P', b"\0SHOW HELP\0"), "cut"),
        (
            message(b'B', b"\0\0\0\0\0\x05\0\0"),
            "fewer values than it says",
        ),
        (message(b'E', b"\0\0\0"), "cut"),
        (message(b'D', b"X\0"), "neither a statement nor a portal"),
        (message(b'p', b"secret\0"), "a password"),
        // A6: refused before it has come.
        (
            support::message::message_with_length(b'Q', 100_000, b"SHOW"),
            "too long",
        ),
        (
            support::message::message_with_length(b'Q', -1, b""),
            "shorter than nothing",
        ),
    ] {
        let mut admin = admin(&pgusher);
        admin.send(&bytes);
        assert_eq!(
            admin.transcript_until_eof().types(),
            "FATAL:08P01 eof",
            "{what}"
        );
    }
}

/// As many accounts as fill several buffers, by both protocols.
#[test]
fn a_long_table() {
    const TENANTS: usize = 3000;
    let pgusher = builder().config(CONFIG).start();
    let mut admin = admin(&pgusher);
    for hundred in 0..TENANTS / 100 {
        let all = (0..100).map(|nth| format!("SUSPEND TENANT tenant-{hundred}-{nth};"));
        let tags = admin.ask(&query(&all.collect::<String>())).types();
        assert_eq!(tags, "C*100 Z:I");
    }
    assert_eq!(admin.rows("SHOW TENANTS").len(), TENANTS);
    let types = admin
        .ask(&[extended("SHOW TENANTS", &[]), sync()].concat())
        .types();
    assert_eq!(types, format!("1 2 T D*{TENANTS} C Z:I"));
    // Somebody who does not read what they ask for holds up nobody else.
    let mut deaf = stats(&pgusher);
    (0..100).for_each(|_| deaf.send(&query("SHOW TENANTS")));
    assert_eq!(admin.rows("SHOW TENANTS LIMIT 1").len(), 1);
}

#[test]
fn a_shutdown_does_not_wait_for_the_console() {
    let mut pgusher = pgusher();
    let mut idle = admin(&pgusher);
    let mut deaf = stats(&pgusher);
    // Answers of which more is left than sockets hold.
    let many = query(&"SHOW HELP;".repeat(100));
    (0..200).for_each(|_| deaf.send(&many));
    pgusher.terminate();
    assert_eq!(idle.transcript_until_eof().types(), "FATAL:57P01 eof");
    assert!(pgusher.wait_exit(patience()).success());
}

// A7: what an admin says holds for whom it is said of, and for nobody else.
#[test]
fn clients_feel_it() {
    let pgusher = pgusher();
    let database = support::postgres(Version::V18).fresh_database();
    let mut admin = admin(&pgusher);
    let login = |tenant: &str| {
        let user = format!("app.{tenant}");
        Raw::try_login(pgusher.port(), &user, PASSWORD, &database.name)
    };
    let mut acme = login("acme").unwrap();
    let mut globex = login("globex").unwrap();
    assert_eq!(acme.value("SELECT 1"), "1");
    assert_eq!(globex.value("SELECT 1"), "1");
    let row = admin.rows("SHOW TENANT acme").swap_remove(0);
    let column = |nth: usize| row[nth].clone().unwrap();
    assert_eq!([column(4), column(5)], ["1", "1"]);

    // What is open goes on to its end, and nothing new begins.
    acme.rows("BEGIN");
    admin.rows("SUSPEND TENANT acme");
    assert_eq!(acme.value("SELECT 2"), "2");
    acme.rows("COMMIT");
    assert_eq!(acme.ask(&query("SELECT 3")).types(), "E:42501 Z:I");
    let refusal = login("acme").unwrap_err();
    assert!(refusal.starts_with("FATAL:42501: "), "{refusal}");
    assert_eq!(globex.value("SELECT 4"), "4");
    admin.rows("RESUME TENANT acme");
    assert_eq!(acme.value("SELECT 5"), "5");

    admin.rows("KILL TENANT acme");
    assert_eq!(acme.transcript_until_eof().types(), "FATAL:57P01 eof");
    assert_eq!(globex.value("SELECT 6"), "6");
    // Who comes afterwards is not meant, and the console is never.
    assert_eq!(login("acme").unwrap().value("SELECT 7"), "7");
    assert_eq!(admin.rows("SHOW VERSION").len(), 1);
}

/// psql with the console as its database.
fn psql_says(pgusher: &Pgusher, user: &str, arguments: &[&str]) -> Output {
    Command::new(psql().expect("psql"))
        .args([
            "-X",
            "-h",
            "127.0.0.1",
            "-p",
            &pgusher.port().to_string(),
            "-U",
            user,
        ])
        .args(arguments)
        .arg("pgusher")
        .env("PGPASSWORD", user.get(..1).unwrap())
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn psql_likes_it() {
    let pgusher = pgusher();
    let script = [
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "SUSPEND TENANT acme",
        "-c",
        "SET TENANT \"acme\" tier = 'pro'; RESUME TENANT acme",
        "-c",
        "\\x",
        "-c",
        "SHOW TENANT acme;",
        "-c",
        "\\x",
        "-c",
        "SHOW VERSION",
    ];
    let output = psql_says(&pgusher, "admin", &script);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
    let said = text(&output.stdout);
    assert!(
        said.starts_with("SUSPEND\nSET\nRESUME\nExpanded display is on.\n-[ RECORD 1 ]"),
        "{said}"
    );
    for line in [
        "name                    | acme",
        "tier                    | pro",
        "max_delay               | 1000",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(
        said.contains("Expanded display is off.\n    version"),
        "{said}"
    );

    let output = psql_says(
        &pgusher,
        "stats",
        &["-c", "KILL TENANT acme", "-c", "\\conninfo"],
    );
    assert_eq!(
        text(&output.stderr),
        "ERROR:  permission denied to KILL on the console\n\
         HINT:  It takes one of the admin_users in [console].\n"
    );
    assert!(
        text(&output.stdout)
            .starts_with("You are connected to database \"pgusher\" as user \"stats\"")
    );
    let output = psql_says(
        &pgusher,
        "admin",
        &["-A", "-t", "-c", "SHOW TENANTS LIMIT 1"],
    );
    assert!(text(&output.stdout).starts_with("tenant|acme|pro|f|0|"));
}

/// A driver that prepares everything and reads binary values.
#[test]
fn a_driver_likes_it() {
    let pgusher = pgusher();
    block_on(async {
        let url = format!("postgres://admin:a@127.0.0.1:{}/pgusher", pgusher.port());
        let mut client = connect(&url).await;
        client.execute("SUSPEND USER app", &[]).await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let row = transaction.query_one("SHOW TENANTS", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>("name"), "app");
        assert!(row.get::<_, bool>("suspended"));
        assert_eq!(row.get::<_, i64>("refused"), 0);
        let row = transaction.query_one("SHOW USER app", &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<i64>>("burst"), None);
        transaction.commit().await.unwrap();
        let error = client.query("SHOW ME", &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42601");
        assert_eq!(client.query("SHOW TENANTS", &[]).await.unwrap().len(), 1);
    });
}
