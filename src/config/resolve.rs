//! From what was typed to what holds: defaults, overrides, secrets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Password, Secret, hba, userlist};
use crate::session::PinRules;

use super::check::is_local;
use super::duration::Timeout;
use super::file::{self, File};
use super::problems::{Problems, quoted};
use super::secret::{Hidden, Sources};
use super::settings::{
    Accounts, Address, AuthMethod, Config, Console, Database, Http, Listen, Log, Pinning,
    PoolSizes, Runtime, ServerReset, ServerTls, Timeouts, Traces, Upstream, User,
};
use super::url::DatabaseUrl;
use super::{abuse, auth_query, certs, limits, listing, tenants, tls, tokens};

/// Room for some hundred thousand users; what is larger is not a list of users.
const MAX_USERLIST_BYTES: u64 = 64 << 20;

/// Some ten thousand rules.
const MAX_HBA_BYTES: u64 = 1 << 20;

/// The configuration; what could not be had is noted and left out.
pub(super) fn resolve(file: &File, sources: &Sources<'_>, problems: &mut Problems<'_>) -> Config {
    let mut databases = BTreeMap::new();
    for (name, typed) in &file.databases {
        if let Some(database) = database(name, typed, file, sources, problems) {
            databases.insert(name.clone(), database);
        }
    }
    let accounts = Arc::new(Accounts::new(limits::rules(file, problems)));
    let tenant = tenants::policy(file, sources, problems);
    Config {
        listen: Listen {
            addresses: file.listen.address.0.clone(),
            proxy_addresses: file.listen.proxy_addresses().to_vec(),
            proxies: file.listen.proxies(),
            max_clients: file.listen.max_clients,
            max_handshakes: file.listen.max_handshakes,
            client_login_timeout: file.timeouts.client_login_timeout.0,
            tls: tls::for_clients(file, sources, problems),
        },
        http: file
            .http
            .as_ref()
            .map(|typed| http(typed, sources, problems)),
        runtime: runtime(&file.runtime),
        auth: file.auth.method,
        certs: certs::map(file, problems),
        hba: hba(file, sources, problems),
        guard: abuse::terms(file, problems),
        auth_query: auth_query::auth_query(file, sources, problems),
        tokens: tokens::tokens(file, sources, problems).map(Arc::new),
        log: log(&file.log, sources.directory()),
        traces: file.traces.as_ref().and_then(traces),
        databases,
        users: users(file, sources, problems),
        tenant: tenant.map(|policy| Arc::new(policy.with_accounts(Arc::clone(&accounts)))),
        accounts,
        notice_after: file
            .limits
            .as_ref()
            .and_then(|limits| limits.notice_after.0),
        tenants_query: limits::tenants_query(file, sources, problems),
        max_tenants: file.metrics.max_tenants,
        console: file.console.as_ref().map(console).unwrap_or_default(),
        listing: listing::listing(file),
        tenancy: tenants::fingerprint(file),
        warnings: Vec::new(),
    }
}

pub(super) fn runtime(typed: &file::Runtime) -> Runtime {
    Runtime {
        workers: typed.workers.unwrap_or_else(cores),
        spread: typed.spread,
    }
}

fn http(typed: &file::Http, sources: &Sources<'_>, problems: &mut Problems<'_>) -> Http {
    let mut secret = |key: &str, hidden: Option<&Hidden>| {
        let read = sources.read(hidden?);
        let text = read.and_then(|text| match text.as_str() {
            "" => Err("must not be empty: leave it out, and nothing is asked for".to_owned()),
            _ => Ok(text),
        });
        let text = text
            .map_err(|error| problems.key("http", key, error))
            .ok()?;
        Some(Password::new(text.as_bytes()))
    };
    Http {
        address: typed.address,
        password: secret("password", typed.password.as_ref()),
        token: secret("token", typed.token.as_ref()),
    }
}

/// Logging; relative paths start in `directory`.
pub(super) fn log(typed: &file::Log, directory: &Path) -> Log {
    let audit_file = typed.audit_file.as_ref();
    Log {
        level: typed.level.clone(),
        format: typed.format,
        connections: typed.connections,
        slow_after: typed.slow_after.0,
        slow_statements: typed.slow_statements,
        audit: typed.audit,
        audit_file: audit_file.map(|path| directory.join(path)),
    }
}

/// Spans; nothing without a place to send them to, which `check` notes.
fn traces(typed: &file::Traces) -> Option<Traces> {
    Some(Traces {
        endpoint: typed.endpoint.clone()?,
        sample: typed.sample,
        service_name: typed.service_name.clone(),
    })
}

fn console(typed: &file::Console) -> Console {
    Console {
        admin_users: typed.admin_users.clone(),
        stats_users: typed.stats_users.clone(),
    }
}

/// The cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn database(
    name: &str,
    typed: &file::Database,
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<Database> {
    let section = format!("databases.{}", quoted(name));
    let url = sources
        .read(typed.url.as_ref()?)
        .and_then(|url| DatabaseUrl::parse(&url));
    let url = url
        .map_err(|error| problems.key(&section, "url", error))
        .ok()?;
    for ignored in &url.ignored {
        let text = format!(
            "url in [{section}] has {ignored}, which has no effect: servers are told the client's own"
        );
        problems.warn(&section, "url", text);
    }
    if file.auth.method.takes_tokens() && url.password.is_none() {
        let text = format!(
            "url in [{section}] has no password: a client's token does not open the server, which must let pgusher in without one"
        );
        problems.warn(&section, "url", text);
    }
    let mut timeouts = file.timeouts.with(&typed.timeouts);
    if let (Some(timeout), None) = (url.connect_timeout, typed.timeouts.server_connect_timeout) {
        timeouts.server_connect_timeout = timeout.0;
    }
    let upstream = upstream(url, sources)
        .map_err(|error| problems.key(&section, "url", error))
        .ok()?;
    Some(with_upstream(upstream, typed, file, timeouts))
}

/// The server that a URL describes.
pub(super) fn upstream(url: DatabaseUrl, sources: &Sources<'_>) -> Result<Upstream, String> {
    let tls = match &url.address {
        Address::Tcp(..) => tls::for_server(&url.tls, sources)?,
        Address::Unix(_) => ServerTls::NONE,
    };
    let password = url
        .password
        .map(|password| Secret::parse(&password))
        .transpose();
    Ok(Upstream {
        address: url.address,
        user: url.user,
        password: password
            .map_err(|error| format!("has a password that cannot be used: {error}"))?,
        database: url.database,
        tls: Arc::new(tls),
    })
}

/// A database with the settings that were typed for it.
pub(super) fn with_upstream(
    upstream: Upstream,
    typed: &file::Database,
    file: &File,
    timeouts: Timeouts,
) -> Database {
    let reserve = typed.reserve_pool_timeout;
    let unlimited = file::Limits::default();
    let limits = file.limits.as_ref().unwrap_or(&unlimited);
    Database {
        upstream,
        pool_mode: typed.pool_mode,
        server_reset: typed.server_reset,
        // A reset forgets what was parsed.
        plan_reuse: typed.plan_reuse && typed.server_reset != ServerReset::Always,
        pins: PinRules {
            allowed: typed.pinning == Pinning::On,
            most: typed.max_pinned.0,
            most_of_tenant: file.tenant.as_ref().and_then(|tenant| tenant.max_pinned.0),
        },
        pool: PoolSizes {
            pool_size: typed.pool_size,
            min_pool_size: typed.min_pool_size,
            // Off means that no wait is long enough to use the reserve (G4).
            reserve_pool_size: if reserve == Timeout::OFF {
                0
            } else {
                typed.reserve_pool_size
            },
            reserve_pool_timeout: reserve.0.unwrap_or(Duration::ZERO),
            max_waiting: typed.max_waiting.0.unwrap_or(file.listen.max_clients),
            max_connecting: typed.max_connecting,
            spare_servers: typed.spare_servers.unwrap_or(typed.pool_size / 5),
            fair: limits.fairness,
            adaptive: limits.adaptive,
        },
        application_name: typed.application_name.clone(),
        announce: typed.announce,
        max_db_connections: typed.max_db_connections.0,
        max_clients: typed.max_clients.0,
        timeouts,
    }
}

fn users(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, User> {
    let mut users = BTreeMap::new();
    for (name, typed) in &file.users {
        let section = format!("users.{}", quoted(name));
        let text = typed
            .password
            .as_ref()
            .map(|hidden| sources.read(hidden))
            .transpose();
        let secret = text.and_then(|text| {
            let secret = text.map(|text| Secret::parse(&text)).transpose();
            secret.map_err(|error| format!("cannot be used: {error}"))
        });
        let user = User {
            secret: secret
                .map_err(|error| problems.key(&section, "password", error))
                .ok()
                .flatten(),
            bypass: typed.bypass,
            pool_mode: typed.pool_mode,
            pool_size: typed.pool_size,
            max_clients: typed.max_clients.0,
        };
        users.insert(name.clone(), user);
    }
    add_userlist(file, sources, problems, &mut users);
    let md5: Vec<&str> = users
        .iter()
        .filter(|(_, user)| matches!(user.secret, Some(Secret::Md5(_))))
        .map(|(name, _)| name.as_str())
        .collect();
    if file.auth.method == AuthMethod::Scram && file.auth.hba.is_none() && !md5.is_empty() {
        let text = format!(
            r#"users stored as MD5 hashes cannot log in with method = "scram-sha-256": {}"#,
            some_of(&md5)
        );
        problems.warn("auth", "method", text);
    }
    users
}

/// The rules; nothing if there are none, or if one is wrong, which is noted.
fn hba(file: &File, sources: &Sources<'_>, problems: &mut Problems<'_>) -> Option<Arc<hba::Rules>> {
    let path = file.auth.hba.as_ref()?;
    let text = sources.file(path, MAX_HBA_BYTES);
    let text = text
        .map_err(|error| problems.key("auth", "hba", error))
        .ok()?;
    let beside = path.parent().unwrap_or_else(|| Path::new(""));
    let mut other = |name: &Path| sources.file(&beside.join(name), MAX_HBA_BYTES);
    match hba::Rules::parse(&text, &mut other) {
        Ok(rules) => {
            let all = file.listen.address.0.iter();
            let mut all = all.chain(file.listen.proxy_addresses());
            let strangers = all.find(|it| !is_local(it));
            if let (Some(line), Some(address)) = (rules.trusts_strangers(), strangers) {
                let text = format!(
                    "line {line} of {} lets everybody in who can reach {address}, under any name",
                    path.display()
                );
                problems.warn("auth", "hba", text);
            }
            let tls = file.listen.tls.as_ref();
            let has_ca = tls.is_some_and(|tls| tls.client_ca.is_some());
            if let (Some(line), false) = (rules.asks_for_certificates(), has_ca) {
                let text = format!(
                    "line {line} of {} wants a client's certificate, and nobody can have a good one: \
                     [listen.tls] has no client_ca",
                    path.display()
                );
                problems.warn("auth", "hba", text);
            }
            let tokens = [AuthMethod::Jwt, AuthMethod::Oauth];
            if file.auth.jwt.is_none() && tokens.into_iter().any(|it| rules.has(it)) {
                let text = "asks for tokens, and [auth.jwt] does not say what they must be like";
                problems.key("auth", "hba", text);
            }
            Some(Arc::new(rules))
        }
        Err(mistakes) => {
            for mistake in mistakes {
                let text = format_args!("cannot be used: {}: {mistake}", path.display());
                problems.key("auth", "hba", text);
            }
            None
        }
    }
}

/// Adds the users of the list to those of the file. A password has one home: two are a mistake.
fn add_userlist(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
    users: &mut BTreeMap<String, User>,
) {
    let Some(path) = &file.auth.userlist else {
        return;
    };
    let listed = sources.file(path, MAX_USERLIST_BYTES).and_then(|text| {
        userlist::parse(&text)
            .map_err(|error| format!("cannot be used: {}: {error}", path.display()))
    });
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => return problems.key("auth", "userlist", error),
    };
    for (name, secret) in listed {
        let user = users.entry(name.clone()).or_default();
        if user.secret.is_some() {
            let text = format_args!("names the user {name:?}, who has a password already");
            problems.key("auth", "userlist", text);
            continue;
        }
        user.secret = secret;
    }
}

/// The first few names: a line is to be read, and a user list may be long.
fn some_of(names: &[&str]) -> String {
    const MOST: usize = 5;
    let shown = names
        .iter()
        .take(MOST)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
