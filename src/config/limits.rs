//! From `[limits]`, and who is in which tier, to the rules of accounts; and `[tenants_query]`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::check_limits::{check_bursts, check_promises};
use super::duration::Timeout;
use super::file::{self, File};
use super::problems::Problems;
use super::resolve::upstream;
use super::schema::below;
use super::secret::{Hidden, Sources};
use super::settings::{Query, TenantsQuery, Unknown, Upstream};
use super::size::Size;
use super::url::DatabaseUrl;
use super::value::Limit;
use crate::limit::{Pace, Rules, Terms, Tier, tier};
use crate::tenant::TenantId;

/// Long enough to even out what comes at once, too short for a user to notice.
const MAX_DELAY: Duration = Duration::from_millis(50);

/// Who may use what. What is wrong is noted.
pub(super) fn rules(file: &File, problems: &mut Problems<'_>) -> Rules {
    let base = Tier {
        max_delay: Some(MAX_DELAY),
        ..Tier::default()
    };
    let Some(limits) = &file.limits else {
        return listed(file, Arc::new(base), BTreeMap::new());
    };
    let default = Arc::new(resolved(&base, &limits.default, "limits", problems));
    let mut tiers = BTreeMap::new();
    for (name, typed) in &limits.tiers {
        let tier = Tier {
            name: name.as_str().into(),
            meter: Arc::default(),
            ..resolved(&default, typed, &below("limits.tiers", name), problems)
        };
        tiers.insert(name.clone(), Arc::new(tier));
    }
    let rules = listed(file, default, tiers);
    check_promises(file, &rules, problems);
    rules
}

/// What is typed in a section, after the tier that it inherits from.
fn resolved(base: &Tier, typed: &file::Tier, section: &str, problems: &mut Problems<'_>) -> Tier {
    if let Some(Err(error)) = typed.weight.map(tier::weight) {
        problems.key(section, "weight", error);
    }
    let terms = terms(typed);
    match base.with(&terms) {
        Ok(tier) => {
            check_bursts(section, &terms, &tier, problems);
            tier
        }
        Err(error) => {
            problems.key(section, "min_servers", error);
            base.clone()
        }
    }
}

fn terms(typed: &file::Tier) -> Terms {
    let number = |limit: Limit| limit.0.unwrap_or(0);
    let count = |limit: Option<Limit>| limit.map(|limit| number(limit) as u64);
    let time = |timeout: Timeout| timeout.0.unwrap_or_default();
    let nanos = |timeout: Option<Timeout>| timeout.map(|timeout| tier::nanos(time(timeout)));
    let bytes = |size: Option<Size>| size.map(|size| size.0.unwrap_or(0));
    Terms {
        transactions: Pace {
            per_second: count(typed.transactions_per_second),
            burst: typed.burst.map(|burst| burst as u64),
        },
        server_time: Pace {
            per_second: nanos(typed.server_time_per_second),
            burst: nanos(typed.server_time_burst),
        },
        bytes: Pace {
            per_second: bytes(typed.bytes_per_second),
            burst: bytes(typed.bytes_burst),
        },
        connections: Pace {
            per_second: count(typed.connections_per_second),
            burst: typed.connection_burst.map(|burst| burst as u64),
        },
        max_delay: typed.max_delay.map(time),
        max_servers: typed.max_servers.map(number),
        min_servers: typed.min_servers,
        max_waiting: typed.max_waiting.map(number),
        max_clients: typed.max_clients.map(number),
        // One that is none has been complained about.
        weight: typed.weight.and_then(|weight| tier::weight(weight).ok()),
    }
}

/// Tenants and users are put into their tiers.
fn listed(file: &File, default: Arc<Tier>, tiers: BTreeMap<String, Arc<Tier>>) -> Rules {
    let mut rules = Rules {
        default,
        tiers,
        ..Rules::default()
    };
    let mut users = HashMap::new();
    for (name, user) in &file.users {
        if let Some(tier) = user.tier.as_ref().and_then(|tier| rules.tier(tier)) {
            users.insert(name.clone(), Arc::clone(tier));
        }
    }
    rules.users = users;
    if let Some(tenant) = &file.tenant {
        rules.only_listed = tenant.unknown == Some(Unknown::Refuse) && file.tenants_query.is_none();
        rules.tenants = tenants(file, tenant, &rules);
    }
    rules
}

fn tenants(file: &File, tenant: &file::Tenant, rules: &Rules) -> HashMap<TenantId, Arc<Tier>> {
    let tier = |one: &file::OneTenant| {
        let own = one.tier.as_ref().and_then(|tier| rules.tier(tier));
        Arc::clone(own.unwrap_or(&rules.default))
    };
    // Names that are no ids are complained about where the policy is made.
    let id = |name: &str| tenant.format.id(name.as_bytes()).ok();
    let listed = file.tenants.iter();
    listed
        .filter_map(|(name, one)| Some((id(name)?, tier(one))))
        .collect()
}

/// The query for tenants, if it is complete. What is wrong is noted.
pub(super) fn tenants_query(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<TenantsQuery> {
    let section = "tenants_query";
    let typed = file.tenants_query.as_ref()?;
    let Some(tenant) = &file.tenant else {
        let text = "[tenants_query] has no effect without [tenant]";
        problems.warn(section, "", text);
        return None;
    };
    let query = Query {
        upstream: own_upstream(section, typed.url.as_ref()?, sources, problems)?,
        query: typed.query.clone()?,
        ttl: typed.ttl.0?,
        negative_ttl: typed.negative_ttl.0?,
        max_stale: typed.max_stale.0.unwrap_or_default(),
        timeout: typed.timeout.0?,
    };
    Some(TenantsQuery {
        query,
        refuses_unknown: tenant.unknown != Some(Unknown::Accept),
    })
}

/// A server that pgusher asks in its own name.
pub(super) fn own_upstream(
    section: &str,
    url: &Hidden,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<Upstream> {
    let url = sources.read(url).and_then(|url| DatabaseUrl::parse(&url));
    let url = url
        .map_err(|error| problems.key(section, "url", error))
        .ok()?;
    // There is no client here whose name could be taken.
    if url.user.is_none() || url.database.is_none() {
        let text = "must name a user and a database: postgres://user:password@host/database";
        problems.key(section, "url", text);
        return None;
    }
    let timeout = url.connect_timeout.map(|_| "connect_timeout");
    for ignored in url.ignored.iter().copied().chain(timeout) {
        let text = format!("url in [{section}] has {ignored}, which has no effect");
        problems.warn(section, "url", text);
    }
    upstream(url, sources)
        .map_err(|error| problems.key(section, "url", error))
        .ok()
}
