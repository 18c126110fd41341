//! The session that a client believes it has, in transaction mode with a single server
//! connection: what it set, made, locked and listens to is there for it and for nobody else.
//!
//! What a client hears is not written down here but asked for: the same is told to PostgreSQL
//! directly. What others must see is what a fresh connection sees.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "sessions/departures.rs"]
mod departures;
#[path = "sessions/listening.rs"]
mod listening;
#[path = "sessions/long.rs"]
mod long;
#[path = "sessions/modes.rs"]
mod modes;
#[path = "sessions/objects.rs"]
mod objects;
#[path = "sessions/oddities.rs"]
mod oddities;
#[path = "sessions/parameters.rs"]
mod parameters;
#[path = "sessions/pinning.rs"]
mod pinning;
#[path = "sessions/reuse.rs"]
mod reuse;
#[path = "sessions/roles.rs"]
mod roles;
#[path = "sessions/settings.rs"]
mod settings;
#[path = "sessions/shapes.rs"]
mod shapes;
#[path = "sessions/stage.rs"]
mod stage;
#[path = "sessions/startup.rs"]
mod startup;
#[path = "sessions/statements.rs"]
mod statements;
mod support;
#[path = "sessions/tenants.rs"]
mod tenants;
#[path = "sessions/view.rs"]
mod view;

use support::{Raw, postgres::PASSWORD};

/// Startup parameters beside user and database.
pub(crate) type Parameters<'a> = &'a [(&'a str, &'a str)];

/// Logs in with more startup parameters.
#[track_caller]
pub(crate) fn login(port: u16, user: &str, database: &str, more: Parameters<'_>) -> Raw {
    let mut raw = Raw::connect(port);
    let mut parameters = vec![("user", user), ("database", database)];
    parameters.extend(more);
    raw.startup(&parameters);
    raw.authenticate(user, PASSWORD)
        .unwrap_or_else(|error| panic!("no login as {user} at port {port}: {error}"));
    raw
}
