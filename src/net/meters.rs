//! The meters of all pools, and what the whole process counts.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::averages::Periods;
use crate::{
    meter::{PoolMeter, Refusals},
    sync::Mutex,
};

/// Pools with a meter of their own. Whoever comes when there are so many is counted with others
/// like it, under no name.
const MOST: usize = 10_000;

/// Everything that is counted but for what belongs to an account.
pub(crate) struct Meters {
    workers: usize,
    pools: Mutex<BTreeMap<Name, Arc<PoolMeter>>>,
    /// What clients were told that went wrong.
    pub(crate) refusals: Refusals,
    /// What was counted when.
    pub(crate) periods: Periods,
}

/// A database, as clients call it, and who logs in to its server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) database: String,
    pub(crate) user: String,
}

impl Meters {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers,
            pools: Mutex::default(),
            refusals: Refusals::default(),
            periods: Periods::new(Instant::now()),
        })
    }

    /// The meter of a pool. It stays when the pool goes: when that comes back, it counts on (H4).
    pub(crate) fn of(&self, database: &str, user: &str) -> Arc<PoolMeter> {
        let mut name = Name {
            database: database.to_owned(),
            user: user.to_owned(),
        };
        let mut pools = self.pools.lock();
        if pools.len() >= MOST && !pools.contains_key(&name) {
            name = Name {
                database: String::new(),
                user: String::new(),
            };
        }
        let meter = pools
            .entry(name)
            .or_insert_with(|| Arc::new(PoolMeter::new(self.workers)));
        Arc::clone(meter)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(Name, Arc<PoolMeter>)> {
        let pools = self.pools.lock();
        pools
            .iter()
            .map(|(name, meter)| (name.clone(), Arc::clone(meter)))
            .collect()
    }

    /// Begins the next period when it is time. All meters are read for it, on a thread that has
    /// nothing else to do.
    pub(crate) fn tick(self: &Arc<Self>, now: Instant) {
        if self.periods.is_over(now) {
            let here = Arc::clone(self);
            drop(tokio::task::spawn_blocking(move || {
                // Two that were begun at once: the second has nothing to do.
                if here.periods.is_over(now) {
                    here.periods.turn(here.totals(), now);
                }
            }));
        }
    }
}
