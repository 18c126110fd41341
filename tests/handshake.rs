//! Logins against everybody: what proptest makes of the dialogues, and every seed of their fuzz targets.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what is not as expected ends the test"
)]

#[path = "properties/choices.rs"]
mod choices;
#[path = "properties/login.rs"]
mod properties;

use proptest::collection::vec;
use proptest::prelude::*;

/// Messages that are mostly as they were meant: else no dialogue gets far.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let head = vec(any::<u8>(), 5);
    let message = prop_oneof![
        4 => Just(vec![7]),
        1 => vec(any::<u8>(), 1..5),
    ];
    (head, vec(message, 0..8)).prop_map(|(head, messages)| [head, messages.concat()].concat())
}

proptest! {
    /// A4, A10
    #[test]
    fn nobody_comes_in_with_another_message(script in script()) {
        properties::client(&script);
    }

    /// A10
    #[test]
    fn no_impostor_is_believed(script in script()) {
        properties::upstream(&script);
    }

    #[test]
    fn names_say_what_they_say(text in "([a-c.@:/?%&=]|db.example.com|sslmode=){0,12}") {
        properties::names(text.as_bytes());
    }

    #[test]
    fn a_certificate_that_was_changed_breaks_nothing(
        which in 0..8_usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let files = seeds("certificate");
        let mut der = files[which % files.len()].clone();
        for (at, byte) in changes {
            let at = at.index(der.len());
            der[at] = byte;
        }
        properties::certificate(&der);
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&folder).unwrap();
    let all: Vec<_> = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!all.is_empty(), "{folder} is empty");
    all
}

/// What the properties say of those who come in is worth something if some do.
#[test]
fn those_who_mean_well_come_in() {
    let come_in = |target: &str, name: &str, property: fn(&[u8]) -> bool| {
        let path = format!("{}/fuzz/seeds/{target}/{name}", env!("CARGO_MANIFEST_DIR"));
        property(&std::fs::read(path).unwrap())
    };
    for (name, expected) in [
        ("scram_plain", true),
        ("scram_secret_bound", true),
        ("scram_stranger", false),
        ("scram_md5_stored", false),
        ("scram_in_between", false),
        ("scram_changed_proof", false),
        ("md5", true),
        ("password_of_scram", true),
        ("password_cut", false),
        ("no_nul", false),
        ("trust", true),
    ] {
        assert_eq!(
            come_in("login", name, properties::comes_in),
            expected,
            "{name}"
        );
    }
    for (name, expected) in [
        ("scram", true),
        ("scram_bound", true),
        ("keys_pass_through", true),
        ("unbindable", false),
        ("ends_early", false),
        ("offer_taken_away", false),
        ("impostor_signature", false),
        ("md5", true),
        ("password", true),
        ("password_where_it_must_bind", false),
        ("trust", true),
    ] {
        assert_eq!(
            come_in("upstream", name, properties::is_let_in),
            expected,
            "{name}"
        );
    }
}

/// The seeds of the fuzz targets are inputs like any other.
#[test]
fn the_corpus_breaks_nothing() {
    for (target, property) in [
        ("login", properties::client as fn(&[u8])),
        ("upstream", properties::upstream),
        ("certificate", properties::certificate),
        ("names", properties::names),
    ] {
        for seed in seeds(target) {
            property(&seed);
        }
    }
}
