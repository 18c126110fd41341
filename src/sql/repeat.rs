//! May a text be parsed once and run again and again, and nobody see the difference?
//!
//! What PostgreSQL settles when it parses a text must be the same whenever it is parsed: what a
//! `*` stands for changes with its table, and `'today'` overnight.

use super::{
    classify::Kind,
    decode::is,
    lexer::{Dialect, Lexer, Token, TokenKind},
    mention,
    statement::statements,
};

/// Statements that PostgreSQL plans.
const PLANNED: [&[u8]; 7] = [
    b"select", b"insert", b"update", b"delete", b"merge", b"values", b"with",
];

/// Literals of dates and times that are worked out when a text is parsed.
const RELATIVE: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];

/// Whether a text is one statement that PostgreSQL plans, and that means the same each time that it is
/// parsed, as long as tables and settings are the same. `false` where that is not certain.
pub fn is_repeatable(text: &[u8], dialect: Dialect) -> bool {
    let mut all = statements(text, dialect);
    let (Some(first), None) = (all.next(), all.next()) else {
        return false;
    };
    if first.kind != Kind::Plain {
        return false;
    }
    let body = first.part_of(text);
    let length = body.iter().position(|byte| !byte.is_ascii_alphabetic());
    let word = body.get(..length.unwrap_or(body.len())).unwrap_or_default();
    PLANNED.iter().any(|known| is(word, known)) && settles_nothing(Lexer::new(body, dialect))
}

/// Whether a text changes nothing but data, judging by its first word: `false` is not certain.
pub fn changes_only_data(text: &[u8]) -> bool {
    mention::begins_plainly(text.trim_ascii_start())
}

fn settles_nothing(mut lexer: Lexer<'_>) -> bool {
    let mut last: Option<Token> = None;
    let mut distinct = false;
    loop {
        let token = lexer.token();
        let bytes = lexer.bytes(token);
        let follows = |words: &[&[u8]]| {
            last.is_some_and(|last| words.iter().any(|word| is(lexer.bytes(last), word)))
        };
        match token.kind {
            TokenKind::End => return true,
            TokenKind::Doubt => return false,
            TokenKind::Word => {
                distinct |= is(bytes, b"distinct");
                // `SELECT … INTO` makes a table.
                if is(bytes, b"into") && !follows(&[b"insert", b"merge"]) {
                    return false;
                }
            }
            // All columns of a table, unless it multiplies or stands in `count(*)`.
            TokenKind::Operator if bytes == b"*" => {
                let counts = last.is_some_and(|last| last.kind == TokenKind::Open);
                let behind = match last.map(|last| last.kind) {
                    Some(TokenKind::Word) => !follows(&[b"select", b"all", b"returning"]),
                    // `DISTINCT ON (a) *`
                    Some(TokenKind::Close) => !distinct,
                    Some(TokenKind::Comma | TokenKind::Dot) | None => false,
                    Some(_) => true,
                };
                if !counts && (!behind || follows(&[b"distinct"])) {
                    return false;
                }
            }
            TokenKind::Text | TokenKind::TextDollar if is_relative(bytes) => return false,
            // They may spell anything.
            TokenKind::TextEscaped | TokenKind::TextUnicode
                if bytes.contains(&b'\\') || is_relative(bytes) =>
            {
                return false;
            }
            _ => {}
        }
        last = Some(token);
    }
}

fn is_relative(literal: &[u8]) -> bool {
    let mut words = literal.split(|byte| !byte.is_ascii_alphabetic());
    words.any(|word| RELATIVE.iter().any(|known| is(word, known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_repeated() {
        for (text, may) in [
            ("select abalance from accounts where aid = $1", true),
            ("  /* who */ SELECT 1 -- why", true),
            ("select 1;", true),
            ("insert into t (v) values ($1) returning v", true),
            ("update t set v = v * 2 where w = 3.5 * $1", true),
            ("select sum((a + b) * c), count(*), count( * ) from t", true),
            (
                "merge into t using s on true when matched then do nothing",
                true,
            ),
            ("with a as (select 1) select a.v from a", true),
            ("values (1), ($1)", true),
            ("select 'unknown', 'it is known', $$know$$", true),
            ("select * from t", false),
            ("select t.* from t", false),
            ("select a, * from t", false),
            ("select all * from t", false),
            ("select distinct * from t", false),
            ("select distinct on (a) * from t", false),
            ("select 1 where exists (select * from t)", false),
            ("delete from t returning *", false),
            ("table t", false),
            ("(select 1)", false),
            ("select 1; select 2", false),
            ("select 1 into t", false),
            ("with a as (select 1) select 1 into temp t", false),
            ("select date 'today'", false),
            ("select 'Now'::timestamptz", false),
            ("select $$ tomorrow 12:00 $$::timestamp", false),
            (r"select e'\x6eow'::timestamp", false),
            (r"select U&'n\006Fw'::timestamp", false),
            ("select 'open", false),
            ("create table t ()", false),
            ("set a = 1", false),
            ("show a", false),
            ("execute s", false),
            ("explain select 1", false),
            ("copy t to stdout", false),
            ("begin", false),
            ("", false),
        ] {
            assert_eq!(
                is_repeatable(text.as_bytes(), Dialect::default()),
                may,
                "{text}"
            );
        }
    }

    #[test]
    fn what_changes_data_only() {
        for text in [
            "select 1",
            " UPDATE t SET v = 1",
            "begin",
            "commit;",
            "with a as",
        ] {
            assert!(changes_only_data(text.as_bytes()), "{text}");
        }
        for text in [
            "alter table t",
            "create",
            "/* a */ select",
            "selected",
            "do $$",
            "",
        ] {
            assert!(!changes_only_data(text.as_bytes()), "{text}");
        }
    }
}
