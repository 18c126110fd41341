//! Clients of several parties that use a pool for a while, in stepped time.
//!
//! Each client asks, works for as long as its query takes, pauses, and asks again. What must hold
//! at any moment (limits, and the order within a party) is asserted at every step.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
};

use super::*;
use crate::limit::Share;

/// How long queries, or pauses between them, take: between these, each as often.
pub(super) type Range = (Duration, Duration);

/// What a client is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habit {
    pub(super) query: Range,
    pub(super) pause: Range,
    /// It is in another, new tenant's name each time.
    pub(super) stranger: bool,
}

#[derive(Debug)]
struct Client {
    party: Party,
    habit: Habit,
    asked: Instant,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asks,
    Finishes { conn: u32, since: Instant },
}

/// What a party got.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Got {
    pub(super) server_time: Duration,
    pub(super) served: u64,
    pub(super) longest_wait: Duration,
    pub(super) servers: usize,
    pub(super) most_servers: usize,
}

pub(super) struct Crowd {
    pub(super) books: Database<u32, usize>,
    pub(super) id: PoolId,
    pub(super) now: Instant,
    pub(super) got: BTreeMap<u64, Got>,
    sizes: PoolSizes,
    clients: Vec<Client>,
    events: BinaryHeap<Reverse<(Instant, u64, usize, Event)>>,
    /// By party, who waits, first come first.
    lines: HashMap<u64, VecDeque<usize>>,
    next_tick: Instant,
    conns: u32,
    events_so_far: u64,
    strangers: u64,
    random: u64,
}

/// Parties that come only once.
const STRANGERS: u64 = 1_000_000;

pub(super) fn exactly(span: Duration) -> Range {
    (span, span)
}

/// As fast as it gets its answers.
pub(super) fn greedy(shortest: u64, longest: u64) -> Habit {
    Habit {
        query: (millis(shortest), millis(longest)),
        pause: exactly(Duration::ZERO),
        stranger: false,
    }
}

pub(super) fn party(number: u64, share: Share) -> Party {
    Party { number, share }
}

impl Crowd {
    pub(super) fn new(servers: usize, sizes: PoolSizes) -> Self {
        let sizes = PoolSizes {
            pool_size: servers,
            max_connecting: servers,
            max_waiting: usize::MAX,
            ..sizes
        };
        let (books, id, now) = {
            let mut books = Database::new("app", 1, None, None, None);
            let id = books.join("ann", || sizes.clone()).unwrap();
            (books, id, Instant::now())
        };
        Self {
            books,
            id,
            now,
            got: BTreeMap::new(),
            sizes,
            clients: Vec::new(),
            events: BinaryHeap::new(),
            lines: HashMap::new(),
            next_tick: now,
            conns: 0,
            events_so_far: 0,
            strangers: STRANGERS,
            random: 0x9E37_79B9_7F4A_7C15,
        }
    }

    /// So many clients of a party come, now.
    pub(super) fn come(&mut self, count: usize, party: Party, habit: Habit) {
        for _ in 0..count {
            let asked = self.now;
            let client = Client {
                party,
                habit,
                asked,
            };
            self.clients.push(client);
            self.at(self.now, self.clients.len() - 1, Event::Asks);
        }
    }

    /// A party has another share from its next request on.
    pub(super) fn share(&mut self, number: u64, share: Share) {
        for client in &mut self.clients {
            if client.party.number == number {
                client.party.share = share;
            }
        }
    }

    /// The clients of a party go when they have what they have asked for.
    pub(super) fn go(&mut self, number: u64) {
        for client in &mut self.clients {
            if client.party.number == number {
                client.habit.pause = exactly(Duration::from_secs(1_000_000));
            }
        }
    }

    /// All clients do so.
    pub(super) fn all_go(&mut self) {
        for client in &mut self.clients {
            client.habit.pause = exactly(Duration::from_secs(1_000_000));
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let next = self.events.peek().map(|Reverse((at, ..))| *at);
            let next = next.map_or(self.next_tick, |at| at.min(self.next_tick));
            if next > until {
                break;
            }
            self.now = next;
            if next == self.next_tick {
                self.next_tick += millis(100);
                let work = self.books.tick(None, self.now);
                self.perform(work);
            } else if let Some(Reverse((_, _, client, event))) = self.events.pop() {
                match event {
                    Event::Asks => self.ask(client),
                    Event::Finishes { conn, since } => self.finish(client, conn, since),
                }
            }
            let seen = self.books.snapshot(self.id);
            assert!(seen.idle + seen.busy + seen.opening <= self.sizes.pool_size);
        }
        self.now = until;
    }

    /// What each party got since the last time.
    pub(super) fn take_got(&mut self) -> BTreeMap<u64, Got> {
        let got = self.got.clone();
        for it in self.got.values_mut() {
            *it = Got {
                servers: it.servers,
                most_servers: it.servers,
                ..Got::default()
            };
        }
        got
    }

    pub(super) fn waiting(&self, number: u64) -> usize {
        self.lines.get(&number).map_or(0, VecDeque::len)
    }

    fn at(&mut self, at: Instant, client: usize, event: Event) {
        self.events_so_far += 1;
        let entry = (at, self.events_so_far, client, event);
        self.events.push(Reverse(entry));
    }

    fn ask(&mut self, client: usize) {
        if self.clients[client].habit.stranger {
            self.strangers += 1;
            self.clients[client].party.number = self.strangers;
        }
        self.clients[client].asked = self.now;
        let party = self.clients[client].party;
        match self.books.ask(self.id, &party, 0, self.now) {
            Asked::Granted(conn) => self.begin(client, conn),
            Asked::Wait => {
                self.lines
                    .entry(party.number)
                    .or_default()
                    .push_back(client);
                let ticket = self.books.wait(self.id, &party, 0, client, self.now);
                assert!(ticket.is_some());
                let work = self.books.serve(self.id, 0, self.now);
                self.perform(work);
            }
            Asked::Refused(error) => panic!("{error:?}"),
        }
    }

    fn perform(&mut self, work: Vec<Work<u32, usize>>) {
        for item in work {
            match item {
                Work::Open(id) => {
                    self.conns += 1;
                    let given = self.books.opened(id, self.conns, 0, None, self.now);
                    self.given(given);
                    let work = self.books.work(self.now);
                    self.perform(work);
                }
                Work::Give(_, turn) => self.given(Given::To(turn)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn given(&mut self, given: Given<u32, usize>) {
        match given {
            Given::To(turn) => {
                let party = self.clients[turn.waiter].party;
                assert_eq!(turn.party, party.number);
                let line = self.lines.get_mut(&party.number).unwrap();
                assert_eq!(line.pop_front(), Some(turn.waiter), "within a party");
                self.begin(turn.waiter, turn.conn);
            }
            Given::Kept => {}
            Given::Close(conn) => panic!("{conn} is closed"),
        }
    }

    fn begin(&mut self, client: usize, conn: u32) {
        let Client {
            party,
            habit,
            asked,
        } = self.clients[client];
        let number = if habit.stranger {
            STRANGERS
        } else {
            party.number
        };
        let got = self.got.entry(number).or_default();
        got.served += 1;
        got.longest_wait = got.longest_wait.max(self.now - asked);
        got.servers += 1;
        got.most_servers = got.most_servers.max(got.servers);
        let length = self.random_within(habit.query);
        let since = self.now;
        self.at(since + length, client, Event::Finishes { conn, since });
    }

    fn finish(&mut self, client: usize, conn: u32, since: Instant) {
        let Client { party, habit, .. } = self.clients[client];
        let number = if habit.stranger {
            STRANGERS
        } else {
            party.number
        };
        let got = self.got.entry(number).or_default();
        got.server_time += self.now - since;
        got.servers -= 1;
        // It asks anew before somebody else has the server: it is hasty.
        let pause = self.random_within(habit.pause);
        self.at(self.now + pause, client, Event::Asks);
        let (id, now) = (self.id, self.now);
        let given = self.books.give_back(id, party.number, conn, 0, None, now);
        self.given(given);
        let work = self.books.work(now);
        self.perform(work);
    }

    fn random_within(&mut self, (least, most): Range) -> Duration {
        // Xorshift.
        for shift in [13_i32, -7, 17] {
            self.random ^= match shift {
                left @ 0.. => self.random << left,
                right => self.random >> -right,
            };
        }
        let micros = u64::try_from((most - least).as_micros()).unwrap();
        least + Duration::from_micros(self.random % (micros + 1))
    }
}
