//! What goes out: runs of the input that was just read, and the few bytes of our own between them.
//!
//! A run is a stretch of the read buffer that needs no change. A result of ten thousand rows is
//! one run: one entry here, one slice of one gathered write, no copy.

use std::ops::Range;

use crate::error::Error;

/// What is copied rather than listed, if it is in several stretches.
const FEW_BYTES: usize = 4096;

/// Where a stretch of output lies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    /// In the input.
    Input(Range<usize>),
    /// In our own bytes.
    Own(Range<usize>),
}

/// One direction's output, in order.
#[derive(Debug, Default)]
pub struct Gather {
    runs: Vec<Run>,
    own: Vec<u8>,
    /// Of all runs together.
    size: usize,
    /// Room to put small runs together in.
    together: Vec<u8>,
    /// Where the slice that is being read begins in the caller's buffer.
    base: usize,
}

impl Gather {
    /// Forwards `range` of the input. Neighbours grow together.
    pub fn input(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.size += range.len();
        let range = range.start + self.base..range.end + self.base;
        match self.runs.last_mut() {
            Some(Run::Input(last)) if last.end == range.start => last.end = range.end,
            _ => self.runs.push(Run::Input(range)),
        }
    }

    /// Adds bytes of our own: what `write` appends.
    pub fn own(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        let range = start..self.own.len();
        if range.is_empty() {
            return;
        }
        self.size += range.len();
        match self.runs.last_mut() {
            Some(Run::Own(last)) if last.end == range.start => last.end = range.end,
            _ => self.runs.push(Run::Own(range)),
        }
    }

    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Stretches to write.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Bytes to write.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All bytes to write as one slice, if they are one, or few enough to be copied: the kernel
    /// takes longer over a list of short stretches than it takes to put them together.
    pub fn in_one_piece<'a>(&'a mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        match self.runs.as_slice() {
            [Run::Input(range)] => input.get(range.clone()),
            [Run::Own(range)] => self.own.get(range.clone()),
            _ if self.size <= FEW_BYTES => {
                let mut together = std::mem::take(&mut self.together);
                together.clear();
                self.slices(input)
                    .for_each(|slice| together.extend_from_slice(slice));
                self.together = together;
                Some(&self.together)
            }
            _ => None,
        }
    }

    /// The bytes to write, in order; `input` is the buffer that was read from.
    pub fn slices<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.runs.iter().map(move |run| match run {
            Run::Input(range) => input.get(range.clone()).unwrap_or_default(),
            Run::Own(range) => self.own.get(range.clone()).unwrap_or_default(),
        })
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.own.clear();
        // An error text or a welcome may have grown it; what is kept is what a normal turn needs.
        self.own.shrink_to(16 * 1024);
        self.size = 0;
        self.base = 0;
    }
}

/// What one turn of a session wants written.
#[derive(Debug, Default)]
pub struct Output {
    /// To the client.
    pub to_client: Gather,
    /// To the server.
    pub to_server: Gather,
    /// Before that: a database that no idle connection may be in, for what is sent to succeed.
    pub vacated: Option<String>,
    /// Errors of our own that the client is told.
    pub told: Vec<Error>,
}

impl Output {
    /// Tells the client what went wrong.
    pub(super) fn tell(&mut self, error: &Error) {
        self.told.push(error.clone());
        self.to_client.own(|bytes| error.write(bytes));
    }

    /// The session is now given the buffer from `base` on.
    pub fn rebase(&mut self, base: usize) {
        self.to_client.base = base;
        self.to_server.base = base;
    }

    /// Forgets all; keeps the room.
    pub fn clear(&mut self) {
        self.to_client.clear();
        self.to_server.clear();
        self.vacated = None;
        self.told.clear();
    }
}
