#![no_main]
#[path = "../../tests/properties/token.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::token(bytes));
