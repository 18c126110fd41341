#![no_main]

#[path = "../../tests/properties/sql.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &[u8]| properties::sql(text));
