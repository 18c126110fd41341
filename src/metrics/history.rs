//! The last minutes, a point each second: what a page that has just been opened can show at once.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Instant, SystemTime},
};

use super::{STEP, pools, process::Clients};
use crate::{
    meter::{PoolMeter, Spread},
    net::{lobby::Lobby, meters::Name},
};

/// Points that are kept: ten minutes.
const MOST: usize = 600;

/// Points that are kept of each pool: two minutes.
const MOST_OF_POOL: usize = 120;

/// How it was in one second.
#[derive(Debug, Clone, Default)]
pub(super) struct Point {
    pub(super) transactions: f64,
    pub(super) queries: f64,
    pub(super) errors: f64,
    pub(super) refusals: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    /// Of the transactions that ended in it: how long half of them took at most, 95 and 99 %, in
    /// microseconds; `None`: there were none.
    pub(super) took: [Option<u64>; 3],
    /// Of those that began: how long they had waited.
    pub(super) waited: [Option<u64>; 3],
    pub(super) clients: usize,
    pub(super) clients_waiting: usize,
    pub(super) servers_active: usize,
    pub(super) servers_idle: usize,
}

/// What has been counted up to a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    transactions: Spread,
    waits: Spread,
    queries: u64,
    errors: u64,
    refusals: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Totals {
    fn of(lobby: &Lobby, meters: &[(Name, std::sync::Arc<PoolMeter>)]) -> Self {
        let mut totals = Self {
            refusals: lobby.meters.refusals.all().map(|(_, count)| count).sum(),
            ..Self::default()
        };
        for (_, meter) in meters {
            totals
                .transactions
                .add(&meter.spread(|it| &it.transactions));
            totals.waits.add(&meter.spread(|it| &it.waits));
            totals.queries += meter.spread(|it| &it.queries).count();
            totals.errors += meter.errors().map(|(_, count)| count).sum::<u64>();
            totals.bytes_in += meter.sum(|it| &it.bytes_in);
            totals.bytes_out += meter.sum(|it| &it.bytes_out);
        }
        totals
    }
}

/// The last two minutes of a pool.
#[derive(Debug, Default)]
pub(super) struct OfPool {
    transactions: u64,
    /// In the last second.
    pub(super) transactions_per_second: f64,
    pub(super) active: VecDeque<usize>,
    pub(super) waiting: VecDeque<usize>,
}

/// The last minutes.
#[derive(Debug)]
pub(super) struct History {
    pub(super) points: VecDeque<Point>,
    pub(super) pools: BTreeMap<Name, OfPool>,
    /// When the last point was made.
    pub(super) ended: SystemTime,
    before: Option<(Instant, Totals)>,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            points: VecDeque::new(),
            pools: BTreeMap::new(),
            ended: SystemTime::now(),
            before: None,
        }
    }

    /// A second has passed.
    pub(super) fn step(&mut self, lobby: &Lobby) {
        let now = Instant::now();
        let meters = lobby.meters.all();
        let totals = Totals::of(lobby, &meters);
        self.ended = SystemTime::now();
        let Some((then, before)) = self.before.replace((now, totals)) else {
            return;
        };
        let passed = now.saturating_duration_since(then).max(STEP / 10);
        let seconds = passed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for a chart")]
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let clients = Clients::of(lobby);
        let took = totals.transactions.since(&before.transactions);
        let mut point = Point {
            transactions: rate(took.count(), 0),
            queries: rate(totals.queries, before.queries),
            errors: rate(totals.errors, before.errors),
            refusals: rate(totals.refusals, before.refusals),
            bytes_in: rate(totals.bytes_in, before.bytes_in),
            bytes_out: rate(totals.bytes_out, before.bytes_out),
            took: quantiles(&took),
            waited: quantiles(&totals.waits.since(&before.waits)),
            clients: clients.active + clients.waiting + clients.idle,
            clients_waiting: clients.waiting,
            ..Point::default()
        };
        let seen = pools::seen(lobby);
        self.pools
            .retain(|name, _| seen.iter().any(|pool| pool.name == *name));
        for pool in &seen {
            let filling = &pool.filling;
            point.servers_active += filling.active();
            point.servers_idle += filling.idle;
            let total = pool.pool.meter.spread(|it| &it.transactions).count();
            let own = self.pools.entry(pool.name.clone()).or_default();
            own.transactions_per_second = rate(total, own.transactions);
            own.transactions = total;
            remember(&mut own.active, filling.active(), MOST_OF_POOL);
            remember(&mut own.waiting, filling.waiting, MOST_OF_POOL);
        }
        remember(&mut self.points, point, MOST);
    }
}

/// The median and what is above 95 and 99 %, in microseconds.
fn quantiles(spread: &Spread) -> [Option<u64>; 3] {
    [0.5, 0.95, 0.99].map(|it| spread.quantile(it).map(|nanos| nanos / 1000))
}

fn remember<T>(points: &mut VecDeque<T>, point: T, most: usize) {
    if points.len() == most {
        points.pop_front();
    }
    points.push_back(point);
}
