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
        Ok(Self {
            portal,
            statement,
            rest: reader.remaining(),
        })
    }
}

impl Bind<'_> {
    /// The value of the parameter `number` (from 1) as text; `None` if it is not there or NULL. A
    /// value in binary form is the same for text, and is what it is for others.
    pub fn text_parameter(&self, number: u16) -> Option<&[u8]> {
        let mut reader = Reader::new(self.rest);
        let formats = reader.u16().ok()?;
        reader.take(usize::from(formats) * 2).ok()?;
        let count = reader.u16().ok()?;
        if number == 0 || number > count {
            return None;
        }
        for _ in 1..number {
            value(&mut reader)?;
        }
        value(&mut reader)?
    }
}

/// A parameter of a Bind: its size, all ones for NULL, and its bytes. `None`: there is none.
fn value<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    match reader.u32().ok()? {
        u32::MAX => Some(None),
        size => Some(Some(reader.take(usize::try_from(size).ok()?).ok()?)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_is_used_up() {
        let body = b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\x19";
        let types = &[0, 0, 0, 0x17, 0, 0, 0, 0x19][..];
        assert_eq!(
            Parse::read(body),
            Ok(Parse {
                name: b"s",
                text: b"select $1",
                types
            })
        );
        assert_eq!(
            Parse::read(b"\0\0\0\0"),
            Ok(Parse {
                name: b"",
                text: b"",
                types: b""
            })
        );
        for end in 0..body.len() {
            assert_eq!(Parse::read(&body[..end]), Err(Malformed), "cut at {end}");
        }
        assert_eq!(Parse::read(b"\0\0\0\0\0"), Err(Malformed));
        // As many types as the count can say, none of them there.
        assert_eq!(Parse::read(b"\0\0\xff\xff"), Err(Malformed));
    }

    #[test]
    fn a_bind_is_read_as_far_as_its_names() {
        let bind = Bind {
            portal: b"p",
            statement: b"s",
            rest: b"\0\0\0",
        };
        assert_eq!(Bind::read(b"p\0s\0\0\0\0"), Ok(bind));
        for bad in [&b""[..], b"p", b"p\0", b"p\0s"] {
            assert_eq!(Bind::read(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_target_is_a_statement_or_a_portal() {
        assert_eq!(target(b"Ss\0"), Ok(Target::Statement(b"s")));
        assert_eq!(target(b"P\0"), Ok(Target::Portal(b"")));
        for bad in [&b""[..], b"S", b"Ss", b"Ss\0\0", b"ss\0", b"\0\0"] {
            assert_eq!(target(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_query_ends_where_its_frame_ends() {
        assert_eq!(query(b"select 'caf\xe9'\0"), Ok(&b"select 'caf\xe9'"[..]));
        assert_eq!(query(b"\0"), Ok(&b""[..]));
        // What stands behind the NUL a server would not run, or would run as something else.
        for bad in [&b""[..], b"select 1", b"select 1\0;", b"select 1\0\0"] {
            assert_eq!(query(bad), Err(Malformed), "{bad:?}");
        }
    }
}
