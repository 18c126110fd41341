//! A simple query, read from its first statement to its last: where in it contexts must stand,
//! and what it does to the session's tenant.

use super::{
    inject::Opening,
    reading::{Act, Need, Turn},
    rewritten::{Changes, Cut, Insert},
    tenancy::{Inside, Tenancy},
    touches::Touches,
};
use crate::{
    error::{Error, Kind},
    sql::{self, comment::Fault},
    tenant::{Known, Source},
};

/// Why a message is not sent as it is.
pub(super) enum Stop {
    /// Not before all is answered.
    Hold,
    /// Not before the session has the context of this tenant.
    Bracket(Known),
    Refuse(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refuse(error)
    }
}

/// A simple query, read from its first statement to its last.
struct Walk<'a> {
    tenancy: &'a mut Tenancy,
    opening: Opening,
    /// The tenant that a comment names for all of it.
    comment: Option<Known>,
    /// The session has the context, whatever becomes of transactions.
    given: bool,
    /// And it was given outside of any transaction, so that none takes it back.
    lasts: bool,
    /// Whose sealed context the text is sent with.
    sealed_for: Option<Known>,
    /// The text has ended a transaction that was open before it, gone back in it, or reset all.
    turned: bool,
    /// What comes next has its context.
    scoped: bool,
    /// What comes next will not be run.
    inert: bool,
    effects: Inside,
    /// The tenant where no effect is, if the text has turned to where it is another.
    base: Option<Option<Known>>,
    /// The savepoints of the text, with the effect that there was.
    savepoints: Vec<(Box<[u8]>, Inside)>,
    changes: Changes,
    turns: Vec<Turn>,
    touches: Touches,
    by_tag: bool,
    drops: bool,
    lingers: bool,
    changes_dialect: bool,
    is_setting: bool,
}

impl Walk<'_> {
    /// What a statement that succeeds does to the tenant of those behind it. If it fails, none of
    /// them is run.
    fn turn(&mut self, turn: &Turn) {
        let turns = matches!(turn, Turn::Ends { .. } | Turn::GoesBack(_));
        self.turned |= turns && self.opening != Opening::Outside && !self.lasts;
        match turn {
            Turn::Goes => {}
            Turn::Ends { keeps } => {
                self.inert = false;
                self.tenancy.disown();
                self.effects.end(*keeps);
                self.base = Some(self.tenancy.after(*keeps));
                self.savepoints.clear();
            }
            Turn::Savepoint(_) if self.inert => {}
            Turn::Savepoint(name) => self.savepoints.push((name.clone(), self.effects.clone())),
            Turn::GoesBack(name) => {
                self.inert = false;
                let at = self.savepoints.iter().rposition(|(known, _)| known == name);
                if let Some((_, effects)) = at.and_then(|at| self.savepoints.get(at)) {
                    self.effects.clone_from(effects);
                } else if let Some(tenant) = self.tenancy.at_savepoint(name) {
                    self.effects.go_back();
                    self.base = Some(tenant);
                }
            }
        }
    }

    /// Takes the statement `act`, the `nth`, which begins at `at`; `alone`: there is no other.
    fn step(&mut self, act: Act, nth: usize, at: usize, alone: bool) -> Result<(), Stop> {
        // The answers to what was sent before would be taken for the end of its transaction.
        if act.turn.is_of_savepoint() && self.opening == Opening::Unknown {
            return Err(Stop::Hold);
        }
        if !self.inert {
            self.name(&act)?;
            let outside = alone && self.opening == Opening::Outside;
            let need = self.tenancy.need_of(&act, outside);
            self.scope(need, nth, at, alone)?;
        }
        self.turn(&act.turn);
        self.scoped &= act.turn == Turn::Goes && !act.drops_context;
        // RESET ALL, a call and SET LOCAL do more, or less.
        self.is_setting =
            alone && act.is_own_set && self.comment.is_none() && self.effects.session.is_some();
        self.drops |= act.drops_context;
        self.lingers |= act.lingers();
        self.changes_dialect |= act.changes_dialect;
        if let Some(touches) = &act.touches {
            self.touches.add(touches);
            self.turned |= touches.resets_all;
        }
        self.by_tag |= act.by_tag;
        // Where nothing is run, no savepoint is made.
        let is_made = !self.inert || !matches!(act.turn, Turn::Savepoint(_));
        if act.turn != Turn::Goes && is_made {
            self.turns.push(act.turn);
        }
        Ok(())
    }

    fn name(&mut self, act: &Act) -> Result<(), Stop> {
        for naming in &act.namings {
            if let Some(effect) = self.tenancy.effect_of(naming, &|_| None)? {
                if self.opening == Opening::Unknown {
                    return Err(Stop::Hold);
                }
                self.effects.set(effect);
            }
        }
        Ok(())
    }

    fn scope(&mut self, need: Need, nth: usize, at: usize, alone: bool) -> Result<(), Stop> {
        if need == Need::Nothing {
            return Ok(());
        }
        let careful = need == Need::Unsure || alone && need != Need::Context;
        if careful && !self.given {
            match (self.opening, need) {
                (Opening::Unknown, _) => return Err(Stop::Hold),
                // PostgreSQL refuses it, and says why.
                (Opening::Outside, Need::Block) => return Ok(()),
                (Opening::Outside, _) | (_, Need::Unsure) => {
                    return match self.owner()? {
                        Some(known) if self.turned && known.context.is_sealed() => {
                            Err(Stop::Refuse(goes_on()))
                        }
                        Some(known) => Err(Stop::Bracket(known)),
                        None => Ok(()),
                    };
                }
                _ => {}
            }
        }
        self.give(nth, at)
    }

    /// Puts the context in front of the statement, unless it is there.
    fn give(&mut self, behind: usize, at: usize) -> Result<(), Stop> {
        let Some(known) = self.owner()? else {
            return Ok(());
        };
        if known.context.is_sealed() {
            return self.beside(known);
        }
        if !self.scoped && !self.given {
            self.scoped = true;
            let context = known.context;
            self.changes.insert(Insert {
                behind,
                at,
                context,
            });
        }
        Ok(())
    }

    /// A seal must not stand in a text, so the session is given its context before the text is sent.
    /// What the text does to that cannot be followed then: it has one tenant, and ends no transaction
    /// in which it was given.
    fn beside(&mut self, known: Known) -> Result<(), Stop> {
        let first = self.sealed_for.get_or_insert_with(|| known.clone());
        let same = first.id() == known.id();
        match self.opening {
            _ if self.scoped && !self.turned && same => Ok(()),
            Opening::Unknown => Err(Stop::Hold),
            _ if self.turned || !same => Err(Stop::Refuse(goes_on())),
            _ if !self.given => Err(Stop::Bracket(known)),
            _ => Ok(()),
        }
    }

    /// The tenant of the next statement, whose the transaction is from now on.
    fn owner(&mut self) -> Result<Option<Known>, Stop> {
        let known = self.tenant()?;
        if let Some(known) = &known
            && let Err(error) = self.tenancy.own(known)
        {
            // The transaction of the other may be over by then.
            return Err(match self.opening {
                Opening::Unknown => Stop::Hold,
                _ => Stop::Refuse(error),
            });
        }
        Ok(known)
    }

    fn tenant(&self) -> Result<Option<Known>, Stop> {
        let named = self.effects.tenant().map(Option::as_ref);
        let known = match (named, &self.comment) {
            (Some(named), None) => named.cloned(),
            (Some(named), Some(comment)) => {
                Some(self.tenancy.policy.combine(named, comment.clone())?)
            }
            (None, comment) => match (&self.base, comment) {
                (Some(base), None) => base.clone(),
                (Some(base), Some(comment)) => {
                    let combined = self.tenancy.policy.combine(base.as_ref(), comment.clone());
                    Some(combined?)
                }
                (None, comment) => self.tenancy.with(comment.clone())?,
            },
        };
        if known.is_none() && self.tenancy.policy.required {
            return Err(Stop::Refuse(self.tenancy.policy.missing()));
        }
        Ok(known)
    }
}

/// What a text becomes.
pub(super) struct Plan {
    pub(super) changes: Changes,
    pub(super) effects: Inside,
    pub(super) turns: Vec<Turn>,
    /// What it may change of the session.
    pub(super) touches: Touches,
    /// Or what command tags will say.
    pub(super) by_tag: bool,
    pub(super) drops: bool,
    /// The tenant's setting may have another value when the transaction is over.
    pub(super) lingers: bool,
    pub(super) changes_dialect: bool,
    /// It is one `SET` or `RESET` of the tenant's setting, for the session.
    pub(super) is_setting: bool,
}

/// Reads a text; of one that is not `whole`, or not certainly read rightly, its first comments.
pub(super) fn plan(
    tenancy: &mut Tenancy,
    opening: Opening,
    (given, in_block): (bool, bool),
    text: &[u8],
    whole: bool,
    dialect: sql::Dialect,
) -> Result<Plan, Stop> {
    if opening == Opening::Outside {
        tenancy.disown();
    }
    let mut walk = Walk {
        opening,
        comment: None,
        given,
        lasts: given && !in_block,
        sealed_for: None,
        turned: false,
        scoped: matches!(opening, Opening::Scoped | Opening::Failed),
        inert: opening == Opening::Failed,
        effects: Inside::default(),
        base: None,
        savepoints: Vec::new(),
        changes: Changes::default(),
        turns: Vec::new(),
        touches: Touches::default(),
        by_tag: false,
        drops: false,
        lingers: false,
        changes_dialect: false,
        is_setting: false,
        tenancy,
    };
    if whole {
        walk.text(text, dialect)?;
    } else {
        let leading = sql::comment::leading(text, dialect);
        if let Some(comment) = comment_of(walk.tenancy, leading, dialect)? {
            walk.comment = comment.tenant;
        }
        walk.step(Act::UNSURE, 0, 0, true)?;
    }
    Ok(Plan {
        changes: walk.changes,
        effects: walk.effects,
        turns: walk.turns,
        touches: walk.touches,
        by_tag: walk.by_tag,
        drops: walk.drops,
        lingers: walk.lingers,
        changes_dialect: walk.changes_dialect,
        is_setting: walk.is_setting,
    })
}

impl Walk<'_> {
    fn text(&mut self, text: &[u8], dialect: sql::Dialect) -> Result<(), Stop> {
        if let Some(comment) = comment_of(self.tenancy, text, dialect)? {
            self.comment = comment.tenant;
            self.changes.cuts = comment.cuts;
        }
        let mut statements = sql::statements(text, dialect);
        let Some(first) = statements.next() else {
            return Ok(());
        };
        let mut next = statements.next();
        let alone = next.is_none();
        let act = Act::of(&first, text, Some(&self.tenancy.policy.setting));
        self.step(act, 0, first.span.start, alone)?;
        let mut nth = 1;
        while let Some(statement) = next {
            let act = Act::of(&statement, text, Some(&self.tenancy.policy.setting));
            self.step(act, nth, statement.span.start, false)?;
            nth += 1;
            next = statements.next();
        }
        Ok(())
    }
}

fn goes_on() -> Error {
    let message = "a query text may not end a transaction, reset everything or change its tenant and go on where tenants are sealed";
    Error::new(Kind::NotSupported, message).hint("Send what comes behind it on its own.")
}

/// A comment that names a tenant.
pub(super) struct Comment {
    /// `None`: it names nobody.
    pub(super) tenant: Option<Known>,
    /// Where it stands.
    pub(super) cuts: Vec<Cut>,
}

/// The tenant that a comment of `text` names, and where that comment stands.
pub(super) fn comment_of(
    tenancy: &Tenancy,
    text: &[u8],
    dialect: sql::Dialect,
) -> Result<Option<Comment>, Error> {
    let policy = &tenancy.policy;
    if !policy.sources.has(Source::Comment) {
        return Ok(None);
    }
    let found = sql::comment::find(text, policy.comment_key.as_bytes(), dialect);
    let found = found.map_err(|fault| match fault {
        Fault::Ambiguous => Error::new(
            Kind::TenantConflict,
            "the statement's comments do not name one tenant",
        ),
        Fault::Malformed => Error::new(
            Kind::TenantInvalid,
            "the tenant in the statement's comment cannot be read",
        ),
    })?;
    let Some(found) = found else { return Ok(None) };
    let known = policy.from_comment(&found.value)?;
    let cuts = found
        .cuts
        .into_iter()
        .map(|cut| Cut {
            start: cut.start,
            end: cut.end,
        })
        .collect();
    Ok(Some(Comment {
        tenant: known,
        cuts,
    }))
}
