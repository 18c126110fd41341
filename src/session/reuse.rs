//! Statements that a client does not name, parsed once all the same.
//!
//! Most drivers send a Parse in front of each Bind, and PostgreSQL spends a good part of a small
//! query's time on it. A text that comes again gets a number like one that the client names
//! ([`statements`](super::statements)): where the server connection has it already, its Parse is
//! answered in the server's place. One that comes once (because values stand in it, say) is never kept.
//!
//! The client must not see it. So whatever could make the text mean something else now than when it was
//! parsed sends it on as it came: temporary tables, tables that the transaction has changed or is
//! about to, settings that are the transaction's own, a transaction that has failed; and each text that PostgreSQL
//! does not plan, or settles a part of when it parses it (`sql::is_repeatable`).

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU32, Ordering},
};

use super::{
    Backend, Entry, Output, Request, Session, Status, Whose,
    catalogue::Statement,
    client::Verdict,
    extended::Parsed,
    forward::Frame,
    own_names::Naming,
    prepared::Has,
    provide::parse_by_number,
    reading::{Act, Need},
    statements::{Meaning, Text},
};
use crate::{sql, wire::reader::Reader};

/// Texts of a pool that are remembered to have come. The room is taken with the first of them.
const MOST_SIGHTINGS: usize = 4096;

/// Statements that a server connection finds by their texts.
const MOST_RECENT: usize = 512;

/// Which texts have come before, as far as they are remembered: one that shares its place with another
/// is forgotten when that comes.
#[derive(Debug, Default)]
pub(super) struct Sightings(OnceLock<Box<[AtomicU32]>>);

impl Sightings {
    /// A text has come; whether it had before.
    fn has_seen(&self, print: u64) -> bool {
        let places = self
            .0
            .get_or_init(|| (0..MOST_SIGHTINGS).map(|_| AtomicU32::new(0)).collect());
        let Some(place) = places.get(place_of(print, MOST_SIGHTINGS)) else {
            return false;
        };
        // The place says the rest. Zero is an empty one.
        let mark = u32::try_from(print >> 32).unwrap_or(0) | 1;
        let seen = place.load(Ordering::Relaxed) == mark;
        if !seen {
            place.store(mark, Ordering::Relaxed);
        }
        seen
    }
}

/// Statements that were found by their texts, each in the place of its text. Being here is no use of
/// them: the catalogue may forget them.
#[derive(Default)]
pub(super) struct Recent(Vec<Weak<Statement>>);

impl Recent {
    fn at(&self, print: u64) -> Option<Arc<Statement>> {
        self.0.get(place_of(print, MOST_RECENT))?.upgrade()
    }

    fn put(&mut self, print: u64, statement: &Arc<Statement>) {
        self.0.resize_with(MOST_RECENT, Weak::new);
        if let Some(place) = self.0.get_mut(place_of(print, MOST_RECENT)) {
            *place = Arc::downgrade(statement);
        }
    }
}

/// Where there are `places`, a power of two.
fn place_of(print: u64, places: usize) -> usize {
    usize::try_from(print).unwrap_or(0) & (places - 1)
}

/// Spreads texts. Who makes two of them collide has the one forgotten for the other, and no more: what is
/// found is compared.
fn fingerprint(text: &[u8]) -> u64 {
    // 2^64 by the golden ratio, as for the numbers of statements.
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    let all = words.iter().chain(std::iter::once(&last));
    all.fold(text.len() as u64, |print, word| {
        let mixed = print.rotate_left(5) ^ u64::from_le_bytes(*word);
        // The high half of the product knows what the low one does not.
        let product = u128::from(mixed) * FACTOR;
        let halves = [product >> 64, product & u128::from(u64::MAX)];
        let [high, low] = halves.map(|half| u64::try_from(half).unwrap_or(0));
        high ^ low
    })
}

/// What a Parse without a name asks for, if it was parsed before.
pub(super) enum Reusable {
    /// What the client's unnamed statement is already, and this server connection has it.
    Present(u64),
    Other(Arc<Statement>),
}

/// Whether a statement with this meaning does nothing but read and write data.
pub(super) fn may_be_reused(meaning: Option<&Meaning>) -> bool {
    let plain = Act {
        need: Need::Context,
        ..Act::NOTHING
    };
    meaning.is_none_or(|it| it.act == plain && it.renamed.is_none() && !it.is_skimmed)
}

impl Session {
    /// Whether a Parse without a name may find what was parsed before: whether parsing it now would
    /// give the same for certain.
    pub(super) fn may_reuse(&self, frame: &Frame<'_>, backend: &mut Backend) -> bool {
        if !self.catalogue.reuses_unnamed() {
            return false;
        }
        if !backend.pipeline.is_open() {
            // What is on its way may fail the transaction, or change tables.
            match backend.pipeline.is_settled() {
                true => backend.prepared.begins_reusing(),
                false => backend.prepared.stops_reusing(),
            }
        }
        backend.prepared.is_reusing()
            && frame.is_whole()
            && backend.status != Status::Failed
            && backend.is_known()
            && backend.held.is_empty()
            && !backend.dirty
            && !backend.doubts.local
            && !backend.changes.are_pending()
            && backend.prepared.naming == Naming::ByNumber
    }

    /// The statement with this body, if this client or this server connection had it lately.
    pub(super) fn find_reusable(
        &self,
        body: &[u8],
        meaning: Option<&Meaning>,
        backend: &mut Backend,
    ) -> Option<Reusable> {
        let version = self.catalogue.schema().version();
        let is_it = |it: &Arc<Statement>| it.is_of(body, &self.flavour, version);
        if let Some((current, before)) = self.names.shared_unnamed()
            && is_it(current)
        {
            let names_tenant = |it: Option<&Meaning>| it.is_some_and(|it| it.tenant.is_some());
            let is_present = backend.prepared.has(current.id) == Has::Yes
                && !names_tenant(before)
                && !names_tenant(meaning);
            return Some(match is_present {
                true => Reusable::Present(current.id),
                false => Reusable::Other(Arc::clone(current)),
            });
        }
        let recent = backend.prepared.recent.at(fingerprint(body));
        recent.filter(is_it).map(Reusable::Other)
    }

    /// The statement with this body, if it has come before and may be used again.
    pub(super) fn find_seen(&self, body: &[u8], backend: &mut Backend) -> Option<Reusable> {
        let print = fingerprint(body);
        if !self.catalogue.sightings.has_seen(print) {
            return None;
        }
        let text = Reader::new(body).cstr().ok()?;
        if !sql::is_repeatable(text, self.dialect.sql) {
            return None;
        }
        let statement = self.catalogue.shared(body, &self.flavour)?;
        backend.prepared.recent.put(print, &statement);
        Some(Reusable::Other(statement))
    }

    /// A Parse without a name is one of a statement that has a number.
    pub(super) fn parse_reused(
        &mut self,
        frame: &Frame<'_>,
        reusable: Reusable,
        read: Parsed,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Verdict {
        let entry = Entry {
            reused: true,
            cut: read.cut,
            ..Entry::new(Request::Parse, Whose::Client)
        };
        let statement = match reusable {
            Reusable::Present(id) => {
                // Nothing changes, so there is nothing to be undone.
                backend.pipeline.push(Entry {
                    statement: id,
                    local: true,
                    ..entry
                });
                return Verdict::Drop;
            }
            Reusable::Other(statement) => statement,
        };
        let text = Text::Shared(Arc::clone(&statement));
        self.names
            .set_unnamed_to(text, read.meaning, self.dialect.sql);
        let entry = Entry {
            statement: statement.id,
            unnamed: true,
            ..entry
        };
        let stripped = read.stripped.as_deref();
        parse_by_number(frame, b"", stripped, &statement, entry, backend, out)
    }
}

/// The server has refused to bind or to describe a statement that was parsed before: perhaps because it
/// was, and would not have refused it now. Who comes next has it parsed anew.
pub(super) fn refused_reused(statement: u64, code: &[u8], backend: &Backend) {
    // The transaction has failed before, or somebody had enough of it.
    if !matches!(code, b"25P02" | b"57014") {
        backend.prepared.outdates(statement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_seen_when_it_comes_again() {
        let sightings = Sightings::default();
        let prints: Vec<u64> = (0..50)
            .map(|nth| fingerprint(format!("select {nth}\0\0\0").as_bytes()))
            .collect();
        assert!(prints.iter().all(|print| !sightings.has_seen(*print)));
        assert!(prints.iter().all(|print| sightings.has_seen(*print)));
    }

    #[test]
    fn prints_are_spread() {
        let mut places: Vec<usize> = (0..MOST_RECENT)
            .map(|nth| format!("select a from t where b = $1 and c = {nth}\0\0\0"))
            .map(|text| place_of(fingerprint(text.as_bytes()), MOST_RECENT))
            .collect();
        places.sort_unstable();
        places.dedup();
        // By chance it would be 63 %.
        assert!(places.len() > MOST_RECENT / 2, "{}", places.len());
        assert_ne!(fingerprint(b"a\0"), fingerprint(b"a\0\0"));
        assert_ne!(fingerprint(b""), fingerprint(b"\0"));
    }
}
