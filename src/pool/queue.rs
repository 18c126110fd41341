//! The queue of a pool: who is next.
//!
//! Within a party: first come, first served. Between parties: whoever has used less server time
//! for its weight (start-time fair queueing). A party that comes back from a rest starts where the
//! others are, and not where it left: rest is not saved up. So a party with a thousand waiters
//! delays one with a single waiter by one turn. A party below its guaranteed minimum goes first,
//! and connections are kept free for it; one that may have no more waits aside.
//!
//! With several workers there is one exception, and it is bounded. A server connection that stays
//! on its thread costs less than one that moves, so a waiter on the same thread goes first if it
//! came within [`SLACK`] of the first of its party, and its party is within [`SLACK`] of server time
//! of the one whose turn it is.
//!
//! Every step takes a time that grows with the logarithm of the number of parties and waiters.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use super::{
    PoolSizes,
    guard::Guard,
    party::{Bounds, Leave, Member, Parties, Party, Standing},
    waiters::{Ticket, Waiters, Waiting},
};
use crate::limit::tier::nanos;

/// How much later a waiter on the right thread may have come. Below this, the order in which
/// two threads reached the lock says little about who asked first.
pub(super) const SLACK: Duration = Duration::from_millis(1);

/// Where a party stands in a worker's order of turns: those below their minimum first, then by what
/// they have used, then by who came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    has_minimum: bool,
    used: u64,
    first: Ticket,
    party: u64,
}

/// The parties with waiters on one worker, each where it was put. Mostly that is one, which needs no
/// tree.
#[derive(Debug, Default)]
struct Turns {
    /// If there is one.
    only: Option<Place>,
    /// If there are several.
    several: BTreeSet<Place>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.only.is_none() && self.several.is_empty()
    }

    fn first(&self) -> Option<Place> {
        self.only.or_else(|| self.several.first().copied())
    }

    /// The first that is not before `least`.
    fn first_from(&self, least: Place) -> Option<Place> {
        let only = self.only.filter(|place| *place >= least);
        only.or_else(|| self.several.range(least..).next().copied())
    }

    fn insert(&mut self, place: Place) {
        if self.is_empty() {
            self.only = Some(place);
        } else {
            self.several.extend(self.only.take());
            self.several.insert(place);
        }
    }

    fn remove(&mut self, place: &Place) {
        if self.only.as_ref() == Some(place) {
            self.only = None;
        } else if self.several.remove(place) && self.several.len() == 1 {
            self.only = self.several.pop_first();
        }
    }

    fn clear(&mut self) {
        self.only = None;
        self.several.clear();
    }
}

/// The waiters of a party on one worker, in order of arrival. Some may have left.
#[derive(Debug, Default)]
struct Line {
    tickets: VecDeque<Ticket>,
    place: Option<Place>,
}

/// The waiters of a party, by worker.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// The one that came first.
    fn first(&self) -> Option<Ticket> {
        let places = self.0.iter().filter_map(|line| line.place);
        places.map(|place| place.first).min()
    }

    fn line(&mut self, worker: usize) -> &mut Line {
        if self.0.len() <= worker {
            self.0.resize_with(worker + 1, Line::default);
        }
        #[expect(clippy::indexing_slicing, reason = "it was just made as long as that")]
        &mut self.0[worker]
    }
}

/// The waiters of a pool, and its parties.
#[derive(Debug)]
pub(super) struct Queue<W> {
    fair: bool,
    guard: Option<Guard>,
    parties: Parties,
    waiting: Waiters<W>,
    /// By worker. What a party has used only grows, so it is put where it belongs when its turn seems
    /// to have come.
    turns: Vec<Turns>,
    /// Parties that wait aside.
    parked: Vec<u64>,
}

impl<W> Queue<W> {
    pub(super) fn new(workers: usize, sizes: &PoolSizes) -> Self {
        Self {
            fair: sizes.fair,
            guard: sizes.adaptive.then(Guard::default),
            parties: Parties::new(sizes.adaptive),
            waiting: Waiters::new(),
            turns: (0..workers.max(1)).map(|_| Turns::default()).collect(),
            parked: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Waiters that could be served if there were connections.
    pub(super) fn demand(&self) -> usize {
        self.parties.sums().demand
    }

    /// What a party has, and waits for.
    pub(super) fn standing_of(&self, party: u64) -> Standing {
        self.parties
            .get(party)
            .map_or_else(Standing::default, |member| Standing {
                servers: member.servers,
                waiting: member.waiting,
            })
    }

    /// Requests of a party that wait.
    pub(super) fn waiting_of(&self, party: u64) -> usize {
        self.standing_of(party).waiting
    }

    /// Since when the one has waited who has waited longest.
    pub(super) fn oldest_since(&self) -> Option<Instant> {
        self.waiting.oldest().map(|it| it.since)
    }

    /// A party asks, and takes a connection at once if nobody waits who could take it and it may
    /// have one more.
    pub(super) fn takes_at_once(&mut self, party: &Party, bounds: Bounds, now: Instant) -> bool {
        if !self.turns.iter().all(Turns::is_empty) {
            return false;
        }
        // It may have more again, perhaps, but those of it that wait aside come first.
        let aside = |member: &Member| member.parked;
        if !self.parked.is_empty() && self.parties.get(party.number).is_some_and(aside) {
            self.parked.retain(|it| *it != party.number);
            self.unpark(party.number, now);
            return false;
        }
        self.parties.takes(party, bounds, now)
    }

    /// A party does not wait aside any longer.
    fn unpark(&mut self, number: u64, now: Instant) {
        self.parties.unparked(number, self.lowest(), now);
        self.put_everywhere(number);
    }

    /// A party has given a connection back, or lost it.
    pub(super) fn released(&mut self, number: u64, now: Instant) {
        // Only who has waited aside asks for it.
        let lowest = (!self.parked.is_empty()).then(|| self.lowest()).flatten();
        let released = self.parties.released(number, lowest, now);
        if released.was_parked {
            self.parked.retain(|it| *it != number);
        }
        if released.moves {
            self.put_everywhere(number);
        }
    }

    /// A connection that was taken in the name of one party is another's.
    pub(super) fn transfer(&mut self, from: u64, to: &Party, now: Instant) {
        self.parties.gets(to, self.lowest(), now);
        self.released(from, now);
    }

    /// Queues up.
    pub(super) fn push(&mut self, party: &Party, worker: usize, waiter: W, now: Instant) -> Ticket {
        let worker = worker % self.turns.len();
        let ticket = self.waiting.push(Waiting {
            since: now,
            party: party.number,
            worker,
            waiter,
        });
        let lowest = self.lowest();
        let has_place = self.parties.waits(party, lowest, now, |lines| {
            let line = lines.line(worker);
            line.tickets.push_back(ticket);
            line.place.is_some()
        });
        // Who comes behind others changes nothing about when it is their turn.
        if !has_place {
            self.put(party.number, worker);
        }
        ticket
    }

    /// Takes a waiter out who no longer wants to wait; `None` if it has been served.
    pub(super) fn remove(&mut self, ticket: Ticket, now: Instant) -> Option<W> {
        let left = self.waiting.remove(ticket)?;
        let present = |ticket: &Ticket| self.waiting.has(*ticket);
        self.parties.change(left.party, now, |member| {
            member.waiting -= 1;
            let tickets = &mut member.lines.line(left.worker).tickets;
            while tickets.back().is_some_and(|ticket| !present(ticket)) {
                tickets.pop_back();
            }
            if tickets.len() > 2 * member.waiting + 16 {
                tickets.retain(present);
            }
        });
        self.put(left.party, left.worker);
        Some(left.waiter)
    }

    /// Puts a party where it belongs in a worker's order of turns: nowhere, if it has no waiter
    /// there or waits aside.
    fn put(&mut self, party: u64, worker: usize) -> Option<Place> {
        let member = self.parties.get_mut(party)?;
        let (has_minimum, parked) = (member.reserved() == 0, member.parked);
        // Without fairness the order is that of arrival alone.
        let used = if self.fair { member.used } else { 0 };
        let line = member.lines.line(worker);
        while let Some(first) = line.tickets.front()
            && !self.waiting.has(*first)
        {
            line.tickets.pop_front();
        }
        let first = line.tickets.front().filter(|_| !parked);
        let place = first.map(|first| Place {
            has_minimum,
            used,
            first: *first,
            party,
        });
        if line.place == place {
            return place;
        }
        let before = std::mem::replace(&mut line.place, place);
        if let Some(turns) = self.turns.get_mut(worker) {
            if let Some(before) = before {
                turns.remove(&before);
            }
            if let Some(place) = place {
                turns.insert(place);
            }
        }
        place
    }

    fn put_everywhere(&mut self, party: u64) {
        for worker in 0..self.turns.len() {
            self.put(party, worker);
        }
    }

    /// The next one to be served with a connection that is on `worker`, and its party, which has
    /// the connection from now on.
    pub(super) fn pop(&mut self, worker: usize, bounds: Bounds, now: Instant) -> Option<(W, u64)> {
        loop {
            let first = self.first(now)?;
            match self.parties.may_have(first.party, bounds, now) {
                Leave::Granted => {
                    let near = self.near(worker, first, now);
                    let near = near.filter(|near| {
                        self.parties.may_have(near.party, bounds, now) == Leave::Granted
                    });
                    return self.serve(near.unwrap_or(first), now);
                }
                // All that are behind it must leave as many free as it must.
                Leave::Later => return None,
                Leave::Aside => self.park(first.party),
            }
        }
    }

    /// Whose turn it is.
    fn first(&mut self, now: Instant) -> Option<Place> {
        // If only one party waits, on one worker, it need not be compared with any other.
        let mut waited_for = self.turns.iter().filter(|turns| !turns.is_empty());
        if let Some(Turns { only, .. }) = waited_for.next()
            && only.is_some()
            && waited_for.next().is_none()
        {
            return *only;
        }
        loop {
            let firsts = self.turns.iter().enumerate();
            let firsts = firsts.filter_map(|(worker, turns)| Some((turns.first()?, worker)));
            let (place, worker) = firsts.min()?;
            if self.is_in_place(place, worker, now) {
                return Some(place);
            }
        }
    }

    /// What the party has used that has used least of those that wait their turn.
    fn lowest(&self) -> Option<u64> {
        let least = Place {
            has_minimum: true,
            used: 0,
            first: Ticket::FIRST,
            party: 0,
        };
        let firsts = self.turns.iter();
        let firsts = firsts.filter_map(|turns| turns.first_from(least));
        firsts.map(|place| place.used).min()
    }

    /// Whether a party is still where it was put; if not, it is put where it belongs.
    fn is_in_place(&mut self, place: Place, worker: usize, now: Instant) -> bool {
        self.parties.count(place.party, now);
        self.put(place.party, worker) == Some(place)
    }

    /// A party with a waiter on `worker` that may go before `first`.
    fn near(&mut self, worker: usize, first: Place, now: Instant) -> Option<Place> {
        let own = self.turns.get(worker)?.first()?;
        if own == first {
            return None;
        }
        if !self.is_in_place(own, worker, now) || own.has_minimum != first.has_minimum {
            return None;
        }
        let since = |ticket| self.waiting.get(ticket).map(|it| it.since);
        let before = if self.fair {
            self.parties.get(own.party)?.lines.first()?
        } else {
            first.first
        };
        let close = since(own.first)? <= since(before)? + SLACK
            && (!self.fair || own.used <= first.used + nanos(SLACK));
        close.then_some(own)
    }

    fn serve(&mut self, place: Place, now: Instant) -> Option<(W, u64)> {
        let served = self.waiting.remove(place.first)?;
        self.parties.served(place.party, now);
        self.put(place.party, served.worker);
        Some((served.waiter, place.party))
    }

    /// Takes all waiters out, oldest first.
    pub(super) fn drain(&mut self, now: Instant) -> Vec<W> {
        self.turns.iter_mut().for_each(Turns::clear);
        self.parked.clear();
        self.parties.nobody_waits(now);
        self.waiting.drain()
    }

    /// A party may have no more: it waits aside until it gives something back.
    fn park(&mut self, number: u64) {
        if let Some(member) = self.parties.get_mut(number) {
            member.parked = true;
            self.parked.push(number);
            self.put_everywhere(number);
        }
    }

    /// What time brings: parties that waited aside may have more, because others have left or their
    /// tier has changed, and parties are forgotten that have nothing and owe nothing.
    pub(super) fn tick(&mut self, now: Instant) {
        for number in std::mem::take(&mut self.parked) {
            self.unpark(number, now);
        }
        if let Some(guard) = &mut self.guard {
            for number in guard.look(&mut self.parties, now) {
                self.put_everywhere(number);
            }
        }
        self.parties.sweep(now);
    }

    /// Parties that are known.
    #[cfg(test)]
    pub(super) fn parties(&self) -> usize {
        self.parties.len()
    }
}
