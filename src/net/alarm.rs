//! Deadlines of a worker's clients, without a timer armed per query.
//!
//! A client writes its deadline into its bell: one store. Only if that is earlier than anything
//! the alarm already knows of it does an entry go into the heap; when the entry's time has come
//! the alarm looks at the deadline as it is then, and rings or sets the entry anew. A client with
//! a `query_timeout` of a minute costs one heap operation a minute, not one a query.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::bell::{Bell, ring};
use crate::sync::Mutex;

struct Entry {
    at: u64,
    bell: Weak<Bell>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// The alarm of one worker.
pub(crate) struct Alarm {
    started: Instant,
    heap: Mutex<BinaryHeap<Reverse<Entry>>>,
    sooner: Notify,
}

impl Alarm {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            heap: Mutex::new(BinaryHeap::new()),
            sooner: Notify::new(),
        }
    }

    /// Rounded up, so that a bell never rings before its time.
    fn millis(&self, at: Instant) -> u64 {
        let after = at.saturating_duration_since(self.started);
        let begun = u64::from(after.subsec_nanos().div_ceil(1_000_000));
        let millis = after.as_secs().saturating_mul(1000).saturating_add(begun);
        millis.min(u64::MAX - 1)
    }

    /// Rings `bell` at `deadline`, or never.
    pub(crate) fn set(&self, bell: &Arc<Bell>, deadline: Option<Instant>) {
        let at = deadline.map_or(u64::MAX, |at| self.millis(at));
        if bell.deadline.load(Ordering::Relaxed) == at {
            return;
        }
        bell.deadline.store(at, Ordering::Relaxed);
        if at < bell.armed.load(Ordering::Relaxed) {
            bell.armed.store(at, Ordering::Relaxed);
            self.push(at, Arc::downgrade(bell));
        }
    }

    fn push(&self, at: u64, bell: Weak<Bell>) {
        let first = {
            let mut heap = self.heap.lock();
            let first = heap.peek().is_none_or(|Reverse(top)| at < top.at);
            heap.push(Reverse(Entry { at, bell }));
            first
        };
        if first {
            self.sooner.notify_one();
        }
    }

    /// Rings all whose time has come; says when to look again.
    fn look(&self, now: u64) -> Option<u64> {
        loop {
            let due = {
                let mut heap = self.heap.lock();
                match heap.peek() {
                    Some(Reverse(top)) if top.at <= now => heap.pop(),
                    top => return top.map(|Reverse(top)| top.at),
                }
            };
            let Some(bell) = due.and_then(|Reverse(entry)| entry.bell.upgrade()) else {
                continue;
            };
            let at = bell.deadline.load(Ordering::Relaxed);
            if at <= now {
                bell.deadline.store(u64::MAX, Ordering::Relaxed);
                bell.armed.store(u64::MAX, Ordering::Relaxed);
                bell.ring(ring::TIME);
            } else {
                bell.armed.store(at, Ordering::Relaxed);
                if at != u64::MAX {
                    self.push(at, Arc::downgrade(&bell));
                }
            }
        }
    }

    /// Runs on the worker for as long as it lives.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.look(self.millis(Instant::now()));
            match next {
                Some(at) => {
                    let at = self.started + Duration::from_millis(at);
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => {}
                        () = self.sooner.notified() => {}
                    }
                }
                None => self.sooner.notified().await,
            }
        }
    }
}
