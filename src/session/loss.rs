//! What is owed to a client whose server connection is gone, or that did not get one.
//!
//! The client keeps its connection and is answered exactly as often as it asked: one
//! ReadyForQuery for each Query, FunctionCall and Sync. If it was inside a transaction block,
//! it stays inside a *failed* one until it rolls back: telling it "no transaction" would let the
//! rest of its block run, statement by statement, outside of any.

use std::time::Instant;

use super::{
    Backend, Entry, Next, Output, Progress, Request, Session, Status, Whose, client::LongFrame,
};
use crate::{
    error::{Error, Kind},
    wire::{backend::Fields, frame, write},
};

/// What became of the client's transaction.
#[derive(Debug)]
pub(super) enum Fate {
    /// Nothing was lost.
    Whole,
    /// A transaction block (`true`), or a batch or the session's state outside of one, was lost
    /// while the client was silent; the next message hears why.
    Owed(Error, bool),
    /// It was lost and the client knows; PostgreSQL itself will answer what follows, out of a
    /// transaction that was made to fail ([`write_tombstone`]).
    Failed,
}

impl Fate {
    /// What the client believes.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Whole | Self::Owed(_, false) => Status::Idle,
            Self::Owed(_, true) | Self::Failed => Status::Failed,
        }
    }
}

/// Puts a server connection into a failed transaction, so that everything the client may say in
/// one (25P02 to all but ROLLBACK and its kin, savepoints, extended messages) is answered by
/// PostgreSQL and not by an imitation.
pub(super) fn write_tombstone(backend: &mut Backend, out: &mut Output) {
    const SQL: &[u8] = b"BEGIN;ROLLBACK TO SAVEPOINT pgusher_lost_transaction";
    out.to_server.own(|bytes| write::query(bytes, SQL));
    backend.prepared.ends_unnamed();
    backend.pipeline.sent(Request::Query, Whose::Tombstone);
}

impl Session {
    /// The server connection is gone, or was taken away, because of `error`. Answers what it owed.
    pub fn server_lost(
        &mut self,
        backend: &mut Backend,
        error: Error,
        out: &mut Output,
        now: Instant,
    ) -> Next {
        if self.long_reply.take().is_some_and(|frame| frame.forward) {
            // The client is in the middle of a row: nothing that could be said now would be heard as an error.
            return Next::Close;
        }
        if let Some(frame) = &mut self.long_request {
            frame.forward = false;
        }
        let had_state = self.owns_connection()
            || !backend.held.is_empty()
            || backend.question.is_some()
            || backend.doubts.has_settings();
        if let Some(tenancy) = &mut self.tenancy {
            tenancy.lost();
        }
        self.timers.detached(now);
        // A tombstone that was not answered yet is still the failed block that the client knows.
        let in_block = backend.status != Status::Idle || backend.pipeline.is_entombed();
        let open = backend.pipeline.is_open();
        let has_heard = backend.pipeline.is_skipping();
        if in_block {
            self.fate = Fate::Failed;
        }
        let answered = self.answer_all(backend, &error, out);
        match (open, answered) {
            // The open batch has heard of it, or of an error before; its rest is dropped.
            (_, Answered::InBatch) => self.skipping = true,
            (true, _) if has_heard => self.skipping = true,
            // Nobody has: the next message will.
            (true, _) => self.fate = Fate::Owed(error, in_block),
            // It knows already that its transaction has failed, if it has.
            (false, Answered::Nothing) if backend.status == Status::Open => {
                self.fate = Fate::Owed(error, true);
            }
            // Its locks, its temporary tables and whatever else it held there are gone.
            (false, Answered::Nothing) if had_state && !in_block => {
                self.fate = Fate::Owed(error, false);
            }
            _ => {}
        }
        Next::Read
    }

    /// Writes the error for each unit of work that is unanswered, and each ReadyForQuery that is owed.
    fn answer_all(&mut self, backend: &mut Backend, error: &Error, out: &mut Output) -> Answered {
        let mut answered = Answered::Nothing;
        if self.returning.forget() {
            out.tell(error);
            self.say_ready(out);
            answered = Answered::Unit;
        }
        let abandoned: Vec<Entry> = backend.pipeline.abandon().collect();
        self.undo(&abandoned, backend);
        for entry in abandoned.iter().filter(|it| it.whose == Whose::Client) {
            match entry.request {
                Request::CopyEnd => continue,
                // Up to its Sync nothing else in a failed batch is answered (C2).
                Request::Query | Request::Function if answered == Answered::InBatch => {}
                Request::Query | Request::Function | Request::Sync => {
                    if answered != Answered::InBatch {
                        out.tell(error);
                    }
                    self.say_ready(out);
                    answered = Answered::Unit;
                }
                _ if answered == Answered::InBatch => {}
                _ => {
                    out.tell(error);
                    answered = Answered::InBatch;
                }
            }
        }
        answered
    }

    /// No server connection was to be had: answers the request at the front of `held`, of which nothing was sent.
    pub fn refused(
        &mut self,
        held: &[u8],
        error: &Error,
        out: &mut Output,
        now: Instant,
    ) -> Progress {
        self.timers.detached(now);
        let Ok(Some(header)) = frame::frontend(held) else {
            return Progress {
                used: 0,
                next: Next::Read,
            };
        };
        self.fail_request(header.tag, error, out);
        let seen = header.size.min(held.len());
        self.long_request = LongFrame::after(header.size, seen, false);
        Progress {
            used: seen,
            next: Next::Read,
        }
    }
}

/// What the client has heard of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Nothing,
    /// An error and its ReadyForQuery.
    Unit,
    /// An error inside a batch whose Sync is still to come.
    InBatch,
}

/// What a fatal report of the server (its frame's body) means to the client of this moment.
pub(super) fn farewell(body: &[u8]) -> Error {
    let fields = Fields::read(body);
    let said = printable(fields.message);
    Error::new(
        Kind::ServerLost,
        format!("the database server ended the connection: {said}"),
    )
    .detail(format!(
        "The server's SQLSTATE was {}.",
        printable(fields.code)
    ))
    .hint("The transaction is lost; it can be tried again on this connection.")
}

/// Settings could not be restored; `body` is the server's error, whose words are the detail.
pub(super) fn setting_lost(body: &[u8]) -> Error {
    let said = printable(Fields::read(body).message);
    Error::new(Kind::SettingLost, "a session setting could not be restored").detail(said)
}

/// The server's words as text. What is not ASCII may be in an encoding that is not the
/// client's, and is left out rather than guessed.
pub fn printable(text: &[u8]) -> String {
    text.iter()
        .map(|&byte| {
            if (b' '..=b'~').contains(&byte) {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect()
}
