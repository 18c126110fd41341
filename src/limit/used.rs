//! What an account has used, and what is about to be added to that.

use std::time::Duration;

use super::tier::nanos;

/// What was used, to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Transactions that are over. The first of them was paid for when it was admitted.
    pub transactions: u64,
    /// How long a server connection worked, or waited, in transactions.
    pub server_time: Duration,
    /// Bytes that the server sent.
    pub bytes: u64,
    /// How long transactions waited before they began.
    pub wait: Duration,
    /// Requests that were answered.
    pub queries: u64,
    /// Errors that the client was told.
    pub errors: u64,
}

/// What an account has seen since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Transactions.
    pub transactions: u64,
    /// Server connections' time in them.
    pub server_time: Duration,
    /// Bytes sent to clients.
    pub bytes: u64,
    /// Transactions that had to wait for a limit.
    pub delayed: u64,
    /// And for how long in all.
    pub delay: Duration,
    /// How long transactions waited before they began, for a limit or for a server connection.
    pub wait: Duration,
    /// Errors that clients were told.
    pub errors: u64,
    /// Transactions and connections that were refused.
    pub refused: u64,
}

impl Used {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.each(other, u64::wrapping_add, Duration::saturating_add)
    }

    /// What is more here than there.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.each(other, u64::saturating_sub, Duration::saturating_sub)
    }

    fn each(
        &self,
        other: &Self,
        number: fn(u64, u64) -> u64,
        time: fn(Duration, Duration) -> Duration,
    ) -> Self {
        Self {
            transactions: number(self.transactions, other.transactions),
            server_time: time(self.server_time, other.server_time),
            bytes: number(self.bytes, other.bytes),
            delayed: number(self.delayed, other.delayed),
            delay: time(self.delay, other.delay),
            wait: time(self.wait, other.wait),
            errors: number(self.errors, other.errors),
            refused: number(self.refused, other.refused),
        }
    }

    /// How much there is to see of it: its own time and that of the server connections, and
    /// something for each event, so that whoever is refused everything is seen as well.
    pub(super) fn weight(&self) -> u64 {
        let events = self.transactions + self.errors + self.refused;
        nanos(self.server_time + self.wait).wrapping_add(events * nanos(EVENT))
    }
}

/// What an event weighs when it is decided who is shown.
const EVENT: Duration = Duration::from_micros(100);

/// What an account looks like to whoever decides which are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// How much there was to see of it lately. What is long ago counts less and less.
    pub score: u64,
    /// Clients that are connected in its name.
    pub clients: usize,
    /// What it has used.
    pub used: Used,
}
