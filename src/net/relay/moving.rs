//! A client moves to another worker.

use std::{pin::Pin, sync::Arc};

use tracing::debug;

use super::{Client, run};
use crate::net::bell::Bell;

impl Client {
    /// Whether nobody but its own task knows where it is: it has no server connection, and waits for
    /// nothing.
    pub(super) fn can_move(&self) -> bool {
        self.lease.is_none() && !self.is_waiting() && !self.held && !self.cancel_asked
    }

    /// Goes on at the worker that it is to move to.
    pub(super) fn move_on(mut self: Box<Self>) {
        let lobby = Arc::clone(self.pass.lobby());
        let worker = self.moves_to.take().and_then(|nth| lobby.workers.get(nth));
        let worker = worker.unwrap_or_else(|| self.seat.worker());
        // The old bell belongs to the old task and stands in the old worker's alarm.
        self.parts.bell = Arc::new(Bell::new());
        self.parts.registration.rehang(&self.parts.bell);
        let meter = &self.parts.membership.pool().meter;
        self.session.moves(Arc::clone(meter.of(worker.nth)));
        self.seat = worker.occupy();
        Arc::clone(self.seat.worker()).spawn(arrive(self));
    }
}

/// The task in which it goes on. It has a name for its type, which would else contain itself.
fn arrive(mut client: Box<Client>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        match client.side.rebind() {
            Ok(side) => client.side = side,
            Err(error) => return debug!(%error, "a client could not be taken over"),
        }
        run(client).await;
    })
}
