//! What all connections share: the configuration, the databases, who is in and under which key.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    bell::{Bell, ring},
    cards::ClientCard,
    console::Reception,
    control::{self, Shutdown},
    directory::Directory,
    gate::Gate,
    journal::Journal,
    keys::Keys,
    meters::Meters,
    pool::{Db, Logins, Pool},
    reload::Reloads,
    report::Reports,
    token_keys::TokenKeys,
    upstream::fill_random,
    users::Users,
    worker::Workers,
};
use crate::{
    auth::{Secret, client::preparation},
    cancel::{KEY_MATERIAL, Key, Registry},
    config::settings::{AuthMethod, Config},
    error::{Error, Kind},
    limit::Who,
    pool::Hold,
    sync::Mutex,
};

/// Databases that `"*"` may stand for at once. Each that is asked for costs a little memory for as long as it is in use.
const MOST_WILDCARDS: usize = 1000;

/// Users whose keys are derived before they come: a few seconds of computing.
const MOST_PREPARED: usize = 2000;

/// Somebody who has logged in.
struct Guest {
    bell: Arc<Bell>,
    card: Option<Arc<ClientCard>>,
}

/// The place that everybody passes through.
pub(crate) struct Lobby {
    config: Mutex<Arc<Config>>,
    pub(crate) started: Instant,
    /// What `notice_after` says, in nanoseconds; `u64::MAX` = nothing. Each transaction looks at it.
    notice_after: AtomicU64,
    pub(crate) workers: Workers,
    pub(crate) keys: Arc<Keys>,
    /// What tokens are signed with.
    pub(crate) token_keys: TokenKeys,
    /// What is counted.
    pub(crate) meters: Arc<Meters>,
    /// Where tenants are asked for, if anywhere.
    pub(crate) directory: Option<Directory>,
    /// Where users are asked for that the configuration has no secret for, if anywhere.
    pub(crate) roles: Option<Users>,
    /// Who is listened to.
    pub(crate) gate: Gate,
    /// What is written about clients.
    pub(crate) journal: Journal,
    /// What is told of single transactions.
    pub(crate) reports: Reports,
    /// Where clients go that want the console.
    pub(crate) reception: Reception,
    /// Makes up salts for users that do not exist; the same for as long as the program runs.
    pub(crate) seed: [u8; 32],
    databases: Mutex<Databases>,
    sessions: Mutex<Registry<Guest>>,
    users: Mutex<HashMap<Arc<str>, usize>>,
    clients: AtomicUsize,
    handshakes: AtomicUsize,
    /// Visitors of the console among them.
    visitors: AtomicUsize,
    pub(super) stopping: AtomicBool,
    pub(super) closing: AtomicBool,
    /// Attempts to read the configuration again.
    pub(super) reloads: Mutex<Reloads>,
    /// How pgusher is to end, if somebody has said so and nobody has heard it.
    pub(super) shutdown: Mutex<Option<Shutdown>>,
    pub(super) ordered: Notify,
}

/// The databases that are in use or may be.
#[derive(Default)]
struct Databases {
    by_name: HashMap<String, Arc<Db>>,
    /// Those that are configured no longer, and still have clients.
    retired: Vec<Arc<Db>>,
    /// What holds for those that come to be.
    hold: Hold,
}

impl Lobby {
    pub(crate) fn new(config: Config, workers: Workers, reception: Reception) -> Arc<Self> {
        let mut seed = [0; 32];
        fill_random(&mut seed);
        let keys: Arc<Keys> = Arc::default();
        let meters = Meters::new(workers.len());
        let configured = config.databases.iter().filter(|(name, _)| *name != "*");
        let databases = configured
            .map(|(name, it)| {
                (
                    name.clone(),
                    Db::new(name, it.clone(), &workers, &keys, &meters),
                )
            })
            .collect();
        let directory = config.tenants_query.clone().map(|query| {
            let accounts = Arc::clone(&config.accounts);
            Directory::new(query, accounts, workers.clone(), Arc::clone(&keys))
        });
        let roles = config.auth_query.clone();
        let roles = roles.map(|query| Users::new(query, workers.clone(), Arc::clone(&keys)));
        Arc::new(Self {
            token_keys: TokenKeys::new(config.tokens.as_deref(), workers.clone()),
            journal: Journal::new(&config.log),
            reports: Reports::new(&config),
            notice_after: AtomicU64::new(nanos(config.notice_after)),
            config: Mutex::new(Arc::new(config)),
            started: Instant::now(),
            directory,
            gate: Gate::default(),
            roles,
            workers,
            keys,
            meters,
            reception,
            seed,
            databases: Mutex::new(Databases {
                by_name: databases,
                retired: Vec::new(),
                hold: Hold::Off,
            }),
            sessions: Mutex::default(),
            users: Mutex::default(),
            clients: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            visitors: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            reloads: Mutex::new(Reloads::none()),
            shutdown: Mutex::default(),
            ordered: Notify::new(),
        })
    }

    /// Derives the keys of users whose passwords are stored in clear before they come, so that their
    /// first login tells nobody that there are such users (A4).
    pub(crate) fn prepare_logins(&self, config: &Arc<Config>) {
        if config.auth != AuthMethod::Scram && config.hba.is_none() {
            return;
        }
        let (config, keys, seed) = (Arc::clone(config), Arc::clone(&self.keys), self.seed);
        self.workers.idlest().spawn(async move {
            let users = config.users.iter().take(MOST_PREPARED);
            for (name, user) in users {
                if let Some(Secret::Plain(password)) = &user.secret {
                    keys.derive(preparation(name.as_bytes(), password, &seed))
                        .await;
                }
            }
        });
    }

    /// The configuration as it is now. Whoever needs two things that belong together takes both from one.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock())
    }

    /// Another configuration holds from now on. Databases that it does not have let nobody new in.
    pub(super) fn replace_config(&self, new: Arc<Config>) {
        let mut databases = self.databases.lock();
        self.notice_after
            .store(nanos(new.notice_after), Ordering::Relaxed);
        *self.config.lock() = Arc::clone(&new);
        let has_any = new.databases.contains_key("*");
        let gone = databases
            .by_name
            .extract_if(|name, _| !has_any && !new.databases.contains_key(name));
        let gone: Vec<Arc<Db>> = gone.map(|(_, db)| db).collect();
        databases.retired.extend(gone);
        for (name, config) in &new.databases {
            if name == "*" || databases.by_name.contains_key(name) {
                continue;
            }
            let db = Db::new(
                name,
                config.clone(),
                &self.workers,
                &self.keys,
                &self.meters,
            );
            control::begin(&mut db.books.lock(), databases.hold);
            databases.by_name.insert(name.clone(), db);
        }
    }

    /// Who has waited for so long before its transaction could begin is told so.
    pub(crate) fn is_long(&self, waited: Duration) -> bool {
        nanos(Some(waited)) >= self.notice_after.load(Ordering::Relaxed)
    }

    /// The database that a client asks for.
    pub(crate) fn database(&self, name: &str) -> Result<Arc<Db>, Error> {
        let mut databases = self.databases.lock();
        if let Some(db) = databases.by_name.get(name) {
            return Ok(Arc::clone(db));
        }
        let unknown = || {
            Error::new(
                Kind::DatabaseUnknown,
                format!("database \"{name}\" does not exist"),
            )
        };
        let config = self.config();
        let wildcard = config.databases.get("*").ok_or_else(unknown)?;
        if databases.by_name.len() >= config.databases.len() + MOST_WILDCARDS {
            return Err(unknown().detail("Too many databases are in use at once."));
        }
        let config = wildcard.clone();
        let db = Db::new(name, config, &self.workers, &self.keys, &self.meters);
        control::begin(&mut db.books.lock(), databases.hold);
        databases.by_name.insert(name.to_owned(), Arc::clone(&db));
        Ok(db)
    }

    /// All pools of all databases.
    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        let databases = self.databases();
        databases.iter().flat_map(|db| db.all_pools()).collect()
    }

    /// All databases that are known now.
    pub(crate) fn databases(&self) -> Vec<Arc<Db>> {
        let databases = self.databases.lock();
        let known = databases.by_name.values().chain(&databases.retired);
        known.map(Arc::clone).collect()
    }

    /// Looks after the pools, and forgets databases that `"*"` stood for and nobody uses.
    pub(crate) fn tick(&self, now: Instant) {
        self.journal.tick(now);
        self.reports.tick(now);
        self.meters.tick(now);
        let config = self.config();
        let accounts = &config.accounts;
        accounts.tick(now);
        if accounts.is_crowded(now) {
            let accounts = Arc::clone(accounts);
            drop(tokio::task::spawn_blocking(move || accounts.forget(now)));
        }
        for db in self.databases() {
            db.tick(now);
        }
        let named = &config.databases;
        let mut databases = self.databases.lock();
        databases.by_name.retain(|name, db| {
            named.contains_key(name) || Arc::strong_count(db) > 1 || !db.is_vacant()
        });
        databases.retired.retain(|db| {
            db.vacate(now);
            Arc::strong_count(db) > 1 || db.has_servers()
        });
    }

    /// Somebody drops, renames or copies the database `name` of the server of `pool`: none of our idle
    /// connections may stand in the way.
    pub(crate) fn vacate(&self, name: &str, pool: &Pool, now: Instant) {
        let address = pool.db.config().upstream.address.clone();
        for db in self.databases() {
            if db.is_at(&address, name) {
                db.vacate(now);
            }
        }
    }

    /// A connection comes in; `None` if there are too many. Leaves when the pass is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Pass> {
        let pass = Pass(Arc::clone(self));
        let before = self.clients.fetch_add(1, Ordering::Relaxed);
        (before < self.config().listen.max_clients).then_some(pass)
    }

    /// Clients that are in, those that have not logged in included.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Clients that have shown who they are: those whom a shutdown waits for.
    pub(crate) fn guests(&self) -> usize {
        self.clients()
            .saturating_sub(self.handshakes.load(Ordering::Relaxed))
            .saturating_sub(self.gate.held())
    }

    /// A login begins; `None` if too many are under way (A15).
    pub(crate) fn begin_handshake(self: &Arc<Self>) -> Option<Handshaking> {
        let handshaking = Handshaking(Arc::clone(self));
        let before = self.handshakes.fetch_add(1, Ordering::Relaxed);
        (before < self.config().listen.max_handshakes).then_some(handshaking)
    }

    /// Counts a client of `user` in.
    pub(crate) fn admit_user(self: &Arc<Self>, user: &str) -> Result<UserSeat, Error> {
        let config = self.config();
        let limit = config.users.get(user).and_then(|user| user.max_clients);
        let mut users = self.users.lock();
        let (user, count) = match users.get_key_value(user) {
            Some((user, count)) => (Arc::clone(user), *count),
            None => (Arc::from(user), 0),
        };
        if limit.is_some_and(|limit| count >= limit) {
            let message = format!("too many connections for user \"{user}\"");
            let hint = format!("Its max_clients is {}.", limit.unwrap_or(0));
            return Err(Error::new(Kind::TooManyClients, message).hint(hint));
        }
        users.insert(Arc::clone(&user), count + 1);
        Ok(UserSeat {
            lobby: Arc::clone(self),
            user,
        })
    }

    /// Gives a session its cancel key.
    pub(crate) fn register(self: &Arc<Self>, bell: &Arc<Bell>, long: bool) -> (Registration, Key) {
        let mut session = Guest {
            bell: Arc::clone(bell),
            card: None,
        };
        loop {
            let mut random = [0; KEY_MATERIAL];
            fill_random(&mut random);
            match self.sessions.lock().register(&random, long, session) {
                Ok(key) => {
                    let registration = Registration {
                        lobby: Arc::clone(self),
                        pid: key.pid,
                    };
                    return (registration, key);
                }
                Err(again) => session = again,
            }
        }
    }

    /// The cards of all who have logged in.
    pub(crate) fn cards(&self) -> Vec<Arc<ClientCard>> {
        let sessions = self.sessions.lock();
        sessions.iter().filter_map(|it| it.card.clone()).collect()
    }

    /// The cards of those who keep a server connection, the longest first.
    pub(crate) fn pinned(&self) -> Vec<Arc<ClientCard>> {
        let mut cards = self.cards();
        cards.retain(|card| !card.holds().is_empty());
        cards.sort_by_key(|card| Reverse(card.kept_for()));
        cards
    }

    /// Somebody asks to cancel what the session with this key does. Nobody is told whether there is one.
    pub(crate) fn cancel(&self, pid: u32, secret: &[u8]) {
        if let Some(guest) = self.sessions.lock().find(pid, secret) {
            guest.bell.ring(ring::CANCEL);
        }
    }

    /// The clients of an account are to leave.
    pub(crate) fn kill(&self, who: &Who) {
        self.config().accounts.expel(who, Instant::now());
        // Nobody keeps a list of an account's sessions: each looks whether it is meant.
        self.ring_all(ring::EXPELLED);
    }

    pub(super) fn ring_all(&self, why: u8) {
        for guest in self.sessions.lock().iter() {
            guest.bell.ring(why);
        }
    }

    /// Whether there is a session with this number.
    pub(super) fn ring_one(&self, id: u32, why: u8) -> bool {
        let sessions = self.sessions.lock();
        let guest = sessions.get(id);
        guest.inspect(|guest| guest.bell.ring(why)).is_some()
    }

    /// Databases that come to be are held in this way.
    pub(super) fn hold_new(&self, hold: Hold) {
        self.databases.lock().hold = hold;
    }

    pub(crate) fn held_new(&self) -> Hold {
        self.databases.lock().hold
    }

    /// Those who are in are to leave.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Nobody is let in any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_stopping() || self.closing.load(Ordering::SeqCst)
    }

    /// A guest goes to the console.
    pub(crate) fn visit(self: &Arc<Self>) -> Visit {
        self.visitors.fetch_add(1, Ordering::Relaxed);
        Visit(Arc::clone(self))
    }

    /// Clients of databases.
    pub(crate) fn patrons(&self) -> usize {
        let visitors = self.visitors.load(Ordering::Relaxed);
        self.guests().saturating_sub(visitors)
    }

    /// Whether new clients should be sent here; if not, why.
    ///
    /// A database that fails after it has worked is no reason: its clients wait, or are told, and
    /// keep their connections, and elsewhere they would meet the same database.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if self.is_closed() {
            return Err("stopping".to_owned());
        }
        let logins: Vec<Logins> = self.databases().iter().map(|db| db.logins()).collect();
        if logins.iter().any(|it| it.worked) {
            return Ok(());
        }
        match logins.into_iter().find_map(|it| it.failure) {
            Some(error) => Err(error.to_string()),
            None => Ok(()),
        }
    }
}

/// A time as a number to compare with; none is longer than any.
fn nanos(time: Option<Duration>) -> u64 {
    time.map_or(u64::MAX, crate::limit::tier::nanos)
}

/// A connection's presence.
pub(crate) struct Pass(Arc<Lobby>);

impl Pass {
    pub(crate) fn lobby(&self) -> &Arc<Lobby> {
        &self.0
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A visit to the console.
pub(crate) struct Visit(Arc<Lobby>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.visitors.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A login under way.
pub(crate) struct Handshaking(Arc<Lobby>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client counted for its user.
pub(crate) struct UserSeat {
    lobby: Arc<Lobby>,
    user: Arc<str>,
}

impl Drop for UserSeat {
    fn drop(&mut self) {
        let mut users = self.lobby.users.lock();
        if let Some(count) = users.get_mut(&self.user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

/// A session's cancel key, valid until it is dropped.
pub(crate) struct Registration {
    lobby: Arc<Lobby>,
    pid: u32,
}

impl Registration {
    /// From now on this is its client's bell. What the one before was rung for is not lost.
    pub(crate) fn rehang(&self, bell: &Arc<Bell>) {
        let mut sessions = self.lobby.sessions.lock();
        if let Some(guest) = sessions.get_mut(self.pid) {
            let before = std::mem::replace(&mut guest.bell, Arc::clone(bell));
            if let Poll::Ready(why) = before.poll_rung() {
                bell.ring(why);
            }
        }
    }

    /// From now on it can be seen who that is.
    pub(crate) fn show(&self, card: &Arc<ClientCard>) {
        if let Some(guest) = self.lobby.sessions.lock().get_mut(self.pid) {
            guest.card = Some(Arc::clone(card));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.lobby.sessions.lock().forget(self.pid);
    }
}
