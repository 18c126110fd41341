//! Until when a state may last, and what ends it.
//!
//! A session is asked for its deadline after each turn and told when it has passed. Whoever
//! asks decides how exact that is; nothing here is armed or disarmed for a query.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Backend, Next, Output, Session, Status};
use crate::error::{Error, Kind};

/// Timeouts; `None` = off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// Longest wait for a server connection.
    pub query_wait_timeout: Option<Duration>,
    /// Longest run of a request; it is cancelled then.
    pub query_timeout: Option<Duration>,
    /// Longest silence inside a transaction; it is rolled back then.
    pub idle_transaction_timeout: Option<Duration>,
    /// Longest transaction; it is rolled back then.
    pub transaction_timeout: Option<Duration>,
    /// Longest silence of a client outside a transaction; it is disconnected then.
    pub client_idle_timeout: Option<Duration>,
    /// Longest silence of a client that keeps its server connection; it is disconnected then.
    pub pin_timeout: Option<Duration>,
    /// Longest time to connect and log in to the server.
    pub server_connect_timeout: Option<Duration>,
    /// A server connection that idles longer is closed.
    pub server_idle_timeout: Option<Duration>,
    /// A server connection that is older is closed when it is idle.
    pub server_lifetime: Option<Duration>,
    /// How long a cancelled request may take to end before its server connection is closed.
    pub cancel_wait_timeout: Option<Duration>,
    /// How long waiting clients are kept waiting while the server cannot be reached at all.
    pub server_outage_timeout: Option<Duration>,
}

/// What a session is doing, as far as time is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Outside a transaction, silent.
    Idle,
    /// The same, with a server connection of its own.
    Keeping,
    /// Waiting for a server connection.
    Waiting,
    /// Waiting until a transaction may begin.
    Delayed,
    /// The server has something to answer.
    Running,
    /// Inside a transaction, silent.
    Between,
    /// The server was asked to cancel.
    Cancelling,
}

/// The clock of a session.
#[derive(Debug)]
pub(super) struct Timers {
    timeouts: Arc<Timeouts>,
    phase: Phase,
    since: Instant,
    /// When the transaction began, as far as the server connection is concerned.
    leased: Instant,
    /// When it began, as far as its client is concerned: one that is sent behind another begins
    /// when that is over.
    began: Instant,
    /// How long transactions lasted that are over.
    spent: Duration,
    /// Why pgusher itself cancelled what runs.
    cancel_reason: Option<Kind>,
}

impl Timers {
    pub(super) fn new(timeouts: Arc<Timeouts>, now: Instant) -> Self {
        Self {
            timeouts,
            phase: Phase::Idle,
            since: now,
            leased: now,
            began: now,
            spent: Duration::ZERO,
            cancel_reason: None,
        }
    }

    /// Other timeouts hold from now on.
    pub(super) fn revise(&mut self, timeouts: Arc<Timeouts>) {
        self.timeouts = timeouts;
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
    }

    pub(super) fn attached(&mut self, now: Instant) {
        (self.leased, self.began) = (now, now);
        self.enter(Phase::Running, now);
    }

    /// The server connection, or the wait for one, is over: a silence begins now, not when the
    /// request did (G3).
    pub(super) fn detached(&mut self, now: Instant) {
        self.spend(Phase::Idle, now);
        self.phase = Phase::Idle;
        self.since = now;
        self.cancel_reason = None;
    }

    /// One request was answered, after this time; the next one's begins.
    pub(super) fn answered(&mut self, now: Instant) -> Duration {
        let took = now.saturating_duration_since(self.since);
        self.cancel_reason = None;
        self.phase = Phase::Running;
        self.since = now;
        took
    }

    /// A transaction is over, after this time.
    pub(super) fn transaction_ended(&mut self, now: Instant) -> Duration {
        let took = now.saturating_duration_since(self.began);
        self.began = now;
        took
    }

    /// A transaction that is over in the next phase has lasted until now.
    fn spend(&mut self, next: Phase, now: Instant) {
        let works = matches!(
            self.phase,
            Phase::Running | Phase::Between | Phase::Cancelling
        );
        if works && next.is_silent() {
            self.spent += now.saturating_duration_since(self.leased);
        }
    }

    /// How long transactions lasted that are over, since this was last asked.
    pub(super) fn take_spent(&mut self) -> Duration {
        std::mem::take(&mut self.spent)
    }

    /// No transaction is open, and none waits.
    pub(super) fn is_silent(&self) -> bool {
        self.phase.is_silent()
    }

    /// The next transaction may begin at that time.
    pub(super) fn sleep(&mut self, until: Instant) {
        (self.phase, self.since) = (Phase::Delayed, until);
    }

    /// It may begin.
    pub(super) fn awake(&mut self) {
        if self.phase == Phase::Delayed {
            self.phase = Phase::Idle;
        }
    }

    /// How long a client may be kept waiting.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.timeouts.query_wait_timeout
    }

    /// Follows what the session does after a turn.
    pub(super) fn moved(&mut self, backend: Option<&Backend>, now: Instant) {
        let phase = match (self.phase, backend) {
            (Phase::Waiting, None) => Phase::Waiting,
            (Phase::Delayed, _) => Phase::Delayed,
            (_, None) => Phase::Idle,
            (Phase::Cancelling, Some(backend)) if !backend.pipeline.is_empty() => Phase::Cancelling,
            (_, Some(backend)) if !backend.pipeline.is_empty() => Phase::Running,
            (_, Some(backend)) if !backend.is_free() => Phase::Between,
            (_, Some(backend)) if backend.seat.is_some() => Phase::Keeping,
            (_, Some(_)) => Phase::Idle,
        };
        self.spend(phase, now);
        if self.phase.is_silent() && !phase.is_silent() {
            (self.leased, self.began) = (now, now);
        }
        self.enter(phase, now);
    }

    pub(super) fn take_cancel_reason(&mut self) -> Option<Error> {
        self.cancel_reason.take().map(|kind| self.explain(kind))
    }

    fn explain(&self, kind: Kind) -> Error {
        let limits = &*self.timeouts;
        match kind {
            Kind::QueryTimeout => {
                Error::new(kind, "canceling statement due to pgusher's query_timeout")
                    .detail(format!("The limit is {}.", shown(limits.query_timeout)))
            }
            Kind::TransactionTimeout => Error::new(
                kind,
                "canceling transaction due to pgusher's transaction_timeout",
            )
            .detail(format!(
                "The limit is {}.",
                shown(limits.transaction_timeout)
            )),
            Kind::IdleInTransaction => {
                let limit = shown(limits.idle_transaction_timeout);
                Error::new(
                    kind,
                    "the transaction was rolled back by pgusher's idle_transaction_timeout",
                )
                .detail(format!(
                    "The client was silent inside it for more than {limit}."
                ))
                .hint("Roll back and try again.")
            }
            Kind::IdleTimeout => Error::new(
                kind,
                "terminating connection due to pgusher's client_idle_timeout",
            )
            .detail(format!(
                "The limit is {}.",
                shown(limits.client_idle_timeout)
            )),
            Kind::PinTimeout => {
                Error::new(kind, "terminating connection due to pgusher's pin_timeout").detail(
                    format!(
                        "It kept a server connection to itself; the limit is {}.",
                        shown(limits.pin_timeout)
                    ),
                )
            }
            _ => {
                let limit = shown(limits.query_wait_timeout);
                Error::new(kind, format!("no server connection became free within {limit} (query_wait_timeout)"))
                    .hint("All server connections of this pool are in use; raise pool_size, shorten transactions, or try again later.")
            }
        }
    }

    /// The earliest of the deadlines that hold in this phase, and what it is about.
    fn deadline(&self) -> Option<(Instant, Kind)> {
        let limits = &*self.timeouts;
        let after =
            |from: Instant, limit: Option<Duration>, kind| Some((from.checked_add(limit?)?, kind));
        let earlier = |a: Option<(Instant, Kind)>, b: Option<(Instant, Kind)>| match (a, b) {
            (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
            (a, b) => a.or(b),
        };
        let transaction = || {
            after(
                self.leased,
                limits.transaction_timeout,
                Kind::TransactionTimeout,
            )
        };
        match self.phase {
            Phase::Idle => after(self.since, limits.client_idle_timeout, Kind::IdleTimeout),
            Phase::Keeping => earlier(
                after(self.since, limits.client_idle_timeout, Kind::IdleTimeout),
                after(self.since, limits.pin_timeout, Kind::PinTimeout),
            ),
            Phase::Waiting => after(
                self.since,
                limits.query_wait_timeout,
                Kind::QueryWaitTimeout,
            ),
            Phase::Delayed => Some((self.since, Kind::TenantLimit)),
            Phase::Running => earlier(
                after(self.since, limits.query_timeout, Kind::QueryTimeout),
                transaction(),
            ),
            Phase::Between => earlier(
                after(
                    self.since,
                    limits.idle_transaction_timeout,
                    Kind::IdleInTransaction,
                ),
                transaction(),
            ),
            Phase::Cancelling => after(self.since, limits.cancel_wait_timeout, Kind::ServerLost),
        }
    }
}

impl Phase {
    /// No transaction is open.
    fn is_silent(self) -> bool {
        matches!(self, Self::Idle | Self::Keeping)
    }
}

fn shown(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "off".to_owned(), |limit| format!("{limit:?}"))
}

impl Session {
    /// The session now waits for a server connection.
    pub fn waiting(&mut self, now: Instant) {
        self.timers.enter(Phase::Waiting, now);
    }

    /// When [`Session::expired`] is to be called, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline().map(|(at, _)| at)
    }

    /// Time has passed. Calling it too early does nothing.
    pub fn expired(&mut self, backend: Option<&Backend>, out: &mut Output, now: Instant) -> Next {
        let Some((_, kind)) = self.timers.deadline().filter(|(at, _)| *at <= now) else {
            return Next::Read;
        };
        match self.timers.phase {
            Phase::Idle | Phase::Keeping => {
                let error = self.timers.explain(kind);
                out.tell(&error);
                Next::Close
            }
            Phase::Waiting => Next::GiveUp(self.timers.explain(kind)),
            Phase::Delayed => Next::Admit,
            Phase::Running
                if backend.is_some_and(|backend| {
                    backend.status != Status::Idle || !backend.pipeline.is_empty()
                }) =>
            {
                self.timers.cancel_reason = Some(kind);
                self.timers.enter(Phase::Cancelling, now);
                Next::Cancel
            }
            Phase::Running => Next::Read,
            Phase::Between => Next::Part(self.timers.explain(kind)),
            Phase::Cancelling => {
                let reason = self
                    .timers
                    .cancel_reason
                    .take()
                    .unwrap_or(Kind::QueryTimeout);
                Next::Lost(self.timers.explain(reason))
            }
        }
    }
}
