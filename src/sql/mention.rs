//! Does a text name a setting? A coarse question, asked before finer ones.

use memchr::memchr2_iter;

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
