//! What must hold of `pgusher::pool`, whatever is asked of it in whatever order.
//!
//! A list of plain vectors plays the books beside the real ones. It does not decide who gets
//! what: it says whether what the books decided was allowed, and whether anybody is left
//! standing without a reason. A pool is used by one party, or shared by several.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use pgusher::{
    error::{Error, Kind},
    limit::Share,
    pool::{Asked, Database, Generation, Given, Hold, Party, PoolId, PoolSizes, Ticket, Work},
};

use super::choices::Choices;

/// How far the queue may be out of order where there are several workers.
const SLACK: Duration = Duration::from_millis(1);
/// The first pause after a failure, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A party that has asked within this time has what it was promised.
const PRESENT: Duration = Duration::from_secs(10);

struct Waiter {
    name: u32,
    party: usize,
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
    /// With the party that has it.
    busy: Vec<(u32, usize)>,
    parties: Vec<Party>,
    /// When each of them last asked.
    seen: Vec<Option<Instant>>,
    opening: usize,
    /// When these openings began.
    begun: Vec<Generation>,
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

    /// One party without any limits of its own: nothing but arrival decides.
    fn is_plain(&self) -> bool {
        self.parties == [Party::default()]
    }

    fn servers(&self, party: usize) -> usize {
        self.busy.iter().filter(|(_, it)| *it == party).count()
    }

    fn share(&self, party: usize) -> Share {
        self.parties[party].share
    }

    /// Connections beyond what their parties were promised.
    fn extra(&self) -> usize {
        let parties = 0..self.parties.len();
        let extra = parties.map(|it| self.servers(it).saturating_sub(self.share(it).min_servers));
        extra.sum()
    }

    /// Waiters that could be served if there were connections.
    fn demand(&self) -> usize {
        let parties = 0..self.parties.len();
        let demand = parties.map(|party| {
            let waiters = self.waiters.iter().filter(|it| it.party == party);
            let room = self.share(party).max_servers - self.servers(party);
            waiters.count().min(room)
        });
        demand.sum()
    }

    /// Whether it may certainly have one more: though all were there that were promised any, and
    /// others for which some are spared.
    fn may_have(&self, party: usize) -> bool {
        let (servers, share) = (self.servers(party), self.share(party));
        if servers >= share.max_servers || servers < share.min_servers {
            return servers < share.max_servers;
        }
        let promised: usize = self.parties.iter().map(|it| it.share.min_servers).sum();
        let for_all = self.sizes.pool_size.saturating_sub(promised).max(1);
        let spare = self.sizes.spare_servers;
        let for_one = self.sizes.pool_size.saturating_sub(spare).max(1);
        self.extra() < for_all && (servers < for_one || self.parties.len() == 1)
    }

    fn nobody_waits_beside_an_idle_one(&self) {
        let waits = self.waiters.iter().any(|it| self.may_have(it.party));
        assert!(!waits || self.idle.is_empty(), "waits beside an idle one");
        let alone = self.is_plain() && !self.waiters.is_empty();
        assert!(!alone || self.idle.is_empty(), "waits beside an idle one");
    }

    /// A party gets one more, which it does not have yet.
    fn check_grant(&self, party: usize, now: Instant) {
        let (servers, share) = (self.servers(party), self.share(party));
        assert!(servers < share.max_servers, "more than it may have");
        if servers < share.min_servers {
            return;
        }
        let is_present = |it: usize| self.seen[it].is_some_and(|seen| now < seen + PRESENT);
        let present = (0..self.parties.len()).filter(|it| is_present(*it));
        let promised: usize = present.map(|it| self.share(it).min_servers).sum();
        let ceiling = self.ceiling(self.reserve || self.maybe_reserve);
        let for_all = ceiling.saturating_sub(promised).max(1);
        assert!(self.extra() < for_all, "what was promised to others");
        let for_one = ceiling.saturating_sub(self.sizes.spare_servers).max(1);
        let mut others = (0..self.parties.len()).filter(|it| *it != party);
        let spared = servers < for_one || !self.sizes.fair || !others.any(is_present);
        assert!(spared, "what is spared for others");
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
    hold: Hold,
    /// Of each connection that there is.
    generations: HashMap<u32, Generation>,
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

fn some_party(choices: &mut Choices<'_>) -> Party {
    let share = Share {
        max_servers: choices.one(&[usize::MAX, 1, 2]),
        min_servers: choices.one(&[0, 0, 1]),
        max_waiting: choices.one(&[usize::MAX, 2]),
        weight: choices.one(&[1, 7]),
    };
    Party { number: 0, share }
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
                    spare_servers: choices.below(3),
                    fair: choices.below(4) < 3,
                    adaptive: false,
                };
                let parties = match choices.below(3) {
                    0 => vec![Party::default()],
                    others => (0..=others).map(|_| some_party(choices)).collect(),
                };
                let parties: Vec<_> = (0..).zip(parties).collect();
                let numbered = |(number, party): (u64, Party)| Party { number, ..party };
                let parties: Vec<_> = parties.into_iter().map(numbered).collect();
                let user = format!("user{nth}");
                let id = books.join(&user, || sizes.clone()).unwrap();
                Pool {
                    id,
                    user,
                    sizes,
                    clients: 1,
                    idle: Vec::new(),
                    busy: Vec::new(),
                    seen: vec![None; parties.len()],
                    parties,
                    opening: 0,
                    begun: Vec::new(),
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
            hold: Hold::Off,
            generations: HashMap::new(),
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
        match choices.below(13) {
            12 => self.operate(choices),
            0..=3 => {
                let party = choices.below(self.pools[nth].parties.len());
                self.ask(nth, party, worker);
            }
            4 => {
                let millis = choices.one(&[0, 1, 2, 40, 100, 900, 6000, 10_000]);
                self.now += Duration::from_millis(millis);
            }
            5 | 6 if !self.pools[nth].busy.is_empty() => {
                let expired = choices.below(8) == 7;
                self.give_back(nth, worker, expired);
            }
            7 if self.pools[nth].opening > 0 => self.opened(nth, worker, choices.below(8) == 7),
            8 if self.pools[nth].opening > 0 => self.not_opened(nth, choices),
            9 if !self.pools[nth].waiters.is_empty() => self.withdraw(nth, choices),
            10 => match choices.below(5) {
                0 if !self.pools[nth].busy.is_empty() => {
                    let pool = &mut self.pools[nth];
                    if let Some((conn, party)) = pool.busy.pop() {
                        self.generations.remove(&conn);
                        let number = pool.parties[party].number;
                        self.books.closed(pool.id, number, self.now);
                    }
                    self.work();
                }
                4 if !self.pools[nth].busy.is_empty() => self.transfer(nth, choices),
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

    fn ask(&mut self, nth: usize, party: usize, worker: usize) {
        let pool = &self.pools[nth];
        let (id, now, asks) = (pool.id, self.now, pool.parties[party]);
        let has_waiters = pool.waiters.iter().any(|it| it.party == party);
        match self.books.ask(id, &asks, worker, now) {
            Asked::Granted(conn) => {
                assert_eq!(self.hold, Hold::Off, "granted while held");
                assert!(!has_waiters, "the queue was overtaken");
                pool.nobody_waits_beside_an_idle_one();
                self.becomes_busy(nth, conn, party);
            }
            Asked::Refused(error) => match error.kind {
                Kind::QueueFull => {
                    let own = pool.waiters.iter().filter(|it| it.party == party);
                    assert!(
                        pool.waiters.len() >= pool.sizes.max_waiting
                            || own.count() >= asks.share.max_waiting
                    );
                    self.nobody_waits_beside_an_idle_one(nth);
                }
                _ => self.check_refusal(nth, &error),
            },
            Asked::Wait => {
                let alone = pool.is_plain() && pool.waiters.is_empty();
                let is_held = self.hold != Hold::Off;
                assert!(
                    !alone || is_held || pool.idle.is_empty(),
                    "waits beside an idle one"
                );
                let name = self.name();
                let ticket = self.books.wait(id, &asks, worker, name, now).unwrap();
                let since = now;
                let pool = &mut self.pools[nth];
                pool.reserve &= !pool.waiters.is_empty();
                pool.seen[party] = Some(now);
                pool.waiters.push(Waiter {
                    name,
                    party,
                    ticket,
                    since,
                });
                let work = self.books.serve(id, worker, now);
                self.perform(work);
                self.nobody_is_left_standing(Some(nth));
            }
        }
    }

    fn nobody_waits_beside_an_idle_one(&self, nth: usize) {
        if self.hold == Hold::Off {
            self.pools[nth].nobody_waits_beside_an_idle_one();
        }
    }

    /// The operator does something.
    fn operate(&mut self, choices: &mut Choices<'_>) {
        if choices.below(4) == 0 {
            for conn in self.books.reconnect() {
                self.closes(conn);
            }
            assert!(self.pools.iter().all(|pool| pool.idle.is_empty()));
            return self.work();
        }
        if self.hold != Hold::Off && choices.below(3) > 0 {
            return self.resume();
        }
        self.hold = choices.one(&[Hold::Paused, Hold::Suspended]);
        let closed = self.books.hold(self.hold);
        assert!(closed.is_empty() || self.hold == Hold::Paused);
        for conn in closed {
            self.closes(conn);
        }
        let kept = self.pools.iter().any(|pool| !pool.idle.is_empty());
        assert!(!kept || self.hold == Hold::Suspended);
    }

    /// The hold is over: the server is asked anew, and who has waited is served.
    fn resume(&mut self) {
        if self.hold == Hold::Paused {
            for pool in &mut self.pools {
                pool.outage = None;
            }
        }
        self.hold = Hold::Off;
        let work = self.books.resume(self.now);
        self.carry_out(work, true);
        self.nobody_is_left_standing(None);
    }

    /// An idle connection is off the books.
    fn closes(&mut self, conn: u32) {
        self.no_longer_idle(conn);
        self.generations.remove(&conn);
    }

    fn becomes_busy(&mut self, nth: usize, conn: u32, party: usize) {
        let now = self.now;
        let pool = &mut self.pools[nth];
        let at = pool.idle.iter().position(|it| *it == conn);
        pool.idle.remove(at.expect("what is granted was idle"));
        pool.seen[party] = pool.seen[party].max(Some(now));
        pool.check_grant(party, now);
        pool.busy.push((conn, party));
    }

    /// What one of the parties has is another's, which may have it.
    fn transfer(&mut self, nth: usize, choices: &mut Choices<'_>) {
        let pool = &mut self.pools[nth];
        let at = choices.below(pool.busy.len());
        let (conn, from) = pool.busy[at];
        let to = choices.below(pool.parties.len());
        if from == to || pool.servers(to) >= pool.share(to).max_servers {
            return;
        }
        pool.busy[at] = (conn, to);
        pool.seen[to] = Some(self.now);
        let (number, party) = (pool.parties[from].number, pool.parties[to]);
        self.books.transfer(pool.id, number, &party, self.now);
        self.work();
    }

    fn give_back(&mut self, nth: usize, worker: usize, expired: bool) {
        let pool = &mut self.pools[nth];
        let (conn, party) = pool.busy.remove(0);
        let (id, number) = (pool.id, pool.parties[party].number);
        let expired = expired || self.generations[&conn].is_over();
        let (expires, now) = (expired.then_some(self.now), self.now);
        let given = self.books.give_back(id, number, conn, worker, expires, now);
        self.settle(nth, conn, expired, given);
        self.work();
    }

    fn opened(&mut self, nth: usize, worker: usize, expired: bool) {
        let conn = self.name();
        let pool = &mut self.pools[nth];
        pool.opening -= 1;
        pool.outage = None;
        let generation = pool.begun.remove(0);
        let expired = expired || generation.is_over();
        self.generations.insert(conn, generation);
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
        let hold = self.hold;
        if hold != Hold::Paused {
            self.pools[nth].look_at_reserve(now);
        }
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
                assert_eq!(hold, Hold::Off, "granted while held");
                self.served(nth, turn.waiter, conn, turn.party);
            }
            Given::Kept => {
                assert!(may_fit && !expired && hold != Hold::Paused);
                pool.idle.push(conn);
                self.nobody_waits_beside_an_idle_one(nth);
            }
            Given::Close(given) => {
                assert_eq!(given, conn);
                self.generations.remove(&conn);
                let full = limit.is_some_and(|limit| others + 1 >= limit);
                assert!(
                    expired || !fits || hold == Hold::Paused || (full && somebody_else),
                    "closed for nothing"
                );
            }
        }
    }

    fn served(&mut self, nth: usize, waiter: u32, conn: u32, party: u64) {
        let pool = &mut self.pools[nth];
        let at = pool.waiters.iter().position(|it| it.name == waiter);
        let waiter = pool.waiters.remove(at.expect("whoever is served waits"));
        assert_eq!(pool.parties[waiter.party].number, party);
        let mut own = pool.waiters.iter().filter(|it| it.party == waiter.party);
        if let Some(first) = own.next() {
            let is_first = waiter.ticket < first.ticket;
            assert!(is_first || self.workers > 1, "first come, first served");
            let slack = first.since + SLACK;
            assert!(waiter.since <= slack, "overtaken by too much");
        }
        pool.check_grant(waiter.party, self.now);
        pool.busy.push((conn, waiter.party));
        self.ended.push(waiter.name);
    }

    fn not_opened(&mut self, nth: usize, choices: &mut Choices<'_>) {
        let (hopeless, jitter) = (choices.below(4) == 3, choices.one(&[0, 255]));
        let (now, reason) = (self.now, format!("reason {}", self.name()));
        let pool = &mut self.pools[nth];
        pool.opening -= 1;
        pool.begun.remove(0);
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
            self.closes(conn);
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
                || self.hold != Hold::Off
                || pool.total() >= pool.sizes.min_pool_size;
            assert!(keeps || !room, "the minimum is kept");
        }
    }

    fn perform(&mut self, work: Vec<Work<u32, u32>>) {
        self.carry_out(work, false);
    }

    fn carry_out(&mut self, work: Vec<Work<u32, u32>>, resumed: bool) {
        let now = self.now;
        for item in work {
            match item {
                Work::Open(id) => {
                    assert_eq!(self.hold, Hold::Off, "opened while held");
                    let nth = self.pools.iter().position(|pool| pool.id == id).unwrap();
                    let generation = self.books.generation();
                    assert!(!generation.is_over());
                    let pool = &mut self.pools[nth];
                    pool.begun.push(generation);
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
                Work::Give(id, turn) => {
                    assert_eq!(self.hold, Hold::Off, "granted while held");
                    let nth = self.pools.iter().position(|pool| pool.id == id).unwrap();
                    assert!(
                        resumed || !self.pools[nth].is_plain(),
                        "nobody waits beside an idle one"
                    );
                    assert_eq!(self.no_longer_idle(turn.conn), nth);
                    self.served(nth, turn.waiter, turn.conn, turn.party);
                }
                Work::Close(conn) => self.closes(conn),
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
        assert_eq!(self.hold, Hold::Off, "refused while held");
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
        if self.hold != Hold::Off {
            return;
        }
        for (nth, pool) in self.pools.iter().enumerate() {
            if only.is_some_and(|only| only != nth) || pool.demand() <= pool.opening {
                continue;
            }
            let own = pool.total() >= pool.sizes.pool_size
                || pool.opening >= pool.sizes.max_connecting
                || pool
                    .outage
                    .as_ref()
                    .is_some_and(|it| self.now < it.retry_at || pool.opening > 0);
            let is_full = self.max_connections.is_some_and(|max| self.total() >= max);
            let mut others = self.pools.iter().enumerate();
            let evictable = others.any(|(it, other)| it != nth && !other.idle.is_empty());
            assert!(own || (is_full && !evictable), "somebody waits for nothing");
        }
    }

    fn check(&mut self) {
        let begun = self.pools.iter().flat_map(|pool| &pool.begun);
        let mut generations = begun.chain(self.generations.values());
        let has_past = generations.any(Generation::is_over);
        assert_eq!(self.books.has_past(), has_past);
        let conns: usize = self
            .pools
            .iter()
            .map(|it| it.idle.len() + it.busy.len())
            .sum();
        assert_eq!(self.generations.len(), conns);
        assert!(self.max_connections.is_none_or(|max| self.total() <= max));
        assert_eq!(self.books.total(), self.total());
        for (nth, pool) in self.pools.iter().enumerate() {
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
            self.nobody_waits_beside_an_idle_one(nth);
            assert!(pool.total() <= pool.sizes.pool_size + pool.sizes.reserve_pool_size);
        }
        let mut ended = self.ended.clone();
        ended.sort_unstable();
        ended.dedup();
        assert_eq!(ended.len(), self.ended.len(), "served twice");
    }

    /// The server works, clients finish and time passes: then nobody waits any longer.
    fn let_go(&mut self) {
        if self.hold != Hold::Off {
            self.resume();
        }
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
