//! Numbers of bytes as people write them: a number, or `"10MB"`, `"64KiB"`; 0 or `"off"` is no
//! limit.
//!
//! As rates of networks and disks are written: `MB` are millions, `MiB` are powers of two. (The
//! sizes among the settings of PostgreSQL, as `work_mem`, are PostgreSQL's to read.)

use toml::de::DeValue;

use super::schema::Scalar;
use super::value::not_a;

/// A number of bytes; `None` = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub Option<u64>);

/// More than any machine sends in a second.
pub const MAX_BYTES: u64 = 1_000_000_000_000;

const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a number of bytes; the error says what it must be.
///
/// # Errors
/// When it is not a whole number with or without a unit, or `off`.
pub fn parse(text: &str) -> Result<Size, String> {
    if text == "off" {
        return Ok(Size(None));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let Some((_, bytes)) = unit.filter(|_| !number.is_empty()) else {
        let shape = r#"must be a number of bytes, as 5000, "64KiB", "10MB" or "1GiB", or "off""#;
        return Err(shape.to_owned());
    };
    let number: Option<u64> = number.parse().ok();
    let number = number.and_then(|number| number.checked_mul(*bytes));
    match number.filter(|number| *number <= MAX_BYTES) {
        Some(0) => Ok(Size(None)),
        Some(number) => Ok(Size(Some(number))),
        None => Err(format!("must be at most {MAX_BYTES} bytes")),
    }
}

impl Scalar for Size {
    const TYPE: &'static str = "a number of bytes";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => parse(text),
            DeValue::Integer(number) if number.as_str().starts_with('-') => {
                Err("must not be negative".to_owned())
            }
            DeValue::Integer(number) if number.radix() == 10 => {
                parse(number.as_str().trim_start_matches('+'))
            }
            other => Err(not_a(r#"a number of bytes, as 5000 or "10MB""#, other)),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.unwrap_or(0).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1", 1),
            ("5000", 5000),
            ("7B", 7),
            ("3kB", 3000),
            ("3KB", 3000),
            ("10MB", 10_000_000),
            ("1000GB", MAX_BYTES),
            ("64KiB", 65_536),
            ("2MiB", 2_097_152),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse(text), Ok(Size(Some(bytes))), "{text}");
        }
        // G4
        for text in ["0", "0MB", "off"] {
            assert_eq!(parse(text), Ok(Size(None)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        let shape = r#"must be a number of bytes, as 5000, "64KiB", "10MB" or "1GiB", or "off""#;
        let large = "must be at most 1000000000000 bytes";
        for (text, error) in [
            ("", shape),
            ("MB", shape),
            ("-1", shape),
            ("1.5MB", shape),
            ("5 MB", shape),
            ("5mb", shape),
            ("5M", shape),
            ("5TB", shape),
            ("1001GB", large),
            ("99999999999999999999", large),
            ("18446744073709551615GiB", large),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }
}
