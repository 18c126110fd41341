//! From `[tenant.seal]` to what seals the tenants' ids.

use super::file::Tenant;
use super::problems::Problems;
use super::schema::section;
use super::secret::{Hidden, Sources};
use crate::tenant::{
    SettingName,
    seal::{Key, MIN_KEY_BYTES, Sealer, usual_setting},
};

section! {
    /// A seal beside the id, which SQL cannot forge: with the policies that `pgusher policy
    /// --sealed` prints, a client that can run any SQL still sees no other tenant's rows.
    /// `docs/tenants.md` explains what it takes.
    Seal {
        /// The key, which the database knows too: at least 32 bytes that nobody can guess.
        key: Option<Hidden> = None, unset "must be given" example r#"{ file = "seal.key" }"#;
        /// The setting that has the seal.
        setting: Option<SettingName> = None, unset "the tenant's, with `seal` in the place of `id`" example r#""app.tenant_seal""#;
    }
}

/// The setting that has the seal: as typed, or as it follows from the tenant's.
pub(super) fn setting(tenant: &Tenant) -> Option<SettingName> {
    let typed = tenant.seal.as_ref()?.setting.clone();
    typed.or_else(|| usual_setting(&tenant.setting).ok())
}

/// What seals; what is wrong is noted.
pub(super) fn sealer(
    tenant: &Tenant,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<Sealer> {
    const SECTION: &str = "tenant.seal";
    let seal = tenant.seal.as_ref()?;
    let setting = setting(tenant);
    match &setting {
        None => problems.key(
            SECTION,
            "setting",
            "must be given: tenant.setting is too long",
        ),
        Some(setting) if *setting == tenant.setting => {
            problems.key(SECTION, "setting", "must not be the setting of the id");
        }
        Some(_) => {}
    }
    let Some(hidden) = &seal.key else {
        problems.at(SECTION, "", "[tenant.seal] needs a key");
        return None;
    };
    let key = sources.read(hidden).and_then(|secret| {
        let secret = zeroize::Zeroizing::new(secret);
        Key::new(secret.as_bytes()).ok_or_else(|| {
            format!(
                "must have at least {MIN_KEY_BYTES} bytes: `openssl rand -hex 32` prints a good one"
            )
        })
    });
    match key {
        Ok(key) => Some(Sealer::new(setting?, key)),
        Err(error) => {
            problems.key(SECTION, "key", error);
            None
        }
    }
}
