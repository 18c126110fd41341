//! What a statement means to a session, read once from its text.

use super::touches::Touches;
use crate::{
    sql::{self, Argument, Dialect, Discard, Kind, Scope, Statement, Value},
    tenant::SettingName,
};

/// Whether a statement needs the tenant's context, and how it may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It reads and writes no data, and takes no snapshot: a context in front of it would be the
    /// first to take one, and `SET TRANSACTION ISOLATION LEVEL` would come too late (T5).
    Nothing,
    /// In front of it, in its transaction.
    Context,
    /// As `Context` inside a block; outside of one PostgreSQL refuses it, and must be let (T18).
    Block,
    /// It may refuse a block (T8), or commit inside (T9): if it stands alone outside of one, the
    /// context is given to the session around it (T10).
    Bracket,
    /// It is not certainly read rightly: as `Bracket`, whatever stands around it.
    Unsure,
}

/// What a statement does to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Goes,
    /// Ends it, and keeps what was set in it or not; with `AND CHAIN` the next one begins, without a
    /// context (T11).
    Ends { keeps: bool },
    /// Divides it.
    Savepoint(Box<[u8]>),
    /// Goes back, and with it settings.
    GoesBack(Box<[u8]>),
}

impl Turn {
    /// What it does to the session's tenant is only known when all before it is answered.
    pub(super) fn is_of_savepoint(&self) -> bool {
        matches!(self, Self::Savepoint(_) | Self::GoesBack(_))
    }
}

/// A part of a setting's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// It stands in the text.
    Text(Box<[u8]>),
    /// It comes with the Bind: the parameter of this number, from 1.
    Parameter(u16),
    /// As at the session's beginning.
    Default,
    /// It is worked out by the statement.
    Unknown,
}

/// A statement sets the tenant's setting, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naming {
    /// Which setting: `None` = certainly the tenant's.
    pub(super) name: Option<Given>,
    /// To what.
    pub(super) value: Given,
    /// Only for the transaction: `Text` of a boolean.
    pub(super) local: Given,
    /// `RESET ALL` and its kin: what it does to the tenant's setting is not what it is meant for.
    pub(super) in_passing: bool,
}

/// What a statement means to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) need: Need,
    pub(super) turn: Turn,
    /// What it may change of the session; `None` = nothing.
    pub(super) touches: Option<Box<Touches>>,
    /// Its command tag must tell what it did.
    pub(super) by_tag: bool,
    /// It sets the tenant's setting by `SET` or `RESET`, and does nothing else.
    pub(super) is_own_set: bool,
    /// What comes behind it needs the context anew.
    pub(super) drops_context: bool,
    /// It sets another setting than the tenant's, which must not be overridden by the context.
    pub(super) sets: bool,
    /// What is said behind it can mean another thing: how SQL is read, which names there are. What is
    /// not certainly read rightly may do anything.
    pub(super) changes_dialect: bool,
    /// Assignments of the tenant's setting.
    pub(super) namings: Vec<Naming>,
}

impl Act {
    /// A statement that nothing is known of.
    pub(super) const UNSURE: Self = Self {
        need: Need::Unsure,
        turn: Turn::Goes,
        touches: None,
        by_tag: true,
        is_own_set: false,
        // It may even end the transaction.
        drops_context: true,
        sets: false,
        changes_dialect: true,
        namings: Vec::new(),
    };

    /// A text without a statement.
    pub(super) const NOTHING: Self = Self {
        need: Need::Nothing,
        turn: Turn::Goes,
        touches: None,
        by_tag: false,
        is_own_set: false,
        drops_context: false,
        sets: false,
        changes_dialect: false,
        namings: Vec::new(),
    };

    /// What `statement`, which stands in `text`, means where the tenant's setting is `setting`, or
    /// where there are no tenants.
    pub(super) fn of(
        statement: &Statement<'_>,
        text: &[u8],
        setting: Option<&SettingName>,
    ) -> Self {
        let mut act = Self {
            need: need(&statement.kind),
            turn: turn(&statement.kind),
            touches: touches_of(statement, text, setting),
            by_tag: statement.kind == Kind::Unsure,
            is_own_set: false,
            // What is not certainly read rightly may even end the transaction.
            drops_context: statement.kind.may_commit_inside() || statement.kind == Kind::Unsure,
            sets: false,
            changes_dialect: matches!(
                statement.kind,
                Kind::Unsure | Kind::Discard(Discard::All) | Kind::DeallocateAll
            ),
            namings: Vec::new(),
        };
        act.read_setting(&statement.kind, setting);
        act.read_calls(statement, setting);
        let begins = |word: &[u8]| begins_with(statement, text, word);
        // An UPDATE of the view sets settings. What is not certainly read rightly may be a SET.
        let view = statement.notable.settings_view && !begins(b"select");
        let is_unsure = statement.kind == Kind::Unsure;
        let may_set = view || is_unsure && sql::may_set(statement.part_of(text));
        if may_set && mentions(statement, text, setting) {
            act.namings.push(Naming::UNKNOWN);
        }
        // SHOW is asked between BEGIN and SET TRANSACTION, and must not be what takes the snapshot.
        if begins(b"show") && !mentions(statement, text, setting) {
            act.need = Need::Nothing;
        }
        act
    }

    /// It may leave the tenant's setting with a value beyond the transaction, whatever that means
    /// to the session's tenant: to say what holds anyway, or where `SET` is no source, means nothing.
    pub(super) fn lingers(&self) -> bool {
        let beyond = |naming: &Naming| !naming.in_passing && truth(&naming.local) != Some(true);
        self.namings.iter().any(beyond)
    }

    fn read_setting(&mut self, kind: &Kind<'_>, setting: Option<&SettingName>) {
        let default = |scope| (Given::Default, scope);
        let (given, scope) = match kind {
            Kind::Set { scope, name, value } if is_own(setting, name) => match value {
                Value::Default => default(*scope),
                Value::Literal(text) => (Given::Text(text.as_ref().into()), *scope),
                Value::Other(_) => (Given::Unknown, *scope),
            },
            Kind::Reset(name) if is_own(setting, name) => default(Scope::Session),
            Kind::ResetAll | Kind::Discard(Discard::All) => {
                self.drops_context = true;
                let naming = Naming::of(Given::Default, Scope::Session);
                self.namings.push(Naming {
                    in_passing: true,
                    ..naming
                });
                return;
            }
            Kind::Set { name, .. } => {
                self.sets = true;
                self.changes_dialect = is_dialect(name);
                return;
            }
            _ => return,
        };
        self.is_own_set = true;
        self.drops_context = true;
        self.namings.push(Naming::of(given, scope));
    }

    fn read_calls(&mut self, statement: &Statement<'_>, setting: Option<&SettingName>) {
        let calls = &statement.notable;
        if calls.more_set_config || calls.obscured {
            self.namings.push(Naming::UNKNOWN);
        }
        if calls.only_set_config {
            self.need = Need::Nothing;
        }
        for call in &calls.set_config {
            let name = match &call.name {
                Argument::Literal(name) if is_own(setting, name) => None,
                Argument::Literal(name) => {
                    self.changes_dialect |= is_dialect(name);
                    continue;
                }
                other => Some(Given::of(other)),
            };
            self.drops_context = true;
            self.namings.push(Naming {
                name,
                value: Given::of(&call.value),
                local: Given::of(&call.local),
                in_passing: false,
            });
        }
    }
}

impl Naming {
    /// It may set any setting to anything.
    const UNKNOWN: Self = Self {
        name: Some(Given::Unknown),
        value: Given::Unknown,
        local: Given::Unknown,
        in_passing: false,
    };

    /// What a FunctionCall sets, if it is one of `set_config`.
    pub(super) fn of_call(body: &[u8]) -> Option<Self> {
        let name = Touches::set_by_call(body)?;
        let name = name.map_or(Given::Unknown, |name| Given::Text(name.into()));
        Some(Self {
            name: Some(name),
            ..Self::UNKNOWN
        })
    }

    fn of(value: Given, scope: Scope) -> Self {
        let local: &[u8] = if scope == Scope::Local { b"on" } else { b"off" };
        Self {
            name: None,
            value,
            local: Given::Text(local.into()),
            in_passing: false,
        }
    }
}

impl Given {
    /// The value, if it stands in the text.
    pub(super) fn text(&self) -> Option<Box<[u8]>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn of(argument: &Argument<'_>) -> Self {
        match argument {
            Argument::Literal(text) => Self::Text(text.as_ref().into()),
            Argument::Parameter(number) => Self::Parameter(*number),
            // To set_config, NULL is the default.
            Argument::Null => Self::Default,
            Argument::Other => Self::Unknown,
        }
    }
}

/// What a part is as a boolean, if it stands in the text.
pub(super) fn truth(given: &Given) -> Option<bool> {
    match given {
        Given::Text(text) => Argument::Literal(text.as_ref().into()).truth(),
        _ => None,
    }
}

/// A change of these changes how the next text is read.
fn is_dialect(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"standard_conforming_strings")
        || name.eq_ignore_ascii_case(b"client_encoding")
}

fn need(kind: &Kind<'_>) -> Need {
    match kind {
        Kind::Set { .. }
        | Kind::Reset(_)
        | Kind::ResetAll
        | Kind::SetTransaction
        | Kind::SetCharacteristics
        | Kind::SetConstraints
        | Kind::Discard(_)
        | Kind::Deallocate(_)
        | Kind::DeallocateAll
        | Kind::Close(_)
        | Kind::CloseAll
        | Kind::Fetch
        | Kind::Listen(_)
        | Kind::Unlisten(_)
        | Kind::UnlistenAll
        | Kind::Notify
        | Kind::Load
        | Kind::Lock => Need::Nothing,
        kind if kind.is_transaction_control() => Need::Nothing,
        Kind::Declare { hold: false, .. } => Need::Block,
        Kind::Call | Kind::Do | Kind::Alone => Need::Bracket,
        Kind::Unsure => Need::Unsure,
        _ => Need::Context,
    }
}

fn turn(kind: &Kind<'_>) -> Turn {
    match kind {
        kind if kind.ends_transaction() => Turn::Ends {
            keeps: !matches!(kind, Kind::Rollback { .. }),
        },
        Kind::Savepoint(name) => Turn::Savepoint(name.as_ref().into()),
        Kind::RollbackTo(name) => Turn::GoesBack(name.as_ref().into()),
        _ => Turn::Goes,
    }
}

pub(super) fn begins_with(statement: &Statement<'_>, text: &[u8], word: &[u8]) -> bool {
    let begin = statement.part_of(text).get(..word.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(word))
}

fn mentions(statement: &Statement<'_>, text: &[u8], setting: Option<&SettingName>) -> bool {
    let name = setting.map(|setting| setting.as_str().as_bytes());
    name.is_some_and(|name| sql::mentions(statement.part_of(text), name))
}

fn is_own(setting: Option<&SettingName>, name: &[u8]) -> bool {
    setting.is_some_and(|setting| setting.is(name))
}

/// What a statement may change of the session, beside the tenant's setting.
fn touches_of(
    statement: &Statement<'_>,
    text: &[u8],
    setting: Option<&SettingName>,
) -> Option<Box<Touches>> {
    let touches = Touches::of(statement, text, |name| is_own(setting, name));
    (!touches.is_empty()).then(|| Box::new(touches))
}

/// What the statements of a text may change of the session, where there are no tenants; and
/// whether their command tags must tell.
pub(super) fn touches_of_text(text: &[u8], dialect: Dialect) -> (Option<Box<Touches>>, bool) {
    if !sql::may_touch_session(text) {
        return (None, false);
    }
    let (mut all, mut by_tag) = (Touches::default(), false);
    for statement in sql::statements(text, dialect) {
        by_tag |= statement.kind == Kind::Unsure;
        all.add(&Touches::of(&statement, text, |_| false));
    }
    ((!all.is_empty()).then(|| Box::new(all)), by_tag)
}
