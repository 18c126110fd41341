//! The tenants that are shown: a bounded number of series out of any number of accounts (J12).
//!
//! What a series says is what its account has used since it was chosen, on top of what the series
//! had said before, if it was there before. All that no series says is said by the sum of the
//! others. So neither goes back, and neither jumps, when one takes another's place.

use std::{
    collections::{HashMap, HashSet, VecDeque},
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
    limit::{Account, Accounts, Observation, Used, Who},
    net::lobby::Lobby,
    pool::Standing,
};

/// So many that left are remembered, for each that may be there.
const REMEMBERED: usize = 10;

/// Whoever is shown is taken for so many times as busy: two that are alike would take turns.
const LOYALTY: u64 = 2;

/// To look at so many takes some hundredths of a second.
const MANY: usize = 100_000;

/// After this time what was seen of somebody counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);

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
        let config = lobby.config();
        self.see(&config.accounts, config.max_tenants, now);
        self.stand(lobby);
    }

    /// How much of the scores is left since the last time.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of one, in 65,536ths"
    )]
    fn kept(&self, now: Instant) -> u16 {
        let passed = self.looked.map(|at| now.saturating_duration_since(at));
        let halves = passed.unwrap_or_default().as_secs_f64() / HALF_LIFE.as_secs_f64();
        (0.5_f64.powf(halves) * f64::from(u16::MAX)) as u16
    }

    /// Whether it was last looked at longer ago than this, or a multiple of it where there are very
    /// many accounts.
    pub(super) fn are_older_than(&self, age: Duration, lobby: &Lobby) -> bool {
        let many = lobby.config().accounts.len() / MANY;
        let times = u32::try_from(many).unwrap_or(u32::MAX).saturating_add(1);
        let passed = self.looked.map(|at| at.elapsed());
        passed.is_none_or(|passed| passed >= age.saturating_mul(times))
    }

    /// Looks at these accounts, and chooses so many.
    fn see(&mut self, accounts: &Accounts, most: usize, now: Instant) {
        let kept = self.kept(now);
        self.looked = Some(now);
        // Asked first: who is forgotten from now on is missed, and not counted twice.
        let mut all = accounts.forgotten();
        let mut clients = 0;
        let mut candidates = Vec::new();
        self.known = 0;
        accounts.each(|account| {
            let seen = account.observe(kept);
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
        let mut shown: Vec<&Series> = self.shown.values().collect();
        shown.sort_unstable_by_key(|series| series.account.number());
        let mut lines: Vec<Line> = shown
            .into_iter()
            .map(|series| {
                let who = series.account.who();
                Line {
                    labels: label(who.kind(), who.name()),
                    said: series.said(),
                    clients: series.clients,
                    standing: series.standing,
                }
            })
            .collect();
        lines.push(Line {
            labels: label("other", "_other"),
            said: self.others.said,
            clients: self.others.clients,
            standing: self.others.standing,
        });
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::{Cost, Rules};

    /// What stands on the page: of each who is shown, and of the others.
    fn said(tenants: &Tenants) -> (BTreeMap<String, u64>, u64) {
        let of = |series: &Series| {
            let name = series.account.who().name().to_owned();
            (name, series.said().transactions)
        };
        let shown = tenants.shown().map(of).collect();
        (shown, tenants.others.said.transactions)
    }

    fn spend(accounts: &Accounts, name: &str, transactions: u64, now: Instant) {
        let cost = Cost {
            transactions,
            server_time: Duration::from_millis(transactions),
            ..Cost::default()
        };
        accounts.of_user(name).unwrap().settle(cost, now);
    }

    // J12
    #[test]
    fn the_busiest_are_shown_and_the_rest_is_one_sum() {
        let (accounts, mut tenants, now) = (
            Accounts::new(Rules::default()),
            Tenants::default(),
            Instant::now(),
        );
        for nth in 0..100 {
            spend(&accounts, &format!("u{nth}"), nth, now);
        }
        tenants.see(&accounts, 3, now);
        // What was used before anybody looked is said by the sum alone.
        let (shown, others) = said(&tenants);
        let names: Vec<_> = shown.keys().map(String::as_str).collect();
        assert_eq!(names, ["u97", "u98", "u99"]);
        assert!(shown.values().all(|said| *said == 0));
        assert_eq!((others, tenants.known()), ((0..100).sum(), 100));
        spend(&accounts, "u99", 7, now);
        spend(&accounts, "u1", 5, now);
        tenants.see(&accounts, 3, now);
        assert_eq!(said(&tenants).0["u99"], 7);
        assert_eq!(said(&tenants).1, others + 5);
    }

    #[test]
    fn who_comes_back_counts_on() {
        let (accounts, mut tenants, now) = (
            Accounts::new(Rules::default()),
            Tenants::default(),
            Instant::now(),
        );
        let mut turn = |name: &str, transactions| {
            spend(&accounts, name, transactions, now);
            tenants.see(&accounts, 1, now);
            said(&tenants)
        };
        turn("a", 10);
        assert_eq!(turn("a", 10), ([("a".to_owned(), 10)].into(), 10));
        assert_eq!(turn("b", 1000), ([("b".to_owned(), 0)].into(), 1010));
        assert_eq!(turn("b", 1), ([("b".to_owned(), 1)].into(), 1010));
        // What it used when it was not shown, and in the moment that it was chosen, is the others'.
        assert_eq!(
            turn("a", 1_000_000),
            ([("a".to_owned(), 10)].into(), 1_001_010)
        );
        assert_eq!(turn("a", 2), ([("a".to_owned(), 12)].into(), 1_001_010));
    }

    #[test]
    fn nobody_is_shown_where_nobody_is_wanted() {
        let (accounts, mut tenants, now) = (
            Accounts::new(Rules::default()),
            Tenants::default(),
            Instant::now(),
        );
        spend(&accounts, "a", 3, now);
        tenants.see(&accounts, 0, now);
        assert_eq!(said(&tenants), (BTreeMap::new(), 3));
    }

    proptest! {
        // H4, J12: nothing is lost, nothing is counted twice, and nothing goes back, whoever comes
        // and goes, and whoever is forgotten.
        #[test]
        fn the_sum_of_all_series_is_the_whole(
            turns in prop::collection::vec((0_u8..10, 0_u64..50, any::<bool>()), 1..80),
            most in 0_usize..6,
        ) {
            let accounts = Accounts::new(Rules::default());
            let mut tenants = Tenants::default();
            let mut now = Instant::now();
            let (mut spent, mut before): (u64, BTreeMap<String, u64>) = Default::default();
            let mut others_before = 0;
            for (who, transactions, forgets) in turns {
                now += Duration::from_secs(1);
                spend(&accounts, &format!("u{who}"), transactions, now);
                spent += transactions;
                if forgets {
                    accounts.forget(now);
                }
                tenants.see(&accounts, most, now);
                let (shown, others) = said(&tenants);
                prop_assert!(shown.len() <= most);
                let left: u64 = tenants.former.said.values().map(|it| it.transactions).sum();
                prop_assert_eq!(shown.values().sum::<u64>() + left + others, spent);
                prop_assert!(others >= others_before);
                others_before = others;
                for (name, said) in shown {
                    let earlier = before.insert(name, said).unwrap_or(0);
                    prop_assert!(said >= earlier);
                }
            }
        }
    }
}
