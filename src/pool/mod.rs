//! The books of the pools: who has a server connection, who waits for one, how many may be opened.
//!
//! Pure: connections (`C`) and waiters (`W`) are whatever the caller says they are, time is an
//! argument, and nothing here connects, closes or wakes. One [`Database`] holds the pools of all
//! its users, because they share one limit; it lives behind one lock, so limits are exact
//! whatever the number of threads.
//!
//! The books can always be added up: `idle + busy + opening` of a pool is the number of server
//! connections it answers for. Whoever takes a connection out must say, once, what became of it:
//! [`Database::give_back`], [`Database::closed`], or after an opening [`Database::opened`] /
//! [`Database::not_opened`].

mod control;
mod database;
mod guard;
mod outage;
mod party;
mod queue;
mod single;
#[cfg(test)]
mod tests;
mod waiters;

use std::time::Duration;

pub use control::{Generation, Hold};
pub use database::{Asked, Database, Given, PoolId, Snapshot, Turn, Work};
pub use party::{Party, Standing};
pub use waiters::Ticket;

/// The sizes of one pool, that is of one (database, user).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSizes {
    /// Most server connections in normal times.
    pub pool_size: usize,
    /// Server connections kept open while the pool is in use.
    pub min_pool_size: usize,
    /// More server connections, once a client has waited for `reserve_pool_timeout`.
    pub reserve_pool_size: usize,
    /// How long a client waits before the reserve is opened.
    pub reserve_pool_timeout: Duration,
    /// Most requests that wait for a server connection.
    pub max_waiting: usize,
    /// Most server connections being opened at once (F5).
    pub max_connecting: usize,
    /// Server connections that one party may not take while others use the pool.
    pub spare_servers: usize,
    /// Who has used less server time goes first; otherwise who came first.
    pub fair: bool,
    /// The heaviest parties get fewer server connections while the server is slower than usual.
    pub adaptive: bool,
}
