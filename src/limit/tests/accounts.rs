//! All accounts: one of each, no more than there must be, and none refilled by being forgotten.

use std::{collections::HashMap, sync::Arc, thread};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    error::Kind,
    limit::{Account, Accounts, Cost, Rules},
};

/// All that a tier can count is counted.
fn limited() -> Tier {
    Tier {
        server_time: Some(Rate::new(100_000_000, 50_000_000)),
        bytes: Some(Rate::new(1000, 3000)),
        connections: Some(Rate::new(2, 3)),
        max_clients: 2,
        ..ten()
    }
}

fn accounts(default: Tier) -> Accounts {
    Accounts::new(Rules {
        default: Arc::new(default),
        ..Rules::default()
    })
}

fn numbered(nth: usize) -> TenantId {
    tenant(&format!("t{nth}"))
}

#[test]
fn there_is_one_account_of_each_however_many_ask_at_once() {
    let accounts = accounts(ten());
    let open = || -> Vec<Arc<Account>> {
        let opened = (0..500).map(|nth| accounts.of_tenant(&numbered(nth)).unwrap());
        opened.collect()
    };
    let found: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for other in &found {
        assert!(found[0].iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b)));
    }
    assert_eq!(accounts.len(), 500);
    let numbers: HashMap<_, _> = found[0].iter().map(|it| (it.number(), it.who())).collect();
    assert_eq!(numbers.len(), 500, "no number twice");
    assert!(!numbers.contains_key(&0), "nobody's is 0");
}

#[test]
fn a_tenant_and_a_user_of_the_same_name_are_two() {
    let accounts = accounts(ten());
    let tenant = accounts.of_tenant(&tenant("acme")).unwrap();
    let user = accounts.of_user("acme").unwrap();
    assert_ne!(tenant, user);
    assert!(Arc::ptr_eq(&user, &accounts.of_user("acme").unwrap()));
    assert_eq!(accounts.len(), 2);
    assert!(Arc::ptr_eq(&tenant, &accounts.find(&acme()).unwrap()));
    assert_eq!(accounts.statements().len(), 2);
}

// J14
#[test]
fn who_is_not_listed_is_refused_before_anything_is_stored() {
    let accounts = Accounts::new(Rules {
        tenants: [(tenant("acme"), Arc::new(ten()))].into(),
        only_listed: true,
        ..Rules::default()
    });
    for nth in 0..1000 {
        let error = accounts.of_tenant(&numbered(nth)).unwrap_err();
        assert_eq!(error.kind, Kind::TenantUnknown);
        assert_eq!(error.message, format!(r#"tenant "t{nth}" does not exist"#));
    }
    assert!(accounts.is_empty());
    assert_eq!(*accounts.of_tenant(&tenant("acme")).unwrap().tier(), ten());
    assert!(accounts.of_user("ann").is_ok());
    assert_eq!(accounts.len(), 2);
}

// J14: an id costs something only while somebody uses it or it owes something.
#[test]
fn made_up_ids_are_forgotten() {
    let accounts = accounts(ten());
    let (mut now, mut most) = (Instant::now(), 0);
    let busy = accounts.of_tenant(&tenant("busy")).unwrap();
    for nth in 0..200_000 {
        let account = accounts.of_tenant(&numbered(nth)).unwrap();
        account.admit(None, now);
        drop(account);
        // 10,000 a second, and a look ten times a second.
        now += Duration::from_micros(100);
        if nth % 1000 == 0 {
            if accounts.is_crowded(now) {
                accounts.forget(now);
            }
            most = most.max(accounts.len());
        }
    }
    // Those of the last 100 ms cannot be forgotten, and it is looked once a second.
    assert!(most <= 11_000, "{most}");
    accounts.forget(now + millis(99));
    assert!(accounts.len() > 1, "some are not full yet");
    accounts.forget(now + millis(100));
    assert_eq!(accounts.len(), 1);
    assert!(Arc::ptr_eq(
        &busy,
        &accounts.of_tenant(&tenant("busy")).unwrap()
    ));
}

#[test]
fn nothing_is_forgotten_that_somebody_has_decided_or_holds() {
    let accounts = accounts(limited());
    let now = Instant::now();
    let ids = ["chosen", "suspended", "connected", "held", "owing", "idle"].map(tenant);
    let [chosen, suspended, connected, held, owing, _] = ids.clone();
    let open = |id| accounts.of_tenant(id).unwrap();
    assert!(accounts.set_tier(Who::Tenant(chosen.clone()), "default"));
    accounts.suspend(Who::Tenant(suspended.clone()), true);
    let presence = open(&connected).come_in(now).unwrap();
    let holding = open(&held);
    let spent = Cost {
        bytes: 1,
        ..Cost::default()
    };
    open(&owing).settle(spent, now);
    drop(open(&ids[5]));
    let known = |later| {
        accounts.forget(now + later);
        let known = |id: &TenantId| accounts.find(&Who::Tenant(id.clone())).is_some();
        ids.clone().map(|id| known(&id))
    };
    let none = Duration::ZERO;
    assert_eq!(known(none), [true, true, true, true, true, false]);
    assert_eq!(known(millis(1)), [true, true, true, true, false, false]);
    drop((presence, holding));
    // A connection is paid for with the time that two of them take.
    assert_eq!(known(millis(499)), [true, true, true, false, false, false]);
    assert_eq!(known(millis(500)), [true, true, false, false, false, false]);
    accounts.suspend(Who::Tenant(suspended), false);
    assert_eq!(known(secs(1)), [true, false, false, false, false, false]);
    assert_eq!(accounts.len(), 1);
}

#[test]
fn other_rules_reach_everybody_but_whom_the_operator_has_decided_about() {
    let gold = Arc::new(Tier {
        name: "gold".into(),
        ..ten()
    });
    let rules = |default: &str| Rules {
        default: Arc::new(Tier {
            name: default.into(),
            ..Tier::default()
        }),
        tiers: [("gold".to_owned(), Arc::clone(&gold))].into(),
        ..Rules::default()
    };
    let accounts = Accounts::new(rules("before"));
    let [one, two, chosen] = ["one", "two", "chosen"].map(tenant);
    let open = |id| accounts.of_tenant(id).unwrap();
    let (one, two) = (open(&one), open(&two));
    let ann = accounts.of_user("ann").unwrap();
    assert!(!accounts.set_tier(Who::Tenant(chosen.clone()), "silver"));
    assert!(accounts.set_tier(Who::Tenant(chosen.clone()), "gold"));
    accounts.apply(Rules {
        tenants: [(tenant("two"), Arc::clone(&gold))].into(),
        users: [("ann".to_owned(), Arc::clone(&gold))].into(),
        ..rules("after")
    });
    let name = |account: &Account| account.tier().name.to_string();
    assert_eq!(name(&one), "after");
    assert_eq!([name(&two), name(&ann)], ["gold", "gold"]);
    assert_eq!(name(&open(&chosen)), "gold");
    assert_eq!([one.version(), open(&chosen).version()], [1, 1]);
    assert_eq!(name(&open(&tenant("new"))), "after");
}

#[derive(Debug, Clone)]
enum Deed {
    Pause(u64),
    Admit(Option<u64>),
    Settle(u64, u64, u64),
    Charge,
    ComeIn,
    Leave,
    /// One of the two is told to forget.
    Forget,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let settled = (0..4_u64, 0..200_u64, 0..5000_u64);
    vec(
        prop_oneof![
            3 => prop_oneof![0..200_u64, Just(0), 0..3000_u64].prop_map(Deed::Pause),
            4 => prop::option::of(0..500_u64).prop_map(Deed::Admit),
            2 => settled.prop_map(|(count, millis, bytes)| Deed::Settle(count, millis, bytes)),
            1 => Just(Deed::Charge),
            2 => Just(Deed::ComeIn),
            2 => Just(Deed::Leave),
            4 => Just(Deed::Forget),
        ],
        1..150,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whether an account was forgotten in between makes no difference to anybody.
    #[test]
    fn nothing_is_refilled_by_being_forgotten(deeds in deeds()) {
        let pair = [accounts(limited()), accounts(limited())];
        let mut now = Instant::now();
        let mut present = Vec::new();
        let patience = |millis: Option<u64>| millis.map(Duration::from_millis);
        for deed in deeds {
            let [one, other] = pair.each_ref().map(|it| it.of_tenant(&tenant("acme")).unwrap());
            match deed {
                Deed::Pause(pause) => now += millis(pause),
                Deed::Admit(longest) => {
                    let longest = patience(longest);
                    prop_assert_eq!(one.admit(longest, now), other.admit(longest, now));
                }
                Deed::Settle(transactions, time, bytes) => {
                    let cost = Cost { transactions, server_time: millis(time), bytes, ..Cost::default() };
                    one.settle(cost, now);
                    other.settle(cost, now);
                }
                Deed::Charge => {
                    one.charge(now);
                    other.charge(now);
                }
                Deed::ComeIn => match (one.come_in(now), other.come_in(now)) {
                    (Ok(one), Ok(other)) => present.push((one, other)),
                    (one, other) => prop_assert_eq!(one.err(), other.err()),
                },
                Deed::Leave => _ = present.pop(),
                Deed::Forget => {
                    drop(one);
                    pair[0].forget(now);
                }
            }
            prop_assert_eq!(other.statement().clients, present.len());
        }
    }
}

#[test]
fn other_rules_count_on() {
    let tier = |name: &str, transactions: u64| {
        Arc::new(Tier {
            name: name.into(),
            transactions: Some(Rate::new(transactions, transactions)),
            ..Tier::default()
        })
    };
    let rules = |transactions| {
        let gold = tier("gold", transactions);
        Rules {
            tiers: [("gold".to_owned(), Arc::clone(&gold))].into(),
            users: [
                ("one".to_owned(), Arc::clone(&gold)),
                ("other".to_owned(), gold),
            ]
            .into(),
            ..Rules::default()
        }
    };
    let accounts = Accounts::new(rules(10));
    let now = Instant::now();
    let spend = |name: &str| {
        let cost = Cost {
            transactions: 1,
            ..Cost::default()
        };
        accounts.of_user(name).unwrap().settle(cost, now);
    };
    spend("one");
    spend("nobody");
    accounts.apply(rules(20));
    spend("other");
    let rules = accounts.rules();
    assert_eq!(rules.tiers["gold"].meter.transactions().count(), 2);
    assert_eq!(rules.default.meter.transactions().count(), 1);
    assert_eq!(rules.tiers["gold"].transactions, Some(Rate::new(20, 20)));
    assert!(Arc::ptr_eq(&rules.users["one"], &rules.tiers["gold"]));
}
