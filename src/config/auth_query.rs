//! `[auth.query]`: users that are looked up in a database.

use super::check_limits::{asks_for_one, never_off};
use super::duration::Timeout;
use super::file::File;
use super::limits::own_upstream;
use super::problems::Problems;
use super::schema::section;
use super::secret::{Hidden, Sources};
use super::settings::{AuthMethod, Query};

/// Who may log in and is not past it (A3), without a function to set up. The names have their
/// schema, and the parameter is text, so that a name that is too long is not cut to somebody's (A2).
const USUAL: &str = "SELECT rolpassword FROM pg_catalog.pg_authid \
     WHERE rolname = $1::pg_catalog.text AND rolcanlogin \
     AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())";

section! {
    /// Users that neither `[users]` gives a password nor the `userlist` are looked up in a database,
    /// when they first come and again after a while. `docs/authentication.md` has the SQL for it.
    AuthQuery {
        /// The database: `postgres://user:password@host:port/database`. Its user needs no more
        /// than the right to run the query.
        url: Option<Hidden> = None, unset "must be given" example r#""postgres://pgusher_auth:secret@127.0.0.1:5432/postgres""#;
        /// The query, with the user's name as `$1`. It gives the secret as PostgreSQL stores it
        /// (`rolpassword`), or the user's name and the secret. No row, NULL or an empty secret: there
        /// is no such user. It runs with an empty `search_path`: write names with their schema.
        query: Option<String> = None, unset "`rolpassword` from `pg_authid`, for roles that may log in and are valid" example r#""SELECT secret FROM pgusher.secret_of($1)""#;
        /// How long an answer holds before it is asked for again.
        ttl: Timeout = Timeout::secs(60);
        /// How long it holds that there is no such user. After a wrong password an answer that is
        /// older than this is asked for again, too.
        negative_ttl: Timeout = Timeout::secs(10);
        /// How much longer an answer is used while the query fails. Off: no longer.
        max_stale: Timeout = Timeout::secs(3600);
        /// Longest time for connecting and for one answer.
        timeout: Timeout = Timeout::secs(2);
    }
}

/// The query, if it is complete. What is wrong is noted.
pub(super) fn auth_query(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<Query> {
    let section = "auth.query";
    let typed = file.auth.query.as_ref()?;
    if typed.url.is_none() && !problems.has(section, "url") {
        problems.at(section, "", "[auth.query] has no url");
    }
    if typed
        .query
        .as_deref()
        .is_some_and(|text| !asks_for_one(text))
    {
        let text = "must ask for one user, whose name is $1";
        problems.key(section, "query", text);
    }
    never_off(
        section,
        &[
            (
                "ttl",
                typed.ttl,
                "a password that has changed would never be seen",
            ),
            (
                "negative_ttl",
                typed.negative_ttl,
                "a user that is new would never be seen",
            ),
            (
                "timeout",
                typed.timeout,
                "a silent database would hold up logins for ever",
            ),
        ],
        problems,
    );
    if file.auth.method == AuthMethod::Trust && file.auth.hba.is_none() {
        let text = r#"[auth.query] has no effect with method = "trust""#;
        problems.warn(section, "", text);
    }
    Some(Query {
        upstream: own_upstream(section, typed.url.as_ref()?, sources, problems)?,
        query: typed.query.clone().unwrap_or_else(|| USUAL.to_owned()),
        ttl: typed.ttl.0?,
        negative_ttl: typed.negative_ttl.0?,
        max_stale: typed.max_stale.0.unwrap_or_default(),
        timeout: typed.timeout.0?,
    })
}
