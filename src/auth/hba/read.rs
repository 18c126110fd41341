//! The lines, fields and tokens of a rules file, cut as PostgreSQL cuts `pg_hba.conf`.
//!
//! Fields stand apart by blanks, the tokens of a field by commas. A token in double quotes is no
//! keyword, and two quotes in it are one. `#` begins a comment; a backslash at the end of a line
//! joins the next one to it, in a comment too. Stricter in one thing: a quote that is not closed,
//! which PostgreSQL closes at the end of the line, is a mistake.

use super::Mistake;

/// One of the texts in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// It begins with a quote, and so is no keyword.
    pub(super) is_quoted: bool,
    pub(super) at: Place,
}

impl Token {
    /// Whether it is this keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        !self.is_quoted && self.text == word
    }
}

/// Where something stands, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A field: at least one token.
pub(super) type Field = Vec<Token>;

/// A line, its continuations joined to it, with the places of its characters.
struct Line {
    chars: Vec<(char, Place)>,
}

/// All lines with something in them; each as its fields, or with what is wrong with it.
pub(super) fn lines(text: &str) -> Vec<Result<Vec<Field>, Mistake>> {
    let mut read = Vec::new();
    let mut numbered = (1..).zip(text.lines());
    while let Some((number, first)) = numbered.next() {
        let mut line = Line { chars: Vec::new() };
        let mut part = Some((number, first));
        while let Some((number, text)) = part {
            let continued = text.strip_suffix('\\');
            line.add(number, continued.unwrap_or(text));
            part = continued.and_then(|_| numbered.next());
        }
        match line.fields() {
            Ok(fields) if fields.is_empty() => {}
            fields => read.push(fields),
        }
    }
    read
}

/// The tokens of a file that a list names (`@file`): all of all lines.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Mistake> {
    let mut all = Vec::new();
    for fields in lines(text) {
        all.extend(fields?.into_iter().flatten());
    }
    Ok(all)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}')
}

impl Line {
    fn add(&mut self, line: usize, text: &str) {
        let placed = (1..).zip(text.chars());
        self.chars
            .extend(placed.map(|(column, c)| (c, Place { line, column })));
    }

    fn fields(&self) -> Result<Vec<Field>, Mistake> {
        let mut rest = self.chars.as_slice();
        let mut fields = Vec::new();
        let mut field = Field::new();
        while let Some((token, has_more)) = token(&mut rest)? {
            field.push(token);
            if !has_more {
                fields.push(std::mem::take(&mut field));
            }
        }
        if !field.is_empty() {
            fields.push(field);
        }
        Ok(fields)
    }
}

/// The next token, and whether a comma follows it.
fn token(rest: &mut &[(char, Place)]) -> Result<Option<(Token, bool)>, Mistake> {
    while let [(c, _), tail @ ..] = *rest
        && (is_blank(*c) || *c == ',')
    {
        *rest = tail;
    }
    let [(first, at), ..] = *rest else {
        return Ok(None);
    };
    if *first == '#' {
        *rest = &[];
        return Ok(None);
    }
    let mut text = String::new();
    let (mut in_quotes, mut is_quoted, mut has_more) = (false, false, false);
    let mut opened = *at;
    while let [(c, place), tail @ ..] = *rest {
        match c {
            '"' if in_quotes && matches!(tail, [('"', _), ..]) => {
                text.push('"');
                *rest = tail.get(1..).unwrap_or_default();
                continue;
            }
            '"' => {
                in_quotes = !in_quotes;
                is_quoted |= text.is_empty() && in_quotes;
                opened = *place;
            }
            c if in_quotes => text.push(*c),
            c if is_blank(*c) => break,
            '#' => {
                *rest = &[];
                break;
            }
            ',' => {
                has_more = true;
                *rest = tail;
                break;
            }
            c => text.push(*c),
        }
        *rest = tail;
    }
    if in_quotes {
        return Err(Mistake::new(opened, "a double quote is not closed"));
    }
    let token = Token {
        text,
        is_quoted,
        at: *at,
    };
    Ok(Some((token, has_more)))
}
