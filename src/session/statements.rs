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
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    catalogue::Statement, prepared::UnnamedTag, reading::Act, renamed::Renamed, touches::Touches,
};
use crate::{sql::Dialect, tenant::Known};

/// Names that one client may have. PostgreSQL knows no limit; a client without one would be an outage.
pub(super) const MOST_NAMES: usize = 10_000;

/// Bytes of their texts.
pub(super) const MOST_NAMED_BYTES: usize = 32 * 1024 * 1024;

/// A change of a client's names that the server has not answered yet.
#[derive(Debug)]
pub(super) enum Change {
    Added(Box<[u8]>),
    Removed(Box<[u8]>, Box<Named>),
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
#[derive(Default)]
struct Unnamed {
    generation: u64,
    meaning: Option<Meaning>,
    /// How it was read.
    dialect: Dialect,
    text: Text,
}

/// What followed the empty name in the Parse of an unnamed statement.
pub(super) enum Text {
    /// Nothing, if that was too long to be kept.
    Own(Vec<u8>),
    /// Servers have it by a number.
    Shared(Arc<Statement>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl Text {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(text) => text,
            Self::Shared(statement) => &statement.body,
        }
    }
}

/// Room for the text of an unnamed statement that a client keeps to use it again.
const SPARE_ROOM: usize = 4096;

/// The statements of one client. Most clients of a large crowd have none and do nothing, so what
/// is needed for statements is made when there are some.
#[derive(Default)]
pub(super) struct Names {
    client: u64,
    own: Option<Box<Own>>,
    unnamed: Option<Box<Unnamed>>,
    /// What it was before each change that is not answered yet. As many as the server was sent
    /// and has not read, which is what fits into the sockets' buffers.
    earlier: VecDeque<Option<Box<Unnamed>>>,
    /// One that is over, to be used again.
    spare: Option<Box<Unnamed>>,
    generation: u64,
}

/// Those that have names.
#[derive(Default)]
struct Own {
    /// Most clients have a few, and their names are for them to choose: in a tree nobody can make them collide.
    named: BTreeMap<Box<[u8]>, Box<Named>>,
    /// Of the texts of those.
    bytes: usize,
    journal: VecDeque<Change>,
    /// The name that an error is about.
    taken: Option<Box<[u8]>>,
    /// The tables were like this when the oldest of its statements was prepared.
    oldest: Option<u64>,
    /// How many were ever added.
    added: u64,
}

impl Own {
    fn put(&mut self, name: Box<[u8]>, named: Box<Named>) {
        self.bytes += named.statement.body.len();
        self.named.insert(name, named);
    }

    fn take(&mut self, name: &[u8]) -> Option<Box<Named>> {
        let named = self.named.remove(name)?;
        self.bytes -= named.statement.body.len();
        Some(named)
    }
}

impl Names {
    pub(super) fn new(client: u64) -> Self {
        Self {
            client,
            ..Self::default()
        }
    }

    fn own(&mut self) -> &mut Own {
        self.own.get_or_insert_default()
    }

    fn named(&self, name: &[u8]) -> Option<&Named> {
        self.own.as_ref()?.named.get(name).map(Box::as_ref)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        self.named(name).map(|named| &named.statement)
    }

    /// The text behind a name, or the empty one.
    pub(super) fn text(&self, name: &[u8]) -> Option<&[u8]> {
        match name {
            b"" => self.unnamed().map(|(_, body)| body),
            name => self.get(name).map(|statement| &*statement.body),
        }
    }

    /// What a name, or the empty one, means.
    pub(super) fn meaning(&self, name: &[u8]) -> Option<&Meaning> {
        if name.is_empty() {
            return self.unnamed.as_ref()?.meaning.as_ref();
        }
        self.named(name)?.meaning.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.own.as_ref().map_or(0, |own| own.named.len())
    }

    /// There may be no more.
    pub(super) fn are_full(&self) -> bool {
        let full = |own: &Own| own.named.len() >= MOST_NAMES || own.bytes >= MOST_NAMED_BYTES;
        self.own.as_deref().is_some_and(full)
    }

    /// All that have names, as they were prepared.
    pub(super) fn in_order(&self) -> Vec<(&[u8], &Arc<Statement>)> {
        let mut all: Vec<_> = self.own.iter().flat_map(|own| &own.named).collect();
        all.sort_unstable_by_key(|(_, named)| named.place);
        all.into_iter()
            .map(|(name, named)| (name.as_ref(), &named.statement))
            .collect()
    }

    /// Some of them may be from before the tables were as in `version`.
    pub(super) fn are_older_than(&self, version: u64) -> bool {
        let oldest = self.own.as_ref().and_then(|own| own.oldest);
        oldest.is_some_and(|oldest| oldest != version)
    }

    pub(super) fn add(&mut self, name: &[u8], statement: Arc<Statement>, meaning: Option<Meaning>) {
        let own = self.own();
        if own.named.is_empty() {
            own.oldest = Some(statement.version);
        }
        own.added += 1;
        let named = Named {
            statement,
            meaning,
            place: own.added,
        };
        own.put(name.into(), Box::new(named));
        own.journal.push_back(Change::Added(name.into()));
    }

    /// Takes a name away; `false` if there is none.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(own) = &mut self.own else {
            return false;
        };
        let Some(named) = own.take(name) else {
            return false;
        };
        own.journal.push_back(Change::Removed(name.into(), named));
        true
    }

    /// The oldest change was answered.
    pub(super) fn confirm(&mut self) {
        if let Some(own) = &mut self.own {
            own.journal.pop_front();
        }
    }

    /// The name is taken: the server, which knows the statement under another, will say so.
    pub(super) fn refuse(&mut self, name: &[u8]) {
        self.own().journal.push_back(Change::Taken(name.into()));
    }

    /// The `count` oldest changes will never be answered.
    pub(super) fn undo(&mut self, count: usize) {
        let Some(own) = &mut self.own else { return };
        let count = count.min(own.journal.len());
        let changes: Vec<Change> = own.journal.drain(..count).collect();
        for change in changes.into_iter().rev() {
            match change {
                Change::Taken(name) => own.taken = Some(name),
                Change::Added(name) => {
                    own.take(&name);
                }
                Change::Removed(name, named) => own.put(name, named),
            }
        }
    }

    /// The client's name for what a server calls `server_name`.
    pub(super) fn name_of(&self, server_name: &[u8]) -> Option<&[u8]> {
        let is_it =
            |named: &Named| Statement::server_name(named.statement.id).bytes() == server_name;
        let mut all = self.own.as_ref()?.named.iter();
        all.find(|(_, named)| is_it(named))
            .map(|(name, _)| name.as_ref())
    }

    /// The text of a statement has passed: this is what it may do to the session.
    pub(super) fn touch(&mut self, name: &[u8], touches: Touches) {
        let meaning = match name.is_empty() {
            true => self.unnamed.as_mut().and_then(|it| it.meaning.as_mut()),
            false => {
                let own = self.own.as_mut();
                let named = own.and_then(|own| own.named.get_mut(name));
                named.and_then(|it| it.meaning.as_mut())
            }
        };
        if let Some(meaning) = meaning
            && !touches.is_empty()
        {
            meaning.act.touches = Some(Box::new(touches));
        }
    }

    /// Some statement's text was too long to be kept.
    pub(super) fn has_private(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| own.named.values().any(|it| it.statement.is_private()))
    }

    /// SQL has deallocated it. Returns its number.
    pub(super) fn forget(&mut self, name: &[u8]) -> Option<u64> {
        let named = self.own.as_mut()?.take(name)?;
        Some(named.statement.id)
    }

    /// The server has deallocated everything.
    pub(super) fn clear(&mut self) {
        if let Some(own) = &mut self.own {
            (own.named, own.bytes) = (BTreeMap::new(), 0);
            own.oldest = None;
        }
    }

    /// The client's name that the last error is about, if it is about one that was taken.
    pub(super) fn take_taken(&mut self) -> Option<Box<[u8]>> {
        self.own.as_mut()?.taken.take()
    }

    /// The client parsed the unnamed statement anew.
    pub(super) fn set_unnamed(
        &mut self,
        body: &[u8],
        meaning: Option<Meaning>,
        dialect: Dialect,
    ) -> UnnamedTag {
        let mut unnamed = self.spare.take().unwrap_or_default();
        match &mut unnamed.text {
            Text::Own(text) => {
                text.clear();
                text.extend_from_slice(body);
            }
            text @ Text::Shared(_) => *text = Text::Own(body.to_vec()),
        }
        self.replace_unnamed(unnamed, meaning, dialect)
    }

    /// The same, with a text that is kept already.
    pub(super) fn set_unnamed_to(
        &mut self,
        text: Text,
        meaning: Option<Meaning>,
        dialect: Dialect,
    ) -> UnnamedTag {
        let mut unnamed = self.spare.take().unwrap_or_default();
        unnamed.text = text;
        self.replace_unnamed(unnamed, meaning, dialect)
    }

    fn replace_unnamed(
        &mut self,
        mut unnamed: Box<Unnamed>,
        meaning: Option<Meaning>,
        dialect: Dialect,
    ) -> UnnamedTag {
        self.generation += 1;
        let generation = self.generation;
        unnamed.generation = generation;
        unnamed.meaning = meaning;
        unnamed.dialect = dialect;
        self.earlier.push_back(self.unnamed.replace(unnamed));
        self.tag(generation)
    }

    /// What `body` means, if it is what the unnamed statement was parsed from: drivers that do not
    /// name their statements parse the same one again and again.
    pub(super) fn known_act(&self, body: &[u8], dialect: Dialect) -> Option<&Act> {
        let unnamed = self.unnamed.as_ref()?;
        let same = unnamed.text.bytes() == body && unnamed.dialect == dialect;
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
        let Some(Some(mut old)) = self.earlier.pop_front() else {
            return;
        };
        old.meaning = None;
        match &old.text {
            Text::Own(text) if text.capacity() > SPARE_ROOM => return,
            Text::Own(_) => {}
            // It is not to be held for somebody who may never come back to it.
            Text::Shared(_) => old.text = Text::default(),
        }
        self.spare = Some(old);
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
        Some((self.tag(unnamed.generation), unnamed.text.bytes()))
    }

    /// The unnamed statement, if servers have it by a number; and what it means.
    pub(super) fn shared_unnamed(&self) -> Option<(&Arc<Statement>, Option<&Meaning>)> {
        let unnamed = self.unnamed.as_ref()?;
        match &unnamed.text {
            Text::Own(_) => None,
            Text::Shared(statement) => Some((statement, unnamed.meaning.as_ref())),
        }
    }

    fn tag(&self, generation: u64) -> UnnamedTag {
        UnnamedTag {
            client: self.client,
            generation,
        }
    }
}

// Texts of clients do not belong in a log, and a map has no order worth printing.
impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("named", &self.len())
            .field("has_unnamed", &self.unnamed.is_some())
            .finish_non_exhaustive()
    }
}
