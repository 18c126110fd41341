//! What is known of one server connection. It travels with the connection from client to client.

use std::sync::Arc;

use super::{
    doubts::Doubts,
    inventory::Question,
    pins::Seat,
    pipeline::{Entry, Pipeline, Request, Unexpected, Whose},
    prepared::Prepared,
    processes::{Process, Processes},
    reading::Given,
    rewritten::Completed,
    schema::Changes,
    scoping::Scoping,
    settings::{self, Profile, Reported},
    touches::{Holds, Touches},
};
use crate::{
    error::Kind,
    wire::{backend as view, write},
};

/// The transaction status that the last ReadyForQuery told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// No transaction.
    #[default]
    Idle,
    /// In a transaction block.
    Open,
    /// In a failed transaction block.
    Failed,
}

impl Status {
    /// As it stands in ReadyForQuery.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }

    const fn read(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::Open),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Requests of a client that never lets its pipeline drain, before it must when others wait (G5).
const MOST_REQUESTS: u32 = 16;

/// Messages that a client whose use is limited may have under way before it must wait for their
/// answers: each may be a transaction that nobody was asked about (J13).
const MOST_AHEAD: usize = 64;

/// What a frame of the server means for whoever holds the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It belongs to this request (or to none).
    Reply(Option<Entry>),
    /// A ParameterStatus: the view has changed.
    Parameter(Option<Entry>),
    /// An ErrorResponse that ends a request.
    Failure(Option<Entry>),
    /// ReadyForQuery: a request of this owner is over.
    Ready(Entry),
    /// A fatal error: the server closes the connection.
    Farewell,
    /// A fatal error because of what the client sent: a direct connection would be over too.
    Expulsion,
    /// The server is not making sense.
    Nonsense,
}

/// One server connection, as its messages tell.
#[derive(Debug, Default)]
pub struct Backend {
    /// What it still owes.
    pub pipeline: Pipeline,
    /// The transaction status at the last ReadyForQuery.
    pub status: Status,
    /// What it reports of its settings.
    pub reported: Arc<Reported>,
    /// The settings that were applied to it.
    pub applied: Arc<Profile>,
    /// The statements that it has parsed.
    pub(super) prepared: Prepared,
    /// It must be reset before anybody else has it.
    pub dirty: bool,
    /// What its client may have changed of the session since the server was asked.
    pub(super) doubts: Doubts,
    /// The server is being asked.
    pub(super) question: Option<Box<Question>>,
    /// What its client keeps on it.
    pub(super) held: Holds,
    /// The right to do so.
    pub(super) seat: Option<Seat>,
    /// The server's process.
    pub(super) process: Process,
    /// The user that logged in.
    pub(super) login: Option<Box<[u8]>>,
    /// What is known of the tenant's context.
    pub(super) scoping: Scoping,
    /// Requests of its present client that it has answered.
    pub(super) answered: u32,
    /// It was sent what the client's next message needs, and that message waits for the answer.
    pub(super) is_prepared_for: bool,
    /// Somebody else waits for it, and its client has had it for long enough.
    pub is_wanted: bool,
    /// What its client uses is limited, or is nothing any more.
    pub is_watched: bool,
    /// What its transaction has changed of the database's tables.
    pub(super) changes: Changes,
    /// The server has called a message of the client's running request a protocol violation.
    accused: bool,
}

impl Backend {
    /// A connection that has just logged in and reports `reported`.
    pub fn new(reported: Arc<Reported>) -> Self {
        Self {
            login: reported.get(b"session_authorization").map(Box::from),
            reported,
            ..Self::default()
        }
    }

    /// The server has told that its process is `pid`, one of `all` that work for us.
    pub fn runs_in(&mut self, pid: u32, all: &Arc<Processes>) {
        self.process = Process::new(pid, all);
    }

    /// Nothing is owed, nothing is open: the next one may have it (C1), once it is clean.
    pub fn is_free(&self) -> bool {
        self.status == Status::Idle && self.pipeline.is_idle()
    }

    /// Reads one frame. `body` may be cut short if the frame is too large to be held.
    pub fn read(&mut self, tag: u8, body: &[u8]) -> Meaning {
        match self.try_read(tag, body) {
            Ok(meaning) => meaning,
            Err(Unexpected) => Meaning::Nonsense,
        }
    }

    // In line, the entries that it returns are taken apart and put together again field by field.
    #[inline(never)]
    fn try_read(&mut self, tag: u8, body: &[u8]) -> Result<Meaning, Unexpected> {
        match tag {
            b'S' => {
                let (name, value) = view::parameter_status(body).map_err(|_| Unexpected)?;
                let head = self.pipeline.head();
                if head.is_some_and(|head| head.whose == Whose::Client) {
                    // Somebody changed a setting, be it in a function where no SQL shows it (E4).
                    self.doubts.reported(name, self.reported.get(name));
                }
                settings::note(&mut self.reported, name, value);
                Ok(Meaning::Parameter(head))
            }
            b'E' => {
                let fields = view::Fields::read(body);
                let violation = fields.code == Kind::ProtocolViolation.code().as_bytes();
                if fields.is_fatal() {
                    // Alone, the code says nothing: poolers use it for all their reports.
                    let expelled = violation && self.accused;
                    return Ok(if expelled {
                        Meaning::Expulsion
                    } else {
                        Meaning::Farewell
                    });
                }
                let entry = self.pipeline.answered(tag)?;
                self.accused = violation && entry.is_some_and(|it| it.whose == Whose::Client);
                // A ReadyForQuery that comes late must not be the next one's (C19): a cleaning waits for it.
                self.dirty |= self.pipeline.is_doubtful();
                self.doubts.undone = true;
                Ok(Meaning::Failure(entry))
            }
            b'Z' => {
                self.accused = false;
                let entry = self.pipeline.answered(tag)?.ok_or(Unexpected)?;
                self.status = Status::read(body).ok_or(Unexpected)?;
                if entry.rewritten {
                    self.scoping.rewritten.pop_front();
                }
                if self.status == Status::Idle {
                    self.changes.ended();
                    self.doubts.local &= !self.pipeline.is_idle();
                }
                if entry.drops_context || self.status == Status::Idle {
                    self.scoping.in_transaction = false;
                }
                Ok(Meaning::Ready(entry))
            }
            b'C' => {
                let entry = self.pipeline.answered(tag)?;
                self.changes.completed(body);
                self.completed(entry, body).map(Meaning::Reply)
            }
            b'R' | b'K' | b'v' => Err(Unexpected),
            b'D' | b'd' => Ok(Meaning::Reply(self.pipeline.head())),
            _ => self.pipeline.answered(tag).map(Meaning::Reply),
        }
    }

    /// These messages have failed or were skipped: whether the statements that they were about are
    /// there is not certain (C4).
    pub(super) fn doubt(&mut self, dropped: &[Entry]) {
        for entry in dropped {
            if entry.unnamed && !entry.reused {
                self.prepared.doubts_unnamed();
            }
            // A local answer says nothing about the server.
            if entry.changes_statement() && !entry.local {
                self.prepared.doubts(entry.statement);
            }
        }
    }

    /// A statement was completed, with the command tag `tag`. Returns whose it was.
    fn completed(&mut self, entry: Option<Entry>, tag: &[u8]) -> Result<Option<Entry>, Unexpected> {
        let Some(entry) = entry else {
            return Ok(None);
        };
        if entry.rewritten
            && let Some(rewritten) = self.scoping.rewritten.front_mut()
        {
            let completed = rewritten.completes();
            if completed != Completed::Own {
                // Anything else would mean that what was taken for the client's was not.
                if tag != b"SET\0" {
                    return Err(Unexpected);
                }
                self.scoping.in_transaction |= completed == Completed::Context;
                let whose = Whose::Hidden;
                return Ok(Some(Entry { whose, ..entry }));
            }
        }
        if entry.whose == Whose::Client {
            if entry.by_tag {
                self.touched(&Touches::of_tag(tag));
            }
            self.doubts.undone |= tag == b"ROLLBACK\0";
            // A chain begins a transaction without a context, and a savepoint may be older than it (T11).
            if matches!(tag, b"COMMIT\0" | b"ROLLBACK\0") {
                self.scoping.in_transaction = false;
            }
        }
        self.scoping.in_transaction |= entry.gives_context && entry.request == Request::Execute;
        Ok(Some(entry))
    }

    /// What may change this of the session was sent, or has run.
    pub(super) fn touched(&mut self, touches: &Touches) {
        let held = self.perhaps_held();
        self.dirty |= touches.unclean;
        self.doubts.add(touches, held, Given::text);
    }

    /// Its client has had it for long enough, if somebody else waits: it may keep it to the end of
    /// its transaction, but not because it always sends the next request before the last is answered.
    pub fn has_served_long(&self) -> bool {
        self.answered >= MOST_REQUESTS && !self.pipeline.is_empty()
    }

    /// Its client is watched, and has sent or had as much as it may without being looked at.
    pub(super) fn is_due(&self) -> bool {
        self.is_watched && (self.has_served_long() || self.pipeline.len() >= MOST_AHEAD)
    }

    /// Its client begins, or begins anew.
    pub(super) fn begins(&mut self) {
        (self.answered, self.is_wanted) = (0, false);
    }

    /// Whether nothing of its client is left on it.
    pub fn is_clean(&self) -> bool {
        !self.dirty && self.is_known() && self.held.is_empty() && self.scoping.is_clean()
    }

    /// What its client has changed of the session is known.
    pub(super) fn is_known(&self) -> bool {
        self.doubts.is_empty() && self.question.is_none()
    }

    /// What its client keeps on it, or will when the server has answered.
    pub(super) fn perhaps_held(&self) -> Holds {
        let asked = self.question.as_ref();
        asked.map_or(self.held, |question| self.held.or(question.holds()))
    }

    /// How many statements it has parsed.
    pub fn statements(&self) -> usize {
        self.prepared.len()
    }

    /// What its client keeps on it.
    pub fn held(&self) -> Holds {
        self.held
    }

    /// The tenant's setting is being taken back, which nobody may cancel.
    pub fn is_resetting(&self) -> bool {
        self.scoping.resetting
    }

    /// Appends what makes the connection as new, once it is free. It is clean when all of it has been answered.
    ///
    /// `RESET ROLE` goes first and alone: `DISCARD ALL` refuses to run beside anything else, and
    /// leaves the role on some versions (E2).
    pub fn write_cleaning(&mut self, out: &mut Vec<u8>) {
        for sql in [b"RESET ROLE".as_slice(), b"DISCARD ALL"] {
            write::query(out, sql);
            self.pipeline.sent(Request::Query, Whose::Cleaning);
        }
        self.applied = Arc::default();
        self.prepared.clear();
        self.scoping.cleaned();
        self.doubts = Doubts::default();
        (self.question, self.held, self.seat) = (None, Holds::NONE, None);
        self.dirty = false;
    }
}
