//! Sockets, and everything that waits.
//!
//! The only `.await`s of the data path are here, and there are few: a client's task waits for
//! *something to happen* ([`relay`]), an opening waits for a server's login ([`upstream`]), a
//! cleaning waits for a server's answers ([`cleanup`]), the directory of tenants for its database's ([`directory`]). What is to be done about it is decided
//! below, in `session` and `pool`.
//!
//! **Threads.** Each worker is a thread with a runtime of its own, and a client stays on the
//! worker that it was handed to: its task is never moved, and reading from it wakes nobody else.
//! Server connections move between workers only when the pool's order of service asks for it.

pub(crate) mod alarm;
mod audit;
pub(crate) mod averages;
pub(crate) mod bell;
pub(crate) mod cancel;
pub(crate) mod cards;
pub(crate) mod cleanup;
pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod directory;
pub(crate) mod handshake;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod lease;
pub(crate) mod listener;
pub(crate) mod lobby;
pub(crate) mod login;
pub(crate) mod meters;
pub(crate) mod pool;
pub(crate) mod relay;
pub(crate) mod reload;
pub(crate) mod report;
pub(crate) mod side;
pub(crate) mod storm;
pub(crate) mod stream;
#[cfg(feature = "traces")]
pub(crate) mod traces;
pub(crate) mod upstream;
pub(crate) mod welcome;
pub(crate) mod worker;
