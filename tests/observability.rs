//! What is made for Prometheus and Grafana names only what exists: every metric, label and state in
//! config/prometheus and config/grafana is one of `src/metrics/table.rs`, so that a metric that is
//! renamed takes them along. Whether the rules do what they say is for promtool, in
//! `make drivers ARGS=prometheus_`.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by failing"
)]

#[path = "observability/expression.rs"]
mod expression;
#[path = "observability/rules.rs"]
mod rules;

use std::{collections::BTreeSet, fs, path::Path};

use expression::{Expression, is_name};
use pgusher::{
    error::Kind,
    meter::classes,
    metrics::table::{ALL, Kind as Type},
};
use rules::Rule;
use serde_json::Value;

/// What Prometheus itself puts on every series.
const TARGET: [&str; 2] = ["job", "instance"];

/// Metrics that are not ours, and those of the process, which docs/metrics.md promises.
const FOREIGN: [&str; 7] = [
    "up",
    "scrape_duration_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What series of this name differ in, and what is known of the values; `None` if there are none.
fn labels_of(series: &str) -> Option<(Vec<&'static str>, &'static str)> {
    if FOREIGN.contains(&series) {
        return Some((Vec::new(), ""));
    }
    ALL.iter().find_map(|metric| {
        let labels = metric.labels.to_vec();
        if metric.kind != Type::Histogram {
            return (metric.name == series).then_some((labels, metric.about));
        }
        match series.strip_prefix(metric.name)? {
            "_bucket" => Some(([&labels[..], &["le"]].concat(), metric.about)),
            "_sum" | "_count" => Some((labels, metric.about)),
            _ => None,
        }
    })
}

/// What is wrong with an expression, as far as names go.
fn faults(text: &str) -> Vec<String> {
    let expression = Expression::read(text);
    let mut faults = Vec::new();
    let mut known: BTreeSet<&str> = TARGET.into();
    if expression.selectors.is_empty() {
        faults.push("no metric in it".to_owned());
    }
    for selector in &expression.selectors {
        let Some((labels, about)) = labels_of(&selector.metric) else {
            faults.push(format!("no metric is called {}", selector.metric));
            continue;
        };
        known.extend(&labels);
        for (label, value) in &selector.matchers {
            if TARGET.contains(&label.as_str()) {
                continue;
            }
            if !labels.contains(&label.as_str()) {
                faults.push(format!("{} has no label {label}", selector.metric));
            }
            for value in value.split('|') {
                if !is_known_value(&selector.metric, label, value, about) {
                    faults.push(format!("{}: {label} is never {value}", selector.metric));
                }
            }
        }
    }
    for label in &expression.grouping {
        if !known.contains(label.as_str()) {
            faults.push(format!("no metric in it has the label {label}"));
        }
    }
    faults
}

/// Whether a label can have this value. Where there are few, the table names them.
fn is_known_value(metric: &str, label: &str, value: &str, about: &str) -> bool {
    if value.starts_with('$') || value.is_empty() {
        return true;
    }
    match label {
        "state" | "result" | "direction" | "blame" => about.contains(&format!("`{value}`")),
        "kind" if metric.starts_with("pgusher_tenant_") => {
            ["tenant", "user", "other"].contains(&value)
        }
        "kind" => Kind::ALL.iter().any(|kind| kind.name() == value),
        "class" => classes().any(|class| class == value),
        _ => false,
    }
}

fn alerts() -> Vec<Rule> {
    rules::read(&read("config/prometheus/alerts.yml"))
}

fn recording() -> Vec<Rule> {
    rules::read(&read("config/prometheus/recording.yml"))
}

#[track_caller]
fn assert_no_faults(mut found: Vec<(String, Vec<String>)>) {
    found.retain(|(_, faults)| !faults.is_empty());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn rules_name_what_exists() {
    let recording = recording();
    assert!(recording.len() > 3, "{recording:#?}");
    let found = alerts().into_iter().chain(recording).map(|rule| {
        let faults = faults(&rule.expr);
        (rule.name, faults)
    });
    assert_no_faults(found.collect());
}

#[test]
fn an_alert_says_how_bad_it_is_and_what_to_do() {
    let tests = read("config/prometheus/alerts_test.yml");
    let manual = read("docs/monitoring.md");
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:#?}");
    let found = alerts.into_iter().map(|rule| {
        let mut faults = Vec::new();
        let known: BTreeSet<&str> = Expression::read(&rule.expr)
            .selectors
            .iter()
            .filter_map(|selector| labels_of(&selector.metric))
            .flat_map(|(labels, _)| labels)
            .chain(TARGET)
            .collect();
        for text in [&rule.summary, &rule.description] {
            if text.is_empty() {
                faults.push("it has no summary or no description".to_owned());
            }
            for label in text.split("$labels.").skip(1) {
                let label: String = label.chars().take_while(|c| is_name(*c)).collect();
                if !known.contains(label.as_str()) {
                    faults.push(format!("its text speaks of the label {label}"));
                }
            }
        }
        if !["critical", "warning"].contains(&rule.severity.as_str()) {
            faults.push(format!("severity {:?}", rule.severity));
        }
        if rule.wait.is_empty() {
            faults.push("it has no `for`".to_owned());
        }
        if !tests.contains(&format!("alertname=\"{}\"", rule.name)) {
            faults.push("alerts_test.yml does not test it".to_owned());
        }
        if !manual.contains(&format!("`{}`", rule.name)) {
            faults.push("docs/monitoring.md does not explain it".to_owned());
        }
        (format!("{} {}", rule.name, rule.severity), faults)
    });
    assert_no_faults(found.collect());
}

/// The dashboard.
fn dashboard() -> Value {
    serde_json::from_str(&read("config/grafana/pgusher.json")).expect("JSON")
}

/// The panels that are shown together: those outside, and those of each folded row.
fn groups(dashboard: &Value) -> Vec<&Vec<Value>> {
    let outer = dashboard["panels"].as_array().expect("panels");
    let folded = outer.iter().filter_map(|row| row["panels"].as_array());
    [outer].into_iter().chain(folded).collect()
}

/// All panels, by number and title.
fn panels(dashboard: &Value) -> Vec<(String, &Value)> {
    let name = |panel: &Value| format!("{} {}", panel["id"], text(panel, "title"));
    let all = groups(dashboard).into_iter().flatten();
    all.map(|panel| (name(panel), panel)).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn the_dashboard_names_what_exists() {
    let dashboard = dashboard();
    let mut found = Vec::new();
    for (name, panel) in panels(&dashboard) {
        let mut faulty = Vec::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = text(target, "expr");
            faulty.extend(faults(expr));
            let expression = Expression::read(expr);
            let labels: BTreeSet<&str> = expression
                .selectors
                .iter()
                .filter_map(|selector| labels_of(&selector.metric))
                .flat_map(|(labels, _)| labels)
                .chain(TARGET)
                .collect();
            for name in text(target, "legendFormat").split("{{").skip(1) {
                let name = name.split("}}").next().unwrap_or_default().trim();
                let kept = expression.grouping.is_empty()
                    || expression.grouping.iter().any(|label| label == name);
                if !labels.contains(name) || !kept {
                    faulty.push(format!("its legend speaks of {name}"));
                }
            }
        }
        found.push((name, faulty));
    }
    for marks in dashboard["annotations"]["list"].as_array().expect("marks") {
        if let Some(expr) = marks["expr"].as_str() {
            found.push((text(marks, "name").to_owned(), faults(expr)));
        }
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        if text(variable, "type") == "query" {
            let query = text(&variable["query"], "query");
            let inner = query.strip_prefix("label_values(").expect("label_values");
            let (metric, label) = inner
                .trim_end_matches(')')
                .rsplit_once(',')
                .expect("a label");
            let mut faulty = faults(metric);
            let series = Expression::read(metric).selectors.remove(0).metric;
            let (labels, _) = labels_of(&series).expect("a metric");
            if !labels.contains(&label.trim()) && !TARGET.contains(&label.trim()) {
                faulty.push(format!("{series} has no label {label}"));
            }
            found.push((format!("variable {}", text(variable, "name")), faulty));
        }
    }
    assert_no_faults(found);
}

/// What is missing in a panel.
fn gaps(panel: &Value) -> Vec<&'static str> {
    let mut gaps = Vec::new();
    if text(panel, "title").is_empty() {
        gaps.push("no title");
    }
    if text(panel, "type") == "row" {
        return gaps;
    }
    if text(panel, "description").is_empty() {
        gaps.push("no description");
    }
    if text(&panel["fieldConfig"]["defaults"], "unit").is_empty() {
        gaps.push("no unit");
    }
    let mut names = BTreeSet::new();
    for target in panel["targets"].as_array().expect("targets") {
        if !names.insert(text(target, "refId")) {
            gaps.push("two queries have one name");
        }
        if text(&target["datasource"], "uid") != "${datasource}" {
            gaps.push("a query has a data source of its own");
        }
    }
    gaps
}

#[test]
fn the_dashboard_is_complete() {
    let dashboard = dashboard();
    // It gets another one where it is imported.
    assert!(dashboard["id"].is_null());
    assert_eq!(text(&dashboard, "uid"), "pgusher");
    let all = panels(&dashboard);
    let ids: BTreeSet<_> = all.iter().map(|(_, it)| it["id"].as_u64()).collect();
    assert_eq!(ids.len(), all.len(), "two panels have one id");
    for (name, panel) in all {
        assert_eq!(gaps(panel), [""; 0], "{name}");
    }
}

#[test]
fn the_dashboards_variables_are_all_there_and_all_used() {
    let dashboard = dashboard();
    let mut used = BTreeSet::new();
    for part in dashboard["panels"].to_string().split('$').skip(1) {
        let part = part.trim_start_matches('{');
        let name: String = part.chars().take_while(|c| is_name(*c)).collect();
        // Grafana's own begin so.
        if !name.starts_with("__") {
            used.insert(name);
        }
    }
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let there = variables.iter().map(|it| text(it, "name").to_owned());
    assert_eq!(used, there.collect());
}

#[test]
fn the_dashboards_panels_lie_beside_each_other() {
    for group in groups(&dashboard()) {
        let mut places: Vec<(&str, [u64; 4])> = Vec::new();
        for panel in group {
            let title = text(panel, "title");
            let number = |key| panel["gridPos"][key].as_u64().expect("a place");
            let here = ["x", "y", "w", "h"].map(number);
            assert!(here[0] + here[2] <= 24, "{title}: beyond the right edge");
            for (other, there) in &places {
                let apart = |at: usize| {
                    here[at] + here[at + 2] <= there[at] || there[at] + there[at + 2] <= here[at]
                };
                assert!(apart(0) || apart(1), "{title} lies over {other}");
            }
            places.push((title, here));
        }
    }
}

#[test]
fn names_that_do_not_exist_are_found() {
    for (expression, fault) in [
        (
            "sum(rate(pgusher_transaction_total[5m]))",
            "no metric is called pgusher_transaction_total",
        ),
        (
            "pgusher_transactions_total{tenant=\"acme\"}",
            "pgusher_transactions_total has no label tenant",
        ),
        (
            "sum by (tier) (pgusher_pool_servers{state=\"idle\"})",
            "no metric in it has the label tier",
        ),
        (
            "pgusher_pool_servers{state=~\"idle|lazy\"}",
            "pgusher_pool_servers: state is never lazy",
        ),
        (
            "pgusher_refusals_total{kind=\"TenantMising\"}",
            "pgusher_refusals_total: kind is never TenantMising",
        ),
        (
            "pgusher_wait_duration_seconds > 1",
            "no metric is called pgusher_wait_duration_seconds",
        ),
        ("vector(1)", "no metric in it"),
    ] {
        assert!(
            faults(expression).contains(&fault.to_owned()),
            "{expression}: {fault}"
        );
    }
    let fine = "histogram_quantile(0.99, sum by (le, tier) (rate(pgusher_tier_wait_duration_seconds_bucket{tier=~\"$tier\"}[$__rate_interval]))) > bool 1 and on (job) up";
    assert_eq!(faults(fine), Vec::<String>::new());
}
