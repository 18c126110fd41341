//! Spans of transactions, as a collector gets them: the test is the collector.

#![cfg(feature = "traces")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "what helpers of tests cannot do is a failed test"
)]
#![allow(
    clippy::disallowed_types,
    reason = "the collector is apart from the crate"
)]

mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde_json::Value;
use support::{
    Pgusher, Raw, Version, eventually,
    message::{bind, execute, parse, query, sync},
    pgusher::Builder,
    postgres::PASSWORD,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Takes what comes to it, on a port of its own.
struct Collector {
    port: u16,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let body = Self::take(stream.unwrap());
                shared.lock().unwrap().push(body);
            }
        });
        Self { port, taken }
    }

    fn take(stream: TcpStream) -> Value {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains("\r\nContent-Type: application/json\r\n"),
            "{head}"
        );
        let (_, length) = head.split_once("Content-Length: ").unwrap();
        let length = length.split_once('\r').unwrap().0.parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n{}")
            .unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// All spans so far, in the order in which they came.
    fn spans(&self) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        let of_request = |request: &Value| {
            let resource = &request["resourceSpans"][0];
            let attributes = attributes(&resource["resource"]);
            assert_eq!(attributes["service.name"], "shop's pooler");
            let spans = &resource["scopeSpans"][0]["spans"];
            spans.as_array().unwrap().clone()
        };
        taken.iter().flat_map(of_request).collect()
    }

    /// Waits for so many spans.
    #[track_caller]
    fn wait(&self, count: usize) -> Vec<Value> {
        eventually("the spans come", || self.spans().len() >= count);
        self.spans()
    }

    /// A pgusher that sends its spans here.
    fn pgusher(&self, sample: &str) -> Builder {
        Pgusher::in_front_of(support::postgres(Version::V18)).config(&format!(
            "[traces]\nendpoint = \"http://127.0.0.1:{}\"\nsample = {sample}\n\
             service_name = \"shop's pooler\"",
            self.port
        ))
    }
}

/// Ends it, and with it all spans are sent.
fn stop(pgusher: &mut Pgusher) {
    pgusher.terminate();
    assert!(pgusher.wait_exit(Duration::from_secs(20)).success());
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let list = of["attributes"].as_array().unwrap();
    let one = |attribute: &Value| {
        let key = attribute["key"].as_str().unwrap().to_owned();
        let value = attribute["value"].as_object().unwrap();
        let (kind, value) = value.iter().next().unwrap();
        let text = match kind.as_str() {
            // 64 bits do not fit into a number of JSON.
            "intValue" | "stringValue" => value.as_str().unwrap().to_owned(),
            "doubleValue" => value.as_f64().unwrap().to_string(),
            other => panic!("{other}"),
        };
        (key, text)
    };
    list.iter().map(one).collect()
}

fn nanos(span: &Value, key: &str) -> u128 {
    span[key].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_transaction_is_a_span() {
    let collector = Collector::start();
    let mut pgusher = collector
        .pgusher("1")
        .config("[tenant]\nsetting = \"app.tenant_id\"")
        .start();
    let before = SystemTime::now();
    let mut client = Raw::connect(pgusher.port());
    client.startup(&[
        ("user", "app"),
        ("database", "postgres"),
        ("app.tenant_id", "acme"),
    ]);
    client.authenticate("app", PASSWORD).unwrap();
    client.rows("SELECT pg_sleep(0.05)");
    let spans = collector.wait(1);
    let span = &spans[0];
    assert_eq!(
        (&span["name"], &span["kind"]),
        (&"transaction postgres".into(), &3.into())
    );
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert_eq!(
        (&span["parentSpanId"], &span["status"]),
        (&Value::Null, &serde_json::json!({}))
    );
    let (began, ended) = (
        nanos(span, "startTimeUnixNano"),
        nanos(span, "endTimeUnixNano"),
    );
    let since_epoch = |time: SystemTime| {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        time.as_nanos()
    };
    assert!(since_epoch(before) < began && ended < since_epoch(SystemTime::now()));
    assert!(ended - began >= 50_000_000, "{span}");
    let attributes = attributes(span);
    for (key, value) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", "postgres"),
        ("db.user", "app"),
        ("client.address", "127.0.0.1"),
        ("pgusher.tenant", "acme"),
        ("pgusher.queries", "1"),
        ("pgusher.errors", "0"),
    ] {
        assert_eq!(
            attributes.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
    let wait: f64 = attributes["pgusher.wait_ms"].parse().unwrap();
    assert!(wait < 1000.0 && attributes["pgusher.client"] == client.key().0.to_string());
    // Nobody asked for texts.
    assert!(!attributes.contains_key("db.query.text"));
    // One that fails is one that failed.
    client.ask(&query("SELECT 1/0"));
    let failed = &collector.wait(2)[1];
    assert_eq!(failed["status"]["code"], 2);
    drop(client);
    stop(&mut pgusher);
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn a_trace_goes_on_if_it_is_one_that_is_recorded() {
    let collector = Collector::start();
    // Of those that say nothing none is traced.
    let mut pgusher = collector.pgusher("0").log("slow_after = \"off\"").start();
    let comment = |trace: &str, flags: &str| {
        format!("/*framework='x',traceparent='00-{trace}-{PARENT}-{flags}'*/")
    };
    let mut client = pgusher.raw("postgres");
    client.rows("SELECT 'not traced'");
    client.rows(&format!("SELECT 'quiet' {}", comment(TRACE, "00")));
    client.rows(&format!("SELECT 1 {}", comment(TRACE, "01")));
    // In a block the first comment counts, wherever it stands.
    let other = TRACE.replace("9c", "9d");
    client.rows("BEGIN");
    client.rows(&format!("{} SELECT 2", comment(&other, "01")));
    client.rows("COMMIT");
    // And by the extended protocol.
    let third = TRACE.replace("9c", "9e");
    let text = format!("SELECT 3 {}", comment(&third, "01"));
    let request = [parse("", &text), bind("", "", &[]), execute("", 0), sync()];
    client.ask(&request.concat());
    // What looks like a comment in a string is none.
    client.rows(&format!(
        "SELECT '{}'",
        comment(TRACE, "01").replace('\'', "''")
    ));
    client.rows("SELECT 'not traced'");
    drop(client);
    stop(&mut pgusher);
    let spans = collector.spans();
    let found: Vec<&str> = spans
        .iter()
        .map(|it| it["traceId"].as_str().unwrap())
        .collect();
    assert_eq!(found, [TRACE, &other, &third]);
    for span in &spans {
        assert_eq!(span["parentSpanId"], PARENT);
    }
    assert_eq!(attributes(&spans[1])["pgusher.queries"], "3");
}

#[test]
fn texts_are_masked() {
    let collector = Collector::start();
    let pgusher = collector.pgusher("1").log("slow_statements = true").start();
    let mut client = pgusher.raw("postgres");
    client.rows("SELECT 'secret', 2 -- for you");
    let spans = collector.wait(1);
    assert_eq!(attributes(&spans[0])["db.query.text"], "SELECT $?, $?");
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_holds_up_nobody() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let away = Collector {
        port,
        taken: Arc::default(),
    };
    let mut pgusher = away.pgusher("1").start();
    let mut client = pgusher.raw("postgres");
    for _ in 0..100 {
        client.rows("SELECT 1");
    }
    pgusher.wait_for_log("spans are not taken");
    client.rows("SELECT 1");
    drop(client);
    stop(&mut pgusher);
    assert_eq!(pgusher.log().matches("spans are not taken").count(), 1);
}
