//! The tenant's context on real servers: in every transaction, for exactly that transaction, and
//! without anything that the client would not have heard otherwise.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "tenants/audit.rs"]
mod audit;
#[path = "tenants/forms.rs"]
mod forms;
mod support;

use support::{Database, Pgusher, Postgres, Raw, pgusher::Builder};

/// A pgusher with one server connection, so that whatever is left behind meets the next one.
pub(crate) fn with_tenants(server: &Postgres, more: &str) -> Builder {
    Pgusher::in_front_of(server)
        .pool_size(1)
        .config(&format!("[tenant]\nsetting = \"app.tenant_id\"\n{more}"))
}

/// A client whose connection names the tenant.
pub(crate) fn client_of(tenant: &str, pgusher: &Pgusher, database: &Database<'_>) -> Raw {
    let mut raw = Raw::connect(pgusher.port());
    raw.startup(&[
        ("user", "app"),
        ("database", &database.name),
        ("app.tenant_id", tenant),
    ]);
    raw.authenticate("app", "").unwrap();
    raw
}
