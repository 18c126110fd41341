//! One account: what may start, what it costs, who may come in.

use std::sync::Arc;

use super::*;
use crate::{
    error::{Error, Kind},
    limit::{Account, Admission, Cost, Used, bucket::LONGEST_DEBT},
};

fn account(tier: Tier) -> Arc<Account> {
    Arc::new(Account::new(acme(), 7, Arc::new(tier), false))
}

fn cost(transactions: u64, server_time: Duration, bytes: u64) -> Cost {
    Cost {
        transactions,
        server_time,
        bytes,
        ..Cost::default()
    }
}

/// As a tier says that a second of server time is so much.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

#[test]
fn without_limits_everything_starts_and_is_counted() {
    let (account, now) = (account(Tier::default()), Instant::now());
    assert!(!account.is_metered());
    for _ in 0..1000 {
        assert_eq!(account.admit(Some(Duration::ZERO), now), Admission::Now);
        account.settle(cost(2, secs(100), u64::from(u32::MAX)), now);
    }
    let used = Used {
        transactions: 2000,
        server_time: secs(100_000),
        bytes: 1000 * u64::from(u32::MAX),
        ..Used::default()
    };
    assert_eq!(account.statement().used, used);
    assert_eq!(account.statement().who, acme());
}

#[test]
fn transactions_start_at_once_then_wait_in_order() {
    let (account, now) = (account(ten()), Instant::now());
    assert!(account.is_metered());
    for _ in 0..5 {
        assert_eq!(account.admit(None, now), Admission::Now);
    }
    for place in 1..=700 {
        let expected = Admission::In(millis(100 * place));
        assert_eq!(account.admit(None, now), expected);
    }
    let used = account.statement().used;
    assert_eq!(used.delayed, 700);
    assert_eq!(used.delay, millis(100 * 700 * 701 / 2));
    assert_eq!(used.refused, 0);
}

#[test]
fn who_would_wait_too_long_is_told_when_to_come_again() {
    let tier = Tier {
        max_delay: Some(millis(150)),
        ..ten()
    };
    let (account, now) = (account(tier), Instant::now());
    for _ in 0..5 {
        assert_eq!(account.admit(None, now), Admission::Now);
    }
    assert_eq!(account.admit(None, now), Admission::In(millis(100)));
    let error = Error::new(
        Kind::TenantLimit,
        r#"tenant "acme" starts too many transactions"#,
    );
    let detail = "limit=transactions_per_second per_second=10 burst=5 tenant=acme retry_after_ms";
    let error = |after| {
        error
            .clone()
            .detail(format!("{detail}={after}"))
            .hint(format!("Try again in {after} ms."))
    };
    assert_eq!(account.admit(None, now), Admission::Refused(error(50)));
    // Refusals cost nothing: whoever comes when it was told to is let in.
    for _ in 0..100 {
        assert!(matches!(account.admit(None, now), Admission::Refused(_)));
    }
    let early = now + Duration::from_micros(49_999);
    assert_eq!(account.admit(None, early), Admission::Refused(error(1)));
    let retry = now + millis(50);
    assert_eq!(account.admit(None, retry), Admission::In(millis(150)));
    assert_eq!(account.statement().used.refused, 102);

    // Who has less patience than the tier is told so by its own.
    let Admission::Refused(error) = account.admit(Some(millis(20)), now + millis(200)) else {
        panic!("it would have to wait for 100 ms");
    };
    assert_eq!(error.hint.as_deref(), Some("Try again in 80 ms."));
    // Who has more is not.
    let more = account.admit(Some(secs(10)), now + millis(100));
    assert!(matches!(more, Admission::Refused(_)));
}

#[test]
fn each_limit_is_named_when_it_is_met() {
    let limits = [
        Tier {
            server_time: Some(Rate::new(nanos(millis(500)), nanos(secs(1)))),
            max_delay: Some(millis(50)),
            ..ten()
        },
        Tier {
            bytes: Some(Rate::new(1000, 4000)),
            max_delay: Some(millis(50)),
            ..ten()
        },
    ];
    let details = [
        (
            r#"user "ann" uses too much server time"#,
            "limit=server_time_per_second per_second_ms=500 burst_ms=1000 user=ann \
             retry_after_ms=1950",
        ),
        (
            r#"user "ann" reads too many bytes"#,
            "limit=bytes_per_second per_second=1000 burst=4000 user=ann retry_after_ms=1950",
        ),
    ];
    for (tier, (message, detail)) in limits.into_iter().zip(details) {
        let who = Who::User("ann".into());
        let (account, now) = (Account::new(who, 1, Arc::new(tier), false), Instant::now());
        assert_eq!(account.admit(None, now), Admission::Now);
        account.settle(cost(1, secs(1), 4000), now);
        // Empty, and not in debt.
        assert_eq!(account.admit(None, now), Admission::Now);
        account.settle(cost(1, secs(1), 2000), now);
        let error = Error::new(Kind::TenantLimit, message).detail(detail);
        let error = error.hint("Try again in 1950 ms.");
        assert_eq!(account.admit(None, now), Admission::Refused(error));
        let paid = now + millis(1950);
        assert_eq!(account.admit(None, paid), Admission::In(millis(50)));
    }
}

#[test]
fn further_transactions_of_a_pipeline_are_paid_for_afterwards() {
    let (account, now) = (account(ten()), Instant::now());
    assert_eq!(account.admit(None, now), Admission::Now);
    // J13: one that has begun goes on, however many there are.
    account.settle(cost(25, Duration::ZERO, 0), now);
    assert_eq!(account.admit(None, now), Admission::In(millis(2100)));
    // A quick one is the same as none.
    account.settle(cost(1, Duration::ZERO, 0), now);
    account.settle(cost(0, Duration::ZERO, 0), now);
    assert_eq!(account.admit(None, now), Admission::In(millis(2200)));
    assert_eq!(account.statement().used.transactions, 26);
}

#[test]
fn what_was_begun_in_nobodys_name_is_charged_for() {
    let (account, now) = (account(ten()), Instant::now());
    for _ in 0..6 {
        account.charge(now);
    }
    assert_eq!(account.admit(None, now), Admission::In(millis(200)));
}

#[test]
fn one_long_query_locks_nobody_out_for_long() {
    let tier = Tier {
        server_time: Some(Rate::new(nanos(millis(10)), nanos(millis(10)))),
        ..Tier::default()
    };
    let (account, now) = (account(tier), Instant::now());
    account.settle(cost(1, secs(3600), 0), now);
    assert_eq!(account.admit(None, now), Admission::In(LONGEST_DEBT));
}

#[test]
fn whoever_is_suspended_starts_nothing_and_does_not_come_in() {
    let (account, now) = (account(Tier::default()), Instant::now());
    let presence = account.come_in(now).unwrap();
    account.suspend(true);
    let error = Error::new(Kind::TenantSuspended, r#"tenant "acme" is suspended"#)
        .detail("Its transactions are refused until the operator resumes it.");
    assert_eq!(account.check(), Err(error.clone()));
    assert_eq!(account.admit(None, now), Admission::Refused(error.clone()));
    assert_eq!(account.come_in(now).unwrap_err(), error);
    assert!(account.statement().suspended);
    assert_eq!(account.statement().used.refused, 2);
    // What it has begun it settles.
    account.settle(cost(1, secs(1), 1), now);
    account.suspend(false);
    assert_eq!(account.admit(None, now), Admission::Now);
    drop(presence);
    assert_eq!(account.statement().clients, 0);
}

// G6: whatever becomes of a client, its place is free again.
#[test]
fn as_many_come_in_as_may_be_there() {
    let tier = Tier {
        max_clients: 2,
        ..Tier::default()
    };
    let (account, now) = (account(tier), Instant::now());
    let first = account.come_in(now).unwrap();
    let second = account.come_in(now).unwrap();
    assert_eq!(second.account().number(), 7);
    let full = Error::new(
        Kind::TooManyClients,
        r#"too many connections for tenant "acme""#,
    )
    .hint("Its max_clients is 2.");
    for _ in 0..10 {
        assert_eq!(account.come_in(now).unwrap_err(), full);
        assert_eq!(account.statement().clients, 2);
    }
    drop(first);
    assert_eq!(account.statement().clients, 1);
    let third = account.come_in(now).unwrap();
    // One whose task is torn down in the middle of something.
    let torn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _third = third;
        std::panic::resume_unwind(Box::new("torn down"));
    }));
    assert!(torn.is_err());
    drop(second);
    assert_eq!(account.statement().clients, 0);
}

#[test]
fn as_many_come_at_once_as_the_burst_of_connections_says() {
    let tier = Tier {
        connections: Some(Rate::new(2, 3)),
        ..Tier::default()
    };
    let (account, now) = (account(tier), Instant::now());
    for _ in 0..3 {
        // That it has gone does not make it not have come.
        drop(account.come_in(now).unwrap());
    }
    let detail = "limit=connections_per_second per_second=2 burst=3 tenant=acme retry_after_ms=500";
    let error = Error::new(Kind::TenantLimit, r#"tenant "acme" connected too often"#)
        .detail(detail)
        .hint("Try again in 500 ms.");
    assert_eq!(account.come_in(now).unwrap_err(), error);
    assert_eq!(account.statement().clients, 0);
    let come = account.come_in(now + millis(500)).unwrap();
    assert!(account.come_in(now + millis(999)).is_err());
    assert_eq!(account.statement().clients, 1);
    drop(come);
}

#[test]
fn who_was_there_when_all_were_sent_away_is_to_leave() {
    let (account, now) = (account(Tier::default()), Instant::now());
    assert!(!account.has_expelled(now));
    account.expel(now + millis(1));
    assert!(account.has_expelled(now));
    assert!(account.has_expelled(now + millis(1)));
    assert!(!account.has_expelled(now + millis(2)));
}

#[test]
fn what_the_operator_says_goes_before_all_else() {
    let account = account(Tier::default());
    let tier = |weight| {
        let mut tier = ten();
        tier.share.weight = weight;
        Arc::new(tier)
    };
    assert_eq!(account.version(), 0);
    account.assign(tier(2));
    assert_eq!((account.version(), account.share().weight), (1, 2));
    // The same again is no change, and nothing that was worked out from it is out of date.
    account.assign(tier(2));
    assert_eq!(account.version(), 1);
    account.choose(tier(3));
    account.assign(tier(4));
    assert_eq!((account.version(), account.share().weight), (2, 3));
    account.choose(tier(4));
    assert_eq!((account.version(), account.tier()), (3, tier(4)));
}

#[test]
fn another_tier_holds_from_the_next_transaction_on() {
    let (account, now) = (account(ten()), Instant::now());
    for _ in 0..5 {
        assert_eq!(account.admit(None, now), Admission::Now);
    }
    let tier = |per_second, burst| {
        Arc::new(Tier {
            transactions: Some(Rate::new(per_second, burst)),
            ..ten()
        })
    };
    account.choose(tier(1, 1000));
    assert_eq!(account.admit(None, now), Admission::In(secs(1)));
    account.choose(tier(1000, 1));
    assert_eq!(account.admit(None, now), Admission::In(millis(2)));
    account.choose(Arc::default());
    assert_eq!(account.admit(None, now), Admission::Now);
}
