//! The pools of one database, under one lock and one limit.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    PoolSizes,
    control::{Control, Hold},
    outage::Outage,
    party::{Party, Standing},
    single::{Idle, Pool},
    waiters::Ticket,
};
use crate::error::{Error, Kind};

/// How much longer than a pool's own first waiter another pool's must have waited, where both
/// share a limit that is reached, before a connection is closed for it. Much less, and two busy
/// pools would spend their time connecting; much more, and the quieter one would notice.
const TURN: Duration = Duration::from_millis(100);

/// One pool of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolId(usize);

/// The answer to a client that needs a server connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<C> {
    /// Take this one.
    Granted(C),
    /// None is free: queue up with [`Database::wait`].
    Wait,
    /// There is no point in waiting.
    Refused(Error),
}

/// A waiter and its connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn<C, W> {
    /// Who has waited.
    pub waiter: W,
    /// What it gets.
    pub conn: C,
    /// In whose name: to be told when the connection comes back.
    pub party: u64,
}

/// What became of a connection that was given back.
#[derive(Debug, PartialEq, Eq)]
pub enum Given<C, W> {
    /// It is somebody's turn; hand it over.
    To(Turn<C, W>),
    /// It is idle.
    Kept,
    /// It is not needed, too old, or in the way of another pool: close it. It is off the books.
    /// Then see [`Database::work`].
    Close(C),
}

/// What is to be done outside the lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Work<C, W> {
    /// Open a connection for this pool, and report [`Database::opened`] or [`Database::not_opened`].
    Open(PoolId),
    /// Close this connection. It is off the books.
    Close(C),
    /// It is somebody's turn in this pool; hand the connection over.
    Give(PoolId, Turn<C, W>),
    /// Tell this waiter that it waits in vain.
    Refuse(W, Error),
}

/// What a pool looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Connections nobody uses.
    pub idle: usize,
    /// Connections with a client.
    pub busy: usize,
    /// Connections being opened.
    pub opening: usize,
    /// Clients that wait.
    pub waiting: usize,
    /// Clients that may ask.
    pub clients: usize,
    /// Since when the first of them has waited.
    pub oldest: Option<Instant>,
}

/// The books of one database.
#[derive(Debug)]
pub struct Database<C, W> {
    pub(super) name: String,
    workers: usize,
    pub(super) pools: Vec<Pool<C, W>>,
    by_user: HashMap<String, PoolId>,
    pub(super) max_connections: usize,
    pub(super) max_clients: usize,
    clients: usize,
    /// How long clients wait while the server cannot be reached at all.
    pub(super) patience: Option<Duration>,
    /// Until when idle connections are closed that no client is there for.
    vacant_until: Option<Instant>,
    pub(super) control: Control,
}

impl<C, W> Database<C, W> {
    /// Books without a pool. `None` = no limit.
    pub fn new(
        name: &str,
        workers: usize,
        max_connections: Option<usize>,
        max_clients: Option<usize>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            workers,
            pools: Vec::new(),
            by_user: HashMap::new(),
            max_connections: max_connections.unwrap_or(usize::MAX),
            max_clients: max_clients.unwrap_or(usize::MAX),
            clients: 0,
            patience,
            vacant_until: None,
            control: Control::default(),
        }
    }

    /// A client of `user` comes in. Each one that does must [`leave`](Self::leave).
    ///
    /// Pools are never taken away, only emptied: their number is bounded by the users that could log in.
    pub fn join(&mut self, user: &str, sizes: impl FnOnce() -> PoolSizes) -> Result<PoolId, Error> {
        self.admits()?;
        if self.clients >= self.max_clients {
            let message = format!("too many clients for database \"{}\"", self.name);
            let hint = format!("Its max_clients is {}.", self.max_clients);
            return Err(Error::new(Kind::TooManyClients, message).hint(hint));
        }
        let id = match self.by_user.get(user) {
            Some(id) => *id,
            None => {
                let id = PoolId(self.pools.len());
                self.pools.push(Pool::new(sizes(), self.workers));
                self.by_user.insert(user.to_owned(), id);
                id
            }
        };
        self.clients += 1;
        if let Some(pool) = self.pool(id) {
            pool.clients += 1;
        }
        Ok(id)
    }

    /// A client goes.
    pub fn leave(&mut self, id: PoolId) {
        self.clients = self.clients.saturating_sub(1);
        if let Some(pool) = self.pool(id) {
            pool.clients = pool.clients.saturating_sub(1);
        }
    }

    pub(super) fn pool(&mut self, id: PoolId) -> Option<&mut Pool<C, W>> {
        self.pools.get_mut(id.0)
    }

    /// Server connections of all pools.
    pub fn total(&self) -> usize {
        self.pools.iter().map(Pool::total).sum()
    }

    /// A client on `worker` needs a server connection, in the name of `party`.
    pub fn ask(&mut self, id: PoolId, party: &Party, worker: usize, now: Instant) -> Asked<C> {
        let patience = self.patience;
        let is_held = self.control.hold != Hold::Off;
        if let Some(why) = self.control.hopeless.as_ref().filter(|_| is_held) {
            return Asked::Refused(why.clone());
        }
        let Some(pool) = self.pool(id) else {
            return Asked::Wait;
        };
        let bounds = pool.bounds(now);
        if !is_held
            && pool.idle_len() > 0
            && pool.waiters.takes_at_once(party, bounds, now)
            && let Some(conn) = pool.take_idle(worker)
        {
            pool.busy += 1;
            return Asked::Granted(conn);
        }
        if let Some(outage) = &pool.outage
            && !is_held
            && pool.live() == 0
            && pool.opening == 0
            && !outage.may_try(now)
            && outage.is_over_patience(patience, now)
        {
            return Asked::Refused(outage.reason().clone());
        }
        let most = pool.sizes.max_waiting;
        if pool.waiters.len() >= most {
            return Asked::Refused(queue_full("this pool", most));
        }
        let most = party.share.max_waiting;
        if pool.waiters.waiting_of(party.number) >= most {
            return Asked::Refused(queue_full("this tenant", most));
        }
        Asked::Wait
    }

    /// Queues up, after [`Asked::Wait`]. Then see [`Self::serve`].
    pub fn wait(
        &mut self,
        id: PoolId,
        party: &Party,
        worker: usize,
        waiter: W,
        now: Instant,
    ) -> Option<Ticket> {
        let pool = self.pool(id)?;
        // The queue has been empty, whether or not anybody looked: the reserve is not in use.
        pool.reserve &= pool.waiters.len() > 0;
        Some(pool.waiters.push(party, worker, waiter, now))
    }

    /// Serves the queue from what is idle, and says what else is to be done.
    pub fn serve(&mut self, id: PoolId, worker: usize, now: Instant) -> Vec<Work<C, W>> {
        if self.control.hold == Hold::Off
            && let Some(pool) = self.pool(id)
        {
            if let Some(turn) = Self::next_turn(pool, worker, now) {
                return vec![Work::Give(id, turn)];
            }
            if pool.outage.is_none() && pool.wanted(now) == 0 {
                return Vec::new();
            }
        }
        self.work(now)
    }

    /// Whose turn it is, if a connection is idle.
    fn next_turn(pool: &mut Pool<C, W>, worker: usize, now: Instant) -> Option<Turn<C, W>> {
        if pool.idle_len() == 0 {
            return None;
        }
        let bounds = pool.bounds(now);
        let (waiter, party) = pool.waiters.pop(worker, bounds, now)?;
        let conn = pool.take_idle(worker)?;
        pool.busy += 1;
        Some(Turn {
            waiter,
            conn,
            party,
        })
    }

    /// A waiter does not want to wait any longer; `false` if it has been served meanwhile.
    pub fn withdraw(&mut self, id: PoolId, ticket: Ticket, now: Instant) -> bool {
        self.pool(id)
            .is_some_and(|pool| pool.waiters.remove(ticket, now).is_some())
    }

    /// A connection that was granted is another party's from now on.
    pub fn transfer(&mut self, id: PoolId, from: u64, to: &Party, now: Instant) {
        if let Some(pool) = self.pool(id) {
            pool.waiters.transfer(from, to, now);
        }
    }

    /// A connection that was granted comes back, on `worker`, clean.
    pub fn give_back(
        &mut self,
        id: PoolId,
        party: u64,
        conn: C,
        worker: usize,
        expires: Option<Instant>,
        now: Instant,
    ) -> Given<C, W> {
        let hold = self.control.hold;
        let yields = hold == Hold::Off && self.must_yield(id, now);
        match self.pool(id) {
            Some(pool) => {
                pool.busy = pool.busy.saturating_sub(1);
                pool.waiters.released(party, now);
                if yields {
                    return Given::Close(conn);
                }
                Self::place(pool, hold, conn, worker, expires, now)
            }
            None => Given::Close(conn),
        }
    }

    /// Whether a connection that comes back must make room for another pool (G5). A pool that
    /// always has a waiter of its own would otherwise keep all that the limit allows for ever.
    fn must_yield(&mut self, id: PoolId, now: Instant) -> bool {
        if self.max_connections == usize::MAX || self.total() < self.max_connections {
            return false;
        }
        let own = self
            .pools
            .get(id.0)
            .and_then(|pool| pool.waiters.oldest_since());
        let mut others = self.pools.iter_mut().enumerate();
        others.any(|(nth, pool)| {
            let longest = pool.waiters.oldest_since();
            nth != id.0
                && longest.is_some_and(|since| own.is_none_or(|own| since + TURN <= own))
                && pool.wanted(now) > 0
        })
    }

    fn place(
        pool: &mut Pool<C, W>,
        hold: Hold,
        conn: C,
        worker: usize,
        expires: Option<Instant>,
        now: Instant,
    ) -> Given<C, W> {
        let is_old = expires.is_some_and(|at| now >= at);
        if is_old || hold == Hold::Paused || pool.total() >= pool.ceiling(now) {
            return Given::Close(conn);
        }
        let bounds = pool.bounds(now);
        if hold == Hold::Off
            && let Some((waiter, party)) = pool.waiters.pop(worker, bounds, now)
        {
            pool.busy += 1;
            return Given::To(Turn {
                waiter,
                conn,
                party,
            });
        }
        match pool.idle.get_mut(worker) {
            Some(stack) => {
                stack.push(Idle {
                    conn,
                    since: now,
                    expires,
                });
                Given::Kept
            }
            None => Given::Close(conn),
        }
    }

    /// A connection that was granted is closed. Then see [`Self::work`].
    pub fn closed(&mut self, id: PoolId, party: u64, now: Instant) {
        if let Some(pool) = self.pool(id) {
            pool.busy = pool.busy.saturating_sub(1);
            pool.waiters.released(party, now);
        }
    }

    /// A connection that was to be opened is open. Then see [`Self::work`]: fewer are being opened
    /// now than may be.
    pub fn opened(
        &mut self,
        id: PoolId,
        conn: C,
        worker: usize,
        expires: Option<Instant>,
        now: Instant,
    ) -> Given<C, W> {
        let hold = self.control.hold;
        match self.pool(id) {
            Some(pool) => {
                pool.opening = pool.opening.saturating_sub(1);
                pool.outage = None;
                Self::place(pool, hold, conn, worker, expires, now)
            }
            None => Given::Close(conn),
        }
    }

    /// A connection could not be opened. Then see [`Self::work`].
    pub fn not_opened(
        &mut self,
        id: PoolId,
        reason: Error,
        hopeless: bool,
        jitter: u8,
        now: Instant,
    ) {
        if let Some(pool) = self.pool(id) {
            pool.opening = pool.opening.saturating_sub(1);
            pool.outage = Some(Outage::failed(
                pool.outage.take(),
                reason,
                hopeless,
                jitter,
                now,
            ));
        }
    }

    /// Its server will be shown other keys than those that it may have refused: they are tried at once.
    pub fn has_other_keys(&mut self, id: PoolId) {
        if let Some(pool) = self.pool(id) {
            pool.outage.take_if(|outage| outage.is_hopeless());
        }
    }

    /// What is to be done now: idle connections for those who may have them after all, openings that
    /// are wanted and allowed, the longest waiting pool first, and waiters whose hope has ended. Each opening is on the books when this returns.
    pub fn work(&mut self, now: Instant) -> Vec<Work<C, W>> {
        if self.control.hold != Hold::Off {
            return self.without_hope(now);
        }
        let mut work = Vec::new();
        for (nth, pool) in self.pools.iter_mut().enumerate() {
            for worker in 0..pool.idle.len() {
                while pool.idle.get(worker).is_some_and(|idle| !idle.is_empty())
                    && let Some(turn) = Self::next_turn(pool, worker, now)
                {
                    work.push(Work::Give(PoolId(nth), turn));
                }
            }
            let Some(outage) = &pool.outage else { continue };
            let vain = pool.live() == 0 && pool.opening == 0 && !outage.may_try(now);
            if vain && outage.is_over_patience(self.patience, now) {
                let reason = outage.reason().clone();
                let waiters = pool.waiters.drain(now).into_iter();
                work.extend(waiters.map(|waiter| Work::Refuse(waiter, reason.clone())));
            }
        }
        // A pool that gives one up may want one of another's now. Each time fewer are idle.
        while self.open(&mut work, now) {}
        work
    }

    /// Opens what is wanted and allowed; whether idle connections were given up for it.
    fn open(&mut self, work: &mut Vec<Work<C, W>>, now: Instant) -> bool {
        let mut has_evicted = false;
        let mut wanting: Vec<(Option<Instant>, usize, usize)> = Vec::new();
        for (nth, pool) in self.pools.iter_mut().enumerate() {
            let wanted = pool.wanted(now);
            if wanted > 0 {
                wanting.push((pool.waiters.oldest_since(), nth, wanted));
            }
        }
        // `None` (nobody waits, only a minimum is to be kept) sorts last.
        wanting.sort_by_key(|(since, nth, _)| (since.is_none(), *since, *nth));
        for (since, nth, wanted) in wanting {
            for _ in 0..wanted {
                if self.total() >= self.max_connections {
                    // Another pool's idle connection makes room, but only for somebody who waits.
                    let Some(conn) = since.and_then(|_| self.evict_for(nth)) else {
                        break;
                    };
                    work.push(Work::Close(conn));
                    has_evicted = true;
                }
                if let Some(pool) = self.pools.get_mut(nth) {
                    pool.opening += 1;
                    work.push(Work::Open(PoolId(nth)));
                }
            }
        }
        has_evicted
    }

    /// Takes the connection out that has idled longest in any pool but `nth`.
    fn evict_for(&mut self, nth: usize) -> Option<C> {
        let pools = self
            .pools
            .iter_mut()
            .enumerate()
            .filter(|(other, _)| *other != nth);
        let stacks = pools.flat_map(|(_, pool)| pool.idle.iter_mut());
        let oldest = stacks
            .filter(|stack| !stack.is_empty())
            .min_by_key(|stack| stack.first().map(|idle| idle.since))?;
        Some(oldest.remove(0).conn)
    }

    /// Takes out connections that have idled too long or are too old, and then all [`Self::work`].
    pub fn tick(&mut self, idle_timeout: Option<Duration>, now: Instant) -> Vec<Work<C, W>> {
        let mut work = Vec::new();
        for pool in &mut self.pools {
            pool.waiters.tick(now);
            let old = pool.retire(0, |idle| idle.expires.is_some_and(|at| now >= at));
            let keep = if pool.clients > 0 {
                pool.sizes.min_pool_size
            } else {
                0
            };
            let bored = pool.retire(keep, |idle| {
                idle_timeout.is_some_and(|limit| now >= idle.since + limit)
            });
            work.extend(old.into_iter().chain(bored).map(Work::Close));
        }
        work.extend(self.work(now));
        work
    }

    /// Until then, idle connections that no client is there for are not kept.
    pub fn vacate(&mut self, until: Instant) {
        self.vacant_until = Some(until);
    }

    /// Takes out all idle connections if they are not to be kept.
    pub fn unused(&mut self, now: Instant) -> Vec<C> {
        self.vacant_until = self.vacant_until.filter(|until| now < *until);
        if self.vacant_until.is_some() && self.clients == 0 {
            self.weed(|_| true)
        } else {
            Vec::new()
        }
    }

    /// Takes out idle connections for which `gone` holds.
    pub fn weed(&mut self, mut gone: impl FnMut(&mut C) -> bool) -> Vec<C> {
        let mut out = Vec::new();
        for stack in self.pools.iter_mut().flat_map(|pool| pool.idle.iter_mut()) {
            out.extend(
                stack
                    .extract_if(.., |idle| gone(&mut idle.conn))
                    .map(|idle| idle.conn),
            );
        }
        out
    }

    /// The pools by user.
    pub fn users(&self) -> impl Iterator<Item = (&str, PoolId)> {
        self.by_user.iter().map(|(user, id)| (user.as_str(), *id))
    }

    /// What a pool looks like.
    pub fn snapshot(&self, id: PoolId) -> Snapshot {
        self.pools
            .get(id.0)
            .map_or_else(Snapshot::default, |pool| Snapshot {
                idle: pool.idle_len(),
                busy: pool.busy,
                opening: pool.opening,
                waiting: pool.waiters.len(),
                clients: pool.clients,
                oldest: pool.waiters.oldest_since(),
            })
    }

    /// How large a pool may be.
    pub fn sizes(&self, id: PoolId) -> Option<&PoolSizes> {
        self.pools.get(id.0).map(|pool| &pool.sizes)
    }

    /// What a party has of a pool.
    pub fn standing(&self, id: PoolId, party: u64) -> Standing {
        let pool = self.pools.get(id.0);
        pool.map_or_else(Standing::default, |pool| pool.waiters.standing_of(party))
    }

    /// Parties that a pool knows.
    #[cfg(test)]
    pub(super) fn parties(&self, id: PoolId) -> usize {
        let pool = self.pools.get(id.0);
        pool.map_or(0, |pool| pool.waiters.parties())
    }

    /// Nobody has a connection, waits for one or is about to get one.
    pub fn is_quiet(&self) -> bool {
        self.pools
            .iter()
            .all(|pool| pool.busy == 0 && pool.opening == 0 && pool.waiters.len() == 0)
    }
}

fn queue_full(whose: &str, most: usize) -> Error {
    let message =
        format!("too many requests of {whose} wait for a server connection (max_waiting = {most})");
    Error::new(Kind::QueueFull, message).hint("Try again later.")
}
