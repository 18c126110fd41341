//! When no connection to a server can be made: how often to try, and when to stop hoping.

use std::time::{Duration, Instant};

use crate::error::Error;

/// The pause after the first failure. It doubles with each one that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause: a server that comes back is noticed within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A run of failures without a success between them.
#[derive(Debug)]
pub(super) struct Outage {
    since: Instant,
    failures: u32,
    retry_at: Instant,
    reason: Error,
    /// Waiting will not help: a wrong password, an unknown database.
    hopeless: bool,
}

impl Outage {
    /// One more failure. `jitter` (0 to 255) spreads the tries of many pools and processes (F5).
    pub(super) fn failed(
        before: Option<Self>,
        reason: Error,
        hopeless: bool,
        jitter: u8,
        now: Instant,
    ) -> Self {
        let failures = before
            .as_ref()
            .map_or(0, |it| it.failures)
            .saturating_add(1);
        let since = before.map_or(now, |it| it.since);
        let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
        // A server that refuses our password is not asked ten times a second: some providers ban for that.
        let pause = if hopeless {
            LONGEST_PAUSE
        } else {
            doubled.min(LONGEST_PAUSE)
        };
        let spread = pause / 4 * u32::from(jitter) / 255;
        Self {
            since,
            failures,
            retry_at: now + pause + spread,
            reason,
            hopeless,
        }
    }

    /// The next try may be made.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        now >= self.retry_at
    }

    /// Whether clients are to be told instead of being kept waiting.
    pub(super) fn is_over_patience(&self, patience: Option<Duration>, now: Instant) -> bool {
        self.hopeless || patience.is_some_and(|patience| now >= self.since + patience)
    }

    /// Waiting does not help: something must change.
    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless
    }

    pub(super) fn reason(&self) -> &Error {
        &self.reason
    }
}
