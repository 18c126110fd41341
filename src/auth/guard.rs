//! What becomes of those who guess passwords, or come too often: who is kept waiting for how long,
//! and whose address is not listened to for a while.
//!
//! Failures are counted by address, and by address and user, never by user alone: otherwise
//! anybody could lock out anybody whose name is known. Of IPv6 the first 64 bits are an address,
//! because whoever has one of them has all. Whether the user exists makes no difference (A4).
//!
//! Time is an argument, and memory is bounded: whoever has more addresses than are remembered is
//! not stopped by remembering addresses.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "times that the configuration bounds are added to the clock"
)]

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use crate::{
    limit::{Bucket, Rate},
    wire::ip::{Network, neighbourhood},
};

/// Addresses, and pairs of address and user, that are remembered: this many in use, and as many that were.
pub const MOST: usize = 50_000;

/// What an address may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long the first failure's answer is held back; it doubles with each that follows.
    pub delay: Duration,
    /// And at most.
    pub max_delay: Duration,
    /// How long a failure counts.
    pub window: Duration,
    /// After so many an address is blocked; `None` = never.
    pub block_after: Option<usize>,
    /// For so long.
    pub block_for: Duration,
    /// Connections of one address; `None` = any number.
    pub connections: Option<Rate>,
    /// Addresses that are never blocked, and may connect as often as they like.
    pub exempt: Vec<Network>,
}

/// What is remembered.
#[derive(Debug, Default)]
pub struct Guard {
    addresses: Memory<IpAddr, Address>,
    pairs: Memory<(IpAddr, u64), Failures>,
    hasher: RandomState,
}

/// One address.
#[derive(Debug, Clone, Copy, Default)]
struct Address {
    failures: Failures,
    blocked_until: Option<Instant>,
    connections: Bucket,
}

/// Failures since the first of them.
#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: usize,
    since: Option<Instant>,
}

impl Failures {
    /// Those that count still.
    fn count(&self, window: Duration, now: Instant) -> usize {
        match self.since {
            Some(since) if now.saturating_duration_since(since) < window => self.count,
            _ => 0,
        }
    }

    /// One more; how many they are now.
    fn add(&mut self, window: Duration, now: Instant) -> usize {
        if self.count(window, now) == 0 {
            *self = Self {
                count: 0,
                since: Some(now),
            };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// A login has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// How long the answer is to be held back.
    pub delay: Duration,
    /// This was one too many: the address is blocked from now on.
    pub blocks: bool,
}

impl Terms {
    /// How long an address is remembered that nobody comes from: a block must not be forgotten.
    fn memory(&self) -> Duration {
        self.window.max(self.block_for)
    }

    /// The address that is counted for; `None` = it is free.
    fn counted(&self, from: Option<IpAddr>) -> Option<IpAddr> {
        let from = from?;
        let is_free = self.exempt.iter().any(|network| network.has(from));
        (!is_free).then(|| neighbourhood(from))
    }

    /// How long the answer to the `count`th failure is held back.
    fn delay(&self, count: usize) -> Duration {
        let doublings = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1u32.checked_shl(doublings.min(31)).unwrap_or(u32::MAX);
        self.delay.saturating_mul(factor).min(self.max_delay)
    }
}

impl Guard {
    /// Somebody connects; whether it may.
    pub fn connects(&mut self, terms: &Terms, from: Option<IpAddr>, now: Instant) -> bool {
        let (Some(rate), Some(address)) = (terms.connections, terms.counted(from)) else {
            return true;
        };
        let bucket = &mut self.addresses.of(address, terms.memory(), now).connections;
        let may = bucket.wait(rate, 1, now).is_zero();
        if may {
            bucket.take(rate, 1, now);
        }
        may
    }

    /// Whether logins from there are refused, whatever they show.
    pub fn is_blocked(&mut self, terms: &Terms, from: Option<IpAddr>, now: Instant) -> bool {
        if terms.block_after.is_none() {
            return false;
        }
        let address = terms.counted(from);
        let known = address.and_then(|address| self.addresses.get(&address));
        known.is_some_and(|it| it.blocked_until.is_some_and(|until| now < until))
    }

    /// A login from there as this user has failed.
    pub fn failed(
        &mut self,
        terms: &Terms,
        from: Option<IpAddr>,
        user: &str,
        now: Instant,
    ) -> Failed {
        let pair = self.pair(from, user);
        let pair = self.pairs.of(pair, terms.window, now);
        let delay = terms.delay(pair.add(terms.window, now));
        let mut blocks = false;
        if let (Some(most), Some(address)) = (terms.block_after, terms.counted(from)) {
            let known = self.addresses.of(address, terms.memory(), now);
            if known.failures.add(terms.window, now) >= most {
                known.failures = Failures::default();
                known.blocked_until = Some(now + terms.block_for);
                blocks = true;
            }
        }
        Failed { delay, blocks }
    }

    /// A login from there as this user has worked: its failures are forgotten, and no others. Who
    /// knows one password must not be able to guess another one for ever.
    pub fn succeeded(&mut self, terms: &Terms, from: Option<IpAddr>, user: &str, now: Instant) {
        let pair = self.pair(from, user);
        let Some(failures) = self.pairs.get(&pair) else {
            return;
        };
        let forgiven = failures.count(terms.window, now);
        *failures = Failures::default();
        let address = terms.counted(from);
        if let Some(known) = address.and_then(|address| self.addresses.get(&address)) {
            known.failures.count = known.failures.count.saturating_sub(forgiven);
        }
    }

    fn pair(&self, from: Option<IpAddr>, user: &str) -> (IpAddr, u64) {
        // Unix sockets are one place.
        let address = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), neighbourhood);
        (address, self.hasher.hash_one(user))
    }
}

/// What is remembered of each: that of lately, and of the time before.
#[derive(Debug)]
struct Memory<K, V> {
    new: HashMap<K, V>,
    old: HashMap<K, V>,
    since: Option<Instant>,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self {
            new: HashMap::new(),
            old: HashMap::new(),
            since: None,
        }
    }
}

impl<K: Eq + Hash + Copy, V: Default + Copy> Memory<K, V> {
    fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.new.contains_key(key) {
            if self.new.len() >= MOST {
                return self.old.get_mut(key);
            }
            let value = self.old.remove(key)?;
            self.new.insert(*key, value);
        }
        self.new.get_mut(key)
    }

    /// What is remembered of it, or nothing yet. What nobody has come to for longer than `window`, or when
    /// there is too much, is forgotten.
    fn of(&mut self, key: K, window: Duration, now: Instant) -> &mut V {
        let since = *self.since.get_or_insert(now);
        if self.new.len() >= MOST || now.saturating_duration_since(since) >= window {
            self.old = std::mem::take(&mut self.new);
            self.since = Some(now);
        }
        let before = self.old.remove(&key);
        self.new
            .entry(key)
            .or_insert_with(|| before.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn terms() -> Terms {
        Terms {
            delay: Duration::from_millis(100),
            max_delay: Duration::from_millis(1500),
            window: 60 * SECOND,
            block_after: Some(5),
            block_for: 300 * SECOND,
            connections: None,
            exempt: vec![Network::parse("127.0.0.0/8").unwrap()],
        }
    }

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    struct Stage {
        guard: Guard,
        terms: Terms,
        start: Instant,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                guard: Guard::default(),
                terms: terms(),
                start: Instant::now(),
            }
        }

        /// Milliseconds that the answer is held back, and whether the address is blocked then.
        fn fails(&mut self, from: &str, user: &str, second: u32) -> (u128, bool) {
            let now = self.start + second * SECOND;
            let failed = self.guard.failed(&self.terms, at(from), user, now);
            let is_blocked = self.guard.is_blocked(&self.terms, at(from), now);
            assert!(is_blocked || !failed.blocks);
            (failed.delay.as_millis(), is_blocked)
        }

        fn is_blocked(&mut self, from: &str, second: u32) -> bool {
            let now = self.start + second * SECOND;
            self.guard.is_blocked(&self.terms, at(from), now)
        }

        fn works(&mut self, from: &str, user: &str, second: u32) {
            let now = self.start + second * SECOND;
            self.guard.succeeded(&self.terms, at(from), user, now);
        }
    }

    // A12
    #[test]
    fn answers_are_held_back_longer_and_longer() {
        let mut stage = Stage::new();
        stage.terms.block_after = None;
        let delays: Vec<u128> = (0..7).map(|_| stage.fails("10.0.0.1", "a", 0).0).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1500, 1500, 1500]);
        // Another user, and another address, are others.
        assert_eq!(stage.fails("10.0.0.1", "b", 0).0, 100);
        assert_eq!(stage.fails("10.0.0.2", "a", 0).0, 100);
        // The window begins with the first failure.
        assert_eq!(stage.fails("10.0.0.1", "a", 59).0, 1500);
        assert_eq!(stage.fails("10.0.0.1", "a", 60).0, 100);
        stage.works("10.0.0.1", "a", 61);
        assert_eq!(stage.fails("10.0.0.1", "a", 62).0, 100);
        // A unix socket is one place; a loopback address has its delay as well.
        let now = stage.start;
        for expected in [100, 200] {
            let failed = stage.guard.failed(&stage.terms, None, "a", now);
            assert_eq!(failed.delay.as_millis(), expected);
        }
        assert_eq!(stage.fails("127.0.0.1", "a", 0).0, 100);
        // A thousand million failures are not more than the most.
        assert_eq!(stage.terms.delay(usize::MAX), Duration::from_millis(1500));
    }

    // A12
    #[test]
    fn an_address_is_blocked_and_its_users_elsewhere_are_not() {
        let mut stage = Stage::new();
        for (user, is_blocked) in [
            ("a", false),
            ("b", false),
            ("a", false),
            ("c", false),
            ("a", true),
        ] {
            assert_eq!(stage.fails("10.0.0.1", user, 0).1, is_blocked);
        }
        assert!(!stage.is_blocked("10.0.0.2", 0));
        assert!(stage.is_blocked("10.0.0.1", 299));
        assert!(!stage.is_blocked("10.0.0.1", 300));
        // It begins anew then.
        assert!(!stage.fails("10.0.0.1", "a", 301).1);
        // Not longer than the rules say so.
        stage.terms.block_after = None;
        assert!(!stage.is_blocked("10.0.0.1", 10));
    }

    #[test]
    fn who_has_64_bits_has_one_address() {
        let mut stage = Stage::new();
        for number in 1..=5 {
            stage.fails(&format!("2001:db8:0:1::{number}"), "a", 0);
        }
        assert!(stage.is_blocked("2001:db8:0:1:ffff::", 0));
        assert!(!stage.is_blocked("2001:db8:0:2::1", 0));
        for _ in 0..5 {
            stage.fails("::ffff:10.0.0.9", "a", 0);
        }
        assert!(stage.is_blocked("10.0.0.9", 0));
    }

    #[test]
    fn a_login_that_works_forgives_its_own_failures() {
        let mut stage = Stage::new();
        for _ in 0..3 {
            stage.fails("10.0.0.1", "mine", 0);
        }
        stage.fails("10.0.0.1", "yours", 0);
        stage.works("10.0.0.1", "mine", 0);
        // Those of the other name count on.
        assert!(!stage.fails("10.0.0.1", "yours", 0).1);
        stage.works("10.0.0.1", "mine", 0);
        assert!(!stage.fails("10.0.0.1", "yours", 0).1);
        stage.works("10.0.0.1", "mine", 0);
        assert!(!stage.fails("10.0.0.1", "yours", 0).1);
        assert!(stage.fails("10.0.0.1", "yours", 0).1);
    }

    #[test]
    fn who_is_exempt_is_never_blocked() {
        let mut stage = Stage::new();
        for _ in 0..100 {
            assert!(!stage.fails("127.0.0.1", "a", 0).1);
        }
        let (terms, now) = (stage.terms.clone(), stage.start);
        for _ in 0..100 {
            assert!(!stage.guard.failed(&terms, None, "a", now).blocks);
        }
        assert!(!stage.guard.is_blocked(&terms, None, now));
    }

    // A15
    #[test]
    fn an_address_connects_so_often() {
        let mut stage = Stage::new();
        stage.terms.connections = Some(Rate::new(2, 3));
        let mut connects = |from: Option<IpAddr>, millis: u64| {
            let now = stage.start + Duration::from_millis(millis);
            stage.guard.connects(&stage.terms, from, now)
        };
        let ten = at("10.0.0.1");
        let came: Vec<bool> = (0..5).map(|_| connects(ten, 0)).collect();
        assert_eq!(came, [true, true, true, false, false]);
        assert!(connects(at("10.0.0.2"), 0));
        // Those that were refused cost nothing.
        assert!(!connects(ten, 499) && connects(ten, 500) && !connects(ten, 501));
        assert!((0..100).all(|_| connects(at("127.0.0.1"), 0) && connects(None, 0)));
    }

    // J14
    #[test]
    fn memory_is_bounded_and_those_of_lately_are_in_it() {
        let mut stage = Stage::new();
        let address = |number: u32| Ipv4Addr::from(0x0a00_0000 + number).to_string();
        for _ in 0..4 {
            stage.fails("192.0.2.1", "a", 0);
        }
        for number in 0..120_000 {
            if number % 40_000 == 0 {
                // Who comes now and then is not forgotten, whoever else comes.
                let now = stage.start;
                let terms = stage.terms.clone();
                stage.guard.succeeded(&terms, at("192.0.2.1"), "b", now);
                assert!(!stage.is_blocked("192.0.2.1", 0));
            }
            stage.fails(&address(number), "a", 0);
        }
        // Nor does it grow by those who are asked about only.
        for number in 0..120_000 {
            stage.is_blocked(&address(number), 0);
        }
        let Guard {
            addresses, pairs, ..
        } = &stage.guard;
        assert!(addresses.new.len() <= MOST && addresses.old.len() <= MOST);
        assert!(pairs.new.len() <= MOST && pairs.old.len() <= MOST);
        // What is old goes.
        stage.fails("10.0.0.1", "a", 300);
        stage.fails("10.0.0.1", "a", 600);
        let Guard {
            addresses, pairs, ..
        } = &stage.guard;
        assert_eq!(addresses.new.len() + addresses.old.len(), 1);
        assert_eq!(pairs.new.len() + pairs.old.len(), 1);
    }
}
