//! What a tenant's clients feel of its tier: how they are slowed, refused and told, and that they
//! can go on. The limits of pools and listeners, which are nobody's in particular, are in
//! `tests/limits`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod arrivals;
mod blocks;
mod changes;
mod fairness;
mod notices;
mod pace;
mod pipelines;
mod shares;
mod spending;
mod waiting;

use std::time::Duration;

use support::{
    Database, Message, Pgusher, Postgres, Raw, Version,
    message::{query, ssl_request},
    pgusher::Builder,
    postgres::PASSWORD,
};

/// No refusal depends on the server's version.
fn server() -> &'static Postgres {
    support::postgres(Version::V18)
}

/// A pgusher with one worker and these tables of configuration.
fn with(config: &str) -> Builder {
    Pgusher::in_front_of(server())
        .config("[runtime]\nworkers = 1\n[users.other]\npassword = \"secret\"")
        .config(config)
}

/// And with tenants, where who has none works as its user.
fn with_tenants(config: &str) -> Builder {
    with(config).config("[tenant]\nsetting = \"app.tenant_id\"\nrequired = false")
}

/// A client's connection that names its tenant, or what it was told instead.
fn come(
    pgusher: &Pgusher,
    database: &Database<'_>,
    user: &str,
    tenant: Option<&str>,
) -> Result<Raw, String> {
    let mut raw = Raw::connect(pgusher.port());
    let tenant = tenant.map(|tenant| ("app.tenant_id", tenant));
    let parameters = [("user", user), ("database", &database.name)];
    let parameters: Vec<_> = parameters.into_iter().chain(tenant).collect();
    raw.startup(&parameters);
    raw.authenticate(user, PASSWORD)?;
    Ok(raw)
}

#[track_caller]
fn client_of(tenant: &str, pgusher: &Pgusher, database: &Database<'_>) -> Raw {
    come(pgusher, database, "app", Some(tenant)).unwrap()
}

/// Returns when what was sent before to a pgusher with one worker has been read there: that
/// worker took two more connections since, and answered them.
fn passed(pgusher: &Pgusher) {
    for _ in 0..2 {
        let mut witness = Raw::connect(pgusher.port());
        witness.send(&ssl_request());
        assert_eq!(witness.byte(), Some(b'N'));
    }
}

/// What a client is told that has met a limit.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    message: String,
    /// The detail without the last of its pairs.
    detail: String,
    /// After how long to try again.
    retry: Duration,
}

/// An error that must be the refusal of a limit.
#[track_caller]
fn refusal(error: &Message) -> Refusal {
    assert_eq!(error.sqlstate(), "53400", "{}", error.text());
    let detail = error.field(b'D').unwrap();
    let (detail, millis) = detail.rsplit_once(" retry_after_ms=").unwrap();
    let millis: u64 = millis.parse().unwrap();
    let hint = error.field(b'H').unwrap();
    assert_eq!(hint, format!("Try again in {millis} ms."));
    Refusal {
        message: error.text(),
        detail: detail.to_owned(),
        retry: Duration::from_millis(millis),
    }
}

/// Asks what must be refused by a limit; the connection goes on.
#[track_caller]
fn refused(client: &mut Raw, request: &[u8]) -> Refusal {
    client.send(request);
    let messages = client.until_ready();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1].notation(), "Z:I");
    refusal(&messages[0])
}

/// As long as was told, nothing comes.
fn wait(client: &Raw, time: Duration) {
    assert!(!client.hears_within(time), "nothing was asked");
}

/// Clients of a tenant in a transaction each, which hold a server connection each.
fn holders(tenant: &str, pgusher: &Pgusher, database: &Database<'_>, count: usize) -> Vec<Raw> {
    let begin = |_| {
        let mut client = client_of(tenant, pgusher, database);
        assert_eq!(client.ask(&query("BEGIN")).types(), "C Z:T");
        client
    };
    (0..count).map(begin).collect()
}
