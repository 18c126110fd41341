//! The queue: first come, first served.
//!
//! With several workers there is one exception, and it is bounded. A server connection that
//! stays on its thread costs less than one that moves, so a waiter on the same thread goes
//! first if it came within [`SLACK`] of the one at the front. Nobody can be overtaken by
//! anybody who came later than that.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How much later a waiter on the right thread may have come. Below this, the order in which
/// two threads reached the lock says little about who asked first.
pub(super) const SLACK: Duration = Duration::from_millis(1);

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    worker: usize,
    number: u64,
}

#[derive(Debug)]
struct Waiting<W> {
    since: Instant,
    waiter: W,
}

/// Waiters by worker, each in order of arrival.
#[derive(Debug)]
pub(super) struct Waiters<W> {
    lines: Vec<BTreeMap<u64, Waiting<W>>>,
    next: u64,
    len: usize,
}

impl<W> Waiters<W> {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            lines: (0..workers.max(1)).map(|_| BTreeMap::new()).collect(),
            next: 0,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, worker: usize, waiter: W, now: Instant) -> Ticket {
        let worker = worker % self.lines.len();
        let ticket = Ticket {
            worker,
            number: self.next,
        };
        self.next += 1;
        if let Some(line) = self.lines.get_mut(worker) {
            line.insert(ticket.number, Waiting { since: now, waiter });
            self.len += 1;
        }
        ticket
    }

    /// Takes a waiter out who no longer wants to wait; `None` if it has been served.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let waiting = self.lines.get_mut(ticket.worker)?.remove(&ticket.number)?;
        self.len -= 1;
        Some(waiting.waiter)
    }

    /// Who has waited longest, and since when.
    fn oldest(&self) -> Option<(Ticket, Instant)> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(worker, line)| {
                let (number, waiting) = line.first_key_value()?;
                Some((
                    Ticket {
                        worker,
                        number: *number,
                    },
                    waiting.since,
                ))
            })
            .min_by_key(|(ticket, _)| ticket.number)
    }

    /// Since when the one at the front has waited.
    pub(super) fn oldest_since(&self) -> Option<Instant> {
        self.oldest().map(|(_, since)| since)
    }

    /// The next one to be served with a connection that is on `worker`.
    pub(super) fn pop(&mut self, worker: usize) -> Option<W> {
        if self.len == 0 {
            return None;
        }
        let (front, since) = self.oldest()?;
        let near = self
            .lines
            .get(worker)
            .and_then(|line| line.first_key_value());
        let ticket = match near {
            Some((number, waiting)) if waiting.since <= since + SLACK => Ticket {
                worker,
                number: *number,
            },
            _ => front,
        };
        self.remove(ticket)
    }

    /// Takes all of them out, oldest first.
    pub(super) fn drain(&mut self) -> Vec<W> {
        let mut all: Vec<(u64, W)> = self
            .lines
            .iter_mut()
            .flat_map(|line| {
                std::mem::take(line)
                    .into_iter()
                    .map(|(number, it)| (number, it.waiter))
            })
            .collect();
        all.sort_by_key(|(number, _)| *number);
        self.len = 0;
        all.into_iter().map(|(_, waiter)| waiter).collect()
    }
}
