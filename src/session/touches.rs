//! What a statement may change of its session beyond its own transaction, as its text tells.
//!
//! "May" is enough: what it did change the server is asked when the transaction is over
//! ([`inventory`](super::inventory)). So nothing here knows of rollbacks, savepoints or errors.

use super::reading::{Given, begins_with, truth};
use crate::{
    sql::{Discard, Kind, Notable, Scope, Statement, Value},
    wire::reader::{Malformed, Reader},
};

/// What lives on a server connection and cannot be carried to another: a set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds(u16);

impl Holds {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Channels that are listened to.
    pub const CHANNELS: Self = Self(1);
    /// Temporary tables and whatever else is in `pg_temp`.
    pub const TEMPORARY: Self = Self(2);
    /// Advisory locks of the session.
    pub const LOCKS: Self = Self(4);
    /// Cursors that outlive their transaction.
    pub const CURSORS: Self = Self(8);
    /// Statements that SQL prepared.
    pub const STATEMENTS: Self = Self(16);
    /// A library that was loaded.
    pub const LIBRARY: Self = Self(32);
    /// Settings whose names are not known.
    pub const SETTINGS: Self = Self(64);
    /// A prepared statement whose text is too long to be kept.
    pub const TEXT: Self = Self(128);
    /// One without a name that was not bound yet.
    pub const UNBOUND: Self = Self(256);

    /// Those that a server can be asked for.
    pub(super) const ASKABLE: Self = Self(31);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::CHANNELS, "a channel that is listened to"),
        (Self::TEMPORARY, "a temporary table"),
        (Self::LOCKS, "an advisory lock of the session"),
        (Self::CURSORS, "a cursor WITH HOLD"),
        (Self::STATEMENTS, "a statement prepared in SQL"),
        (Self::LIBRARY, "a loaded library"),
        (
            Self::SETTINGS,
            "a setting whose name is worked out when it is set",
        ),
        (Self::TEXT, "a prepared statement of more than 32 KiB"),
        (
            Self::UNBOUND,
            "a statement of more than 32 KiB that is about to be run",
        ),
    ];

    /// Nothing is held.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in one of them.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Something is in both.
    pub const fn has(self, other: Self) -> bool {
        !self.and(other).is_empty()
    }

    /// As a number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The set with this number.
    pub const fn numbered(number: u16) -> Self {
        Self(number)
    }

    /// One kind that a server can be asked for.
    pub(super) fn from_number(number: usize) -> Option<Self> {
        let one = Self(u16::try_from(number).ok()?);
        (one.0.count_ones() == 1 && Self::ASKABLE.has(one)).then_some(one)
    }

    /// In words, for a client and for operators.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let held = Self::NAMES
            .into_iter()
            .filter(move |(kind, _)| self.has(*kind));
        held.map(|(_, name)| name)
    }

    /// All of it in words.
    pub fn listed(self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }
}

/// A setting that a statement may set for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched {
    /// Its name, in small letters if it stands in the text.
    pub(super) name: Given,
    /// It may be as at the session's beginning then.
    pub(super) resets: bool,
}

/// What a statement may change of its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Touches {
    pub(super) settings: Vec<Touched>,
    /// Settings that mean something to PostgreSQL are set until the transaction ends.
    pub(super) local: bool,
    /// Every setting goes back to what it was at the session's beginning.
    pub(super) resets_all: bool,
    /// Any setting may be set, by code that is not in the text.
    pub(super) any: bool,
    /// Any setting may be set, by a name that is worked out.
    pub(super) unknown: bool,
    /// What it may leave on the connection.
    pub(super) takes: Holds,
    /// What of that it will leave, if it succeeds and is not undone.
    pub(super) keeps: Holds,
    /// What may be gone from it.
    pub(super) frees: Holds,
    /// Nobody can say for certain what it leaves.
    pub(super) unclean: bool,
    /// The client may give up all its prepared statements.
    pub(super) deallocates_all: bool,
    /// The client's prepared statements must go by its own names: it looks at them, or SQL
    /// prepares another.
    pub(super) own_names: bool,
}

/// The number of `set_config` among PostgreSQL's functions.
const SET_CONFIG: u32 = 2078;

/// These are of the transaction, whatever their names say; `seed` cannot be asked for, and
/// `is_superuser` not be set.
const OF_TRANSACTION: [&[u8]; 5] = [
    b"transaction_isolation",
    b"transaction_read_only",
    b"transaction_deferrable",
    b"seed",
    b"is_superuser",
];

/// A setting that is not the session's.
pub(super) fn is_of_transaction(name: &[u8]) -> bool {
    OF_TRANSACTION.contains(&name)
}

/// Whether a setting can change what a statement means or how it is run: those of an application
/// have a dot in their names, and a timeout changes neither.
fn is_meaningful(name: &[u8]) -> bool {
    !name.contains(&b'.') && !name.to_ascii_lowercase().ends_with(b"_timeout")
}

impl Touches {
    /// Those of a statement that was not read.
    pub(super) const UNREAD: Self = Self {
        settings: Vec::new(),
        local: true,
        resets_all: false,
        any: true,
        unknown: false,
        takes: Holds::ASKABLE,
        frees: Holds::ASKABLE,
        keeps: Holds::NONE,
        unclean: true,
        deallocates_all: false,
        own_names: false,
    };

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What `statement` may change, apart from the setting `own`, which is not the client's.
    pub(super) fn of(
        statement: &Statement<'_>,
        text: &[u8],
        is_own: impl Fn(&[u8]) -> bool,
    ) -> Self {
        let mut touches = Self::default();
        touches.read_kind(&statement.kind, &is_own);
        touches.read_calls(&statement.notable, &is_own);
        // What is found out below is not certain enough to refuse it.
        touches.keeps = match &statement.kind {
            Kind::Execute(_) | Kind::Call | Kind::Do => Holds::NONE,
            Kind::CreateTemp if goes_at_commit(statement, text) => Holds::NONE,
            _ => touches.takes,
        };
        if begins_with(statement, text, b"create") {
            // Where `pg_temp` leads the search path, any table is a temporary one.
            touches.takes = touches.takes.or(Holds::TEMPORARY);
        }
        if begins_with(statement, text, b"drop") {
            touches.frees = touches.frees.or(Holds::TEMPORARY);
        }
        if statement.notable.settings_view && !begins_with(statement, text, b"select") {
            // An UPDATE of the view sets settings.
            touches.any = true;
        }
        touches
    }

    fn read_kind(&mut self, kind: &Kind<'_>, is_own: &impl Fn(&[u8]) -> bool) {
        match kind {
            Kind::Set {
                scope: Scope::Session,
                name,
                value,
            } if !is_own(name) => self.setting(name, *value == Value::Default),
            Kind::Set {
                scope: Scope::Local,
                name,
                ..
            } => self.local |= is_meaningful(name),
            Kind::Reset(name) if !is_own(name) => self.setting(name, true),
            Kind::SetCharacteristics => {
                for which in ["isolation", "read_only", "deferrable"] {
                    self.setting(format!("default_transaction_{which}").as_bytes(), false);
                }
            }
            Kind::ResetAll => self.resets_all = true,
            Kind::Discard(Discard::All) => {
                self.resets_all = true;
                self.setting(b"session_authorization", true);
                self.frees = Holds::ASKABLE;
                self.deallocates_all = true;
            }
            Kind::Discard(Discard::Temp) => self.frees = Holds::TEMPORARY,
            Kind::CreateTemp => self.takes = Holds::TEMPORARY,
            Kind::Listen(_) => self.takes = Holds::CHANNELS,
            Kind::Unlisten(_) | Kind::UnlistenAll => self.frees = Holds::CHANNELS,
            Kind::Declare { hold: true, .. } => self.takes = Holds::CURSORS,
            Kind::Close(_) | Kind::CloseAll => self.frees = Holds::CURSORS,
            Kind::Prepare(_) => {
                self.takes = Holds::STATEMENTS;
                self.own_names = true;
            }
            Kind::Deallocate(_) => self.frees = Holds::STATEMENTS,
            Kind::DeallocateAll => {
                self.frees = Holds::STATEMENTS;
                self.deallocates_all = true;
            }
            // What was prepared may call anything that was seen when it was.
            Kind::Execute(_) => {
                self.any = true;
                self.takes = Holds::LOCKS;
            }
            Kind::Load => self.takes = Holds::LIBRARY,
            Kind::Call | Kind::Do => {
                self.any = true;
                self.takes = Holds::ASKABLE;
                self.unclean = true;
            }
            _ => {}
        }
    }

    fn read_calls(&mut self, calls: &Notable<'_>, is_own: &impl Fn(&[u8]) -> bool) {
        self.unknown |= calls.more_set_config || calls.obscured;
        self.own_names |= calls.statements_view || calls.obscured;
        if calls.advisory_lock || calls.obscured {
            self.takes = self.takes.or(Holds::LOCKS);
        }
        if calls.advisory_unlock || calls.advisory_unlock_all {
            self.frees = self.frees.or(Holds::LOCKS);
        }
        for call in &calls.set_config {
            if truth(&Given::of(&call.local)) == Some(true) {
                let name = Given::of(&call.name).text();
                self.local |= name.is_none_or(|name| is_meaningful(&name));
                continue;
            }
            let resets = Given::of(&call.value) == Given::Default;
            match Given::of(&call.name) {
                Given::Text(name) if is_own(&name) => {}
                Given::Text(name) => self.setting(&name, resets),
                name @ Given::Parameter(_) => self.settings.push(Touched { name, resets }),
                _ => self.unknown = true,
            }
        }
    }

    fn setting(&mut self, name: &[u8], resets: bool) {
        let name = name.to_ascii_lowercase();
        if is_of_transaction(&name) {
            return;
        }
        if name == b"session_authorization" {
            // The role goes with it.
            self.setting(b"role", true);
        }
        let name = Given::Text(name.into());
        self.settings.push(Touched { name, resets });
    }

    /// What another text changes by running the statement: its own parameters are others, and it
    /// goes by a number already.
    pub(super) fn without_parameters(&self) -> Self {
        let mut touches = Self {
            own_names: false,
            ..self.clone()
        };
        let is_text = |touched: &Touched| matches!(touched.name, Given::Text(_));
        touches.unknown |= !touches.settings.iter().all(is_text);
        touches.settings.retain(is_text);
        touches
    }

    /// Adds what another statement may change.
    pub(super) fn add(&mut self, other: &Self) {
        if other.resets_all {
            for touched in &mut self.settings {
                touched.resets = true;
            }
        }
        self.settings.extend_from_slice(&other.settings);
        self.local |= other.local;
        self.resets_all |= other.resets_all;
        self.any |= other.any;
        self.unknown |= other.unknown;
        self.takes = self.takes.or(other.takes);
        self.keeps = self.keeps.or(other.keeps);
        self.frees = self.frees.or(other.frees);
        self.unclean |= other.unclean;
        self.deallocates_all |= other.deallocates_all;
        self.own_names |= other.own_names;
    }

    /// The setting that a FunctionCall sets, if it sets one; `Some(None)`: one that cannot be told.
    pub(super) fn set_by_call(body: &[u8]) -> Option<Option<&[u8]>> {
        let mut reader = Reader::new(body);
        let sets = reader.u32() == Ok(SET_CONFIG);
        sets.then(|| first_argument(reader).ok())
    }

    /// What a FunctionCall may change: PostgreSQL's own functions have the same numbers everywhere.
    pub(super) fn of_call(body: &[u8]) -> Self {
        let mut touches = Self::default();
        match Reader::new(body).u32() {
            Ok(SET_CONFIG) => match Self::set_by_call(body).flatten() {
                Some(name) => touches.setting(name, true),
                None => touches.unknown = true,
            },
            Ok(2880..=2883 | 2886..=2889) => touches.takes = Holds::LOCKS,
            Ok(2884 | 2885 | 2890..=2892) => touches.frees = Holds::LOCKS,
            _ => {}
        }
        touches
    }

    /// What a command may change whose text was not read; `tag` says what it was.
    pub(super) fn of_tag(tag: &[u8]) -> Self {
        let verb = tag.split(|byte| matches!(byte, b' ' | 0)).next();
        let takes = |takes| Self {
            takes,
            ..Self::default()
        };
        match verb.unwrap_or_default() {
            b"INSERT" | b"UPDATE" | b"DELETE" | b"MERGE" | b"BEGIN" | b"COMMIT" | b"ROLLBACK"
            | b"START" | b"SAVEPOINT" | b"RELEASE" | b"COPY" | b"FETCH" | b"MOVE" | b"SHOW"
            | b"ANALYZE" | b"VACUUM" | b"TRUNCATE" | b"LOCK" | b"NOTIFY" | b"ALTER"
            | b"REINDEX" | b"CHECKPOINT" | b"GRANT" | b"REVOKE" | b"COMMENT" | b"REFRESH" => {
                Self::default()
            }
            b"SELECT" | b"EXPLAIN" => takes(Holds::TEMPORARY.or(Holds::LOCKS)),
            b"CREATE" => takes(Holds::TEMPORARY),
            b"PREPARE" => takes(Holds::STATEMENTS),
            b"LISTEN" => takes(Holds::CHANNELS),
            b"DECLARE" => takes(Holds::CURSORS),
            b"LOAD" => takes(Holds::LIBRARY),
            b"DROP" | b"CLOSE" | b"UNLISTEN" | b"DEALLOCATE" => Self {
                frees: Holds::ASKABLE,
                ..Self::default()
            },
            b"RESET" | b"SET" => Self {
                unknown: true,
                ..Self::default()
            },
            _ => Self {
                any: true,
                takes: Holds::ASKABLE,
                frees: Holds::ASKABLE,
                unclean: true,
                ..Self::default()
            },
        }
    }
}

/// The first argument of a FunctionCall; `reader` is behind the function's number.
fn first_argument(mut reader: Reader<'_>) -> Result<&[u8], Malformed> {
    for _ in 0..reader.u16()? {
        reader.u16()?;
    }
    reader.u16()?;
    let length = usize::try_from(reader.i32()?).map_err(|_| Malformed)?;
    reader.take(length)
}

/// `ON COMMIT DROP`: a temporary table that does not outlive its transaction.
fn goes_at_commit(statement: &Statement<'_>, text: &[u8]) -> bool {
    let words: Vec<&[u8]> = statement
        .part_of(text)
        .split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(3).any(|three| {
        let spelled: [&[u8]; 3] = [b"on", b"commit", b"drop"];
        let mut pairs = three.iter().zip(spelled);
        pairs.all(|(word, known)| word.eq_ignore_ascii_case(known))
    })
}
