//! From `[tenant]`, `[tenants]` and the settings of tiers to the policy that sessions ask.

use std::collections::{BTreeMap, HashMap};

use super::extras::Extras;
use super::file::{File, OneTenant, Tenant};
use super::problems::{Problems, quoted};
use crate::tenant::{Extra, Policy, Source, TenantId, context::MAX_EXTRAS};

/// The longest separator that anybody would type.
const MAX_SEPARATOR_BYTES: usize = 8;

/// What PostgreSQL would allow for a name.
const MAX_KEY_BYTES: usize = 63;

/// The policy; `None` if there is no `[tenant]`. What is wrong is noted.
pub(super) fn policy(file: &File, problems: &mut Problems<'_>) -> Option<Policy> {
    let Some(tenant) = &file.tenant else {
        without_tenants(file, problems);
        return None;
    };
    check(tenant, problems);
    let mut policy = Policy::new(tenant.setting.clone(), tenant.format.clone());
    policy.sources = tenant.sources.0.iter().copied().collect();
    policy.required = tenant.required;
    policy.protect = tenant.protect;
    policy.user_separator.clone_from(&tenant.user_separator);
    policy.comment_key.clone_from(&tenant.comment_key);
    let all = merged(file, tenant, None);
    too_many(&all, "tenant.settings", problems);
    own_setting(file, tenant, problems);
    let some = extras_of(file, tenant, problems);
    Some(policy.with_extras(all, some))
}

/// What is about tenants and has no meaning where there are none.
fn without_tenants(file: &File, problems: &mut Problems<'_>) {
    if !file.tenants.is_empty() {
        problems.warn("tenants", "", "[tenants] has no effect without [tenant]");
    }
    let names = file.users.iter().filter(|(_, user)| user.bypass);
    for (name, _) in names {
        let section = format!("users.{}", quoted(name));
        let text = format!("bypass in [{section}] has no effect without [tenant]");
        problems.warn(&section, "bypass", text);
    }
    if let Some(limits) = &file.limits {
        let tiers = limits.tiers.values();
        let mut all = std::iter::once(&limits.default).chain(tiers);
        if all.any(|tier| !tier.settings.0.is_empty()) {
            let text = "settings in [limits] have no effect without [tenant]";
            problems.warn("limits", "", text);
        }
    }
}

fn check(tenant: &Tenant, problems: &mut Problems<'_>) {
    let separator = &tenant.user_separator;
    let sound = !separator.is_empty()
        && separator.len() <= MAX_SEPARATOR_BYTES
        && separator.bytes().all(|byte| byte.is_ascii_punctuation());
    if !sound {
        let text = format_args!(
            r#"must be one to {MAX_SEPARATOR_BYTES} punctuation characters, as "." or "+""#
        );
        problems.key("tenant", "user_separator", text);
    }
    let key = &tenant.comment_key;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(plain) {
        let text = format_args!(
            r#"must be a word of letters, digits, "_", "-" and ".", of at most {MAX_KEY_BYTES} bytes"#
        );
        problems.key("tenant", "comment_key", text);
    }
    if !tenant.protect && !tenant.sources.0.contains(&Source::Set) {
        let text = format!(
            "protect = false in [tenant] lets every client set {} to any tenant, unchecked",
            tenant.setting
        );
        problems.warn("tenant", "protect", text);
    }
}

/// The tenant's own setting is not for `settings` to give.
fn own_setting(file: &File, tenant: &Tenant, problems: &mut Problems<'_>) {
    let mut given = vec![("tenant.settings".to_owned(), &tenant.settings)];
    if let Some(limits) = &file.limits {
        given.push(("limits.settings".to_owned(), &limits.default.settings));
        for (name, tier) in &limits.tiers {
            let section = format!("limits.tiers.{}.settings", quoted(name));
            given.push((section, &tier.settings));
        }
    }
    for (name, one) in &file.tenants {
        let section = format!("tenants.{}.settings", quoted(name));
        given.push((section, &one.settings));
    }
    for (section, settings) in given {
        if settings.0.contains_key(tenant.setting.as_str()) {
            let text = "is the tenant's own setting, which nothing else gives a value";
            problems.key(&section, tenant.setting.as_str(), text);
        }
    }
}

/// The settings of each tenant that is named.
fn extras_of(
    file: &File,
    tenant: &Tenant,
    problems: &mut Problems<'_>,
) -> HashMap<TenantId, Vec<Extra>> {
    let mut some = HashMap::new();
    for (name, one) in &file.tenants {
        let section = format!("tenants.{}", quoted(name));
        let id = match tenant.format.id(name.as_bytes()) {
            Ok(id) => id,
            Err(not) => {
                let text = format!("[{section}]: {not}. {}", not.rule());
                problems.at(&section, "", text);
                continue;
            }
        };
        let extras = merged(file, tenant, Some(one));
        too_many(&extras, &section, problems);
        if some.insert(id.clone(), extras).is_some() {
            let text = format!("[{section}] is tenant {id}, which another section is already");
            problems.at(&section, "", text);
        }
    }
    some
}

/// The settings that hold for a tenant: from the general to the particular, the last one counts.
fn merged(file: &File, tenant: &Tenant, one: Option<&OneTenant>) -> Vec<Extra> {
    let default = file.limits.as_ref().map(|limits| &limits.default.settings);
    let tier = one
        .and_then(|one| one.tier.as_ref())
        .zip(file.limits.as_ref())
        .and_then(|(tier, limits)| limits.tiers.get(tier))
        .map(|tier| &tier.settings);
    let own = one.map(|one| &one.settings);
    let mut merged: BTreeMap<&str, &Extra> = BTreeMap::new();
    for Extras(settings) in [Some(&tenant.settings), default, tier, own]
        .into_iter()
        .flatten()
    {
        merged.extend(settings.iter().map(|(name, extra)| (name.as_str(), extra)));
    }
    merged.into_values().cloned().collect()
}

fn too_many(extras: &[Extra], section: &str, problems: &mut Problems<'_>) {
    let count = extras.len();
    if count > MAX_EXTRAS {
        let text = format!(
            "[{section}]: {count} settings for each transaction are too many: {MAX_EXTRAS} at most"
        );
        problems.at(section, "", text);
    }
}
