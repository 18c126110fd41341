//! Texts and what is read into them; tables and what stands in them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{
    command::{COMMANDS, Command, MOST_ROWS, Subject, read},
    courtesy::{Courtesy, SETTINGS},
    tables::{self, Type, Value},
    views::{VIEWS, accounts},
};
use crate::{
    config::settings::Rights,
    error::Kind,
    limit::{Rate, Share, Tier, Used, Who, account::Statement},
    tenant::Format,
};

fn tenant(id: &str) -> Subject {
    Subject::Tenant(id.to_owned())
}

fn user(name: &str) -> Subject {
    Subject::User(name.to_owned())
}

fn all() -> Command {
    show("TENANTS", MOST_ROWS)
}

fn show(name: &str, most: usize) -> Command {
    let view = VIEWS.iter().find(|view| view.name == name);
    Command::Show(view.unwrap(), most)
}

/// The words of the refusal and its hint.
fn refusal(text: &str) -> (String, String) {
    let error = read(text.as_bytes()).expect_err(text);
    assert_eq!(error.kind, Kind::ConsoleSyntax, "{text}");
    (
        error.message.clone(),
        error.hint.clone().unwrap_or_default(),
    )
}

#[test]
fn commands_are_read() {
    use Command::{Kill, Resume, SetTier, ShowAccount, Suspend};
    let set = |subject, tier: &str| SetTier(subject, tier.to_owned());
    let cases = [
        ("SHOW TENANTS", all()),
        ("show tenants;", all()),
        (" \t\nShow\nTenants ;; ", all()),
        ("SHOW TENANTS LIMIT 10", show("TENANTS", 10)),
        ("SHOW TENANTS LIMIT 0", show("TENANTS", 0)),
        ("SHOW TENANTS LIMIT 18446744073709551615", all()),
        ("SHOW TENANT acme", ShowAccount(tenant("acme"))),
        // Nothing is folded, and an id need not be a name of SQL.
        ("SHOW TENANT Acme", ShowAccount(tenant("Acme"))),
        ("SHOW TENANT 42", ShowAccount(tenant("42"))),
        (
            "KILL TENANT 0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b;",
            Kill(tenant("0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b")),
        ),
        ("KILL TENANT eu:acme.com", Kill(tenant("eu:acme.com"))),
        // Not the tenant `a` and a comment.
        ("KILL TENANT a--b", Kill(tenant("a--b"))),
        ("SHOW TENANT tenants", ShowAccount(tenant("tenants"))),
        ("SHOW USER jobs", ShowAccount(user("jobs"))),
        ("SUSPEND TENANT 'acme'", Suspend(tenant("acme"))),
        ("SUSPEND TENANT\"acme\"", Suspend(tenant("acme"))),
        ("SUSPEND USER 'it''s; me'", Suspend(user("it's; me"))),
        (r#"SUSPEND USER "a ""b"" c""#, Suspend(user(r#"a "b" c"#))),
        ("RESUME USER jobs", Resume(user("jobs"))),
        ("SET TENANT acme tier = 'pro'", set(tenant("acme"), "pro")),
        ("set tenant acme TIER=pro", set(tenant("acme"), "pro")),
        (
            "SET USER jobs tier TO \"Night shift\"",
            set(user("jobs"), "Night shift"),
        ),
        ("SHOW HELP", show("HELP", MOST_ROWS)),
        ("SHOW VERSION", show("VERSION", MOST_ROWS)),
        (
            "-- all of them\nSHOW /* every /* single */ one */TENANTS--",
            all(),
        ),
    ];
    for (text, expected) in cases {
        if text.ends_with("--") {
            // No blank in front of it: it belongs to the word.
            assert_eq!(
                refusal(text).0,
                "\"SHOW TENANTS--\" is no command of the console"
            );
            continue;
        }
        assert_eq!(read(text.as_bytes()), Ok(vec![expected]), "{text}");
    }
}

#[test]
fn several_commands_are_several() {
    let two = vec![Command::Kill(tenant("a;b")), all()];
    assert_eq!(read(b"KILL TENANT 'a;b'; SHOW TENANTS -- ; x"), Ok(two));
    for empty in [
        "",
        " ",
        ";",
        "; ;",
        "-- nothing",
        "/* ; */",
        "/* a */;\n-- b\n",
    ] {
        assert_eq!(read(empty.as_bytes()), Ok(vec![]), "{empty:?}");
    }
    assert_eq!(
        read("SHOW HELP;".repeat(100).as_bytes()).map(|all| all.len()),
        Ok(100)
    );
    assert_eq!(
        refusal(&"SHOW HELP;".repeat(101)).0,
        "more than 100 commands at once"
    );
    // One that is none, and none is done.
    assert_eq!(
        refusal("KILL TENANT acme; NO").0,
        "\"NO\" is no command of the console"
    );
}

#[test]
fn what_is_no_command_is_answered_with_one() {
    let lists = "SHOW HELP lists all commands.";
    let near = |head: &str| format!("Is {head} meant? {lists}");
    for (text, message, hint) in [
        (
            "SHOW TENNANTS",
            "\"SHOW TENNANTS\" is no command of the console",
            near("SHOW TENANTS"),
        ),
        (
            "suspnd tenant acme",
            "\"suspnd tenant\" is no command of the console",
            near("SUSPEND TENANT"),
        ),
        (
            "kill usr x",
            "syntax error at \"x\"",
            "It is written KILL [database].".to_owned(),
        ),
        (
            "SHOW",
            "\"SHOW\" is no command of the console",
            lists.to_owned(),
        ),
        (
            "SELECT * FROM t",
            "\"SELECT *\" is no command of the console",
            lists.to_owned(),
        ),
        (
            "SET pool_size = 5",
            "\"SET pool_size\" is no command of the console",
            "SHOW CONFIG lists what can be set, SHOW HELP all commands.".to_owned(),
        ),
        (
            "= ,",
            "\"= ,\" is no command of the console",
            lists.to_owned(),
        ),
    ] {
        assert_eq!(refusal(text), (message.to_owned(), hint), "{text}");
    }
    let show = "It is written SHOW {TENANT id | USER name}.";
    let set = "It is written SET {TENANT id | USER name} tier = 'name'.";
    let tenants = "It is written SHOW TENANTS [LIMIT n].";
    let kill = "It is written KILL {TENANT id | USER name}.";
    for (text, message, hint) in [
        ("SHOW TENANT", "the command does not end here", show),
        ("SHOW TENANT ''", "syntax error at \"\"", show),
        ("SHOW TENANT a b", "syntax error at \"b\"", show),
        ("KILL TENANT = a", "syntax error at \"=\"", kill),
        ("KILL TENANT a, b", "syntax error at \",\"", kill),
        (
            "SET TENANT acme tire = 'pro'",
            "syntax error at \"tire\"",
            set,
        ),
        ("SET TENANT acme tier 'pro'", "syntax error at \"pro\"", set),
        (
            "SET TENANT acme tier =",
            "the command does not end here",
            set,
        ),
        (
            "SHOW TENANTS LIMIT",
            "the command does not end here",
            tenants,
        ),
        ("SHOW TENANTS LIMIT -1", "syntax error at \"-1\"", tenants),
        ("SHOW TENANTS LIMIT '1'", "syntax error at \"1\"", tenants),
        ("SHOW TENANTS x", "syntax error at \"x\"", tenants),
        (
            "SHOW HELP me",
            "syntax error at \"me\"",
            "It is written SHOW HELP [LIMIT n].",
        ),
        ("SHOW TENANT 'acme", "the quoted text does not end", ""),
        ("SHOW TENANT \"acme\"\"", "the quoted text does not end", ""),
        ("SHOW /* TENANTS", "the comment does not end", ""),
    ] {
        assert_eq!(
            refusal(text),
            (message.to_owned(), hint.to_owned()),
            "{text}"
        );
    }
    let error = read(b"SHOW TENANT \xff").unwrap_err();
    assert_eq!(error.message, "the command is not valid UTF-8");
}

#[test]
fn what_drivers_say_is_answered() {
    let nothing = |tag| Courtesy::Nothing(tag);
    for (text, expected) in [
        ("SET extra_float_digits = 3", nothing("SET")),
        (
            "SET application_name = 'PostgreSQL JDBC Driver'",
            nothing("SET"),
        ),
        ("SET SESSION DateStyle TO 'ISO', MDY", nothing("SET")),
        ("set client_encoding to 'UTF8'", nothing("SET")),
        ("SET TIME ZONE 'UTC'", nothing("SET")),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            nothing("SET"),
        ),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            nothing("SET"),
        ),
        ("BEGIN", Courtesy::Begin),
        ("START TRANSACTION READ ONLY", Courtesy::Begin),
        ("COMMIT", Courtesy::End("COMMIT")),
        ("ROLLBACK", Courtesy::End("ROLLBACK")),
        ("ROLLBACK TO SAVEPOINT a", nothing("ROLLBACK")),
        ("SAVEPOINT a", nothing("SAVEPOINT")),
        ("RESET ALL", nothing("RESET")),
        ("DISCARD ALL", nothing("DISCARD ALL")),
        ("DEALLOCATE ALL", nothing("DEALLOCATE ALL")),
        ("UNLISTEN *", nothing("UNLISTEN")),
        ("CLOSE ALL", nothing("CLOSE CURSOR ALL")),
    ] {
        let expected = Command::Courtesy(expected);
        assert_eq!(read(text.as_bytes()), Ok(vec![expected]), "{text}");
    }
    for (text, column, value) in [
        (
            "SHOW transaction_read_only",
            "transaction_read_only",
            Value::Text("off".into()),
        ),
        ("show TIMEZONE", "TimeZone", Value::Text("UTC".into())),
        (
            "SHOW TRANSACTION ISOLATION LEVEL",
            "transaction_isolation",
            Value::Text("read committed".into()),
        ),
        ("SELECT 1", "?column?", Value::Int(1)),
        (
            "select pg_is_in_recovery()",
            "pg_is_in_recovery",
            Value::Bool(false),
        ),
    ] {
        let commands = read(text.as_bytes()).unwrap();
        let [Command::Courtesy(courtesy)] = commands.as_slice() else {
            panic!("{text}");
        };
        let table = courtesy.table().unwrap();
        assert_eq!(table.columns.len(), 1);
        assert_eq!(
            (table.columns[0].name, &table.rows),
            (column, &vec![vec![value]]),
            "{text}"
        );
    }
}

/// Each form of each command can be read, and is what the list says of it.
#[test]
fn the_list_is_true() {
    for about in COMMANDS {
        for head in about.heads {
            let text = match *head {
                "SET TENANT" | "SET USER" => format!("{head} x tier = y"),
                "SUSPEND" | "SHUTDOWN" | "RELOAD" => head.to_string(),
                "SET" => "SET timeouts.query_timeout = '5s'".to_owned(),
                "KILL_CLIENT" => format!("{head} 7"),
                head => format!("{head} x"),
            };
            let commands = read(text.as_bytes()).unwrap();
            let [command] = commands.as_slice() else {
                panic!("{text}");
            };
            assert_eq!(command.rights(), about.rights, "{text}");
            assert_eq!(command.columns(), (about.columns)(), "{text}");
            assert!(text.starts_with(command.tag()), "{text}");
        }
    }
    for view in VIEWS {
        let commands = read(view.grammar().as_bytes()).unwrap();
        assert_eq!(commands, [Command::Show(view, MOST_ROWS)]);
        assert_eq!(commands[0].columns(), view.columns());
    }
    let views: HashSet<_> = VIEWS.iter().map(|view| view.name).collect();
    assert_eq!(views.len(), VIEWS.len());
    // A7: whoever may only look has no command that changes.
    let looks = COMMANDS.iter().filter(|about| about.rights == Rights::Look);
    assert!(
        looks
            .flat_map(|about| about.heads)
            .all(|head| head.starts_with("SHOW "))
    );
    let names: HashSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
}

fn statement(name: &str, server_time: u64) -> Statement {
    Statement {
        who: Who::Tenant(Format::Text.id(name.as_bytes()).unwrap()),
        tier: Arc::default(),
        suspended: false,
        clients: 2,
        used: Used {
            transactions: 3,
            server_time: Duration::from_micros(server_time),
            bytes: u64::MAX,
            delayed: 4,
            delay: Duration::from_millis(5),
            refused: 6,
            ..Used::default()
        },
    }
}

#[test]
fn those_who_used_the_most_come_first() {
    let all = || {
        ["b", "a", "d", "c"]
            .into_iter()
            .zip([1500, 1500, 9999, 0])
            .map(|(name, time)| statement(name, time))
    };
    let names = |most| -> Vec<Value> {
        let table = accounts::tenants(all().collect(), most);
        table
            .into_iter()
            .map(|mut row| row.swap_remove(1))
            .collect()
    };
    let text = |names: &[&str]| -> Vec<Value> {
        names
            .iter()
            .map(|name| Value::Text((*name).to_owned()))
            .collect()
    };
    assert_eq!(names(10), text(&["d", "a", "b", "c"]));
    assert_eq!(names(2), text(&["d", "a"]));
    assert_eq!(names(0), []);
}

#[test]
fn a_row_has_what_its_columns_say() {
    let mut statement = statement("acme", 1_999_000);
    statement.suspended = true;
    let unlimited = accounts::account(&statement);
    statement.tier = Arc::new(Tier {
        name: "pro".into(),
        transactions: Some(Rate::new(10, 20)),
        server_time: Some(Rate::new(500_000_000, 1_000_000_000)),
        bytes: Some(Rate::new(30, 40)),
        connections: Some(Rate::new(50, 60)),
        max_delay: Some(Duration::from_millis(70)),
        max_clients: 80,
        share: Share {
            max_servers: 90,
            min_servers: 1,
            max_waiting: 100,
            weight: 4,
        },
        meter: Arc::default(),
    });
    let limited = accounts::account(&statement);
    for table in [&unlimited, &limited] {
        assert_eq!(table.rows.len(), 1);
        assert_eq!(table.rows[0].len(), table.columns.len());
        for (column, value) in table.columns.iter().zip(&table.rows[0]) {
            let fits = match column.kind {
                Type::Text | Type::Bytes => matches!(value, Value::Text(_)),
                Type::Int | Type::Small | Type::Numeric => {
                    matches!(value, Value::Int(_) | Value::Null)
                }
                Type::Bool => matches!(value, Value::Bool(_)),
            };
            assert!(fits, "{column:?} {value:?}");
        }
    }
    let shown = |table: &tables::Table| -> Vec<String> {
        let value = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
        };
        table.rows[0].iter().map(value).collect()
    };
    // A count that no bigint can hold is not another count.
    let used = [
        "tenant", "acme", "pro", "true", "2", "3", "1999", "-", "4", "5", "6",
    ];
    let limits = "10 20 500 1000 30 40 50 60 70 90 1 100 80 4";
    assert_eq!(shown(&limited)[..11], used);
    assert_eq!(shown(&limited)[11..].join(" "), limits);
    assert_eq!(
        shown(&unlimited)[11..].join(" "),
        "- - - - - - - - - - 0 - - 1"
    );
}

/// A name as one types it who puts everything into quotes.
fn in_quotes(name: &str, quote: char) -> String {
    let twice = String::from_iter([quote, quote]);
    format!("{quote}{}{quote}", name.replace(quote, &twice))
}

proptest! {
    #[test]
    fn any_name_can_be_told(name in "\\PC{1,20}|[ -~\n]{1,20}", double: bool) {
        let quoted = in_quotes(&name, if double { '"' } else { '\'' });
        let read = read(format!("KILL USER{quoted};SET TENANT {quoted}tier={quoted}").as_bytes());
        let expected = [Command::Kill(user(&name)), Command::SetTier(tenant(&name), name)];
        prop_assert_eq!(read, Ok(expected.to_vec()));
    }

    #[test]
    fn any_id_can_be_told_without_quotes(id in "[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,20}") {
        let read = read(format!("KILL TENANT {id};").as_bytes());
        prop_assert_eq!(read, Ok(vec![Command::Kill(tenant(&id))]));
    }

    #[test]
    fn any_text_is_commands_or_an_error(text in "(SHOW|SET|KILL|TENANT|[ ;,='\"/*-]|\\PC){0,30}") {
        if let Ok(commands) = read(text.as_bytes()) {
            prop_assert!(commands.len() <= 100);
        }
    }
}
