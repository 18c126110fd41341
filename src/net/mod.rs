//! Sockets, and everything that waits.
//!
//! The only `.await`s of the data path are here, and there are few: a client's task waits for
//! *something to happen* ([`relay`]), an opening waits for a server's login ([`upstream`]), a
//! cleaning waits for a server's answers ([`cleanup`]), whoever looks something up for a database's ([`lookup`]). What is to be done about it is decided
//! below, in `session` and `pool`.
//!
//! **Threads.** Each worker is a thread with a runtime of its own, and reading from a client wakes
//! nobody else. There are as many in use as the load needs ([`spread`]); a client moves to another
//! between two transactions, when one is added or taken out of use. Server connections move only
//! when the pool's order of service asks for it.

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
mod fetch;
pub(crate) mod gate;
pub(crate) mod handshake;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod lease;
pub(crate) mod listener;
pub(crate) mod lobby;
pub(crate) mod login;
mod lookup;
pub(crate) mod meters;
pub(crate) mod pool;
pub(crate) mod relay;
pub(crate) mod reload;
pub(crate) mod report;
pub(crate) mod side;
#[cfg(test)]
mod sizes;
mod spread;
pub(crate) mod storm;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod token_keys;
#[cfg(feature = "traces")]
pub(crate) mod traces;
pub(crate) mod upstream;
pub(crate) mod users;
pub(crate) mod welcome;
pub(crate) mod worker;
