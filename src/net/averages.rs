//! What each database has done in all, and on average lately, as PgBouncer counts it.
//!
//! An average is of the time since the period before the running one began, so it is of one to two
//! periods. That is PgBouncer's way: it never jumps back to nothing when a period begins.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::meters::Meters;
use crate::{
    meter::{PoolMeter, Spread},
    sync::Mutex,
};

/// PgBouncer's `stats_period`, as it is by default.
const PERIOD: Duration = Duration::from_secs(60);

/// What was counted, or what that is on average: then times are of one each, and the rest is in a
/// second. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Transactions that began on a server connection.
    pub(crate) assignments: u64,
    pub(crate) transactions: u64,
    pub(crate) queries: u64,
    /// Bytes of clients.
    pub(crate) received: u64,
    /// Bytes to clients.
    pub(crate) sent: u64,
    pub(crate) transaction_time: u64,
    pub(crate) query_time: u64,
    pub(crate) wait_time: u64,
    pub(crate) client_parses: u64,
    pub(crate) server_parses: u64,
    pub(crate) binds: u64,
    pub(crate) logins: u64,
    pub(crate) errors: u64,
}

impl Totals {
    fn of(meter: &PoolMeter) -> Self {
        let counted = |spread: Spread| (spread.count(), spread.nanos / 1000);
        let (assignments, wait_time) = counted(meter.spread(|it| &it.waits));
        let (transactions, transaction_time) = counted(meter.spread(|it| &it.transactions));
        let (queries, query_time) = counted(meter.spread(|it| &it.queries));
        Self {
            assignments,
            transactions,
            queries,
            received: meter.sum(|it| &it.bytes_in),
            sent: meter.sum(|it| &it.bytes_out),
            transaction_time,
            query_time,
            wait_time,
            client_parses: meter.sum(|it| &it.client_parses),
            server_parses: meter.sum(|it| &it.server_parses) + meter.sum(|it| &it.parses_repeated),
            binds: meter.sum(|it| &it.binds),
            logins: meter.spread(|it| &it.logins).count(),
            errors: meter.errors().map(|(_, count)| count).sum(),
        }
    }

    /// Both together.
    #[must_use]
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::wrapping_add)
    }

    fn with(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            assignments: of(self.assignments, other.assignments),
            transactions: of(self.transactions, other.transactions),
            queries: of(self.queries, other.queries),
            received: of(self.received, other.received),
            sent: of(self.sent, other.sent),
            transaction_time: of(self.transaction_time, other.transaction_time),
            query_time: of(self.query_time, other.query_time),
            wait_time: of(self.wait_time, other.wait_time),
            client_parses: of(self.client_parses, other.client_parses),
            server_parses: of(self.server_parses, other.server_parses),
            binds: of(self.binds, other.binds),
            logins: of(self.logins, other.logins),
            errors: of(self.errors, other.errors),
        }
    }

    /// What is more here than `before`, where `time` has passed, on average.
    fn average(&self, before: &Self, time: Duration) -> Self {
        let since = self.with(before, u64::saturating_sub);
        let micros = time.as_micros().max(1);
        let a_second = |count: u64, _| {
            u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
        };
        let each = |time: u64, count: u64| time.checked_div(count).unwrap_or(0);
        Self {
            transaction_time: each(since.transaction_time, since.transactions),
            query_time: each(since.query_time, since.queries),
            wait_time: each(since.wait_time, since.assignments),
            ..since.with(&Self::default(), a_second)
        }
    }
}

/// What was counted so far, by database.
pub(crate) type ByDatabase = BTreeMap<String, Totals>;

impl Meters {
    /// What was counted so far.
    pub(crate) fn totals(&self) -> ByDatabase {
        let mut totals = ByDatabase::new();
        for (name, meter) in self.all() {
            let sum = totals.entry(name.database).or_default();
            *sum = sum.plus(&Totals::of(&meter));
        }
        totals
    }
}

/// Remembers how much was counted when the last two periods began.
#[derive(Debug)]
pub(crate) struct Periods(Mutex<[Moment; 2]>);

#[derive(Debug, Clone)]
struct Moment {
    at: Instant,
    totals: Arc<ByDatabase>,
}

impl Periods {
    /// Nothing has been counted before.
    pub(crate) fn new(now: Instant) -> Self {
        let start = Moment {
            at: now,
            totals: Arc::default(),
        };
        Self(Mutex::new([start.clone(), start]))
    }

    /// It is time for [`Self::turn`].
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let [_, newer] = &*self.0.lock();
        now.saturating_duration_since(newer.at) >= PERIOD
    }

    /// A new period begins.
    pub(crate) fn turn(&self, totals: ByDatabase, now: Instant) {
        let [older, newer] = &mut *self.0.lock();
        let begins = Moment {
            at: now,
            totals: Arc::new(totals),
        };
        *older = std::mem::replace(newer, begins);
    }

    /// What was counted when the period before this one began, and how long ago that is.
    fn before(&self, now: Instant) -> (Arc<ByDatabase>, Duration) {
        let [older, _] = &*self.0.lock();
        let time = now.saturating_duration_since(older.at);
        (Arc::clone(&older.totals), time)
    }

    /// What these totals are on average.
    pub(crate) fn averages(&self, totals: &ByDatabase, now: Instant) -> ByDatabase {
        let (before, time) = self.before(now);
        let average = |(name, total): (&String, &Totals)| {
            let before = before.get(name).copied().unwrap_or_default();
            (name.clone(), total.average(&before, time))
        };
        totals.iter().map(average).collect()
    }

    /// What the sum of all databases is on average.
    pub(crate) fn average(&self, total: &Totals, now: Instant) -> Totals {
        let (before, time) = self.before(now);
        total.average(&sum(&before), time)
    }
}

/// All databases together.
pub(crate) fn sum(totals: &ByDatabase) -> Totals {
    let sum = |sum: Totals, it: &Totals| sum.plus(it);
    totals.values().fold(Totals::default(), sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Count as _;

    fn of(transactions: u64, transaction_time: u64) -> ByDatabase {
        let totals = Totals {
            transactions,
            transaction_time,
            sent: transactions * 1000,
            ..Totals::default()
        };
        ByDatabase::from([("app".to_owned(), totals)])
    }

    #[test]
    fn averages_are_of_one_to_two_periods() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let periods = Periods::new(start);
        let average = |total: &ByDatabase, seconds| {
            let it = periods.averages(total, at(seconds))["app"];
            (it.transactions, it.transaction_time, it.sent)
        };
        assert!(!periods.is_over(at(59)));
        assert_eq!(average(&of(100, 5000), 10), (10, 50, 10_000));
        assert!(periods.is_over(at(60)));
        periods.turn(of(600, 6000), at(60));
        // The first period still counts, until the second is over.
        assert_eq!(average(&of(900, 9000), 90), (10, 10, 10_000));
        assert!(!periods.is_over(at(119)));
        periods.turn(of(600, 6000), at(120));
        assert_eq!(average(&of(1200, 66_000), 180), (5, 100, 5000));
        periods.turn(of(1200, 66_000), at(180));
        // Nothing has happened since: no time is the average of none.
        assert_eq!(average(&of(600, 6000), 240), (0, 0, 0));
        // A database that is new was at nothing before.
        let other = ByDatabase::from([("new".to_owned(), of(1200, 1200)["app"])]);
        assert_eq!(periods.averages(&other, at(240))["new"].transactions, 10);
    }

    #[test]
    fn pools_of_a_database_are_added_up() {
        let meters = Meters::new(2);
        for user in ["a", "b"] {
            let meter = meters.of("app", user);
            let traffic = meter.of(1);
            traffic.queries.observe(Duration::from_micros(1500));
            traffic.waits.observe(Duration::from_micros(70));
            traffic.bytes_in.add(7);
            traffic.server_parses.one();
            traffic.parses_repeated.one();
            traffic.errors.saw(b"42601");
        }
        meters.of("other", "a").of(0).binds.one();
        let totals = meters.totals();
        let expected = Totals {
            assignments: 2,
            wait_time: 140,
            queries: 2,
            query_time: 3000,
            received: 14,
            server_parses: 4,
            errors: 2,
            ..Totals::default()
        };
        assert_eq!(totals["app"], expected);
        assert_eq!(totals["other"].binds, 1);
        assert_eq!(totals.len(), 2);
    }
}
