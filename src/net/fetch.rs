//! A small document from the web: one GET over HTTP/1.1, and nothing that a document does not need.
//!
//! Strict where leniency helps nobody: only 200 is an answer (no redirects: what the operator
//! has written is where is asked), the size is known or chunked and bounded, and a body that
//! ends early is none.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{config::settings::KeysUrl, session::printable};

/// Status line and headers, together.
const MOST_HEAD: usize = 16 << 10;

/// How much is read at once.
const STEP: usize = 8 << 10;

/// What is at `url`, if it has at most `most` bytes and comes in time; or why not, in words for the log.
pub(super) async fn get(
    url: &KeysUrl,
    tls: Option<&TlsConnector>,
    most: usize,
    patience: Duration,
) -> Result<Vec<u8>, String> {
    let fetching = async {
        let place = (url.host.as_str(), url.port);
        let stream = TcpStream::connect(place)
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        match tls.filter(|_| url.tls) {
            None if url.tls => Err("there is no TLS to ask with".to_owned()),
            None => exchange(stream, url, most).await,
            Some(tls) => {
                let name = ServerName::try_from(url.host.clone())
                    .map_err(|_| "its host is no name that a certificate could have".to_owned())?;
                let stream = tls
                    .connect(name, stream)
                    .await
                    .map_err(|error| format!("TLS fails: {error}"))?;
                exchange(stream, url, most).await
            }
        }
    };
    let fetched = tokio::time::timeout(patience, fetching).await;
    fetched.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    url: &KeysUrl,
    most: usize,
) -> Result<Vec<u8>, String> {
    let broken = |error: std::io::Error| format!("the connection broke: {error}");
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\
         User-Agent: pgusher/{}\r\nConnection: close\r\n\r\n",
        url.path,
        url.authority(),
        env!("CARGO_PKG_VERSION"),
    );
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut answer = Answer::new(most);
    let mut room = vec![0; STEP];
    loop {
        let read = stream.read(&mut room).await.map_err(broken)?;
        if read == 0 {
            return Err("the answer ends too early".to_owned());
        }
        if let Some(body) = answer.take(room.get(..read).unwrap_or_default())? {
            return Ok(body);
        }
    }
}

/// An answer that comes in.
struct Answer {
    most: usize,
    bytes: Vec<u8>,
}

/// How long a body is.
enum Length {
    Known(usize),
    Chunked,
}

impl Answer {
    const fn new(most: usize) -> Self {
        Self {
            most,
            bytes: Vec::new(),
        }
    }

    /// More of it has come; the body, if it is whole.
    fn take(&mut self, more: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.bytes.extend_from_slice(more);
        let Some(end) = find(&self.bytes, b"\r\n\r\n") else {
            return match self.bytes.len() > MOST_HEAD {
                true => Err("the head of the answer is too long".to_owned()),
                false => Ok(None),
            };
        };
        let (head, body) = (self.bytes.get(..end), self.bytes.get(end + 4..));
        let length = head_of(head.unwrap_or_default())?;
        let body = body.unwrap_or_default();
        let too_large = || format!("the answer has more than {} bytes", self.most);
        match length {
            Length::Known(size) if size > self.most => Err(too_large()),
            Length::Known(size) => Ok(body.get(..size).map(<[u8]>::to_vec)),
            // Chunks may be as small as a byte, and each has a line of its own.
            Length::Chunked if body.len() > 8 * self.most + STEP => Err(too_large()),
            Length::Chunked => match chunks(body)? {
                Some(body) if body.len() > self.most => Err(too_large()),
                whole => Ok(whole),
            },
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

/// Reads the status line and the headers.
fn head_of(head: &[u8]) -> Result<Length, String> {
    let head = std::str::from_utf8(head).map_err(|_| "the head of the answer is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let code = status
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| status.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3))
        .ok_or("the answer is not HTTP/1.1")?;
    if code != "200" {
        return Err(format!("it answers {}", printable(code.as_bytes())));
    }
    let (mut length, mut is_chunked) = (None, false);
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or("the answer has a malformed header")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let is_number = value.bytes().all(|digit| digit.is_ascii_digit());
            let size: Option<usize> = is_number.then(|| value.parse().ok()).flatten();
            if size.is_none() || length.is_some() {
                return Err("the answer says not how long it is".to_owned());
            }
            length = size;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") || is_chunked {
                return Err("the answer has a transfer encoding that was not asked for".to_owned());
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case("content-encoding")
            && !value.eq_ignore_ascii_case("identity")
        {
            return Err("the answer has a content encoding that was not asked for".to_owned());
        }
    }
    match (length, is_chunked) {
        (Some(size), false) => Ok(Length::Known(size)),
        (None, true) => Ok(Length::Chunked),
        _ => Err("the answer says not how long it is".to_owned()),
    }
}

/// A body in chunks; `None`: there is more to come.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let malformed = || "the answer has a malformed chunk".to_owned();
    let mut body = Vec::new();
    loop {
        let Some(end) = find(rest, b"\r\n") else {
            return match rest.len() > 100 {
                true => Err(malformed()),
                false => Ok(None),
            };
        };
        let line = rest.get(..end).unwrap_or_default();
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits)
            .map_err(|_| malformed())?
            .trim_end();
        let is_hex =
            (1..=7).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_hexdigit());
        let size = usize::from_str_radix(digits, 16).ok().filter(|_| is_hex);
        let size = size.ok_or_else(malformed)?;
        // What may stand behind the last chunk means nothing here.
        if size == 0 {
            return Ok(Some(body));
        }
        let from = end + 2;
        let (Some(chunk), Some(behind)) = (rest.get(from..from + size), rest.get(from + size..))
        else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        rest = match behind {
            [b'\r', b'\n', next @ ..] => next,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(malformed()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is cut, the same comes of it.
    fn read(text: &str) -> Result<Option<String>, String> {
        let whole = Answer::new(20).take(text.as_bytes());
        for size in 1..text.len().min(40) {
            let mut answer = Answer::new(20);
            let mut end = Ok(None);
            for piece in text.as_bytes().chunks(size) {
                end = answer.take(piece);
                if end != Ok(None) {
                    break;
                }
            }
            assert_eq!(end.is_err(), whole.is_err(), "{text:?} by {size}");
            assert_eq!(end.ok(), whole.clone().ok(), "{text:?} by {size}");
        }
        whole.map(|body| body.map(|body| String::from_utf8(body).unwrap()))
    }

    #[test]
    fn answers() {
        for (text, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}"),
            ("HTTP/1.0 200\r\ncontent-length:2\r\n\r\n{}xyz", "{}"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\nA ;x=y\r\n0123456789\r\n0\r\n\r\n",
                "{0123456789",
            ),
        ] {
            assert_eq!(read(text), Ok(Some(body.to_owned())), "{text:?}");
        }
        for unfinished in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0",
        ] {
            assert_eq!(read(unfinished), Ok(None), "{unfinished:?}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        for (text, why) in [
            (
                "HTTP/1.1 302 Found\r\nLocation: https://x/\r\nContent-Length: 2\r\n\r\n{}",
                "302",
            ),
            ("HTTP/1.1 500 Oh\r\n\r\n", "500"),
            ("HTTP/2 200\r\n\r\n", "not HTTP/1.1"),
            ("hello\r\n\r\n", "not HTTP/1.1"),
            ("HTTP/1.1 200 OK\r\n\r\n{}", "how long"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "how long"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "how long"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                "how long",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
                "how long",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                "how long",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n",
                "more than 20",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
                "content encoding",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "transfer encoding",
            ),
            ("HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "malformed header"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                "malformed chunk",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
                "malformed chunk",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                "malformed chunk",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n",
                "malformed chunk",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n0123456789012345678901234\r\n0\r\n\r\n",
                "malformed chunk",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n012345678901234567890\r\n0\r\n\r\n",
                "more than 20",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    // A6: nothing is kept that cannot become an answer.
    #[test]
    fn an_answer_without_end_is_cut_off() {
        let mut answer = Answer::new(20);
        let ends = (0..100).find_map(|_| answer.take(&[b'x'; 1000]).err());
        assert!(ends.unwrap().contains("too long"));
        let mut answer = Answer::new(20);
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n";
        assert_eq!(answer.take(head), Ok(None));
        let ends = (0..100).find_map(|_| answer.take(&[b'x'; 1000]).err());
        assert!(ends.unwrap().contains("more than 20"));
    }
}
