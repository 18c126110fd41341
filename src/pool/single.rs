//! One pool: the server connections of one user of one database.

use std::time::Instant;

use super::{PoolSizes, outage::Outage, party::Bounds, queue::Queue};

/// A server connection nobody uses.
#[derive(Debug)]
pub(super) struct Idle<C> {
    pub(super) conn: C,
    pub(super) since: Instant,
    /// When it is too old to be used again.
    pub(super) expires: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pool<C, W> {
    pub(super) sizes: PoolSizes,
    /// By worker; the one used last is taken first, so that those too many become idle for long.
    pub(super) idle: Vec<Vec<Idle<C>>>,
    /// With a client, or being cleaned after one.
    pub(super) busy: usize,
    /// On their way to being open.
    pub(super) opening: usize,
    pub(super) waiters: Queue<W>,
    pub(super) outage: Option<Outage>,
    /// Clients that may ask.
    pub(super) clients: usize,
    /// The reserve was opened, and is in use until the queue has been empty.
    pub(super) reserve: bool,
}

impl<C, W> Pool<C, W> {
    pub(super) fn new(sizes: PoolSizes, workers: usize) -> Self {
        let workers = workers.max(1);
        let waiters = Queue::new(workers, &sizes);
        Self {
            sizes,
            idle: (0..workers).map(|_| Vec::new()).collect(),
            busy: 0,
            opening: 0,
            waiters,
            outage: None,
            clients: 0,
            reserve: false,
        }
    }

    pub(super) fn idle_len(&self) -> usize {
        self.idle.iter().map(Vec::len).sum()
    }

    /// Connections that exist.
    pub(super) fn live(&self) -> usize {
        self.idle_len() + self.busy
    }

    /// Connections that this pool answers for.
    pub(super) fn total(&self) -> usize {
        self.live() + self.opening
    }

    /// How many connections it may have now.
    pub(super) fn ceiling(&mut self, now: Instant) -> usize {
        let oldest = self.waiters.oldest_since();
        let waited = oldest.is_some_and(|since| now >= since + self.sizes.reserve_pool_timeout);
        self.reserve = waited || (self.reserve && oldest.is_some());
        let reserve = if self.reserve {
            self.sizes.reserve_pool_size
        } else {
            0
        };
        self.sizes.pool_size + reserve
    }

    /// What parties have to share now.
    pub(super) fn bounds(&mut self, now: Instant) -> Bounds {
        Bounds {
            ceiling: self.ceiling(now),
            spare: if self.sizes.fair {
                self.sizes.spare_servers
            } else {
                0
            },
        }
    }

    /// How many more connections are wanted and allowed by this pool's own limits.
    pub(super) fn wanted(&mut self, now: Instant) -> usize {
        if self
            .outage
            .as_ref()
            .is_some_and(|outage| !outage.may_try(now))
        {
            return 0;
        }
        // While the server fails, one try at a time is enough to see whether it has come back.
        let at_once = if self.outage.is_some() {
            1
        } else {
            self.sizes.max_connecting
        };
        let demand = self.waiters.demand().saturating_sub(self.opening);
        let short = if self.clients > 0 {
            self.sizes.min_pool_size.saturating_sub(self.total())
        } else {
            0
        };
        let room = self.ceiling(now).saturating_sub(self.total());
        demand
            .max(short)
            .min(room)
            .min(at_once.saturating_sub(self.opening))
    }

    /// Takes an idle connection, from `worker` if it has one, else from whoever has most.
    pub(super) fn take_idle(&mut self, worker: usize) -> Option<C> {
        let own = self.idle.get_mut(worker).and_then(Vec::pop);
        let idle = own.or_else(|| self.idle.iter_mut().max_by_key(|stack| stack.len())?.pop())?;
        Some(idle.conn)
    }

    /// Takes out the idle connections for which `gone` holds, but leaves `keep` of them.
    pub(super) fn retire(&mut self, keep: usize, gone: impl Fn(&Idle<C>) -> bool) -> Vec<C> {
        let mut spare = self.total().saturating_sub(keep);
        let mut retired = Vec::new();
        for stack in &mut self.idle {
            let mut at = 0;
            while let Some(idle) = stack.get(at) {
                if spare > 0 && gone(idle) {
                    retired.push(stack.remove(at).conn);
                    spare -= 1;
                } else {
                    at += 1;
                }
            }
        }
        retired
    }
}
