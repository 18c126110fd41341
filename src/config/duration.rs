//! Durations as people write them: `"50ms"`, `"5s"`, `"10m"`, `"1h"`, `"1d"`; 0 or `"off"` is off.
//!
//! One meaning of 0 for all of them (G4), and never a number without its unit: in other poolers
//! the same bare 5 is five seconds here and five milliseconds there.

use std::time::Duration;

/// A duration, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

impl Timeout {
    /// Off.
    pub const OFF: Self = Self(None);

    /// So many seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Some(Duration::from_secs(seconds)))
    }

    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Some(Duration::from_millis(millis)))
    }
}

/// A longer time is a typing mistake, and adding it to a clock must not overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a duration; the error says what it must be.
///
/// # Errors
/// When it is not a whole number with a unit, `0` or `off`.
pub fn parse(text: &str) -> Result<Timeout, String> {
    if text == "off" {
        return Ok(Timeout::OFF);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shape =
        || r#"must be a whole number and a unit, as "50ms", "5s", "10m", "1h" or "1d", or "off""#;
    if number.is_empty() {
        return Err(shape().to_owned());
    }
    let too_long = || r#"is longer than a year; write "off" for no limit"#.to_owned();
    let number: u64 = number.parse().map_err(|_| too_long())?;
    if unit.is_empty() {
        return if number == 0 {
            Ok(Timeout::OFF)
        } else {
            Err(without_unit(number))
        };
    }
    let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(shape().to_owned());
    };
    let length = number.checked_mul(*millis).map(Duration::from_millis);
    match length.filter(|length| *length <= LONGEST) {
        Some(Duration::ZERO) => Ok(Timeout::OFF),
        Some(length) => Ok(Timeout(Some(length))),
        None => Err(too_long()),
    }
}

/// What to say about a number that stands alone.
pub fn without_unit(number: impl std::fmt::Display) -> String {
    format!(r#"needs a unit: write "{number}s" for seconds or "{number}ms" for milliseconds"#)
}

/// Writes a duration in the largest unit that keeps it whole.
pub fn show(timeout: Timeout) -> String {
    let Some(length) = timeout.0.filter(|length| !length.is_zero()) else {
        return "off".to_owned();
    };
    let millis = length.as_millis();
    let whole = UNITS
        .iter()
        .rev()
        .find(|(_, unit)| millis.is_multiple_of(u128::from(*unit)));
    let (unit, size) = whole.unwrap_or(&UNITS[0]);
    format!("{}{unit}", millis / u128::from(*size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("1ms", 1),
            ("50ms", 50),
            ("5s", 5_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("366d", 366 * 86_400_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Timeout(Some(Duration::from_millis(millis)))),
                "{text}"
            );
        }
    }

    #[test]
    fn zero_is_off_in_every_unit() {
        // G4
        for text in ["0", "off", "0ms", "0s", "0m", "0h", "0d", "000s"] {
            assert_eq!(parse(text), Ok(Timeout::OFF), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        let shape =
            r#"must be a whole number and a unit, as "50ms", "5s", "10m", "1h" or "1d", or "off""#;
        let long = r#"is longer than a year; write "off" for no limit"#;
        for (text, error) in [
            ("", shape),
            ("s", shape),
            ("-1s", shape),
            ("1.5s", shape),
            ("5 s", shape),
            ("5S", shape),
            ("1h30m", shape),
            ("5us", shape),
            ("OFF", shape),
            ("367d", long),
            ("99999999999999999999s", long),
            ("18446744073709551615d", long),
            (
                "5",
                r#"needs a unit: write "5s" for seconds or "5ms" for milliseconds"#,
            ),
        ] {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["1ms", "50ms", "5s", "90s", "10m", "1h", "36h", "1d", "off"] {
            assert_eq!(parse(text).map(show).as_deref(), Ok(text));
        }
    }
}
