//! OTLP over HTTP, as JSON: how spans are written and sent.
//!
//! One request on one connection, which the collector closes. The names of attributes are those of
//! OpenTelemetry's conventions for databases, and `pgusher.…` where they have none.

use std::{
    fmt::{self, Write as _},
    io,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Span;
use crate::config::settings::Endpoint;

/// How long a collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of an answer is read: its first line counts.
const MOST_ANSWER: usize = 4096;

/// Spans were not taken.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// They may be sent again.
    pub(super) again: bool,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            why: error.to_string(),
            again: true,
        }
    }
}

/// Sends spans, and waits until they are taken.
pub(super) async fn send(
    endpoint: &Endpoint,
    service: &str,
    spans: &[Span],
) -> Result<(), Failure> {
    let body = encode(service, spans);
    match tokio::time::timeout(PATIENCE, post(endpoint, &body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure {
            why: format!("no answer within {PATIENCE:?}"),
            again: true,
        }),
    }
}

async fn post(endpoint: &Endpoint, body: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: pgusher/{}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        endpoint.path,
        endpoint.authority(),
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < MOST_ANSWER {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    judge(&answer)
}

/// Reads `HTTP/1.1 200 OK`.
fn judge(answer: &[u8]) -> Result<(), Failure> {
    let code = answer
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|code| str::from_utf8(code).ok()?.parse::<u16>().ok());
    match code {
        Some(200..=299) => Ok(()),
        Some(code) => Err(Failure {
            why: format!("HTTP status {code}"),
            // As OTLP has it.
            again: matches!(code, 429 | 502 | 503 | 504),
        }),
        None => Err(Failure {
            why: "no answer of HTTP".to_owned(),
            again: true,
        }),
    }
}

/// The body of a request.
pub(super) fn encode(service: &str, spans: &[Span]) -> String {
    let mut out = String::with_capacity(200 + spans.len() * 900);
    out += r#"{"resourceSpans":[{"resource":{"attributes":["#;
    let mut resource = Attributes::default();
    resource.text(&mut out, "service.name", service);
    let version = env!("CARGO_PKG_VERSION");
    resource.text(&mut out, "service.version", version);
    let _ = write!(
        out,
        r#"]}},"scopeSpans":[{{"scope":{{"name":"pgusher","version":"{version}"}},"spans":["#
    );
    for (nth, span) in spans.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write_span(&mut out, span);
    }
    out += "]}]}]}";
    out
}

fn write_span(out: &mut String, span: &Span) {
    let identity = &span.identity;
    let _ = write!(
        out,
        r#"{{"traceId":"{}","spanId":"{}","#,
        Hex(&identity.trace),
        Hex(&identity.span)
    );
    if let Some(parent) = &identity.parent {
        let _ = write!(out, r#""parentSpanId":"{}","#, Hex(parent));
    }
    let ended = span
        .ended
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (began, ended) = (ended.saturating_sub(span.took).as_nanos(), ended.as_nanos());
    out.push_str(r#""name":"#);
    string(out, &format!("transaction {}", span.database));
    // The kind is CLIENT, which is what calls to databases are.
    let _ = write!(
        out,
        r#","kind":3,"startTimeUnixNano":"{began}","endTimeUnixNano":"{ended}","attributes":["#
    );
    let mut attributes = Attributes::default();
    attributes.text(out, "db.system.name", "postgresql");
    attributes.text(out, "db.namespace", &span.database);
    attributes.text(out, "db.user", &span.user);
    if let Some(statement) = &span.statement {
        attributes.text(out, "db.query.text", statement);
    }
    if let Some(address) = &span.address {
        let address: &SocketAddr = address;
        attributes.text(out, "client.address", &address.ip().to_string());
        attributes.number(out, "client.port", u64::from(address.port()));
    }
    if let Some(tenant) = &span.tenant {
        attributes.text(out, "pgusher.tenant", tenant);
    }
    attributes.number(out, "pgusher.client", u64::from(span.client));
    attributes.fraction(out, "pgusher.wait_ms", span.waited.as_secs_f64() * 1000.0);
    attributes.number(out, "pgusher.queries", span.queries);
    attributes.number(out, "pgusher.errors", span.errors);
    attributes.number(out, "pgusher.bytes_out", span.bytes_out);
    // Errors of PostgreSQL are often a part of what an application does; whoever looks at the trace sees
    // that there was one.
    let status = if span.errors > 0 {
        r#"{"code":2}"#
    } else {
        "{}"
    };
    let _ = write!(out, r#"],"status":{status}}}"#);
}

/// A list of attributes that is being written.
#[derive(Default)]
struct Attributes {
    begun: bool,
}

impl Attributes {
    fn key(&mut self, out: &mut String, key: &str) {
        if std::mem::replace(&mut self.begun, true) {
            out.push(',');
        }
        let _ = write!(out, r#"{{"key":"{key}","value":{{"#);
    }

    fn text(&mut self, out: &mut String, key: &str, value: &str) {
        self.key(out, key);
        out.push_str(r#""stringValue":"#);
        string(out, value);
        out.push_str("}}");
    }

    /// In JSON, OTLP writes its 64-bit numbers as strings.
    fn number(&mut self, out: &mut String, key: &str, value: u64) {
        self.key(out, key);
        let _ = write!(out, r#""intValue":"{value}"}}}}"#);
    }

    fn fraction(&mut self, out: &mut String, key: &str, value: f64) {
        self.key(out, key);
        let _ = write!(out, r#""doubleValue":{value}}}}}"#);
    }
}

/// A string of JSON.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
