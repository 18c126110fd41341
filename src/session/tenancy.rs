//! The tenant of a session and of its transaction.
//!
//! A tenant is known from the connection, or because the client said `SET` (or its kin), or from a
//! comment for one statement. What a `SET` says holds as PostgreSQL would have it: to the end of
//! the transaction, or of the session if the transaction is committed. Here is kept what holds
//! now; what may name a tenant at all is [`Policy`]'s to say.

use std::sync::Arc;

use super::{
    backend::Status,
    reading::{Act, Given, Naming, Need, Turn, truth},
};
use crate::{
    error::{Error, Kind},
    limit::Account,
    tenant::{Context, Known, Policy, Source},
};

/// What a statement makes of the session's tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    /// The tenant from now on.
    pub(super) tenant: Option<Known>,
    /// To the end of the transaction only.
    pub(super) local: bool,
}

/// What was set inside of the open transaction, or is by a request: `Some(None)` = reset.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside {
    /// At session level, if the transaction is committed.
    pub(super) session: Option<Option<Known>>,
    /// Until its end.
    local: Option<Option<Known>>,
    /// At session level, in a transaction that the same request has committed.
    committed: Option<Option<Known>>,
}

impl Inside {
    /// And then this.
    pub(super) fn set(&mut self, effect: Effect) {
        if effect.local {
            self.local = Some(effect.tenant);
        } else {
            self.session = Some(effect.tenant);
            self.local = None;
        }
    }

    /// And then all of this.
    fn add(&mut self, later: Self) {
        if later.committed.is_some() {
            *self = Self {
                committed: later.committed,
                ..Self::default()
            };
        }
        if let Some(tenant) = later.session {
            self.set(Effect {
                tenant,
                local: false,
            });
        }
        if let Some(tenant) = later.local {
            self.set(Effect {
                tenant,
                local: true,
            });
        }
    }

    /// The transaction ends, and is committed or not.
    pub(super) fn end(&mut self, keeps: bool) {
        self.local = None;
        let session = self.session.take();
        if keeps && session.is_some() {
            self.committed = session;
        }
    }

    /// What was set in the transaction is undone.
    pub(super) fn go_back(&mut self) {
        (self.session, self.local) = (None, None);
    }

    /// The tenant, if it was set.
    pub(super) fn tenant(&self) -> Option<&Option<Known>> {
        let inside = self.local.as_ref().or(self.session.as_ref());
        inside.or(self.committed.as_ref())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tenant().is_none()
    }
}

/// The most savepoints of one transaction that are told apart. Beyond it, going back to one keeps
/// what was set behind it, and what is injected is the wrong tenant for nobody else's data: a
/// transaction has one.
const MOST_SAVEPOINTS: usize = 256;

/// What a client says of its tenant, when it has logged in.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The rules.
    pub policy: Arc<Policy>,
    /// The tenant that the connection names.
    pub known: Option<Known>,
}

/// What a portal will do when it is executed.
#[derive(Debug)]
struct Bound {
    portal: Box<[u8]>,
    effect: Effect,
}

/// The tenant of one session.
#[derive(Debug)]
pub(super) struct Tenancy {
    pub(super) policy: Arc<Policy>,
    /// Of the session.
    known: Option<Known>,
    inside: Inside,
    savepoints: Vec<(Box<[u8]>, Inside)>,
    /// Whose the open transaction is: something was done in it under this context.
    owner: Option<Arc<Context>>,
    /// In whose name the transaction was admitted.
    admitted: Option<Arc<Account>>,
    /// The place of the owner's last request: answers to those before it end other transactions.
    owned_at: u64,
    /// The place of the next request.
    pub(super) next_place: u64,
    /// A change that was sent, in a request that is not answered yet.
    announced: Inside,
    /// What a portal will do when it is executed.
    bound: Option<Bound>,
    /// What ends the transaction was sent and is not answered, after something was set in it: is it kept?
    ending: Option<bool>,
    /// How texts are read may be changed by a request that is not answered yet.
    dialect_in_doubt: bool,
    /// The request that is being answered has failed; the last thing that it ended was rolled back.
    failed: bool,
    rolled_back: bool,
}

impl Tenancy {
    pub(super) fn new(tenant: Tenant) -> Self {
        Self {
            policy: tenant.policy,
            known: tenant.known,
            inside: Inside::default(),
            savepoints: Vec::new(),
            owner: None,
            admitted: None,
            owned_at: 0,
            next_place: 0,
            announced: Inside::default(),
            bound: None,
            ending: None,
            dialect_in_doubt: false,
            failed: false,
            rolled_back: false,
        }
    }

    /// Whose the open transaction is.
    pub(super) fn owner(&self) -> Option<&Arc<Context>> {
        self.owner.as_ref()
    }

    /// A transaction was admitted: takes what is sent for the tenant anew, if that is out of date.
    pub(super) fn refresh(&mut self) {
        if let Some(known) = &mut self.known
            && known.context.is_outdated()
        {
            *known = self.policy.fresh(known.clone());
        }
        self.admitted = self
            .current()
            .map(|known| Arc::clone(known.context.account()));
    }

    /// A transaction that was admitted in a tenant's name goes on, whatever becomes of the tenant.
    /// One that names its tenant when it is open was not asked about it before.
    fn check(&self, account: &Arc<Account>) -> Result<(), Error> {
        let admitted = self.admitted.as_ref();
        match admitted.is_some_and(|admitted| Arc::ptr_eq(admitted, account)) {
            true => Ok(()),
            false => account.check(),
        }
    }

    /// What is said next may mean another thing once all is answered.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.announced.is_empty() || self.ending.is_some() || self.dialect_in_doubt
    }

    /// How texts are read may be changed by what is not answered yet.
    pub(super) fn is_dialect_in_doubt(&self) -> bool {
        self.dialect_in_doubt
    }

    /// The tenant of what is sent next.
    pub(super) fn current(&self) -> Option<&Known> {
        let inside = &self.inside;
        let announced = self.announced.tenant();
        let local = inside.local.as_ref().filter(|_| self.ending.is_none());
        let session = inside.session.as_ref();
        announced
            .or(local)
            .or_else(|| session.filter(|_| self.ending != Some(false)))
            .unwrap_or(&self.known)
            .as_ref()
    }

    /// The tenant when the transaction has ended, and what was set in it is kept or not.
    pub(super) fn after(&self, keeps: bool) -> Option<Known> {
        let kept = self.inside.session.as_ref().filter(|_| keeps);
        kept.unwrap_or(&self.known).clone()
    }

    /// The tenant when the transaction has gone back to this savepoint.
    pub(super) fn at_savepoint(&self, name: &[u8]) -> Option<Option<Known>> {
        let mut savepoints = self.savepoints.iter().rev();
        let (_, inside) = savepoints.find(|(known, _)| **known == *name)?;
        Some(inside.tenant().unwrap_or(&self.known).clone())
    }

    /// What a statement needs; `outside`: it is a transaction of its own.
    ///
    /// What a context sets beside the tenant are defaults. A `SET` of the client's own comes behind
    /// them, and so needs the context although it reads no data.
    pub(super) fn need_of(&self, act: &Act, outside: bool) -> Need {
        let has_defaults = |known: &Known| known.context.has_more();
        if act.sets && !outside && self.current().is_some_and(has_defaults) {
            return Need::Context;
        }
        act.need
    }

    /// The tenant of a statement that carries `comment`'s.
    pub(super) fn with(&self, comment: Option<Known>) -> Result<Option<Known>, Error> {
        match comment {
            None => Ok(self.current().cloned()),
            Some(comment) => {
                let comment = self.policy.fresh(comment);
                self.policy.combine(self.current(), comment).map(Some)
            }
        }
    }

    /// What `naming` will do, with the parameters of the Bind at hand. `None`: nothing to the tenant.
    pub(super) fn effect_of(
        &self,
        naming: &Naming,
        parameters: &dyn Fn(u16) -> Option<Box<[u8]>>,
    ) -> Result<Option<Effect>, Error> {
        let known = self.current();
        let fixed = known.is_some_and(|known| known.source < Source::Set);
        let is_source = self.policy.sources.has(Source::Set);
        let resolve = |given: &Given| match given {
            Given::Parameter(number) => parameters(*number).map_or(Given::Unknown, Given::Text),
            other => other.clone(),
        };
        if naming.in_passing {
            let resets = is_source && !fixed;
            return Ok(resets.then_some(Effect {
                tenant: None,
                local: false,
            }));
        }
        match naming.name.as_ref().map(&resolve) {
            None => {}
            // Of a parameter of the type `character` the blanks behind it are none.
            Some(Given::Text(name)) if self.policy.setting.is(name.trim_ascii_end()) => {}
            Some(Given::Unknown) => return self.unknown_name(),
            Some(_) => return Ok(None),
        }
        let value = match resolve(&naming.value) {
            Given::Text(value) => self.policy.from_set(&value),
            Given::Default => Ok(None),
            _ => Err(unknown_value(&self.policy)),
        };
        if fixed {
            // To name the tenant that it has anyway is no change.
            return match value {
                Ok(Some(named)) if Some(named.id()) == known.map(Known::id) => Ok(None),
                _ => self.policy.may_set(known, false).map(|()| None),
            };
        }
        self.policy.may_set(known, false)?;
        if !is_source {
            return Ok(None);
        }
        let local = truth(&resolve(&naming.local)).ok_or_else(|| unknown_value(&self.policy))?;
        Ok(Some(Effect {
            tenant: value?,
            local,
        }))
    }

    /// A call sets a setting whose name is worked out by the statement: where the tenant's is
    /// protected, it must not be that.
    fn unknown_name(&self) -> Result<Option<Effect>, Error> {
        if !self.policy.protect {
            return Ok(None);
        }
        let message = "a setting may not be set by a name that is worked out";
        let hint = format!(
            "It might be \"{}\", which is protected. Write the setting's name as a constant.",
            self.policy.setting
        );
        Err(Error::new(Kind::TenantProtected, message).hint(hint))
    }

    /// Statements with these effects were sent, and will run if nothing before them fails.
    pub(super) fn announce(&mut self, effects: Inside) {
        self.announced.add(effects);
    }

    /// A statement that changes how texts are read was sent.
    pub(super) fn doubt_dialect(&mut self) {
        self.dialect_in_doubt = true;
    }

    /// A portal was bound that will do this.
    pub(super) fn bind(&mut self, portal: &[u8], effect: Option<Effect>) {
        if let Some(effect) = effect {
            let portal = portal.into();
            self.bound = Some(Bound { portal, effect });
        } else if self.is_bound(portal) {
            self.bound = None;
        }
    }

    fn is_bound(&self, portal: &[u8]) -> bool {
        let bound = self.bound.as_ref();
        bound.is_some_and(|bound| *bound.portal == *portal)
    }

    /// A portal is executed.
    pub(super) fn execute(&mut self, portal: &[u8]) {
        if !self.is_bound(portal) {
            return;
        }
        if let Some(bound) = self.bound.take() {
            self.announced.set(bound.effect);
        }
    }

    /// Something is sent that acts under `context`, or the transaction belongs to another already.
    pub(super) fn own(&mut self, known: &Known) -> Result<(), Error> {
        self.may_own(known)?;
        self.owned_at = self.next_place;
        Ok(())
    }

    fn may_own(&mut self, known: &Known) -> Result<(), Error> {
        match &self.owner {
            Some(owner) if Arc::ptr_eq(owner, &known.context) => Ok(()),
            Some(owner) => {
                let owner = Known {
                    context: Arc::clone(owner),
                    source: known.source,
                };
                self.policy.in_transaction(&owner, known)
            }
            None => {
                self.check(known.context.account())?;
                self.owner = Some(Arc::clone(&known.context));
                Ok(())
            }
        }
    }

    /// The place of the last request that was sent in the name of the transaction's owner.
    pub(super) fn owned_at(&self) -> u64 {
        self.owned_at
    }

    /// Between two transactions: nobody's is open.
    pub(super) fn disown(&mut self) {
        self.owner = None;
    }

    /// A statement was sent that divides the transaction, or goes back in it.
    pub(super) fn turn(&mut self, turn: &Turn) {
        match turn {
            Turn::Savepoint(name) if self.savepoints.len() < MOST_SAVEPOINTS => {
                let mut inside = self.inside.clone();
                inside.add(self.announced.clone());
                inside.committed = None;
                self.savepoints.push((name.clone(), inside));
            }
            Turn::GoesBack(name) => {
                let at = self.savepoints.iter().rposition(|(known, _)| known == name);
                if let Some((at, (_, inside))) =
                    at.and_then(|at| Some((at, self.savepoints.get(at)?)))
                {
                    self.inside = inside.clone();
                    self.announced.go_back();
                    // If it fails, all of this is not so.
                    self.dialect_in_doubt = true;
                    self.savepoints.truncate(at + 1);
                }
            }
            Turn::Ends { keeps } if !self.inside.is_empty() || !self.announced.is_empty() => {
                self.announced.end(*keeps);
                self.ending = Some(*keeps && self.ending != Some(false));
            }
            _ => {}
        }
    }

    /// Something of the request that is being answered has failed.
    pub(super) fn failed(&mut self) {
        self.failed = true;
    }

    /// The server has ended a transaction or gone back in it, and has rolled back or not.
    pub(super) fn ended(&mut self, rolled_back: bool) {
        self.rolled_back = rolled_back;
    }

    /// A request of the client was answered, and left the server in `status`; `last`: no other is to
    /// be.
    pub(super) fn answered(&mut self, status: Status, last: bool) {
        let failed = std::mem::take(&mut self.failed);
        let rolled_back = std::mem::take(&mut self.rolled_back);
        if !last {
            // What was sent behind it may belong to the next transaction already. Who depends on
            // what becomes of this one is waiting for the last answer.
            self.failed = failed && self.is_in_doubt();
            self.rolled_back = rolled_back && self.ending.is_some() && status == Status::Idle;
            return;
        }
        self.dialect_in_doubt = false;
        let mut announced = std::mem::take(&mut self.announced);
        if failed {
            announced = Inside::default();
        }
        let ending = self.ending.take();
        if status == Status::Idle || ending.is_some() && status == Status::Open {
            let inside = std::mem::take(&mut self.inside);
            self.savepoints = Vec::new();
            if ending.is_some() {
                self.owner = None;
            }
            if let Some(session) = inside.session
                && !failed
                && !rolled_back
                && ending != Some(false)
            {
                self.known = session;
            }
        }
        if let Some(committed) = announced.committed.take() {
            self.known = committed;
        }
        if status == Status::Idle {
            if let Some(session) = announced.session {
                self.known = session;
            }
        } else {
            self.inside.add(announced);
        }
    }

    /// The server is gone, and the transaction with it.
    pub(super) fn lost(&mut self) {
        self.failed();
        self.answered(Status::Idle, true);
    }

    /// The session's tenant is set between two transactions, and no server needs to know.
    pub(super) fn set(&mut self, tenant: Option<Known>) {
        self.known = tenant;
    }
}

fn unknown_value(policy: &Policy) -> Error {
    let message = format!(
        "the tenant that a statement sets \"{}\" to is not known before it runs",
        policy.setting
    );
    let hint = "Give it as a constant or as a parameter.";
    Error::new(Kind::TenantInvalid, message).hint(hint)
}
