//! A session between arbitrary clients and servers, and between well-behaved ones.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "what is not as expected ends the test"
)]

#[path = "properties/choices.rs"]
mod choices;
#[path = "properties/line.rs"]
mod line;
#[path = "properties/postgres.rs"]
mod postgres;
#[path = "properties/session.rs"]
mod properties;
#[path = "properties/tenant_postgres.rs"]
mod tenant_postgres;
#[path = "properties/tenants.rs"]
mod tenants;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    // C1, C2, C17, D1, D2, D3
    #[test]
    fn nobody_notices_that_it_is_there(script in vec(any::<u8>(), 0..300)) {
        properties::session_is_transparent(&script);
    }

    // J3, J4, J15, J16
    #[test]
    fn each_tenant_has_its_own(script in vec(any::<u8>(), 0..300)) {
        tenants::tenants_are_kept_apart(&script);
    }

    // A6, C15, D4
    #[test]
    fn arbitrary_bytes_do_no_harm(script in vec(any::<u8>(), 0..200)) {
        properties::session_is_robust(&script);
    }

    // C3
    #[test]
    fn a_refusal_is_heard_once_and_skips_to_sync(script in vec(any::<u8>(), 0..60)) {
        properties::refusals_are_answered(&script);
    }
}

/// The seeds of the fuzz target are inputs like any other: for each of its properties.
#[test]
fn every_seed_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/session");
    for entry in std::fs::read_dir(folder).unwrap() {
        let script = std::fs::read(entry.unwrap().path()).unwrap();
        for property in [
            properties::session_is_transparent,
            properties::session_is_robust,
            properties::refusals_are_answered,
        ] {
            property(&script[1..]);
        }
    }
}
