//! Over how many workers the clients are spread: over as few as carry the load.
//!
//! A worker that is busy sleeps seldom and finds many sockets ready when it wakes; two that share
//! the same load sleep twice as often, wake each other, and hand server connections over. So a
//! second worker comes into use when the first has no time left, and not before. A client then
//! moves to another worker between two of its transactions; one that does nothing stays where it
//! is and costs nothing there.
//!
//! This decides, from what each worker did since the last look. Who looks, and who moves, is
//! `worker`'s affair.

/// A worker that is busy for more of its time, in thousandths, has no room for a burst.
const BUSY: usize = 700;

/// Looks that must agree before another worker comes into use: a burst of logins is no load.
const PRESSED: u32 = 2;

/// Where fewer workers would be less busy than this, one is taken out of use.
const CALM: usize = 350;

/// Looks that must agree on that.
const RESTED: u32 = 30;

/// A worker that is less busy has no reason to give clients away.
const WORTH: usize = 400;

/// Nor has one whose load differs by less from another's: moving costs something, too.
const UNEVEN: usize = 200;

/// What a worker did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    /// How much of the time it was busy, in thousandths.
    pub(super) busy: usize,
    /// Clients that ended a transaction there.
    pub(super) active: usize,
}

/// Clients that are to move, by the number of their worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departure {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) clients: usize,
}

/// Which workers are in use: the first so many.
#[derive(Debug)]
pub(super) struct Spread {
    open: usize,
    pressed: u32,
    rested: u32,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self {
            open: 1,
            pressed: 0,
            rested: 0,
        }
    }

    /// How many are in use.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Looks at all workers; says who is to move.
    pub(super) fn look(&mut self, loads: &[Load]) -> Vec<Departure> {
        self.open_or_close(loads);
        let (open, closed) = loads.split_at(self.open.min(loads.len()));
        let Some((idlest, least)) = by_load(open).min_by_key(|(_, load)| load.busy) else {
            return Vec::new();
        };
        let mut departures: Vec<_> = (open.len()..)
            .zip(closed)
            .filter(|(_, load)| load.active > 0)
            .map(|(from, load)| Departure {
                from,
                to: idlest,
                clients: load.active,
            })
            .collect();
        if let Some((busiest, most)) = by_load(open).max_by_key(|(_, load)| load.busy) {
            let clients = excess(most, least);
            if clients > 0 {
                departures.push(Departure {
                    from: busiest,
                    to: idlest,
                    clients,
                });
            }
        }
        departures
    }

    fn open_or_close(&mut self, loads: &[Load]) {
        let open = loads.get(..self.open).unwrap_or(loads);
        let is_pressed = open.iter().any(|load| load.busy >= BUSY);
        let all: usize = loads.iter().map(|load| load.busy).sum();
        let is_calm = self.open > 1 && all < CALM * (self.open - 1);
        self.pressed = if is_pressed { self.pressed + 1 } else { 0 };
        self.rested = if is_calm { self.rested + 1 } else { 0 };
        // As long as one in use has room, its clients are to be moved there.
        let is_full = open.iter().all(|load| load.busy >= WORTH);
        if self.pressed >= PRESSED && is_full && self.open < loads.len() {
            self.open += 1;
            self.pressed = 0;
        } else if self.rested >= RESTED {
            self.open -= 1;
            self.rested = 0;
        }
    }
}

fn by_load(loads: &[Load]) -> impl Iterator<Item = (usize, Load)> {
    loads.iter().copied().enumerate()
}

/// How many of a worker's clients must go to another for both to be as busy.
fn excess(most: Load, least: Load) -> usize {
    let difference = most.busy - least.busy;
    if most.busy < WORTH || difference < UNEVEN {
        return 0;
    }
    // Each is taken to be as much work as any other. Half a client is none: one that is all the
    // load would otherwise go to and fro.
    most.active * difference / (2 * most.busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(busy: usize, active: usize) -> Load {
        Load { busy, active }
    }

    fn departure(from: usize, to: usize, clients: usize) -> Departure {
        Departure { from, to, clients }
    }

    #[test]
    fn one_worker_serves_as_long_as_it_has_time() {
        let mut spread = Spread::new();
        for _ in 0..100 {
            assert_eq!(spread.look(&[load(690, 200), load(0, 0)]), []);
        }
        assert_eq!(spread.open(), 1);
    }

    #[test]
    fn a_second_one_takes_half_of_those_who_are_active_when_the_first_has_none_left() {
        let mut spread = Spread::new();
        assert_eq!(spread.look(&[load(900, 32), load(0, 0)]), []);
        assert_eq!(
            spread.look(&[load(900, 32), load(0, 0)]),
            [departure(0, 1, 16)]
        );
        assert_eq!(spread.open(), 2);
        assert_eq!(spread.look(&[load(500, 16), load(450, 16)]), []);
    }

    #[test]
    fn a_short_burst_opens_nothing() {
        let mut spread = Spread::new();
        for _ in 0..50 {
            assert_eq!(spread.look(&[load(950, 9), load(0, 0)]), []);
            assert_eq!(spread.look(&[load(300, 9), load(0, 0)]), []);
        }
        assert_eq!(spread.open(), 1);
    }

    #[test]
    fn who_works_beside_one_endless_stream_moves_away_from_it() {
        let mut spread = Spread::new();
        spread.look(&[load(1000, 8), load(0, 0)]);
        let mut left = 8;
        while left > 2 {
            let busy = load(50 * (8 - left), 8 - left);
            let departures = spread.look(&[load(1000, left), busy]);
            let [it] = departures[..] else {
                panic!("{departures:?} with {left} left")
            };
            assert_eq!((it.from, it.to), (0, 1));
            left -= it.clients;
        }
    }

    #[test]
    fn the_last_one_is_given_up_after_a_while_of_calm_and_its_clients_come_back() {
        let mut spread = Spread::new();
        spread.look(&[load(900, 4), load(0, 0)]);
        spread.look(&[load(900, 4), load(0, 0)]);
        assert_eq!(spread.open(), 2);
        for _ in 1..RESTED {
            assert_eq!(spread.look(&[load(100, 2), load(100, 2)]), []);
        }
        assert_eq!(
            spread.look(&[load(100, 2), load(100, 2)]),
            [departure(1, 0, 2)]
        );
        assert_eq!(spread.open(), 1);
        // Who was idle then comes when it is not any more.
        assert_eq!(
            spread.look(&[load(100, 2), load(0, 1)]),
            [departure(1, 0, 1)]
        );
    }

    #[test]
    fn what_is_as_busy_as_before_neither_opens_nor_closes_for_ever() {
        let mut spread = Spread::new();
        let mut changes = 0;
        let mut busy = [750, 0];
        for _ in 0..1000 {
            let before = spread.open();
            spread.look(&[load(busy[0], 10), load(busy[1], 10)]);
            changes += usize::from(spread.open() != before);
            if spread.open() == 2 {
                busy = [420, 420];
            }
        }
        assert_eq!((changes, spread.open()), (1, 2));
    }

    #[test]
    fn another_is_opened_only_when_all_that_are_open_are_busy() {
        let mut spread = Spread::new();
        for _ in 0..10 {
            spread.look(&[load(900, 4), load(100, 0), load(0, 0)]);
        }
        assert_eq!(spread.open(), 2);
        spread.look(&[load(900, 4), load(800, 4), load(0, 0)]);
        spread.look(&[load(900, 4), load(800, 4), load(0, 0)]);
        assert_eq!(spread.open(), 3);
    }
}
