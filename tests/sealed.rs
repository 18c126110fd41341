//! The sealed context on real servers (J2): a client of one tenant may run any SQL as the application's
//! role, and still sees no row of another; and who keeps to the rules notices nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "sealed/attacks.rs"]
mod attacks;
#[path = "sealed/forms.rs"]
mod forms;
#[path = "sealed/keys.rs"]
mod keys;
mod support;

use std::{fs, process::Command};

use support::{
    Database, Message, Pgusher, Postgres, Raw,
    message::{extended, query, sync},
    pgusher::Builder,
    temp::TempDir,
};

/// The key of the tests, and another one.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const OTHER_KEY: &str = "another key that nobody can guess, of course";

/// What stands in a row of the other tenant, and nowhere else.
pub(crate) const SECRET: &str = "globex-secret";

/// What `pgusher policy` prints with these arguments.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .arg("policy")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a script statement by statement, as psql does. A body in dollar quotes is not cut.
pub(crate) fn apply(owner: &mut Raw, script: &str) {
    let mut statement = String::new();
    for piece in script.split_inclusive(";\n") {
        statement.push_str(piece);
        if statement.matches("$pgusher$").count().is_multiple_of(2) {
            let heard = owner.ask(&query(&statement)).types();
            assert!(!heard.contains("E:"), "{statement}\n{heard}");
            statement.clear();
        }
    }
    assert!(!statement.contains("$pgusher$"), "{statement}");
}

/// A configuration's sections about tenants, with this key.
pub(crate) fn tenants(key: &str, more: &str) -> String {
    format!(
        "[users.both]\nbypass = true\n[tenant]\nsetting = \"app.tenant_id\"\n{more}\n\
         [tenant.seal]\nkey = \"{key}\"\n"
    )
}

/// The script for `orders`, with the key.
pub(crate) fn script(key: &str) -> String {
    let home = TempDir::new();
    let path = home.path().join("pgusher.toml");
    let database = "[databases.app]\nurl = \"postgres://app@127.0.0.1:1/app\"\n";
    fs::write(&path, format!("{database}{}", tenants(key, ""))).unwrap();
    let path = path.to_str().unwrap();
    printed(&[
        "orders",
        "--default",
        "--sealed",
        "--config",
        path,
        "--with-key",
    ])
}

/// A table with a row of each of two tenants, which `app_trust` owns. `app` may do what the role of an
/// application may at the most: make functions and schemas. Default privileges give new tables away.
pub(crate) fn stage(server: &Postgres) -> Database<'_> {
    let database = server.fresh_database();
    let name = &database.name;
    database.sql(&format!(
        "GRANT CREATE ON DATABASE {name} TO app_trust, app; \
         GRANT ALL ON SCHEMA public TO app_trust, app; \
         ALTER DEFAULT PRIVILEGES FOR ROLE app_trust GRANT ALL ON TABLES TO app; \
         ALTER DEFAULT PRIVILEGES FOR ROLE app_trust GRANT ALL ON SCHEMAS TO app; \
         CREATE TABLE orders (tenant_id text NOT NULL, item text); \
         INSERT INTO orders VALUES ('acme', 'acme-row'), ('globex', '{SECRET}'); \
         ALTER TABLE orders OWNER TO app_trust; GRANT ALL ON orders TO app"
    ));
    database
}

/// A client of PostgreSQL itself, past pgusher.
pub(crate) fn direct(database: &Database<'_>, user: &str) -> Raw {
    Raw::login(
        database.server.port(),
        user,
        support::postgres::PASSWORD,
        &database.name,
    )
}

/// The same with the policies, which accept the key of the tests.
pub(crate) fn sealed_stage(server: &Postgres) -> Database<'_> {
    let database = stage(server);
    apply(&mut direct(&database, "app_trust"), &script(KEY));
    database
}

pub(crate) fn in_front_of(server: &Postgres, more: &str) -> Builder {
    Pgusher::in_front_of(server)
        .pool_size(1)
        .log_level("info")
        .config(&tenants(KEY, more))
}

/// A client whose connection names the tenant, or names none.
pub(crate) fn client_of(tenant: &str, pgusher: &Pgusher, database: &Database<'_>) -> Raw {
    login(pgusher, "app", database, &[("app.tenant_id", tenant)]).unwrap()
}

pub(crate) fn login(
    pgusher: &Pgusher,
    user: &str,
    database: &Database<'_>,
    more: &[(&str, &str)],
) -> Result<Raw, String> {
    let mut raw = Raw::connect(pgusher.port());
    let mut parameters = vec![("user", user), ("database", &database.name)];
    parameters.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    raw.startup(&parameters);
    raw.authenticate(user, support::postgres::PASSWORD)?;
    Ok(raw)
}

/// The whole of an unnamed extended query.
pub(crate) fn asked(sql: &str, values: &[Option<&[u8]>]) -> Vec<u8> {
    [extended(sql, values), sync()].concat()
}

/// The bytes of all messages, as text to search in.
pub(crate) fn heard(messages: &[Message]) -> String {
    let bodies = messages.iter().map(|message| &message.body);
    bodies.map(|body| String::from_utf8_lossy(body)).collect()
}

/// What a client sees of the table.
pub(crate) const SEEN: &str =
    "SELECT coalesce(string_agg(item, ',' ORDER BY item), '-') FROM orders";
