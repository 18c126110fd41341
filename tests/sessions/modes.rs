//! Sessions where something else than the default is configured: `server_reset`, `pool_mode`.

use crate::{
    login,
    stage::Stage,
    support::{
        Database, Pgusher, Postgres, Raw, both_versions,
        message::{parse, query, sync},
    },
};

/// What a client does that neither its text nor the server's answer tells of, and a question that
/// shows what is left of it.
const HIDDEN: [(&str, &str); 6] = [
    (
        "SELECT sets('statement_timeout', '59s')",
        "SHOW statement_timeout",
    ),
    (
        "SELECT sets('app.hidden', 'x')",
        "SELECT nullif(current_setting('app.hidden', true), '')",
    ),
    ("SELECT sets('role', 'pg_monitor')", "SELECT current_user"),
    (
        "SELECT makes_temp()",
        "SELECT count(to_regclass('pg_temp.made_inside'))",
    ),
    (
        "SELECT locks(1)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ),
    (
        "SELECT locks(v) FROM generate_series(1, 3) v",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ),
];

/// The same that a text tells of.
const TOLD: [(&str, &str); 7] = [
    ("SET work_mem = '1234kB'", "SHOW work_mem"),
    ("SET ROLE pg_monitor", "SELECT current_user"),
    (
        "SELECT set_config('search_path', '', false)",
        "SHOW search_path",
    ),
    (
        "PREPARE mine AS SELECT 1",
        "SELECT count(*) FROM pg_prepared_statements WHERE from_sql",
    ),
    (
        "LISTEN news",
        "SELECT count(*) FROM pg_listening_channels()",
    ),
    (
        "CREATE TEMP TABLE mine (i int)",
        "SELECT count(to_regclass('pg_temp.mine'))",
    ),
    (
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) FROM pg_cursors WHERE is_holdable",
    ),
];

fn prepare(database: &Database<'_>) {
    crate::stage::roles(database.server);
    database.sql(crate::stage::SETUP);
}

/// Looks from a client of its own at what the one before has left.
fn nothing_is_left(server: &Postgres, line: &str) {
    let database = server.fresh_database();
    prepare(&database);
    let pgusher = Pgusher::in_front_of(server)
        .pool_size(1)
        .database(line)
        .start();
    for (leave, look) in HIDDEN.iter().chain(&TOLD) {
        let clean = database.raw().value(look);
        let mut one = pgusher.raw(&database.name);
        one.rows(leave);
        drop(one);
        assert_eq!(pgusher.raw(&database.name).value(look), clean, "{leave}");
    }
}

both_versions! {
    /// E4: for functions that change settings, and whatever else nobody sees.
    always_reset, |server| nothing_is_left(server, "server_reset = \"always\"")
}

both_versions! {
    /// E3: in session mode whatever a client does goes with it.
    session_mode, |server| nothing_is_left(server, "pool_mode = \"session\"")
}

both_versions! {
    /// The whole of a session where everything is reset between any two clients: nothing is missed.
    sessions_that_are_always_reset, |server| {
        let mut stage = Stage::with(server, "app_trust", |builder| builder.database("server_reset = \"always\""));
        stage.tell_all(&[
            &["SET work_mem = '1234kB'", "SHOW work_mem", "RESET work_mem", "SHOW work_mem"],
            &["BEGIN", "SET TimeZone = 'Asia/Tokyo'", "COMMIT", "SHOW TimeZone"],
            &["BEGIN", "SET work_mem = '1234kB'", "ROLLBACK", "SHOW work_mem"],
            &["SET ROLE visitor", "SELECT current_user", "DISCARD ALL", "SELECT current_user"],
            &["LISTEN news", "SET work_mem = '1234kB'", "UNLISTEN news", "SHOW work_mem"],
            &["CREATE TEMP TABLE mine (i int)", "TABLE mine", "DROP TABLE mine", "SELECT 1"],
            &["SELECT set_config('app.one', 'x', false)", "SELECT current_setting('app.one')"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E4: what a function sets and the server does not report is lost for its client, but reaches
    /// nobody else, if everything is always reset. What is said of it is in docs.
    hidden_settings_are_not_followed, |server| {
        let database = server.fresh_database();
        prepare(&database);
        let pgusher = Pgusher::in_front_of(server).pool_size(1).database("server_reset = \"always\"").start();
        let (mut client, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        client.rows("SELECT sets('statement_timeout', '59s')");
        assert_eq!(other.value("SHOW statement_timeout"), "0");
        // Reported.
        client.rows("SELECT sets('TimeZone', 'Asia/Tokyo')");
        assert_ne!(other.value("SHOW TimeZone"), "Asia/Tokyo");
        assert_eq!(client.value("SHOW TimeZone"), "Asia/Tokyo");
    }
}

both_versions! {
    /// In session mode all of it is there for its client, as long as it stays.
    session_mode_keeps_the_session, |server| {
        let database = server.fresh_database();
        prepare(&database);
        let pgusher = Pgusher::in_front_of(server).database("pool_mode = \"session\"").start();
        for (leave, look) in HIDDEN.iter().chain(&TOLD) {
            let looks = |mut client: Raw| {
                client.rows(leave);
                [client.value(look), client.value(look)]
            };
            assert_eq!(looks(pgusher.raw(&database.name)), looks(database.raw()), "{leave}");
        }
        let mut client = pgusher.raw(&database.name);
        let pid = client.backend_pid();
        let mut other = pgusher.raw(&database.name);
        for _ in 0..5 {
            assert_ne!(other.backend_pid(), pid);
            assert_eq!(client.backend_pid(), pid);
        }
        // An error is no reason to part (G8).
        assert_eq!(client.ask(&query("nonsense")).types(), "E:42601 Z:I");
        assert_eq!(client.backend_pid(), pid);
    }
}

both_versions! {
    /// Statements that a client prepared by messages are not the next one's (C10).
    prepared_statements_are_not_inherited, |server| {
        let database = server.fresh_database();
        for mode in ["transaction", "session"] {
            let mode = format!("pool_mode = \"{mode}\"");
            let pgusher = Pgusher::in_front_of(server).pool_size(1).database(&mode).start();
            for _ in 0..3 {
                let mut client = pgusher.raw(&database.name);
                let prepare = [parse("same", "SELECT 1"), sync()].concat();
                assert_eq!(client.ask(&prepare).types(), "1 Z:I");
                drop(client);
            }
        }
    }
}

both_versions! {
    /// E5: many clients with settings of their own take turns on fewer connections.
    in_turns, |server| {
        let database = server.fresh_database();
        for size in [1, 2] {
            let pgusher = Pgusher::in_front_of(server).pool_size(size).log_level("info").start();
            let default = database.raw().value("SHOW work_mem");
            let mut plain = pgusher.raw(&database.name);
            let mut clients: Vec<(String, Raw)> = (1..=5).map(|nth| {
                let (work_mem, name) = (format!("{nth}111kB"), format!("client {nth}"));
                let options = format!("-c work_mem={work_mem}");
                let parameters = [("options", options.as_str()), ("application_name", name.as_str())];
                let client = login(pgusher.port(), "app", &database.name, &parameters);
(name, client)
            }).collect();
            for round in 0..6 {
                for (nth, (name, client)) in clients.iter_mut().enumerate() {
                    let (started, set) = (format!("{}111kB", nth + 1), format!("{}22{nth}kB", round + 1));
                    let expected = if round % 2 == 0 { &started } else { &set };
                    if round % 2 == 1 {
                        client.rows(&format!("SET work_mem = '{set}'"));
                    }
                    assert_eq!(plain.value("SHOW work_mem"), default);
                    assert_eq!(&client.value("SHOW work_mem"), expected);
                    assert_eq!(client.parameters["application_name"], *name);
                    assert_eq!(&client.value("SHOW application_name"), name);
                    assert_eq!(plain.value("SHOW application_name"), "");
                    client.rows(if round % 2 == 0 { "SET work_mem = '7777kB'" } else { "RESET work_mem" });
                    if round % 2 == 0 {
                        client.rows("DISCARD ALL");
                    }
                }
            }
        }
    }
}
