//! What can be seen of connections from outside: of each client, and of each server connection.
//!
//! A card is written by whoever serves the connection, with plain stores, and read by whoever
//! wants to see: what is read is right, though not all of it need be of the same moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{cancel::Flight, stream::Stream, tls::layer::Encryption};
use crate::{limit::Account, pool::Generation, session::Holds, sync::Mutex};

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Nothing.
    Idle,
    /// It waits for a server connection, or for a limit.
    Waiting,
    /// It works, or is in a transaction.
    Active,
    /// It is being made fit for the next client.
    Cleaning,
}

impl Doing {
    fn read(byte: u8) -> Self {
        match byte {
            1 => Self::Waiting,
            2 => Self::Active,
            3 => Self::Cleaning,
            _ => Self::Idle,
        }
    }
}

/// When a connection began, and what it has done since when.
#[derive(Debug)]
struct Pace {
    began: Instant,
    began_at: SystemTime,
    doing: AtomicU8,
    /// Microseconds after it began.
    since: AtomicU64,
    /// The connection at the other side; 0 = none.
    link: AtomicU64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            began_at: SystemTime::now(),
            doing: AtomicU8::new(0),
            since: AtomicU64::new(0),
            link: AtomicU64::new(0),
        }
    }

    fn does(&self, what: Doing) {
        self.doing.store(what as u8, Ordering::Relaxed);
    }

    /// A moment, in microseconds after it began.
    fn moment(&self, now: Instant) -> u64 {
        let micros = now.saturating_duration_since(self.began).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    fn since(&self, now: Instant) {
        self.since.store(self.moment(now), Ordering::Relaxed);
    }

    fn doing(&self) -> Doing {
        Doing::read(self.doing.load(Ordering::Relaxed))
    }

    fn glimpse(&self) -> Glimpse {
        let since = Duration::from_micros(self.since.load(Ordering::Relaxed));
        Glimpse {
            doing: self.doing(),
            began: self.began_at,
            since: self.began_at + since,
            lasts: self.began.elapsed().saturating_sub(since),
            link: self.link.load(Ordering::Relaxed),
        }
    }
}

/// What is seen at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glimpse {
    pub(crate) doing: Doing,
    /// When it connected.
    pub(crate) began: SystemTime,
    /// When the last request began, or when it was used last.
    pub(crate) since: SystemTime,
    /// How long ago that is.
    pub(crate) lasts: Duration,
    /// The id of the connection at the other side; 0 = none.
    pub(crate) link: u64,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// `None` = a unix socket.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    /// How what is between them is encrypted, if it is.
    pub(crate) tls: Option<Encryption>,
}

impl Ends {
    pub(crate) fn of(stream: &Stream) -> Self {
        let (peer, local) = stream.addresses();
        let tls = stream.encryption();
        Self { peer, local, tls }
    }
}

/// A client's card.
#[derive(Debug)]
pub(crate) struct ClientCard {
    /// The process id that it was told to be its server's.
    pub(crate) id: u32,
    /// As it asked for it.
    pub(crate) database: Box<str>,
    /// As it logged in, without a tenant.
    pub(crate) user: Box<str>,
    /// Who logs in to the server for it; on the console nobody.
    pub(crate) login: Box<str>,
    /// What it calls itself.
    pub(crate) application: Box<str>,
    pub(crate) ends: Ends,
    pace: Pace,
    /// Whom its last transaction belonged to.
    account: Mutex<Option<Arc<Account>>>,
    /// The number of that account, to see whether it is another's turn.
    number: AtomicU64,
    /// What it keeps on a server connection.
    holds: AtomicU16,
    /// When it began to, in microseconds after it came.
    keeping_since: AtomicU64,
    /// Statements that it has prepared by name.
    prepared: AtomicUsize,
}

/// What a card begins with.
#[derive(Debug)]
pub(crate) struct Introduction<'a> {
    pub(crate) id: u32,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
    pub(crate) login: &'a str,
    pub(crate) application: &'a str,
    pub(crate) ends: Ends,
    /// On the console nobody's: looking costs no tenant anything.
    pub(crate) account: Option<Arc<Account>>,
}

impl ClientCard {
    pub(crate) fn new(of: Introduction<'_>) -> Arc<Self> {
        Arc::new(Self {
            id: of.id,
            database: of.database.into(),
            user: of.user.into(),
            login: of.login.into(),
            application: of.application.into(),
            ends: of.ends,
            pace: Pace::new(Instant::now()),
            number: AtomicU64::new(of.account.as_ref().map_or(0, |it| it.number())),
            account: Mutex::new(of.account),
            holds: AtomicU16::new(0),
            keeping_since: AtomicU64::new(0),
            prepared: AtomicUsize::new(0),
        })
    }

    /// When it came in.
    pub(super) fn came(&self) -> Instant {
        self.pace.began
    }

    /// A transaction is asked for.
    pub(super) fn asks(&self, now: Instant) {
        self.pace.since(now);
        self.pace.does(Doing::Waiting);
    }

    /// It works, on this server connection.
    pub(super) fn works(&self, server: &ServerCard, account: &Arc<Account>) {
        self.pace.link.store(server.id, Ordering::Relaxed);
        if self.number.load(Ordering::Relaxed) != account.number() {
            self.number.store(account.number(), Ordering::Relaxed);
            *self.account.lock() = Some(Arc::clone(account));
        }
        self.pace.does(Doing::Active);
        server.serves(self.id);
    }

    /// It has no server connection, and wants none.
    pub(super) fn rests(&self, prepared: usize) {
        self.prepared.store(prepared, Ordering::Relaxed);
        self.keeps(Holds::NONE);
        self.pace.link.store(0, Ordering::Relaxed);
        self.pace.does(Doing::Idle);
    }

    /// It keeps this on its server connection, beyond its transactions.
    pub(super) fn keeps(&self, what: Holds) {
        let before = self.holds();
        if before == what {
            return;
        }
        self.holds.store(what.number(), Ordering::Relaxed);
        if before.is_empty() {
            let now = self.pace.moment(Instant::now());
            self.keeping_since.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn glimpse(&self) -> Glimpse {
        self.pace.glimpse()
    }

    /// What it does, without asking the time.
    pub(crate) fn doing(&self) -> Doing {
        self.pace.doing()
    }

    /// The tenant that its last transaction belonged to, if it was one.
    pub(crate) fn tenant(&self) -> Option<String> {
        self.account
            .lock()
            .as_ref()?
            .who()
            .tenant()
            .map(str::to_owned)
    }

    /// Statements that it has prepared by name.
    pub(crate) fn prepared(&self) -> usize {
        self.prepared.load(Ordering::Relaxed)
    }

    /// For how long it has kept something there.
    pub(crate) fn kept_for(&self) -> Duration {
        let since = Duration::from_micros(self.keeping_since.load(Ordering::Relaxed));
        self.pace.began.elapsed().saturating_sub(since)
    }

    /// What it keeps on a server connection.
    pub(crate) fn holds(&self) -> Holds {
        Holds::numbered(self.holds.load(Ordering::Relaxed))
    }
}

/// A server connection's card.
#[derive(Debug)]
pub(crate) struct ServerCard {
    pub(crate) id: u64,
    /// The server's process; 0 = it did not say.
    pub(crate) pid: u32,
    pub(crate) ends: Ends,
    pace: Pace,
    cancelling: Arc<Flight>,
    generation: Generation,
    /// Statements that it has parsed.
    prepared: AtomicUsize,
}

impl ServerCard {
    pub(super) fn new(
        pid: u32,
        ends: Ends,
        cancelling: Arc<Flight>,
        generation: Generation,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            pid,
            ends,
            cancelling,
            generation,
            pace: Pace::new(Instant::now()),
            prepared: AtomicUsize::new(0),
        })
    }

    fn serves(&self, client: u32) {
        self.pace.link.store(u64::from(client), Ordering::Relaxed);
        self.pace.does(Doing::Active);
    }

    /// Its client has gone on without it.
    pub(super) fn rests(&self, prepared: usize, now: Instant) {
        self.pace.link.store(0, Ordering::Relaxed);
        self.pace.since(now);
        self.pace.does(Doing::Idle);
        self.prepared.store(prepared, Ordering::Relaxed);
    }

    /// It is being made fit for the next client.
    pub(super) fn is_cleaned(&self) {
        self.pace.link.store(0, Ordering::Relaxed);
        self.pace.does(Doing::Cleaning);
    }

    pub(crate) fn glimpse(&self) -> Glimpse {
        self.pace.glimpse()
    }

    pub(crate) fn is_being_cleaned(&self) -> bool {
        self.pace.doing() == Doing::Cleaning
    }

    /// It is closed as soon as nobody has it.
    pub(crate) fn is_to_be_closed(&self) -> bool {
        self.generation.is_over()
    }

    /// A cancel request is on its way to it.
    pub(crate) fn is_being_cancelled(&self) -> bool {
        self.cancelling.is_on()
    }

    /// Statements that it had parsed when it was given back last.
    pub(crate) fn prepared(&self) -> usize {
        self.prepared.load(Ordering::Relaxed)
    }
}

/// The cards of a pool's server connections. Those that are closed fall off by themselves.
#[derive(Debug, Default)]
pub(crate) struct ServerCards(Mutex<Vec<Weak<ServerCard>>>);

impl ServerCards {
    pub(super) fn add(&self, card: &Arc<ServerCard>) {
        let mut cards = self.0.lock();
        cards.retain(|card| card.strong_count() > 0);
        cards.push(Arc::downgrade(card));
    }

    /// Those of connections that are open.
    pub(crate) fn all(&self) -> Vec<Arc<ServerCard>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}
