#![no_main]

#[path = "../../tests/properties/choices.rs"]
mod choices;
#[path = "../../tests/properties/postgres.rs"]
mod postgres;
#[path = "../../tests/properties/session.rs"]
mod properties;

// The first byte chooses the property, so that a corpus serves all of them.
libfuzzer_sys::fuzz_target!(|script: &[u8]| match script.split_first() {
    Some((0, script)) => properties::refusals_are_answered(script),
    Some((1..128, script)) => properties::session_is_robust(script),
    Some((_, script)) => properties::session_is_transparent(script),
    None => {}
});
