//! The head of a request: what was asked for, and the few headers that make a difference.
//!
//! A request that can be read in two ways is refused: whoever stands in front of us may have read
//! it in the other.

use super::answer::{Answer, Status};

/// The longest head.
pub(super) const MOST_HEAD: usize = 8 * 1024;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Without what follows the `?`.
    pub(super) path: String,
    /// It is a HEAD: the answer goes without its body.
    pub(super) head_only: bool,
    pub(super) host: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) accept: String,
    pub(super) accept_encoding: String,
}

/// The empty line behind the headers has come.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut ends = memchr::memchr_iter(b'\n', bytes);
    ends.any(|at| {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

impl Request {
    /// Reads a head that [is complete](is_complete); what is behind it is not looked at.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Answer> {
        let wrong = |text| Answer::text(Status::BadRequest, text);
        let mut lines = bytes.split(|byte| *byte == b'\n').map(text_of);
        let first = lines.next().flatten().unwrap_or_default();
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong("not a request"));
        };
        if !version.starts_with("HTTP/1.") {
            return Err(Answer::text(Status::VersionNotSupported, "HTTP/1.1 only"));
        }
        if !matches!(method, "GET" | "HEAD") {
            return Err(Answer::text(Status::MethodNotAllowed, "GET or HEAD only"));
        }
        let mut request = Self {
            path: target.split('?').next().unwrap_or_default().to_owned(),
            head_only: method == "HEAD",
            ..Self::default()
        };
        for line in lines {
            let line = line.ok_or_else(|| wrong("a header is not text"))?;
            if line.is_empty() {
                break;
            }
            let header = line.split_once(':').filter(|(name, _)| is_name(name));
            let (name, value) = header.ok_or_else(|| wrong("not a header"))?;
            request
                .take(name, value.trim())
                .map_err(|()| wrong("a header that may come once came twice"))?;
        }
        Ok(request)
    }

    /// Keeps a header if it makes a difference. An error if it must not come again.
    fn take(&mut self, name: &str, value: &str) -> Result<(), ()> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // A header that may come more than once is one list.
        for (list, name) in [
            (&mut self.accept, "accept"),
            (&mut self.accept_encoding, "accept-encoding"),
        ] {
            if is(name) {
                if !list.is_empty() {
                    list.push_str(", ");
                }
                list.push_str(value);
            }
        }
        for (once, name) in [
            (&mut self.host, "host"),
            (&mut self.authorization, "authorization"),
        ] {
            if is(name) && once.replace(value.to_owned()).is_some() {
                return Err(());
            }
        }
        Ok(())
    }

    /// The answer may be compressed.
    pub(super) fn takes_gzip(&self) -> bool {
        let mut any = false;
        for coding in self.accept_encoding.split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            // "q=0" with up to three more zeros is the only weight that says no.
            let refused = weight
                .split_once('=')
                .is_some_and(|(_, weight)| weight.trim().trim_matches(['0', '.']).is_empty());
            match name.trim() {
                "gzip" | "x-gzip" => return !refused,
                "*" => any = !refused,
                _ => {}
            }
        }
        any
    }
}

/// The characters of a token. A space before the colon is what smuggling is made of.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// A line without its end; `None` if it is not text.
fn text_of(line: &[u8]) -> Option<&str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).ok()?;
    (!text.contains(['\r', '\0'])).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> u16 {
        match Request::parse(request.as_bytes()) {
            Ok(_) => 200,
            Err(answer) => answer.status.code(),
        }
    }

    #[test]
    fn a_request_ends_with_its_empty_line() {
        for (bytes, complete) in [
            (&b"GET / HTTP/1.1\r\n"[..], false),
            (b"GET / HTTP/1.1\r\n\r", false),
            (b"GET / HTTP/1.1\r\n\r\n", true),
            (b"GET / HTTP/1.1\r\nA: b\r\n\r\nmore", true),
            (b"GET / HTTP/1.1\n\n", true),
            (b"GET / HTTP/1.1\n\r\n", true),
            (b"", false),
        ] {
            let shown = bytes.escape_ascii().to_string();
            assert_eq!(is_complete(bytes), complete, "{shown}");
        }
    }

    #[test]
    fn what_counts_is_read() {
        let text = "HEAD /a?b=c HTTP/1.1\r\nhost:  x:1 \r\nAUTHORIZATION: Basic e\r\nAccept: a\r\nX-Other: é\r\nAccept: b\r\nAccept-Encoding: gzip\r\n\r\nHost: y";
        let expected = Request {
            path: "/a".to_owned(),
            head_only: true,
            host: Some("x:1".to_owned()),
            authorization: Some("Basic e".to_owned()),
            accept: "a, b".to_owned(),
            accept_encoding: "gzip".to_owned(),
        };
        assert_eq!(Request::parse(text.as_bytes()).ok(), Some(expected));
    }

    #[test]
    fn other_requests_are_refused() {
        for (request, code) in [
            ("GET /healthz HTTP/1.1\nhost: x\n\n", 200),
            ("GET /healthz HTTP/1.0\r\n\r\n", 200),
            ("POST /healthz HTTP/1.1\r\n\r\n", 405),
            ("get /healthz HTTP/1.1\r\n\r\n", 405),
            ("GET /healthz HTTP/2\r\n\r\n", 505),
            ("GET /healthz\r\n\r\n", 400),
            ("GET  /healthz HTTP/1.1\r\n\r\n", 400),
            ("\r\n\r\n", 400),
            ("\u{1}\u{2}\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\rHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", 400),
        ] {
            assert_eq!(status(request), code, "{request:?}");
        }
        let not_text = b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n";
        assert!(Request::parse(not_text).is_err());
    }

    #[test]
    fn compression_is_asked_for() {
        for (header, takes) in [
            ("", false),
            ("gzip", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*", true),
            ("*;q=0", false),
            ("*;q=0, gzip;q=0.001", true),
            ("br, identity", false),
        ] {
            let request = Request {
                accept_encoding: header.to_owned(),
                ..Request::default()
            };
            assert_eq!(request.takes_gzip(), takes, "{header:?}");
        }
    }
}
