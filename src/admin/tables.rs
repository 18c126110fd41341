//! What is known, as rows with typed columns. Each column is declared once, with its meaning and
//! with where its values come from.

use std::{cmp::Reverse, time::Duration};

use crate::limit::{Rate, account::Statement};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `text`
    Text,
    /// `bigint`
    Int,
    /// `boolean`
    Bool,
}

impl Type {
    /// As PostgreSQL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "bigint",
            Self::Bool => "boolean",
        }
    }

    /// PostgreSQL's number for it.
    pub const fn oid(self) -> u32 {
        match self {
            Self::Text => 25,
            Self::Int => 20,
            Self::Bool => 16,
        }
    }

    /// Bytes of a value; -1 = it depends.
    pub const fn size(self) -> i16 {
        match self {
            Self::Text => -1,
            Self::Int => 8,
            Self::Bool => 1,
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// What it is called.
    pub name: &'static str,
    /// What its values are.
    pub kind: Type,
    /// What they mean.
    pub about: &'static str,
}

impl Column {
    /// A column.
    pub const fn new(name: &'static str, kind: Type, about: &'static str) -> Self {
        Self { name, kind, about }
    }
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// There is none.
    Null,
    /// Of a column of texts.
    Text(String),
    /// Of a column of numbers.
    Int(i64),
    /// Of a column of truths.
    Bool(bool),
}

impl Value {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A count. What is no limit, and what no limit can be, is NULL.
    fn count(number: impl TryInto<i64>) -> Self {
        number.try_into().map_or(Self::Null, Self::Int)
    }

    fn millis(time: Duration) -> Self {
        Self::count(time.as_millis())
    }

    fn any(value: Option<Self>) -> Self {
        value.unwrap_or(Self::Null)
    }
}

/// Rows under their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// As many values in each row.
    pub rows: Vec<Vec<Value>>,
}

/// A column of accounts.
struct Field {
    column: Column,
    of: fn(&Statement) -> Value,
}

const fn field(
    name: &'static str,
    kind: Type,
    about: &'static str,
    of: fn(&Statement) -> Value,
) -> Field {
    let column = Column::new(name, kind, about);
    Field { column, of }
}

/// What an account is and what it has used.
const USED: &[Field] = &[
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
const LIMITS: &[Field] = &[
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

fn columns_of(fields: &[Field]) -> impl Iterator<Item = Column> {
    fields.iter().map(|field| field.column)
}

fn values_of(fields: &[Field], statement: &Statement) -> impl Iterator<Item = Value> {
    fields.iter().map(|field| (field.of)(statement))
}

/// The columns of [`tenants`].
pub fn tenants_columns() -> Vec<Column> {
    columns_of(USED).collect()
}

/// One row for each account, those that have used the most server time first.
pub fn tenants(mut statements: Vec<Statement>, most: usize) -> Table {
    statements.sort_unstable_by(|a, b| {
        let by = |it: &Statement| Reverse(it.used.server_time);
        by(a).cmp(&by(b)).then_with(|| a.who.cmp(&b.who))
    });
    let rows = statements.iter().take(most);
    Table {
        columns: tenants_columns(),
        rows: rows.map(|it| values_of(USED, it).collect()).collect(),
    }
}

/// The columns of [`account`].
pub fn account_columns() -> Vec<Column> {
    columns_of(USED).chain(columns_of(LIMITS)).collect()
}

/// One account, with its limits.
pub fn account(statement: &Statement) -> Table {
    let row = values_of(USED, statement).chain(values_of(LIMITS, statement));
    Table {
        columns: account_columns(),
        rows: vec![row.collect()],
    }
}

/// The columns of [`version`].
pub fn version_columns() -> Vec<Column> {
    vec![Column::new("version", Type::Text, "Name and version.")]
}

/// Who speaks.
pub fn version() -> Table {
    let version = concat!("pgusher ", env!("CARGO_PKG_VERSION"));
    Table {
        columns: version_columns(),
        rows: vec![vec![Value::text(version)]],
    }
}

/// A table of texts.
pub fn texts(columns: Vec<Column>, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let rows = rows
        .into_iter()
        .map(|row| row.into_iter().map(Value::Text).collect());
    Table {
        rows: rows.collect(),
        columns,
    }
}
