//! What a token says: names folded, strings without their quotes and escapes.
//!
//! `None` means that it would take more than a lexer to tell: Unicode escapes, which depend on
//! a `UESCAPE` behind them and on the server's encoding.

use std::borrow::Cow;

use super::lexer::{Lexer, Token, TokenKind};

/// The longest name, in bytes, of a server as it is commonly built; longer ones are cut.
const NAME_MAX: usize = 63;

/// Is this word the keyword? `keyword` is in small letters.
pub(super) fn is(word: &[u8], keyword: &[u8]) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// A keyword in small letters, to be matched against many; nothing if it is longer than any.
pub(super) fn keyword<'b>(word: &[u8], buffer: &'b mut [u8; 16]) -> &'b [u8] {
    let Some(lower) = buffer.get_mut(..word.len()) else {
        return b"";
    };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    lower
}

/// A name as PostgreSQL keeps it: in small letters unless it is quoted, and of at most 63 bytes.
/// Only ASCII letters are folded; a server with an encoding of single bytes may fold more.
pub(super) fn name<'a>(lexer: &Lexer<'a>, token: Token) -> Option<Cow<'a, [u8]>> {
    let bytes = lexer.bytes(token);
    let name = match token.kind {
        TokenKind::Word if bytes.iter().any(u8::is_ascii_uppercase) => {
            Cow::Owned(bytes.to_ascii_lowercase())
        }
        TokenKind::Word => Cow::Borrowed(bytes),
        TokenKind::Quoted => undouble(inside(bytes, 1), b'"'),
        TokenKind::QuotedUnicode if !bytes.contains(&b'\\') && !has_uescape(lexer) => {
            undouble(inside(bytes, 3), b'"')
        }
        _ => return None,
    };
    Some(shortened(name))
}

fn shortened(name: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if name.len() <= NAME_MAX {
        return name;
    }
    let mut end = NAME_MAX;
    while end > 0 && name.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.get(..end).unwrap_or_default()),
        Cow::Owned(mut name) => {
            name.truncate(end);
            Cow::Owned(name)
        }
    }
}

/// The text of a string token.
pub(super) fn string<'a>(lexer: &Lexer<'a>, token: Token) -> Option<Cow<'a, [u8]>> {
    let bytes = lexer.bytes(token);
    match token.kind {
        TokenKind::Text => Some(quoted(bytes, false)?),
        TokenKind::TextEscaped => quoted(bytes, true),
        TokenKind::TextUnicode if !bytes.contains(&b'\\') && !has_uescape(lexer) => {
            quoted(bytes, false)
        }
        TokenKind::TextDollar => {
            let tag = bytes.iter().skip(1).position(|byte| *byte == b'$')? + 2;
            bytes
                .get(tag..bytes.len().checked_sub(tag)?)
                .map(Cow::Borrowed)
        }
        _ => None,
    }
}

/// Does `UESCAPE` come next? Then the escape character is another.
fn has_uescape(lexer: &Lexer<'_>) -> bool {
    let mut ahead = lexer.clone();
    let next = ahead.token();
    is(ahead.bytes(next), b"uescape")
}

/// Without the opening quote and what stands in front of it, and without the closing quote.
fn inside(bytes: &[u8], opening: usize) -> &[u8] {
    bytes
        .get(opening..bytes.len().saturating_sub(1))
        .unwrap_or_default()
}

/// Two quotes become one.
fn undouble(inner: &[u8], quote: u8) -> Cow<'_, [u8]> {
    if !inner.contains(&quote) {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        if *byte == quote {
            bytes.next();
        }
    }
    Cow::Owned(out)
}

/// The text of `'…'`, with a prefix or without, in as many parts as it has.
fn quoted(bytes: &[u8], escapes: bool) -> Option<Cow<'_, [u8]>> {
    let opening = memchr::memchr(b'\'', bytes)? + 1;
    let inner = inside(bytes, opening);
    let special = |byte: &u8| *byte == b'\'' || escapes && *byte == b'\\';
    if !inner.iter().any(special) {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((byte, tail)) = rest.split_first() {
        rest = match (byte, tail.first()) {
            (b'\'', Some(b'\'')) => {
                out.push(b'\'');
                tail.get(1..)?
            }
            // The end of a part: the next one begins at a quote that no line comment hides.
            (b'\'', _) => next_part(tail)?,
            (b'\\', Some(_)) if escapes => unescape(tail, &mut out)?,
            _ => {
                out.push(*byte);
                tail
            }
        };
    }
    Some(Cow::Owned(out))
}

/// What stands behind the quote that opens the next part of a string.
fn next_part(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest.split_first()? {
            (b'\'', tail) => return Some(tail),
            (b'-', tail) => tail.get(memchr::memchr2(b'\n', b'\r', tail)?..)?,
            (_, tail) => tail,
        };
    }
}

/// Reads an escape behind its backslash.
fn unescape<'a>(tail: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (first, behind) = tail.split_first()?;
    let (radix, digits, most) = match first {
        b'b' => return plain(out, 0x08, behind),
        b'f' => return plain(out, 0x0c, behind),
        b'n' => return plain(out, b'\n', behind),
        b'r' => return plain(out, b'\r', behind),
        b't' => return plain(out, b'\t', behind),
        b'0'..=b'7' => (8, tail, 3),
        b'x' if behind.first().is_some_and(u8::is_ascii_hexdigit) => (16, behind, 2),
        b'u' | b'U' => return None,
        other => return plain(out, *other, behind),
    };
    let length = digits
        .iter()
        .take(most)
        .take_while(|byte| char::from(**byte).is_digit(radix))
        .count();
    let (number, behind) = digits.split_at_checked(length)?;
    let number = u32::from_str_radix(str::from_utf8(number).ok()?, radix).ok()?;
    // Three octal digits may say more than a byte holds; PostgreSQL keeps the low byte.
    out.push(u8::try_from(number & 0xff).ok()?);
    Some(behind)
}

fn plain<'a>(out: &mut Vec<u8>, byte: u8, behind: &'a [u8]) -> Option<&'a [u8]> {
    out.push(byte);
    Some(behind)
}
