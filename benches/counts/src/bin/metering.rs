//! What it costs to count one transaction: `cargo run --release --bin metering` in this directory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use pgusher::meter::{Count as _, PoolMeter, TierMeter};

const TRANSACTIONS: u32 = 20_000_000;

fn main() {
    let (pool, tier) = (PoolMeter::new(2), TierMeter::default());
    let traffic = pool.of(1);
    let began = Instant::now();
    for nth in 0..TRANSACTIONS {
        // No two of them take the same time, so that no branch is always guessed right.
        let took = Duration::from_nanos(u64::from(nth.wrapping_mul(2_654_435_761) >> 12));
        traffic.waits.observe(black_box(Duration::from_nanos(300)));
        traffic.took(black_box(b'Q'));
        traffic.bytes_in.add(black_box(40));
        traffic.queries.observe(black_box(took));
        traffic.transactions.observe(black_box(took));
        traffic.injections.add(black_box(1));
        traffic.bytes_out.add(black_box(120));
        tier.saw(black_box(u64::from(nth % 7)), 1, took, Duration::ZERO);
    }
    let nanos = began.elapsed().as_nanos() as f64 / f64::from(TRANSACTIONS);
    println!("{nanos:.0} ns per transaction");
}
