//! What is typed: every section and key with its type, its default and its meaning.
//!
//! The comments here are the reference: `config/reference.toml` and `docs/configuration.md` are
//! written from them by `tests/reference.rs`. What is read here is well formed, not yet checked
//! and not yet what the program works with; that is [`super::settings`].

use std::{net::SocketAddr, path::PathBuf};

use toml::de::DeTable;

use super::abuse::{Failures, Networks};
use super::auth_query::AuthQuery;
use super::certs::CertRule;
use super::duration::Timeout;
use super::extras::Extras;
use super::naming::NamePattern;
use super::overlay::Overlay;
use super::problems::Problems;
use super::schema::{Named, read_table, section};
use super::sealing::Seal;
use super::secret::Hidden;
use super::settings::{
    self, Address, AuthMethod, LogFormat, Pinning, PoolMode, ServerReset, Spread, Unknown,
};
use super::size::Size;
use super::tls::Tls;
use super::tokens::Jwt;
use super::traces::{Endpoint, Ratio};
use super::value::{Addresses, Limit, SourceList};
use crate::tenant::{Format, SettingName};

/// Reads the text; `None` if it is not TOML, which is noted.
pub fn read(text: &str, overlay: &Overlay, problems: &mut Problems<'_>) -> Option<File> {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    // The message only: printed whole, the error would show the line, and passwords stand in lines.
    for error in &errors {
        problems.syntax(
            error.span().map(|span| span.start),
            error.message().to_owned(),
        );
    }
    if !errors.is_empty() {
        return None;
    }
    overlay.lay_over(table.get_mut());
    Some(read_table(table.get_ref(), "", problems))
}

section! {
    /// The whole file.
    File {
        /// Where clients connect.
        listen: Listen = Listen::default();
        /// How clients prove who they are.
        auth: Auth = Auth::default();
        /// The databases that clients can ask for, by name; `"*"` stands for any other name.
        databases: Named<Database> = Named::new();
        /// The users that can log in, by name.
        users: Named<User> = Named::new();
        /// How long things may take. 0 or `"off"` switches a timeout off.
        timeouts: Timeouts = Timeouts::default();
        /// Logging, to the standard error.
        log: Log = Log::default();
        /// Spans of transactions, for OpenTelemetry. It takes a pgusher that was built with the
        /// feature `traces`; others refuse it.
        traces: Option<Traces> = None;
        /// Threads.
        runtime: Runtime = Runtime::default();
        /// Metrics and health for machines, and the dashboard for people.
        http: Option<Http> = None;
        /// The console for operators: `docs/console.md`.
        console: Option<Console> = None;
        /// What metrics show: `docs/metrics.md`.
        metrics: Metrics = Metrics::default();
        /// Who is the tenant, and what the database is told about it.
        tenant: Option<Tenant> = None;
        /// What one tenant may use: the default tier. Who works without a tenant is counted by its
        /// user, as if that were a tenant. `docs/fairness.md` explains all of it.
        limits: Option<Limits> = None;
        /// Tenants with a tier or settings of their own, by id.
        tenants: Named<OneTenant> = Named::new();
        /// A database of yours that knows the tenants and their tiers. It is asked for a tenant
        /// when the tenant first comes, and again after a while; `[tenants]` goes before it.
        tenants_query: Option<TenantsQuery> = None;
    }
}

section! {
    /// Where clients connect.
    Listen {
        /// Where to listen: `host:port`, `[::1]:6432`, or the path of a unix socket (it begins
        /// with `/` or `unix:`; `psql` looks for files named `.s.PGSQL.6432`).
        address: Addresses = Addresses(vec![Address::Tcp("127.0.0.1".to_owned(), 6432)]);
        /// Most client connections at once. Further ones are told so and closed.
        max_clients: usize = 10_000;
        /// Most connections at once that have not logged in yet. A login takes milliseconds, so
        /// that this many are more than a machine works on at a time; it bounds what strangers who
        /// only open connections can hold.
        max_handshakes: usize = 1000;
        /// Connections that one address (of IPv6: its first 64 bits) may open in a second; further
        /// ones are told so and closed. Networks in `auth.failures.exempt` are not limited.
        connections_per_second: Limit = Limit(None);
        /// Connections that an address may open at once after a rest. 0: one second's worth.
        connection_burst: usize = 0;
        /// Where proxies connect that say, with the PROXY protocol, where a client comes from.
        proxy: Option<Proxy> = None;
        /// TLS for clients.
        tls: Option<Tls> = None;
    }
}

section! {
    /// Where proxies connect that say, with the PROXY protocol (version 1 or 2), where a client
    /// comes from. That address then counts: for rules, for limits, in the log and on the console.
    Proxy {
        /// Where to listen for them, beside `listen.address`. Each connection there must begin with
        /// the header.
        address: Option<Addresses> = None, unset "must be given" example r#""0.0.0.0:6433""#;
        /// The proxies. Connections from elsewhere are closed without a word: anybody can write a
        /// header. Who can reach a unix socket is a proxy.
        networks: Networks = Networks(Vec::new());
    }
}

section! {
    /// How clients prove who they are.
    Auth {
        /// The method. `scram-sha-256` never sees the password; `md5` is for old drivers and asks
        /// users stored as SCRAM secrets for SCRAM; `password` is in clear; `cert`
        /// wants a certificate that `client_ca` in `[listen.tls]` has signed; `trust` asks nobody. With
        /// `jwt` the password is a token, with `oauth` the token comes as PostgreSQL 18's clients send
        /// one (OAUTHBEARER): `docs/tokens.md`.
        method: AuthMethod = AuthMethod::Scram;
        /// A file of more users, one in a line: `"name" "password"`, as PgBouncer has it. A relative
        /// path starts beside this file.
        userlist: Option<PathBuf> = None, unset "none" example r#""userlist.txt""#;
        /// Whom client certificates stand for.
        certs: Named<CertRule> = Named::new();
        /// A file of rules, as PostgreSQL's `pg_hba.conf`: who may come from where, and by which
        /// method. With it, `method` has no effect, and who no rule is about is refused. A relative
        /// path starts beside this file. `docs/authentication.md` says what is understood.
        hba: Option<PathBuf> = None, unset "none: everybody, by `method`" example r#""pg_hba.conf""#;
        /// Users that neither `[users]` gives a password nor the `userlist` are looked up in a
        /// database.
        query: Option<AuthQuery> = None;
        /// What tokens must be like.
        jwt: Option<Jwt> = None;
        /// What becomes of those who fail to log in.
        failures: Failures = Failures::default();
    }
}

section! {
    /// One database.
    Database {
        /// The server: `postgres://user:password@host:port/database`. Without a user, clients log
        /// in there as themselves; without a database, it is the name that the client asked for;
        /// without a host, it is the socket in `/var/run/postgresql`.
        url: Option<Hidden> = None, unset "must be given" example r#""postgres://app:secret@127.0.0.1:5432/app""#;
        /// When a server connection goes back to the pool: when the transaction is over, or when
        /// the client leaves.
        pool_mode: PoolMode = PoolMode::Transaction;
        /// Most server connections of one pool, that is of one (database, user), over all threads.
        pool_size: usize = 20;
        /// Server connections that a pool in use keeps open.
        min_pool_size: usize = 0;
        /// More server connections for a pool whose clients wait too long.
        reserve_pool_size: usize = 0;
        /// How long a client waits before the reserve is used; off: it is never used.
        reserve_pool_timeout: Timeout = Timeout::secs(5);
        /// Most server connections over all pools of this database.
        max_db_connections: Limit = Limit(None);
        /// Most clients of this database.
        max_clients: Limit = Limit(None);
        /// Most requests of one pool that wait for a server connection. 0: only
        /// `listen.max_clients` bounds them.
        max_waiting: Limit = Limit(None);
        /// Most server connections that one pool opens at the same time, so that a restarted
        /// database is not run over.
        max_connecting: usize = 4;
        /// Server connections of one pool that a single tenant may not take while others use the
        /// pool (they did in the last ten seconds), so that these need not wait for it. 0: none.
        spare_servers: Option<usize> = None, unset "a fifth of `pool_size`" example "4";
        /// When a server connection is reset before somebody else gets it: `dirty`, when it is not
        /// certain what its client has left there, or `always`. Settings that are known to be
        /// changed are taken back one by one and need no reset. What functions do inside, and
        /// PostgreSQL does not report, is only undone by `always`; statements that were prepared are
        /// parsed again after each reset.
        server_reset: ServerReset = ServerReset::Dirty;
        /// Is a statement without a name, as most drivers send them, parsed only once on each
        /// server connection if its text comes again? That halves PostgreSQL's own processor time
        /// in `pgbench -S -M extended`. It may then settle on one plan for all values after five
        /// executions, as it does for prepared statements; with `plan_cache_mode =
        /// force_custom_plan` it never does. Texts that come once are not kept, nor those that
        /// could mean something else the next time. Has no meaning in session mode without tenants,
        /// nor with `server_reset = "always"`.
        plan_reuse: bool = true;
        /// May a client keep a server connection for what cannot be carried to another one: temporary
        /// tables, LISTEN, advisory locks of the session, cursors WITH HOLD, PREPARE in SQL, LOAD, a
        /// prepared text of more than 32 KiB? `off` refuses such statements (0A000), and what a `DO`
        /// block leaves is undone. Has no meaning in session mode.
        pinning: Pinning = Pinning::On;
        /// Most server connections of one pool that clients keep in this way; a statement that would
        /// keep one more is refused (53400). What is found only when it is there (a lock that a `DO`
        /// block took) is counted and not refused.
        max_pinned: Limit = Limit(None);
        /// What server connections call themselves while they work for a client, as it can be seen in
        /// `pg_stat_activity`: `{name}` is what the client calls itself, `{tenant}` the tenant that it
        /// connected for, then there are `{user}`, `{database}` and `{address}`. The client sees it
        /// too, and can change it with SET. Clients that differ in it need one more setting to be
        /// sent, with their query, when one gets the connection that another had.
        application_name: Option<NamePattern> = None, unset "what the client calls itself" example r#""pgusher:{tenant}:{name}""#;
        /// Servers are told `pgusher.version` as a setting of the session, by which an application can
        /// find out that it is behind pgusher: `SELECT current_setting('pgusher.version', true)`.
        announce: bool = false;
        flatten timeouts: Overrides;
    }
}

section! {
    /// One user.
    User {
        /// What the user must know: the password itself, `md5…` or `SCRAM-SHA-256$…`. Without it the
        /// user cannot log in, unless it is in the `userlist`.
        password: Option<Hidden> = None, unset "none" example r#"{ env = "APP_PASSWORD" }"#;
        /// May work without a tenant: for migrations and background jobs. What such a user sees is
        /// for the policies and its own role to say.
        bypass: bool = false;
        /// Overrides the database's.
        pool_mode: Option<PoolMode> = None, unset "the database's" example r#""session""#;
        /// Overrides the database's.
        pool_size: Option<usize> = None, unset "the database's" example "5";
        /// Most clients of this user.
        max_clients: Limit = Limit(None);
        /// What it may use when it works without a tenant: a tier out of `[limits.tiers]`.
        tier: Option<String> = None, unset "the default tier" example r#""enterprise""#;
    }
}

/// Declares the timeouts once: for `[timeouts]`, and again for the databases that override them.
macro_rules! timeouts {
    ($( $(#[doc = $doc:literal])+ $key:ident = $default:expr; )+) => {
        section! {
            /// How long things may take.
            Timeouts {
                /// A client must have logged in by then.
                client_login_timeout: Timeout = Timeout::secs(15);
                $( $(#[doc = $doc])+ $key: Timeout = $default; )+
            }
        }

        section! {
            /// The timeouts of one database.
            Overrides {
                $(
                    $(#[doc = $doc])+
                    $key: Option<Timeout> = None, unset "that of `[timeouts]`" example r#""1m""#;
                )+
            }
        }

        impl Timeouts {
            /// The timeouts of a database that overrides some of them.
            pub fn with(&self, overrides: &Overrides) -> settings::Timeouts {
                settings::Timeouts { $( $key: overrides.$key.unwrap_or(self.$key).0, )+ }
            }
        }
    };
}

timeouts! {
    /// Longest wait for a server connection.
    query_wait_timeout = Timeout::secs(120);
    /// Longest run of a request; it is cancelled then.
    query_timeout = Timeout::OFF;
    /// Longest silence inside a transaction; it is rolled back then.
    idle_transaction_timeout = Timeout::OFF;
    /// Longest transaction; it is rolled back then.
    transaction_timeout = Timeout::OFF;
    /// Longest silence of a client outside a transaction; it is disconnected then.
    client_idle_timeout = Timeout::OFF;
    /// Longest silence, outside a transaction, of a client that keeps a server connection to itself
    /// (see `pinning`); it is disconnected then.
    pin_timeout = Timeout::OFF;
    /// Longest time to connect and log in to the server.
    server_connect_timeout = Timeout::secs(15);
    /// A server connection that idles longer is closed.
    server_idle_timeout = Timeout::secs(600);
    /// A server connection that is older is closed when it is idle.
    server_lifetime = Timeout::secs(3600);
    /// How long a cancelled request may take to end before its server connection is closed.
    cancel_wait_timeout = Timeout::secs(10);
    /// How long waiting clients are kept waiting while the server cannot be reached at all.
    server_outage_timeout = Timeout::secs(15);
}

section! {
    /// Logging.
    Log {
        /// How much: `error`, `warn`, `info`, `debug`, `trace`, or a filter as
        /// `info,pgusher::net=debug`. The environment variable `PGUSHER_LOG` overrides it.
        level: String = "info".to_owned();
        /// Text for people or one JSON object a line for machines.
        format: LogFormat = LogFormat::Text;
        /// A line when a client has logged in, and one when it has left. Of many in a short time
        /// only some are written, and how many were left out.
        connections: bool = true;
        /// Transactions that take longer, the wait for a server connection included, are written to
        /// the log, and kept for the console and the dashboard.
        slow_after: Timeout = Timeout::secs(1);
        /// Keep the text of such a transaction's last statement too, without comments and with its literals masked.
        slow_statements: bool = false;
        /// A line for each refusal and each command on the console, under the name `pgusher::audit`.
        audit: bool = true;
        /// A file that these lines are appended to, as JSON, instead of the log, whatever `level`
        /// is. It is opened again when the configuration is read again, so that it can be rotated.
        audit_file: Option<PathBuf> = None, unset "none" example r#""audit.jsonl""#;
    }
}

section! {
    /// Spans of transactions, for OpenTelemetry.
    Traces {
        /// Where a collector takes OTLP over HTTP, as JSON.
        endpoint: Option<Endpoint> = None, unset "must be given" example r#""http://127.0.0.1:4318/v1/traces""#;
        /// The part of all transactions that is traced, 0 to 1. A transaction whose comment holds a
        /// `traceparent` is traced if that says so, and not otherwise.
        sample: Ratio = Ratio(0.01);
        /// What this pgusher is called there.
        service_name: String = "pgusher".to_owned();
    }
}

section! {
    /// Threads.
    Runtime {
        /// Threads that relay.
        workers: Option<usize> = None, unset "one per core" example "2";
        /// How clients are spread over them. `load`: over as few as carry it, which costs the least
        /// for each transaction; when those have no time left, clients move to another thread
        /// between two transactions. `even`: over all, and each client stays where it was put.
        spread: Spread = Spread::Load;
    }
}

section! {
    /// Metrics and health.
    Http {
        /// Where: `/metrics`, `/healthz`, `/readyz`, and the dashboard at `/`. Without `password`
        /// and `token` the dashboard answers on a loopback address only.
        address: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9930));
        /// Asked for at the dashboard and `/metrics`, with any user name; never for health.
        password: Option<Hidden> = None, unset "nothing is asked for" example r#"{ env = "PGUSHER_HTTP_PASSWORD" }"#;
        /// Opens the same as a bearer token, for machines; also taken as the password.
        token: Option<Hidden> = None, unset "nothing is asked for" example r#"{ env = "PGUSHER_HTTP_TOKEN" }"#;
    }
}

section! {
    /// The console for operators: `docs/console.md`.
    Console {
        /// Users who may do everything there.
        admin_users: Vec<String> = Vec::new();
        /// Users who may look.
        stats_users: Vec<String> = Vec::new();
    }
}

section! {
    /// What metrics show: `docs/metrics.md`.
    Metrics {
        /// Tenants with series of their own: those with the most to see of them lately. The rest is
        /// summed.
        max_tenants: usize = 1000;
    }
}

section! {
    /// Who is the tenant, and what the database is told about it. Without this section there is no
    /// tenant handling at all. `docs/tenants.md` explains all of it.
    Tenant {
        /// The setting that each transaction gets, for the policies in the database to read.
        setting: SettingName = SettingName::default();
        /// The form of an id. `text` is up to 128 letters, digits and `_` `.` `:` `-`, and a pattern
        /// must match the whole of such a text; `uuid` and `integer` have one spelling for each id.
        format: Format = Format::Text;
        /// Where the tenant is learnt from. Those that are present must agree.
        sources: SourceList = SourceList::usual();
        /// Refuse transactions without a tenant, but for users with `bypass`.
        required: bool = true;
        /// What becomes of tenants that nobody has heard of: `accept` gives them the default tier,
        /// `refuse` lets in those of `[tenants]` and of `[tenants_query]` only.
        unknown: Option<Unknown> = None, unset "`refuse` with `[tenants_query]`, otherwise `accept`" example r#""accept""#;
        /// Refuse a client that changes the setting itself although its tenant is known better.
        protect: bool = true;
        /// What stands between a user's name and a tenant's id, as in `app.acme`, for the source
        /// `user`.
        user_separator: String = ".".to_owned();
        /// The domain below which the TLS server name names the tenant, as in
        /// `acme.db.example.com`, for the source `sni`.
        sni_domain: Option<String> = None, unset "any: the first label counts" example r#""db.example.com""#;
        /// The key that names the tenant in a comment, as in `/* tenant_id='acme' */`, for the
        /// source `comment`.
        comment_key: String = "tenant_id".to_owned();
        /// Most server connections of one pool that clients of one tenant keep beyond their
        /// transactions (see `pinning`).
        max_pinned: Limit = Limit(None);
        /// More settings for each transaction, as in `{ statement_timeout = "5s" }`. Tiers and
        /// single tenants override them one by one.
        settings: Extras = Extras::default();
        /// A seal beside the id, which SQL cannot forge.
        seal: Option<Seal> = None;
    }
}

section! {
    /// What one tenant may use: the default tier.
    Limits {
        /// Who comes next where server connections are scarce: the tenant that has used the least
        /// server time for its weight. `false`: who came first.
        fairness: bool = true;
        /// Give the tenants that use most fewer server connections while the server answers slower
        /// than it usually does.
        adaptive: bool = false;
        /// A client whose transaction was held up for longer than this, by a limit or for want of
        /// a server connection, is told so with a NOTICE.
        notice_after: Timeout = Timeout::OFF;
        /// More tiers, by name; what is left out there is inherited from `[limits]`, key by key.
        tiers: Named<Tier> = Named::new();
        flatten default: Tier;
    }
}

section! {
    /// A tier.
    Tier {
        /// Transactions that may start in a second. A transaction that finds none left waits for
        /// `max_delay` at most; one that has started is never refused.
        transactions_per_second: Option<Limit> = None, unset "inherited; no limit" example "200";
        /// Transactions that may start at once after a rest. A burst belongs to its rate: a tier
        /// with a rate of its own does not inherit it. 0: one second's worth.
        burst: Option<usize> = None, unset "inherited with its rate; one second's worth" example "400";
        /// How long one tenant's transactions may keep server connections busy in a second, over
        /// all of them: `"500ms"` is half of one server connection, `"2s"` is two. What a
        /// transaction takes is known when it is over, so that a tenant may exceed this, and waits
        /// longer before its next one.
        server_time_per_second: Option<Timeout> = None, unset "inherited; no limit" example r#""500ms""#;
        /// Server time that may be used at once after a rest. 0: one second's worth.
        server_time_burst: Option<Timeout> = None, unset "inherited with its rate; one second's worth" example r#""2s""#;
        /// Bytes that are sent to one tenant's clients in a second; settled as server time is.
        bytes_per_second: Option<Size> = None, unset "inherited; no limit" example r#""10MB""#;
        /// Bytes that may be sent at once after a rest. 0: one second's worth.
        bytes_burst: Option<Size> = None, unset "inherited with its rate; one second's worth" example r#""100MB""#;
        /// Clients of one tenant that may connect in a second. Further ones are refused.
        connections_per_second: Option<Limit> = None, unset "inherited; no limit" example "20";
        /// Clients that may connect at once after a rest. 0: one second's worth.
        connection_burst: Option<usize> = None, unset "inherited with its rate; one second's worth" example "100";
        /// A transaction that would have to wait longer for any of these is refused (53400), with
        /// the time after which to try again. Off: it waits, for `query_wait_timeout` at most.
        max_delay: Option<Timeout> = None, unset "inherited; 50ms" example r#""50ms""#;
        /// Most server connections of one pool that one tenant holds at once.
        max_servers: Option<Limit> = None, unset "inherited; no limit" example "10";
        /// Server connections of one pool that others leave to the tenant while it uses the pool
        /// (it did in the last ten seconds). 0: none.
        min_servers: Option<usize> = None, unset "inherited; none" example "2";
        /// Most requests of one tenant that wait for a server connection of one pool.
        max_waiting: Option<Limit> = None, unset "inherited; no limit" example "100";
        /// Most clients of one tenant.
        max_clients: Option<Limit> = None, unset "inherited; no limit" example "500";
        /// How much server time a tenant gets where others get 1, when server connections are
        /// scarce: 1 to 1000.
        weight: Option<usize> = None, unset "inherited; 1" example "4";
        /// Settings for each transaction of its tenants, beside those of `[tenant]`; a tier
        /// overrides the default tier one by one.
        settings: Extras = Extras::default();
    }
}

section! {
    /// One tenant.
    OneTenant {
        /// Its tier, out of `[limits.tiers]`.
        tier: Option<String> = None, unset "the default tier" example r#""enterprise""#;
        /// Settings for each of its transactions, which override those of its tier one by one.
        settings: Extras = Extras::default();
    }
}

section! {
    /// The query for tenants.
    TenantsQuery {
        /// The database: `postgres://user:password@host:port/database`. Give the user nothing but
        /// the right to read what is asked for.
        url: Option<Hidden> = None, unset "must be given" example r#""postgres://pgusher:secret@127.0.0.1:5432/control""#;
        /// The query, with the tenant's id as `$1`. No row: there is no such tenant. A column
        /// `tier` names its tier; columns with the names of a tier's keys override that tier, and
        /// NULL is as if the column were not there. Numbers are as they are in the file; durations
        /// are text (`500ms`) or a number of milliseconds, and bytes a number. It runs with an
        /// empty `search_path`: write names with their schema.
        query: Option<String> = None, unset "must be given" example r#""SELECT tier FROM public.tenants WHERE id = $1""#;
        /// How long an answer holds before it is asked for again.
        ttl: Timeout = Timeout::secs(60);
        /// How long it holds that there is no such tenant.
        negative_ttl: Timeout = Timeout::secs(10);
        /// How much longer an answer is used while the query fails. Off: no longer.
        max_stale: Timeout = Timeout::secs(3600);
        /// Longest time for connecting and for one answer.
        timeout: Timeout = Timeout::secs(2);
    }
}
