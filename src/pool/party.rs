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

use super::{
    guard::{REMEMBERED, Record},
    queue::Lines,
};
use crate::limit::{Share, tier::nanos};

/// A party that has asked within this time uses the pool: connections are kept free for it.
pub(super) const PRESENT: Duration = Duration::from_secs(10);

/// How much less than others somebody may have used who begins to wait at the same time as they
/// are still waiting: no more than this is made up for before it is its turn.
const LAG: Duration = Duration::from_secs(1);

/// So few parties are kept until the next sweep: most of them come again before.
const FEW: usize = 256;

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

/// What a party has of a pool at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Server connections.
    pub servers: usize,
    /// Requests that wait for one.
    pub waiting: usize,
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

/// What became of a party that has one connection less.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Released {
    /// It had waited aside, and does no longer.
    pub(super) was_parked: bool,
    /// It may stand elsewhere in the order.
    pub(super) moves: bool,
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
    /// What the guard knows of it.
    pub(super) record: Record,
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
            record: Record::default(),
            parked: false,
        }
    }

    /// Brings what it has used up to now, which is so many nanoseconds after it was counted.
    fn count(&mut self, passed: u64, now: Instant) {
        self.counted = self.counted.max(now);
        let spent = passed.saturating_mul(self.extra() as u64);
        self.used += spent.div_ceil(self.weight());
        self.record.spent += passed.saturating_mul(self.servers as u64);
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
        let competes = self.extra() > 0 || self.waiting > 0;
        Sums {
            extra: self.extra(),
            promised: self.promised(),
            demand: self.waiting.min(room),
            weight: if competes { self.weight() } else { 0 },
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

/// What parties share.
#[derive(Debug, Default)]
struct Common {
    sums: Sums,
    /// Virtual time: where a party starts that comes back from a rest.
    clock: u64,
    /// Until when it has gone on.
    clocked: Option<Instant>,
    /// The two that asked last.
    latest: [Option<(u64, Instant)>; 2],
}

impl Common {
    /// The clock goes on for those who rest as fast as for those who share: or else whoever comes
    /// ever anew would always come before those who wait.
    fn go_on(&mut self, passed: u64, since: Instant, now: Instant) {
        self.clocked = Some(since.max(now));
        let spent = passed.saturating_mul(self.sums.extra as u64);
        self.clock += spent.checked_div(self.sums.weight).unwrap_or_default();
    }

    /// Brings what a party has used up to now.
    fn count(&mut self, member: &mut Member, now: Instant) {
        let since = self.clocked.unwrap_or(now);
        if since == now && member.counted == now {
            return;
        }
        let passed = nanos(now.saturating_duration_since(since));
        // Of a single party, which is the rule, both are counted each time.
        let its = match member.counted == since {
            true => passed,
            false => nanos(now.saturating_duration_since(member.counted)),
        };
        self.go_on(passed, since, now);
        member.count(its, now);
    }

    /// Changes a party, and the sums with it, after what it has used so far was counted.
    fn change<T>(
        &mut self,
        member: &mut Member,
        now: Instant,
        change: impl FnOnce(&mut Member) -> T,
    ) -> T {
        self.count(member, now);
        self.sums.subtract(member.sums());
        let changed = change(member);
        self.sums.add(member.sums());
        changed
    }

    /// A party begins to wait, or to have more than it had, after it wanted or could have no more
    /// for a while. What it left to others then is not saved up. `lowest` is what the one has used
    /// whose turn is next.
    fn start(&mut self, member: &mut Member, lowest: Option<u64>, now: Instant) {
        self.count(member, now);
        let from = lowest.map_or(self.clock, |lowest| self.clock.min(lowest + nanos(LAG)));
        member.used = member.used.max(from);
    }

    /// A party asks, and is present.
    fn meet(&mut self, member: &mut Member, party: &Party, now: Instant) {
        member.seen = now;
        if member.share != party.share {
            self.change(member, now, |member| member.share = party.share);
        }
        let [first, second] = &mut self.latest;
        if first.is_some_and(|(number, _)| number != party.number) {
            *second = *first;
        }
        *first = Some((party.number, now));
    }

    /// A party has one connection more; so many of its requests have waited for it.
    fn grant(&mut self, member: &mut Member, waited: usize, now: Instant) {
        let was_promised = member.reserved() > 0;
        self.change(member, now, |member| {
            member.servers += 1;
            member.waiting = member.waiting.saturating_sub(waited);
        });
        // Others need not catch up with who had what it was promised.
        if !was_promised {
            self.clock = self.clock.max(member.used);
        }
    }

    /// Whether a party may have one more connection.
    fn leave(&self, number: u64, member: &Member, bounds: Bounds, now: Instant) -> Leave {
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
}

/// The parties of a pool.
#[derive(Debug, Default)]
pub(super) struct Parties {
    members: HashMap<u64, Member, BuildHasherDefault<Spread>>,
    common: Common,
    swept: Option<Instant>,
    /// Those that use the pool are remembered, for the guard.
    guarded: bool,
}

impl Parties {
    pub(super) fn new(guarded: bool) -> Self {
        Self {
            guarded,
            ..Self::default()
        }
    }

    pub(super) fn sums(&self) -> Sums {
        self.common.sums
    }

    pub(super) fn get(&self, number: u64) -> Option<&Member> {
        self.members.get(&number)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.members.keys().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.members
            .iter()
            .map(|(number, member)| (*number, member))
    }

    /// For what is not added up: lines, and whether it waits aside.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Member> {
        self.members.get_mut(&number)
    }

    /// A party asks: from now on it is known, and present.
    fn greet(&mut self, party: &Party, now: Instant) -> (&mut Member, &mut Common) {
        let member = self.members.entry(party.number).or_insert_with(|| {
            let member = Member::new(party.share, now);
            self.common.sums.add(member.sums());
            member
        });
        self.common.meet(member, party, now);
        (member, &mut self.common)
    }

    /// A party asks, and gets one more connection if it may have it.
    pub(super) fn takes(&mut self, party: &Party, bounds: Bounds, now: Instant) -> bool {
        let (member, common) = self.greet(party, now);
        let takes = common.leave(party.number, member, bounds, now) == Leave::Granted;
        if takes {
            common.start(member, None, now);
            common.grant(member, 0, now);
        }
        takes
    }

    /// A party has one connection more, whatever it may have.
    pub(super) fn gets(&mut self, party: &Party, lowest: Option<u64>, now: Instant) {
        let (member, common) = self.greet(party, now);
        common.start(member, lowest, now);
        common.grant(member, 0, now);
    }

    /// A party has one waiter more, in the line that `joins` puts it in.
    pub(super) fn waits<T>(
        &mut self,
        party: &Party,
        lowest: Option<u64>,
        now: Instant,
        joins: impl FnOnce(&mut Lines) -> T,
    ) -> T {
        let (member, common) = self.greet(party, now);
        if member.waiting == 0 {
            common.start(member, lowest, now);
        }
        common.change(member, now, |member| {
            member.waiting += 1;
            joins(&mut member.lines)
        })
    }

    /// A waiter of a party is served.
    pub(super) fn served(&mut self, number: u64, now: Instant) {
        if let Some(member) = self.members.get_mut(&number) {
            self.common.grant(member, 1, now);
        }
    }

    /// A party has one connection less. Whether it may stand elsewhere in the order now: it may
    /// have more again, or go before others.
    pub(super) fn released(&mut self, number: u64, lowest: Option<u64>, now: Instant) -> Released {
        let crowded = self.members.len() > FEW;
        let Some(member) = self.members.get_mut(&number) else {
            return Released::default();
        };
        self.common.change(member, now, |member| {
            member.servers = member.servers.saturating_sub(1);
            member.record.served += 1;
        });
        let was_parked = std::mem::take(&mut member.parked);
        if was_parked {
            self.common.start(member, lowest, now);
        }
        let released = Released {
            was_parked,
            moves: was_parked || member.reserved() > 0,
        };
        // Of many tenants most are seldom there: what nobody has to remember is not kept until the
        // sweep, or else each transaction would have to wait for memory.
        let owes = member.used > self.common.clock || member.is_active();
        if crowded && !owes && member.share.min_servers == 0 && !self.guarded {
            self.members.remove(&number);
        }
        released
    }

    /// A party that waited aside does no longer.
    pub(super) fn unparked(&mut self, number: u64, lowest: Option<u64>, now: Instant) {
        if let Some(member) = self.members.get_mut(&number) {
            member.parked = false;
            self.common.start(member, lowest, now);
        }
    }

    /// Changes a party, and the sums with it.
    pub(super) fn change<T>(
        &mut self,
        number: u64,
        now: Instant,
        change: impl FnOnce(&mut Member) -> T,
    ) -> Option<T> {
        let member = self.members.get_mut(&number)?;
        Some(self.common.change(member, now, change))
    }

    /// Brings what a party has used up to now.
    pub(super) fn count(&mut self, number: u64, now: Instant) {
        if let Some(member) = self.members.get_mut(&number) {
            self.common.count(member, now);
        }
    }

    /// Whether a party may have one more connection.
    pub(super) fn may_have(&self, number: u64, bounds: Bounds, now: Instant) -> Leave {
        match self.members.get(&number) {
            Some(member) => self.common.leave(number, member, bounds, now),
            None => Leave::Granted,
        }
    }

    /// Nobody waits any more.
    pub(super) fn nobody_waits(&mut self, now: Instant) {
        let numbers: Vec<u64> = self.numbers().collect();
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
        let quiet = self.common.sums.weight == 0;
        let (clock, sums) = (self.common.clock, &mut self.common.sums);
        let guarded = self.guarded && self.members.len() <= REMEMBERED;
        self.members.retain(|_, member| {
            let present = now.saturating_duration_since(member.seen) < PRESENT;
            let keep = member.is_active()
                || (member.used > clock && !quiet)
                || ((member.share.min_servers > 0 || guarded) && present);
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
