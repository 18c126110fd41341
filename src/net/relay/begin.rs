//! A transaction begins and ends: may it, who pays for it, which server connection does it get.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{Client, Gone};
use crate::{
    error::{Error, Kind},
    limit::{Account, Admission, Cost},
    lookup::Look,
    net::{
        cancel,
        journal::About,
        lease::Lease,
        pool::Claim,
        report::Finished,
        side::{Desk, at_desk},
    },
    pool::Party,
    wire::write::{self, Report},
};

impl Client {
    /// Starts a transaction with the request at hand: `true` = it may go on, `false` = it waits.
    pub(super) fn start(
        &mut self,
        desk: &mut Desk,
        used: usize,
        filled: usize,
        now: Instant,
    ) -> Result<bool, Error> {
        self.session.look_for(self.pass.lobby().reports.wanted());
        let is_new = self.lease.is_none() && self.looking.is_none();
        if self.stopping && is_new {
            return Err(Error::new(Kind::ShuttingDown, "pgusher is shutting down"));
        }
        if self.looking.is_none() {
            self.asked = now;
            self.parts.card.asks(now);
        }
        if is_new {
            self.take_timeouts();
        }
        self.settle(now);
        let request = desk.window.get(used..filled).unwrap_or_default();
        let account = self.session.account_of(request);
        self.account = account.unwrap_or_else(|| Arc::clone(self.parts.presence.account()));
        if !self.is_introduced(now)? {
            return Ok(false);
        }
        match self.account.admit(self.session.patience(), now) {
            Admission::Now => self.claim(desk, now),
            Admission::In(wait) => {
                self.wait_until(now + wait);
                Ok(false)
            }
            Admission::Refused(error) => Err(error),
        }
    }

    /// If the configuration has changed, what it says now holds from this transaction on.
    fn take_timeouts(&mut self) {
        let db = &self.parts.membership.pool().db;
        let edition = db.edition();
        if self.edition != edition {
            self.edition = edition;
            self.session.revise(db.timeouts());
        }
    }

    /// Whether enough is known of the tenant; if not, the request waits until it is.
    fn is_introduced(&mut self, now: Instant) -> Result<bool, Error> {
        let Some(directory) = &self.pass.lobby().directory else {
            return Ok(true);
        };
        match directory.look(&self.account, &self.parts.bell, &mut self.looking, now) {
            Look::Go => Ok(true),
            Look::Wait(until) => {
                self.wait_until(until);
                Ok(false)
            }
            Look::Refused(error) => Err(error),
        }
    }

    fn wait_until(&mut self, until: Instant) {
        self.delayed = true;
        self.session.delayed(until);
    }

    /// Gets a server connection, if there is none: `true` = here it is, `false` = queued up.
    pub(super) fn claim(&mut self, desk: &mut Desk, now: Instant) -> Result<bool, Error> {
        if let Some(lease) = &mut self.lease {
            lease.transfer(&party_of(&self.account), now);
            self.session.admitted(&mut lease.conn().backend);
            self.parts.card.works(&lease.conn().card, &self.account);
            self.has_waited(desk, now);
            return Ok(true);
        }
        let pool = self.parts.membership.pool();
        let worker = self.seat.worker().nth;
        match pool.claim(&self.parts.bell, &party_of(&self.account), worker, now) {
            Claim::Granted(lease) => self.attach(lease, desk, now).map(|()| true),
            Claim::Queued(queued) => {
                self.queued = Some(queued);
                self.session.waiting(now);
                Ok(false)
            }
            Claim::Refused(error) => Err(error),
        }
    }

    /// The transaction that waited for its time may begin; or that waited for its tenant, and asks
    /// again.
    pub(super) fn may_begin(&mut self) -> Result<(), Gone> {
        self.delayed = false;
        self.begin_with(|client, desk, filled, now| match client.looking {
            Some(_) => client.start(desk, 0, filled, now),
            None => client.claim(desk, now),
        })
    }

    /// The wait is over: goes on with what was kept if `begin` says that it may; or else that is
    /// kept again, or refused.
    pub(super) fn begin_with(
        &mut self,
        begin: impl FnOnce(&mut Self, &mut Desk, usize, Instant) -> Result<bool, Error>,
    ) -> Result<(), Gone> {
        let now = Instant::now();
        at_desk(|desk| {
            let filled = self.side.take_kept(&mut desk.window);
            match begin(self, desk, filled, now) {
                Ok(true) => self.go_on(desk, filled, now),
                Ok(false) => {
                    self.side
                        .keep(desk.window.get(..filled).unwrap_or_default());
                    Ok(())
                }
                Err(error) => self.go_on_refused(desk, filled, &error),
            }
        })
    }

    /// A transaction may turn out to be another's than it seemed when it began: from then on it is
    /// in that name.
    pub(super) fn follow_owner(&mut self, now: Instant) {
        let Some(owner) = self.session.owner() else {
            return;
        };
        if Arc::ptr_eq(owner, &self.account) {
            return;
        }
        let owner = Arc::clone(owner);
        if let Some(lease) = &mut self.lease {
            let cost = self.session.take_cost();
            self.transactions += cost.transactions;
            self.account.settle(cost, now);
            owner.charge(now);
            lease.transfer(&party_of(&owner), now);
            self.account = owner;
            if let Some(directory) = &self.pass.lobby().directory {
                directory.ask(&self.account, now);
            }
        }
    }

    /// Settles what was used and is over.
    pub(super) fn settle(&mut self, now: Instant) {
        let cost = self.session.take_cost();
        if cost != Cost::default() {
            self.transactions += cost.transactions;
            self.account.settle(cost, now);
            self.report(&cost, now);
        }
    }

    /// What is over may be worth a line, or a span.
    fn report(&mut self, cost: &Cost, now: Instant) {
        let took = cost.server_time + cost.wait;
        let glimpse = self.session.take_glimpse();
        if took.is_zero() {
            return;
        }
        let reports = &self.pass.lobby().reports;
        let parent = glimpse.as_ref().and_then(|it| it.parent);
        let Some(interest) = reports.interest(took, parent.as_ref()) else {
            return;
        };
        let finished = Finished {
            at: SystemTime::now(),
            took,
            waited: cost.wait,
            queries: cost.queries,
            errors: cost.errors,
            bytes_out: cost.bytes,
            statement: glimpse.map(|it| (it.text, it.dialect)),
        };
        let about = About::of(&self.parts.card, self.account.who());
        reports.finished(&interest, &about, &finished, now);
    }

    /// The transaction is over, and the server connection goes back.
    pub(super) fn give_back(&mut self, now: Instant) -> Result<(), Gone> {
        self.settle(now);
        if let Some(lease) = self.lease.take() {
            lease.give_back(now);
        }
        self.parts.card.rests(self.session.statements());
        if let Some(worker) = self.seat.changes() {
            self.moves_to = Some(worker);
        }
        self.leave_if_stopping()
    }

    /// The wait is over. Who has waited for long hears why, if that is wanted.
    fn has_waited(&mut self, desk: &mut Desk, now: Instant) {
        let waited = now.saturating_duration_since(self.asked);
        self.session.has_waited(waited);
        if self.pass.lobby().is_long(waited) {
            desk.out
                .to_client
                .own(|bytes| notice_of_wait(waited, &self.account, bytes));
        }
    }

    pub(super) fn attach(
        &mut self,
        mut lease: Lease,
        desk: &mut Desk,
        now: Instant,
    ) -> Result<(), Error> {
        lease
            .bring_home(&self.pass.lobby().workers)
            .map_err(|error| {
                Error::new(
                    Kind::ServerUnavailable,
                    format!("a server connection could not be taken over: {error}"),
                )
            })?;
        self.has_waited(desk, now);
        self.parts.card.works(&lease.conn().card, &self.account);
        self.session
            .attached(&mut lease.conn().backend, &mut desk.out, now);
        self.lease = Some(lease);
        Ok(())
    }

    /// Notes whether what the client does is limited, and whether somebody waits for a server
    /// connection that has been held for long.
    pub(super) fn look_around(&mut self) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        lease.conn().backend.is_watched = self.account.is_metered();
        if lease.conn().backend.has_served_long() {
            lease.conn().backend.is_wanted = lease.pool().is_waited_for();
            // Who sends without end is not asked about at the begin of a transaction.
            if let Some(directory) = &self.pass.lobby().directory {
                directory.ask(&self.account, Instant::now());
            }
        }
    }

    /// The operator has sent the clients of some account away, perhaps this one.
    pub(super) fn leave_if_expelled(&mut self) -> Result<(), Gone> {
        let present = self.parts.presence.account();
        let came = self.parts.card.came();
        if self.account.has_expelled(came) || present.has_expelled(came) {
            let message = "terminating connection: the operator has disconnected its tenant";
            return self.say_goodbye(&Error::new(Kind::TenantExpelled, message));
        }
        match self.parts.membership.pool().db.has_killed(came) {
            true => self.be_killed(),
            false => Ok(()),
        }
    }

    /// The operator has sent this very client away, or all clients of its database.
    pub(super) fn be_killed(&mut self) -> Result<(), Gone> {
        self.killed = true;
        let message = "terminating connection due to administrator command";
        self.say_goodbye(&Error::new(Kind::ClientKilled, message))
    }

    /// The server connection is to be gone, whatever it does.
    pub(super) fn drop_server(&self, mut lease: Lease) {
        if !lease.conn().backend.pipeline.is_idle() {
            // What runs there would run on to its end, heard by nobody.
            let patience = lease.pool().db.timeouts().cancel_wait_timeout;
            cancel::launch(lease.conn(), self.seat.worker(), patience, None);
        }
        match self.session.is_mid_request() {
            true => lease.abandon(),
            false => lease.close(),
        }
    }
}

/// An account, as pools know it.
pub(in crate::net) fn party_of(account: &Account) -> Party {
    Party {
        number: account.number(),
        share: account.share(),
    }
}

/// It is not an error, and comes before the answer.
fn notice_of_wait(waited: Duration, account: &Account, out: &mut Vec<u8>) {
    let millis = waited.as_millis();
    let message = format!("pgusher: this transaction waited {millis} ms before it began");
    let detail = format!(
        "{}={} waited_ms={millis}",
        account.who().kind(),
        account.who().name()
    );
    let report = Report {
        severity: "NOTICE",
        code: "00000",
        message: &message,
        detail: Some(&detail),
        hint: Some("Its tenant is at a limit, or the pool is busy."),
        routine: None,
    };
    write::report(out, b'N', &report);
}
