//! A tag in a comment: `/* tenant_id='acme' */` at the beginning or the end of a text.
//!
//! Tags are written as sqlcommenter writes them (`key='value'`, separated by commas, keys and
//! values percent-encoded, a quote as `\'`), or without quotes. Only comments count that stand before
//! the first token or behind the last one, semicolons aside; what looks like a comment inside of a string
//! does not (J9). A comment that is not such a list says nothing.

use std::{borrow::Cow, ops::Range};

use memchr::memmem;

use super::lexer::{Dialect, Lexer, TokenKind};

/// A tag that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its value, decoded.
    pub value: Cow<'a, [u8]>,
    /// The comments that carry it and the blanks that go with each: what to cut out, so that
    /// texts that differ in nothing but the tag become the same (J10). In order, at least one.
    pub cuts: Vec<Range<usize>>,
}

impl Found<'_> {
    /// The text without the tag's comments.
    pub fn strip(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        for cut in &self.cuts {
            out.extend_from_slice(text.get(at..cut.start).unwrap_or_default());
            at = cut.end;
        }
        out.extend_from_slice(text.get(at..).unwrap_or_default());
        out
    }
}

/// Why a tag cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is there more than once, with different values, or in a comment within a comment, or
    /// cutting it out could join what stands on both sides.
    Ambiguous,
    /// It cannot be decoded.
    Malformed,
}

/// Looks for the tag `key`. In a text that cannot be read for certain only the comments at the
/// beginning are looked at.
pub fn find<'a>(text: &'a [u8], key: &[u8], dialect: Dialect) -> Result<Option<Found<'a>>, Fault> {
    // Most texts have no comment.
    if memchr::memchr2(b'/', b'-', text).is_none() {
        return Ok(None);
    }
    // A key may be percent-encoded, and then looking for it finds nothing.
    if memmem::find(text, key).is_none() && memchr::memchr(b'%', text).is_none() {
        return Ok(None);
    }
    let mut found: Option<Found<'a>> = None;
    // Up to here nothing is left of the text.
    let mut beginning = 0;
    for comment in edges(text, dialect) {
        let Some(value) = tag(text.get(comment.clone()).unwrap_or_default(), key)? else {
            continue;
        };
        let cut = cut(text, beginning, comment).ok_or(Fault::Ambiguous)?;
        if text
            .get(beginning..cut.start)
            .is_some_and(|before| before.trim_ascii().is_empty())
        {
            beginning = cut.end;
        }
        match &mut found {
            None => {
                found = Some(Found {
                    value,
                    cuts: vec![cut],
                });
            }
            Some(first) if first.value == value => {
                // The blanks between two of them are cut once.
                let end = first.cuts.last().map_or(0, |last| last.end);
                first.cuts.push(cut.start.max(end)..cut.end);
            }
            Some(_) => return Err(Fault::Ambiguous),
        }
    }
    Ok(found)
}

/// What stands before the first token: all that can be read of a text that is not there to its end.
pub fn leading(text: &[u8], dialect: Dialect) -> &[u8] {
    let mut lexer = Lexer::new(text, dialect);
    loop {
        let token = lexer.token_or_comment();
        if !matches!(token.kind, TokenKind::Comment | TokenKind::Semicolon) {
            return text.get(..token.range().start).unwrap_or_default();
        }
    }
}

/// The comments before the first token and behind the last one.
fn edges(text: &[u8], dialect: Dialect) -> Vec<Range<usize>> {
    let mut lexer = Lexer::new(text, dialect);
    let mut leading = Vec::new();
    let mut trailing = Vec::new();
    let mut begun = false;
    loop {
        let token = lexer.token_or_comment();
        match token.kind {
            TokenKind::Comment if begun => trailing.push(token.range()),
            TokenKind::Comment => leading.push(token.range()),
            TokenKind::Semicolon => {}
            TokenKind::End => break,
            // What cannot be read goes to the end of the text and is its last token.
            _ => {
                begun = true;
                trailing.clear();
            }
        }
    }
    leading.append(&mut trailing);
    leading
}

/// The comment and the blanks that go with it: those behind it if the text begins with it, else
/// those before it. Nothing is left of what stands before `beginning`.
fn cut(text: &[u8], beginning: usize, comment: Range<usize>) -> Option<Range<usize>> {
    let before = text.get(beginning..comment.start)?;
    let behind = text.get(comment.end..)?;
    if before.trim_ascii().is_empty() {
        let blanks = behind.len() - behind.trim_ascii_start().len();
        return Some(comment.start..comment.end + blanks);
    }
    // Newlines stay: one of them may end a line comment.
    let blanks = before
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let cut = comment.start - blanks..comment.end;
    let left = text.get(..cut.start)?.last()?;
    let joins = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b';';
    match behind.first() {
        Some(right) if joins(left) && joins(right) && !text.get(..cut.start)?.ends_with(b"*/") => {
            None
        }
        _ => Some(cut),
    }
}

/// The value of the key in a comment, if it is a list of tags that holds it.
fn tag<'a>(comment: &'a [u8], key: &[u8]) -> Result<Option<Cow<'a, [u8]>>, Fault> {
    let inner = match comment.strip_prefix(b"/*") {
        Some(rest) => rest.strip_suffix(b"*/").unwrap_or(rest),
        None => comment.get(2..).unwrap_or_default(),
    };
    let mut value: Option<Cow<'a, [u8]>> = None;
    let mut rest = inner;
    loop {
        let Some(item) = item(rest) else {
            // Not a list of tags: prose, unless it says otherwise.
            return match value.is_some() || assigns(inner, key) {
                true => Err(Fault::Malformed),
                false => Ok(None),
            };
        };
        rest = item.rest.unwrap_or_default();
        if item
            .key
            .is_some_and(|name| decoded(name).is_some_and(|name| *name == *key))
        {
            let new = unescaped(item.value).ok_or(Fault::Malformed)?;
            match &value {
                Some(old) if *old != new => return Err(Fault::Ambiguous),
                _ => value = Some(new),
            }
        }
        if item.rest.is_none() {
            break;
        }
    }
    if value.is_some() && memmem::find(inner, b"/*").is_some() {
        return Err(Fault::Ambiguous);
    }
    Ok(value)
}

/// Does `key =` stand in a text?
fn assigns(text: &[u8], key: &[u8]) -> bool {
    memmem::find_iter(text, key).any(|at| {
        text.get(at + key.len()..)
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
    })
}

/// One entry of a list of tags.
struct Item<'a> {
    /// `None`: there is no `=` in it.
    key: Option<&'a [u8]>,
    /// Without its quotes.
    value: &'a [u8],
    /// What stands behind the comma; `None` if there is none.
    rest: Option<&'a [u8]>,
}

/// Reads an entry; `None` if it is none.
fn item(text: &[u8]) -> Option<Item<'_>> {
    let end = text
        .iter()
        .position(|byte| matches!(byte, b'=' | b',' | b'\''))
        .unwrap_or(text.len());
    let (key, behind) = text.split_at_checked(end)?;
    let behind = match behind.split_first() {
        Some((b'=', behind)) => behind.trim_ascii_start(),
        Some((b'\'', _)) => return None,
        other => {
            return Some(Item {
                key: None,
                value: b"",
                rest: other.map(|(_, rest)| rest),
            });
        }
    };
    let (value, behind) = match behind.strip_prefix(b"'") {
        Some(inner) => {
            let end = closing_quote(inner)?;
            (inner.get(..end)?, inner.get(end + 1..)?.trim_ascii_start())
        }
        None => {
            let end = behind
                .iter()
                .position(|byte| *byte == b',')
                .unwrap_or(behind.len());
            let (value, behind) = behind.split_at_checked(end)?;
            let value = value.trim_ascii();
            if value
                .iter()
                .any(|byte| byte.is_ascii_whitespace() || *byte == b'\'')
            {
                return None;
            }
            (value, behind)
        }
    };
    let rest = match behind.split_first() {
        None => None,
        Some((b',', rest)) => Some(rest),
        Some(_) => return None,
    };
    Some(Item {
        key: Some(key.trim_ascii()),
        value,
        rest,
    })
}

/// Where the next quote is that no backslash precedes.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let closes = *byte == b'\'' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })
}

/// A value: `\'` is a quote, then `%41` is a byte.
fn unescaped(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !value.contains(&b'\\') {
        return decoded(value);
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().peekable();
    while let Some(byte) = bytes.next() {
        if !(*byte == b'\\' && bytes.peek() == Some(&&b'\'')) {
            plain.push(*byte);
        }
    }
    decoded(&plain).map(|value| Cow::Owned(value.into_owned()))
}

/// Without percent-encoding; `None` if it is broken.
fn decoded(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let &[high, low] = digits else { return None };
            out.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
            rest = tail;
        } else {
            out.push(*byte);
        }
    }
    Some(Cow::Owned(out))
}
