//! The id of a tenant: the only text of a client's that pgusher puts into SQL of its own.
//!
//! Whatever the format, an id consists of letters, digits and `_ . : -`, and is short. No way of
//! quoting, no setting of the server and no encoding can make such a text end a string constant,
//! which is why there is a single constructor, [`Format::id`], and no way around it (J1).

use std::{borrow::Borrow, borrow::Cow, fmt, sync::Arc};

use regex_lite::Regex;

/// The longest id. Longer than any UUID, domain name label or readable key; short enough that ids
/// of strangers cost next to nothing in memory, logs and labels.
pub const MAX_ID_BYTES: usize = 128;

/// How much of a text that is no id is shown to whoever sent it.
const MAX_SHOWN_BYTES: usize = 40;

/// A tenant's id. Cloning it copies a pointer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The id as it is sent to the server.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// No quotes: there is nothing in it that would need them.
impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What ids look like. Each format has one spelling for each tenant, because limits, metrics and
/// `[tenants.ID]` compare spellings.
#[derive(Debug, Clone)]
pub enum Format {
    /// Any text of the alphabet.
    Text,
    /// A UUID in 32 hexadecimal digits, with the usual four hyphens or with none, in upper or lower
    /// case. It becomes lower case with hyphens, as PostgreSQL writes it: applications do not
    /// choose how their language prints one.
    Uuid,
    /// A whole number of 64 bits, spelt as PostgreSQL prints it. `+7`, `007` and `-0` are refused
    /// and not mended: numbers come from columns and print in one way, so that another spelling is
    /// a different thing (an account number, a mistake), which must not become some tenant's id.
    Integer,
    /// Text that a regular expression matches as a whole.
    Pattern(Pattern),
}

impl Format {
    /// The one way to an id.
    ///
    /// # Errors
    /// When `bytes` are not an id in this format.
    pub fn id(&self, bytes: &[u8]) -> Result<TenantId, NotAnId> {
        self.canonical(bytes).map(|id| TenantId(id.as_ref().into()))
    }

    /// The one spelling of the id in `bytes`; it is borrowed if it is that already.
    pub(super) fn canonical<'b>(&self, bytes: &'b [u8]) -> Result<Cow<'b, str>, NotAnId> {
        let not = |why| NotAnId {
            shown: shown(bytes),
            why,
        };
        if bytes.is_empty() {
            return Err(not(Why::Empty));
        }
        if bytes.len() > MAX_ID_BYTES {
            return Err(not(Why::Long));
        }
        if !bytes.iter().copied().all(is_safe) {
            return Err(not(Why::Alphabet));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| not(Why::Alphabet))?;
        match self {
            Self::Text => Ok(Cow::Borrowed(text)),
            Self::Uuid => uuid(text).ok_or_else(|| not(Why::Uuid)),
            Self::Integer if is_integer(text) => Ok(Cow::Borrowed(text)),
            Self::Integer => Err(not(Why::Integer)),
            Self::Pattern(pattern) if pattern.whole.is_match(text) => Ok(Cow::Borrowed(text)),
            Self::Pattern(_) => Err(not(Why::Pattern)),
        }
    }
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-')
}

fn uuid(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let hyphen_at = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_hex = |byte: u8| byte.is_ascii_hexdigit();
    match bytes.len() {
        36 => {
            let sound = |(at, &byte): (usize, &u8)| {
                if hyphen_at(at) {
                    byte == b'-'
                } else {
                    is_hex(byte)
                }
            };
            let is_usual = !bytes.iter().any(u8::is_ascii_uppercase);
            bytes.iter().enumerate().all(sound).then(|| {
                if is_usual {
                    Cow::Borrowed(text)
                } else {
                    Cow::Owned(text.to_ascii_lowercase())
                }
            })
        }
        32 if bytes.iter().copied().all(is_hex) => {
            let mut usual = String::with_capacity(36);
            for digit in text.chars() {
                if hyphen_at(usual.len()) {
                    usual.push('-');
                }
                usual.push(digit.to_ascii_lowercase());
            }
            Some(Cow::Owned(usual))
        }
        _ => None,
    }
}

/// Spelt as it would be printed.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.starts_with(['0', '+', '-']) || text == "0";
    plain && text.parse::<i64>().is_ok()
}

/// A regular expression that must match a whole id.
#[derive(Clone)]
pub struct Pattern {
    /// As it was typed.
    text: String,
    whole: Regex,
}

impl Pattern {
    /// Reads a regular expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        // By itself first: `a)|(b` is no expression, but would be one inside the anchors, and
        // would no longer be held by them.
        Regex::new(text).map_err(|error| error.to_string())?;
        let whole = Regex::new(&format!(r"\A(?:{text})\z")).map_err(|error| error.to_string())?;
        Ok(Self {
            text: text.to_owned(),
            whole,
        })
    }

    /// As it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// What was given is not an id. It prints as the rest of a sentence that begins with "tenant id".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnId {
    shown: String,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Empty,
    Long,
    Alphabet,
    Uuid,
    Integer,
    Pattern,
}

impl NotAnId {
    /// What was given, fit to be printed: escaped, and cut.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What an id must be instead, as a sentence.
    pub fn rule(&self) -> String {
        match self.why {
            Why::Empty => "A tenant's id is not empty.".to_owned(),
            Why::Long => format!("A tenant's id has at most {MAX_ID_BYTES} bytes."),
            Why::Alphabet => {
                r#"A tenant's id consists of letters A-Z and a-z, digits, "_", ".", ":" and "-"."#
                    .to_owned()
            }
            Why::Uuid => "A tenant's id is a UUID here, without braces.".to_owned(),
            Why::Integer => {
                "A tenant's id is a whole number here, of at most 64 bits, without a plus sign or leading zeros."
                    .to_owned()
            }
            Why::Pattern => "A tenant's id matches the configured pattern here.".to_owned(),
        }
    }
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a tenant's id", self.shown)
    }
}

impl std::error::Error for NotAnId {}

/// The beginning of `bytes`, in printable ASCII.
fn shown(bytes: &[u8]) -> String {
    let (head, more) = match bytes.get(..MAX_SHOWN_BYTES) {
        Some(head) if bytes.len() > MAX_SHOWN_BYTES => (head, "..."),
        _ => (bytes, ""),
    };
    format!("{}{more}", head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &Format, text: &str) -> Result<String, Why> {
        let id = format.id(text.as_bytes());
        id.map(|id| id.to_string()).map_err(|not| not.why)
    }

    // J1: what can end or extend a string constant is in no id of any format.
    #[test]
    fn nothing_that_quotes_is_in_an_id() {
        let any = Format::Pattern(Pattern::new("(?s).*").unwrap());
        for format in [Format::Text, Format::Uuid, Format::Integer, any] {
            for byte in 0..=u8::MAX {
                let safe = byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
                let text = [b'1', byte, b'1'];
                assert!(safe || format.id(&text).is_err(), "{format:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn text_is_bounded() {
        let longest = "a".repeat(MAX_ID_BYTES);
        assert_eq!(read(&Format::Text, &longest), Ok(longest.clone()));
        assert_eq!(read(&Format::Text, &format!("{longest}a")), Err(Why::Long));
        assert_eq!(read(&Format::Text, ""), Err(Why::Empty));
        assert_eq!(read(&Format::Text, "Acme_1.eu:-"), Ok("Acme_1.eu:-".into()));
        assert_eq!(read(&Format::Text, "a b"), Err(Why::Alphabet));
    }

    #[test]
    fn uuids_have_one_spelling() {
        let usual = "0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b";
        for typed in [
            usual,
            "0B5C2F6E-8A4D-4B6B-9F0A-1C2D3E4F5A6B",
            "0b5c2f6e8a4d4b6b9f0a1c2d3e4f5a6b",
        ] {
            assert_eq!(read(&Format::Uuid, typed), Ok(usual.into()), "{typed}");
        }
        for (typed, why) in [
            ("{0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6b}", Why::Alphabet),
            ("0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6", Why::Uuid),
            ("0b5c2f6e-8a4d-4b6b-9f0a-1c2d3e4f5a6g", Why::Uuid),
            ("0b5c-2f6e-8a4d-4b6b-9f0a-1c2d-3e4f-5a6b", Why::Uuid),
            ("0b5c2f6e_8a4d_4b6b_9f0a_1c2d3e4f5a6b", Why::Uuid),
            ("acme", Why::Uuid),
        ] {
            assert_eq!(read(&Format::Uuid, typed), Err(why), "{typed}");
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        for typed in [
            "0",
            "7",
            "-7",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert_eq!(read(&Format::Integer, typed), Ok(typed.into()));
        }
        for typed in [
            "-0",
            "007",
            "-07",
            "--7",
            "-",
            "7.0",
            "1e3",
            "0x7",
            "9223372036854775808",
        ] {
            assert_eq!(read(&Format::Integer, typed), Err(Why::Integer), "{typed}");
        }
        assert_eq!(read(&Format::Integer, "+7"), Err(Why::Alphabet));
    }

    #[test]
    fn a_pattern_matches_the_whole_id() {
        let format = |text| Pattern::new(text).map(Format::Pattern);
        let read = |text, id: &str| format(text).map(|format| format.id(id.as_bytes()).is_ok());
        for (pattern, id, matches) in [
            ("t[0-9]+", "t42", true),
            ("t[0-9]+", "t42x", false),
            ("t[0-9]+", "xt42", false),
            // The alternative that matches less does not hide the one that matches all.
            ("a|ab", "ab", true),
            ("a|b", "ax", false),
            ("a|b", "xb", false),
            ("(?m)^a$", "a", true),
            ("(?m)^a$|.", "ab", false),
            ("", "a", false),
        ] {
            assert_eq!(read(pattern, id), Ok(matches), "{pattern:?} {id:?}");
        }
        // A newline is in no id, whatever the pattern says.
        assert_eq!(read("(?s).*", "a\n"), Ok(false));
        for pattern in ["(", "a)|(b", "[", "*"] {
            assert!(format(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_is_echoed_is_short_and_printable() {
        let not = Format::Text.id(b"a'\n\xff\"").unwrap_err();
        assert_eq!(not.to_string(), r#""a\'\n\xff\"" is not a tenant's id"#);
        let not = Format::Text.id(&[b'\n'; 500]).unwrap_err();
        assert_eq!(not.shown(), format!("{}...", r"\n".repeat(40)));
    }
}
