//! What is traced, how it waits, and what a collector gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use super::*;
use crate::config::settings::Ratio;

fn traces(port: u16, sample: f64) -> Arc<Traces> {
    Traces::new(&settings::Traces {
        endpoint: Endpoint {
            host: "127.0.0.1".to_owned(),
            port,
            path: "/v1/traces".to_owned(),
        },
        sample: Ratio(sample),
        service_name: "it's \"me\"".to_owned(),
    })
}

fn finished() -> Finished {
    Finished {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(10),
        took: Duration::from_millis(1500),
        waited: Duration::from_micros(2500),
        queries: 3,
        errors: 0,
        bytes_out: 70_000,
        statement: None,
    }
}

fn about() -> About<'static> {
    About {
        client: 17,
        user: "app",
        database: "shop",
        tenant: Some("acme\"\n\\é"),
        address: Some(SocketAddr::from(([10, 0, 0, 7], 5555))),
    }
}

const PARENT: TraceParent = TraceParent {
    trace: [0xab; 16],
    span: [0xcd; 8],
    sampled: true,
};

#[test]
fn the_ratio_is_of_trace_ids() {
    for (ratio, from, to) in [(0.0, 0, 0), (1.0, 10_000, 10_000), (0.1, 850, 1150)] {
        let traces = traces(1, ratio);
        let count = (0..10_000).filter(|_| traces.identify(None).is_some());
        let count = count.count();
        assert!((from..=to).contains(&count), "{ratio}: {count}");
    }
}

/// The rule that OpenTelemetry's own libraries follow: bytes 8 to 15, without their last bit.
#[test]
fn whoever_counts_in_the_same_way_decides_the_same() {
    let id = |last: u64| {
        let mut trace = [0xff; 16];
        trace[8..].copy_from_slice(&last.to_be_bytes());
        trace
    };
    let half = bound(0.5);
    assert!(is_below(&id((1 << 63) - 1), half));
    assert!(!is_below(&id(1 << 63), half));
    assert!(is_below(&id(u64::MAX), bound(1.0)));
    assert!(!is_below(&id(0), bound(0.0)));
}

#[test]
fn a_trace_that_comes_from_elsewhere_decides_for_itself() {
    let none = traces(1, 0.0);
    let identity = none.identify(Some(&PARENT)).unwrap();
    assert_eq!(
        (identity.trace, identity.parent),
        (PARENT.trace, Some(PARENT.span))
    );
    let again = none.identify(Some(&PARENT)).unwrap();
    assert_ne!(identity.span, again.span);
    let all = traces(1, 1.0);
    let quiet = TraceParent {
        sampled: false,
        ..PARENT
    };
    assert_eq!(all.identify(Some(&quiet)), None);
}

#[test]
fn ids_are_of_one_process_only() {
    let (one, other) = (traces(1, 1.0), traces(1, 1.0));
    let mut seen = std::collections::HashSet::new();
    for traces in [one, other] {
        for _ in 0..10_000 {
            let identity = traces.identify(None).unwrap();
            assert!(identity.span != [0; 8] && identity.trace != [0; 16]);
            assert!(seen.insert(identity.trace));
        }
    }
}

#[test]
fn what_does_not_fit_is_counted() {
    let traces = traces(1, 1.0);
    for _ in 0..MOST_WAITING + 7 {
        let identity = traces.identify(None).unwrap();
        traces.finished(identity, &about(), &finished(), None);
    }
    assert_eq!(traces.counts(), (0, 7));
    let batch = traces.take();
    assert_eq!(batch.len(), BATCH);
    // Those that were not taken come first again.
    let first = batch[0].identity;
    traces.keep(batch, true);
    assert_eq!(traces.take()[0].identity, first);
    traces.keep(traces.take(), false);
    assert_eq!(traces.counts(), (0, 7 + BATCH as u64));
}

#[test]
fn a_span_is_written_as_otlp_has_it() {
    let traces = traces(1, 1.0);
    let mut identity = traces.identify(Some(&PARENT)).unwrap();
    identity.span = [0x12; 8];
    let failed = Finished {
        errors: 1,
        ..finished()
    };
    let statement = Some("select $?".to_owned());
    traces.finished(identity, &about(), &failed, statement);
    let body = otlp::encode(&traces.service, &traces.take());
    let text = |key: &str, value: &str| {
        format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
    };
    let number =
        |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"intValue":"{value}"}}}}"#);
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        r#"{"resourceSpans":[{"resource":{"attributes":["#.to_owned(),
        text("service.name", r#"it's \"me\""#) + ",",
        text("service.version", version),
        format!(
            r#"]}},"scopeSpans":[{{"scope":{{"name":"pgusher","version":"{version}"}},"spans":["#
        ),
        format!(
            r#"{{"traceId":"{}","spanId":"{}","parentSpanId":"{}","name":"transaction shop","kind":3,"#,
            "ab".repeat(16),
            "12".repeat(8),
            "cd".repeat(8)
        ),
        r#""startTimeUnixNano":"8500000000","endTimeUnixNano":"10000000000","attributes":["#
            .to_owned(),
        text("db.system.name", "postgresql") + ",",
        text("db.namespace", "shop") + ",",
        text("db.user", "app") + ",",
        text("db.query.text", "select $?") + ",",
        text("client.address", "10.0.0.7") + ",",
        number("client.port", "5555") + ",",
        text("pgusher.tenant", r#"acme\"\u000a\\é"#) + ",",
        number("pgusher.client", "17") + ",",
        r#"{"key":"pgusher.wait_ms","value":{"doubleValue":2.5}},"#.to_owned(),
        number("pgusher.queries", "3") + ",",
        number("pgusher.errors", "1") + ",",
        number("pgusher.bytes_out", "70000"),
        r#"],"status":{"code":2}}]}]}]}"#.to_owned(),
    ];
    assert_eq!(body, expected.concat());
}

/// Answers each request with the next of these; what was asked.
fn collector(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let take = |answer: &&str| {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut head).unwrap() > 0);
            }
            let length = head.split_once("Content-Length: ").unwrap().1;
            let length = length.split_once('\r').unwrap().0.parse().unwrap();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            format!("{head}{}", String::from_utf8(body).unwrap())
        };
        answers.iter().map(take).collect()
    });
    (port, asked)
}

fn run(traces: &Arc<Traces>) {
    traces.close();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(Arc::clone(traces).run());
}

#[test]
fn all_that_waits_is_sent_before_the_end() {
    let (port, asked) = collector(&["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 202 Yes\r\n\r\n"]);
    let traces = traces(port, 1.0);
    for _ in 0..=BATCH {
        let identity = traces.identify(None).unwrap();
        traces.finished(identity, &about(), &finished(), None);
    }
    run(&traces);
    assert_eq!(traces.counts(), (BATCH as u64 + 1, 0));
    let asked = asked.join().unwrap();
    let spans = |request: &String| request.matches(r#""traceId""#).count();
    assert_eq!(asked.iter().map(spans).collect::<Vec<_>>(), [BATCH, 1]);
    let head = "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1:";
    assert!(asked[0].starts_with(head), "{}", &asked[0][..200]);
    assert!(asked[0].contains("Content-Type: application/json\r\n"));
}

#[test]
fn what_a_collector_refuses_is_counted_as_dropped() {
    for answer in [
        &["HTTP/1.1 400 Bad Request\r\n\r\n"],
        &["HTTP/1.1 503 Later\r\n\r\n"],
        &["SSH-2.0-x\r\n"],
        &[""],
    ] {
        let (port, asked) = collector(answer);
        let traces = traces(port, 1.0);
        let identity = traces.identify(None).unwrap();
        traces.finished(identity, &about(), &finished(), None);
        run(&traces);
        assert_eq!(traces.counts(), (0, 1), "{answer:?}");
        asked.join().unwrap();
    }
}

#[test]
fn a_collector_that_was_away_gets_what_was_kept() {
    let (port, asked) = collector(&["HTTP/1.1 503 Later\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]);
    let traces = traces(port, 1.0);
    let identity = traces.identify(None).unwrap();
    traces.finished(identity, &about(), &finished(), None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let running = Arc::clone(&traces).run();
        let sent = async {
            while traces.counts().0 == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = running => panic!("it was not to end"),
            () = sent => {}
        }
    });
    assert_eq!(traces.counts(), (1, 0));
    let asked = asked.join().unwrap();
    let body = |request: &str| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&asked[0]), body(&asked[1]));
}
