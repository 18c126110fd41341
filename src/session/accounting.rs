//! Who is to pay for a transaction, and what it has cost.
//!
//! The caller asks whose the next transaction is before it gets a server connection for it, and
//! what has been used when it is over. Buckets and counters are `limit`'s: a session only knows
//! whose name stands on the bill. In a transaction whose tenant is named when it is open already,
//! the name is known later than the bill begins; the caller looks again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Backend, Entry, Request, Session, Status, Timeouts, Whose, tenancy::Tenancy, walk::comment_of,
};
use crate::{
    limit::{Account, Cost},
    meter::{Count as _, Traffic},
    tenant::Known,
    wire::{
        frame::{self, HEADER},
        frontend::Bind,
        reader::Reader,
    },
};

impl Session {
    /// Whose transaction begins with the request at the front of `held`; `None`: no tenant's, as far
    /// as can be seen.
    pub fn account_of(&self, held: &[u8]) -> Option<Arc<Account>> {
        let tenancy = self.tenancy.as_deref()?;
        let known = match tenancy.current() {
            Some(known) => Some(known.clone()),
            None => self.named_in(tenancy, held),
        };
        known.map(|known| Arc::clone(known.context.account()))
    }

    /// The tenant that the request itself names, in a comment. What is wrong with it is said when
    /// the request is read.
    fn named_in(&self, tenancy: &Tenancy, held: &[u8]) -> Option<Known> {
        let header = frame::frontend(held).ok().flatten()?;
        let body = held.get(HEADER..header.size.min(held.len()))?;
        let text = match header.tag {
            b'Q' => body,
            b'P' => {
                let mut reader = Reader::new(body);
                reader.cstr().ok()?;
                reader.remaining()
            }
            b'B' => {
                let bind = Bind::read(body).ok()?;
                return self.names.meaning(bind.statement)?.tenant.clone();
            }
            _ => return None,
        };
        let text = text.split(|byte| *byte == 0).next()?;
        comment_of(tenancy, text, self.dialect.sql).ok()??.tenant
    }

    /// Whose transaction is open, if it is known by now.
    pub fn owner(&self) -> Option<&Arc<Account>> {
        let owner = self.tenancy.as_deref()?.owner()?;
        Some(owner.account())
    }

    /// A transaction may begin on the server connection that the session has.
    pub fn admitted(&mut self, backend: &mut Backend) {
        backend.begins();
        (self.is_admitted, self.is_begun) = (true, false);
        self.timers.awake();
        self.refresh_tenant();
    }

    /// The tenant's tier may have changed since its last transaction, and what is sent with it.
    pub(super) fn refresh_tenant(&mut self) {
        if let Some(tenancy) = &mut self.tenancy {
            tenancy.refresh();
        }
    }

    /// The transaction may begin at that time, and not before.
    pub fn delayed(&mut self, until: Instant) {
        self.timers.sleep(until);
    }

    /// What was used since the last time, and is over.
    pub fn take_cost(&mut self) -> Cost {
        self.cost.server_time += self.timers.take_spent();
        std::mem::take(&mut self.cost)
    }

    /// The client goes, in the middle of a transaction perhaps.
    pub fn ends(&mut self, now: Instant) {
        self.timers.detached(now);
    }

    /// A transaction has waited for so long, for a limit or for a server connection, and begins.
    pub fn has_waited(&mut self, waited: Duration) {
        self.cost.wait += waited;
        self.traffic.waits.observe(waited);
    }

    /// How many statements the client has prepared by name.
    pub fn statements(&self) -> usize {
        self.names.len()
    }

    /// Where what passes through this session is counted.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Another thread serves the client from now on, and counts there.
    pub fn moves(&mut self, traffic: Arc<Traffic>) {
        self.traffic = traffic;
    }

    /// The client was told of errors.
    pub fn has_failed(&mut self, errors: u64) {
        self.cost.errors += errors;
    }

    /// A request of the client was answered.
    pub(super) fn count_request(&mut self, backend: &Backend, now: Instant) {
        if backend.status == Status::Idle {
            self.cost.transactions += 1;
            let took = self.timers.transaction_ended(now);
            self.traffic.transactions.observe(took);
        }
        self.cost.queries += 1;
        let took = self.timers.answered(now);
        self.traffic.queries.observe(took);
    }

    /// The server sends the client an error with this SQLSTATE.
    pub(super) fn count_error(&mut self, code: &[u8]) {
        self.cost.errors += 1;
        self.traffic.errors.saw(code);
    }

    /// The server has parsed a statement, or forgotten one.
    pub(super) fn count_statement(&self, entry: Entry) {
        let traffic = &self.traffic;
        match (entry.request, entry.whose) {
            (Request::Parse, Whose::Client) => traffic.server_parses.one(),
            (Request::Parse, _) => traffic.parses_repeated.one(),
            (Request::Close, Whose::Hidden) if entry.statement != 0 => traffic.evictions.one(),
            _ => {}
        }
    }

    /// Other timeouts hold from now on; between two transactions.
    pub fn revise(&mut self, timeouts: Arc<Timeouts>) {
        self.timers.revise(timeouts);
    }

    /// How long the client may be kept waiting for a server connection.
    pub fn patience(&self) -> Option<Duration> {
        self.timers.patience()
    }

    /// Whether the frame at hand has to wait until a transaction may begin.
    pub(super) fn needs_admission(&self, tag: u8, backend: &Backend) -> bool {
        let begins = !matches!(tag, b'X' | b'p' | b'H' | b'S' | b'd' | b'c' | b'f');
        begins && !self.is_admitted && !self.skipping && backend.is_free()
    }

    /// Follows what time has brought: a transaction that is over is not admitted any more.
    pub(super) fn follow_time(&mut self, backend: Option<&Backend>, now: Instant) {
        self.timers.moved(backend, now);
        if self.timers.is_silent() && !self.is_begun {
            self.is_admitted = false;
        }
    }
}
