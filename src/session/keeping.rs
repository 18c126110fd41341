//! Whether a client may keep its server connection, and what it sends that would make it.

use super::{
    Backend, Output, PoolMode, Session,
    client::Verdict,
    reading::Given,
    statements::Meaning,
    touches::{Holds, Touches},
};
use crate::{error::Error, wire::frontend::Bind};

impl Session {
    /// A statement is about to be sent; whether what it would leave on the connection may be there.
    pub(super) fn may_keep(&self, touches: &Touches, backend: &mut Backend) -> Result<(), Error> {
        let free = self.mode == PoolMode::Session || backend.seat.is_some();
        if !touches.keeps.is_empty() && !free {
            backend.seat = Some(self.pins.take(touches.keeps, self.tenant_id())?);
        }
        Ok(())
    }

    /// What a statement may change of the session when it is executed; `Some`: it is not sent.
    pub(super) fn touch_by_bind(
        &mut self,
        meaning: &Meaning,
        bind: &Bind<'_>,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        let act = &meaning.act;
        if meaning.is_skimmed && bind.portal.is_empty() {
            self.bound_by_tag = true;
        } else if act.by_tag {
            backend.touched(&Touches::UNREAD);
        }
        let touches = act.touches.as_deref()?;
        if let Err(error) = self.may_keep(touches, backend) {
            let opening = self.opening(backend);
            return Some(self.refuse_request(b'B', error, opening, backend, out));
        }
        if let Some(verdict) = self.settle_names(touches, backend, out) {
            return Some(verdict);
        }
        let held = backend.perhaps_held();
        backend.dirty |= touches.unclean;
        let own = self.tenancy.as_deref().map(|it| &it.policy.setting);
        let resolve = |name: &Given| match name {
            Given::Text(name) => Some(name.clone()),
            // Of a parameter of the type `character` the blanks behind it are none.
            Given::Parameter(number) => bind
                .text_parameter(*number)
                .map(|name| Box::from(name.trim_ascii_end())),
            _ => None,
        };
        backend.doubts.add(touches, held, resolve);
        if let Some(own) = own {
            backend.doubts.forget(|name| own.is(name));
        }
        self.note_return(touches, resolve);
        None
    }

    /// A statement is too long to be parsed again elsewhere: the client must keep its connection.
    pub(super) fn keep_text(&self, backend: &mut Backend) -> Result<(), Error> {
        if self.mode == PoolMode::Transaction {
            self.keep_certainly(Holds::TEXT, backend)?;
        }
        Ok(())
    }

    /// The same without a name. Most are bound at once and never again, so that nothing is refused for them:
    /// what is bound too late is not found.
    pub(super) fn keep_unbound(&self, backend: &mut Backend) {
        if self.mode == PoolMode::Transaction {
            let _ = self.keep_certainly(Holds::UNBOUND, backend);
        }
    }

    fn keep_certainly(&self, keeps: Holds, backend: &mut Backend) -> Result<(), Error> {
        let touches = Touches {
            keeps,
            ..Touches::default()
        };
        self.may_keep(&touches, backend)?;
        backend.held = backend.held.or(keeps);
        Ok(())
    }

    /// It is bound, or gives way to another.
    pub(super) fn free_unbound(&self, backend: &mut Backend) {
        self.free(Holds::UNBOUND, backend);
    }

    /// The client has given up names of statements: perhaps also those that kept its connection.
    pub(super) fn free_texts(&self, backend: &mut Backend) {
        if backend.held.has(Holds::TEXT) && !self.names.has_private() {
            self.free(Holds::TEXT, backend);
        }
    }

    fn free(&self, what: Holds, backend: &mut Backend) {
        if backend.held.has(what) {
            backend.held = backend.held.without(what);
            self.keep_or_free(backend);
        }
    }

    /// The connection stays with the client for as long as there is something on it.
    pub(super) fn keep_or_free(&self, backend: &mut Backend) {
        if backend.held.is_empty() || self.mode == PoolMode::Session {
            backend.seat = None;
        } else if !self.pins.are_allowed() {
            // It came to be where nobody could see it, and may not stay.
            backend.held = Holds::NONE;
            backend.dirty = true;
        } else if backend.seat.is_none() {
            backend.seat = Some(self.pins.admit(self.tenant_id()));
        }
    }
}
