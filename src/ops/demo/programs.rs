//! Where PostgreSQL's programs are, and who runs them.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Says where the programs are, above all else. The Makefile sets it to what `scripts/postgres.sh` found.
const VARIABLE: &str = "PGUSHER_PG_BIN";

/// Where distributions keep one directory for each version.
const SHELVES: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// The user that packages create for the server.
const SERVER_USER: &str = "postgres";

/// The user that owns nothing, on every system.
const NOBODY: (u32, u32) = (65534, 65534);

/// The directory that holds `postgres` and `initdb`.
pub(super) fn find() -> Result<PathBuf, String> {
    if let Some(given) = env::var_os(VARIABLE).filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        return match has_server(&given) {
            true => Ok(given),
            false => Err(format!(
                "{VARIABLE}={} holds no postgres and initdb",
                given.display()
            )),
        };
    }
    let shelved = SHELVES
        .iter()
        .find_map(|(shelf, prefix)| newest(Path::new(shelf), prefix));
    shelved
        .or_else(from_pg_config)
        .or_else(from_path)
        .ok_or_else(|| {
            format!(
                "no PostgreSQL server programs were found: install the postgresql package, \
             run `make demo`, or set {VARIABLE} to the directory of `postgres` and `initdb`"
            )
        })
}

fn has_server(dir: &Path) -> bool {
    ["postgres", "initdb"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

/// The newest version in a directory of `15/bin`, `18/bin` (or `pgsql-15/bin`).
fn newest(shelf: &Path, prefix: &str) -> Option<PathBuf> {
    let versions = fs::read_dir(shelf).ok()?.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let version: u32 = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
        let dir = entry.path().join("bin");
        has_server(&dir).then_some((version, dir))
    });
    versions
        .max_by_key(|(version, _)| *version)
        .map(|(_, dir)| dir)
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    has_server(&dir).then_some(dir)
}

fn from_path() -> Option<PathBuf> {
    let path: OsString = env::var_os("PATH")?;
    env::split_paths(&path).find(|dir| has_server(dir))
}

/// Whom the server is to run as, as user and group: PostgreSQL refuses to be root. `None` is whoever we are.
pub(super) fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(user_in(&known, SERVER_USER).unwrap_or(NOBODY))
}

/// The numbers of a user and its group, out of the lines of `/etc/passwd`.
fn user_in(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let (user, group) = (fields.nth(1)?, fields.next()?);
    Some((user.parse().ok()?, group.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:104:106::/var:/bin/sh\n";
        assert_eq!(user_in(passwd, "postgres"), Some((104, 106)));
        assert_eq!(user_in(passwd, "post"), None);
        assert_eq!(user_in("postgres:x", "postgres"), None);
    }
}
