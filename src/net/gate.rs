//! Who is listened to: the books of [`crate::auth::guard`], and what is counted of them.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tracing::warn;

use crate::{
    auth::guard::{Guard, Terms},
    sync::Mutex,
};

/// Answers that are held back at once. More are given at once: holding them would cost more than
/// whoever guesses.
const MOST_HELD: usize = 1000;

/// What has been seen of addresses.
#[derive(Default)]
pub(crate) struct Gate {
    guard: Mutex<Guard>,
    held: AtomicUsize,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    failures: AtomicU64,
    blocks: AtomicU64,
    blocked: AtomicU64,
    refused: AtomicU64,
}

/// What has happened at the gate since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Logins that failed.
    pub(crate) failures: u64,
    /// Addresses that were blocked.
    pub(crate) blocks: u64,
    /// Logins that were refused because of that.
    pub(crate) blocked: u64,
    /// Connections that came too often.
    pub(crate) refused: u64,
}

impl Gate {
    /// Somebody connects; whether it may.
    pub(crate) fn connects(&self, terms: &Terms, from: Option<IpAddr>) -> bool {
        if terms.connections.is_none() {
            return true;
        }
        let may = self.guard.lock().connects(terms, from, Instant::now());
        if !may {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// Whether logins from there are refused, whatever they show.
    pub(crate) fn is_blocked(&self, terms: &Terms, from: Option<IpAddr>) -> bool {
        if terms.block_after.is_none() {
            return false;
        }
        let is_blocked = self.guard.lock().is_blocked(terms, from, Instant::now());
        if is_blocked {
            self.counts.blocked.fetch_add(1, Ordering::Relaxed);
        }
        is_blocked
    }

    /// A login has failed. Keeps its answer back for a while: whoever calls this waits, and nobody else.
    pub(crate) async fn hold_back(&self, terms: &Terms, from: Option<IpAddr>, user: &str) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        let failed = self.guard.lock().failed(terms, from, user, Instant::now());
        if let (true, Some(address)) = (failed.blocks, from) {
            self.counts.blocks.fetch_add(1, Ordering::Relaxed);
            let seconds = terms.block_for.as_secs();
            warn!(%address, seconds, user, "an address is blocked: too many logins from there have failed");
        }
        if failed.delay > Duration::ZERO {
            let held = Held::one_more(&self.held);
            if held.before < MOST_HELD {
                tokio::time::sleep(failed.delay).await;
            }
        }
    }

    /// A login has worked.
    pub(crate) fn passed(&self, terms: &Terms, from: Option<IpAddr>, user: &str) {
        // Mostly there is nothing to forgive, and every login comes by here.
        if self.counts.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut guard = self.guard.lock();
        guard.succeeded(terms, from, user, Instant::now());
    }

    /// Those whose answers are held back: nobody waits for them.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// What has happened.
    pub(crate) fn seen(&self) -> Seen {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Seen {
            failures: read(&self.counts.failures),
            blocks: read(&self.counts.blocks),
            blocked: read(&self.counts.blocked),
            refused: read(&self.counts.refused),
        }
    }
}

/// An answer that is held back.
struct Held<'a> {
    all: &'a AtomicUsize,
    before: usize,
}

impl<'a> Held<'a> {
    fn one_more(all: &'a AtomicUsize) -> Self {
        let before = all.fetch_add(1, Ordering::Relaxed);
        Self { all, before }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}
