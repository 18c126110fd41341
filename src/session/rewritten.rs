//! A simple query whose text is not the client's own: what was put into it and cut out of it,
//! so that the client hears only what it would have heard without.

use std::sync::Arc;

use super::{Session, catalogue};
use crate::{tenant::Context, wire::reader::Reader};

/// A context, put in front of a statement.
#[derive(Debug, Clone)]
pub(super) struct Insert {
    /// The statements of the client in front of it.
    pub(super) behind: usize,
    /// Where in the client's text: in bytes for the writer, in characters for what is told.
    pub(super) at: usize,
    pub(super) context: Arc<Context>,
}

/// A stretch of the client's text that was cut out, in bytes; then in characters.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What was changed in a text. In the order of the text.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Nearly always there is one at most, which costs no allocation.
    pub(super) first: Option<Insert>,
    pub(super) more: Vec<Insert>,
    pub(super) cuts: Vec<Cut>,
}

/// A change at a place in the client's text.
pub(super) enum Change<'a> {
    Insert(&'a Insert),
    Cut(&'a Cut),
}

impl Changes {
    pub(super) fn insert(&mut self, insert: Insert) {
        if self.first.is_none() {
            self.first = Some(insert);
        } else {
            self.more.push(insert);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.cuts.is_empty()
    }

    fn inserts(&self) -> impl Iterator<Item = &Insert> {
        self.first.iter().chain(&self.more)
    }

    /// All changes in the order of the text.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Change<'_>> {
        let mut inserts = self.inserts().peekable();
        let mut cuts = self.cuts.iter().peekable();
        std::iter::from_fn(move || {
            let cut_first = match (inserts.peek(), cuts.peek()) {
                (Some(insert), Some(cut)) => cut.start <= insert.at,
                (None, Some(_)) => true,
                _ => false,
            };
            if cut_first {
                cuts.next().map(Change::Cut)
            } else {
                inserts.next().map(Change::Insert)
            }
        })
    }

    /// How many bytes longer the text has become.
    pub(super) fn added(&self) -> usize {
        self.inserts().map(|it| it.context.prefix().len()).sum()
    }

    /// How many bytes were cut out.
    pub(super) fn removed(&self) -> usize {
        self.cuts.iter().map(|cut| cut.end - cut.start).sum()
    }

    /// From places in bytes of `text` to places in characters, which is what PostgreSQL counts.
    pub(super) fn count_characters(&mut self, text: &[u8], utf8: bool) {
        if !utf8 || text.is_ascii() {
            return;
        }
        let characters = |at: usize| {
            let before = text.get(..at).unwrap_or_default();
            before.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
        };
        for insert in self.first.iter_mut().chain(&mut self.more) {
            insert.at = characters(insert.at);
        }
        for cut in &mut self.cuts {
            (cut.start, cut.end) = (characters(cut.start), characters(cut.end));
        }
    }
}

/// A rewritten text that the server is answering.
#[derive(Debug)]
pub(super) struct Rewritten {
    changes: Changes,
    /// Statements of the client that are done.
    done: usize,
    /// Contexts whose first setting is done.
    begun: usize,
    /// Settings of the present context that are still to be done.
    left: usize,
}

/// Whose statement was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completed {
    /// One of the client's.
    Own,
    /// A setting of a context.
    Setting,
    /// The last setting of a context.
    Context,
}

impl Rewritten {
    pub(super) fn new(changes: Changes) -> Self {
        Self {
            changes,
            done: 0,
            begun: 0,
            left: 0,
        }
    }

    /// The server has completed a statement.
    pub(super) fn completes(&mut self) -> Completed {
        if self.left == 0 {
            match self.changes.inserts().nth(self.begun) {
                Some(next) if next.behind == self.done => {
                    self.left = next.context.sets();
                    self.begun += 1;
                }
                _ => {
                    self.done += 1;
                    return Completed::Own;
                }
            }
        }
        self.left -= 1;
        if self.left == 0 {
            Completed::Context
        } else {
            Completed::Setting
        }
    }

    /// Where in the client's text the character `position` (from 1) of the sent text stands.
    /// `None`: it is not the client's.
    pub(super) fn position(&self, position: usize) -> Option<usize> {
        // In the sent text, the distance to the client's, so far.
        let (mut added, mut removed) = (0, 0);
        let place = position.checked_sub(1)?;
        for change in self.changes.in_order() {
            match change {
                Change::Insert(insert) => {
                    let start = insert.at + added - removed;
                    let size = insert.context.prefix().len();
                    if place < start {
                        break;
                    }
                    if place < start + size {
                        return None;
                    }
                    added += size;
                }
                Change::Cut(cut) => {
                    if place < cut.start + added - removed {
                        break;
                    }
                    removed += cut.end - cut.start;
                }
            }
        }
        Some(position + removed - added)
    }
}

/// PostgreSQL's SQLSTATE for a Parse whose name is in use (C11).
const NAME_TAKEN: &[u8] = b"42P05";

impl Session {
    /// The server's error in the client's own words: a statement has the name that the client gave it,
    /// or none.
    pub(super) fn in_own_names(
        &mut self,
        code: &[u8],
        body: &[u8],
        unnamed: bool,
    ) -> Option<Vec<u8>> {
        let taken = self.names.take_taken().filter(|_| code == NAME_TAKEN);
        memchr::memmem::find(body, catalogue::PREFIX)?;
        let mut renamed = None;
        let mut own = Vec::new();
        let mut fields = Reader::new(body);
        while let Ok(field) = fields.u8() {
            if field == 0 {
                own.push(0);
                break;
            }
            let text = fields.cstr().ok()?;
            own.push(field);
            let mut quoted = text.splitn(3, |byte| *byte == b'"');
            match (field, quoted.next(), quoted.next(), quoted.next()) {
                (b'M', Some(before), Some(name), Some(after)) if catalogue::is_reserved(name) => {
                    let own_name = match unnamed {
                        true => Some(b"".as_slice()),
                        false => taken.as_deref().or_else(|| self.own_name(name)),
                    };
                    own.extend([before, b"\"", own_name.unwrap_or(name), b"\"", after].concat());
                    renamed = Some(());
                }
                _ => own.extend_from_slice(text),
            }
            own.push(0);
        }
        renamed.map(|()| own)
    }
}
