//! Connections: of clients, to servers, and all of them.

use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use super::{View, time::timestamp};
use crate::{
    admin::tables::{self, Column, Field, Row, Type, Value, field},
    config::settings::Rights,
    net::{
        cards::{ClientCard, Doing, Ends, Glimpse, ServerCard},
        lobby::Lobby,
    },
};

/// `SHOW CLIENTS`
pub(super) const CLIENTS: View = View {
    name: "CLIENTS",
    rights: Rights::Look,
    about: "The clients, those of the console too.",
    columns: || columns(&[SOCKET, CLIENT]),
    rows: |lobby, most| {
        let all = clients(lobby).into_iter().map(Kind::Client);
        rows(&[SOCKET, CLIENT], all, most)
    },
};

/// `SHOW SERVERS`
pub(super) const SERVERS: View = View {
    name: "SERVERS",
    rights: Rights::Look,
    about: "The connections to servers. Columns are those of `SHOW CLIENTS`.",
    columns: || columns(&[SOCKET, SERVER]),
    rows: |lobby, most| {
        let all = servers(lobby).into_iter().map(Kind::Server);
        rows(&[SOCKET, SERVER], all, most)
    },
};

/// `SHOW SOCKETS`
pub(super) const SOCKETS: View = View {
    name: "SOCKETS",
    rights: Rights::Look,
    about: "Both.",
    columns: || columns(&[SOCKET, BUFFERS]),
    rows: |lobby, most| rows(&[SOCKET, BUFFERS], both(lobby), most),
};

/// `SHOW ACTIVE_SOCKETS`
pub(super) const ACTIVE_SOCKETS: View = View {
    name: "ACTIVE_SOCKETS",
    rights: Rights::Look,
    about: "Those that are at work.",
    columns: || columns(&[SOCKET, BUFFERS]),
    rows: |lobby, most| {
        let at_work = both(lobby).filter(|it| it.glimpse().doing != Doing::Idle);
        rows(&[SOCKET, BUFFERS], at_work, most)
    },
};

enum Kind {
    Client(Arc<ClientCard>),
    Server(Server),
}

/// A client's name here.
pub(super) fn client_ptr(id: impl Display) -> String {
    format!("client-{id}")
}

/// A server connection's.
pub(super) fn server_ptr(id: impl Display) -> String {
    format!("server-{id}")
}

/// A connection to a server, and whose it is.
struct Server {
    card: Arc<ServerCard>,
    database: String,
    user: String,
}

impl Kind {
    fn glimpse(&self) -> Glimpse {
        match self {
            Self::Client(card) => card.glimpse(),
            Self::Server(server) => server.card.glimpse(),
        }
    }

    fn ends(&self) -> &Ends {
        match self {
            Self::Client(card) => &card.ends,
            Self::Server(server) => &server.card.ends,
        }
    }
}

/// By when they came.
pub(super) fn clients(lobby: &Lobby) -> Vec<Arc<ClientCard>> {
    let mut cards = lobby.cards();
    cards.sort_by_key(|card| card.glimpse().began);
    cards
}

fn servers(lobby: &Lobby) -> Vec<Server> {
    let pools = lobby.pools().into_iter();
    let servers = pools.flat_map(|pool| {
        let of_pool = |card| Server {
            card,
            database: pool.db.name.clone(),
            user: pool.user.clone(),
        };
        pool.cards
            .all()
            .into_iter()
            .map(of_pool)
            .collect::<Vec<_>>()
    });
    let mut all: Vec<Server> = servers.collect();
    all.sort_by(|a, b| {
        let key = |it: &'_ Server| it.card.id;
        (&a.database, &a.user, key(a)).cmp(&(&b.database, &b.user, key(b)))
    });
    all
}

fn both(lobby: &Lobby) -> impl Iterator<Item = Kind> {
    let clients = clients(lobby).into_iter().map(Kind::Client);
    clients.chain(servers(lobby).into_iter().map(Kind::Server))
}

/// A connection as it is shown, all of it as it was at one moment.
struct Socket {
    kind: Kind,
    seen: Glimpse,
    tenant: Option<String>,
    /// It is shown among all kinds.
    among_all: bool,
}

fn columns(parts: &[&[Field<Socket>]]) -> Vec<Column> {
    parts
        .iter()
        .flat_map(|part| tables::columns(part))
        .collect()
}

fn rows(parts: &[&[Field<Socket>]], all: impl Iterator<Item = Kind>, most: usize) -> Vec<Row> {
    let among_all = parts.iter().any(|part| std::ptr::eq(*part, BUFFERS));
    let row = |kind: Kind| {
        let socket = Socket {
            seen: kind.glimpse(),
            tenant: match &kind {
                Kind::Client(card) => card.tenant(),
                Kind::Server(_) => None,
            },
            kind,
            among_all,
        };
        let parts = parts.iter();
        parts.flat_map(|part| tables::row(part, &socket)).collect()
    };
    all.take(most).map(row).collect()
}

impl Socket {
    fn state(&self) -> &'static str {
        match (&self.kind, self.seen.doing, self.among_all) {
            (Kind::Client(_), Doing::Idle, false) => "idle",
            (Kind::Client(_), Doing::Waiting, false) => "waiting",
            (Kind::Client(_), Doing::Active | Doing::Cleaning, false) => "active",
            // Among all kinds PgBouncer does not tell them apart.
            (Kind::Client(_), Doing::Waiting, true) => "cl_waiting",
            (Kind::Client(_), _, true) => "cl_active",
            (Kind::Server(_), Doing::Active, false) => "active",
            (Kind::Server(_), Doing::Cleaning, false) => "tested",
            (Kind::Server(_), _, false) => "idle",
            (Kind::Server(_), Doing::Active, true) => "sv_active",
            (Kind::Server(_), Doing::Cleaning, true) => "sv_tested",
            (Kind::Server(_), _, true) => "sv_idle",
        }
    }

    /// How long it has waited, if it waits.
    fn wait(&self) -> Duration {
        match self.seen.doing {
            Doing::Waiting => self.seen.lasts,
            _ => Duration::ZERO,
        }
    }

    fn client(&self) -> Option<&ClientCard> {
        match &self.kind {
            Kind::Client(card) => Some(card),
            Kind::Server(_) => None,
        }
    }
}

fn address(end: Option<SocketAddr>) -> Value {
    // As PgBouncer calls both ends of a unix socket.
    Value::Text(end.map_or_else(
        || "unix".to_owned(),
        |end| end.ip().to_canonical().to_string(),
    ))
}

fn port(end: Option<SocketAddr>) -> Value {
    Value::Int(end.map_or(0, |end| end.port().into()))
}

const fn text(name: &'static str, about: &'static str, of: fn(&Socket) -> Value) -> Field<Socket> {
    field(name, Type::Text, about, of)
}

const fn small(name: &'static str, about: &'static str, of: fn(&Socket) -> Value) -> Field<Socket> {
    field(name, Type::Small, about, of)
}

// Names and order are PgBouncer's.
const SOCKET: &[Field<Socket>] = &[
    text("type", "`C`: a client; `S`: a server.", |it| {
        Value::text(match it.kind {
            Kind::Client(_) => "C",
            Kind::Server(_) => "S",
        })
    }),
    text("user", "Who has logged in, without a tenant.", |it| {
        Value::text(match &it.kind {
            Kind::Client(card) => &card.user,
            Kind::Server(server) => &server.user,
        })
    }),
    text("database", "As clients call it.", |it| {
        Value::text(match &it.kind {
            Kind::Client(card) => &card.database,
            Kind::Server(server) => &server.database,
        })
    }),
    text("replication", "Always `none`.", |_| Value::text("none")),
    text(
        "state",
        "Of a client: `active` with a server connection, `waiting` for one or for a limit, or `idle`. Of a server: `active`, `idle`, or `tested` while it is cleaned. `SHOW SOCKETS` has `cl_` and `sv_` before that, and calls idle clients active.",
        |it| Value::text(it.state()),
    ),
    text(
        "addr",
        "The other end's address; `unix` = a unix socket.",
        |it| address(it.kind.ends().peer),
    ),
    small("port", "Its port.", |it| port(it.kind.ends().peer)),
    text("local_addr", "Our end's address.", |it| {
        address(it.kind.ends().local)
    }),
    small("local_port", "Its port.", |it| port(it.kind.ends().local)),
    text("connect_time", "When it was connected.", |it| {
        Value::Text(timestamp(it.seen.began))
    }),
    text(
        "request_time",
        "When a client began its last transaction; when a server connection was given back last.",
        |it| Value::Text(timestamp(it.seen.since)),
    ),
    small("wait", "How long it has waited: seconds,", |it| {
        Value::count(it.wait().as_secs())
    }),
    small("wait_us", "and microseconds.", |it| {
        Value::count(it.wait().subsec_micros())
    }),
    small(
        "close_needed",
        "Of a server: 1 = it is closed when nobody has it any more. Of a client: 0.",
        |it| match &it.kind {
            Kind::Client(_) => Value::Int(0),
            Kind::Server(server) => Value::Int(i64::from(server.card.is_to_be_closed())),
        },
    ),
    text("ptr", "Its name here.", |it| {
        Value::Text(match &it.kind {
            Kind::Client(card) => client_ptr(card.id),
            Kind::Server(server) => server_ptr(server.card.id),
        })
    }),
    text("link", "The `ptr` of the other side; empty = none.", |it| {
        Value::Text(match (&it.kind, it.seen.link) {
            (_, 0) => String::new(),
            (Kind::Client(_), link) => server_ptr(link),
            (Kind::Server(_), link) => client_ptr(link),
        })
    }),
    small(
        "remote_pid",
        "Of a server: the process there. Of a client: 0.",
        |it| match &it.kind {
            Kind::Client(_) => Value::Int(0),
            Kind::Server(server) => Value::count(server.card.pid),
        },
    ),
    text(
        "tls",
        "How it is encrypted: the version of TLS and the cipher suite; empty = not at all.",
        |it| {
            Value::Text(
                it.kind
                    .ends()
                    .tls
                    .map_or_else(String::new, |tls| tls.to_string()),
            )
        },
    ),
    text(
        "application_name",
        "What the client called itself when it came.",
        |it| Value::text(it.client().map_or("", |card| &card.application)),
    ),
    small(
        "prepared_statements",
        "Of a client: the statements that it has prepared by name. Of a server: those that it has parsed. As of its last transaction.",
        |it| match &it.kind {
            Kind::Client(card) => Value::count(card.prepared()),
            Kind::Server(server) => Value::count(server.card.prepared()),
        },
    ),
    small(
        "id",
        "Its number. A client's is the process id that it was told.",
        |it| match &it.kind {
            Kind::Client(card) => Value::count(card.id),
            Kind::Server(server) => Value::count(server.card.id),
        },
    ),
];

/// Buffers belong to threads here, and a connection that is at rest has none.
const BUFFERS: &[Field<Socket>] = &[
    small(
        "recv_pos",
        "Always 0, as the others are: buffers belong to threads.",
        |_| Value::Int(0),
    ),
    small("pkt_pos", "Always 0.", |_| Value::Int(0)),
    small("pkt_remain", "Always 0.", |_| Value::Int(0)),
    small("send_pos", "Always 0.", |_| Value::Int(0)),
    small("send_remain", "Always 0.", |_| Value::Int(0)),
    small("pkt_avail", "Always 0.", |_| Value::Int(0)),
    small("send_avail", "Always 0.", |_| Value::Int(0)),
];

/// Ours, of clients.
const CLIENT: &[Field<Socket>] = &[
    text(
        "tenant",
        "Of its last transaction, or of its login; NULL = none.",
        |it| Value::any(it.tenant.clone().map(Value::Text)),
    ),
    text(
        "pinned",
        "What it keeps on its server connection beyond its transactions; NULL = nothing.",
        |it| {
            let holds = it.client().map(ClientCard::holds);
            let holds = holds.filter(|holds| !holds.is_empty());
            Value::any(holds.map(|holds| Value::Text(holds.listed())))
        },
    ),
    text("server_user", "Who logs in to the server for it.", |it| {
        Value::text(it.client().map_or("", |card| &card.login))
    }),
];

/// Ours, of servers.
const SERVER: &[Field<Socket>] = &[field(
    "being_canceled",
    Type::Bool,
    "A cancel request is on its way to it.",
    |it| match &it.kind {
        Kind::Client(_) => Value::Bool(false),
        Kind::Server(server) => Value::Bool(server.card.is_being_cancelled()),
    },
)];
