//! What a tenant of a tier may use, and how one tier is made out of another.

use std::{sync::Arc, time::Duration};

use super::Rate;
use crate::{
    config::{duration, size, value::MAX_COUNT},
    meter::TierMeter,
};

/// What one tenant may use. `None` and `usize::MAX` are no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// As the configuration calls it; `default` for the tier of those without one.
    pub name: Arc<str>,
    /// Transactions that start.
    pub transactions: Option<Rate>,
    /// Nanoseconds of server connections' time.
    pub server_time: Option<Rate>,
    /// Bytes that are sent to its clients.
    pub bytes: Option<Rate>,
    /// Clients that connect.
    pub connections: Option<Rate>,
    /// A transaction that would have to wait longer for any of these is refused; `None` = it waits.
    pub max_delay: Option<Duration>,
    /// Clients at once.
    pub max_clients: usize,
    /// Its part of each pool.
    pub share: Share,
    /// What its accounts have seen: those of all tiers of this name.
    pub meter: Arc<TierMeter>,
}

/// The name of the tier of those who have no other.
pub const DEFAULT: &str = "default";

impl Default for Tier {
    fn default() -> Self {
        Self {
            name: DEFAULT.into(),
            transactions: None,
            server_time: None,
            bytes: None,
            connections: None,
            max_delay: None,
            max_clients: usize::MAX,
            share: Share::default(),
            meter: Arc::default(),
        }
    }
}

/// A tenant's part of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Most server connections at once.
    pub max_servers: usize,
    /// Server connections that are kept free for it while it uses the pool.
    pub min_servers: usize,
    /// Most requests that wait.
    pub max_waiting: usize,
    /// How much server time it gets where others get 1.
    pub weight: u32,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            max_servers: usize::MAX,
            min_servers: 0,
            max_waiting: usize::MAX,
            weight: 1,
        }
    }
}

/// The largest weight: beyond it the others would hardly get a turn.
pub const MAX_WEIGHT: u32 = 1000;

/// What is said of a tier, or of a single tenant, that is otherwise like another tier. `None` is
/// as there; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Transactions that start.
    pub transactions: Pace,
    /// Nanoseconds of server connections' time.
    pub server_time: Pace,
    /// Bytes that are sent to its clients.
    pub bytes: Pace,
    /// Clients that connect.
    pub connections: Pace,
    /// A transaction that would have to wait longer for any of these is refused; 0 = it waits.
    pub max_delay: Option<Duration>,
    /// Most server connections of a pool.
    pub max_servers: Option<usize>,
    /// Server connections of a pool that are kept free for it.
    pub min_servers: Option<usize>,
    /// Most requests that wait in a pool.
    pub max_waiting: Option<usize>,
    /// Most clients.
    pub max_clients: Option<usize>,
    /// Its weight: 1 to [`MAX_WEIGHT`].
    pub weight: Option<u32>,
}

/// What is said of a rate. A burst belongs to its rate: who gets another rate gets one second's
/// worth of it at once, or what is said here, and not what went with the old rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Units that come in a second; 0 = no limit.
    pub per_second: Option<u64>,
    /// Units that a full bucket holds; 0 = one second's worth.
    pub burst: Option<u64>,
}

impl Pace {
    fn after(self, inherited: Option<Rate>) -> Option<Rate> {
        let (per_second, burst) = match (self.per_second, inherited) {
            (Some(per_second), _) => (per_second, self.burst),
            (None, Some(rate)) => (rate.per_second(), self.burst.or_else(|| Some(rate.burst()))),
            (None, None) => return None,
        };
        let burst = burst.filter(|burst| *burst > 0).unwrap_or(per_second);
        (per_second > 0).then(|| Rate::new(per_second, burst))
    }
}

impl Terms {
    /// Takes in what a query says: `key` as the configuration has it, `value` as PostgreSQL prints
    /// it. A duration is a number of milliseconds, or a text such as `500ms`.
    ///
    /// # Errors
    /// When there is no such key or it does not take the value. The text goes on from the key's
    /// name: "must be …".
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "transactions_per_second" => self.transactions.per_second = Some(count(value)?),
            "burst" => self.transactions.burst = Some(count(value)?),
            "server_time_per_second" => self.server_time.per_second = Some(nanos(time(value)?)),
            "server_time_burst" => self.server_time.burst = Some(nanos(time(value)?)),
            "bytes_per_second" => self.bytes.per_second = Some(bytes(value)?),
            "bytes_burst" => self.bytes.burst = Some(bytes(value)?),
            "connections_per_second" => self.connections.per_second = Some(count(value)?),
            "connection_burst" => self.connections.burst = Some(count(value)?),
            "max_delay" => self.max_delay = Some(time(value)?),
            "max_servers" => self.max_servers = Some(count(value)?),
            "min_servers" => self.min_servers = Some(count(value)?),
            "max_waiting" => self.max_waiting = Some(count(value)?),
            "max_clients" => self.max_clients = Some(count(value)?),
            "weight" => self.weight = Some(weight(count(value)?)?),
            _ => return Err("is not a key of a tier".to_owned()),
        }
        Ok(())
    }
}

impl Tier {
    /// Whether transactions are limited by what those before them have used.
    pub(super) fn is_metered(&self) -> bool {
        self.transactions.is_some() || self.server_time.is_some() || self.bytes.is_some()
    }

    /// The tier that is like this one but for `terms`.
    ///
    /// # Errors
    /// When more server connections would be kept for a tenant than it may have. The text goes on
    /// from `min_servers`: "must be …".
    pub fn with(&self, terms: &Terms) -> Result<Self, String> {
        let most = |own: Option<usize>, inherited| match own {
            Some(0) => usize::MAX,
            Some(most) => most,
            None => inherited,
        };
        let max_delay = match terms.max_delay {
            Some(Duration::ZERO) => None,
            Some(longest) => Some(longest),
            None => self.max_delay,
        };
        let share = Share {
            max_servers: most(terms.max_servers, self.share.max_servers),
            min_servers: terms.min_servers.unwrap_or(self.share.min_servers),
            max_waiting: most(terms.max_waiting, self.share.max_waiting),
            weight: terms.weight.unwrap_or(self.share.weight),
        };
        if share.min_servers > share.max_servers {
            let most = share.max_servers;
            return Err(format!("must be at most max_servers, which is {most}"));
        }
        Ok(Self {
            name: Arc::clone(&self.name),
            transactions: terms.transactions.after(self.transactions),
            server_time: terms.server_time.after(self.server_time),
            bytes: terms.bytes.after(self.bytes),
            connections: terms.connections.after(self.connections),
            max_delay,
            max_clients: most(terms.max_clients, self.max_clients),
            share,
            meter: Arc::clone(&self.meter),
        })
    }
}

/// A weight.
///
/// # Errors
/// When it is not one. The text goes on from the key's name.
pub fn weight(number: usize) -> Result<u32, String> {
    let weight = u32::try_from(number).ok();
    weight
        .filter(|weight| (1..=MAX_WEIGHT).contains(weight))
        .ok_or_else(|| format!("must be between 1 and {MAX_WEIGHT}"))
}

/// As buckets count server time.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn count<T: TryFrom<u64>>(value: &str) -> Result<T, String> {
    let number = match value {
        "off" => Some(0),
        value => value.parse().ok().filter(|it| *it <= MAX_COUNT as u64),
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("must be a whole number up to {MAX_COUNT}, not {value:?}"))
}

fn time(value: &str) -> Result<Duration, String> {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let read = match plain {
        true => duration::parse(&format!("{value}ms")),
        false => duration::parse(value),
    };
    let time = read.map_err(|_| {
        format!(r#"must be a number of milliseconds or a text such as "500ms", not {value:?}"#)
    });
    Ok(time?.0.unwrap_or_default())
}

fn bytes(value: &str) -> Result<u64, String> {
    Ok(size::parse(value)?.0.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tier that everything inherits from here.
    fn base() -> Tier {
        let second = Duration::from_secs(1);
        Tier {
            name: "basic".into(),
            transactions: Some(Rate::new(200, 400)),
            server_time: Some(Rate::new(nanos(second), nanos(3 * second))),
            bytes: None,
            connections: None,
            max_delay: Some(Duration::from_millis(50)),
            max_clients: 100,
            share: Share {
                max_servers: 10,
                min_servers: 2,
                max_waiting: 50,
                weight: 1,
            },
            meter: Arc::default(),
        }
    }

    fn said(lines: &[(&str, &str)]) -> Tier {
        let mut terms = Terms::default();
        for (key, value) in lines {
            terms.set(key, value).unwrap();
        }
        base().with(&terms).unwrap()
    }

    #[test]
    fn what_is_not_said_is_inherited() {
        assert_eq!(base().with(&Terms::default()), Ok(base()));
        let share = Share {
            weight: 4,
            ..base().share
        };
        assert_eq!(said(&[("weight", "4")]), Tier { share, ..base() });
    }

    #[test]
    fn every_key_can_be_said() {
        let tier = said(&[
            ("transactions_per_second", "5000"),
            ("burst", "6000"),
            ("server_time_per_second", "2s"),
            ("server_time_burst", "500"),
            ("bytes_per_second", "1000000"),
            ("bytes_burst", "64KiB"),
            ("connections_per_second", "5"),
            ("connection_burst", "50"),
            ("max_delay", "100ms"),
            ("max_servers", "20"),
            ("min_servers", "4"),
            ("max_waiting", "60"),
            ("max_clients", "500"),
            ("weight", "1000"),
        ]);
        let expected = Tier {
            name: "basic".into(),
            transactions: Some(Rate::new(5000, 6000)),
            server_time: Some(Rate::new(2_000_000_000, 500_000_000)),
            bytes: Some(Rate::new(1_000_000, 65_536)),
            connections: Some(Rate::new(5, 50)),
            max_delay: Some(Duration::from_millis(100)),
            max_clients: 500,
            share: Share {
                max_servers: 20,
                min_servers: 4,
                max_waiting: 60,
                weight: 1000,
            },
            meter: Arc::default(),
        };
        assert_eq!(tier, expected);
    }

    #[test]
    fn a_burst_belongs_to_its_rate() {
        for (lines, transactions) in [
            (&[("burst", "7")][..], Some(Rate::new(200, 7))),
            (&[("burst", "0")], Some(Rate::new(200, 200))),
            (
                &[("transactions_per_second", "5000")],
                Some(Rate::new(5000, 5000)),
            ),
            (
                &[("burst", "7"), ("transactions_per_second", "5")],
                Some(Rate::new(5, 7)),
            ),
            (&[("transactions_per_second", "0"), ("burst", "7")], None),
        ] {
            assert_eq!(said(lines).transactions, transactions, "{lines:?}");
        }
        assert_eq!(said(&[("bytes_burst", "7")]).bytes, None);
    }

    // G4
    #[test]
    fn zero_and_off_are_no_limit() {
        for off in ["0", "off"] {
            let keys = ["transactions_per_second", "server_time_per_second"];
            let more = ["max_delay", "max_servers", "min_servers", "max_waiting"];
            let keys = keys.into_iter().chain(more).chain(["max_clients"]);
            let lines: Vec<_> = keys.map(|key| (key, off)).collect();
            let unlimited = Tier {
                name: "basic".into(),
                ..Tier::default()
            };
            assert_eq!(said(&lines), unlimited, "{off}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let count = |value| format!("must be a whole number up to 1000000, not {value:?}");
        let time = |value| {
            format!(r#"must be a number of milliseconds or a text such as "500ms", not {value:?}"#)
        };
        let bytes = r#"must be a number of bytes, as 5000, "64KiB", "10MB" or "1GiB", or "off""#;
        for (key, value, error) in [
            ("burst", "", count("")),
            ("burst", "-1", count("-1")),
            ("burst", "1.5", count("1.5")),
            ("max_servers", "1000001", count("1000001")),
            ("max_clients", "many", count("many")),
            ("weight", "x", count("x")),
            ("weight", "0", "must be between 1 and 1000".to_owned()),
            ("weight", "1001", "must be between 1 and 1000".to_owned()),
            // As PostgreSQL prints intervals: not two ways of reading the same text.
            ("server_time_per_second", "00:00:00.5", time("00:00:00.5")),
            ("server_time_burst", "1 day", time("1 day")),
            ("max_delay", "-5ms", time("-5ms")),
            ("max_delay", "99999999999999", time("99999999999999")),
            ("bytes_per_second", "1e6", bytes.to_owned()),
            ("tier", "gold", "is not a key of a tier".to_owned()),
            ("Burst", "1", "is not a key of a tier".to_owned()),
        ] {
            let mut terms = Terms::default();
            assert_eq!(terms.set(key, value), Err(error), "{key} {value}");
            assert_eq!(terms, Terms::default(), "{key} {value}");
        }
    }

    #[test]
    fn no_more_is_kept_than_may_be_had() {
        let crossed = |terms: Terms| base().with(&terms).map(|tier| tier.share);
        let error = |most| Err(format!("must be at most max_servers, which is {most}"));
        let share = Share {
            min_servers: 10,
            ..base().share
        };
        let min = |min_servers| Terms {
            min_servers: Some(min_servers),
            ..Terms::default()
        };
        assert_eq!(crossed(min(10)), Ok(share));
        assert_eq!(crossed(min(11)), error(10));
        let max = Terms {
            max_servers: Some(1),
            ..Terms::default()
        };
        assert_eq!(crossed(max), error(1));
    }
}
