//! What an operator does to databases and clients while they work.
//!
//! Nothing here waits: who wants to know whether a pause has come into effect asks again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{
    bell::ring,
    lobby::Lobby,
    pool::{Books, Db},
};
use crate::{
    error::{Error, Kind},
    pool::Hold,
};

/// How pgusher is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// Now.
    AtOnce,
    /// When the transactions that are open are over.
    WaitForServers,
    /// When all clients have left by themselves.
    WaitForClients,
}

impl Db {
    /// From now on no server connection is given out.
    pub(crate) fn hold(&self, hold: Hold) {
        let idle = self.books.lock().hold(hold);
        for conn in idle {
            conn.close();
        }
    }

    /// The hold is over.
    pub(crate) fn resume(self: &Arc<Self>, now: Instant) {
        let work = self.books.lock().resume(now);
        self.perform(work);
    }

    /// Whether server connections are given out.
    pub(crate) fn held(&self) -> Hold {
        self.books.lock().held()
    }

    /// No server connection is left, or of those that are kept none is in use.
    pub(crate) fn is_at_rest(&self) -> bool {
        let books = self.books.lock();
        match books.held() {
            Hold::Suspended => books.in_use() == 0,
            Hold::Paused | Hold::Off => books.total() == 0,
        }
    }

    /// New clients are refused, or let in again.
    pub(crate) fn disable(&self, disabled: bool) {
        self.books.lock().disable(disabled);
    }

    /// Whether new clients are refused.
    pub(crate) fn is_disabled(&self) -> bool {
        self.books.lock().is_disabled()
    }

    /// Each server connection is closed as soon as nobody has it.
    pub(crate) fn reconnect(self: &Arc<Self>, now: Instant) {
        let (idle, work) = {
            let mut books = self.books.lock();
            (books.reconnect(), books.work(now))
        };
        for pool in self.all_pools() {
            pool.audited.ask_again();
        }
        for conn in idle {
            conn.close();
        }
        self.perform(work);
    }

    /// Server connections from before a [`Self::reconnect`] are still in use.
    pub(crate) fn has_past(&self) -> bool {
        self.books.lock().has_past()
    }

    /// Its clients leave and its server connections are closed; from now on it is paused.
    fn kill(self: &Arc<Self>, now: Instant) {
        self.hold(Hold::Paused);
        self.reconnect(now);
        *self.killed.lock() = Some(now);
    }

    /// Whether a client that came then has been sent away.
    pub(crate) fn has_killed(&self, came: Instant) -> bool {
        self.killed.lock().is_some_and(|killed| came <= killed)
    }

    fn give_up(self: &Arc<Self>, now: Instant) {
        let stopping = Error::new(Kind::ShuttingDown, "pgusher is shutting down");
        let work = self.books.lock().give_up(stopping, now);
        self.perform(work);
    }
}

/// A pool that is held when its database is made holds from the start.
pub(super) fn begin(books: &mut Books, hold: Hold) {
    // Nothing idles in books that are new.
    drop(books.hold(hold));
}

impl Lobby {
    /// One database, or all that there are.
    pub(crate) fn chosen(&self, name: Option<&str>) -> Result<Vec<Arc<Db>>, Error> {
        match name {
            Some(name) => Ok(vec![self.database(name)?]),
            None => Ok(self.databases()),
        }
    }

    /// Holds one database, or all, more than it is held already, those included that come to be.
    pub(crate) fn hold(&self, name: Option<&str>, hold: Hold) -> Result<Vec<Arc<Db>>, Error> {
        if name.is_none() {
            self.hold_new(hold.max(self.held_new()));
        }
        let chosen = self.chosen(name)?;
        for db in &chosen {
            db.hold(hold.max(db.held()));
        }
        Ok(chosen)
    }

    /// Ends the hold of one database, or of all.
    pub(crate) fn resume(&self, name: Option<&str>) -> Result<(), Error> {
        let chosen = self.chosen(name)?;
        self.resume_these(&chosen, name.is_none());
        Ok(())
    }

    /// Ends the hold of these databases, and of those that come to be.
    pub(crate) fn resume_these(&self, these: &[Arc<Db>], and_new: bool) {
        if and_new {
            self.hold_new(Hold::Off);
        }
        let now = Instant::now();
        for db in these {
            db.resume(now);
        }
    }

    /// Lets no new clients in to a database, or lets them in again.
    pub(crate) fn disable(&self, name: &str, disabled: bool) -> Result<(), Error> {
        self.database(name)?.disable(disabled);
        Ok(())
    }

    /// Server connections of one database, or of all, are closed as soon as nobody has them.
    pub(crate) fn reconnect(&self, name: Option<&str>) -> Result<(), Error> {
        let now = Instant::now();
        for db in self.chosen(name)? {
            db.reconnect(now);
        }
        Ok(())
    }

    /// Sends the clients of one database, or of all, away; it is paused from then on.
    pub(crate) fn kill_database(&self, name: Option<&str>) -> Result<(), Error> {
        if name.is_none() {
            self.hold_new(Hold::Paused);
        }
        let now = Instant::now();
        for db in self.chosen(name)? {
            db.kill(now);
        }
        self.ring_all(ring::EXPELLED);
        Ok(())
    }

    /// Sends a client away; whether there is one with this number.
    pub(crate) fn kill_client(&self, id: u32) -> bool {
        self.ring_one(id, ring::KILLED)
    }

    /// pgusher is to end in this way.
    pub(crate) fn order(&self, shutdown: Shutdown) {
        *self.shutdown.lock() = Some(shutdown);
        self.ordered.notify_one();
    }

    /// Waits until somebody wants pgusher to end.
    pub(crate) async fn ordered(&self) -> Shutdown {
        loop {
            if let Some(shutdown) = self.shutdown.lock().take() {
                return shutdown;
            }
            self.ordered.notified().await;
        }
    }

    /// From now on nobody comes in, and those inside may stay as long as they like.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// From now on nobody comes in, and those inside leave when their transaction is over.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Whoever waits for the end of a pause would do so in vain.
        let now = Instant::now();
        for db in self.databases() {
            db.give_up(now);
        }
        self.ring_all(ring::STOP);
    }
}
