//! The configuration as the rest of the program sees it: resolved, checked, complete.
//!
//! Defaults are filled in, overrides of databases and users are applied, secrets are read.
//! Nothing here is optional that has a default, and 0 or `off` has become `None` (G4).

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use super::listing::Setting;
pub use super::naming::{NamePattern, Named};
pub use super::tls::{ClientTls, ServerTls};
pub use super::tokens::{KeySource, KeysUrl, Tokens};
pub use super::traces::{Endpoint, Ratio};
use crate::auth::{Password, Secret, certificate_map::CertificateMap, guard::Terms, hba::Rules};
use crate::wire::ip::Network;
pub use crate::{
    limit::Accounts,
    pool::PoolSizes,
    session::{PinRules, PoolMode, Timeouts},
    tenant::Policy,
};

/// Everything that `pgusher serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// Where metrics, health and the dashboard are served; `None` = nowhere.
    pub http: Option<Http>,
    /// The threads that relay.
    pub runtime: Runtime,
    /// How clients prove who they are.
    pub auth: AuthMethod,
    /// Whom client certificates stand for.
    pub certs: CertificateMap,
    /// Who may come from where, and by which method; `None` = everybody, by `auth`.
    pub hba: Option<Arc<Rules>>,
    /// What becomes of those who fail to log in, and of addresses that connect too often.
    pub guard: Terms,
    /// Where users are looked up that have no secret here; `None` = nowhere.
    pub auth_query: Option<Query>,
    /// What tokens must be like; `None` = none are taken.
    pub tokens: Option<Arc<Tokens>>,
    /// Logging.
    pub log: Log,
    /// Where spans of transactions are sent; `None` = nowhere.
    pub traces: Option<Traces>,
    /// Databases by the name that clients ask for; `"*"` stands for any other.
    pub databases: BTreeMap<String, Database>,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Who is the tenant; `None` = there are no tenants here.
    pub tenant: Option<Arc<Policy>>,
    /// What tenants, and users without one, may use. Copies of a configuration share it.
    pub accounts: Arc<Accounts>,
    /// A client that was held up for longer is told so; `None` = it is not.
    pub notice_after: Option<Duration>,
    /// Where tenants and their tiers are asked for; `None` = nowhere.
    pub tenants_query: Option<TenantsQuery>,
    /// Who may use the console.
    pub console: Console,
    /// Tenants with series of their own among the metrics.
    pub max_tenants: usize,
    /// All settings as they were typed, for people to look at.
    pub listing: Vec<Setting>,
    /// Whether there are tenants, under which setting and with which ids: a number to be compared.
    pub tenancy: u64,
    /// What the operator should hear at the start: whole lines, with the place in the file.
    pub warnings: Vec<String>,
}

/// Threads that relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// How many there are.
    pub workers: usize,
    /// How clients are spread over them.
    pub spread: Spread,
}

/// How clients are spread over the threads that relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Over as few as carry the load; a client may move between two transactions.
    Load,
    /// Over all of them; each stays where it is put when it comes.
    Even,
}

impl Config {
    /// What is encrypted on the way to each server, and what the server is.
    pub fn servers(&self) -> impl Iterator<Item = (String, &Arc<ServerTls>)> {
        let databases = self.databases.iter();
        let databases = databases.map(|(name, it)| (format!("[databases.{name}]"), &it.upstream));
        let query = self.tenants_query.as_ref();
        let query = query.map(|it| ("[tenants_query]".to_owned(), &it.query.upstream));
        let users = self.auth_query.as_ref();
        let users = users.map(|it| ("[auth.query]".to_owned(), &it.upstream));
        let all = databases.chain(query).chain(users);
        all.map(|(what, it)| (what, &it.tls))
    }

    /// Whether a client that asks for this database gets the console.
    pub fn is_console(&self, database: &str) -> bool {
        !self.console.is_closed()
            && CONSOLES.contains(&database)
            && !self.databases.contains_key(database)
    }
}

/// The databases that are the console, unless databases of that name are configured. The second
/// is where tools look that were made for PgBouncer.
pub const CONSOLES: [&str; 2] = ["pgusher", "pgbouncer"];

/// Where metrics, health and the dashboard are served, and what is asked of visitors.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub address: SocketAddr,
    /// Opens the dashboard and the metrics; `None` = does not.
    pub password: Option<Password>,
    /// Opens the same, for machines; `None` = does not.
    pub token: Option<Password>,
}

/// Who may use the console.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Console {
    /// Users who may do everything there.
    pub admin_users: Vec<String>,
    /// Users who may look.
    pub stats_users: Vec<String>,
}

/// What somebody may do on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// See.
    Look,
    /// See and change.
    Change,
}

impl Console {
    /// Nobody may, so there is none.
    pub fn is_closed(&self) -> bool {
        self.admin_users.is_empty() && self.stats_users.is_empty()
    }

    /// What this user may do; `None` = not even come in.
    pub fn rights(&self, user: &str) -> Option<Rights> {
        let listed = |users: &[String]| users.iter().any(|listed| listed == user);
        if listed(&self.admin_users) {
            Some(Rights::Change)
        } else if listed(&self.stats_users) {
            Some(Rights::Look)
        } else {
            None
        }
    }
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// At least one.
    pub addresses: Vec<Address>,
    /// Where proxies connect that say where a client comes from.
    pub proxy_addresses: Vec<Address>,
    /// From where those may connect.
    pub proxies: Vec<Network>,
    /// Most client connections at once.
    pub max_clients: usize,
    /// Most connections that have not logged in yet (A15).
    pub max_handshakes: usize,
    /// A client must have logged in by then.
    pub client_login_timeout: Option<Duration>,
    /// TLS for clients; `None` = there is none.
    pub tls: Option<ClientTls>,
}

/// A place to listen or to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `host:port`; the host may be a name, which is looked up anew for each connection.
    Tcp(String, u16),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Nobody is asked: for sockets that only friends can reach.
    Trust,
    /// The password in clear.
    Password,
    /// MD5; users stored as SCRAM secrets are asked for SCRAM, as PostgreSQL does.
    Md5,
    /// A certificate that stands for the user.
    Cert,
    /// SCRAM-SHA-256; users stored as MD5 hashes cannot log in.
    Scram,
    /// A token, sent as if it were a password.
    Jwt,
    /// A token, in SASL (OAUTHBEARER).
    Oauth,
}

impl AuthMethod {
    /// What is asked for is a token.
    pub const fn takes_tokens(self) -> bool {
        matches!(self, Self::Jwt | Self::Oauth)
    }

    /// Whether it compares what the client shows with what is stored of the user.
    pub const fn needs_secret(self) -> bool {
        matches!(self, Self::Password | Self::Md5 | Self::Scram)
    }
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A `tracing` filter: `info`, `pgusher=debug` …
    pub level: String,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// Lines of clients that come and go.
    pub connections: bool,
    /// Transactions that take longer are told of; `None` = none is.
    pub slow_after: Option<Duration>,
    /// With the text of the statement, masked.
    pub slow_statements: bool,
    /// Lines of refusals and of the console's commands.
    pub audit: bool,
    /// Where those go instead of the log.
    pub audit_file: Option<PathBuf>,
}

/// Spans of transactions.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Where they are sent.
    pub endpoint: Endpoint,
    /// The part of all transactions that is traced.
    pub sample: Ratio,
    /// What this process is called there.
    pub service_name: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When a server connection is reset before somebody else gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerReset {
    /// When the client changed its session in a way that could be seen.
    Dirty,
    /// After each lease.
    Always,
}

/// Whether clients may keep server connections beyond their transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// For what cannot be carried to another.
    On,
    /// What would need it is refused.
    Off,
}

/// What becomes of tenants that nobody has heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are in the default tier.
    Accept,
    /// They are refused.
    Refuse,
}

/// A query that knows the tenants.
#[derive(Debug, Clone)]
pub struct TenantsQuery {
    /// It has the tenant's id as `$1`.
    pub query: Query,
    /// Tenants that it does not know, and that are not listed in the file, are refused; otherwise
    /// they are in the default tier.
    pub refuses_unknown: bool,
}

/// A query that finds one row for one text.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where it runs. The user and the database are given.
    pub upstream: Upstream,
    /// The query, with the text as `$1`.
    pub query: String,
    /// How long an answer holds before it is asked for again.
    pub ttl: Duration,
    /// How long it holds that there is no such one.
    pub negative_ttl: Duration,
    /// How much longer an answer is used while the query fails; zero = no longer.
    pub max_stale: Duration,
    /// Longest time for connecting and for one answer.
    pub timeout: Duration,
}

/// One database that clients can ask for.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is and who logs in there.
    pub upstream: Upstream,
    /// When server connections are given back.
    pub pool_mode: PoolMode,
    /// When they are reset.
    pub server_reset: ServerReset,
    /// Statements without a name that come again are parsed once.
    pub plan_reuse: bool,
    /// Whether clients may keep them, and how many.
    pub pins: PinRules,
    /// Sizes of each of its pools.
    pub pool: PoolSizes,
    /// What server connections call themselves while they work for a client; `None` = what the
    /// client calls itself.
    pub application_name: Option<NamePattern>,
    /// Servers are told that it is pgusher that connects.
    pub announce: bool,
    /// Most server connections over all pools of this database; `None` = no limit.
    pub max_db_connections: Option<usize>,
    /// Most clients of this database; `None` = no limit.
    pub max_clients: Option<usize>,
    /// Its timeouts.
    pub timeouts: Timeouts,
}

/// The server behind a database.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it listens.
    pub address: Address,
    /// Who logs in; `None` = the client's own user.
    pub user: Option<String>,
    /// With which password; `None` = the client's own keys.
    pub password: Option<Secret>,
    /// The database there; `None` = the name the client asked for.
    pub database: Option<String>,
    /// What is encrypted on the way there.
    pub tls: Arc<ServerTls>,
}

/// One user.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// What the client must know; `None` = cannot log in, unless nobody is asked.
    pub secret: Option<Secret>,
    /// May work without a tenant.
    pub bypass: bool,
    /// Overrides the database's pool mode.
    pub pool_mode: Option<PoolMode>,
    /// Overrides the database's pool size.
    pub pool_size: Option<usize>,
    /// Most clients of this user; `None` = no limit.
    pub max_clients: Option<usize>,
}
