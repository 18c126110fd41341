#![no_main]

#[path = "../../tests/properties/choices.rs"]
mod choices;
#[path = "../../tests/properties/line.rs"]
mod line;
#[path = "../../tests/properties/postgres.rs"]
mod postgres;
#[path = "../../tests/properties/session.rs"]
mod properties;
#[path = "../../tests/properties/tenant_postgres.rs"]
mod tenant_postgres;
#[path = "../../tests/properties/tenants.rs"]
mod tenants;

// The first byte chooses the property, so that a corpus serves all of them.
libfuzzer_sys::fuzz_target!(|script: &[u8]| match script.split_first() {
    Some((0, script)) => properties::refusals_are_answered(script),
    Some((1..64, script)) => properties::session_is_robust(script),
    Some((64..128, script)) => tenants::tenants_are_kept_apart(script),
    Some((_, script)) => properties::session_is_transparent(script),
    None => {}
});
