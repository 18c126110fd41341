//! For how long an answer of the operator's query holds.
//!
//! ```text
//!  answer      ttl             ttl (or max_stale, if it is less)      max_stale
//!    ├── Fresh ──┼──────────────── Aging ─────────┼──── Stale ──────────┼── Unknown …
//! ```
//!
//! An aging answer is used while a newer one is on its way: nobody waits. A stale one is used only if
//! the query fails. So what the operator changes is seen after two `ttl` at the latest, and a
//! database that is down is not noticed before `max_stale` has passed.

use std::time::{Duration, Instant};

/// How long answers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    /// One that there is such a one.
    pub ttl: Duration,
    /// One that there is none.
    pub negative_ttl: Duration,
    /// How much longer one is used while the query fails.
    pub max_stale: Duration,
}

/// How good what is known is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// It holds.
    Fresh,
    /// It may be used while it is asked for anew.
    Aging,
    /// It may be used if the question for it fails.
    Stale,
    /// Nothing is known.
    Unknown,
    /// Nothing is known, and the question has failed a moment ago.
    Failed,
}

/// A question that has failed is not asked again for so long: a query that cannot be
/// answered for one text is no reason to run it without end.
pub const AGAIN: Duration = Duration::from_secs(1);

/// How old what is known of one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Nobody has to be asked: it is listed in the file, say.
    is_given: bool,
    answer: Option<Answer>,
    /// The last question has failed.
    failed_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    fresh_until: Instant,
    aging_until: Instant,
    usable_until: Instant,
    /// There is such a one.
    is_found: bool,
    /// It was understood by rules that do not hold any more.
    is_outdated: bool,
}

impl Standing {
    /// Of one whom nobody is asked about, or not.
    pub fn new(is_given: bool) -> Self {
        Self {
            is_given,
            ..Self::default()
        }
    }

    /// How good it is.
    pub fn view(&self, now: Instant) -> View {
        if self.is_given {
            return View::Fresh;
        }
        let has_failed = self.failed_until.is_some_and(|until| now < until);
        match self.answer {
            Some(answer) if now < answer.usable_until && has_failed => View::Fresh,
            Some(answer) if now < answer.usable_until && answer.is_outdated => View::Stale,
            Some(answer) if now < answer.fresh_until => View::Fresh,
            Some(answer) if now < answer.aging_until => View::Aging,
            Some(answer) if now < answer.usable_until => View::Stale,
            _ if has_failed => View::Failed,
            _ => View::Unknown,
        }
    }

    /// There is such a one.
    pub fn found(&mut self, holds: &Holds, now: Instant) {
        self.answered(holds.ttl, holds, true, now);
    }

    /// There is none, and it is let in all the same.
    pub fn not_found(&mut self, holds: &Holds, now: Instant) {
        self.answered(holds.negative_ttl, holds, false, now);
    }

    fn answered(&mut self, ttl: Duration, holds: &Holds, is_found: bool, now: Instant) {
        let aging = ttl.saturating_add(ttl.min(holds.max_stale));
        let usable = ttl.saturating_add(holds.max_stale);
        self.failed_until = None;
        self.answer = Some(Answer {
            fresh_until: now + ttl,
            aging_until: now + aging,
            usable_until: now + usable,
            is_found,
            is_outdated: false,
        });
    }

    /// The question has failed.
    pub fn failed(&mut self, now: Instant) {
        self.failed_until = Some(now + AGAIN);
    }

    /// Other rules hold, and perhaps nobody has to be asked any more. Whether there is an answer
    /// still, to be asked for anew.
    pub fn revise(&mut self, is_given: bool) -> bool {
        self.is_given = is_given;
        if is_given {
            self.forget();
        }
        if let Some(answer) = &mut self.answer {
            answer.is_outdated = true;
        }
        self.answer.is_some()
    }

    /// It is forgotten what was known.
    pub fn forget(&mut self) {
        (self.answer, self.failed_until) = (None, None);
    }

    /// There is such a one, and it would have to be asked for anew if this was forgotten.
    pub fn is_worth_keeping(&self, now: Instant) -> bool {
        let found = self.answer.filter(|answer| answer.is_found);
        found.is_some_and(|answer| now < answer.usable_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn holds(max_stale: u32) -> Holds {
        Holds {
            ttl: 10 * SECOND,
            negative_ttl: 3 * SECOND,
            max_stale: max_stale * SECOND,
        }
    }

    /// The views in these seconds after the answer.
    fn views(standing: &Standing, start: Instant, seconds: &[u32]) -> Vec<View> {
        let at = |second: &u32| standing.view(start + *second * SECOND);
        seconds.iter().map(at).collect()
    }

    #[test]
    fn an_answer_grows_old() {
        use View::{Aging, Fresh, Stale, Unknown};
        let start = Instant::now();
        for (max_stale, seconds, expected) in [
            (
                100,
                &[0, 9, 10, 19, 20, 109, 110][..],
                &[Fresh, Fresh, Aging, Aging, Stale, Stale, Unknown][..],
            ),
            (5, &[9, 10, 14, 15], &[Fresh, Aging, Aging, Unknown]),
            (0, &[9, 10], &[Fresh, Unknown]),
        ] {
            let mut standing = Standing::new(false);
            assert_eq!(standing.view(start), Unknown);
            standing.found(&holds(max_stale), start);
            assert_eq!(views(&standing, start, seconds), expected, "{max_stale}");
        }
    }

    #[test]
    fn who_is_let_in_unknown_is_asked_for_sooner() {
        use View::{Aging, Fresh, Stale};
        let start = Instant::now();
        let mut standing = Standing::new(false);
        standing.not_found(&holds(100), start);
        let seen = views(&standing, start, &[2, 3, 5, 6]);
        assert_eq!(seen, [Fresh, Aging, Aging, Stale]);
        assert!(!standing.is_worth_keeping(start));
        standing.found(&holds(100), start);
        assert!(standing.is_worth_keeping(start + 109 * SECOND));
        assert!(!standing.is_worth_keeping(start + 110 * SECOND));
    }

    #[test]
    fn a_question_that_fails_is_asked_again_in_a_while() {
        use View::{Failed, Fresh, Stale, Unknown};
        let start = Instant::now();
        let mut standing = Standing::new(false);
        standing.failed(start);
        assert_eq!(views(&standing, start, &[0, 1]), [Failed, Unknown]);
        standing.found(&holds(100), start);
        standing.failed(start + 50 * SECOND);
        assert_eq!(views(&standing, start, &[50, 51]), [Fresh, Stale]);
        standing.failed(start + 110 * SECOND);
        assert_eq!(views(&standing, start, &[110, 111]), [Failed, Unknown]);
    }

    #[test]
    fn other_rules_are_reason_to_ask_again() {
        let start = Instant::now();
        let mut standing = Standing::new(false);
        assert!(!standing.revise(false));
        standing.found(&holds(100), start);
        assert!(standing.revise(false));
        assert_eq!(standing.view(start), View::Stale);
        standing.found(&holds(100), start);
        assert_eq!(standing.view(start), View::Fresh);
        assert!(!standing.revise(true));
        assert_eq!(standing.view(start + 1000 * SECOND), View::Fresh);
        assert!(!standing.revise(false));
        assert_eq!(standing.view(start), View::Unknown);
    }

    #[test]
    fn nobody_is_asked_about_those_in_the_file() {
        let start = Instant::now();
        let mut standing = Standing::new(true);
        assert_eq!(standing.view(start), View::Fresh);
        standing.forget();
        assert_eq!(standing.view(start + 1000 * SECOND), View::Fresh);
    }
}
