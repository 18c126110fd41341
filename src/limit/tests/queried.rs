//! What a query says of tenants, and what becomes of their accounts.

use std::sync::Arc;

use super::*;
use crate::{
    error::{Error, Kind},
    limit::{Account, Accounts, Admission, Found, Rules},
    lookup::{Holds, View},
};

const HOLDS: Holds = Holds {
    ttl: Duration::from_secs(60),
    negative_ttl: Duration::from_secs(10),
    max_stale: Duration::from_secs(3600),
};

fn named(name: &str) -> Arc<Tier> {
    let name = name.into();
    Arc::new(Tier { name, ..ten() })
}

fn rules() -> Rules {
    Rules {
        tiers: [("gold".to_owned(), named("gold"))].into(),
        tenants: [(tenant("listed"), named("silver"))].into(),
        ..Rules::default()
    }
}

fn found(tier: &str, suspended: bool) -> Found {
    Found {
        tier: named(tier),
        suspended,
    }
}

fn tier_of(account: &Account) -> String {
    account.tier().name.to_string()
}

fn unknown(id: &str) -> Error {
    Error::new(
        Kind::TenantUnknown,
        format!("tenant \"{id}\" does not exist"),
    )
}

/// In the order: the console, the file, the query, the default tier.
#[test]
fn the_stronger_word_counts() {
    let now = Instant::now();
    let accounts = Accounts::new(rules());
    let open = |id| accounts.of_tenant(&tenant(id)).unwrap();
    let (acme, listed, chosen) = (open("acme"), open("listed"), open("chosen"));
    assert!(accounts.set_tier(Who::Tenant(tenant("chosen")), "gold"));
    assert_eq!(acme.view(now), View::Unknown);
    assert_eq!(listed.view(now), View::Fresh);
    assert_eq!(accounts.of_user("acme").unwrap().view(now), View::Fresh);
    for id in ["acme", "chosen"] {
        accounts.found(&tenant(id), found("bronze", false), &HOLDS, now);
    }
    let tiers = [&acme, &listed, &chosen].map(|it| tier_of(it));
    assert_eq!(tiers, ["bronze", "silver", "gold"]);
    assert_eq!(acme.view(now), View::Fresh);

    // Other rules: what the query said holds on, but is asked for anew.
    let tenants = [
        (tenant("chosen"), named("silver")),
        (tenant("new"), named("gold")),
    ]
    .into();
    accounts.apply(Rules { tenants, ..rules() });
    let tiers = [&acme, &listed, &chosen].map(|it| tier_of(it));
    assert_eq!(tiers, ["bronze", "default", "gold"]);
    let views = [&acme, &listed, &chosen].map(|it| it.view(now));
    assert_eq!(views, [View::Stale, View::Unknown, View::Fresh]);
}

#[test]
fn two_may_suspend_and_both_must_resume() {
    let now = Instant::now();
    let accounts = Accounts::new(rules());
    let acme = accounts.of_tenant(&tenant("acme")).unwrap();
    for (here, there) in [(true, false), (true, true), (false, true), (false, false)] {
        accounts.suspend(acme.who().clone(), here);
        accounts.found(&tenant("acme"), found("gold", there), &HOLDS, now);
        assert_eq!(acme.check().is_err(), here || there, "{here} {there}");
        assert_eq!(acme.statement().suspended, here || there, "{here} {there}");
    }
    accounts.found(&tenant("acme"), found("gold", true), &HOLDS, now);
    accounts.not_found(&tenant("acme"), false, &HOLDS, now);
    assert_eq!(acme.check(), Ok(()));
    assert_eq!(tier_of(&acme), "default");
}

// J14
#[test]
fn who_does_not_exist_gets_no_account() {
    let now = Instant::now();
    let accounts = Accounts::new(rules());
    for nth in 0..20_000 {
        let id = tenant(&format!("t{nth}"));
        accounts.not_found(&id, true, &HOLDS, now);
        assert!(accounts.of_tenant(&id).is_err());
    }
    assert!(accounts.is_empty());
    // Only so many are remembered: the others would be asked for again.
    assert!(accounts.of_tenant(&tenant("t0")).is_ok());
    let last = tenant("t19999");
    assert_eq!(accounts.of_tenant(&last), Err(unknown("t19999")));
    accounts.tick(now + secs(9));
    assert_eq!(accounts.of_tenant(&last), Err(unknown("t19999")));
    accounts.tick(now + secs(10));
    assert!(accounts.of_tenant(&last).is_ok());
}

/// It was there when nobody knew yet, or was deleted while it was in use.
#[test]
fn who_turns_out_not_to_exist_is_refused() {
    let now = Instant::now();
    let id = tenant("acme");
    let accounts = Accounts::new(rules());
    let acme = accounts.of_tenant(&id).unwrap();
    let version = acme.version();
    accounts.not_found(&id, true, &HOLDS, now);
    assert_ne!(
        acme.version(),
        version,
        "what was made for it is out of date"
    );
    assert_eq!(acme.check(), Err(unknown("acme")));
    assert_eq!(acme.come_in(now).err(), Some(unknown("acme")));
    assert_eq!(acme.admit(None, now), Admission::Refused(unknown("acme")));
    assert_eq!(accounts.of_tenant(&id), Err(unknown("acme")));
    // Nobody asks while it is certain.
    assert_eq!(acme.view(now), View::Fresh);
    accounts.tick(now + secs(10));
    assert_eq!(acme.check(), Ok(()));
    assert_eq!(acme.view(now + secs(10)), View::Unknown);
    // Or it is found before that.
    accounts.not_found(&id, true, &HOLDS, now);
    accounts.found(&id, found("gold", false), &HOLDS, now);
    assert_eq!(acme.check(), Ok(()));
    accounts.tick(now + secs(10));
    assert_eq!(acme.view(now), View::Fresh);
}

/// What is known of a tenant is kept for when its database does not answer.
#[test]
fn who_was_found_is_remembered() {
    let now = Instant::now();
    let accounts = Accounts::new(rules());
    for nth in 0..5000 {
        let id = tenant(&format!("t{nth}"));
        accounts.of_tenant(&id).unwrap();
        match nth {
            0 => accounts.found(&id, found("gold", false), &HOLDS, now),
            nth if nth % 2 == 0 => accounts.not_found(&id, false, &HOLDS, now),
            _ => accounts.not_answered(&id, now),
        }
    }
    accounts.forget(now + secs(3659));
    assert_eq!(accounts.len(), 1);
    let kept = accounts.of_tenant(&tenant("t0")).unwrap();
    assert_eq!(kept.view(now + secs(3659)), View::Stale);
}
