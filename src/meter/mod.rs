//! What is counted, and nothing of how it is shown.
//!
//! Everything that a transaction counts is counted by one thread: each worker has a [`Traffic`] of
//! its own for each pool, which nobody else writes, and whoever wants to know adds them up. So
//! counting costs a load, an addition and a store, and no two processors want the same line of
//! memory.

mod counter;
mod histogram;
mod traffic;

pub use counter::{Count, Counter, Sum};
pub use histogram::{BOUNDS, Histogram, Spread};
pub use traffic::{Classes, PoolMeter, Refusals, TierMeter, Traffic, classes};

#[cfg(test)]
mod tests;
