//! Texts that the operator's query does not know.
//!
//! Clients can make up as many as they like (J14): they are remembered for a while, and only so many
//! of them, so that each does not cost a query.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Instant,
};

/// The most that are remembered. One more, and the oldest is forgotten: it costs a query again.
const MOST: usize = 10_000;

/// Those who are remembered.
#[derive(Debug)]
pub struct Absent<K> {
    /// With the number of the entry of `order` that counts.
    known: HashMap<K, u64>,
    /// The oldest first.
    order: VecDeque<(u64, Instant, K)>,
    next: u64,
}

impl<K> Default for Absent<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
        }
    }
}

impl<K: Clone + Eq + Hash> Absent<K> {
    /// Whether it is remembered that there is none.
    pub fn contains(&self, id: &K) -> bool {
        self.known.contains_key(id)
    }

    /// There is no such one, as far as is known until then; who is forgotten in its place. All
    /// are remembered equally long, so that the oldest is the first to be forgotten.
    pub fn insert(&mut self, id: K, until: Instant) -> Option<K> {
        self.next += 1;
        self.known.insert(id.clone(), self.next);
        self.order.push_back((self.next, until, id));
        while self.order.len() > MOST {
            if let Some(oldest) = self.forget_oldest() {
                return Some(oldest);
            }
        }
        None
    }

    /// There is such a one after all.
    pub fn remove(&mut self, id: &K) {
        self.known.remove(id);
    }

    /// One whose time is over.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        while self
            .order
            .front()
            .is_some_and(|(_, until, _)| *until <= now)
        {
            let oldest = self.forget_oldest();
            if oldest.is_some() {
                return oldest;
            }
        }
        None
    }

    /// `None`: it had been removed, or it is remembered anew.
    fn forget_oldest(&mut self) -> Option<K> {
        let (number, _, id) = self.order.pop_front()?;
        if self.known.get(&id) != Some(&number) {
            return None;
        }
        self.known.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(name: impl ToString) -> String {
        name.to_string()
    }

    #[test]
    fn they_are_forgotten_in_time() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut absent = Absent::default();
        for (name, until) in [("a", 1), ("b", 2), ("a", 3), ("c", 3)] {
            assert_eq!(absent.insert(id(name), at(until)), None);
        }
        absent.remove(&id("c"));
        for (now, forgotten) in [
            (0, None),
            (1, None),
            (2, Some("b")),
            (2, None),
            (3, Some("a")),
        ] {
            assert_eq!(absent.pop(at(now)), forgotten.map(id), "{now}");
        }
        assert_eq!(absent.pop(at(9)), None);
        assert!(absent.known.is_empty() && absent.order.is_empty());
    }

    // J14
    #[test]
    fn only_so_many_are_remembered() {
        let until = Instant::now();
        let mut absent = Absent::default();
        for number in 0..MOST {
            assert_eq!(absent.insert(id(number), until), None);
        }
        assert_eq!(absent.insert(id(MOST), until), Some(id(0)));
        // Anew, and so one of the youngest now.
        assert_eq!(absent.insert(id(1), until), None);
        assert_eq!(absent.insert(id("more"), until), Some(id(2)));
        assert!(absent.contains(&id(1)) && absent.contains(&id(3)));
        assert!(absent.known.len() <= MOST && absent.order.len() <= MOST);
    }
}
