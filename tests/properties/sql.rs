//! What must hold of `pgusher::sql` for any bytes at all. See `properties/wire.rs` for how these
//! functions are used.

use pgusher::sql::lexer::{Lexer, TokenKind};
use pgusher::sql::mask::{MASK, REST, mask};
use pgusher::sql::{self, Dialect, Kind, Scope, Statement, Value, comment, quote};

/// Every way to read a text.
pub(crate) const DIALECTS: [Dialect; 4] = [
    dialect(true, true),
    dialect(false, true),
    dialect(true, false),
    dialect(false, false),
];

const fn dialect(standard_strings: bool, ascii_safe: bool) -> Dialect {
    Dialect {
        standard_strings,
        ascii_safe,
    }
}

/// All of them.
pub(crate) fn sql(text: &[u8]) {
    for dialect in DIALECTS {
        tokens(text, dialect);
        statements(text, dialect);
        comments(text, dialect);
        masked(text, dialect);
    }
    quoting(text);
    sql::mentions(text, text.get(..3).unwrap_or(b"app.tenant_id"));
}

/// Tokens lie in order, and between them are only blanks.
fn tokens(text: &[u8], dialect: Dialect) {
    let mut lexer = Lexer::new(text, dialect);
    let mut at = 0;
    loop {
        let token = lexer.token_or_comment();
        let gap = &text[at..token.start];
        assert!(
            gap.iter().all(|b| b" \t\n\r\x0b\x0c".contains(b)),
            "{gap:?}"
        );
        at = token.end;
        if token.kind == TokenKind::End {
            assert_eq!((token.start, token.end), (text.len(), text.len()));
            return;
        }
        assert!(token.start < token.end);
    }
}

/// Statements lie in order, and each is the same when it stands alone.
fn statements(text: &[u8], dialect: Dialect) {
    let mut at = 0;
    for statement in sql::statements(text, dialect) {
        let span = statement.span.clone();
        assert!(at <= span.start && span.start < span.end, "{span:?}");
        assert!(!statement.terminated || text[span.end - 1] == b';');
        let doubted = statement.kind == Kind::Unsure;
        assert!(text[span.start] != b';' || doubted);
        at = span.end;
        let alone: Vec<Statement<'_>> = sql::statements(&text[span], dialect).collect();
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].kind, statement.kind);
        assert_eq!(alone[0].notable, statement.notable);
    }
}

/// A text without its tag has none, and has the same statements.
fn comments(text: &[u8], dialect: Dialect) {
    for key in [b"tenant_id".as_slice(), b"a"] {
        let Ok(Some(found)) = comment::find(text, key, dialect) else {
            continue;
        };
        let stripped = found.strip(text);
        let cut: usize = found.cuts.iter().map(|cut| cut.len()).sum();
        assert_eq!(stripped.len() + cut, text.len());
        assert_eq!(comment::find(&stripped, key, dialect), Ok(None));
        let kinds = |text| -> Vec<_> {
            sql::statements(text, dialect)
                .map(|statement| format!("{:?} {:?}", statement.kind, statement.notable))
                .collect()
        };
        assert_eq!(kinds(text), kinds(&stripped));
    }
}

/// What is shown of a text has its words and names, in their order, and none of its literals.
fn masked(text: &[u8], dialect: Dialect) {
    let wanted = kept(text, dialect);
    let without_blanks = |text: &str| text.replace(' ', "");
    let whole = without_blanks(&wanted.concat());
    for most in [0, 3, 20, 10_000] {
        let shown = mask(text, dialect, most);
        assert!(shown.len() <= most, "{shown}");
        assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
        let (shown, cut) = match shown.strip_suffix(REST) {
            // A text may end with that sign by itself.
            Some(begin) if without_blanks(&shown) != whole => (begin, true),
            _ => (shown.as_str(), most < 20),
        };
        let mut wanted = wanted.iter();
        let mut rest = shown;
        while let Some(token) = wanted.next().filter(|_| !rest.trim_matches(' ').is_empty()) {
            rest = rest.trim_start_matches(' ');
            assert!(rest.starts_with(token.as_str()), "{token:?}, {rest:?}");
            rest = &rest[token.len()..];
        }
        assert_eq!(rest.trim_matches(' '), "", "{shown}");
        assert!(cut || wanted.next().is_none(), "{shown}");
    }
}

/// What a backslash means decides where this string ends.
fn ends_in_two_ways(token: &[u8]) -> bool {
    let pairs = token.split(|byte| *byte == b'\'');
    let odd = |part: &[u8]| part.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    token.starts_with(b"'") && pairs.rev().skip(1).any(odd)
}

/// What of a text is to be shown: its tokens, each literal as a mask.
fn kept(text: &[u8], dialect: Dialect) -> Vec<String> {
    let mut lexer = Lexer::new(text, dialect);
    let mut kept = Vec::new();
    loop {
        let token = lexer.token();
        kept.push(match token.kind {
            TokenKind::End | TokenKind::Doubt => return kept,
            _ if ends_in_two_ways(lexer.bytes(token)) => return kept,
            TokenKind::Text
            | TokenKind::TextEscaped
            | TokenKind::TextUnicode
            | TokenKind::TextDollar
            | TokenKind::Bits
            | TokenKind::Number => MASK.to_owned(),
            _ => String::from_utf8_lossy(lexer.bytes(token))
                .replace(|c: char| c.is_control(), "\u{fffd}"),
        });
    }
}

/// What is quoted is read back, whatever the settings.
fn quoting(value: &[u8]) {
    let value: Vec<u8> = value.iter().copied().filter(|byte| *byte != 0).collect();
    let mut text = b"set local ".to_vec();
    quote::setting(&mut text, b"app.tenant_id");
    text.push(b'=');
    quote::literal(&mut text, &value);
    for dialect in &DIALECTS[..2] {
        let statements: Vec<Statement<'_>> = sql::statements(&text, *dialect).collect();
        let expected = Kind::Set {
            scope: Scope::Local,
            name: b"app.tenant_id".as_slice().into(),
            value: Value::Literal((&value).into()),
        };
        assert_eq!(statements.len(), 1);
        assert_eq!(statements[0].kind, expected);
    }
}
