//! What a tenant of a tier may use.

use std::{sync::Arc, time::Duration};

use super::Rate;

/// What one tenant may use. `None` and `usize::MAX` are no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// As the configuration calls it; `default` for the tier of those without one.
    pub name: Arc<str>,
    /// Transactions that start.
    pub transactions: Option<Rate>,
    /// Nanoseconds of server connections' time.
    pub server_time: Option<Rate>,
    /// Bytes that are sent to its clients.
    pub bytes: Option<Rate>,
    /// Clients that connect.
    pub connections: Option<Rate>,
    /// A transaction that would have to wait longer for any of these is refused; `None` = it waits.
    pub max_delay: Option<Duration>,
    /// Clients at once.
    pub max_clients: usize,
    /// Its part of each pool.
    pub share: Share,
}

/// The name of the tier of those who have no other.
pub const DEFAULT: &str = "default";

impl Default for Tier {
    fn default() -> Self {
        Self {
            name: DEFAULT.into(),
            transactions: None,
            server_time: None,
            bytes: None,
            connections: None,
            max_delay: None,
            max_clients: usize::MAX,
            share: Share::default(),
        }
    }
}

/// A tenant's part of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Most server connections at once.
    pub max_servers: usize,
    /// Server connections that are kept free for it while it uses the pool.
    pub min_servers: usize,
    /// Most requests that wait.
    pub max_waiting: usize,
    /// How much server time it gets where others get 1.
    pub weight: u32,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            max_servers: usize::MAX,
            min_servers: 0,
            max_waiting: usize::MAX,
            weight: 1,
        }
    }
}
