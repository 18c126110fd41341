//! The settings of a session: those a client wants, and those it has been told of.
//!
//! In transaction mode a client meets another server connection each time. What it set when it
//! connected must hold on each of them, and what `ParameterStatus` told it must stay true (E5).
//! Both are shared between all clients that look alike, so comparing them is comparing two
//! pointers for nearly everybody.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use crate::{sql::Dialect, wire::write};

/// A name and its value, as they stand in messages.
type Setting = (Box<[u8]>, Box<[u8]>);

/// Settings that a client wants to hold, sorted by name (lower case).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    entries: Vec<Setting>,
}

impl Profile {
    /// Sorts `entries`; of two with the same name the later one wins.
    pub fn new(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let mut sorted: Vec<Setting> = Vec::new();
        for (mut name, value) in entries {
            name.make_ascii_lowercase();
            match sorted.binary_search_by(|(known, _)| known.as_ref().cmp(&name)) {
                Ok(at) => {
                    if let Some(entry) = sorted.get_mut(at) {
                        entry.1 = value.into();
                    }
                }
                Err(at) => sorted.insert(at, (name.into(), value.into())),
            }
        }
        Self { entries: sorted }
    }

    /// The settings in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `name`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self
            .entries
            .binary_search_by(|(known, _)| known.as_ref().cmp(name))
            .ok()?;
        self.entries.get(at).map(|(_, value)| value.as_ref())
    }

    /// Sets `name`, or takes it out.
    pub(super) fn set(&mut self, name: &[u8], value: Option<&[u8]>) {
        let place = self
            .entries
            .binary_search_by(|(known, _)| known.as_ref().cmp(name));
        match (place, value) {
            (Ok(at), Some(value)) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.1 = value.into();
                }
            }
            (Ok(at), None) => {
                self.entries.remove(at);
            }
            (Err(at), Some(value)) => self.entries.insert(at, (name.into(), value.into())),
            (Err(_), None) => {}
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all names and values.
    pub(super) fn bytes(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// All but `name`.
    #[must_use]
    pub fn without(&self, name: &[u8]) -> Self {
        let others = self
            .entries
            .iter()
            .filter(|(known, _)| known.as_ref() != name);
        Self {
            entries: others.cloned().collect(),
        }
    }

    /// The same, with this setting.
    #[must_use]
    pub fn with(self, name: &[u8], value: &[u8]) -> Self {
        let entries = self.entries.into_iter();
        let entries = entries.map(|(name, value)| (name.into_vec(), value.into_vec()));
        Self::new(entries.chain([(name.to_vec(), value.to_vec())]))
    }

    /// Appends the SQL that brings a session from `current` to `self`; nothing if they are equal.
    ///
    /// `set_config` takes a value as a startup packet does: `SET search_path = 'a, b'` would be one
    /// schema with a comma in its name, `set_config('search_path', 'a, b', false)` is two.
    /// `DateStyle` has two halves and takes the one that is not given from what it was, so that it
    /// is reset before it is set: the other half must not be another client's.
    pub fn write_change_from(&self, current: &Self, sql: &mut Vec<u8>) {
        let is_left_over = |(name, value): &(&[u8], &[u8])| match self.get(name) {
            None => true,
            Some(wanted) => (*name == b"datestyle" || is_role(name)) && wanted != *value,
        };
        let left_over = || current.iter().filter(is_left_over);
        // Who the session is comes first when it is taken back and last when it is given: the other
        // settings may need rights that only the connection's own user has.
        let (roles, others) = (
            left_over().filter(|(name, _)| is_role(name)),
            left_over().filter(|(name, _)| !is_role(name)),
        );
        let mut was_reset = false;
        for (name, _) in roles.chain(others) {
            if *name == *b"session_authorization" {
                // It takes the role with it.
                was_reset = true;
            }
            sql.extend_from_slice(b"RESET ");
            push_identifier(sql, name);
            sql.push(b';');
        }
        let is_new = |(name, value): &(&[u8], &[u8])| {
            current.get(name) != Some(value) || was_reset && is_role(name)
        };
        let mut opened = false;
        let in_turn = |nth| self.iter().filter(move |(name, _)| turn(name) == nth);
        for (name, value) in (0..=3).flat_map(in_turn).filter(is_new) {
            sql.extend_from_slice(if opened { b"," } else { b"SELECT " });
            opened = true;
            sql.extend_from_slice(b"pg_catalog.set_config(");
            push_literal(sql, name);
            sql.push(b',');
            push_literal(sql, value);
            // The value itself may be one that the client's encoding cannot say.
            sql.extend_from_slice(b",false)IS NULL");
        }
    }
}

/// A setting that says who the session is.
fn is_role(name: &[u8]) -> bool {
    rank(name) > 0
}

/// When a setting's turn comes. What is to be heard of the others comes before them, as it does where
/// it stands in `options`; whether it stood behind them in the startup message is not known any more.
fn turn(name: &[u8]) -> u8 {
    match rank(name) {
        0 if name == b"client_min_messages" => 0,
        rank => rank + 1,
    }
}

/// In which order settings are given.
pub(super) fn rank(name: &[u8]) -> u8 {
    match name {
        b"session_authorization" => 1,
        b"role" => 2,
        _ => 0,
    }
}

/// A string constant that means `text` under any setting: `E''` knows backslash escapes whatever
/// `standard_conforming_strings` says, and bytes that are not plain ASCII text go as octal, so that
/// no multi-byte encoding can swallow the closing quote.
pub(super) fn push_literal(sql: &mut Vec<u8>, text: &[u8]) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\');
    sql.extend_from_slice(b" E'");
    let mut rest = text;
    loop {
        let special = rest.iter().position(|byte| !is_plain(byte));
        let (plain, behind) = rest.split_at(special.unwrap_or(rest.len()));
        sql.extend_from_slice(plain);
        let Some((&byte, behind)) = behind.split_first() else {
            break;
        };
        match byte {
            b'\'' => sql.extend_from_slice(b"''"),
            b'\\' => sql.extend_from_slice(b"\\\\"),
            _ => sql.extend_from_slice(&[
                b'\\',
                b'0' + (byte >> 6),
                b'0' + (byte >> 3 & 7),
                b'0' + (byte & 7),
            ]),
        }
        rest = behind;
    }
    sql.push(b'\'');
}

/// A quoted name, dot by dot: `"app"."tenant_id"`.
pub(super) fn push_identifier(sql: &mut Vec<u8>, name: &[u8]) {
    for (nth, part) in name.split(|byte| *byte == b'.').enumerate() {
        if nth > 0 {
            sql.push(b'.');
        }
        sql.push(b'"');
        for &byte in part {
            if byte == b'"' {
                sql.push(byte);
            }
            sql.push(byte);
        }
        sql.push(b'"');
    }
}

/// What `ParameterStatus` says of a session, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reported {
    entries: Vec<Setting>,
}

/// The most parameters one server may report: PostgreSQL reports about fifteen, extensions may add some.
const MOST_REPORTED: usize = 256;

impl Reported {
    /// Notes that the server reported `name`; says whether that is news.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        match self
            .entries
            .binary_search_by(|(known, _)| known.as_ref().cmp(name))
        {
            Ok(at) => match self.entries.get_mut(at) {
                Some(entry) if entry.1.as_ref() != value => {
                    entry.1 = value.into();
                    true
                }
                _ => false,
            },
            Err(_) if self.entries.len() >= MOST_REPORTED => false,
            Err(at) => {
                self.entries.insert(at, (name.into(), value.into()));
                true
            }
        }
    }

    /// The value of `name`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self
            .entries
            .binary_search_by(|(known, _)| known.as_ref().cmp(name))
            .ok()?;
        self.entries.get(at).map(|(_, value)| value.as_ref())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Appends the ParameterStatus messages that bring a client from the view `seen` to `self`.
    pub fn write_news_since(&self, seen: &Self, out: &mut Vec<u8>) {
        for (name, value) in self
            .iter()
            .filter(|(name, value)| seen.get(name) != Some(value))
        {
            write::parameter_status(out, name, value);
        }
    }
}

/// How the texts of a client are to be read, as its settings tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) sql: Dialect,
    /// Characters are counted as UTF-8 has them.
    pub(super) utf8: bool,
}

impl Reading {
    pub(super) fn of(reported: &Reported) -> Self {
        /// In these the second byte of a character may look like ASCII.
        const UNSAFE: [&[u8]; 7] = [
            b"SJIS",
            b"SHIFT_JIS_2004",
            b"BIG5",
            b"GBK",
            b"UHC",
            b"GB18030",
            b"JOHAB",
        ];
        let encoding = reported.get(b"client_encoding").unwrap_or(b"UTF8");
        let standard_strings = reported.get(b"standard_conforming_strings") != Some(b"off");
        Self {
            sql: Dialect {
                standard_strings,
                ascii_safe: !UNSAFE.contains(&encoding),
            },
            utf8: encoding == b"UTF8",
        }
    }
}

/// Sets one reported parameter in a shared map; says whether that was news.
pub(super) fn note(shared: &mut Arc<Reported>, name: &[u8], value: &[u8]) -> bool {
    if shared.get(name) == Some(value) {
        return false;
    }
    Arc::make_mut(shared).set(name, value)
}

/// Values that are shared between clients. Beyond it a new one is its client's own.
const MOST_INTERNED: usize = 1_000;

/// The one copy of `value` that everybody has.
pub fn intern<T: Eq + Hash>(shared: &mut HashSet<Arc<T>>, value: T) -> Arc<T> {
    if let Some(known) = shared.get(&value) {
        return Arc::clone(known);
    }
    if shared.len() >= MOST_INTERNED {
        // Those that nobody uses any more make room.
        shared.retain(|it| Arc::strong_count(it) > 1);
    }
    let value = Arc::new(value);
    if shared.len() < MOST_INTERNED {
        shared.insert(Arc::clone(&value));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(entries: &[(&str, &str)]) -> Profile {
        Profile::new(
            entries
                .iter()
                .map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())),
        )
    }

    fn change(from: &[(&str, &str)], to: &[(&str, &str)]) -> String {
        let mut sql = Vec::new();
        profile(to).write_change_from(&profile(from), &mut sql);
        String::from_utf8(sql).unwrap()
    }

    #[test]
    fn only_differences_travel() {
        assert_eq!(change(&[("a", "1")], &[("a", "1")]), "");
        assert_eq!(
            change(&[], &[("A.b", "1")]),
            "SELECT pg_catalog.set_config( E'a.b', E'1',false)IS NULL"
        );
        assert_eq!(
            change(&[("a", "1"), ("x.y", "2")], &[("a", "3"), ("b", "")]),
            "RESET \"x\".\"y\";SELECT pg_catalog.set_config( E'a', E'3',false)IS NULL,\
             pg_catalog.set_config( E'b', E'',false)IS NULL"
        );
    }

    // E1: half a DateStyle is not completed with another client's.
    #[test]
    fn a_date_style_starts_afresh() {
        assert_eq!(
            change(&[("datestyle", "ISO, DMY")], &[("datestyle", "SQL")]),
            "RESET \"datestyle\";SELECT pg_catalog.set_config( E'datestyle', E'SQL',false)IS NULL"
        );
        let first = change(&[], &[("datestyle", "SQL")]);
        assert!(first.starts_with("SELECT"), "{first}");
        let same = [("datestyle", "SQL")];
        assert_eq!(change(&same, &same), "");
    }

    // A16: what is to be heard is known before there is something to hear.
    #[test]
    fn the_level_of_messages_comes_first_and_roles_last() {
        let wanted = [
            ("a", ""),
            ("client_min_messages", ""),
            ("role", ""),
            ("z", ""),
        ];
        let sql = change(&[], &wanted);
        let names: Vec<_> = sql.split("config( E'").skip(1).collect();
        let names: Vec<_> = names
            .iter()
            .filter_map(|it| it.split('\'').next())
            .collect();
        assert_eq!(names, ["client_min_messages", "a", "z", "role"]);
    }

    #[test]
    fn later_settings_win() {
        assert_eq!(profile(&[("a", "1"), ("A", "2")]), profile(&[("a", "2")]));
    }

    // A17: neither a value nor a name ends its quotes.
    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            change(&[("x\"; drop", "")], &[("a'", "b\\'\n\u{e9}")]),
            "RESET \"x\"\"; drop\";SELECT pg_catalog.set_config( E'a''', E'b\\\\''\\012\\303\\251',false)IS NULL"
        );
    }

    #[test]
    fn news_are_the_difference() {
        let mut old = Reported::default();
        assert!(old.set(b"TimeZone", b"UTC"));
        assert!(!old.set(b"TimeZone", b"UTC"));
        let mut new = old.clone();
        assert!(new.set(b"DateStyle", b"ISO"));
        let mut out = Vec::new();
        new.write_news_since(&old, &mut out);
        assert_eq!(out, b"S\0\0\0\x12DateStyle\0ISO\0");
    }
}
