//! How long things took.

use std::time::Duration;

use super::{Count, Counter};
use crate::limit::tier::nanos;

/// Durations that divide one bucket from the next, in nanoseconds: 50 µs to 70 s, six to a decade.
/// A quantile that is read from them is off by a quarter at most.
pub const BOUNDS: [u64; 37] = bounds();

const fn bounds() -> [u64; 37] {
    let steps = [10, 15, 20, 30, 50, 70];
    let mut bounds = [0; 37];
    // 50 µs and 70 µs are the last two of their decade.
    let (mut nth, mut decade) = (4, 1_000);
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = steps[nth] * decade;
        nth += 1;
        if nth == steps.len() {
            (nth, decade) = (0, decade * 10);
        }
        at += 1;
    }
    bounds
}

/// The buckets: one below each bound, and one for what is longer than all.
const BUCKETS: usize = BOUNDS.len() + 1;

/// Durations.
#[derive(Debug)]
pub struct Histogram<C = Counter> {
    buckets: [C; BUCKETS],
    nanos: C,
}

impl<C: Count> Default for Histogram<C> {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| C::default()),
            nanos: C::default(),
        }
    }
}

impl<C: Count> Histogram<C> {
    /// Something took so long.
    pub fn observe(&self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// So many things took so long each.
    pub fn observe_many(&self, took: Duration, many: u64) {
        let took = nanos(took);
        let nth = BOUNDS.partition_point(|bound| *bound < took);
        if let Some(bucket) = self.buckets.get(nth) {
            bucket.add(many);
        }
        self.nanos.add(took.saturating_mul(many));
    }

    /// Adds what was seen so far to `spread`.
    pub fn add_to(&self, spread: &mut Spread) {
        for (sum, bucket) in spread.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        spread.nanos += self.nanos.get();
    }
}

/// What one or more histograms have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    buckets: [u64; BUCKETS],
    /// The sum of all durations.
    pub nanos: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            nanos: 0,
        }
    }
}

impl Spread {
    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many were not longer than each of [`BOUNDS`].
    pub fn up_to(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sum = 0;
        BOUNDS.iter().zip(&self.buckets).map(move |(bound, count)| {
            sum += count;
            (*bound, sum)
        })
    }

    /// Adds what another has seen.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += count;
        }
        self.nanos += other.nanos;
    }

    /// What has come since `before`, which this has grown out of.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        for (count, before) in since.buckets.iter_mut().zip(&before.buckets) {
            *count = count.saturating_sub(*before);
        }
        since.nanos = self.nanos.saturating_sub(before.nanos);
        since
    }

    /// The duration that a part of `quantile` (0 to 1) did not exceed, in nanoseconds; within a
    /// bucket it is taken to be spread evenly. `None`: there was none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an estimate between two bounds"
    )]
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = quantile * count as f64;
        let mut below = 0;
        let mut from = 0;
        for (bound, sum) in self.up_to() {
            if sum as f64 >= rank && sum > below {
                let part = (rank - below as f64).max(0.0) / (sum - below) as f64;
                return Some(from + ((bound - from) as f64 * part) as u64);
            }
            (below, from) = (sum, bound);
        }
        BOUNDS.last().copied()
    }
}
