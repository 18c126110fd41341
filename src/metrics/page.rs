//! The page that Prometheus reads: its own text format, or OpenMetrics.
//!
//! Written straight into one text: ten thousand tenants are a hundred thousand lines, and a scrape
//! must not take longer than a blink.

use std::fmt::{Display, Write as _};

use super::table::{Kind, Metric};
use crate::meter::{BOUNDS, Spread};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client prefers that sends this `Accept` header; without one Prometheus's own.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (0.0, Self::Prometheus);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut version) = (1.0, None);
            for part in parts {
                match part.split_once('=') {
                    Some(("q", number)) => weight = number.trim().parse().unwrap_or(0.0),
                    Some(("version", number)) => version = Some(number.trim_matches('"')),
                    _ => {}
                }
            }
            let format = match (kind.as_str(), version) {
                ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                    Self::OpenMetrics
                }
                ("text/plain" | "text/*" | "*/*", None | Some("0.0.4")) => Self::Prometheus,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// What the answer is said to be.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Labels as they stand in a line, braces and all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(String);

impl Labels {
    /// The labels of `metric`, in its order.
    pub fn of(metric: &Metric, values: &[&str]) -> Self {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let mut text = String::new();
        for (name, value) in metric.labels.iter().zip(values) {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(value, &mut text);
            text.push('"');
        }
        if !text.is_empty() {
            text.push('}');
        }
        Self(text)
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// A page that is being written.
#[derive(Debug)]
pub struct Page {
    format: Format,
    text: String,
}

impl Page {
    /// An empty one.
    pub fn new(format: Format) -> Self {
        let text = String::with_capacity(64 * 1024);
        Self { format, text }
    }

    /// From here on come the samples of `metric`.
    pub fn family(&mut self, metric: &Metric) {
        let (kind, about) = (metric.kind.name(), metric.about);
        self.head(metric.name, kind, about);
    }

    /// The same of a metric that is not in our table.
    pub fn head(&mut self, name: &str, kind: &str, about: &str) {
        let mut name = name;
        if self.format == Format::OpenMetrics && kind == Kind::Counter.name() {
            // There the family has the name, and its sample the suffix.
            name = name.strip_suffix("_total").unwrap_or(name);
        }
        self.line(format_args!("# HELP {name} {}", OneLine(about)));
        self.line(format_args!("# TYPE {name} {kind}"));
        if self.format == Format::OpenMetrics && name.ends_with("_seconds") {
            self.line(format_args!("# UNIT {name} seconds"));
        }
    }

    fn line(&mut self, line: impl Display) {
        // Writing into a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// A number.
    pub fn sample(&mut self, metric: &Metric, labels: &Labels, value: impl Display) {
        self.text.push_str(metric.name);
        self.text.push_str(&labels.0);
        self.line(format_args!(" {value}"));
    }

    /// A number of a metric that is not in our table, without labels.
    pub fn bare(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name} {value}"));
    }

    /// A metric that has one series without labels.
    pub fn only(&mut self, metric: &Metric, value: impl Display) {
        self.family(metric);
        self.sample(metric, &Labels::of(metric, &[]), value);
    }

    /// A histogram: of its bounds those that are 1, 2 or 5 in their decade.
    pub fn histogram(&mut self, metric: &Metric, labels: &Labels, spread: &Spread) {
        let name = metric.name;
        let inner = labels.0.trim_start_matches('{').trim_end_matches('}');
        let comma = if inner.is_empty() { "" } else { "," };
        for (bound, count) in spread.up_to() {
            if is_round(bound) {
                let bound = Seconds(bound);
                self.line(format_args!(
                    "{name}_bucket{{{inner}{comma}le=\"{bound}\"}} {count}"
                ));
            }
        }
        let count = spread.count();
        self.line(format_args!(
            "{name}_bucket{{{inner}{comma}le=\"+Inf\"}} {count}"
        ));
        self.line(format_args!(
            "{name}_sum{} {}",
            labels.0,
            Seconds(spread.nanos)
        ));
        self.line(format_args!("{name}_count{} {count}", labels.0));
    }

    /// The whole page.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The bounds of the page: a third of those that are counted.
fn is_round(bound: u64) -> bool {
    debug_assert!(BOUNDS.contains(&bound));
    let mut digits = bound;
    while digits >= 10 && digits.is_multiple_of(10) {
        digits /= 10;
    }
    matches!(digits, 1 | 2 | 5)
}

/// Nanoseconds as seconds, without going through a float.
#[derive(Debug, Clone, Copy)]
pub struct Seconds(pub u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, mut part) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if part == 0 {
            return write!(f, "{whole}.0");
        }
        let mut width = 9;
        while part.is_multiple_of(10) {
            part /= 10;
            width -= 1;
        }
        write!(f, "{whole}.{part:0width$}")
    }
}

/// Help is one line.
struct OneLine<'a>(&'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
