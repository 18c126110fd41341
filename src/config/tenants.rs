//! From `[tenant]`, `[tenants]` and the settings of tiers to the policy that sessions ask.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::extras::Extras;
use super::file::{File, Tenant};
use super::problems::{Problems, quoted};
use super::sealing;
use super::secret::Sources;
use crate::tenant::{Extra, Policy, Source, TenantId, context::MAX_EXTRAS};

/// The longest separator that anybody would type.
const MAX_SEPARATOR_BYTES: usize = 8;

/// What PostgreSQL would allow for a name.
const MAX_KEY_BYTES: usize = 63;

/// Whether tenants may be named in this way.
pub(super) fn is_source(file: &File, source: Source) -> bool {
    let tenant = file.tenant.as_ref();
    tenant.is_some_and(|tenant| tenant.sources.0.contains(&source))
}

/// The policy; `None` if there is no `[tenant]`. What is wrong is noted.
pub(super) fn policy(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<Policy> {
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
    policy.sni_domain.clone_from(&tenant.sni_domain);
    own_setting(file, tenant, problems);
    let some = extras_of(file, tenant, problems);
    too_many(file, tenant, problems);
    let policy = policy.with_extras(extras_for_all(file, tenant), some);
    let policy = policy.with_tiers(extras_in(file));
    Some(match sealing::sealer(tenant, sources, problems) {
        Some(sealer) => policy.with_sealer(sealer),
        None => policy,
    })
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

/// The names of the tenants' settings and the form of their ids: what cannot change under those who
/// are in.
pub(super) fn fingerprint(file: &File) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(tenant) = &file.tenant {
        let seal = sealing::setting(tenant);
        format!("{:?} {:?} {seal:?}", tenant.setting, tenant.format).hash(&mut hasher);
    }
    hasher.finish()
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
    let seal = sealing::setting(tenant);
    for (section, settings) in given {
        if settings.0.contains_key(tenant.setting.as_str()) {
            let text = "is the tenant's own setting, which nothing else gives a value";
            problems.key(&section, tenant.setting.as_str(), text);
        }
        if let Some(seal) = seal.as_ref().map(|seal| seal.as_str())
            && settings.0.contains_key(seal)
        {
            let text = "is the setting of the seal, which nothing else gives a value";
            problems.key(&section, seal, text);
        }
    }
}

/// The tenants that are named, each with its own settings.
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
        if some.insert(id.clone(), list(&one.settings)).is_some() {
            let text = format!("[{section}] is tenant {id}, which another section is already");
            problems.at(&section, "", text);
        }
    }
    some
}

/// The settings that hold for every tenant: those of the default tier override the others.
fn extras_for_all(file: &File, tenant: &Tenant) -> Vec<Extra> {
    let mut all = tenant.settings.0.clone();
    if let Some(limits) = &file.limits {
        all.extend(limits.default.settings.0.clone());
    }
    list(&Extras(all))
}

/// The settings of each tier but the default one.
fn extras_in(file: &File) -> HashMap<String, Vec<Extra>> {
    let tiers = file.limits.iter().flat_map(|limits| &limits.tiers);
    tiers
        .map(|(name, tier)| (name.clone(), list(&tier.settings)))
        .collect()
}

fn list(settings: &Extras) -> Vec<Extra> {
    settings.0.values().cloned().collect()
}

/// Too many settings for a transaction: of every tenant, of a tier, or of a tenant in any tier,
/// because it may come to be in another one while the program runs.
fn too_many(file: &File, tenant: &Tenant, problems: &mut Problems<'_>) {
    let default = file.limits.as_ref().map(|limits| &limits.default.settings);
    let count = |tier: Option<&Extras>, own: Option<&Extras>| {
        let layers = [Some(&tenant.settings), default, tier, own];
        let names = layers
            .into_iter()
            .flatten()
            .flat_map(|layer| layer.0.keys());
        names.collect::<BTreeSet<_>>().len()
    };
    let mut refuse = |section: &str, tier: &str, count: usize| {
        let text = format!(
            "[{section}]: {count} settings for each transaction{tier} are too many: {MAX_EXTRAS} at most"
        );
        problems.at(section, "", text);
    };
    let all = count(None, None);
    if all > MAX_EXTRAS {
        return refuse("tenant.settings", "", all);
    }
    let tiers = || file.limits.iter().flat_map(|limits| &limits.tiers);
    for (name, tier) in tiers() {
        let number = count(Some(&tier.settings), None);
        if number > MAX_EXTRAS {
            return refuse(&format!("limits.tiers.{}", quoted(name)), "", number);
        }
    }
    for (name, one) in &file.tenants {
        let alone = (count(None, Some(&one.settings)), String::new());
        let in_tiers = tiers().map(|(tier, it)| {
            let number = count(Some(&it.settings), Some(&one.settings));
            (number, format!(" in tier {tier:?}"))
        });
        let worst = std::iter::once(alone).chain(in_tiers);
        if let Some((number, tier)) = worst.into_iter().find(|(number, _)| *number > MAX_EXTRAS) {
            refuse(&format!("tenants.{}", quoted(name)), &tier, number);
        }
    }
}
