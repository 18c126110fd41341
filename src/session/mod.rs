//! One client's session, as a machine without sockets: bytes and a time in, actions out.
//!
//! The caller reads from the client or the server into a buffer and hands the session what it
//! has. The session finds the frames in it, decides, and answers with what is to be written
//! ([`Output`]), how much of the buffer it has used, and what comes next ([`Next`]). It never
//! waits, never asks the time, and owns no connection: what is known of the server connection
//! ([`Backend`]) is lent to it for as long as a lease lasts.
//!
//! A [`Session`] is what 10,000 idle clients each have one of, so it is small; a [`Backend`] is
//! what twenty server connections have one of, so that is where queues live.
//!
//! | file | question |
//! |---|---|
//! | `client` | what does this frame of the client need? |
//! | `extended` | what does a server need for a statement that the client names? |
//! | `forward` | how does a frame go on? |
//! | `server` | whose is this frame of the server? |
//! | `pipeline` | what does the server still owe? |
//! | `loss` | what is owed to a client whose server, or whose turn, is gone? |
//! | `settings` | which settings must travel? |
//! | `touches` | what may a statement change of the session? |
//! | `skim` | and one that is too long to be held? |
//! | `doubts`, `inventory` | and what did it change? |
//! | `returning` | when is a client back at what it connected with? |
//! | `processes` | who is behind a process of the server? |
//! | `keeping`, `pins` | who may keep a server connection? |
//! | `statements` | which statements has a client prepared? |
//! | `catalogue` | and which do all clients of a pool share? |
//! | `renamed` | which of them does SQL speak of? |
//! | `own_names` | and when must a server know them by the client's own names? |
//! | `schema` | have tables changed since? |
//! | `shape` | and is a statement still what it was? |
//! | `prepared` | which of them has a server connection parsed? |
//! | `reuse` | may a statement without a name be one of them? |
//! | `provide` | what does it need so that the client finds them? |
//! | `reading` | what does a statement mean to a session? |
//! | `tenancy` | whose is this session, and this transaction? |
//! | `inject` | what must stand in front of it? |
//! | `walk` | where in a simple query must it stand? |
//! | `rewritten` | which part of an answer is that? |
//! | `scoping` | what does a server connection know of the tenant? |
//! | `accounting` | who pays for it, and how much? |
//! | `glimpse` | what did it say, for whoever reports it? |
//! | `timers` | until when may this last? |
#![warn(clippy::indexing_slicing)]

mod accounting;
mod backend;
mod bracket;
mod catalogue;
mod client;
mod doubts;
mod drain;
mod extended;
mod forward;
mod glimpse;
mod inject;
mod inventory;
mod keeping;
mod listing;
mod loss;
mod output;
mod own_names;
mod pins;
mod pipeline;
mod prepared;
mod processes;
mod provide;
mod reading;
mod renamed;
mod returning;
mod reuse;
mod rewritten;
mod schema;
mod scoping;
mod server;
mod settings;
mod shape;
mod skim;
mod statements;
mod tenancy;
#[cfg(test)]
mod tests;
mod timers;
mod touches;
mod walk;

use std::{sync::Arc, time::Instant};

pub use backend::{Backend, Meaning, Status};
pub use catalogue::Catalogue;
pub use drain::{Drain, Useless};
pub use glimpse::{Glimpse, Wanted};
pub use listing::Listed;
pub use loss::printable;
pub use output::{Gather, Output};
pub use pins::{PinRules, Pins};
pub use pipeline::{Entry, Pipeline, Request, Whose};
pub use processes::Processes;
pub use schema::Schema;
pub use settings::{Profile, Reported, intern};
pub use tenancy::Tenant;
pub use timers::Timeouts;
pub use touches::Holds;

use self::{
    client::LongFrame, loss::Fate, renamed::Deallocations, returning::Returning, settings::Reading,
    skim::Skim, statements::Names, tenancy::Tenancy, timers::Timers,
};
use crate::{
    error::Error,
    limit::Cost,
    meter::Traffic,
    tenant::{Known, TenantId},
};

/// A frame up to this size is seen whole before any of it is forwarded, so that a connection
/// that breaks in the middle of it harms nobody on the other side. A larger one is streamed.
/// Buffers that are handed to a session are at least this large.
pub const WINDOW: usize = 32 * 1024;

/// Requests that may be unanswered before reading from the client pauses. A client that sends
/// without end and never reads would otherwise make the queue grow without end.
pub const MOST_OUTSTANDING: usize = 64 * 1024;

/// When a server connection goes back to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolMode {
    /// When its transaction is over.
    Transaction,
    /// When the client leaves.
    Session,
}

impl PoolMode {
    /// As the configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Session => "session",
        }
    }
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Read more: all is used but perhaps the beginning of a frame.
    Read,
    /// Get a server connection for the frame at hand, then go on with it.
    Lease,
    /// A transaction is about to begin on the server connection that the session has. When it may,
    /// call [`Session::admitted`] and go on; or [`Session::refused`].
    Admit,
    /// Keep what is left and go on when the server has answered.
    Hold,
    /// Give the server connection back.
    Release,
    /// Ask the server to cancel what it is doing.
    Cancel,
    /// Stop waiting for a server connection and call [`Session::refused`].
    GiveUp(Error),
    /// Part from the server connection and call [`Session::server_lost`]. It still works, and
    /// may be rolled back and used again.
    Part(Error),
    /// Close the server connection and call [`Session::server_lost`].
    Lost(Error),
    /// Write what there is and close the client's connection.
    Close,
}

/// How far a session got with the bytes that it was handed.
#[derive(Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done with.
    pub used: usize,
    /// What comes next.
    pub next: Next,
}

/// What a session begins with.
#[derive(Debug)]
pub struct Start {
    /// When server connections are given back.
    pub mode: PoolMode,
    /// How long things may last.
    pub timeouts: Arc<Timeouts>,
    /// The settings that the client's session has.
    pub wanted: Arc<Profile>,
    /// What of them can change the meaning of a statement.
    pub flavour: Arc<Profile>,
    /// What the client has been told of its settings.
    pub seen: Arc<Reported>,
    /// The statements of the pool.
    pub catalogue: Arc<Catalogue>,
    /// The pinned server connections of the pool.
    pub pins: Arc<Pins>,
    /// Who the tenant is; `None` = this client works without.
    pub tenant: Option<Tenant>,
    /// The process id that the client was told to be its server's; 0 = none.
    pub pid: u32,
    /// Where what passes is counted, by the thread that serves the client.
    pub traffic: Arc<Traffic>,
}

/// One client's session. See the module's documentation.
#[derive(Debug)]
pub struct Session {
    mode: PoolMode,
    /// The settings that the client's session has.
    wanted: Arc<Profile>,
    /// Those that it began with: what RESET goes back to.
    startup: Arc<Profile>,
    /// Whether a request goes back to those.
    returning: Returning,
    /// What the client has been told of its settings.
    seen: Arc<Reported>,
    /// The client's frame that is being streamed.
    long_request: Option<LongFrame>,
    /// What was seen of its text.
    skim: Option<Box<Skim>>,
    /// The server's frame that is being streamed.
    long_reply: Option<LongFrame>,
    /// The client's messages are dropped up to its next Sync: they follow one that failed here.
    skipping: bool,
    /// What became of a transaction that was lost.
    fate: Fate,
    /// The statements that the client has prepared, by its own names.
    names: Names,
    /// The statements of the pool.
    catalogue: Arc<Catalogue>,
    /// The settings under which the client's statements are parsed.
    flavour: Arc<Profile>,
    /// What it deallocates in SQL.
    deallocations: Deallocations,
    /// What the portal that was bound last deallocates.
    bound_deallocation: Option<Box<[u8]>>,
    /// The unnamed portal runs a text that was not read.
    bound_by_tag: bool,
    /// The pinned server connections of the pool.
    pins: Arc<Pins>,
    /// Who the tenant is; `None` = this client works without.
    tenancy: Option<Box<Tenancy>>,
    /// How the client's texts are read.
    dialect: Reading,
    /// The process id that the client was told to be its server's; 0 = none.
    pid: u32,
    /// A transaction may begin on the server connection.
    is_admitted: bool,
    /// The message that it was admitted for waits, for what must be done in front of it.
    is_begun: bool,
    /// What was used and is not settled.
    cost: Cost,
    /// Where what passes is counted.
    traffic: Arc<Traffic>,
    /// What is to be kept of a transaction's texts, and what was.
    wanted_of_texts: Wanted,
    glimpse: Option<Box<Glimpse>>,
    timers: Timers,
}

impl Session {
    /// A session that begins now.
    pub fn new(start: Start, now: Instant) -> Self {
        Self {
            mode: start.mode,
            startup: Arc::clone(&start.wanted),
            returning: Returning::default(),
            wanted: start.wanted,
            dialect: Reading::of(&start.seen),
            tenancy: start.tenant.map(|tenant| Box::new(Tenancy::new(tenant))),
            seen: start.seen,
            long_request: None,
            skim: None,
            long_reply: None,
            skipping: false,
            fate: Fate::Whole,
            names: Names::new(start.catalogue.number()),
            catalogue: start.catalogue,
            flavour: start.flavour,
            deallocations: Deallocations::default(),
            bound_deallocation: None,
            bound_by_tag: false,
            pins: start.pins,
            pid: start.pid,
            is_admitted: false,
            is_begun: false,
            cost: Cost::default(),
            traffic: start.traffic,
            wanted_of_texts: Wanted::default(),
            glimpse: None,
            timers: Timers::new(start.timeouts, now),
        }
    }

    /// A server connection was leased: brings it to where this session is. What this writes goes
    /// in front of the client's own bytes, in the same write.
    pub fn attached(&mut self, backend: &mut Backend, out: &mut Output, now: Instant) {
        self.long_reply = None;
        self.timers.attached(now);
        (self.is_admitted, self.is_begun) = (true, false);
        self.refresh_tenant();
        backend.begins();
        backend.changes.are_of(self.catalogue.schema());
        backend.process.works_for(self.pid);
        if !Arc::ptr_eq(&self.wanted, &backend.applied) {
            self.restore_settings(backend, out);
        }
        if !backend.pipeline.is_empty() {
            // The view is compared when the settings have been answered.
        } else if !Arc::ptr_eq(&self.seen, &backend.reported) {
            self.tell_news(backend, out);
        }
        if matches!(self.fate, Fate::Failed) {
            self.fate = Fate::Whole;
            loss::write_tombstone(backend, out);
        }
    }

    fn restore_settings(&self, backend: &mut Backend, out: &mut Output) {
        // Room for a few settings: most clients have one or two of their own.
        let mut sql = Vec::with_capacity(256);
        self.wanted.write_change_from(&backend.applied, &mut sql);
        backend.applied = Arc::clone(&self.wanted);
        if !sql.is_empty() {
            out.to_server
                .own(|bytes| crate::wire::write::query(bytes, &sql));
            backend.prepared.ends_unnamed();
            backend.pipeline.sent(Request::Query, Whose::Settings);
        }
    }

    /// Tells the client what is different from what it was told before (E5).
    fn tell_news(&mut self, backend: &mut Backend, out: &mut Output) {
        if *self.seen == *backend.reported {
            // From now on they are the same thing, and found equal by a glance.
            backend.reported = Arc::clone(&self.seen);
            return;
        }
        out.to_client
            .own(|bytes| backend.reported.write_news_since(&self.seen, bytes));
        self.seen = Arc::clone(&backend.reported);
        self.dialect = Reading::of(&self.seen);
    }

    /// Whether the server connection may go back: it owes nothing, no frame is half sent, and
    /// nothing of this client lives on it.
    fn may_release(&self, backend: &Backend) -> bool {
        self.mode == PoolMode::Transaction
            && backend.held.is_empty()
            && backend.is_known()
            && self.is_at_rest(backend)
            && !backend.is_prepared_for
            && backend.scoping.is_clean()
    }

    /// Between two transactions, and between two frames in both directions.
    pub fn is_at_rest(&self, backend: &Backend) -> bool {
        backend.is_free() && self.long_reply.is_none() && !self.is_mid_request()
    }

    /// The server has been sent the beginning of a frame, and not its end.
    pub fn is_mid_request(&self) -> bool {
        self.long_request
            .as_ref()
            .is_some_and(|frame| frame.forward)
    }

    /// The client has been sent the beginning of a frame, and not its end.
    pub fn is_mid_reply(&self) -> bool {
        self.long_reply.as_ref().is_some_and(|frame| frame.forward)
    }

    /// What the client has been told of its settings.
    pub fn seen(&self) -> &Arc<Reported> {
        &self.seen
    }

    /// The client has its server connection to itself, and may leave on it what no message tells.
    pub fn owns_connection(&self) -> bool {
        self.mode == PoolMode::Session
    }

    /// The tenant that the session belongs to.
    fn tenant_id(&self) -> Option<&TenantId> {
        self.tenancy.as_deref()?.current().map(Known::id)
    }
}
