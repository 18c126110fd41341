//! The pools: how full they are, and what has passed through them.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{
    page::{Labels, Page},
    process::seconds,
    table::{self, Metric},
};
use crate::{
    meter::{Counter, Histogram, PoolMeter, Traffic},
    net::{
        lobby::Lobby,
        meters::Name,
        pool::{Filling, Pool},
    },
};

/// A pool that exists.
pub(super) struct Seen {
    pub(super) name: Name,
    pub(super) pool: Arc<Pool>,
    pub(super) filling: Filling,
}

/// All pools that exist, by database and user.
pub(super) fn seen(lobby: &Lobby) -> Vec<Seen> {
    let mut all: Vec<Seen> = lobby
        .pools()
        .into_iter()
        .map(|pool| Seen {
            name: Name {
                database: pool.db.name.clone(),
                user: pool.user.clone(),
            },
            filling: pool.filling(),
            pool,
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

pub(super) fn write(lobby: &Lobby, page: &mut Page) {
    gauges(&seen(lobby), page);
    traffic(&lobby.meters.all(), page);
    tiers(lobby, page);
}

fn gauges(pools: &[Seen], page: &mut Page) {
    let now = Instant::now();
    states(table::POOL_SERVERS, pools, page, |it| {
        vec![
            ("active", it.active()),
            ("idle", it.idle),
            ("connecting", it.opening),
            ("cleaning", it.cleaning),
        ]
    });
    states(table::POOL_CLIENTS, pools, page, |it| {
        vec![
            ("active", it.active()),
            ("waiting", it.waiting),
            ("idle", it.idle_clients()),
        ]
    });
    let mut each = |metric: &Metric, of: &dyn Fn(&Filling) -> usize| {
        page.family(metric);
        for pool in pools {
            page.sample(metric, &labels(metric, &pool.name), of(&pool.filling));
        }
    };
    each(table::POOL_PINNED, &|it| it.pinned);
    each(table::POOL_CANCELLING, &|it| it.cancelling);
    each(table::POOL_SIZE, &|it| it.size);
    each(table::POOL_RESERVE, &|it| it.reserve);
    each(table::POOL_FAILING, &|it| usize::from(it.failure.is_some()));
    each(table::POOL_FINDINGS, &|it| it.findings);
    page.family(table::POOL_OLDEST_WAIT);
    for pool in pools {
        let labels = labels(table::POOL_OLDEST_WAIT, &pool.name);
        let waited = pool.filling.oldest_wait(now);
        page.sample(table::POOL_OLDEST_WAIT, &labels, seconds(waited));
    }
}

fn labels(metric: &Metric, name: &Name) -> Labels {
    Labels::of(metric, &[&name.database, &name.user])
}

fn states(
    metric: &Metric,
    pools: &[Seen],
    page: &mut Page,
    of: impl Fn(&Filling) -> Vec<(&'static str, usize)>,
) {
    page.family(metric);
    for Seen { name, filling, .. } in pools {
        for (state, count) in of(filling) {
            let labels = Labels::of(metric, &[&name.database, &name.user, state]);
            page.sample(metric, &labels, count);
        }
    }
}

/// The counters of pools, also of those that are gone.
fn traffic(meters: &[(Name, Arc<PoolMeter>)], page: &mut Page) {
    type Part = (&'static str, fn(&Traffic) -> &Counter);
    let mut counts = |metric: &Metric, of: &dyn Fn(&PoolMeter) -> u64| {
        page.family(metric);
        for (name, meter) in meters {
            page.sample(metric, &labels(metric, name), of(meter));
        }
    };
    counts(table::TRANSACTIONS, &|it| {
        it.spread(|it| &it.transactions).count()
    });
    counts(table::QUERIES, &|it| it.spread(|it| &it.queries).count());
    counts(table::INJECTIONS, &|it| it.sum(|it| &it.injections));
    counts(table::CANCELS, &|it| it.sum(|it| &it.cancels));
    counts(table::CLIENT_PARSES, &|it| it.sum(|it| &it.client_parses));
    counts(table::EVICTIONS, &|it| it.sum(|it| &it.evictions));
    counts(table::BINDS, &|it| it.sum(|it| &it.binds));
    counts(table::CONNECTS_FAILED, &|it| {
        it.sum(|it| &it.connects_failed)
    });
    let mut parted = |metric: &Metric, parts: &[Part]| {
        page.family(metric);
        for (name, meter) in meters {
            for (part, of) in parts {
                let labels = Labels::of(metric, &[&name.database, &name.user, part]);
                page.sample(metric, &labels, meter.sum(of));
            }
        }
    };
    parted(
        table::BYTES,
        &[("in", |it| &it.bytes_in), ("out", |it| &it.bytes_out)],
    );
    parted(
        table::RESETS,
        &[
            ("success", |it| &it.resets),
            ("failed", |it| &it.resets_failed),
        ],
    );
    parted(
        table::PREPARED,
        &[
            ("hit", |it| &it.parses_saved),
            ("parsed", |it| &it.server_parses),
            ("repeated", |it| &it.parses_repeated),
        ],
    );
    page.family(table::ERRORS);
    for (name, meter) in meters {
        for (class, count) in meter.errors() {
            let labels = Labels::of(table::ERRORS, &[&name.database, &name.user, class]);
            page.sample(table::ERRORS, &labels, count);
        }
    }
    histograms(meters, page);
}

fn histograms(meters: &[(Name, Arc<PoolMeter>)], page: &mut Page) {
    let mut spread = |metric: &Metric, of: fn(&Traffic) -> &Histogram| {
        page.family(metric);
        for (name, meter) in meters {
            page.histogram(metric, &labels(metric, name), &meter.spread(of));
        }
    };
    spread(table::WAITS, |it| &it.waits);
    spread(table::TRANSACTION_TIME, |it| &it.transactions);
    spread(table::QUERY_TIME, |it| &it.queries);
    spread(table::CONNECT_TIME, |it| &it.connects);
    spread(table::LOGIN_TIME, |it| &it.logins);
}

/// The histograms of tiers, by name.
fn tiers(lobby: &Lobby, page: &mut Page) {
    let rules = lobby.config().accounts.rules();
    let all = [&rules.default].into_iter().chain(rules.tiers.values());
    let tiers: BTreeMap<_, _> = all.map(|tier| (&*tier.name, &tier.meter)).collect();
    for metric in [table::TIER_WAITS, table::TIER_TRANSACTION_TIME] {
        page.family(metric);
        for (name, meter) in &tiers {
            let spread = match metric.name == table::TIER_WAITS.name {
                true => meter.waits(),
                false => meter.transactions(),
            };
            page.histogram(metric, &Labels::of(metric, &[name]), &spread);
        }
    }
}
