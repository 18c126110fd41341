//! Numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// What can be added to.
pub trait Count: Default {
    /// Adds.
    fn add(&self, more: u64);

    /// The sum so far.
    fn get(&self) -> u64;

    /// Adds one.
    fn one(&self) {
        self.add(1);
    }
}

/// Counts what one thread sees. Others may read it, and must not add.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Count for Counter {
    fn add(&self, more: u64) {
        // Not `fetch_add`: nobody else writes it, and so the line need not be locked.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts what any thread sees: for what is rare, or has no thread of its own.
#[derive(Debug, Default)]
pub struct Sum(AtomicU64);

impl Count for Sum {
    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
