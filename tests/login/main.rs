//! Coming in: what a client must say, what it is asked, what it is told, and what becomes of
//! those who say something else. Where PostgreSQL has an answer, its answer is the right one.

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod hostile;
mod methods;
mod settings;
mod slow;
mod versions;

use support::{Raw, message::startup, raw::V3_0};

/// A connection that has sent its startup message.
fn started(port: u16, user: &str, database: &str) -> Raw {
    let mut client = Raw::connect(port);
    client.send(&startup(V3_0, &[("user", user), ("database", database)]));
    client
}

/// The proxy goes on as if nothing had happened.
#[track_caller]
fn goes_on(pgusher: &mut support::Pgusher, database: &str) {
    assert_eq!(pgusher.raw(database).value("SELECT 'goes on'"), "goes on");
    assert!(pgusher.is_running());
}
