//! Of many lines of one kind in a short time only the first are written, and then once how many
//! were left out (H5): what a crowd does, or an attacker, must be seen and must not fill a disk.
//!
//! Nothing here writes a line. Whoever does asks first ([`Storm::lets`]), and asks now and then
//! what was left out ([`Storm::calmed`]).

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use crate::sync::Mutex;

/// Over how long a time lines are counted.
pub(crate) const SPELL: Duration = Duration::from_secs(10);

/// Kinds of lines that are told apart at the same time. Whoever invents more of them shares one.
const MOST_KINDS: usize = 256;

/// Lines of several kinds, each of which is let through `most` times in a [`SPELL`].
#[derive(Debug)]
pub(crate) struct Storm<K> {
    most: u64,
    spells: Mutex<Spells<K>>,
}

#[derive(Debug)]
struct Spells<K> {
    kinds: HashMap<K, Spell>,
    others: Option<Spell>,
}

/// The lines of one kind since the first of them.
#[derive(Debug, Clone, Copy)]
struct Spell {
    since: Instant,
    lines: u64,
}

/// What was left out of one kind of line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut<K> {
    /// The kind; `None`: one of the many that were not told apart.
    pub(crate) kind: Option<K>,
    pub(crate) lines: u64,
    /// In what time.
    pub(crate) within: Duration,
}

impl<K: Eq + Hash> Storm<K> {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            spells: Mutex::new(Spells {
                kinds: HashMap::new(),
                others: None,
            }),
        }
    }

    /// Counts a line of this kind; may it be written?
    pub(crate) fn lets(&self, kind: K, now: Instant) -> bool {
        let mut spells = self.spells.lock();
        let Spells { kinds, others } = &mut *spells;
        let new = Spell {
            since: now,
            lines: 0,
        };
        let spell = if kinds.len() < MOST_KINDS || kinds.contains_key(&kind) {
            kinds.entry(kind).or_insert(new)
        } else {
            others.get_or_insert(new)
        };
        spell.lines += 1;
        spell.lines <= self.most
    }

    /// Ends the spells that have lasted long enough; what was left out in them.
    pub(crate) fn calmed(&self, now: Instant) -> Vec<LeftOut<K>> {
        let mut spells = self.spells.lock();
        let is_over = |spell: &Spell| now.saturating_duration_since(spell.since) >= SPELL;
        let mut left_out = Vec::new();
        let mut tell = |kind, spell: Spell| {
            if let Some(lines) = spell.lines.checked_sub(self.most).filter(|more| *more > 0) {
                let within = now.saturating_duration_since(spell.since);
                left_out.push(LeftOut {
                    kind,
                    lines,
                    within,
                });
            }
        };
        for (kind, spell) in spells.kinds.extract_if(|_, spell| is_over(spell)) {
            tell(Some(kind), spell);
        }
        if let Some(spell) = spells.others.take_if(|spell| is_over(spell)) {
            tell(None, spell);
        }
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_few_lines_are_just_written() {
        let storm = Storm::new(3);
        let start = Instant::now();
        for kind in ["a", "b", "a", "b", "a"] {
            assert!(storm.lets(kind, start));
        }
        assert_eq!(storm.calmed(start + SPELL), []);
    }

    // H5
    #[test]
    fn of_many_lines_the_number_is_told_once() {
        let storm = Storm::new(3);
        let start = Instant::now();
        let through = |from, count: usize| {
            let lets = (0..count).filter(|_| storm.lets("a", from));
            lets.count()
        };
        assert_eq!(through(start, 500), 3);
        assert_eq!(through(start + SPELL - MOMENT, 315), 0);
        assert!(storm.lets("b", start));
        assert_eq!(storm.calmed(start + SPELL - MOMENT), []);
        let expected = LeftOut {
            kind: Some("a"),
            lines: 812,
            within: SPELL,
        };
        assert_eq!(storm.calmed(start + SPELL), [expected]);
        assert_eq!(storm.calmed(start + SPELL), []);
        // And it begins anew.
        assert_eq!(through(start + SPELL, 4), 3);
    }

    #[test]
    fn kinds_without_number_share_one() {
        let storm = Storm::new(2);
        let start = Instant::now();
        let through = (0..100_000).filter(|kind| storm.lets(*kind, start)).count();
        assert_eq!(through, MOST_KINDS + 2);
        assert_eq!(storm.spells.lock().kinds.len(), MOST_KINDS);
        // Those that were there are still told apart.
        assert!(storm.lets(0, start));
        let left_out = storm.calmed(start + SPELL);
        let [
            LeftOut {
                kind: None, lines, ..
            },
        ] = left_out.as_slice()
        else {
            panic!("{left_out:?}");
        };
        assert_eq!(*lines, 100_000 - MOST_KINDS as u64 - 2);
        assert!(storm.spells.lock().kinds.is_empty());
    }
}
