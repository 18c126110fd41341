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
    /// An empty one, with room for so many bytes.
    pub fn new(format: Format, room: usize) -> Self {
        let text = String::with_capacity(room);
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
    pub fn sample(&mut self, metric: &Metric, labels: &Labels, value: impl Number) {
        self.text.push_str(metric.name);
        self.text.push_str(&labels.0);
        self.text.push(' ');
        value.put(&mut self.text);
        self.text.push('\n');
    }

    /// A number of a metric that is not in our table, without labels.
    pub fn bare(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name} {value}"));
    }

    /// A metric that has one series without labels.
    pub fn only(&mut self, metric: &Metric, value: impl Number) {
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
        let mut text = String::new();
        self.put(&mut text);
        f.write_str(&text)
    }
}

/// What a sample can be. The formatting of the standard library is made for more than numbers, and
/// takes twice the time.
pub trait Number {
    /// Appends it.
    fn put(self, text: &mut String);
}

macro_rules! numbers {
    ($($kind:ty)+) => {
        $(impl Number for $kind {
            fn put(self, text: &mut String) {
                text.push_str(itoa::Buffer::new().format(self));
            }
        })+
    };
}

numbers!(u8 u64 usize);

impl Number for Seconds {
    fn put(self, text: &mut String) {
        let (whole, part) = (self.0 / NANOS, self.0 % NANOS);
        whole.put(text);
        text.push('.');
        // With a digit in front, so that none of the zeros behind the point is lost.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(NANOS + part).get(1..).unwrap_or_default();
        let digits = match part {
            0 => "0",
            _ => digits.trim_end_matches('0'),
        };
        text.push_str(digits);
    }
}

const NANOS: u64 = 1_000_000_000;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::{Encoder as _, TextEncoder, proto};

    use super::*;
    use crate::{
        meter::{Counter, Histogram},
        metrics::table::{self, ALL},
    };

    #[test]
    fn the_better_format_is_chosen() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, format) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                OpenMetrics,
            ),
            ("application/openmetrics-text;version=9.0.0", Prometheus),
            (
                "text/plain;q=0.5,application/openmetrics-text;q=0.4",
                Prometheus,
            ),
            (
                "text/plain;q=0.3,APPLICATION/OpenMetrics-Text;q=0.4",
                OpenMetrics,
            ),
            // As Prometheus asks.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=nonsense", Prometheus),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept}");
        }
    }

    #[test]
    fn labels_may_contain_anything() {
        let labels = Labels::of(table::TENANT_CLIENTS, &["tenant", "a\"b\\c\nd{}é"]);
        assert_eq!(labels.0, r#"{kind="tenant",tenant="a\"b\\c\nd{}é"}"#);
        assert_eq!(Labels::of(table::READY, &[]).0, "");
    }

    #[test]
    fn seconds_are_exact() {
        for (nanos, written) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (50_000, "0.00005"),
            (111_111_111, "0.111111111"),
            (1_100_000_000, "1.1"),
            (1_500_000_000, "1.5"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(Seconds(nanos).to_string(), written);
        }
    }

    fn spread() -> Spread {
        let (histogram, mut spread) = (Histogram::<Counter>::default(), Spread::default());
        for millis in [1, 2, 30, 400, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        histogram.add_to(&mut spread);
        spread
    }

    /// A page with one of each kind.
    fn page(format: Format) -> String {
        let mut page = Page::new(format, 0);
        page.only(table::WORKERS, 4_u8);
        page.family(table::TRANSACTIONS);
        let labels = Labels::of(table::TRANSACTIONS, &["app", "a\"\n"]);
        page.sample(table::TRANSACTIONS, &labels, 7_u8);
        page.family(table::WAITS);
        let labels = Labels::of(table::WAITS, &["app", "u"]);
        page.histogram(table::WAITS, &labels, &spread());
        page.finish()
    }

    fn family(metric: &Metric, kind: proto::MetricType, one: proto::Metric) -> proto::MetricFamily {
        let mut family = proto::MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.about.to_owned());
        family.set_field_type(kind);
        family.set_metric(vec![one]);
        family
    }

    fn labelled(metric: &Metric, values: &[&str]) -> proto::Metric {
        let pairs = metric.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut one = proto::Metric::default();
        one.set_label(pairs.collect());
        one
    }

    /// The crate's own writer has written the same.
    #[test]
    fn the_text_is_as_the_crate_would_write_it() {
        let mut workers = labelled(table::WORKERS, &[]);
        let mut gauge = proto::Gauge::default();
        gauge.set_value(4.0);
        workers.set_gauge(gauge);
        let mut transactions = labelled(table::TRANSACTIONS, &["app", "a\"\n"]);
        let mut counter = proto::Counter::default();
        counter.set_value(7.0);
        transactions.set_counter(counter);
        let mut waits = labelled(table::WAITS, &["app", "u"]);
        let mut histogram = proto::Histogram::default();
        let rounds = spread();
        let buckets = rounds.up_to().filter(|(bound, _)| is_round(*bound));
        let buckets = buckets.map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound as f64 / 1e9);
            bucket.set_cumulative_count(count);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_sum(rounds.nanos as f64 / 1e9);
        histogram.set_sample_count(rounds.count());
        waits.set_histogram(histogram);
        let mut expected = Vec::new();
        let families = [
            family(table::WORKERS, proto::MetricType::GAUGE, workers),
            family(
                table::TRANSACTIONS,
                proto::MetricType::COUNTER,
                transactions,
            ),
            family(table::WAITS, proto::MetricType::HISTOGRAM, waits),
        ];
        TextEncoder::new().encode(&families, &mut expected).unwrap();
        let expected = String::from_utf8(expected).unwrap();
        // A whole number of seconds may be written with its point or without.
        let plain = page(Format::Prometheus).replace(".0\"}", "\"}");
        assert_eq!(plain, expected);
    }

    #[test]
    fn open_metrics_differ_in_names_units_and_the_end() {
        let text = page(Format::OpenMetrics);
        assert!(text.contains("# TYPE pgusher_transactions counter\npgusher_transactions_total{"));
        assert!(text.contains("# UNIT pgusher_wait_duration_seconds seconds\n"));
        assert!(text.contains("le=\"1.0\"} 4\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
        assert!(!page(Format::Prometheus).contains("# EOF"));
    }

    #[test]
    fn names_are_as_they_must_be() {
        let mut names = std::collections::HashSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} is there twice", metric.name);
            assert!(metric.name.starts_with("pgusher_"));
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
            if metric.kind == Kind::Histogram {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }
}
