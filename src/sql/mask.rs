//! A text as it may be shown: its literals masked, its comments gone, its length bounded.
//!
//! Names, quoted ones too, and keywords stay; each string, number and bit string becomes
//! [`MASK`], which is no SQL, so that nobody takes it for something that was typed. A comment may
//! hold anything and is left out. From where a text cannot be read for certain nothing is shown: what
//! lies behind a quote that was never closed may be a password.
//!
//! Nor is anything shown from where the two ways to read `'…\'…'` part: which of them the server
//! took may have been changed by a statement that was still on its way.

use super::lexer::{Dialect, Lexer, Token, TokenKind};

/// Stands for a literal.
pub const MASK: &str = "$?";

/// Stands for the rest, where a text is too long or cannot be read.
pub const REST: char = '…';

/// The text with its literals masked, in at most `most` bytes, on one line.
///
/// Work is bounded by the length of the text, so the caller bounds that too. A text that was cut
/// before it came here shows no part of a literal either.
pub fn mask(text: &[u8], dialect: Dialect, most: usize) -> String {
    let mut lexer = Lexer::new(text, dialect);
    let mut shown = Shown {
        text: String::new(),
        most,
    };
    let mut behind = 0;
    loop {
        let token = lexer.token_or_comment();
        let apart = token.start > behind && !shown.text.is_empty();
        match token.kind {
            // What stood around it stays apart.
            TokenKind::Comment => continue,
            TokenKind::End => return shown.text,
            TokenKind::Doubt => return shown.and_more(apart),
            _ if is_ambiguous(lexer.bytes(token)) => return shown.and_more(apart),
            _ => {}
        }
        let room = shown.text.len();
        let fits = shown.add(lexer.bytes(token), token, apart);
        if !fits {
            shown.text.truncate(room);
            return shown.and_more(apart);
        }
        behind = token.end;
    }
}

struct Shown {
    text: String,
    most: usize,
}

impl Shown {
    /// Adds a token; false if there was no room for all of it and for what says that more follows.
    fn add(&mut self, bytes: &[u8], token: Token, apart: bool) -> bool {
        let is_literal = is_literal(token.kind);
        // N'…' is a word and a string: without the blank, the mask would look like a part of the word.
        let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        if apart || is_literal && self.text.ends_with(joins) {
            self.text.push(' ');
        }
        if is_literal {
            self.text.push_str(MASK);
            return self.fits();
        }
        for chunk in bytes.utf8_chunks() {
            // A name may hold a newline, or what a terminal obeys.
            let tame = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            for c in chunk.valid().chars() {
                self.text.push(tame(c));
                if !self.fits() {
                    return false;
                }
            }
            if !chunk.invalid().is_empty() {
                self.text.push('\u{fffd}');
            }
        }
        self.fits()
    }

    fn fits(&self) -> bool {
        self.text.len() + ' '.len_utf8() + REST.len_utf8() <= self.most
    }

    /// All that is shown of a text that goes on.
    fn and_more(mut self, apart: bool) -> String {
        if apart {
            self.text.push(' ');
        }
        self.text.push(REST);
        if self.text.len() > self.most {
            self.text.clear();
        }
        self.text
    }
}

/// A plain string, which ends elsewhere if backslashes mean the other thing in it.
fn is_ambiguous(token: &[u8]) -> bool {
    let is_odd = |quote: usize| {
        let before = token.get(..quote).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
        backslashes.count() % 2 == 1
    };
    token.first() == Some(&b'\'') && memchr::memchr_iter(b'\'', token).any(is_odd)
}

fn is_literal(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Text
            | TokenKind::TextEscaped
            | TokenKind::TextUnicode
            | TokenKind::TextDollar
            | TokenKind::Bits
            | TokenKind::Number
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        mask(text.as_bytes(), Dialect::default(), 1000)
    }

    #[test]
    fn literals_of_every_kind() {
        for (text, expected) in [
            ("", ""),
            ("SELECT 1", "SELECT $?"),
            ("select  a,b\n from\tt ;", "select a,b from t ;"),
            ("select 'a;b', 'it''s', ''", "select $?, $?, $?"),
            ("select E'\\'s', e'\\\\'", "select $?, $?"),
            ("select 'a'\n 'b', 'c' -- '\n 'd'", "select $?, $?"),
            ("select N'a', b'01', X'1f'", "select N $?, $?, $?"),
            (
                "select U&'\\0061', U&'!' UESCAPE '!'",
                "select $?, $? UESCAPE $?",
            ),
            ("select $$a$$, $t$;$$;$t$, $é$x$é$", "select $?, $?, $?"),
            ("do $$ begin perform 'x'; end $$", "do $?"),
            (
                "select 1e5,-1.5,.5,1.,0x1F,1_000",
                "select $?,-$?,$?,$?,$?,$?",
            ),
            ("limit 1offset", "limit …"),
            ("alter user a password 'secret'", "alter user a password $?"),
            (
                "select a[1:2], x::int, t.\"a;b\"",
                "select a[$?:$?], x::int, t.\"a;b\"",
            ),
            ("where a=$1and b<>'x'", "where a=$1and b<>$?"),
            (
                "where j ? 'k' and t1.c2 = $2",
                "where j ? $? and t1.c2 = $2",
            ),
            ("select a$1 from \"it's\"", "select a$1 from \"it's\""),
            ("copy t from stdin; 1", "copy t from stdin; $?"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn comments_may_hold_anything() {
        assert_eq!(shown("/* secret */ select/* 1 */1 -- secret"), "select $?");
        assert_eq!(shown("select a/**/b"), "select a b");
        assert_eq!(shown("-- secret"), "");
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        assert_eq!(shown("select 'secret"), "select …");
        assert_eq!(shown("select \"secret"), "select …");
        assert_eq!(shown("select x,$q$secret"), "select x,…");
        assert_eq!(shown("select /* secret"), "select …");
        assert_eq!(shown("'secret"), "…");
        let sjis = Dialect {
            ascii_safe: false,
            ..Dialect::default()
        };
        assert_eq!(mask(b"select 1, '\x83\\'", sjis, 100), "…");
    }

    #[test]
    fn it_does_not_matter_what_a_backslash_means() {
        for standard_strings in [true, false] {
            let dialect = Dialect {
                standard_strings,
                ..Dialect::default()
            };
            for (text, expected) in [
                (r"select 'a\b\\', 'b' from t", "select $?, $? from t"),
                (r"select E'a\'b', 'c' from t", "select $?, $? from t"),
                (r"select 1, 'a\'secret', 'b' from t", "select $?, …"),
                (r"select 1, 'a\', ' secret ' from t", "select $?, …"),
                ("select 'a'\n 'b\\' secret '", "select …"),
            ] {
                assert_eq!(mask(text.as_bytes(), dialect, 100), expected, "{text}");
            }
        }
    }

    #[test]
    fn names_are_text_and_keep_to_one_line() {
        assert_eq!(
            mask(
                b"select \"a\xff\n\x1b[31m\xc3\xa9\"",
                Dialect::default(),
                100
            ),
            "select \"a\u{fffd}\u{fffd}\u{fffd}[31mé\""
        );
    }

    #[test]
    fn a_long_text_is_cut_between_tokens() {
        let cut = |most| mask(b"select abc, 'd' from t", Dialect::default(), most);
        assert_eq!(cut(100), "select abc, $? from t");
        assert_eq!(cut(17), "select abc, …");
        assert_eq!(cut(9), "…");
        assert_eq!(cut(10), "select …");
        assert_eq!(cut(2), "");
        assert_eq!(cut(0), "");
        assert_eq!(mask("é".repeat(50).as_bytes(), Dialect::default(), 30), "…");
    }
}
