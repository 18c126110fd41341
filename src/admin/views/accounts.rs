//! Accounts: what tenants, and users that work without one, have used and may use.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use super::View;
use crate::{
    admin::tables::{self, Column, Field, Row, Table, Type, Value, field},
    config::settings::Rights,
    limit::{Rate, Tier, account::Statement},
    net::lobby::Lobby,
};

/// `SHOW TENANTS`
pub(super) const TENANTS: View = View {
    name: "TENANTS",
    rights: Rights::Look,
    about: "All accounts: of tenants, and of users that work without one. Those that have used the most server time come first. An account that nobody uses may be forgotten, and its counters with it.",
    columns: || tables::columns(USED),
    rows: |lobby, most| tenants(lobby.config().accounts.statements(), most),
};

/// `SHOW LIMITS`
pub(super) const LIMITS: View = View {
    name: "LIMITS",
    rights: Rights::Look,
    about: "The tiers: what each allows, and whose they are. What is not limited is NULL.",
    columns: || {
        let about = tables::columns(ABOUT).into_iter();
        about.chain(tables::columns(ALLOWED)).collect()
    },
    rows: |lobby, most| {
        limits(lobby)
            .into_values()
            .take(most)
            .map(limit_row)
            .collect()
    },
};

/// A tier, and whose it is.
struct Tiers {
    tier: Arc<Tier>,
    accounts: usize,
    clients: usize,
}

fn limits(lobby: &Lobby) -> BTreeMap<Arc<str>, Tiers> {
    let config = lobby.config();
    let rules = config.accounts.rules();
    let mut tiers = BTreeMap::new();
    let mut add = |tier: &Arc<Tier>, accounts, clients| {
        let entry = tiers.entry(tier.name.clone()).or_insert_with(|| Tiers {
            tier: Arc::clone(tier),
            accounts: 0,
            clients: 0,
        });
        entry.accounts += accounts;
        entry.clients += clients;
    };
    for tier in [&rules.default].into_iter().chain(rules.tiers.values()) {
        add(tier, 0, 0);
    }
    config.accounts.each(|account| {
        let statement = account.statement();
        add(&statement.tier, 1, statement.clients);
    });
    tiers
}

fn limit_row(tiers: Tiers) -> Row {
    let about = tables::row(ABOUT, &tiers).into_iter();
    about.chain(tables::row(ALLOWED, &tiers.tier)).collect()
}

const ABOUT: &[Field<Tiers>] = &[
    field("tier", Type::Text, "Its name.", |it| {
        Value::text(&it.tier.name)
    }),
    field("accounts", Type::Int, "Accounts that it holds for.", |it| {
        Value::count(it.accounts)
    }),
    field("clients", Type::Int, "Their clients.", |it| {
        Value::count(it.clients)
    }),
];

/// What an account is and what it has used.
const USED: &[Field<Statement>] = &[
    field(
        "kind",
        Type::Text,
        "`tenant`, or `user` for a user that works without one.",
        |it| Value::text(it.who.kind()),
    ),
    field(
        "name",
        Type::Text,
        "The tenant's id or the user's name.",
        |it| Value::text(it.who.name()),
    ),
    field("tier", Type::Text, "The tier whose limits hold.", |it| {
        Value::text(&it.tier.name)
    }),
    field(
        "suspended",
        Type::Bool,
        "Its transactions are refused for the time being.",
        |it| Value::Bool(it.suspended),
    ),
    field(
        "clients",
        Type::Int,
        "Clients that are connected in its name.",
        |it| Value::count(it.clients),
    ),
    field(
        "transactions",
        Type::Int,
        "Transactions since pgusher started.",
        |it| Value::count(it.used.transactions),
    ),
    field(
        "server_time",
        Type::Int,
        "Server connections' time in them, in milliseconds.",
        |it| Value::millis(it.used.server_time),
    ),
    field(
        "bytes",
        Type::Int,
        "Bytes that servers sent to its clients.",
        |it| Value::count(it.used.bytes),
    ),
    field(
        "delayed",
        Type::Int,
        "Transactions that had to wait for a limit.",
        |it| Value::count(it.used.delayed),
    ),
    field(
        "delay",
        Type::Int,
        "How long they waited for it in all, in milliseconds.",
        |it| Value::millis(it.used.delay),
    ),
    field(
        "refused",
        Type::Int,
        "Transactions and connections that were refused.",
        |it| Value::count(it.used.refused),
    ),
];

/// What an account may use. Names are the keys of `[limits]`.
const ALLOWED: &[Field<Tier>] = &[
    field(
        "transactions_per_second",
        Type::Int,
        "Transactions that may start in a second.",
        |it| per_second(it.transactions),
    ),
    field("burst", Type::Int, "And at once.", |it| {
        burst(it.transactions)
    }),
    field(
        "server_time_per_second",
        Type::Int,
        "Milliseconds of server connections' time in a second.",
        |it| Value::any(it.server_time.map(|rate| nanos(rate.per_second()))),
    ),
    field("server_time_burst", Type::Int, "And at once.", |it| {
        Value::any(it.server_time.map(|rate| nanos(rate.burst())))
    }),
    field(
        "bytes_per_second",
        Type::Int,
        "Bytes to its clients in a second.",
        |it| per_second(it.bytes),
    ),
    field("bytes_burst", Type::Int, "And at once.", |it| {
        burst(it.bytes)
    }),
    field(
        "connections_per_second",
        Type::Int,
        "Clients that may connect in a second.",
        |it| per_second(it.connections),
    ),
    field("connection_burst", Type::Int, "And at once.", |it| {
        burst(it.connections)
    }),
    field(
        "max_delay",
        Type::Int,
        "The longest wait for a limit, in milliseconds; beyond it a transaction is refused.",
        |it| Value::any(it.max_delay.map(Value::millis)),
    ),
    field(
        "max_servers",
        Type::Int,
        "Server connections of a pool at once.",
        |it| limit(it.share.max_servers),
    ),
    field(
        "min_servers",
        Type::Int,
        "Server connections of a pool kept free for it.",
        |it| Value::count(it.share.min_servers),
    ),
    field(
        "max_waiting",
        Type::Int,
        "Requests that wait for a pool at once.",
        |it| limit(it.share.max_waiting),
    ),
    field("max_clients", Type::Int, "Clients at once.", |it| {
        limit(it.max_clients)
    }),
    field(
        "weight",
        Type::Int,
        "How much server time it gets where others get 1.",
        |it| Value::count(it.share.weight),
    ),
];

fn per_second(rate: Option<Rate>) -> Value {
    Value::any(rate.map(|rate| Value::count(rate.per_second())))
}

fn burst(rate: Option<Rate>) -> Value {
    Value::any(rate.map(|rate| Value::count(rate.burst())))
}

fn nanos(nanos: u64) -> Value {
    Value::millis(Duration::from_nanos(nanos))
}

fn limit(most: usize) -> Value {
    Value::any((most != usize::MAX).then(|| Value::count(most)))
}

/// One row for each account, those that have used the most server time first.
pub(in crate::admin) fn tenants(mut statements: Vec<Statement>, most: usize) -> Vec<Row> {
    statements.sort_unstable_by(|a, b| {
        let by = |it: &Statement| Reverse(it.used.server_time);
        by(a).cmp(&by(b)).then_with(|| a.who.cmp(&b.who))
    });
    tables::rows(USED, statements.into_iter().take(most))
}

/// The columns of [`account`].
pub(in crate::admin) fn account_columns() -> Vec<Column> {
    let used = tables::columns(USED).into_iter();
    used.chain(tables::columns(ALLOWED)).collect()
}

/// One account, with its limits.
pub(in crate::admin) fn account(statement: &Statement) -> Table {
    let used = tables::row(USED, statement).into_iter();
    let row = used.chain(tables::row(ALLOWED, &statement.tier));
    Table {
        columns: account_columns(),
        rows: vec![row.collect()],
    }
}
