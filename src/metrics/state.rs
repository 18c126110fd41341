//! What the dashboard shows, as JSON: everything bounded, whatever there is.

use std::{
    cmp::Reverse,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{
    STEP,
    history::{History, Point},
    pools::{self, Seen},
    process::Clients,
    tenants::{Series, Tenants},
};
use crate::{limit::Used, net::lobby::Lobby};

/// Pools that are shown: the busiest.
const MOST_POOLS: usize = 50;

/// Tenants in each list.
const MOST_TENANTS: usize = 10;

/// Pinned sessions that are shown: those that have lasted longest.
const MOST_PINNED: usize = 20;

/// Slow transactions that are shown: the latest.
const MOST_SLOW: usize = 50;

/// Writes it.
pub(super) fn write(lobby: &Lobby, tenants: &Tenants, history: &History) -> String {
    let state = State::of(lobby, tenants, history);
    serde_json::to_string(&state).unwrap_or_default()
}

#[derive(Debug, Serialize)]
struct State {
    version: &'static str,
    uptime_s: u64,
    now_ms: u64,
    ready: bool,
    why_not: Option<String>,
    clients: ClientsNow,
    history: Charts,
    pools: Vec<PoolNow>,
    pools_more: usize,
    tenants: Tops,
    pinned: Vec<Pinned>,
    pinned_more: usize,
    slow: Vec<SlowOne>,
}

impl State {
    fn of(lobby: &Lobby, tenants: &Tenants, history: &History) -> Self {
        let now = Instant::now();
        let why_not = lobby.readiness().err();
        let (pools, pools_more) = pools_now(lobby, history, now);
        let (pinned, pinned_more) = pinned(lobby);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: now.saturating_duration_since(lobby.started).as_secs(),
            now_ms: epoch(SystemTime::now()),
            ready: why_not.is_none(),
            why_not,
            clients: ClientsNow::of(lobby),
            history: Charts::of(history),
            pools,
            pools_more,
            tenants: Tops::of(tenants, now),
            pinned,
            pinned_more,
            slow: slow(lobby),
        }
    }
}

#[derive(Debug, Serialize)]
struct ClientsNow {
    active: usize,
    waiting: usize,
    idle: usize,
    logging_in: usize,
    most: usize,
}

impl ClientsNow {
    fn of(lobby: &Lobby) -> Self {
        let Clients {
            active,
            waiting,
            idle,
            logging_in,
        } = Clients::of(lobby);
        Self {
            active,
            waiting,
            idle,
            logging_in,
            most: lobby.config().listen.max_clients,
        }
    }
}

/// One list for each line of a chart, oldest first.
#[derive(Debug, Serialize)]
struct Charts {
    step_ms: u64,
    end_ms: u64,
    transactions: Vec<f64>,
    queries: Vec<f64>,
    errors: Vec<f64>,
    refusals: Vec<f64>,
    bytes_in: Vec<f64>,
    bytes_out: Vec<f64>,
    transaction_p50_us: Vec<Option<u64>>,
    transaction_p95_us: Vec<Option<u64>>,
    transaction_p99_us: Vec<Option<u64>>,
    wait_p50_us: Vec<Option<u64>>,
    wait_p99_us: Vec<Option<u64>>,
    clients: Vec<usize>,
    clients_waiting: Vec<usize>,
    servers_active: Vec<usize>,
    servers_idle: Vec<usize>,
}

impl Charts {
    fn of(history: &History) -> Self {
        fn line<T>(history: &History, of: impl Fn(&Point) -> T) -> Vec<T> {
            history.points.iter().map(of).collect()
        }
        let rate = |of: fn(&Point) -> f64| line(history, |point| rounded(of(point)));
        let quantile = |of: fn(&Point) -> Option<u64>| line(history, of);
        let count = |of: fn(&Point) -> usize| line(history, of);
        Self {
            step_ms: u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX),
            end_ms: epoch(history.ended),
            transactions: rate(|it| it.transactions),
            queries: rate(|it| it.queries),
            errors: rate(|it| it.errors),
            refusals: rate(|it| it.refusals),
            bytes_in: rate(|it| it.bytes_in),
            bytes_out: rate(|it| it.bytes_out),
            transaction_p50_us: quantile(|it| it.took[0]),
            transaction_p95_us: quantile(|it| it.took[1]),
            transaction_p99_us: quantile(|it| it.took[2]),
            wait_p50_us: quantile(|it| it.waited[0]),
            wait_p99_us: quantile(|it| it.waited[2]),
            clients: count(|it| it.clients),
            clients_waiting: count(|it| it.clients_waiting),
            servers_active: count(|it| it.servers_active),
            servers_idle: count(|it| it.servers_idle),
        }
    }
}

#[derive(Debug, Serialize)]
struct PoolNow {
    database: String,
    user: String,
    mode: &'static str,
    size: usize,
    reserve: usize,
    active: usize,
    idle: usize,
    connecting: usize,
    cleaning: usize,
    cancelling: usize,
    pinned: usize,
    clients: usize,
    waiting: usize,
    oldest_wait_us: u64,
    paused: bool,
    failing: Option<String>,
    transactions_per_s: f64,
    active_history: Vec<usize>,
    waiting_history: Vec<usize>,
}

fn pools_now(lobby: &Lobby, history: &History, now: Instant) -> (Vec<PoolNow>, usize) {
    let mut seen = pools::seen(lobby);
    // Those with something wrong come first, then the busiest.
    seen.sort_by_key(|it| {
        let filling = &it.filling;
        Reverse((
            filling.failure.is_some(),
            filling.waiting,
            filling.busy,
            filling.clients,
        ))
    });
    let more = seen.len().saturating_sub(MOST_POOLS);
    seen.truncate(MOST_POOLS);
    let pools = seen.into_iter().map(|seen| pool_now(seen, history, now));
    (pools.collect(), more)
}

fn pool_now(seen: Seen, history: &History, now: Instant) -> PoolNow {
    let Seen {
        name,
        pool,
        filling,
    } = seen;
    let own = history.pools.get(&name);
    let points = |of: fn(&super::history::OfPool) -> &std::collections::VecDeque<usize>| {
        own.map(|own| of(own).iter().copied().collect())
            .unwrap_or_default()
    };
    PoolNow {
        mode: pool.db.config().pool_mode.name(),
        size: filling.size,
        reserve: filling.reserve,
        active: filling.active(),
        idle: filling.idle,
        connecting: filling.opening,
        cleaning: filling.cleaning,
        cancelling: filling.cancelling,
        pinned: filling.pinned,
        clients: filling.clients,
        waiting: filling.waiting,
        oldest_wait_us: micros(filling.oldest_wait(now)),
        paused: pool.db.held() != crate::pool::Hold::Off,
        failing: filling.failure.map(|error| error.to_string()),
        transactions_per_s: own.map_or(0.0, |own| rounded(own.transactions_per_second)),
        active_history: points(|own| &own.active),
        waiting_history: points(|own| &own.waiting),
        database: name.database,
        user: name.user,
    }
}

#[derive(Debug, Serialize)]
struct Tops {
    known: usize,
    by_server_time: Vec<TenantNow>,
    by_waiting: Vec<TenantNow>,
    by_refusals: Vec<TenantNow>,
}

impl Tops {
    fn of(tenants: &Tenants, now: Instant) -> Self {
        Self {
            known: tenants.known(),
            by_server_time: top(tenants, now, |used, _| used.server_time.as_nanos()),
            by_waiting: top(tenants, now, |used, series| {
                // Who waits now has not had its wait counted yet.
                used.wait.as_nanos() + (series.standing.waiting as u128) * 1_000_000_000
            }),
            by_refusals: top(tenants, now, |used, _| u128::from(used.refused)),
        }
    }
}

/// Those with the most of something, if they have any of it.
fn top(tenants: &Tenants, now: Instant, of: impl Fn(&Used, &Series) -> u128) -> Vec<TenantNow> {
    let mut all: Vec<_> = tenants
        .shown()
        .map(|series| {
            let (used, passed) = series.lately(now);
            let seconds = passed.as_secs_f64().max(1.0);
            (of(&used, series), series, used, seconds)
        })
        .filter(|(much, ..)| *much > 0)
        .collect();
    let by = |much: &u128, series: &Series| (Reverse(*much), series.account.number());
    all.sort_unstable_by_key(|(much, series, ..)| by(much, series));
    all.truncate(MOST_TENANTS);
    all.into_iter()
        .map(|(_, series, used, seconds)| TenantNow::of(series, &used, seconds))
        .collect()
}

#[derive(Debug, Serialize)]
struct TenantNow {
    kind: &'static str,
    name: String,
    tier: String,
    suspended: bool,
    clients: usize,
    servers: usize,
    waiting: usize,
    transactions_per_s: f64,
    server_share: f64,
    wait_per_s: f64,
    refusals_per_s: f64,
    errors_per_s: f64,
    bytes_per_s: f64,
}

impl TenantNow {
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    fn of(series: &Series, used: &Used, seconds: f64) -> Self {
        let statement = series.account.statement();
        let rate = |count: u64| rounded(count as f64 / seconds);
        Self {
            kind: statement.who.kind(),
            name: statement.who.name().to_owned(),
            tier: statement.tier.name.to_string(),
            suspended: statement.suspended,
            clients: statement.clients,
            servers: series.standing.servers,
            waiting: series.standing.waiting,
            transactions_per_s: rate(used.transactions),
            server_share: rounded(used.server_time.as_secs_f64() / seconds),
            wait_per_s: rounded(used.wait.as_secs_f64() / seconds),
            refusals_per_s: rate(used.refused),
            errors_per_s: rate(used.errors),
            bytes_per_s: rate(used.bytes),
        }
    }
}

#[derive(Debug, Serialize)]
struct Pinned {
    client: u32,
    database: String,
    user: String,
    tenant: Option<String>,
    for_s: u64,
    what: String,
}

fn pinned(lobby: &Lobby) -> (Vec<Pinned>, usize) {
    let mut cards = lobby.pinned();
    let more = cards.len().saturating_sub(MOST_PINNED);
    cards.truncate(MOST_PINNED);
    let rows = cards.iter().map(|card| Pinned {
        client: card.id,
        database: card.database.to_string(),
        user: card.user.to_string(),
        tenant: card.tenant(),
        for_s: card.kept_for().as_secs(),
        what: card.holds().listed(),
    });
    (rows.collect(), more)
}

#[derive(Debug, Serialize)]
struct SlowOne {
    at_ms: u64,
    took_ms: f64,
    waited_ms: f64,
    queries: u64,
    database: String,
    user: String,
    tenant: Option<String>,
    client: u32,
    statement: Option<String>,
}

fn slow(lobby: &Lobby) -> Vec<SlowOne> {
    let latest = lobby.reports.slow().into_iter().take(MOST_SLOW);
    let rows = latest.map(|it| SlowOne {
        at_ms: epoch(it.at),
        took_ms: rounded(it.took.as_secs_f64() * 1000.0),
        waited_ms: rounded(it.waited.as_secs_f64() * 1000.0),
        queries: it.queries,
        database: it.database.to_string(),
        user: it.user.to_string(),
        tenant: it.tenant.as_deref().map(str::to_owned),
        client: it.client,
        statement: it.statement.clone(),
    });
    rows.collect()
}

fn epoch(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Three digits behind the point are enough for anybody's eyes.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
