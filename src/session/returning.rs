//! `RESET`, `SET … TO DEFAULT`, `RESET ALL`, `DISCARD ALL`: back to what the client connected with.
//!
//! The server goes back to what *its* session began with, which is not the client's. So who
//! connected with settings and sends such a request hears of its end only when they are what they
//! should be, and what it has sent behind it waits. Outside of a transaction the server is asked
//! what has become of the session ([`inventory`](super::inventory)), and the settings are brought
//! to where they belong; within one they are set again by statements of ours, which end with the
//! transaction as the client's do.
//!
//! The same holds for whoever changes how strings are written, startup or not: what is sent behind it
//! cannot be read before.
//!
//! What stands in the same text or batch behind such a statement sees the server's own default.

use super::{
    Backend, Entry, Output, Request, Session, Status, Whose,
    reading::Given,
    settings::{push_identifier, push_literal, rank},
    touches::{Touched, Touches},
};
use crate::wire::write;

/// Whether a request of the client goes back to its startup.
#[derive(Debug, Default)]
pub(super) struct Returning {
    /// Settings that it puts back.
    names: Vec<Box<[u8]>>,
    /// It is being put together: its Query, or its Sync, has not been sent.
    due: bool,
    /// It was sent.
    sent: bool,
    /// It is answered, but for the ReadyForQuery.
    owed: bool,
}

impl Returning {
    /// Whether the request that is sent now goes back.
    pub(super) fn take_due(&mut self) -> bool {
        let due = std::mem::take(&mut self.due);
        self.sent |= due;
        due
    }

    /// Nothing of it will be done. Was the client about to hear of its end?
    pub(super) fn forget(&mut self) -> bool {
        std::mem::take(self).owed
    }

    /// A transaction, or a part of it, was rolled back: what was put back may not be.
    pub(super) fn rolled_back(&mut self) {
        self.names.clear();
    }
}

/// How strings are written.
const STRINGS: &[u8] = b"standard_conforming_strings";

/// Lists of names: as one constant they would be one name (`SET search_path = 'a, b'`).
const LISTS: [&[u8]; 4] = [
    b"search_path",
    b"temp_tablespaces",
    b"session_preload_libraries",
    b"local_preload_libraries",
];

impl Session {
    /// A statement that may change this is about to be sent.
    pub(super) fn note_return(
        &mut self,
        touches: &Touches,
        resolve: impl Fn(&Given) -> Option<Box<[u8]>>,
    ) {
        // What follows would be read wrongly until it is known how strings are written.
        let names_it = |it: &Touched| it.name.text().as_deref() == Some(STRINGS);
        let unwritten = !self.dialect.sql.standard_strings && touches.resets_all;
        self.returning.due |= unwritten || touches.settings.iter().any(names_it);
        let resets = touches.resets_all || touches.settings.iter().any(|it| it.resets);
        if self.startup.is_empty() || !resets && self.returning.names.is_empty() {
            return;
        }
        let names = &mut self.returning.names;
        let mut is_due = false;
        if touches.resets_all {
            // Roles are not among all.
            let all = self.startup.iter().map(|(name, _)| name);
            names.extend(all.filter(|name| rank(name) == 0).map(Box::from));
            is_due = true;
        }
        for touched in &touches.settings {
            let Some(mut name) = resolve(&touched.name) else {
                continue;
            };
            name.make_ascii_lowercase();
            names.retain(|known| *known != name);
            if touched.resets && self.startup.get(&name).is_some() {
                names.push(name);
                is_due = true;
            }
        }
        self.returning.due |= is_due;
    }

    /// What the client sends now must wait until it is where it has asked to go back to.
    pub(super) fn must_return_first(&mut self, tag: u8, backend: &Backend) -> bool {
        if !self.returning.sent && !self.returning.owed {
            return false;
        }
        if !self.returning.owed && !backend.pipeline.returns() {
            // It was skipped, or was a Sync that a COPY has ignored.
            self.returning.forget();
            return false;
        }
        // Nobody would wait for the other if a COPY was not fed.
        !backend.pipeline.is_copying()
            && matches!(tag, b'Q' | b'F' | b'P' | b'B' | b'D' | b'E' | b'C' | b'S')
    }

    /// The request is over, and the client is not told yet.
    pub(super) fn go_back(&mut self, backend: &mut Backend, out: &mut Output) {
        self.returning.sent = false;
        self.returning.owed = true;
        let names = std::mem::take(&mut self.returning.names);
        if backend.status != Status::Open || names.is_empty() {
            return;
        }
        let mut sql = Vec::new();
        // Who the session is comes last: the other settings may need the rights of before.
        for nth in 0..=2 {
            for name in names.iter().filter(|name| rank(name) == nth) {
                if let Some(value) = self.startup.get(name) {
                    write_setting(name, value, &mut sql);
                }
            }
        }
        out.to_server.own(|bytes| write::query(bytes, &sql));
        backend.prepared.ends_unnamed();
        backend
            .pipeline
            .push(Entry::new(Request::Query, Whose::Restoring));
    }

    /// Tells the client that its request is over, once it is back.
    pub(super) fn end_return(&mut self, backend: &mut Backend, out: &mut Output) {
        if !self.returning.owed || !backend.pipeline.is_empty() {
            return;
        }
        self.returning.owed = false;
        self.tell_news(backend, out);
        let status = backend.status.byte();
        out.to_client
            .own(|bytes| write::ready_for_query(bytes, status));
    }
}

/// A `SET` takes no snapshot, so that `SET TRANSACTION` may still come behind it.
fn write_setting(name: &[u8], value: &[u8], sql: &mut Vec<u8>) {
    if LISTS.contains(&name) {
        sql.extend_from_slice(b"SELECT pg_catalog.set_config(");
        push_literal(sql, name);
        sql.push(b',');
        push_literal(sql, value);
        sql.extend_from_slice(b",false)IS NULL;");
        return;
    }
    sql.extend_from_slice(b"SET ");
    push_identifier(sql, name);
    sql.extend_from_slice(b" TO");
    push_literal(sql, value);
    sql.push(b';');
}
