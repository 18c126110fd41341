//! The dashboard of a real process: who may see it, and that its data are there.
//!
//! What it looks like is checked in a browser: tests/drivers/dashboard_page.js and dashboard_live.js.

#![allow(clippy::expect_used, reason = "a test fails by failing")]

mod support;

use support::{Pgusher, Version, eventually, postgres};

/// It says that it answers, and to whom it shows what.
const ANSWERING: &str = "answering /metrics; ";

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
    pgusher.wait_for_log(ANSWERING);
    let (code, head, page) = pgusher.get("/", "Host: localhost\r\n");
    assert_eq!(code, 200);
    assert!(
        head.contains("\r\nContent-Security-Policy: default-src 'none'; script-src 'sha256-"),
        "{head}"
    );
    assert!(page.contains("<title>pgusher</title>"));

    let mut client = pgusher.raw(&database.name);
    eventually("a second with a query is seen", || {
        client.rows("SELECT 1");
        let (code, head, state) = pgusher.get("/api/state", "Host: localhost\r\n");
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
    let (code, _, why) = pgusher.get("/api/state", "Host: rebound.example\r\n");
    assert_eq!(code, 403);
    assert!(
        why.starts_with("without password or token in [http]"),
        "{why}"
    );
}

#[test]
fn elsewhere_the_dashboard_is_closed_until_there_is_a_password() {
    let pgusher = serving("address = \"0.0.0.0:0\"");
    pgusher.wait_for_log(ANSWERING);
    for path in ["/", "/api/state"] {
        let (code, _, why) = pgusher.get(path, "Host: 127.0.0.1\r\n");
        let expected =
            "the dashboard is closed: set password or token in [http], or a loopback address\n";
        assert_eq!((code, why.as_str()), (403, expected), "{path}");
    }
    assert_eq!(pgusher.get("/metrics", "").0, 200);
    assert_eq!(pgusher.get("/healthz", "").0, 200);

    let pgusher = serving("address = \"0.0.0.0:0\"\npassword = \"pw\"\ntoken = \"t\"");
    pgusher.wait_for_log(ANSWERING);
    // "x:pw"
    for right in ["Basic eDpwdw==", "Bearer t"] {
        for path in ["/", "/api/state", "/metrics"] {
            let headers = format!("Authorization: {right}\r\n");
            assert_eq!(pgusher.get(path, &headers).0, 200, "{path} {right}");
            assert_eq!(pgusher.get(path, "Host: 127.0.0.1\r\n").0, 401, "{path}");
        }
    }
    assert!(!pgusher.log_contains("a wrong password"));
    assert_eq!(
        pgusher.get("/metrics", "Authorization: Bearer pw\r\n").0,
        401
    );
    pgusher.wait_for_log("a wrong password or token was sent to [http]");
    assert_eq!(pgusher.get("/healthz", "").0, 200);
}

#[test]
fn a_password_that_was_changed_holds_at_once() {
    let pgusher = serving("address = \"127.0.0.1:0\"\ntoken = \"old\"");
    pgusher.wait_for_log(ANSWERING);
    let ask = |token: &str| {
        let headers = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
        pgusher.get("/api/state", &headers).0
    };
    assert_eq!((ask("old"), ask("new")), (200, 401));
    let config = pgusher.config();
    pgusher.write_config(&config.replace("token = \"old\"", "token = \"new\""));
    pgusher.signal("HUP");
    pgusher.wait_for_log("the configuration was read again and taken over");
    assert_eq!((ask("old"), ask("new")), (401, 200));
    assert!(!pgusher.log_contains("takes effect at the next start"));
}
