//! Does a text name a setting? A coarse question, asked before finer ones.

use memchr::{memchr2_iter, memchr3_iter};

/// Whether a text may spell this name: `false` means that no name or plain string in it does.
///
/// Of a name with dots the last part is looked for, because the parts can be quoted and spaced
/// apart. Letters count in either case. A text with a backslash in it may spell anything (`E'\x61'`,
/// `U&"\0061"`), and so may one with `UESCAPE`. A string that is put together when
/// the statement runs, or from parts on several lines, is not seen; what
/// [`Notable`](super::Notable) says of `set_config` covers these.
pub fn mentions(text: &[u8], name: &[u8]) -> bool {
    let part = name.rsplit(|byte| *byte == b'.').next().unwrap_or(name);
    memchr::memchr(b'\\', text).is_some() || occurs(text, part) || occurs(text, b"uescape")
}

/// Whether a text may change its session beyond the transaction (a setting, a lock, a temporary
/// table), or look at what it has prepared. A coarse question as well: `false` is certain.
pub fn may_touch_session(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    if !begins_plainly(text) {
        return true;
    }
    let follows = |at: usize, part: &[u8]| {
        text.get(at + 1..at + 1 + part.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(part))
    };
    let precedes = |at: usize, part: &[u8]| {
        at.checked_sub(part.len())
            .and_then(|start| text.get(start..at))
            .is_some_and(|found| found.eq_ignore_ascii_case(part))
    };
    memchr3_iter(b';', b'&', b'_', text).any(|at| match text.get(at) {
        // Another statement follows.
        Some(b';') => at + 1 < text.len(),
        // A name in Unicode escapes.
        Some(b'&') => follows(at, b"\""),
        _ => {
            follows(at, b"config")
                || follows(at, b"advisory")
                || follows(at, b"settings")
                || follows(at, b"prepared")
        }
    })
        // `INTO TEMPORARY`, `pg_temp`
        || memchr2_iter(b'p', b'P', text).any(|at| precedes(at, b"tem"))
}

/// Whether the first word is that of a statement that changes nothing but data, if nothing in it says
/// otherwise.
pub(super) fn begins_plainly(text: &[u8]) -> bool {
    const PLAIN: [&[u8]; 14] = [
        b"select",
        b"insert",
        b"update",
        b"delete",
        b"with",
        b"values",
        b"merge",
        b"begin",
        b"commit",
        b"rollback",
        b"end",
        b"copy",
        b"fetch",
        b"show",
    ];
    let length = text.iter().position(|byte| !byte.is_ascii_alphabetic());
    let word = text.get(..length.unwrap_or(text.len())).unwrap_or_default();
    PLAIN.iter().any(|plain| word.eq_ignore_ascii_case(plain))
}

/// What a text may do to its session, of which only parts are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// It may call `set_config`.
    pub settings: bool,
    /// It may take or give back an advisory lock.
    pub locks: bool,
}

/// No hint is longer than this.
pub const LONGEST_HINT: usize = "set_config".len();

impl Hints {
    /// Looks into one more part of the text.
    pub fn look(&mut self, part: &[u8]) {
        let is = |range: std::ops::Range<usize>, name: &[u8]| {
            part.get(range)
                .is_some_and(|found| found.eq_ignore_ascii_case(name))
        };
        for at in memchr2_iter(b'_', b'&', part) {
            match part.get(at) {
                // A name in Unicode escapes.
                Some(b'&') => {
                    if at
                        .checked_sub(1)
                        .is_some_and(|before| is(before..at + 2, b"u&\""))
                    {
                        (self.settings, self.locks) = (true, true);
                    }
                }
                _ => {
                    let three_before = at.checked_sub(3);
                    self.settings |=
                        three_before.is_some_and(|start| is(start..at + 7, b"set_config"));
                    self.locks |= is(at..at + 9, b"_advisory");
                }
            }
        }
    }
}

/// Whether a text may speak of prepared statements by their names. A coarse question too.
pub fn may_name_prepared(text: &[u8]) -> bool {
    occurs(text, b"execute") || occurs(text, b"deallocate")
}

/// Whether a text may set a setting, by `SET`, `RESET` or `set_config`. A coarse question too.
pub fn may_set(text: &[u8]) -> bool {
    let sets = |four: &[u8]| {
        let (word, next) = four.split_at_checked(3).unwrap_or((four, b""));
        // `current_setting` only looks.
        word.eq_ignore_ascii_case(b"set") && !next.eq_ignore_ascii_case(b"t")
    };
    text.windows(4).any(sets) || occurs(text, b"u&\"")
}

/// Does `needle` occur, in whatever case? Looks for its rarest byte first.
pub(super) fn occurs(text: &[u8], needle: &[u8]) -> bool {
    let rarest = needle
        .iter()
        .enumerate()
        .max_by_key(|(_, byte)| rarity(**byte));
    let Some((offset, rarest)) = rarest else {
        return true;
    };
    memchr2_iter(
        rarest.to_ascii_lowercase(),
        rarest.to_ascii_uppercase(),
        text,
    )
    .any(|at| {
        at.checked_sub(offset)
            .and_then(|start| text.get(start..start + needle.len()))
            .is_some_and(|found| found.eq_ignore_ascii_case(needle))
    })
}

/// How seldom a byte stands in SQL: its place among the letters of English.
fn rarity(byte: u8) -> usize {
    b" etaoinsrhl_dcumfpgwybvkxjqz"
        .iter()
        .position(|common| *common == byte.to_ascii_lowercase())
        .unwrap_or(usize::MAX)
}
