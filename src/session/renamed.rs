//! Prepared statements of the driver that SQL speaks of: `EXECUTE name`, `DEALLOCATE name` (C10).
//!
//! On the server a client's statement goes by a number, so the name in the text is replaced by that,
//! and the statement is parsed before if this server connection does not have it.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Backend, Entry, Next, Output, Request, Session, Status, Whose,
    catalogue::Statement,
    client::Verdict,
    forward::Frame,
    prepared::Has,
    provide::{end_batch, ensure, flush},
    shape::{Compared, describe},
};
use crate::{
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
#[derive(Debug, Clone)]
pub(super) struct Renamed {
    pub(super) text: Vec<u8>,
    /// The statements that it names.
    pub(super) uses: Vec<Arc<Statement>>,
    /// What it deallocates, in order.
    pub(super) deallocates: Vec<Option<Box<[u8]>>>,
}

impl Session {
    /// `text` with the names that the server knows; `None` = it is as it is.
    pub(super) fn rename(&self, text: &[u8], backend: &Backend) -> Option<Renamed> {
        if self.names.len() == 0 || !sql::may_name_prepared(text) {
            return None;
        }
        let dialect = self.dialect.sql;
        let mut renamed = Renamed {
            text: Vec::with_capacity(text.len() + 16),
            uses: Vec::new(),
            deallocates: Vec::new(),
        };
        let mut copied = 0;
        for statement in sql::statements(text, dialect) {
            let own = text.get(statement.span.clone()).unwrap_or_default();
            let Some(named) = sql::names_prepared(own, dialect) else {
                continue;
            };
            let known = self.names.get(&named.name).map(Arc::clone);
            if named.gives_up {
                let name = known.as_ref().map(|_| Box::from(named.name.as_ref()));
                renamed.deallocates.push(name);
            }
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
        let names_any = !renamed.uses.is_empty() || renamed.deallocates.iter().any(Option::is_some);
        names_any.then_some(renamed)
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
        let text = frame.query_text().filter(|_| !backend.pipeline.is_open());
        let Some(renamed) = text.and_then(|text| self.rename(text, backend)) else {
            return self.query(frame, backend, out);
        };
        if !backend.pipeline.is_empty() {
            return Verdict::Stop(Next::Hold);
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
            backend
                .pipeline
                .mark_last(|entry| entry.deallocates = count);
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
