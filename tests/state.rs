//! What one client leaves behind on a server connection, and who meets it: nobody.

mod support;

use support::{
    Database, Pgusher, Postgres, Raw, both_versions,
    message::{parse, query, sync},
};

/// What a client does, and a question that shows what is left of it.
struct Trace {
    name: &'static str,
    leave: &'static str,
    look: &'static str,
}

const TRACES: [Trace; 15] = [
    Trace {
        name: "SET",
        leave: "SET work_mem = '1234kB'",
        look: "SHOW work_mem",
    },
    Trace {
        name: "SET within a block",
        leave: "BEGIN; SET search_path = elsewhere; COMMIT",
        look: "SHOW search_path",
    },
    Trace {
        name: "set_config",
        leave: "SELECT set_config('search_path', '', false)",
        look: "SHOW search_path",
    },
    Trace {
        name: "set_config in a function",
        leave: "SELECT public.quietly()",
        look: "SHOW statement_timeout",
    },
    Trace {
        name: "a setting of an application",
        leave: "SET app.tenant_id = 'acme'",
        look: "SELECT nullif(current_setting('app.tenant_id', true), '')",
    },
    Trace {
        name: "SET ROLE",
        leave: "SET ROLE pg_monitor",
        look: "SELECT current_user",
    },
    Trace {
        name: "SET SESSION AUTHORIZATION",
        leave: "SET SESSION AUTHORIZATION app",
        look: "SELECT session_user",
    },
    Trace {
        name: "SESSION CHARACTERISTICS",
        leave: "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        look: "SHOW default_transaction_read_only",
    },
    Trace {
        name: "PREPARE",
        leave: "PREPARE mine AS SELECT 1",
        look: "SELECT count(*) FROM pg_prepared_statements",
    },
    Trace {
        name: "LISTEN",
        leave: "LISTEN news",
        look: "SELECT count(*) FROM pg_listening_channels()",
    },
    Trace {
        name: "a temporary table",
        leave: "CREATE TEMP TABLE mine (i int)",
        look: "SELECT count(to_regclass('pg_temp.mine'))",
    },
    Trace {
        name: "a temporary table of SELECT INTO",
        leave: "SELECT 1 INTO TEMP mine",
        look: "SELECT count(to_regclass('pg_temp.mine'))",
    },
    Trace {
        name: "a temporary table of CREATE AS",
        leave: "CREATE TEMP TABLE made AS SELECT 1",
        look: "SELECT count(to_regclass('pg_temp.made'))",
    },
    Trace {
        name: "a cursor WITH HOLD",
        leave: "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        look: "SELECT count(*) FROM pg_cursors WHERE name = 'c'",
    },
    Trace {
        name: "an advisory lock",
        leave: "SELECT pg_advisory_lock(1)",
        look: "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    },
];

fn prepare(database: &Database<'_>) {
    database.sql("GRANT pg_monitor TO app");
    database.sql(
        "CREATE FUNCTION public.quietly() RETURNS void LANGUAGE sql \
         AS $$ SELECT set_config('statement_timeout', '59s', false) $$",
    );
}

/// Looks from a client of its own at what the one before has left, for each trace. `stay`: the
/// one before is still there.
fn nothing_is_left(pg: &Postgres, stay: bool, lines: &[&str], traces: &[&Trace]) {
    let database = pg.fresh_database();
    prepare(&database);
    let builder = Pgusher::in_front_of(pg).pool_size(1);
    let pgusher = lines
        .iter()
        .fold(builder, |builder, line| builder.database(line))
        .start();
    let mut wrong = Vec::new();
    for trace in traces {
        let clean = database.raw().value(trace.look);
        let mut one = pgusher.raw(&database.name);
        one.rows(trace.leave);
        if !stay {
            drop(one);
        }
        let seen = pgusher.raw(&database.name).value(trace.look);
        if seen != clean {
            wrong.push(format!("{}: {seen:?} instead of {clean:?}", trace.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Those that the server reports in some way: by a command tag or a ParameterStatus.
fn visible() -> Vec<&'static Trace> {
    let hidden = ["set_config", "a temporary table of", "an advisory"];
    let is_visible = |trace: &&Trace| !hidden.iter().any(|start| trace.name.starts_with(start));
    TRACES.iter().filter(is_visible).collect()
}

// E1, E2, E3
both_versions!(nothing_is_left_to_the_next_client, |pg| {
    nothing_is_left(pg, false, &[], &visible());
});
both_versions!(
    /// Nor while the first one is still there, if its traces do not hold it a server connection.
    nothing_is_seen_by_the_other_client,
    |pg| {
        let settings: Vec<&Trace> = visible()
            .into_iter()
            .filter(|trace| trace.name.starts_with("SET"))
            .collect();
        nothing_is_left(pg, true, &[], &settings);
    }
);
both_versions!(nothing_at_all_is_left_with_server_reset_always, |pg| {
    let all: Vec<&Trace> = TRACES.iter().collect();
    nothing_is_left(pg, false, &["server_reset = \"always\""], &all);
});
both_versions!(
    /// What a SELECT changed and no command tag tells is seen in its text (E4). What a function
    /// does inside of it is not: that is what `server_reset = "always"` is for.
    nothing_hidden_is_left_to_the_next_client,
    |pg| {
        let seen = |trace: &&Trace| trace.name != "set_config in a function";
        let all: Vec<&Trace> = TRACES.iter().filter(seen).collect();
        nothing_is_left(pg, false, &[], &all);
    }
);
both_versions!(nothing_is_left_in_session_mode, |pg| {
    let all: Vec<&Trace> = TRACES.iter().collect();
    nothing_is_left(pg, false, &["pool_mode = \"session\""], &all);
});

both_versions!(
    /// In session mode all of it is there for its client, as long as it stays.
    session_mode_keeps_the_session,
    |pg| {
        let database = pg.fresh_database();
        prepare(&database);
        let pgusher = Pgusher::in_front_of(pg).database("pool_mode = \"session\"").start();
        for trace in &TRACES {
            let looks = |mut client: Raw| {
                client.rows(trace.leave);
                [client.value(trace.look), client.value(trace.look)]
            };
            assert_eq!(looks(pgusher.raw(&database.name)), looks(database.raw()), "{}", trace.name);
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
);

both_versions!(
    /// Statements that a client prepared by messages are not the next one's (C10).
    prepared_statements_are_not_inherited,
    |pg| {
        let database = pg.fresh_database();
        for mode in ["transaction", "session"] {
            let mode = format!("pool_mode = \"{mode}\"");
            let pgusher = Pgusher::in_front_of(pg).pool_size(1).database(&mode).start();
            for _ in 0..3 {
                let mut client = pgusher.raw(&database.name);
                let prepare = [parse("same", "SELECT 1"), sync()].concat();
                assert_eq!(client.ask(&prepare).types(), "1 Z:I");
                drop(client);
            }
        }
    }
);

both_versions!(
    /// The settings that a client connected with hold on whatever server connection it meets, and
    /// go no further.
    startup_settings_stay_with_their_client,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let login = |value: &str| {
            let mut client = Raw::connect(pgusher.port());
            let options = format!("-c work_mem={value}");
            let params = [
                ("user", "app"),
                ("database", database.name.as_str()),
                ("options", options.as_str()),
                ("application_name", value),
            ];
            client.startup(&params);
            client.authenticate("app", "").unwrap();
            client
        };
        let (mut one, mut other) = (login("1111kB"), login("2222kB"));
        let mut plain = pgusher.raw(&database.name);
        let default = database.raw().value("SHOW work_mem");
        for _ in 0..10 {
            assert_eq!(one.value("SHOW work_mem"), "1111kB");
            assert_eq!(plain.value("SHOW work_mem"), default);
            assert_eq!(plain.value("SHOW application_name"), "");
            assert_eq!(other.value("SHOW work_mem"), "2222kB");
            assert_eq!(one.value("SHOW application_name"), "1111kB");
            assert_eq!(one.parameters["application_name"], "1111kB");
        }
    }
);
