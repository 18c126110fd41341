//! Texts that are too long to be held (more than 32 KiB).

use std::time::Duration;

use crate::{
    login,
    stage::{Stage, Write, batch},
    support::{
        Pgusher, both_versions,
        message::{bind, close, describe, execute, extended, parse, query, sync},
    },
};

/// Something that says nothing, in front and behind.
fn long(sql: &str) -> String {
    let nothing = "-- nothing to be seen here\n".repeat(1_500);
    format!("{nothing}{sql}\n{nothing}")
}

/// How a text is sent.
type Tell = fn(&str) -> Write;

fn ways() -> [(&'static str, Tell); 3] {
    [
        ("Query", |sql| (query(&long(sql)), 1)),
        ("one batch", |sql| batch(&[extended(&long(sql), &[])])),
        ("two batches", |sql| {
            let parsed = [parse("", &long(sql)), describe(b'S', ""), sync()].concat();
            let run = [bind("", "", &[]), execute("", 0), sync()].concat();
            ([parsed, run].concat(), 2)
        }),
    ]
}

fn short(sql: &str) -> Write {
    (query(sql), 1)
}

both_versions! {
    /// E1, E3, E4
    as_without_pgusher, |server| {
        let mut stage = Stage::new(server);
        for (way, tell) in ways() {
            for (name, script) in [
                ("SELECT", vec![tell("SELECT 1"), short("SELECT 2"), tell("SELECT 3")]),
                ("INSERT", vec![tell("INSERT INTO t VALUES (1)"), short("SELECT v FROM t")]),
                ("an error", vec![tell("SELECT 1/0"), short("SELECT 2")]),
                ("in a block", vec![short("BEGIN"), tell("INSERT INTO t VALUES (1)"), tell("SELECT 2"), short("ROLLBACK")]),
                ("set_config", vec![tell("SELECT set_config('work_mem', '1234kB', false)"), short("SHOW work_mem"), short("RESET work_mem")]),
                ("set_config in an INSERT", vec![tell("INSERT INTO t SELECT 1 FROM set_config('work_mem', '1234kB', false)"), short("SHOW work_mem")]),
                ("set_config in a block", vec![short("BEGIN"), tell("SELECT set_config('work_mem', '1234kB', false)"), short("ROLLBACK"), short("SHOW work_mem")]),
                ("a lock", vec![tell("SELECT pg_advisory_lock(1)"), short("SELECT 2"), tell("SELECT pg_advisory_unlock(1)"), short("SELECT 3")]),
                ("a lock in an INSERT", vec![tell("INSERT INTO t SELECT 1 FROM pg_advisory_lock(1)"), short("SELECT 2"), short("SELECT pg_advisory_unlock(1)")]),
                ("a temporary table", vec![tell("CREATE TEMP TABLE made (v int)"), short("SELECT * FROM made"), tell("DROP TABLE made")]),
            ] {
                for look in [true, false] {
                    stage.run(&format!("{name} by {way}, looking: {look}"), &[], &script, look);
                }
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// E4: settings of the application's own are in no list. They end with the transaction, and nobody else has them.
    settings_of_the_applications_own, |server| {
        let (pgusher, database) = (Pgusher::in_front_of(server).pool_size(1).start(), server.fresh_database());
        let connect = || login(pgusher.port(), "app", &database.name, &[]);
        let (mut one, mut two) = (connect(), connect());
        two.rows("CREATE TABLE t (v text)");
        for (way, tell) in ways() {
            let (write, ready) = tell("INSERT INTO t SELECT set_config('app.own', 'of one', false)");
            one.send(&write);
            for _ in 0..ready {
                one.until_ready();
            }
            let seen = two.value("SELECT coalesce(current_setting('app.own', true), '')");
            assert_eq!(seen, "", "by {way}");
        }
    }
}

both_versions! {
    /// C4, E3: one with a name keeps its connection until it is given up, one without until it is bound.
    prepared, |server| {
        let (pgusher, database) = (Pgusher::in_front_of(server).pool_size(1).start(), server.fresh_database());
        let connect = || login(pgusher.port(), "app", &database.name, &[]);
        let (mut one, mut two) = (connect(), connect());
        let run = |name: &str| [bind("", name, &[]), execute("", 0), sync()].concat();
        let one_and = |name: &str, end: &[u8]| [&parse(name, &long("SELECT 1")), end].concat();
        for (name, end) in [
            ("s", [close(b'S', "s"), sync()].concat()),
            ("s", query("DEALLOCATE s")),
            ("s", query("DEALLOCATE ALL")),
            ("s", query("DISCARD ALL")),
            ("", run("")),
            ("", query("SELECT 1")),
            ("", [parse("", "SELECT 1"), sync()].concat()),
            ("", [close(b'S', ""), sync()].concat()),
        ] {
            assert_eq!(one.ask(&one_and(name, &sync())).types(), "1 Z:I");
            if !name.is_empty() {
                assert_eq!(one.ask(&run(name)).types(), "2 D C Z:I");
            }
            two.send(&query("SELECT 2"));
            // By then the other would have been answered.
            for _ in 0..2 {
                one.ask(&[describe(b'S', name), sync()].concat());
            }
            assert!(!two.hears_within(Duration::ZERO), "{name:?}");
            one.ask(&end);
            assert_eq!(two.transcript().types(), "T D C Z:I", "{name:?}");
        }
        // What is bound at once keeps nothing, and is not there afterwards.
        assert_eq!(one.ask(&one_and("", &run(""))).types(), "1 2 D C Z:I");
        assert_eq!(two.value("SELECT 2"), "2");
        assert_eq!(one.ask(&run("")).types(), "E:26000 Z:I");
        // Nor is it refused where nobody may keep a connection.
        let strict = Pgusher::in_front_of(server).pool_size(1).database("pinning = \"off\"").start();
        let mut client = login(strict.port(), "app", &database.name, &[]);
        assert_eq!(client.ask(&one_and("", &run(""))).types(), "1 2 D C Z:I");
        assert_eq!(client.ask(&one_and("s", &sync())).types(), "E:0A000 Z:I");
    }
}
