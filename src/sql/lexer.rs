//! Tokens, as PostgreSQL's scanner cuts them (versions 15 to 18).
//!
//! It is exact about where strings, quoted names, comments, dollar quotes, parameters and words
//! begin and end, because that is what decides where statements do. It is careless about what
//! does not. What PostgreSQL refuses (an open string, `1a`, a stray `$`) is a [`TokenKind::Doubt`]
//! that takes the rest of the text with it.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

/// How a text must be read: two facts about the connection it was sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The setting `standard_conforming_strings`: is a backslash in `'…'` just a backslash?
    /// It must be the value that holds when the server reads this text, so a `SET` of it that
    /// is still on its way counts.
    pub standard_strings: bool,
    /// In the client's encoding, does every byte below 128 stand for itself? Not so in SJIS, BIG5,
    /// GBK, UHC, GB18030, JOHAB and SHIFT_JIS_2004, where the second byte of a character may look
    /// like a backslash or a letter. If not, a text with any other byte is doubted as a whole.
    pub ascii_safe: bool,
}

impl Default for Dialect {
    /// What a server does unless it is told otherwise, with a client that speaks UTF-8.
    fn default() -> Self {
        Self {
            standard_strings: true,
            ascii_safe: true,
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or a name without quotes.
    Word,
    /// `"name"`
    Quoted,
    /// `U&"name"`
    QuotedUnicode,
    /// `'text'` in which a backslash is just that.
    Text,
    /// `E'text'`; `'text'` too, where strings are not standard.
    TextEscaped,
    /// `U&'text'`
    TextUnicode,
    /// `$tag$text$tag$`
    TextDollar,
    /// `B'01'`, `X'1f'`
    Bits,
    /// A number without a sign.
    Number,
    /// `$1`
    Parameter,
    /// One or more operator characters.
    Operator,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `;`
    Semicolon,
    /// `[`, `]`, `:`, `..`
    Mark,
    /// `-- …` without its newline, or `/* … */`
    Comment,
    /// Something that PostgreSQL refuses, or that cannot be read for certain: the rest of the text.
    Doubt,
    /// The end of the text.
    End,
}

/// A stretch of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it begins.
    pub start: usize,
    /// Where it ends: the first byte behind it.
    pub end: usize,
}

impl Token {
    /// Where it stands.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// What a byte can begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Strange,
    Space,
    Letter,
    Digit,
    Operator,
    Single(TokenKind),
    Dot,
    Quote,
    DoubleQuote,
    Dollar,
}

const CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Strange; 256];
    let mut at: u8 = 0;
    loop {
        #[expect(clippy::indexing_slicing, reason = "256 places for 256 bytes")]
        let place = &mut table[at as usize];
        *place = match at {
            // The vertical tab is a blank since 16 and refused before.
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
            | b'/' | b'%' | b'<' | b'>' | b'=' => Class::Operator,
            b'(' => Class::Single(TokenKind::Open),
            b')' => Class::Single(TokenKind::Close),
            b',' => Class::Single(TokenKind::Comma),
            b';' => Class::Single(TokenKind::Semicolon),
            b'[' | b']' | b':' => Class::Single(TokenKind::Mark),
            b'.' => Class::Dot,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'$' => Class::Dollar,
            _ => Class::Strange,
        };
        if at == u8::MAX {
            return table;
        }
        at += 1;
    }
}

#[expect(clippy::indexing_slicing, reason = "256 places for 256 bytes")]
fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

/// Which bytes a word goes on with: a table of its own, because words are most of a text.
const NAME_PARTS: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < table.len() {
        #[expect(
            clippy::indexing_slicing,
            reason = "the loop ends before the table does"
        )]
        {
            table[at] = matches!(CLASSES[at], Class::Letter | Class::Digit | Class::Dollar);
        }
        at += 1;
    }
    table
};

#[expect(clippy::indexing_slicing, reason = "256 places for 256 bytes")]
fn is_name_part(byte: &u8) -> bool {
    NAME_PARTS[*byte as usize]
}

/// Cuts a text into tokens.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    standard_strings: bool,
    readable: bool,
}

impl<'a> Lexer<'a> {
    /// A lexer at the beginning of the text.
    pub fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            standard_strings: dialect.standard_strings,
            readable: dialect.ascii_safe || text.is_ascii(),
        }
    }

    /// The whole text.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The bytes of a token.
    pub fn bytes(&self, token: Token) -> &'a [u8] {
        self.text.get(token.range()).unwrap_or_default()
    }

    /// The next token that is not a comment. Behind the end there is only [`TokenKind::End`].
    #[inline]
    pub fn token(&mut self) -> Token {
        loop {
            let token = self.token_or_comment();
            if token.kind != TokenKind::Comment {
                return token;
            }
        }
    }

    /// The next token, comments included.
    #[inline]
    pub fn token_or_comment(&mut self) -> Token {
        let mut start = self.at;
        while class(self.byte(start)) == Class::Space {
            start += 1;
        }
        self.at = start;
        let kind = self.cut();
        Token {
            kind,
            start,
            end: self.at,
        }
    }

    /// The byte at a place; NUL behind the end, which no SQL text contains.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn rest(&self, from: usize) -> &'a [u8] {
        self.text.get(from..).unwrap_or_default()
    }

    /// Moves behind the token that begins here and says what it is.
    #[inline]
    fn cut(&mut self) -> TokenKind {
        let first = self.byte(self.at);
        if self.at >= self.text.len() {
            return TokenKind::End;
        }
        if !self.readable {
            return self.doubt();
        }
        match class(first) {
            Class::Letter => self.word(first),
            Class::Single(kind) => {
                self.at += 1;
                kind
            }
            Class::Operator => self.operator(),
            Class::Quote if self.standard_strings => self.string(0, TokenKind::Text),
            Class::Quote => self.string(0, TokenKind::TextEscaped),
            Class::Digit => self.number(),
            Class::Dot if self.byte(self.at + 1).is_ascii_digit() => self.number(),
            Class::Dot if self.byte(self.at + 1) == b'.' => {
                self.at += 2;
                TokenKind::Mark
            }
            Class::Dot => {
                self.at += 1;
                TokenKind::Dot
            }
            Class::DoubleQuote => self.quoted(0, TokenKind::Quoted),
            Class::Dollar => self.dollar(),
            Class::Space | Class::Strange => self.doubt(),
        }
    }

    fn doubt(&mut self) -> TokenKind {
        self.at = self.text.len();
        TokenKind::Doubt
    }

    /// A word, or a string or quoted name with a letter in front of it.
    #[inline]
    fn word(&mut self, first: u8) -> TokenKind {
        match (first | 0x20, self.byte(self.at + 1)) {
            (b'c' | b'd' | b'f'..=b't', _) => {}
            (b'e', b'\'') => return self.string(1, TokenKind::TextEscaped),
            (b'b' | b'x', b'\'') => return self.string(1, TokenKind::Bits),
            (b'u', b'&') => match self.byte(self.at + 2) {
                // Refused if strings are not standard, since their backslashes would be
                // doubtful.
                b'\'' if self.standard_strings => return self.string(2, TokenKind::TextUnicode),
                b'\'' => return self.doubt(),
                b'"' => return self.quoted(2, TokenKind::QuotedUnicode),
                _ => {}
            },
            _ => {}
        }
        // N'…' is the word N and a string, to PostgreSQL too.
        let behind = self.rest(self.at + 1);
        let parts = behind.iter().position(|byte| !is_name_part(byte));
        self.at += 1 + parts.unwrap_or(behind.len());
        TokenKind::Word
    }

    /// A string whose quote stands behind `prefix` bytes, with its continuations: `'a'` newline
    /// `'b'` is one string, and the second part is of the same form as the first.
    fn string(&mut self, prefix: usize, kind: TokenKind) -> TokenKind {
        let mut at = self.at + prefix + 1;
        loop {
            at = match kind {
                TokenKind::TextEscaped => self.behind_escaped(at),
                _ => self.behind_quote(at, b'\''),
            };
            if at > self.text.len() {
                return self.doubt();
            }
            if self.byte(at) == b'\'' && kind != TokenKind::Bits {
                at += 1;
                continue;
            }
            match self.continuation(at) {
                Some(quote) => at = quote + 1,
                None => break,
            }
        }
        self.at = at;
        kind
    }

    /// The place behind the next quote; beyond the text if there is none.
    fn behind_quote(&self, from: usize, quote: u8) -> usize {
        match memchr(quote, self.rest(from)) {
            Some(offset) => from + offset + 1,
            None => self.text.len() + 1,
        }
    }

    /// The same in a string where a backslash takes the next byte with it.
    fn behind_escaped(&self, mut from: usize) -> usize {
        loop {
            let Some(offset) = memchr2(b'\'', b'\\', self.rest(from)) else {
                return self.text.len() + 1;
            };
            let at = from + offset;
            if self.byte(at) == b'\'' {
                return at + 1;
            }
            from = at + 2;
        }
    }

    /// The quote with which a string goes on: behind blanks and line comments among which
    /// there is a newline.
    pub(super) fn continuation(&self, from: usize) -> Option<usize> {
        let (mut at, mut newline) = (from, false);
        loop {
            match self.byte(at) {
                b'\n' | b'\r' => {
                    newline = true;
                    at += 1;
                }
                b' ' | b'\t' | 0x0b | 0x0c => at += 1,
                b'-' if self.byte(at + 1) == b'-' => at = self.line_end(at),
                b'\'' if newline => return Some(at),
                _ => return None,
            }
        }
    }

    /// The end of the line, not behind it.
    fn line_end(&self, from: usize) -> usize {
        match memchr2(b'\n', b'\r', self.rest(from)) {
            Some(offset) => from + offset,
            None => self.text.len(),
        }
    }

    /// A quoted name whose quote stands behind `prefix` bytes.
    fn quoted(&mut self, prefix: usize, kind: TokenKind) -> TokenKind {
        let mut at = self.at + prefix + 1;
        loop {
            at = self.behind_quote(at, b'"');
            if at > self.text.len() {
                return self.doubt();
            }
            if self.byte(at) != b'"' {
                self.at = at;
                return kind;
            }
            at += 1;
        }
    }

    /// `$1`, or a dollar quote.
    fn dollar(&mut self) -> TokenKind {
        let mut at = self.at + 1;
        if self.byte(at).is_ascii_digit() {
            while self.byte(at).is_ascii_digit() {
                at += 1;
            }
            self.at = at;
            return TokenKind::Parameter;
        }
        while matches!(class(self.byte(at)), Class::Letter | Class::Digit) {
            at += 1;
        }
        if self.byte(at) != b'$' {
            return self.doubt();
        }
        let tag = self.text.get(self.at..=at).unwrap_or_default();
        match memmem::find(self.rest(at + 1), tag) {
            Some(offset) => {
                self.at = at + 1 + offset + tag.len();
                TokenKind::TextDollar
            }
            None => self.doubt(),
        }
    }

    /// A number; what sticks to it is refused by PostgreSQL since 15.
    fn number(&mut self) -> TokenKind {
        let mut at = self.at;
        let radix = match (self.byte(at), self.byte(at + 1) | 0x20) {
            (b'0', b'x' | b'o' | b'b') => {
                at += 2;
                true
            }
            _ => false,
        };
        let digit = |byte: u8| byte == b'_' || byte.is_ascii_digit();
        if radix {
            while digit(self.byte(at)) || self.byte(at).is_ascii_hexdigit() {
                at += 1;
            }
        } else {
            while digit(self.byte(at)) {
                at += 1;
            }
            // `1..2` is a range and not two numbers.
            if self.byte(at) == b'.' && self.byte(at + 1) != b'.' {
                at += 1;
                while digit(self.byte(at)) {
                    at += 1;
                }
            }
            if self.byte(at) | 0x20 == b'e' {
                at += match self.byte(at + 1) {
                    b'+' | b'-' => 2,
                    _ => 1,
                };
                if !self.byte(at).is_ascii_digit() {
                    return self.doubt();
                }
                while digit(self.byte(at)) {
                    at += 1;
                }
            }
        }
        if class(self.byte(at)) == Class::Letter {
            return self.doubt();
        }
        self.at = at;
        TokenKind::Number
    }

    /// Operator characters up to a comment, or a comment.
    fn operator(&mut self) -> TokenKind {
        let mut at = self.at;
        loop {
            match (self.byte(at), self.byte(at + 1)) {
                (b'-', b'-') if at == self.at => {
                    self.at = self.line_end(at);
                    return TokenKind::Comment;
                }
                (b'/', b'*') if at == self.at => return self.block_comment(),
                (b'-', b'-') | (b'/', b'*') => break,
                (byte, _) if class(byte) == Class::Operator => at += 1,
                _ => break,
            }
        }
        self.at = self.without_signs(at);
        TokenKind::Operator
    }

    /// The end of an operator once signs at its end are left to the number behind them: `=-1` is
    /// `=` and `-1`. An operator that holds one of the stranger characters may end with a sign.
    /// A run of signs stays together, so that a long one is not looked at again for each sign.
    fn without_signs(&self, end: usize) -> usize {
        let chain = self.text.get(self.at..end).unwrap_or_default();
        if chain.iter().any(|byte| b"~!@#^&|`?%".contains(byte)) {
            return end;
        }
        match chain.iter().rposition(|byte| !matches!(byte, b'+' | b'-')) {
            Some(last) => self.at + last + 1,
            None => end,
        }
    }

    /// `/* … */`, which may hold others.
    fn block_comment(&mut self) -> TokenKind {
        let mut at = self.at + 2;
        let mut open: usize = 1;
        while let Some(offset) = memchr2(b'*', b'/', self.rest(at)) {
            at += offset;
            match (self.byte(at), self.byte(at + 1)) {
                (b'/', b'*') => {
                    open += 1;
                    at += 2;
                }
                (b'*', b'/') => {
                    open -= 1;
                    at += 2;
                    if open == 0 {
                        self.at = at;
                        return TokenKind::Comment;
                    }
                }
                _ => at += 1,
            }
        }
        self.doubt()
    }
}
