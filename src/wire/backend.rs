//! What the session needs to see of a server's messages.

use super::reader::{Malformed, Reader};

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
    if (4..=256).contains(&secret.len()) { Ok((pid, secret)) } else { Err(Malformed) }
}

/// Authentication: the kind and its data.
pub fn authentication(body: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let kind = reader.u32()?;
    Ok((kind, reader.remaining()))
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
            let Ok(text) = reader.cstr() else { break };
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
