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

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use expression::{Expression, is_name};
use pgusher::{
    error::Kind,
    metrics::table::{ALL, Kind as Type},
};
use rules::Rule;
use serde_json::Value;

/// What Prometheus itself puts on every series.
const TARGET: [&str; 2] = ["job", "instance"];

/// Metrics that are not ours, and those of the process, which docs/metrics.md promises.
const FOREIGN: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
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
fn faults(text: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let expression = Expression::read(text);
    let mut faults = Vec::new();
    let mut known: BTreeSet<&str> = TARGET.into();
    if expression.selectors.is_empty() {
        faults.push("no metric in it".to_owned());
    }
    for selector in &expression.selectors {
        if recorded.contains(&selector.metric) {
            continue;
        }
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
        "class" => pgusher::meter::classes().any(|class| class == value),
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
fn assert_no_faults(faults: BTreeMap<String, Vec<String>>) {
    let faults: BTreeMap<_, _> = faults
        .into_iter()
        .filter(|(_, it)| !it.is_empty())
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn rules_name_what_exists() {
    let recording = recording();
    assert!(recording.len() > 3, "{recording:#?}");
    let none = BTreeSet::new();
    let found = alerts().into_iter().chain(recording).map(|rule| {
        let faults = faults(&rule.expr, &none);
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

/// All panels, those in folded rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = dashboard["panels"].as_array().expect("panels");
    let inside = |panel: &'_ Value| panel["panels"].as_array().is_some_and(|it| !it.is_empty());
    let mut all = Vec::new();
    for panel in outer {
        all.push(panel);
        if inside(panel) {
            all.extend(panel["panels"].as_array().into_iter().flatten());
        }
    }
    all
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn the_dashboard_names_what_exists() {
    let dashboard = dashboard();
    let mut found = BTreeMap::new();
    let none = BTreeSet::new();
    for panel in panels(&dashboard) {
        let mut faulty = Vec::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = text(target, "expr");
            faulty.extend(faults(expr, &none));
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
        found.insert(text(panel, "title").to_owned(), faulty);
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
            let mut faulty = faults(metric, &none);
            let series = Expression::read(metric).selectors.remove(0).metric;
            let (labels, _) = labels_of(&series).expect("a metric");
            if !labels.contains(&label.trim()) && !TARGET.contains(&label.trim()) {
                faulty.push(format!("{series} has no label {label}"));
            }
            found.insert(format!("variable {}", text(variable, "name")), faulty);
        }
    }
    assert_no_faults(found);
}

#[test]
fn the_dashboard_is_one_that_grafana_can_show() {
    let dashboard = dashboard();
    assert!(
        dashboard["id"].is_null(),
        "it has another one where it is imported"
    );
    assert_eq!(text(&dashboard, "uid"), "pgusher");
    let variables: BTreeSet<&str> = dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
        .iter()
        .map(|it| text(it, "name"))
        .collect();
    let panels = panels(&dashboard);
    let mut found = BTreeMap::new();
    let (mut ids, mut used) = (BTreeSet::new(), BTreeSet::new());
    let mut places: Vec<(&str, [u64; 4])> = Vec::new();
    for panel in &panels {
        let title = text(panel, "title");
        let mut faults = Vec::new();
        if title.is_empty() || !ids.insert(panel["id"].as_u64().expect("an id")) {
            faults.push("it has no title, or another one's id".to_owned());
        }
        let place =
            ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
        if place[0] + place[2] > 24 {
            faults.push("it is beyond the right edge".to_owned());
        }
        for (other, there) in &places {
            let apart = |at: usize| {
                place[at] + place[at + 2] <= there[at] || there[at] + there[at + 2] <= place[at]
            };
            if !apart(0) && !apart(1) {
                faults.push(format!("it lies over {other:?}"));
            }
        }
        places.push((title, place));
        if text(panel, "type") != "row" {
            if text(panel, "description").is_empty() {
                faults.push("no description".to_owned());
            }
            if text(&panel["fieldConfig"]["defaults"], "unit").is_empty() {
                faults.push("no unit".to_owned());
            }
            let targets = panel["targets"].as_array().expect("targets");
            let mut names = BTreeSet::new();
            for target in targets {
                if !names.insert(text(target, "refId")) {
                    faults.push("two queries have one name".to_owned());
                }
                if text(&target["datasource"], "uid") != "${datasource}" {
                    faults.push("a query has its own data source".to_owned());
                }
            }
        }
        for part in panel.to_string().split('$').skip(1) {
            let part = part.trim_start_matches('{');
            let name: String = part.chars().take_while(|c| is_name(*c)).collect();
            if variables.contains(name.as_str()) {
                used.insert(name);
            } else if !name.starts_with("__") {
                faults.push(format!("there is no variable {name}"));
            }
        }
        found.insert(title.to_owned(), faults);
    }
    assert_no_faults(found);
    assert_eq!(used, variables.iter().map(|it| (*it).to_owned()).collect());
}

#[test]
fn names_that_do_not_exist_are_found() {
    let none = BTreeSet::new();
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
            faults(expression, &none).contains(&fault.to_owned()),
            "{expression}: {fault}"
        );
    }
    let fine = "histogram_quantile(0.99, sum by (le, tier) (rate(pgusher_tier_wait_duration_seconds_bucket{tier=~\"$tier\"}[$__rate_interval]))) > bool 1 and on (job) up";
    assert_eq!(faults(fine, &none), Vec::<String>::new());
}
