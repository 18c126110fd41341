//! One tenant's account: what it may use, what it has used, and whether its next transaction may
//! start.
//!
//! A transaction is admitted when it starts and never again: whoever holds locks is let through
//! (J13). What it costs is settled when it is over; a bucket that is in debt then lets nobody in
//! until the debt is paid.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    Bucket, Found, Rate, Share, Tier,
    tier::nanos,
    used::{Cost, Observation, Used},
};
use crate::{
    error::{Error, Kind},
    lookup::{Holds, Standing, View},
    sync::Mutex,
    tenant::TenantId,
};

/// Whose account it is. Who has no tenant is accounted for by its user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A tenant.
    Tenant(TenantId),
    /// A user that works without a tenant.
    User(Arc<str>),
}

impl Who {
    /// The tenant's id or the user's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Tenant(id) => id.as_str(),
            Self::User(name) => name,
        }
    }

    /// The tenant's id, if it is one.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(id) => Some(id.as_str()),
            Self::User(_) => None,
        }
    }

    /// Which of the two it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::User(_) => "user",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \"{}\"", self.kind(), self.name())
    }
}

/// May a transaction start?
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Now.
    Now,
    /// In a while; its place is kept, and nobody has to be asked again.
    In(Duration),
    /// No.
    Refused(Error),
}

/// What an account looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whose it is.
    pub who: Who,
    /// What it may use.
    pub tier: Arc<Tier>,
    /// Nothing, for the time being.
    pub suspended: bool,
    /// Clients that are connected in its name.
    pub clients: usize,
    /// What it has used.
    pub used: Used,
}

/// The account of one tenant, or of a user without one.
#[derive(Debug)]
pub struct Account {
    who: Who,
    number: u64,
    /// How often its tier was changed.
    version: AtomicU32,
    suspended: AtomicBool,
    /// Its tier limits what it uses.
    metered: AtomicBool,
    /// Its tier gives it another part of a pool than what is usual.
    special: AtomicBool,
    /// The query for tenants says so, whatever the operator says.
    is_suspended_there: AtomicBool,
    /// It does not exist, as far as that query knows.
    is_absent: AtomicBool,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    tier: Arc<Tier>,
    /// The operator gave it this tier, and no other source may change it.
    chosen: bool,
    /// A token gave it this tier, which holds as long as there is one of that name.
    claimed: Option<Arc<str>>,
    standing: Standing,
    clients: usize,
    /// Clients that came before are to leave.
    expelled: Option<Instant>,
    transactions: Bucket,
    server_time: Bucket,
    bytes: Bucket,
    connections: Bucket,
    used: Used,
    /// Its weight when it was observed last.
    weighed: u64,
    /// How much there was to see of it lately.
    score: u64,
}

impl Account {
    /// `is_given`: the query for tenants has nothing to say about it.
    pub(super) fn new(who: Who, number: u64, tier: Arc<Tier>, is_given: bool) -> Self {
        let metered = AtomicBool::new(tier.is_metered());
        let special = AtomicBool::new(tier.share != Share::default());
        let books = Books {
            tier,
            chosen: false,
            claimed: None,
            standing: Standing::new(is_given),
            clients: 0,
            expelled: None,
            transactions: Bucket::default(),
            server_time: Bucket::default(),
            bytes: Bucket::default(),
            connections: Bucket::default(),
            used: Used::default(),
            weighed: 0,
            score: 0,
        };
        Self {
            who,
            number,
            version: AtomicU32::new(0),
            suspended: AtomicBool::new(false),
            metered,
            special,
            is_suspended_there: AtomicBool::new(false),
            is_absent: AtomicBool::new(false),
            books: Mutex::new(books),
        }
    }

    /// Whose it is.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Its number, which no other account has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What it may have of a pool. Most have what is usual, and their lock is left alone.
    pub fn share(&self) -> Share {
        match self.special.load(Ordering::Relaxed) {
            true => self.books.lock().tier.share,
            false => Share::default(),
        }
    }

    /// Whether a client that sends without end must wait now and then, so that what it has used is
    /// settled and it asks to be admitted again: some of it is counted against a limit, or nothing
    /// is allowed at all.
    pub fn is_metered(&self) -> bool {
        self.metered.load(Ordering::Relaxed) || self.is_suspended() || self.is_absent()
    }

    /// A transaction wants to start, and can wait for `patience` (if it is less than the tier's).
    pub fn admit(&self, patience: Option<Duration>, now: Instant) -> Admission {
        if let Err(error) = self.check() {
            self.books.lock().used.refused += 1;
            return Admission::Refused(error);
        }
        // Most have no such limit, and their lock is left alone.
        if !self.metered.load(Ordering::Relaxed) {
            return Admission::Now;
        }
        let mut books = self.books.lock();
        let Some((wait, limit)) = books.wait(now) else {
            return Admission::Now;
        };
        let patience = [books.tier.max_delay, patience].into_iter().flatten().min();
        if let Some(longest) = patience
            && wait > longest
        {
            books.used.refused += 1;
            return Admission::Refused(self.exceeded(&limit, wait.saturating_sub(longest)));
        }
        if let Some(rate) = books.tier.transactions {
            books.transactions.reserve(rate, 1, now);
        }
        if wait.is_zero() {
            return Admission::Now;
        }
        books.used.delayed += 1;
        books.used.delay += wait;
        Admission::In(wait)
    }

    /// What was used since the last time.
    pub fn settle(&self, cost: Cost, now: Instant) {
        let books = &mut *self.books.lock();
        let tier = &books.tier;
        if let Some(rate) = tier.transactions
            && cost.transactions > 1
        {
            books.transactions.take(rate, cost.transactions - 1, now);
        }
        if let Some(rate) = tier.server_time {
            books.server_time.take(rate, nanos(cost.server_time), now);
        }
        if let Some(rate) = tier.bytes {
            books.bytes.take(rate, cost.bytes, now);
        }
        books.used.transactions += cost.transactions;
        books.used.server_time += cost.server_time;
        books.used.bytes += cost.bytes;
        books.used.wait += cost.wait;
        books.used.errors += cost.errors;
        let meter = &books.tier.meter;
        meter.saw(self.number, cost.transactions, cost.server_time, cost.wait);
    }

    /// A transaction that began in nobody's name is this account's, as it turns out: it is charged
    /// for and goes on.
    pub fn charge(&self, now: Instant) {
        let books = &mut *self.books.lock();
        if let Some(rate) = books.tier.transactions {
            books.transactions.take(rate, 1, now);
        }
    }

    /// Whether its transactions are refused for the time being, and how that is said.
    ///
    /// # Errors
    /// When they are.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_absent() {
            return Err(unknown(&self.who));
        }
        if !self.is_suspended() {
            return Ok(());
        }
        let message = format!("{} is suspended", self.who);
        Err(Error::new(Kind::TenantSuspended, message)
            .detail("Its transactions are refused until the operator resumes it."))
    }

    fn is_suspended(&self) -> bool {
        let here = self.suspended.load(Ordering::Relaxed);
        here || self.is_suspended_there.load(Ordering::Relaxed)
    }

    /// There is no such tenant, as far as the query for tenants knows.
    pub(super) fn is_absent(&self) -> bool {
        self.is_absent.load(Ordering::Relaxed)
    }

    /// How good what the query for tenants said is now.
    pub fn view(&self, now: Instant) -> View {
        if self.is_absent() {
            return View::Fresh;
        }
        self.books.lock().standing.view(now)
    }

    /// The query has found it.
    pub(super) fn found(&self, found: Found, holds: &Holds, now: Instant) {
        self.assign(found.tier);
        self.is_suspended_there
            .store(found.suspended, Ordering::Relaxed);
        self.books.lock().standing.found(holds, now);
        self.is_absent.store(false, Ordering::Relaxed);
    }

    /// The query has not found it, and it is let in all the same.
    pub(super) fn not_found(&self, default: Arc<Tier>, holds: &Holds, now: Instant) {
        self.assign(default);
        self.is_suspended_there.store(false, Ordering::Relaxed);
        self.books.lock().standing.not_found(holds, now);
    }

    /// The query has not found it, and so it is not let in; or it is to be asked about again.
    pub(super) fn set_absent(&self, is_absent: bool) {
        self.books.lock().standing.forget();
        self.is_absent.store(is_absent, Ordering::Relaxed);
        // Nobody is to find what was worked out for it.
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// The query could not say.
    pub(super) fn not_answered(&self, now: Instant) {
        self.books.lock().standing.failed(now);
    }

    /// A client connects in its name.
    ///
    /// # Errors
    /// When there are too many, or too many came at once, or the account is suspended.
    pub fn come_in(self: &Arc<Self>, now: Instant) -> Result<Presence, Error> {
        let mut books = self.books.lock();
        let refusal = if let Err(suspended) = self.check() {
            Some(suspended)
        } else if books.clients >= books.tier.max_clients {
            let hint = format!("Its max_clients is {}.", books.tier.max_clients);
            let message = format!("too many connections for {}", self.who);
            Some(Error::new(Kind::TooManyClients, message).hint(hint))
        } else if let Some(rate) = books.tier.connections
            && let wait = books.connections.wait(rate, 1, now)
            && !wait.is_zero()
        {
            let limit = Limit::new("connections_per_second", rate, "connected too often");
            Some(self.exceeded(&limit, wait))
        } else {
            None
        };
        if let Some(error) = refusal {
            books.used.refused += 1;
            return Err(error);
        }
        if let Some(rate) = books.tier.connections {
            books.connections.take(rate, 1, now);
        }
        books.clients += 1;
        Ok(Presence(Arc::clone(self)))
    }

    /// Whether a client that came at that time is to leave.
    pub fn has_expelled(&self, came: Instant) -> bool {
        self.books.lock().expelled.is_some_and(|at| came <= at)
    }

    pub(super) fn expel(&self, now: Instant) {
        self.books.lock().expelled = Some(now);
    }

    pub(super) fn suspend(&self, suspended: bool) {
        self.suspended.store(suspended, Ordering::Relaxed);
    }

    /// How often its tier was changed: what was worked out from an older one is out of date.
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// Its tier.
    pub fn tier(&self) -> Arc<Tier> {
        Arc::clone(&self.books.lock().tier)
    }

    /// What the operator says goes before what any other source says.
    pub(super) fn choose(&self, tier: Arc<Tier>) {
        let mut books = self.books.lock();
        books.chosen = true;
        self.change(&mut books, tier);
    }

    /// What a token says.
    pub(super) fn claim(&self, tier: Arc<Tier>) {
        let name = Some(tier.name.clone());
        self.books.lock().claimed = name;
        self.assign(tier);
    }

    /// The name of the tier that a token has said.
    pub(super) fn claimed(&self) -> Option<Arc<str>> {
        self.books.lock().claimed.clone()
    }

    /// What the configuration or the query for tenants says.
    pub(super) fn assign(&self, tier: Arc<Tier>) {
        let mut books = self.books.lock();
        if !books.chosen && books.tier != tier {
            self.change(&mut books, tier);
        }
    }

    fn change(&self, books: &mut Books, tier: Arc<Tier>) {
        self.metered.store(tier.is_metered(), Ordering::Relaxed);
        let special = tier.share != Share::default();
        self.special.store(special, Ordering::Relaxed);
        books.tier = tier;
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Other rules hold: this is its tier unless the query for tenants has given it another, which
    /// is to be asked anew.
    pub(super) fn revise(&self, tier: Arc<Tier>, is_given: bool) {
        let is_answered = self.books.lock().standing.revise(is_given);
        if !is_answered {
            self.assign(tier);
        }
        if is_given {
            self.is_suspended_there.store(false, Ordering::Relaxed);
            self.is_absent.store(false, Ordering::Relaxed);
        }
    }

    /// What it looks like.
    pub fn statement(&self) -> Statement {
        let books = self.books.lock();
        Statement {
            who: self.who.clone(),
            tier: Arc::clone(&books.tier),
            suspended: self.is_suspended(),
            clients: books.clients,
            used: books.used,
        }
    }

    /// Looks at it, as one observer does now and then: the score is of what has happened since,
    /// and of what it was before a part of `kept`, in 65,536ths.
    pub fn observe(&self, kept: u16) -> Observation {
        let books = &mut *self.books.lock();
        let weight = books.used.weight();
        let before = (books.score >> 16).saturating_mul(u64::from(kept));
        books.score = before + weight.saturating_sub(books.weighed);
        books.weighed = weight;
        Observation {
            score: books.score,
            clients: books.clients,
            used: books.used,
        }
    }

    /// What it has used.
    pub fn used(&self) -> Used {
        self.books.lock().used
    }

    /// A new account would be the same: nothing is owed, and nobody has decided anything about it.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let books = self.books.lock();
        let buckets = [
            &books.transactions,
            &books.server_time,
            &books.bytes,
            &books.connections,
        ];
        let decided = books.chosen
            || self.suspended.load(Ordering::Relaxed)
            || books.standing.is_worth_keeping(now);
        !decided && books.clients == 0 && buckets.iter().all(|bucket| bucket.is_full(now))
    }

    /// More than a limit allows was asked for. The detail is for programs: `key=value`.
    fn exceeded(&self, limit: &Limit, wait: Duration) -> Error {
        let millis = wait.as_nanos().div_ceil(1_000_000);
        let message = format!("{} {}", self.who, limit.complaint);
        let (unit, size) = limit.unit;
        let detail = format!(
            "limit={} per_second{unit}={} burst{unit}={} {}={} retry_after_ms={millis}",
            limit.name,
            limit.rate.per_second() / size,
            limit.rate.burst() / size,
            self.who.kind(),
            self.who.name(),
        );
        Error::new(Kind::TenantLimit, message)
            .detail(detail)
            .hint(format!("Try again in {millis} ms."))
    }
}

/// There is no such tenant.
pub(super) fn unknown(who: &Who) -> Error {
    Error::new(Kind::TenantUnknown, format!("{who} does not exist"))
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.who == other.who
    }
}

impl Eq for Account {}

impl Books {
    /// How long a transaction must wait, and for which of its limits; `None` if it has none.
    fn wait(&mut self, now: Instant) -> Option<(Duration, Limit)> {
        // Not a copy of the `Arc`: most tenants share one, and threads would wait for its count.
        let tier = &self.tier;
        let transactions = tier.transactions.map(|rate| {
            let limit = Limit::new(
                "transactions_per_second",
                rate,
                "starts too many transactions",
            );
            (self.transactions.wait(rate, 1, now), limit)
        });
        let server_time = tier.server_time.map(|rate| {
            let limit = Limit {
                unit: ("_ms", 1_000_000),
                ..Limit::new("server_time_per_second", rate, "uses too much server time")
            };
            (self.server_time.wait(rate, 0, now), limit)
        });
        let bytes = tier.bytes.map(|rate| {
            let limit = Limit::new("bytes_per_second", rate, "reads too many bytes");
            (self.bytes.wait(rate, 0, now), limit)
        });
        let waits = [transactions, server_time, bytes].into_iter().flatten();
        waits.max_by_key(|(wait, _)| *wait)
    }
}

/// A limit that somebody may meet.
struct Limit {
    /// Its key in the configuration.
    name: &'static str,
    rate: Rate,
    complaint: &'static str,
    /// In which unit its numbers are shown, and how many of the rate's that is.
    unit: (&'static str, u64),
}

impl Limit {
    const fn new(name: &'static str, rate: Rate, complaint: &'static str) -> Self {
        Self {
            name,
            rate,
            complaint,
            unit: ("", 1),
        }
    }
}

/// A client that is connected in an account's name, until this is dropped (G6).
#[derive(Debug)]
pub struct Presence(Arc<Account>);

impl Presence {
    /// The account.
    pub fn account(&self) -> &Arc<Account> {
        &self.0
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut books = self.0.books.lock();
        books.clients = books.clients.saturating_sub(1);
    }
}
