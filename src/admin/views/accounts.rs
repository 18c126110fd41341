//! Accounts: what tenants, and users that work without one, have used and may use.

use std::{cmp::Reverse, time::Duration};

use super::View;
use crate::{
    admin::tables::{self, Column, Field, Row, Table, Type, Value, field},
    config::settings::Rights,
    limit::{Rate, account::Statement},
};

/// `SHOW TENANTS`
pub(super) const TENANTS: View = View {
    name: "TENANTS",
    rights: Rights::Look,
    about: "All accounts: of tenants, and of users that work without one. Those that have used the most server time come first. An account that nobody uses may be forgotten, and its counters with it.",
    columns: || tables::columns(USED),
    rows: |lobby, most| tenants(lobby.config().accounts.statements(), most),
};

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
const LIMITS: &[Field<Statement>] = &[
    field(
        "transactions_per_second",
        Type::Int,
        "Transactions that may start in a second.",
        |it| per_second(it.tier.transactions),
    ),
    field("burst", Type::Int, "And at once.", |it| {
        burst(it.tier.transactions)
    }),
    field(
        "server_time_per_second",
        Type::Int,
        "Milliseconds of server connections' time in a second.",
        |it| Value::any(it.tier.server_time.map(|rate| nanos(rate.per_second()))),
    ),
    field("server_time_burst", Type::Int, "And at once.", |it| {
        Value::any(it.tier.server_time.map(|rate| nanos(rate.burst())))
    }),
    field(
        "bytes_per_second",
        Type::Int,
        "Bytes to its clients in a second.",
        |it| per_second(it.tier.bytes),
    ),
    field("bytes_burst", Type::Int, "And at once.", |it| {
        burst(it.tier.bytes)
    }),
    field(
        "connections_per_second",
        Type::Int,
        "Clients that may connect in a second.",
        |it| per_second(it.tier.connections),
    ),
    field("connection_burst", Type::Int, "And at once.", |it| {
        burst(it.tier.connections)
    }),
    field(
        "max_delay",
        Type::Int,
        "The longest wait for a limit, in milliseconds; beyond it a transaction is refused.",
        |it| Value::any(it.tier.max_delay.map(Value::millis)),
    ),
    field(
        "max_servers",
        Type::Int,
        "Server connections of a pool at once.",
        |it| limit(it.tier.share.max_servers),
    ),
    field(
        "min_servers",
        Type::Int,
        "Server connections of a pool kept free for it.",
        |it| Value::count(it.tier.share.min_servers),
    ),
    field(
        "max_waiting",
        Type::Int,
        "Requests that wait for a pool at once.",
        |it| limit(it.tier.share.max_waiting),
    ),
    field("max_clients", Type::Int, "Clients at once.", |it| {
        limit(it.tier.max_clients)
    }),
    field(
        "weight",
        Type::Int,
        "How much server time it gets where others get 1.",
        |it| Value::count(it.tier.share.weight),
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
    [USED, LIMITS]
        .into_iter()
        .flat_map(tables::columns)
        .collect()
}

/// One account, with its limits.
pub(in crate::admin) fn account(statement: &Statement) -> Table {
    let row = [USED, LIMITS].into_iter();
    Table {
        columns: account_columns(),
        rows: vec![
            row.flat_map(|fields| tables::row(fields, statement))
                .collect(),
        ],
    }
}
