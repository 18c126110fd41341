//! Keys that were changed on the console, over those of a file.

use super::*;
use crate::config::{
    ConfigErrors,
    listing::Setting,
    overlay::{Fixed, Overlay, Typed, place},
};

const TEXT: &str = r#"
[timeouts]
query_timeout = "1s"
[databases.a]
url = "postgres://u:hush@h/a"
[databases."b.c"]
url = "postgres://h/b"
pool_size = 7
"#;

fn parts(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

fn under(overlay: &Overlay) -> Result<Config, ConfigErrors> {
    Config::parse_under(TEXT, overlay, Path::new("it.toml"), &|_| None)
}

/// The configuration with one key changed, as the first of its meanings that is right has it.
fn with(path: &[&str], value: &Typed) -> Result<Config, ConfigErrors> {
    let (place, _) = place(&parts(path)).unwrap();
    let meant = Overlay::default().with(&place, value);
    let mut read = meant.iter().map(under);
    let first = read.next().unwrap();
    first.or_else(|error| read.find_map(Result::ok).ok_or(error))
}

fn quoted(text: &str) -> Typed {
    Typed::Quoted(text.to_owned())
}

fn plain(text: &str) -> Typed {
    Typed::Plain(text.to_owned())
}

#[test]
fn numbers_and_texts_are_understood_with_quotes_and_without() {
    for value in [quoted("30"), plain("30")] {
        let config = with(&["databases", "a", "pool_size"], &value).unwrap();
        assert_eq!(config.databases["a"].pool.pool_size, 30);
        assert_eq!(config.databases["b.c"].pool.pool_size, 7);
    }
    for value in [quoted("5m"), plain("5m")] {
        let config = with(&["timeouts", "query_timeout"], &value).unwrap();
        let timeout = config.databases["a"].timeouts.query_timeout;
        assert_eq!(timeout, Some(Duration::from_secs(300)));
    }
    let config = with(&["limits", "notice_after"], &plain("5s")).unwrap();
    assert!(config.notice_after.is_some());
    let users = quoted(r#"["x", "y"]"#);
    let config = with(&["console", "admin_users"], &users).unwrap();
    assert_eq!(config.console.admin_users, ["x", "y"]);
}

#[test]
fn a_default_is_for_those_who_do_not_say_it() {
    let config = with(&["default_pool_size"], &plain("3")).unwrap();
    assert_eq!(config.databases["a"].pool.pool_size, 3);
    assert_eq!(config.databases["b.c"].pool.pool_size, 7);
}

#[test]
fn a_mistake_stands_in_no_line_of_the_file() {
    let error = with(&["timeouts", "query_timeout"], &plain("soon")).unwrap_err();
    let [line] = error.lines() else {
        panic!("{error}")
    };
    assert!(
        line.starts_with("it.toml: query_timeout in [timeouts] must be"),
        "{line}"
    );
}

#[test]
fn one_value_is_one_value() {
    let two = quoted("1\nmax_handshakes = 1");
    assert!(with(&["listen", "max_clients"], &two).is_err());
    let config = with(&["log", "level"], &two).unwrap();
    assert_eq!(config.log.level, "1\nmax_handshakes = 1");
    assert_eq!(config.listen.max_handshakes, 1000);
}

#[test]
fn what_was_changed_can_be_taken_back() {
    let (place, _) = place(&parts(&["timeouts", "query_timeout"])).unwrap();
    let changed = Overlay::default().with(&place, &plain("9s")).pop().unwrap();
    assert_ne!(changed, Overlay::default());
    assert_eq!(changed.without(&place), Overlay::default());
}

#[test]
fn some_keys_are_not_for_the_console() {
    for (path, fixed) in [
        (&["listen", "address"][..], Fixed::AtStart),
        (&["listen", "proxy", "address"], Fixed::AtStart),
        (&["runtime", "workers"], Fixed::AtStart),
        (&["http", "token"], Fixed::Secret),
        (&["users", "a", "password"], Fixed::Secret),
        (&["databases", "a", "url"], Fixed::Secret),
        (&["tenants_query", "url"], Fixed::Secret),
        (&["databases", "a"], Fixed::Unknown),
        (&["databases"], Fixed::Unknown),
        (&["listen", "max_clients", "x"], Fixed::Unknown),
        (&["nothing"], Fixed::Unknown),
        (&[], Fixed::Unknown),
    ] {
        assert_eq!(place(&parts(path)), Err(fixed), "{path:?}");
    }
}

#[test]
fn the_list_has_what_holds() {
    let config = with(&["query_timeout"], &quoted("250ms")).unwrap();
    let shown = |key: &str| {
        let setting = config.listing.iter().find(|it| it.key == key);
        let Setting { value, default, .. } = setting.unwrap().clone();
        (value.unwrap_or_default(), default.unwrap_or_default())
    };
    let both = |value: &str, default: &str| (value.to_owned(), default.to_owned());
    assert_eq!(shown("query_timeout"), both("0.25", "0"));
    assert_eq!(shown("timeouts.query_timeout"), both("250ms", "off"));
    assert_eq!(shown("databases.\"b.c\".pool_size"), both("7", "20"));
    // What no database overrides is not listed for each.
    let key = "databases.a.query_timeout";
    assert!(config.listing.iter().all(|it| it.key != key));
    let all = format!("{:?}", config.listing);
    assert!(!all.contains("hush") && !all.contains("postgres://"));
}
