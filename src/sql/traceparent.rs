//! The trace that a text belongs to: `traceparent='00-…-…-01'` in one of its comments, as
//! sqlcommenter writes it and the W3C's "Trace Context" defines it.

use super::{comment, lexer::Dialect};

/// The key in the comment.
const KEY: &[u8] = b"traceparent";

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// A trace that goes on here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span above.
    pub span: [u8; 8],
    /// Whether the caller's part of the trace is recorded.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads the value. What is not of the form says nothing, as if it were not there.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let [version] = bytes(parts.next()?)?;
        let trace = bytes(parts.next()?)?;
        let span = bytes(parts.next()?)?;
        let [flags] = bytes(parts.next()?)?;
        // A later version may add parts; this one has none, and 255 is none.
        let fits = match version {
            0 => more.is_empty(),
            255 => false,
            _ => more.first().is_none_or(|byte| *byte == b'-'),
        };
        let is_real = trace != [0; 16] && span != [0; 8];
        (fits && is_real && parts.next().is_none()).then_some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// Looks for one in the comments of a text. One that is ambiguous is none.
    pub fn find(text: &[u8], dialect: Dialect) -> Option<Self> {
        let found = comment::find(text, KEY, dialect).ok()??;
        Self::parse(&found.value)
    }
}

/// Digits in small letters, as many as there must be.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut read = [0; N];
    for (place, pair) in read.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *place = digit(high)? << 4 | digit(low)?;
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn good(sampled: bool) -> TraceParent {
        TraceParent {
            trace: [
                0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80,
                0x31, 0x9c,
            ],
            span: [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31],
            sampled,
        }
    }

    #[test]
    fn what_is_of_the_form_is_read() {
        for (text, sampled) in [
            (GOOD.to_owned(), true),
            (GOOD.replace("-01", "-00"), false),
            (GOOD.replace("-01", "-ff"), true),
            (GOOD.replacen("00", "cc", 1), true),
            (GOOD.replacen("00", "01", 1) + "-what-comes", true),
        ] {
            let read = TraceParent::parse(text.as_bytes());
            assert_eq!(read, Some(good(sampled)), "{text}");
        }
    }

    #[test]
    fn what_is_not_says_nothing() {
        for text in [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-x"),
            format!("{GOOD}0"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "cc", 1) + ".x",
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace("af", "ag"),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace("9c-b7", "9-cb7"),
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn it_is_found_in_comments() {
        let find = |text: &str| TraceParent::find(text.as_bytes(), Dialect::default());
        let comment = format!("/*db_driver='pg',traceparent='{GOOD}',tenant_id='acme'*/");
        assert_eq!(find(&format!("select 1 {comment}")), Some(good(true)));
        assert_eq!(find(&format!("{comment} select 1;")), Some(good(true)));
        assert_eq!(
            find(&format!("select '{}'", comment.replace('\'', "''"))),
            None
        );
        assert_eq!(find("select 1 /*traceparent='x'*/"), None);
        let other = comment.replace("9c", "9d");
        assert_eq!(find(&format!("{comment} select 1 {other}")), None);
    }
}
