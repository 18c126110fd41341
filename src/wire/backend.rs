//! What the session needs to see of a server's messages.

use super::reader::{Malformed, Reader};
use super::startup::SECRET_LENGTHS;

/// ParameterStatus: name and value.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let name = reader.cstr()?;
    let value = reader.cstr()?;
    reader.finish()?;
    Ok((name, value))
}

/// BackendKeyData: the process id, and the secret that a cancel must show (4 to 256 bytes).
pub fn backend_key(body: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let pid = reader.u32()?;
    let secret = reader.remaining();
    if SECRET_LENGTHS.contains(&secret.len()) {
        Ok((pid, secret))
    } else {
        Err(Malformed)
    }
}

/// Authentication: the kind and its data.
pub fn authentication(body: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let kind = reader.u32()?;
    Ok((kind, reader.remaining()))
}

/// What a RowDescription says of a column behind its name: the table, the number, the type, its size
/// and modifier, the format.
const REST_OF_COLUMN: usize = 18;

/// RowDescription: the names of the columns.
pub fn column_names(body: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut reader = Reader::new(body);
    let count = reader.u16()?;
    // Grows with what is there, not with what is promised (A6).
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(reader.cstr()?);
        reader.take(REST_OF_COLUMN)?;
    }
    reader.finish()?;
    Ok(names)
}

/// DataRow: its values; `None` is NULL.
pub fn data_row(body: &[u8]) -> Result<Vec<Option<&[u8]>>, Malformed> {
    let mut reader = Reader::new(body);
    let count = reader.u16()?;
    // Grows with what is there, not with what is promised (A6).
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(match reader.i32()? {
            -1 => None,
            length => Some(reader.take(usize::try_from(length).map_err(|_| Malformed)?)?),
        });
    }
    reader.finish()?;
    Ok(values)
}

/// The fields of an ErrorResponse or NoticeResponse that pgusher reads. A missing field is
/// empty: a server that leaves out the SQLSTATE is odd, not deadly (A5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Severity, never localized where the server is 9.6 or newer.
    pub severity: &'a [u8],
    /// SQLSTATE.
    pub code: &'a [u8],
    /// The message.
    pub message: &'a [u8],
    /// The detail.
    pub detail: &'a [u8],
    /// The hint.
    pub hint: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads as many fields as are there; `body` may be the beginning of a long report.
    pub fn read(body: &'a [u8]) -> Self {
        let mut fields = Self::default();
        let mut reader = Reader::new(body);
        while let Ok(code) = reader.u8() {
            // A zero ends the list: bytes behind it are no fields, whatever they look like.
            let (true, Ok(text)) = (code != 0, reader.cstr()) else {
                break;
            };
            match code {
                b'S' if fields.severity.is_empty() => fields.severity = text,
                b'V' => fields.severity = text,
                b'C' => fields.code = text,
                b'M' => fields.message = text,
                b'D' => fields.detail = text,
                b'H' => fields.hint = text,
                _ => {}
            }
        }
        fields
    }

    /// After this report the server closes the connection.
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity, b"FATAL" | b"PANIC")
    }
}

/// The body of an ErrorResponse or NoticeResponse with its position (`P`) moved by `place`, which
/// may take it away. `None` if there is no position.
pub fn with_position(body: &[u8], place: impl Fn(usize) -> Option<usize>) -> Option<Vec<u8>> {
    let mut moved = Vec::with_capacity(body.len().saturating_add(8));
    let mut found = false;
    let mut reader = Reader::new(body);
    loop {
        let code = reader.u8().ok()?;
        if code == 0 {
            moved.push(0);
            return found.then_some(moved);
        }
        let text = reader.cstr().ok()?;
        if code != b'P' {
            moved.push(code);
            moved.extend_from_slice(text);
            moved.push(0);
            continue;
        }
        let position = std::str::from_utf8(text).ok()?.parse().ok()?;
        found = true;
        if let Some(position) = place(position) {
            moved.push(code);
            moved.extend_from_slice(position.to_string().as_bytes());
            moved.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_name_and_a_value_and_nothing_else() {
        assert_eq!(parameter_status(b"a\0b\0"), Ok((&b"a"[..], &b"b"[..])));
        assert_eq!(parameter_status(b"\0\0"), Ok((&b""[..], &b""[..])));
        for bad in [&b""[..], b"a\0", b"a\0b", b"a\0b\0\0"] {
            assert_eq!(parameter_status(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_key_has_4_to_256_bytes_of_secret() {
        // A8
        for (len, good) in [(0, false), (3, false), (4, true), (256, true), (257, false)] {
            let mut body = vec![0, 0, 1, 2];
            body.resize(4 + len, 9);
            let expected = if good {
                Ok((258, &body[4..]))
            } else {
                Err(Malformed)
            };
            assert_eq!(backend_key(&body), expected, "{len}");
        }
        assert_eq!(backend_key(b"abc"), Err(Malformed));
    }

    // A6
    #[test]
    fn columns_have_names() {
        let column = |name: &[u8]| [name, &[0; 1 + REST_OF_COLUMN]].concat();
        let two = [&[0, 2][..], &column(b"tier"), &column(b"")].concat();
        assert_eq!(column_names(&two), Ok(vec![&b"tier"[..], b""]));
        assert_eq!(column_names(&[0, 0]), Ok(vec![]));
        for cut in 0..two.len() {
            assert_eq!(column_names(&two[..cut]), Err(Malformed), "{cut}");
        }
        assert_eq!(column_names(&[&two[..], &[0]].concat()), Err(Malformed));
        assert_eq!(column_names(&[0xff; 2]), Err(Malformed));
    }

    #[test]
    fn an_authentication_has_a_kind() {
        assert_eq!(authentication(&[0, 0, 0, 5, 1, 2]), Ok((5, &[1, 2][..])));
        assert_eq!(authentication(&[0, 0, 0, 0]), Ok((0, &[][..])));
        assert_eq!(authentication(&[0, 0, 0]), Err(Malformed));
    }

    #[test]
    fn a_row_is_its_values() {
        let body = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        let row = [Some(&b"ab"[..]), None, Some(b"")];
        assert_eq!(data_row(body).as_deref(), Ok(&row[..]));
        assert_eq!(data_row(b"\0\0"), Ok(Vec::new()));
        for bad in [
            &b""[..],
            b"\0\x01",
            b"\0\x01\0\0\0\x02a",
            b"\0\x01\xff\xff\xff\xfe",
            b"\0\0a",
            b"\xff\xff",
        ] {
            assert_eq!(data_row(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_report_is_read_as_far_as_it_goes() {
        let fields = Fields {
            severity: b"FATAL",
            code: b"57P01",
            message: b"bye",
            detail: b"d",
            hint: b"h",
        };
        assert_eq!(
            Fields::read(b"SFATAL\0C57P01\0Mbye\0Dd\0Hh\0Zq\0\0"),
            fields
        );
        // Without a terminator, and cut inside a field.
        assert_eq!(
            Fields::read(b"SFATAL\0C57P01\0Mbye\0Dd\0Hh\0Rrouti"),
            fields
        );
        // A5: nothing is missed so much that it would be deadly.
        for empty in [&b""[..], b"\0", b"C", b"C42601", b"\0C42601\0"] {
            assert_eq!(Fields::read(empty), Fields::default(), "{empty:?}");
        }
    }

    #[test]
    fn fatal_is_what_the_untranslated_severity_says() {
        assert!(Fields::read(b"SFATAL\0").is_fatal());
        assert!(Fields::read(b"SFATALE\0VFATAL\0").is_fatal());
        assert!(Fields::read(b"VPANIC\0SPANIK\0").is_fatal());
        assert!(!Fields::read(b"SFATAL\0VERROR\0").is_fatal());
        assert!(!Fields::read(b"").is_fatal());
    }
}
