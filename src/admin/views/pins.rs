//! What clients keep beyond their transactions, what they have prepared, and what took long.

use std::{cmp::Reverse, sync::Arc};

use super::{
    View,
    sockets::{client_ptr, server_ptr},
    time::timestamp,
};
use crate::{
    admin::{
        command::MOST_ROWS,
        tables::{self, Field, Type, Value, field},
    },
    config::settings::Rights,
    net::{cards::ClientCard, lobby::Lobby, report::Slow},
    session::Listed,
};

/// `SHOW PINS`
pub(super) const PINS: View = View {
    name: "PINS",
    rights: Rights::Look,
    about: "The clients that keep a server connection beyond their transactions, and what for. Those that have done so the longest come first.",
    columns: || tables::columns(PIN),
    rows: |lobby, most| tables::rows(PIN, pins(lobby, most)),
};

struct Pin {
    card: Arc<ClientCard>,
    tenant: Option<String>,
}

fn pins(lobby: &Lobby, most: usize) -> Vec<Pin> {
    let pin = |card: Arc<ClientCard>| Pin {
        tenant: card.tenant(),
        card,
    };
    lobby.pinned().into_iter().take(most).map(pin).collect()
}

const PIN: &[Field<Pin>] = &[
    field("client", Type::Small, "Its `id` in `SHOW CLIENTS`.", |it| {
        Value::count(it.card.id)
    }),
    field("database", Type::Text, "As clients call it.", |it| {
        Value::text(&it.card.database)
    }),
    field("user", Type::Text, "Who has logged in.", |it| {
        Value::text(&it.card.user)
    }),
    field("tenant", Type::Text, "NULL = none.", |it| {
        Value::any(it.tenant.as_deref().map(Value::text))
    }),
    field("what", Type::Text, "What it keeps.", |it| {
        Value::Text(it.card.holds().listed())
    }),
    field(
        "pinned_for",
        Type::Int,
        "For how long it has, in milliseconds.",
        |it| Value::millis(it.card.kept_for()),
    ),
    field(
        "idle_for",
        Type::Int,
        "How long ago its last transaction began, in milliseconds.",
        |it| Value::millis(it.card.glimpse().lasts),
    ),
    field("ptr", Type::Text, "Its `ptr` in `SHOW CLIENTS`.", |it| {
        Value::Text(client_ptr(it.card.id))
    }),
    field(
        "link",
        Type::Text,
        "The `ptr` of its server connection in `SHOW SERVERS`.",
        |it| Value::Text(server_ptr(it.card.glimpse().link)),
    ),
];

/// `SHOW PREPARED`
pub(super) const PREPARED: View = View {
    name: "PREPARED",
    rights: Rights::Look,
    about: "The statements that pools remember, because clients have prepared them, or did lately. Those that the most clients have come first.",
    columns: || tables::columns(STATEMENT),
    rows: |lobby, most| tables::rows(STATEMENT, statements(lobby, most)),
};

struct Statement {
    database: String,
    user: String,
    it: Listed,
}

fn statements(lobby: &Lobby, most: usize) -> Vec<Statement> {
    let pools = lobby.pools().into_iter();
    let statements = pools.flat_map(|pool| {
        let (database, user) = (pool.db.name.clone(), pool.user.clone());
        let listed = pool.catalogue.listed().into_iter();
        listed.map(move |it| Statement {
            database: database.clone(),
            user: user.clone(),
            it,
        })
    });
    let mut all: Vec<Statement> = statements.take(MOST_ROWS).collect();
    let key = |it: &Statement| Reverse(it.it.uses);
    all.sort_by(|a, b| {
        let names = (&a.database, &a.user).cmp(&(&b.database, &b.user));
        key(a)
            .cmp(&key(b))
            .then(names)
            .then(a.it.id().cmp(&b.it.id()))
    });
    all.truncate(most);
    all
}

const STATEMENT: &[Field<Statement>] = &[
    field("database", Type::Text, "As clients call it.", |it| {
        Value::text(&it.database)
    }),
    field("user", Type::Text, "Who logs in to the server.", |it| {
        Value::text(&it.user)
    }),
    field("name", Type::Text, "What it is called on servers.", |it| {
        Value::Text(it.it.name())
    }),
    field(
        "uses",
        Type::Int,
        "How many names it has now among clients: each client has its own.",
        |it| Value::count(it.it.uses),
    ),
    field("bytes", Type::Int, "Of its text.", |it| {
        Value::count(it.it.length())
    }),
    field(
        "statement",
        Type::Text,
        "The beginning of its text. Literals are `$?`; what cannot be read for certain is `…`.",
        |it| Value::Text(it.it.shown()),
    ),
];

/// `SHOW SLOW`
pub(super) const SLOW: View = View {
    name: "SLOW",
    rights: Rights::Look,
    about: "The last transactions that took longer than `slow_after` in `[log]`, the latest first.",
    columns: || tables::columns(TRANSACTION),
    rows: |lobby, most| tables::rows(TRANSACTION, lobby.reports.slow().into_iter().take(most)),
};

const TRANSACTION: &[Field<Arc<Slow>>] = &[
    field("ended", Type::Text, "When it was over.", |it| {
        Value::Text(timestamp(it.at))
    }),
    field(
        "took",
        Type::Int,
        "How long it took, the wait included, in milliseconds.",
        |it| Value::millis(it.took),
    ),
    field(
        "waited",
        Type::Int,
        "How long it waited before it began, in milliseconds.",
        |it| Value::millis(it.waited),
    ),
    field("queries", Type::Int, "Requests that were answered.", |it| {
        Value::count(it.queries)
    }),
    field("errors", Type::Int, "Errors among the answers.", |it| {
        Value::count(it.errors)
    }),
    field("bytes", Type::Int, "Bytes that the server sent.", |it| {
        Value::count(it.bytes_out)
    }),
    field("client", Type::Small, "Its `id` in `SHOW CLIENTS`.", |it| {
        Value::count(it.client)
    }),
    field("database", Type::Text, "As clients call it.", |it| {
        Value::text(&it.database)
    }),
    field("user", Type::Text, "Who had logged in.", |it| {
        Value::text(&it.user)
    }),
    field("tenant", Type::Text, "NULL = none.", |it| {
        Value::any(it.tenant.as_deref().map(Value::text))
    }),
    field(
        "statement",
        Type::Text,
        "Its last text, with its literals masked; NULL = not kept (`slow_statements` in `[log]`).",
        |it| Value::any(it.statement.as_deref().map(Value::text)),
    ),
];
