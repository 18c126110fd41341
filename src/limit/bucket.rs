//! A token bucket: so much per second, and so much at once after a rest.
//!
//! All that a bucket knows is when it will be full again. What is taken moves that time further
//! away; the bucket is empty when it is as far away as filling it takes. So nothing refills it, it
//! costs the same at any rate, and it needs no other state when the rate is changed.
//!
//! Two things it can do are the reason why it is written here (the crate `governor`, against which
//! the tests hold it, has neither): it may go into debt, because what a transaction costs is known
//! when it is over; and it can be asked for a token that will be there soon, so that who waits for
//! it has it for certain, and in the order of asking.

use std::time::{Duration, Instant};

/// A bucket is in debt for no longer than this: one hour-long query does not lock a tenant out for
/// another hour.
pub const LONGEST_DEBT: Duration = Duration::from_secs(60);

const SECOND: u128 = 1_000_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// So much per second, and so much at once: each at least 1.
    pub const fn new(per_second: u64, burst: u64) -> Self {
        Self {
            per_second: if per_second == 0 { 1 } else { per_second },
            burst: if burst == 0 { 1 } else { burst },
        }
    }

    /// Units that come in a second.
    pub const fn per_second(&self) -> u64 {
        self.per_second
    }

    /// Units that a full bucket holds.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// How long it takes until so much has come.
    fn time_for(&self, units: u64) -> Duration {
        let nanos = u128::from(units) * SECOND / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// One bucket. A new one is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// How long to wait until `cost` is there. Nothing is taken. With a cost of 0: until it is not
    /// in debt.
    pub fn wait(&self, rate: Rate, cost: u64, now: Instant) -> Duration {
        self.after(rate, cost, now)
            .saturating_duration_since(now + rate.time_for(rate.burst))
    }

    /// Takes `cost`, whether it is there or not.
    pub fn take(&mut self, rate: Rate, cost: u64, now: Instant) {
        let furthest = now + rate.time_for(rate.burst) + LONGEST_DEBT;
        self.full_at = Some(self.after(rate, cost, now).min(furthest));
    }

    /// When it would be full if `cost` were taken.
    fn after(&self, rate: Rate, cost: u64, now: Instant) -> Instant {
        let from = self.full_at.map_or(now, |at| at.max(now));
        from + rate.time_for(cost).min(LONGEST_DEBT * 1000)
    }

    /// A full bucket may be forgotten: a new one is the same.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}
