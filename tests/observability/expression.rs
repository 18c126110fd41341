//! Reads a PromQL expression as far as names go: which series it takes, by which labels it selects
//! and groups. It does not know precedence, and finds no other mistakes: promtool does.

/// What is named in an expression.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expression {
    /// The series that it takes.
    pub(crate) selectors: Vec<Selector>,
    /// The labels in `by`, `without`, `on`, `ignoring`, `group_left` and `group_right`.
    pub(crate) grouping: Vec<String>,
}

/// One of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Its name, with the suffix of a histogram's part.
    pub(crate) metric: String,
    /// Labels and what they shall be, whether equal or not.
    pub(crate) matchers: Vec<(String, String)>,
}

const GROUPING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// Can this stand in a name?
pub(crate) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Expression {
    /// Reads it.
    pub(crate) fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '[' {
                // A range: nothing in it is a name.
                rest = &rest[rest.find(']').unwrap_or(rest.len() - 1) + 1..];
                continue;
            }
            let length = rest
                .find(|c: char| !is_name(c) && c != ':')
                .unwrap_or(rest.len());
            if length == 0 {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let (word, behind) = rest.split_at(length);
            rest = behind.trim_start();
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            if is_number || OPERATORS.contains(&word) {
                continue;
            }
            if GROUPING.contains(&word) {
                let (inside, after) = within(rest, '(', ')');
                let labels = inside.split(',').map(str::trim).filter(|it| !it.is_empty());
                found.grouping.extend(labels.map(str::to_owned));
                rest = after;
            } else if !rest.starts_with('(') && !GROUPING.iter().any(|it| starts(rest, it)) {
                let (inside, after) = within(rest, '{', '}');
                rest = after;
                found.selectors.push(Selector {
                    metric: word.to_owned(),
                    matchers: matchers(inside),
                });
            }
        }
        found
    }
}

/// `sum by (…) (…)`: is this word the next?
fn starts(rest: &str, word: &str) -> bool {
    let behind = rest.strip_prefix(word);
    behind.is_some_and(|it| it.trim_start().starts_with('(')) && matches!(word, "by" | "without")
}

/// What stands between these two here, and what comes behind; nothing if it does not begin so.
fn within(rest: &str, open: char, close: char) -> (&str, &str) {
    let Some(inside) = rest.strip_prefix(open) else {
        return ("", rest);
    };
    let mut quoted = false;
    for (at, c) in inside.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == close && !quoted => return (&inside[..at], &inside[at + 1..]),
            _ => {}
        }
    }
    (inside, "")
}

/// `label="value", …`, with any of the four operators.
fn matchers(inside: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut parts = inside.split('"');
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let name = name.trim_matches(|c: char| !is_name(c));
        found.push((name.to_owned(), value.to_owned()));
    }
    found
}
