//! `[tenant]`, `[tenants]` and settings for transactions: what they become, and what is refused.

use super::*;
use crate::tenant::{Policy, Source};

fn policy(typed: &str) -> std::sync::Arc<Policy> {
    let config = parse(&format!("{APP}{typed}")).unwrap();
    config.tenant.unwrap()
}

/// The settings of a tenant in a tier.
fn extras(policy: &Policy, id: &str, tier: &str) -> String {
    let id = policy.format.id(id.as_bytes()).unwrap();
    let extras = policy.extras(&id, tier);
    let shown = extras
        .iter()
        .map(|it| format!("{}='{}';", it.name(), it.value()));
    shown.collect()
}

#[test]
fn without_the_section_there_are_no_tenants() {
    assert!(parse(APP).unwrap().tenant.is_none());
    let text = format!("{APP}bypass = true\n[tenants.acme]\n[limits.settings]\njit = false\n");
    assert_eq!(
        warnings(&text),
        [
            "it.toml:5: bypass in [users.app] has no effect without [tenant]",
            "it.toml:6: [tenants] has no effect without [tenant]",
            "it.toml:7: settings in [limits] have no effect without [tenant]",
        ]
    );
}

#[test]
fn an_empty_section_has_defaults() {
    let policy = policy("[tenant]\n");
    use Source::{Comment, Set, Startup, User};
    assert_eq!(policy.setting.as_str(), "app.tenant_id");
    let sources: Vec<Source> = policy.sources.iter().collect();
    assert_eq!(sources, [User, Startup, Set, Comment]);
    assert!(policy.required && policy.protect);
    assert_eq!(
        (policy.user_separator.as_str(), policy.comment_key.as_str()),
        (".", "tenant_id")
    );
    assert_eq!(extras(&policy, "acme", "default"), "");
    assert!(policy.format.id(b"acme").is_ok());
}

#[test]
fn everything_can_be_given() {
    let policy = policy(
        r#"bypass = true
        [tenant]
        setting = "Shop.Tenant"
        format = { pattern = "t[0-9]+" }
        sources = ["comment", "user"]
        required = false
        protect = false
        user_separator = "+"
        comment_key = "tenant"
        "#,
    );
    assert_eq!(policy.setting.as_str(), "shop.tenant");
    assert_eq!(format!("{:?}", policy.sources), "[User, Comment]");
    assert!(!policy.required && !policy.protect);
    assert_eq!(
        (policy.user_separator.as_str(), policy.comment_key.as_str()),
        ("+", "tenant")
    );
    assert!(policy.format.id(b"t1").is_ok() && policy.format.id(b"x1").is_err());
}

#[test]
fn settings_go_from_the_general_to_the_particular() {
    let policy = policy(
        r#"
        [tenant.settings]
        statement_timeout = "30s"
        lock_timeout = "off"
        "app.region" = "eu"
        [limits]
        settings = { statement_timeout = "20s", work_mem = "4MB" }
        [limits.tiers.gold]
        settings = { work_mem = "64MB", max_parallel_workers_per_gather = 4, app.plan = "gold" }
        [tenants.acme]
        tier = "gold"
        [tenants.globex]
        tier = "gold"
        settings = { Work_Mem = "1GB", jit = false, hash_mem_multiplier = 1.5 }
        [tenants.initech]
        settings.search_path = "initech, public"
        "#,
    );
    let general = "lock_timeout='0'";
    assert_eq!(
        extras(&policy, "nobody", "default"),
        format!("app.region='eu';{general};statement_timeout='20s';work_mem='4MB';")
    );
    assert_eq!(
        extras(&policy, "acme", "gold"),
        format!(
            "app.plan='gold';app.region='eu';{general};max_parallel_workers_per_gather='4';\
             statement_timeout='20s';work_mem='64MB';"
        )
    );
    assert_eq!(
        extras(&policy, "globex", "gold"),
        format!(
            "app.plan='gold';app.region='eu';hash_mem_multiplier='1.5';jit='off';{general};\
             max_parallel_workers_per_gather='4';statement_timeout='20s';work_mem='1GB';"
        )
    );
    assert_eq!(
        extras(&policy, "initech", "default"),
        format!(
            "app.region='eu';{general};search_path='initech, public';statement_timeout='20s';\
             work_mem='4MB';"
        )
    );
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    let many: Vec<String> = (0..16).map(|nth| format!("app.s{nth} = {nth}\n")).collect();
    for (typed, expected) in [
        (
            "[tenant]\nformat = \"uuid\"\n[tenants.acme]\n".to_owned(),
            r#"7: [tenants.acme]: "acme" is not a tenant's id. A tenant's id is a UUID here, without braces."#,
        ),
        (
            "[tenant]\nformat = \"uuid\"\n[tenants.0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b]\n\
             [tenants.0B5C2F6E-8A4D-4B6B-9F0A-1C2D3E4F5A6B]\n"
                .to_owned(),
            "7: [tenants.0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b] is tenant \
             0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b, which another section is already",
        ),
        (
            format!("[tenant.settings]\n{}", many.concat()),
            "5: [tenant.settings]: 16 settings for each transaction are too many: 15 at most",
        ),
        (
            format!("[tenant]\n[tenants.a.settings]\n{}", many.concat()),
            "6: [tenants.a]: 16 settings for each transaction are too many: 15 at most",
        ),
        (
            format!("[tenant]\n[limits.tiers.gold.settings]\n{}", many.concat()),
            "6: [limits.tiers.gold]: 16 settings for each transaction are too many: 15 at most",
        ),
        (
            // Nobody is in that tier yet.
            format!(
                "[tenant]\n[tenants.a.settings]\n{}[limits.tiers.gold.settings]\njit = true\n",
                many[1..].concat()
            ),
            "6: [tenants.a]: 16 settings for each transaction in tier \"gold\" are too many: 15 at most",
        ),
        (
            "[tenant.settings]\njit = true\nJIT = true\n".to_owned(),
            "6: jit in [tenant.settings] is given twice",
        ),
        (
            "[tenant.settings]\n\"app.a\" = 1\napp.a = 2\n".to_owned(),
            "6: app.a in [tenant.settings] is given twice",
        ),
        (
            "[tenant]\n[limits.tiers.gold.settings]\nApp.Tenant_ID = 1\n".to_owned(),
            "7: app.tenant_id in [limits.tiers.gold.settings] is the tenant's own setting, which nothing else gives a value",
        ),
        (
            "[tenant]\n[tenants.a]\nsetting = {}\n".to_owned(),
            "7: unknown key \"setting\" in [tenants.a]; did you mean \"settings\"?",
        ),
        (
            "[tenant]\n[users.b]\nsources = []\n".to_owned(),
            "7: unknown key \"sources\" in [users.b]",
        ),
    ] {
        let found = errors(&format!("{APP}{typed}"));
        assert_eq!(found, [format!("it.toml:{expected}")], "{typed}");
    }
}

#[test]
fn an_open_setting_is_warned_of() {
    let text = format!("{APP}[tenant]\nsources = [\"user\"]\nprotect = false\n");
    assert_eq!(
        warnings(&text),
        [
            "it.toml:7: protect = false in [tenant] lets every client set app.tenant_id to any tenant, unchecked"
        ]
    );
}

// J2
#[test]
fn a_seal_needs_a_good_key_and_a_setting_of_its_own() {
    let key = "0123456789abcdef0123456789abcdef";
    let sealed = policy(&format!("[tenant]\n[tenant.seal]\nkey = \"{key}\"\n"));
    let sealer = sealed.sealer().unwrap();
    assert_eq!(sealer.setting().as_str(), "app.tenant_seal");
    assert!(policy("[tenant]\n").sealer().is_none());
    for (typed, wrong) in [
        ("", "it.toml:6: [tenant.seal] needs a key"),
        (
            "key = \"0123456789abcdef0123456789abcde\"",
            "it.toml:7: key in [tenant.seal] must have at least 32 bytes: `openssl rand -hex 32` \
             prints a good one",
        ),
        (
            "key = \"0123456789abcdef0123456789abcdef\"\nsetting = \"app.tenant_id\"",
            "it.toml:8: setting in [tenant.seal] must not be the setting of the id",
        ),
        (
            "key = \"0123456789abcdef0123456789abcdef\"\n[tenant.settings]\n\"app.tenant_seal\" = \"x\"",
            "it.toml:9: app.tenant_seal in [tenant.settings] is the setting of the seal, which \
             nothing else gives a value",
        ),
    ] {
        let text = format!("{APP}[tenant]\n[tenant.seal]\n{typed}\n");
        let said = errors(&text).join("\n");
        assert_eq!(said, wrong);
    }
}
