//! The few messages that pgusher writes itself, appended to a buffer.

/// Appends one frame: `tag`, the length, then what `body` writes.
pub fn frame(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    sized(out, body);
}

/// Appends what `body` writes behind a length that counts itself: a frame without a tag, as startup messages are.
pub fn sized(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let len = out.len().saturating_sub(start);
    // Everything written here is bounded far below 2 GiB by its callers.
    let len = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(field) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *field = len;
    }
}

/// Appends a string and its NUL. A NUL inside would end it early for the reader, so it ends it here.
pub fn cstr(out: &mut Vec<u8>, text: &[u8]) {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    out.extend_from_slice(text.get(..end).unwrap_or(text));
    out.push(0);
}

/// ReadyForQuery. `status` is `I`, `T` or `E`.
pub fn ready_for_query(out: &mut Vec<u8>, status: u8) {
    frame(out, b'Z', |body| body.push(status));
}

/// ParameterStatus.
pub fn parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    frame(out, b'S', |body| {
        cstr(body, name);
        cstr(body, value);
    });
}

/// A simple Query.
pub fn query(out: &mut Vec<u8>, text: &[u8]) {
    frame(out, b'Q', |body| cstr(body, text));
}

/// BackendKeyData. Protocol 3.0 has a secret of four bytes, 3.2 up to 256.
pub fn backend_key(out: &mut Vec<u8>, pid: u32, secret: &[u8]) {
    frame(out, b'K', |body| {
        body.extend_from_slice(&pid.to_be_bytes());
        body.extend_from_slice(secret);
    });
}

/// NegotiateProtocolVersion: the version we speak and the options we do not know.
pub fn negotiate_protocol(out: &mut Vec<u8>, version: u32, unknown: &[Vec<u8>]) {
    frame(out, b'v', |body| {
        body.extend_from_slice(&version.to_be_bytes());
        let count = u32::try_from(unknown.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&count.to_be_bytes());
        unknown.iter().for_each(|name| cstr(body, name));
    });
}

/// Authentication of `kind` (0 = ok, 3 = cleartext, 5 = MD5, 10 to 12 = SASL) with its data.
pub fn authentication(out: &mut Vec<u8>, kind: u32, data: &[u8]) {
    frame(out, b'R', |body| {
        body.extend_from_slice(&kind.to_be_bytes());
        body.extend_from_slice(data);
    });
}

/// A password or SASL response: all of them are `p` frames.
pub fn password(out: &mut Vec<u8>, data: &[u8]) {
    frame(out, b'p', |body| body.extend_from_slice(data));
}

/// The fields of an error or a notice. Severity is written twice, as PostgreSQL does: localized and not.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// `ERROR`, `FATAL`, `NOTICE` …
    pub severity: &'a str,
    /// The SQLSTATE.
    pub code: &'a str,
    /// The one-line message.
    pub message: &'a str,
    /// More about it, if there is more.
    pub detail: Option<&'a str>,
    /// What to do about it.
    pub hint: Option<&'a str>,
    /// The routine of the source that says it.
    pub routine: Option<&'a str>,
}

/// ErrorResponse (`E`) or NoticeResponse (`N`).
pub fn report(out: &mut Vec<u8>, tag: u8, report: &Report<'_>) {
    frame(out, tag, |body| {
        let mut field = |code: u8, text: &str| {
            body.push(code);
            cstr(body, text.as_bytes());
        };
        field(b'S', report.severity);
        field(b'V', report.severity);
        field(b'C', report.code);
        field(b'M', report.message);
        if let Some(detail) = report.detail {
            field(b'D', detail);
        }
        if let Some(hint) = report.hint {
            field(b'H', hint);
        }
        if let Some(routine) = report.routine {
            field(b'R', routine);
        }
        body.push(0);
    });
}

/// The first message of a connection to a server.
pub fn startup<'a>(
    out: &mut Vec<u8>,
    version: u32,
    params: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) {
    sized(out, |body| {
        body.extend_from_slice(&version.to_be_bytes());
        for (name, value) in params {
            cstr(body, name);
            cstr(body, value);
        }
        body.push(0);
    });
}

/// SSLRequest: asks a server whether it has TLS.
pub fn ssl_request(out: &mut Vec<u8>) {
    sized(out, |body| {
        body.extend_from_slice(&super::startup::SSL_REQUEST.to_be_bytes());
    });
}

/// CancelRequest: asks a server to stop what the session with this key is doing.
pub fn cancel_request(out: &mut Vec<u8>, pid: u32, secret: &[u8]) {
    sized(out, |body| {
        body.extend_from_slice(&super::startup::CANCEL_REQUEST.to_be_bytes());
        body.extend_from_slice(&pid.to_be_bytes());
        body.extend_from_slice(secret);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        // Behind something else, as in a buffer that gathers several.
        let mut out = b"before".to_vec();
        write(&mut out);
        out.split_off(6)
    }

    #[test]
    fn every_message_has_its_bytes() {
        let pairs = [(&b"user"[..], &b"u"[..])];
        let unknown = [b"_pq_.a".to_vec()];
        for (got, expected) in [
            (
                written(|out| ready_for_query(out, b'T')),
                &b"Z\0\0\0\x05T"[..],
            ),
            (
                written(|out| parameter_status(out, b"a", b"b")),
                b"S\0\0\0\x08a\0b\0",
            ),
            (written(|out| query(out, b"")), b"Q\0\0\0\x05\0"),
            (
                written(|out| backend_key(out, 1, b"1234")),
                b"K\0\0\0\x0c\0\0\0\x011234",
            ),
            (
                written(|out| negotiate_protocol(out, 0x0003_0002, &unknown)),
                b"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.a\0",
            ),
            (
                written(|out| authentication(out, 5, b"salt")),
                b"R\0\0\0\x0c\0\0\0\x05salt",
            ),
            (written(|out| password(out, b"pw\0")), b"p\0\0\0\x07pw\0"),
            (
                written(|out| startup(out, 0x0003_0000, pairs)),
                b"\0\0\0\x10\0\x03\0\0user\0u\0\0",
            ),
            (written(ssl_request), b"\0\0\0\x08\x04\xd2\x16\x2f"),
            (
                written(|out| cancel_request(out, 1, b"1234")),
                b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x011234",
            ),
        ] {
            assert_eq!(
                got.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_report_has_the_fields_that_are_given() {
        let mut report = Report {
            severity: "ERROR",
            code: "53300",
            message: "m",
            detail: None,
            hint: None,
            routine: None,
        };
        let short = written(|out| super::report(out, b'E', &report));
        assert_eq!(short, b"E\0\0\0\x1dSERROR\0VERROR\0C53300\0Mm\0\0");
        (report.detail, report.hint) = (Some("d"), Some("h"));
        report.routine = Some("r");
        let long = written(|out| super::report(out, b'N', &report));
        assert_eq!(
            long,
            b"N\0\0\0\x26SERROR\0VERROR\0C53300\0Mm\0Dd\0Hh\0Rr\0\0"
        );
    }

    #[test]
    fn a_nul_in_a_string_cannot_begin_another() {
        let status = written(|out| parameter_status(out, b"a\0x", b"b\0y"));
        assert_eq!(status, written(|out| parameter_status(out, b"a", b"b")));
    }
}
