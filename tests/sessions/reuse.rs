//! Statements without a name that come again are parsed once, and nobody hears a difference.

use crate::{
    login,
    stage::{Stage, Write, batch},
    support::{
        Database, Message, Pgusher, Postgres, Raw, both_versions,
        message::{
            bind, close, describe, execute, extended, flush, lossy, parse, parse_typed, query, sync,
        },
    },
};

/// A text that is reused, once it has come twice.
const V: &str = "SELECT v FROM t ORDER BY v";
const LIST: &str = "SELECT name, statement FROM pg_prepared_statements ORDER BY prepare_time";

fn told(sql: &str) -> Write {
    batch(&[extended(sql, &[])])
}

fn query_of(sql: &str) -> Write {
    (query(sql), 1)
}

/// `sql` three times, and then `more`.
fn warm(sql: &str, more: Vec<Write>) -> Vec<Write> {
    let three = std::iter::repeat_with(|| told(sql)).take(3);
    three.chain(more).collect()
}

/// Binds and runs what was parsed before.
fn run() -> Write {
    batch(&[bind("", "", &[]), execute("", 0)])
}

/// Several times the same.
fn again(count: usize, write: &Write) -> Vec<Write> {
    std::iter::repeat_n(write.clone(), count).collect()
}

both_versions! {
    /// C4, C6, C8: the unnamed statement is what it is in PostgreSQL.
    the_unnamed_statement, |server| {
        let mut stage = Stage::new(server);
        let parsed = |sql: &str| batch(&[parse("", sql)]);
        let wrong = [parse("", "SELECT $1::int"), bind("", "", &[]), execute("", 0)];
        let bad = [parse("", "SELECT $1::int"), bind("", "", &[Some(b"x")]), execute("", 0)];
        let good = [parse("", "SELECT $1::int"), bind("", "", &[Some(b"7")]), describe(b'P', ""), execute("", 0)];
        for (name, script) in [
            ("again and again", warm(V, vec![told(V), told("SELECT 2"), told(V)])),
            ("described only", again(4, &batch(&[parse("", V), describe(b'S', "")]))),
            ("nothing was parsed", vec![run(), batch(&[describe(b'S', "")]), batch(&[close(b'S', "")])]),
            ("bound later", warm(V, vec![parsed(V), run(), run(), batch(&[describe(b'S', "")])])),
            ("a Query in between", warm(V, vec![parsed(V), query_of("SELECT 1"), run()])),
            ("a Close in between", warm(V, vec![parsed(V), batch(&[close(b'S', "")]), run()])),
            ("a Close in the same batch", warm(V, vec![batch(&[parse("", V), close(b'S', ""), bind("", "", &[])]), run()])),
            ("another in between", warm(V, vec![parsed(V), parsed("SELECT 3"), run(), parsed(V), run()])),
            ("a Parse that fails", warm(V, vec![parsed(V), told("SELECT nothing"), run(), told("SELECT nothing"), told("SELECT nothing"), run()])),
            ("a Parse that is skipped", warm(V, vec![parsed("SELECT 4"), batch(&[bind("", "none", &[]), parse("", V)]), run()])),
            ("the same, kept", warm(V, vec![parsed(V), batch(&[bind("", "none", &[]), parse("", "SELECT 5")]), run()])),
            ("values that are missing", [again(4, &batch(&wrong)), again(3, &batch(&good))].concat()),
            ("values that are wrong", [again(4, &batch(&bad)), again(3, &batch(&good)), again(2, &batch(&bad))].concat()),
            ("types", [[23_u32], [20], [23], [20], [23], [20]].map(|types|
                batch(&[parse_typed("", "SELECT $1", &types), describe(b'S', ""), bind("", "", &[Some(b"7")]), execute("", 0)])).to_vec()),
            ("two in a batch", again(4, &batch(&[extended(V, &[]), extended("SELECT 6", &[]), extended(V, &[])]))),
            ("an error in the middle", again(4, &batch(&[extended(V, &[]), extended("SELECT 1/0", &[]), extended(V, &[])]))),
            ("several batches at once", again(4, &([batch(&[extended(V, &[])]).0, query("SELECT 7"), batch(&[extended(V, &[])]).0].concat(), 3))),
            ("Flush", again(4, &batch(&[parse("", V), flush(), bind("", "", &[]), flush(), execute("", 0), flush()]))),
            ("a part of the rows", again(4, &batch(&[parse("", "SELECT v FROM generate_series(1, 3) v"), bind("", "", &[]), execute("", 1), execute("", 1), execute("", 0)]))),
            ("a portal that stays", warm(V, vec![query_of("BEGIN"), batch(&[parse("", "SELECT 8 AS v"), bind("p", "", &[]), parse("", V)]),
                batch(&[parse("", V), execute("p", 0), bind("", "", &[]), execute("", 0)]), query_of("COMMIT")])),
            ("a COMMIT in the batch", again(3, &batch(&[extended("BEGIN", &[]), extended(V, &[]), extended("COMMIT", &[]), extended(V, &[])]))),
            ("beside one with a name", warm(V, vec![batch(&[parse("s", V)]), batch(&[bind("", "s", &[]), execute("", 0)]), told(V), batch(&[close(b'S', "s")]), told(V), run()])),
            ("DEALLOCATE ALL", warm(V, vec![told("DEALLOCATE ALL"), told(V), query_of("DEALLOCATE ALL"), told(V), told(V)])),
            ("DISCARD ALL", warm(V, vec![told("DISCARD ALL"), told(V), told(V)])),
            ("a list", warm(V, vec![told(LIST), told(V), query_of("BEGIN"), told(LIST), told(V), told(LIST), query_of("COMMIT"), told(V), told(LIST)])),
            ("a list by name", warm(V, vec![batch(&[parse("l", LIST)]), query_of("BEGIN"), parsed(V), batch(&[bind("", "l", &[]), execute("", 0)]), run(),
                batch(&[bind("", "l", &[]), execute("", 0)]), query_of("COMMIT"), told(V)])),
        ] {
            for look in [true, false] {
                stage.run(&format!("{name}, looking: {look}"), &[], &script, look);
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// C12, C13: what a text means is what it means now.
    what_a_text_means, |server| {
        let mut stage = Stage::new(server);
        stage.setup("CREATE TABLE u (v int); INSERT INTO u VALUES (1); CREATE TABLE a.u (v int); INSERT INTO a.u VALUES (2); GRANT SELECT ON u, a.u TO PUBLIC");
        const V: &str = "SELECT v FROM u";
        const AT: &str = "SELECT '2020-01-01 12:00+00'::timestamptz::text, '2020-01-01 12:00'::timestamptz AT TIME ZONE 'UTC'";
        const MADE: &str = "SELECT v FROM made";
        let made = || vec![query_of("CREATE TABLE made (v int)"), query_of("INSERT INTO made VALUES (1)"), told(MADE), told(MADE), told(MADE)];
        let with = |first: Vec<Write>, more: Vec<Write>| [first, more].concat();
        let within = |sql: &str, change: &str| vec![query_of("BEGIN"), told(sql), told(change), told(sql), query_of("COMMIT"), told(sql), told(sql)];
        for (form, tell) in [("Query", query_of as fn(&str) -> Write), ("messages", told)] {
            for (name, script) in [
                ("a transaction that has failed", warm(V, vec![tell("BEGIN"), tell("SELECT 1/0"), told(V), run(), tell("ROLLBACK"), told(V), run()])),
                ("a temporary table in front", warm(V, vec![tell("CREATE TEMP TABLE u (v text)"), told(V), told(V), tell("DROP TABLE pg_temp.u"), told(V), told(V)])),
                ("one that goes at COMMIT", warm(V, vec![tell("BEGIN"), told(V), tell("CREATE TEMP TABLE u (v text) ON COMMIT DROP"), told(V), tell("COMMIT"), told(V)])),
                ("one that is taken back", warm(V, vec![tell("BEGIN"), tell("SELECT 'x' AS v INTO TEMP u"), told(V), tell("ROLLBACK"), told(V)])),
                ("one of a DO block", warm(V, vec![tell("BEGIN"), tell("DO $$ BEGIN CREATE TEMP TABLE u (v text); END $$"), told(V), tell("ROLLBACK"), told(V)])),
                ("one that is filled again and again", [1, 2, 3, 4].into_iter().flat_map(|_| [tell("BEGIN"), tell("CREATE TEMP TABLE made (v int) ON COMMIT DROP"),
                    told("INSERT INTO made VALUES (1)"), told(MADE), tell("COMMIT")]).collect()),
                ("a column of another type", with(made(), vec![tell("ALTER TABLE made ALTER v TYPE text"), told(MADE), told(MADE), told(MADE)])),
                ("in a block", with(made(), vec![tell("BEGIN"), tell("ALTER TABLE made ALTER v TYPE text"), told(MADE), told(MADE), tell("ROLLBACK"), told(MADE), told(MADE)])),
                ("behind a savepoint", with(made(), vec![tell("BEGIN"), tell("SAVEPOINT a"), tell("ALTER TABLE made ALTER v TYPE text"), told(MADE),
                    tell("ROLLBACK TO a"), told(MADE), tell("COMMIT"), told(MADE), told(MADE)])),
                ("another table of the name", with(made(), vec![tell("DROP TABLE made"), told(MADE), tell("CREATE TABLE made (v date)"), told(MADE), told(MADE), told(MADE)])),
                ("a column more", with(made(), vec![told("SELECT * FROM made"), told("SELECT * FROM made"), told("SELECT * FROM made"),
                    tell("ALTER TABLE made ADD w int"), told("SELECT * FROM made"), told("SELECT * FROM made")])),
                ("SET LOCAL", warm(AT, vec![tell("BEGIN"), told(AT), tell("SET LOCAL TimeZone = 'Asia/Tokyo'"), told(AT), told(AT), tell("COMMIT"), told(AT)])),
                ("a local set_config", warm(AT, vec![tell("BEGIN"), tell("SELECT set_config('TimeZone', 'Asia/Tokyo', true)"), told(AT), tell("COMMIT"), told(AT)])),
                ("SET", warm(AT, vec![tell("SET TimeZone = 'Asia/Tokyo'"), told(AT), told(AT), told(AT), tell("RESET TimeZone"), told(AT), told(AT)])),
                ("SET in a block", warm(AT, vec![tell("BEGIN"), tell("SET TimeZone = 'Asia/Tokyo'"), told(AT), tell("ROLLBACK"), told(AT)])),
                ("a path", warm(V, vec![tell("SET search_path = a"), told(V), told(V), tell("RESET search_path"), told(V), tell("BEGIN"), tell("SET LOCAL search_path = a"),
                    told(V), tell("COMMIT"), told(V)])),
                ("a role", warm("SELECT current_user", vec![tell("SET ROLE visitor"), told("SELECT current_user"), told("SELECT current_user"), tell("RESET ROLE"), told("SELECT current_user")])),
            ] {
                for look in [true, false] {
                    stage.run(&format!("{name} by {form}, looking: {look}"), &[], &script, look);
                }
            }
        }
        for (name, script) in [
            ("a temporary table in the same batch", warm(V, vec![batch(&[extended("CREATE TEMP TABLE u (v text) ON COMMIT DROP", &[]), extended(V, &[])]), told(V)])),
            ("a column of another type in the same batch", with(made(), vec![batch(&[extended("ALTER TABLE made ALTER v TYPE text", &[]), extended(MADE, &[])]), told(MADE)])),
            ("by a statement with a name", with(made(), vec![batch(&[parse("s", "ALTER TABLE made ALTER v TYPE text")]),
                batch(&[parse("", "SELECT 1"), bind("", "s", &[]), execute("", 0), extended(MADE, &[])]), told(MADE)])),
            ("in one write", with(made(), vec![([query("ALTER TABLE made ALTER v TYPE text"), extended(MADE, &[]), sync()].concat(), 2), told(MADE)])),
            ("a block that fails, in one write", warm(V, vec![([query("BEGIN"), query("SELECT 1/0"), extended(V, &[]), sync(), query("ROLLBACK")].concat(), 4), told(V)])),
            ("SET LOCAL in the same batch", warm(AT, within(AT, "SET LOCAL TimeZone = 'Asia/Tokyo'"))),
            ("SET LOCAL in one write", warm(AT, vec![([query("BEGIN"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), extended(AT, &[]), sync(), query("COMMIT")].concat(), 4), told(AT)])),
            ("settings of the application", warm(V, within(V, "SET LOCAL app.own = 'x'"))),
        ] {
            for look in [true, false] {
                stage.run(&format!("{name}, looking: {look}"), &[], &script, look);
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// C8: on whatever server connection it is bound.
    another_server_connection_at_each_step, |server| {
        let mut stage = Stage::alternating(server);
        let parsed = |sql: &str| batch(&[parse("", sql)]);
        for (name, script) in [
            ("again and again", warm(V, warm(V, vec![]))),
            ("bound later", warm(V, vec![parsed(V), run(), run(), run(), parsed("SELECT 1"), run(), run()])),
            ("described later", warm(V, vec![parsed(V), batch(&[describe(b'S', "")]), batch(&[close(b'S', "")]), run(), run()])),
        ] {
            stage.run(name, &[], &script, false);
        }
        stage.finish();
    }
}

/// A database where everybody sees the statements of a server connection, and a table.
fn watched<'a>(server: &'a Postgres, table: &str) -> Database<'a> {
    let database = server.fresh_database();
    database.raw().rows(&format!(
        "CREATE VIEW on_server AS SELECT * FROM pg_prepared_statements WHERE statement LIKE '%watched%';
         CREATE TABLE watched ({table})"
    ));
    database
}

const COUNT: &str = "SELECT count(*) FROM on_server";

/// A client that gets this text a number of times; what it hears at last.
fn ask(client: &mut Raw, sql: &str, values: &[Option<&[u8]>], times: usize) -> Vec<String> {
    let mut last = Vec::new();
    for _ in 0..times {
        client.send(&[extended(sql, values), sync()].concat());
        last = client.until_ready();
    }
    let said = |it: &Message| match it.tag {
        b'E' => format!("E {}", it.sqlstate()),
        b'D' => format!(
            "D {}",
            it.columns()
                .into_iter()
                .flatten()
                .map(|it| lossy(&it))
                .collect::<Vec<_>>()
                .join(",")
        ),
        _ => it.notation(),
    };
    last.iter().map(said).collect()
}

both_versions! {
    /// C14: what comes twice is kept, and for all; what comes once is not.
    what_is_kept, |server| {
        let database = watched(server, "v int");
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        let connect = || login(pgusher.port(), "app", &database.name, &[]);
        let (mut one, mut two) = (connect(), connect());
        let text = "SELECT v FROM watched WHERE v = $1";
        ask(&mut one, text, &[Some(b"1")], 1);
        assert_eq!(two.value(COUNT), "0");
        ask(&mut two, text, &[Some(b"1")], 1);
        assert_eq!(one.value(COUNT), "1");
        ask(&mut one, text, &[Some(b"1")], 10);
        ask(&mut two, text, &[Some(b"2")], 10);
        // The first one went as it came.
        assert_eq!(two.value("SELECT statement || ' ' || generic_plans + custom_plans FROM on_server"), format!("{text} 21"));
        // One with other types is another.
        for _ in 0..2 {
            one.send(&[parse_typed("", text, &[20]), sync()].concat());
            one.until_ready();
        }
        assert_eq!(two.value(COUNT), "2");
        for nth in 0..2_000 {
            ask(&mut one, &format!("SELECT v FROM watched WHERE v = {nth}"), &[], 1);
        }
        for text in ["SELECT * FROM watched", "TABLE watched", "DELETE FROM watched RETURNING *", "SELECT v, 'today'::date FROM watched",
            "EXPLAIN SELECT v FROM watched", "ALTER TABLE watched ALTER v SET STATISTICS 10"] {
            ask(&mut one, text, &[], 4);
        }
        // The last of these has changed a table, so all of them are parsed anew.
        assert_eq!(two.value(COUNT), "2");
        for text in ["INSERT INTO watched VALUES (1)", "UPDATE watched SET v = 2", "DELETE FROM watched", "WITH a AS (SELECT v FROM watched) SELECT v FROM a"] {
            ask(&mut one, text, &[], 4);
        }
        assert_eq!(two.value(COUNT), "6");
    }
}

both_versions! {
    /// Where it is switched off, and in session mode.
    switched_off, |server| {
        for (line, mode) in [("plan_reuse = false", ""), ("", "pool_mode = \"session\""), ("server_reset = \"always\"", "")] {
            let database = watched(server, "v int");
            let pgusher = Pgusher::in_front_of(server).pool_size(1).database(&format!("{line}\n{mode}")).start();
            let mut client = login(pgusher.port(), "app", &database.name, &[]);
            ask(&mut client, "SELECT v FROM watched", &[], 5);
            assert_eq!(client.value(COUNT), "0", "{line} {mode}");
        }
    }
}

both_versions! {
    /// C12: what was changed past pgusher is heard of once at most, and never of a column that is added.
    past_pgusher, |server| {
        let database = watched(server, "v int, w int");
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        let mut client = login(pgusher.port(), "app", &database.name, &[]);
        let fine = |rows: &[&str]| -> Vec<String> {
            let said = ["1", "2", "T"].iter().chain(rows).chain(&["C", "Z:I"]);
            said.map(|it| (*it).to_owned()).collect()
        };
        database.raw().rows("INSERT INTO watched VALUES (1, 2)");
        let (all, some) = ("SELECT * FROM watched", "SELECT v FROM watched WHERE w < $1");
        ask(&mut client, all, &[], 5);
        ask(&mut client, some, &[Some(b"9")], 7);
        database.raw().rows("ALTER TABLE watched ADD x int DEFAULT 3");
        assert_eq!(ask(&mut client, all, &[], 1), fine(&["D 1,2,3"]));
        assert_eq!(ask(&mut client, some, &[Some(b"9")], 1), fine(&["D 1"]));
        // What it takes was settled before.
        let large = b"3000000000".as_slice();
        let insert = "INSERT INTO watched (w) VALUES ($1) RETURNING v";
        ask(&mut client, insert, &[Some(b"50")], 3);
        database.raw().rows("ALTER TABLE watched ALTER w TYPE bigint");
        assert_eq!(ask(&mut client, insert, &[Some(large)], 1), ["1", "E 22003", "Z:I"]);
        assert_eq!(ask(&mut client, insert, &[Some(large)], 1), fine(&["D "]));
        // What it gives was too.
        database.raw().rows("ALTER TABLE watched ALTER v TYPE text");
        assert_eq!(ask(&mut client, some, &[Some(b"9")], 1), ["1", "E 0A000", "Z:I"]);
        assert_eq!(ask(&mut client, some, &[Some(b"9")], 3), fine(&["D 1"]));
        // It is not there at all, and then it is.
        database.raw().rows("ALTER TABLE watched RENAME TO moved");
        assert_eq!(ask(&mut client, some, &[Some(b"9")], 1), ["1", "E 42P01", "Z:I"]);
        assert_eq!(ask(&mut client, some, &[Some(b"9")], 1), ["E 42P01", "Z:I"]);
        database.raw().rows("ALTER TABLE moved RENAME TO watched");
        assert_eq!(ask(&mut client, some, &[Some(b"9")], 1), fine(&["D 1"]));
    }
}

both_versions! {
    /// It can be switched off and on while clients are there.
    switched_by_a_reload, |server| {
        let database = watched(server, "v int");
        let pgusher = Pgusher::in_front_of(server).pool_size(1).database("plan_reuse = false").config("[console]\nadmin_users = [\"app\"]").start();
        let mut client = login(pgusher.port(), "app", &database.name, &[]);
        let mut console = login(pgusher.port(), "app", "pgusher", &[]);
        let mut kept = Vec::new();
        for (nth, line) in ["plan_reuse = true", "plan_reuse = false", "plan_reuse = true"].iter().enumerate() {
            let text = format!("SELECT v + {nth} FROM watched");
            ask(&mut client, &text, &[], 4);
            kept.push(client.value(COUNT));
            let other = pgusher.config().lines().map(|it| if it.starts_with("plan_reuse") { line } else { it }).collect::<Vec<_>>().join("\n");
            pgusher.write_config(&other);
            console.rows("RELOAD");
        }
        assert_eq!(kept, ["0", "1", "1"]);
    }
}
