//! How many there are of each thing, and what PgBouncer has and pgusher has not.

use super::{View, databases::connections};
use crate::{
    admin::tables::{self, Field, Type, Value, field},
    config::settings::Rights,
    net::lobby::Lobby,
    pool::Hold,
};

/// `SHOW LISTS`
pub(super) const LISTS: View = View {
    name: "LISTS",
    rights: Rights::Look,
    about: "How many there are: databases, users, pools, clients, servers; `accounts` and `pinned` are ours. `free_clients` and `free_servers` are those that could still come.",
    columns: || tables::columns(LIST),
    rows: |lobby, _| tables::rows(LIST, lists(lobby)),
};

const LIST: &[Field<(&'static str, usize)>] = &[
    field("list", Type::Text, "What is counted.", |it| {
        Value::text(it.0)
    }),
    field("items", Type::Small, "How many there are.", |it| {
        Value::count(it.1)
    }),
];

fn lists(lobby: &Lobby) -> Vec<(&'static str, usize)> {
    let config = lobby.config();
    let databases = lobby.databases();
    let pools = databases.iter().flat_map(|db| db.all_pools());
    let fillings: Vec<_> = pools.map(|pool| pool.filling()).collect();
    let servers: usize = fillings.iter().map(connections).sum();
    let room: usize = fillings.iter().map(|it| it.size + it.reserve).sum();
    let (clients, guests) = (lobby.clients(), lobby.guests());
    vec![
        ("databases", databases.len()),
        ("users", config.users.len()),
        ("peers", 0),
        ("pools", fillings.len()),
        ("peer_pools", 0),
        (
            "free_clients",
            config.listen.max_clients.saturating_sub(clients),
        ),
        ("used_clients", guests),
        ("login_clients", clients.saturating_sub(guests)),
        ("free_servers", room.saturating_sub(servers)),
        ("used_servers", servers),
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
        ("accounts", config.accounts.len()),
        ("pinned", fillings.iter().map(|it| it.pinned).sum()),
    ]
}

/// `SHOW STATE`
pub(super) const STATE: View = View {
    name: "STATE",
    rights: Rights::Look,
    about: "Whether pgusher as a whole is active, paused or suspended (`SHOW DATABASES` says it of each); and, ours, whether it is ready or stopping.",
    columns: || tables::columns(STATES),
    rows: |lobby, _| tables::rows(STATES, states(lobby)),
};

const STATES: &[Field<(&'static str, bool)>] = &[
    field("key", Type::Text, "What it may be.", |it| Value::text(it.0)),
    field("value", Type::Text, "Whether it is: `yes` or `no`.", |it| {
        Value::text(if it.1 { "yes" } else { "no" })
    }),
];

fn states(lobby: &Lobby) -> [(&'static str, bool); 5] {
    // Of all databases; single ones are in `SHOW DATABASES`.
    let hold = lobby.held_new();
    [
        ("active", hold == Hold::Off),
        ("paused", hold == Hold::Paused),
        ("suspended", hold == Hold::Suspended),
        ("ready", lobby.readiness().is_ok()),
        ("stopping", lobby.is_stopping()),
    ]
}

/// `SHOW MEM`
pub(super) const MEM: View = View {
    name: "MEM",
    rights: Rights::Look,
    about: "Memory of the process, as the system counts it.",
    columns: || tables::columns(MEMORY),
    rows: |_, _| tables::rows(MEMORY, memory()),
};

/// So many kilobytes, and what they are.
struct Memory {
    name: &'static str,
    kilobytes: u64,
}

const KILOBYTE: u64 = 1024;

const MEMORY: &[Field<Memory>] = &[
    field(
        "name",
        Type::Text,
        "`resident`: in memory now; `peak`: at most so far; `data`: private, in memory or not.",
        |it| Value::text(it.name),
    ),
    field("size", Type::Small, "Bytes of an item: 1024.", |_| {
        Value::count(KILOBYTE)
    }),
    field("used", Type::Small, "Items.", |it| {
        Value::count(it.kilobytes)
    }),
    field("free", Type::Small, "Always 0.", |_| Value::Int(0)),
    field(
        "memtotal",
        Type::Small,
        "Bytes; no more than an integer holds.",
        |it| Value::count(it.kilobytes * KILOBYTE),
    ),
];

fn memory() -> Vec<Memory> {
    // Where the system does not tell, nothing is shown.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |(name, key): (&'static str, &str)| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kilobytes = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Memory { name, kilobytes })
    };
    let all = [
        ("resident", "VmRSS:"),
        ("peak", "VmHWM:"),
        ("data", "VmData:"),
    ];
    all.into_iter().filter_map(of).collect()
}

/// `SHOW PEERS`
pub(super) const PEERS: View = View {
    name: "PEERS",
    rights: Rights::Look,
    about: "Always empty: there are no peers.",
    columns: || tables::columns(PEER),
    rows: |_, _| Vec::new(),
};

const PEER: &[Field<()>] = &[
    nothing("peer_id", Type::Small),
    nothing("host", Type::Text),
    nothing("port", Type::Small),
    nothing("pool_size", Type::Small),
];

/// `SHOW PEER_POOLS`
pub(super) const PEER_POOLS: View = View {
    name: "PEER_POOLS",
    rights: Rights::Look,
    about: "Always empty: there are no peers.",
    columns: || tables::columns(PEER_POOL),
    rows: |_, _| Vec::new(),
};

const PEER_POOL: &[Field<()>] = &[
    nothing("peer_id", Type::Small),
    nothing("cl_active_cancel_req", Type::Small),
    nothing("cl_waiting_cancel_req", Type::Small),
    nothing("sv_active_cancel", Type::Small),
    nothing("sv_login", Type::Small),
];

/// `SHOW FDS`
pub(super) const FDS: View = View {
    name: "FDS",
    // PgBouncer would show cancel keys and passwords here.
    rights: Rights::Change,
    about: "Always empty: pgusher hands over no sockets.",
    columns: || tables::columns(FD),
    rows: |_, _| Vec::new(),
};

const FD: &[Field<()>] = &[
    nothing("fd", Type::Small),
    nothing("task", Type::Text),
    nothing("user", Type::Text),
    nothing("database", Type::Text),
    nothing("addr", Type::Text),
    nothing("port", Type::Small),
    nothing("cancel", Type::Int),
    nothing("link", Type::Small),
    nothing("client_encoding", Type::Text),
    nothing("std_strings", Type::Text),
    nothing("datestyle", Type::Text),
    nothing("timezone", Type::Text),
    nothing("password", Type::Text),
    nothing("scram_client_key", Type::Bytes),
    nothing("scram_server_key", Type::Bytes),
];

/// `SHOW DNS_HOSTS`
pub(super) const DNS_HOSTS: View = View {
    name: "DNS_HOSTS",
    rights: Rights::Look,
    about: "Always empty: names are looked up anew for each connection.",
    columns: || tables::columns(DNS_HOST),
    rows: |_, _| Vec::new(),
};

const DNS_HOST: &[Field<()>] = &[
    nothing("hostname", Type::Text),
    nothing("ttl", Type::Int),
    nothing("addrs", Type::Text),
];

/// `SHOW DNS_ZONES`
pub(super) const DNS_ZONES: View = View {
    name: "DNS_ZONES",
    rights: Rights::Look,
    about: "Always empty, as `SHOW DNS_HOSTS`.",
    columns: || tables::columns(DNS_ZONE),
    rows: |_, _| Vec::new(),
};

const DNS_ZONE: &[Field<()>] = &[
    nothing("zonename", Type::Text),
    nothing("serial", Type::Int),
    nothing("count", Type::Small),
];

/// A column of PgBouncer's that never has a value here.
const fn nothing(name: &'static str, kind: Type) -> Field<()> {
    field(name, kind, "", |()| Value::Null)
}
