//! The grammar of SCRAM messages: attributes `x=value` with commas between them.
//!
//! A value runs to the next comma and nothing inside it means anything: an `r=` within a nonce is
//! part of the nonce (K1).

use super::{MAX_MESSAGE, MAX_NONCE};

/// What is wrong with a message; who sent it is the caller's knowledge.
pub(super) type Wrong = &'static str;

/// A cursor over one message.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a> {
    /// What has not been read; `None` behind the last attribute.
    rest: Option<&'a [u8]>,
}

impl<'a> Attributes<'a> {
    /// Reads `message`, if it has a sane length and no NUL: PostgreSQL handles messages as C
    /// strings, and what it would not see must not be signed.
    pub(super) fn new(message: &'a [u8]) -> Result<Self, Wrong> {
        match message {
            [] => Err("the SCRAM message is empty"),
            _ if message.len() > MAX_MESSAGE => Err("the SCRAM message is too long"),
            _ if message.contains(&0) => Err("a NUL in the SCRAM message"),
            _ => Ok(Self {
                rest: Some(message),
            }),
        }
    }

    /// All that has not been read.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest.unwrap_or_default()
    }

    /// The text up to the next comma.
    pub(super) fn field(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let Some(comma) = memchr::memchr(b',', rest) else {
            self.rest = None;
            return Some(rest);
        };
        let (field, tail) = rest.split_at_checked(comma)?;
        self.rest = tail.get(1..);
        Some(field)
    }

    /// The value of the next attribute, which has to be `name`.
    pub(super) fn value(&mut self, name: u8, wrong: Wrong) -> Result<&'a [u8], Wrong> {
        match self.any()? {
            Some((found, value)) if found == name => Ok(value),
            _ => Err(wrong),
        }
    }

    /// The next attribute, whatever it is; `None` at the end.
    pub(super) fn any(&mut self) -> Result<Option<(u8, &'a [u8])>, Wrong> {
        match self.field() {
            None => Ok(None),
            Some([name, b'=', value @ ..]) if name.is_ascii_alphabetic() => {
                Ok(Some((*name, value)))
            }
            Some(_) => Err("no attribute where the SCRAM message should have one"),
        }
    }

    /// The end of the message, exactly.
    pub(super) fn finish(self) -> Result<(), Wrong> {
        if self.rest.is_none() {
            Ok(())
        } else {
            Err("garbage at the end of the SCRAM message")
        }
    }
}

/// Refuses what is no nonce: empty, too long to be echoed, or not printable.
pub(super) fn nonce(value: &[u8]) -> Result<&[u8], Wrong> {
    if value.is_empty() || value.len() > MAX_NONCE {
        return Err("the length of the SCRAM nonce");
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        return Err("characters in the SCRAM nonce that cannot be printed");
    }
    Ok(value)
}
