//! What is told of single transactions: those that took long, and those that are traced.
//!
//! Whoever ends a transaction asks first whether it is of interest ([`Reports::interest`], a load or
//! two) and gathers what there is to say only then.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tracing::{Level, enabled, warn};

#[cfg(feature = "traces")]
use super::traces::{self, Traces};
use super::{journal::About, storm::Storm};
use crate::{
    config::settings::{Config, Log},
    session::Wanted,
    sql::{Dialect, mask::mask, traceparent::TraceParent},
    sync::Mutex,
};

/// Slow transactions that are kept.
pub(crate) const MOST_SLOW: usize = 100;

/// How much of a statement is shown.
const MOST_SHOWN: usize = 1024;

/// How much of a text is worth keeping for it.
pub(crate) const MOST_KEPT: usize = 8 * MOST_SHOWN;

/// Lines about slow transactions of one tenant in ten seconds.
const MOST_LINES: u64 = 10;

/// A transaction that is over.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// When it ended.
    pub(crate) at: SystemTime,
    /// From its first message to its last answer, the wait included.
    pub(crate) took: Duration,
    /// How long it waited before it began: for its turn, or for a server connection.
    pub(crate) waited: Duration,
    /// Requests that were answered.
    pub(crate) queries: u64,
    /// Errors among the answers.
    pub(crate) errors: u64,
    pub(crate) bytes_out: u64,
    /// The last text that its client sent, as it was, or the beginning of it
    /// ([`MOST_KEPT`]), and how it is read; only if [`Reports::keeps_statements`].
    pub(crate) statement: Option<(Box<[u8]>, Dialect)>,
}

/// Why a transaction is to be reported.
#[derive(Debug)]
pub(crate) struct Interest {
    slow: bool,
    #[cfg(feature = "traces")]
    span: Option<traces::Identity>,
}

/// A transaction that took long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slow {
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    pub(crate) waited: Duration,
    pub(crate) queries: u64,
    pub(crate) errors: u64,
    pub(crate) bytes_out: u64,
    pub(crate) client: u32,
    pub(crate) database: Box<str>,
    pub(crate) user: Box<str>,
    pub(crate) tenant: Option<Box<str>>,
    /// Its last text, with its literals masked.
    pub(crate) statement: Option<String>,
}

/// What is told of single transactions.
#[derive(Debug)]
pub(crate) struct Reports {
    /// In nanoseconds.
    slow_after: AtomicU64,
    statements: AtomicBool,
    slow: Mutex<VecDeque<Arc<Slow>>>,
    lines: Storm<Option<Box<str>>>,
    #[cfg(feature = "traces")]
    pub(crate) traces: Option<Arc<Traces>>,
}

impl Reports {
    pub(crate) fn new(config: &Config) -> Self {
        let reports = Self {
            slow_after: AtomicU64::default(),
            statements: AtomicBool::default(),
            slow: Mutex::default(),
            lines: Storm::new(MOST_LINES),
            #[cfg(feature = "traces")]
            traces: config.traces.as_ref().map(Traces::new),
        };
        reports.apply(&config.log);
        reports
    }

    /// From now on what this says counts.
    pub(crate) fn apply(&self, log: &Log) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let slow_after = log.slow_after.map_or(u64::MAX, nanos);
        self.slow_after.store(slow_after, Ordering::Relaxed);
        self.statements
            .store(log.slow_statements, Ordering::Relaxed);
    }

    /// Whether a transaction that took this long, the wait included, is to be reported; `parent`:
    /// the trace that its client says it belongs to.
    #[inline]
    pub(crate) fn interest(
        &self,
        took: Duration,
        parent: Option<&TraceParent>,
    ) -> Option<Interest> {
        let slow = took.as_nanos() >= u128::from(self.slow_after.load(Ordering::Relaxed));
        #[cfg(feature = "traces")]
        {
            let span = self.traces.as_ref().and_then(|it| it.identify(parent));
            (slow || span.is_some()).then_some(Interest { slow, span })
        }
        #[cfg(not(feature = "traces"))]
        {
            let _ = parent;
            slow.then_some(Interest { slow })
        }
    }

    /// What is to be kept of the texts of a transaction that begins now.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            text: if self.keeps_statements() {
                MOST_KEPT
            } else {
                0
            },
            parent: self.looks_for_parents(),
        }
    }

    /// Whether clients' texts are to be searched for the trace that they belong to.
    pub(crate) fn looks_for_parents(&self) -> bool {
        #[cfg(feature = "traces")]
        return self.traces.is_some();
        #[cfg(not(feature = "traces"))]
        false
    }

    /// Whether texts of clients are to be kept while a transaction lasts.
    pub(crate) fn keeps_statements(&self) -> bool {
        self.statements.load(Ordering::Relaxed)
    }

    /// A transaction is over that is of interest.
    pub(crate) fn finished(
        &self,
        interest: &Interest,
        about: &About<'_>,
        it: &Finished,
        now: Instant,
    ) {
        let statement = it.statement.as_ref().filter(|_| self.keeps_statements());
        let statement = statement.map(|(text, dialect)| mask(text, *dialect, MOST_SHOWN));
        #[cfg(feature = "traces")]
        if let (Some(traces), Some(span)) = (&self.traces, interest.span) {
            traces.finished(span, about, it, statement.clone());
        }
        if interest.slow {
            self.was_slow(about, it, statement, now);
        }
    }

    fn was_slow(&self, about: &About<'_>, it: &Finished, statement: Option<String>, now: Instant) {
        let slow = Slow {
            at: it.at,
            took: it.took,
            waited: it.waited,
            queries: it.queries,
            errors: it.errors,
            bytes_out: it.bytes_out,
            client: about.client,
            database: about.database.into(),
            user: about.user.into(),
            tenant: about.tenant.map(Box::from),
            statement,
        };
        if enabled!(Level::WARN) && self.lines.lets(slow.tenant.clone(), now) {
            warn!(
                client = slow.client,
                user = &*slow.user,
                database = &*slow.database,
                tenant = slow.tenant.as_deref(),
                took_ms = millis(slow.took),
                waited_ms = millis(slow.waited),
                queries = slow.queries,
                errors = slow.errors,
                bytes_out = slow.bytes_out,
                statement = slow.statement.as_deref(),
                "slow transaction"
            );
        }
        let mut kept = self.slow.lock();
        if kept.len() >= MOST_SLOW {
            kept.pop_front();
        }
        kept.push_back(Arc::new(slow));
    }

    /// The slow transactions, the last one first.
    pub(crate) fn slow(&self) -> Vec<Arc<Slow>> {
        self.slow.lock().iter().rev().map(Arc::clone).collect()
    }

    /// Says what was left out.
    pub(crate) fn tick(&self, now: Instant) {
        for left in self.lines.calmed(now) {
            let (lines, seconds) = (left.lines, left.within.as_secs());
            let tenant = left.kind.flatten();
            warn!(
                tenant = tenant.as_deref(),
                left_out = lines,
                "slow transaction: and {lines} more like it in the last {seconds} s"
            );
        }
    }
}

/// With a tenth of a millisecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(slow_after: Option<Duration>, slow_statements: bool) -> Reports {
        let text = "[databases.a]\nurl = \"postgres://u@h/a\"\n";
        let mut config = Config::parse(text, "it.toml".as_ref(), &|_| None).unwrap();
        config.log.slow_after = slow_after;
        config.log.slow_statements = slow_statements;
        Reports::new(&config)
    }

    fn report(reports: &Reports, took: Duration, about: &About<'_>) {
        let it = Finished {
            at: SystemTime::UNIX_EPOCH,
            took,
            waited: Duration::ZERO,
            queries: 1,
            errors: 0,
            bytes_out: 0,
            statement: Some((b"select 'secret'".as_slice().into(), Dialect::default())),
        };
        if let Some(interest) = reports.interest(took, None) {
            reports.finished(&interest, about, &it, Instant::now());
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_slow_is_configured() {
        let one = reports(Some(SECOND), false);
        assert!(
            one.interest(SECOND - Duration::from_nanos(1), None)
                .is_none()
        );
        assert!(one.interest(SECOND, None).is_some());
        let off = reports(None, false);
        report(&off, 1_000_000 * SECOND, &About::default());
        assert_eq!(off.slow(), []);
        assert!(!off.looks_for_parents() && !off.keeps_statements());
    }

    #[test]
    fn the_last_hundred_are_kept() {
        let reports = reports(Some(Duration::ZERO), false);
        for millis in 0..250 {
            report(&reports, Duration::from_millis(millis), &About::default());
        }
        let kept: Vec<u128> = reports
            .slow()
            .iter()
            .map(|it| it.took.as_millis())
            .collect();
        assert_eq!(kept, (150..250).rev().collect::<Vec<_>>());
        assert!(reports.slow().iter().all(|it| it.statement.is_none()));
    }

    #[test]
    fn texts_are_masked_and_only_kept_if_asked_for() {
        let reports = reports(Some(SECOND), true);
        let about = About {
            client: 7,
            user: "app",
            database: "shop",
            tenant: Some("acme"),
            address: None,
        };
        report(&reports, SECOND, &about);
        let slow = reports.slow();
        assert_eq!(slow[0].statement.as_deref(), Some("select $?"));
        assert_eq!(
            (slow[0].client, slow[0].tenant.as_deref()),
            (7, Some("acme"))
        );
    }
}
