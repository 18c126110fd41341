//! Doing what is asked.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{
    command::{Command, Subject},
    tables::Table,
    views::{View, accounts},
};
use crate::{
    config::{problems::nearest, settings::Rights},
    error::{Error, Kind},
    limit::{Account, Who},
    net::{control::Shutdown, lobby::Lobby},
    ops::reload::Reloader,
    sync::Mutex,
};

/// The office: what a visitor may do, and with what it is done.
pub(super) struct Office {
    pub(super) lobby: Arc<Lobby>,
    pub(super) rights: Rights,
    /// Rung for what the visitor waits for: it does not want to any more.
    pub(super) cancelled: Arc<Notify>,
    /// How pgusher is to end once the visitor has heard that it will.
    pub(super) parting: Mutex<Option<Shutdown>>,
    /// Where the configuration comes from.
    pub(super) reloader: Arc<Reloader>,
    /// What the visitor is told beside that it is done.
    pub(super) notices: Mutex<Vec<String>>,
}

impl Office {
    /// Does it; the rows that are its answer, if it has any.
    pub(super) async fn perform(&self, command: &Command) -> Result<Option<Table>, Error> {
        if command.rights() > self.rights {
            let message = format!("permission denied to {} on the console", command.tag());
            let hint = "It takes one of the admin_users in [console].";
            return Err(Error::new(Kind::ConsoleRefused, message).hint(hint));
        }
        match command {
            Command::Show(view, most) => self.show(view, *most).await.map(Some),
            Command::ShowAccount(subject) => {
                let account = self.account(subject)?;
                Ok(Some(accounts::account(&account.statement())))
            }
            Command::Courtesy(courtesy) => Ok(courtesy.table()),
            Command::Control(control) => {
                self.control(control).await?;
                Ok(None)
            }
            Command::Suspend(_) | Command::Resume(_) | Command::Kill(_) | Command::SetTier(..) => {
                self.change(command)?;
                Ok(None)
            }
        }
    }

    fn change(&self, command: &Command) -> Result<(), Error> {
        let accounts = &self.lobby.config().accounts;
        match command {
            Command::Suspend(subject) => accounts.suspend(self.who(subject)?, true),
            Command::Resume(subject) => {
                let account = self.account(subject)?;
                accounts.suspend(account.who().clone(), false);
            }
            Command::Kill(subject) => self.lobby.kill(self.account(subject)?.who()),
            Command::SetTier(subject, tier) => {
                let is_known = accounts.set_tier(self.who(subject)?, tier);
                return is_known.then_some(()).ok_or_else(|| self.no_tier(tier));
            }
            _ => {}
        }
        Ok(())
    }

    /// There may be a great many rows, and this thread has others to serve.
    async fn show(&self, view: &'static View, most: usize) -> Result<Table, Error> {
        let lobby = Arc::clone(&self.lobby);
        let table = tokio::task::spawn_blocking(move || view.table(&lobby, most)).await;
        table.map_err(|_| Error::new(Kind::ShuttingDown, "pgusher is shutting down"))
    }

    /// Whom somebody means who may not have been here yet.
    fn who(&self, subject: &Subject) -> Result<Who, Error> {
        let config = self.lobby.config();
        let who = match subject {
            Subject::Tenant(id) => {
                let Some(policy) = &config.tenant else {
                    let message = "there are no tenants: no [tenant] is configured";
                    return Err(Error::new(Kind::ConsoleUnknown, message));
                };
                let id = policy.format.id(id.as_bytes());
                let bad = |why| Error::new(Kind::TenantInvalid, format!("tenant id {why}"));
                Who::Tenant(id.map_err(bad)?)
            }
            Subject::User(name) => Who::User(name.as_str().into()),
        };
        let rules = config.accounts.rules();
        let is_possible = match &who {
            // Who is not listed may be known to the query, which is not asked here.
            Who::Tenant(id) => {
                let may_be_others = !rules.only_listed || config.tenants_query.is_some();
                may_be_others || rules.tenants.contains_key(id)
            }
            Who::User(name) => config.users.contains_key(&**name),
        };
        if is_possible || config.accounts.find(&who).is_some() {
            Ok(who)
        } else {
            Err(Error::new(
                Kind::ConsoleUnknown,
                format!("{who} does not exist"),
            ))
        }
    }

    /// The account of somebody who has been here.
    fn account(&self, subject: &Subject) -> Result<Arc<Account>, Error> {
        let who = self.who(subject)?;
        self.lobby.config().accounts.find(&who).ok_or_else(|| {
            let message = format!("{who} has no account");
            let detail = "It has not been here, or has been forgotten because it used nothing.";
            Error::new(Kind::ConsoleUnknown, message).detail(detail)
        })
    }

    fn no_tier(&self, typed: &str) -> Error {
        let rules = self.lobby.config().accounts.rules();
        let named = rules.tiers.keys().map(String::as_str);
        let known = named.chain([crate::limit::tier::DEFAULT]);
        let message = format!("tier \"{typed}\" does not exist");
        let error = Error::new(Kind::ConsoleUnknown, message);
        match nearest(typed, known) {
            Some(near) => error.hint(format!("Is {near} meant?")),
            None => error.hint("Tiers are the sections [limits.tiers.NAME], and default."),
        }
    }
}
