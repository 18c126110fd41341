//! Cutting a text into statements and words.
//!
//! Not SQL's lexer: ids of tenants may hold hyphens, dots and colons and begin with digits, and
//! they are to be typed as they are. So a word is whatever stands between blanks, quotes, `=`, `,`
//! and `;`, and nothing is folded: `Acme` and `acme` are two tenants.

use std::borrow::Cow;

use crate::error::{Error, Kind};

/// Most statements in one text: somebody's script, not somebody's mistake.
const MOST_STATEMENTS: usize = 100;

/// One word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// As it was typed.
    Plain(&'a str),
    /// What stood between quotes, single or double.
    Quoted(Cow<'a, str>),
    /// `=`
    Equals,
    /// `,`
    Comma,
}

impl Word<'_> {
    /// Is it this keyword, in whatever case?
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Plain(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// It goes on what stands in front of it: `."name"` has two words.
    pub(super) fn is_dotted(&self) -> bool {
        matches!(self, Self::Plain(word) if word.starts_with('.'))
    }

    /// The name that it can be.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Plain(word) => Some(word),
            Self::Quoted(text) => Some(text),
            Self::Equals | Self::Comma => None,
        }
    }
}

/// As it is shown in a message.
impl std::fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(word) => f.write_str(word),
            Self::Quoted(text) => f.write_str(text),
            Self::Equals => f.write_str("="),
            Self::Comma => f.write_str(","),
        }
    }
}

/// The words of each statement of a text; empty statements are left out.
pub(super) fn statements(text: &str) -> Result<Vec<Vec<Word<'_>>>, Error> {
    let mut statements = Vec::new();
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = without_blanks(rest)?;
        let next = rest.chars().next();
        if let None | Some(';') = next {
            if !words.is_empty() {
                statements.push(std::mem::take(&mut words));
            }
            if statements.len() > MOST_STATEMENTS {
                let message = format!("more than {MOST_STATEMENTS} commands at once");
                return Err(Error::new(Kind::ConsoleSyntax, message));
            }
        }
        let word;
        (word, rest) = match next {
            None => return Ok(statements),
            Some(';') => (None, rest.get(1..).unwrap_or_default()),
            Some('=') => (Some(Word::Equals), rest.get(1..).unwrap_or_default()),
            Some(',') => (Some(Word::Comma), rest.get(1..).unwrap_or_default()),
            Some(quote @ ('\'' | '"')) => {
                let (text, rest) = quoted(rest, quote)?;
                (Some(Word::Quoted(text)), rest)
            }
            Some(_) => {
                let (word, rest) = plain(rest);
                (Some(Word::Plain(word)), rest)
            }
        };
        words.extend(word);
    }
}

/// Behind blanks and comments. A `--` begins a comment in front of a word only: an id may hold it.
fn without_blanks(mut rest: &str) -> Result<&str, Error> {
    loop {
        rest = rest.trim_start();
        if rest.starts_with("--") {
            rest = rest
                .find('\n')
                .map_or("", |end| rest.get(end..).unwrap_or_default());
        } else if rest.starts_with("/*") {
            rest = without_comment(rest).ok_or_else(|| unfinished("comment"))?;
        } else {
            return Ok(rest);
        }
    }
}

/// Behind the comment at the front, which may hold others.
fn without_comment(mut rest: &str) -> Option<&str> {
    let mut depth = 0_u32;
    loop {
        if let Some(inner) = rest.strip_prefix("/*") {
            depth += 1;
            rest = inner;
        } else if let Some(behind) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = behind;
        } else {
            let mut chars = rest.chars();
            chars.next()?;
            rest = chars.as_str();
        }
        if depth == 0 {
            return Some(rest);
        }
    }
}

/// The text between the quotes at the front, and what stands behind them.
fn quoted(text: &str, quote: char) -> Result<(Cow<'_, str>, &str), Error> {
    let inner = text.get(1..).unwrap_or_default();
    let mut from = 0;
    while let Some(at) = inner.get(from..).and_then(|rest| rest.find(quote)) {
        let end = from + at;
        let behind = inner.get(end + 1..).unwrap_or_default();
        if !behind.starts_with(quote) {
            let found = inner.get(..end).unwrap_or_default();
            let twice = String::from_iter([quote, quote]);
            let found = match found.contains(quote) {
                true => Cow::Owned(found.replace(&twice, &quote.to_string())),
                false => Cow::Borrowed(found),
            };
            return Ok((found, behind));
        }
        from = end + 2;
    }
    Err(unfinished("quoted text"))
}

fn unfinished(what: &str) -> Error {
    Error::new(Kind::ConsoleSyntax, format!("the {what} does not end"))
}

/// The word at the front, and what stands behind it.
fn plain(text: &str) -> (&str, &str) {
    let ends = |(at, c): &(usize, char)| {
        let comment = *c == '/' && text.get(*at..).is_some_and(|rest| rest.starts_with("/*"));
        c.is_whitespace() || matches!(c, ';' | '=' | ',' | '\'' | '"') || comment
    };
    let end = text
        .char_indices()
        .find(ends)
        .map_or(text.len(), |(at, _)| at);
    text.split_at_checked(end).unwrap_or((text, ""))
}
