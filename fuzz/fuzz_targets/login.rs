#![no_main]
#![expect(dead_code, reason = "each target uses one of the shared properties")]

#[path = "../../tests/properties/choices.rs"]
mod choices;
#[path = "../../tests/properties/login.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::client(bytes));
