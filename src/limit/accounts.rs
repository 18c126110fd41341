//! All accounts, and who is in which tier.
//!
//! Ids come from clients, who can make up as many as they like (J14). An account that nobody uses,
//! that owes nothing and about which nobody has decided anything is forgotten: a new one would be
//! the same, so that no bucket is ever refilled early by being forgotten.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use dashmap::DashMap;

use super::{Account, Tier, Who, account::Statement, tier};
use crate::{
    error::{Error, Kind},
    sync::Mutex,
    tenant::TenantId,
};

/// The most accounts at once. Each costs some hundred bytes (`docs/fairness.md` has the measure).
pub const MOST: usize = 1_000_000;

/// Below so many nobody looks for those that can be forgotten.
const ROOM: usize = 4096;

/// One lock for every few thousand accounts, so that looking for those that can be forgotten holds
/// up nobody for long.
const SHARDS: usize = 256;

/// Who is in which tier, as the configuration has it.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// For everybody else.
    pub default: Arc<Tier>,
    /// By name.
    pub tiers: BTreeMap<String, Arc<Tier>>,
    /// Tenants with a tier of their own, and with none but listed.
    pub tenants: HashMap<TenantId, Arc<Tier>>,
    /// Users with a tier of their own, when they work without a tenant.
    pub users: HashMap<String, Arc<Tier>>,
    /// Tenants that are not listed are refused.
    pub only_listed: bool,
}

impl Rules {
    /// The tier of this name.
    pub fn tier(&self, name: &str) -> Option<&Arc<Tier>> {
        match name {
            tier::DEFAULT => Some(&self.default),
            name => self.tiers.get(name),
        }
    }

    fn of(&self, who: &Who) -> &Arc<Tier> {
        let own = match who {
            Who::Tenant(id) => self.tenants.get(id),
            Who::User(name) => self.users.get(&**name),
        };
        own.unwrap_or(&self.default)
    }
}

/// All accounts.
#[derive(Debug)]
pub struct Accounts {
    rules: Mutex<Arc<Rules>>,
    known: DashMap<Who, Arc<Account>>,
    count: AtomicUsize,
    /// Above so many, those that can be forgotten are looked for.
    sweep_at: AtomicUsize,
    next: AtomicU64,
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new(Rules::default())
    }
}

impl Accounts {
    /// No account yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules: Mutex::new(Arc::new(rules)),
            known: DashMap::with_shard_amount(SHARDS),
            count: AtomicUsize::new(0),
            sweep_at: AtomicUsize::new(ROOM),
            next: AtomicU64::new(1),
        }
    }

    /// Who is in which tier.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.lock())
    }

    /// The account of a tenant.
    ///
    /// # Errors
    /// When no such tenant is listed and it must be, or there are too many accounts.
    pub fn of_tenant(&self, id: &TenantId) -> Result<Arc<Account>, Error> {
        self.open(Who::Tenant(id.clone()))
    }

    /// The account of a user that works without a tenant.
    ///
    /// # Errors
    /// When there are too many accounts.
    pub fn of_user(&self, name: &str) -> Result<Arc<Account>, Error> {
        self.open(Who::User(name.into()))
    }

    fn open(&self, who: Who) -> Result<Arc<Account>, Error> {
        if let Some(known) = self.known.get(&who) {
            return Ok(Arc::clone(&known));
        }
        let rules = self.rules();
        if let Who::Tenant(id) = &who
            && rules.only_listed
            && !rules.tenants.contains_key(id)
        {
            return Err(Error::new(
                Kind::TenantUnknown,
                format!("{who} does not exist"),
            ));
        }
        if self.len() >= MOST {
            let message = "too many tenants are in use at once";
            return Err(Error::new(Kind::TenantLimit, message).hint("Try again later."));
        }
        Ok(self.keep(who, &rules))
    }

    /// The one copy of an account.
    fn keep(&self, who: Who, rules: &Rules) -> Arc<Account> {
        let entry = self.known.entry(who.clone()).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            let tier = Arc::clone(rules.of(&who));
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            Arc::new(Account::new(who, number, tier))
        });
        Arc::clone(&entry)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets accounts of which new ones would be the same, if there are many more than after the
    /// last time.
    pub fn tick(&self, now: Instant) {
        if self.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.forget(now);
        let again = (self.len() * 2).clamp(ROOM, MOST);
        self.sweep_at.store(again, Ordering::Relaxed);
    }

    /// Forgets accounts of which new ones would be the same.
    pub(super) fn forget(&self, now: Instant) {
        self.known.retain(|_, account| {
            // Whoever has it in hand may be about to use it.
            let keep = Arc::strong_count(account) > 1 || !account.is_forgettable(now);
            if !keep {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            keep
        });
    }

    /// The account of this tenant or user, if there is one.
    pub fn find(&self, who: &Who) -> Option<Arc<Account>> {
        self.known.get(who).map(|account| Arc::clone(&account))
    }

    /// What all accounts look like, in no order.
    pub fn statements(&self) -> Vec<Statement> {
        self.known
            .iter()
            .map(|account| account.statement())
            .collect()
    }

    /// Other rules hold from now on.
    pub fn apply(&self, rules: Rules) {
        let rules = Arc::new(rules);
        *self.rules.lock() = Arc::clone(&rules);
        for account in &self.known {
            account.assign(Arc::clone(rules.of(account.who())));
        }
    }

    /// The operator gives an account another tier, from its next transaction on; whether there is
    /// such a tier.
    pub fn set_tier(&self, who: Who, tier: &str) -> bool {
        let rules = self.rules();
        let Some(tier) = rules.tier(tier) else {
            return false;
        };
        self.keep(who, &rules).choose(Arc::clone(tier));
        true
    }

    /// The operator suspends an account, or lets it go on.
    pub fn suspend(&self, who: Who, suspended: bool) {
        self.keep(who, &self.rules()).suspend(suspended);
    }

    /// The clients of an account are to leave; the caller tells them to look.
    pub fn expel(&self, who: &Who, now: Instant) {
        if let Some(account) = self.find(who) {
            account.expel(now);
        }
    }
}
