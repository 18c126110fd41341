//! A server connection, and the right to use it for a while.

use std::{io, sync::Arc, time::Instant};

use super::{
    cancel::Flight,
    cards::{Ends, ServerCard},
    cleanup,
    pool::Pool,
    side::{Filled, Side},
    tls::servers::Secured,
    worker::Workers,
};
use crate::{
    pool::{Generation, Party},
    session::{Backend, Drain, WINDOW},
};

/// The address of a server connection's process, for a cancel.
#[derive(Debug, Clone)]
pub(crate) struct CancelKey {
    pub(crate) pid: u32,
    pub(crate) secret: Vec<u8>,
    /// The very address that the connection was made to: a name may lead elsewhere by now.
    pub(crate) place: Place,
}

/// Where a server connection leads.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Tcp(std::net::SocketAddr),
    Tls(std::net::SocketAddr, Secured),
    Unix(std::path::PathBuf),
}

/// One open connection to a server.
#[derive(Debug)]
pub(crate) struct ServerConn {
    pub(crate) side: Side,
    pub(crate) backend: Backend,
    /// The worker that it is registered with.
    pub(crate) worker: usize,
    /// When it is too old to be used again.
    pub(crate) expires: Option<Instant>,
    /// When its opening began.
    pub(crate) generation: Generation,
    pub(crate) cancel_key: Option<CancelKey>,
    /// A cancel request for what it did is on its way: nobody else may have it until that has arrived (B1).
    pub(crate) cancelling: Arc<Flight>,
    pub(crate) card: Arc<ServerCard>,
}

impl ServerConn {
    pub(crate) fn new(
        side: Side,
        backend: Backend,
        worker: usize,
        expires: Option<Instant>,
        generation: Generation,
        cancel_key: Option<CancelKey>,
    ) -> Box<Self> {
        let cancelling: Arc<Flight> = Arc::default();
        let pid = cancel_key.as_ref().map_or(0, |key| key.pid);
        let ends = Ends::of(side.stream());
        let card = ServerCard::new(pid, ends, Arc::clone(&cancelling), generation.clone());
        Box::new(Self {
            card,
            side,
            backend,
            worker,
            expires,
            generation,
            cancel_key,
            cancelling,
        })
    }

    /// Whether it can be used by a client on `worker`. The look at all sockets that has found that
    /// client has found what this one had to say, too; only one from another thread is asked.
    pub(super) fn is_fit(&mut self, worker: usize) -> bool {
        let is_silent = self.worker == worker && !self.side.stream().is_known_readable();
        is_silent || self.is_sound()
    }

    /// Looks whether the server said something while the connection was idle: a notice is read
    /// and forgotten, a farewell or the end means that it is dead.
    pub(super) fn is_sound(&mut self) -> bool {
        if !self.side.stream().has_news() && !self.side.has_kept() {
            return true;
        }
        // Rare, and asked in the middle of turns: the thread's desk is taken.
        let mut window = vec![0; WINDOW];
        let filled = match self.side.fill_now(&mut window) {
            Ok(Filled::Bytes(filled)) => filled,
            Ok(Filled::Nothing) => return true,
            Ok(Filled::End) | Err(_) => return false,
        };
        let input = window.get(..filled).unwrap_or_default();
        let Ok(used) = Drain::default().bytes(input, &mut self.backend) else {
            return false;
        };
        self.side.keep(input.get(used..).unwrap_or_default());
        !self.side.has_kept()
    }

    /// When it is too old, as things stand under the books' lock.
    pub(super) fn expiry(&self, now: Instant) -> Option<Instant> {
        match self.generation.is_over() {
            true => Some(now),
            false => self.expires,
        }
    }

    /// Says goodbye and closes.
    pub(crate) fn close(mut self: Box<Self>) {
        const TERMINATE: &[u8] = b"X\0\0\0\x04";
        // A server that does not hear it finds out by the closed socket.
        let _ = self.side.send_own(TERMINATE);
        self.side.farewell();
    }
}

/// The right to use a server connection. Whatever happens to its holder, the books are told once (G1).
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    conn: Option<Box<ServerConn>>,
    /// In whose name.
    party: u64,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("database", &self.db.name)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, conn: Box<ServerConn>, party: u64) -> Self {
        Self {
            pool,
            conn: Some(conn),
            party,
        }
    }

    /// From now on it is in another party's name.
    pub(crate) fn transfer(&mut self, to: &Party, now: Instant) {
        if self.party != to.number {
            self.pool.transfer(self.party, to, now);
            self.party = to.number;
        }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The connection.
    #[expect(
        clippy::expect_used,
        reason = "only what consumes the lease takes it out"
    )]
    pub(crate) fn conn(&mut self) -> &mut ServerConn {
        self.conn
            .as_mut()
            .expect("a lease has its connection until it ends")
    }

    /// Moves the connection to this thread, if it is not there. An error means that it is lost.
    pub(crate) fn bring_home(&mut self, workers: &Workers) -> io::Result<()> {
        let here = workers.here().nth;
        if self.conn.as_ref().is_none_or(|conn| conn.worker == here) {
            return Ok(());
        }
        let Some(conn) = self.conn.take() else {
            return Ok(());
        };
        let ServerConn {
            side,
            backend,
            expires,
            generation,
            cancel_key,
            cancelling,
            card,
            ..
        } = *conn;
        let moved = side.rebind().map(|side| {
            Box::new(ServerConn {
                side,
                backend,
                worker: here,
                expires,
                generation,
                cancel_key,
                cancelling,
                card,
            })
        });
        match moved {
            Ok(conn) => {
                self.conn = Some(conn);
                Ok(())
            }
            Err(error) => {
                self.pool.closed(self.party, Instant::now());
                Err(error)
            }
        }
    }

    /// Gives the connection back. If it is not certainly clean, it is cleaned first, or closed.
    pub(crate) fn give_back(mut self, now: Instant) {
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        if self.pool.resets_always() {
            conn.backend.dirty = true;
        }
        let pending = conn.cancelling.is_on();
        let clean = conn.backend.is_free() && conn.backend.is_clean() && !pending;
        if clean && !conn.side.is_backed_up() && !conn.side.has_kept() {
            conn.backend.pipeline.shrink();
            conn.card.rests(conn.backend.statements(), now);
            self.pool.give_back(self.party, conn, now);
        } else {
            self.conn = Some(conn);
            cleanup::start(self, Drain::default());
        }
    }

    /// Gives back a connection that has just been cleaned.
    pub(super) fn give_back_cleaned(mut self, now: Instant) {
        if let Some(mut conn) = self.conn.take() {
            conn.backend.pipeline.shrink();
            conn.card.rests(conn.backend.statements(), now);
            self.pool.give_back(self.party, conn, now);
        }
    }

    /// Closes the connection without a word. Behind half a message a goodbye would be read as the
    /// rest of it, and the message be carried out (C18).
    pub(crate) fn abandon(self) {
        drop(self);
    }

    /// Closes the connection, which is between two messages.
    pub(crate) fn close(mut self) {
        if let Some(conn) = self.conn.take() {
            conn.close();
            self.pool.closed(self.party, Instant::now());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Whoever let it fall did not say what state it is in.
        if self.conn.take().is_some() {
            self.pool.closed(self.party, Instant::now());
        }
    }
}
