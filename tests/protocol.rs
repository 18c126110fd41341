//! A client hears from pgusher what it hears from PostgreSQL, to the byte: every scenario,
//! directly and through pgusher, in every mode, in one piece and in many.
//!
//! Where the two differ, the difference is listed here with its reason and what pgusher does
//! answer; an exception that is none any more fails too.

#![expect(
    clippy::panic,
    reason = "what is not as expected ends the test, and what a driver says is shown"
)]

mod support;

use support::{
    Line, Pgusher, Postgres, Raw, Transcript, Version, both_versions,
    pgusher::Builder,
    postgres::PASSWORD,
    scenarios::{self, Scenario},
};

/// A scenario in which pgusher answers otherwise than PostgreSQL.
struct Exception {
    scenario: &'static str,
    /// What it answers: one of these.
    types: &'static [&'static str],
}

const EXCEPTIONS: &[Exception] = &[
    // PostgreSQL closes the connection without a word, having written the reason to its own log.
    // pgusher tells the client as well (A6).
    told("length_too_small"),
    told("length_negative"),
    told("length_absurd"),
    told("length_of_sync"),
    // Who says goodbye in the same breath as a request does not wait for its answer, and no
    // server connection waits for such a client: the request is finished, its answer thrown
    // away. PostgreSQL writes it before it reads on. Where the goodbye comes a little later, the
    // answer may come first here too.
    Exception {
        scenario: "terminate_ends_it",
        types: &["eof", "T D C Z:I eof"],
    },
];

const fn told(scenario: &'static str) -> Exception {
    Exception {
        scenario,
        types: &["FATAL:08P01 eof"],
    }
}

/// Where a session may begin.
struct Way<'a> {
    port: u16,
    database: &'a str,
    /// The schema it works in, if it is not alone in its database.
    schema: Option<&'a str>,
}

impl Way<'_> {
    fn login(&self) -> Raw {
        let mut raw = Raw::connect(self.port);
        let mut parameters = vec![("user", "app"), ("database", self.database)];
        parameters.extend(self.schema.map(|schema| ("search_path", schema)));
        raw.startup(&parameters);
        raw.authenticate("app", PASSWORD)
            .unwrap_or_else(|error| panic!("no login at port {}: {error}", self.port));
        raw
    }
}

/// Empties the schema, then runs the scenario.
fn run(server: &Postgres, scenario: &Scenario, way: &Way<'_>) -> Transcript {
    let schema = way.schema.unwrap_or("public");
    let empty = format!(
        "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; \
         GRANT ALL ON SCHEMA {schema} TO PUBLIC"
    );
    Raw::login(server.port(), "postgres", "", way.database).rows(&empty);
    (scenario.run)(&mut way.login())
}

/// What is wrong with one scenario, if anything is.
fn difference(server: &Postgres, scenario: &Scenario, through: &Way<'_>) -> Option<String> {
    let name = scenario.name;
    let heard = run(server, scenario, through);
    let exception = EXCEPTIONS.iter().find(|it| it.scenario == name);
    if let Some(exception) = exception {
        let types = exception.types;
        return (!types.contains(&heard.types().as_str())).then(|| {
            format!(
                "{name} (an exception):\n  expected one of {types:?}\n  heard    {heard}{heard:?}"
            )
        });
    }
    let direct = run(
        server,
        scenario,
        &Way {
            port: server.port(),
            ..*through
        },
    );
    (heard != direct).then(|| {
        format!("{name}:\n--- directly: {direct}{direct:?}--- through pgusher: {heard}{heard:?}")
    })
}

/// Runs scenarios through pgusher, and tells all differences at once.
fn assert_same<'a>(
    server: &Postgres,
    through: &Way<'_>,
    scenarios: impl Iterator<Item = &'a Scenario>,
) {
    let wrong: Vec<String> = scenarios
        .filter_map(|scenario| difference(server, scenario, through))
        .collect();
    let all = wrong.join("\n");
    assert!(wrong.is_empty(), "{} differ\n{all}", wrong.len());
}

/// All scenarios but these.
fn all_but(names: &[&[&'static str]]) -> impl Iterator<Item = &'static Scenario> {
    let names = names.concat();
    // A name that no scenario has is a mistake.
    names.iter().for_each(|name| _ = scenarios::named(name));
    scenarios::all().filter(move |scenario| !names.contains(&scenario.name))
}

fn quiet(server: &Postgres, pool_size: usize, workers: usize) -> Builder {
    Pgusher::in_front_of(server)
        .log_level("info")
        .pool_size(pool_size)
        .config(&format!(
            "[runtime]\nworkers = {workers}\nspread = \"even\""
        ))
}

fn assert_same_alone<'a>(
    server: &Postgres,
    builder: Builder,
    scenarios: impl Iterator<Item = &'a Scenario>,
) {
    let database = server.fresh_database();
    let pgusher = builder.start();
    let way = Way {
        port: pgusher.port(),
        database: &database.name,
        schema: None,
    };
    assert_same(server, &way, scenarios);
}

both_versions!(
    /// Transaction mode, one server connection, one thread.
    transaction_mode_with_one_server,
    |pg| assert_same_alone(pg, quiet(pg, 1, 1), all_but(&[]))
);

both_versions!(
    /// Transaction mode, several server connections and threads.
    transaction_mode_with_three_servers,
    |pg| assert_same_alone(pg, quiet(pg, 3, 2), all_but(&[]))
);

both_versions!(
    /// Session mode: nothing is left out.
    session_mode,
    |pg| {
        let session = quiet(pg, 3, 2).database("pool_mode = \"session\"");
        assert_same_alone(pg, session, all_but(&[]));
    }
);

both_versions!(
    /// Whatever comes from either side comes in small pieces (A6, C15).
    in_small_pieces,
    |pg| {
        let database = pg.fresh_database();
        let behind = Line::to(pg.port());
        let pgusher = quiet(pg, 2, 2).through(&behind).start();
        let before = Line::to(pgusher.port());
        before.cut_up(3);
        behind.cut_up(7);
        let way = Way { port: before.port(), database: &database.name, schema: None };
        // 64 MiB in small pieces show nothing that 1 MiB does not, and take half a minute.
        assert_same(pg, &way, all_but(&[&["huge_row"]]));
    }
);

both_versions!(
    /// Two clients take turns on one server connection, each in a schema of its own.
    two_clients_on_one_server,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = quiet(pg, 1, 2).start();
        std::thread::scope(|scope| {
            for schema in ["one", "other"] {
                let way = Way {
                    port: pgusher.port(),
                    database: &database.name,
                    schema: Some(schema),
                };
                let scenarios = all_but(&[]);
                scope.spawn(move || assert_same(pg, &way, scenarios));
            }
        });
    }
);

both_versions!(
    /// A batch with a simple Query in it leaves PostgreSQL 18 in a state in which the next
    /// transaction fails. Whoever comes next must not notice (C19).
    a_query_within_a_batch_harms_nobody_else,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = quiet(pg, 1, 1).start();
        for _ in 0..5 {
            scenarios::extended::query_within_batch(&mut pgusher.raw(&database.name));
            let mut next = pgusher.raw(&database.name);
            assert_eq!(scenarios::extended::unnamed(&mut next).types(), "1 2 T D C Z:I");
        }
    }
);

/// No scenario is forgotten.
#[test]
fn there_are_scenarios() {
    assert!(scenarios::all().count() >= 109);
    assert_eq!(
        scenarios::named("unnamed").types(Version::V15),
        "1 2 T D C Z:I"
    );
}
