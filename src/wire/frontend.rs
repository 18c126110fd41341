//! What the session needs to see of a client's messages.
//!
//! Each view reads the names at the front of a body and checks only what it reads: the rest
//! is the server's to judge, and is forwarded as it came.

use super::reader::{Malformed, Reader};

/// What a Describe or a Close is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// A Parse message, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name, empty for the unnamed one.
    pub name: &'a [u8],
    /// The SQL text, in the client's encoding.
    pub text: &'a [u8],
    /// The parameter types that the client chose, four bytes each.
    pub types: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads the whole body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let name = reader.cstr()?;
        let text = reader.cstr()?;
        let count = usize::from(reader.u16()?);
        let types = reader.take(count.checked_mul(4).ok_or(Malformed)?)?;
        reader.finish()?;
        Ok(Self { name, text, types })
    }
}

/// The two names at the front of a Bind message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal to make, empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement to bind.
    pub statement: &'a [u8],
    /// Formats, values and result formats: the server's business.
    pub rest: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the names; `body` may be only the beginning of a long Bind.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let portal = reader.cstr()?;
        let statement = reader.cstr()?;
        Ok(Self { portal, statement, rest: reader.remaining() })
    }
}

/// The body of a Describe or a Close message.
pub fn target(body: &[u8]) -> Result<Target<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let kind = reader.u8()?;
    let name = reader.cstr()?;
    reader.finish()?;
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        _ => Err(Malformed),
    }
}

/// The text of a simple Query.
pub fn query(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let text = reader.cstr()?;
    reader.finish()?;
    Ok(text)
}
