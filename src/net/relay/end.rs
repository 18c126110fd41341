//! How a client parts from its server connection, and from us.

use std::time::Instant;

use tracing::debug;

use super::{Client, Gone};
use crate::{
    error::{Blame, Error, Kind, Severity},
    net::{
        cleanup,
        journal::{About, Attempt, Stay},
        lease::Lease,
        side::at_desk,
    },
    session::{Backend, Next},
};

impl Client {
    /// The server connection is gone or given up: `dispose` of it, and tell the client.
    pub(super) fn lose(&mut self, error: Error, dispose: impl FnOnce(Lease)) -> Result<(), Gone> {
        let Some(mut lease) = self.lease.take() else {
            return Ok(());
        };
        debug!(%error, "a client lost its server connection");
        self.parts.card.rests(self.session.statements());
        let next = at_desk(|desk| {
            let backend = &mut lease.conn().backend;
            let next = self
                .session
                .server_lost(backend, error, &mut desk.out, Instant::now());
            dispose(lease);
            self.count_told(desk);
            self.side.send(&mut desk.out.to_client, &[])?;
            Ok::<_, Gone>(next)
        })?;
        if next == Next::Close {
            return Err(Gone::CLOSED);
        }
        if self.side.has_kept() {
            self.resume()
        } else {
            Ok(())
        }
    }

    /// pgusher is being stopped: goodbye, once nothing is under way.
    pub(super) fn leave_if_stopping(&mut self) -> Result<(), Gone> {
        let at_rest = match &mut self.lease {
            Some(lease) => self.session.is_at_rest(&lease.conn().backend),
            None => !self.is_waiting(),
        };
        if !self.stopping || !at_rest {
            return Ok(());
        }
        let message = "terminating connection: pgusher is shutting down";
        self.say_goodbye(&Error::new(Kind::ShuttingDown, message))
    }

    /// The client is told of `error`: it is counted, and written down if it is a refusal.
    pub(super) fn note(&mut self, error: &Error) {
        let lobby = self.pass.lobby();
        lobby.meters.refusals.told(error.kind);
        // Outside of a transaction it is the last one's account, unless it was this that was refused.
        let is_its = self.lease.is_some() || error.kind.blame() == Blame::Limit;
        let account =
            if is_its || error.kind == Kind::TenantSuspended || error.kind == Kind::TenantUnknown {
                &self.account
            } else {
                self.parts.presence.account()
            };
        let about = About::of(&self.parts.card, account.who());
        let now = Instant::now();
        lobby
            .journal
            .refused(Attempt::Request, &about, error, None, now);
        if error.kind.severity() == Severity::Fatal {
            self.dismissed = Some(error.kind);
        }
    }

    pub(super) fn say_goodbye(&mut self, error: &Error) -> Result<(), Gone> {
        self.note(error);
        if self.session.is_mid_reply() {
            // In the middle of a row it would be heard as a part of that.
            return Err(Gone::CLOSED);
        }
        let mut goodbye = Vec::new();
        error.write_as(Severity::Fatal, &mut goodbye);
        self.side.send_own(&goodbye)?;
        Err(Gone::CLOSED)
    }

    /// The client is gone: its server connection goes back if that is certainly clean, else through a cleaning.
    pub(super) fn part(mut self, gone: Gone) {
        let is_killed = self
            .parts
            .membership
            .pool()
            .db
            .has_killed(self.parts.card.came());
        self.queued = None;
        self.side.farewell();
        let now = Instant::now();
        self.session.ends(now);
        self.settle(now);
        let stay = Stay {
            came: self.parts.card.came(),
            transactions: self.transactions,
            why: self.dismissed.map_or(gone.0, Kind::name),
        };
        let about = About::of(&self.parts.card, self.parts.presence.account().who());
        self.pass.lobby().journal.disconnected(&about, &stay, now);
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        if is_killed {
            return self.drop_server(lease);
        }
        let Self {
            session, killed, ..
        } = self;
        let backend: &Backend = &lease.conn().backend;
        if session.is_mid_request() {
            // It was sent the beginning of a message that will never end (C18).
            lease.abandon();
        } else {
            let at_rest = session.is_at_rest(backend);
            lease.conn().backend.dirty |= session.owns_connection();
            if at_rest {
                lease.give_back(Instant::now());
            } else if killed {
                cleanup::start_at_once(lease, session.into_drain());
            } else {
                cleanup::start(lease, session.into_drain());
            }
        }
    }
}

/// The server connection broke.
pub(super) fn lost(how: &str) -> Error {
    let message = format!("the database server {how}");
    Error::new(Kind::ServerLost, message)
        .hint("The transaction is lost; it can be tried again on this connection.")
}
