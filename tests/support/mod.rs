//! What every integration test stands on: servers, proxies, lines and clients, as verbs.
//!
//! A test reads: start a PostgreSQL, put a pgusher in front of it, talk to it byte by byte
//! ([`Raw`]) or as a driver ([`connect`]), break something ([`Line`], [`Postgres::kill9`]),
//! and look. Nothing here sleeps to wait for something: [`eventually`] polls a condition and
//! every read has a deadline ([`patience`]), so a slow machine is slow and not wrong.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each file of tests uses another part of the harness"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a harness reports by failing"
)]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the harness is apart from the crate: its locks and tasks are not the proxy's"
)]

pub mod certs;
pub mod line;
pub mod message;
pub mod pgusher;
pub mod postgres;
pub mod raw;
pub mod scenarios;
pub mod temp;
pub mod transcript;
pub mod way;

use std::time::{Duration, Instant};

pub use certs::Authority;
pub use line::Line;
pub use message::Message;
pub use pgusher::Pgusher;
pub use postgres::{Database, Postgres, Version, postgres};
pub use raw::Raw;
pub use transcript::Transcript;
pub use way::Way;

/// How long anything may take before a test gives up: `PGUSHER_TEST_PATIENCE` in seconds.
pub fn patience() -> Duration {
    let seconds = std::env::var("PGUSHER_TEST_PATIENCE")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Waits until `condition` holds; fails with the caller's line when patience is over.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited {:?} in vain until {what}",
            patience()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `condition`, which may await, holds.
pub async fn eventually_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "waited {:?} in vain until {what}",
            patience()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Connects as a driver does. The connection's task ends with the client.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    try_connect(url)
        .await
        .unwrap_or_else(|error| panic!("cannot connect to {url}: {error:?}"))
}

/// Connects as a driver does, or says why not.
pub async fn try_connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let connecting = tokio_postgres::connect(url, tokio_postgres::NoTls);
    let (client, connection) = tokio::time::timeout(patience(), connecting)
        .await
        .unwrap_or_else(|_| panic!("no answer from {url} in {:?}", patience()))?;
    tokio::spawn(connection);
    Ok(client)
}

/// Runs an async test on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Makes the tests `name::pg15` and `name::pg18` from one body, which gets a shared running
/// server: `both_versions!(name, |pg| …)`, or `both_versions!(name, async |pg| …)` to await.
macro_rules! both_versions {
    (@test $version:ident $case:ident |$pg:pat_param| $body:expr) => {
        #[test]
        fn $case() {
            let $pg: &'static $crate::support::Postgres =
                $crate::support::postgres($crate::support::Version::$version);
            $body
        }
    };
    ($(#[$about:meta])* $name:ident, |$pg:pat_param| $body:expr) => {
        $(#[$about])*
        mod $name {
            #[allow(unused_imports, reason = "not every body needs its surroundings")]
            use super::*;
            both_versions!(@test V15 pg15 |$pg| $body);
            both_versions!(@test V18 pg18 |$pg| $body);
        }
    };
    ($(#[$about:meta])* $name:ident, async |$pg:pat_param| $body:expr) => {
        both_versions!($(#[$about])* $name, |$pg| $crate::support::block_on(async { $body }));
    };
}
pub(crate) use both_versions;
