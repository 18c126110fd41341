//! What is typed and what is left out, and what it becomes.

use super::*;
use crate::config::file;
use crate::config::problems::Problems;
use crate::config::schema::{self, Absent, Section, Shape};
use crate::config::settings::{AuthMethod, LogFormat, PoolMode, ServerReset, Timeouts};

#[test]
fn what_is_left_out_has_its_default() {
    let config = parse(APP).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(
        config.listen.addresses,
        [Address::Tcp("127.0.0.1".to_owned(), 6432)]
    );
    assert_eq!(
        (config.listen.max_clients, config.listen.max_handshakes),
        (10_000, 1000)
    );
    assert_eq!(
        config.listen.client_login_timeout,
        Some(Duration::from_secs(15))
    );
    assert_eq!(config.auth, AuthMethod::Scram);
    assert!(config.http.is_none());
    let log = &config.log;
    assert_eq!((log.level.as_str(), log.format), ("info", LogFormat::Text));
    assert_eq!(
        (log.connections, log.audit, &log.audit_file),
        (true, true, &None)
    );
    assert_eq!(
        (log.slow_after, log.slow_statements),
        (Some(Duration::from_secs(1)), false)
    );
    assert_eq!(config.traces, None);
    assert!(config.runtime.workers >= 1);
    let app = &config.databases["app"];
    assert_eq!(app.upstream.address, Address::Tcp("db".to_owned(), 5432));
    assert_eq!(
        (app.pool_mode, app.server_reset),
        (PoolMode::Transaction, ServerReset::Dirty)
    );
    assert_eq!((app.max_db_connections, app.max_clients), (None, None));
    let pool = &app.pool;
    assert_eq!(
        (pool.pool_size, pool.min_pool_size, pool.reserve_pool_size),
        (20, 0, 0)
    );
    assert_eq!(pool.reserve_pool_timeout, Duration::from_secs(5));
    assert_eq!((pool.max_waiting, pool.max_connecting), (10_000, 4));
    let secs = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(
        app.timeouts,
        Timeouts {
            query_wait_timeout: secs(120),
            query_timeout: None,
            idle_transaction_timeout: None,
            transaction_timeout: None,
            client_idle_timeout: None,
            pin_timeout: None,
            server_connect_timeout: secs(15),
            server_idle_timeout: secs(600),
            server_lifetime: secs(3600),
            cancel_wait_timeout: secs(10),
            server_outage_timeout: secs(15),
        }
    );
}

#[test]
fn what_is_given_goes_before_the_default() {
    let config = parse(
        r#"
        [listen]
        address = ["0.0.0.0:6432", "[::1]:6433", "/run/.s.PGSQL.6432", "unix:sock"]
        max_clients = 50
        [auth]
        method = "md5"
        [timeouts]
        query_timeout = "1m"
        server_lifetime = 0
        client_login_timeout = "off"
        [runtime]
        workers = 3
        [databases."*"]
        url = { env = "APP_URL" }
        pool_mode = "session"
        server_reset = "always"
        query_timeout = "5s"
        max_clients = 7
        max_db_connections = 30
        reserve_pool_size = 3
        [databases.b]
        url = "postgres://db?connect_timeout=3"
        query_timeout = "off"
        max_waiting = 9
        reserve_pool_size = 3
        reserve_pool_timeout = "off"
        [databases.c]
        url = "postgres://db?connect_timeout=3"
        server_connect_timeout = "4s"
        [users.app]
        password = "p"
        pool_size = 2
        pool_mode = "session"
        max_clients = 5
        "#,
    )
    .unwrap();
    let shown: Vec<String> = config
        .listen
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        ["0.0.0.0:6432", "[::1]:6433", "/run/.s.PGSQL.6432", "sock"]
    );
    assert_eq!((config.auth, config.runtime.workers), (AuthMethod::Md5, 3));
    assert_eq!(config.listen.client_login_timeout, None);
    let (any, b, c) = (
        &config.databases["*"],
        &config.databases["b"],
        &config.databases["c"],
    );
    assert_eq!(any.upstream.address, Address::Tcp("db".to_owned(), 6000));
    assert_eq!(
        (any.pool_mode, any.server_reset),
        (PoolMode::Session, ServerReset::Always)
    );
    assert_eq!(
        (any.max_clients, any.max_db_connections),
        (Some(7), Some(30))
    );
    assert_eq!((any.pool.max_waiting, any.pool.reserve_pool_size), (50, 3));
    assert_eq!(any.timeouts.query_timeout, Some(Duration::from_secs(5)));
    assert_eq!(any.timeouts.server_lifetime, None);
    // G4: off beats the number that it overrides
    assert_eq!(
        (b.timeouts.query_timeout, b.pool.reserve_pool_size),
        (None, 0)
    );
    assert_eq!(
        (b.upstream.user.as_deref(), b.upstream.database.as_deref()),
        (None, None)
    );
    assert_eq!(b.pool.max_waiting, 9);
    assert_eq!(
        b.timeouts.server_connect_timeout,
        Some(Duration::from_secs(3))
    );
    assert_eq!(
        c.timeouts.server_connect_timeout,
        Some(Duration::from_secs(4))
    );
    let app = &config.users["app"];
    assert_eq!((app.pool_size, app.max_clients), (Some(2), Some(5)));
    assert_eq!(app.pool_mode, Some(PoolMode::Session));
}

/// What the reference calls the default is what holds when nothing is typed.
#[test]
fn shown_defaults_are_the_defaults() {
    fn check<T: Section + std::fmt::Debug>() {
        let value = |key: &schema::Key| match (&key.shape, &key.absent) {
            (Shape::Value(_), Absent::Default(value)) => Some(format!("{} = {value}\n", key.name)),
            _ => None,
        };
        let text: String = T::keys().iter().filter_map(value).collect();
        let mut problems = Problems::new(&text);
        let table = toml::de::DeTable::parse(&text).unwrap();
        let read: T = schema::read_table(table.get_ref(), "x", &mut problems);
        assert_eq!(format!("{read:?}"), format!("{:?}", T::default()));
        assert_eq!(problems.finish(Path::new("")), Ok(Vec::new()));
    }
    check::<file::Listen>();
    check::<file::Auth>();
    check::<file::Database>();
    check::<file::User>();
    check::<file::Timeouts>();
    check::<file::Log>();
    check::<file::Http>();
    check::<file::Console>();
    check::<file::Metrics>();
    check::<file::Tenant>();
    check::<file::Limits>();
    check::<file::TenantsQuery>();
    check::<super::super::auth_query::AuthQuery>();
    check::<super::super::abuse::Failures>();
    check::<file::Proxy>();
}

#[test]
fn the_log_is_configured() {
    let text = format!(
        "{APP}[log]\nconnections = false\nslow_after = \"off\"\nslow_statements = true\naudit_file = \"audit.jsonl\""
    );
    let env = |_: &str| None;
    let config = Config::parse(&text, Path::new("/etc/pgusher/it.toml"), &env).unwrap();
    assert_eq!(
        config.log,
        Log {
            level: "info".to_owned(),
            format: LogFormat::Text,
            connections: false,
            slow_after: None,
            slow_statements: true,
            audit: true,
            audit_file: Some("/etc/pgusher/audit.jsonl".into()),
        }
    );
    let text = format!("{APP}[log]\naudit = false\naudit_file = \"/x\"");
    let [warning] = parse(&text).unwrap().warnings.try_into().unwrap();
    assert!(
        warning.ends_with("audit_file in [log] has no use with audit = false"),
        "{warning}"
    );
}

#[test]
#[cfg(not(feature = "traces"))]
fn traces_that_are_not_built_in_are_refused() {
    let text = format!("{APP}[traces]\nendpoint = \"http://c:4318\"");
    let [error] = errors(&text).try_into().unwrap();
    assert!(error.contains("built with the feature `traces`"), "{error}");
}

#[test]
#[cfg(feature = "traces")]
fn traces_are_configured() {
    let config = parse(&format!(
        "{APP}[traces]\nendpoint = \"http://c:4318\"\nsample = 1"
    ))
    .unwrap();
    let traces = config.traces.unwrap();
    assert_eq!(traces.endpoint.to_string(), "http://c:4318/v1/traces");
    assert_eq!(
        (traces.sample.0, traces.service_name.as_str()),
        (1.0, "pgusher")
    );
    for (typed, error) in [
        ("sample = 0.5", "[traces] needs an endpoint"),
        (
            "endpoint = \"http://c\"\nsample = 1.5",
            "sample in [traces] must be a number from 0 to 1",
        ),
        (
            "endpoint = \"https://c\"",
            "endpoint in [traces] must begin with http://: https is not available",
        ),
    ] {
        let errors = errors(&format!("{APP}[traces]\n{typed}"));
        assert!(errors.iter().any(|it| it.contains(error)), "{errors:?}");
    }
}
