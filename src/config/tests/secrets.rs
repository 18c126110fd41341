//! No secret is in any message, whatever is wrong with it.

use proptest::prelude::*;

use super::*;
use crate::config::{file, overlay::Overlay, problems::Problems, url::DatabaseUrl};

/// All that is ever said about a configuration.
fn said(text: &str) -> String {
    let env = |_: &str| None;
    match Config::parse(text, Path::new("it.toml"), &env) {
        Ok(config) => format!("{config:?}"),
        Err(errors) => format!("{errors} {errors:?}"),
    }
}

fn typed(text: &str) -> String {
    let mut problems = Problems::new(text);
    format!("{:?}", file::read(text, &Overlay::default(), &mut problems))
}

proptest! {
    /// The marker is in no word of ours, and long enough not to turn up by chance.
    #[test]
    fn are_in_no_message(
        before in "[ -~]{0,8}",
        after in "[ -~é%@/?#:&=\\[\\]\"'{}\\\\]{0,8}",
        place in 0_usize..11,
    ) {
        let marker = "Zq7Xv";
        let password = format!("{before}{marker}{after}");
        let url = format!("postgres://u:{password}@db:x/a?sslmode=require");
        let good = format!("postgres://u:{marker}@db/a");
        let (password, url) = (format!("{password:?}"), format!("{url:?}"));
        let text = match place {
            0 => format!("[databases.a]\nurl = {url}\n"),
            1 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npassword = {password}\n"),
            2 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npassword = [{password}]\n"),
            3 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npassword = {{ evn = {password} }}\n"),
            4 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npasword = {password}\n"),
            5 => format!("[databases.a]\nurl = {good:?}\n[users]\nu = {password}\n"),
            // Broken TOML: the quotes are missing, or one of them.
            6 => format!("[users.u]\npassword = {before}{marker}{after}\n"),
            7 => format!("[users.u]\npassword = \"{before}{marker}{after}\n"),
            8 => format!("[databases.a]\nurl = postgres://u:{before}{marker}{after}@db/a\n"),
            9 => format!("[databases.a]\nurl = {good:?}\n[tenant]\n[tenants_query]\nquery = \"SELECT $1\"\nurl = {url}\n"),
            _ => format!("[users.u]\nmax_clients = {password}\npool_size = {password}\n"),
        };
        let said = said(&text);
        prop_assert!(!said.contains(marker), "{said}");
        let typed = typed(&text);
        prop_assert!(!typed.contains(marker), "{typed}");
    }

    #[test]
    fn of_urls_are_in_no_message(
        before in "[ -~é]{0,8}",
        after in "[a-z0-9%@/?#:&=,\\[\\]]{0,12}",
        tail in "(/a)?(\\?[a-z]{1,9}=[a-z]{0,4})?",
    ) {
        let url = format!("postgres://u:{before}Zq7Xv{after}@db{tail}");
        let said = match Config::from_database_url(&url) {
            Ok(config) => format!("{config:?}"),
            Err(errors) => errors.to_string(),
        };
        prop_assert!(!said.contains("Zq7Xv"), "{said}");
    }

    /// Whatever the password is, written with percent signs it arrives as it is.
    #[test]
    fn arrive_unchanged(password in "[^\\x00]{1,20}") {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = DatabaseUrl::parse(&format!("postgres://u:{encoded}@db/a"));
        prop_assert_eq!(url.map(|url| url.password), Ok(Some(password)));
    }
}

#[test]
fn users_can_be_looked_up() {
    let text = format!(
        "{APP}[auth.query]\nurl = \"postgres://asks:secret@db/users\"\nttl = \"5s\"\nmax_stale = \"off\""
    );
    let query = parse(&text).unwrap().auth_query.unwrap();
    assert_eq!(query.upstream.user.as_deref(), Some("asks"));
    assert!(
        query
            .query
            .starts_with("SELECT rolpassword FROM pg_catalog.pg_authid")
    );
    assert_eq!(
        (query.ttl, query.negative_ttl, query.max_stale),
        (
            Duration::from_secs(5),
            Duration::from_secs(10),
            Duration::ZERO
        )
    );
}

#[test]
fn a_query_for_users_must_make_sense() {
    for (lines, expected) in [
        ("", "[auth.query] has no url"),
        (
            "url = \"postgres://db/users\"",
            "url in [auth.query] must name a user and a database",
        ),
        (
            "url = \"postgres://a:b@db/users\"\nquery = \"SELECT 1\"",
            "query in [auth.query] must ask for one user, whose name is $1",
        ),
        (
            "url = \"postgres://a:b@db/users\"\nttl = 0",
            "ttl in [auth.query] must not be off",
        ),
    ] {
        let [error] = errors(&format!("{APP}[auth.query]\n{lines}"))
            .try_into()
            .unwrap();
        assert!(error.contains(expected), "{error}");
    }
}
