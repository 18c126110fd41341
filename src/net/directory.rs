//! Who the tenants are, as a database of the operator's knows it (`[tenants_query]`). How it is asked
//! is said in [`super::lookup`]; what it says becomes part of the tenants' accounts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tracing::{info, warn};

use super::{
    bell::Bell,
    keys::Keys,
    lookup::{Answer, Inquiry, Subject},
    worker::Workers,
};
use crate::{
    config::settings::TenantsQuery,
    error::{Error, Kind},
    limit::{Account, Accounts, Who, answer},
    lookup::{Health, Look, Unanswered, View},
    tenant::TenantId,
};

/// The operator's directory of tenants.
pub(crate) struct Directory(Arc<Inquiry<Tenants>>);

/// What its answers are for.
struct Tenants {
    accounts: Arc<Accounts>,
    refuses_unknown: AtomicBool,
}

impl Directory {
    pub(crate) fn new(
        config: TenantsQuery,
        accounts: Arc<Accounts>,
        workers: Workers,
        keys: Arc<Keys>,
    ) -> Self {
        let tenants = Tenants {
            accounts,
            refuses_unknown: AtomicBool::new(config.refuses_unknown),
        };
        Self(Inquiry::new(tenants, config.query, workers, keys))
    }

    /// From now on it is asked in this way; what is known holds as long as it was to hold.
    pub(crate) fn revise(&self, config: TenantsQuery) {
        let refuses_unknown = &self.0.subject.refuses_unknown;
        refuses_unknown.store(config.refuses_unknown, Ordering::Relaxed);
        self.0.revise(config.query);
    }

    /// The client with this bell wants to go on in the name of `account`. `asked` is until when it
    /// waits for the answer, if it does already.
    pub(crate) fn look(
        &self,
        account: &Account,
        bell: &Arc<Bell>,
        asked: &mut Option<Instant>,
        now: Instant,
    ) -> Look<Error> {
        let Who::Tenant(id) = account.who() else {
            return Look::Go;
        };
        let look = self.0.look(id, account.view(now), bell, asked, now);
        look.map_refusal(|why| unanswered(id, why))
    }

    /// Waits until enough is known of `account`, for a client that does nothing else meanwhile.
    pub(crate) async fn introduce(&self, account: &Account, bell: &Arc<Bell>) -> Result<(), Error> {
        let Who::Tenant(id) = account.who() else {
            return Ok(());
        };
        let settled = self.0.settle(id, |now| account.view(now), bell).await;
        settled.map_err(|why| unanswered(id, why))
    }

    /// Whether it answers.
    pub(crate) fn health(&self) -> Health {
        self.0.health()
    }

    /// Somebody goes on in the name of `account` and cannot wait: the next one is to know more.
    pub(crate) fn ask(&self, account: &Account, now: Instant) {
        if let Who::Tenant(id) = account.who()
            && !matches!(account.view(now), View::Fresh | View::Failed)
        {
            self.0.ask(id);
        }
    }
}

impl Subject for Tenants {
    type Key = TenantId;

    const SECTION: &'static str = "tenants_query";

    fn answered(&self, id: &TenantId, answer: &Answer<'_>, now: Instant) -> Result<(), String> {
        let (accounts, holds) = (&self.accounts, &answer.holds);
        match answer.row {
            None => {
                let is_refused = self.refuses_unknown.load(Ordering::Relaxed);
                accounts.not_found(id, is_refused, holds, now);
            }
            Some(row) => {
                let values = row.iter().map(|value| value.as_ref().map(|it| it.as_str()));
                let names = answer.columns.iter().map(String::as_str);
                let rules = accounts.rules();
                let found = answer::read(&rules, names.zip(values), |text| answer.complain(text));
                accounts.found(id, found, holds, now);
            }
        }
        Ok(())
    }

    fn not_answered(&self, id: &TenantId, now: Instant) {
        self.accounts.not_answered(id, now);
    }

    fn complain(&self, id: &TenantId, text: &str) {
        warn!(tenant = %id, "the query in [tenants_query]: {text}");
    }

    fn is_reachable(&self, outcome: Result<(), &str>) {
        match outcome {
            Ok(()) => info!("tenants can be asked for again"),
            Err(why) => warn!(
                why,
                "tenants cannot be asked for; those that are known go on"
            ),
        }
    }
}

/// It is not known whether there is such a tenant. Why, the log says: what is behind the query is not
/// the client's business.
fn unanswered(id: &TenantId, why: Unanswered) -> Error {
    match why {
        Unanswered::Failed => {
            let message = format!("tenant \"{id}\" cannot be looked up");
            Error::new(Kind::TenantLookup, message)
                .detail("The database that knows the tenants does not answer.")
        }
        Unanswered::TooMany => {
            let message = "too many tenants are looked up at once";
            Error::new(Kind::TenantLookup, message)
        }
    }
    .hint("Try again later.")
}
