//! Statements prepared by messages and by SQL share their names, and are forgotten together (C10).

use crate::{
    stage::{Stage, Write, batch},
    support::{
        Message, Pgusher, Postgres, Raw, both_versions,
        message::{bind, close, describe, execute, extended, parse, query, sync},
    },
};

fn prepare(name: &str, sql: &str) -> Write {
    batch(&[parse(name, sql)])
}

fn run(name: &str) -> Write {
    batch(&[bind("", name, &[]), execute("", 0)])
}

fn query_of(sql: &str) -> Write {
    (query(sql), 1)
}

fn command(sql: &str) -> Write {
    batch(&[extended(sql, &[])])
}

both_versions! {
    /// C10, C11
    by_messages_and_by_sql, |server| {
        let one = || prepare("s", "SELECT 1");
        let mut stage = Stage::new(server);
        // The same by a Query and by messages.
        for (form, tell) in [("Query", query_of as fn(&str) -> Write), ("messages", command)] {
            for (name, script) in [
                ("EXECUTE", vec![one(), tell("EXECUTE s"), run("s"), tell("EXECUTE s")]),
                ("EXECUTE with values", vec![prepare("s", "SELECT $1::int + 1"), tell("EXECUTE s(41)"), tell("EXECUTE s"), tell("EXECUTE s (1 + 1)")]),
                ("EXPLAIN EXECUTE", vec![one(), tell("EXPLAIN (COSTS OFF) EXECUTE s"), run("s")]),
                ("CREATE TABLE AS EXECUTE", vec![one(), tell("CREATE TABLE made AS EXECUTE s"), tell("SELECT count(*) FROM made")]),
                ("DEALLOCATE", vec![one(), tell("DEALLOCATE s"), run("s"), tell("EXECUTE s"), one(), run("s")]),
                ("DEALLOCATE PREPARE", vec![one(), tell("DEALLOCATE PREPARE s"), run("s"), tell("DEALLOCATE s"), one(), run("s")]),
                ("DEALLOCATE with quotes", vec![prepare("My s", "SELECT 1"), tell("DEALLOCATE \"My s\""), run("My s")]),
                ("DEALLOCATE in capitals", vec![one(), tell("DEALLOCATE S"), run("s")]),
                ("DEALLOCATE another", vec![one(), prepare("Q", "SELECT 2"), tell("DEALLOCATE q"), run("Q"), tell("DEALLOCATE \"Q\""), run("Q"), run("s")]),
                ("DEALLOCATE ALL", vec![one(), prepare("q", "SELECT 2"), tell("DEALLOCATE ALL"), run("s"), run("q"), one(), run("s")]),
                ("DEALLOCATE PREPARE ALL", vec![one(), tell("DEALLOCATE PREPARE ALL"), run("s"), one()]),
                ("DISCARD ALL", vec![one(), tell("DISCARD ALL"), run("s"), one(), run("s")]),
                ("DISCARD PLANS", vec![one(), tell("DISCARD PLANS"), run("s"), tell("EXECUTE s")]),
                ("DEALLOCATE, taken back", vec![one(), tell("BEGIN"), tell("DEALLOCATE s"), tell("ROLLBACK"), run("s")]),
                ("DEALLOCATE ALL, taken back", vec![one(), tell("BEGIN"), tell("DEALLOCATE ALL"), tell("ROLLBACK"), run("s")]),
                ("DEALLOCATE in a failed block", vec![one(), tell("BEGIN"), tell("SELECT 1/0"), tell("DEALLOCATE s"), tell("ROLLBACK"), run("s")]),
                ("DEALLOCATE of nothing", vec![one(), tell("DEALLOCATE nothing"), run("s")]),
                ("Bind to what SQL prepared", vec![tell("PREPARE s AS SELECT 2"), run("s"), batch(&[describe(b'S', "s")]), batch(&[close(b'S', "s")]), tell("EXECUTE s")]),
                ("Close of what SQL deallocated", vec![one(), tell("DEALLOCATE s"), batch(&[close(b'S', "s")]), one(), run("s")]),
                ("EXECUTE of a SET", vec![prepare("s", "SET work_mem = '1234kB'"), tell("EXECUTE s"), tell("SHOW work_mem")]),
                ("EXECUTE of a set_config", vec![prepare("s", "SELECT set_config('work_mem', $1, false)"), tell("EXECUTE s('1234kB')"), tell("SHOW work_mem")]),
                ("EXECUTE of a set_config of one's own", vec![prepare("s", "SELECT set_config('my.user', 'alice', false)"), tell("EXECUTE s"), tell("SELECT current_setting('my.user', true)")]),
                ("EXECUTE of a lock", vec![prepare("s", "SELECT pg_advisory_lock(1)"), tell("EXECUTE s"), tell("SELECT pg_advisory_unlock(1)"), tell("SELECT 1")]),
                ("EXECUTE of LISTEN", vec![prepare("s", "LISTEN news"), run("s"), tell("NOTIFY news"), tell("UNLISTEN news"), run("s"), tell("UNLISTEN *")]),
                ("a block", vec![tell("BEGIN"), one(), run("s"), tell("EXECUTE s"), tell("DEALLOCATE s"), run("s"), tell("ROLLBACK"), run("s")]),
                ("a failed block", vec![tell("BEGIN"), one(), tell("SELECT 1/0"), tell("ROLLBACK"), run("s"), tell("EXECUTE s")]),
                ("a statement that SET changes", vec![prepare("s", "SELECT current_setting('work_mem'), count(*) FROM t"), run("s"), tell("SET work_mem = '1234kB'"), run("s"),
                    tell("SET search_path = a"), run("s"), tell("EXECUTE s"), tell("RESET ALL"), run("s")]),
            ] {
                for look in [true, false] {
                    stage.run(&format!("{name} by {form}, looking: {look}"), &[], &script, look);
                }
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// C10: in one text, and in one batch.
    together, |server| {
        let one = || prepare("s", "SELECT 1");
        let mut stage = Stage::new(server);
        for (name, script) in [
            ("EXECUTE twice", vec![one(), query_of("EXECUTE s; SELECT 2; EXECUTE s"), run("s")]),
            ("EXECUTE and DEALLOCATE", vec![one(), query_of("EXECUTE s; DEALLOCATE s; SELECT 3"), run("s")]),
            ("DEALLOCATE and EXECUTE", vec![one(), query_of("DEALLOCATE s; EXECUTE s"), run("s")]),
            ("PREPARE, EXECUTE, DEALLOCATE", vec![query_of("PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p"), query_of("EXECUTE p")]),
            ("an error behind DEALLOCATE", vec![one(), query_of("DEALLOCATE s; SELECT 1/0"), run("s"), one()]),
            ("an error in front of DEALLOCATE", vec![one(), query_of("SELECT 1/0; DEALLOCATE s"), run("s")]),
            ("Parse and EXECUTE in one batch", vec![batch(&[parse("s", "SELECT 1"), extended("EXECUTE s", &[])]), run("s")]),
            ("Parse and DEALLOCATE in one batch", vec![batch(&[parse("s", "SELECT 1"), extended("DEALLOCATE s", &[])]), run("s")]),
            ("Parse, error, and all again", vec![batch(&[parse("s", "SELECT 1"), extended("SELECT 1/0", &[])]), run("s"), one()]),
            ("Close and PREPARE", vec![one(), batch(&[close(b'S', "s")]), query_of("PREPARE s AS SELECT 2"), run("s"), query_of("DEALLOCATE s")]),
        ] {
            for look in [true, false] {
                stage.run(&format!("{name}, looking: {look}"), &[], &script, look);
            }
        }
        stage.finish();
    }
}

const LIST: &str = "SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY prepare_time";

both_versions! {
    /// C10, C11: who looks at its prepared statements sees them, by its own names and no others.
    looked_at, |server| {
        let one = || prepare("s", "SELECT $1::int");
        let mut stage = Stage::new(server);
        let deaf = |mut all: Vec<Write>, list: Write| { all.push(list); all };
        for (form, tell) in [("Query", query_of as fn(&str) -> Write), ("messages", command)] {
            let list = || tell(LIST);
            for (name, script) in [
                ("nothing", vec![list(), list()]),
                ("one", vec![one(), list(), batch(&[bind("", "s", &[Some(b"1")]), execute("", 0)]), list()]),
                ("three, in order", vec![prepare("z", "SELECT 1"), prepare("y", "SELECT 2"), list(), prepare("x", "SELECT 3"), list(), run("y"), run("x")]),
                ("an odd name", vec![prepare("My \"s", "SELECT 1"), list(), run("My \"s")]),
                ("the same text twice", vec![prepare("a", "SELECT 1"), prepare("b", "SELECT 1"), list()]),
                ("in a block", vec![tell("BEGIN"), one(), list(), prepare("q", "SELECT 2"), list(), run("q"), tell("DEALLOCATE s"), list(), run("s"), tell("COMMIT"), list()]),
                ("taken back", vec![tell("BEGIN"), one(), list(), prepare("q", "SELECT 2"), tell("ROLLBACK"), run("q"), list()]),
                ("in a failed block", vec![one(), tell("BEGIN"), tell("SELECT 1/0"), list(), tell("ROLLBACK"), list()]),
                ("Close", vec![prepare("q", "SELECT 2"), tell("BEGIN"), list(), batch(&[close(b'S', "q")]), list(), run("q"), tell("COMMIT"), list()]),
                ("a name that is taken", vec![tell("BEGIN"), one(), list(), one(), tell("ROLLBACK"), list()]),
                ("Parse fails", vec![tell("BEGIN"), list(), prepare("q", "SELECT nothing"), tell("ROLLBACK"), run("q"), list()]),
                ("DEALLOCATE ALL", vec![one(), tell("BEGIN"), list(), tell("DEALLOCATE ALL"), list(), one(), list(), tell("COMMIT"), list()]),
                ("PREPARE", vec![one(), tell("PREPARE p AS SELECT 2"), tell(LIST), prepare("q", "SELECT 3"), list(), run("q"), run("p"), tell("DEALLOCATE p"), list(), run("q")]),
                ("PREPARE of a name that is taken", vec![one(), tell("PREPARE s AS SELECT 2"), list(), batch(&[bind("", "s", &[Some(b"1")]), execute("", 0)])]),
                ("Parse of a name that is taken", vec![tell("PREPARE s AS SELECT 2"), one(), run("s"), list(), tell("DEALLOCATE s"), one(), list()]),
                ("EXECUTE of both", vec![one(), tell("PREPARE p AS SELECT 2"), tell("EXECUTE s(1)"), tell("EXECUTE p"), tell("DEALLOCATE s"), tell("DEALLOCATE p"), list()]),
                ("a list that is prepared", vec![prepare("l", LIST), run("l"), one(), run("l"), batch(&[describe(b'S', "l")]), run("l")]),
                ("without a word", vec![one(), tell("SELECT count(*) FROM pg_catalog . \"pg_prepared_statements\""), tell("SELECT count(*) FROM pg_prepared_statement()"),
                    tell("SELECT count(*) FROM Pg_Prepared_Statements")]),
            ] {
                for look in [true, false] {
                    stage.run(&format!("{name} by {form}, looking: {look}"), &[], &script, look);
                }
            }
            for (name, first) in [
                ("Parse and a list in one batch", vec![batch(&[parse("s", "SELECT 1"), extended(LIST, &[]), bind("", "s", &[]), execute("", 0)])]),
                ("a list and an error in one batch", vec![one(), batch(&[extended("SELECT 1", &[]), extended(LIST, &[]), extended("SELECT 1/0", &[])])]),
                ("an error and a list in one batch", vec![one(), batch(&[parse("q", "SELECT 1/0"), bind("", "q", &[]), execute("", 0), extended(LIST, &[])])]),
                ("behind others", vec![one(), ([query("SELECT 1"), batch(&[extended(LIST, &[])]).0, query(LIST), query("SELECT 2")].concat(), 4)]),
                ("PREPARE, EXECUTE and a list in one text", vec![one(), query_of("PREPARE p AS SELECT 1; EXECUTE p; SELECT name FROM pg_prepared_statements; DEALLOCATE p")]),
            ] {
                stage.run(name, &[], &deaf(first, list()), true);
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// C10: the statements of others are not among them, and are there again afterwards.
    of_others_on_the_same_connection, |server| {
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        let connect = || crate::login(pgusher.port(), "app", &database.name, &[]);
        let (mut one, mut two) = (connect(), connect());
        let prepares = |client: &mut Raw, name: &str, sql: &str| {
            client.send(&[parse(name, sql), sync()].concat());
            client.until_ready();
        };
        let names = |client: &mut Raw| -> Vec<String> {
            client.rows(LIST).into_iter().filter_map(|mut row| row.swap_remove(0)).collect()
        };
        prepares(&mut one, "secret", "SELECT 'of one'");
        prepares(&mut two, "other", "SELECT 'of two'");
        assert_eq!(names(&mut two), ["other"]);
        assert_eq!(names(&mut one), ["secret"]);
        assert!(names(&mut connect()).is_empty());
        for (client, name, value) in [(&mut one, "secret", "of one"), (&mut two, "other", "of two")] {
            assert_eq!(client.value(&format!("EXECUTE {name}")), value);
        }
        // Who has very much sees it by numbers, and still nothing of others.
        let padding = " ".repeat(20_000);
        for nth in 0..60 {
            prepares(&mut two, &format!("s{nth}"), &format!("SELECT {nth}{padding}"));
        }
        prepares(&mut one, "again", "SELECT 'of one again'");
        for _ in 0..2 {
            let foreign = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%of one%' AND statement NOT LIKE '%foreign%' -- foreign";
            assert_eq!(two.value(foreign), "0");
            assert_eq!(names(&mut one).len(), 2);
            assert_eq!(two.value("EXECUTE s7"), "7");
        }
    }
}

both_versions! {
    /// C4: what a function takes away, in SQL that nobody sees, is missed once and then there again.
    taken_away_unseen, |server| {
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        let connect = || crate::login(pgusher.port(), "app", &database.name, &[]);
        let (mut one, mut two) = (connect(), connect());
        one.rows("CREATE FUNCTION frees() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOC' || 'ATE ALL'; RETURN 1; END $$");
        let hears = |client: &mut Raw, (bytes, _): Write| -> Vec<String> {
            client.send(&bytes);
            client.until_ready().iter().map(Message::notation).collect()
        };
        let fails = |heard: Vec<String>| heard.iter().any(|it| it == "E:26000");
        for (client, name) in [(&mut one, "a"), (&mut two, "b")] {
            hears(client, prepare(name, &format!("SELECT '{name}'")));
            assert!(!fails(hears(client, run(name))));
        }
        assert_eq!(one.value("SELECT frees()"), "1");
        assert!(fails(hears(&mut one, run("a"))));
        assert!(!fails(hears(&mut one, run("a"))));
        assert!(!fails(hears(&mut two, run("b"))));
        // In front of others that rely on it, and in a transaction.
        assert_eq!(one.value("BEGIN; SELECT frees()"), "1");
        assert!(fails(hears(&mut one, batch(&[describe(b'S', "a"), bind("", "a", &[]), execute("", 0)]))));
        one.rows("ROLLBACK");
        assert!(!fails(hears(&mut two, run("b"))));
        assert!(!fails(hears(&mut one, run("a"))));
    }
}

both_versions! {
    /// C10: in what is sent before the server has said that the name is free.
    given_up_and_taken_again, |server| {
    let one = || prepare("s", "SELECT 1");
    let mut stage = Stage::new(server);
    for (name, script) in [
        (
            "DEALLOCATE and Parse in one batch",
            vec![
                one(),
                batch(&[extended("DEALLOCATE s", &[]), parse("s", "SELECT 2")]),
                run("s"),
            ],
        ),
        (
            "DEALLOCATE and Bind in one batch",
            vec![
                one(),
                batch(&[
                    extended("DEALLOCATE s", &[]),
                    bind("", "s", &[]),
                    execute("", 0),
                ]),
                run("s"),
            ],
        ),
        (
            "DEALLOCATE ALL and Parse in one batch",
            vec![
                one(),
                batch(&[
                    extended("DEALLOCATE ALL", &[]),
                    parse("s", "SELECT 2"),
                    bind("", "s", &[]),
                    execute("", 0),
                ]),
                run("s"),
            ],
        ),
        (
            "DISCARD ALL and Parse in one write",
            vec![
                one(),
                (
                    [
                        query("DISCARD ALL"),
                        parse("s", "SELECT 2"),
                        sync(),
                        bind("", "s", &[]),
                        execute("", 0),
                        sync(),
                    ]
                    .concat(),
                    3,
                ),
                run("s"),
            ],
        ),
    ] {
        stage.run(name, &[], &script, true);
    }
    stage.finish();
}
}

both_versions! {
    /// C12: who prepares a text again after its tables have changed is not given what it meant before.
    about_tables_that_change, |server| {
        let asked = |name: &str, sql: &str| batch(&[parse(name, sql), describe(b'S', name)]);
        let select = |name: &str| asked(name, "SELECT * FROM made");
        let mut stage = Stage::new(server);
        stage.setup("CREATE PROCEDURE alters() LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE made ALTER v TYPE text; END $$");
        for (form, tell) in [("Query", query_of as fn(&str) -> Write), ("messages", command)] {
            for (name, script) in [
                ("another table of the name", vec![tell("CREATE TABLE made (v int)"), select("s"), run("s"), tell("DROP TABLE made"),
                    tell("CREATE TABLE made (v text)"), select("q"), run("q"), run("s")]),
                ("a parameter of another type", vec![tell("CREATE TABLE made (v int)"), asked("s", "INSERT INTO made VALUES ($1)"), tell("DROP TABLE made"),
                    tell("CREATE TABLE made (v date)"), asked("q", "INSERT INTO made VALUES ($1)")]),
                ("a column of another type", vec![tell("CREATE TABLE made (v int)"), select("s"), run("s"),
                    tell("ALTER TABLE made ALTER v TYPE text"), select("q"), run("q"), run("s")]),
                ("a change that is taken back", vec![tell("CREATE TABLE made (v int)"), select("s"), tell("BEGIN"), tell("ALTER TABLE made ALTER v TYPE text"),
                    select("q"), run("q"), tell("ROLLBACK"), select("r"), run("r"), run("s"), run("q")]),
                ("a change behind a savepoint", vec![tell("CREATE TABLE made (v int)"), tell("BEGIN"), tell("SAVEPOINT a"), tell("ALTER TABLE made ALTER v TYPE text"),
                    select("q"), run("q"), tell("ROLLBACK TO a"), select("r"), run("r"), tell("COMMIT"), select("s"), run("s"), run("q")]),
                ("a change in a procedure", vec![tell("CREATE TABLE made (v int)"), select("s"), tell("CALL alters()"), select("q"), run("q")]),
                ("a change in a block", vec![tell("CREATE TABLE made (v int)"), select("s"), tell("DO $$ BEGIN ALTER TABLE made ALTER v TYPE text; END $$"),
                    select("q"), run("q")]),
                ("a temporary table", vec![tell("CREATE TEMP TABLE made (v int)"), select("s"), run("s"), tell("DROP TABLE made"),
                    tell("CREATE TEMP TABLE made (v text)"), select("q"), run("q"), tell("DROP TABLE made")]),
                ("a temporary table in front", vec![tell("CREATE TABLE made (v int)"), select("s"), run("s"), tell("CREATE TEMP TABLE made (v text)"),
                    select("q"), run("q"), tell("DROP TABLE pg_temp.made"), select("r"), run("r")]),
            ] {
                for look in [true, false] {
                    stage.run(&format!("{name} by {form}, looking: {look}"), &[], &script, look);
                }
            }
        }
        stage.finish();
    }
}

/// A pool, and a function that takes what `takes` says: nothing waits for who changes it.
fn with_a_function(server: &Postgres, pool_size: usize) -> (Pgusher, impl Fn() -> Raw + use<>) {
    let database = server.fresh_database();
    database.raw().rows(MAKE_INT);
    let pgusher = Pgusher::in_front_of(server).pool_size(pool_size).start();
    let port = pgusher.port();
    let connect = move || crate::login(port, "app", &database.name, &[]);
    (pgusher, connect)
}

const MAKE_INT: &str = "DROP FUNCTION IF EXISTS takes(date); CREATE FUNCTION takes(v int) RETURNS int LANGUAGE sql AS 'SELECT 1'";
const MAKE_DATE: &str = "DROP FUNCTION takes(int); CREATE FUNCTION takes(v date) RETURNS int LANGUAGE sql AS 'SELECT 2'";

/// Prepares a call of it and returns the type that its parameter has.
#[track_caller]
fn parameter(client: &mut Raw, name: &str) -> &'static str {
    client.send(
        &[
            parse(name, "SELECT takes($1)"),
            describe(b'S', name),
            sync(),
        ]
        .concat(),
    );
    let messages = client.until_ready();
    let parameters = messages.iter().find(|it| it.tag == b't');
    match parameters.map(|it: &Message| it.body.as_slice()) {
        Some([0, 1, 0, 0, 0, 23]) => "int",
        Some([0, 1, 0, 0, 4, 58]) => "date",
        _ => panic!("{messages:?}"),
    }
}

both_versions! {
    /// C12: what somebody changes others see when it is committed, and share until then.
    about_what_others_change, |server| {
        let block = format!("DO $$ BEGIN {MAKE_DATE}; END $$");
        let procedure = format!("CREATE PROCEDURE makes() LANGUAGE plpgsql AS $$ BEGIN {MAKE_DATE}; END $$");
        for (change, ending, then) in [(MAKE_DATE, "COMMIT", "date"), (MAKE_DATE, "ROLLBACK", "int"),
            (&block, "COMMIT", "date"), ("CALL makes()", "COMMIT", "date")] {
            let (_pgusher, connect) = with_a_function(server, 2);
            let (mut one, mut two) = (connect(), connect());
            two.rows(&procedure);
            assert_eq!(parameter(&mut one, "before"), "int");
            one.rows("BEGIN");
            one.rows(change);
            // The second finds what the first has prepared, and the other way round.
            assert_eq!(parameter(&mut one, "within"), "date");
            assert_eq!(parameter(&mut two, "meanwhile"), "int");
            assert_eq!(parameter(&mut two, "again"), "int");
            assert_eq!(parameter(&mut one, "within again"), "date");
            one.rows(ending);
            assert_eq!(parameter(&mut two, "after"), then, "{ending} of {change}");
            assert_eq!(parameter(&mut one, "after"), then, "{ending} of {change}");
            assert_eq!(parameter(&mut connect(), "after"), then, "{ending} of {change}");
        }
    }
}

both_versions! {
    /// C12: one server connection for two, and one who leaves what it has changed to be rolled back.
    about_what_was_changed_on_the_same_connection, |server| {
        let (_pgusher, connect) = with_a_function(server, 1);
        let (mut one, mut two) = (connect(), connect());
        assert_eq!(parameter(&mut two, "before"), "int");
        one.rows("BEGIN");
        one.rows(MAKE_DATE);
        assert_eq!(parameter(&mut one, "within"), "date");
        drop(one);
        assert_eq!(parameter(&mut two, "after"), "int");
        let mut one = connect();
        assert_eq!(parameter(&mut one, "first"), "int");
        one.rows(MAKE_DATE);
        assert_eq!(parameter(&mut two, "changed"), "date");
        assert_eq!(parameter(&mut one, "second"), "date");
        // Nobody hears that it was done.
        one.send(&[query(MAKE_INT), crate::support::message::terminate()].concat());
        one.expect_eof();
        assert_eq!(parameter(&mut two, "back"), "int");
    }
}

/// How many statements the server connection of a pool of one has, seen behind a view.
const ON_SERVER: &str = "SELECT count(*) FROM on_server";

both_versions! {
    /// C5, C14: a server connection keeps 500; a client has as many as it likes, in whatever order it uses them.
    more_than_a_server_keeps, |server| {
        const MANY: usize = 1_200;
        let database = server.fresh_database();
        database.raw().rows("CREATE VIEW on_server AS SELECT * FROM pg_prepared_statements");
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        let mut client = crate::login(pgusher.port(), "app", &database.name, &[]);
        let mut other = crate::login(pgusher.port(), "app", &database.name, &[]);
        let name = |n: usize| format!("s{n}");
        let all = |one: &dyn Fn(usize) -> Vec<u8>| -> Vec<u8> {
            [(0..MANY).flat_map(one).collect(), sync()].concat()
        };
        let types = client.ask(&all(&|n| parse(&name(n), &format!("SELECT {n}")))).types();
        assert_eq!(types, format!("1*{MANY} Z:I"));
        // One batch: those that are not there any more are parsed amid the others.
        for step in [1, 7, 601, MANY - 1] {
            let nth = |n: usize| n * step % MANY;
            let heard = client.ask(&all(&|n| [bind("", &name(nth(n)), &[]), execute("", 0)].concat()));
            let rows: Vec<String> = heard.text().lines().filter_map(|line| line.strip_prefix("D ").map(str::to_owned)).collect();
            let expected: Vec<String> = (0..MANY).map(|n| nth(n).to_string()).collect();
            assert_eq!(rows, expected, "every {step}");
            assert!(other.value(ON_SERVER).parse::<usize>().is_ok_and(|count| count <= 500));
        }
        // An error in the middle: what was closed and parsed behind it was not.
        let failing = |n: usize| match n {
            600 => extended("SELECT 1/0", &[]),
            _ => [bind("", &name(n), &[]), execute("", 0)].concat(),
        };
        for _ in 0..2 {
            let types = client.ask(&all(&failing)).types();
            assert_eq!(types.matches("2 D C ").count(), 600);
            assert!(types.ends_with("E:22012 Z:I"), "{types}");
        }
        let types = client.ask(&all(&|n| [bind("", &name(n), &[]), execute("", 0)].concat())).types();
        assert_eq!(types, format!("{}Z:I", "2 D C ".repeat(MANY)));
        assert!(other.value(ON_SERVER).parse::<usize>().is_ok_and(|count| count <= 500));
    }
}

both_versions! {
    /// C14: who prepares without end is told so, by number and by size.
    without_end, |server| {
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        for (size, most) in [(10, 10_000), (31_000, 32 * 1024 * 1024 / 31_000)] {
            let mut client = crate::login(pgusher.port(), "app", &database.name, &[]);
            let padding = " ".repeat(size);
            let mut held = 0;
            let refusal = loop {
                let batch = |n: usize| parse(&format!("s{}", held + n), &format!("SELECT {}{padding}", held + n));
                client.send(&[(0..100).flat_map(batch).collect(), sync()].concat());
                let answer = loop {
                    let answer = client.next();
                    if answer.tag != b'1' {
                        break answer;
                    }
                    held += 1;
                };
                if answer.tag != b'Z' {
                    break answer;
                }
            };
            assert_eq!((refusal.tag, refusal.sqlstate()), (b'E', "54000".to_owned()));
            // Some were not answered yet.
            assert!((most - 100..=most).contains(&held), "{held} of {size}");
        }
    }
}

both_versions! {
    /// C6: what pgusher answers itself stands where the server's answer would.
    own_answers_in_their_place, |server| {
        let mut stage = Stage::new(server);
        let run = |name: &str| [bind("", name, &[]), execute("", 0)].concat();
        // The first script leaves all of them on the server: what follows is there already.
        let known = || prepare("k", "SELECT 'known'");
        for (name, script) in [
            ("first", vec![known()]),
            ("Parse between others", vec![batch(&[run("k"), parse("a", "SELECT 'known'"), run("a"), extended("SELECT 1", &[]), parse("b", "SELECT 'known'")])]),
            ("Close between others", vec![known(), batch(&[run("k"), close(b'S', "k"), extended("SELECT 1", &[]), close(b'S', "nothing"), run("k")])]),
            ("nothing but own answers", vec![known(), batch(&[close(b'S', "k"), parse("k", "SELECT 'known'"), close(b'S', "k")]), batch(&[])]),
            ("behind an error", vec![batch(&[extended("SELECT 1/0", &[]), parse("k", "SELECT 'known'"), close(b'S', "k")]), known()]),
        ] {
            for look in [true, false] {
                stage.run(&format!("{name}, looking: {look}"), &[], &script, look);
            }
        }
        stage.finish();
    }
}
