//! The tenants that are shown: a bounded number of series out of any number of accounts (J12).
//!
//! What a series says is what its account has used since it was chosen, on top of what the series
//! had said before, if it was there before. All that no series says is said by the sum of the
//! others. So neither goes back, and neither jumps, when one takes another's place.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    page::{Labels, Page},
    pools,
    process::seconds,
    table::{self, Metric},
};
use crate::{
    limit::{Account, Used, Who, account::Observation},
    net::lobby::Lobby,
    pool::Standing,
};

/// So many that left are remembered, for each that may be there.
const REMEMBERED: usize = 10;

/// Whoever is shown is taken for so many times as busy: two that are alike would take turns.
const LOYALTY: u64 = 2;

/// Who looks again before this has passed sees the same.
const FRESH: Duration = Duration::from_millis(500);

/// Rates are of the time since a mark that is one to two of these old.
const MARK: Duration = Duration::from_secs(15);

/// The tenants that are shown.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    looked: Option<Instant>,
    /// By the account's number.
    shown: HashMap<u64, Series>,
    former: Former,
    others: Others,
    known: usize,
}

/// One tenant's series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) account: Arc<Account>,
    /// What it had said before it was chosen.
    carried: Used,
    /// What its account had used when it was chosen.
    start: Used,
    /// What it has used now.
    pub(super) used: Used,
    pub(super) clients: usize,
    /// What it has of all pools.
    pub(super) standing: Standing,
    /// What it had used at two moments before.
    marks: [(Instant, Used); 2],
}

impl Series {
    fn new(account: Arc<Account>, seen: &Observation, carried: Used, now: Instant) -> Self {
        Self {
            account,
            carried,
            start: seen.used,
            used: seen.used,
            clients: seen.clients,
            standing: Standing::default(),
            marks: [(now, seen.used); 2],
        }
    }

    /// What has come since it was chosen.
    fn own(&self) -> Used {
        self.used.minus(&self.start)
    }

    /// What it says.
    fn said(&self) -> Used {
        self.carried.plus(&self.own())
    }

    fn follow(&mut self, seen: &Observation, now: Instant) {
        (self.used, self.clients) = (seen.used, seen.clients);
        let [_, latest] = self.marks;
        if now.saturating_duration_since(latest.0) >= MARK {
            self.marks = [latest, (now, seen.used)];
        }
    }

    /// What it has used lately, and in which time.
    pub(super) fn lately(&self, now: Instant) -> (Used, Duration) {
        let [(since, used), _] = self.marks;
        (self.used.minus(&used), now.saturating_duration_since(since))
    }
}

/// What those had said that are not shown any more.
#[derive(Debug, Default)]
struct Former {
    said: HashMap<Who, Used>,
    order: VecDeque<Who>,
}

impl Former {
    fn put(&mut self, who: Who, said: Used, most: usize) {
        if self.said.insert(who.clone(), said).is_none() {
            self.order.push_back(who);
        }
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.said.remove(&oldest);
            }
        }
    }

    fn take(&mut self, who: &Who) -> Used {
        let said = self.said.remove(who);
        if said.is_some() {
            self.order.retain(|it| it != who);
        }
        said.unwrap_or_default()
    }
}

/// All who are not shown.
#[derive(Debug, Default)]
struct Others {
    /// What those have used while they were shown that are no more.
    left: Used,
    /// What they have used together.
    said: Used,
    clients: usize,
    standing: Standing,
}

/// An account that may be shown.
struct Candidate {
    worth: u64,
    account: Arc<Account>,
    seen: Observation,
}

impl Tenants {
    /// Looks at all accounts, and chooses who is shown.
    pub(super) fn look(&mut self, lobby: &Lobby) {
        let now = Instant::now();
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < FRESH;
        if self.looked.is_some_and(is_fresh) {
            return;
        }
        self.looked = Some(now);
        let config = lobby.config();
        let most = config.max_tenants;
        // Asked first: who is forgotten from now on is missed, and not counted twice.
        let mut all = config.accounts.forgotten();
        let mut clients = 0;
        let mut candidates = Vec::new();
        self.known = 0;
        config.accounts.each(|account| {
            let seen = account.observe();
            all = all.plus(&seen.used);
            clients += seen.clients;
            self.known += 1;
            let is_shown = self.shown.contains_key(&account.number());
            let account = Arc::clone(account);
            let worth = seen
                .score
                .saturating_mul(if is_shown { LOYALTY } else { 1 });
            candidates.push(Candidate {
                worth,
                account,
                seen,
            });
            if candidates.len() >= 2 * most + 64 {
                keep_best(&mut candidates, most);
            }
        });
        keep_best(&mut candidates, most);
        self.choose(candidates, most, now);
        self.stand(lobby);
        self.count_others(&all, clients);
    }

    fn choose(&mut self, chosen: Vec<Candidate>, most: usize, now: Instant) {
        let numbers: HashSet<u64> = chosen.iter().map(|it| it.account.number()).collect();
        let gone = |number: &u64, _: &mut Series| !numbers.contains(number);
        for (_, mut series) in self.shown.extract_if(gone) {
            series.used = series.account.used();
            self.others.left = self.others.left.plus(&series.own());
            let who = series.account.who().clone();
            self.former.put(who, series.said(), most * REMEMBERED);
        }
        for Candidate { account, seen, .. } in chosen {
            match self.shown.get_mut(&account.number()) {
                Some(series) => series.follow(&seen, now),
                None => {
                    let carried = self.former.take(account.who());
                    let number = account.number();
                    let series = Series::new(account, &seen, carried, now);
                    self.shown.insert(number, series);
                }
            }
        }
    }

    /// What each of them has of the pools.
    fn stand(&mut self, lobby: &Lobby) {
        let numbers: Vec<u64> = self.shown.keys().copied().collect();
        let mut standings = vec![Standing::default(); numbers.len()];
        let mut all = Standing::default();
        for pool in pools::seen(lobby) {
            let Standing { servers, waiting } = &mut all;
            *servers += pool.filling.busy;
            *waiting += pool.filling.waiting;
            if pool.filling.busy + pool.filling.waiting == 0 {
                continue;
            }
            for (sum, one) in standings.iter_mut().zip(pool.pool.standings(&numbers)) {
                sum.servers += one.servers;
                sum.waiting += one.waiting;
            }
        }
        for (number, standing) in numbers.iter().zip(&standings) {
            all.servers = all.servers.saturating_sub(standing.servers);
            all.waiting = all.waiting.saturating_sub(standing.waiting);
            if let Some(series) = self.shown.get_mut(number) {
                series.standing = *standing;
            }
        }
        self.others.standing = all;
    }

    fn count_others(&mut self, all: &Used, clients: usize) {
        let mut rest = all.minus(&self.others.left);
        let mut of_shown = 0;
        for series in self.shown.values() {
            rest = rest.minus(&series.own());
            of_shown += series.clients;
        }
        // While one looks, others work: what was missed this time is there the next time.
        let before = self.others.said;
        self.others.said = before.plus(&rest.minus(&before));
        self.others.clients = clients.saturating_sub(of_shown);
    }

    /// Those that are shown, in no order.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Series> {
        self.shown.values()
    }

    /// How many there are, shown or not.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    pub(super) fn write(&self, page: &mut Page) {
        page.only(table::TENANTS_KNOWN, self.known);
        page.only(table::TENANTS_SHOWN, self.shown.len());
        let label = |kind, name| Labels::of(table::TENANT_TRANSACTIONS, &[kind, name]);
        // In order, so that two pages can be compared.
        let mut lines: BTreeMap<&Who, Line> = BTreeMap::new();
        for series in self.shown.values() {
            let who = series.account.who();
            let labels = label(who.kind(), who.name());
            let said = series.said();
            let (clients, standing) = (series.clients, series.standing);
            lines.insert(
                who,
                Line {
                    labels,
                    said,
                    clients,
                    standing,
                },
            );
        }
        let others = Line {
            labels: label("other", "_other"),
            said: self.others.said,
            clients: self.others.clients,
            standing: self.others.standing,
        };
        let lines: Vec<Line> = lines.into_values().chain([others]).collect();
        let mut each = |metric: &Metric, write: &dyn Fn(&mut Page, &Line)| {
            page.family(metric);
            lines.iter().for_each(|line| write(page, line));
        };
        macro_rules! write {
            ($metric:ident, $value:expr) => {
                each(table::$metric, &|page, line| {
                    page.sample(table::$metric, &line.labels, $value(line))
                })
            };
        }
        write!(TENANT_TRANSACTIONS, |it: &Line| it.said.transactions);
        write!(TENANT_SERVER_TIME, |it: &Line| seconds(it.said.server_time));
        write!(TENANT_WAIT, |it: &Line| seconds(it.said.wait));
        write!(TENANT_BYTES, |it: &Line| it.said.bytes);
        write!(TENANT_ERRORS, |it: &Line| it.said.errors);
        write!(TENANT_REFUSALS, |it: &Line| it.said.refused);
        write!(TENANT_DELAYED, |it: &Line| it.said.delayed);
        write!(TENANT_CLIENTS, |it: &Line| it.clients);
        write!(TENANT_SERVERS, |it: &Line| it.standing.servers);
        write!(TENANT_WAITING, |it: &Line| it.standing.waiting);
    }
}

/// What is written of one tenant.
struct Line {
    labels: Labels,
    said: Used,
    clients: usize,
    standing: Standing,
}

fn keep_best(candidates: &mut Vec<Candidate>, most: usize) {
    if candidates.len() > most {
        candidates.sort_unstable_by_key(|it| (std::cmp::Reverse(it.worth), it.account.number()));
        candidates.truncate(most);
    }
}
