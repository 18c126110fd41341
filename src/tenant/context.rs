//! What is sent for a tenant, rendered once and shared by all its transactions.
//!
//! Two forms, because of what PostgreSQL does with each: `SET LOCAL` statements as text, which take
//! no snapshot and so may stand behind a BEGIN that a `SET TRANSACTION` follows; and the parameters
//! of [`Context::statement`], which is executed with a client's extended messages.
//! `docs/tenants.md` says when which is used.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{Extra, SettingName, TenantId, seal::Sealer};
use crate::{limit::Account, sync::Mutex, wire::write};

/// The most settings beside the tenant's: each one costs in every transaction.
pub const MAX_EXTRAS: usize = 15;

/// How many contexts are kept before those that nobody uses are looked for.
const ROOM: usize = 1024;

/// A tenant and what the server is told about it. Plain ASCII throughout, so that a position in
/// characters and one in bytes are the same.
#[derive(Clone)]
pub struct Context {
    id: TenantId,
    prefix: Box<[u8]>,
    session_prefix: Box<[u8]>,
    session_suffix: Box<[u8]>,
    sets: usize,
    arguments: Box<[u8]>,
    account: Arc<Account>,
    /// Of the account, when this was rendered.
    version: u32,
    sealed: Option<Sealed>,
}

/// What a context has that is sealed.
#[derive(Clone)]
struct Sealed {
    sealer: Arc<Sealer>,
    /// Of the key, when this was rendered.
    edition: u32,
    calls: Box<[u8]>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A seal is a secret.
        match &self.sealed {
            Some(_) => write!(f, "Context({}, sealed)", self.id),
            None => write!(f, "Context({})", self.prefix.escape_ascii()),
        }
    }
}

impl Context {
    pub(super) fn new(
        setting: &SettingName,
        id: TenantId,
        extras: &[Extra],
        account: Arc<Account>,
        version: u32,
        sealer: Option<&Arc<Sealer>>,
    ) -> Self {
        // Before the key is looked at: if it changes meanwhile, this is out of date at once.
        let edition = sealer.map_or(0, |sealer| sealer.edition());
        let seal = sealer.map(|sealer| [Box::from(sealer.key().seal(setting, &id))]);
        let own = [Box::from(id.as_str())];
        let first = (setting.as_str(), id.as_str(), own.as_slice());
        let second = sealer
            .zip(seal.as_ref())
            .map(|(sealer, words)| (sealer.setting().as_str(), &*words[0], words.as_slice()));
        let others = extras
            .iter()
            .map(|extra| (extra.name(), extra.value(), extra.words()));
        let all: Vec<_> = std::iter::once(first).chain(second).chain(others).collect();

        let (mut prefix, mut session, mut suffix) = (Vec::new(), Vec::new(), Vec::new());
        let mut arguments = vec![0, 0];
        push_u16(&mut arguments, all.len() * 2);
        for (name, value, words) in &all {
            for (out, verb) in [(&mut prefix, &b"SET LOCAL "[..]), (&mut session, b"SET ")] {
                out.extend_from_slice(verb);
                push_name(out, name);
                for (nth, word) in words.iter().enumerate() {
                    out.extend_from_slice(if nth == 0 { b"=" } else { b"," });
                    push_constant(out, word);
                }
                out.push(b';');
            }
            suffix.extend_from_slice(b"RESET ");
            push_name(&mut suffix, name);
            suffix.push(b';');
            push_value(&mut arguments, name.as_bytes());
            push_value(&mut arguments, value.as_bytes());
        }
        arguments.extend_from_slice(&[0, 0]);
        let sets = all.len();
        let sealed = sealer.map(|sealer| Sealed {
            sealer: Arc::clone(sealer),
            edition,
            calls: calls(all.iter().map(|(name, value, _)| (*name, *value))),
        });
        Self {
            id,
            prefix: prefix.into(),
            session_prefix: session.into(),
            session_suffix: suffix.into(),
            sets,
            arguments: arguments.into(),
            account,
            version,
            sealed,
        }
    }

    /// What the tenant may use, and has used.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The tenant's tier has changed, or the key of seals, and so perhaps what is to be sent.
    pub fn is_outdated(&self) -> bool {
        let sealed = self.sealed.as_ref();
        self.account.version() != self.version
            || sealed.is_some_and(|it| it.sealer.edition() != it.edition)
    }

    /// The tenant.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// `SET LOCAL … ;` for each setting: in front of a client's text, or behind its BEGIN. It
    /// causes [`Self::sets`] `CommandComplete`s.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// `SET … ;` for each setting, for statements that refuse a transaction block. It causes
    /// [`Self::sets`] `CommandComplete`s, and [`Self::session_suffix`] takes it back.
    pub fn session_prefix(&self) -> &[u8] {
        &self.session_prefix
    }

    /// `RESET … ;` for each setting. It causes [`Self::sets`] `CommandComplete`s.
    pub fn session_suffix(&self) -> &[u8] {
        &self.session_suffix
    }

    /// `FunctionCall`s that set everything for the session, if this has a seal, and then there is
    /// no other way to do it without the statement that the context is for: a text is shown in
    /// `pg_stat_activity` to whoever has the same role, and these are not. It is [`Self::sets`]
    /// messages, and each is answered as a request of its own.
    pub fn calls(&self) -> Option<&[u8]> {
        self.sealed.as_ref().map(|sealed| &*sealed.calls)
    }

    /// It may not stand in a text.
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// There are settings beside the tenant's own and its seal, which a client may have set, too.
    pub fn has_more(&self) -> bool {
        self.sets > 1 + usize::from(self.is_sealed())
    }

    /// How many settings there are, the tenant's own included: at least 1.
    pub fn sets(&self) -> usize {
        self.sets
    }

    /// The statement that takes [`Self::bind_tail`] and sets everything until the end of the
    /// transaction. Of the same number of settings it is the same, for whatever tenant.
    pub fn statement(&self) -> String {
        let mut sql = String::from("SELECT ");
        for nth in 0..self.sets {
            let comma = if nth > 0 { "," } else { "" };
            let (name, value) = (2 * nth + 1, 2 * nth + 2);
            // With its schema: a client's search_path must not choose the function (A2).
            sql.push_str(&format!(
                "{comma}pg_catalog.set_config(${name},${value},true)"
            ));
        }
        sql
    }

    /// The rest of a Bind message behind its two names, for [`Self::statement`]: the parameters
    /// with their number, in text format, and the result in text format.
    pub fn bind_tail(&self) -> &[u8] {
        &self.arguments
    }
}

/// A quoted name, dot by dot. Quoted always: `user` and `default` are words of SQL.
fn push_name(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    out.extend_from_slice(name.replace('.', "\".\"").as_bytes());
    out.push(b'"');
}

/// A string constant that means `text` under either setting of `standard_conforming_strings`.
fn push_constant(out: &mut Vec<u8>, text: &str) {
    if text.contains('\\') {
        out.push(b'E');
    }
    out.push(b'\'');
    for byte in text.bytes() {
        if matches!(byte, b'\'' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'\'');
}

/// Calls of `set_config` for the session, by its number: PostgreSQL's own functions have the same in all
/// versions.
fn calls<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Box<[u8]> {
    const SET_CONFIG: u32 = 2078;
    let mut out = Vec::new();
    for (name, value) in all {
        write::frame(&mut out, b'F', |frame| {
            frame.extend_from_slice(&SET_CONFIG.to_be_bytes());
            // All arguments are text, and there are three.
            frame.extend_from_slice(&[0, 0, 0, 3]);
            for argument in [name, value, "false"] {
                push_value(frame, argument.as_bytes());
            }
            frame.extend_from_slice(&[0, 0]);
        });
    }
    out.into()
}

fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    // Names, ids and values are bounded far below this.
    let length = u32::try_from(value.len()).unwrap_or_default();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

fn push_u16(out: &mut Vec<u8>, number: usize) {
    let number = u16::try_from(number).unwrap_or_default();
    out.extend_from_slice(&number.to_be_bytes());
}

/// The contexts in use, one copy of each.
///
/// Ids come from clients, who can make up as many as they like (J14). What is kept here follows
/// what clients hold, at most twice as many and a fixed number more.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    known: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    by_id: HashMap<TenantId, Arc<Context>>,
    /// Above so many, those that nobody uses make room.
    sweep_at: usize,
}

impl Contexts {
    pub(super) fn find(&self, id: &str) -> Option<Arc<Context>> {
        let known = self.known.lock().by_id.get(id).cloned();
        known.filter(|context| !context.is_outdated())
    }

    /// The one copy of `context` that everybody has.
    pub(super) fn share(&self, context: Context) -> Arc<Context> {
        let mut known = self.known.lock();
        if let Some(same) = known.by_id.get(context.id())
            && !same.is_outdated()
        {
            return Arc::clone(same);
        }
        if known.by_id.len() >= known.sweep_at.max(ROOM) {
            known.by_id.retain(|_, it| Arc::strong_count(it) > 1);
            known.sweep_at = known.by_id.len() * 2;
        }
        let context = Arc::new(context);
        known
            .by_id
            .insert(context.id().clone(), Arc::clone(&context));
        context
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().by_id.len()
    }
}
