//! The context cannot be given: then nothing of the client runs, and it hears why.

use crate::{
    SEEN, client_of, error_of, login,
    stage::{Stage, Way},
    support::{
        Database, Pgusher, Postgres, Raw, both_versions, eventually,
        message::{cancel_request, extended, query, sync},
    },
    with_tenants,
};

/// A server and a pgusher that disagree over a setting of `acme`: it is a superuser's, which is
/// known only where its module is loaded.
fn at_odds(server: &'static Postgres) -> (Database<'static>, Pgusher) {
    let database = server.fresh_database();
    database.sql(&format!(
        "ALTER DATABASE {} SET session_preload_libraries = 'auto_explain'; \
         CREATE TABLE seen (what text); GRANT ALL ON seen TO app; \
         CREATE PROCEDURE plain() LANGUAGE sql AS 'INSERT INTO seen VALUES (''called'')'",
        database.name
    ));
    let pgusher = with_tenants(
        server,
        "[tenants.acme.settings]\n\"auto_explain.log_min_duration\" = \"1\"",
    );
    (database, pgusher.start())
}

both_versions! {
    /// J4: the error is the client's, its statements are not run, its connection goes on.
    a_setting_that_the_server_refuses, |server| {
        let (database, pgusher) = at_odds(server);
        let mut globex = client_of("globex", &pgusher, &database);
        let scripts: &[&[&str]] = &[
            &["INSERT INTO seen VALUES ('a')", "INSERT INTO seen VALUES ('b')"],
            &["VACUUM seen", "CALL plain()", "INSERT INTO seen VALUES ('a')"],
            &["DO $$ BEGIN INSERT INTO seen VALUES ('a'); END $$", "nonsense"],
            &["BEGIN", "INSERT INTO seen VALUES ('a')", "COMMIT", "INSERT INTO seen VALUES ('b')"],
            &["BEGIN", "CALL plain()", "COMMIT AND CHAIN", "INSERT INTO seen VALUES ('b')", "COMMIT"],
        ];
        for script in scripts {
            for way in Way::ALL {
                let mut acme = client_of("acme", &pgusher, &database);
                let heard = way.tell(script, &mut acme);
                let types: Vec<_> = heard.iter().map(|it| it.types()).collect();
                assert!(types.iter().any(|types| types.contains("E:42501")), "{way:?} {script:?} {types:?}");
                assert_eq!(database.value("SELECT count(*) FROM seen"), "0", "{way:?} {script:?} {types:?}");
                // It is usable: what needs no context works.
                let rolled_back = acme.ask(&query("ROLLBACK")).types();
                assert!(rolled_back.ends_with("C Z:I"), "{way:?} {script:?} {rolled_back}");
                let (types, said) = error_of(&mut acme, SEEN);
                assert_eq!(types, "E:42501 Z:I", "{way:?} {script:?}");
                assert!(said.contains("auto_explain.log_min_duration"), "{said}");
                assert_eq!(globex.value(SEEN), "globex", "{way:?} {script:?}");
            }
        }
    }
}

both_versions! {
    /// Each kind of message is answered as often as it must be (C2, C3).
    answers_to_what_was_not_run, |server| {
        let (database, pgusher) = at_odds(server);
        let mut acme = client_of("acme", &pgusher, &database);
        let insert = "INSERT INTO seen VALUES ('a')";
        for (bytes, types) in [
            (query(insert), vec!["E:42501 Z:I"]),
            (query("VACUUM seen"), vec!["E:42501 Z:I"]),
            (query(&format!("{insert}; BEGIN; {insert}")), vec!["E:42501 Z:I"]),
            ([extended(insert, &[]), extended(insert, &[]), sync()].concat(), vec!["1 E:42501 Z:I"]),
            ([extended("VACUUM seen", &[]), sync(), query(insert)].concat(), vec!["E:42501 Z:I", "E:42501 Z:I"]),
            ([extended("BEGIN", &[]), extended(insert, &[]), sync(), query("ROLLBACK")].concat(),
                vec!["1 2 n C 1 E:42501 Z:E", "C Z:I"]),
            (crate::support::message::function_call(1397, &[Some(b"-5")]), vec!["E:42501 Z:I"]),
            (query(""), vec!["I Z:I"]),
            (query("BEGIN; ROLLBACK"), vec!["C C Z:I"]),
        ] {
            acme.send(&bytes);
            let heard: Vec<_> = types.iter().map(|_| acme.transcript().types()).collect();
            assert_eq!(heard, types);
        }
        assert_eq!(database.value("SELECT count(*) FROM seen"), "0");
    }
}

/// Makes the injected statement wait: its function cannot be looked up.
struct Blocked<'a> {
    database: Database<'a>,
    pgusher: Pgusher,
    acme: Raw,
    blocker: Raw,
}

/// What a client sends that needs no look at the functions.
const INSERT: &str = "INSERT INTO seen SELECT 1";

fn blocked(server: &'static Postgres) -> Blocked<'static> {
    let database = server.fresh_database();
    database.sql("CREATE TABLE seen (what int); GRANT ALL ON seen TO app");
    let pgusher = with_tenants(server, "").start();
    let mut acme = client_of("acme", &pgusher, &database);
    // The server connection is there, and knows the table.
    acme.rows(INSERT);
    let mut blocker = Raw::login(server.port(), "postgres", "", &database.name);
    blocker.rows("TRUNCATE seen");
    blocker.rows("BEGIN; LOCK TABLE pg_proc");
    acme.send(&[extended(INSERT, &[]), sync()].concat());
    let mut look = Raw::login(server.port(), "postgres", "", "postgres");
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename = 'app' \
         AND wait_event_type = 'Lock' AND query LIKE '%set_config%'",
        database.name
    );
    eventually("the injected statement waits", || look.value(&waits) == "1");
    Blocked {
        database,
        pgusher,
        acme,
        blocker,
    }
}

impl Blocked<'_> {
    fn nothing_was_written(&mut self) {
        self.blocker.rows("ROLLBACK");
        assert_eq!(self.database.value("SELECT count(*) FROM seen"), "0");
        assert_eq!(self.acme.value(SEEN), "acme");
        let mut globex = client_of("globex", &self.pgusher, &self.database);
        assert_eq!(globex.value(SEEN), "globex");
    }
}

both_versions! {
    /// B3: a cancel that hits the injected statement is one of the client's own.
    a_cancel_hits_the_context, |server| {
        let mut it = blocked(server);
        it.acme.cancel();
        assert_eq!(it.acme.transcript().types(), "1 E:57014 Z:I");
        it.nothing_was_written();
    }
}

both_versions! {
    /// T1: the server dies in between.
    the_server_is_lost_meanwhile, |server| {
        let mut it = blocked(server);
        let pid = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE datname = '{}' AND usename = 'app'", it.database.name);
        server.sql(&pid);
        assert_eq!(it.acme.transcript().types(), "1 E:08006 Z:I");
        it.nothing_was_written();
    }
}

both_versions! {
    /// T1, C18: the client leaves in between.
    the_client_leaves_meanwhile, |server| {
        let mut it = blocked(server);
        let next = client_of("acme", &it.pgusher, &it.database);
        std::mem::replace(&mut it.acme, next).reset();
        it.blocker.rows("ROLLBACK");
        // What a client has sent whole is done, as on a direct connection, or not at all: never
        // without a context.
        assert_eq!(it.acme.value(SEEN), "acme");
        let mut nobody = login(it.pgusher.port(), "both", &it.database, &[]).unwrap();
        assert_eq!(nobody.value("SELECT coalesce(current_setting('app.tenant_id', true), '')"), "");
    }
}

both_versions! {
    /// B3, J15: cancels at any moment hit no context that is taken back, and lose no connection.
    cancels_around_brackets, |server| {
        let mut stage = Stage::new(server);
        let pgusher = &stage.pgusher;
        let mut acme = client_of("acme", pgusher, &stage.database);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
        let (pid, secret) = acme.key();
        let port = pgusher.port();
        let cancels = std::thread::spawn(move || {
            while std::time::Instant::now() < end {
                let mut other = Raw::connect(port);
                other.send(&cancel_request(pid, &secret));
                other.transcript_until_eof();
            }
        });
        while std::time::Instant::now() < end {
            for text in ["VACUUM owned", "CALL plain()", "INSERT INTO seen VALUES ('a')"] {
                let heard = acme.ask(&query(text)).types();
                assert!(["C Z:I", "E:57014 Z:I"].contains(&heard.as_str()), "{text}: {heard}");
            }
        }
        cancels.join().unwrap();
        let sql = "SELECT count(*) FROM seen WHERE tenant IS DISTINCT FROM 'acme'";
        assert_eq!(stage.database.value(sql), "0");
        stage.run("afterwards", |client| vec![client.ask(&query("TABLE owned"))]);
    }
}
