//! What each frame of the client needs.

use std::time::Instant;

use super::{
    Backend, Entry, MOST_OUTSTANDING, Next, Output, PoolMode, Progress, Request, Session, Status,
    WINDOW, Whose, forward::Frame, loss::Fate, touches::Touches,
};
use crate::{
    error::{Error, Kind},
    meter::Count as _,
    sql,
    wire::{
        frame::{self, BadFrame, HEADER, Header},
        write,
    },
};

/// A frame that is too large to be held: the rest of it passes as it comes.
#[derive(Debug)]
pub(super) struct LongFrame {
    left: usize,
    /// To the other side; otherwise it is dropped.
    pub(super) forward: bool,
}

impl LongFrame {
    /// The rest of a frame of `size` bytes, of which `seen` have passed.
    pub(super) fn after(size: usize, seen: usize, forward: bool) -> Option<Self> {
        let left = size.saturating_sub(seen);
        (left > 0).then_some(Self { left, forward })
    }

    /// Takes what of `available` bytes belongs to the frame; `None` in its place when it has ended.
    /// Without any bytes there is nothing to take: whoever asks in a loop must come to an end.
    pub(super) fn take(frame: &mut Option<Self>, available: usize) -> Option<(usize, bool)> {
        let long = frame.as_mut().filter(|_| available > 0)?;
        let taken = long.left.min(available);
        let forward = long.forward;
        long.left -= taken;
        if long.left == 0 {
            *frame = None;
        }
        Some((taken, forward))
    }
}

/// What is to be done with one frame.
pub(super) enum Verdict {
    /// To the server as it is.
    Forward,
    /// The part that is there was written in another form; the rest, if there is one, is forwarded.
    Rewritten,
    /// To nobody.
    Drop,
    /// The client has gone too far.
    Refuse(Error),
    /// Not now.
    Stop(Next),
}

impl Session {
    /// Reads bytes of the client. `input` begins at the beginning of a frame, or in the middle of a streamed one.
    pub fn client_bytes(
        &mut self,
        input: &[u8],
        mut backend: Option<&mut Backend>,
        out: &mut Output,
        now: Instant,
    ) -> Progress {
        let mut used = 0;
        let next = loop {
            let rest = input.get(used..).unwrap_or_default();
            if let Some((taken, forward)) = LongFrame::take(&mut self.long_request, rest.len()) {
                if forward {
                    out.to_server.input(used..used + taken);
                }
                let passed = rest.get(..taken).unwrap_or_default();
                self.skim(passed, backend.as_deref_mut());
                used += taken;
                continue;
            }
            let header = match frame::frontend(rest) {
                Ok(Some(header)) => header,
                Ok(None) => break Next::Read,
                Err(bad) => break violation(bad, out),
            };
            if rest.len() < header.size.min(WINDOW) {
                break Next::Read;
            }
            let seen = header.size.min(WINDOW);
            let body = rest.get(HEADER..seen).unwrap_or_default();
            let forward = match self.client_frame(header, body, used, backend.as_deref_mut(), out) {
                Verdict::Forward => {
                    out.to_server.input(used..used + seen);
                    true
                }
                Verdict::Rewritten => true,
                Verdict::Drop => false,
                Verdict::Refuse(error) => {
                    out.tell(&error);
                    break Next::Close;
                }
                Verdict::Stop(next) => {
                    // The server may have nothing to say before that.
                    if let Some(backend) = backend.as_deref_mut() {
                        self.answer_locally(backend, out);
                    }
                    break next;
                }
            };
            if let Some(backend) = backend.as_deref_mut() {
                backend.is_prepared_for = false;
            }
            self.traffic.took(header.tag);
            self.glance(header.tag, body);
            self.long_request = LongFrame::after(header.size, seen, forward);
            if forward && self.long_request.is_some() {
                self.begin_to_skim(header, body);
            }
            used += seen;
        };
        self.traffic.bytes_in.add(used as u64);
        self.follow_time(backend.as_deref(), now);
        // The server may have answered all while a frame was still on its way to it: the data of
        // a COPY that had failed (D1). Nothing more will come from it.
        if let Some(backend) = backend.as_deref_mut() {
            self.reset_context(backend, out);
            self.settle(backend, out);
        }
        let over = next == Next::Read
            && backend
                .as_deref()
                .is_some_and(|backend| self.may_release(backend));
        Progress {
            used,
            next: if over { Next::Release } else { next },
        }
    }

    fn client_frame(
        &mut self,
        header: Header,
        body: &[u8],
        start: usize,
        backend: Option<&mut Backend>,
        out: &mut Output,
    ) -> Verdict {
        match header.tag {
            b'X' => return Verdict::Stop(Next::Close),
            // Passwords have their time, and it is over.
            b'p' => return Verdict::Stop(violation(BadFrame::Tag(b'p'), out)),
            _ => {}
        }
        if self.skipping {
            return self.skip(header.tag, backend.as_deref(), out);
        }
        if let Fate::Owed(..) = self.fate {
            return self.break_the_news(header.tag, out);
        }
        match backend {
            None => self.without_server(header, body, out),
            Some(backend) if self.needs_admission(header.tag, backend) => {
                backend.is_prepared_for = false;
                Verdict::Stop(Next::Admit)
            }
            // It begins nothing. If the server had to answer it, what is sent behind it would begin
            // in its shadow, and nobody would be asked.
            Some(backend) if header.tag == b'S' && !self.is_admitted && backend.is_free() => {
                self.say_ready(out);
                Verdict::Drop
            }
            Some(backend) => {
                let first = backend.is_free();
                let verdict = self.with_server(header, body, start, backend, out);
                let is_held = matches!(verdict, Verdict::Stop(Next::Hold));
                if is_held && backend.pipeline.is_copying() {
                    return Verdict::Stop(not_data(header.tag, out));
                }
                self.is_begun = first && is_held;
                verdict
            }
        }
    }

    /// Outside a transaction most things need a server, and the rest is answered here.
    fn without_server(&mut self, header: Header, body: &[u8], out: &mut Output) -> Verdict {
        match header.tag {
            b'Q' if self.tenancy.is_some() => self.query_without_server(header, body, out),
            b'S' => {
                self.say_ready(out);
                Verdict::Drop
            }
            // Flush has nothing to flush; COPY data behind a COPY that failed is ignored, as PostgreSQL does (D1).
            b'H' | b'd' | b'c' | b'f' => Verdict::Drop,
            _ => Verdict::Stop(Next::Lease),
        }
    }

    fn with_server(
        &mut self,
        header: Header,
        body: &[u8],
        start: usize,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        if backend.pipeline.len() >= MOST_OUTSTANDING
            || self.must_yield(backend)
            || self.must_return_first(header.tag, backend)
        {
            return Verdict::Stop(Next::Hold);
        }
        if backend.pipeline.is_skipping() && header.tag != b'S' {
            // The server will not look at it, so nothing changes.
            return Verdict::Forward;
        }
        if matches!(header.tag, b'Q' | b'P')
            && let Some(name) = self.vacates(header.tag, body)
        {
            out.vacated = Some(name);
        }
        let extended = matches!(header.tag, b'P' | b'B' | b'D' | b'E' | b'C');
        if extended
            && self.tenancy.is_some()
            && !backend.pipeline.is_open()
            && let Some(verdict) = self.begin_batch(header.tag, backend)
        {
            return verdict;
        }
        let request = match header.tag {
            b'P' | b'B' | b'D' | b'C' if self.keeps_names() => {
                return self.extended_frame(header, body, start, backend, out);
            }
            b'Q' => {
                let frame = Frame {
                    header,
                    body,
                    start: Some(start),
                };
                return self.query_by_name(&frame, backend, out);
            }
            b'F' => {
                if let Some(verdict) = self.function_of_tenant(body, backend, out) {
                    return verdict;
                }
                backend.touched(&Touches::of_call(body));
                leave_batch(backend);
                backend.pipeline.push(Entry {
                    // It may have set the tenant's setting, where that is not protected.
                    drops_context: Touches::set_by_call(body).is_some(),
                    ..Entry::new(Request::Function, Whose::Client)
                });
                return Verdict::Forward;
            }
            b'S' => {
                backend.prepared.batch_ends();
                // What was opened for a batch that only prepares is over with it.
                backend.scoping.used();
                backend.pipeline.push(Entry {
                    drops_context: std::mem::take(&mut backend.scoping.batch_drops),
                    returns: self.returning.take_due(),
                    ..Entry::new(Request::Sync, Whose::Client)
                });
                return Verdict::Forward;
            }
            b'P' => Request::Parse,
            b'B' => Request::Bind,
            b'D' => Request::Describe,
            b'E' => {
                if backend.pipeline.ends_with_local() {
                    // Rows come next, and nobody looks at what stands in front of those.
                    self.answer_locally(backend, out);
                }
                let entry = self.before_execute(body);
                backend.pipeline.push(entry);
                return Verdict::Forward;
            }
            b'C' => Request::Close,
            b'c' | b'f' => Request::CopyEnd,
            b'H' => {
                // The server may have nothing to say to it.
                self.answer_locally(backend, out);
                return Verdict::Forward;
            }
            _ => return Verdict::Forward,
        };
        backend.pipeline.sent(request, Whose::Client);
        Verdict::Forward
    }

    /// The database that the text of a simple query or a Parse needs to itself.
    fn vacates(&self, tag: u8, body: &[u8]) -> Option<String> {
        let text = match tag {
            b'Q' => body,
            // Statements like these are prepared without a name, if at all.
            _ => body.strip_prefix(b"\0")?,
        };
        let name = sql::vacates(text, self.dialect.sql)?;
        std::str::from_utf8(&name).ok().map(str::to_owned)
    }

    /// The client has had its turn: what it sends next waits until all before it is answered, so
    /// that the server connection can be given back if it is free then, or what was used be settled.
    fn must_yield(&self, backend: &Backend) -> bool {
        let shares = self.mode == PoolMode::Transaction && backend.held.is_empty();
        (backend.is_wanted && shares || backend.is_due())
            && !backend.pipeline.is_empty()
            && !backend.pipeline.is_open()
            && !backend.pipeline.is_copying()
    }

    /// Sends a simple query that is not changed, or was.
    pub(super) fn plain_query(&mut self, entry: Entry, backend: &mut Backend) -> Verdict {
        // PostgreSQL forgets the unnamed statement at each simple query.
        let unnamed = self.names.unnamed().is_some() || backend.prepared.unnamed().is_some();
        if unnamed {
            self.forget_unnamed(backend);
        }
        leave_batch(backend);
        let returns = self.returning.take_due();
        backend.pipeline.push(Entry {
            unnamed,
            returns,
            ..entry
        });
        Verdict::Forward
    }

    /// Something failed here: up to its Sync the client's messages are dropped, as PostgreSQL would (C3).
    fn skip(&mut self, tag: u8, backend: Option<&Backend>, out: &mut Output) -> Verdict {
        if tag == b'S' {
            self.skipping = false;
            self.returning.forget();
            match backend {
                Some(backend) if backend.status != Status::Idle => {
                    let status = backend.status.byte();
                    out.to_client
                        .own(|bytes| write::ready_for_query(bytes, status));
                }
                _ => self.say_ready(out),
            }
        }
        Verdict::Drop
    }

    /// ReadyForQuery in the server's place: failed, if the client has yet to roll back a transaction that was lost.
    pub(super) fn say_ready(&self, out: &mut Output) {
        let status = self.fate.status().byte();
        out.to_client
            .own(|bytes| write::ready_for_query(bytes, status));
    }

    /// Answers the request that begins with `tag` with `error`, as PostgreSQL would; says whether the frame is thereby done with.
    pub(super) fn fail_request(&mut self, tag: u8, error: &Error, out: &mut Output) {
        out.tell(error);
        match tag {
            b'Q' | b'F' | b'S' => self.say_ready(out),
            _ => self.skipping = true,
        }
    }
}

/// A simple request inside a batch. After such a one some versions of PostgreSQL 18 fail the next
/// transaction's first message (`StartTransactionCommand: unexpected state STARTED`): it must not
/// be the next client's (C19).
fn leave_batch(backend: &mut Backend) {
    backend.dirty |= backend.pipeline.is_open();
}

/// The client does not speak the protocol. There is no way back into step.
fn violation(bad: BadFrame, out: &mut Output) -> Next {
    let error = Error::new(Kind::ProtocolViolation, bad.to_string());
    out.tell(&error);
    Next::Close
}

/// It would have to wait until a COPY is over, which nobody but this client can end: both would
/// wait for ever. PostgreSQL ends such a session, too.
fn not_data(tag: u8, out: &mut Output) -> Next {
    let message = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
    out.tell(&Error::new(Kind::ProtocolViolation, message));
    Next::Close
}

impl Session {
    /// The first message after a transaction was lost in silence hears why.
    fn break_the_news(&mut self, tag: u8, out: &mut Output) -> Verdict {
        if matches!(tag, b'H' | b'd' | b'c' | b'f') {
            return Verdict::Drop;
        }
        if let Fate::Owed(error, in_block) = std::mem::replace(&mut self.fate, Fate::Whole) {
            if in_block {
                self.fate = Fate::Failed;
            }
            self.fail_request(tag, &error, out);
        }
        Verdict::Drop
    }
}
