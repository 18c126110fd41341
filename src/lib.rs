//! pgusher: a PostgreSQL pooler that shows every tenant to its own seat.
//!
//! The crate is built in layers, and arrows point down only (`tests/architecture.rs` holds them):
//!
//! | layer | modules | knows |
//! |---|---|---|
//! | 0 bytes, text | [`wire`], [`sql`] | nothing else |
//! | 1 decisions | [`auth`], [`tenant`], [`limit`], [`lookup`], [`session`], [`pool`], [`meter`], [`cancel`], [`error`], [`sync`], [`config`] | layer 0; time only as a value |
//! | 2 I/O | `net`, `metrics` | sockets, clocks, tasks |
//! | 3 operation | `ops`, `admin` | logs, signals, health, the demo; the console |
//! | 4 assembly | `server`, `main` | everything, decides nothing |
//!
//! Layers 0 and 1 compile without any runtime (`--no-default-features`): a session is bytes and
//! a time in, actions out. Start with `docs/architecture.md`.

pub mod sql;
pub mod wire;

pub mod auth;
pub mod cancel;
pub mod config;
pub mod error;
pub mod limit;
pub mod lookup;
pub mod meter;
pub mod pool;
pub mod session;
pub mod sync;
pub mod tenant;

#[cfg(feature = "runtime")]
pub mod admin;
#[cfg(feature = "runtime")]
pub mod metrics;
#[cfg(feature = "runtime")]
pub mod net;
#[cfg(feature = "runtime")]
pub mod ops;
#[cfg(feature = "runtime")]
pub mod server;
