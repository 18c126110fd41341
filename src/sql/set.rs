//! `SET` and `RESET`, in all their spellings.

use std::borrow::Cow;

use super::{
    classify::{Kind, Name, Scope, Value},
    cursor::Cursor,
    decode,
    lexer::TokenKind,
};

/// What stands behind `SET`.
///
/// Most words that have a meaning here are names of settings too, if `=`, `TO` or a dot
/// follows: `SET session = 1`, `SET local.x TO 2`.
pub(super) fn set(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    if cursor.at(b"constraints") && !names_setting(&cursor) {
        return Some(Kind::SetConstraints);
    }
    let mut scope = Scope::Session;
    if cursor.at_any(&[b"local", b"session"]) && !names_setting(&cursor) {
        let local = cursor.at(b"local");
        let mut behind = cursor.clone();
        behind.advance();
        // SET SESSION AUTHORIZATION and SET SESSION CHARACTERISTICS: their SESSION is no scope.
        // Since neither word can be the name of a setting there, nothing else can be meant; but
        // `SET SESSION characteristics = 1` can.
        let special =
            behind.at(b"authorization") || behind.at(b"characteristics") && !names_setting(&behind);
        if local || !special {
            cursor = behind;
        }
        if local {
            scope = Scope::Local;
        }
    }
    if names_setting(&cursor) {
        let name = setting(&mut cursor)?;
        if !cursor.at(b"to") && !cursor.at_operator(b"=") {
            return None;
        }
        cursor.advance();
        let value = value(cursor)?;
        return Some(Kind::Set { scope, name, value });
    }
    special(cursor, scope)
}

/// Is a name in sight that `=`, `TO` or a dot follows? `FROM CURRENT` does not count, since no
/// value stands there.
fn names_setting(cursor: &Cursor<'_>) -> bool {
    let mut behind = cursor.clone();
    behind.advance();
    let follows = behind.at(b"to") || behind.at_operator(b"=") || behind.kind() == TokenKind::Dot;
    cursor.at_name() && follows
}

/// The spellings of SQL: words instead of a setting's name.
fn special(mut cursor: Cursor<'_>, scope: Scope) -> Option<Kind<'_>> {
    let mut buffer = [0; 16];
    let word = decode::keyword(cursor.bytes(), &mut buffer);
    cursor.advance();
    let (name, value): (&'static [u8], _) = match word {
        b"transaction" => return Some(Kind::SetTransaction),
        b"session" if cursor.eat(b"characteristics") => return Some(Kind::SetCharacteristics),
        b"session" if cursor.eat(b"authorization") => (b"session_authorization", value(cursor)?),
        b"role" => (b"role", value(cursor)?),
        b"schema" => (b"search_path", value(cursor)?),
        b"names" if cursor.done() => (b"client_encoding", Value::Default),
        b"names" => (b"client_encoding", value(cursor)?),
        b"time" if cursor.eat(b"zone") => match cursor.at(b"local") {
            true => (b"timezone", Value::Default),
            false => (b"timezone", value(cursor)?),
        },
        b"xml" if cursor.eat(b"option") => (b"xmloption", xml_option(&cursor)?),
        _ => return None,
    };
    let name = Cow::Borrowed(name);
    Some(Kind::Set { scope, name, value })
}

/// PostgreSQL writes this one in capitals.
fn xml_option(cursor: &Cursor<'_>) -> Option<Value<'static>> {
    let option: &'static [u8] = match () {
        () if cursor.at(b"document") => b"DOCUMENT",
        () if cursor.at(b"content") => b"CONTENT",
        () => return None,
    };
    Some(Value::Literal(Cow::Borrowed(option)))
}

/// What stands behind `RESET`.
pub(super) fn reset(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    let whole = cursor.clone();
    let spelled: &'static [u8] = match decode::keyword(cursor.bytes(), &mut [0; 16]) {
        b"all" if cursor.kind() == TokenKind::Word => return Some(Kind::ResetAll),
        b"time" => b"timezone",
        b"session" => b"session_authorization",
        b"transaction" => b"transaction_isolation",
        _ => b"",
    };
    cursor.advance();
    if !spelled.is_empty() && cursor.eat_any(&[b"zone", b"authorization", b"isolation"]) {
        return Some(Kind::Reset(Cow::Borrowed(spelled)));
    }
    cursor = whole;
    let name = setting(&mut cursor)?;
    cursor.done().then_some(Kind::Reset(name))
}

/// A setting's name, in small letters: one part or several with dots between them.
fn setting<'a>(cursor: &mut Cursor<'a>) -> Option<Name<'a>> {
    let mut name = cursor.name()?;
    while cursor.eat_kind(TokenKind::Dot) {
        let name = name.to_mut();
        name.push(b'.');
        name.extend_from_slice(&cursor.name()?);
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        name.to_mut().make_ascii_lowercase();
    }
    Some(name)
}

/// What a setting is set to: all that is left.
fn value(mut cursor: Cursor<'_>) -> Option<Value<'_>> {
    let start = cursor.range().start;
    let word = cursor.kind() == TokenKind::Word;
    let first = match cursor.kind() {
        TokenKind::End => return None,
        _ if word && cursor.at(b"default") => Some(Value::Default),
        TokenKind::Operator => {
            let sign = cursor.bytes();
            cursor.advance();
            number(sign, &cursor)
        }
        TokenKind::Number => number(b"+", &cursor),
        _ if cursor.at_string() => cursor.string().map(Value::Literal),
        _ => cursor.clone().name().map(Value::Literal),
    };
    cursor.advance();
    let mut end = cursor.range().start;
    if let (Some(first), true) = (first, cursor.done()) {
        return Some(first);
    }
    while !cursor.done() {
        end = cursor.range().end;
        cursor.advance();
    }
    cursor
        .text()
        .get(start..end)
        .map(|rest| Value::Other(rest.trim_ascii_end()))
}

/// A number as PostgreSQL hands it to the setting: an integer that fits into 32 bits is written
/// anew, anything else is kept as it stands.
fn number<'a>(sign: &[u8], cursor: &Cursor<'a>) -> Option<Value<'a>> {
    let digits = cursor.bytes();
    let plain = cursor.kind() == TokenKind::Number
        && digits
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !plain {
        return None;
    }
    let negative = match sign {
        b"+" => false,
        b"-" => true,
        _ => return None,
    };
    let small = str::from_utf8(digits).ok()?.parse::<i32>().ok();
    let text = match (small, negative) {
        (Some(number), true) => Cow::Owned(number.wrapping_neg().to_string().into_bytes()),
        (Some(number), false) => Cow::Owned(number.to_string().into_bytes()),
        (None, true) => Cow::Owned([b"-", digits].concat()),
        (None, false) => Cow::Borrowed(digits),
    };
    Some(Value::Literal(text))
}
