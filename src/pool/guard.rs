//! The adaptive guard: fewer server connections for the heaviest party while the server is slower
//! than usual.
//!
//! A pool bounds how many requests a server works on, but not how heavy they are. Whether it is
//! overloaded shows in those who are not the cause: the light parties' transactions take longer
//! than the same parties' usually do. Then the party that uses most server time may have fewer
//! connections, step by step, and gets them back, one at a time, when the others are as fast as
//! usual again. As in TCP Vegas it is the rise of the delay that counts, before anything is lost.

use std::time::{Duration, Instant};

use super::party::{Member, Parties};

/// How often the guard looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// So many parties are remembered for what is usual for them, while they use the pool.
pub(super) const REMEMBERED: usize = 4096;

/// Transactions of light parties in an interval below which nothing can be said.
const FEWEST: u64 = 5;

/// The server is slow when they take so many times what is usual, in percent.
const SLOW: u64 = 200;

/// And as usual when they take no more than this.
const USUAL: u64 = 130;

/// What is usual grows by a 64th in each interval that shows nothing faster: what has become slow
/// for good is usual after half a minute.
const FORGETS: u64 = 64;

/// What a party has done since the guard last looked, and what is usual for it.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Nanoseconds of server connections' time.
    pub(super) spent: u64,
    /// Times that it gave a connection back.
    pub(super) served: u64,
    /// How long it usually has one, in nanoseconds; 0 = not known.
    usual: u64,
}

impl Record {
    /// How long it has had a connection on average, in percent of what is usual; `None` = it has
    /// done nothing, or this is the first that is seen of it.
    fn slowness(&self) -> Option<u64> {
        let mean = self.spent.checked_div(self.served)?;
        mean.saturating_mul(100).checked_div(self.usual)
    }

    /// Begins anew, and knows better what is usual.
    fn turn(&mut self) {
        if let Some(mean) = self.spent.checked_div(self.served) {
            let known = self.usual + self.usual / FORGETS + 1;
            self.usual = if self.usual == 0 {
                mean
            } else {
                mean.min(known)
            };
        }
        (self.spent, self.served) = (0, 0);
    }
}

/// When the guard looked last.
#[derive(Debug, Default)]
pub(super) struct Guard {
    looked: Option<Instant>,
}

impl Guard {
    /// Looks, if it is time to: the parties whose cap has changed.
    pub(super) fn look(&mut self, parties: &mut Parties, now: Instant) -> Vec<u64> {
        if self.looked.is_some_and(|at| now < at + INTERVAL) {
            return Vec::new();
        }
        self.looked = Some(now);
        let numbers: Vec<u64> = parties.numbers().collect();
        for number in &numbers {
            parties.count(*number, now);
        }
        let verdict = slowness_of_the_light(parties);
        let changed = match verdict {
            Some(slowness) if slowness > SLOW => shrink(parties, now),
            Some(slowness) if slowness <= USUAL => grow(parties, &numbers, now),
            Some(_) => Vec::new(),
            // Nobody is there who suffers.
            None => grow(parties, &numbers, now),
        };
        for number in numbers {
            if let Some(member) = parties.get_mut(number) {
                member.record.turn();
            }
        }
        changed
    }
}

/// The party that has used most, and what all have used.
fn heaviest(parties: &Parties) -> Option<(u64, u64)> {
    let (number, member) = parties.iter().max_by_key(|(_, it)| it.record.spent)?;
    (member.record.spent > 0).then_some((number, member.record.spent))
}

/// How slow the others are: the mean over their transactions, in percent of what is usual.
fn slowness_of_the_light(parties: &Parties) -> Option<u64> {
    let (heaviest, _) = heaviest(parties)?;
    let (mut sum, mut count) = (0_u64, 0_u64);
    for (number, member) in parties.iter() {
        if number != heaviest
            && let Some(slowness) = member.record.slowness()
        {
            // One party of many transactions does not speak for all.
            let voice = member.record.served.min(FEWEST);
            sum = sum.saturating_add(slowness.saturating_mul(voice));
            count += voice;
        }
    }
    (count >= FEWEST).then(|| sum / count)
}

/// The heaviest may have a quarter less than it has, if it has more than its part.
fn shrink(parties: &mut Parties, now: Instant) -> Vec<u64> {
    let Some((number, most)) = heaviest(parties) else {
        return Vec::new();
    };
    let used = parties.iter().filter(|(_, it)| it.record.spent > 0);
    let (all, count) = used.fold((0_u64, 0_u64), |(all, count), (_, it)| {
        (all.saturating_add(it.record.spent), count + 1)
    });
    if most <= all / count.max(1) {
        return Vec::new();
    }
    let shrinks = |member: &mut Member| {
        let has = member.cap.min(member.servers.max(1));
        member.cap = (has - has.div_ceil(4)).max(1);
    };
    parties.change(number, now, shrinks);
    vec![number]
}

/// Everybody who has been limited may have one more.
fn grow(parties: &mut Parties, numbers: &[u64], now: Instant) -> Vec<u64> {
    let mut grown = Vec::new();
    for number in numbers {
        let limited = parties.get(*number).is_some_and(|it| it.cap < usize::MAX);
        if limited {
            parties.change(*number, now, |member| {
                // It makes no use of what it may have: it is not limited any more.
                let idle = member.servers + 1 < member.cap && member.waiting == 0;
                member.cap = if idle { usize::MAX } else { member.cap + 1 };
            });
            grown.push(*number);
        }
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limit::Share,
        pool::{Asked, Database, Given, Party, PoolId, PoolSizes, Work},
    };

    const STEP: Duration = Duration::from_millis(1);

    /// A server with two processors, which all that run share; a heavy party with a request always
    /// at hand, and light ones that come now and then.
    struct Model {
        books: Database<usize, (u64, f64)>,
        pool: PoolId,
        /// By connection: whose, how much is left to do (milliseconds), since when.
        running: Vec<Option<(u64, f64, Instant)>>,
        now: Instant,
        /// How long light requests took since this was emptied.
        took: Vec<Duration>,
    }

    impl Model {
        fn new(adaptive: bool) -> Self {
            let sizes = PoolSizes {
                pool_size: 20,
                min_pool_size: 20,
                reserve_pool_size: 0,
                reserve_pool_timeout: Duration::from_secs(5),
                max_waiting: 1000,
                max_connecting: 20,
                spare_servers: 4,
                fair: true,
                adaptive,
            };
            let mut books = Database::new("app", 1, None, None, None);
            let pool = books.join("app", || sizes).unwrap();
            let now = Instant::now();
            for (conn, work) in books.work(now).into_iter().enumerate() {
                assert_eq!(work, Work::Open(pool));
                assert_eq!(books.opened(pool, conn, 0, None, now), Given::Kept);
            }
            Self {
                books,
                pool,
                running: (0..20).map(|_| None).collect(),
                now,
                took: Vec::new(),
            }
        }

        fn ask(&mut self, number: u64, cost: f64) {
            let share = Share::default();
            let party = Party { number, share };
            match self.books.ask(self.pool, &party, 0, self.now) {
                Asked::Granted(conn) => self.running[conn] = Some((number, cost, self.now)),
                Asked::Wait => {
                    let waiter = (number, cost);
                    let ticket = self.books.wait(self.pool, &party, 0, waiter, self.now);
                    assert!(ticket.is_some());
                    let work = self.books.serve(self.pool, 0, self.now);
                    self.perform(work);
                }
                Asked::Refused(error) => panic!("{error}"),
            }
        }

        fn perform(&mut self, work: Vec<Work<usize, (u64, f64)>>) {
            for item in work {
                if let Work::Give(_, turn) = item {
                    let (number, cost) = turn.waiter;
                    self.running[turn.conn] = Some((number, cost, self.now));
                }
            }
        }

        /// A millisecond: everybody who runs gets the same part of two processors.
        fn step(&mut self) {
            self.now += STEP;
            let busy = self.running.iter().flatten().count();
            let speed = (2.0 / busy.max(1) as f64).min(1.0);
            for conn in 0..self.running.len() {
                let Some((number, left, since)) = self.running[conn] else {
                    continue;
                };
                if left > speed {
                    self.running[conn] = Some((number, left - speed, since));
                    continue;
                }
                self.running[conn] = None;
                if number > 0 {
                    self.took.push(self.now - since);
                } else {
                    self.ask(0, 40.0);
                }
                let given = self
                    .books
                    .give_back(self.pool, number, conn, 0, None, self.now);
                if let Given::To(turn) = given {
                    let work = vec![Work::Give(self.pool, turn)];
                    self.perform(work);
                }
            }
        }

        /// So long; every 20 ms each of ten light parties asks for a millisecond or two.
        fn pass(&mut self, time: Duration) {
            let end = self.now + time;
            let mut nth = 0_u64;
            while self.now < end {
                if nth.is_multiple_of(2) {
                    self.ask(1 + nth / 2 % 10, 1.0 + (nth % 3) as f64);
                }
                nth += 1;
                self.step();
                if nth.is_multiple_of(100) {
                    let work = self.books.tick(None, self.now);
                    self.perform(work);
                }
            }
        }

        fn mean(&mut self) -> Duration {
            let took = std::mem::take(&mut self.took);
            took.iter().sum::<Duration>() / u32::try_from(took.len()).unwrap()
        }

        fn heavy(&self) -> usize {
            let running = self.running.iter().flatten();
            running.filter(|(number, ..)| *number == 0).count()
        }
    }

    #[test]
    fn the_heaviest_gives_way_and_comes_back() {
        let mut slow = [Duration::ZERO; 2];
        for adaptive in [false, true] {
            let mut model = Model::new(adaptive);
            model.pass(Duration::from_secs(5));
            let alone = model.mean();
            for _ in 0..100 {
                model.ask(0, 40.0);
            }
            model.pass(Duration::from_secs(5));
            model.took.clear();
            model.pass(Duration::from_secs(20));
            let beside = model.mean();
            slow[usize::from(adaptive)] = beside;
            if adaptive {
                assert!(beside < alone * 3, "{alone:?} {beside:?}");
                assert!(model.heavy() <= 6, "{}", model.heavy());
            } else {
                assert!(beside > alone * 5, "{alone:?} {beside:?}");
                assert!(model.heavy() > 8, "{}", model.heavy());
            }
        }
        assert!(slow[1] * 3 < slow[0], "{slow:?}");
    }

    #[test]
    fn who_is_alone_is_not_limited() {
        let mut model = Model::new(true);
        for _ in 0..100 {
            model.ask(0, 40.0);
        }
        for _ in 0..20_000 {
            model.step();
            let work = model.books.tick(None, model.now);
            model.perform(work);
        }
        assert_eq!(model.heavy(), 20);
    }
}
