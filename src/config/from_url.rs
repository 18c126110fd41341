//! The configuration of `pgusher serve` with nothing but `DATABASE_URL`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::auth::{Secret, certificate_map::CertificateMap};

use super::ConfigErrors;
use super::abuse;
use super::file::{self, File};
use super::problems::Problems;
use super::resolve::{log, runtime, upstream, with_upstream};
use super::secret::Sources;
use super::settings::{AuthMethod, Config, Console, Listen, Upstream, User};
use super::url::DatabaseUrl;

/// One upstream, under the name of its database and under any other name; for this machine only,
/// because nobody has said who else may come.
pub(super) fn from_database_url(text: &str) -> Result<Config, ConfigErrors> {
    let origin = Path::new("DATABASE_URL");
    let wrong = |error: String| ConfigErrors::one(origin, format!("the URL {error}"));
    let url = DatabaseUrl::parse(text).map_err(wrong)?;
    let mut warnings: Vec<String> = url
        .ignored
        .iter()
        .map(|it| format!("DATABASE_URL: {it} has no effect: servers are told the client's own"))
        .collect();

    let file = File::default();
    let mut timeouts = file.timeouts.with(&file::Overrides::default());
    if let Some(timeout) = url.connect_timeout {
        timeouts.server_connect_timeout = timeout.0;
    }
    let users = users(&url).map_err(wrong)?;
    // As psql has it: relative paths in a URL start where the program was started.
    let sources = Sources::new(Path::new(""), &|_| None);
    let upstream = upstream(url, &sources).map_err(wrong)?;
    let auth = if upstream.password.is_some() {
        AuthMethod::Scram
    } else {
        AuthMethod::Trust
    };
    if auth == AuthMethod::Trust {
        warnings.push(
            "DATABASE_URL: the URL has no password, so everybody on this machine is let in"
                .to_owned(),
        );
    }
    let database = |upstream| {
        with_upstream(
            upstream,
            &file::Database::default(),
            &file,
            timeouts.clone(),
        )
    };
    let any = Upstream {
        database: None,
        ..upstream.clone()
    };
    let mut databases = BTreeMap::from([("*".to_owned(), database(any))]);
    if let Some(name) = upstream.database.clone() {
        databases.insert(name, database(upstream));
    }
    Ok(Config {
        listen: Listen {
            addresses: file.listen.address.0.clone(),
            proxy_addresses: Vec::new(),
            proxies: Vec::new(),
            max_clients: file.listen.max_clients,
            max_handshakes: file.listen.max_handshakes,
            client_login_timeout: file.timeouts.client_login_timeout.0,
            tls: None,
        },
        http: None,
        runtime: runtime(&file.runtime),
        auth,
        certs: CertificateMap::default(),
        tokens: None,
        log: log(&file.log, Path::new("")),
        traces: None,
        databases,
        users,
        tenant: None,
        accounts: Arc::default(),
        notice_after: None,
        tenants_query: None,
        auth_query: None,
        guard: abuse::terms(&file, &mut Problems::new("")),
        hba: None,
        console: Console::default(),
        max_tenants: file.metrics.max_tenants,
        listing: Vec::new(),
        tenancy: 0,
        warnings,
    })
}

/// Who may log in here: the user of the URL, with the same password as there.
fn users(url: &DatabaseUrl) -> Result<BTreeMap<String, User>, String> {
    let Some(name) = url.user.clone() else {
        return Ok(BTreeMap::new());
    };
    let secret = url.password.as_deref().map(Secret::parse).transpose();
    let secret = secret.map_err(|error| format!("has a password that cannot be used: {error}"))?;
    Ok(BTreeMap::from([(
        name,
        User {
            secret,
            ..User::default()
        },
    )]))
}
