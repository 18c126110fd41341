//! How full a pool is, as it can be seen from outside.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::Pool;
use crate::{error::Error, net::cards::ServerCard, pool::Standing};

/// How full a pool is.
#[derive(Debug, Clone)]
pub(crate) struct Filling {
    pub(crate) idle: usize,
    /// With a client, or being cleaned after one.
    pub(crate) busy: usize,
    pub(crate) opening: usize,
    pub(crate) cleaning: usize,
    pub(crate) cancelling: usize,
    pub(crate) pinned: usize,
    pub(crate) clients: usize,
    pub(crate) waiting: usize,
    /// Since when the first of those has waited.
    pub(crate) oldest: Option<Instant>,
    pub(crate) size: usize,
    pub(crate) reserve: usize,
    /// What speaks against row-level security.
    pub(crate) findings: usize,
    /// Why the server cannot be reached, if it cannot.
    pub(crate) failure: Option<Error>,
}

impl Filling {
    /// Server connections with a client, and so clients with a server connection.
    pub(crate) fn active(&self) -> usize {
        self.busy - self.cleaning
    }

    pub(crate) fn idle_clients(&self) -> usize {
        self.clients.saturating_sub(self.active() + self.waiting)
    }

    pub(crate) fn oldest_wait(&self, now: Instant) -> Duration {
        self.oldest
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Pool {
    /// How full it is.
    pub(crate) fn filling(&self) -> Filling {
        let (snapshot, size, reserve) = {
            let books = self.db.books.lock();
            let sizes = books.sizes(self.id);
            let size = sizes.map_or(0, |it| it.pool_size);
            let reserve = sizes.map_or(0, |it| it.reserve_pool_size);
            (books.snapshot(self.id), size, reserve)
        };
        let cards = self.cards.all();
        let count = |is_it: fn(&ServerCard) -> bool| cards.iter().filter(|it| is_it(it)).count();
        let failure = match self.failing.load(Ordering::Relaxed) {
            true => self.db.logins.lock().failure.clone(),
            false => None,
        };
        Filling {
            idle: snapshot.idle,
            busy: snapshot.busy,
            opening: snapshot.opening,
            cleaning: count(ServerCard::is_being_cleaned).min(snapshot.busy),
            cancelling: count(ServerCard::is_being_cancelled),
            pinned: self.pins.count(),
            clients: snapshot.clients,
            waiting: snapshot.waiting,
            oldest: snapshot.oldest,
            size,
            reserve,
            findings: self.audited.findings().len(),
            failure,
        }
    }

    /// What each of these parties has of it.
    pub(crate) fn standings(&self, parties: &[u64]) -> Vec<Standing> {
        // A relay waits for no more of them than this.
        const AT_ONCE: usize = 64;
        let mut standings = Vec::with_capacity(parties.len());
        for some in parties.chunks(AT_ONCE) {
            let books = self.db.books.lock();
            standings.extend(some.iter().map(|party| books.standing(self.id, *party)));
        }
        standings
    }
}
