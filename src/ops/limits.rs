//! What the operating system allows the process: open files, of which each connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::config::Config;

/// Files that are no connection of a client or a pool: listeners, the workers' own, logs, cancel
/// requests and logins under way.
const OTHERS: usize = 100;

/// Raises the soft limit on open files to the hard one, and warns if that is not enough (H3).
pub fn raise_file_limit(config: &Config) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => {
                info!(from = ?before, to = ?limit.maximum, "the limit on open files is raised")
            }
            Err(error) => {
                limit.current = before;
                warn!(%error, "the limit on open files cannot be raised");
            }
        }
    }
    let needed = files_needed(config);
    // `None` is no limit.
    let allowed = limit
        .current
        .map(|files| usize::try_from(files).unwrap_or(usize::MAX));
    if let Some(allowed) = allowed.filter(|allowed| *allowed < needed) {
        warn!(
            allowed,
            needed,
            "fewer files may be open than max_clients and the pools can need: raise the limit (ulimit -n, LimitNOFILE)"
        );
    }
}

/// Every client, one pool of each database at its largest, and the rest. How many users will have
/// a pool of their own nobody knows beforehand.
fn files_needed(config: &Config) -> usize {
    let pools = config.databases.values().map(|database| {
        let largest = database.pool.pool_size + database.pool.reserve_pool_size;
        database.max_db_connections.unwrap_or(largest)
    });
    config.listen.max_clients + pools.sum::<usize>() + OTHERS
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn needed(text: &str) -> usize {
        let config = Config::parse(text, Path::new("it.toml"), &|_| None).expect("it is right");
        files_needed(&config)
    }

    #[test]
    fn clients_pools_and_the_rest_are_added_up() {
        // H3
        let listen = "[listen]\nmax_clients = 1000\n";
        let a = "[databases.a]\nurl = \"postgres://db\"\npool_size = 20\nreserve_pool_size = 5\n";
        let b = "[databases.b]\nurl = \"postgres://db\"\nmax_db_connections = 50\n";
        assert_eq!(needed(&format!("{listen}{a}{b}")), 1000 + 25 + 50 + 100);
    }
}
