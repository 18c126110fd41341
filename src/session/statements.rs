//! Prepared statements of clients, in transaction mode.
//!
//! A client's statement outlives the server connection it was parsed on. Its name is the
//! client's own; on servers it goes by a number, and clients that prepared the same text with
//! the same types, under the same settings, share one number and so one server-side statement.
//! When a client binds a statement that the server connection at hand has not parsed yet, its
//! Parse goes in front of the Bind, in the same write.
//!
//! Names change when messages are *sent*, because later messages of the same batch rely on them.
//! If the server then skips those messages (C2), the changes are undone (C4): each one is written
//! into a journal until it is answered.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Profile, prepared::UnnamedTag, reading::Act, renamed::Renamed, schema::Schema, shape::Shape,
    touches::Touches,
};
use crate::{
    sql::Dialect,
    sync::Mutex,
    tenant::{Context, Known},
};

/// What server-side names begin with.
pub(super) const PREFIX: &[u8] = b"pgusher_";

/// Statements that a pool remembers although no client has them now, so that short-lived clients
/// find them again.
const MOST_SHARED: usize = 5_000;

/// Bytes of their texts.
const MOST_SHARED_BYTES: usize = 16 * 1024 * 1024;

/// Sets of settings that are shared between clients.
const MOST_PROFILES: usize = 1_000;

type Defaults = HashMap<Box<[u8]>, Arc<[u8]>>;

/// Settings whose default is remembered: PostgreSQL has about 400.
const MOST_DEFAULTS: usize = 1_000;

/// Names that one client may have. PostgreSQL knows no limit; a client without one would be an outage.
pub(super) const MOST_NAMES: usize = 10_000;

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

#[derive(Default)]
struct Shared {
    /// The tables were as now when these were parsed.
    version: u64,
    by_hash: HashMap<u64, Vec<Arc<Statement>>>,
    count: usize,
    bytes: usize,
}

/// The statements of a pool.
#[derive(Default)]
pub struct Catalogue {
    hasher: RandomState,
    shared: Mutex<Shared>,
    /// The statements that give contexts, by the number of their settings.
    injections: Mutex<Vec<(usize, Arc<Statement>)>>,
    next: AtomicU64,
    /// The tables that they are about.
    schema: Arc<Schema>,
    /// Settings of clients that have changed theirs.
    profiles: Mutex<HashSet<Arc<Profile>>>,
    /// What settings are where nobody has set them.
    defaults: Mutex<Defaults>,
}

impl Catalogue {
    /// Of a pool of the database with this schema.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self {
            schema,
            ..Self::default()
        }
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
        let hash = self.hasher.hash_one(body);
        let version = self.schema.version();
        let mut shared = self.shared.lock();
        if shared.version != version {
            *shared = Shared {
                version,
                ..Shared::default()
            };
        }
        let found = shared.by_hash.get(&hash).and_then(|same| {
            same.iter().find(|it| {
                *it.body == *body && (Arc::ptr_eq(&it.flavour, flavour) || it.flavour == *flavour)
            })
        });
        if let Some(statement) = found {
            return Arc::clone(statement);
        }
        let statement = self.unshared(body, flavour);
        if shared.count >= MOST_SHARED || shared.bytes + body.len() > MOST_SHARED_BYTES {
            shared.forget_unused();
        }
        // If all of them are in use, this one is the client's own.
        if shared.count < MOST_SHARED && shared.bytes + body.len() <= MOST_SHARED_BYTES {
            shared.count += 1;
            shared.bytes += body.len();
            shared
                .by_hash
                .entry(hash)
                .or_default()
                .push(Arc::clone(&statement));
        }
        statement
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
        let mut profiles = self.profiles.lock();
        if let Some(known) = profiles.get(&profile) {
            return Arc::clone(known);
        }
        if profiles.len() >= MOST_PROFILES {
            profiles.retain(|it| Arc::strong_count(it) > 1);
        }
        let profile = Arc::new(profile);
        if profiles.len() < MOST_PROFILES {
            profiles.insert(Arc::clone(&profile));
        }
        profile
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

    /// What it means has changed on the server: who prepares the same text again gets a new one (C12).
    pub(super) fn retire(&self, id: u64) {
        self.shared.lock().retain(|it| it.id != id);
    }
}

impl Shared {
    fn forget_unused(&mut self) {
        self.retain(|it| Arc::strong_count(it) > 1);
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

/// A change of a client's names that the server has not answered yet.
#[derive(Debug)]
pub(super) enum Change {
    Added(Box<[u8]>),
    Removed(Box<[u8]>, Named),
    /// None: the name was taken, and the server will say so.
    Taken(Box<[u8]>),
}

/// What a client's statement means to its session.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    pub(super) act: Act,
    /// The tenant of the comment that it was prepared under.
    pub(super) tenant: Option<Known>,
    /// The statements of the driver that it names in SQL, and what it does to them.
    pub(super) renamed: Option<Arc<Renamed>>,
    /// Its text was not held, but skimmed as it passed.
    pub(super) is_skimmed: bool,
}

impl Meaning {
    /// The statements of the driver that it names in SQL.
    pub(super) fn uses(&self) -> &[Arc<Statement>] {
        self.renamed.as_ref().map_or(&[], |renamed| &renamed.uses)
    }

    /// Of a statement that nothing is known of.
    pub(super) const UNSURE: Self = Self {
        act: Act::UNSURE,
        tenant: None,
        renamed: None,
        is_skimmed: false,
    };
}

/// What a client's name stands for.
#[derive(Debug)]
pub(super) struct Named {
    statement: Arc<Statement>,
    meaning: Option<Meaning>,
    /// How many were prepared before it.
    place: u64,
}

/// A client's unnamed statement.
struct Unnamed {
    generation: u64,
    meaning: Option<Meaning>,
    /// How it was read.
    dialect: Dialect,
    /// What followed the empty name in its Parse; nothing, if that was too long to be kept.
    text: Vec<u8>,
}

/// Room for the text of an unnamed statement that a client keeps to use it again.
const SPARE_ROOM: usize = 4096;

/// The statements of one client.
#[derive(Default)]
pub(super) struct Names {
    client: u64,
    named: HashMap<Box<[u8]>, Named>,
    journal: VecDeque<Change>,
    /// The name that an error is about.
    taken: Option<Box<[u8]>>,
    /// The tables were like this when the oldest of its statements was prepared.
    oldest: Option<u64>,
    /// How many were ever added.
    added: u64,
    unnamed: Option<Unnamed>,
    /// What it was before each change that is not answered yet. As many as the server was sent
    /// and has not read, which is what fits into the sockets' buffers.
    earlier: VecDeque<Option<Unnamed>>,
    spare: Vec<u8>,
    generation: u64,
}

impl Names {
    pub(super) fn new(client: u64) -> Self {
        Self {
            client,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.named.get(name).map(|named| &named.statement)
    }

    /// What a name, or the empty one, means.
    pub(super) fn meaning(&self, name: &[u8]) -> Option<&Meaning> {
        if name.is_empty() {
            return self.unnamed.as_ref()?.meaning.as_ref();
        }
        self.named.get(name)?.meaning.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// All that have names, as they were prepared.
    pub(super) fn in_order(&self) -> Vec<(&[u8], &Arc<Statement>)> {
        let mut all: Vec<_> = self.named.iter().collect();
        all.sort_unstable_by_key(|(_, named)| named.place);
        all.into_iter()
            .map(|(name, named)| (name.as_ref(), &named.statement))
            .collect()
    }

    /// Some of them may be from before the tables were as in `version`.
    pub(super) fn are_older_than(&self, version: u64) -> bool {
        self.oldest.is_some_and(|oldest| oldest != version)
    }

    pub(super) fn add(&mut self, name: &[u8], statement: Arc<Statement>, meaning: Option<Meaning>) {
        if self.named.is_empty() {
            self.oldest = Some(statement.version);
        }
        self.added += 1;
        let named = Named {
            statement,
            meaning,
            place: self.added,
        };
        self.named.insert(name.into(), named);
        self.journal.push_back(Change::Added(name.into()));
    }

    /// Takes a name away; `false` if there is none.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some((name, statement)) = self.named.remove_entry(name) else {
            return false;
        };
        self.journal.push_back(Change::Removed(name, statement));
        true
    }

    /// The oldest change was answered.
    pub(super) fn confirm(&mut self) {
        self.journal.pop_front();
    }

    /// The name is taken: the server, which knows the statement under another, will say so.
    pub(super) fn refuse(&mut self, name: &[u8]) {
        self.journal.push_back(Change::Taken(name.into()));
    }

    /// The `count` oldest changes will never be answered.
    pub(super) fn undo(&mut self, count: usize) {
        let changes: Vec<Change> = self
            .journal
            .drain(..count.min(self.journal.len()))
            .collect();
        for change in changes.into_iter().rev() {
            match change {
                Change::Taken(name) => self.taken = Some(name),
                Change::Added(name) => {
                    self.named.remove(&name);
                }
                Change::Removed(name, statement) => {
                    self.named.insert(name, statement);
                }
            }
        }
    }

    /// The client's name for what a server calls `server_name`.
    pub(super) fn name_of(&self, server_name: &[u8]) -> Option<&[u8]> {
        let is_it =
            |named: &Named| Statement::server_name(named.statement.id).bytes() == server_name;
        let mut all = self.named.iter();
        all.find(|(_, named)| is_it(named))
            .map(|(name, _)| name.as_ref())
    }

    /// The text of a statement has passed: this is what it may do to the session.
    pub(super) fn touch(&mut self, name: &[u8], touches: Touches) {
        let meaning = match name.is_empty() {
            true => self.unnamed.as_mut().and_then(|it| it.meaning.as_mut()),
            false => self.named.get_mut(name).and_then(|it| it.meaning.as_mut()),
        };
        if let Some(meaning) = meaning
            && !touches.is_empty()
        {
            meaning.act.touches = Some(Box::new(touches));
        }
    }

    /// Some statement's text was too long to be kept.
    pub(super) fn has_private(&self) -> bool {
        self.named.values().any(|it| it.statement.is_private())
    }

    /// SQL has deallocated it. Returns its number.
    pub(super) fn forget(&mut self, name: &[u8]) -> Option<u64> {
        self.named.remove(name).map(|named| named.statement.id)
    }

    /// The server has deallocated everything.
    pub(super) fn clear(&mut self) {
        self.named = HashMap::new();
        self.oldest = None;
    }

    /// The client's name that the last error is about, if it is about one that was taken.
    pub(super) fn take_taken(&mut self) -> Option<Box<[u8]>> {
        self.taken.take()
    }

    /// The client parsed the unnamed statement anew.
    pub(super) fn set_unnamed(
        &mut self,
        body: &[u8],
        meaning: Option<Meaning>,
        dialect: Dialect,
    ) -> UnnamedTag {
        let mut text = std::mem::take(&mut self.spare);
        text.clear();
        text.extend_from_slice(body);
        self.generation += 1;
        let generation = self.generation;
        let unnamed = Some(Unnamed {
            generation,
            meaning,
            dialect,
            text,
        });
        self.earlier
            .push_back(std::mem::replace(&mut self.unnamed, unnamed));
        self.tag(generation)
    }

    /// What `body` means, if it is what the unnamed statement was parsed from: drivers that do not
    /// name their statements parse the same one again and again.
    pub(super) fn known_act(&self, body: &[u8], dialect: Dialect) -> Option<&Act> {
        let unnamed = self.unnamed.as_ref()?;
        let same = unnamed.text == body && unnamed.dialect == dialect;
        unnamed.meaning.as_ref().filter(|_| same).map(|it| &it.act)
    }

    /// The unnamed statement was too long to be kept, and the connection that had parsed it is gone.
    pub(super) fn lose_unnamed(&mut self) {
        self.unnamed = None;
    }

    /// The client gave the unnamed statement up.
    pub(super) fn drop_unnamed(&mut self) {
        self.earlier.push_back(self.unnamed.take());
    }

    /// The oldest change of the unnamed statement was answered.
    pub(super) fn confirm_unnamed(&mut self) {
        if let Some(Some(old)) = self.earlier.pop_front()
            && old.text.capacity() <= SPARE_ROOM
        {
            self.spare = old.text;
        }
    }

    /// The `count` oldest changes of the unnamed statement will never be answered. Where the
    /// first of them was tried and `failed`, what was there before is gone all the same.
    pub(super) fn undo_unnamed(&mut self, count: usize, failed: bool) {
        let mut undone = self.earlier.drain(..count.min(self.earlier.len()));
        let Some(first) = undone.next() else { return };
        drop(undone);
        let before = first.filter(|_| !failed);
        match self.earlier.front_mut() {
            Some(next) => *next = before,
            None => self.unnamed = before,
        }
    }

    /// Whether changes of the unnamed statement are not answered yet.
    pub(super) fn awaits_unnamed(&self) -> bool {
        !self.earlier.is_empty()
    }

    pub(super) fn unnamed(&self) -> Option<(UnnamedTag, &[u8])> {
        let unnamed = self.unnamed.as_ref()?;
        Some((self.tag(unnamed.generation), unnamed.text.as_slice()))
    }

    fn tag(&self, generation: u64) -> UnnamedTag {
        UnnamedTag {
            client: self.client,
            generation,
        }
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

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("named", &self.named.len())
            .field("unanswered", &self.journal.len())
            .field("has_unnamed", &self.unnamed.is_some())
            .finish_non_exhaustive()
    }
}
