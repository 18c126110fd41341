//! What passes through a pool, and what it is refused for.

use std::{sync::Arc, time::Duration};

use super::{Count, Counter, Histogram, Spread, Sum};
use crate::error::Kind;

/// What one worker has seen of one pool.
#[derive(Debug, Default)]
pub struct Traffic {
    /// How long it took clients to log in, from their first byte to our welcome.
    pub logins: Histogram,
    /// How long transactions waited before they began: for a server connection, or for a limit.
    /// Each transaction counts, also one that did not have to wait.
    pub waits: Histogram,
    /// How long transactions took from then on.
    pub transactions: Histogram,
    /// How long it took to answer requests: each simple query, function call and Sync is one.
    pub queries: Histogram,
    /// Bytes of clients.
    pub bytes_in: Counter,
    /// Bytes of servers.
    pub bytes_out: Counter,
    /// Errors that servers sent to clients, by class.
    pub errors: Classes,
    /// Parse messages of clients.
    pub client_parses: Counter,
    /// Statements that servers have parsed for clients that asked for it.
    pub server_parses: Counter,
    /// Parse messages of clients that the server had no need to see: it had parsed the same.
    pub parses_saved: Counter,
    /// Statements that were parsed once more, because their client came to another connection.
    pub parses_repeated: Counter,
    /// Statements that a server had to forget, to make room for others.
    pub evictions: Counter,
    /// Bind messages of clients.
    pub binds: Counter,
    /// Transactions that were told their tenant.
    pub injections: Counter,
    /// Cancel requests that were sent to servers.
    pub cancels: Counter,
    /// How long it took to connect and log in to the server.
    pub connects: Histogram,
    /// How often that failed.
    pub connects_failed: Counter,
    /// Server connections that were cleaned before somebody else got them.
    pub resets: Counter,
    /// Server connections that could not be, and were closed.
    pub resets_failed: Counter,
}

impl Traffic {
    /// A message of the client has been taken.
    pub fn took(&self, tag: u8) {
        match tag {
            b'P' => self.client_parses.one(),
            b'B' => self.binds.one(),
            _ => {}
        }
    }
}

/// The meter of a pool. It outlives the pool, so that what is counted never goes back.
#[derive(Debug)]
pub struct PoolMeter(Box<[Arc<Traffic>]>);

impl PoolMeter {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Arc::default()).collect())
    }

    /// Where this worker counts, and nobody else.
    #[expect(clippy::indexing_slicing, reason = "there is at least one worker")]
    pub fn of(&self, worker: usize) -> &Arc<Traffic> {
        &self.0[worker % self.0.len()]
    }

    /// The sum of what all workers have counted.
    pub fn sum(&self, of: impl Fn(&Traffic) -> &Counter) -> u64 {
        self.0.iter().map(|traffic| of(traffic).get()).sum()
    }

    /// The same of a histogram.
    pub fn spread(&self, of: impl Fn(&Traffic) -> &Histogram) -> Spread {
        let mut spread = Spread::default();
        self.0
            .iter()
            .for_each(|traffic| of(traffic).add_to(&mut spread));
        spread
    }

    /// The errors of each class, where there were any.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        classes().enumerate().filter_map(|(nth, class)| {
            let sum = self.sum(|traffic| traffic.errors.nth(nth));
            (sum > 0).then_some((class, sum))
        })
    }
}

/// SQLSTATE's classes, as PostgreSQL's appendix A has them.
const CLASSES: [&str; 44] = [
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22",
    "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40",
    "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
];

/// What an application has made up for itself.
const OTHER: &str = "other";

/// All classes that are counted.
pub fn classes() -> impl Iterator<Item = &'static str> {
    CLASSES.into_iter().chain([OTHER])
}

/// Errors by class.
#[derive(Debug)]
pub struct Classes([Counter; CLASSES.len() + 1]);

impl Default for Classes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Classes {
    /// An error with this SQLSTATE was sent to a client.
    pub fn saw(&self, code: &[u8]) {
        let class = code.get(..2).unwrap_or_default();
        let known = CLASSES.iter().position(|known| known.as_bytes() == class);
        self.nth(known.unwrap_or(CLASSES.len())).one();
    }

    #[expect(clippy::indexing_slicing, reason = "the last one is there")]
    fn nth(&self, nth: usize) -> &Counter {
        &self.0[nth.min(CLASSES.len())]
    }
}

/// What pgusher itself has told clients that went wrong, by kind.
#[derive(Debug)]
pub struct Refusals([Sum; Kind::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Sum::default()))
    }
}

impl Refusals {
    /// A client was told so.
    pub fn told(&self, kind: Kind) {
        if let Some(sum) = self.0.get(kind as usize) {
            sum.one();
        }
    }

    /// How often each kind was told.
    pub fn all(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.iter().copied().zip(self.0.iter().map(Sum::get))
    }
}

/// So many parts of a tier's meter: enough that two tenants seldom want the same line of memory.
const PARTS: usize = 8;

/// What the accounts of one tier have seen, whichever threads serve them.
#[derive(Debug, Default)]
pub struct TierMeter([OfTier; PARTS]);

#[derive(Debug, Default)]
struct OfTier {
    waits: Histogram<Sum>,
    transactions: Histogram<Sum>,
}

impl TierMeter {
    /// Transactions of the account with this number are over.
    pub fn saw(&self, account: u64, transactions: u64, took: Duration, waited: Duration) {
        let nth = usize::try_from(account % PARTS as u64).unwrap_or(0);
        let (Some(part), Ok(many)) = (self.0.get(nth), u32::try_from(transactions)) else {
            return;
        };
        if many > 0 {
            // Of those that were sent without waiting for answers only the sum is known.
            part.transactions.observe_many(took / many, transactions);
            part.waits.observe(waited);
        }
    }

    /// How long transactions waited before they began.
    pub fn waits(&self) -> Spread {
        Self::sum(self.0.iter().map(|part| &part.waits))
    }

    /// How long they took from then on.
    pub fn transactions(&self) -> Spread {
        Self::sum(self.0.iter().map(|part| &part.transactions))
    }

    fn sum<'a>(parts: impl Iterator<Item = &'a Histogram<Sum>>) -> Spread {
        let mut spread = Spread::default();
        parts.for_each(|part| part.add_to(&mut spread));
        spread
    }
}

/// Tiers that allow the same are the same: what was counted is no part of what they are.
impl PartialEq for TierMeter {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for TierMeter {}
