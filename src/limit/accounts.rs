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
    time::{Duration, Instant},
};

use dashmap::DashMap;

use super::{
    Account, Found, Tier, Who,
    account::{Statement, unknown},
    tier,
    used::Used,
};
use crate::{
    error::{Error, Kind},
    lookup::{Absent, Holds},
    sync::Mutex,
    tenant::TenantId,
};

/// The most accounts at once. Each costs some hundred bytes (`docs/fairness.md` has the measure).
pub const MOST: usize = 1_000_000;

/// Below so many nobody looks for those that can be forgotten.
const ROOM: usize = 4096;

/// How often they are looked for at most: where all are in use it is in vain.
const SWEEP: Duration = Duration::from_secs(1);

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

    /// The query for tenants has nothing to say about it.
    fn is_given(&self, who: &Who) -> bool {
        match who {
            Who::Tenant(id) => self.tenants.contains_key(id),
            Who::User(_) => true,
        }
    }

    /// What its tiers count, they count on from what those of the same name have counted here.
    fn count_on(&mut self, before: &Self) {
        // Who shares a tier goes on sharing it. The old ones are kept until all are replaced: until
        // then no other has their address.
        let mut replaced: HashMap<*const Tier, (Arc<Tier>, Arc<Tier>)> = HashMap::new();
        let default = [&mut self.default].into_iter();
        let named = self.tiers.values_mut().chain(self.tenants.values_mut());
        for tier in default.chain(named).chain(self.users.values_mut()) {
            let Some(earlier) = before.tier(&tier.name) else {
                continue;
            };
            let (_, new) = replaced.entry(Arc::as_ptr(tier)).or_insert_with(|| {
                let meter = Arc::clone(&earlier.meter);
                let new = Tier {
                    meter,
                    ..Tier::clone(tier)
                };
                (Arc::clone(tier), Arc::new(new))
            });
            *tier = Arc::clone(new);
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
    /// Tenants that the query does not know.
    absent: Mutex<Absent<TenantId>>,
    count: AtomicUsize,
    /// Above so many, those that can be forgotten are looked for.
    sweep_at: AtomicUsize,
    /// When that was done last.
    swept: Mutex<Option<Instant>>,
    /// What those have used that were forgotten.
    forgotten: Mutex<Used>,
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
            absent: Mutex::default(),
            count: AtomicUsize::new(0),
            sweep_at: AtomicUsize::new(ROOM),
            swept: Mutex::default(),
            forgotten: Mutex::default(),
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
            // Who holds it still is told so when a transaction begins.
            return match known.is_absent() {
                true => Err(unknown(&who)),
                false => Ok(Arc::clone(&known)),
            };
        }
        let rules = self.rules();
        if let Who::Tenant(id) = &who
            && (rules.only_listed && !rules.is_given(&who) || self.absent.lock().contains(id))
        {
            return Err(unknown(&who));
        }
        if self.len() >= MOST {
            let message = "too many tenants are in use at once";
            return Err(Error::new(Kind::TenantLimit, message).hint("Try again later."));
        }
        Ok(self.keep(who))
    }

    /// The one copy of an account.
    fn keep(&self, who: Who) -> Arc<Account> {
        let entry = self.known.entry(who.clone()).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            // Looked at here and not before: others may hold by now, and have been given to all
            // accounts that there were.
            let rules = self.rules();
            let tier = Arc::clone(rules.of(&who));
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let is_given = rules.is_given(&who);
            Arc::new(Account::new(who, number, tier, is_given))
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

    /// What time brings: tenants that were not there may be by now. Then see [`Self::is_crowded`].
    pub fn tick(&self, now: Instant) {
        loop {
            // Not in the loop's head: the lock would be held in its body.
            let next = self.absent.lock().pop(now);
            match next {
                Some(id) => self.appears(&id),
                None => return,
            }
        }
    }

    /// Whether there are many more than after the last time, and so it is time to
    /// [`Self::forget`], which whoever asks is to do then: of a million accounts it takes some
    /// tenths of a second.
    pub fn is_crowded(&self, now: Instant) -> bool {
        let mut swept = self.swept.lock();
        let crowded = self.len() >= self.sweep_at.load(Ordering::Relaxed)
            && swept.is_none_or(|at| now >= at + SWEEP);
        if crowded {
            *swept = Some(now);
        }
        crowded
    }

    /// Forgets accounts of which new ones would be the same.
    pub fn forget(&self, now: Instant) {
        self.known.retain(|_, account| {
            // Whoever has it in hand may be about to use it.
            let keep = Arc::strong_count(account) > 1 || !account.is_forgettable(now);
            if !keep {
                let mut forgotten = self.forgotten.lock();
                *forgotten = forgotten.plus(&account.used());
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            keep
        });
        let again = (self.len() * 2).clamp(ROOM, MOST);
        self.sweep_at.store(again, Ordering::Relaxed);
    }

    /// The query has found a tenant.
    pub fn found(&self, id: &TenantId, found: Found, holds: &Holds, now: Instant) {
        self.absent.lock().remove(id);
        if let Some(account) = self.find_tenant(id) {
            account.found(found, holds, now);
        }
    }

    /// The query has not found a tenant, and it is let in all the same, or not.
    pub fn not_found(&self, id: &TenantId, is_refused: bool, holds: &Holds, now: Instant) {
        let account = self.find_tenant(id);
        if !is_refused {
            if let Some(account) = account {
                account.not_found(Arc::clone(&self.rules().default), holds, now);
            }
            return;
        }
        let until = now + holds.negative_ttl;
        let forgotten = self.absent.lock().insert(id.clone(), until);
        if let Some(account) = account {
            account.set_absent(true);
        }
        if let Some(forgotten) = forgotten {
            self.appears(&forgotten);
        }
    }

    /// The query could not say anything about a tenant.
    pub fn not_answered(&self, id: &TenantId, now: Instant) {
        if let Some(account) = self.find_tenant(id) {
            account.not_answered(now);
        }
    }

    fn appears(&self, id: &TenantId) {
        if let Some(account) = self.find_tenant(id) {
            account.set_absent(false);
        }
    }

    fn find_tenant(&self, id: &TenantId) -> Option<Arc<Account>> {
        self.find(&Who::Tenant(id.clone()))
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

    /// What those have used that were forgotten.
    pub fn forgotten(&self) -> Used {
        *self.forgotten.lock()
    }

    /// Shows each account to `see`. Nobody is kept waiting for longer than it takes to see some
    /// thousand.
    pub fn each(&self, mut see: impl FnMut(&Arc<Account>)) {
        for account in &self.known {
            see(&account);
        }
    }

    /// Other rules hold from now on.
    pub fn apply(&self, mut rules: Rules) {
        rules.count_on(&self.rules());
        let rules = Arc::new(rules);
        *self.rules.lock() = Arc::clone(&rules);
        for account in &self.known {
            let who = account.who();
            let is_given = rules.is_given(who);
            // What a token has said holds on until the next one says something else.
            let claimed = account.claimed().filter(|_| !is_given);
            let tier = claimed.and_then(|name| rules.tier(&name));
            account.revise(Arc::clone(tier.unwrap_or_else(|| rules.of(who))), is_given);
        }
    }

    /// A token has named the tier of a tenant; whether there is such a tier. If there is none, the
    /// default one is meant. What the file or the operator says of the tenant goes before it.
    pub fn claim(&self, account: &Account, tier: &str) -> bool {
        let rules = self.rules();
        if rules.is_given(account.who()) {
            return true;
        }
        let known = rules.tier(tier);
        account.claim(Arc::clone(known.unwrap_or(&rules.default)));
        known.is_some()
    }

    /// The operator gives an account another tier, from its next transaction on; whether there is
    /// such a tier.
    pub fn set_tier(&self, who: Who, tier: &str) -> bool {
        let rules = self.rules();
        let Some(tier) = rules.tier(tier) else {
            return false;
        };
        self.keep(who).choose(Arc::clone(tier));
        true
    }

    /// The operator suspends an account, or lets it go on.
    pub fn suspend(&self, who: Who, suspended: bool) {
        self.keep(who).suspend(suspended);
    }

    /// The clients of an account are to leave; the caller tells them to look.
    pub fn expel(&self, who: &Who, now: Instant) {
        if let Some(account) = self.find(who) {
            account.expel(now);
        }
    }
}
