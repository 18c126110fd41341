//! What makes no sense about tiers, who is in them, and the query for tenants.

use super::duration::Timeout;
use super::file::{File, TenantsQuery};
use super::problems::{Problems, nearest, quoted};
use super::schema::below;
use super::settings::Unknown;
use crate::limit::{Rules, Terms, Tier, tier};

/// Notes what cannot work, and warns of what is probably not meant.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let section = below("limits.tiers", tier::DEFAULT);
    if problems.has(&section, "") {
        let name = tier::DEFAULT;
        let text = format!("[{section}] cannot be: {name:?} is the tier that [limits] describes");
        problems.at(&section, "", text);
    }
    check_names(file, problems);
    check_users(file, problems);
    check_unknown(file, problems);
    if let Some(query) = &file.tenants_query {
        check_query(query, problems);
    }
}

/// Tenants and users that are put into a tier that does not exist.
fn check_names(file: &File, problems: &mut Problems<'_>) {
    let limits = file.limits.iter();
    let tiers: Vec<&str> = limits
        .flat_map(|limits| limits.tiers.keys().map(String::as_str))
        .chain([tier::DEFAULT])
        .collect();
    let tenants = file.tenants.iter();
    let tenants = tenants.map(|(name, it)| (format!("tenants.{}", quoted(name)), &it.tier));
    let users = file.users.iter();
    let users = users.map(|(name, it)| (format!("users.{}", quoted(name)), &it.tier));
    for (section, tier) in tenants.chain(users) {
        let Some(tier) = tier.as_deref().filter(|tier| !tiers.contains(tier)) else {
            continue;
        };
        let meant = nearest(tier, tiers.iter().copied());
        let meant = meant.map(|tier| format!("; did you mean {tier:?}?"));
        let meant = meant.unwrap_or_default();
        let text = format_args!("names no section of [limits.tiers]{meant}");
        problems.key(&section, "tier", text);
    }
}

/// A user's tier counts for what it does without a tenant.
fn check_users(file: &File, problems: &mut Problems<'_>) {
    if !file.tenant.as_ref().is_some_and(|tenant| tenant.required) {
        return;
    }
    let users = file.users.iter();
    for (name, _) in users.filter(|(_, user)| user.tier.is_some() && !user.bypass) {
        let section = format!("users.{}", quoted(name));
        let text = format!(
            "tier in [{section}] has no effect: this user always works for a tenant, whose tier counts"
        );
        problems.warn(&section, "tier", text);
    }
}

fn check_unknown(file: &File, problems: &mut Problems<'_>) {
    let Some(tenant) = &file.tenant else { return };
    let nobody = file.tenants.is_empty() && file.tenants_query.is_none();
    if tenant.unknown == Some(Unknown::Refuse) && nobody {
        let text = r#"unknown = "refuse" in [tenant] refuses every tenant: there are no [tenants] and there is no [tenants_query]"#;
        problems.warn("tenant", "unknown", text);
    }
}

fn check_query(query: &TenantsQuery, problems: &mut Problems<'_>) {
    let section = "tenants_query";
    if query.url.is_none() && !problems.has(section, "url") {
        problems.at(section, "", "[tenants_query] has no url");
    }
    match &query.query {
        None if !problems.has(section, "query") => {
            problems.at(section, "", "[tenants_query] has no query");
        }
        Some(text) if !asks_for_one(text) => {
            let text = "must ask for one tenant, whose id is $1";
            problems.key(section, "query", text);
        }
        _ => {}
    }
    never_off(
        section,
        &[
            ("ttl", query.ttl, "what has changed would never be seen"),
            (
                "negative_ttl",
                query.negative_ttl,
                "a tenant that is new would never be seen",
            ),
            (
                "timeout",
                query.timeout,
                "a silent database would hold up tenants for ever",
            ),
        ],
        problems,
    );
}

/// Times that must be some, and why.
pub(super) fn never_off(
    section: &str,
    times: &[(&str, Timeout, &str)],
    problems: &mut Problems<'_>,
) {
    for (key, timeout, reason) in times {
        if timeout.0.is_none() {
            problems.key(section, key, format_args!("must not be off: {reason}"));
        }
    }
}

/// Whether `$1`, and not only `$10`, is in the text.
pub(super) fn asks_for_one(query: &str) -> bool {
    let mut behind = query.split("$1").skip(1);
    behind.any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// A burst without a rate limits nothing: `terms` is what stands in the section, `tier` is what it
/// comes to.
pub(super) fn check_bursts(section: &str, terms: &Terms, tier: &Tier, problems: &mut Problems<'_>) {
    for (rate, burst, limit, pace) in [
        (
            "transactions_per_second",
            "burst",
            tier.transactions,
            terms.transactions,
        ),
        (
            "server_time_per_second",
            "server_time_burst",
            tier.server_time,
            terms.server_time,
        ),
        ("bytes_per_second", "bytes_burst", tier.bytes, terms.bytes),
        (
            "connections_per_second",
            "connection_burst",
            tier.connections,
            terms.connections,
        ),
    ] {
        if limit.is_none() && pace.burst.is_some_and(|burst| burst > 0) {
            problems.key(section, burst, format_args!("has no use without {rate}"));
        }
    }
}

/// Warns where tenants with a name have been promised all servers of a pool: others would wait
/// for as long as these are there.
pub(super) fn check_promises(file: &File, rules: &Rules, problems: &mut Problems<'_>) {
    let promised: usize = rules.tenants.values().map(|it| it.share.min_servers).sum();
    for (name, database) in &file.databases {
        let size = database.pool_size;
        if promised > 0 && promised >= size {
            let section = format!("databases.{}", quoted(name));
            let text = format!(
                "min_servers of all [tenants] are {promised} servers, and pool_size in [{section}] is {size}: nothing may be left for others"
            );
            problems.warn(&section, "pool_size", text);
        }
    }
}
