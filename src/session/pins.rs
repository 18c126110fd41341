//! How many server connections may belong to one client beyond its transactions.
//!
//! What a client keeps on a server connection (a temporary table, a lock, …) ties that connection to it:
//! it is *pinned*. Pinned connections are what the others do not have, so they are counted, and
//! may be limited or forbidden.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::touches::Holds;
use crate::{
    error::{Error, Kind},
    sync::Mutex,
    tenant::TenantId,
};

/// Whether clients may pin server connections, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRules {
    /// They may.
    pub allowed: bool,
    /// Most pinned connections of the pool; `None` = all of them may be.
    pub most: Option<usize>,
    /// Most pinned connections of one tenant in the pool.
    pub most_of_tenant: Option<usize>,
}

impl Default for PinRules {
    fn default() -> Self {
        Self {
            allowed: true,
            most: None,
            most_of_tenant: None,
        }
    }
}

/// The pinned connections of a pool.
#[derive(Debug)]
pub struct Pins {
    /// What the rules say; each text that might pin asks.
    allowed: AtomicBool,
    taken: Mutex<Taken>,
}

impl Default for Pins {
    fn default() -> Self {
        Self::new(PinRules::default())
    }
}

#[derive(Debug, Default)]
struct Taken {
    rules: PinRules,
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// The right to keep a server connection; it is given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pins: Arc<Pins>,
    tenant: Option<TenantId>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.pins.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(tenant) = &self.tenant
            && let Some(count) = taken.by_tenant.get_mut(tenant)
        {
            *count -= 1;
            if *count == 0 {
                taken.by_tenant.remove(tenant);
            }
        }
    }
}

impl Pins {
    /// Those of a pool with these rules.
    pub fn new(rules: PinRules) -> Self {
        Self {
            allowed: AtomicBool::new(rules.allowed),
            taken: Mutex::new(Taken {
                rules,
                ..Taken::default()
            }),
        }
    }

    /// Other rules hold from now on, for who does not pin yet.
    pub fn revise(&self, rules: PinRules) {
        self.allowed.store(rules.allowed, Ordering::Relaxed);
        self.taken.lock().rules = rules;
    }

    /// Pinned connections, those that are about to be among them.
    pub fn count(&self) -> usize {
        self.taken.lock().all
    }

    /// Whether anybody may pin at all.
    pub(super) fn are_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// A client is about to keep `what` on its connection.
    pub(super) fn take(
        self: &Arc<Self>,
        what: Holds,
        tenant: Option<&TenantId>,
    ) -> Result<Seat, Error> {
        if !self.are_allowed() {
            return Err(forbidden(what));
        }
        let mut taken = self.taken.lock();
        let of_tenant = tenant.and_then(|tenant| taken.by_tenant.get(tenant));
        let is_full = |count: usize, most: Option<usize>| most.is_some_and(|most| count >= most);
        if is_full(taken.all, taken.rules.most) {
            let most = taken.all;
            return Err(too_many(&format!(
                "{most} server connections of this pool (max_pinned)"
            )));
        }
        if let Some(count) = of_tenant.copied()
            && is_full(count, taken.rules.most_of_tenant)
        {
            let whose = format!("{count} server connections for this tenant (tenant.max_pinned)");
            return Err(too_many(&whose));
        }
        Ok(self.seat(&mut taken, tenant))
    }

    /// A client keeps something already, as it turns out.
    pub(super) fn admit(self: &Arc<Self>, tenant: Option<&TenantId>) -> Seat {
        self.seat(&mut self.taken.lock(), tenant)
    }

    fn seat(self: &Arc<Self>, taken: &mut Taken, tenant: Option<&TenantId>) -> Seat {
        taken.all += 1;
        if let Some(tenant) = tenant {
            *taken.by_tenant.entry(tenant.clone()).or_default() += 1;
        }
        Seat {
            pins: Arc::clone(self),
            tenant: tenant.cloned(),
        }
    }
}

fn forbidden(what: Holds) -> Error {
    let what = what.names().next().unwrap_or("state");
    let message = format!("{what} would outlive the transaction on its server connection");
    Error::new(Kind::PinRefused, message)
        .detail("Server connections are shared between transactions here (pinning = \"off\").")
        .hint("Use what ends with the transaction (ON COMMIT DROP, pg_advisory_xact_lock), or a user with pool_mode = \"session\".")
}

fn too_many(whose: &str) -> Error {
    let message = format!("too many pinned connections: {whose} are kept by clients already");
    Error::new(Kind::TooManyPinned, message).hint(
        "Give up what is kept (UNLISTEN, DROP, unlock, CLOSE, DEALLOCATE), or raise the limit.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_and_given_back() {
        let rules = PinRules {
            most: Some(2),
            ..PinRules::default()
        };
        let pins = Arc::new(Pins::new(rules));
        let first = pins.take(Holds::LOCKS, None).unwrap();
        let second = pins.take(Holds::LOCKS, None).unwrap();
        assert!(pins.take(Holds::LOCKS, None).is_err());
        assert_eq!(pins.count(), 2);
        drop(first);
        let third = pins.take(Holds::LOCKS, None).unwrap();
        // What is there already cannot be refused.
        let fourth = pins.admit(None);
        assert_eq!(pins.count(), 3);
        drop((second, third, fourth));
        assert_eq!(pins.count(), 0);
    }

    #[test]
    fn off_is_off() {
        let rules = PinRules {
            allowed: false,
            ..PinRules::default()
        };
        let pins = Arc::new(Pins::new(rules));
        let error = pins.take(Holds::CHANNELS, None).unwrap_err();
        assert_eq!(error.kind, Kind::PinRefused);
    }
}
