//! The settings that clients come with (A16), and what they are told of them (E5): PostgreSQL,
//! asked directly in the same words, says what is right.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::support::{
    Database, Pgusher, Raw, both_versions,
    message::{Message, query},
    postgres::PASSWORD,
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn log_in(port: u16, database: &str, settings: Pairs<'_>) -> Raw {
    let mut client = Raw::connect(port);
    client.startup(&[&[("user", "app"), ("database", database)], settings].concat());
    let outcome = client.authenticate("app", PASSWORD);
    outcome.unwrap_or_else(|error| panic!("{settings:?} at port {port}: {error}"));
    client
}

/// What a session looks like from inside: all that the cases below touch. A setting of an
/// application that was once set on a connection is empty there ever after, not NULL (J5).
const LOOK: &str = "
    SELECT current_setting('application_name'), current_setting('search_path'),
           current_setting('TimeZone'), current_setting('DateStyle'),
           current_setting('extra_float_digits'), current_setting('client_encoding'),
           current_setting('IntervalStyle'), current_setting('statement_timeout'),
           current_setting('standard_conforming_strings'), current_setting('work_mem'),
           current_setting('geqo'), coalesce(current_setting('app.x', true), ''),
           coalesce(current_setting('app.y', true), ''), current_schemas(true)::text";

const CASES: &[Pairs<'_>] = &[
    &[],
    &[("options", "")],
    &[("options", "   ")],
    &[("options", "-c TimeZone=Europe/Berlin")],
    &[("options", "-cTimeZone=Europe/Berlin")],
    &[("options", "--TimeZone=Europe/Berlin")],
    &[("options", "--statement-timeout=5s")],
    &[("options", "-c statement_timeout=5s -c geqo=off")],
    &[("options", "  -c\tgeqo=off \n --app.x=1  ")],
    &[("options", r"-c app.x=with\ a\ space\\ -c app.y=\'quoted\'")],
    &[("options", "-c app.x=1+1%201")],
    &[("options", "-c app.x=a=b=c")],
    &[("options", "-c app.x=")],
    &[("options", "-c app.x=first -c app.x=last")],
    &[("options", "-c app.x=in\\ options"), ("app.x", "parameter")],
    &[("options", "-c search_path=")],
    &[("options", "-c search_path=pg_catalog,public")],
    &[("search_path", "")],
    &[("search_path", "''")],
    &[("search_path", "a, b")],
    &[("search_path", "\"a, b\", Public")],
    &[("search_path", "\"$user\", public")],
    &[("application_name", "")],
    &[("application_name", "psql")],
    &[("application_name", "it's \\ \"quoted\" $1 %s")],
    &[("application_name", "naïve – ünïcode")],
    &[("application_name", "tab\tand\nline")],
    &[(
        "application_name",
        "an application name that is longer than the sixty-three bytes that are kept of it",
    )],
    &[("APPLICATION_NAME", "upper"), ("Work_Mem", "8MB")],
    &[("client_encoding", "utf8")],
    &[("client_encoding", "LATIN1")],
    &[("client_encoding", "'UTF-8'")],
    &[("client_encoding", "SQL_ASCII"), ("application_name", "x")],
    &[("TimeZone", "utc")],
    &[("timezone", "<+05>-05")],
    &[("TimeZone", "America/New_York"), ("DateStyle", "german")],
    &[("DateStyle", "ISO, DMY")],
    &[("DateStyle", "SQL"), ("IntervalStyle", "iso_8601")],
    &[("extra_float_digits", "2")],
    &[("extra_float_digits", " -15 ")],
    &[
        ("standard_conforming_strings", "off"),
        ("app.x", r"back\slash ' quote"),
    ],
    &[("statement_timeout", "1min"), ("work_mem", "8192")],
    &[("geqo", "no"), ("app.x", "1"), ("app.y", "2")],
    &[("default_transaction_read_only", "on")],
    &[("default_transaction_isolation", "serializable")],
];

both_versions!(
    /// A16, E5: each spelling means what it means to PostgreSQL, and is reported as PostgreSQL
    /// reports it.
    settings_are_those_of_postgresql,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).start();
        let mut wrong = Vec::new();
        for case in CASES {
            let mut direct = log_in(pg.port(), &database.name, case);
            let right = (direct.parameters.clone(), direct.rows(LOOK), direct.parameters);
            // The second one is welcomed from memory; using it brings no news (E5).
            for nth in ["first", "second"] {
                let mut client = log_in(pgusher.port(), &database.name, case);
                let told = client.parameters.clone();
                let found = (told, client.rows(LOOK), client.parameters);
                if found != right {
                    wrong.push(format!("{case:?}, the {nth}:\n  {found:?}\n  {right:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
);

fn refusal(port: u16, database: &str, settings: Pairs<'_>) -> Message {
    let mut client = Raw::connect(port);
    client.startup(&[&[("user", "app_trust"), ("database", database)], settings].concat());
    let error = client.until(b'E').pop().expect("an error");
    client.expect_eof();
    error
}

both_versions!(
    /// A16: what PostgreSQL does not accept is refused in its words, and the connection on which it
    /// was tried serves others.
    settings_that_are_refused,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let cases: &[Pairs<'_>] = &[
            &[("extra_float_digits", "99")],
            &[("TimeZone", "Nowhere/At all")],
            &[("client_encoding", "KLINGON")],
            &[("no_such_setting", "1")],
            &[("options", "-c no_such_setting=1")],
            &[("options", "-c geqo=perhaps")],
            &[("DateStyle", "it's; DROP TABLE x")],
            &[("max_connections", "5")],
            &[("session_replication_role", "replica")],
        ];
        let mut wrong = Vec::new();
        for case in cases {
            let start = Instant::now();
            let told = refusal(pgusher.port(), &database.name, case);
            let right = refusal(pg.port(), &database.name, case);
            assert_eq!(told.field(b'S').as_deref(), Some("FATAL"), "{case:?}");
            if told.text() != right.text() {
                wrong.push(format!("{case:?}: {:?}, not {:?}", told.text(), right.text()));
            }
            let mut other = log_in(pgusher.port(), &database.name, &[("app.x", "1")]);
            assert_eq!(other.value("SELECT current_setting('app.x')"), "1");
            // Nobody waits for a connection on which something was refused.
            assert!(start.elapsed() < Duration::from_secs(5), "{case:?}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
);

/// What comes of a login with these options: nothing to complain about, or the error's text.
fn complaint(port: u16, database: &str, options: &str) -> Option<String> {
    let mut client = Raw::connect(port);
    client.startup(&[
        ("user", "app_trust"),
        ("database", database),
        ("options", options),
    ]);
    let refused = client.authenticate("app_trust", "").err()?;
    refused.split_once(": ").map(|(_, text)| text.to_owned())
}

both_versions!(
    /// A16: what is no option to PostgreSQL is none here, and what is one is.
    options_that_are_none,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).start();
        let mut wrong = Vec::new();
        for options in [
            "--",
            "-c",
            "-c geqo",
            "--geqo",
            "-x",
            "geqo=off",
            "-c geqo=off rest",
            "-c =1",
            "-c user=postgres",
            "-c database=postgres",
        ] {
            let told = complaint(pgusher.port(), &database.name, options);
            let right = complaint(pg.port(), &database.name, options);
            if told != right {
                wrong.push(format!("{options:?}: {told:?}, not {right:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(pgusher.raw(&database.name).value("SELECT current_user"), "app");
    }
);

/// Somebody with settings, and what must be seen of them on whatever server connection.
struct Somebody {
    raw: Raw,
    expected: Vec<Vec<Option<String>>>,
    told: BTreeMap<String, String>,
    servers: BTreeSet<i32>,
}

impl Somebody {
    fn new(pgusher: &Pgusher, database: &Database<'_>, settings: Pairs<'_>) -> Self {
        let mut direct = log_in(database.server.port(), &database.name, settings);
        Self {
            raw: log_in(pgusher.port(), &database.name, settings),
            expected: direct.rows(LOOK),
            told: direct.parameters,
            servers: BTreeSet::new(),
        }
    }

    #[track_caller]
    fn check(&mut self) {
        assert_eq!(self.raw.rows(LOOK), self.expected);
        assert_eq!(self.raw.parameters, self.told);
        self.servers.insert(self.raw.backend_pid());
    }
}

both_versions!(
    /// A16, E5: on every server connection, however they change hands.
    settings_hold_on_every_server_connection,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(2).start();
        let mut people = [
            Somebody::new(
                &pgusher,
                &database,
                &[
                    ("TimeZone", "Europe/Berlin"),
                    ("search_path", ""),
                    ("application_name", "one"),
                    ("extra_float_digits", "0"),
                    ("app.x", "it's one's"),
                ],
            ),
            Somebody::new(
                &pgusher,
                &database,
                &[
                    ("options", "-c TimeZone=Asia/Tokyo -c app.y=two"),
                    ("search_path", "a, b"),
                    ("application_name", ""),
                    ("extra_float_digits", "3"),
                    ("client_encoding", "LATIN1"),
                    ("standard_conforming_strings", "off"),
                ],
            ),
            Somebody::new(&pgusher, &database, &[]),
        ];
        // Two others hold the two connections; now this one lets go of its own, now that one.
        let mut holding = [pgusher.raw(&database.name), pgusher.raw(&database.name)];
        for holder in &mut holding {
            holder.rows("BEGIN");
        }
        for round in 0..12 {
            let holder = &mut holding[round % 2];
            holder.rows("COMMIT");
            for at in [0, 1, 2, 1, 0, 2] {
                people[(at + round) % 3].check();
            }
            holder.rows("BEGIN");
        }
        for somebody in people {
            assert_eq!(somebody.servers.len(), 2, "it was always the same connection");
        }
    }
);

both_versions!(
    /// A16: many sets of settings, each its own, with fewer connections than sets.
    many_sets_of_settings,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(2).start();
        let mut clients: Vec<Raw> = (0..40)
            .map(|nth| {
                let (name, value) = (format!("client {nth}"), format!("'{nth}'"));
                let all = [("application_name", name.as_str()), ("app.x", value.as_str())];
                log_in(pgusher.port(), &database.name, &all[..1 + nth % 2])
            })
            .collect();
        for round in 0..3 {
            for (nth, client) in clients.iter_mut().enumerate() {
                let sql = "SELECT current_setting('application_name'), coalesce(current_setting('app.x', true), '')";
                let x = if nth % 2 == 1 { format!("'{nth}'") } else { String::new() };
                let expected = vec![vec![Some(format!("client {nth}")), Some(x)]];
                assert_eq!(client.rows(sql), expected, "round {round}");
                assert_eq!(client.parameters["application_name"], format!("client {nth}"));
            }
        }
    }
);

/// The messages of a login by their types, each type once in a row, and what notices say.
fn hear(port: u16, database: &str, settings: Pairs<'_>) -> (String, Vec<Message>) {
    let mut client = Raw::connect(port);
    client.startup(&[&[("user", "app_trust"), ("database", database)], settings].concat());
    let mut heard = client.until_ready();
    let mut types: Vec<char> = heard
        .iter()
        .map(|message| char::from(message.tag))
        .collect();
    types.dedup();
    heard.retain(|message| message.tag == b'N');
    (types.into_iter().collect(), heard)
}

both_versions!(
    /// A16: what PostgreSQL has to say about settings is said to each client that comes with them, at
    /// the same place of the login.
    settings_that_are_remarked_on,
    |pg| {
        const LONG: &str = "an application name that is longer than the sixty-three bytes that are kept of it";
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let many = "m".repeat(3900);
        let cases: &[(Pairs<'_>, &str)] = &[
            (&[("application_name", LONG)], "RNSKZ"),
            // The connection has that name already; and then it has not.
            (&[("application_name", LONG), ("work_mem", "8MB")], "RNSKZ"),
            (&[("application_name", "short"), ("work_mem", "8MB")], "RSKZ"),
            (&[("application_name", &many)], "RNSKZ"),
            (&[("application_name", "ünïcode, and much more of it than sixty-three bytes, as it seems")], "RNSKZ"),
            (&[("application_name", LONG), ("client_encoding", "LATIN1")], "RNSKZ"),
            // What is to be heard comes first, wherever it stands in the alphabet.
            (&[("options", "-c client_min_messages=warning"), ("application_name", LONG)], "RSKZ"),
            (&[("client_min_messages", "error"), ("application_name", LONG)], "RSKZ"),
            (&[("client_min_messages", "debug1"), ("application_name", LONG)], "RNSKZ"),
            (&[("client_min_messages", "log"), ("application_name", LONG)], "RNSKZ"),
            (&[("work_mem", "8MB")], "RSKZ"),
        ];
        for (case, types) in cases {
            let direct = hear(pg.port(), &database.name, case);
            assert_eq!(direct.0, *types, "{case:?}");
            for nth in ["first", "second"] {
                let told = hear(pgusher.port(), &database.name, case);
                assert_eq!(told, direct, "{case:?}, the {nth}");
            }
        }
        // Nothing of it comes later, whoever had the connection in between.
        let mut client = log_in(pgusher.port(), &database.name, &[("application_name", LONG)]);
        for _ in 0..2 {
            assert_eq!(client.ask(&query("SELECT 1")).types(), "T D C Z:I");
            assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
        }
    }
);

both_versions!(
    /// A6: what is too much to be remembered for each set of settings is not told.
    settings_that_too_much_is_remarked_on,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let name = "m".repeat(8000);
        let case: Pairs<'_> = &[("application_name", &name)];
        assert_eq!(hear(pg.port(), &database.name, case).0, "RNSKZ");
        for _ in 0..2 {
            assert_eq!(hear(pgusher.port(), &database.name, case).0, "RSKZ");
        }
    }
);
