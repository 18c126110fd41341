//! A token bucket: so much per second, and so much at once after a rest.
//!
//! All that a bucket knows is when it will be full again. What is taken moves that time further
//! away; the bucket is empty when it is as far away as filling it takes. So nothing refills it, and
//! it costs the same at any rate.
//!
//! Two things it can do are the reason why it is written here (the crate `governor`, against which
//! the tests hold it, has neither): it may go into debt, because what a transaction costs is known
//! when it is over; and it can be asked for a token that will be there soon, so that who waits for
//! it has it for certain, and in the order of asking.

use std::time::{Duration, Instant};

/// A bucket is in debt for no longer than this: one hour-long query does not lock a tenant out for
/// another hour.
pub const LONGEST_DEBT: Duration = Duration::from_secs(60);

const SECOND: u64 = 1_000_000_000;

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
        // Nearly always it fits, and a division of 128 bits is what would cost most here.
        let nanos = match units.checked_mul(SECOND) {
            Some(product) => product / self.per_second,
            None => {
                let product = u128::from(units) * u128::from(SECOND);
                u64::try_from(product / u128::from(self.per_second)).unwrap_or(u64::MAX)
            }
        };
        Duration::from_nanos(nanos)
    }
}

/// One bucket. A new one is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    drawn: Option<Drawn>,
}

/// What was taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Drawn {
    full_at: Instant,
    /// At which rate it will be full then.
    rate: Rate,
}

impl Bucket {
    /// How long to wait until `cost` is there. Nothing is taken. With a cost of 0: until it is not
    /// in debt.
    pub fn wait(&mut self, rate: Rate, cost: u64, now: Instant) -> Duration {
        self.after(rate, cost, now)
            .saturating_duration_since(now + rate.time_for(rate.burst))
    }

    /// Takes `cost`, whether it is there or not.
    pub fn take(&mut self, rate: Rate, cost: u64, now: Instant) {
        let furthest = now + rate.time_for(rate.burst) + LONGEST_DEBT;
        let before = self.after(rate, 0, now);
        let after = before + span(rate, cost);
        // What others wait for already is not given to somebody else.
        let full_at = after.min(furthest).max(before);
        self.drawn = Some(Drawn { full_at, rate });
    }

    /// Takes `cost` for somebody who waits until it is there.
    pub fn reserve(&mut self, rate: Rate, cost: u64, now: Instant) {
        let full_at = self.after(rate, cost, now);
        self.drawn = Some(Drawn { full_at, rate });
    }

    /// When it would be full if `cost` were taken.
    fn after(&mut self, rate: Rate, cost: u64, now: Instant) -> Instant {
        let drawn = self.drawn.as_mut().filter(|drawn| drawn.full_at > now);
        let from = drawn.map_or(now, |drawn| {
            drawn.change(rate, now);
            drawn.full_at
        });
        match cost {
            0 => from,
            cost => from + span(rate, cost),
        }
    }

    /// A full bucket may be forgotten: a new one is the same.
    pub fn is_full(&self, now: Instant) -> bool {
        self.drawn.is_none_or(|drawn| drawn.full_at <= now)
    }
}

impl Drawn {
    /// From now on it fills at another rate. As full as it was it remains, and what it owes it
    /// still owes.
    fn change(&mut self, rate: Rate, now: Instant) {
        if self.rate == rate {
            return;
        }
        let (before, after) = (
            self.rate.time_for(self.rate.burst),
            rate.time_for(rate.burst),
        );
        let missing = self.full_at.saturating_duration_since(now);
        let debt = missing.saturating_sub(before);
        let missing = if debt.is_zero() {
            scaled(missing, after.as_nanos(), before.as_nanos())
        } else {
            let (old, new) = (self.rate.per_second.into(), rate.per_second.into());
            after + scaled(debt, old, new).min(LONGEST_DEBT)
        };
        *self = Self {
            full_at: now + missing,
            rate,
        };
    }
}

/// What `cost` takes to come, if it is no nonsense.
fn span(rate: Rate, cost: u64) -> Duration {
    rate.time_for(cost).min(LONGEST_DEBT * 1000)
}

fn scaled(span: Duration, by: u128, of: u128) -> Duration {
    let nanos = span.as_nanos().saturating_mul(by).div_ceil(of.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
