//! A client hears from pgusher what it hears from PostgreSQL, to the byte: every scenario,
//! directly and through pgusher, in every mode, in one piece and in many.
//!
//! Where the two differ, the difference is listed here with its reason and what pgusher does
//! answer; an exception that is none any more fails too.

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
    /// What it answers.
    types: &'static str,
}

/// PostgreSQL closes the connection without a word, having written the reason to its own log.
/// pgusher tells the client as well (A6).
const LENGTHS: &[Exception] = &[
    told("length_too_small"),
    told("length_negative"),
    told("length_absurd"),
    told("length_of_sync"),
];

const fn told(scenario: &'static str) -> Exception {
    Exception {
        scenario,
        types: "FATAL:08P01 eof",
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
fn difference(
    server: &Postgres,
    scenario: &Scenario,
    through: &Way<'_>,
    except: &[&[Exception]],
) -> Option<String> {
    let name = scenario.name;
    let heard = run(server, scenario, through);
    let exception = except
        .iter()
        .copied()
        .flatten()
        .find(|it| it.scenario == name);
    if let Some(exception) = exception {
        let types = exception.types;
        return (heard.types() != types).then(|| {
            format!("{name} (an exception):\n  expected {types}\n  heard    {heard}{heard:?}")
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

/// Runs all scenarios through pgusher, and tells all differences at once.
fn assert_same(server: &Postgres, through: &Way<'_>, except: &[&[Exception]]) {
    for exception in except.iter().copied().flatten() {
        scenarios::named(exception.scenario);
    }
    let wrong: Vec<String> = scenarios::all()
        .filter_map(|scenario| difference(server, scenario, through, except))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn quiet(server: &Postgres, pool_size: usize, workers: usize) -> Builder {
    Pgusher::in_front_of(server)
        .log_level("info")
        .pool_size(pool_size)
        .config(&format!("[runtime]\nworkers = {workers}"))
}

fn assert_same_alone(server: &Postgres, builder: Builder, except: &[&[Exception]]) {
    let database = server.fresh_database();
    let pgusher = builder.start();
    let way = Way {
        port: pgusher.port(),
        database: &database.name,
        schema: None,
    };
    assert_same(server, &way, except);
}

both_versions!(
    /// Transaction mode, one server connection, one thread.
    transaction_mode_with_one_server,
    |pg| assert_same_alone(pg, quiet(pg, 1, 1), &[LENGTHS])
);

both_versions!(
    /// Transaction mode, several server connections and threads.
    transaction_mode_with_three_servers,
    |pg| assert_same_alone(pg, quiet(pg, 3, 2), &[LENGTHS])
);

both_versions!(
    /// Session mode.
    session_mode,
    |pg| assert_same_alone(pg, quiet(pg, 3, 2).database("pool_mode = \"session\""), &[LENGTHS])
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
        assert_same(pg, &way, &[LENGTHS]);
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
                scope.spawn(move || assert_same(pg, &way, &[LENGTHS]));
            }
        });
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
