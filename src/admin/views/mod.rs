//! What can be looked at with SHOW. Each view is declared once, in the file of its family.

use std::sync::Arc;

use super::tables::{Column, Row, Table};
use crate::{config::settings::Rights, net::lobby::Lobby};

pub(super) mod accounts;
mod config;
mod databases;
mod lists;
mod pins;
mod pools;
mod small;
mod sockets;
mod stats;
mod time;

/// Something to look at.
#[derive(Debug)]
pub struct View {
    /// The word behind SHOW.
    pub name: &'static str,
    /// Who may see it.
    pub rights: Rights,
    /// What it shows.
    pub about: &'static str,
    columns: fn() -> Vec<Column>,
    /// At most so many rows.
    rows: fn(&Arc<Lobby>, usize) -> Vec<Row>,
}

/// All views, as they are listed.
pub static VIEWS: &[View] = &[
    accounts::TENANTS,
    config::CONFIG,
    accounts::LIMITS,
    pools::POOLS,
    pins::PINS,
    pins::PREPARED,
    pins::SLOW,
    stats::STATS,
    stats::STATS_TOTALS,
    stats::STATS_AVERAGES,
    stats::TOTALS,
    sockets::CLIENTS,
    sockets::SERVERS,
    sockets::SOCKETS,
    sockets::ACTIVE_SOCKETS,
    databases::DATABASES,
    databases::USERS,
    lists::LISTS,
    lists::STATE,
    lists::MEM,
    lists::PEERS,
    lists::PEER_POOLS,
    lists::DNS_HOSTS,
    lists::DNS_ZONES,
    lists::FDS,
    small::HELP,
    small::VERSION,
];

impl View {
    /// How one asks for it.
    pub fn grammar(&self) -> String {
        format!("SHOW {}", self.name)
    }

    /// Its columns.
    pub fn columns(&self) -> Vec<Column> {
        (self.columns)()
    }

    /// Everything in it, up to so many rows. It may take a while.
    pub(super) fn table(&self, lobby: &Arc<Lobby>, most: usize) -> Table {
        let mut rows = (self.rows)(lobby, most);
        rows.truncate(most);
        Table {
            columns: self.columns(),
            rows,
        }
    }
}

/// Each has its name.
impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for View {}
