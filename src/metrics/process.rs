//! The process itself: its version, its clients, what it refused, and what the system knows of it.

use std::time::SystemTime;

use prometheus::{core::Collector as _, process_collector::ProcessCollector, proto};

use super::{
    page::{Labels, Page, Seconds},
    table::{self, Metric},
};
use crate::{
    limit::tier::nanos,
    lookup::Health,
    net::{cards::Doing, directory::Directory, lobby::Lobby, users::Users},
};

pub(super) fn write(lobby: &Lobby, page: &mut Page) {
    let config = lobby.config();
    page.family(table::BUILD);
    let version = Labels::of(table::BUILD, &[env!("CARGO_PKG_VERSION")]);
    page.sample(table::BUILD, &version, 1_u8);
    page.only(table::READY, u8::from(lobby.readiness().is_ok()));
    page.only(table::WORKERS, lobby.workers.len());
    page.only(table::WORKERS_IN_USE, lobby.workers.open());
    clients(&Clients::of(lobby), page);
    page.only(table::CLIENTS_MOST, config.listen.max_clients);
    refusals(lobby, page);
    let seen = lobby.gate.seen();
    page.only(table::LOGIN_FAILURES, seen.failures);
    page.only(table::LOGIN_BLOCKS, seen.blocks);
    page.only(table::LOGINS_BLOCKED, seen.blocked);
    page.only(table::CONNECTIONS_REFUSED, seen.refused);
    lookups(lobby, page);
    reloads(lobby, page);
    #[cfg(feature = "traces")]
    spans(lobby, page);
    system(page);
}

/// Clients by what they do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clients {
    pub(super) active: usize,
    pub(super) waiting: usize,
    pub(super) idle: usize,
    pub(super) logging_in: usize,
}

impl Clients {
    pub(super) fn of(lobby: &Lobby) -> Self {
        let mut clients = Self::default();
        for card in lobby.cards() {
            match card.doing() {
                Doing::Active | Doing::Cleaning => clients.active += 1,
                Doing::Waiting => clients.waiting += 1,
                Doing::Idle => clients.idle += 1,
            }
        }
        let seen = clients.active + clients.waiting + clients.idle;
        clients.logging_in = lobby.clients().saturating_sub(seen);
        clients
    }
}

fn clients(clients: &Clients, page: &mut Page) {
    page.family(table::CLIENTS);
    for (state, count) in [
        ("active", clients.active),
        ("waiting", clients.waiting),
        ("idle", clients.idle),
        ("logging_in", clients.logging_in),
    ] {
        page.sample(table::CLIENTS, &Labels::of(table::CLIENTS, &[state]), count);
    }
}

fn refusals(lobby: &Lobby, page: &mut Page) {
    const METRIC: &Metric = table::REFUSALS;
    page.family(METRIC);
    for (kind, count) in lobby.meters.refusals.all() {
        let labels = Labels::of(METRIC, &[kind.name(), kind.code(), kind.blame().name()]);
        page.sample(METRIC, &labels, count);
    }
}

fn lookups(lobby: &Lobby, page: &mut Page) {
    let asked = [
        (
            "tenants_query",
            lobby.directory.as_ref().map(Directory::health),
        ),
        ("auth.query", lobby.roles.as_ref().map(Users::health)),
        ("auth.jwt", lobby.token_keys.health()),
    ];
    let mut family = |metric: &Metric, value: fn(&Health) -> u64| {
        page.family(metric);
        for (source, health) in &asked {
            if let Some(health) = health {
                page.sample(metric, &Labels::of(metric, &[source]), value(health));
            }
        }
    };
    family(table::LOOKUP_FAILING, |it| it.is_failing.into());
    family(table::LOOKUPS_FAILED, |it| it.failures);
}

fn reloads(lobby: &Lobby, page: &mut Page) {
    const METRIC: &Metric = table::RELOADS;
    let reloads = lobby.reloads();
    page.family(METRIC);
    for (result, count) in [("success", reloads.worked), ("failure", reloads.failed)] {
        page.sample(METRIC, &Labels::of(METRIC, &[result]), count);
    }
    page.only(table::RELOAD_WORKED, u8::from(reloads.is_well));
    let read = reloads.read.duration_since(SystemTime::UNIX_EPOCH);
    page.only(table::RELOADED, seconds(read.unwrap_or_default()));
}

#[cfg(feature = "traces")]
fn spans(lobby: &Lobby, page: &mut Page) {
    const METRIC: &Metric = table::SPANS;
    let Some(traces) = &lobby.reports.traces else {
        return;
    };
    let (sent, dropped) = traces.counts();
    page.family(METRIC);
    for (result, count) in [("sent", sent), ("dropped", dropped)] {
        page.sample(METRIC, &Labels::of(METRIC, &[result]), count);
    }
}

/// What the operating system knows of the process.
fn system(page: &mut Page) {
    for family in ProcessCollector::for_self().collect() {
        let kind = match family.get_field_type() {
            proto::MetricType::COUNTER => "counter",
            _ => "gauge",
        };
        page.head(family.name(), kind, family.help());
        for metric in family.get_metric() {
            let value = match kind {
                "counter" => metric.get_counter().get_value(),
                _ => metric.get_gauge().get_value(),
            };
            page.bare(family.name(), value);
        }
    }
}

/// Seconds of a duration.
pub(super) fn seconds(time: std::time::Duration) -> Seconds {
    Seconds(nanos(time))
}
