//! What must hold of `pgusher::pool`, whatever is asked of it in whatever order.
//!
//! A list of plain vectors plays the books beside the real ones. It does not decide who gets
//! what: it says whether what the books decided was allowed, and whether anybody is left
//! standing without a reason.

use std::time::{Duration, Instant};

use pgusher::{
    error::{Error, Kind},
    pool::{Asked, Database, Given, Party, PoolId, PoolSizes, Ticket, Work},
};

use super::choices::Choices;

/// How far the queue may be out of order where there are several workers.
const SLACK: Duration = Duration::from_millis(1);
/// The first pause after a failure, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

struct Waiter {
    name: u32,
    ticket: Ticket,
    since: Instant,
}

struct Outage {
    since: Instant,
    retry_at: Instant,
    failures: u32,
    hopeless: bool,
    reason: String,
}

struct Pool {
    id: PoolId,
    user: String,
    sizes: PoolSizes,
    clients: usize,
    idle: Vec<u32>,
    busy: Vec<u32>,
    opening: usize,
    waiters: Vec<Waiter>,
    outage: Option<Outage>,
    /// The first of the queue has waited long enough since the queue was last empty, and the books
    /// have certainly looked at it then.
    reserve: bool,
    /// The same, and they may have looked: they do so for all pools when anything is asked of one.
    maybe_reserve: bool,
}

impl Pool {
    fn total(&self) -> usize {
        self.idle.len() + self.busy.len() + self.opening
    }

    fn look_at_reserve(&mut self, now: Instant) {
        let (waits, waited) = self.first_has_waited(now);
        self.reserve = waits && (self.reserve || waited);
    }

    fn maybe_look_at_reserve(&mut self, now: Instant) {
        let (waits, waited) = self.first_has_waited(now);
        self.maybe_reserve = waits && (self.maybe_reserve || waited);
    }

    /// Whether anybody waits, and for so long that the reserve is opened.
    fn first_has_waited(&self, now: Instant) -> (bool, bool) {
        let first = self.waiters.first();
        let waited = first.is_some_and(|it| now >= it.since + self.sizes.reserve_pool_timeout);
        (first.is_some(), waited)
    }

    /// How many connections it may have, with the reserve or without.
    fn ceiling(&self, reserve: bool) -> usize {
        let reserve = if reserve {
            self.sizes.reserve_pool_size
        } else {
            0
        };
        self.sizes.pool_size + reserve
    }
}

struct World {
    books: Database<u32, u32>,
    workers: usize,
    pools: Vec<Pool>,
    max_connections: Option<usize>,
    patience: Option<Duration>,
    now: Instant,
    next: u32,
    /// Waiters that were served or refused.
    ended: Vec<u32>,
}

/// Random use of several pools of one database, then everything is let go: the books add up
/// after every step, no limit is ever passed, and nobody is forgotten.
pub(crate) fn pool(script: &[u8]) {
    let mut choices = Choices::new(script);
    let mut world = World::new(&mut choices);
    while !choices.are_over() {
        world.step(&mut choices);
        world.check();
    }
    world.let_go();
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let workers = choices.one(&[1, 2, 3]);
        let max_connections = choices.one(&[None, Some(1), Some(2), Some(4)]);
        let patience = choices.one(&[None, Some(Duration::ZERO), Some(Duration::from_secs(1))]);
        let now = Instant::now();
        let mut books = Database::new("app", workers, max_connections, Some(6), patience);
        let pools = (0..choices.one(&[1, 2, 3]))
            .map(|nth| {
                let sizes = PoolSizes {
                    pool_size: choices.one(&[1, 2, 3]),
                    min_pool_size: choices.one(&[0, 0, 1]),
                    reserve_pool_size: choices.one(&[0, 0, 2]),
                    reserve_pool_timeout: Duration::from_millis(choices.one(&[50, 1000])),
                    max_waiting: choices.one(&[4, 1]),
                    max_connecting: choices.one(&[1, 2]),
                    spare_servers: 0,
                    fair: true,
                    adaptive: false,
                };
                let user = format!("user{nth}");
                let id = books.join(&user, || sizes.clone()).unwrap();
                Pool {
                    id,
                    user,
                    sizes,
                    clients: 1,
                    idle: Vec::new(),
                    busy: Vec::new(),
                    opening: 0,
                    waiters: Vec::new(),
                    outage: None,
                    reserve: false,
                    maybe_reserve: false,
                }
            })
            .collect();
        Self {
            books,
            workers,
            pools,
            max_connections,
            patience,
            now,
            next: 0,
            ended: Vec::new(),
        }
    }

    fn name(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn total(&self) -> usize {
        self.pools.iter().map(Pool::total).sum()
    }

    fn maybe_look_at_reserves(&mut self) {
        for pool in &mut self.pools {
            pool.maybe_look_at_reserve(self.now);
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        self.maybe_look_at_reserves();
        let nth = choices.below(self.pools.len());
        let worker = choices.below(self.workers);
        match choices.below(12) {
            0..=3 => self.ask(nth, worker),
            4 => {
                let millis = choices.one(&[0, 1, 2, 40, 100, 900, 6000]);
                self.now += Duration::from_millis(millis);
            }
            5 | 6 if !self.pools[nth].busy.is_empty() => {
                let expired = choices.below(8) == 7;
                self.give_back(nth, worker, expired);
            }
            7 if self.pools[nth].opening > 0 => self.opened(nth, worker, choices.below(8) == 7),
            8 if self.pools[nth].opening > 0 => self.not_opened(nth, choices),
            9 if !self.pools[nth].waiters.is_empty() => self.withdraw(nth, choices),
            10 => match choices.below(4) {
                0 if !self.pools[nth].busy.is_empty() => {
                    self.pools[nth].busy.pop();
                    self.books.closed(self.pools[nth].id, 0, self.now);
                    self.work();
                }
                1 => self.weed(choices),
                2 => self.join(nth),
                _ if self.pools[nth].clients > 0 => {
                    self.books.leave(self.pools[nth].id);
                    self.pools[nth].clients -= 1;
                }
                _ => {}
            },
            _ => self.tick(choices.one(&[None, Some(Duration::from_secs(2))])),
        }
    }

    fn join(&mut self, nth: usize) {
        let clients: usize = self.pools.iter().map(|pool| pool.clients).sum();
        let pool = &mut self.pools[nth];
        match self.books.join(&pool.user, || unreachable!("it is known")) {
            Ok(id) => {
                assert!(clients < 6 && id == pool.id);
                pool.clients += 1;
            }
            Err(error) => assert!(clients == 6 && error.kind == Kind::TooManyClients),
        }
    }

    fn ask(&mut self, nth: usize, worker: usize) {
        let (id, now) = (self.pools[nth].id, self.now);
        match self.books.ask(id, &Party::default(), worker, now) {
            Asked::Granted(conn) => {
                assert!(
                    self.pools[nth].waiters.is_empty(),
                    "the queue was overtaken"
                );
                self.becomes_busy(nth, conn);
            }
            Asked::Refused(error) => {
                assert!(self.pools[nth].idle.is_empty());
                match error.kind {
                    Kind::QueueFull => {
                        let pool = &self.pools[nth];
                        assert!(pool.waiters.len() >= pool.sizes.max_waiting);
                    }
                    _ => self.check_refusal(nth, &error),
                }
            }
            Asked::Wait => {
                assert!(self.pools[nth].idle.is_empty(), "waits beside an idle one");
                let name = self.name();
                let party = Party::default();
                let ticket = self.books.wait(id, &party, worker, name, now).unwrap();
                let since = now;
                self.pools[nth].reserve &= !self.pools[nth].waiters.is_empty();
                self.pools[nth].waiters.push(Waiter {
                    name,
                    ticket,
                    since,
                });
                let work = self.books.serve(id, worker, now);
                self.perform(work);
                self.nobody_is_left_standing(Some(nth));
            }
        }
    }

    fn becomes_busy(&mut self, nth: usize, conn: u32) {
        let pool = &mut self.pools[nth];
        let at = pool.idle.iter().position(|it| *it == conn);
        pool.idle.remove(at.expect("what is granted was idle"));
        pool.busy.push(conn);
    }

    fn give_back(&mut self, nth: usize, worker: usize, expired: bool) {
        let conn = self.pools[nth].busy.remove(0);
        let expires = expired.then_some(self.now);
        let id = self.pools[nth].id;
        let given = self.books.give_back(id, 0, conn, worker, expires, self.now);
        self.settle(nth, conn, expired, given);
        self.work();
    }

    fn opened(&mut self, nth: usize, worker: usize, expired: bool) {
        let conn = self.name();
        let pool = &mut self.pools[nth];
        pool.opening -= 1;
        pool.outage = None;
        let expires = expired.then_some(self.now);
        let given = self.books.opened(pool.id, conn, worker, expires, self.now);
        self.settle(nth, conn, expired, given);
        self.work();
    }

    /// What became of `conn`, which is nowhere on the model's books at this moment.
    fn settle(&mut self, nth: usize, conn: u32, expired: bool, given: Given<u32, u32>) {
        let now = self.now;
        let others = self.total();
        let limit = self.max_connections;
        self.pools[nth].look_at_reserve(now);
        let somebody_else = self
            .pools
            .iter()
            .enumerate()
            .any(|(other, pool)| other != nth && !pool.waiters.is_empty());
        let pool = &mut self.pools[nth];
        let fits = pool.total() < pool.ceiling(pool.reserve);
        let may_fit = fits || pool.total() < pool.ceiling(pool.maybe_reserve);
        match given {
            Given::To(turn) => {
                assert!(turn.conn == conn && may_fit && !expired);
                pool.busy.push(conn);
                self.served(nth, turn.waiter);
            }
            Given::Kept => {
                assert!(may_fit && !expired && pool.waiters.is_empty());
                pool.idle.push(conn);
            }
            Given::Close(given) => {
                assert_eq!(given, conn);
                let full = limit.is_some_and(|limit| others + 1 >= limit);
                assert!(
                    expired || !fits || (full && somebody_else),
                    "closed for nothing"
                );
            }
        }
    }

    fn served(&mut self, nth: usize, waiter: u32) {
        let waiters = &mut self.pools[nth].waiters;
        let at = waiters.iter().position(|it| it.name == waiter);
        let at = at.expect("whoever is served waits");
        if self.workers == 1 {
            assert_eq!(at, 0, "first come, first served");
        }
        assert!(
            waiters[at].since <= waiters[0].since + SLACK,
            "overtaken by too much"
        );
        waiters.remove(at);
        self.ended.push(waiter);
    }

    fn not_opened(&mut self, nth: usize, choices: &mut Choices<'_>) {
        let (hopeless, jitter) = (choices.below(4) == 3, choices.one(&[0, 255]));
        let (now, reason) = (self.now, format!("reason {}", self.name()));
        let pool = &mut self.pools[nth];
        pool.opening -= 1;
        let before = pool.outage.take();
        let failures = before.as_ref().map_or(0, |it| it.failures) + 1;
        let doubled = PAUSES.0 * 2_u32.pow((failures - 1).min(8));
        let pause = if hopeless {
            PAUSES.1
        } else {
            doubled.min(PAUSES.1)
        };
        pool.outage = Some(Outage {
            since: before.map_or(now, |it| it.since),
            retry_at: now + pause + pause / 4 * u32::from(jitter) / 255,
            failures,
            hopeless,
            reason: reason.clone(),
        });
        let error = Error::new(Kind::ServerUnavailable, reason);
        self.books.not_opened(pool.id, error, hopeless, jitter, now);
        self.work();
    }

    fn withdraw(&mut self, nth: usize, choices: &mut Choices<'_>) {
        let pool = &mut self.pools[nth];
        let at = choices.below(pool.waiters.len());
        let waiter = pool.waiters.remove(at);
        assert!(self.books.withdraw(pool.id, waiter.ticket, self.now));
        assert!(
            !self.books.withdraw(pool.id, waiter.ticket, self.now),
            "only once"
        );
        self.ended.push(waiter.name);
    }

    fn weed(&mut self, choices: &mut Choices<'_>) {
        let odd = choices.coin();
        for conn in self.books.weed(|conn| (*conn % 2 == 1) == odd) {
            assert_eq!(conn % 2 == 1, odd);
            self.no_longer_idle(conn);
        }
        let mut left = self.pools.iter().flat_map(|pool| &pool.idle);
        assert!(left.all(|conn| (conn % 2 == 1) != odd));
    }

    fn no_longer_idle(&mut self, conn: u32) -> usize {
        for (nth, pool) in self.pools.iter_mut().enumerate() {
            if let Some(at) = pool.idle.iter().position(|it| *it == conn) {
                pool.idle.remove(at);
                return nth;
            }
        }
        panic!("what is closed was idle");
    }

    fn work(&mut self) {
        let work = self.books.work(self.now);
        self.perform(work);
        self.nobody_is_left_standing(None);
    }

    fn tick(&mut self, idle_timeout: Option<Duration>) {
        let work = self.books.tick(idle_timeout, self.now);
        self.perform(work);
        self.nobody_is_left_standing(None);
        for pool in &self.pools {
            let room = self.max_connections.is_none_or(|max| self.total() < max);
            let keeps = pool.clients == 0
                || pool.outage.is_some()
                || pool.total() >= pool.sizes.min_pool_size;
            assert!(keeps || !room, "the minimum is kept");
        }
    }

    fn perform(&mut self, work: Vec<Work<u32, u32>>) {
        let now = self.now;
        for item in work {
            match item {
                Work::Open(id) => {
                    let nth = self.pools.iter().position(|pool| pool.id == id).unwrap();
                    let pool = &mut self.pools[nth];
                    pool.look_at_reserve(now);
                    let reserve = pool.reserve || pool.maybe_reserve;
                    assert!(pool.total() < pool.ceiling(reserve), "too many");
                    assert!(pool.opening < pool.sizes.max_connecting, "too many at once");
                    if let Some(outage) = &pool.outage {
                        assert!(now >= outage.retry_at, "tried too early");
                        assert_eq!(pool.opening, 0, "one try at a time");
                    }
                    pool.opening += 1;
                }
                Work::Give(_, turn) => panic!("{turn:?}: nobody waits beside an idle one"),
                Work::Close(conn) => _ = self.no_longer_idle(conn),
                Work::Refuse(waiter, error) => {
                    let nth = self
                        .pools
                        .iter()
                        .position(|pool| pool.waiters.iter().any(|it| it.name == waiter));
                    let nth = nth.expect("whoever is refused waits");
                    self.check_refusal(nth, &error);
                    self.pools[nth].waiters.retain(|it| it.name != waiter);
                    self.ended.push(waiter);
                }
            }
        }
    }

    /// Somebody was sent away because there is no server.
    fn check_refusal(&self, nth: usize, error: &Error) {
        let pool = &self.pools[nth];
        let outage = pool.outage.as_ref().expect("refused without an outage");
        assert_eq!(error.message, outage.reason);
        assert_eq!(pool.total(), 0, "refused beside a connection");
        let over = self
            .patience
            .is_some_and(|it| self.now >= outage.since + it);
        assert!(outage.hopeless || over, "refused too early");
    }

    /// Whoever waits (in one pool) does so because something else is under way or a limit is reached.
    fn nobody_is_left_standing(&self, only: Option<usize>) {
        for (nth, pool) in self.pools.iter().enumerate() {
            if only.is_some_and(|only| only != nth) || pool.waiters.len() <= pool.opening {
                continue;
            }
            let own = pool.total() >= pool.sizes.pool_size
                || pool.opening >= pool.sizes.max_connecting
                || pool
                    .outage
                    .as_ref()
                    .is_some_and(|it| self.now < it.retry_at || pool.opening > 0);
            let is_full = self.max_connections.is_some_and(|max| self.total() >= max);
            let evictable = self.pools.iter().any(|other| !other.idle.is_empty());
            assert!(own || (is_full && !evictable), "somebody waits for nothing");
        }
    }

    fn check(&self) {
        assert!(self.max_connections.is_none_or(|max| self.total() <= max));
        assert_eq!(self.books.total(), self.total());
        for pool in &self.pools {
            let seen = self.books.snapshot(pool.id);
            let counted = (seen.idle, seen.busy, seen.opening, seen.waiting);
            let expected = (
                pool.idle.len(),
                pool.busy.len(),
                pool.opening,
                pool.waiters.len(),
            );
            assert_eq!((counted, seen.clients), (expected, pool.clients));
            assert_eq!(seen.oldest, pool.waiters.first().map(|it| it.since));
            assert!(
                pool.waiters.is_empty() || pool.idle.is_empty(),
                "waits beside an idle one"
            );
            assert!(pool.total() <= pool.sizes.pool_size + pool.sizes.reserve_pool_size);
        }
        let mut ended = self.ended.clone();
        ended.sort_unstable();
        ended.dedup();
        assert_eq!(ended.len(), self.ended.len(), "served twice");
    }

    /// The server works, clients finish and time passes: then nobody waits any longer.
    fn let_go(&mut self) {
        for _ in 0..200 {
            for nth in 0..self.pools.len() {
                while self.pools[nth].opening > 0 {
                    self.opened(nth, 0, false);
                }
                if !self.pools[nth].busy.is_empty() {
                    self.give_back(nth, 0, false);
                }
                self.check();
            }
            self.now += Duration::from_secs(6);
            self.maybe_look_at_reserves();
            self.tick(Some(Duration::from_secs(60)));
            self.check();
        }
        assert!(self.pools.iter().all(|pool| pool.waiters.is_empty()));
        assert!(self.pools.iter().all(|pool| pool.busy.is_empty()));
        for nth in 0..self.pools.len() {
            while self.pools[nth].clients > 0 {
                self.books.leave(self.pools[nth].id);
                self.pools[nth].clients -= 1;
            }
        }
        self.now += Duration::from_secs(120);
        self.tick(Some(Duration::from_secs(60)));
        while self.pools.iter().any(|pool| pool.opening > 0) {
            for nth in 0..self.pools.len() {
                while self.pools[nth].opening > 0 {
                    self.opened(nth, 0, true);
                }
            }
        }
        assert_eq!(self.books.total(), 0, "left over");
        assert!(self.books.is_quiet());
    }
}
