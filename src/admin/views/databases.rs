//! What is configured: databases and users.

use std::{collections::HashMap, sync::Arc};

use super::View;
use crate::{
    admin::tables::{self, Field, Type, Value, field},
    config::settings::{self, Address, Rights},
    net::{
        lobby::Lobby,
        pool::{Db, Filling},
    },
    pool::Hold,
};

/// `SHOW DATABASES`
pub(super) const DATABASES: View = View {
    name: "DATABASES",
    rights: Rights::Look,
    about: "The databases, those that `\"*\"` stands for while they are in use. What has no limit is 0.",
    columns: || tables::columns(DATABASE),
    rows: |lobby, most| tables::rows(DATABASE, databases(lobby).into_iter().take(most)),
};

/// `SHOW USERS`
pub(super) const USERS: View = View {
    name: "USERS",
    rights: Rights::Look,
    about: "The users that are configured. What has no limit is 0.",
    columns: || tables::columns(USER),
    rows: |lobby, most| tables::rows(USER, users(lobby).into_iter().take(most)),
};

struct Database {
    db: Arc<Db>,
    config: Arc<settings::Database>,
    connections: usize,
    clients: usize,
    failure: Option<String>,
}

fn databases(lobby: &Lobby) -> Vec<Database> {
    let database = |db: Arc<Db>| {
        let pools = db.all_pools();
        let fillings: Vec<Filling> = pools.iter().map(|pool| pool.filling()).collect();
        Database {
            config: db.config(),
            connections: fillings.iter().map(connections).sum(),
            clients: fillings.iter().map(|it| it.clients).sum(),
            failure: fillings
                .into_iter()
                .find_map(|it| it.failure)
                .map(|error| error.to_string()),
            db,
        }
    };
    let mut all: Vec<Database> = lobby.databases().into_iter().map(database).collect();
    all.sort_by(|a, b| a.db.name.cmp(&b.db.name));
    all
}

/// Server connections that a pool answers for.
pub(super) fn connections(filling: &Filling) -> usize {
    filling.idle + filling.busy + filling.opening
}

/// The host, or the directory of a unix socket, and the port.
fn place(address: &Address) -> (String, u16) {
    match address {
        Address::Tcp(host, port) => (host.clone(), *port),
        Address::Unix(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let port = name.rsplit('.').next().and_then(|port| port.parse().ok());
            let directory = path.parent().unwrap_or(path).display().to_string();
            (directory, port.unwrap_or(0))
        }
    }
}

/// 0 = no limit.
fn limit(most: Option<usize>) -> Value {
    Value::count(most.unwrap_or(0))
}

const fn small(
    name: &'static str,
    about: &'static str,
    of: fn(&Database) -> Value,
) -> Field<Database> {
    field(name, Type::Small, about, of)
}

const fn text(
    name: &'static str,
    about: &'static str,
    of: fn(&Database) -> Value,
) -> Field<Database> {
    field(name, Type::Text, about, of)
}

// Names and order are PgBouncer's; what stands behind `ours` is not.
const DATABASE: &[Field<Database>] = &[
    text("name", "As clients call it.", |it| Value::text(&it.db.name)),
    text(
        "host",
        "Where its server is, or the directory of its socket.",
        |it| Value::Text(place(&it.config.upstream.address).0),
    ),
    small("port", "The server's port.", |it| {
        Value::Int(place(&it.config.upstream.address).1.into())
    }),
    text("database", "What it is called there.", |it| {
        let own = it.config.upstream.database.as_deref();
        Value::text(own.unwrap_or(&it.db.name))
    }),
    text(
        "force_user",
        "Who logs in to the server; NULL = each client's own user.",
        |it| Value::any(it.config.upstream.user.as_deref().map(Value::text)),
    ),
    small("pool_size", "Most server connections of each pool.", |it| {
        Value::count(it.config.pool.pool_size)
    }),
    small(
        "min_pool_size",
        "Those that are kept open while it is in use.",
        |it| Value::count(it.config.pool.min_pool_size),
    ),
    small(
        "reserve_pool_size",
        "More of them when clients have waited for long.",
        |it| Value::count(it.config.pool.reserve_pool_size),
    ),
    small(
        "server_lifetime",
        "Seconds after which a server connection is replaced.",
        |it| {
            Value::count(
                it.config
                    .timeouts
                    .server_lifetime
                    .map_or(0, |it| it.as_secs()),
            )
        },
    ),
    text(
        "pool_mode",
        "When server connections are given back: `transaction` or `session`.",
        |it| Value::text(it.config.pool_mode.name()),
    ),
    text("load_balance_hosts", "Always NULL.", |_| Value::Null),
    small(
        "max_connections",
        "Most server connections of all its pools.",
        |it| limit(it.config.max_db_connections),
    ),
    small("current_connections", "Server connections now.", |it| {
        Value::count(it.connections)
    }),
    small("max_client_connections", "Most clients.", |it| {
        limit(it.config.max_clients)
    }),
    small("current_client_connections", "Clients now.", |it| {
        Value::count(it.clients)
    }),
    small(
        "paused",
        "1 = no server connection is given out (`PAUSE`, `SUSPEND`, `KILL`).",
        |it| Value::Int((it.db.held() != Hold::Off).into()),
    ),
    small("disabled", "1 = no new client is let in.", |it| {
        Value::Int(it.db.is_disabled().into())
    }),
    // Ours.
    text(
        "failure",
        "Why its server cannot be reached; NULL = it can.",
        |it| Value::any(it.failure.as_deref().map(Value::text)),
    ),
];

struct User {
    name: String,
    config: settings::User,
    connections: usize,
    clients: usize,
}

fn users(lobby: &Lobby) -> Vec<User> {
    let mut clients: HashMap<String, usize> = HashMap::new();
    for card in lobby.cards() {
        *clients.entry(card.user.to_string()).or_default() += 1;
    }
    let mut servers: HashMap<String, usize> = HashMap::new();
    for pool in lobby.pools() {
        *servers.entry(pool.user.clone()).or_default() += connections(&pool.filling());
    }
    let count = |of: &HashMap<String, usize>, name: &String| of.get(name).copied().unwrap_or(0);
    let config = lobby.config();
    let user = |(name, user): (&String, &settings::User)| User {
        name: name.clone(),
        config: user.clone(),
        connections: count(&servers, name),
        clients: count(&clients, name),
    };
    config.users.iter().map(user).collect()
}

const USER: &[Field<User>] = &[
    field("name", Type::Text, "As it logs in.", |it| {
        Value::text(&it.name)
    }),
    field(
        "pool_size",
        Type::Text,
        "Most server connections of each of its pools; empty = what the database says.",
        |it| {
            let own = it.config.pool_size.map(|size| size.to_string());
            Value::Text(own.unwrap_or_default())
        },
    ),
    field(
        "reserve_pool_size",
        Type::Text,
        "Always empty: what the database says.",
        |_| Value::text(""),
    ),
    field(
        "pool_mode",
        Type::Text,
        "When server connections are given back; NULL = as the database says.",
        |it| Value::any(it.config.pool_mode.map(|mode| Value::text(mode.name()))),
    ),
    field(
        "max_user_connections",
        Type::Small,
        "Always 0: there is no limit.",
        |_| Value::Int(0),
    ),
    field(
        "current_connections",
        Type::Small,
        "Server connections now that are logged in as it.",
        |it| Value::count(it.connections),
    ),
    field(
        "max_user_client_connections",
        Type::Small,
        "Most clients.",
        |it| limit(it.config.max_clients),
    ),
    field(
        "current_client_connections",
        Type::Small,
        "Clients now.",
        |it| Value::count(it.clients),
    ),
    // Ours.
    field(
        "bypass",
        Type::Bool,
        "It may work without a tenant.",
        |it| Value::Bool(it.config.bypass),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_a_directory_and_a_port() {
        let place = |path: &str| place(&Address::Unix(path.into()));
        let run = "/run/postgresql";
        let expected = (run.to_owned(), 5432);
        assert_eq!(place("/run/postgresql/.s.PGSQL.5432"), expected);
        // No server of PostgreSQL's would be there.
        assert_eq!(place("/run/postgresql/socket"), (run.to_owned(), 0));
        let tcp = Address::Tcp("db".to_owned(), 6000);
        assert_eq!(super::place(&tcp), ("db".to_owned(), 6000));
    }
}
