//! All metrics, each defined once: its name, what it is, its labels and what it means.
//! `docs/metrics.md` is written from this table.

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, as long as the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in seconds, counted by how long they were.
    Histogram,
}

impl Kind {
    /// As both formats call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// What it is called.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What its series differ in.
    pub labels: &'static [&'static str],
    /// What it means.
    pub about: &'static str,
}

macro_rules! metrics {
    ($($(#[doc = $about:literal])+ $constant:ident: $kind:ident $name:literal [$($label:literal),*];)*) => {
        $(
            $(#[doc = $about])+
            pub const $constant: &Metric = &Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                about: concat!($($about),+).trim_ascii(),
            };
        )*

        /// All metrics, in the order of the page.
        pub const ALL: &[&Metric] = &[$($constant),*];
    };
}

metrics! {
    /// Always 1; its label is the version.
    BUILD: Gauge "pgusher_build_info" ["version"];
    /// 1 if new clients should be sent here, as `/readyz` says.
    READY: Gauge "pgusher_ready" [];
    /// Threads that relay.
    WORKERS: Gauge "pgusher_workers" [];
    /// Those of them that are in use: as many as the load needs.
    WORKERS_IN_USE: Gauge "pgusher_workers_in_use" [];
    /// Client connections: `active` in a transaction, `waiting` for a server connection or for a limit, `idle`, or `logging_in`.
    CLIENTS: Gauge "pgusher_clients" ["state"];
    /// The most client connections at once (`max_clients`).
    CLIENTS_MOST: Gauge "pgusher_clients_most" [];
    /// What pgusher itself has told clients that went wrong, by the names of docs/errors.md. `blame` says whose fault it is: `client`, `database`, `limit` or `operator`.
    REFUSALS: Counter "pgusher_refusals_total" ["kind", "code", "blame"];
    /// Logins that failed: a wrong password, or no such user.
    LOGIN_FAILURES: Counter "pgusher_login_failures_total" [];
    /// Addresses that were blocked because too many logins from there failed (`block_after`).
    LOGIN_BLOCKS: Counter "pgusher_login_blocks_total" [];
    /// Logins that were refused because their address was blocked.
    LOGINS_BLOCKED: Counter "pgusher_logins_blocked_total" [];
    /// Connections that were refused because their address came too often (`connections_per_second`).
    CONNECTIONS_REFUSED: Counter "pgusher_connections_refused_total" [];
    /// 1 while pgusher cannot look up who somebody is, because the last attempt to ask failed. `source` is the section that says where is asked: the database of `tenants_query` or `auth.query`, the issuer of `auth.jwt`. What is known goes on; who is not is refused.
    LOOKUP_FAILING: Gauge "pgusher_lookup_failing" ["source"];
    /// Attempts that failed.
    LOOKUPS_FAILED: Counter "pgusher_lookups_failed_total" ["source"];
    /// Attempts to take over a changed configuration, by `result`: `success` or `failure`.
    RELOADS: Counter "pgusher_config_reloads_total" ["result"];
    /// 1 if the last attempt worked, or there was none.
    RELOAD_WORKED: Gauge "pgusher_config_last_reload_successful" [];
    /// When the configuration that holds now was read.
    RELOADED: Gauge "pgusher_config_last_reload_success_timestamp_seconds" [];
    /// Spans of transactions, by `result`: `sent`, or `dropped` because the collector did not take them in time. Only with `[traces]`.
    SPANS: Counter "pgusher_spans_total" ["result"];

    /// Server connections: `active` with a client, `idle`, `connecting`, or `cleaning` before the next client gets them.
    POOL_SERVERS: Gauge "pgusher_pool_servers" ["database", "user", "state"];
    /// Server connections that a client keeps to itself beyond its transaction (a temporary table, LISTEN, a lock …). They are among the active ones.
    POOL_PINNED: Gauge "pgusher_pool_servers_pinned" ["database", "user"];
    /// Server connections that a cancel request is on its way to.
    POOL_CANCELLING: Gauge "pgusher_pool_servers_cancelling" ["database", "user"];
    /// Clients: `active` with a server connection, `waiting` for one, or `idle`.
    POOL_CLIENTS: Gauge "pgusher_pool_clients" ["database", "user", "state"];
    /// How long the client has waited that has waited longest; 0 if none does.
    POOL_OLDEST_WAIT: Gauge "pgusher_pool_oldest_wait_seconds" ["database", "user"];
    /// The most server connections in normal times (`pool_size`).
    POOL_SIZE: Gauge "pgusher_pool_size" ["database", "user"];
    /// And more when clients have waited for long (`reserve_pool_size`).
    POOL_RESERVE: Gauge "pgusher_pool_reserve_size" ["database", "user"];
    /// 1 while the server cannot be reached, or refuses us.
    POOL_FAILING: Gauge "pgusher_pool_failing" ["database", "user"];
    /// What speaks against row-level security protecting this pool's tenants; the log says what it is. 0 is good.
    POOL_FINDINGS: Gauge "pgusher_pool_row_security_findings" ["database", "user"];

    /// Transactions that are over.
    TRANSACTIONS: Counter "pgusher_transactions_total" ["database", "user"];
    /// Requests that were answered: each simple query, function call and Sync is one. What pgusher asks for itself is not counted.
    QUERIES: Counter "pgusher_queries_total" ["database", "user"];
    /// Bytes, `in` from clients and `out` from servers.
    BYTES: Counter "pgusher_bytes_total" ["database", "user", "direction"];
    /// Errors that servers sent to clients, by class of SQLSTATE (its first two characters).
    ERRORS: Counter "pgusher_errors_total" ["database", "user", "class"];
    /// Transactions that were told their tenant.
    INJECTIONS: Counter "pgusher_injections_total" ["database", "user"];
    /// Cancel requests that were sent to servers.
    CANCELS: Counter "pgusher_cancels_total" ["database", "user"];
    /// Server connections that were cleaned before the next client got them; `failed`: that could not be, and were closed.
    RESETS: Counter "pgusher_server_resets_total" ["database", "user", "result"];
    /// Parse messages of clients.
    CLIENT_PARSES: Counter "pgusher_client_parses_total" ["database", "user"];
    /// What became of prepared statements: `hit`, the server connection had parsed the same already and was not asked; `parsed`, a client's Parse went to the server; `repeated`, a client came to a connection that did not have its statement yet.
    PREPARED: Counter "pgusher_prepared_statements_total" ["database", "user", "result"];
    /// Statements that a server connection had to forget to make room for others.
    EVICTIONS: Counter "pgusher_prepared_evictions_total" ["database", "user"];
    /// Bind messages of clients.
    BINDS: Counter "pgusher_binds_total" ["database", "user"];
    /// Attempts to connect to a server that failed.
    CONNECTS_FAILED: Counter "pgusher_server_connects_failed_total" ["database", "user"];
    /// How long transactions waited before they began: for a server connection, or for a limit. Those that did not have to wait are counted too.
    WAITS: Histogram "pgusher_wait_duration_seconds" ["database", "user"];
    /// How long transactions took from then on.
    TRANSACTION_TIME: Histogram "pgusher_transaction_duration_seconds" ["database", "user"];
    /// How long it took to answer a request.
    QUERY_TIME: Histogram "pgusher_query_duration_seconds" ["database", "user"];
    /// How long it took to connect and log in to a server.
    CONNECT_TIME: Histogram "pgusher_server_connect_duration_seconds" ["database", "user"];
    /// How long it took a client to log in, from its first byte to the welcome.
    LOGIN_TIME: Histogram "pgusher_login_duration_seconds" ["database", "user"];

    /// How long transactions of a tier's tenants waited before they began.
    TIER_WAITS: Histogram "pgusher_tier_wait_duration_seconds" ["tier"];
    /// How long they took from then on. Of transactions that were sent without waiting for answers only the mean is known.
    TIER_TRANSACTION_TIME: Histogram "pgusher_tier_transaction_duration_seconds" ["tier"];

    /// Tenants, and users that work without one, that have an account at the moment.
    TENANTS_KNOWN: Gauge "pgusher_tenants_known" [];
    /// Those of them that have series of their own.
    TENANTS_SHOWN: Gauge "pgusher_tenants_shown" [];
    /// Transactions that are over.
    TENANT_TRANSACTIONS: Counter "pgusher_tenant_transactions_total" ["kind", "tenant"];
    /// Server connections' time in transactions.
    TENANT_SERVER_TIME: Counter "pgusher_tenant_server_seconds_total" ["kind", "tenant"];
    /// How long transactions waited before they began.
    TENANT_WAIT: Counter "pgusher_tenant_wait_seconds_total" ["kind", "tenant"];
    /// Bytes that servers sent.
    TENANT_BYTES: Counter "pgusher_tenant_bytes_total" ["kind", "tenant"];
    /// Errors that clients were told, by servers or by pgusher.
    TENANT_ERRORS: Counter "pgusher_tenant_errors_total" ["kind", "tenant"];
    /// Transactions and connections that a limit, or the operator, refused.
    TENANT_REFUSALS: Counter "pgusher_tenant_refusals_total" ["kind", "tenant"];
    /// Transactions that had to wait for a limit.
    TENANT_DELAYED: Counter "pgusher_tenant_delayed_total" ["kind", "tenant"];
    /// Clients that are connected in its name.
    TENANT_CLIENTS: Gauge "pgusher_tenant_clients" ["kind", "tenant"];
    /// Server connections that it has, over all pools.
    TENANT_SERVERS: Gauge "pgusher_tenant_servers" ["kind", "tenant"];
    /// Its requests that wait for one.
    TENANT_WAITING: Gauge "pgusher_tenant_waiting" ["kind", "tenant"];
}
