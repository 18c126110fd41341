//! Pools: how full they are.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::View;
use crate::{
    admin::tables::{self, Field, Type, Value, field},
    config::settings::Rights,
    net::{cards::Doing, lobby::Lobby, pool::Filling},
};

/// `SHOW POOLS`
pub(super) const POOLS: View = View {
    name: "POOLS",
    rights: Rights::Look,
    about: "The pools, one for each user of each database: who works, who waits, and for how long.",
    columns: || tables::columns(FIELDS),
    rows: |lobby, most| tables::rows(FIELDS, all(lobby).into_iter().take(most)),
};

struct Pool {
    database: String,
    user: String,
    mode: &'static str,
    filling: Filling,
    waited: Duration,
    /// Clients that wait for a limit.
    delayed: usize,
}

fn all(lobby: &Arc<Lobby>) -> Vec<Pool> {
    let mut waiting: HashMap<(String, String), usize> = HashMap::new();
    for card in lobby.cards() {
        if card.doing() == Doing::Waiting {
            let name = (card.database.to_string(), card.login.to_string());
            *waiting.entry(name).or_default() += 1;
        }
    }
    let now = Instant::now();
    let config = lobby.config();
    let mut all: Vec<Pool> = lobby
        .pools()
        .into_iter()
        .map(|pool| {
            let name = (pool.db.name.clone(), pool.user.clone());
            let own = config.users.get(&pool.user).and_then(|user| user.pool_mode);
            let filling = pool.filling();
            let waiting = waiting.get(&name).copied().unwrap_or(0);
            let (database, user) = name;
            Pool {
                database,
                user,
                mode: own.unwrap_or(pool.db.config().pool_mode).name(),
                waited: filling.oldest_wait(now),
                delayed: waiting.saturating_sub(filling.waiting),
                filling,
            }
        })
        .collect();
    all.sort_by(|a, b| (&a.database, &a.user).cmp(&(&b.database, &b.user)));
    all
}

const fn count(name: &'static str, about: &'static str, of: fn(&Pool) -> Value) -> Field<Pool> {
    field(name, Type::Small, about, of)
}

// Names and order are PgBouncer's; what stands behind `ours` is not.
const FIELDS: &[Field<Pool>] = &[
    field("database", Type::Text, "As clients call it.", |it| {
        Value::text(&it.database)
    }),
    field("user", Type::Text, "Who logs in to the server.", |it| {
        Value::text(&it.user)
    }),
    count(
        "cl_active",
        "Clients that do not wait: those with a server connection, and those that want none.",
        |it| Value::count(it.filling.clients.saturating_sub(it.filling.waiting)),
    ),
    count(
        "cl_waiting",
        "Clients that wait for a server connection.",
        |it| Value::count(it.filling.waiting),
    ),
    count(
        "cl_active_cancel_req",
        "Cancel requests that are on their way to the server.",
        |it| Value::count(it.filling.cancelling),
    ),
    count(
        "cl_waiting_cancel_req",
        "Always 0: cancel requests do not wait.",
        |_| Value::Int(0),
    ),
    count("sv_active", "Server connections with a client.", |it| {
        Value::count(it.filling.active())
    }),
    count(
        "sv_active_cancel",
        "Connections that carry a cancel request.",
        |it| Value::count(it.filling.cancelling),
    ),
    count(
        "sv_being_canceled",
        "Server connections that a cancel request is on its way to. They are among the others, too.",
        |it| Value::count(it.filling.cancelling),
    ),
    count("sv_idle", "Server connections nobody has.", |it| {
        Value::count(it.filling.idle)
    }),
    count(
        "sv_used",
        "Always 0: a connection that has idled is looked at when it is needed.",
        |_| Value::Int(0),
    ),
    count(
        "sv_tested",
        "Server connections that are cleaned for the next client.",
        |it| Value::count(it.filling.cleaning),
    ),
    count("sv_login", "Server connections being opened.", |it| {
        Value::count(it.filling.opening)
    }),
    count(
        "maxwait",
        "For how long the first of those has waited who wait for a server connection: seconds,",
        |it| Value::count(it.waited.as_secs()),
    ),
    count("maxwait_us", "and microseconds.", |it| {
        Value::count(it.waited.subsec_micros())
    }),
    field(
        "pool_mode",
        Type::Text,
        "When server connections are given back: `transaction` or `session`.",
        |it| Value::text(it.mode),
    ),
    field("load_balance_hosts", Type::Text, "Always NULL.", |_| {
        Value::Null
    }),
    // Ours.
    count(
        "cl_idle",
        "Of `cl_active`, those that want no server connection.",
        |it| Value::count(it.filling.idle_clients().saturating_sub(it.delayed)),
    ),
    count(
        "cl_delayed",
        "Of `cl_active`, those that wait for a limit.",
        |it| Value::count(it.delayed),
    ),
    count(
        "sv_pinned",
        "Of `sv_active`, those that clients keep beyond their transactions.",
        |it| Value::count(it.filling.pinned),
    ),
    count("pool_size", "Most server connections.", |it| {
        Value::count(it.filling.size)
    }),
    count(
        "reserve_pool_size",
        "More of them when clients have waited for long.",
        |it| Value::count(it.filling.reserve),
    ),
    count(
        "rls_findings",
        "What speaks against row-level security for this user; the log says it.",
        |it| Value::count(it.filling.findings),
    ),
    field(
        "failure",
        Type::Text,
        "Why the server cannot be reached; NULL = it can.",
        |it| {
            let failure = it.filling.failure.as_ref();
            Value::any(failure.map(|error| Value::Text(error.to_string())))
        },
    ),
];
