//! Prepared statements as a pool shares them: by number, with what they were parsed from.
//!
//! Clients that prepare the same text with the same types, under the same settings, share one number
//! and so one statement on each server connection.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{Profile, reuse::Sightings, schema::Schema, settings::intern, shape::Shape};
use crate::{sync::Mutex, tenant::Context};

/// What server-side names begin with.
pub(super) const PREFIX: &[u8] = b"pgusher_";

/// Statements that a pool remembers although no client has them now, so that short-lived clients
/// find them again.
const MOST_SHARED: usize = 5_000;

/// Bytes of their texts.
const MOST_SHARED_BYTES: usize = 16 * 1024 * 1024;

/// Where there is no room: how many new ones come before it is looked for again, which takes a look at
/// each of the others.
const PATIENCE: usize = MOST_SHARED / 10;

type Defaults = HashMap<Box<[u8]>, Arc<[u8]>>;

/// Settings whose default is remembered: PostgreSQL has about 400.
const MOST_DEFAULTS: usize = 1_000;

/// A text with its parameter types, known by number.
#[derive(Debug)]
pub(super) struct Statement {
    /// The number. Never used twice.
    pub(super) id: u64,
    /// What follows the name in a Parse message.
    pub(super) body: Box<[u8]>,
    /// Settings that it was parsed under: they may change what it means (C13).
    flavour: Arc<Profile>,
    /// The tables were as they were then.
    pub(super) version: u64,
    /// What clients were told of it.
    pub(super) shape: Arc<Shape>,
}

impl Statement {
    /// Its text was too long to be kept.
    pub(super) fn is_private(&self) -> bool {
        self.body.is_empty()
    }

    /// It was parsed from this body under these settings.
    fn is_from(&self, body: &[u8], flavour: &Arc<Profile>) -> bool {
        *self.body == *body && (Arc::ptr_eq(&self.flavour, flavour) || self.flavour == *flavour)
    }

    /// It is what parsing this body under these settings gives, with the tables as in `version`.
    pub(super) fn is_of(&self, body: &[u8], flavour: &Arc<Profile>, version: u64) -> bool {
        self.is_from(body, flavour) && self.version == version && !self.shape.is_outdated()
    }

    /// Its name on servers.
    pub(super) fn server_name(id: u64) -> ServerName {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut name = ServerName {
            bytes: [0; MOST_SERVER_NAME],
            length: 0,
        };
        let count = usize::try_from(u64::BITS - id.leading_zeros()).unwrap_or(0);
        let digits = (0..count.div_ceil(4).max(1)).rev().map(|nth| {
            let digit = usize::try_from(id >> (4 * nth) & 0xf).unwrap_or(0);
            DIGITS.get(digit).copied().unwrap_or(b'?')
        });
        for (place, byte) in name
            .bytes
            .iter_mut()
            .zip(PREFIX.iter().copied().chain(digits))
        {
            *place = byte;
            name.length += 1;
        }
        name
    }
}

/// The name of a statement on servers, with the NUL that ends it in messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerName {
    bytes: [u8; MOST_SERVER_NAME],
    length: usize,
}

/// The prefix, sixteen digits and the NUL.
const MOST_SERVER_NAME: usize = PREFIX.len() + 17;

impl ServerName {
    /// As it stands in SQL.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// With its NUL.
    pub(super) fn terminated(&self) -> &[u8] {
        self.bytes.get(..=self.length).unwrap_or_default()
    }
}

/// A client must not reach a statement of others by guessing its name on the server.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

/// Whether such a name may occur in a text. A coarse question that each text is asked, so it looks for
/// the letter that is least common in SQL, and for names that are written by numbers
/// (`U&"\0070gusher_1"`).
pub(super) fn may_name_reserved(text: &[u8]) -> bool {
    let is_second = |at: usize| {
        let word = at.checked_sub(1).and_then(|start| text.get(start..));
        let word = word.and_then(|word| word.get(..PREFIX.len()));
        word.is_some_and(|word| word.eq_ignore_ascii_case(PREFIX))
    };
    memchr::memchr3_iter(b'g', b'G', b'&', text)
        .any(|at| is_second(at) || text.get(at..at + 2) == Some(b"&\""))
}

#[derive(Default)]
struct Shared {
    /// The tables were as now when these were parsed.
    version: u64,
    by_hash: HashMap<u64, Vec<Arc<Statement>>>,
    count: usize,
    bytes: usize,
    /// New statements before those that nobody has are looked for again.
    patience: usize,
}

/// The statements of a pool.
#[derive(Default)]
pub struct Catalogue {
    hasher: RandomState,
    shared: Mutex<Shared>,
    /// The statements that give contexts, by the number of their settings.
    injections: Mutex<Vec<(usize, Arc<Statement>)>>,
    next: AtomicU64,
    /// Statements that clients do not name are here as well.
    reuses: AtomicBool,
    /// The texts of those.
    pub(super) sightings: Sightings,
    /// The tables that they are about.
    schema: Arc<Schema>,
    /// Settings of clients that have changed theirs.
    profiles: Mutex<HashSet<Arc<Profile>>>,
    /// What settings are where nobody has set them.
    defaults: Mutex<Defaults>,
}

impl Catalogue {
    /// Of a pool of the database with this schema; whether statements that clients do not name are
    /// kept to be used again.
    pub fn new(schema: Arc<Schema>, reuses: bool) -> Self {
        Self {
            schema,
            reuses: AtomicBool::new(reuses),
            ..Self::default()
        }
    }

    /// From now on, statements that clients do not name are kept to be used again, or not.
    pub fn reuse_unnamed(&self, reuses: bool) {
        self.reuses.store(reuses, Ordering::Relaxed);
    }

    /// Whether statements that clients do not name are kept to be used again.
    pub(super) fn reuses_unnamed(&self) -> bool {
        self.reuses.load(Ordering::Relaxed)
    }

    /// The tables that its statements are about.
    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// A number that nobody else has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The statement with this body, parsed under these settings.
    pub(super) fn statement(&self, body: &[u8], flavour: &Arc<Profile>) -> Arc<Statement> {
        // If there is no room for it, it is the client's own.
        self.shared(body, flavour)
            .unwrap_or_else(|| self.unshared(body, flavour))
    }

    /// The same, if all clients can have it.
    pub(super) fn shared(&self, body: &[u8], flavour: &Arc<Profile>) -> Option<Arc<Statement>> {
        let hash = self.hasher.hash_one(body);
        let version = self.schema.version();
        let mut shared = self.shared.lock();
        if shared.version != version {
            *shared = Shared {
                version,
                ..Shared::default()
            };
        }
        if let Some(found) = shared.find(hash, body, flavour) {
            return Some(found);
        }
        if shared.count >= MOST_SHARED || shared.bytes + body.len() > MOST_SHARED_BYTES {
            shared.look_for_room();
        }
        if shared.count >= MOST_SHARED || shared.bytes + body.len() > MOST_SHARED_BYTES {
            return None;
        }
        let statement = self.unshared(body, flavour);
        shared.count += 1;
        shared.bytes += body.len();
        shared
            .by_hash
            .entry(hash)
            .or_default()
            .push(Arc::clone(&statement));
        Some(statement)
    }

    /// A statement that is not shared: what it means depends on settings that are not known.
    pub(super) fn unshared(&self, body: &[u8], flavour: &Arc<Profile>) -> Arc<Statement> {
        Arc::new(Statement {
            id: self.number(),
            body: body.into(),
            flavour: Arc::clone(flavour),
            version: self.schema.version(),
            shape: Arc::default(),
        })
    }

    /// The one copy of a profile that all clients of the pool have who have the same settings.
    pub(super) fn profile(&self, profile: Profile) -> Arc<Profile> {
        intern(&mut self.profiles.lock(), profile)
    }

    /// What a setting is on a connection where nobody has set it, as far as is known.
    pub(super) fn default_of(&self, name: &[u8]) -> Option<Arc<[u8]>> {
        self.defaults.lock().get(name).map(Arc::clone)
    }

    /// A server has told what a setting is where nobody has set it.
    pub(super) fn learn_default(&self, name: &[u8], value: &[u8]) {
        let mut defaults = self.defaults.lock();
        if defaults.len() < MOST_DEFAULTS || defaults.contains_key(name) {
            defaults.insert(name.into(), value.into());
        }
    }

    /// A statement whose text is too long to be kept: it lives where it was parsed, and nowhere else.
    pub(super) fn private(&self, flavour: &Arc<Profile>) -> Arc<Statement> {
        self.unshared(b"", flavour)
    }

    /// What `see` makes of each statement that is remembered.
    pub(super) fn remembered<T>(&self, see: impl Fn(&Arc<Statement>) -> T) -> Vec<T> {
        let shared = self.shared.lock();
        shared.by_hash.values().flatten().map(see).collect()
    }

    /// The statement that gives the tenant's context.
    pub(super) fn injection(&self, context: &Context) -> Arc<Statement> {
        let shape = context.sets();
        let mut injections = self.injections.lock();
        if let Some((_, known)) = injections.iter().find(|(sets, _)| *sets == shape) {
            return Arc::clone(known);
        }
        let mut body = context.statement().into_bytes();
        // Its end, and no parameter types.
        body.extend_from_slice(&[0, 0, 0]);
        let statement = self.unshared(&body, &Arc::default());
        injections.push((shape, Arc::clone(&statement)));
        statement
    }
}

impl Shared {
    /// The statement with this body, unless it must be parsed anew.
    fn find(&mut self, hash: u64, body: &[u8], flavour: &Arc<Profile>) -> Option<Arc<Statement>> {
        let same = self.by_hash.get_mut(&hash)?;
        let place = same.iter().position(|it| it.is_from(body, flavour))?;
        let found = same.get(place)?;
        if !found.shape.is_outdated() {
            return Some(Arc::clone(found));
        }
        same.swap_remove(place);
        self.count -= 1;
        self.bytes -= body.len();
        None
    }

    /// Forgets those that nobody has.
    fn look_for_room(&mut self) {
        if let Some(less) = self.patience.checked_sub(1) {
            self.patience = less;
            return;
        }
        self.retain(|it| Arc::strong_count(it) > 1);
        self.patience = PATIENCE;
    }

    fn retain(&mut self, keep: impl Fn(&Arc<Statement>) -> bool) {
        let (mut count, mut bytes) = (0, 0);
        self.by_hash.retain(|_, same| {
            same.retain(&keep);
            count += same.len();
            bytes += same.iter().map(|it| it.body.len()).sum::<usize>();
            !same.is_empty()
        });
        (self.count, self.bytes) = (count, bytes);
    }
}

// Texts of clients do not belong in a log, and a map has no order worth printing.
impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.shared.lock().count;
        f.debug_struct("Catalogue")
            .field("count", &count)
            .finish_non_exhaustive()
    }
}
