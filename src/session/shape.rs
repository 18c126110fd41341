//! What a statement takes and gives, and whether that is still so (C12).
//!
//! A server connection that has parsed a statement refuses to run it once its rows look otherwise
//! (`cached plan must not change result type`). One that parses it only then cannot know of it, and
//! would give a driver rows that it takes for others. So what a server says of a statement is
//! remembered, as a number. Where tables have changed since, and the statement must be parsed anew,
//! the server is asked again before anything is run: only then is there a round trip more.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    Backend, Entry, Next, Output, Request, Session, Whose,
    catalogue::Statement,
    client::Verdict,
    inject::Opening,
    prepared::Has,
    provide::{ensure, flush},
};
use crate::{
    error::{Error, Kind},
    wire::{
        reader::{Malformed, Reader},
        write,
    },
};

/// PostgreSQL's words for a statement whose tables were changed under it.
pub(super) const PLAN_CHANGED: &str = "cached plan must not change result type";

/// What a statement takes and gives, as servers describe it; 0 = not known.
#[derive(Debug, Default)]
pub(super) struct Shape {
    parameters: AtomicU64,
    rows: AtomicU64,
    /// Who prepares the text again gets another statement.
    is_outdated: AtomicBool,
}

/// Whether a statement on a server connection is what its clients were told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Compared {
    /// Nobody has asked.
    #[default]
    No,
    /// The server is being asked.
    Asked,
    Same,
    Differs,
}

impl Shape {
    /// A statement may not be any more what its text would mean if it were parsed now.
    pub(super) fn outdate(&self) {
        self.is_outdated.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    fn is_known(&self) -> bool {
        self.rows.load(Ordering::Relaxed) != 0
    }

    /// A server has described it: the first description is what it is. `tag` is that of the reply. Returns `false` if it
    /// was another before.
    pub(super) fn is_as(&self, tag: u8, body: &[u8]) -> bool {
        let (place, now) = match tag {
            b't' => (&self.parameters, number_of_parameters(body)),
            _ => (&self.rows, number_of_rows(tag, body)),
        };
        // A description that is too long to be read says nothing.
        let Ok(now) = now else { return true };
        let was = place.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        was.is_ok() || was == Err(now)
    }
}

fn number_of_parameters(body: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(body);
    let count = reader.u16()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(reader.take(usize::from(count) * 4)?);
    Ok(hasher.finish() | 1)
}

/// Of what PostgreSQL compares: names and types. Where a column comes from it does not.
fn number_of_rows(tag: u8, body: &[u8]) -> Result<u64, Malformed> {
    let mut hasher = DefaultHasher::new();
    if tag == b'T' {
        let mut reader = Reader::new(body);
        for _ in 0..reader.u16()? {
            hasher.write(reader.cstr()?);
            hasher.write_u8(0);
            reader.take(TABLE_AND_COLUMN)?;
            hasher.write(reader.take(TYPE)?);
            reader.take(FORMAT)?;
        }
    }
    Ok(hasher.finish() | 1)
}

const TABLE_AND_COLUMN: usize = 4 + 2;
/// Its number, its length and its modifier.
const TYPE: usize = 4 + 2 + 4;
const FORMAT: usize = 2;

impl Session {
    /// The client's message with this tag names the statement `name`: is it what it was? `Some`: it is
    /// not, or that is not known yet.
    pub(super) fn compare(
        &mut self,
        tag: u8,
        name: &[u8],
        backend: &mut Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        if !self.names.are_older_than(self.catalogue.schema().version()) {
            return None;
        }
        let statement = self.names.get(name).map(Arc::clone)?;
        if self.goes_by(name, &statement, backend) {
            return None;
        }
        match backend.prepared.compared(statement.id) {
            Compared::Differs => {
                let opening = self.opening(backend);
                return Some(self.refuse_changed(tag, opening, backend, out));
            }
            Compared::Asked if !backend.pipeline.is_empty() => {
                return Some(Verdict::Stop(Next::Hold));
            }
            Compared::No if self.is_to_be_compared(&statement, backend) => {}
            Compared::No | Compared::Asked | Compared::Same => return None,
        }
        ensure(&statement, backend, out);
        describe(&statement, backend, out);
        flush(out);
        Some(Verdict::Stop(Next::Hold))
    }

    /// Tables have changed since it was prepared, and this connection parses it only now.
    pub(super) fn is_to_be_compared(&self, statement: &Statement, backend: &mut Backend) -> bool {
        statement.version != self.catalogue.schema().version()
            && statement.shape.is_known()
            && !statement.is_private()
            && backend.prepared.has(statement.id) != Has::Yes
    }

    /// The server says what a statement takes and gives. If that is not what it was, somebody has changed tables.
    pub(super) fn described(&self, statement: u64, tag: u8, body: &[u8], backend: &mut Backend) {
        if !backend.prepared.described(statement, tag, body) {
            self.catalogue.schema().has_changed();
        }
    }

    /// Says what PostgreSQL would say.
    pub(super) fn refuse_changed(
        &mut self,
        tag: u8,
        opening: Opening,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        let error = Error::new(Kind::PlanChanged, PLAN_CHANGED);
        self.refuse_request(tag, error, opening, backend, out)
    }
}

/// Asks the server what the statement takes and gives.
pub(super) fn describe(statement: &Statement, backend: &mut Backend, out: &mut Output) {
    out.to_server.own(|bytes| {
        write::frame(bytes, b'D', |frame| {
            frame.push(b'S');
            frame.extend_from_slice(Statement::server_name(statement.id).terminated());
        });
    });
    backend.prepared.asked(statement.id);
    backend.pipeline.push(Entry {
        statement: statement.id,
        ..Entry::new(Request::Describe, Whose::Hidden)
    });
}
