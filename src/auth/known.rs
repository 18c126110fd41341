//! What is known of users that are looked up in a database (`[auth.query]`), in bounded memory.
//!
//! Strangers can make up as many names as they like: those that are nobody's are remembered apart,
//! so that they push no user out. How long an answer holds is said in [`crate::lookup::standing`].
#![expect(
    clippy::arithmetic_side_effects,
    reason = "times that the configuration bounds are added to the clock"
)]

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::Secret;
use crate::lookup::{Absent, Holds, Standing, View, standing::AGAIN};

/// Users that are remembered. Beyond it those are forgotten that were asked for the longest ago.
pub const MOST: usize = 50_000;

/// The longest name that is asked for: PostgreSQL's own are shorter.
pub const MOST_NAME: usize = 128;

/// A user that was found.
#[derive(Debug)]
struct User {
    secret: Secret,
    /// When the answer came.
    since: Instant,
    standing: Standing,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Known {
    found: HashMap<Arc<str>, User>,
    /// Names that are nobody's, or of somebody who has no password.
    absent: Absent<Arc<str>>,
    /// Names for which the query has just failed.
    failed: Absent<Arc<str>>,
}

impl Known {
    /// How good what is known of this user is.
    pub fn view(&mut self, name: &Arc<str>, now: Instant) -> View {
        while self.absent.pop(now).is_some() {}
        while self.failed.pop(now).is_some() {}
        if self.absent.contains(name) {
            return View::Fresh;
        }
        let view = self.found.get(name).map(|user| user.standing.view(now));
        match view {
            Some(view) if view != View::Unknown => view,
            _ if self.failed.contains(name) => View::Failed,
            _ => View::Unknown,
        }
    }

    /// What is stored of its password; `None` = nobody can log in under this name.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.found.get(name).map(|user| user.secret.clone())
    }

    /// The database has answered.
    pub fn answered(
        &mut self,
        name: &Arc<str>,
        secret: Option<Secret>,
        holds: &Holds,
        now: Instant,
    ) {
        let Some(secret) = secret else {
            self.found.remove(name);
            self.absent
                .insert(Arc::clone(name), now + holds.negative_ttl);
            return;
        };
        self.absent.remove(name);
        let mut standing = Standing::new(false);
        standing.found(holds, now);
        let user = User {
            secret,
            since: now,
            standing,
        };
        self.found.insert(Arc::clone(name), user);
        if self.found.len() > MOST {
            self.make_room(now);
        }
    }

    /// The question could not be answered.
    pub fn failed(&mut self, name: &Arc<str>, now: Instant) {
        match self.found.get_mut(name) {
            Some(user) => user.standing.failed(now),
            None => drop(self.failed.insert(Arc::clone(name), now + AGAIN)),
        }
    }

    /// Somebody did not know the password: it may have been changed. An answer that is older than
    /// `holds.negative_ttl` is to be asked for anew.
    pub fn doubt(&mut self, name: &str, holds: &Holds, now: Instant) {
        if let Some(user) = self.found.get_mut(name)
            && now.saturating_duration_since(user.since) >= holds.negative_ttl
        {
            user.standing.revise(false);
        }
    }

    /// All is to be asked for anew.
    pub fn doubt_all(&mut self) {
        self.absent = Absent::default();
        for user in self.found.values_mut() {
            user.standing.revise(false);
        }
    }

    /// Whether this is still what is stored for this user.
    pub fn is_current(&self, name: &str, secret: &Secret) -> bool {
        let user = self.found.get(name);
        user.is_some_and(|user| user.secret.is_same(secret))
    }

    /// Forgets what cannot be used, and the eighth that was asked for the longest ago.
    fn make_room(&mut self, now: Instant) {
        self.found
            .retain(|_, user| user.standing.is_worth_keeping(now));
        let mut ages: Vec<Instant> = self.found.values().map(|user| user.since).collect();
        ages.sort_unstable();
        if let Some(oldest) = ages.get(MOST / 8).filter(|_| ages.len() > MOST / 8 * 7) {
            let oldest = *oldest;
            self.found.retain(|_, user| user.since > oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const HOLDS: Holds = Holds {
        ttl: Duration::from_secs(60),
        negative_ttl: Duration::from_secs(10),
        max_stale: Duration::from_secs(3600),
    };

    fn secret(text: &str) -> Option<Secret> {
        Secret::parse(text).ok()
    }

    #[test]
    fn users_and_strangers_are_remembered() {
        let (mut known, start) = (Known::default(), Instant::now());
        let (app, nobody) = (Arc::from("app"), Arc::from("nobody"));
        assert_eq!(known.view(&app, start), View::Unknown);
        known.answered(&app, secret("one"), &HOLDS, start);
        known.answered(&nobody, None, &HOLDS, start);
        for (seconds, of_app, of_nobody) in [
            (0, View::Fresh, View::Fresh),
            (9, View::Fresh, View::Fresh),
            (10, View::Fresh, View::Unknown),
            (60, View::Aging, View::Unknown),
            (120, View::Stale, View::Unknown),
            (3660, View::Unknown, View::Unknown),
        ] {
            let now = start + seconds * SECOND;
            let views = (known.view(&app, now), known.view(&nobody, now));
            assert_eq!(views, (of_app, of_nobody), "{seconds}");
        }
        assert!(known.is_current("app", &secret("one").unwrap()));
        assert!(!known.is_current("app", &secret("two").unwrap()));
        assert!(known.secret("nobody").is_none());
        // A role that was dropped is nobody.
        known.answered(&app, None, &HOLDS, start);
        assert!(known.secret("app").is_none());
        assert_eq!(known.view(&app, start), View::Fresh);
    }

    // A11
    #[test]
    fn a_wrong_password_is_reason_to_ask_again_but_not_at_once() {
        let (mut known, start) = (Known::default(), Instant::now());
        let app = Arc::from("app");
        known.answered(&app, secret("one"), &HOLDS, start);
        known.doubt("app", &HOLDS, start + 9 * SECOND);
        assert_eq!(known.view(&app, start + 9 * SECOND), View::Fresh);
        known.doubt("app", &HOLDS, start + 10 * SECOND);
        assert_eq!(known.view(&app, start + 10 * SECOND), View::Stale);
        known.answered(&app, secret("two"), &HOLDS, start + 10 * SECOND);
        assert_eq!(known.view(&app, start + 10 * SECOND), View::Fresh);
        known.doubt_all();
        assert_eq!(known.view(&app, start + 10 * SECOND), View::Stale);
        known.doubt("nobody", &HOLDS, start);
    }

    #[test]
    fn a_question_that_fails_is_not_asked_again_at_once() {
        let (mut known, start) = (Known::default(), Instant::now());
        let (app, other) = (Arc::from("app"), Arc::from("other"));
        known.answered(&app, secret("one"), &HOLDS, start);
        let now = start + 200 * SECOND;
        known.failed(&app, now);
        known.failed(&other, now);
        assert_eq!(known.view(&app, now), View::Fresh);
        assert_eq!(known.view(&other, now), View::Failed);
        assert_eq!(known.view(&app, now + AGAIN), View::Stale);
        assert_eq!(known.view(&other, now + AGAIN), View::Unknown);
    }

    // J14
    #[test]
    fn only_so_many_are_remembered_and_strangers_push_nobody_out() {
        let (mut known, start) = (Known::default(), Instant::now());
        let name = |number: usize| -> Arc<str> { number.to_string().into() };
        for number in 0..=MOST {
            let now = start + Duration::from_micros(number as u64);
            known.answered(&name(number), secret("one"), &HOLDS, now);
        }
        assert!(known.found.len() <= MOST && known.found.len() > MOST / 8 * 6);
        assert!(known.secret("0").is_none() && known.secret(&MOST.to_string()).is_some());
        let before = known.found.len();
        for number in 0..30_000 {
            known.answered(&format!("x{number}").into(), None, &HOLDS, start);
        }
        assert_eq!(known.found.len(), before);
    }

    #[test]
    fn nothing_prints_a_secret() {
        let mut known = Known::default();
        known.answered(&Arc::from("app"), secret("hunter2"), &HOLDS, Instant::now());
        assert!(!format!("{known:?}").contains("hunter2"));
    }
}
