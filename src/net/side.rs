//! One side of a relay: a stream, what was read of it and not used, what it has not taken yet.
//!
//! Reading goes through a buffer that belongs to the worker, not to the connection: between
//! reading and writing nothing waits, so one buffer serves all connections of a thread and
//! stays in its cache. Only what is left over is copied: the beginning of a frame whose end has
//! not come, and output that the peer is too slow to take. A connection at rest holds neither.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    task::{Context, Poll},
};

use super::stream::Stream;
use crate::session::{Gather, Output, WINDOW};

/// The worker's read buffer: room for the beginning of a frame that was kept, and as much again to read into.
const ROOM: usize = 2 * WINDOW;

/// Stretches that one gathered write takes. The kernel's limit is 1,024; more than a few are rare.
const MOST_SLICES: usize = 32;

/// What a turn works with: the read buffer and the output lists of this thread.
pub(crate) struct Desk {
    pub(crate) window: Box<[u8]>,
    pub(crate) out: Output,
}

/// Room for leftovers that is kept for the next who has some: so much each, and so many.
const SPARE_ROOM: usize = 4096;
const SPARE_ROOMS: usize = 64;

thread_local! {
    /// Room that nobody needs at the moment.
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };

    static DESK: RefCell<Desk> = RefCell::new(Desk {
        window: vec![0; ROOM].into_boxed_slice(),
        out: Output::default(),
    });
}

/// Lends the thread's desk to `turn`. Turns do not nest.
pub(crate) fn at_desk<T>(turn: impl FnOnce(&mut Desk) -> T) -> T {
    DESK.with_borrow_mut(|desk| {
        desk.out.clear();
        turn(desk)
    })
}

/// Room for leftovers: every request that waits for a server connection needs some.
fn room() -> Vec<u8> {
    SPARES.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_room_back(room: Vec<u8>) {
    SPARES.with_borrow_mut(|spares| {
        if room.capacity() <= SPARE_ROOM && spares.len() < SPARE_ROOMS {
            spares.push(room);
        }
    });
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The window holds so many bytes, kept ones first.
    Bytes(usize),
    /// Nothing new after all.
    Nothing,
    /// The peer has closed its side.
    End,
}

/// A stream with its leftovers.
#[derive(Debug)]
pub(crate) struct Side {
    stream: Stream,
    /// Read and not used: begins at the beginning of a frame.
    kept: Vec<u8>,
    /// Not written yet.
    unsent: Vec<u8>,
    /// The peer takes nothing any more; what would be written is dropped, what it said is still read.
    deaf: bool,
}

impl Side {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            kept: Vec::new(),
            unsent: Vec::new(),
            deaf: false,
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Moves the stream to the current worker.
    pub(crate) fn rebind(self) -> io::Result<Self> {
        let stream = self.stream.detach()?.attach()?;
        Ok(Self { stream, ..self })
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is found again, and handled, by the read that follows.
        self.stream.poll_read_ready(cx).map(|_| ())
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_write_ready(cx).map(|_| ())
    }

    /// Reads behind what was kept.
    pub(crate) fn fill(&mut self, window: &mut [u8]) -> io::Result<Filled> {
        let kept = self.lay_out(window);
        let Some(room) = window.get_mut(kept..) else {
            return Ok(Filled::Nothing);
        };
        let read = self.stream.read(room);
        match read {
            Ok(0) => Ok(Filled::End),
            Ok(read) => {
                self.kept.clear();
                Ok(Filled::Bytes(kept + read))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Like [`fill`](Self::fill), but asks the kernel and not what the runtime remembers.
    pub(crate) fn fill_now(&mut self, window: &mut [u8]) -> io::Result<Filled> {
        let kept = self.lay_out(window);
        let Some(room) = window.get_mut(kept..) else {
            return Ok(Filled::Nothing);
        };
        match self.stream.read_now(room) {
            Ok(0) => Ok(Filled::End),
            Ok(read) => {
                self.kept.clear();
                Ok(Filled::Bytes(kept + read))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Copies what was kept to the front of the window.
    fn lay_out(&self, window: &mut [u8]) -> usize {
        let kept = self.kept.len().min(window.len());
        if let (Some(front), Some(bytes)) = (window.get_mut(..kept), self.kept.get(..kept)) {
            front.copy_from_slice(bytes);
        }
        kept
    }

    /// Takes what was kept, without reading.
    pub(crate) fn take_kept(&mut self, window: &mut [u8]) -> usize {
        let kept = self.lay_out(window);
        self.kept.clear();
        kept
    }

    /// Keeps what was not used. The room is given back when there is nothing to keep.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            if self.kept.capacity() > 0 {
                give_room_back(std::mem::take(&mut self.kept));
            }
            return;
        }
        if self.kept.capacity() == 0 {
            self.kept = room();
        }
        self.kept.clear();
        self.kept.extend_from_slice(rest);
    }

    /// So much is kept that nothing more is to be read.
    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= ROOM
    }

    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The peer is slower than we are: nothing more is to be read from the other side.
    pub(crate) fn is_backed_up(&self) -> bool {
        !self.deaf && (!self.unsent.is_empty() || self.stream.owes())
    }

    /// Writes what it can of `gather`, whose input is `window`, and keeps the rest.
    pub(crate) fn send(&mut self, gather: &mut Gather, window: &[u8]) -> io::Result<()> {
        if gather.is_empty() || self.deaf {
            return Ok(());
        }
        let written = match self.is_backed_up() {
            true => 0,
            false => self.write_once(gather, window)?,
        };
        if written < gather.size() {
            self.keep_unsent(gather, window, written);
        }
        Ok(())
    }

    fn write_once(&mut self, gather: &mut Gather, window: &[u8]) -> io::Result<usize> {
        let result = match gather.in_one_piece(window) {
            Some(piece) => self.stream.write(piece),
            None => self.write_gathered(gather, window),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    fn write_gathered(&mut self, gather: &Gather, window: &[u8]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let mut count = 0;
        for (slot, slice) in slices.iter_mut().zip(gather.slices(window)) {
            *slot = IoSlice::new(slice);
            count += 1;
        }
        self.stream
            .write_gathered(slices.get(..count).unwrap_or_default())
    }

    fn keep_unsent(&mut self, gather: &Gather, window: &[u8], mut written: usize) {
        for slice in gather.slices(window) {
            let skipped = written.min(slice.len());
            written -= skipped;
            self.unsent
                .extend_from_slice(slice.get(skipped..).unwrap_or_default());
        }
    }

    /// Writes bytes of our own.
    pub(crate) fn send_own(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut gather = Gather::default();
        gather.own(|own| own.extend_from_slice(bytes));
        self.send(&mut gather, &[])
    }

    /// Writes what was left over; the peer can take more now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.deaf {
            return Ok(());
        }
        let written = match self.unsent.is_empty() {
            true => self.stream.flush().map(|()| 0),
            false => self.stream.write(&self.unsent),
        };
        match written {
            Ok(written) if written == self.unsent.len() => self.unsent = Vec::new(),
            Ok(written) => {
                self.unsent.drain(..written);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The last that is said, behind everything that was written.
    pub(crate) fn farewell(&mut self) {
        if self.unsent.is_empty() && !self.deaf {
            self.stream.farewell();
        }
    }

    /// Nothing more is written.
    pub(crate) fn deafen(&mut self) {
        self.deaf = true;
        self.unsent = Vec::new();
    }
}
