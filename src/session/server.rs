//! Whose each frame of the server is: forwarded, swallowed, or the end of something.

use std::time::Instant;

use super::{
    Backend, Entry, Meaning, Next, Output, Progress, Request, Session, Status, WINDOW, Whose,
    client::LongFrame, loss, reuse::refused_reused, settings::Reading, shape::PLAN_CHANGED,
};
use crate::{
    error::{Error, Kind},
    meter::Count as _,
    wire::{
        backend::{self as wire, Fields},
        frame::{self, HEADER},
        write,
    },
};

/// PostgreSQL's word for a prepared statement that it does not have.
const NO_SUCH_STATEMENT: &[u8] = b"26000";

impl Session {
    /// Reads bytes of the server. `input` begins at the beginning of a frame, or in the middle of a streamed one.
    pub fn server_bytes(
        &mut self,
        input: &[u8],
        backend: &mut Backend,
        out: &mut Output,
        now: Instant,
    ) -> Progress {
        let mut used = 0;
        let next = loop {
            let rest = input.get(used..).unwrap_or_default();
            if let Some((taken, forward)) = LongFrame::take(&mut self.long_reply, rest.len()) {
                if forward {
                    out.to_client.input(used..used + taken);
                }
                used += taken;
                continue;
            }
            let header = match frame::backend(rest) {
                Ok(Some(header)) => header,
                Ok(None) => break Next::Read,
                Err(bad) => break nonsense(&bad.to_string()),
            };
            if rest.len() < header.size.min(WINDOW) {
                break Next::Read;
            }
            if header.tag == b'D' && header.size <= WINDOW && backend.pipeline.has_rows_for_client()
            {
                // Most of what servers say. Nothing is to be learnt from it.
                out.to_client.input(used..used + header.size);
                used += header.size;
                continue;
            }
            // Only what is answered in front of a reply costs no write of its own.
            if backend.pipeline.may_have_local() {
                self.answer_locally(backend, out);
            }
            let seen = header.size.min(WINDOW);
            let body = rest.get(HEADER..seen).unwrap_or_default();
            let forward = match self.server_frame(header.tag, body, backend, out, now) {
                Ok(forward) => forward,
                Err(next) => break next,
            };
            if forward {
                out.to_client.input(used..used + seen);
            }
            self.long_reply = LongFrame::after(header.size, seen, forward);
            if self.long_reply.is_none() && backend.pipeline.may_have_local() {
                self.answer_locally(backend, out);
            }
            used += seen;
        };
        self.cost.bytes += used as u64;
        self.traffic.bytes_out.add(used as u64);
        self.follow_time(Some(backend), now);
        self.reset_context(backend, out);
        self.settle(backend, out);
        self.end_return(backend, out);
        let done = used == input.len() && matches!(next, Next::Read) && self.may_release(backend);
        Progress {
            used,
            next: if done { Next::Release } else { next },
        }
    }

    /// Decides over one frame: `Ok(true)` = to the client as it is.
    fn server_frame(
        &mut self,
        tag: u8,
        body: &[u8],
        backend: &mut Backend,
        out: &mut Output,
        now: Instant,
    ) -> Result<bool, Next> {
        match backend.read(tag, body) {
            Meaning::Reply(entry) => {
                match (tag, entry) {
                    (b'1' | b'3', Some(entry)) => {
                        self.count_statement(entry);
                        self.answered(entry, backend);
                    }
                    (b'C', Some(entry)) => {
                        self.tenant_completed(entry, body);
                        self.has_deallocated(entry, body, backend);
                        self.forget_deallocated(body, backend);
                        if entry.whose == Whose::Client && body == b"ROLLBACK\0" {
                            self.returning.rolled_back();
                        }
                    }
                    (b't' | b'T' | b'n', Some(entry)) if entry.statement != 0 => {
                        self.described(entry.statement, tag, body, backend);
                    }
                    (b'D', Some(entry)) if entry.whose == Whose::Inventory => {
                        Self::inventory_row(backend, body);
                    }
                    (b'N', Some(entry)) if entry.whose == Whose::Client => {
                        // A warning may point into the text too.
                        if let Some(own) = in_clients_text(entry, body, backend) {
                            out.to_client
                                .own(|bytes| write::frame(bytes, tag, |it| it.extend(own)));
                            return Ok(false);
                        }
                    }
                    _ => {}
                }
                // A notification has nothing to do with what is being answered.
                if tag == b'A' {
                    return Ok(self.notification(body, backend, out));
                }
                Ok(is_for_client(entry))
            }
            Meaning::Parameter(entry) => {
                if is_for_client(entry) && !entry.is_some_and(|entry| entry.returns) {
                    // It goes to the client, so the client has seen it.
                    self.follow_view(body);
                    return Ok(true);
                }
                Ok(false)
            }
            Meaning::Failure(entry) => {
                let dropped = backend.pipeline.take_dropped();
                self.undo(&dropped, backend);
                dropped.iter().for_each(|it| self.deallocates_no_more(it));
                if let Some(tenancy) = &mut self.tenancy {
                    tenancy.failed();
                }
                let own = entry.filter(|entry| entry.refused);
                let refusal = own.and_then(|_| backend.scoping.refusals.pop_front());
                // Those that were skipped are heard by nobody.
                for _ in dropped.iter().skip(1).filter(|entry| entry.refused) {
                    backend.scoping.refusals.pop_front();
                }
                match entry {
                    Some(entry) if entry.refused => {
                        if let Some(error) = refusal {
                            out.tell(&error);
                        }
                        Ok(false)
                    }
                    Some(entry)
                        if entry.gives_context
                            && matches!(entry.request, Request::Query | Request::Function) =>
                    {
                        backend.scoping.not_opened(body);
                        Ok(false)
                    }
                    Some(entry)
                        if entry.whose == Whose::Hidden && entry.request == Request::Query =>
                    {
                        // A cancel that was for what ran before it: it is sent again.
                        let code = Fields::read(body).code;
                        if backend.scoping.resetting && code == Kind::Canceled.code().as_bytes() {
                            backend.scoping.was_not_reset();
                            return Ok(false);
                        }
                        Err(nonsense("a setting could not be reset"))
                    }
                    Some(entry) if entry.rewritten || entry.cut > 0 => {
                        self.failure_in_changed_text(entry, body, backend, out)
                    }
                    _ => self.failure(entry, body, backend, out),
                }
            }
            Meaning::Ready(entry) => self.ready(entry, backend, out, now),
            Meaning::Farewell => Err(Next::Lost(loss::farewell(body))),
            Meaning::Expulsion => {
                // Nobody can tell what the rest of such a client's bytes mean.
                out.to_client
                    .own(|bytes| write::frame(bytes, tag, |frame| frame.extend_from_slice(body)));
                Err(Next::Close)
            }
            Meaning::Nonsense => Err(nonsense(&format!(
                "unexpected message {:?}",
                char::from(tag)
            ))),
        }
    }

    /// The client had the server forget its statements, and with them those that are the client's.
    fn forget_deallocated(&mut self, body: &[u8], backend: &mut Backend) {
        if matches!(body, b"DEALLOCATE ALL\0" | b"DISCARD ALL\0") {
            self.names.clear();
            backend.prepared.clear();
            self.free_texts(backend);
        }
    }

    /// Who sent a notification is named as clients know each other: by the process id that it was told
    /// at its login, which drivers compare with their own. What came from elsewhere passes as it is.
    fn notification(&self, body: &[u8], backend: &Backend, out: &mut Output) -> bool {
        let whole = HEADER + body.len() < WINDOW;
        let Some((pid, rest)) = body.split_first_chunk().filter(|_| whole) else {
            return true;
        };
        let Some(client) = backend.process.client_behind(u32::from_be_bytes(*pid)) else {
            return true;
        };
        out.to_client.own(|bytes| {
            write::frame(bytes, b'A', |frame| {
                frame.extend_from_slice(&client.to_be_bytes());
                frame.extend_from_slice(rest);
            });
        });
        false
    }

    fn follow_view(&mut self, body: &[u8]) {
        if let Ok((name, value)) = crate::wire::backend::parameter_status(body) {
            super::settings::note(&mut self.seen, name, value);
            self.dialect = Reading::of(&self.seen);
        }
    }

    fn failure(
        &mut self,
        entry: Option<Entry>,
        body: &[u8],
        backend: &mut Backend,
        out: &mut Output,
    ) -> Result<bool, Next> {
        match entry.map(|entry| entry.whose) {
            Some(Whose::Settings) => Err(Next::Lost(loss::setting_lost(body))),
            Some(Whose::Restoring | Whose::Tombstone | Whose::Cleaning) => Ok(false),
            Some(Whose::Inventory) => {
                Self::inventory_failed(backend, body);
                Ok(false)
            }
            Some(Whose::Client | Whose::Hidden) | None => {
                let fields = Fields::read(body);
                self.count_error(fields.code);
                // A cancel of ours must not look like one of the client's.
                if fields.code == Kind::QueryTimeout.code().as_bytes()
                    && let Some(reason) = self.timers.take_cancel_reason()
                {
                    out.tell(&reason);
                    return Ok(false);
                }
                let statement = entry.map_or(0, |entry| entry.statement);
                if statement != 0 && fields.message == PLAN_CHANGED.as_bytes() {
                    // Perhaps by somebody who did not go through here (C12).
                    self.catalogue.schema().has_changed();
                }
                if fields.code == NO_SUCH_STATEMENT && entry.is_some_and(names_one_of_ours) {
                    backend.prepared.doubts_all();
                }
                let reused = entry.is_some_and(|entry| entry.reused);
                if reused && entry.is_some_and(|entry| entry.request != Request::Parse) {
                    refused_reused(statement, fields.code, backend);
                }
                match self.in_own_names(fields.code, body, reused) {
                    Some(own) => {
                        out.to_client
                            .own(|bytes| write::frame(bytes, b'E', |it| it.extend(own)));
                        Ok(false)
                    }
                    None => Ok(true),
                }
            }
        }
    }

    fn ready(
        &mut self,
        entry: Entry,
        backend: &mut Backend,
        out: &mut Output,
        now: Instant,
    ) -> Result<bool, Next> {
        match entry.whose {
            Whose::Client => {
                self.answered(entry, backend);
                self.deallocates_no_more(&entry);
                if let Some(tenancy) = &mut self.tenancy {
                    if backend.status == Status::Idle
                        && backend.pipeline.has_come_to(tenancy.owned_at())
                    {
                        self.traffic
                            .injections
                            .add(u64::from(tenancy.owner().is_some()));
                        tenancy.disown();
                    }
                    let begun = backend.pipeline.is_open() && backend.scoping.batch_bound;
                    tenancy.answered(backend.status, !begun && !backend.pipeline.owes_ready());
                }
                self.count_request(backend, now);
                backend.answered = backend.answered.saturating_add(1);
                if entry.returns {
                    self.go_back(backend, out);
                }
                Ok(!entry.returns)
            }
            Whose::Settings => {
                self.tell_news(backend, out);
                Ok(false)
            }
            Whose::Tombstone if backend.status == Status::Failed => Ok(false),
            Whose::Tombstone => Err(nonsense("a transaction that had to fail did not")),
            Whose::Hidden => {
                if entry.gives_context {
                    backend.scoping.opened();
                } else if backend.scoping.resetting {
                    backend.scoping.was_reset();
                }
                Ok(false)
            }
            Whose::Inventory => {
                self.inventory_answered(backend, out);
                Ok(false)
            }
            Whose::Restoring | Whose::Cleaning => Ok(false),
        }
    }
}

impl Session {
    /// A statement of the client, or one of ours, is done.
    fn tenant_completed(&mut self, entry: Entry, tag: &[u8]) {
        if let Some(tenancy) = &mut self.tenancy
            && entry.whose == Whose::Client
            && matches!(tag, b"ROLLBACK\0" | b"COMMIT\0")
        {
            tenancy.ended(tag == b"ROLLBACK\0");
        }
    }

    /// An error in a text that the server did not get as the client wrote it: its position is moved
    /// to where the client has it.
    fn failure_in_changed_text(
        &mut self,
        entry: Entry,
        body: &[u8],
        backend: &mut Backend,
        out: &mut Output,
    ) -> Result<bool, Next> {
        let Some(own) = in_clients_text(entry, body, backend) else {
            return self.failure(Some(entry), body, backend, out);
        };
        if self.failure(Some(entry), &own, backend, out)? {
            out.to_client
                .own(|bytes| write::frame(bytes, b'E', |frame| frame.extend_from_slice(&own)));
        }
        Ok(false)
    }
}

/// Whether it is by a message, and so by pgusher's own name, that it names a statement.
fn names_one_of_ours(entry: Entry) -> bool {
    entry.statement != 0 && matches!(entry.request, Request::Bind | Request::Describe)
}

/// An error or a warning with its position moved to where the client has it in its text; `None`: it
/// is there, or has none.
fn in_clients_text(entry: Entry, body: &[u8], backend: &Backend) -> Option<Vec<u8>> {
    if !entry.rewritten && entry.cut == 0 {
        return None;
    }
    let rewritten = backend.scoping.rewritten.front();
    let rewritten = rewritten.filter(|_| entry.rewritten);
    wire::with_position(body, |position| match rewritten {
        Some(rewritten) => rewritten.position(position),
        None => Some(position + usize::from(entry.cut)),
    })
}

/// What nobody asked for (notices, notifications) is for the client that holds the connection.
fn is_for_client(entry: Option<Entry>) -> bool {
    entry.is_none_or(|entry| entry.whose == Whose::Client)
}

fn nonsense(what: &str) -> Next {
    let message = format!("the database server broke the protocol: {what}");
    Next::Lost(Error::new(Kind::ServerProtocol, message))
}
