//! What databases have done: in all, and on average.

use std::{sync::Arc, time::Instant};

use super::View;
use crate::{
    admin::tables::{self, Field, Row, Type, Value, field},
    config::settings::Rights,
    net::{
        averages::{ByDatabase, Totals, sum},
        lobby::Lobby,
    },
};

/// `SHOW STATS`
pub(super) const STATS: View = View {
    name: "STATS",
    rights: Rights::Look,
    about: "What each database has done since pgusher started, and on average over the last one to two minutes: counts and bytes per second, times of one each. Times are in microseconds.",
    columns: || tables::columns(BOTH),
    rows: |lobby, most| rows(BOTH, lobby, most),
};

/// `SHOW STATS_TOTALS`
pub(super) const STATS_TOTALS: View = View {
    name: "STATS_TOTALS",
    rights: Rights::Look,
    about: "The totals of `SHOW STATS`.",
    columns: || tables::columns(IN_ALL),
    rows: |lobby, most| rows(IN_ALL, lobby, most),
};

/// `SHOW STATS_AVERAGES`
pub(super) const STATS_AVERAGES: View = View {
    name: "STATS_AVERAGES",
    rights: Rights::Look,
    about: "The averages of `SHOW STATS`.",
    columns: || tables::columns(AVERAGES),
    rows: |lobby, most| rows(AVERAGES, lobby, most),
};

/// `SHOW TOTALS`
pub(super) const TOTALS: View = View {
    name: "TOTALS",
    rights: Rights::Look,
    about: "`SHOW STATS` of all databases together, a row for each number.",
    columns: || tables::columns(NUMBERS),
    rows: |lobby, _| tables::rows(NUMBERS, numbers(lobby)),
};

/// A database's numbers.
struct Database {
    name: String,
    total: Totals,
    average: Totals,
}

fn rows(fields: &[Field<Database>], lobby: &Arc<Lobby>, most: usize) -> Vec<Row> {
    tables::rows(fields, databases(lobby, lobby.meters.totals()).take(most))
}

fn databases(lobby: &Lobby, totals: ByDatabase) -> impl Iterator<Item = Database> {
    let mut averages = lobby.meters.periods.averages(&totals, Instant::now());
    totals.into_iter().map(move |(name, total)| Database {
        average: averages.remove(&name).unwrap_or_default(),
        name,
        total,
    })
}

type Number = Field<Database>;

const fn number(name: &'static str, about: &'static str, of: fn(&Database) -> Value) -> Number {
    field(name, Type::Numeric, about, of)
}

const NAME: Number = field("database", Type::Text, "As clients call it.", |it| {
    Value::text(&it.name)
});

// Names and order are PgBouncer's; what stands behind `ours` is not.
const BOTH: &[Number] = &[
    NAME,
    number(
        "total_server_assignment_count",
        "Transactions that began on a server connection.",
        |it| Value::count(it.total.assignments),
    ),
    number("total_xact_count", "Transactions.", |it| {
        Value::count(it.total.transactions)
    }),
    number(
        "total_query_count",
        "Requests that were answered: simple queries, function calls, and Syncs.",
        |it| Value::count(it.total.queries),
    ),
    number("total_received", "Bytes of clients.", |it| {
        Value::count(it.total.received)
    }),
    number("total_sent", "Bytes to clients.", |it| {
        Value::count(it.total.sent)
    }),
    number("total_xact_time", "Time in transactions.", |it| {
        Value::count(it.total.transaction_time)
    }),
    number(
        "total_query_time",
        "Time until requests were answered.",
        |it| Value::count(it.total.query_time),
    ),
    number(
        "total_wait_time",
        "Time that transactions waited before they began: for a server connection, or for a limit.",
        |it| Value::count(it.total.wait_time),
    ),
    number(
        "total_client_parse_count",
        "Parse messages of clients.",
        |it| Value::count(it.total.client_parses),
    ),
    number(
        "total_server_parse_count",
        "Statements that servers have parsed for them.",
        |it| Value::count(it.total.server_parses),
    ),
    number("total_bind_count", "Bind messages of clients.", |it| {
        Value::count(it.total.binds)
    }),
    number("avg_server_assignment_count", "A second.", |it| {
        Value::count(it.average.assignments)
    }),
    number("avg_xact_count", "A second.", |it| {
        Value::count(it.average.transactions)
    }),
    number("avg_query_count", "A second.", |it| {
        Value::count(it.average.queries)
    }),
    number("avg_recv", "Bytes a second.", |it| {
        Value::count(it.average.received)
    }),
    number("avg_sent", "Bytes a second.", |it| {
        Value::count(it.average.sent)
    }),
    number("avg_xact_time", "Of one, in microseconds.", |it| {
        Value::count(it.average.transaction_time)
    }),
    number("avg_query_time", "Of one, in microseconds.", |it| {
        Value::count(it.average.query_time)
    }),
    number("avg_wait_time", "Of one transaction that began.", |it| {
        Value::count(it.average.wait_time)
    }),
    number("avg_client_parse_count", "A second.", |it| {
        Value::count(it.average.client_parses)
    }),
    number("avg_server_parse_count", "A second.", |it| {
        Value::count(it.average.server_parses)
    }),
    number("avg_bind_count", "A second.", |it| {
        Value::count(it.average.binds)
    }),
    // Ours.
    number("total_client_login_count", "Logins of clients.", |it| {
        Value::count(it.total.logins)
    }),
    number("avg_client_login_count", "A second.", |it| {
        Value::count(it.average.logins)
    }),
    number(
        "total_error_count",
        "Errors that servers sent to clients.",
        |it| Value::count(it.total.errors),
    ),
    number("avg_error_count", "A second.", |it| {
        Value::count(it.average.errors)
    }),
];

const IN_ALL: &[Number] = &[
    NAME,
    number(
        "server_assignment_count",
        "`total_server_assignment_count` of `SHOW STATS`.",
        |it| Value::count(it.total.assignments),
    ),
    number("xact_count", "`total_xact_count` of `SHOW STATS`.", |it| {
        Value::count(it.total.transactions)
    }),
    number(
        "query_count",
        "`total_query_count` of `SHOW STATS`.",
        |it| Value::count(it.total.queries),
    ),
    number(
        "bytes_received",
        "`total_received` of `SHOW STATS`.",
        |it| Value::count(it.total.received),
    ),
    number("bytes_sent", "`total_sent` of `SHOW STATS`.", |it| {
        Value::count(it.total.sent)
    }),
    number("xact_time", "`total_xact_time` of `SHOW STATS`.", |it| {
        Value::count(it.total.transaction_time)
    }),
    number("query_time", "`total_query_time` of `SHOW STATS`.", |it| {
        Value::count(it.total.query_time)
    }),
    number("wait_time", "`total_wait_time` of `SHOW STATS`.", |it| {
        Value::count(it.total.wait_time)
    }),
    number(
        "client_parse_count",
        "`total_client_parse_count` of `SHOW STATS`.",
        |it| Value::count(it.total.client_parses),
    ),
    number(
        "server_parse_count",
        "`total_server_parse_count` of `SHOW STATS`.",
        |it| Value::count(it.total.server_parses),
    ),
    number("bind_count", "`total_bind_count` of `SHOW STATS`.", |it| {
        Value::count(it.total.binds)
    }),
    // Ours.
    number(
        "client_login_count",
        "`total_client_login_count` of `SHOW STATS`.",
        |it| Value::count(it.total.logins),
    ),
    number(
        "error_count",
        "`total_error_count` of `SHOW STATS`.",
        |it| Value::count(it.total.errors),
    ),
];

const AVERAGES: &[Number] = &[
    NAME,
    number("server_assignment_count", "A second.", |it| {
        Value::count(it.average.assignments)
    }),
    number("xact_count", "A second.", |it| {
        Value::count(it.average.transactions)
    }),
    number("query_count", "A second.", |it| {
        Value::count(it.average.queries)
    }),
    number("bytes_received", "Bytes a second.", |it| {
        Value::count(it.average.received)
    }),
    number("bytes_sent", "Bytes a second.", |it| {
        Value::count(it.average.sent)
    }),
    number("xact_time", "Of one, in microseconds.", |it| {
        Value::count(it.average.transaction_time)
    }),
    number("query_time", "Of one, in microseconds.", |it| {
        Value::count(it.average.query_time)
    }),
    number("wait_time", "Of one, in microseconds.", |it| {
        Value::count(it.average.wait_time)
    }),
    number("avg_client_parse_count", "A second.", |it| {
        Value::count(it.average.client_parses)
    }),
    number("avg_server_parse_count", "A second.", |it| {
        Value::count(it.average.server_parses)
    }),
    number("avg_bind_count", "A second.", |it| {
        Value::count(it.average.binds)
    }),
    // Ours.
    number("avg_client_login_count", "A second.", |it| {
        Value::count(it.average.logins)
    }),
    number("avg_error_count", "A second.", |it| {
        Value::count(it.average.errors)
    }),
];

/// A number of all databases together.
struct Total {
    name: String,
    value: u64,
}

const NUMBERS: &[Field<Total>] = &[
    field(
        "name",
        Type::Text,
        "`total_` or `avg_`, and what PgBouncer calls it here.",
        |it| Value::text(&it.name),
    ),
    field("value", Type::Numeric, "Its value.", |it| {
        Value::count(it.value)
    }),
];

fn numbers(lobby: &Lobby) -> impl Iterator<Item = Total> {
    type Part = (&'static str, fn(&Totals) -> u64);
    const PARTS: [Part; 11] = [
        ("server_assignment_count", |it| it.assignments),
        ("xact_count", |it| it.transactions),
        ("query_count", |it| it.queries),
        ("client_bytes", |it| it.received),
        ("server_bytes", |it| it.sent),
        ("xact_time", |it| it.transaction_time),
        ("query_time", |it| it.query_time),
        ("wait_time", |it| it.wait_time),
        ("ps_client_parse_count", |it| it.client_parses),
        ("ps_server_parse_count", |it| it.server_parses),
        ("ps_bind_count", |it| it.binds),
    ];
    const OURS: [Part; 2] = [
        ("client_login_count", |it| it.logins),
        ("error_count", |it| it.errors),
    ];
    let all = lobby.meters.totals();
    let total = sum(&all);
    // Times of one each are not to be added up: it is as if all were one database.
    let average = lobby.meters.periods.average(&total, Instant::now());
    let parts = |kind: &'static str, of: Totals, parts: &'static [Part]| {
        parts.iter().map(move |(name, value)| Total {
            name: format!("{kind}_{name}"),
            value: value(&of),
        })
    };
    parts("total", total, &PARTS)
        .chain(parts("avg", average, &PARTS))
        .chain(parts("total", total, &OURS))
        .chain(parts("avg", average, &OURS))
}
