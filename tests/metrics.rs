//! `/metrics`: what is counted is what was done, and nothing that pgusher does for itself.

#![allow(clippy::expect_used, reason = "a test fails by failing")]

mod support;

use support::{Line, Pgusher, Raw, Version, eventually, postgres, postgres::PASSWORD};

const TENANTS: &str = r#"
[http]
address = "127.0.0.1:0"

[metrics]
max_tenants = 2

[tenant]
setting = "app.tenant_id"
sources = ["startup", "comment"]
required = false
"#;

/// A page, read line by line.
struct Page(String);

impl Page {
    fn of(pgusher: &Pgusher, accept: &str) -> Self {
        let headers = format!("Host: x\r\nAccept: {accept}\r\n");
        let (code, head, body) = pgusher.get("/metrics", &headers);
        assert_eq!(code, 200, "{head}");
        Self(body)
    }

    fn plain(pgusher: &Pgusher) -> Self {
        Self::of(pgusher, "text/plain")
    }

    /// The value of a series, written as it stands there.
    fn get(&self, series: &str) -> Option<f64> {
        let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(of)
    }

    #[track_caller]
    fn is(&self, series: &str, value: f64) {
        assert_eq!(self.get(series), Some(value), "{series} in\n{}", self.0);
    }
}

/// A pool's series of this metric.
fn series(metric: &str, database: &str, more: &str) -> String {
    format!("pgusher_{metric}{{database=\"{database}\",user=\"app\"{more}}}")
}

fn both(test: impl Fn(&Pgusher, &str)) {
    for version in [Version::V15, Version::V18] {
        let server = postgres(version);
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).config(TENANTS).start();
        test(&pgusher, &database.name);
    }
}

// J15: the tenant's context, settings and cleanings are no queries of anybody's.
#[test]
fn what_was_done_is_what_was_counted() {
    both(|pgusher, database| {
        let mut client = Raw::login(pgusher.port(), "app", "secret", database);
        client.rows("SELECT 1");
        client.rows("/* tenant_id='acme' */ SELECT 2");
        client.rows("BEGIN");
        client.rows("SELECT 3");
        client.rows("COMMIT");
        client.send(&support::message::query("SELECT nothing FROM nowhere"));
        client.until_ready();
        // The client has its answer a moment before its server connection is back.
        let idle = series("pool_servers", database, ",state=\"idle\"");
        eventually("the server connection is back", || {
            Page::plain(pgusher).get(&idle) == Some(1.0)
        });
        let page = Page::plain(pgusher);
        page.is(&series("transactions_total", database, ""), 4.0);
        page.is(&series("queries_total", database, ""), 6.0);
        page.is(&series("injections_total", database, ""), 1.0);
        page.is(&series("errors_total", database, ",class=\"42\""), 1.0);
        page.is(
            &series("transaction_duration_seconds_count", database, ""),
            4.0,
        );
        page.is(&series("wait_duration_seconds_count", database, ""), 4.0);
        page.is(&series("login_duration_seconds_count", database, ""), 1.0);
        page.is(
            &series("server_connect_duration_seconds_count", database, ""),
            1.0,
        );
        page.is(&series("pool_clients", database, ",state=\"idle\""), 1.0);
        page.is(&series("pool_servers", database, ",state=\"idle\""), 1.0);
        // Whoever is shown by now, the sum is the whole.
        let of_all = page.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_one = series.starts_with("pgusher_tenant_transactions_total{");
            is_one.then(|| value.parse::<f64>().ok())?
        });
        assert_eq!(of_all.sum::<f64>(), 4.0, "{}", page.0);
    });
}

#[test]
fn who_works_and_who_waits_is_seen_at_once() {
    let server = postgres(Version::V18);
    let database = server.fresh_database();
    let database = &*database.name;
    let pgusher = Pgusher::in_front_of(server)
        .config(TENANTS)
        .pool_size(1)
        .start();
    let mut works = Raw::login(pgusher.port(), "app", "secret", database);
    let mut waits = Raw::login(pgusher.port(), "app", "secret", database);
    works.rows("BEGIN");
    waits.send(&support::message::query("SELECT 1"));
    let clients = |state: &str| series("pool_clients", database, &format!(",state=\"{state}\""));
    eventually("the other waits", || {
        Page::plain(&pgusher).get(&clients("waiting")) == Some(1.0)
    });
    let page = Page::plain(&pgusher);
    page.is(&clients("active"), 1.0);
    page.is(&clients("idle"), 0.0);
    page.is("pgusher_clients{state=\"waiting\"}", 1.0);
    page.is("pgusher_clients{state=\"active\"}", 1.0);
    page.is("pgusher_tenant_waiting{kind=\"user\",tenant=\"app\"}", 1.0);
    page.is("pgusher_tenant_servers{kind=\"user\",tenant=\"app\"}", 1.0);
    let oldest = series("pool_oldest_wait_seconds", database, "");
    assert!(
        page.get(&oldest).is_some_and(|waited| waited > 0.0),
        "{}",
        page.0
    );
    works.rows("COMMIT");
    waits.until_ready();
    eventually("both are idle", || {
        Page::plain(&pgusher).get(&clients("idle")) == Some(2.0)
    });
    let page = Page::plain(&pgusher);
    page.is(&clients("waiting"), 0.0);
    page.is(&oldest, 0.0);
    let waited = series("wait_duration_seconds_sum", database, "");
    assert!(
        page.get(&waited).is_some_and(|waited| waited > 0.0),
        "{}",
        page.0
    );
}

#[test]
fn pins_refusals_and_statements_are_counted() {
    both(|pgusher, database| {
        let mut client = Raw::login(pgusher.port(), "app", "secret", database);
        client.rows("LISTEN here");
        let page = Page::plain(pgusher);
        page.is(&series("pool_servers_pinned", database, ""), 1.0);
        page.is(&series("pool_servers", database, ",state=\"active\""), 1.0);
        client.rows("UNLISTEN *");
        eventually("it is given back", || {
            Page::plain(pgusher).get(&series("pool_servers_pinned", database, "")) == Some(0.0)
        });
        let unknown = Raw::try_login(pgusher.port(), "app", "secret", "nowhere");
        assert!(unknown.is_err());
        page_is_told(pgusher, "ServerUnavailable", "08001", "database");
    });
}

fn page_is_told(pgusher: &Pgusher, kind: &str, code: &str, blame: &str) {
    let series =
        format!("pgusher_refusals_total{{kind=\"{kind}\",code=\"{code}\",blame=\"{blame}\"}}");
    eventually("it was told", || {
        Page::plain(pgusher).get(&series) == Some(1.0)
    });
}

// J12
#[test]
fn only_so_many_tenants_have_series() {
    let server = postgres(Version::V18);
    let database = server.fresh_database();
    let database = &*database.name;
    let pgusher = Pgusher::in_front_of(server).config(TENANTS).start();
    let mut client = Raw::login(pgusher.port(), "app", "secret", database);
    for nth in 0..5 {
        client.rows(&format!("/* tenant_id='t{nth}' */ SELECT 1"));
    }
    let of = |page: &Page, kind: &str, tenant: &str| {
        let labels = format!("{{kind=\"{kind}\",tenant=\"{tenant}\"}}");
        page.get(&format!("pgusher_tenant_transactions_total{labels}"))
    };
    eventually("the one that works is among those that are shown", || {
        client.rows("/* tenant_id='t3' */ SELECT 1");
        let page = Page::plain(&pgusher);
        let shown = page
            .0
            .matches("pgusher_tenant_transactions_total{kind=\"tenant\"");
        assert_eq!(shown.count(), 2, "{}", page.0);
        page.is("pgusher_tenants_shown", 2.0);
        page.is("pgusher_tenants_known", 6.0);
        of(&page, "tenant", "t3") > Some(0.0) && of(&page, "other", "_other") >= Some(5.0)
    });
}

#[test]
fn both_formats_say_the_same() {
    both(|pgusher, database| {
        let mut client = Raw::login(pgusher.port(), "app", "secret", database);
        client.rows("SELECT 1");
        let plain = Page::plain(pgusher);
        let open = Page::of(pgusher, "application/openmetrics-text; version=1.0.0");
        assert!(open.0.ends_with("# EOF\n"));
        for metric in ["transactions_total", "queries_total", "binds_total"] {
            let series = series(metric, database, "");
            assert_eq!(plain.get(&series), open.get(&series), "{series}");
        }
        assert!(open.0.contains("# TYPE pgusher_transactions counter"));
        assert!(
            plain
                .0
                .contains("# TYPE pgusher_transactions_total counter")
        );
    });
}

#[test]
fn what_became_of_a_changed_configuration_is_seen() {
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .config(TENANTS)
        .start();
    let read_at = "pgusher_config_last_reload_success_timestamp_seconds";
    let reloads = |page: &Page, success: f64, failure: f64, worked: f64| {
        page.is("pgusher_config_reloads_total{result=\"success\"}", success);
        page.is("pgusher_config_reloads_total{result=\"failure\"}", failure);
        page.is("pgusher_config_last_reload_successful", worked);
        page.get(read_at).expect("a time")
    };
    let page = Page::plain(&pgusher);
    let started = page.get("process_start_time_seconds").expect("a time");
    let first = reloads(&page, 0.0, 0.0, 1.0);
    assert!(
        (started - 1.0..started + 60.0).contains(&first),
        "{}",
        page.0
    );
    let right = pgusher.config();
    let reload = |config: &str, seen: &str| {
        pgusher.write_config(config);
        pgusher.signal("HUP");
        eventually("it was tried", || Page::plain(&pgusher).0.contains(seen));
        Page::plain(&pgusher)
    };
    // A mistake leaves the old one, which does not become younger.
    let page = reload("[listen", "{result=\"failure\"} 1\n");
    assert_eq!(reloads(&page, 0.0, 1.0, 0.0), first);
    let page = reload(&right, "{result=\"success\"} 1\n");
    assert!(reloads(&page, 1.0, 1.0, 1.0) >= first);
}

// J7: what was mended is seen without a restart.
#[test]
fn findings_are_looked_for_again_after_a_reconnect() {
    let server = postgres(Version::V18);
    let database = server.fresh_database();
    let name = &*database.name;
    database
        .sql("CREATE TABLE orders (tenant_id text); ALTER TABLE orders ENABLE ROW LEVEL SECURITY");
    let role = format!("above_{name}");
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'secret' BYPASSRLS"
    ));
    let pgusher = Pgusher::in_front_of(server)
        .upstream_user(&role, "secret")
        .config(TENANTS)
        .config("[console]\nadmin_users = [\"app\"]\n")
        .start();
    let mut client = Raw::login(pgusher.port(), "app", "secret", name);
    client.rows("/* tenant_id='acme' */ SELECT 1");
    let series =
        format!("pgusher_pool_row_security_findings{{database=\"{name}\",user=\"{role}\"}}");
    Page::plain(&pgusher).is(&series, 1.0);
    database.sql(&format!("ALTER ROLE {role} NOBYPASSRLS"));
    let mut console = Raw::login(pgusher.port(), "app", "secret", "pgusher");
    console.rows("RECONNECT");
    eventually("it is looked at again", || {
        client.rows("/* tenant_id='acme' */ SELECT 1");
        Page::plain(&pgusher).get(&series) == Some(0.0)
    });
    drop((client, pgusher));
    database.sql(&format!("DROP ROLE {role}"));
}

/// Who cannot be asked is seen before somebody complains: tenants, users and keys.
#[test]
fn lookups_that_fail() {
    let server = postgres(Version::V18);
    let database = server.fresh_database();
    let database = &*database.name;
    let line = Line::to(server.port());
    line.refuse();
    let url = format!(
        "postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable",
        line.port()
    );
    let asking = format!(
        "[auth.query]\nurl = \"{url}\"\n\
         [tenants_query]\nurl = \"{url}\"\nquery = \"SELECT 'default' AS tier WHERE $1 <> ''\"\n"
    );
    let pgusher = Pgusher::in_front_of(server)
        .auth("scram-sha-256")
        .config(TENANTS)
        .config(&asking)
        .start();
    let failing = |source: &str| format!("pgusher_lookup_failing{{source=\"{source}\"}}");
    let failed = |source: &str| format!("pgusher_lookups_failed_total{{source=\"{source}\"}}");
    let page = Page::plain(&pgusher);
    for source in ["auth.query", "tenants_query"] {
        page.is(&failing(source), 0.0);
        page.is(&failed(source), 0.0);
    }
    assert_eq!(page.get(&failing("auth.jwt")), None);
    let ask = |user| {
        let mut raw = Raw::connect(pgusher.port());
        raw.startup(&[
            ("user", user),
            ("database", database),
            ("app.tenant_id", "acme"),
        ]);
        raw.authenticate(user, PASSWORD)
    };
    ask("app").expect_err("its tenant is unknown");
    ask("postgres").expect_err("it is unknown");
    let page = Page::plain(&pgusher);
    for source in ["auth.query", "tenants_query"] {
        page.is(&failing(source), 1.0);
        assert!(page.get(&failed(source)) >= Some(1.0), "{}", page.0);
    }
    line.accept();
    eventually("all can be asked", || {
        let _ = (ask("app"), ask("postgres"));
        let page = Page::plain(&pgusher);
        ["auth.query", "tenants_query"]
            .iter()
            .all(|source| page.get(&failing(source)) == Some(0.0))
    });

    let issuer = "[auth.jwt]\nkeys_url = \"http://127.0.0.1:1/\"\nissuer = \"us\"\naudience = \"it\"\n\
                  user_claim = \"sub\"\nallow_plaintext = true\n";
    let pgusher = Pgusher::in_front_of(server)
        .auth("jwt")
        .config(issuer)
        .config("[http]\naddress = \"127.0.0.1:0\"")
        .start();
    eventually("the issuer was asked", || {
        Page::plain(&pgusher).get(&failed("auth.jwt")) >= Some(1.0)
    });
    Page::plain(&pgusher).is(&failing("auth.jwt"), 1.0);
}
