//! The books of the pools against a model, for any order of events.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is not as expected ends the test"
)]

#[path = "properties/choices.rs"]
mod choices;
#[path = "properties/pool.rs"]
mod properties;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // G1, G5, G6, F5
    #[test]
    fn the_books_add_up(script in vec(any::<u8>(), 0..400)) {
        properties::pool(&script);
    }
}

/// The seeds of the fuzz target are inputs like any other.
#[test]
fn every_seed_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/pool");
    for entry in std::fs::read_dir(folder).unwrap() {
        properties::pool(&std::fs::read(entry.unwrap().path()).unwrap());
    }
}
