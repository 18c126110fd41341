//! The parties of a pool: tenants, and users without one, as far as their turns are concerned.
//!
//! What a party has used is told in virtual time: the server time of its connections divided by
//! its weight. It runs on while the party holds connections, so that nobody has to guess what a
//! transaction will cost. Connections that it was promised are not counted: it would have them
//! anyway, and takes its turns with the others for what it has beyond them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    time::{Duration, Instant},
};

use super::queue::Lines;
use crate::limit::Share;

/// A party that has asked within this time uses the pool: connections are kept free for it.
pub(super) const PRESENT: Duration = Duration::from_secs(10);

/// How much less than others somebody may have used who begins to wait at the same time as they
/// are still waiting: no more than this is made up for before it is its turn.
const LAG: Duration = Duration::from_secs(1);

/// How often parties are forgotten that have nothing and owe nothing.
const SWEEP: Duration = Duration::from_secs(1);

/// Who asks, and how much of the pool it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Party {
    /// A number that no other party has.
    pub number: u64,
    /// Its part of the pool.
    pub share: Share,
}

/// The limits of the moment that are the pool's, and not a party's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Connections that the pool may have.
    pub(super) ceiling: usize,
    /// Of these, so many are not for a party that has all the others.
    pub(super) spare: usize,
}

/// Whether a party may have one more connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may.
    Granted,
    /// When somebody gives one back: what is free is kept for others.
    Later,
    /// When it gives one back itself.
    Aside,
}

/// What a pool knows of a party.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) share: Share,
    /// Server connections that it has.
    pub(super) servers: usize,
    /// Its requests that wait.
    pub(super) waiting: usize,
    pub(super) lines: Lines,
    /// Its server time so far, by its weight, in nanoseconds.
    pub(super) used: u64,
    /// Until when that is counted.
    counted: Instant,
    /// When it last asked.
    seen: Instant,
    /// The most connections that the guard lets it have.
    pub(super) cap: usize,
    /// It cannot have any more now, and stands in no order of turns.
    pub(super) parked: bool,
}

impl Member {
    fn new(share: Share, now: Instant) -> Self {
        Self {
            share,
            servers: 0,
            waiting: 0,
            lines: Lines::default(),
            used: 0,
            counted: now,
            seen: now,
            cap: usize::MAX,
            parked: false,
        }
    }

    /// Brings what it has used up to now.
    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted);
        self.counted = self.counted.max(now);
        if self.extra() == 0 {
            return;
        }
        let spent = nanos(passed).saturating_mul(self.extra() as u64);
        self.used += spent.div_ceil(self.weight());
    }

    fn weight(&self) -> u64 {
        u64::from(self.share.weight.max(1))
    }

    /// Whether it has, or waits for, anything.
    fn is_active(&self) -> bool {
        self.servers > 0 || self.waiting > 0
    }

    /// The most connections that it may have by itself.
    fn most(&self) -> usize {
        self.share.max_servers.min(self.cap)
    }

    /// Connections that it has, or that are kept free for it.
    fn promised(&self) -> usize {
        self.share.min_servers.min(self.share.max_servers)
    }

    /// Connections that are kept free for it.
    pub(super) fn reserved(&self) -> usize {
        self.promised().saturating_sub(self.servers)
    }

    /// Connections that it has beyond what it was promised.
    fn extra(&self) -> usize {
        self.servers.saturating_sub(self.promised())
    }

    /// What it adds to the sums.
    fn sums(&self) -> Sums {
        let room = self.most().saturating_sub(self.servers);
        Sums {
            extra: self.extra(),
            promised: self.promised(),
            demand: self.waiting.min(room),
            weight: if self.extra() > 0 || self.waiting > 0 {
                self.weight()
            } else {
                0
            },
        }
    }
}

/// What is added up over all parties.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Connections that they have beyond what they were promised.
    extra: usize,
    /// Connections that they were promised.
    promised: usize,
    /// Waiters that could be served if there were connections.
    pub(super) demand: usize,
    /// The weights of those that have more than they were promised, or want anything.
    weight: u64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.extra += other.extra;
        self.promised += other.promised;
        self.demand += other.demand;
        self.weight += other.weight;
    }

    fn subtract(&mut self, other: Self) {
        self.extra -= other.extra;
        self.promised -= other.promised;
        self.demand -= other.demand;
        self.weight -= other.weight;
    }
}

/// The parties of a pool.
#[derive(Debug, Default)]
pub(super) struct Parties {
    members: HashMap<u64, Member, BuildHasherDefault<Spread>>,
    sums: Sums,
    /// Virtual time: where a party starts that comes back from a rest.
    clock: u64,
    /// Until when it has gone on.
    clocked: Option<Instant>,
    /// The two that asked last.
    latest: [Option<(u64, Instant)>; 2],
    swept: Option<Instant>,
}

impl Parties {
    pub(super) fn sums(&self) -> Sums {
        self.sums
    }

    pub(super) fn get(&self, number: u64) -> Option<&Member> {
        self.members.get(&number)
    }

    /// For what is not added up: lines, and whether it waits aside.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Member> {
        self.members.get_mut(&number)
    }

    /// A party asks: from now on it is known, and present.
    pub(super) fn greet(&mut self, party: &Party, now: Instant) {
        let member = self.members.entry(party.number);
        let member = member.or_insert_with(|| {
            let member = Member::new(party.share, now);
            self.sums.add(member.sums());
            member
        });
        member.seen = now;
        if member.share != party.share {
            self.change(party.number, now, |member| member.share = party.share);
        }
        let [first, second] = &mut self.latest;
        if first.is_some_and(|(number, _)| number != party.number) {
            *second = *first;
        }
        *first = Some((party.number, now));
    }

    /// Changes a party, and the sums with it, after what it has used so far was counted.
    pub(super) fn change<T>(
        &mut self,
        number: u64,
        now: Instant,
        change: impl FnOnce(&mut Member) -> T,
    ) -> Option<T> {
        self.go_on(now);
        let member = self.members.get_mut(&number)?;
        member.count(now);
        self.sums.subtract(member.sums());
        let changed = change(member);
        self.sums.add(member.sums());
        Some(changed)
    }

    /// The clock goes on for those who rest as fast as for those who share: or else whoever comes
    /// ever anew would always come before those who wait.
    fn go_on(&mut self, now: Instant) {
        let since = self.clocked.unwrap_or(now);
        self.clocked = Some(since.max(now));
        if self.sums.extra == 0 {
            return;
        }
        let passed = nanos(now.saturating_duration_since(since));
        let spent = passed.saturating_mul(self.sums.extra as u64);
        self.clock += spent.checked_div(self.sums.weight).unwrap_or_default();
    }

    /// A party begins to wait, or to have more than it had, after it wanted or could have no more
    /// for a while. What it left to others then is not saved up. `lowest` is what the one has used
    /// whose turn is next.
    pub(super) fn start(&mut self, number: u64, lowest: Option<u64>, now: Instant) {
        self.go_on(now);
        let from = lowest.map_or(self.clock, |lowest| self.clock.min(lowest + nanos(LAG)));
        if let Some(member) = self.members.get_mut(&number) {
            member.count(now);
            member.used = member.used.max(from);
        }
    }

    /// Brings what a party has used up to now.
    pub(super) fn count(&mut self, number: u64, now: Instant) {
        if let Some(member) = self.members.get_mut(&number) {
            member.count(now);
        }
    }

    /// A party has one connection more; so many of its requests have waited for it.
    pub(super) fn granted(&mut self, number: u64, waited: usize, now: Instant) {
        let used = self.change(number, now, |member| {
            let was_promised = member.reserved() > 0;
            member.servers += 1;
            member.waiting = member.waiting.saturating_sub(waited);
            // Others need not catch up with who had what it was promised.
            if was_promised { 0 } else { member.used }
        });
        self.clock = self.clock.max(used.unwrap_or_default());
    }

    /// A party has one connection less.
    pub(super) fn released(&mut self, number: u64, now: Instant) {
        self.change(number, now, |member| {
            member.servers = member.servers.saturating_sub(1);
        });
    }

    /// Whether a party may have one more connection.
    pub(super) fn may_have(&self, number: u64, bounds: Bounds, now: Instant) -> Leave {
        let Some(member) = self.members.get(&number) else {
            return Leave::Granted;
        };
        if member.servers >= member.most() {
            return Leave::Aside;
        }
        if member.reserved() > 0 {
            return Leave::Granted;
        }
        // Whatever was promised, one is left for those who were promised nothing.
        let for_all = bounds.ceiling.saturating_sub(self.sums.promised).max(1);
        if self.sums.extra >= for_all {
            return Leave::Later;
        }
        let for_one = bounds.ceiling.saturating_sub(bounds.spare).max(1);
        if member.servers >= for_one && self.has_others(number, now) {
            return Leave::Aside;
        }
        Leave::Granted
    }

    /// Whether parties beside this one use the pool.
    fn has_others(&self, number: u64, now: Instant) -> bool {
        let mut latest = self.latest.iter().flatten();
        let other = latest.find(|(it, _)| *it != number);
        other.is_some_and(|(_, seen)| now.saturating_duration_since(*seen) < PRESENT)
    }

    /// Nobody waits any more.
    pub(super) fn nobody_waits(&mut self, now: Instant) {
        let numbers: Vec<u64> = self.members.keys().copied().collect();
        for number in numbers {
            self.change(number, now, |member| {
                (member.waiting, member.parked) = (0, false);
                member.lines = Lines::default();
            });
        }
    }

    /// Forgets, now and then, the parties that have nothing and owe nothing.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|at| now < at + SWEEP) {
            return;
        }
        self.swept = Some(now);
        // Where nobody has or wants anything there is nothing to be fair about.
        let quiet = self.sums.weight == 0;
        let (clock, sums) = (self.clock, &mut self.sums);
        self.members.retain(|_, member| {
            let present = now.saturating_duration_since(member.seen) < PRESENT;
            let keep = member.is_active()
                || (member.used > clock && !quiet)
                || (member.share.min_servers > 0 && present);
            if !keep {
                sums.subtract(member.sums());
            }
            keep
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Hashes the numbers of parties, which are ours and nobody else's choice.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }
}
