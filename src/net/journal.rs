//! What is written about clients: that they come and go, and what they are refused.
//!
//! A client that leaves, in whatever way, is nobody's error (H5). Refusals are audit lines: they have a
//! name of their own ([`AUDIT`]), by which they can be told from the rest of the log, and the same
//! fields always. No line holds a password, or a text of a client. A crowd gets a few lines and a
//! number ([`Storm`]).

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use tracing::{Level, debug, enabled, field::display, info};

use super::{
    cards::ClientCard,
    storm::{LeftOut, Storm},
};
use crate::{
    config::settings::Log,
    error::{Error, Kind},
    limit::Who,
};

/// The target of audit lines.
pub(crate) const AUDIT: &str = "pgusher::audit";

/// Lines of one kind about clients that come and go, or were not let in, in ten seconds.
const MOST_CONNECTIONS: u64 = 20;

/// Audit lines of one kind and tenant in ten seconds.
const MOST_REFUSALS: u64 = 5;

/// Whom a line is about, as far as that is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    /// The process id that the client was told; 0 = none.
    pub(crate) client: u32,
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
    pub(crate) tenant: Option<&'a str>,
    /// `None`: a unix socket.
    pub(crate) address: Option<SocketAddr>,
}

/// What is not known is not written.
fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'a> About<'a> {
    /// A visitor of the console.
    pub(crate) fn visitor(card: &'a ClientCard) -> Self {
        Self {
            client: card.id,
            user: &card.user,
            database: &card.database,
            tenant: None,
            address: card.ends.peer,
        }
    }

    /// A client that has logged in, in whose name it does what the line is about.
    pub(crate) fn of(card: &'a ClientCard, who: &'a Who) -> Self {
        Self {
            tenant: who.tenant(),
            ..Self::visitor(card)
        }
    }

    fn client(&self) -> Option<u32> {
        (self.client != 0).then_some(self.client)
    }
}

/// What a client wanted when it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Attempt {
    /// To come in.
    Login,
    /// That something is done.
    Request,
    /// Something of the console.
    Command,
}

impl Attempt {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Request => "request",
            Self::Command => "command",
        }
    }
}

/// Refusals of one kind, and of one tenant.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Refusal {
    attempt: Attempt,
    kind: Kind,
    tenant: Option<Box<str>>,
}

/// Lines that are no audit lines, by their words.
type Words = &'static str;

const CONNECTED: Words = "client connected";
const DISCONNECTED: Words = "client disconnected";
const TURNED_AWAY: Words = "a client was turned away";

/// What is written about clients.
#[derive(Debug)]
pub(crate) struct Journal {
    connections: AtomicBool,
    audit: AtomicBool,
    crowd: Storm<Words>,
    refusals: Storm<Refusal>,
}

impl Journal {
    pub(crate) fn new(log: &Log) -> Self {
        Self {
            connections: AtomicBool::new(log.connections),
            audit: AtomicBool::new(log.audit),
            crowd: Storm::new(MOST_CONNECTIONS),
            refusals: Storm::new(MOST_REFUSALS),
        }
    }

    /// From now on it is written what this says.
    pub(crate) fn apply(&self, log: &Log) {
        self.connections.store(log.connections, Ordering::Relaxed);
        self.audit.store(log.audit, Ordering::Relaxed);
    }

    /// A client has logged in.
    pub(crate) fn connected(&self, about: &About<'_>, now: Instant) {
        if !self.tells_of_connections() || !self.crowd.lets(CONNECTED, now) {
            return;
        }
        info!(
            client = about.client,
            user = about.user,
            database = about.database,
            tenant = about.tenant,
            address = about.address.map(display),
            "{CONNECTED}"
        );
    }

    /// A client that had logged in has left.
    pub(crate) fn disconnected(&self, about: &About<'_>, stay: &Stay, now: Instant) {
        if !self.tells_of_connections() || !self.crowd.lets(DISCONNECTED, now) {
            return;
        }
        info!(
            client = about.client,
            user = about.user,
            database = about.database,
            tenant = about.tenant,
            address = about.address.map(display),
            lasted_s = seconds(now.saturating_duration_since(stay.came)),
            transactions = stay.transactions,
            why = stay.why,
            "{DISCONNECTED}"
        );
    }

    fn tells_of_connections(&self) -> bool {
        self.connections.load(Ordering::Relaxed) && enabled!(Level::INFO)
    }

    /// A client was told `error`; `why` is what only the log may know.
    pub(crate) fn refused(
        &self,
        attempt: Attempt,
        about: &About<'_>,
        error: &Error,
        why: Option<&str>,
        now: Instant,
    ) {
        if !is_refusal(error.kind) {
            if attempt == Attempt::Login
                && enabled!(Level::INFO)
                && self.crowd.lets(TURNED_AWAY, now)
            {
                info!(
                    client = about.client(),
                    user = known(about.user),
                    database = known(about.database),
                    tenant = about.tenant,
                    address = about.address.map(display),
                    %error,
                    "{TURNED_AWAY}"
                );
            }
        } else if !self.audit.load(Ordering::Relaxed) {
            debug!(
                client = about.client(),
                user = known(about.user),
                database = known(about.database),
                tenant = about.tenant,
                address = about.address.map(display),
                why,
                %error,
                "a client was refused something"
            );
        } else if enabled!(target: AUDIT, Level::INFO) && self.may_audit(attempt, about, error, now)
        {
            info!(
                target: AUDIT,
                event = attempt.as_str(),
                client = about.client(),
                user = known(about.user),
                database = known(about.database),
                tenant = about.tenant,
                address = about.address.map(display),
                code = error.kind.code(),
                kind = error.kind.name(),
                why,
                "{}", error.message
            );
        }
    }

    fn may_audit(&self, attempt: Attempt, about: &About<'_>, error: &Error, now: Instant) -> bool {
        let refusal = Refusal {
            attempt,
            kind: error.kind,
            tenant: about.tenant.map(Box::from),
        };
        self.refusals.lets(refusal, now)
    }

    /// Somebody came to the console, or did something there that changes something.
    pub(crate) fn done_on_console(
        &self,
        about: &About<'_>,
        command: Option<&dyn Display>,
        words: &str,
    ) {
        let event = if command.is_some() {
            Attempt::Command
        } else {
            Attempt::Login
        };
        let command = command.map(display);
        if self.audit.load(Ordering::Relaxed) {
            info!(
                target: AUDIT,
                event = event.as_str(),
                client = about.client(),
                user = about.user,
                database = about.database,
                address = about.address.map(display),
                command,
                "{words}"
            );
        } else {
            info!(
                client = about.client(),
                user = about.user,
                command,
                "{words}"
            );
        }
    }

    /// Somebody looked at something on the console.
    pub(crate) fn seen_on_console(&self, about: &About<'_>, command: &dyn Display) {
        if self.audit.load(Ordering::Relaxed) {
            debug!(
                target: AUDIT,
                event = Attempt::Command.as_str(),
                client = about.client(),
                user = about.user,
                database = about.database,
                address = about.address.map(display),
                %command,
                "seen on the console"
            );
        }
    }

    /// Says what was left out, of the kinds that have lasted long enough.
    pub(crate) fn tick(&self, now: Instant) {
        for left in self.crowd.calmed(now) {
            let (more, words) = (and_more(&left), left.kind.unwrap_or_default());
            info!(left_out = left.lines, "{words}: {more}");
        }
        for left in self.refusals.calmed(now) {
            let more = and_more(&left);
            let kind = left.kind.as_ref();
            info!(
                target: AUDIT,
                event = kind.map(|it| it.attempt.as_str()),
                tenant = kind.and_then(|it| it.tenant.as_deref()),
                code = kind.map(|it| it.kind.code()),
                kind = kind.map(|it| it.kind.name()),
                left_out = left.lines,
                "{more}"
            );
        }
    }
}

/// How a client was here.
pub(crate) struct Stay {
    pub(crate) came: Instant,
    pub(crate) transactions: u64,
    pub(crate) why: &'static str,
}

fn and_more<K>(left: &LeftOut<K>) -> String {
    let (lines, seconds) = (left.lines, left.within.as_secs());
    format!("and {lines} more like it in the last {seconds} s")
}

/// With milliseconds.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Whether an error says that a client may not have what it wants: because of a rule, a limit, or what it has
/// shown. Others tell of something that failed.
pub(crate) const fn is_refusal(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ProtocolViolation
            | Kind::UnsupportedProtocol
            | Kind::LoginTimeout
            | Kind::InvalidStartup
            | Kind::InvalidPassword
            | Kind::InvalidToken
            | Kind::InvalidCertificate
            | Kind::TlsRequired
            | Kind::NoRule
            | Kind::DatabaseUnknown
            | Kind::TooManyClients
            | Kind::QueryWaitTimeout
            | Kind::QueueFull
            | Kind::TooManyStatements
            | Kind::PinRefused
            | Kind::TooManyPinned
            | Kind::TenantMissing
            | Kind::TenantInvalid
            | Kind::TenantConflict
            | Kind::TenantChange
            | Kind::TenantProtected
            | Kind::TenantLimit
            | Kind::TenantSuspended
            | Kind::TenantUnknown
            | Kind::TenantExpelled
            | Kind::ConsoleRefused
    )
}
