//! The statements that one server connection has parsed.
//!
//! What was sent is taken for parsed at once, because the messages behind it rely on it. But in
//! the middle of a batch it is skipped if one before it fails (C2); so until it is answered it
//! counts for that batch only, and a later one sends it again.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use super::{
    catalogue::Statement,
    own_names::Naming,
    reuse::Recent,
    shape::{Compared, Shape},
};

/// Statements on one server connection.
const MOST_PREPARED: usize = 500;

/// Where there are more, so many that were not used for longest are closed: to find them takes a
/// look at each.
const CLOSED_AT_ONCE: usize = MOST_PREPARED / 10;

/// Which Parse the unnamed statement of a server connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnnamedTag {
    pub(super) client: u64,
    pub(super) generation: u64,
}

impl UnnamedTag {
    /// What the server has is not known: it is nobody's.
    const UNKNOWN: Self = Self {
        client: 0,
        generation: 0,
    };
}

/// Whether a server connection has a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Has {
    Yes,
    No,
    /// It was sent, and perhaps skipped: it must be closed before it is parsed again.
    Perhaps,
}

#[derive(Default)]
struct Known {
    /// When it was last used.
    used: u64,
    /// The only batch that may rely on it; `None` = every one.
    only_in: Option<u64>,
    shape: Arc<Shape>,
    compared: Compared,
}

/// Spreads the numbers of statements. They are ours, one after the other: nobody chooses them to collide.
#[derive(Default)]
struct Numbers(u64);

impl Hasher for Numbers {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 << 8 | u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 by the golden ratio: neighbours come to lie far from each other.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The statements that one server connection has parsed.
pub(super) struct Prepared {
    known: HashMap<u64, Known, BuildHasherDefault<Numbers>>,
    /// How they are called.
    pub(super) naming: Naming,
    clock: u64,
    /// The number of the batch that is being sent.
    batch: u64,
    /// Whose the unnamed statement is, once all is answered; `None` = there is none.
    unnamed: Option<UnnamedTag>,
    /// That is so only for the batch that is being sent: before it, it was another.
    unnamed_in_batch: bool,
    /// Statements that were found by their texts, to be found without asking who shares them.
    pub(super) recent: Recent,
    /// The batch in which they may be used.
    reusing_in: u64,
}

/// No batch has this number.
const NO_BATCH: u64 = 0;

impl Default for Prepared {
    fn default() -> Self {
        Self {
            known: HashMap::default(),
            naming: Naming::ByNumber,
            clock: 0,
            batch: NO_BATCH + 1,
            unnamed: None,
            unnamed_in_batch: false,
            recent: Recent::default(),
            reusing_in: NO_BATCH,
        }
    }
}

impl Prepared {
    /// Whether the server has it for a message that is sent now. Asking keeps it.
    pub(super) fn has(&mut self, id: u64) -> Has {
        self.clock += 1;
        match self.known.get_mut(&id) {
            Some(known) => {
                known.used = self.clock;
                match known.only_in {
                    Some(batch) if batch != self.batch => Has::Perhaps,
                    _ => Has::Yes,
                }
            }
            None => Has::No,
        }
    }

    /// How many it has.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Its Parse is sent. Returns others that must be closed to make room.
    pub(super) fn parses(&mut self, statement: &Statement, in_batch: bool) -> Vec<u64> {
        self.clock += 1;
        let parsed = Known {
            used: self.clock,
            only_in: in_batch.then_some(self.batch),
            shape: Arc::clone(&statement.shape),
            compared: Compared::No,
        };
        self.known.insert(statement.id, parsed);
        if self.known.len() <= MOST_PREPARED {
            return Vec::new();
        }
        let mut ages: Vec<(u64, u64)> = self.known.iter().map(|(id, it)| (it.used, *id)).collect();
        ages.sort_unstable();
        let surplus = self.known.len() - MOST_PREPARED + CLOSED_AT_ONCE;
        let oldest: Vec<u64> = ages.iter().take(surplus).map(|(_, id)| *id).collect();
        for id in &oldest {
            self.known.remove(id);
        }
        oldest
    }

    /// Its Parse has succeeded.
    pub(super) fn parsed(&mut self, id: u64) {
        if let Some(known) = self.known.get_mut(&id) {
            known.only_in = None;
        }
    }

    /// Those that it may have.
    pub(super) fn all(&self) -> Vec<u64> {
        self.known.keys().copied().collect()
    }

    /// The server has it no more.
    pub(super) fn forget(&mut self, id: u64) {
        self.known.remove(&id);
    }

    /// A Parse or a Close of it has failed or was skipped.
    pub(super) fn doubts(&mut self, id: u64) {
        let known = self.known.entry(id).or_default();
        *known = Known {
            used: self.clock,
            only_in: Some(NO_BATCH),
            shape: Arc::clone(&known.shape),
            compared: Compared::No,
        };
    }

    /// The server has refused one that it should have: something took it away and went by unseen, a
    /// function that runs `DEALLOCATE ALL`, say. What else it took nobody knows.
    pub(super) fn doubts_all(&mut self) {
        for id in self.all() {
            self.doubts(id);
        }
    }

    /// The server is asked what it takes and gives, to compare that with what is known.
    pub(super) fn asked(&mut self, id: u64) {
        if let Some(known) = self.known.get_mut(&id) {
            known.compared = Compared::Asked;
        }
    }

    /// The server has described it, in part or to the end. Returns whether that is as before.
    pub(super) fn described(&mut self, id: u64, tag: u8, body: &[u8]) -> bool {
        let Some(known) = self.known.get_mut(&id) else {
            return true;
        };
        let same = known.shape.is_as(tag, body);
        known.compared = match known.compared {
            Compared::Asked if !same => Compared::Differs,
            Compared::Asked if tag != b't' => Compared::Same,
            as_before => as_before,
        };
        same
    }

    /// Whether it is what clients were told of it.
    pub(super) fn compared(&self, id: u64) -> Compared {
        self.known
            .get(&id)
            .map_or(Compared::No, |known| known.compared)
    }

    /// Nothing that is on its way can have changed the tables: unnamed statements may be reused
    /// until the end of the batch.
    pub(super) fn begins_reusing(&mut self) {
        self.reusing_in = self.batch;
    }

    /// What is sent now may change them.
    pub(super) fn stops_reusing(&mut self) {
        self.reusing_in = NO_BATCH;
    }

    pub(super) fn is_reusing(&self) -> bool {
        self.reusing_in == self.batch
    }

    /// The statement may not be what its text means.
    pub(super) fn outdates(&self, id: u64) {
        if let Some(known) = self.known.get(&id) {
            known.shape.outdate();
        }
    }

    /// A Sync is sent.
    pub(super) fn batch_ends(&mut self) {
        self.batch += 1;
        if self.unnamed_in_batch {
            self.doubts_unnamed();
        }
    }

    /// Whose the unnamed statement is for a message that is sent now; `None` = there is none.
    pub(super) fn unnamed(&self) -> Option<UnnamedTag> {
        self.unnamed
    }

    /// What replaces the unnamed statement is sent. As the first of its batch it is certain to be read.
    pub(super) fn replaces_unnamed(&mut self, by: Option<UnnamedTag>, in_batch: bool) {
        self.unnamed = by;
        self.unnamed_in_batch = in_batch;
    }

    /// The last that was sent to replace the unnamed statement was done.
    pub(super) fn replaced_unnamed(&mut self, by: Option<UnnamedTag>) {
        self.replaces_unnamed(by, false);
    }

    /// The last that was sent to replace the unnamed statement has failed or was skipped. What is
    /// there now may even be that of another client.
    pub(super) fn doubts_unnamed(&mut self) {
        self.replaces_unnamed(Some(UnnamedTag::UNKNOWN), false);
    }

    /// A simple query ends the unnamed statement.
    pub(super) fn ends_unnamed(&mut self) {
        self.replaces_unnamed(None, false);
    }

    /// Nothing is there any more.
    pub(super) fn clear(&mut self) {
        self.known = HashMap::default();
        self.naming = Naming::ByNumber;
        self.ends_unnamed();
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("statements", &self.known.len())
            .field("unnamed", &self.unnamed)
            .finish_non_exhaustive()
    }
}
