//! One frame of the client on its way to the server, as it came or with another beginning or text.

use std::ops::Range;

use super::{
    Gather, Output,
    rewritten::{Change, Changes},
};
use crate::wire::{
    frame::{HEADER, Header},
    frontend,
};

/// A client's frame.
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    /// All of it that is there.
    pub(super) body: &'a [u8],
    /// Where it begins in the input; `None` = it is not the client's own.
    pub(super) start: Option<usize>,
}

impl Frame<'_> {
    pub(super) fn is_whole(&self) -> bool {
        self.header.size == HEADER + self.body.len()
    }

    /// The text of a simple query that is whole.
    pub(super) fn query_text(&self) -> Option<&[u8]> {
        frontend::query(self.body).ok().filter(|_| self.is_whole())
    }

    /// Forwards a simple query with changes in its text.
    pub(super) fn forward_changed(&self, changes: &Changes, out: &mut Output) {
        let length = self.header.size - 1 + changes.added() - changes.removed();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let out = &mut out.to_server;
        out.own(|bytes| {
            bytes.push(self.header.tag);
            bytes.extend_from_slice(&length.to_be_bytes());
        });
        let mut done = 0;
        for change in changes.in_order() {
            match change {
                Change::Insert(insert) => {
                    self.forward_part(done..insert.at, out);
                    out.own(|bytes| bytes.extend_from_slice(insert.context.prefix()));
                    done = insert.at;
                }
                Change::Cut(cut) => {
                    self.forward_part(done..cut.start, out);
                    done = cut.end;
                }
            }
        }
        self.forward_part(done..self.body.len(), out);
    }

    /// Forwards a part of the body.
    fn forward_part(&self, part: Range<usize>, out: &mut Gather) {
        match self.start {
            Some(start) => out.input(start + HEADER + part.start..start + HEADER + part.end),
            None => out.own(|bytes| {
                bytes.extend_from_slice(self.body.get(part).unwrap_or_default());
            }),
        }
    }

    /// Forwards it with `front`, piece by piece, in the place of the first `skipped` bytes of its body.
    pub(super) fn forward_with(&self, skipped: usize, front: &[&[u8]], out: &mut Gather) {
        let front_length: usize = front.iter().map(|piece| piece.len()).sum();
        let length = self.header.size - 1 - skipped + front_length;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        out.own(|bytes| {
            bytes.push(self.header.tag);
            bytes.extend_from_slice(&length.to_be_bytes());
            for piece in front {
                bytes.extend_from_slice(piece);
            }
        });
        self.forward_part(skipped..self.body.len(), out);
    }
}
