//! A database that nobody is in can be dropped, renamed and copied: connections of ours that idle in it
//! do not stand in the way (E7). One that a client is in stays, as it does without us.

mod support;

use support::{
    Database, Pgusher, Postgres, Raw, Version, both_versions,
    message::{bind, execute, parse, query, sync},
};

/// A pgusher, and a database that a client has been in: a server connection idles there.
fn scene(pg: &Postgres) -> (Pgusher, Database<'_>) {
    let database = pg.fresh_database();
    let pgusher = Pgusher::in_front_of(pg)
        .auth("trust")
        .upstream_user("postgres", "")
        .start();
    pgusher.raw(&database.name).rows("SELECT 1");
    (pgusher, database)
}

// E7
both_versions!(is_dropped, |pg| {
    let (pgusher, database) = scene(pg);
    let mut other = pgusher.raw("postgres");
    other.rows(&format!(
        "/* a test's end */ DROP DATABASE \"{}\"",
        database.name
    ));
    let left = format!(
        "SELECT count(*) FROM pg_database WHERE datname = '{}'",
        database.name
    );
    assert_eq!(pg.value(&left), "0");
});

// E7
both_versions!(is_dropped_by_a_prepared_statement, |pg| {
    let (pgusher, database) = scene(pg);
    let mut other = pgusher.raw("postgres");
    let drop = format!("DROP DATABASE IF EXISTS {}", database.name);
    other.send(&[parse("", &drop), bind("", "", &[]), execute("", 0), sync()].concat());
    let codes: Vec<u8> = other.until_ready().iter().map(|it| it.tag).collect();
    assert_eq!(codes, b"12CZ");
});

// E7
both_versions!(is_copied_and_renamed, |pg| {
    let (pgusher, database) = scene(pg);
    let name = &database.name;
    let mut other = pgusher.raw("postgres");
    other.rows(&format!("CREATE DATABASE copy_{name} TEMPLATE {name}"));
    pgusher.raw(name).rows("SELECT 1");
    other.rows(&format!("ALTER DATABASE {name} RENAME TO other_{name}"));
    other.rows(&format!("DROP DATABASE copy_{name}"));
    other.rows(&format!("DROP DATABASE other_{name}"));
});

/// PostgreSQL gives up after five seconds, which once is enough.
// E7
#[test]
fn is_kept_while_a_client_is_in() {
    let pg = support::postgres(Version::V18);
    let (pgusher, database) = scene(pg);
    let mut inside = pgusher.raw(&database.name);
    inside.rows("SELECT 1");
    let mut other = Raw::login(pgusher.port(), "app", "", "postgres");
    other.send(&query(&format!("DROP DATABASE {}", database.name)));
    let first = other.until_ready().remove(0);
    assert_eq!(first.sqlstate(), "55006", "{first:?}");
    assert_eq!(inside.value("SELECT 2"), "2");
}
