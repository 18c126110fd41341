//! The tenant's context on real servers: in every transaction, for exactly that transaction, and
//! without anything that the client would not have heard otherwise.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "tenants/audit.rs"]
mod audit;
#[path = "tenants/blocks.rs"]
mod blocks;
#[path = "tenants/brackets.rs"]
mod brackets;
#[path = "tenants/comments.rs"]
mod comments;
#[path = "tenants/failures.rs"]
mod failures;
#[path = "tenants/forms.rs"]
mod forms;
#[path = "tenants/messages.rs"]
mod messages;
#[path = "tenants/protect.rs"]
mod protect;
#[path = "tenants/reuse.rs"]
mod reuse;
#[path = "tenants/round_trips.rs"]
mod round_trips;
#[path = "tenants/set.rs"]
mod set;
#[path = "tenants/sources.rs"]
mod sources;
#[path = "tenants/stage.rs"]
mod stage;
mod support;
#[path = "tenants/transparent.rs"]
mod transparent;

use support::{Database, Pgusher, Postgres, Raw, message::query, pgusher::Builder};

/// What a statement sees of its tenant.
pub(crate) const SEEN: &str = "SELECT current_setting('app.tenant_id', true)";

/// A pgusher with one server connection, so that whatever is left behind meets the next one.
/// The user `both` may work with a tenant and without.
pub(crate) fn with_tenants(server: &Postgres, more: &str) -> Builder {
    Pgusher::in_front_of(server)
        .pool_size(1)
        .log_level("info")
        .config(&format!(
            "[users.both]\nbypass = true\n[tenant]\nsetting = \"app.tenant_id\"\n{more}"
        ))
}

/// Logs in with more startup parameters.
pub(crate) fn login(
    port: u16,
    user: &str,
    database: &Database<'_>,
    more: &[(&str, &str)],
) -> Result<Raw, String> {
    let mut raw = Raw::connect(port);
    let mut parameters = vec![("user", user), ("database", &database.name)];
    parameters.extend(more);
    raw.startup(&parameters);
    raw.authenticate(user, support::postgres::PASSWORD)?;
    Ok(raw)
}

/// A client whose connection names the tenant.
pub(crate) fn client_of(tenant: &str, pgusher: &Pgusher, database: &Database<'_>) -> Raw {
    login(
        pgusher.port(),
        "app",
        database,
        &[("app.tenant_id", tenant)],
    )
    .unwrap()
}

/// A client whose connection names no tenant.
pub(crate) fn anonymous(pgusher: &Pgusher, database: &Database<'_>) -> Raw {
    login(pgusher.port(), "app", database, &[]).unwrap()
}

/// The SQLSTATE and text of the error that `sql` gets, and the status behind it.
pub(crate) fn error_of(client: &mut Raw, sql: &str) -> (String, String) {
    error_in(client, &query(sql))
}

/// The SQLSTATE and text of the error that `bytes` get, and the status behind it.
pub(crate) fn error_in(client: &mut Raw, bytes: &[u8]) -> (String, String) {
    client.send(bytes);
    let messages = client.until_ready();
    let error = messages.iter().find(|message| message.tag == b'E');
    let error = error.map_or_else(String::new, support::Message::text);
    let types = support::Transcript::of(&messages).types();
    (types, error)
}
