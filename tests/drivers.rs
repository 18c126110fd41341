//! Real drivers against pgusher: what applications bring, with more clients than servers.
//!
//! Each driver has its checks in `tests/drivers/`; `make drivers` installs them and runs these
//! tests, which are ignored otherwise because they need packages from the network. The checks called
//! `tenants_…` run with `[tenant]` and row-level security: docs/tenants.md has the URLs that they print.
//! Those called `prometheus_…` are Prometheus's own tools with the rules and the dashboard of config/.
//! Those called `console_…` talk to pgusher itself; those called `limits_…` meet each refusal of a limit. Those called `orms_…` are ORMs and migration tools (docs/frameworks.md): `make drivers ARGS=orms`.
//! Those called `tls_…` come in over TLS.
//! Those called `tokens_…` log in with a token, as a password or by OAUTHBEARER.
//! Those called `dashboard_…` look at the dashboard with Chromium; `SCREENSHOTS=1 make drivers ARGS=dashboard`
//! also takes the pictures in docs/img.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what is not as expected ends the test, and what a driver says is shown"
)]

#[path = "drivers/prometheus.rs"]
mod prometheus_;
mod support;
#[path = "drivers/tls.rs"]
mod tls_;
#[path = "drivers/tls_tokio_postgres.rs"]
mod tls_tokio_postgres;
#[path = "support/token.rs"]
mod token;
#[path = "drivers/tokio_postgres.rs"]
mod tokio_postgres_;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use support::{Database, Pgusher, Postgres, Raw, Version};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a driver's checks against a pool of two, and directly when that fails, to tell whose
/// fault it is.
#[track_caller]
fn checks_hold(command: impl Fn() -> Command) {
    for version in [Version::V15, Version::V18] {
        let pg = support::postgres(version);
        let database = pg.fresh_database();
        let pgusher = pool_of_two(pg);
        if let Err(said) = run(&command, version, &pgusher.url(&database.name)) {
            let directly = run(&command, version, &database.url());
            panic!("with {version:?}, through pgusher:\n{said}\n--- directly:\n{directly:?}");
        }
    }
}

/// Runs the checks of an ORM or a migration tool, first directly, which proves them, and then through a
/// pool of two. Both times two processes do the same at once. `sql` is what they need of the superuser.
#[track_caller]
fn orms_hold(command: impl Fn() -> Command + Sync, sql: &str) {
    for version in [Version::V15, Version::V18] {
        let pg = support::postgres(version);
        pg.sql(sql);
        let database = pg.fresh_database();
        if let Err(said) = run_twice(&command, version, &database.url()) {
            panic!("with {version:?}, directly:\n{said}");
        }
        let database = pg.fresh_database();
        let pgusher = pool_of_two(pg);
        if let Err(said) = run_twice(&command, version, &pgusher.url(&database.name)) {
            panic!("with {version:?}, through pgusher:\n{said}");
        }
    }
}

/// Transaction mode, as is the default.
fn pool_of_two(pg: &Postgres) -> Pgusher {
    Pgusher::in_front_of(pg)
        .log_level("info")
        .auth("scram-sha-256")
        .pool_size(2)
        .config("[runtime]\nworkers = 2")
        .start()
}

/// Runs the checks in two processes at once; `WHO` tells them apart.
fn run_twice(
    command: &(impl Fn() -> Command + Sync),
    version: Version,
    url: &str,
) -> Result<(), String> {
    let as_who = |who: &'static str| {
        let command = move || {
            let mut command = command();
            command.env("WHO", who);
            command
        };
        run(&command, version, url)
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| as_who("two"));
        let one = as_who("one");
        // Both are waited for, whatever became of the first.
        let two = other.join().unwrap();
        one.and(two)
    })
}

/// Runs a driver's checks of tenants: there is nothing to compare with, as a direct connection has none.
#[track_caller]
fn tenants_hold(command: impl Fn() -> Command, more: &str) {
    for version in [Version::V15, Version::V18] {
        let (database, pgusher) = tenants_of(support::postgres(version), more);
        if let Err(said) = run(&command, version, &pgusher.url(&database.name)) {
            panic!("with {version:?}:\n{said}");
        }
    }
}

/// Runs the checks of a driver that comes with a token.
#[track_caller]
fn tokens_hold(method: &str, command: impl Fn() -> Command) {
    let signer = token::Signer::new("RS256", "first");
    let said = |user| signer.token(&token::claims(serde_json::json!({ "sub": user })));
    let home = support::temp::TempDir::new();
    let keys = home.path().join("keys.json");
    std::fs::write(&keys, token::jwks(&[&signer])).unwrap();
    for version in [Version::V15, Version::V18] {
        let pg = support::postgres(version);
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .auth(method)
            .config(&format!(
                "[auth.jwt]\nkeys_file = {keys:?}\nissuer = {:?}\naudience = {:?}\n\
                 user_claim = \"sub\"\nallow_plaintext = true",
                token::ISSUER,
                token::AUDIENCE
            ))
            .start();
        let command = || {
            let mut command = command();
            command.env("ISSUER", token::ISSUER);
            command.env("TOKEN", said("app"));
            command.env("OTHER_TOKEN", said("other"));
            command
        };
        if let Err(said) = run(&command, version, &pgusher.url(&database.name)) {
            panic!("with {version:?}:\n{said}");
        }
    }
}

/// What the checks said, as an error if not all of them held.
fn run(command: &impl Fn() -> Command, version: Version, url: &str) -> Result<(), String> {
    let output = command()
        .env("DATABASE_URL", url)
        .current_dir(here("tests/drivers"))
        .output()
        .unwrap_or_else(|error| panic!("{:?}: {error}", command()));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    println!("{version:?}\n{said}");
    output.status.success().then_some(()).ok_or(said)
}

/// A table with rows of two tenants under the policies that `pgusher policy` prints, one without policies,
/// and a pgusher with tenants in front of them.
fn tenants_of<'pg>(pg: &'pg Postgres, more: &str) -> (Database<'pg>, Pgusher) {
    let database = pg.fresh_database();
    database.sql(
        "CREATE TABLE orders (tenant_id text NOT NULL, n int NOT NULL); \
         INSERT INTO orders VALUES ('acme', 1), ('acme', 2), ('acme', 3), ('globex', 10), ('globex', 20); \
         CREATE TABLE copied (tenant_id text DEFAULT current_setting('app.tenant_id', true), n int); \
         GRANT ALL ON orders, copied TO app",
    );
    let policies = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .args(["policy", "orders", "--default"])
        .output();
    let policies = String::from_utf8(policies.unwrap().stdout).unwrap();
    let mut superuser = Raw::login(pg.port(), "postgres", "", &database.name);
    for statement in policies.split_inclusive(";\n") {
        superuser.rows(statement);
    }
    let pgusher = Pgusher::in_front_of(pg)
        .log_level("info")
        .auth("scram-sha-256")
        .pool_size(2)
        .config("[runtime]\nworkers = 2\n[tenant]\nsetting = \"app.tenant_id\"")
        .config(more)
        .start();
    (database, pgusher)
}

/// Runs a driver's checks of the console. No server is behind it.
#[track_caller]
fn console_holds(command: impl Fn() -> Command) {
    let pgusher = Pgusher::in_front_of(support::postgres(Version::V18))
        .auth("scram-sha-256")
        .config("[console]\nadmin_users = [\"app\"]\n[tenant]\nsetting = \"app.tenant_id\"")
        .start();
    if let Err(said) = run(&command, Version::V18, &pgusher.url("pgusher")) {
        panic!("{said}");
    }
}

/// Runs a tool that was made for PgBouncer, with PostgreSQL behind a pool of two.
#[track_caller]
fn tool_likes_the_console(command: impl Fn() -> Command) {
    let pgusher = Pgusher::in_front_of(support::postgres(Version::V18))
        .auth("scram-sha-256")
        .only("postgres")
        .pool_size(2)
        .config("[console]\nadmin_users = [\"app\"]")
        .start();
    if let Err(said) = run(&command, Version::V18, &pgusher.url("pgbouncer")) {
        panic!("{said}");
    }
}

/// Runs a driver's checks of limits; tests/drivers/limits.py says what the tiers are for.
#[track_caller]
fn limits_hold(command: impl Fn() -> Command) {
    const TIERS: &str = "
        [console]
        admin_users = [\"app\"]
        [limits]
        max_delay = \"1ms\"
        notice_after = \"20ms\"
        [limits.tiers.slow]
        transactions_per_second = 1
        burst = 2
        [limits.tiers.late]
        transactions_per_second = 20
        burst = 1
        max_delay = \"5s\"
        [limits.tiers.alone]
        max_clients = 1";
    tenants_hold(command, TIERS);
}

/// What a database and a user may be called.
const HOSTILE: &str = "<img src=x onerror=window.owned=1>'\u{202e}&quot;";

/// Runs the checks of the dashboard against a pgusher with tenants, one of which may do little.
fn dashboard_holds(command: impl Fn() -> Command) {
    let pg = support::postgres(Version::V18);
    let database = pg.fresh_database();
    let databases = ["shop", "billing", "search", HOSTILE];
    for name in databases {
        pg.sql(&format!("CREATE DATABASE \"{name}\""));
    }
    let pgusher = Pgusher::in_front_of(pg)
        .log_level("info")
        .auth("scram-sha-256")
        .pool_size(6)
        .config("[runtime]\nworkers = 2\n[tenant]\nsetting = \"app.tenant_id\"")
        .config("[http]\naddress = \"127.0.0.1:0\"\npassword = \"open sesame\"")
        .config("[limits.tiers.little]\ntransactions_per_second = 5\nmax_delay = \"1ms\"")
        .config("[tenants.greedy]\ntier = \"little\"\n[tenants.glutton]\ntier = \"little\"")
        .config(&format!(
            "[users.\"{HOSTILE}\"]\npassword = \"{}\"\nbypass = true",
            support::postgres::PASSWORD
        ))
        .start();
    let said = "the dashboard is at ";
    pgusher.wait_for_log(said);
    let log = pgusher.log();
    let address = log.split(said).nth(1).and_then(|it| it.lines().next());
    let outcome = run(
        &|| {
            let mut command = command();
            command.env("DASHBOARD_URL", address.unwrap());
            command.env("DASHBOARD_PASSWORD", "open sesame");
            command.env("HOSTILE_NAME", HOSTILE);
            command
        },
        Version::V18,
        &pgusher.url(&database.name),
    );
    drop(pgusher);
    for name in databases {
        pg.sql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
    if let Err(said) = outcome {
        panic!("{said}");
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new(here(".cache/drivers/python/bin/python"));
    command.arg(here("tests/drivers").join(script));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(here("tests/drivers").join(script));
    command.env("NODE_PATH", here(".cache/drivers/node/node_modules"));
    command
}

fn ruby(script: &str) -> Command {
    let mut command = Command::new("ruby");
    command.arg(here("tests/drivers").join(script));
    command
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .arg("-cp")
        .arg(here(".cache/drivers/java/postgresql.jar"));
    command.arg(here("tests/drivers").join(format!("{class}.java")));
    command
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn psycopg3() {
    checks_hold(|| python("psycopg3.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn asyncpg() {
    checks_hold(|| python("asyncpg_.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn psycopg2() {
    checks_hold(|| python("psycopg2_.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn sqlalchemy() {
    checks_hold(|| python("sqlalchemy_.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn node_postgres() {
    checks_hold(|| node("node_postgres.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn postgres_js() {
    checks_hold(|| node("postgres_js.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn jdbc() {
    checks_hold(|| java("Jdbc"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_psycopg3() {
    tenants_hold(|| python("tenants_psycopg3.py"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_psycopg2() {
    tenants_hold(|| python("tenants_psycopg2.py"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_asyncpg() {
    tenants_hold(|| python("tenants_asyncpg.py"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_sqlalchemy() {
    tenants_hold(|| python("tenants_sqlalchemy.py"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_node_postgres() {
    tenants_hold(|| node("tenants_node_postgres.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_postgres_js() {
    tenants_hold(|| node("tenants_postgres_js.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_jdbc() {
    tenants_hold(|| java("TenantsJdbc"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_sqlx() {
    tenants_hold(
        || Command::new(here(".cache/drivers/sqlx/debug/pgusher-sqlx-checks")),
        "",
    );
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tenants_optional() {
    tenants_hold(|| python("tenants_optional.py"), "required = false");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn console_python() {
    console_holds(|| python("console.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn console_node() {
    console_holds(|| node("console.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn console_jdbc() {
    console_holds(|| java("ConsoleJdbc"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn console_pgbouncer() {
    tool_likes_the_console(|| python("console_pgbouncer.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn console_exporter() {
    tool_likes_the_console(|| {
        let mut command = python("console_exporter.py");
        if std::env::var_os("EXPORTER").is_none() {
            command.env("EXPORTER", here(".cache/drivers/go/bin/pgbouncer_exporter"));
        }
        command
    });
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn limits_psycopg3() {
    limits_hold(|| python("limits_psycopg3.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn limits_psycopg2() {
    limits_hold(|| python("limits_psycopg2.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn limits_node_postgres() {
    limits_hold(|| node("limits_node_postgres.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn limits_jdbc() {
    limits_hold(|| java("LimitsJdbc"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_sqlalchemy() {
    orms_hold(|| python("orms_sqlalchemy.py"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_alembic() {
    orms_hold(|| python("orms_alembic.py"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_django() {
    // Its tests make a database of their own.
    orms_hold(|| python("orms_django.py"), "ALTER ROLE app CREATEDB");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_knex() {
    orms_hold(|| node("orms_knex.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_drizzle() {
    orms_hold(|| node("orms_drizzle.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_sequelize() {
    orms_hold(|| node("orms_sequelize.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_typeorm() {
    orms_hold(|| node("orms_typeorm.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_prisma() {
    orms_hold(|| node("orms_prisma.js"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn orms_activerecord() {
    orms_hold(|| ruby("orms_activerecord.rb"), "");
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn dashboard_page() {
    // What it shows is made up; there is no server.
    if let Err(said) = run(&|| node("dashboard_page.js"), Version::V18, "") {
        panic!("{said}");
    }
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn dashboard_live() {
    dashboard_holds(|| node("dashboard_live.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tokens_oauth() {
    tokens_hold("oauth", || {
        let mut command = python("tokens_oauth.py");
        command.env("PYTHONPATH", here(".cache/drivers/libpq18"));
        command
    });
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tokens_node_postgres() {
    tokens_hold("jwt", || node("tokens_node_postgres.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tokens_jdbc() {
    tokens_hold("jwt", || java("TokensJdbc"));
}
