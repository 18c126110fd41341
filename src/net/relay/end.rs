//! How a client parts from its server connection, and from us.

use std::time::Instant;

use tracing::debug;

use super::{Client, Gone};
use crate::{
    error::{Error, Kind, Severity},
    net::{cleanup, lease::Lease, side::at_desk},
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
            self.side.send(&desk.out.to_client, &[])?;
            Ok::<_, Gone>(next)
        })?;
        if next == Next::Close {
            return Err(Gone);
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

    pub(super) fn say_goodbye(&mut self, error: &Error) -> Result<(), Gone> {
        self.pass.lobby().meters.refusals.told(error.kind);
        let mut goodbye = Vec::new();
        error.write_as(Severity::Fatal, &mut goodbye);
        self.side.send_own(&goodbye)?;
        Err(Gone)
    }

    /// The client is gone: its server connection goes back if that is certainly clean, else through a cleaning.
    pub(super) fn part(mut self) {
        self.queued = None;
        let now = Instant::now();
        self.session.ends(now);
        self.settle(now);
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        let Self { session, .. } = self;
        let backend: &Backend = &lease.conn().backend;
        if session.is_mid_request() {
            // It was sent the beginning of a message that will never end (C18).
            lease.abandon();
        } else {
            let at_rest = session.is_at_rest(backend);
            lease.conn().backend.dirty |= session.owns_connection();
            if at_rest {
                lease.give_back(Instant::now());
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
