//! What an operator does with a database: holds its pools, refuses clients, renews its connections.
//!
//! A hold ends nothing that is under way. Who waits keeps its place in the queue and its own
//! timeout; openings that are on their way arrive.

use std::{
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Database, PoolId, PoolSizes, Work};
use crate::error::{Error, Kind};

/// Whether pools give server connections out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Hold {
    /// They do.
    #[default]
    Off,
    /// They do not, and keep those that come back.
    Suspended,
    /// They do not, and keep none: the server can be stopped.
    Paused,
}

/// What the operator wants of a database.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) hold: Hold,
    disabled: bool,
    /// Why nobody is to wait any more for a hold to end.
    pub(super) hopeless: Option<Error>,
    generation: Generation,
    /// Those before it that somebody has still to do with.
    past: Vec<Weak<AtomicBool>>,
}

/// Server connections whose opening began between two [`Database::reconnect`]. Whoever opens one
/// keeps the generation that there was then, for as long as the connection; when that is over, the
/// connection has expired.
#[derive(Debug, Clone, Default)]
pub struct Generation(Arc<AtomicBool>);

impl Generation {
    /// Its connections are not to be used again.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<C, W> Database<C, W> {
    /// Whether pools give connections out.
    pub fn held(&self) -> Hold {
        self.control.hold
    }

    /// From now on the pools are held; the idle connections that are to be closed for it.
    #[must_use]
    pub fn hold(&mut self, hold: Hold) -> Vec<C> {
        self.control.hold = hold;
        match hold {
            Hold::Paused => self.weed(|_| true),
            Hold::Off | Hold::Suspended => Vec::new(),
        }
    }

    /// The hold is over, and what is to be done for those who have waited. Whatever the server could
    /// not do before, it is asked anew.
    #[must_use]
    pub fn resume(&mut self, now: Instant) -> Vec<Work<C, W>> {
        if mem::take(&mut self.control.hold) == Hold::Paused {
            for pool in &mut self.pools {
                pool.outage = None;
            }
        }
        let mut work = self.work(now);
        for pool in &mut self.pools {
            // The reserve may have come back while somebody waited who waits no longer.
            let most = pool.ceiling(now);
            work.extend(pool.retire(most, |_| true).into_iter().map(Work::Close));
        }
        work
    }

    /// As long as the pools are held, nobody is to wait: everybody is told `why`.
    #[must_use]
    pub fn give_up(&mut self, why: Error, now: Instant) -> Vec<Work<C, W>> {
        self.control.hopeless = Some(why);
        self.work(now)
    }

    /// Those who wait in vain for the end of the hold, if it is so.
    pub(super) fn without_hope(&mut self, now: Instant) -> Vec<Work<C, W>> {
        let Some(why) = &self.control.hopeless else {
            return Vec::new();
        };
        let waiters = self
            .pools
            .iter_mut()
            .flat_map(|pool| pool.waiters.drain(now));
        waiters
            .map(|waiter| Work::Refuse(waiter, why.clone()))
            .collect()
    }

    /// New clients are refused, or accepted again.
    pub fn disable(&mut self, disabled: bool) {
        self.control.disabled = disabled;
    }

    /// Whether new clients are refused.
    pub fn is_disabled(&self) -> bool {
        self.control.disabled
    }

    /// An error for a client that comes in if none may.
    pub(super) fn admits(&self) -> Result<(), Error> {
        if !self.control.disabled {
            return Ok(());
        }
        let message = format!("database \"{}\" is disabled", self.name);
        let hint = "The operator has disabled it: try again later.";
        Err(Error::new(Kind::DatabaseDisabled, message).hint(hint))
    }

    /// The generation of the connections whose opening begins now.
    pub fn generation(&self) -> Generation {
        self.control.generation.clone()
    }

    /// No connection that there is, or is being opened, is to be used again: those that are idle, to
    /// be closed; the others have expired when they come back. Then see [`Self::work`].
    #[must_use]
    pub fn reconnect(&mut self) -> Vec<C> {
        let Generation(over) = mem::take(&mut self.control.generation);
        over.store(true, Ordering::Relaxed);
        self.control.past.push(Arc::downgrade(&over));
        drop(over);
        self.has_past();
        self.weed(|_| true)
    }

    /// Whether there are connections that are not to be used again.
    pub fn has_past(&mut self) -> bool {
        self.control.past.retain(|over| over.strong_count() > 0);
        !self.control.past.is_empty()
    }

    /// Other limits hold from now on, as in [`Self::new`]. Who is in stays.
    pub fn limit(
        &mut self,
        max_connections: Option<usize>,
        max_clients: Option<usize>,
        patience: Option<Duration>,
    ) {
        self.max_connections = max_connections.unwrap_or(usize::MAX);
        self.max_clients = max_clients.unwrap_or(usize::MAX);
        self.patience = patience;
    }

    /// A pool has other sizes from now on; the idle connections that are too many, to be closed. Then
    /// see [`Self::work`]. How its parties share it stays as it was.
    #[must_use]
    pub fn resize(&mut self, id: PoolId, sizes: PoolSizes, now: Instant) -> Vec<C> {
        let Some(pool) = self.pool(id) else {
            return Vec::new();
        };
        let PoolSizes { fair, adaptive, .. } = pool.sizes;
        pool.sizes = PoolSizes {
            fair,
            adaptive,
            ..sizes
        };
        let most = pool.ceiling(now);
        pool.retire(most, |_| true)
    }

    /// Connections that are with somebody, or being opened.
    pub fn in_use(&self) -> usize {
        let in_use = self.pools.iter().map(|pool| pool.busy + pool.opening);
        in_use.sum()
    }
}
