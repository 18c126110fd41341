//! Keeps `docs/security.md` honest: every test that it names exists.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by failing")]

use std::{fs, path::Path};

const PAGE: &str = "docs/security.md";

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The file of a test and its function, if that is what was quoted.
fn test(quoted: &str) -> Option<(&str, Option<&str>)> {
    let (file, function) = match quoted.split_once("::") {
        Some((file, function)) => (file, Some(function)),
        None => (quoted, None),
    };
    file.ends_with(".rs").then_some((file, function))
}

fn missing(page: &str, root: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    for (file, function) in quoted(page).filter_map(test) {
        let path = match file.starts_with("src/") || file.starts_with("tests/") {
            true => root.join(file),
            false => root.join("tests").join(file),
        };
        let Ok(source) = fs::read_to_string(path) else {
            missing.push(file.to_owned());
            continue;
        };
        if let Some(function) = function {
            let words = source.split(|c: char| !c.is_alphanumeric() && c != '_');
            if !words.into_iter().any(|word| word == function) {
                missing.push(format!("{file}::{function}"));
            }
        }
    }
    missing
}

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(PAGE)).expect(PAGE);
    assert!(
        quoted(&page).filter_map(test).count() > 30,
        "{PAGE} names no tests"
    );
    assert_eq!(missing(&page, root), [""; 0], "named in {PAGE}");
}

#[test]
fn one_that_does_not_exist_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let absent = format!("security.rs::{}", ["not", "to", "be", "found"].join("_"));
    let page = format!("`security.rs::missing`, `{absent}`, `no/such.rs`, `sslmode`");
    assert_eq!(missing(&page, root), [&absent, "no/such.rs"]);
}
