//! A reader that sees one frame's body and nothing behind it.
//!
//! It can only shrink. Every read is checked, and [`Reader::finish`] refuses what is
//! left over: a proxy that reads a message differently from the server guards nothing.

/// The body of a frame did not have the form its type prescribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed message")
    }
}

impl std::error::Error for Malformed {}

/// A cursor over the body of one frame.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `body`, the bytes behind the length field of one frame.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 16-bit count or code, network order.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// A signed 32-bit number, network order.
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// An unsigned 32-bit number, network order.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A string up to its NUL, without it. Not text: the client's encoding is its own.
    pub fn cstr(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr(0, self.rest).ok_or(Malformed)?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// All that is left.
    pub fn remaining(self) -> &'a [u8] {
        self.rest
    }

    /// The end of the frame, exactly.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_network_order() {
        let mut reader = Reader::new(&[1, 0, 2, 0xff, 0xff, 0xff, 0xfe, 0x80, 0, 0, 1]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.i32(), Ok(-2));
        assert_eq!(reader.u32(), Ok(0x8000_0001));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_read_that_fails_takes_nothing() {
        let mut reader = Reader::new(b"abc");
        assert_eq!(reader.take(4), Err(Malformed));
        assert_eq!(reader.take(usize::MAX), Err(Malformed));
        assert_eq!(reader.u32(), Err(Malformed));
        assert_eq!(reader.cstr(), Err(Malformed));
        assert_eq!(reader.remaining(), b"abc");
        assert_eq!(reader.finish(), Err(Malformed));
        assert_eq!(reader.take(3), Ok(&b"abc"[..]));
        assert_eq!(reader.take(0), Ok(&b""[..]));
        assert_eq!(reader.u8(), Err(Malformed));
    }

    #[test]
    fn a_string_ends_at_its_first_nul() {
        let mut reader = Reader::new(b"a\xff\0\0b\0c");
        assert_eq!(reader.cstr(), Ok(&b"a\xff"[..]));
        assert_eq!(reader.cstr(), Ok(&b""[..]));
        assert_eq!(reader.cstr(), Ok(&b"b"[..]));
        assert_eq!(reader.remaining(), b"c");
    }
}
