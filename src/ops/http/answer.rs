//! What is said to a request: its status, its headers, its body.

use std::{borrow::Cow, io::Write as _};

use flate2::{Compression, write::GzEncoder};

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
    VersionNotSupported,
}

impl Status {
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::HeadTooLarge => 431,
            Self::Unavailable => 503,
            Self::VersionNotSupported => 505,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::Unavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// What clients need to hear with this status.
    fn header(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            Self::Unauthorized => {
                "WWW-Authenticate: Basic realm=\"pgusher\", charset=\"UTF-8\"\r\n"
            }
            _ => "",
        }
    }
}

/// What is said to one request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Status,
    content_type: Cow<'static, str>,
    /// Whole lines.
    headers: Cow<'static, str>,
    body: Cow<'static, [u8]>,
    /// The body is compressed.
    gzip: bool,
    /// It may be compressed or not, as the client says.
    varies: bool,
}

/// Bodies below this length are not worth compressing.
const LEAST_GZIP: usize = 1024;

impl Answer {
    /// A line of text.
    pub(super) fn text(status: Status, text: impl Into<String>) -> Self {
        let mut text = text.into().replace(['\r', '\n'], " ");
        text.push('\n');
        Self::new(status, "text/plain; charset=utf-8", text.into_bytes())
    }

    pub(super) fn new(
        status: Status,
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        Self {
            status,
            content_type: content_type.into(),
            headers: Cow::Borrowed(""),
            body: body.into(),
            gzip: false,
            varies: false,
        }
    }

    /// With more headers: whole lines.
    pub(super) fn with_headers(mut self, headers: impl Into<Cow<'static, str>>) -> Self {
        self.headers = headers.into();
        self
    }

    /// Compressed, if the client takes that and it is worth it. This is work: some milliseconds
    /// for a megabyte.
    pub(super) fn compressed(mut self, takes_gzip: bool) -> Self {
        self.varies = true;
        if takes_gzip && self.body.len() >= LEAST_GZIP {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            // Writing to memory does not fail; if it did, the body would go as it is.
            if let Ok(body) = encoder
                .write_all(&self.body)
                .and_then(|()| encoder.finish())
            {
                self.body = body.into();
                self.gzip = true;
            }
        }
        self
    }

    /// The answer as it is sent. Nothing may be cached, guessed or used by pages of others.
    pub(super) fn bytes(&self, head_only: bool) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            self.status.code(),
            self.status.reason(),
            self.content_type,
            self.body.len(),
        );
        if self.gzip {
            head.push_str("Content-Encoding: gzip\r\n");
        }
        if self.varies {
            head.push_str("Vary: Accept-Encoding\r\n");
        }
        head.push_str(self.status.header());
        head.push_str(&self.headers);
        head.push_str(
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n\r\n",
        );
        let mut bytes = head.into_bytes();
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_answer_is_said_in_full() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n\r\n";
        let answer = Answer::text(Status::Ok, "ok");
        assert_eq!(answer.bytes(true), head.as_bytes());
        assert_eq!(answer.bytes(false), format!("{head}ok\n").as_bytes());
    }

    #[test]
    fn a_reason_stays_in_one_line() {
        let answer = Answer::text(Status::Unavailable, "a\r\nb").bytes(false);
        assert!(answer.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(answer.ends_with(b"\r\n\r\na  b\n"));
    }

    #[test]
    fn what_is_compressed_is_the_same() {
        let body = "a tenant ".repeat(1000).into_bytes();
        let answer = Answer::new(Status::Ok, "text/plain", body.clone()).compressed(true);
        let bytes = answer.bytes(false);
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let (head, packed) = bytes.split_at(end.expect("a head") + 4);
        let head = std::str::from_utf8(head).expect("text");
        assert!(
            head.contains("\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", packed.len())));
        let mut unpacked = Vec::new();
        let read = flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked);
        assert_eq!(read.ok(), Some(body.len()));
        assert_eq!(unpacked, body);
    }

    #[test]
    fn what_is_short_or_not_wanted_is_not_compressed() {
        for (length, takes) in [(LEAST_GZIP - 1, true), (5000, false)] {
            let body = vec![b'x'; length];
            let answer = Answer::new(Status::Ok, "text/plain", body).compressed(takes);
            let text = String::from_utf8(answer.bytes(false)).expect("text");
            assert!(!text.contains("Content-Encoding"));
            assert!(text.contains("\r\nVary: Accept-Encoding\r\n"));
        }
    }
}
