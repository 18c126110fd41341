//! The client's messages that name prepared statements, in transaction mode.

use std::sync::Arc;

use super::{
    Backend, Output, Request, Session, Whose,
    catalogue::{self, ServerName, Statement},
    client::Verdict,
    forward::Frame,
    own_names::Naming,
    pipeline::Entry,
    prepared::Has,
    provide::{ensure, parse_by_number, write_parse},
    reading::{Act, touches_of_text},
    renamed::Renamed,
    reuse::may_be_reused,
    statements::{MOST_NAMED_BYTES, MOST_NAMES, Meaning},
    touches::{Holds, Touches},
    walk::{Comment, comment_of},
};
use crate::{
    error::{Error, Kind},
    sql,
    wire::{
        frame::Header,
        frontend::{self, Bind, Target},
        reader::Reader,
    },
};

impl Session {
    /// Handles Parse, Bind, Describe and Close. `start` is where the frame begins in the input.
    pub(super) fn extended_frame(
        &mut self,
        header: Header,
        body: &[u8],
        start: usize,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        let frame = Frame {
            header,
            body,
            start: Some(start),
        };
        match header.tag {
            b'P' => self.parse(&frame, backend, out),
            b'B' => self.bind(&frame, backend, out),
            b'D' => self.describe(&frame, backend, out),
            _ => self.close(&frame, backend, out),
        }
    }

    fn parse(&mut self, frame: &Frame<'_>, backend: &mut Backend, out: &mut Output) -> Verdict {
        let Ok(name) = Reader::new(frame.body).cstr() else {
            return sent(Request::Parse, backend);
        };
        if let Some(verdict) = self.await_name(name, backend, out) {
            return verdict;
        }
        let rest = frame.body.get(name.len() + 1..).unwrap_or_default();
        let reuses = name.is_empty() && self.may_reuse(frame, backend);
        // What is known needs no reading, but for whose it is.
        if reuses
            && self.tenancy.is_none()
            && let Some(known) = self.find_reusable(rest, None, backend)
        {
            return self.parse_reused(frame, known, Parsed::default(), backend, out);
        }
        let read = match self.read_parse(frame, rest, backend) {
            Ok(read) => read,
            Err(error) => {
                let opening = self.opening(backend);
                return self.refuse_request(b'P', error, opening, backend, out);
            }
        };
        if let Some(meaning) = &read.meaning
            && let Some(verdict) = self.before_parse(meaning, backend, out)
        {
            return verdict;
        }
        for statement in read.meaning.iter().flat_map(Meaning::uses) {
            ensure(statement, backend, out);
        }
        let rest = read.stripped.as_deref().unwrap_or(rest);
        if reuses && may_be_reused(read.meaning.as_ref()) {
            let known = match self.tenancy {
                Some(_) => self.find_reusable(rest, read.meaning.as_ref(), backend),
                None => None,
            };
            if let Some(known) = known.or_else(|| self.find_seen(rest, backend)) {
                return self.parse_reused(frame, known, read, backend, out);
            }
        }
        if name.is_empty() {
            self.free_unbound(backend);
            if reuses && !sql::changes_only_data(rest) {
                backend.prepared.stops_reusing();
            }
            // Too long to be kept, and so to be parsed again elsewhere.
            let kept = if frame.is_whole() { rest } else { b"" };
            let tag = self.names.set_unnamed(kept, read.meaning, self.dialect.sql);
            backend
                .prepared
                .replaces_unnamed(Some(tag), backend.pipeline.is_open());
            if !frame.is_whole() {
                self.keep_unbound(backend);
            }
            backend.pipeline.push(Entry {
                unnamed: true,
                cut: read.cut,
                ..Entry::new(Request::Parse, Whose::Client)
            });
            if read.stripped.is_none() {
                return Verdict::Forward;
            }
            write_parse(b"\0", rest, out);
            return Verdict::Rewritten;
        }
        if let Some(known) = self.names.get(name).map(Arc::clone) {
            if self.goes_by(name, &known, backend) {
                return sent(Request::Parse, backend);
            }
            // PostgreSQL says that the name is taken (C11): under its server-side name it is.
            ensure(&known, backend, out);
            let taken = Statement::server_name(known.id);
            let front = [taken.terminated()];
            frame.forward_with(name.len() + 1, &front, &mut out.to_server);
            self.names.refuse(name);
            backend.pipeline.push(Entry {
                journaled: true,
                ..Entry::new(Request::Parse, Whose::Client)
            });
            return Verdict::Rewritten;
        }
        if self.names.are_full() {
            let message = format!(
                "too many prepared statements: a client may have {MOST_NAMES}, of {} MiB",
                MOST_NAMED_BYTES >> 20
            );
            return Verdict::Refuse(
                Error::new(Kind::TooManyStatements, message)
                    .hint("Close those that are not needed."),
            );
        }
        let statement = if !frame.is_whole() {
            if let Err(error) = self.keep_text(backend) {
                let opening = self.opening(backend);
                return self.refuse_request(b'P', error, opening, backend, out);
            }
            self.catalogue.private(&self.flavour)
        } else if backend.doubts.has_settings()
            || backend.question.is_some()
            || backend.held.or(backend.doubts.holds).has(Holds::TEMPORARY)
        {
            // What it is parsed under is known only when the server has been asked (C13), and a
            // temporary table of the same name is not what others mean (C12).
            self.catalogue.unshared(rest, &self.flavour)
        } else {
            self.catalogue.statement(rest, &self.flavour)
        };
        let id = statement.id;
        let by_own_name = self.goes_by(name, &statement, backend);
        self.names.add(name, Arc::clone(&statement), read.meaning);
        let entry = Entry {
            statement: id,
            journaled: true,
            cut: read.cut,
            ..Entry::new(Request::Parse, Whose::Client)
        };
        if by_own_name {
            backend.pipeline.push(Entry {
                statement: 0,
                ..entry
            });
            if read.stripped.is_none() {
                return Verdict::Forward;
            }
            write_parse(&[name, b"\0"].concat(), rest, out);
            return Verdict::Rewritten;
        }
        let stripped = read.stripped.as_deref();
        parse_by_number(frame, name, stripped, &statement, entry, backend, out)
    }

    /// What a Parse means, and its body without the comment that names the tenant.
    fn read_parse(
        &self,
        frame: &Frame<'_>,
        rest: &[u8],
        backend: &Backend,
    ) -> Result<Parsed, Error> {
        let text = Reader::new(rest).cstr().ok().filter(|_| frame.is_whole());
        let Some(tenancy) = self.tenancy.as_deref() else {
            let unread = (None, true);
            let (touches, by_tag) =
                text.map_or(unread, |text| touches_of_text(text, self.dialect.sql));
            let is_skimmed = text.is_none();
            let noteworthy = touches.is_some() || by_tag;
            let act = Act {
                touches,
                by_tag,
                ..Act::NOTHING
            };
            let mut parsed = Parsed {
                meaning: noteworthy.then_some(Meaning {
                    act,
                    is_skimmed,
                    ..Meaning::UNSURE
                }),
                ..Parsed::default()
            };
            if let Some(text) = text {
                parsed.rename(self.renamed(text, backend)?, rest);
            }
            return Ok(parsed);
        };
        let Some(text) = text else {
            let leading = sql::comment::leading(rest, self.dialect.sql);
            let named = comment_of(tenancy, leading, self.dialect.sql)?;
            let tenant = named.and_then(|comment| comment.tenant);
            tenancy.with(tenant.clone())?;
            let act = Act::UNSURE;
            return Ok(Parsed {
                meaning: Some(Meaning {
                    act,
                    tenant,
                    is_skimmed: true,
                    ..Meaning::UNSURE
                }),
                ..Parsed::default()
            });
        };
        let mut parsed = Parsed::default();
        if let Some(act) = self.names.known_act(rest, self.dialect.sql) {
            // What is kept holds no tenant's comment any more.
            let (act, tenant) = (act.clone(), None);
            parsed.meaning = Some(Meaning {
                act,
                tenant,
                ..Meaning::UNSURE
            });
            parsed.rename(self.renamed(text, backend)?, rest);
            return Ok(parsed);
        }
        let mut named = None;
        if let Some(Comment { tenant, cuts }) = comment_of(tenancy, text, self.dialect.sql)? {
            let mut stripped = Vec::with_capacity(rest.len());
            let mut at = 0;
            for cut in &cuts {
                stripped.extend_from_slice(text.get(at..cut.start).unwrap_or_default());
                at = cut.end;
            }
            stripped.extend_from_slice(rest.get(at..).unwrap_or_default());
            let in_front = cuts.first().filter(|cut| cut.start == 0);
            // Ids and keys are ASCII; a comment in front that holds more is counted as if it were.
            parsed.cut = in_front.map_or(0, |cut| u16::try_from(cut.end).unwrap_or(0));
            named = tenant;
            parsed.stripped = Some(stripped);
        }
        let first = sql::statements(text, self.dialect.sql).next();
        let act = first.map_or(Act::NOTHING, |first| {
            Act::of(&first, text, Some(&tenancy.policy.setting))
        });
        parsed.meaning = Some(Meaning {
            act,
            tenant: named,
            ..Meaning::UNSURE
        });
        let stripped = parsed.stripped.clone();
        let rest = stripped.as_deref().unwrap_or(rest);
        let text = Reader::new(rest).cstr().unwrap_or_default();
        parsed.rename(self.renamed(text, backend)?, rest);
        Ok(parsed)
    }

    fn bind(&mut self, frame: &Frame<'_>, backend: &mut Backend, out: &mut Output) -> Verdict {
        let Ok(bind) = Bind::read(frame.body) else {
            return sent(Request::Bind, backend);
        };
        if let Some(verdict) = self.await_name(bind.statement, backend, out) {
            return verdict;
        }
        if let Some(verdict) = self.compare(b'B', bind.statement, backend, out) {
            return verdict;
        }
        if bind.statement.is_empty() {
            self.free_unbound(backend);
        } else {
            // It may be anything, and what is said to be reused behind it would not meet it.
            backend.prepared.stops_reusing();
        }
        self.bound_by_tag &= !bind.portal.is_empty();
        let mut meaning = self.names.meaning(bind.statement).cloned();
        if self.tenancy.is_some() {
            // One whose text was not read, or that was prepared in SQL: it may be anything.
            meaning.get_or_insert(Meaning::UNSURE);
        }
        if let Some(meaning) = &meaning
            && let Some(verdict) = self.before_bind(meaning, &bind, backend, out)
        {
            return verdict;
        }
        let renamed = meaning.and_then(|meaning| meaning.renamed);
        self.bound_deallocation = None;
        if let Some(renamed) = renamed {
            for statement in &renamed.uses {
                ensure(statement, backend, out);
            }
            self.bound_deallocation = renamed.deallocates.first().cloned().flatten();
        }
        let entry = Entry::new(Request::Bind, Whose::Client);
        let Some(id) = self.find(bind.statement, backend, out) else {
            backend.pipeline.push(entry);
            return Verdict::Forward;
        };
        let server_name = id.server_name();
        let (start, end) = (
            bind.portal.len() + 1,
            bind.portal.len() + bind.statement.len() + 2,
        );
        let own = frame.body.get(start..end).unwrap_or_default();
        let [mark, name] = id.parts(own, &server_name);
        let front = [bind.portal, b"\0", mark, name];
        frame.forward_with(end, &front, &mut out.to_server);
        backend.pipeline.push(Entry {
            statement: id.number(),
            reused: bind.statement.is_empty(),
            ..entry
        });
        Verdict::Rewritten
    }

    fn describe(&mut self, frame: &Frame<'_>, backend: &mut Backend, out: &mut Output) -> Verdict {
        let Ok(Target::Statement(name)) = frontend::target(frame.body) else {
            return sent(Request::Describe, backend);
        };
        if let Some(verdict) = self.await_name(name, backend, out) {
            return verdict;
        }
        if let Some(verdict) = self.compare(b'D', name, backend, out) {
            return verdict;
        }
        let entry = Entry::new(Request::Describe, Whose::Client);
        let Some(id) = self.find(name, backend, out) else {
            backend.pipeline.push(entry);
            return Verdict::Forward;
        };
        let server_name = id.server_name();
        let [mark, server_name] = id.parts(frame.body.get(1..).unwrap_or_default(), &server_name);
        let front = [b"S", mark, server_name];
        frame.forward_with(name.len() + 2, &front, &mut out.to_server);
        backend.pipeline.push(Entry {
            statement: id.number(),
            reused: name.is_empty(),
            ..entry
        });
        Verdict::Rewritten
    }

    fn close(&mut self, frame: &Frame<'_>, backend: &mut Backend, out: &mut Output) -> Verdict {
        let Ok(Target::Statement(name)) = frontend::target(frame.body) else {
            return sent(Request::Close, backend);
        };
        if let Some(verdict) = self.await_name(name, backend, out) {
            return verdict;
        }
        if name.is_empty() {
            self.forget_unnamed(backend);
            backend.pipeline.push(Entry {
                unnamed: true,
                ..Entry::new(Request::Close, Whose::Client)
            });
            return Verdict::Forward;
        }
        let entry = Entry::new(Request::Close, Whose::Client);
        let by_own_name = match self.names.get(name) {
            Some(statement) => self.goes_by(name, statement, backend),
            None => false,
        };
        if by_own_name {
            self.names.remove(name);
            backend.pipeline.push(Entry {
                journaled: true,
                ..entry
            });
            return Verdict::Forward;
        }
        if self.names.remove(name) {
            // Others may use it on the server; only this client's name for it goes.
            backend.pipeline.push(Entry {
                local: true,
                journaled: true,
                ..entry
            });
            return Verdict::Drop;
        }
        if catalogue::is_reserved(name) {
            backend.pipeline.push(Entry {
                local: true,
                ..entry
            });
            return Verdict::Drop;
        }
        // It may be one that SQL prepared.
        backend.touched(&Touches {
            frees: Holds::STATEMENTS,
            ..Touches::default()
        });
        sent(Request::Close, backend)
    }

    /// Makes sure that the server has what the client calls `name`; `None` = the client's own words will do.
    fn find(&mut self, name: &[u8], backend: &mut Backend, out: &mut Output) -> Option<Found> {
        if name.is_empty() {
            if backend.prepared.naming == Naming::ByNumber
                && let Some((statement, _)) = self.names.shared_unnamed()
            {
                ensure(statement, backend, out);
                return Some(Found::Statement(statement.id));
            }
            self.ensure_unnamed(backend, out);
            return None;
        }
        match self.names.get(name).map(Arc::clone) {
            Some(statement) if self.goes_by(name, &statement, backend) => None,
            // Its text was not kept, and the connection that had parsed it is gone.
            Some(statement)
                if statement.is_private() && backend.prepared.has(statement.id) == Has::No =>
            {
                Some(Found::Reserved)
            }
            Some(statement) => {
                ensure(&statement, backend, out);
                Some(Found::Statement(statement.id))
            }
            None => catalogue::is_reserved(name).then_some(Found::Reserved),
        }
    }
}

/// A Parse, as it was read.
#[derive(Default)]
pub(super) struct Parsed {
    /// Where there are tenants.
    pub(super) meaning: Option<Meaning>,
    /// What follows the name, if that is not what the client sent.
    pub(super) stripped: Option<Vec<u8>>,
    /// Characters that were cut off in front.
    pub(super) cut: u16,
}

impl Parsed {
    /// The text names statements of the driver. `rest` is what follows the name in the Parse.
    fn rename(&mut self, renamed: Option<Renamed>, rest: &[u8]) {
        let Some(renamed) = renamed else { return };
        let meaning = self.meaning.get_or_insert(Meaning {
            act: Act::NOTHING,
            ..Meaning::UNSURE
        });
        if !renamed.touches.is_empty() {
            let touches = meaning.act.touches.get_or_insert_default();
            touches.add(&renamed.touches);
        }
        meaning.act.drops_context |= renamed.drops_context;
        let types = rest.iter().position(|byte| *byte == 0);
        let types = rest.get(types.unwrap_or(rest.len())..).unwrap_or_default();
        self.stripped = Some([renamed.text.as_slice(), types].concat());
        meaning.renamed = Some(Arc::new(renamed));
    }
}

/// What a name stands for on the server.
enum Found {
    Statement(u64),
    /// Nothing: the client tries a name that only pgusher may use.
    Reserved,
}

impl Found {
    fn number(&self) -> u64 {
        match self {
            Self::Statement(id) => *id,
            Self::Reserved => 0,
        }
    }

    fn server_name(&self) -> ServerName {
        Statement::server_name(self.number())
    }

    /// The name for the server, in two parts; `own` is the client's.
    fn parts<'a>(&self, own: &'a [u8], server_name: &'a ServerName) -> [&'a [u8]; 2] {
        match self {
            Self::Statement(_) => [b"", server_name.terminated()],
            Self::Reserved => [b"?", own],
        }
    }
}

fn sent(request: Request, backend: &mut Backend) -> Verdict {
    backend.pipeline.push(Entry::new(request, Whose::Client));
    Verdict::Forward
}
