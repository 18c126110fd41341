//! Keeps `docs/traps.md` honest: every trap that a test names is explained there, every trap that
//! is called held there has a test, and the list of tests in it is written from the sources.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by failing"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = "docs/traps.md";
const BEGIN: &str = "<!-- tests:begin -->\n";
const END: &str = "<!-- tests:end -->\n";

/// How a test that does not run is marked in the list.
const IGNORED: &str = ", which does not run yet";

/// A letter and a number, ordered as people would.
type Id = (char, u8);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The ids that stand in `text` as words: `A5`, `(B1, B3)`; not `0xA5`, `%C3` or `A5F`.
fn ids(text: &str) -> Vec<Id> {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '%');
    let words = text.split(|c| !part_of_word(c));
    words.filter_map(id).collect()
}

fn id(word: &str) -> Option<Id> {
    let mut chars = word.chars();
    let letter = chars.next().filter(|letter| ('A'..='K').contains(letter))?;
    let number: u8 = chars
        .as_str()
        .parse()
        .ok()
        .filter(|number| (1..100).contains(number))?;
    (word == format!("{letter}{number}")).then_some((letter, number))
}

/// The comment of a line, without its slashes, if the line is nothing else.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//")
}

/// The name that a line gives to a test or a scenario.
fn name<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let text = line.trim();
    let word = |text: &'a str| {
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        (end > 0).then(|| &text[..end])
    };
    if comment(line).is_some() {
        return None;
    }
    if let Some((_, rest)) = text
        .split_once("fn ")
        .or_else(|| text.split_once("both_versions!("))
    {
        return word(rest);
    }
    // A field of a case in a table of cases.
    let found = word(text).filter(|found| *found != "name")?;
    let rest = &text[found.len()..];
    // `name: "types" => |client| …` in a table of scenarios, `name,` or `name, |server| …` in
    // `both_versions!`.
    let named = rest.starts_with(": \"") && !text.ends_with(',')
        || rest.starts_with(", |")
        || rest == "," && (comment(before).is_some() || before.ends_with("both_versions!("));
    named.then_some(found)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// What a name is called in the list: a test that does not run says so.
fn called(lines: &[&str], at: usize, name: &str) -> String {
    let attributes = lines[..at]
        .iter()
        .rev()
        .take(4)
        .map(|line| line.trim_start());
    let mut attributes =
        attributes.take_while(|line| line.starts_with("#[") || comment(line).is_some());
    match attributes.any(|line| line.starts_with("#[ignore")) {
        true => format!("{name}{IGNORED}"),
        false => name.to_owned(),
    }
}

/// The ids that comments of a test source name, with what they stand in.
fn mentions(source: &str) -> Vec<(Id, String)> {
    let lines: Vec<&str> = source.lines().collect();
    let named = |at: usize| {
        let before = at.checked_sub(1).map_or("", |at| lines[at]);
        name(lines[at], before).map(|name| called(&lines, at, name))
    };
    let mut found = Vec::new();
    let mut current: Option<(usize, String)> = None;
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = named(at) {
            current = Some((indent(line), name));
        }
        let Some(text) = comment(line).filter(|text| !text.starts_with('!')) else {
            continue;
        };
        let is_doc = text.starts_with('/');
        let inside = current
            .as_ref()
            .filter(|(depth, _)| !is_doc && indent(line) > *depth);
        let below = || (at + 1..lines.len()).find_map(named);
        let owner = inside
            .map(|(_, name)| name.clone())
            .or_else(below)
            .unwrap_or_default();
        found.extend(ids(text).into_iter().map(|id| (id, owner.clone())));
    }
    found
}

/// The part of a source that is tests: all of a file of tests, else what follows `#[cfg(test)]`.
fn tests_of(path: &str, source: &str) -> String {
    if path.starts_with("tests/") || path.ends_with("tests.rs") || path.contains("/tests/") {
        return source.to_owned();
    }
    let parts = source.split_once("#[cfg(test)]\nmod tests {");
    parts.map(|(_, tests)| tests.to_owned()).unwrap_or_default()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// All tests by the trap that they name.
fn tests_by_trap() -> BTreeMap<Id, BTreeSet<String>> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    let mut traps: BTreeMap<Id, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let path = file
            .strip_prefix(root())
            .expect("a file of ours")
            .display()
            .to_string();
        if path == "tests/traps.rs" {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a source");
        for (id, owner) in mentions(&tests_of(&path, &source)) {
            let (name, state) = match owner.strip_suffix(IGNORED) {
                Some(name) => (name, IGNORED),
                None => (owner.as_str(), ""),
            };
            let tests = traps.entry(id).or_default();
            tests.insert(format!("`{name}` ({path}{state})"));
        }
    }
    traps
}

/// The rows of the tables of the page: the id and what is said of its state.
fn rows(page: &str) -> BTreeMap<Id, String> {
    let mut rows = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [first, .., state] = cells.as_slice() else {
            continue;
        };
        if let Some(id) = id(first) {
            assert!(
                rows.insert(id, (*state).to_owned()).is_none(),
                "{id:?} stands twice"
            );
        }
    }
    rows
}

fn list(traps: &BTreeMap<Id, BTreeSet<String>>) -> String {
    traps
        .iter()
        .map(|((letter, number), tests)| {
            let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
            format!("- **{letter}{number}**: {}\n", tests.join(", "))
        })
        .collect()
}

#[test]
fn the_page_and_the_tests_agree() {
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).expect("the page");
    let traps = tests_by_trap();
    let rows = rows(&page);
    let unexplained: Vec<&Id> = traps.keys().filter(|id| !rows.contains_key(id)).collect();
    assert!(
        unexplained.is_empty(),
        "{PAGE} does not explain {unexplained:?}, which tests name"
    );
    let states = ["held", "handled", "partly", "open", "later"];
    let unknown: Vec<_> = rows
        .iter()
        .filter(|(_, state)| !states.contains(&state.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "{PAGE} knows only {states:?}, not {unknown:?}"
    );
    let runs = |id: &Id| {
        let tests = traps.get(id);
        tests.is_some_and(|tests| tests.iter().any(|test| !test.contains(IGNORED)))
    };
    let unheld: Vec<&Id> = rows
        .iter()
        .filter(|(id, state)| *state == "held" && !runs(id))
        .map(|(id, _)| id)
        .collect();
    assert!(
        unheld.is_empty(),
        "{PAGE} says that {unheld:?} are held, but no test names them"
    );

    let (head, rest) = page
        .split_once(BEGIN)
        .expect("the mark where the list begins");
    let (old, tail) = rest.split_once(END).expect("the mark where the list ends");
    let new = list(&traps);
    if old != new {
        let page = format!("{head}{BEGIN}{new}{END}{tail}");
        fs::write(&path, page).expect("the page can be written");
        panic!("the list of tests in {PAGE} was stale and has been rewritten: commit it");
    }
}

#[test]
fn ids_are_whole_words() {
    assert_eq!(
        ids(" A5 (B1, B10): K4."),
        [('A', 5), ('B', 1), ('B', 10), ('K', 4)]
    );
    assert_eq!(ids("0xA5 %C3 A5F L1 A0 A05 a5 A B1000 A_1"), []);
}

#[test]
fn a_mention_belongs_to_the_test_around_or_below_it() {
    let source = "
/// Whole (A1).
fn one() {
    // A2
    let code = \"A9\"; // A9
}

// A3
fn two() {}

table! {
    /// One of many (A4).
    three: \"Z\" => |client| {};
}
both!(
    /// On each (A5).
    four,
    |pg| {
        // A6
    }
);
// A7
both_versions!(five, |pg| seven(pg));

#[test]
#[ignore = \"not yet\"]
// A8
fn six() {}
";
    let found: Vec<String> = mentions(source)
        .into_iter()
        .map(|((letter, number), owner)| format!("{letter}{number} {owner}"))
        .collect();
    assert_eq!(
        found,
        [
            "A1 one",
            "A2 one",
            "A3 two",
            "A4 three",
            "A5 four",
            "A6 four",
            "A7 five",
            "A8 six, which does not run yet"
        ]
    );
}
