#![no_main]

#[path = "../../tests/properties/choices.rs"]
mod choices;
#[path = "../../tests/properties/pool.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|script: &[u8]| properties::pool(script));
