//! Sources, precedence and conflicts; what is rendered for a tenant; which settings are accepted.

use std::{collections::HashMap, sync::Arc};

use super::*;
use crate::error::Error;
use crate::error::Kind;

fn policy() -> Policy {
    Policy::new(SettingName::new("app.tenant_id").unwrap(), Format::Text)
}

fn with(sources: &[Source]) -> Policy {
    let mut policy = policy();
    policy.sources = sources.iter().copied().collect();
    policy
}

/// The error as a client reads it, on one line.
fn told(error: &Error) -> String {
    let hint = error.hint.as_deref().unwrap_or_default();
    format!("{} {} | {hint}", error.kind.code(), error.message)
}

fn pairs(settings: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    settings
        .iter()
        .map(|(name, value)| (bytes(name), bytes(value)))
        .collect()
}

fn of_user(suffix: Option<&str>) -> Vec<(Source, &str)> {
    suffix
        .map(|suffix| (Source::User, suffix))
        .into_iter()
        .collect()
}

/// `id source` of what the connection says, then the settings that are left.
fn connect(
    policy: &Policy,
    suffix: Option<&str>,
    settings: &[(&str, &str)],
) -> Result<String, String> {
    let connection = policy.of_connection(&of_user(suffix), pairs(settings));
    let connection = connection.map_err(|error| told(&error))?;
    let mut said = show(connection.tenant.as_ref());
    for (name, value) in &connection.settings {
        said += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
    }
    Ok(said)
}

fn show(known: Option<&Known>) -> String {
    known.map_or_else(
        || "none".to_owned(),
        |known| format!("{} {}", known.id(), known.source.as_str()),
    )
}

// J8, J9
#[test]
fn places_before_the_startup_message_must_agree_and_the_strongest_counts() {
    use Source::{Cert, Jwt, Sni, User};
    let mut policy = policy();
    policy.sources = Source::ALL.into_iter().collect();
    let id = |named: &[(Source, &str)], settings: &[(&str, &str)]| {
        let connection = policy.of_connection(named, pairs(settings));
        connection
            .map_err(|error| error.kind)
            .map(|it| show(it.tenant.as_ref()))
    };
    assert_eq!(
        id(&[(User, "acme"), (Cert, "acme")], &[]),
        Ok("acme cert".to_owned())
    );
    assert_eq!(
        id(
            &[(Jwt, "acme"), (Sni, "acme")],
            &[("app.tenant_id", "acme")]
        ),
        Ok("acme jwt".to_owned())
    );
    for (one, other) in [(Jwt, Cert), (Cert, Sni), (Sni, User), (Jwt, User)] {
        for named in [
            [(one, "acme"), (other, "globex")],
            [(other, "globex"), (one, "acme")],
        ] {
            assert_eq!(id(&named, &[]), Err(Kind::TenantConflict), "{named:?}");
        }
    }
    assert_eq!(
        id(&[(Jwt, "acme")], &[("app.tenant_id", "globex")]),
        Err(Kind::TenantConflict)
    );
    assert_eq!(id(&[(Sni, "")], &[]), Err(Kind::TenantInvalid));
}

#[test]
fn a_place_that_is_no_source_is_not_looked_at() {
    let named = [(Source::Sni, "db"), (Source::User, "acme")];
    let connection = policy()
        .of_connection(&named, Vec::new())
        .expect("one tenant");
    assert_eq!(show(connection.tenant.as_ref()), "acme user");
}

#[test]
fn a_user_name_is_cut_behind_a_user() {
    let users = ["app", "app.b", "a.b"];
    let is_user = |name: &str| users.contains(&name);
    let mut policy = policy();
    for (typed, cut) in [
        ("app", ("app", None)),
        ("app.acme", ("app", Some("acme"))),
        ("app.acme.example.com", ("app", Some("acme.example.com"))),
        // The longest user, so that `app` cannot be had with the tenant `b.acme`.
        ("app.b", ("app.b", None)),
        ("app.b.acme", ("app.b", Some("acme"))),
        ("app.bc", ("app", Some("bc"))),
        ("a.b.c", ("a.b", Some("c"))),
        ("app.", ("app", Some(""))),
        // Nobody's: the first separator that leaves a name.
        ("x.y.z", ("x", Some("y.z"))),
        (".y.z", (".y", Some("z"))),
        (".y", (".y", None)),
        ("x", ("x", None)),
    ] {
        assert_eq!(policy.split_user(typed, is_user), cut, "{typed}");
    }
    policy.user_separator = "+".to_owned();
    assert_eq!(policy.split_user("a.b+c", is_user), ("a.b", Some("c")));
    policy.user_separator = "__".to_owned();
    assert_eq!(policy.split_user("app__c", is_user), ("app", Some("c")));
    policy.sources = [Source::Startup].into_iter().collect();
    assert_eq!(policy.split_user("app__c", is_user), ("app__c", None));
}

#[test]
fn a_connection_names_its_tenant() {
    let policy = policy();
    let own = ("App.Tenant_ID", "acme");
    let other = ("application_name", "shop");
    for (suffix, settings, said) in [
        (None, &[other][..], "none application_name=shop"),
        (Some("acme"), &[other], "acme user application_name=shop"),
        (None, &[own, other], "acme startup application_name=shop"),
        // J8: the same twice is no contradiction, and the stronger source stands.
        (Some("acme"), &[own], "acme user"),
        // The last of several counts, as for PostgreSQL.
        (None, &[("app.tenant_id", "x"), own], "acme startup"),
        (None, &[("app.tenant_id", "")], "none"),
        (Some("acme"), &[("app.tenant_id", "")], "acme user"),
    ] {
        assert_eq!(connect(&policy, suffix, settings), Ok(said.to_owned()));
    }
}

// J8
#[test]
fn a_connection_that_contradicts_itself_is_refused() {
    let rule = r#"A tenant's id consists of letters A-Z and a-z, digits, "_", ".", ":" and "-"."#;
    for (suffix, settings, error) in [
        (
            Some("acme"),
            &[("app.tenant_id", "globex")][..],
            "28000 the user name names tenant \"acme\", and the startup message names \"globex\" | \
             What names a tenant must name the same one."
                .to_owned(),
        ),
        (
            Some(""),
            &[],
            "22023 \"\" is not a tenant's id | A tenant's id is not empty.".to_owned(),
        ),
        (
            Some("a'b"),
            &[],
            format!(r#"22023 "a\'b" is not a tenant's id | {rule}"#),
        ),
        (
            None,
            &[("app.tenant_id", "a b")],
            format!(r#"22023 "a b" is not a tenant's id | {rule}"#),
        ),
    ] {
        assert_eq!(connect(&policy(), suffix, settings), Err(error));
    }
    // What is no source is not ignored: somebody believes in it.
    let error = connect(
        &with(&[Source::User, Source::Set]),
        None,
        &[("app.tenant_id", "acme")],
    );
    let text = "42501 permission denied to set parameter \"app.tenant_id\" | \
                Tenants are not taken from the startup message here (sources: user, set).";
    assert_eq!(error, Err(text.to_owned()));
}

// J8, J9: every pair of sources, with the same tenant and with another.
#[test]
fn sources_confirm_or_contradict_each_other() {
    let policy = policy();
    let known = |id: &[u8], source| Known {
        context: policy.context(&policy.format.id(id).unwrap()).unwrap(),
        source,
    };
    for first in Source::ALL {
        for second in Source::ALL {
            let old = known(b"acme", first);
            let same = policy.combine(Some(&old), known(b"acme", second)).unwrap();
            let stronger = first.min(second);
            assert_eq!(same, known(b"acme", stronger), "{first:?} {second:?}");

            let other = policy.combine(Some(&old), known(b"globex", second));
            let code = match (first, second) {
                (Source::Set, Source::Set) => "globex set",
                // A statement against something that statements do not decide.
                (_, Source::Set) if first < Source::Set => "42501",
                _ => "28000",
            };
            let found = other.map(|it| show(Some(&it)));
            let found = found.unwrap_or_else(|error| error.kind.code().to_owned());
            assert_eq!(found, code, "{first:?} {second:?}");
        }
    }
    let new = known(b"acme", Source::Comment);
    assert_eq!(policy.combine(None, new.clone()), Ok(new));
}

#[test]
fn a_transaction_keeps_its_tenant() {
    let policy = policy();
    let set = |id: &[u8]| policy.from_set(id).unwrap().unwrap();
    assert_eq!(policy.in_transaction(&set(b"acme"), &set(b"acme")), Ok(()));
    let error = policy
        .in_transaction(&set(b"acme"), &set(b"globex"))
        .unwrap_err();
    assert_eq!(
        told(&error),
        "25001 the transaction belongs to tenant \"acme\", and SET names \"globex\" | \
         A transaction has one tenant: end it before you name another one."
    );
}

#[test]
fn an_empty_value_names_nobody() {
    let policy = policy();
    assert_eq!(policy.from_set(b""), Ok(None));
    assert_eq!(policy.from_comment(b""), Ok(None));
    assert!(policy.from_set(b" ").is_err());
    let known = policy.from_comment(b"acme").unwrap();
    assert_eq!(show(known.as_ref()), "acme comment");
}

// J2
#[test]
fn the_setting_is_protected() {
    let denied = "42501 permission denied to set parameter \"app.tenant_id\"";
    let mut policy = policy();
    let by_user = policy
        .of_connection(&[(Source::User, "acme")], Vec::new())
        .unwrap()
        .tenant;
    let by_set = policy.from_set(b"acme").unwrap();
    let error = policy.may_set(by_user.as_ref(), false).unwrap_err();
    let hint =
        "This session's tenant comes from the user name and cannot be changed by a statement.";
    assert_eq!(told(&error), format!("{denied} | {hint}"));
    assert_eq!(policy.may_set(by_set.as_ref(), false), Ok(()));
    assert_eq!(policy.may_set(None, false), Ok(()));

    // Who has no tenant does not make one up where that is not a source.
    policy.sources = [Source::User].into_iter().collect();
    let error = policy.may_set(None, false).unwrap_err();
    let hint = "Tenants are not taken from SET here (sources: user).";
    assert_eq!(told(&error), format!("{denied} | {hint}"));
    assert_eq!(policy.may_set(None, true), Ok(()));
    policy.protect = false;
    assert_eq!(policy.may_set(by_user.as_ref(), false), Ok(()));
    assert_eq!(policy.may_set(None, false), Ok(()));
}

// J6, J17
#[test]
fn who_can_never_have_a_tenant_hears_it_at_once() {
    let mut policy = with(&[Source::User, Source::Startup]);
    let tenant = policy
        .of_connection(&[(Source::User, "acme")], Vec::new())
        .unwrap()
        .tenant;
    assert_eq!(policy.at_login(tenant.as_ref(), false), Ok(()));
    assert_eq!(policy.at_login(None, true), Ok(()));
    let error = policy.at_login(None, false).unwrap_err();
    assert_eq!(
        told(&error),
        "28000 no tenant is known for this transaction | The tenant can be given by a user name \
         such as app.TENANT, or by options=-c app.tenant_id=TENANT in the connection's parameters."
    );
    policy.required = false;
    assert_eq!(policy.at_login(None, false), Ok(()));
    let policy = with(&[Source::Set, Source::Comment]);
    assert_eq!(policy.at_login(None, false), Ok(()));
    assert_eq!(
        told(&policy.missing()),
        "28000 no tenant is known for this transaction | The tenant can be given by \
         SET app.tenant_id = 'TENANT', or by a comment /* tenant_id='TENANT' */."
    );
}

fn rendered(extras: &[(&str, &str)]) -> Arc<Context> {
    let extras = extras
        .iter()
        .map(|(name, value)| Extra::new(name, value).unwrap());
    let policy = policy().with_extras(extras.collect(), HashMap::new());
    policy.context(&policy.format.id(b"acme").unwrap()).unwrap()
}

// J1, J4
#[test]
fn a_context_is_text_and_parameters() {
    let context = rendered(&[]);
    assert_eq!(context.prefix(), br#"SET LOCAL "app"."tenant_id"='acme';"#);
    assert_eq!(
        context.session_prefix(),
        br#"SET "app"."tenant_id"='acme';"#
    );
    assert_eq!(context.session_suffix(), br#"RESET "app"."tenant_id";"#);
    assert_eq!(
        context.statement(),
        "SELECT pg_catalog.set_config($1,$2,true)"
    );
    assert_eq!(
        context.bind_tail(),
        b"\0\0\0\x02\0\0\0\x0dapp.tenant_id\0\0\0\x04acme\0\0"
    );
    assert_eq!(context.sets(), 1);

    let context = rendered(&[("Lock_Timeout", "5s"), ("search_path", "Acme, \"$user\"")]);
    assert_eq!(
        context
            .prefix()
            .escape_ascii()
            .to_string()
            .replace(r"\'", "'")
            .replace("\\\"", "\""),
        r#"SET LOCAL "app"."tenant_id"='acme';SET LOCAL "lock_timeout"='5s';SET LOCAL "search_path"='acme','$user';"#
    );
    assert_eq!(
        context.statement(),
        "SELECT pg_catalog.set_config($1,$2,true),pg_catalog.set_config($3,$4,true),\
         pg_catalog.set_config($5,$6,true)"
    );
    let tail = b"\0\0\0\x0bsearch_path\0\0\0\x0dacme, \"$user\"\0\0";
    assert!(
        context.bind_tail().ends_with(tail),
        "{:?}",
        context.bind_tail()
    );
    assert!(context.bind_tail().starts_with(b"\0\0\0\x06"));
    assert_eq!(context.sets(), 3);
}

// A17: under either setting of standard_conforming_strings.
#[test]
fn values_stay_inside_their_quotes() {
    let context = rendered(&[("a.b", r"x'; DROP --\'")]);
    let text = std::str::from_utf8(context.prefix()).unwrap();
    assert!(
        text.ends_with(r#"SET LOCAL "a"."b"=E'x''; DROP --\\''';"#),
        "{text}"
    );
}

#[test]
fn tenants_with_settings_of_their_own_have_those() {
    let extra = |value| vec![Extra::new("work_mem", value).unwrap()];
    let id = Format::Text.id(b"acme").unwrap();
    let policy = policy().with_extras(extra("1MB"), HashMap::from([(id.clone(), extra("9MB"))]));
    let prefix = |id: &TenantId| {
        policy
            .context(id)
            .unwrap()
            .prefix()
            .escape_ascii()
            .to_string()
    };
    assert!(
        prefix(&id).ends_with(r#""work_mem\"=\'9MB\';"#),
        "{}",
        prefix(&id)
    );
    let other = Format::Text.id(b"globex").unwrap();
    assert!(
        prefix(&other).ends_with(r#""work_mem\"=\'1MB\';"#),
        "{}",
        prefix(&other)
    );
}

#[test]
fn settings_of_a_tier_stand_between_those_for_all_and_a_tenants_own() {
    let extra = |(name, value): &(&str, &str)| Extra::new(name, value).unwrap();
    let extras = |typed: &[(&str, &str)]| typed.iter().map(extra).collect::<Vec<_>>();
    let id = |text: &[u8]| Format::Text.id(text).unwrap();
    let all = extras(&[("work_mem", "1MB"), ("lock_timeout", "1s"), ("app.a", "1")]);
    let gold = extras(&[("work_mem", "2MB"), ("lock_timeout", "2s"), ("jit", "off")]);
    let own = extras(&[("work_mem", "3MB")]);
    let policy = policy()
        .with_extras(all, HashMap::from([(id(b"acme"), own)]))
        .with_tiers(HashMap::from([("gold".to_owned(), gold)]));
    let shown = |tenant: &[u8], tier: &str| {
        let extras = policy.extras(&id(tenant), tier);
        let shown = extras
            .iter()
            .map(|it| format!("{}={}", it.name(), it.value()));
        shown.collect::<Vec<_>>().join(" ")
    };
    let general = "app.a=1 lock_timeout=1s work_mem=";
    assert_eq!(shown(b"globex", "default"), format!("{general}1MB"));
    assert_eq!(shown(b"acme", "default"), format!("{general}3MB"));
    assert_eq!(shown(b"acme", "no such tier"), format!("{general}3MB"));
    let gold = "app.a=1 jit=off lock_timeout=2s work_mem=";
    assert_eq!(shown(b"globex", "gold"), format!("{gold}2MB"));
    assert_eq!(shown(b"acme", "gold"), format!("{gold}3MB"));
}

// J14
#[test]
fn contexts_are_shared_and_bounded() {
    let policy = policy();
    let set = |id: &str| policy.from_set(id.as_bytes()).unwrap().unwrap();
    let kept = set("acme");
    assert!(Arc::ptr_eq(&kept.context, &set("acme").context));
    for nth in 0..10_000 {
        set(&format!("made-up-{nth}"));
    }
    assert!(
        policy.known_contexts() <= 1024,
        "{}",
        policy.known_contexts()
    );
    assert!(Arc::ptr_eq(&kept.context, &set("acme").context));
    let many: Vec<Known> = (0..3000).map(|nth| set(&format!("held-{nth}"))).collect();
    assert!(policy.known_contexts() >= many.len());
    assert!(policy.known_contexts() <= 2 * many.len() + 1024);
}

#[test]
fn names_of_settings() {
    for name in ["app.tenant_id", "App.Tenant", "a.b.c", "_a._1"] {
        let read = SettingName::new(name).map(|name| name.as_str().to_owned());
        assert_eq!(read, Ok(name.to_ascii_lowercase()));
    }
    let long = format!("app.{}", "x".repeat(60));
    for name in [
        "tenant_id",
        "role",
        "",
        ".",
        "app.",
        ".app",
        "app..id",
        "app.1",
        "app.a-b",
        "app.a\"b",
        "app.a b",
        "app.ä",
        "plpgsql.x",
        "app.id;",
        &long,
    ] {
        assert!(SettingName::new(name).is_err(), "{name}");
    }
}

#[test]
fn extra_settings_are_checked() {
    let read = |name, value| {
        let read = Extra::new(name, value);
        read.map(|it| it.value().to_owned())
            .map_err(|bad| bad.to_string())
    };
    for (name, value, set) in [
        ("statement_timeout", "5s", "5s"),
        ("statement_timeout", "off", "0"),
        ("lock_timeout", "250", "250"),
        ("lock_timeout", "24 d", "24 d"),
        ("work_mem", "64MB", "64MB"),
        ("work_mem", "64", "64"),
        ("hash_mem_multiplier", "1.5", "1.5"),
        ("jit", "off", "off"),
        ("max_parallel_workers_per_gather", "0", "0"),
        ("synchronous_commit", "local", "local"),
        ("search_path", "Acme,public", "acme, public"),
        ("search_path", "\"A\"\"b, c\" , x", "\"A\"\"b, c\", x"),
        ("app.plan", "", ""),
        ("app.plan", "it's", "it's"),
    ] {
        assert_eq!(read(name, value), Ok(set.to_owned()), "{name} {value}");
    }
    let unknown = "is not a setting that can be given here";
    for name in [
        "role",
        "session_authorization",
        "is_superuser",
        "row_security",
        "datestyle",
    ] {
        assert_eq!(read(name, "x"), Err(unknown.to_owned()), "{name}");
    }
    let long = "x".repeat(300);
    for (name, value) in [
        ("statement_timeout", "soon"),
        ("statement_timeout", ""),
        ("statement_timeout", "-1"),
        ("statement_timeout", "5 weeks"),
        ("statement_timeout", "99999999999s"),
        ("statement_timeout", "1us"),
        ("statement_timeout", "25d"),
        ("statement_timeout", "s"),
        ("work_mem", "0"),
        ("work_mem", "63"),
        ("work_mem", "2TB"),
        ("maintenance_work_mem", "1023kB"),
        ("max_parallel_workers_per_gather", "1025"),
        ("max_parallel_workers_per_gather", "1kB"),
        ("hash_mem_multiplier", "0.9"),
        ("hash_mem_multiplier", "1001"),
        ("hash_mem_multiplier", "inf"),
        ("work_mem", "64 mb"),
        ("hash_mem_multiplier", "1e3"),
        ("jit", "maybe"),
        ("plan_cache_mode", "never"),
        ("search_path", ""),
        ("search_path", "a,"),
        ("search_path", "a b"),
        ("search_path", "\"a"),
        ("search_path", "\"\""),
        ("search_path", "$user"),
        ("app.plan", "tab\t"),
        ("app.plan", "gr\u{fc}n"),
        ("app.plan", &long),
    ] {
        assert!(read(name, value).is_err(), "{name} {value}");
    }
}
