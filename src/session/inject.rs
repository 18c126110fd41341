//! The tenant's context, in front of what the client sends.
//!
//! Nothing of a client runs in a transaction whose context was not set before it, and what sets
//! it travels in the same write. How depends on the statement ([`Need`]) and on what is known of
//! the server's transaction ([`Opening`]): `docs/tenants.md` has the table.

use std::sync::Arc;

use super::{
    Backend, Entry, Next, Output, Request, Session, Status, Whose,
    bracket::open_bracket,
    catalogue::Statement,
    client::Verdict,
    forward::Frame,
    provide::ensure,
    reading::{Given, Naming, Need, Turn, touches_of_text},
    rewritten::Rewritten,
    statements::Meaning,
    walk::{Stop, plan},
};
use crate::{
    error::{Error, Kind},
    tenant::Context,
    wire::{
        frame::{HEADER, Header},
        frontend::{self, Bind},
        write,
    },
};

/// What is known of the server's transaction before the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// There is none.
    Outside,
    /// One is open and has its context, or the session has.
    Scoped,
    /// One is open and has no context.
    Bare,
    /// One is open and has failed: PostgreSQL will let nothing run in it.
    Failed,
    /// What was sent before is not answered yet.
    Unknown,
}

impl Session {
    /// What is known of the server's transaction before the next message.
    pub(super) fn opening(&self, backend: &Backend) -> Opening {
        if backend.pipeline.is_entombed() {
            return Opening::Failed;
        }
        if backend.pipeline.is_open() {
            // A Query may stand in a batch, whose answers may never come without it. If the batch
            // has failed, nothing of it runs.
            return match backend.scoping.in_batch {
                true => Opening::Scoped,
                false => Opening::Bare,
            };
        }
        if !backend.pipeline.is_settled() {
            return Opening::Unknown;
        }
        match backend.status {
            Status::Failed => Opening::Failed,
            _ if backend.scoping.is_given() => Opening::Scoped,
            Status::Idle => Opening::Outside,
            Status::Open if backend.scoping.in_transaction => Opening::Scoped,
            Status::Open => Opening::Bare,
        }
    }

    /// Sends a simple query.
    pub(super) fn query(
        &mut self,
        frame: &Frame<'_>,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        if self.tenancy.is_some() {
            return self.query_of_tenant(frame, backend, out);
        }
        let text = frame.query_text();
        let unread = (None, true);
        let (touches, by_tag) = text.map_or(unread, |text| touches_of_text(text, self.dialect.sql));
        if let Some(touches) = &touches {
            if let Err(error) = self.may_keep(touches, backend) {
                let opening = self.opening(backend);
                return self.refuse_request(b'Q', error, opening, backend, out);
            }
            if let Some(verdict) = self.settle_names(touches, backend, out) {
                return verdict;
            }
            backend.touched(touches);
            self.note_return(touches, Given::text);
        }
        let entry = Entry {
            by_tag,
            ..Entry::new(Request::Query, Whose::Client)
        };
        self.plain_query(entry, backend)
    }

    /// The same, with the tenant's context.
    fn query_of_tenant(
        &mut self,
        frame: &Frame<'_>,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        let opening = self.opening(backend);
        let Some(tenancy) = self.tenancy.as_deref_mut() else {
            return Verdict::Forward;
        };
        if opening == Opening::Unknown && tenancy.is_in_doubt() {
            return Verdict::Stop(Next::Hold);
        }
        if let Some(error) = backend.scoping.failure.take() {
            return self.answer_with(b'Q', &error, backend, out);
        }
        let given = (backend.scoping.is_given(), backend.scoping.in_block);
        tenancy.next_place = backend.pipeline.next_place();
        let text = frame.query_text();
        let whole = text.is_some() && !tenancy.is_dialect_in_doubt();
        let text = text.unwrap_or(frame.body);
        let dialect = self.dialect;
        match plan(tenancy, opening, given, text, whole, dialect.sql) {
            Ok(mut plan) => {
                if let Err(error) = self.may_keep(&plan.touches, backend) {
                    return self.refuse_request(b'Q', error, opening, backend, out);
                }
                if let Some(verdict) = self.settle_names(&plan.touches, backend, out) {
                    return verdict;
                }
                let Some(tenancy) = self.tenancy.as_deref_mut() else {
                    return Verdict::Forward;
                };
                for turn in &plan.turns {
                    tenancy.turn(turn);
                }
                if plan.changes_dialect {
                    tenancy.doubt_dialect();
                }
                tenancy.announce(plan.effects);
                backend.touched(&plan.touches);
                self.note_return(&plan.touches, Given::text);
                backend.scoping.lingers |= plan.lingers;
                backend.scoping.used();
                let entry = Entry {
                    rewritten: !plan.changes.is_empty(),
                    by_tag: plan.by_tag,
                    drops_context: plan.drops,
                    ..Entry::new(Request::Query, Whose::Client)
                };
                if plan.changes.is_empty() {
                    return self.plain_query(entry, backend);
                }
                frame.forward_changed(&plan.changes, out);
                plan.changes.count_characters(text, dialect.utf8);
                backend
                    .scoping
                    .rewritten
                    .push_back(Rewritten::new(plan.changes));
                self.plain_query(entry, backend);
                Verdict::Rewritten
            }
            Err(Stop::Hold) => Verdict::Stop(Next::Hold),
            // A bracket would end the batch, and keep what the query may have to take back.
            Err(Stop::Bracket(_)) if backend.pipeline.is_open() && opening == Opening::Scoped => {
                let message = "a query that cannot be read for certain stands within a batch";
                let error = Error::new(Kind::NotSupported, message).hint("Send Sync before it.");
                self.refuse_request(b'Q', error, opening, backend, out)
            }
            Err(Stop::Bracket(known)) => open_bracket(&known, backend, out),
            Err(Stop::Refuse(error)) => self.refuse_request(b'Q', error, opening, backend, out),
        }
    }

    /// A FunctionCall can carry nothing in front of it.
    pub(super) fn function_of_tenant(
        &mut self,
        body: &[u8],
        backend: &mut Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        let opening = self.opening(backend);
        let tenancy = self.tenancy.as_deref_mut()?;
        if let Some(error) = backend.scoping.failure.take() {
            return Some(self.answer_with(b'F', &error, backend, out));
        }
        match opening {
            Opening::Failed => return None,
            Opening::Unknown => return Some(Verdict::Stop(Next::Hold)),
            _ => {}
        }
        if let Some(naming) = Naming::of_call(body) {
            let refusal = match tenancy.effect_of(&naming, &|_| None) {
                Ok(None) => None,
                Ok(Some(_)) => {
                    let message = "the tenant may not be set by a function call of the protocol";
                    Some(Error::new(Kind::NotSupported, message).hint("Use SET."))
                }
                Err(error) => Some(error),
            };
            if let Some(error) = refusal {
                return Some(self.refuse_request(b'F', error, opening, backend, out));
            }
        }
        let tenancy = self.tenancy.as_deref_mut()?;
        let known = match tenancy.with(None) {
            Ok(Some(known)) => known,
            Ok(None) if tenancy.policy.required => {
                let error = tenancy.policy.missing();
                return Some(self.refuse_request(b'F', error, opening, backend, out));
            }
            Ok(None) => return None,
            Err(error) => return Some(self.refuse_request(b'F', error, opening, backend, out)),
        };
        if opening == Opening::Outside {
            tenancy.disown();
        }
        tenancy.next_place = backend.pipeline.next_place();
        if let Err(error) = tenancy.own(&known) {
            return Some(self.refuse_request(b'F', error, opening, backend, out));
        }
        if opening == Opening::Scoped {
            backend.scoping.used();
            return None;
        }
        Some(open_bracket(&known, backend, out))
    }

    /// A batch of extended messages begins; `Some`: not yet.
    pub(super) fn begin_batch(&mut self, tag: u8, backend: &mut Backend) -> Option<Verdict> {
        let opening = self.opening(backend);
        let tenancy = self.tenancy.as_deref_mut()?;
        if opening == Opening::Unknown && tenancy.is_in_doubt() {
            return Some(Verdict::Stop(Next::Hold));
        }
        if opening == Opening::Outside {
            tenancy.disown();
        }
        backend.scoping.batch_opening = opening;
        backend.scoping.batch_given = backend.scoping.is_given();
        backend.scoping.batch_bound = false;
        backend.scoping.in_batch = matches!(opening, Opening::Scoped | Opening::Failed);
        debug_assert!(matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C'));
        None
    }

    /// A statement is prepared: what must stand around the batch is opened before it.
    pub(super) fn before_parse(
        &mut self,
        meaning: &Meaning,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        let tenancy = self.tenancy.as_deref_mut()?;
        let need = meaning.act.need;
        if matches!(need, Need::Nothing | Need::Context) || backend.pipeline.is_open() {
            return None;
        }
        if let Some(error) = backend.scoping.failure.take() {
            return Some(self.answer_with(b'P', &error, backend, out));
        }
        let known = tenancy.with(meaning.tenant.clone()).ok().flatten()?;
        match backend.scoping.batch_opening {
            Opening::Unknown => Some(Verdict::Stop(Next::Hold)),
            Opening::Outside if need != Need::Block => Some(open_bracket(&known, backend, out)),
            _ => None,
        }
    }

    /// A statement is bound: its context goes in front of the Bind. `Some`: it is not sent.
    pub(super) fn before_bind(
        &mut self,
        meaning: &Meaning,
        bind: &Bind<'_>,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        let act = &meaning.act;
        // What will be refused below leaves nothing behind.
        let parameters = |number: u16| bind.text_parameter(number).map(Box::from);
        let is_refused = self.tenancy.as_deref().is_some_and(|tenancy| {
            let effect = |naming| tenancy.effect_of(naming, &parameters);
            act.namings.iter().any(|naming| effect(naming).is_err())
        });
        if !is_refused && let Some(verdict) = self.touch_by_bind(meaning, bind, backend, out) {
            return Some(verdict);
        }
        self.tenancy.as_ref()?;
        if let Some(error) = backend.scoping.failure.take() {
            return Some(self.answer_with(b'B', &error, backend, out));
        }
        let opening = backend.scoping.batch_opening;
        let ends_transaction = matches!(act.turn, Turn::Ends { .. });
        if opening == Opening::Failed && backend.scoping.in_batch && !ends_transaction {
            if let (Turn::GoesBack(_), Some(tenancy)) = (&act.turn, &mut self.tenancy) {
                // From here on it has not failed, and what was set behind the savepoint is gone.
                tenancy.turn(&act.turn);
                backend.scoping.in_batch = false;
                backend.scoping.batch_opening = Opening::Bare;
            }
            return None;
        }
        match self.scope_bind(meaning, bind, backend) {
            Ok(None) => {}
            Ok(Some(context)) => {
                let portal = bind.portal;
                self.write_injection(&context, portal, backend, out);
            }
            Err(Stop::Hold) => return Some(Verdict::Stop(Next::Hold)),
            Err(Stop::Bracket(known)) => return Some(open_bracket(&known, backend, out)),
            Err(Stop::Refuse(error)) => {
                let opening = if backend.pipeline.is_open() {
                    Opening::Unknown
                } else {
                    opening
                };
                return Some(self.refuse_request(b'B', error, opening, backend, out));
            }
        }
        backend.scoping.used();
        backend.scoping.batch_bound = true;
        backend.scoping.lingers |= act.lingers();
        let ends = act.turn != Turn::Goes || act.drops_context;
        // A context that was given to the session outlives a COMMIT, but not a RESET.
        let outlives = backend.scoping.batch_given && act.namings.is_empty();
        backend.scoping.in_batch &= !ends || outlives;
        backend.scoping.batch_drops |= act.drops_context;
        if let Some(tenancy) = self.tenancy.as_deref_mut() {
            if ends_transaction {
                tenancy.disown();
            }
            tenancy.turn(&act.turn);
            if act.changes_dialect {
                tenancy.doubt_dialect();
            }
        }
        None
    }

    /// The context that must stand in front of a Bind.
    fn scope_bind(
        &mut self,
        meaning: &Meaning,
        bind: &Bind<'_>,
        backend: &Backend,
    ) -> Result<Option<Arc<Context>>, Stop> {
        let Some(tenancy) = self.tenancy.as_deref_mut() else {
            return Ok(None);
        };
        let act = &meaning.act;
        if act.turn.is_of_savepoint() && backend.pipeline.owes_ready() {
            return Err(Stop::Hold);
        }
        let mut effect = None;
        let parameters = |number: u16| bind.text_parameter(number).map(Box::from);
        for naming in &act.namings {
            if let Some(named) = tenancy.effect_of(naming, &parameters)? {
                if backend.pipeline.owes_ready() {
                    return Err(Stop::Hold);
                }
                effect = Some(named);
            }
        }
        let named = effect.as_ref().map(|effect| effect.tenant.clone());
        tenancy.bind(bind.portal, effect);
        let scoping = &backend.scoping;
        let outside = scoping.batch_opening == Opening::Outside && !scoping.batch_bound;
        let need = tenancy.need_of(act, outside);
        if need == Need::Nothing {
            return Ok(None);
        }
        let known = match named {
            Some(named) => named,
            None => tenancy.with(meaning.tenant.clone())?,
        };
        let Some(known) = known else {
            return match tenancy.policy.required {
                true => Err(Stop::Refuse(tenancy.policy.missing())),
                false => Ok(None),
            };
        };
        tenancy.next_place = backend.pipeline.next_place();
        if let Err(error) = tenancy.own(&known) {
            return Err(match backend.pipeline.owes_ready() {
                true => Stop::Hold,
                false => Stop::Refuse(error),
            });
        }
        if backend.scoping.in_batch {
            return Ok(None);
        }
        let first = !backend.pipeline.is_open();
        match (need, backend.scoping.batch_opening) {
            // Behind a BEGIN it is not refused.
            (Need::Block, Opening::Outside) if !backend.scoping.batch_bound => Ok(None),
            (Need::Bracket | Need::Unsure, Opening::Outside) if first => Err(Stop::Bracket(known)),
            (Need::Block | Need::Bracket | Need::Unsure, Opening::Unknown) if first => {
                Err(Stop::Hold)
            }
            _ => Ok(Some(known.context)),
        }
    }

    /// Bind and Execute of `set_config`, prepared once on each server connection.
    fn write_injection(
        &self,
        context: &Context,
        portal: &[u8],
        backend: &mut Backend,
        out: &mut Output,
    ) {
        // Beside a portal of the client's own name an unnamed one of its may be waiting.
        let own: &[u8] = if portal.is_empty() {
            b""
        } else {
            b"pgusher_inject"
        };
        let statement = self.catalogue.injection(context);
        let name = Statement::server_name(statement.id);
        ensure(&statement, backend, out);
        out.to_server.own(|bytes| {
            write::frame(bytes, b'B', |frame| {
                write::cstr(frame, own);
                frame.extend_from_slice(name.terminated());
                frame.extend_from_slice(context.bind_tail());
            });
            write::frame(bytes, b'E', |frame| {
                write::cstr(frame, own);
                frame.extend_from_slice(&0_u32.to_be_bytes());
            });
            if !own.is_empty() {
                write::frame(bytes, b'C', |frame| {
                    frame.push(b'P');
                    write::cstr(frame, own);
                });
            }
        });
        backend.pipeline.push(Entry {
            statement: statement.id,
            ..Entry::new(Request::Bind, Whose::Hidden)
        });
        backend.pipeline.push(Entry {
            gives_context: true,
            ..Entry::new(Request::Execute, Whose::Hidden)
        });
        if !own.is_empty() {
            backend
                .pipeline
                .push(Entry::new(Request::Close, Whose::Hidden));
        }
        backend.scoping.in_batch = true;
    }

    /// A portal is executed.
    pub(super) fn before_execute(&mut self, body: &[u8]) -> Entry {
        let mut entry = Entry::new(Request::Execute, Whose::Client);
        self.will_deallocate(&mut entry);
        // What is executed is the unnamed portal, if it was bound like this.
        entry.by_tag = self.bound_by_tag && body.first() == Some(&0);
        let Some(tenancy) = self.tenancy.as_deref_mut() else {
            return entry;
        };
        let portal = body.split(|byte| *byte == 0).next().unwrap_or_default();
        tenancy.execute(portal);
        entry
    }

    /// Answers a request that was not sent with what the server said to the context in front of it.
    fn answer_with(
        &mut self,
        tag: u8,
        error: &[u8],
        backend: &Backend,
        out: &mut Output,
    ) -> Verdict {
        out.to_client
            .own(|bytes| write::frame(bytes, b'E', |frame| frame.extend_from_slice(error)));
        if let Some(tenancy) = &mut self.tenancy {
            tenancy.answered(backend.status, true);
        }
        match tag {
            b'Q' | b'F' => {
                let status = backend.status.byte();
                out.to_client
                    .own(|bytes| write::ready_for_query(bytes, status));
            }
            _ => self.skipping = true,
        }
        Verdict::Drop
    }

    /// Refuses a request. Inside a transaction it is the server that must fail, so that it stays
    /// in step: it is sent what cannot succeed, and the client hears the reason in the place of its error.
    pub(super) fn refuse_request(
        &mut self,
        tag: u8,
        error: Error,
        opening: Opening,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        const FAILS: &[u8] = b"ROLLBACK TO SAVEPOINT pgusher_refused";
        if opening == Opening::Outside {
            self.fail_request(tag, &error, out);
            return Verdict::Drop;
        }
        backend.scoping.refusals.push_back(error);
        let request = match tag {
            b'Q' | b'F' => {
                out.to_server.own(|bytes| write::query(bytes, FAILS));
                Request::Query
            }
            _ => {
                out.to_server.own(|bytes| {
                    write::frame(bytes, b'D', |frame| {
                        frame.push(b'S');
                        write::cstr(frame, b"?pgusher_refused");
                    });
                });
                Request::Describe
            }
        };
        backend.pipeline.push(Entry {
            refused: true,
            ..Entry::new(request, Whose::Client)
        });
        Verdict::Drop
    }
}

impl Session {
    /// A simple query outside of any transaction: some need no server.
    pub(super) fn query_without_server(
        &mut self,
        header: Header,
        body: &[u8],
        out: &mut Output,
    ) -> Verdict {
        let lease = Verdict::Stop(Next::Lease);
        let Some(tenancy) = self.tenancy.as_deref_mut() else {
            return lease;
        };
        let text = frontend::query(body).ok();
        let Some(text) = text.filter(|_| header.size == HEADER + body.len()) else {
            return lease;
        };
        let word = text.trim_ascii_start().get(..3).unwrap_or_default();
        let sets = word.eq_ignore_ascii_case(b"set") || word.eq_ignore_ascii_case(b"res");
        let nobodys = tenancy.current().is_none() && tenancy.policy.required;
        if !sets && !nobodys {
            return lease;
        }
        match plan(
            tenancy,
            Opening::Outside,
            (false, false),
            text,
            true,
            self.dialect.sql,
        ) {
            Err(Stop::Refuse(error)) => {
                self.fail_request(b'Q', &error, out);
                Verdict::Drop
            }
            Ok(plan) if sets && plan.is_setting => {
                let Some(tenant) = plan.effects.session else {
                    return lease;
                };
                tenancy.set(tenant);
                let tag: &[u8] = if word.eq_ignore_ascii_case(b"set") {
                    b"SET"
                } else {
                    b"RESET"
                };
                out.to_client
                    .own(|bytes| write::frame(bytes, b'C', |frame| write::cstr(frame, tag)));
                self.say_ready(out);
                Verdict::Drop
            }
            _ => lease,
        }
    }
}
