//! Quoting for the SQL that pgusher writes itself.
//!
//! The client's encoding must be one in which ASCII bytes stand for themselves (see
//! [`Dialect::ascii_safe`](super::Dialect::ascii_safe)), or the value must be ASCII. A NUL,
//! which no SQL text can carry, is left out.

/// Appends `value` as a string literal that means the same under either setting of
/// `standard_conforming_strings`: `'…'`, or `E'…'` if there is a backslash in it.
pub fn literal(out: &mut Vec<u8>, value: &[u8]) {
    if value.contains(&b'\\') {
        // The blank keeps the letter apart from a word in front of it.
        out.extend_from_slice(b" E");
    }
    enclosed(out, value, b'\'');
}

/// Appends `name` as one quoted identifier.
pub fn identifier(out: &mut Vec<u8>, name: &[u8]) {
    enclosed(out, name, b'"');
}

/// Appends the name of a setting for `SET` and `RESET`: each part of it quoted.
pub fn setting(out: &mut Vec<u8>, name: &[u8]) {
    for (at, part) in name.split(|byte| *byte == b'.').enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        identifier(out, part);
    }
}

fn enclosed(out: &mut Vec<u8>, value: &[u8], quote: u8) {
    out.reserve(value.len() + 2);
    out.push(quote);
    for byte in value.iter().filter(|byte| **byte != 0) {
        if *byte == quote || (*byte == b'\\' && quote == b'\'') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(quote);
}
