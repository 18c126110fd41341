//! Where statements begin and end, and what stands in each: one pass over the text.

use std::ops::Range;

use super::{
    classify::{self, Kind},
    cursor::Cursor,
    decode::is,
    lexer::{Dialect, Lexer, Token, TokenKind},
    notable::Notable,
};

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// From its first token to its semicolon, or to its last token if it has none. What is
    /// inserted at the end of a [terminated](Self::terminated) statement stands between it
    /// and the next.
    pub span: Range<usize>,
    /// Is there a semicolon?
    pub terminated: bool,
    /// What it is.
    pub kind: Kind<'a>,
    /// What it calls.
    pub notable: Notable<'a>,
}

impl Statement<'_> {
    /// Its own part of the text that it was found in.
    #[must_use]
    pub fn part_of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.span.clone()).unwrap_or_default()
    }
}

/// The statements of a text, in order; empty ones are left out. If there are none, the text
/// is nothing but blanks, comments and semicolons (T17).
///
/// A statement that cannot be read for certain is [`Kind::Unsure`]. What PostgreSQL refuses
/// already while it scans (an open string, say) takes the rest of the text with it; the other
/// statements of such a text do not run either, whatever is said of them here.
pub fn statements(text: &[u8], dialect: Dialect) -> Statements<'_> {
    Statements {
        lexer: Lexer::new(text, dialect),
        dialect,
    }
}

/// See [`statements`].
#[derive(Debug, Clone)]
pub struct Statements<'a> {
    lexer: Lexer<'a>,
    dialect: Dialect,
}

impl<'a> Iterator for Statements<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Statement<'a>> {
        let first = loop {
            let token = self.lexer.token();
            match token.kind {
                TokenKind::Semicolon => {}
                TokenKind::End => return None,
                _ => break token,
            }
        };
        let mut pass = Pass {
            routine: is(self.lexer.bytes(first), b"create") && is_routine(&self.lexer),
            ..Pass::default()
        };
        let (mut token, mut end) = (first, first.end);
        let semicolon = loop {
            match token.kind {
                TokenKind::End => break None,
                TokenKind::Semicolon if pass.is_outside() => break Some(token.end),
                _ => pass.take(&self.lexer, token),
            }
            end = token.end;
            token = self.lexer.token();
        };
        let text = self.lexer.text();
        let body = text.get(first.start..end).unwrap_or_default();
        let kind = kind(first, body, self.dialect, &pass);
        let mut notable = pass.notable;
        notable.finish(body, self.dialect);
        Some(Statement {
            span: first.start..semicolon.unwrap_or(end),
            terminated: semicolon.is_some(),
            kind,
            notable,
        })
    }
}

/// Queries and changes are recognized by their first word; the rest takes a closer look.
fn kind<'a>(first: Token, body: &'a [u8], dialect: Dialect, pass: &Pass<'a>) -> Kind<'a> {
    const COMMON: [&[u8]; 8] = [
        b"select", b"insert", b"update", b"delete", b"with", b"values", b"merge", b"table",
    ];
    if !pass.is_certain() {
        return Kind::Unsure;
    }
    let word = body.get(..first.end - first.start).unwrap_or_default();
    let common = match first.kind {
        TokenKind::Open => true,
        TokenKind::Word => COMMON.iter().any(|known| is(word, known)),
        _ => return Kind::Unsure,
    };
    match common {
        true if pass.selects_into_temp => Kind::CreateTemp,
        true => Kind::Plain,
        false => {
            let temp = pass.selects_into_temp || pass.names_temp;
            classify::kind(Cursor::new(body, dialect), temp)
        }
    }
}

/// Behind `CREATE`: does `[OR REPLACE] FUNCTION | PROCEDURE` follow?
fn is_routine(lexer: &Lexer<'_>) -> bool {
    let mut cursor = Cursor::behind(lexer.clone());
    if cursor.eat(b"or") {
        cursor.eat(b"replace");
    }
    cursor.at_any(&[b"function", b"procedure"])
}

/// What one pass over a statement's tokens finds out.
#[derive(Debug, Default)]
struct Pass<'a> {
    notable: Notable<'a>,
    /// Open parentheses. Semicolons inside of them belong to a `CREATE RULE`.
    open: usize,
    /// The statement is a `CREATE FUNCTION` or `CREATE PROCEDURE`, so it may have a body.
    routine: bool,
    body: Body,
    /// Something does not fit together.
    doubtful: bool,
    selects_into_temp: bool,
    names_temp: bool,
    /// The last two tokens.
    last: Option<Token>,
    last_but_one: Option<Token>,
}

/// `BEGIN ATOMIC statement; … END` of a routine. What ends it is an `END` right behind a
/// semicolon or behind `ATOMIC`: any other belongs to a `CASE`, or is a name.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Body {
    #[default]
    Before,
    Inside,
    Behind,
}

impl<'a> Pass<'a> {
    /// Does a semicolon end the statement here?
    #[inline]
    fn is_outside(&self) -> bool {
        self.open == 0 && self.body != Body::Inside
    }

    /// Was everything closed that was opened?
    fn is_certain(&self) -> bool {
        !self.doubtful && self.is_outside()
    }

    #[inline]
    fn take(&mut self, lexer: &Lexer<'a>, token: Token) {
        match token.kind {
            TokenKind::Word => self.word(lexer, token),
            TokenKind::Open => {
                self.open += 1;
                if let Some(name) = self.last {
                    self.notable.call(lexer, name);
                }
            }
            TokenKind::Close => match self.open.checked_sub(1) {
                Some(open) => self.open = open,
                None => self.doubtful = true,
            },
            TokenKind::Quoted => match lexer.bytes(token) {
                b"\"pg_temp\"" => self.temp(lexer),
                b"\"pg_settings\"" => self.notable.settings_view = true,
                b"\"pg_prepared_statements\"" => self.notable.statements_view = true,
                _ => {}
            },
            TokenKind::QuotedUnicode => {
                self.notable.obscured |= lexer.bytes(token).contains(&b'\\');
            }
            TokenKind::Doubt => self.doubtful = true,
            _ => {}
        }
        self.last_but_one = self.last;
        self.last = Some(token);
    }

    /// The few words that matter, told apart by their length first.
    #[inline]
    fn word(&mut self, lexer: &Lexer<'a>, token: Token) {
        let word = lexer.bytes(token);
        match word.len() {
            3 if self.routine && is(word, b"end") => self.end_of_body(lexer),
            4 if is(word, b"temp") => self.selects_into(lexer),
            6 if self.routine && is(word, b"atomic") => self.body(lexer),
            7 if is(word, b"pg_temp") => self.temp(lexer),
            7 if is(word, b"uescape") => self.notable.obscured = true,
            9 if is(word, b"temporary") => self.selects_into(lexer),
            11 if is(word, b"pg_settings") => self.notable.settings_view = true,
            22 if is(word, b"pg_prepared_statements") => self.notable.statements_view = true,
            _ => {}
        }
        if self.body == Body::Behind && !is(word, b"end") {
            self.doubtful = true;
        }
    }

    /// The schema of temporary things is named.
    fn temp(&mut self, lexer: &Lexer<'a>) {
        self.names_temp = true;
        self.selects_into(lexer);
    }

    /// `SELECT … INTO [LOCAL | GLOBAL] TEMP`, but not `INSERT INTO temp`.
    fn selects_into(&mut self, lexer: &Lexer<'a>) {
        let was = |token: Option<Token>, word: &[u8]| {
            token.is_some_and(|token| is(lexer.bytes(token), word))
        };
        let scoped = was(self.last, b"local") || was(self.last, b"global");
        let into = match scoped {
            true => was(self.last_but_one, b"into"),
            false => was(self.last, b"into"),
        };
        let other =
            !scoped && (was(self.last_but_one, b"insert") || was(self.last_but_one, b"merge"));
        self.selects_into_temp |= into && !other;
    }

    /// `ATOMIC`: the beginning of a body, if `BEGIN` stands before it.
    fn body(&mut self, lexer: &Lexer<'a>) {
        let begun = self
            .last
            .is_some_and(|last| last.kind == TokenKind::Word && is(lexer.bytes(last), b"begin"));
        match self.body {
            Body::Before if begun && self.open == 0 => self.body = Body::Inside,
            // A column `begin` called `atomic`, or a body in a body, which is an error.
            Body::Inside if begun => self.doubtful = true,
            _ => {}
        }
    }

    fn end_of_body(&mut self, lexer: &Lexer<'a>) {
        let here = self.last.is_some_and(|last| {
            last.kind == TokenKind::Semicolon
                || last.kind == TokenKind::Word && is(lexer.bytes(last), b"atomic")
        });
        if here && self.body == Body::Inside && self.open == 0 {
            self.body = Body::Behind;
        }
    }
}
