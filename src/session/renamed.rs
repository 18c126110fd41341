//! Prepared statements of the driver that SQL speaks of: `EXECUTE name`, `DEALLOCATE name` (C10).
//!
//! On the server a client's statement goes by a number, so the name in the text is replaced by that,
//! and the statement is parsed before if this server connection does not have it.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Backend, Entry, Next, Output, Request, Session, Status, Whose,
    catalogue::{self, Statement},
    client::Verdict,
    forward::Frame,
    prepared::Has,
    provide::{end_batch, ensure, flush},
    reading::{Act, Naming},
    shape::{Compared, describe},
    touches::Touches,
};
use crate::{
    error::{Error, Kind},
    sql,
    wire::{
        frame::{HEADER, Header},
        write,
    },
};

/// What a client deallocates in SQL, and what of it is done.
#[derive(Debug, Default)]
pub(super) struct Deallocations {
    /// Names, in the order in which the server will come to them; `None` = not one of the driver's.
    sent: VecDeque<Option<Box<[u8]>>>,
    /// How many of the present request are done.
    done: u16,
    /// The last one that is gone, and its number.
    last: Option<Box<(Box<[u8]>, u64)>>,
    /// What was sent may deallocate all there are.
    all: bool,
}

impl Deallocations {
    /// Whether there is still a statement of this name is only known when all is answered.
    fn may_concern(&self, name: &[u8]) -> bool {
        let is_it = |gone: &Option<Box<[u8]>>| gone.as_deref() == Some(name);
        self.all || self.sent.iter().any(is_it)
    }
}

/// A text in which names were replaced.
#[derive(Debug, Clone, Default)]
pub(super) struct Renamed {
    pub(super) text: Vec<u8>,
    /// The statements that it names.
    pub(super) uses: Vec<Arc<Statement>>,
    /// What it deallocates, in order.
    pub(super) deallocates: Vec<Option<Box<[u8]>>>,
    /// What the statements that it executes may change of the session.
    pub(super) touches: Touches,
    /// What they set of the tenant's setting.
    pub(super) namings: Vec<Naming>,
    /// What comes behind them needs the context anew.
    pub(super) drops_context: bool,
    /// It names a statement that is pgusher's own, or another client's.
    pub(super) is_reserved: bool,
}

impl Renamed {
    fn executes(&mut self, act: &Act) {
        self.namings.extend_from_slice(&act.namings);
        self.drops_context |= act.drops_context;
        if let Some(touches) = &act.touches {
            self.touches.add(&touches.without_parameters());
        }
    }

    fn is_nothing(&self) -> bool {
        !self.is_reserved
            && !self.drops_context
            && self.uses.is_empty()
            && self.namings.is_empty()
            && self.touches.is_empty()
            && self.deallocates.iter().all(Option::is_none)
    }
}

impl Session {
    /// `text` with the names that the server knows; `None` = it is as it is.
    fn rename(&self, text: &[u8], backend: &Backend) -> Option<Renamed> {
        // Who has prepared nothing can name nothing of its own, and is asked only what costs little.
        if self.names.len() == 0 && !catalogue::may_name_reserved(text) {
            return None;
        }
        if !sql::may_name_prepared(text) {
            return None;
        }
        let dialect = self.dialect.sql;
        let mut renamed = Renamed {
            text: Vec::with_capacity(text.len() + 16),
            ..Renamed::default()
        };
        let mut copied = 0;
        for statement in sql::statements(text, dialect) {
            let Some(named) = sql::names_prepared(statement.part_of(text), dialect) else {
                continue;
            };
            let known = self.names.get(&named.name).map(Arc::clone);
            if named.gives_up {
                let name = known.as_ref().map(|_| Box::from(named.name.as_ref()));
                renamed.deallocates.push(name);
            } else if let Some(meaning) = self.names.meaning(&named.name) {
                renamed.executes(&meaning.act);
            }
            renamed.is_reserved |= known.is_none() && catalogue::is_reserved(&named.name);
            if let Some(known) = known
                && !self.goes_by(&named.name, &known, backend)
            {
                let start = statement.span.start + named.range.start;
                renamed.text.extend_from_slice(text.get(copied..start)?);
                let name = Statement::server_name(known.id);
                renamed.text.extend_from_slice(name.bytes());
                copied = statement.span.start + named.range.end;
                renamed.uses.push(known);
            }
        }
        renamed.text.extend_from_slice(text.get(copied..)?);
        (!renamed.is_nothing()).then_some(renamed)
    }

    /// The same, if it may name what it names.
    pub(super) fn renamed(&self, text: &[u8], backend: &Backend) -> Result<Option<Renamed>, Error> {
        let renamed = self.rename(text, backend);
        if let Some(renamed) = &renamed {
            self.may_name(renamed)?;
        }
        Ok(renamed)
    }

    /// Whether a text may execute and deallocate what it names.
    fn may_name(&self, renamed: &Renamed) -> Result<(), Error> {
        if renamed.is_reserved {
            let message = "prepared statements whose names begin with \"pgusher_\" are pgusher's";
            return Err(Error::new(Kind::NotSupported, message));
        }
        let Some(tenancy) = self.tenancy.as_deref() else {
            return Ok(());
        };
        for naming in &renamed.namings {
            if tenancy.effect_of(naming, &|_| None)?.is_some() {
                let message = "EXECUTE of a prepared statement that sets the tenant";
                return Err(Error::new(Kind::NotSupported, message)
                    .hint("Set the tenant with SET, or run the statement by Bind."));
            }
        }
        Ok(())
    }

    /// The client's name for what a server calls `server_name`.
    pub(super) fn own_name(&self, server_name: &[u8]) -> Option<&[u8]> {
        let last = self.deallocations.last.as_ref();
        let gone = last.filter(|gone| Statement::server_name(gone.1).bytes() == server_name);
        let gone = gone.map(|gone| gone.0.as_ref());
        self.names.name_of(server_name).or(gone)
    }

    /// A simple query, with the names that the server knows.
    pub(super) fn query_by_name(
        &mut self,
        frame: &Frame<'_>,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        let text = frame.query_text();
        let Some(renamed) = text.and_then(|text| self.rename(text, backend)) else {
            return self.query(frame, backend, out);
        };
        let in_batch = backend.pipeline.is_open();
        if !backend.pipeline.is_empty() && !in_batch {
            return Verdict::Stop(Next::Hold);
        }
        let may_name = self.may_name(&renamed);
        let may_keep = may_name.and_then(|()| self.may_keep(&renamed.touches, backend));
        if let Err(error) = may_keep {
            let opening = self.opening(backend);
            return self.refuse_request(b'Q', error, opening, backend, out);
        }
        if in_batch {
            // Its names stay as they are: only those that the server knows mean anything there.
            backend.touched(&renamed.touches);
            return self.query(frame, backend, out);
        }
        if backend.status != Status::Failed
            && renamed
                .uses
                .iter()
                .any(|it| backend.prepared.has(it.id) != Has::Yes)
        {
            for statement in &renamed.uses {
                let compares = self.is_to_be_compared(statement, backend);
                ensure(statement, backend, out);
                if compares {
                    describe(statement, backend, out);
                }
            }
            end_batch(Whose::Hidden, backend, out);
            backend.is_prepared_for = true;
            return Verdict::Stop(Next::Hold);
        }
        let differs = |it: &Arc<Statement>| backend.prepared.compared(it.id) == Compared::Differs;
        if renamed.uses.iter().any(differs) {
            let opening = self.opening(backend);
            return self.refuse_changed(b'Q', opening, backend, out);
        }
        let mut body = renamed.text;
        body.push(0);
        let own = Frame {
            header: Header {
                size: HEADER + body.len(),
                ..frame.header
            },
            body: &body,
            start: None,
        };
        let verdict = match self.query(&own, backend, out) {
            Verdict::Forward => {
                out.to_server
                    .own(|bytes| write::frame(bytes, b'Q', |it| it.extend_from_slice(&body)));
                Verdict::Rewritten
            }
            other => other,
        };
        if matches!(verdict, Verdict::Rewritten) {
            let count = u16::try_from(renamed.deallocates.len()).unwrap_or(u16::MAX);
            backend.touched(&renamed.touches);
            backend.pipeline.mark_last(|entry| {
                entry.deallocates = count;
                entry.drops_context |= renamed.drops_context;
            });
            self.deallocations.sent.extend(renamed.deallocates);
        }
        verdict
    }

    /// A statement is sent that may give up all names.
    pub(super) fn may_deallocate_all(&mut self) {
        self.deallocations.all = true;
    }

    /// A message of the client says a name that is perhaps being given up: it waits until that is known.
    pub(super) fn await_name(
        &mut self,
        name: &[u8],
        backend: &Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        if backend.pipeline.is_empty() {
            self.deallocations.all = false;
            return None;
        }
        if name.is_empty() || !self.deallocations.may_concern(name) {
            return None;
        }
        if backend.pipeline.is_open() {
            flush(out);
        }
        Some(Verdict::Stop(Next::Hold))
    }

    /// A portal is executed that deallocates this.
    pub(super) fn will_deallocate(&mut self, entry: &mut Entry) {
        if let Some(name) = self.bound_deallocation.take() {
            entry.deallocates = 1;
            self.deallocations.sent.push_back(Some(name));
        }
    }

    /// A statement was completed; if it was a `DEALLOCATE`, a name is gone.
    pub(super) fn has_deallocated(&mut self, entry: Entry, tag: &[u8], backend: &mut Backend) {
        if entry.deallocates <= self.deallocations.done || tag != b"DEALLOCATE\0" {
            return;
        }
        self.deallocations.done += 1;
        if let Some(Some(name)) = self.deallocations.sent.pop_front()
            && let Some(id) = self.names.forget(&name)
        {
            backend.prepared.forget(id);
            self.free_texts(backend);
            self.deallocations.last = Some(Box::new((name, id)));
        }
        if entry.request == Request::Execute {
            self.deallocations.done = 0;
        }
    }

    /// A request is over, or will never be answered: what it has not deallocated by now it will not.
    pub(super) fn deallocates_no_more(&mut self, entry: &Entry) {
        let done = std::mem::take(&mut self.deallocations.done);
        for _ in done..entry.deallocates {
            self.deallocations.sent.pop_front();
        }
    }
}
