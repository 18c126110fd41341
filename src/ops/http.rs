//! Health for machines: a few lines of HTTP/1.1, enough for a probe and nothing more.
//!
//! `/healthz` says that the process serves; `/readyz` says whether new clients should be sent
//! here. One request is answered on each connection, which is then closed. No body is read, no
//! header but the first line counts, and whoever is slow or long-winded is hung up on.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::net::lobby::Lobby;

/// Probes that are answered at once. There are two or three of them in the world of one process.
const MOST_CONNECTIONS: usize = 32;

/// The longest request, headers included.
const MOST_REQUEST: usize = 8 * 1024;

/// How long one request may take from its first byte to the last of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause after an accept that failed for want of something (H3).
const PAUSE: Duration = Duration::from_millis(100);

/// Where probes are answered.
pub(crate) struct Http {
    listener: TcpListener,
}

impl Http {
    /// Listens on `address`.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot serve [http] on {address}: {error}"),
            )
        })?;
        Ok(Self { listener })
    }

    /// Answers until it is dropped.
    pub(crate) async fn run(self, lobby: Arc<Lobby>) {
        if let Ok(address) = self.listener.local_addr() {
            info!(%address, "answering /healthz and /readyz");
        }
        let mut answering = JoinSet::new();
        loop {
            while answering.len() >= MOST_CONNECTIONS {
                answering.join_next().await;
            }
            while answering.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let lobby = Arc::clone(&lobby);
                    answering.spawn(async move {
                        // A probe that hangs up has its answer, or does not want one.
                        let _ = tokio::time::timeout(PATIENCE, serve(stream, &lobby)).await;
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a probe");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn serve(mut stream: TcpStream, lobby: &Lobby) -> io::Result<()> {
    let mut request = Vec::new();
    while !is_complete(&request) {
        if request.len() >= MOST_REQUEST {
            let answer = Answer::new(431, "Request Header Fields Too Large", "too long");
            return stream.write_all(&answer.bytes(true)).await;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let answer = respond(&request, || lobby.readiness());
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// The empty line behind the headers has come.
fn is_complete(request: &[u8]) -> bool {
    request.windows(4).any(|four| four == b"\r\n\r\n")
        || request.windows(2).any(|two| two == b"\n\n")
}

/// What is said to one request.
struct Answer {
    code: u16,
    reason: &'static str,
    text: String,
}

impl Answer {
    fn new(code: u16, reason: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, reason, text }
    }

    fn bytes(&self, with_body: bool) -> Vec<u8> {
        let Self { code, reason, text } = self;
        let allow = if *code == 405 {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
            text.len() + 1
        );
        let body = if with_body {
            format!("{text}\n")
        } else {
            String::new()
        };
        [head, body].concat().into_bytes()
    }
}

/// The answer to a request, of which only the first line counts.
fn respond(request: &[u8], readiness: impl FnOnce() -> Result<(), String>) -> Vec<u8> {
    let line = request.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let line = line
        .and_then(|line| std::str::from_utf8(line).ok())
        .unwrap_or_default();
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Answer::new(400, "Bad Request", "not a request").bytes(true);
    };
    if !version.starts_with("HTTP/1.") {
        return Answer::new(505, "HTTP Version Not Supported", "HTTP/1.1 only").bytes(true);
    }
    if !matches!(method, "GET" | "HEAD") {
        return Answer::new(405, "Method Not Allowed", "GET or HEAD only").bytes(true);
    }
    let path = target.split('?').next().unwrap_or_default();
    let answer = match path {
        "/healthz" => Answer::new(200, "OK", "ok"),
        "/readyz" => match readiness() {
            Ok(()) => Answer::new(200, "OK", "ready"),
            Err(why) => Answer::new(503, "Service Unavailable", one_line(&why)),
        },
        _ => Answer::new(404, "Not Found", "there is /healthz and /readyz"),
    };
    answer.bytes(method == "GET")
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// Asks the process that serves `[http].address` whether it is healthy: `pgusher health`.
///
/// # Errors
/// When it is not, or nobody answers; the text says which.
pub fn check_health(address: Option<SocketAddr>) -> Result<(), String> {
    let address =
        address.ok_or("the configuration has no [http] section: nothing answers for health")?;
    let address = reachable(address);
    let code = ask(address, "/healthz")
        .map_err(|error| format!("no answer from http://{address}/healthz: {error}"))?;
    match code.as_str() {
        "200" => Ok(()),
        code => Err(format!("http://{address}/healthz answered {code}")),
    }
}

/// What listens on every address of the machine is asked on the one that is always there.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The status code that a GET is answered with.
fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    // "HTTP/1.1 200"
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    let status = std::str::from_utf8(&status)
        .ok()
        .filter(|it| it.starts_with("HTTP/1."));
    let code = status.and_then(|it| it.split(' ').nth(1));
    code.map(str::to_owned)
        .ok_or_else(|| io::Error::other("this is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(request: &str, readiness: Result<(), String>) -> String {
        String::from_utf8(respond(request.as_bytes(), || readiness)).expect("text")
    }

    fn status(request: &str) -> String {
        said(request, Ok(()))[9..12].to_owned()
    }

    #[test]
    fn health_is_said_in_full() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
        assert_eq!(
            said("GET /healthz HTTP/1.1\r\n\r\n", Ok(())),
            format!("{head}ok\n")
        );
        assert_eq!(said("HEAD /healthz HTTP/1.1\r\n\r\n", Ok(())), head);
    }

    #[test]
    fn readiness_has_its_reason_in_one_line() {
        let ready = said("GET /readyz?verbose HTTP/1.0\r\n\r\n", Ok(()));
        assert!(ready.starts_with("HTTP/1.1 200 OK\r\n") && ready.ends_with("\r\n\r\nready\n"));
        let not = said("GET /readyz HTTP/1.1\r\n\r\n", Err("a\r\nb".to_owned()));
        assert!(
            not.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{not}"
        );
        assert!(not.ends_with("\r\n\r\na  b\n"), "{not}");
    }

    #[test]
    fn other_requests_get_other_answers() {
        for (request, code) in [
            ("GET /healthz HTTP/1.1\nhost: x\n\n", "200"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /metrics HTTP/1.1\r\n\r\n", "404"),
            ("GET /healthz/ HTTP/1.1\r\n\r\n", "404"),
            ("POST /healthz HTTP/1.1\r\n\r\n", "405"),
            ("GET /healthz HTTP/2\r\n\r\n", "505"),
            ("GET /healthz\r\n\r\n", "400"),
            ("GET  /healthz HTTP/1.1\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
            ("\u{1}\u{2}\r\n\r\n", "400"),
        ] {
            assert_eq!(status(request), code, "{request:?}");
        }
    }

    #[test]
    fn a_request_ends_with_its_empty_line() {
        for (bytes, complete) in [
            (&b"GET / HTTP/1.1\r\n"[..], false),
            (b"GET / HTTP/1.1\r\n\r", false),
            (b"GET / HTTP/1.1\r\n\r\n", true),
            (b"GET / HTTP/1.1\n\n", true),
        ] {
            assert_eq!(
                is_complete(bytes),
                complete,
                "{:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn every_address_is_asked_on_the_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:9930", "127.0.0.1:9930"),
            ("[::]:9930", "[::1]:9930"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ] {
            let address: SocketAddr = listening.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), asked);
        }
    }
}
