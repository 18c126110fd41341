//! What a statement calls, as far as it leaves something behind.
//!
//! Functions are found by their names in front of a parenthesis, whatever schema is named
//! before them: a function of the application's own that happens to be called `set_config` counts
//! too. What a function does inside is not seen.

use std::borrow::Cow;

use super::{
    cursor::Cursor,
    decode::is,
    lexer::{Dialect, Lexer, Token, TokenKind},
};

/// Most calls of `set_config` that one statement is remembered for.
const MAX_SET_CONFIG: usize = 16;

/// What a statement calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notable<'a> {
    /// Calls of `set_config`, in the order of the text, 16 at most.
    pub set_config: Vec<SetConfig<'a>>,
    /// There are more calls of `set_config`, which are not listed.
    pub more_set_config: bool,
    /// The statement is `SELECT set_config(…), …` with plain arguments and does nothing else:
    /// each call runs exactly once.
    pub only_set_config: bool,
    /// A lock of the session is taken: `pg_advisory_lock` and `pg_try_advisory_lock`, shared or not.
    pub advisory_lock: bool,
    /// A lock of the session is given back: `pg_advisory_unlock`, shared or not.
    pub advisory_unlock: bool,
    /// All are given back: `pg_advisory_unlock_all`.
    pub advisory_unlock_all: bool,
    /// The session's memory of sequences is asked: `currval`, `lastval`.
    pub sequence_memory: bool,
    /// The view `pg_settings` is named, and an `UPDATE` of it sets settings.
    pub settings_view: bool,
    /// The list of prepared statements is named: `pg_prepared_statements`, or the function behind it.
    pub statements_view: bool,
    /// A name is written with Unicode escapes, so it may be any of these.
    pub obscured: bool,
}

/// A call of `set_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetConfig<'a> {
    /// The setting, as it is written: settings have no case, so compare accordingly.
    pub name: Argument<'a>,
    /// Its new value.
    pub value: Argument<'a>,
    /// Only for the transaction? A literal is spelled as in the text: `true`, `t`, `off` …; see
    /// [`Argument::truth`].
    pub local: Argument<'a>,
}

/// An argument of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A string, or the word `true` or `false`.
    Literal(Cow<'a, [u8]>),
    /// `$n`
    Parameter(u16),
    /// `NULL`
    Null,
    /// Anything that must be computed.
    Other,
}

impl Argument<'_> {
    /// A literal as PostgreSQL reads it for a boolean.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Literal(text) => truth(text),
            _ => None,
        }
    }
}

/// What PostgreSQL's boolean makes of a text: any unambiguous beginning of a word will do.
pub(super) fn truth(text: &[u8]) -> Option<bool> {
    let word = text.trim_ascii().to_ascii_lowercase();
    let begins = |whole: &[u8], least: usize| word.len() >= least && whole.starts_with(&word);
    match word.as_slice() {
        b"1" => Some(true),
        b"0" => Some(false),
        _ if begins(b"true", 1) || begins(b"yes", 1) || begins(b"on", 2) => Some(true),
        _ if begins(b"false", 1) || begins(b"no", 1) || begins(b"off", 2) => Some(false),
        _ => None,
    }
}

impl<'a> Notable<'a> {
    /// Takes note of a name in front of a parenthesis. `lexer` stands behind that.
    #[inline]
    pub(super) fn call(&mut self, lexer: &Lexer<'a>, name: Token) {
        let bytes = lexer.bytes(name);
        let bytes = match name.kind {
            TokenKind::Word => bytes,
            // None of the names holds a quote, so there is none to be undoubled.
            TokenKind::Quoted => bytes.get(1..bytes.len() - 1).unwrap_or_default(),
            TokenKind::QuotedUnicode => bytes.get(3..bytes.len() - 1).unwrap_or_default(),
            _ => return,
        };
        // Most names are none of these.
        if bytes.len() < 7
            || !matches!(
                bytes.first(),
                Some(b's' | b'S' | b'p' | b'P' | b'c' | b'C' | b'l' | b'L')
            )
        {
            return;
        }
        self.named(lexer, bytes);
    }

    fn named(&mut self, lexer: &Lexer<'a>, name: &[u8]) {
        let any = |names: &[&[u8]]| names.iter().any(|known| is(name, known));
        if is(name, b"set_config") {
            if self.set_config.len() < MAX_SET_CONFIG {
                self.set_config.push(set_config(lexer.clone()));
            } else {
                self.more_set_config = true;
            }
        } else if any(&[
            b"pg_advisory_lock",
            b"pg_advisory_lock_shared",
            b"pg_try_advisory_lock",
            b"pg_try_advisory_lock_shared",
        ]) {
            self.advisory_lock = true;
        } else if any(&[b"pg_advisory_unlock", b"pg_advisory_unlock_shared"]) {
            self.advisory_unlock = true;
        } else if is(name, b"pg_advisory_unlock_all") {
            self.advisory_unlock_all = true;
        } else if any(&[b"currval", b"lastval"]) {
            self.sequence_memory = true;
        } else if is(name, b"pg_prepared_statement") {
            self.statements_view = true;
        }
    }

    /// Once the whole statement is known: does it do nothing but call `set_config`?
    pub(super) fn finish(&mut self, statement: &[u8], dialect: Dialect) {
        if !self.set_config.is_empty() && !self.more_set_config {
            let calls = only_set_config(Cursor::new(statement, dialect));
            self.only_set_config = calls == Some(self.set_config.len())
                && !self.set_config.iter().any(SetConfig::is_computed);
        }
    }
}

impl SetConfig<'_> {
    fn is_computed(&self) -> bool {
        [&self.name, &self.value, &self.local].contains(&&Argument::Other)
    }
}

/// Reads the arguments behind the opening parenthesis.
fn set_config(lexer: Lexer<'_>) -> SetConfig<'_> {
    let mut cursor = Cursor::behind(lexer);
    let name = argument(&mut cursor, TokenKind::Comma);
    let value = argument(&mut cursor, TokenKind::Comma);
    let local = argument(&mut cursor, TokenKind::Close);
    SetConfig { name, value, local }
}

/// Reads one argument and what ends it. One that is not plain is passed over.
fn argument<'a>(cursor: &mut Cursor<'a>, end: TokenKind) -> Argument<'a> {
    let mut plain = cursor.clone();
    match plain_argument(&mut plain) {
        Some(argument) if plain.kind() == end => {
            plain.advance();
            *cursor = plain;
            argument
        }
        _ => {
            skip_argument(cursor);
            cursor.eat_kind(end);
            Argument::Other
        }
    }
}

fn plain_argument<'a>(cursor: &mut Cursor<'a>) -> Option<Argument<'a>> {
    // `('acme')`: JDBC puts parameters into simple queries like this.
    let wrapped = cursor.eat_kind(TokenKind::Open);
    let argument = match cursor.kind() {
        TokenKind::Parameter => parameter(cursor.bytes()),
        _ if cursor.at(b"null") => Argument::Null,
        _ if cursor.at_any(&[b"true", b"false"]) => {
            Argument::Literal(Cow::Borrowed(cursor.bytes()))
        }
        _ => Argument::Literal(cursor.string()?),
    };
    cursor.advance();
    cast(cursor)?;
    if wrapped {
        cursor.eat_kind(TokenKind::Close).then_some(())?;
        cast(cursor)?;
    }
    Some(argument)
}

/// Passes a cast that leaves the text as it is; `None` if there is another one.
fn cast(cursor: &mut Cursor<'_>) -> Option<()> {
    if !cursor.eat_kind(TokenKind::Mark) {
        return Some(());
    }
    let harmless: &[&[u8]] = &[b"text", b"varchar", b"boolean", b"bool"];
    (cursor.eat_kind(TokenKind::Mark) && cursor.eat_any(harmless)).then_some(())
}

/// Goes on to the comma or parenthesis that ends an argument.
fn skip_argument(cursor: &mut Cursor<'_>) {
    let mut brackets: usize = 0;
    loop {
        match cursor.kind() {
            TokenKind::End | TokenKind::Doubt | TokenKind::Close => return,
            TokenKind::Comma if brackets == 0 => return,
            TokenKind::Open => {
                cursor.skip_parentheses();
                continue;
            }
            TokenKind::Mark if cursor.bytes() == b"[" => brackets += 1,
            TokenKind::Mark if cursor.bytes() == b"]" => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        cursor.advance();
    }
}

fn parameter(bytes: &[u8]) -> Argument<'_> {
    bytes
        .get(1..)
        .and_then(|digits| str::from_utf8(digits).ok()?.parse().ok())
        .map_or(Argument::Other, Argument::Parameter)
}

/// How many calls `SELECT set_config(…) [[AS] name], …` makes, if it is just that.
fn only_set_config(mut cursor: Cursor<'_>) -> Option<usize> {
    if !cursor.eat(b"select") {
        return None;
    }
    let mut calls = 0;
    loop {
        let mut name = cursor.name()?;
        if *name == *b"pg_catalog" && cursor.eat_kind(TokenKind::Dot) {
            name = cursor.name()?;
        }
        if *name != *b"set_config" || cursor.kind() != TokenKind::Open {
            return None;
        }
        cursor.skip_parentheses();
        calls += 1;
        if cursor.eat(b"as") || cursor.at_name() {
            cursor.name()?;
        }
        if !cursor.eat_kind(TokenKind::Comma) {
            return cursor.done().then_some(calls);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statements;

    #[test]
    fn arguments_are_plain_or_not() {
        let plain = |text: &str| Argument::Literal(Cow::Owned(text.as_bytes().to_vec()));
        for (typed, read) in [
            ("'acme'", plain("acme")),
            ("'acme'::text", plain("acme")),
            ("('acme')", plain("acme")),
            ("('acme'::varchar)", plain("acme")),
            ("('acme')::text", plain("acme")),
            ("($1)", Argument::Parameter(1)),
            ("'acme'::uuid", Argument::Other),
            ("('acme'", Argument::Other),
            ("('acme'::char(1))", Argument::Other),
            ("('acme') || 'x'", Argument::Other),
            ("('acme' || 'x')", Argument::Other),
            ("()", Argument::Other),
            ("(SELECT 'acme')", Argument::Other),
        ] {
            let text = format!("SELECT set_config('a.b', {typed}, true)");
            let mut found = statements(text.as_bytes(), Dialect::default());
            let notable = found.next().unwrap().notable;
            assert_eq!(notable.set_config[0].value, read, "{typed}");
        }
    }
}
