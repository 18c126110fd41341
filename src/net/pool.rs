//! The pools as they run: the books of `crate::pool` behind their lock, and the hands that do what the books say.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tracing::{debug, info, warn};

use super::{
    audit::Audited,
    bell::{Bell, Tray},
    cards::ServerCards,
    keys::Keys,
    lease::{Lease, ServerConn},
    meters::Meters,
    upstream,
    welcome::Welcomes,
    worker::Workers,
};
use crate::{
    auth::upstream::Credential,
    config::settings::{self, Address, ServerReset},
    error::Error,
    meter::{Count as _, PoolMeter, Traffic},
    pool::{Asked, Database, Given, Hold, Party, PoolId, PoolSizes, Ticket, Turn, Work},
    session::{Catalogue, Pins, Processes, Schema, Timeouts},
    sync::Mutex,
};

mod filling;

pub(crate) use filling::Filling;

pub(super) type Books = Database<Box<ServerConn>, Arc<Bell>>;

/// How often idle connections, the reserve and outages are looked after.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// PostgreSQL waits as long for the last connections to a database that it drops or copies.
const VACATED_FOR: Duration = Duration::from_secs(5);

/// One database: its settings and the books of its pools.
pub(crate) struct Db {
    pub(crate) name: String,
    pub(super) settings: Mutex<Settings>,
    /// How often its settings have changed.
    pub(super) edition: AtomicU64,
    pub(crate) workers: Workers,
    pub(crate) keys: Arc<Keys>,
    meters: Arc<Meters>,
    /// What `server_reset` says; looked at whenever a connection is given back.
    pub(super) resets_always: AtomicBool,
    pub(super) books: Mutex<Books>,
    /// When the operator sent its clients away last.
    pub(super) killed: Mutex<Option<Instant>>,
    pools: Mutex<HashMap<PoolId, Arc<Pool>>>,
    logins: Mutex<Logins>,
    /// Its tables, which all its pools share.
    schema: Arc<Schema>,
    /// The processes of its server behind the connections of all its pools.
    pub(super) processes: Arc<Processes>,
}

/// What is configured for a database now.
pub(super) struct Settings {
    pub(super) config: Arc<settings::Database>,
    pub(super) timeouts: Arc<Timeouts>,
}

/// What became of the logins to a database's server so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logins {
    /// One has worked, so the way there and the password are right.
    pub(crate) worked: bool,
    /// Why the last one that failed did.
    pub(crate) failure: Option<Error>,
}

/// One pool: the server connections of one user of one database.
pub(crate) struct Pool {
    pub(crate) db: Arc<Db>,
    pub(super) id: PoolId,
    /// Who logs in to the server.
    pub(crate) user: String,
    /// The client that came first: its own pool size is the pool's.
    pub(super) founder: String,
    /// With what; if it is the client's own, what the last client has shown.
    pub(super) credential: Mutex<Credential>,
    pub(crate) welcomes: Welcomes,
    /// The statements that its clients have prepared.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The server connections that its clients keep beyond their transactions.
    pub(crate) pins: Arc<Pins>,
    /// Whether row-level security applies to its role.
    pub(crate) audited: Audited,
    /// What passes through it.
    pub(crate) meter: Arc<PoolMeter>,
    /// Its server connections, as they are seen.
    pub(crate) cards: ServerCards,
    /// The last opening failed; says so once in the log, and once when it is over (H5).
    failing: AtomicBool,
}

/// The sizes of a pool: the database's, but for one that its user may have of its own.
pub(super) fn sizes(config: &settings::Database, own_size: Option<usize>) -> PoolSizes {
    let usual = &config.pool;
    let pool_size = own_size.unwrap_or(usual.pool_size);
    PoolSizes {
        pool_size,
        // The same part of a smaller pool, or a larger one.
        spare_servers: usual.spare_servers * pool_size / usual.pool_size.max(1),
        ..usual.clone()
    }
}

/// What came of asking for a server connection.
pub(crate) enum Claim {
    Granted(Lease),
    Queued(Queued),
    Refused(Error),
}

impl Db {
    pub(crate) fn new(
        name: &str,
        config: settings::Database,
        workers: &Workers,
        keys: &Arc<Keys>,
        meters: &Arc<Meters>,
    ) -> Arc<Self> {
        let books = Database::new(
            name,
            workers.len(),
            config.max_db_connections,
            config.max_clients,
            config.timeouts.server_outage_timeout,
        );
        Arc::new(Self {
            name: name.to_owned(),
            resets_always: AtomicBool::new(config.server_reset == ServerReset::Always),
            edition: AtomicU64::new(0),
            settings: Mutex::new(Settings {
                timeouts: Arc::new(config.timeouts.clone()),
                config: Arc::new(config),
            }),
            workers: workers.clone(),
            keys: Arc::clone(keys),
            meters: Arc::clone(meters),
            books: Mutex::new(books),
            killed: Mutex::default(),
            pools: Mutex::default(),
            logins: Mutex::default(),
            schema: Arc::default(),
            processes: Arc::default(),
        })
    }

    /// What is configured for it now.
    pub(crate) fn config(&self) -> Arc<settings::Database> {
        Arc::clone(&self.settings.lock().config)
    }

    /// Its timeouts now.
    pub(crate) fn timeouts(&self) -> Arc<Timeouts> {
        Arc::clone(&self.settings.lock().timeouts)
    }

    /// How often its settings have changed. Each transaction asks.
    pub(crate) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Relaxed)
    }

    /// A client comes in: `client` to us, and `user` to the server.
    pub(crate) fn join(
        self: &Arc<Self>,
        user: &str,
        client: &str,
        credential: Option<Credential>,
        own_size: Option<usize>,
    ) -> Result<Membership, Error> {
        let config = self.config();
        let sizes = || sizes(&config, own_size);
        let pool = {
            // Whoever hears of a pool from the books, because it is to open connections, finds it whole.
            let mut pools = self.pools.lock();
            let id = self.books.lock().join(user, sizes)?;
            let pool = pools.entry(id).or_insert_with(|| {
                Arc::new(Pool {
                    db: Arc::clone(self),
                    id,
                    user: user.to_owned(),
                    founder: client.to_owned(),
                    credential: Mutex::new(credential.clone().unwrap_or(Credential::None)),
                    welcomes: Welcomes::default(),
                    catalogue: Arc::new(Catalogue::new(
                        Arc::clone(&self.schema),
                        config.plan_reuse,
                    )),
                    pins: Arc::new(Pins::new(config.pins.clone())),
                    audited: Audited::default(),
                    meter: self.meters.of(&self.name, user),
                    cards: ServerCards::default(),
                    failing: AtomicBool::new(false),
                })
            });
            Arc::clone(pool)
        };
        if let Some(credential) = credential {
            pool.show(credential);
        }
        Ok(Membership(pool))
    }

    /// All its pools.
    pub(crate) fn all_pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().values().map(Arc::clone).collect()
    }

    fn pool(&self, id: PoolId) -> Option<Arc<Pool>> {
        self.pools.lock().get(&id).map(Arc::clone)
    }

    /// Does what the books want done.
    pub(super) fn perform(self: &Arc<Self>, work: Vec<Work<Box<ServerConn>, Arc<Bell>>>) {
        for item in work {
            match item {
                Work::Open(id) => match self.pool(id) {
                    Some(pool) => upstream::start_opening(&pool),
                    None => warn!(
                        database = self.name,
                        "an opening was asked for a pool that is not there"
                    ),
                },
                Work::Give(id, turn) => match self.pool(id) {
                    Some(pool) => pool.hand_out(turn),
                    None => turn.conn.close(),
                },
                Work::Close(conn) => conn.close(),
                Work::Refuse(bell, error) => bell.refuse(error),
            }
        }
    }

    pub(super) fn work(self: &Arc<Self>, now: Instant) {
        let work = self.books.lock().work(now);
        self.perform(work);
    }

    /// Looks after what time brings: idle and old connections, the reserve, outages, dead sockets.
    pub(crate) fn tick(self: &Arc<Self>, now: Instant) {
        let idle_timeout = self.timeouts().server_idle_timeout;
        let work = self.books.lock().tick(idle_timeout, now);
        self.perform(work);
        self.close_unused(now);
    }

    /// Is it this database of the server at this address?
    pub(crate) fn is_at(&self, address: &Address, name: &str) -> bool {
        let config = self.config();
        let upstream = &config.upstream;
        let own = upstream.database.as_ref().unwrap_or(&self.name);
        own == name && upstream.address == *address
    }

    /// Closes idle connections if no client is in, now and for a while: a client may be about to
    /// leave. One that stays is for PostgreSQL to refuse, as it would without us.
    pub(crate) fn vacate(&self, now: Instant) {
        self.books.lock().vacate(now + VACATED_FOR);
        self.close_unused(now);
    }

    fn close_unused(&self, now: Instant) {
        let unused = self.books.lock().unused(now);
        for conn in unused {
            conn.close();
        }
    }

    /// Closes idle connections whose server has gone, so that it is noticed before somebody needs one (F2).
    pub(crate) fn weed(self: &Arc<Self>) {
        let dead = self.books.lock().weed(|conn| !conn.is_sound());
        if !dead.is_empty() {
            info!(
                database = self.name,
                count = dead.len(),
                "idle server connections were closed by the server"
            );
        }
    }

    /// It has server connections.
    pub(crate) fn has_servers(&self) -> bool {
        self.books.lock().total() > 0
    }

    /// It has no client and no connection, and the operator wants nothing of it.
    pub(crate) fn is_vacant(&self) -> bool {
        let books = self.books.lock();
        let is_untouched = books.held() == Hold::Off && !books.is_disabled();
        books.is_quiet() && books.total() == 0 && is_untouched
    }

    /// What became of the logins to its server.
    pub(crate) fn logins(&self) -> Logins {
        self.logins.lock().clone()
    }

    /// Nobody uses or awaits a server connection.
    pub(crate) fn is_quiet(&self) -> bool {
        self.books.lock().is_quiet()
    }
}

impl Pool {
    /// Where this worker counts what passes through it.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        self.meter.of(self.db.workers.here().nth)
    }

    pub(crate) fn credential(&self) -> Credential {
        self.credential.lock().clone()
    }

    /// The server is shown this from now on. If it is something else than before, the server's
    /// refusal of that need not stop anybody any more.
    fn show(&self, credential: Credential) {
        let mut shown = self.credential.lock();
        let is_new = !shown.is_same(&credential);
        *shown = credential;
        drop(shown);
        if is_new {
            self.db.books.lock().has_other_keys(self.id);
        }
    }

    /// A server connection for the client with this bell, in the name of `party`, now or later:
    /// later, its tray is open.
    pub(crate) fn claim(
        self: &Arc<Self>,
        bell: &Arc<Bell>,
        party: &Party,
        worker: usize,
        now: Instant,
    ) -> Claim {
        let (ticket, work) = loop {
            let mut books = self.db.books.lock();
            match books.ask(self.id, party, worker, now) {
                Asked::Granted(mut conn) => {
                    drop(books);
                    if conn.is_fit(worker) {
                        return Claim::Granted(Lease::new(Arc::clone(self), conn, party.number));
                    }
                    // It died while it was idle (F2). Nothing was sent on it: take the next.
                    debug!(
                        database = self.db.name,
                        "an idle server connection was found dead"
                    );
                    drop(Lease::new(Arc::clone(self), conn, party.number));
                }
                Asked::Refused(error) => return Claim::Refused(error),
                Asked::Wait => {
                    bell.open_tray();
                    let ticket = books.wait(self.id, party, worker, Arc::clone(bell), now);
                    break (ticket, books.serve(self.id, worker, now));
                }
            }
        };
        self.db.perform(work);
        match ticket {
            Some(ticket) => Claim::Queued(Queued {
                pool: Arc::clone(self),
                ticket,
                bell: Arc::clone(bell),
            }),
            None => Claim::Refused(Error::new(
                crate::error::Kind::ServerUnavailable,
                "the pool is gone",
            )),
        }
    }

    /// Gives a clean connection back, to the next in the queue if there is one.
    pub(super) fn give_back(self: &Arc<Self>, party: u64, conn: Box<ServerConn>, now: Instant) {
        let given = {
            let mut books = self.db.books.lock();
            let (worker, expires) = (conn.worker, conn.expiry(now));
            books.give_back(self.id, party, conn, worker, expires, now)
        };
        self.settle(given, now);
    }

    /// A connection that was leased is closed and off the books.
    pub(super) fn closed(self: &Arc<Self>, party: u64, now: Instant) {
        self.db.books.lock().closed(self.id, party, now);
        self.db.work(now);
    }

    /// A leased connection is in another party's name from now on.
    pub(super) fn transfer(&self, from: u64, to: &Party, now: Instant) {
        self.db.books.lock().transfer(self.id, from, to, now);
    }

    fn settle(self: &Arc<Self>, given: Given<Box<ServerConn>, Arc<Bell>>, now: Instant) {
        match given {
            Given::Kept => {}
            Given::Close(conn) => {
                conn.close();
                self.db.work(now);
            }
            Given::To(turn) => self.hand_out(turn),
        }
    }

    fn hand_out(self: &Arc<Self>, turn: Turn<Box<ServerConn>, Arc<Bell>>) {
        // A waiter that has left in this moment lets the lease fall, which passes it on.
        let lease = Lease::new(Arc::clone(self), turn.conn, turn.party);
        if let Err(lease) = turn.waiter.grant(lease) {
            lease.give_back(Instant::now());
        }
    }

    /// A connection is open; reported exactly once for each opening.
    pub(super) fn opened(self: &Arc<Self>, conn: Box<ServerConn>, now: Instant) {
        if self.failing.swap(false, Ordering::Relaxed) {
            info!(
                database = self.db.name,
                user = self.user,
                "the database server is reachable again"
            );
        }
        self.db.logins.lock().worked = true;
        self.cards.add(&conn.card);
        let given = {
            let mut books = self.db.books.lock();
            let (worker, expires) = (conn.worker, conn.expiry(now));
            books.opened(self.id, conn, worker, expires, now)
        };
        self.settle(given, now);
        // It may have been the one that others had to wait for (`max_connecting`, an outage).
        self.db.work(now);
    }

    /// A connection could not be opened; reported exactly once for each opening.
    pub(super) fn not_opened(
        self: &Arc<Self>,
        error: Error,
        hopeless: bool,
        jitter: u8,
        now: Instant,
    ) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(database = self.db.name, user = self.user, %error, "no connection to the database server");
        }
        self.db.logins.lock().failure = Some(error.clone());
        self.traffic().connects_failed.one();
        self.db
            .books
            .lock()
            .not_opened(self.id, error, hopeless, jitter, now);
        self.db.work(now);
    }

    /// Whether clients wait for a server connection.
    pub(super) fn is_waited_for(&self) -> bool {
        self.db.books.lock().snapshot(self.id).waiting > 0
    }

    /// Whether server connections are reset after each lease, whatever was seen of it.
    pub(super) fn resets_always(&self) -> bool {
        self.db.resets_always.load(Ordering::Relaxed)
    }
}

/// A client's place among those who may ask a pool. Leaves when it is dropped (G6).
pub(crate) struct Membership(Arc<Pool>);

impl Membership {
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.0
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.db.books.lock().leave(self.0.id);
    }
}

/// A place in the queue. When it is dropped the client waits no longer; a connection that was
/// handed over in that moment is passed on (G1).
#[derive(Debug)]
pub(crate) struct Queued {
    pool: Arc<Pool>,
    ticket: Ticket,
    bell: Arc<Bell>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.pool
            .db
            .books
            .lock()
            .withdraw(self.pool.id, self.ticket, Instant::now());
        if let Tray::Granted(lease) = self.bell.close_tray() {
            lease.give_back(Instant::now());
        }
    }
}
