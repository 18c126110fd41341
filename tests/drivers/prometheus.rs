//! Prometheus's own tools and a real Prometheus: the rules of config/prometheus, the page that is scraped, the
//! queries of config/grafana/pgusher.json.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use pgusher::metrics::table::{ALL, Kind, Metric};
use serde_json::Value;

use crate::{
    here, node, python,
    support::{
        Pgusher, Postgres, Raw, Version, message::query, postgres::free_port, temp::TempDir,
    },
};

const SETTINGS: &str = "
    [http]
    address = \"127.0.0.1:0\"
    [tenant]
    setting = \"app.tenant_id\"
    sources = [\"comment\"]
    required = false
    [timeouts]
    server_outage_timeout = \"100ms\"";

/// A database's name, which has all that means something in a label.
const HOSTILE: &str = "a \"b\" \\n \n {c=\"d\"} # 人";

/// Beyond this nobody waits for anything.
const DEADLINE: Duration = Duration::from_secs(90);

fn tool(name: &str) -> Command {
    let cached = here(".cache/drivers/prometheus/usr/bin").join(name);
    match cached.exists() {
        true => Command::new(cached),
        false => Command::new(name),
    }
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}:\n{said}");
}

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => {
                assert!(Instant::now() < deadline, "not {what}: {instead}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// The body of an answer, whatever its status.
fn get(port: u16, path: &str, accept: &str) -> Result<String, String> {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        // Of an older version, so that the body comes as it is.
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    let text = ask().map_err(|error: std::io::Error| error.to_string())?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok(body.to_owned())
}

fn pgusher_before(pg: &Postgres) -> Pgusher {
    Pgusher::in_front_of(pg)
        .pool_size(2)
        .log_level("info")
        .config(SETTINGS)
        .start()
}

/// A little of everything.
fn some_of_everything(client: &mut Raw) {
    client.ask(&query("/* tenant_id='acme' */ SELECT 1"));
    client.ask(&query("SELECT 1 / 0"));
    client.ask(&query("SELECT * FROM nowhere"));
    client.ask(&query("CREATE TEMP TABLE pinned (n int)"));
}

#[test]
#[ignore = "needs Prometheus: make drivers"]
fn rules_are_right_and_tested() {
    let mut check = tool("promtool");
    check.current_dir(here("config/prometheus"));
    succeeds(check.args(["check", "config", "prometheus.yml"]));
    let mut test = tool("promtool");
    test.current_dir(here("config/prometheus"));
    succeeds(test.args(["test", "rules", "alerts_test.yml"]));
}

#[test]
#[ignore = "needs Prometheus: make drivers"]
fn the_dashboard_has_the_types_that_grafana_publishes() {
    succeeds(node("prometheus_dashboard.js").current_dir(here("")));
}

#[test]
#[ignore = "needs Prometheus: make drivers"]
fn both_pages_are_well_formed_and_say_the_same() {
    for version in [Version::V15, Version::V18] {
        let pg = crate::support::postgres(version);
        pg.sql(&format!(
            "CREATE DATABASE \"{}\"",
            HOSTILE.replace('"', "\"\"")
        ));
        let pgusher = pgusher_before(pg);
        some_of_everything(&mut pgusher.raw(HOSTILE));
        let port = pgusher.http_port();
        let page = get(port, "/metrics", "text/plain").unwrap();
        let home = TempDir::new();
        let file = home.path().join("page");
        fs::write(&file, page).unwrap();
        let mut lint = tool("promtool");
        lint.args(["check", "metrics"]);
        succeeds(lint.stdin(File::open(file).unwrap()));
        let url = format!("http://127.0.0.1:{port}/metrics");
        let mut strict = python("prometheus_page.py");
        succeeds(strict.env("METRICS_URL", url).env("HOSTILE_NAME", HOSTILE));
        drop(pgusher);
        let name = HOSTILE.replace('"', "\"\"");
        pg.sql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
}

/// A Prometheus that scrapes one pgusher.
struct Prometheus {
    process: Child,
    port: u16,
    home: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.home.path().join("log"));
            println!("--- Prometheus said:\n{}", log.unwrap_or_default());
        }
    }
}

impl Prometheus {
    /// With the rules as they are, but with other times: what takes minutes would take seconds.
    fn start(target: u16) -> Self {
        let home = TempDir::new();
        for name in ["alerts.yml", "recording.yml"] {
            let text = fs::read_to_string(here("config/prometheus").join(name)).unwrap();
            fs::write(home.path().join(name), hurried(&text)).unwrap();
        }
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [alerts.yml, recording.yml]\n\
             scrape_configs:\n\
             - job_name: pgusher\n\
             \x20 static_configs: [{{ targets: ['127.0.0.1:{target}'] }}]\n"
        );
        fs::write(home.path().join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let log = File::create(home.path().join("log")).unwrap();
        let process = tool("prometheus")
            .current_dir(home.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self {
            process,
            port,
            home,
        };
        until("ready", || {
            let said = get(port, "/-/ready", "*/*")?;
            said.contains("is Ready").then_some(()).ok_or(said)
        });
        prometheus
    }

    /// `data` of an answer.
    fn api(&self, path: &str) -> Result<Value, String> {
        let body = get(self.port, &format!("/api/v1/{path}"), "*/*")?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match answer["status"] == "success" {
            true => Ok(answer["data"].clone()),
            false => Err(body),
        }
    }

    /// The samples that an expression has now.
    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let mut path = "query?query=".to_owned();
        for byte in expression.bytes() {
            path += &format!("%{byte:02X}");
        }
        let answer = self.api(&path)?;
        let samples = answer["result"].as_array().cloned();
        samples.ok_or_else(|| answer.to_string())
    }

    /// The one number that it has now.
    fn number(&self, expression: &str) -> Result<f64, String> {
        let samples = self.query(expression)?;
        let value = samples.first().and_then(|it| it["value"][1].as_str());
        let value = value.and_then(|text| text.parse().ok());
        value.ok_or_else(|| format!("{expression} is {samples:?}"))
    }

    #[track_caller]
    fn until(&self, expression: &str, holds: impl Fn(f64) -> bool) -> f64 {
        until(expression, || {
            let number = self.number(expression)?;
            holds(number)
                .then_some(number)
                .ok_or_else(|| number.to_string())
        })
    }

    /// `pending`, `firing`, or nothing.
    fn state_of(&self, alert: &str) -> Result<Option<String>, String> {
        let answer = self.api("alerts")?;
        let alerts = answer["alerts"].as_array().ok_or("no alerts")?;
        let mine = alerts.iter().find(|it| it["labels"]["alertname"] == alert);
        Ok(mine.and_then(|it| it["state"].as_str().map(str::to_owned)))
    }

    #[track_caller]
    fn until_state(&self, alert: &str, wanted: Option<&str>) {
        until(&format!("{alert} {wanted:?}"), || {
            let state = self.state_of(alert)?;
            let reached = state.as_deref() == wanted;
            reached.then_some(()).ok_or_else(|| format!("{state:?}"))
        });
    }

    /// All rules, once each of them has been evaluated.
    fn rules(&self) -> Vec<Value> {
        until("all rules evaluated", || {
            let answer = self.api("rules")?;
            let groups = answer["groups"].as_array().ok_or("no groups")?;
            let rules = groups.iter().filter_map(|it| it["rules"].as_array());
            let rules: Vec<Value> = rules.flatten().cloned().collect();
            let waits = rules.iter().find(|it| it["health"] == "unknown");
            match waits {
                Some(rule) => Err(rule.to_string()),
                None => Ok(rules),
            }
        })
    }
}

/// Rules whose `for` and ranges are seconds where they are minutes.
fn hurried(rules: &str) -> String {
    let mut text = rules.to_owned();
    for minutes in [1, 2, 5, 10, 15, 30] {
        text = text.replace(&format!("for: {minutes}m"), "for: 2s");
        // A rate needs two scrapes in its range, also where the machine is slow.
        text = text.replace(&format!("[{minutes}m]"), "[15s]");
        text = text.replace(&format!("offset {minutes}m"), "offset 15s");
    }
    text
}

/// All queries of the dashboard as Grafana sends them when everything is chosen.
fn dashboard_queries() -> Vec<String> {
    let text = fs::read_to_string(here("config/grafana/pgusher.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let (mut found, mut left) = (Vec::new(), vec![dashboard]);
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(expression)) = fields.get("expr") {
                    let mut expression = expression.replace("$__rate_interval", "15s");
                    for variable in ["$instance", "$database", "$user", "$tenant"] {
                        expression = expression.replace(variable, ".*");
                    }
                    found.push(expression);
                }
                left.extend(fields.into_iter().map(|(_, value)| value));
            }
            Value::Array(values) => left.extend(values),
            _ => {}
        }
    }
    found
}

#[test]
#[ignore = "needs Prometheus: make drivers"]
fn a_prometheus_scrapes_and_its_alerts_fire() {
    let pg = Postgres::own(Version::V15);
    let database = pg.fresh_database();
    let pgusher = pgusher_before(&pg);
    let prometheus = Prometheus::start(pgusher.http_port());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = pgusher.raw(&database.name);
            let mut other = pgusher.raw(&database.name);
            some_of_everything(&mut other);
            while !over.load(Ordering::Relaxed) {
                // They go on through the outage: an error is an answer, too.
                client.ask(&query("SELECT 1"));
                client.ask(&query("SELECT 1 / 0"));
            }
        });
        let _end = Over(&over);
        look(&prometheus, &pg);
    });
}

/// Ends the load, also when the test has failed: nothing would end otherwise.
struct Over<'test>(&'test AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn look(prometheus: &Prometheus, pg: &Postgres) {
    prometheus.until("up{job=\"pgusher\"}", |up| up == 1.0);
    prometheus.until("sum(rate(pgusher_transactions_total[15s]))", |rate| {
        rate > 0.0
    });
    let targets = prometheus.api("targets").unwrap();
    let target = &targets["activeTargets"][0];
    assert_eq!(target["health"], "up", "{target}");
    assert_eq!(target["lastError"], "", "{target}");

    let names = prometheus
        .query("count by (__name__) ({job=\"pgusher\"})")
        .unwrap();
    let names: Vec<&str> = names
        .iter()
        .filter_map(|it| it["metric"]["__name__"].as_str())
        .collect();
    let always = |it: &&&Metric| !it.about.contains("Only with ");
    for metric in ALL.iter().filter(always) {
        let histogram = metric.kind == Kind::Histogram;
        let series = format!("{}{}", metric.name, if histogram { "_bucket" } else { "" });
        assert!(
            names.contains(&&*series),
            "{series} is not scraped: {names:?}"
        );
    }
    for name in [
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(names.contains(&name), "{name} is not scraped");
    }

    let rules = prometheus.rules();
    let kinds = |kind: &str| rules.iter().filter(|it| it["type"] == kind).count();
    assert!(
        kinds("alerting") > 20 && kinds("recording") > 3,
        "{rules:#?}"
    );
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    assert_eq!(prometheus.state_of("PgusherServerUnreachable"), Ok(None));
    assert_eq!(prometheus.state_of("PgusherDown"), Ok(None));

    // Its database has no policies at all.
    prometheus.until_state("PgusherRowSecurity", Some("firing"));

    let mut empty = Vec::new();
    for expression in dashboard_queries() {
        let samples = prometheus.query(&expression).unwrap();
        // What is only shown while it is not 0 may be nothing.
        if samples.is_empty() && !expression.ends_with("> 0") && !expression.ends_with("== 0") {
            empty.push(expression);
        }
    }
    assert_eq!(empty, [""; 0], "these panels would be empty");
    let scrape = prometheus
        .number("max_over_time(scrape_duration_seconds[1m])")
        .unwrap();
    let samples = prometheus.number("scrape_samples_scraped").unwrap();
    println!(
        "the longest scrape of {samples} samples took {:.1} ms",
        scrape * 1e3
    );

    pg.stop_fast();
    prometheus.until_state("PgusherServerUnreachable", Some("firing"));
    assert_eq!(prometheus.number("max(pgusher_pool_failing)"), Ok(1.0));
    prometheus.until_state("PgusherRequestsFail", Some("firing"));
    pg.restart();
    prometheus.until_state("PgusherServerUnreachable", None);
    prometheus.until_state("PgusherRequestsFail", None);
    assert_eq!(prometheus.state_of("PgusherDown"), Ok(None));
}
