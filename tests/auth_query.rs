//! `[auth.query]`: users that the configuration does not list, as a real server knows them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::time::{Duration, Instant};

use support::{
    Database, Line, Pgusher, Postgres, Raw, both_versions, eventually, message::query,
    pgusher::Builder, postgres::PASSWORD,
};

/// The function that the documentation suggests.
const FUNCTION: &str = "
    CREATE SCHEMA pgusher;
    CREATE FUNCTION pgusher.secret_of(name text) RETURNS TABLE (secret text)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
            SELECT rolpassword FROM pg_catalog.pg_authid
            WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND NOT rolreplication
              AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now()) $$;
    REVOKE ALL ON FUNCTION pgusher.secret_of(text) FROM PUBLIC;";

/// What a stranger hears.
fn refused(user: &str) -> String {
    format!("FATAL:28P01: password authentication failed for user \"{user}\"")
}

/// A database, a role that asks, a line to the server that is asked, and a pgusher.
struct Stage {
    database: Database<'static>,
    line: Line,
    pgusher: Pgusher,
}

impl Stage {
    /// `query`: lines of `[auth.query]`.
    fn new(server: &'static Postgres, query: &str, more: impl FnOnce(Builder) -> Builder) -> Self {
        let database = server.fresh_database();
        let (line, asker) = (Line::to(server.port()), format!("{}_asks", database.name));
        database.sql(FUNCTION);
        database.sql(&format!(
            "CREATE ROLE {asker} LOGIN PASSWORD '{PASSWORD}';
             GRANT USAGE ON SCHEMA pgusher TO {asker};
             GRANT EXECUTE ON FUNCTION pgusher.secret_of(text) TO {asker};
             GRANT SELECT ON pg_catalog.pg_authid TO {asker}"
        ));
        let url = format!(
            "postgres://{asker}:{PASSWORD}@127.0.0.1:{}/{}",
            line.port(),
            database.name
        );
        let builder = Pgusher::in_front_of(server)
            .auth("scram-sha-256")
            .log_level("info")
            .upstream_as_client()
            .config(&format!(
                "[auth.failures]\ndelay = 0\n[auth.query]\nurl = \"{url}\"\n{query}"
            ));
        let pgusher = more(builder).start();
        Self {
            database,
            line,
            pgusher,
        }
    }

    /// Makes a role; its name.
    fn role(&self, name: &str, options: &str) -> String {
        let role = format!("{}_{name}", self.database.name);
        self.database.sql(&format!("CREATE ROLE {role} {options}"));
        role
    }

    fn login(&self, user: &str, password: &str) -> Result<Raw, String> {
        Raw::try_login(self.pgusher.port(), user, password, &self.database.name)
    }
}

const BY_FUNCTION: &str = "query = \"SELECT secret FROM pgusher.secret_of($1)\"";

// A3, A4: the looked-up user works as itself, with the keys of its own login and no plaintext
// anywhere; the user that asks has a SCRAM secret itself (A11).
both_versions!(users_are_looked_up, |pg| {
    for query in [
        "",
        BY_FUNCTION,
        "query = \"SELECT $1::text, secret FROM pgusher.secret_of($1)\"",
    ] {
        let stage = Stage::new(pg, query, |it| it);
        let user = stage.role("one", "LOGIN PASSWORD 'first'");
        let mut client = stage.login(&user, "first").expect(query);
        assert_eq!(client.value("SELECT session_user"), user);
        assert_eq!(stage.login(&user, "wrong").err(), Some(refused(&user)));
        let nobody = format!("{}_nobody", stage.database.name);
        assert_eq!(stage.login(&nobody, "first").err(), Some(refused(&nobody)));
        // Users of the configuration need nobody's answer.
        let mut client = stage.login("app", PASSWORD).unwrap();
        assert_eq!(client.value("SELECT session_user"), "app");
    }
});

// A3
both_versions!(who_may_not_log_in_there_may_not_here, |pg| {
    for query in ["", BY_FUNCTION] {
        let stage = Stage::new(pg, query, |it| it);
        for (name, options, is_let_in) in [
            ("past", "LOGIN PASSWORD 'x' VALID UNTIL '2020-01-01'", false),
            (
                "future",
                "LOGIN PASSWORD 'x' VALID UNTIL '2999-01-01'",
                true,
            ),
            ("always", "LOGIN PASSWORD 'x' VALID UNTIL 'infinity'", true),
            ("group", "NOLOGIN PASSWORD 'x'", false),
            ("bare", "LOGIN", false),
        ] {
            let user = stage.role(name, options);
            let came = stage.login(&user, "x").err();
            assert_eq!(came, (!is_let_in).then(|| refused(&user)), "{options}");
        }
        // Nor with an empty password.
        let bare = format!("{}_bare", stage.database.name);
        assert_eq!(stage.login(&bare, "").err(), Some(refused(&bare)));
    }
    // A name that is longer than PostgreSQL's is nobody's, and not cut to somebody's.
    let stage = Stage::new(pg, "", |it| it);
    let long = format!("{:x<63}", stage.database.name);
    stage
        .database
        .sql(&format!("CREATE ROLE {long} LOGIN PASSWORD 'x'"));
    assert!(stage.login(&long, "x").is_ok());
    let longer = format!("{long}x");
    assert_eq!(stage.login(&longer, "x").err(), Some(refused(&longer)));
});

// A4: what a stranger is asked is what a user is asked: the same mechanisms, a salt that stays.
both_versions!(a_stranger_is_asked_as_a_user_is, |pg| {
    let stage = Stage::new(pg, "", |it| it);
    let user = stage.role("one", "LOGIN PASSWORD 'first'");
    let asked = |user: &str| {
        let mut raw = Raw::connect(stage.pgusher.port());
        raw.startup(&[("user", user), ("database", &stage.database.name)]);
        raw.next()
    };
    let (known, unknown) = (asked(&user), asked("stranger"));
    assert_eq!(known.notation(), unknown.notation());
    assert_eq!(known.body, unknown.body);
    assert!(!stage.pgusher.log_contains("WARN"));
});

// A2: neither the role that asks nor the client can give the query's names another meaning.
both_versions!(names_mean_what_they_say, |pg| {
    let stage = Stage::new(pg, "", |it| it);
    let user = stage.role("one", "LOGIN PASSWORD 'first'");
    stage.database.sql(&format!(
        "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
         CREATE TABLE evil.pg_authid (rolname text, rolpassword text, rolcanlogin bool, rolvaliduntil timestamptz);
         INSERT INTO evil.pg_authid VALUES ('{user}', 'guessed', true, NULL);
         GRANT SELECT ON evil.pg_authid TO PUBLIC;
         ALTER ROLE {}_asks SET search_path = evil, pg_catalog",
        stage.database.name
    ));
    let mut raw = Raw::connect(stage.pgusher.port());
    raw.startup(&[
        ("user", &user),
        ("database", &stage.database.name),
        ("search_path", "evil, pg_catalog"),
    ]);
    assert_eq!(raw.authenticate(&user, "guessed"), Err(refused(&user)));
    assert!(stage.login(&user, "first").is_ok());
    // A name is a value, whatever stands in it.
    for name in ["' OR true --", "$1", "x'; DROP ROLE app; --", "\""] {
        assert_eq!(stage.login(name, "first").err(), Some(refused(name)));
    }
});

both_versions!(a_server_that_fails_is_no_wrong_password, |pg| {
    let stage = Stage::new(
        pg,
        "timeout = \"300ms\"\nttl = \"100ms\"\nnegative_ttl = \"100ms\"",
        |it| it,
    );
    let (user, other) = (
        stage.role("one", "LOGIN PASSWORD 'first'"),
        stage.role("two", "LOGIN PASSWORD 'second'"),
    );
    let mut early = stage.login(&user, "first").unwrap();
    stage.line.refuse();
    stage.line.cut();
    let error = stage.login(&other, "second").unwrap_err();
    assert!(
        error.starts_with("FATAL:08006: the user cannot be looked up"),
        "{error}"
    );
    // Whoever is known goes on, old clients and new ones.
    eventually("the answer is older than its time", || {
        stage.pgusher.log_contains("users cannot be asked for")
    });
    assert_eq!(early.value("SELECT 1"), "1");
    assert!(stage.login(&user, "first").is_ok());
    assert!(stage.login("app", PASSWORD).is_ok());
    // A database that says nothing is no better, and nobody waits for ever.
    stage.line.accept();
    stage.line.stall();
    let began = Instant::now();
    let error = stage.login(&other, "second").unwrap_err();
    assert!(error.starts_with("FATAL:08006"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    stage.line.resume();
    eventually("it is asked again", || {
        stage.login(&other, "second").is_ok()
    });
});

// A11
both_versions!(a_password_changes, |pg| {
    let stage = Stage::new(pg, "ttl = \"200ms\"\nnegative_ttl = \"50ms\"", |it| {
        it.pool_size(2)
    });
    let user = stage.role("one", "LOGIN PASSWORD 'first'");
    let mut old = stage.login(&user, "first").unwrap();
    let mut other = stage.login(&user, "first").unwrap();
    stage
        .database
        .sql(&format!("ALTER ROLE {user} PASSWORD 'second'"));
    // Old clients stay, on the server connection that there is; the old keys open no other one.
    old.send(&query("BEGIN"));
    old.until_ready();
    other.send(&query("SELECT 'late'"));
    eventually("the server refuses the old keys", || {
        stage
            .pgusher
            .log_contains("no connection to the database server")
    });
    // The new password works, also for the server, and those who have waited profit.
    let mut new = None;
    eventually("the new password is known", || {
        new = stage.login(&user, "second").ok();
        new.is_some()
    });
    let mut new = new.unwrap();
    assert_eq!(other.until_ready().len(), 4);
    assert_eq!(new.value("SELECT session_user"), user);
    old.send(&query("COMMIT"));
    old.until_ready();
    assert_eq!(old.value("SELECT 1"), "1");
    eventually("the old password is forgotten", || {
        stage.login(&user, "first").err() == Some(refused(&user))
    });
    // And it has spoiled nothing: both connections of the pool are new enough.
    stage.database.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'"
    ));
    for client in [&mut old, &mut other, &mut new] {
        eventually("the pool has connected anew", || {
            client.send(&query("SELECT 1"));
            client.until_ready().iter().any(|it| it.tag == b'D')
        });
    }
});

// A11: a role that is taken away is no user any more.
both_versions!(a_user_goes, |pg| {
    let stage = Stage::new(pg, "ttl = \"100ms\"\nnegative_ttl = \"50ms\"", |it| it);
    let user = stage.role("one", "LOGIN PASSWORD 'first'");
    assert!(stage.login(&user, "first").is_ok());
    stage.database.sql(&format!("ALTER ROLE {user} NOLOGIN"));
    eventually("nobody comes in as a role that may not log in", || {
        stage.login(&user, "first").err() == Some(refused(&user))
    });
    // And one that is new becomes one.
    let late = format!("{}_late", stage.database.name);
    assert_eq!(stage.login(&late, "x").err(), Some(refused(&late)));
    stage.role("late", "LOGIN PASSWORD 'x'");
    eventually("it is asked for again", || stage.login(&late, "x").is_ok());
});

both_versions!(the_configuration_has_its_say, |pg| {
    let database = pg.fresh_database();
    let listed = format!("{}_listed", database.name);
    database.sql(&format!("CREATE ROLE {listed} LOGIN PASSWORD 'x'"));
    let stage = Stage::new(pg, "", |it| {
        it.config(&format!("[users.{listed}]\nmax_clients = 1\n[tenant]\nsetting = \"app.tenant_id\"\nsources = [\"user\"]"))
    });
    let tenant =
        |raw: &mut Raw| raw.value("SELECT session_user || ' ' || current_setting('app.tenant_id')");
    let mut first = stage.login(&format!("{listed}.acme"), "x").unwrap();
    assert_eq!(tenant(&mut first), format!("{listed} acme"));
    let error = stage.login(&format!("{listed}.acme"), "x").unwrap_err();
    assert!(error.contains("too many connections for user"), "{error}");
    // A name that nobody has listed: the whole of it first, then what is in front of the separator.
    let plain = stage.role("plain", "LOGIN PASSWORD 'x'");
    let mut client = stage.login(&format!("{plain}.zeta"), "x").unwrap();
    assert_eq!(tenant(&mut client), format!("{plain} zeta"));
    let whole = format!("{plain}.whole");
    stage
        .database
        .sql(&format!("CREATE ROLE \"{whole}\" LOGIN PASSWORD 'y'"));
    assert_eq!(stage.login(&whole, "x").err(), Some(refused(&whole)));
    // It is itself, and so of no tenant.
    let error = stage.login(&whole, "y").unwrap_err();
    assert!(
        error.starts_with("FATAL:28000: no tenant is known"),
        "{error}"
    );
});

/// What the operator gets wrong is said, and the secret is not.
#[test]
fn mistakes_of_the_query_are_told() {
    let pg = support::postgres(support::Version::V15);
    for (query, said) in [
        (
            "SELECT 'somebody', 'SCRAM' WHERE $1 > ''",
            "the row of another user",
        ),
        (
            "SELECT 'SCRAM-SHA-256$hunter2' WHERE $1 > ''",
            "a password that cannot be used",
        ),
        ("SELECT 1, 2, 3 WHERE $1 > ''", "one column"),
        (
            "SELECT 'a' WHERE $1 > '' UNION ALL SELECT 'b'",
            "more than one row",
        ),
        ("SELECT 1/0 WHERE $1 > ''", "division by zero"),
    ] {
        let stage = Stage::new(pg, &format!("query = \"{query}\""), |it| it);
        let error = stage.login("somebody_else", "hunter2").unwrap_err();
        assert!(error.starts_with("FATAL:08006"), "{query}: {error}");
        stage.pgusher.wait_for_log(said);
        assert!(!stage.pgusher.log_contains("hunter2"), "{query}");
    }
}
