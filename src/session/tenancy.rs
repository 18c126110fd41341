//! The tenant of a session and of its transaction.
//!
//! A tenant is known from the connection, or because the client said `SET` (or its kin), or from a
//! comment for one statement. What a `SET` says holds as PostgreSQL would have it: to the end of
//! the transaction, or of the session if the transaction is committed. Here is kept what holds
//! now; what may name a tenant at all is [`Policy`]'s to say.

use std::sync::Arc;

use super::{
    backend::Status,
    reading::{Given, Naming, Turn, truth},
};
use crate::{
    error::{Error, Kind},
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

/// What was set inside of the open transaction: `Some(None)` = reset.
#[derive(Debug, Clone, Default)]
struct Inside {
    /// At session level, if the transaction is committed.
    session: Option<Option<Known>>,
    /// Until its end.
    local: Option<Option<Known>>,
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
    effect: Option<Effect>,
    traceless: bool,
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
    /// A change that was sent, in a request that is not answered yet.
    announced: Option<Effect>,
    /// What a portal will do when it is executed.
    bound: Option<Bound>,
    /// How texts are read may be changed by a request that is not answered yet.
    dialect_in_doubt: bool,
    /// The request that is being answered has failed, or has rolled something back.
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
            announced: None,
            bound: None,
            dialect_in_doubt: false,
            failed: false,
            rolled_back: false,
        }
    }

    /// What is said next may mean another thing once all is answered.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.announced.is_some() || self.dialect_in_doubt
    }

    /// How texts are read may be changed by what is not answered yet.
    pub(super) fn is_dialect_in_doubt(&self) -> bool {
        self.dialect_in_doubt
    }

    /// The tenant of what is sent next.
    pub(super) fn current(&self) -> Option<&Known> {
        let inside = &self.inside;
        let announced = self.announced.as_ref().map(|effect| &effect.tenant);
        announced
            .or(inside.local.as_ref())
            .or(inside.session.as_ref())
            .unwrap_or(&self.known)
            .as_ref()
    }

    /// The tenant of a statement that carries `comment`'s.
    pub(super) fn with(&self, comment: Option<Known>) -> Result<Option<Known>, Error> {
        match comment {
            None => Ok(self.current().cloned()),
            Some(comment) => self.policy.combine(self.current(), comment).map(Some),
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
            Some(Given::Text(name)) if self.policy.setting.is(&name) => {}
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

    /// A statement with this effect was sent, and will run if nothing before it fails.
    pub(super) fn announce(&mut self, effect: Effect) {
        self.announced = Some(effect);
    }

    /// A statement that changes how texts are read was sent.
    pub(super) fn doubt_dialect(&mut self) {
        self.dialect_in_doubt = true;
    }

    /// A portal was bound that will do this, and leaves no trace if it is `traceless`.
    pub(super) fn bind(&mut self, portal: &[u8], effect: Option<Effect>, traceless: bool) {
        if effect.is_some() || traceless {
            self.bound = Some(Bound {
                portal: portal.into(),
                effect,
                traceless,
            });
        } else if self.is_bound(portal) {
            self.bound = None;
        }
    }

    fn is_bound(&self, portal: &[u8]) -> bool {
        let bound = self.bound.as_ref();
        bound.is_some_and(|bound| *bound.portal == *portal)
    }

    /// A portal is executed; says whether it is known to leave no trace.
    pub(super) fn execute(&mut self, portal: &[u8]) -> bool {
        if !self.is_bound(portal) {
            return false;
        }
        let Some(bound) = self.bound.take() else {
            return false;
        };
        if bound.effect.is_some() {
            self.announced = bound.effect;
        }
        bound.traceless
    }

    /// Something is sent that acts under `context`, or the transaction belongs to another already.
    pub(super) fn own(&mut self, known: &Known) -> Result<(), Error> {
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
                self.owner = Some(Arc::clone(&known.context));
                Ok(())
            }
        }
    }

    /// Between two transactions: nobody's is open.
    pub(super) fn disown(&mut self) {
        self.owner = None;
    }

    /// A statement was sent that divides the transaction, or goes back in it.
    pub(super) fn turn(&mut self, turn: &Turn) {
        match turn {
            Turn::Savepoint(name) if self.savepoints.len() < MOST_SAVEPOINTS => {
                let inside = self.inside.clone();
                self.savepoints.push((name.clone(), inside));
            }
            Turn::GoesBack(name) => {
                let at = self.savepoints.iter().rposition(|(known, _)| known == name);
                if let Some((at, (_, inside))) =
                    at.and_then(|at| Some((at, self.savepoints.get(at)?)))
                {
                    self.inside = inside.clone();
                    self.savepoints.truncate(at + 1);
                }
            }
            _ => {}
        }
    }

    /// Something of the request that is being answered has failed.
    pub(super) fn failed(&mut self) {
        self.failed = true;
    }

    /// The server has rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.rolled_back = true;
    }

    /// A request of the client was answered, and left the server in `status`.
    pub(super) fn answered(&mut self, status: Status) {
        let undone = std::mem::take(&mut self.failed) | std::mem::take(&mut self.rolled_back);
        self.dialect_in_doubt = false;
        let announced = self.announced.take().filter(|_| !undone);
        if status == Status::Idle {
            let inside = std::mem::take(&mut self.inside);
            self.savepoints = Vec::new();
            self.owner = None;
            if !undone && let Some(session) = inside.session {
                self.known = session;
            }
            if let Some(Effect {
                tenant,
                local: false,
            }) = announced
            {
                self.known = tenant;
            }
        } else if let Some(effect) = announced {
            self.inside.local = effect.local.then(|| effect.tenant.clone());
            if !effect.local {
                self.inside.session = Some(effect.tenant);
            }
        }
    }

    /// The server is gone, and the transaction with it.
    pub(super) fn lost(&mut self) {
        self.failed();
        self.answered(Status::Idle);
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
