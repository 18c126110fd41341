//! How SQL texts are read, judged by real servers: how many statements they make of a text, and
//! which statements show that they are in a transaction block (T18).
//!
//! PostgreSQL's own scanner and parser are asked in `tests/scanner`, which is a package of its own.

#[path = "properties/sql.rs"]
mod properties;
mod support;

use pgusher::sql::{Dialect, Statement, mask::mask, statements};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Message, Raw, Version, both_versions, message};

proptest! {
    #[test]
    fn arbitrary_bytes_break_nothing(text in vec(any::<u8>(), 0..60)) {
        properties::sql(&text);
    }

    #[test]
    fn pieces_break_nothing(pieces in vec("[ ;'\"$/*a=,\\-E\n()]{1,3}|/\\*a='b'\\*/|begin|atomic|end;|--a=b\n", 0..12)) {
        properties::sql(pieces.concat().as_bytes());
    }
}

// A literal is whatever a client may put where a literal can stand, and what it says is not to be seen.
proptest! {
    #[test]
    fn no_literal_is_shown(
        parts in vec((0..FORMS.len(), "[a-z' ;\\\\]{0,3}", "SELECT|a|,|=|\\(|\\)|/\\*x\\*/|--x\n|\"n\"|\\$1"), 1..8),
        most in 0..200_usize,
    ) {
        let mut text = String::new();
        for (form, noise, between) in parts {
            text += &format!(" {}, {between} ", FORMS[form](&noise));
        }
        // Whatever the server takes a backslash for: who writes the log may be wrong about it.
        for dialect in &properties::DIALECTS[..2] {
            let shown = mask(text.as_bytes(), *dialect, most);
            prop_assert!(!shown.contains(SECRET) && !shown.contains("4711"), "{text}\n{shown}");
            prop_assert!(shown.len() <= most);
        }
        // Nor if the text is cut anywhere before it is looked at.
        let cut = text.floor_char_boundary(most);
        let shown = mask(&text.as_bytes()[..cut], Dialect::default(), 1000);
        prop_assert!(!shown.contains(&SECRET[..2]) && !shown.contains("47"), "{text}\n{shown}");
    }
}

const SECRET: &str = "QJX";

/// The ways to write a constant, with noise in it.
const FORMS: [fn(&str) -> String; 10] = [
    |noise| format!("'{}{SECRET}'", noise.replace('\'', "''")),
    |noise| format!("'{SECRET}'\n'{}{SECRET}'", noise.replace('\'', "''")),
    |noise| format!("E'{}{SECRET}\\''", noise.replace(['\'', '\\'], "\\'")),
    |noise| format!("N'{SECRET}{}'", noise.replace('\'', "''")),
    |noise| format!("U&'{}{SECRET}'", noise.replace('\'', "''")),
    |noise| format!("$${noise}{SECRET}$$"),
    |noise| format!("$t${noise}$${SECRET}$t$"),
    |_| "X'4711'".to_owned(),
    |_| "4711.5e47".to_owned(),
    |noise| format!("/*{}{SECRET}*/", noise.replace(['*', '/'], "")),
];

/// The seeds of the fuzz target are texts like any other.
#[test]
fn seeds_break_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/sql");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        properties::sql(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

fn ask(raw: &mut Raw, text: &str) -> Vec<Message> {
    raw.send(&message::query(text));
    raw.until_ready()
}

/// Texts that every server accepts, in which it is easy to lose count, with the number
/// of their statements.
const COUNTED: [(&str, usize); 24] = [
    ("", 0),
    (" ; -- ;\n /* ; /* ; */ ; */ ;", 0),
    ("select 1", 1),
    ("select 1;;select 2;", 2),
    ("select 'a;b', 'it''s;', ''';'; select 2", 2),
    ("select 'a\\'; select 2", 2),
    ("select E'a\\';b', e'\\\\'; select E'\\'\\'', ';'", 2),
    ("select E'a'\n'\\';b'; select 2", 2),
    ("select 'a' -- ; '\n 'b;'; select 1", 2),
    ("select U&'d\\0061;', U&'!0061;' UESCAPE '!'; select 2", 2),
    ("select N'a;b', B'01', X'1f'; select 1", 2),
    ("select $$a;b$$, $t$;$$;$u$;$t$; select $x$$x$", 2),
    ("select a$$b from (select 1 as a$$b) t; select 2", 2),
    ("select 1 +/* ; */2; select 4 --;\n-1; select 5 - -1", 3),
    (
        "select 1 */*;*/ 2; select 4 /**/ / /***/ 5; select 7 /*/* ;*/*/",
        3,
    ),
    ("select /*/**//*;*/*/ 1; select 2", 2),
    ("select 1 as \"a;b\", 2 as \"c\"\";\"", 1),
    ("select 1 as end; select case when true then 1 end end", 2),
    (
        "create function pg_temp.f(a int) returns int language sql begin atomic select 1; select case when a > 1 then 2 end; end; select 2",
        2,
    ),
    (
        "create function pg_temp.g() returns int begin atomic; ;select 1 as end;; end; select 1",
        2,
    ),
    ("create procedure pg_temp.p() begin atomic end; commit", 2),
    (
        "create temp table t(a int); create rule r as on insert to t do also (delete from t; select 1); drop table t",
        3,
    ),
    (
        "create function pg_temp.h(begin int) returns int language sql as $$ select 1; $$; select 1",
        2,
    ),
    ("begin; select 'x;'; savepoint a; rollback to a; end;", 5),
];

/// The same, where strings are not standard.
const COUNTED_OTHERWISE: [(&str, usize); 6] = [
    ("select 'a\\';b'; select 2", 2),
    ("select 'a\\\\'; select 2", 2),
    ("select 'a' \n '\\';'; select 1", 2),
    (
        "select E'\\';', B'01', N'\\';'; select $$\\$$; select \"a\\\" from (select 1 as \"a\\\") t",
        3,
    ),
    ("select '\\''''; select 1", 2),
    ("select 'x'/*'*/, '\\'/*'; select 1", 2),
];

fn count(text: &str, standard_strings: bool) -> Vec<Statement<'_>> {
    let dialect = Dialect {
        standard_strings,
        ..Dialect::default()
    };
    statements(text.as_bytes(), dialect).collect()
}

// Each statement is answered by one CommandComplete, so the server says how many there were.
both_versions!(servers_count_alike, |pg| {
    let database = pg.fresh_database();
    let mut raw = database.raw();
    let mut judge = |text: &str, expected: usize, standard: bool| {
        let answers = ask(&mut raw, text);
        let complete = answers.iter().filter(|message| message.tag == b'C').count();
        assert_eq!(complete, expected, "{text}: {answers:?}");
        assert_eq!(count(text, standard).len(), expected, "{text}");
        // T17: nothing in it, and the server says so.
        let empty = answers.iter().any(|message| message.tag == b'I');
        assert_eq!(empty, expected == 0, "{text}");
    };
    for (text, expected) in COUNTED {
        judge(text, expected, true);
        judge("discard temp", 1, true);
    }
    judge("set standard_conforming_strings = off", 1, true);
    judge("set escape_string_warning = off", 1, true);
    for (text, expected) in COUNTED_OTHERWISE {
        judge(text, expected, false);
    }
});

/// What the server answers, without what only says where something stands.
fn answer(raw: &mut Raw, text: &str) -> Vec<String> {
    ask(raw, text)
        .iter()
        .map(|message| match message.tag {
            b'C' => message.command(),
            _ => message.notation(),
        })
        .collect()
}

/// Statements that may be alone in a text, and whether a `SET LOCAL` in front of them changes what
/// the server says of them. `n` stands for a number that is new each time.
const ALONE: [(&str, bool); 67] = [
    ("select 1", false),
    ("insert into t values (1)", false),
    ("begin", false),
    ("start transaction read only", false),
    ("begin isolation level serializable", false),
    ("commit", false),
    ("end", false),
    ("commit and chain", false),
    ("rollback", false),
    ("rollback and chain", false),
    ("abort", false),
    ("savepoint a", false),
    ("release a", false),
    ("rollback to a", false),
    ("prepare transaction 'a'", true),
    ("commit prepared 'a'", true),
    ("rollback prepared 'a'", true),
    ("set a.b = 'd'", false),
    ("set local a.b = 'd'", true),
    ("set local a.b to default", true),
    ("set local role none", true),
    ("set role none", false),
    ("set session authorization default", false),
    ("set transaction isolation level serializable", true),
    ("set transaction read only", true),
    ("set transaction_isolation = 'serializable'", false),
    (
        "set session characteristics as transaction read only",
        false,
    ),
    ("set constraints all deferred", true),
    ("reset a.b", false),
    ("reset all", false),
    ("reset transaction isolation level", true),
    ("show a.b", false),
    ("discard all", true),
    ("discard plans", false),
    ("discard sequences", false),
    ("discard temp", false),
    ("prepare p as select 1", false),
    ("deallocate all", false),
    ("declare c cursor for select 1", true),
    ("declare c cursor with hold for select 1", false),
    ("close all", false),
    ("fetch c", false),
    ("listen a", false),
    ("unlisten *", false),
    ("notify a", false),
    ("load 'plpgsql'", false),
    ("lock table t", true),
    ("copy t to stdout", false),
    ("explain select 1", false),
    ("call p()", false),
    ("call commits()", true),
    ("do $$ begin end $$", false),
    ("do $$ begin commit; end $$", true),
    ("vacuum t", true),
    ("analyze t", false),
    ("cluster", true),
    ("reindex table parted", true),
    ("create database only_these_show_the_block", true),
    ("drop database only_these_show_the_block", true),
    ("create index concurrently on t (a)", true),
    ("drop index concurrently if exists none", true),
    ("alter system reset work_mem", true),
    ("checkpoint", false),
    ("create table n (a int)", false),
    ("create temp table x (a int)", false),
    ("select 1 into temp x", false),
    ("create table m as select 1", false),
];

// T8, T9, T18: which statements must not have anything of ours in front of them.
both_versions!(only_these_show_the_block, |pg| {
    let database = pg.fresh_database();
    database.sql("create table t (a int)");
    database.sql("create table parted (a int primary key) partition by range (a)");
    database.sql("create procedure p() language plpgsql as $$ begin end $$");
    database.sql("create procedure commits() language plpgsql as $$ begin commit; end $$");
    let mut table = Vec::new();
    // As the superuser, who is refused nothing for want of rights.
    let login = || Raw::login(pg.port(), "postgres", "", &database.name);
    for (statement, expected) in ALONE {
        let tidy = "drop table if exists n, m";
        let direct = answer(&mut login(), statement);
        database.sql(tidy);
        let mut prefixed = answer(&mut login(), &format!("set local a.z = 'c';{statement}"));
        database.sql(tidy);
        // Our own answer comes first, unless a syntax error comes instead (T19).
        let own = prefixed.first().is_some_and(|first| first == "SET");
        if own {
            prefixed.remove(0);
        }
        let differs = direct != prefixed;
        let line = format!("{statement}: {direct:?} {prefixed:?}");
        println!("{line}");
        // An error since 17, in a block or not.
        let gone = statement.starts_with("reset transaction") && pg.version() == Version::V18;
        if differs != (expected && !gone) {
            table.push(line);
        }
        let found = count(statement, true);
        let kind = &found[0].kind;
        let careful = kind.shows_block() || kind.refuses_block() || kind.may_commit_inside();
        assert!(careful || !expected, "{statement}: {kind:?}");
        // What is treated with care for nothing: what only may refuse, and blocks of code.
        let needless = careful && !expected;
        assert!(
            !needless || kind.may_commit_inside(),
            "{statement}: {kind:?}"
        );
    }
    assert_eq!(table, Vec::<String>::new());
});

/// Nanoseconds for each byte: `cargo test --release --test sql -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement, not a test"]
fn speed() {
    let long = format!("select {} from t where a = 1", "column_name, ".repeat(100));
    let insert = format!("insert into t (a, b) values ($1, '{}')", "x".repeat(2000));
    let texts = [
        (
            "short",
            "select abalance from pgbench_accounts where aid = 42;",
        ),
        (
            "orm",
            "SELECT \"u\".\"id\", \"u\".\"name\", \"u\".\"email\" FROM \"public\".\"users\" AS \"u\" INNER JOIN \"public\".\"orders\" AS \"o\" ON \"o\".\"user_id\" = \"u\".\"id\" WHERE \"u\".\"tenant\" = $1 AND (\"o\".\"total\" > $2 OR lower(\"u\".\"name\") LIKE '%abc%') ORDER BY \"u\".\"created_at\" DESC LIMIT 20 OFFSET 40",
        ),
        ("columns", &long),
        ("one long string", &insert),
        ("set", "SET LOCAL app.tenant_id = 'acme'"),
        (
            "mixed",
            "begin; update t set a = a + 1 where b = 'x' /* c */; commit",
        ),
    ];
    for (name, text) in texts {
        let rounds = 20_000_000 / text.len();
        let time = |work: &dyn Fn(&[u8]) -> usize| {
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                std::hint::black_box(work(std::hint::black_box(text.as_bytes())));
            }
            start.elapsed().as_secs_f64() * 1e9 / (rounds * text.len()) as f64
        };
        let read = time(&|text| statements(text, Dialect::default()).count());
        let mentions = time(&|text| usize::from(pgusher::sql::mentions(text, b"app.tenant_id")));
        println!(
            "{name}: {} bytes, statements {read:.2} ns/byte, mentions {mentions:.2}",
            text.len()
        );
    }
}
