//! Who waits, in order of arrival.
//!
//! Most transactions of a busy pool pass through here, so coming and going takes a few steps and no
//! memory: places that were left are used again, and each knows its neighbours.

use std::time::Instant;

/// A place in the queue: the number of who has it, which grows from one to the next, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    number: u64,
    slot: usize,
}

impl Ticket {
    /// Before all others.
    pub(super) const FIRST: Self = Self { number: 0, slot: 0 };
}

#[derive(Debug)]
pub(super) struct Waiting<W> {
    pub(super) since: Instant,
    pub(super) party: u64,
    pub(super) worker: usize,
    pub(super) waiter: W,
}

#[derive(Debug)]
struct Slot<W> {
    number: u64,
    before: Option<usize>,
    after: Option<usize>,
    /// `None` = free.
    waiting: Option<Waiting<W>>,
}

#[derive(Debug)]
pub(super) struct Waiters<W> {
    slots: Vec<Slot<W>>,
    free: Vec<usize>,
    oldest: Option<usize>,
    newest: Option<usize>,
    next: u64,
}

impl<W> Waiters<W> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            oldest: None,
            newest: None,
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Somebody comes.
    pub(super) fn push(&mut self, waiting: Waiting<W>) -> Ticket {
        let number = self.next;
        self.next += 1;
        let new = Slot {
            number,
            before: self.newest,
            after: None,
            waiting: Some(waiting),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot) {
                    *place = new;
                }
                slot
            }
            None => {
                self.slots.push(new);
                self.slots.len() - 1
            }
        };
        self.link(self.newest, Some(slot));
        self.newest = Some(slot);
        Ticket { number, slot }
    }

    /// Somebody goes; `None` if it has gone already.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting<W>> {
        let slot = self.slots.get_mut(ticket.slot)?;
        if slot.number != ticket.number {
            return None;
        }
        let waiting = slot.waiting.take()?;
        let (before, after) = (slot.before, slot.after);
        self.link(before, after);
        if after.is_none() {
            self.newest = before;
        }
        self.free.push(ticket.slot);
        self.give_room_back();
        Some(waiting)
    }

    /// Makes two neighbours.
    fn link(&mut self, before: Option<usize>, after: Option<usize>) {
        match before.and_then(|it| self.slots.get_mut(it)) {
            Some(slot) => slot.after = after,
            None => self.oldest = after,
        }
        if let Some(slot) = after.and_then(|it| self.slots.get_mut(it)) {
            slot.before = before;
        }
    }

    /// A crowd that has gone leaves no empty places behind.
    fn give_room_back(&mut self) {
        if self.free.len() == self.slots.len() && self.slots.capacity() > 64 {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Waiting<W>> {
        let slot = self.slots.get(ticket.slot)?;
        slot.waiting
            .as_ref()
            .filter(|_| slot.number == ticket.number)
    }

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.get(ticket).is_some()
    }

    /// The one who has waited longest.
    pub(super) fn oldest(&self) -> Option<&Waiting<W>> {
        self.slots.get(self.oldest?)?.waiting.as_ref()
    }

    /// All go, the oldest first.
    pub(super) fn drain(&mut self) -> Vec<W> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(slot) = self.oldest.and_then(|it| self.slots.get_mut(it)) {
            self.oldest = slot.after;
            all.extend(slot.waiting.take().map(|it| it.waiter));
        }
        (self.slots, self.free, self.newest) = (Vec::new(), Vec::new(), None);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(waiter: u32) -> Waiting<u32> {
        Waiting {
            since: Instant::now(),
            party: 0,
            worker: 0,
            waiter,
        }
    }

    fn all(waiters: &Waiters<u32>) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = waiters.oldest;
        while let Some(slot) = at.and_then(|it| waiters.slots.get(it)) {
            found.extend(slot.waiting.as_ref().map(|it| it.waiter));
            at = slot.after;
        }
        found
    }

    #[test]
    fn whoever_goes_the_others_stay_in_order() {
        let mut waiters = Waiters::new();
        let tickets: Vec<_> = (0..5).map(|it| waiters.push(waiting(it))).collect();
        for (gone, left) in [
            (2, vec![0, 1, 3, 4]),
            (0, vec![1, 3, 4]),
            (4, vec![1, 3]),
            (1, vec![3]),
            (3, vec![]),
        ] {
            assert!(waiters.has(tickets[gone]));
            let waiter = waiters.remove(tickets[gone]).map(|it| it.waiter as usize);
            assert_eq!(waiter, Some(gone));
            assert!(waiters.remove(tickets[gone]).is_none());
            assert_eq!(all(&waiters), left);
            assert_eq!(waiters.len(), left.len());
            assert_eq!(waiters.oldest().map(|it| it.waiter), left.first().copied());
        }
    }

    #[test]
    fn a_place_that_is_used_again_is_not_the_ticket_of_who_had_it() {
        let mut waiters = Waiters::new();
        let first = waiters.push(waiting(1));
        waiters.remove(first);
        let second = waiters.push(waiting(2));
        assert_eq!(first.slot, second.slot);
        assert!(first < second);
        assert!(!waiters.has(first) && waiters.get(first).is_none());
        assert!(waiters.remove(first).is_none());
        assert_eq!(waiters.remove(second).map(|it| it.waiter), Some(2));
    }

    #[test]
    fn a_crowd_leaves_no_room_behind() {
        let mut waiters = Waiters::new();
        let tickets: Vec<_> = (0..1000).map(|it| waiters.push(waiting(it))).collect();
        for ticket in tickets.iter().rev() {
            waiters.remove(*ticket);
        }
        assert_eq!((waiters.len(), waiters.slots.capacity()), (0, 0));
        let again: Vec<_> = (0..3).map(|it| waiters.push(waiting(it))).collect();
        assert!(tickets.iter().all(|it| !waiters.has(*it)));
        waiters.remove(again[1]);
        assert_eq!(waiters.drain(), [0, 2]);
        assert_eq!(waiters.len(), 0);
    }
}
