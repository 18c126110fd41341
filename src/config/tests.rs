//! The configuration as a whole: every mistake with its exact words, and no secret in any of them.

use std::{path::Path, time::Duration};

use super::schema::{Absent, Section, Shape};
use super::settings::{Address, AuthMethod, PoolMode, ServerReset, Timeouts};
use super::{Config, file, problems::Problems, schema};

/// A database that nothing is wrong with, for tests about something else.
const APP: &str =
    "[databases.app]\nurl = \"postgres://u:p@db/app\"\n[users.app]\npassword = \"p\"\n";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let env = |name: &str| match name {
        "APP_URL" => Some("postgres://u:p@db:6000/app".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::parse(text, Path::new("it.toml"), &env).map_err(|errors| errors.lines().to_vec())
}

fn errors(text: &str) -> Vec<String> {
    parse(text).err().unwrap_or_default()
}

fn warnings(text: &str) -> Vec<String> {
    parse(text).map(|config| config.warnings).unwrap()
}

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
    assert_eq!(config.http, None);
    assert_eq!(config.log.level, "info");
    assert!(config.workers >= 1);
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
    assert_eq!((config.auth, config.workers), (AuthMethod::Md5, 3));
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

#[test]
fn unknown_keys_are_refused_with_the_line_and_the_nearest_name() {
    for (text, error) in [
        (
            "[databases.app]\nurl = \"postgres://db\"\n\npool_sise = 5\n",
            r#"it.toml:4: unknown key "pool_sise" in [databases.app]; did you mean "pool_size"?"#,
        ),
        (
            "[databases.app]\nurl = \"postgres://db\"\nqery_timeout = 5\n",
            r#"it.toml:3: unknown key "qery_timeout" in [databases.app]; did you mean "query_timeout"?"#,
        ),
        (
            "[databases.\"a b\"]\nurl = \"postgres://db\"\nzzz = 5\n",
            r#"it.toml:3: unknown key "zzz" in [databases."a b"]"#,
        ),
        (
            "[databases.app]\nurl = \"postgres://db\"\n[lissten]\n",
            r#"it.toml:3: unknown section "lissten"; did you mean "listen"?"#,
        ),
        (
            "max_clients = 5\n[databases.app]\nurl = \"postgres://db\"\n",
            r#"it.toml:1: unknown key "max_clients" outside of any section"#,
        ),
        (
            "[databases.app]\nurl = \"postgres://db\"\n[limits.tiers.x]\nwait = 1\nwieght = 2",
            r#"it.toml:5: unknown key "wieght" in [limits.tiers.x]; did you mean "weight"?"#,
        ),
    ] {
        let found = errors(text);
        assert_eq!(found.last().map(String::as_str), Some(error));
    }
}

/// Each mistake stands in line 1 of a section's keys, that is in line 6 of the file.
#[test]
fn every_mistake_has_its_words() {
    for (typed, error) in [
        (
            "[listen]\nmax_clients = 0",
            "max_clients in [listen] must be at least 1: everything that can grow has a limit",
        ),
        (
            "[listen]\nmax_handshakes = 0",
            "max_handshakes in [listen] must be at least 1: everything that can grow has a limit",
        ),
        (
            "[listen]\nmax_clients = -1",
            "max_clients in [listen] must not be negative",
        ),
        (
            "[listen]\nmax_clients = 1_000_001",
            "max_clients in [listen] must be at most 1000000",
        ),
        (
            "[listen]\nmax_clients = 99999999999999999999",
            "max_clients in [listen] must be at most 1000000",
        ),
        (
            "[listen]\nmax_clients = 1.5",
            "max_clients in [listen] must be a whole number, not a fraction",
        ),
        (
            "[listen]\nmax_clients = \"5\"",
            "max_clients in [listen] must be a whole number, not a string",
        ),
        (
            "[listen]\naddress = []",
            "address in [listen] must name at least one address",
        ),
        (
            "[listen]\naddress = 6432",
            "address in [listen] must be an address or a list of addresses, not a number",
        ),
        (
            "[listen]\naddress = \"*:6432\"",
            r#"address in [listen] must name a host: write "0.0.0.0:6432" for all IPv4 addresses or "[::]:6432" for all"#,
        ),
        (
            "[listen]\naddress = \":6432\"",
            r#"address in [listen] must name a host: write "0.0.0.0:6432" for all IPv4 addresses or "[::]:6432" for all"#,
        ),
        (
            "[listen]\naddress = \"localhost\"",
            r#"address in [listen] must be "host:port", "[IPv6]:port" or the path of a unix socket; "localhost" is none of them"#,
        ),
        (
            "[listen]\naddress = \"::1:6432\"",
            r#"address in [listen] must be "host:port", "[IPv6]:port" or the path of a unix socket; "::1:6432" is none of them"#,
        ),
        (
            "[listen]\naddress = \"a:70000\"",
            r#"address in [listen] must be "host:port", "[IPv6]:port" or the path of a unix socket; "a:70000" is none of them"#,
        ),
        (
            "[runtime]\nworkers = 0",
            "workers in [runtime] must be at least 1: somebody must relay",
        ),
        (
            "[auth]\nmethod = \"scram\"",
            r#"method in [auth] must be "scram-sha-256" or "md5" or "password" or "trust", not "scram""#,
        ),
        (
            "[auth]\nuserlist = \"\"",
            "userlist in [auth] must not be empty",
        ),
        (
            "[auth]\nuserlist = \"does-not-exist\"",
            "userlist in [auth] needs the file does-not-exist, which does not exist",
        ),
        (
            "[log]\nformat = \"xml\"",
            r#"format in [log] must be "text" or "json", not "xml""#,
        ),
        (
            "[http]\naddress = \"localhost:1\"",
            r#"address in [http] must be an IP address and a port, as "127.0.0.1:9930""#,
        ),
        (
            "[timeouts]\nquery_timeout = 5",
            r#"query_timeout in [timeouts] needs a unit: write "5s" for seconds or "5ms" for milliseconds"#,
        ),
        (
            "[timeouts]\nquery_timeout = \"5\"",
            r#"query_timeout in [timeouts] needs a unit: write "5s" for seconds or "5ms" for milliseconds"#,
        ),
        (
            "[timeouts]\nquery_timeout = true",
            r#"query_timeout in [timeouts] must be a duration, as "5s", not true or false"#,
        ),
        (
            "[timeouts]\nquery_timeout = \"soon\"",
            r#"query_timeout in [timeouts] must be a whole number and a unit, as "50ms", "5s", "10m", "1h" or "1d", or "off""#,
        ),
        (
            "[databases.b]\nurl = 5",
            r#"url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }, not a number"#,
        ),
        (
            "[databases.b]\nurl = { env = 5 }",
            r#"url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "[databases.b]\nurl = { env = \"A\", file = \"b\" }",
            r#"url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "[databases.b]\nurl = { env = \"UNSET\" }",
            "url in [databases.b] needs the environment variable UNSET, which is not set",
        ),
        (
            "[databases.b]\nurl = { env = \"EMPTY\" }",
            "url in [databases.b] needs the environment variable EMPTY, which is empty",
        ),
        (
            "[databases.b]\nurl = { file = \"does-not-exist\" }",
            "url in [databases.b] needs the file does-not-exist, which does not exist",
        ),
        (
            "[databases.b]\nurl = \"db\"",
            "url in [databases.b] must begin with postgres:// or postgresql://",
        ),
        (
            "[databases.b]\nurl = \"postgres://db?sslmode=require\"",
            "url in [databases.b] asks for sslmode=require: TLS to servers is not available in this version",
        ),
        (
            "[users.b]\npassword = \"\"",
            "password in [users.b] cannot be used: the password is empty",
        ),
        (
            "[users.b]\npassword = 5",
            r#"password in [users.b] must be a string, { env = "NAME" } or { file = "path" }, not a number"#,
        ),
        (
            "[users.b]\nbypass = 1",
            "bypass in [users.b] must be true or false, not a number",
        ),
        (
            "[users.b]\npool_size = 0",
            "pool_size in [users.b] must be at least 1: a pool without servers serves nobody",
        ),
        (
            "[users.b]\npool_mode = \"statement\"",
            r#"pool_mode in [users.b] must be "transaction" or "session", not "statement""#,
        ),
        (
            "[tenants.b]\ntier = \"gold\"",
            "tier in [tenants.b] names no section of [limits.tiers]",
        ),
        (
            "[tenant]\nsetting = \"tenant_id\"",
            r#"setting in [tenant] must be a setting of your own, with a dot in its name, as "app.tenant_id""#,
        ),
        (
            "[tenant]\nsetting = \"app.'id\"",
            "setting in [tenant] must consist of letters, digits and underscores, with dots between the words",
        ),
        (
            "[tenant]\nformat = \"number\"",
            r#"format in [tenant] must be "text", "uuid", "integer" or { pattern = "…" }, not "number""#,
        ),
        (
            "[tenant]\nformat = { pattern = \"a)|(b\" }",
            "format in [tenant] has a pattern that cannot be used: found closing ')' without matching '('",
        ),
        (
            "[tenant]\nsources = []",
            "sources in [tenant] must name at least one source",
        ),
        (
            "[tenant]\nsources = [\"set\", \"user\", \"set\"]",
            r#"sources in [tenant] names "set" twice"#,
        ),
        (
            "[tenant]\nsources = [\"cert\"]",
            r#"sources in [tenant] names "cert", which is not available in this version"#,
        ),
        (
            "[tenant]\nuser_separator = \"\"",
            r#"user_separator in [tenant] must be one to 8 punctuation characters, as "." or "+""#,
        ),
        (
            "[tenant]\nuser_separator = \"x\"",
            r#"user_separator in [tenant] must be one to 8 punctuation characters, as "." or "+""#,
        ),
        (
            "[tenant]\ncomment_key = \"a b\"",
            r#"comment_key in [tenant] must be a word of letters, digits, "_", "-" and ".", of at most 63 bytes"#,
        ),
        (
            "[tenant]\nsettings = 5",
            r#"settings in [tenant] must be settings with their values, as { statement_timeout = "5s" }, not a number"#,
        ),
        (
            "[tenant.settings]\nstatment_timeout = \"5s\"",
            r#"statment_timeout in [tenant.settings] is not a setting that can be given here; did you mean "statement_timeout"?"#,
        ),
        (
            "[tenant.settings]\nrole = \"postgres\"",
            "role in [tenant.settings] is not a setting that can be given here",
        ),
        (
            "[tenant.settings]\nwork_mem = \"much\"",
            r#"work_mem in [tenant.settings] must be a size as PostgreSQL spells it, such as "64MB", and at least 64 kB"#,
        ),
        (
            "[tenant.settings]\nwork_mem = [1]",
            "work_mem in [tenant.settings] must be a string or a number, not a list",
        ),
        (
            "[tenant.settings]\napp.tenant_id = \"evil\"",
            "app.tenant_id in [tenant.settings] is the tenant's own setting, which nothing else gives a value",
        ),
        (
            "[console]\nadmin_users = [1]",
            "admin_users in [console] must be a list of strings only, not a number",
        ),
        (
            "[console]\nadmin_users = \"admin\"",
            "admin_users in [console] must be a list of strings, not a string",
        ),
        (
            "[listen.tls]\nmode = \"prefer\"",
            r#"TLS for clients is not available in this version: [listen.tls] must say mode = "disable" or be left out"#,
        ),
    ] {
        let found = errors(&format!("{APP}{typed}\n"));
        assert_eq!(found, [format!("it.toml:6: {error}")], "{typed}");
    }
}

#[test]
fn pool_sizes_that_contradict_each_other_are_refused() {
    for (typed, error) in [
        (
            "pool_size = 0",
            "pool_size in [databases.app] must be at least 1: a pool without servers serves nobody",
        ),
        (
            "max_connecting = 0",
            "max_connecting in [databases.app] must be at least 1: a pool that opens no server serves nobody",
        ),
        (
            "min_pool_size = 21",
            "min_pool_size in [databases.app] must be at most pool_size, which is 20",
        ),
        (
            "min_pool_size = 9\nmax_db_connections = 8",
            "min_pool_size in [databases.app] must be at most max_db_connections, which is 8",
        ),
    ] {
        let found = errors(&format!(
            "[databases.app]\nurl = \"postgres://db\"\n{typed}\n"
        ));
        assert_eq!(found, [format!("it.toml:3: {error}")], "{typed}");
    }
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = "[users.u]\npasword = \"x\"\n[databases.a]\npool_size = 0\nquery_timeout = 3\n[databases.b]\nurl = 1\n[listen]\nmax_clients = \"many\"";
    assert_eq!(
        errors(text),
        [
            r#"it.toml:2: unknown key "pasword" in [users.u]; did you mean "password"?"#,
            "it.toml:3: [databases.a] has no url",
            "it.toml:4: pool_size in [databases.a] must be at least 1: a pool without servers serves nobody",
            r#"it.toml:5: query_timeout in [databases.a] needs a unit: write "3s" for seconds or "3ms" for milliseconds"#,
            r#"it.toml:7: url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }, not a number"#,
            "it.toml:9: max_clients in [listen] must be a whole number, not a string",
        ]
    );
}

#[test]
fn what_is_no_section_is_refused() {
    assert_eq!(
        errors(""),
        ["it.toml: no database is configured: add [databases.NAME] with a url"]
    );
    assert_eq!(
        errors("listen = 5\n[[users]]\n[databases]\napp = \"postgres://db\""),
        [
            "it.toml:1: listen must be a section: write [listen]",
            "it.toml:2: users must be a section: write [users]",
            "it.toml:4: databases.app must be a section: write [databases.app]",
            "it.toml:4: [databases.app] has no url",
        ]
    );
}

#[test]
fn what_is_not_available_yet_is_refused_or_warned_of() {
    let text = format!(
        "{APP}bypass = true\n[tenant]\nsources = [\"jwt\", \"sni\", \"user\"]\n[listen.tls]\nmode = \"disable\"\ncert = \"a\"\n"
    );
    assert_eq!(
        errors(&text),
        [
            r#"it.toml:7: sources in [tenant] names "jwt", which is not available in this version"#,
            r#"it.toml:7: sources in [tenant] names "sni", which is not available in this version"#,
            "it.toml:10: cert in [listen.tls] has no use: TLS for clients is not available in this version",
        ]
    );
    // A section without its mode is no less of a belief that TLS is on.
    assert_eq!(errors(&format!("{APP}[listen.tls]\n")).len(), 1);

    let text = format!(
        "{APP}bypass = true\n[listen.tls]\nmode = \"disable\"\n[http]\n[console]\n[metrics]\n[tenants.acme]\n"
    );
    assert_eq!(
        warnings(&text),
        [
            "it.toml:5: bypass in [users.app] has no effect without [tenant]",
            "it.toml:8: [http] serves /healthz and /readyz; /metrics and the dashboard are not available in this version",
            "it.toml:10: [metrics] is read but has no effect in this version",
            "it.toml:11: [tenants] has no effect without [tenant]",
        ]
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let text = "[listen]\naddress = [\"0.0.0.0:6432\", \"127.0.0.1:1\", \"/a\"]\n[auth]\nmethod = \"trust\"\n[databases.a]\nurl = \"postgres://db?application_name=x\"\nmax_db_connections = 5\n";
    assert_eq!(
        warnings(text),
        [
            r#"it.toml:4: method = "trust" in [auth] lets everybody in who can reach 0.0.0.0:6432, under any name"#,
            "it.toml:6: url in [databases.a] has application_name, which has no effect: servers are told the client's own",
            "it.toml:7: pool_size in [databases.a] is 20, but max_db_connections allows only 5 over all pools",
        ]
    );
    let md5 = format!("md5{}", "0".repeat(32));
    assert_eq!(
        warnings(&format!(
            "[databases.a]\nurl = \"postgres://db\"\n[users.old]\npassword = \"{md5}\"\n"
        )),
        [r#"it.toml: users stored as MD5 hashes cannot log in with method = "scram-sha-256": old"#]
    );
    assert_eq!(
        warnings("[databases.a]\nurl = \"postgres://db\"\n"),
        ["it.toml: no user has a password, so nobody can log in: add [users.NAME]"]
    );
}

mod tenants;

/// A directory of its own, removed when the test is over.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pgusher-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_stand_beside_the_configuration() {
    let folder = Folder::new("secrets");
    folder.write("url", "postgres://u:p@db:7000/a\r\n");
    folder.write("empty", "\n");
    folder.write("users.txt", "\"ann\" \"x\"\n\"bob\" \"y\"\n");
    let head = "[databases.a]\nurl = { file = \"url\" }\n";
    let load = |text: &str| {
        folder.write("it.toml", text);
        Config::load(&folder.0.join("it.toml")).map_err(|errors| {
            errors
                .to_string()
                .replace(&folder.0.display().to_string(), "DIR")
        })
    };

    let list = "[auth]\nuserlist = \"users.txt\"\n";
    let config = load(&format!("{head}{list}[users.bob]\npool_size = 3\n")).unwrap();
    assert_eq!(
        config.databases["a"].upstream.address,
        Address::Tcp("db".to_owned(), 7000)
    );
    assert!(config.users["ann"].secret.is_some() && config.users["bob"].secret.is_some());
    assert_eq!(config.users["bob"].pool_size, Some(3));

    let twice = load(&format!("{head}{list}[users.bob]\npassword = \"z\"\n"));
    let error =
        r#"DIR/it.toml:4: userlist in [auth] names the user "bob", who has a password already"#;
    assert_eq!(twice.map(|_| ()), Err(error.to_owned()));

    let empty = load(&format!(
        "{head}[users.bob]\npassword = {{ file = \"empty\" }}\n"
    ));
    let error = "DIR/it.toml:4: password in [users.bob] needs the file empty, which is empty";
    assert_eq!(empty.map(|_| ()), Err(error.to_owned()));
}

#[test]
fn a_url_alone_is_a_configuration() {
    let config = Config::from_database_url("postgres://app:secret@db:6000/shop").unwrap();
    assert_eq!(
        config.listen.addresses,
        [Address::Tcp("127.0.0.1".to_owned(), 6432)]
    );
    assert_eq!(config.auth, AuthMethod::Scram);
    assert_eq!(config.warnings, Vec::<String>::new());
    let names: Vec<_> = config
        .databases
        .iter()
        .map(|(name, it)| {
            (
                name.as_str(),
                it.upstream.database.as_deref(),
                it.upstream.user.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("*", None, Some("app")),
            ("shop", Some("shop"), Some("app"))
        ]
    );
    assert!(config.users["app"].secret.is_some());

    let open = Config::from_database_url("postgres://app@db").unwrap();
    assert_eq!(open.auth, AuthMethod::Trust);
    assert_eq!(open.databases.keys().collect::<Vec<_>>(), ["*"]);
    assert_eq!(
        open.warnings,
        ["DATABASE_URL: the URL has no password, so everybody on this machine is let in"]
    );

    let wrong = Config::from_database_url("postgres://u:p@db?sslmode=require");
    assert_eq!(
        wrong.map(|_| ()).map_err(|errors| errors.to_string()),
        Err("DATABASE_URL: the URL asks for sslmode=require: TLS to servers is not available in this version".to_owned())
    );
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
}

mod secrets {
    use proptest::prelude::*;

    use super::*;
    use crate::config::url::DatabaseUrl;

    /// All that is ever said about a configuration.
    fn said(text: &str) -> String {
        let env = |_: &str| None;
        match Config::parse(text, Path::new("it.toml"), &env) {
            Ok(config) => format!("{config:?}"),
            Err(errors) => format!("{errors} {errors:?}"),
        }
    }

    fn typed(text: &str) -> String {
        let mut problems = Problems::new(text);
        format!("{:?}", file::read(text, &mut problems))
    }

    proptest! {
        /// The marker is in no word of ours, and long enough not to turn up by chance.
        #[test]
        fn are_in_no_message(
            before in "[ -~]{0,8}",
            after in "[ -~é%@/?#:&=\\[\\]\"'{}\\\\]{0,8}",
            place in 0_usize..10,
        ) {
            let marker = "Zq7Xv";
            let password = format!("{before}{marker}{after}");
            let url = format!("postgres://u:{password}@db:x/a?sslmode=require");
            let good = format!("postgres://u:{marker}@db/a");
            let (password, url) = (format!("{password:?}"), format!("{url:?}"));
            let text = match place {
                0 => format!("[databases.a]\nurl = {url}\n"),
                1 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npassword = {password}\n"),
                2 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npassword = [{password}]\n"),
                3 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npassword = {{ evn = {password} }}\n"),
                4 => format!("[databases.a]\nurl = {good:?}\n[users.u]\npasword = {password}\n"),
                5 => format!("[databases.a]\nurl = {good:?}\n[users]\nu = {password}\n"),
                // Broken TOML: the quotes are missing, or one of them.
                6 => format!("[users.u]\npassword = {before}{marker}{after}\n"),
                7 => format!("[users.u]\npassword = \"{before}{marker}{after}\n"),
                8 => format!("[databases.a]\nurl = postgres://u:{before}{marker}{after}@db/a\n"),
                _ => format!("[users.u]\nmax_clients = {password}\npool_size = {password}\n"),
            };
            let said = said(&text);
            prop_assert!(!said.contains(marker), "{said}");
            let typed = typed(&text);
            prop_assert!(!typed.contains(marker), "{typed}");
        }

        #[test]
        fn of_urls_are_in_no_message(
            before in "[ -~é]{0,8}",
            after in "[a-z0-9%@/?#:&=,\\[\\]]{0,12}",
            tail in "(/a)?(\\?[a-z]{1,9}=[a-z]{0,4})?",
        ) {
            let url = format!("postgres://u:{before}Zq7Xv{after}@db{tail}");
            let said = match Config::from_database_url(&url) {
                Ok(config) => format!("{config:?}"),
                Err(errors) => errors.to_string(),
            };
            prop_assert!(!said.contains("Zq7Xv"), "{said}");
        }

        /// Whatever the password is, written with percent signs it arrives as it is.
        #[test]
        fn arrive_unchanged(password in "[^\\x00]{1,20}") {
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let url = DatabaseUrl::parse(&format!("postgres://u:{encoded}@db/a"));
            prop_assert_eq!(url.map(|url| url.password), Ok(Some(password)));
        }
    }
}
