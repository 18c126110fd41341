//! Requests over real sockets, and what comes back.

use std::io::Read as _;

use tokio::net::TcpSocket;

use super::*;
use crate::auth::Password;

/// Ready unless there is a reason; metrics of some length.
struct Mock {
    why_not: Option<&'static str>,
    lines: usize,
}

impl House for Mock {
    fn readiness(&self) -> Result<(), String> {
        self.why_not.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn settings(&self) -> Option<settings::Http> {
        None
    }

    async fn state(&self) -> String {
        "{\"version\":\"x\"}".to_owned()
    }

    async fn metrics(&self, accept: &str) -> (&'static str, String) {
        let form = if accept.contains("openmetrics") {
            "open"
        } else {
            "plain"
        };
        (form, "pgusher_up 1\n".repeat(self.lines))
    }
}

struct Running {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

async fn run(password: Option<&str>, mock: Mock) -> Running {
    let settings = settings::Http {
        address: "127.0.0.1:0".parse().expect("an address"),
        password: password.map(|text| Password::new(text.as_bytes())),
        token: None,
    };
    let http = Http::bind(&settings).await.expect("a port");
    let address = http.address;
    let mut tasks = JoinSet::new();
    tasks.spawn(http.run(mock));
    Running {
        address,
        _tasks: tasks,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.connect(self.address).await.expect("a connection")
    }

    /// What is said to these bytes: the head and the body.
    async fn say(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("an answer");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let body = bytes.split_off(end.expect("a head") + 4);
        (String::from_utf8(bytes).expect("text"), body)
    }

    async fn get(&self, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        let (head, body) = self.say(&request).await;
        (head[9..12].parse().expect("a status"), head, body)
    }
}

const READY: Mock = Mock {
    why_not: None,
    lines: 1,
};

#[tokio::test]
async fn each_path_has_its_answer() {
    let http = run(None, READY).await;
    for (path, code, body) in [
        ("/healthz", 200, "ok\n"),
        ("/readyz?verbose", 200, "ready\n"),
        ("/api/state", 200, "{\"version\":\"x\"}"),
        ("/metrics", 200, "pgusher_up 1\n"),
        (
            "/healthz/",
            404,
            "there is /, /metrics, /healthz and /readyz\n",
        ),
        ("//", 404, "there is /, /metrics, /healthz and /readyz\n"),
    ] {
        let (got, head, text) = http.get(path, "").await;
        assert_eq!((got, text.as_slice()), (code, body.as_bytes()), "{head}");
    }
    let (code, head, page) = http.get("/", "").await;
    assert_eq!(code, 200);
    assert!(
        head.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nContent-Security-Policy: default-src 'none'; "),
        "{head}"
    );
    assert!(page.starts_with(b"<!doctype html>"));
    let (head, page) = http.say("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && page.is_empty(),
        "{head}"
    );
}

#[tokio::test]
async fn who_is_not_ready_says_why() {
    let why_not = Some("stopping");
    let http = run(None, Mock { why_not, lines: 0 }).await;
    let (code, _, why) = http.get("/readyz", "").await;
    assert_eq!((code, why.as_slice()), (503, &b"stopping\n"[..]));
    assert_eq!(http.get("/healthz", "").await.0, 200);
}

#[tokio::test]
async fn metrics_come_in_the_form_that_was_asked_for() {
    let lines = 100_000;
    let http = run(
        None,
        Mock {
            why_not: None,
            lines,
        },
    )
    .await;
    for (headers, form, gzip) in [
        ("", "plain", false),
        ("Accept: application/openmetrics-text\r\n", "open", false),
        ("Accept-Encoding: gzip\r\n", "plain", true),
    ] {
        let (code, head, body) = http.get("/metrics", headers).await;
        assert_eq!(code, 200);
        assert!(
            head.contains(&format!("\r\nContent-Type: {form}\r\n")),
            "{head}"
        );
        assert_eq!(
            head.contains("\r\nContent-Encoding: gzip\r\n"),
            gzip,
            "{head}"
        );
        let mut text = String::new();
        if gzip {
            assert!(body.len() < 100_000, "{}", body.len());
            let mut decoder = flate2::read::GzDecoder::new(body.as_slice());
            decoder.read_to_string(&mut text).expect("gzip");
        } else {
            text = String::from_utf8(body).expect("text");
        }
        assert_eq!(text, "pgusher_up 1\n".repeat(lines));
    }
}

#[tokio::test]
async fn a_password_guards_all_but_probes() {
    let http = run(Some("open sesame"), READY).await;
    // "x:open sesame"
    let right = "Authorization: Basic eDpvcGVuIHNlc2FtZQ==\r\n";
    let wrong = "Authorization: Basic eDpvcGVuIHNlc2FtZT==\r\n";
    for path in ["/", "/api/state", "/metrics"] {
        assert_eq!(http.get(path, right).await.0, 200, "{path}");
        let (code, head, body) = http.get(path, "").await;
        assert_eq!(code, 401, "{path}");
        assert!(
            head.contains("\r\nWWW-Authenticate: Basic realm=\"pgusher\", "),
            "{head}"
        );
        assert_eq!(
            body,
            b"a password is needed: any user name, or a bearer token\n"
        );
    }
    let before = tokio::time::Instant::now();
    assert_eq!(http.get("/metrics", wrong).await.0, 401);
    assert!(before.elapsed() >= WRONG_GUESS);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(http.get(path, "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let http = run(None, READY).await;
    for (request, status) in [
        ("POST / HTTP/1.1\r\n\r\n", "405 Method Not Allowed\r\n"),
        ("GET / HTTP/3\r\n\r\n", "505 HTTP Version Not Supported\r\n"),
        ("hello\n\n", "400 Bad Request\r\n"),
        (
            &"x".repeat(request::MOST_HEAD),
            "431 Request Header Fields Too Large\r\n",
        ),
    ] {
        let (head, _) = http.say(request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
    let (head, _) = http.say("POST / HTTP/1.1\r\n\r\n").await;
    assert!(head.contains("\r\nAllow: GET, HEAD\r\n"), "{head}");
}

#[tokio::test]
async fn those_who_hold_connections_keep_no_probe_waiting() {
    let http = run(None, READY).await;
    let mut holding = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        let mut stream = http.connect().await;
        stream.write_all(b"GET / HT").await.expect("sent");
        holding.push(stream);
    }
    assert_eq!(http.get("/healthz", "").await.0, 200);
    // The first had to go, and nobody else.
    let mut end = [0];
    let first = holding[0].read(&mut end).await;
    assert!(matches!(first, Ok(0) | Err(_)), "{first:?}");
    let rest = b"TP/1.1\r\nHost: localhost\r\n\r\n";
    holding[1].write_all(rest).await.expect("sent");
    assert!(matches!(holding[1].read(&mut end).await, Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn who_never_ends_asking_is_hung_up_on() {
    let http = run(None, READY).await;
    let mut stream = http.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    let before = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(before.elapsed() >= ASKING - Duration::from_secs(1));
}
