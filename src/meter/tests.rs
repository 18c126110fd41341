//! What the meters promise: nothing is lost, and a quantile lies where it must.

use std::time::Duration;

use super::*;

fn spread(micros: &[u64]) -> Spread {
    let histogram = Histogram::<Counter>::default();
    for took in micros {
        histogram.observe(Duration::from_micros(*took));
    }
    let mut spread = Spread::default();
    histogram.add_to(&mut spread);
    spread
}

#[test]
fn bounds_are_six_to_a_decade() {
    let micros: Vec<u64> = BOUNDS.iter().map(|bound| bound / 1000).collect();
    assert_eq!(micros[..9], [50, 70, 100, 150, 200, 300, 500, 700, 1000]);
    assert_eq!(micros[36], 50_000_000);
    assert!(BOUNDS.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_duration_is_in_the_bucket_that_it_does_not_exceed() {
    let spread = spread(&[50, 51, 70, 71, 100_000_000]);
    let up_to: Vec<(u64, u64)> = spread.up_to().take(3).collect();
    assert_eq!(up_to, [(50_000, 1), (70_000, 3), (100_000, 4)]);
    assert_eq!(spread.up_to().last(), Some((BOUNDS[36], 4)));
    assert_eq!(spread.count(), 5);
    assert_eq!(spread.nanos, 100_000_242_000);
}

#[test]
fn quantiles_are_off_by_a_bucket_at_most() {
    let all: Vec<u64> = (1..=10_000).map(|nth| nth * 10).collect();
    let spread = spread(&all);
    for (quantile, exact) in [(0.5, 50_000_f64), (0.95, 95_000.0), (0.99, 99_000.0)] {
        let found = spread.quantile(quantile).unwrap() as f64 / 1000.0;
        assert!((found / exact - 1.0).abs() < 0.25, "{quantile}: {found}");
    }
    assert_eq!(Spread::default().quantile(0.5), None);
}

#[test]
fn the_longest_of_all_are_said_to_last_as_long_as_the_last_bound() {
    assert_eq!(spread(&[200_000_000]).quantile(0.5), Some(BOUNDS[36]));
}

#[test]
fn what_has_come_since_is_the_difference() {
    let (before, after) = (spread(&[10, 20]), spread(&[10, 20, 300, 4000]));
    let since = after.since(&before);
    assert_eq!(since.count(), 2);
    assert_eq!(since.nanos, 4_300_000);
    let mut sum = before;
    sum.add(&since);
    assert_eq!(sum, after);
}

#[test]
fn workers_are_added_up() {
    let meter = PoolMeter::new(2);
    for worker in 0..4 {
        meter.of(worker).bytes_in.add(10);
        meter.of(worker).queries.observe(Duration::from_millis(1));
    }
    assert_eq!(meter.sum(|it| &it.bytes_in), 40);
    assert_eq!(meter.spread(|it| &it.queries).count(), 4);
}

#[test]
fn errors_are_counted_by_class() {
    let meter = PoolMeter::new(1);
    for code in ["42P01", "42601", "XX000", "ZZ001", ""] {
        meter.of(0).errors.saw(code.as_bytes());
    }
    let errors: Vec<_> = meter.errors().collect();
    assert_eq!(errors, [("42", 2), ("XX", 1), ("other", 2)]);
}

#[test]
fn every_kind_of_refusal_has_its_own_number() {
    let refusals = Refusals::default();
    for kind in crate::error::Kind::ALL {
        refusals.told(*kind);
    }
    assert!(refusals.all().all(|(_, sum)| sum == 1));
}

#[test]
fn a_tier_counts_what_all_its_accounts_have_seen() {
    let meter = TierMeter::default();
    for account in 0..20 {
        meter.saw(
            account,
            2,
            Duration::from_millis(8),
            Duration::from_millis(1),
        );
    }
    meter.saw(0, 0, Duration::from_secs(1), Duration::ZERO);
    assert_eq!(meter.transactions().count(), 40);
    assert_eq!(meter.transactions().nanos, 20 * 8_000_000);
    assert_eq!(meter.waits().count(), 20);
}
