//! Buckets: as much as the rate says, as much at once as the burst says, and not one more.

use std::num::NonZeroU32;

use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::limit::{Bucket, bucket::LONGEST_DEBT};

/// Takes one if it is there.
fn passes(bucket: &mut Bucket, rate: Rate, now: Instant) -> bool {
    let passes = bucket.wait(rate, 1, now).is_zero();
    if passes {
        bucket.take(rate, 1, now);
    }
    passes
}

/// How many pass at once.
fn at_once(bucket: &mut Bucket, rate: Rate, now: Instant) -> u64 {
    let mut passed = 0;
    while passes(bucket, rate, now) {
        passed += 1;
    }
    passed
}

/// Within a hundredth, or one.
fn assert_near(found: u64, expected: u64) {
    let off = found.abs_diff(expected);
    let near = off * 100 <= expected || off <= 1;
    assert!(near, "{found} instead of {expected}");
}

#[test]
fn nothing_is_no_rate() {
    assert_eq!(Rate::new(0, 0), Rate::new(1, 1));
}

#[test]
fn rates_are_kept_over_a_minute() {
    for (per_second, step) in [
        (1, millis(7)),
        (3, millis(1)),
        (7, millis(10)),
        (200, millis(1)),
        (999, Duration::from_micros(100)),
        (30_000, Duration::from_micros(10)),
        // More than there are steps: several at each.
        (70_000, millis(1)),
    ] {
        let rate = Rate::new(per_second, 2.max(per_second / 200));
        let (mut bucket, begin) = (Bucket::default(), Instant::now());
        let mut passed = 0;
        let mut now = begin;
        while now < begin + secs(60) {
            passed += at_once(&mut bucket, rate, now);
            now += step;
        }
        assert_near(passed, 60 * per_second + rate.burst());
    }
}

#[test]
fn as_many_pass_at_once_as_the_burst_says_and_not_one_more() {
    for (per_second, burst) in [
        (1, 1),
        (1, 60),
        (3, 7),
        (7, 1000),
        (200, 200),
        (200, 1),
        (999, 999),
        (30_000, 30_000),
    ] {
        let rate = Rate::new(per_second, burst);
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        assert_eq!(at_once(&mut bucket, rate, now), burst, "{rate:?}");
        // After a rest as well, and however long it was.
        for rest in [1, 10_000] {
            let full = now + secs(rest * 100_000);
            assert!(bucket.is_full(full));
            assert_eq!(at_once(&mut bucket, rate, full), burst, "{rate:?}");
        }
    }
}

// A nanosecond is the finest that is counted: of a very high rate and a very large burst a few in
// ten thousand more may pass.
#[test]
fn large_bursts_are_nearly_exact() {
    let rate = Rate::new(70_000, 70_000);
    let passed = at_once(&mut Bucket::default(), rate, Instant::now());
    assert!((70_000..70_007).contains(&passed), "{passed}");
}

#[test]
fn who_waits_gets_its_turn_in_the_order_of_asking() {
    let rate = Rate::new(10, 2);
    let (mut bucket, now) = (Bucket::default(), Instant::now());
    let mut waits = Vec::new();
    for _ in 0..5 {
        waits.push(bucket.wait(rate, 1, now));
        bucket.reserve(rate, 1, now);
    }
    assert_eq!(waits, [0, 0, 100, 200, 300].map(millis));
    // Whoever comes later does not go before them.
    assert_eq!(bucket.wait(rate, 1, now + millis(150)), millis(250));
    assert_eq!(bucket.wait(rate, 1, now + millis(400)), Duration::ZERO);
    assert_eq!(bucket.wait(rate, 2, now + millis(400)), millis(100));
}

#[test]
fn whole_minutes_of_places_can_be_kept() {
    let rate = Rate::new(1, 1);
    let (mut bucket, now) = (Bucket::default(), Instant::now());
    for nth in 0..300 {
        assert_eq!(bucket.wait(rate, 1, now), secs(nth));
        bucket.reserve(rate, 1, now);
    }
    // Nor does a debt take them away from those who have them.
    bucket.take(rate, 5, now);
    assert_eq!(bucket.wait(rate, 1, now), secs(300));
}

#[test]
fn what_is_owed_is_paid_before_anything_else() {
    // Half a server's time, in nanoseconds, and as much at once.
    let rate = Rate::new(500_000_000, 500_000_000);
    let (mut bucket, now) = (Bucket::default(), Instant::now());
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap();
    bucket.take(rate, nanos(millis(500)), now);
    assert_eq!(bucket.wait(rate, 0, now), Duration::ZERO);
    bucket.take(rate, nanos(secs(3)), now);
    assert_eq!(bucket.wait(rate, 0, now), secs(6));
    assert_eq!(
        bucket.wait(rate, 0, now + millis(5999)),
        Duration::from_millis(1)
    );
    assert_eq!(bucket.wait(rate, 0, now + secs(6)), Duration::ZERO);
    assert!(!bucket.is_full(now + millis(6999)));
    assert!(bucket.is_full(now + secs(7)));
}

#[test]
fn no_debt_is_longer_than_the_longest() {
    for cost in [1_000_000, u64::MAX] {
        let rate = Rate::new(1, 10);
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        bucket.take(rate, cost, now);
        bucket.take(rate, cost, now);
        assert_eq!(bucket.wait(rate, 0, now), LONGEST_DEBT);
        assert_eq!(bucket.wait(rate, 0, now + LONGEST_DEBT), Duration::ZERO);
        assert_eq!(bucket.wait(rate, 1, now + LONGEST_DEBT), secs(1));
    }
}

// Server time and bytes: costs of every size, known when they are over.
#[test]
fn what_is_settled_afterwards_is_kept_over_a_minute() {
    for (per_second, costs) in [
        // Nanoseconds: 50 ms, half a server, four servers.
        (50_000_000, [1_000, 40_000_000, 300_000_000]),
        (500_000_000, [50_000, 700_000_000, 1_000_000]),
        (4_000_000_000, [300_000_000, 5_000_000, 123]),
        // Bytes.
        (64 * 1024, [1, 900, 65_000]),
        (1_000_000_000, [40, 8192, 10_000_000]),
    ] {
        let rate = Rate::new(per_second, per_second);
        let (mut bucket, begin) = (Bucket::default(), Instant::now());
        let (mut now, mut used) = (begin, 0);
        let mut costs = costs.iter().cycle();
        while now < begin + secs(60) {
            let wait = bucket.wait(rate, 0, now);
            now += wait;
            if wait.is_zero() {
                let cost = *costs.next().unwrap();
                bucket.take(rate, cost, now);
                used += cost;
                now += Duration::from_nanos(100);
            }
            assert!(used < 70 * per_second, "{per_second}");
        }
        // What is owed at the end belongs to the next minute; and the burst was there at first.
        let owed = bucket.wait(rate, 0, begin + secs(60)).as_nanos() * u128::from(per_second);
        let owed = u64::try_from(owed / 1_000_000_000).unwrap();
        assert_near(used - owed, 61 * per_second);
    }
}

#[test]
fn an_empty_bucket_remains_empty_at_another_rate_and_a_full_one_full() {
    let rates = [(1, 60), (10, 1), (10, 100), (1000, 1000), (30_000, 5)];
    let rates = rates.map(|(per_second, burst)| Rate::new(per_second, burst));
    let now = Instant::now();
    for (before, after) in rates.iter().flat_map(|it| rates.map(|other| (*it, other))) {
        let mut bucket = Bucket::default();
        at_once(&mut bucket, before, now);
        assert_eq!(at_once(&mut bucket, after, now), 0, "{before:?} {after:?}");
        // And from then on it is filled as fast as the new rate says.
        let second = at_once(&mut bucket, after, now + secs(1));
        let expected = after.per_second().min(after.burst());
        assert!(second.abs_diff(expected) <= 1, "{before:?} {after:?}");

        let mut bucket = Bucket::default();
        at_once(&mut bucket, before, now);
        let later = now + secs(60);
        assert_eq!(at_once(&mut bucket, after, later), after.burst());
    }
}

#[test]
fn what_is_owed_is_owed_at_another_rate_as_well() {
    let (slow, fast) = (Rate::new(1, 1), Rate::new(100, 100));
    let now = Instant::now();
    let mut bucket = Bucket::default();
    bucket.take(slow, 51, now);
    assert_eq!(bucket.wait(slow, 0, now), secs(50));
    assert_eq!(bucket.wait(fast, 0, now), millis(500));
    // The wait was asked for, nothing was taken, and still the new rate holds.
    assert_eq!(bucket.wait(fast, 0, now + millis(400)), millis(100));
    assert_eq!(bucket.wait(slow, 0, now + millis(400)), secs(10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// For what the crate `governor` can do too, it says the same.
    #[test]
    fn governor_agrees(
        per_second in prop::sample::select(vec![1_u32, 2, 5, 8, 10, 125, 200, 1000, 20_000, 1_000_000]),
        burst in 1_u32..40,
        // In thousandths of the time for one.
        steps in vec(prop_oneof![Just(0_u64), 1..3000_u64, Just(1000), 0..100_000_u64], 1..400),
    ) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap());
        let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap());
        let governor = RateLimiter::direct_with_clock(quota, clock.clone());

        let rate = Rate::new(per_second.into(), burst.into());
        let (mut bucket, mut now) = (Bucket::default(), Instant::now());
        for step in steps {
            let step = Duration::from_nanos(1_000_000 * step / u64::from(per_second));
            clock.advance(step);
            now += step;
            prop_assert_eq!(passes(&mut bucket, rate, now), governor.check().is_ok());
        }
    }
}
