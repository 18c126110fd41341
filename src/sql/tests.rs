use std::borrow::Cow;

use super::comment::{Fault, find};
use super::*;

fn read(text: &str) -> Vec<Statement<'_>> {
    statements(text.as_bytes(), Dialect::default()).collect()
}

fn one(text: &str) -> Statement<'_> {
    let mut all = read(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

#[test]
fn spans_are_where_something_can_be_put_in() {
    let text = " select 1 ; /* ; */ ; commit and chain; -- x;\n select ';' -- y";
    let parts: Vec<(&str, bool)> = read(text)
        .into_iter()
        .map(|statement| (&text[statement.span], statement.terminated))
        .collect();
    let expected = [
        ("select 1 ;", true),
        ("commit and chain;", true),
        ("select ';'", false),
    ];
    assert_eq!(parts, expected);
}

// T17
#[test]
fn nothing_is_nothing() {
    for text in ["", " ", ";", " ;; /* a */ ; -- b", "/* /* */ */", "\x0b;"] {
        assert_eq!(read(text), [], "{text}");
    }
}

#[test]
fn doubts() {
    for text in [
        "select 'a",
        "select \"a",
        "select $$a",
        "select /* a",
        "select E'\\'",
        "select (1",
        "select 1)",
        "selekt 1",
        "'a'",
        "1",
        "commit now",
        "release a b",
        "set a",
        "set a from current",
        "set a =",
        "savepoint",
        "savepoint U&\"\\0061\"",
        "select 1 $",
        "select \\",
        "select 1\0",
        "create function f() begin atomic select 1;",
        "create function f() begin atomic select begin atomic; end",
    ] {
        assert_eq!(one(text).kind, Kind::Unsure, "{text}");
    }
    let careful = Dialect {
        ascii_safe: false,
        ..Dialect::default()
    };
    let kinds = |text| {
        let all = statements(text, careful);
        all.map(|statement| statement.kind).collect::<Vec<_>>()
    };
    // In SJIS the second byte of this character looks like a backslash.
    assert_eq!(kinds(b"commit; select '\x95\\'"), [Kind::Unsure]);
    assert_eq!(
        kinds(b"commit; select ''"),
        [Kind::Commit { chain: false }, Kind::Plain]
    );
}

// Each of these took time with the square of its length in some lexer or other.
#[test]
fn long_texts_take_no_longer() {
    let many = 1 << 20;
    for piece in [
        "+-",
        "- ",
        "=+",
        "/*",
        "*/",
        "$a",
        "$a$",
        "$1",
        "((",
        "U&\"a\" ",
        "'a' ",
        "'a'\n",
        "E'\\",
        "\"\"",
        "/*t=a*/",
        ";",
        "set_config(",
        "begin atomic;",
        "-- \n",
        ".",
        "1.",
        "'",
        "a,",
        "%",
    ] {
        let text = piece.repeat(many / piece.len());
        let text = format!("create function select {text}");
        let start = std::time::Instant::now();
        statements(text.as_bytes(), Dialect::default()).count();
        let _ = find(text.as_bytes(), b"t", Dialect::default());
        mentions(text.as_bytes(), b"app.tenant_id");
        // A few hundredths, where the square would be minutes.
        assert!(start.elapsed().as_secs() < 10, "{piece}");
    }
}

#[test]
fn what_a_setting_is_set_to() {
    let literal = |text: &'static str| Value::Literal(Cow::Borrowed(text.as_bytes()));
    for (text, name, value) in [
        ("set a.b = 'it''s'", "a.b", literal("it's")),
        ("set A.\"B\" TO c", "a.b", literal("c")),
        ("set \"a.B\" = \"C d\"", "a.b", literal("C d")),
        ("set a . /* x */ b=-1", "a.b", literal("-1")),
        ("set a = 007", "a", literal("7")),
        ("set a = 99999999999", "a", literal("99999999999")),
        ("set a = E'\\x41\\102\\'\\n'", "a", literal("AB'\n")),
        ("set a = 'b'\n -- '\n'c'", "a", literal("bc")),
        ("set a = $x$b'$x$", "a", literal("b'")),
        ("set a = on", "a", literal("on")),
        ("set a = default", "a", Value::Default),
        ("set a = b, 'c' -- d", "a", Value::Other(b"b, 'c'")),
        ("set a = U&'\\0061'", "a", Value::Other(b"U&'\\0061'")),
        ("set time zone -7", "timezone", literal("-7")),
        ("set names", "client_encoding", Value::Default),
        ("set schema 'a'", "search_path", literal("a")),
        ("set role none", "role", literal("none")),
        (
            "set session authorization 'x'",
            "session_authorization",
            literal("x"),
        ),
        ("set session.x = 1", "session.x", literal("1")),
    ] {
        let expected = Kind::Set {
            scope: Scope::Session,
            name: Cow::Borrowed(name.as_bytes()),
            value,
        };
        assert_eq!(one(text).kind, expected, "{text}");
    }
    // PostgreSQL cuts long names, so a longer one can mean the same setting.
    let long = "n".repeat(63);
    let expected = Kind::Reset(Cow::Borrowed(long.as_bytes()));
    assert_eq!(one(&format!("reset {long}more")).kind, expected);
}

#[test]
fn what_is_called() {
    fn calls(text: &str) -> Notable<'_> {
        one(text).notable
    }
    let literal = |text: &'static str| Argument::Literal(Cow::Borrowed(text.as_bytes()));
    let call = |name, value, local| SetConfig { name, value, local };

    let plain = calls("SELECT pg_catalog.\"set_config\" ( 'a.b', $1::text, true ) AS x");
    let expected = call(literal("a.b"), Argument::Parameter(1), literal("true"));
    assert_eq!(plain.set_config, [expected]);
    assert!(plain.only_set_config);
    assert_eq!(plain.set_config[0].local.truth(), Some(true));

    let two = calls("select set_config('a', null, 'f'), set_config('b', 'c', $2);");
    let expected = [
        call(literal("a"), Argument::Null, literal("f")),
        call(literal("b"), literal("c"), Argument::Parameter(2)),
    ];
    assert_eq!(two.set_config, expected);
    assert!(two.only_set_config);

    for text in [
        "select set_config('a' || 'b', 'c', true)",
        "select set_config('a', 'b', true) from t",
        "select set_config('a', $1::uuid::text, true)",
        "select set_config('a', 'b', true), 1",
        "select 1 where set_config('a', 'b', true) = 'b'",
        "explain select set_config('a', 'b', true)",
    ] {
        let notable = calls(text);
        assert_eq!(notable.set_config.len(), 1, "{text}");
        assert!(!notable.only_set_config, "{text}");
    }
    let computed = calls("select set_config('a' || 'b', 'c', true)");
    assert_eq!(computed.set_config[0].name, Argument::Other);
    for value in [
        "f('x', 'y')",
        "$1::uuid",
        "a[1]",
        "array['x', 'y'] [1]",
        "text 'x'",
        "- 'x'",
    ] {
        let text = format!("select set_config('a', {value}, true)");
        let expected = call(literal("a"), Argument::Other, literal("true"));
        assert_eq!(calls(&text).set_config, [expected], "{text}");
    }

    let many = "set_config('a','b',true),".repeat(17);
    let many = format!("select {}", many.trim_end_matches(','));
    assert_eq!(calls(&many).set_config.len(), 16);
    assert!(calls(&many).more_set_config && !calls(&many).only_set_config);

    assert!(calls("select pg_try_advisory_lock_shared(1)").advisory_lock);
    assert!(calls("select pg_advisory_unlock(1)").advisory_unlock);
    assert!(calls("select pg_advisory_unlock_all()").advisory_unlock_all);
    assert!(calls("select a from t where b = lastval()").sequence_memory);
    assert!(calls("update pg_settings set setting = 'x'").settings_view);
    assert!(calls("select * from pg_catalog.PG_prepared_statements").statements_view);
    assert!(calls("select * from \"pg_prepared_statements\" p").statements_view);
    assert!(calls("select pg_prepared_statement()").statements_view);
    assert!(calls("select U&\"set\\005fconfig\"('a', 'b', true)").obscured);
    for text in [
        "select pg_advisory_xact_lock(1)",
        "select set_config",
        "select 'set_config(1,2,3)', $$lastval()$$ /* currval('s') */",
        "select \"x\"(1), U&\"x\"(2), ''",
    ] {
        assert_eq!(calls(text), Notable::default(), "{text}");
    }
}

#[test]
fn texts_that_may_touch_the_session() {
    for (text, expected) in [
        ("select 1", false),
        (" SELECT a_b, config FROM settings;", false),
        ("insert into t values ('x')", false),
        ("set work_mem = 1", true),
        ("select 1; set work_mem = 1", true),
        ("select Set_Config('a', 'b', false)", true),
        ("select pg_ADVISORY_lock(1)", true),
        ("select 1 into temp t", true),
        ("select * from pg_settings", true),
        ("select * from pg_prepared_statements", true),
        ("select U&\"set\\005fconfig\"('a', 'b', false)", true),
        ("explain analyze select 1", true),
        ("", true),
    ] {
        assert_eq!(may_touch_session(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn names_that_are_mentioned() {
    for (text, expected) in [
        ("set app.Tenant_ID = 'x'", true),
        ("set app . \"tenant_id\" = 'x'", true),
        ("select E'\\x61'", true),
        ("select U&'!0061' uescape '!'", true),
        ("select tenant from id", false),
        ("tenant_i", false),
        ("", false),
    ] {
        assert_eq!(
            mentions(text.as_bytes(), b"app.tenant_id"),
            expected,
            "{text}"
        );
    }
}

// J9, J10
#[test]
fn tags_in_comments() {
    let tag = |text: &'static str| {
        find(text.as_bytes(), b"t", Dialect::default()).map(|found| {
            found.map(|found| {
                let stripped = String::from_utf8(found.strip(text.as_bytes())).unwrap();
                (
                    String::from_utf8(found.value.into_owned()).unwrap(),
                    stripped,
                )
            })
        })
    };
    for (text, value, stripped) in [
        ("/* t='acme' */ select 1", "acme", "select 1"),
        ("/*t=acme*/select 1", "acme", "select 1"),
        ("select 1 /*t='acme'*/", "acme", "select 1"),
        ("select 1 /*t='acme'*/;", "acme", "select 1;"),
        ("select 1; /*t='acme'*/ ", "acme", "select 1; "),
        ("-- t='acme'\nselect 1", "acme", "select 1"),
        ("select 1 --t=acme", "acme", "select 1"),
        ("select 1 --t=acme\n;", "acme", "select 1\n;"),
        ("select 1 --x\n/*t='a'*/;", "a", "select 1 --x\n;"),
        ("/*a='b',t='x%20y%27',c='d'*/ select 1", "x y'", "select 1"),
        ("/*t='it\\'s'*/ select 1", "it's", "select 1"),
        ("/*%74='a'*/ select 1", "a", "select 1"),
        ("/*app:web,t='a'*/ select 1", "a", "select 1"),
        ("/* x */ /*t='a'*/ select 1", "a", "/* x */ select 1"),
        ("/*t='a'*/ select 1 /*t='a'*/", "a", "select 1"),
        ("/*t='a'*/ /*t='a'*/ select 1", "a", "select 1"),
        ("/*t='a',t='a'*/ select 1", "a", "select 1"),
        ("/*t='a'*/ select 'b", "a", "select 'b"),
        ("/*t=''*/ select 1", "", "select 1"),
    ] {
        let expected = (value.to_owned(), stripped.to_owned());
        assert_eq!(tag(text), Ok(Some(expected)), "{text}");
    }
    for text in [
        "select 1",
        "select '/*t=''a''*/'",
        "select $$/*t='a'*/$$",
        "select '--t=a'",
        "select /*t='a'*/ 1",
        "select 1; /*t='a'*/ select 2",
        "/* about t and others */ select 1",
        "/*+ t(a) */ select 1",
        "/*tt='a'*/ select 1",
        "/*T='a'*/ select 1",
        "select 'b /*t='a'*/",
    ] {
        assert_eq!(tag(text), Ok(None), "{text}");
    }
    for (text, fault) in [
        ("/*t='a'*/ select 1 /*t='b'*/", Fault::Ambiguous),
        ("/*t='a',t='b'*/ select 1", Fault::Ambiguous),
        ("/*t='a',x='/**/'*/ select 1", Fault::Ambiguous),
        ("/*/*t='a'*/*/ select 1", Fault::Malformed),
        ("/*t='a%2'*/ select 1", Fault::Malformed),
        ("/*t='a*/ select 1", Fault::Malformed),
        ("/*t='a' or so*/ select 1", Fault::Malformed),
        ("/*see t=a b*/ select 1", Fault::Malformed),
        ("select 1 -/*t='a'*/--x", Fault::Ambiguous),
    ] {
        assert_eq!(tag(text), Err(fault), "{text}");
    }
}

// A17, J1
#[test]
fn quoting() {
    let quoted = |value: &str| {
        let mut out = Vec::new();
        quote::literal(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap()
    };
    assert_eq!(quoted("acme"), "'acme'");
    assert_eq!(quoted("it's"), "'it''s'");
    assert_eq!(quoted("\\'\0"), " E'\\\\'''");
    let mut out = Vec::new();
    quote::setting(&mut out, b"app.te\"nant\\");
    assert_eq!(out, b"\"app\".\"te\"\"nant\\\"");
}

#[test]
fn prepared_statements_are_named_in_four_ways() {
    let names = |text: &'static str| {
        let found = names_prepared(text.as_bytes(), Dialect::default())?;
        let name = String::from_utf8(found.name.into_owned()).unwrap();
        Some((name, &text[found.range], found.gives_up))
    };
    let used = |name: &str, typed| Some((name.to_owned(), typed, false));
    let given_up = |name: &str, typed| Some((name.to_owned(), typed, true));
    assert_eq!(names("EXECUTE Mine(1)"), used("mine", "Mine"));
    assert_eq!(names("execute \"My own\";"), used("My own", "\"My own\""));
    assert_eq!(names("EXPLAIN (ANALYZE) EXECUTE s"), used("s", "s"));
    assert_eq!(names("CREATE TABLE t AS EXECUTE s (1)"), used("s", "s"));
    assert_eq!(names("DEALLOCATE s"), given_up("s", "s"));
    assert_eq!(names("DEALLOCATE PREPARE s;"), given_up("s", "s"));
    assert_eq!(names("DEALLOCATE prepare"), given_up("prepare", "prepare"));
    assert_eq!(names("DEALLOCATE ALL"), None);
    assert_eq!(names("DEALLOCATE PREPARE ALL"), None);
    assert_eq!(names("SELECT 'EXECUTE s'"), None);
}
