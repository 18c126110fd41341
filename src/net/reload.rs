//! Taking over a configuration while those work who came under another one.
//!
//! What is replaced whole (users, limits of clients, the console) holds for whoever looks next.
//! Accounts keep what they have used, pools their connections and their waiters. Nobody is sent away.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Instant, SystemTime},
};

use super::{
    lobby::Lobby,
    pool::{Db, Settings, sizes},
    tls::Made,
};
use crate::{
    auth::upstream::Credential,
    config::settings::{self, Config, ServerReset, Upstream},
};

/// What became of the attempts to read the configuration again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reloads {
    /// How many of them worked.
    pub(crate) worked: u64,
    /// How many did not: nothing changed then.
    pub(crate) failed: u64,
    /// The last one worked, or there was none.
    pub(crate) is_well: bool,
    /// When the configuration was read that holds now.
    pub(crate) read: SystemTime,
}

impl Reloads {
    /// It has just been read for the first time.
    pub(super) fn none() -> Self {
        Self {
            worked: 0,
            failed: 0,
            is_well: true,
            read: SystemTime::now(),
        }
    }
}

impl Lobby {
    /// What became of the attempts to read the configuration again.
    pub(crate) fn reloads(&self) -> Reloads {
        *self.reloads.lock()
    }

    /// The configuration was read again, and could be taken over or not.
    pub(crate) fn was_reloaded(&self, works: bool) {
        let mut reloads = self.reloads.lock();
        reloads.is_well = works;
        if works {
            reloads.worked += 1;
            reloads.read = SystemTime::now();
        } else {
            reloads.failed += 1;
        }
    }

    /// From now on this configuration holds. What of it does not before the next start is returned,
    /// as the keys are typed.
    pub(crate) fn take_over(&self, mut new: Config, made: Made, now: Instant) -> Vec<&'static str> {
        self.keys.tls.replace(made);
        let old = self.config();
        let later = later(&old, &new);
        keep(&old, &mut new);
        let rules = new.accounts.rules();
        old.accounts.apply(rules.as_ref().clone());
        new.accounts = Arc::clone(&old.accounts);
        new.tenant = match new.tenant.take().and_then(Arc::into_inner) {
            Some(policy) if old.tenancy == new.tenancy => {
                let policy = policy.with_accounts(Arc::clone(&old.accounts));
                Some(Arc::new(match old.tenant.as_deref() {
                    Some(old) => policy.in_place_of(old),
                    None => policy,
                }))
            }
            _ => old.tenant.clone(),
        };
        if old.tenancy != new.tenancy {
            // What says where tenants come from belongs together.
            new.tokens.clone_from(&old.tokens);
            new.certs.clone_from(&old.certs);
        }
        new.tenancy = old.tenancy;
        if let (Some(directory), Some(query)) = (&self.directory, &new.tenants_query) {
            directory.revise(query.clone());
        }
        self.token_keys.revise(new.tokens.as_deref());
        if let (Some(roles), Some(query)) = (&self.roles, &new.auth_query) {
            roles.revise(query.clone());
        }
        list(&old, &mut new);
        self.journal.apply(&new.log);
        self.reports.apply(&new.log);
        let new = Arc::new(new);
        self.replace_config(Arc::clone(&new));
        self.prepare_logins(&new);
        for db in self.databases() {
            let own = new.databases.get(&db.name);
            if let Some(config) = own.or_else(|| new.databases.get("*")) {
                db.revise(config, &new, now);
            }
        }
        later
    }
}

/// What cannot change while pgusher runs, and would have to.
fn later(old: &Config, new: &Config) -> Vec<&'static str> {
    let http = |config: &Config| config.http.as_ref().map(|http| http.address);
    let fair = |config: &Config| {
        let pools = config.databases.values();
        pools
            .map(|database| (database.pool.fair, database.pool.adaptive))
            .next()
    };
    let differs = [
        (
            "listen.address",
            old.listen.addresses != new.listen.addresses,
        ),
        (
            "listen.proxy.address",
            old.listen.proxy_addresses != new.listen.proxy_addresses,
        ),
        (
            "http.address, or whether there is an [http]",
            http(old) != http(new),
        ),
        (
            "runtime.workers",
            old.runtime.workers != new.runtime.workers,
        ),
        ("runtime.spread", old.runtime.spread != new.runtime.spread),
        ("log.format", old.log.format != new.log.format),
        ("[traces]", old.traces != new.traces),
        ("metrics.max_tenants", old.max_tenants != new.max_tenants),
        (
            "tenant.setting, tenant.format, tenant.seal.setting, or whether there is a [tenant] or a [tenant.seal]",
            old.tenancy != new.tenancy,
        ),
        (
            "whether there is a [tenants_query]",
            old.tenants_query.is_some() != new.tenants_query.is_some(),
        ),
        (
            "whether there is an [auth.query]",
            old.auth_query.is_some() != new.auth_query.is_some(),
        ),
        (
            "limits.fairness, limits.adaptive (of pools that are in use)",
            fair(old) != fair(new),
        ),
    ];
    let changed = differs.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(what, _)| what).collect()
}

/// What does not change is what the configuration says: it is told again when that is read again.
fn keep(old: &Config, new: &mut Config) {
    new.listen.addresses.clone_from(&old.listen.addresses);
    let proxies = &old.listen.proxy_addresses;
    new.listen.proxy_addresses.clone_from(proxies);
    match (&old.http, &mut new.http) {
        (Some(old), Some(new)) => new.address = old.address,
        (old, new) => new.clone_from(old),
    }
    new.runtime = old.runtime;
    new.log.format = old.log.format;
    new.traces.clone_from(&old.traces);
    new.max_tenants = old.max_tenants;
    if old.tenants_query.is_some() != new.tenants_query.is_some() {
        new.tenants_query.clone_from(&old.tenants_query);
    }
    if old.auth_query.is_some() != new.auth_query.is_some() {
        new.auth_query.clone_from(&old.auth_query);
    }
}

/// What takes effect at the next start is listed with the value that it has now.
fn list(old: &Config, new: &mut Config) {
    for setting in new.listing.iter_mut().filter(|it| !it.changeable) {
        if let Some(known) = old.listing.iter().find(|it| it.key == setting.key) {
            setting.value.clone_from(&known.value);
        }
    }
}

/// Whether server connections lead to the same place, in the same name.
fn is_same_place(old: &Upstream, new: &Upstream) -> bool {
    let same_password = match (&old.password, &new.password) {
        (Some(old), Some(new)) => old.is_same(new),
        (None, None) => true,
        _ => false,
    };
    same_password
        && old.tls == new.tls
        && old.address == new.address
        && old.user == new.user
        && old.database == new.database
}

impl Db {
    /// From now on these settings hold, for transactions that begin.
    fn revise(self: &Arc<Self>, config: &settings::Database, all: &Config, now: Instant) {
        let had_password = self.config().upstream.password.is_some();
        let stays = is_same_place(&self.config().upstream, &config.upstream);
        *self.settings.lock() = Settings {
            config: Arc::new(config.clone()),
            timeouts: Arc::new(config.timeouts.clone()),
        };
        self.edition.fetch_add(1, Ordering::Relaxed);
        let always = config.server_reset == ServerReset::Always;
        self.resets_always.store(always, Ordering::Relaxed);
        self.books.lock().limit(
            config.max_db_connections,
            config.max_clients,
            config.timeouts.server_outage_timeout,
        );
        for pool in self.all_pools() {
            let founder = all.users.get(&pool.founder);
            let sizes = sizes(config, founder.and_then(|user| user.pool_size));
            let surplus = self.books.lock().resize(pool.id, sizes, now);
            for conn in surplus {
                conn.close();
            }
            pool.pins.revise(config.pins.clone());
            pool.catalogue.reuse_unnamed(config.plan_reuse);
            match &config.upstream.password {
                Some(password) => *pool.credential.lock() = Credential::from(password),
                None if had_password => *pool.credential.lock() = Credential::None,
                None => {}
            }
        }
        if stays {
            self.work(now);
        } else {
            self.reconnect(now);
        }
    }
}
