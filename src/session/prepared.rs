//! The statements that one server connection has parsed.
//!
//! What was sent is taken for parsed at once, because the messages behind it rely on it. But in
//! the middle of a batch it is skipped if one before it fails (C2); so until it is answered it
//! counts for that batch only, and a later one sends it again.

use std::collections::HashMap;

/// Statements on one server connection. Beyond it the one that was not used for longest is closed.
const MOST_PREPARED: usize = 500;

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

struct Known {
    /// When it was last used.
    used: u64,
    /// The only batch that may rely on it; `None` = every one.
    only_in: Option<u64>,
}

/// The statements that one server connection has parsed.
pub(super) struct Prepared {
    known: HashMap<u64, Known>,
    clock: u64,
    /// The number of the batch that is being sent.
    batch: u64,
    /// Whose the unnamed statement is, once all is answered; `None` = there is none.
    unnamed: Option<UnnamedTag>,
    /// That is so only for the batch that is being sent: before it, it was another.
    unnamed_in_batch: bool,
}

/// No batch has this number.
const NO_BATCH: u64 = 0;

impl Default for Prepared {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            clock: 0,
            batch: NO_BATCH + 1,
            unnamed: None,
            unnamed_in_batch: false,
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

    /// Its Parse is sent. Returns another that must be closed to make room.
    pub(super) fn parses(&mut self, id: u64, in_batch: bool) -> Option<u64> {
        let only_in = in_batch.then_some(self.batch);
        self.clock += 1;
        let used = self.clock;
        if self.known.insert(id, Known { used, only_in }).is_some()
            || self.known.len() <= MOST_PREPARED
        {
            return None;
        }
        let (oldest, _) = self.known.iter().min_by_key(|(_, known)| known.used)?;
        let oldest = *oldest;
        self.known.remove(&oldest);
        Some(oldest)
    }

    /// Its Parse has succeeded.
    pub(super) fn parsed(&mut self, id: u64) {
        if let Some(known) = self.known.get_mut(&id) {
            known.only_in = None;
        }
    }

    /// The server has it no more.
    pub(super) fn forget(&mut self, id: u64) {
        self.known.remove(&id);
    }

    /// A Parse or a Close of it has failed or was skipped.
    pub(super) fn doubts(&mut self, id: u64) {
        let used = self.clock;
        let only_in = Some(NO_BATCH);
        self.known.insert(id, Known { used, only_in });
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
        self.known = HashMap::new();
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
