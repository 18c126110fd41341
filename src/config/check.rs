//! What is well formed and still makes no sense, each with the reason why it is refused.

use std::net::IpAddr;

use super::file::{Database, File, User};
use super::problems::{Problems, quoted};
use super::settings::{Address, AuthMethod, CONSOLES};
use super::{abuse, certs, check_limits, tokens};

/// Notes what cannot work, and warns of what is probably not meant.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let listen = &file.listen;
    let bounded = "must be at least 1: everything that can grow has a limit";
    at_least_one(
        problems,
        "listen",
        "max_clients",
        listen.max_clients,
        bounded,
    );
    at_least_one(
        problems,
        "listen",
        "max_handshakes",
        listen.max_handshakes,
        bounded,
    );
    abuse::check_proxy(listen, problems);
    let workers = file.runtime.workers.unwrap_or(1);
    at_least_one(
        problems,
        "runtime",
        "workers",
        workers,
        "must be at least 1: somebody must relay",
    );

    if file.databases.is_empty() {
        problems.at(
            "databases",
            "",
            "no database is configured: add [databases.NAME] with a url",
        );
    }
    for (name, database) in &file.databases {
        check_database(&format!("databases.{}", quoted(name)), database, problems);
    }
    for (name, user) in &file.users {
        check_user(&format!("users.{}", quoted(name)), user, problems);
    }
    check_auth(file, problems);
    certs::check(file, problems);
    tokens::check(file, problems);
    check_console(file, problems);
    check_limits::check(file, problems);
    if file.traces.as_ref().is_some_and(|it| it.endpoint.is_none()) {
        problems.at("traces", "", "[traces] needs an endpoint");
    }
    if file.log.audit_file.is_some() && !file.log.audit {
        problems.warn(
            "log",
            "audit_file",
            "audit_file in [log] has no use with audit = false",
        );
    }
}

fn at_least_one(problems: &mut Problems<'_>, section: &str, key: &str, number: usize, text: &str) {
    if number == 0 {
        problems.key(section, key, text);
    }
}

fn check_database(section: &str, database: &Database, problems: &mut Problems<'_>) {
    if database.url.is_none() && !problems.has(section, "url") {
        problems.at(section, "", format_args!("[{section}] has no url"));
    }
    let useless = "must be at least 1: a pool without servers serves nobody";
    at_least_one(problems, section, "pool_size", database.pool_size, useless);
    let stuck = "must be at least 1: a pool that opens no server serves nobody";
    at_least_one(
        problems,
        section,
        "max_connecting",
        database.max_connecting,
        stuck,
    );
    let most = database.pool_size;
    if database.min_pool_size > most {
        problems.key(
            section,
            "min_pool_size",
            format_args!("must be at most pool_size, which is {most}"),
        );
    }
    if database
        .spare_servers
        .is_some_and(|spare| spare >= most.max(1))
    {
        let text = format_args!("must be less than pool_size, which is {most}");
        problems.key(section, "spare_servers", text);
    }
    if let Some(all) = database.max_db_connections.0 {
        if database.min_pool_size > all {
            let text = format!("must be at most max_db_connections, which is {all}");
            problems.key(section, "min_pool_size", text);
        } else if most > all {
            let text = format!(
                "pool_size in [{section}] is {most}, but max_db_connections allows only {all} over all pools"
            );
            problems.warn(section, "max_db_connections", text);
        }
    }
}

fn check_user(section: &str, user: &User, problems: &mut Problems<'_>) {
    let useless = "must be at least 1: a pool without servers serves nobody";
    at_least_one(
        problems,
        section,
        "pool_size",
        user.pool_size.unwrap_or(1),
        useless,
    );
}

fn check_auth(file: &File, problems: &mut Problems<'_>) {
    if file.auth.hba.is_some() {
        // Whether anybody needs a password, the rules say.
    } else if file.auth.method == AuthMethod::Trust {
        for address in file
            .listen
            .address
            .0
            .iter()
            .chain(file.listen.proxy_addresses())
            .filter(|address| !is_local(address))
        {
            let text = format!(
                r#"method = "trust" in [auth] lets everybody in who can reach {address}, under any name"#
            );
            problems.warn("auth", "method", text);
        }
    } else if !file.auth.method.takes_tokens()
        && file.auth.userlist.is_none()
        && file.auth.query.is_none()
        && file.users.values().all(|user| user.password.is_none())
    {
        problems.warn(
            "users",
            "",
            "no user has a password, so nobody can log in: add [users.NAME]",
        );
    }
}

/// A console that nobody can come to.
fn check_console(file: &File, problems: &mut Problems<'_>) {
    let Some(console) = &file.console else {
        return;
    };
    for (key, users) in [
        ("admin_users", &console.admin_users),
        ("stats_users", &console.stats_users),
    ] {
        // The list of users in a file is not at hand here.
        let is_known = |name: &String| {
            let user = file.users.get(name);
            let elsewhere = file.auth.userlist.is_some() || file.auth.query.is_some();
            elsewhere || user.is_some_and(|user| user.password.is_some())
        };
        let method = file.auth.method;
        let asked =
            method != AuthMethod::Trust && !method.takes_tokens() && file.auth.hba.is_none();
        if let Some(unknown) = users.iter().find(|user| asked && !is_known(user)) {
            let text = format!(
                "{key} in [console] names {unknown:?}, who cannot log in: no password stands in [users.{}]",
                quoted(unknown)
            );
            problems.warn("console", key, text);
        }
    }
    let somebody = !console.admin_users.is_empty() || !console.stats_users.is_empty();
    if somebody
        && CONSOLES
            .iter()
            .all(|name| file.databases.contains_key(*name))
    {
        let text = "[console] cannot be reached: databases have both of its names";
        problems.warn("console", "", text);
    }
}

/// Only processes of this machine can reach it.
pub(super) fn is_local(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp(host, _) => {
            host == "localhost" || host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
        }
    }
}
