//! Which database must be free of connections, so that a statement can succeed?

use std::borrow::Cow;

use super::{
    cursor::Cursor,
    lexer::{Dialect, TokenKind},
    mention,
};

/// The database that the first statement of a text needs to itself: one that is dropped, renamed,
/// moved or copied. These statements stand alone in their text, or nearly always do. The text may end
/// with a zero byte, as messages do.
#[inline]
pub fn vacates(text: &[u8], dialect: Dialect) -> Option<Cow<'_, [u8]>> {
    if may_vacate(text.trim_ascii_start()) {
        read(text, dialect)
    } else {
        None
    }
}

#[cold]
fn read(text: &[u8], dialect: Dialect) -> Option<Cow<'_, [u8]>> {
    let text = memchr::memchr(0, text).map_or(Some(text), |end| text.get(..end))?;
    if !mention::occurs(text, b"database") {
        return None;
    }
    let mut cursor = Cursor::new(text, dialect);
    if cursor.eat(b"drop") {
        cursor.eat(b"database").then_some(())?;
        if cursor.eat(b"if") {
            cursor.eat(b"exists");
        }
        return cursor.name();
    }
    if cursor.eat(b"alter") {
        cursor.eat(b"database").then_some(())?;
        let name = cursor.name()?;
        let moves = cursor.at(b"rename") || cursor.eat(b"set") && cursor.at(b"tablespace");
        return moves.then_some(name);
    }
    if !(cursor.eat(b"create") && cursor.eat(b"database")) {
        return None;
    }
    cursor.name()?;
    while !cursor.done() && cursor.kind() != TokenKind::Semicolon {
        if cursor.eat(b"template") {
            if cursor.at_operator(b"=") {
                cursor.advance();
            }
            return if cursor.at_string() {
                cursor.string()
            } else {
                cursor.name()
            };
        }
        cursor.advance();
    }
    None
}

/// Whether a text begins as such a statement does, or with a comment. Most do not.
#[inline]
fn may_vacate(text: &[u8]) -> bool {
    let Some(begins) = text.first_chunk::<4>() else {
        return false;
    };
    match begins.map(|byte| byte | 0x20) {
        [b'/', b'*', ..] | [b'-', b'-', ..] => true,
        word => matches!(&word, b"drop" | b"alte" | b"crea"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        let found = vacates(text.as_bytes(), Dialect::default())?;
        Some(String::from_utf8_lossy(&found).into_owned())
    }

    #[test]
    fn names_the_database_that_must_be_free() {
        for (text, name) in [
            ("DROP DATABASE shop", "shop"),
            (
                "/* a */ drop database if exists \"Test Shop\";",
                "Test Shop",
            ),
            ("-- a\n DROP DATABASE Shop WITH (FORCE)", "shop"),
            ("ALTER DATABASE shop RENAME TO old", "shop"),
            ("ALTER DATABASE shop SET TABLESPACE fast", "shop"),
            ("CREATE DATABASE \"test_1\" WITH TEMPLATE \"test\"", "test"),
            (
                "create database a owner b template = 'c' encoding 'utf8'",
                "c",
            ),
        ] {
            assert_eq!(of(text).as_deref(), Some(name), "{text}");
        }
    }

    #[test]
    fn other_statements_name_none() {
        for text in [
            "",
            "SELECT 'DROP DATABASE shop'",
            "DROP TABLE database",
            "DELETE FROM database",
            "COMMENT ON DATABASE shop IS 'x'",
            "CREATE TABLE a (database text)",
            "CREATE DATABASE shop OWNER app; SELECT template",
            "ALTER DATABASE shop SET work_mem = '4MB'",
            "ALTER DATABASE shop OWNER TO app",
            "DROP DATABASE",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
