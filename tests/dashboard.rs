//! The dashboard of a real process: who may see it, and that its data are there.
//!
//! What it looks like is checked in a browser: tests/drivers/dashboard_page.js and dashboard_live.js.

#![allow(clippy::expect_used, reason = "a test fails by failing")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use support::{Pgusher, Version, eventually, patience, postgres};

/// Where it answers: it says so in its log. What listens everywhere is asked on the loopback.
fn address(pgusher: &Pgusher) -> SocketAddr {
    let said = "answering /metrics; ";
    pgusher.wait_for_log(said);
    let log = pgusher.log();
    let line = log
        .lines()
        .find(|line| line.contains("answering /healthz"))
        .expect("the line");
    let port = line.rsplit(':').next().expect("a port");
    let port: String = port.chars().filter(char::is_ascii_digit).collect();
    SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")))
}

/// The status code, the head and the body.
fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(patience()))
        .expect("a deadline");
    write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let code = head[9..12].parse().expect("a status");
    (code, head.to_owned(), body.to_owned())
}

fn serving(http: &str) -> Pgusher {
    Pgusher::in_front_of(postgres(Version::V15))
        .config(&format!("[http]\n{http}"))
        .start()
}

#[test]
fn this_machine_sees_the_dashboard_and_what_happens() {
    let server = postgres(Version::V15);
    let database = server.fresh_database();
    let pgusher = Pgusher::in_front_of(server)
        .config("[http]\naddress = \"127.0.0.1:0\"")
        .start();
    let http = address(&pgusher);
    let (code, head, page) = get(http, "/", "Host: localhost\r\n");
    assert_eq!(code, 200);
    assert!(
        head.contains("\r\nContent-Security-Policy: default-src 'none'; script-src 'sha256-"),
        "{head}"
    );
    assert!(page.contains("<title>pgusher</title>"));

    let mut client = pgusher.raw(&database.name);
    eventually("a second with a query is seen", || {
        client.rows("SELECT 1");
        let (code, head, state) = get(http, "/api/state", "Host: localhost\r\n");
        assert_eq!(code, 200);
        assert!(
            head.contains("\r\nContent-Type: application/json\r\n"),
            "{head}"
        );
        let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
        assert_eq!(state["ready"], true);
        assert_eq!(state["pools"][0]["database"], database.name);
        let queries = state["history"]["queries"].as_array().expect("a list");
        queries.iter().any(|it| it.as_f64() > Some(0.0))
    });
    // A stranger's name that means this machine.
    let (code, _, why) = get(http, "/api/state", "Host: rebound.example\r\n");
    assert_eq!(code, 403);
    assert!(
        why.starts_with("without password or token in [http]"),
        "{why}"
    );
}

#[test]
fn elsewhere_the_dashboard_is_closed_until_there_is_a_password() {
    let pgusher = serving("address = \"0.0.0.0:0\"");
    let http = address(&pgusher);
    for path in ["/", "/api/state"] {
        let (code, _, why) = get(http, path, "Host: 127.0.0.1\r\n");
        let expected =
            "the dashboard is closed: set password or token in [http], or a loopback address\n";
        assert_eq!((code, why.as_str()), (403, expected), "{path}");
    }
    assert_eq!(get(http, "/metrics", "").0, 200);
    assert_eq!(get(http, "/healthz", "").0, 200);

    let pgusher = serving("address = \"0.0.0.0:0\"\npassword = \"pw\"\ntoken = \"t\"");
    let http = address(&pgusher);
    // "x:pw"
    for right in ["Basic eDpwdw==", "Bearer t"] {
        for path in ["/", "/api/state", "/metrics"] {
            let headers = format!("Authorization: {right}\r\n");
            assert_eq!(get(http, path, &headers).0, 200, "{path} {right}");
            assert_eq!(get(http, path, "Host: 127.0.0.1\r\n").0, 401, "{path}");
        }
    }
    assert!(!pgusher.log_contains("a wrong password"));
    assert_eq!(get(http, "/metrics", "Authorization: Bearer pw\r\n").0, 401);
    pgusher.wait_for_log("a wrong password or token was sent to [http]");
    assert_eq!(get(http, "/healthz", "").0, 200);
}
