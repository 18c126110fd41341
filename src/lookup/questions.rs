//! What is to be asked for, and who waits for the answers.
//!
//! There is one question about each text at a time, however many wait for its answer, and only so
//! many questions: a client that makes up texts must not make a queue that others stand in. While the
//! database does not answer at all, it is tried now and then, in the name of whoever is next.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

use super::View;

/// The most questions at once.
pub const MOST_QUESTIONS: usize = 1000;

/// How long nobody is asked after the first failure. It doubles with each that follows.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What somebody who needs an answer is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<Why = Unanswered> {
    /// Go on: what is known is good enough.
    Go,
    /// Wait until it is rung for, and look again; at that time at the latest.
    Wait(Instant),
    /// Give up.
    Refused(Why),
}

impl<Why> Look<Why> {
    /// The same, with the reason for a refusal in other words.
    pub fn map_refusal<Other>(self, words: impl FnOnce(Why) -> Other) -> Look<Other> {
        match self {
            Self::Go => Look::Go,
            Self::Wait(until) => Look::Wait(until),
            Self::Refused(why) => Look::Refused(words(why)),
        }
    }
}

/// How it is with those who are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The last attempt was in vain.
    pub is_failing: bool,
    /// So many were.
    pub failures: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The database did not give one, or not in time.
    Failed,
    /// Too much is asked for at once.
    TooMany,
}

/// The questions. `W` is how a waiter is reached.
#[derive(Debug)]
pub struct Questions<K, W> {
    /// Those that were not answered yet, with those who wait, by their numbers.
    open: HashMap<K, HashMap<usize, W>>,
    /// Those that were not asked yet.
    queue: VecDeque<K>,
    outage: Option<Outage>,
    /// How often the database did not answer.
    failures: u64,
}

/// The database does not answer.
#[derive(Debug, Clone, Copy)]
struct Outage {
    pause: Duration,
    /// When it is tried again.
    ends: Instant,
}

impl<K, W> Default for Questions<K, W> {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            queue: VecDeque::new(),
            outage: None,
            failures: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, W> Questions<K, W> {
    /// Somebody, whose number is `number`, needs the answer for `id`, of which so much is known; it would wait until `deadline`.
    pub fn look(
        &mut self,
        id: &K,
        view: View,
        waiter: (usize, impl FnOnce() -> W),
        deadline: Instant,
        now: Instant,
    ) -> Look {
        match view {
            View::Fresh => Look::Go,
            View::Failed => Look::Refused(Unanswered::Failed),
            View::Aging => {
                self.ask(id);
                Look::Go
            }
            View::Stale => {
                // Whoever does not get an answer goes on with the old one.
                if self.outage.is_some() || now >= deadline {
                    self.ask(id);
                    return Look::Go;
                }
                self.wait(id, waiter, deadline).unwrap_or(Look::Go)
            }
            View::Unknown => {
                if now >= deadline {
                    return Look::Refused(Unanswered::Failed);
                }
                if self.outage.is_some_and(|outage| outage.ends > deadline) {
                    return Look::Refused(Unanswered::Failed);
                }
                self.wait(id, waiter, deadline)
                    .unwrap_or(Look::Refused(Unanswered::TooMany))
            }
        }
    }

    fn wait(
        &mut self,
        id: &K,
        (number, waiter): (usize, impl FnOnce() -> W),
        deadline: Instant,
    ) -> Option<Look> {
        let waiting = self.ask(id)?;
        waiting.entry(number).or_insert_with(waiter);
        Some(Look::Wait(deadline))
    }

    /// Asks for it, unless it is asked for already. Those who wait for the answer; `None`: it is
    /// not asked for, because too many are.
    pub fn ask(&mut self, id: &K) -> Option<&mut HashMap<usize, W>> {
        if !self.open.contains_key(id) {
            if self.open.len() >= MOST_QUESTIONS {
                return None;
            }
            self.open.insert(id.clone(), HashMap::new());
            self.queue.push_back(id.clone());
        }
        self.open.get_mut(id)
    }

    /// Whether something is to be asked.
    pub fn has_questions(&self) -> bool {
        !self.queue.is_empty()
    }

    /// When the database may be tried again, if it is not now.
    pub fn pauses_until(&self, now: Instant) -> Option<Instant> {
        let outage = self.outage.filter(|outage| now < outage.ends);
        outage.map(|outage| outage.ends)
    }

    /// Whether it does not answer, and how often it has not.
    pub fn health(&self) -> Health {
        Health {
            is_failing: self.outage.is_some(),
            failures: self.failures,
        }
    }

    /// What is to be asked now: at most so many.
    pub fn next(&mut self, most: usize) -> Vec<K> {
        // Nobody knows yet whether there is an answer: one is enough to find out.
        let most = if self.outage.is_some() { 1 } else { most };
        let count = most.min(self.queue.len());
        self.queue.drain(..count).collect()
    }

    /// A question is over, one way or the other: those who waited for it are to look again.
    pub fn settled(&mut self, id: &K) -> impl Iterator<Item = W> + use<K, W> {
        self.open.remove(id).unwrap_or_default().into_values()
    }

    /// The database answers; whether it did not before.
    pub fn works(&mut self) -> bool {
        self.outage.take().is_some()
    }

    /// The database does not answer: whether this is the first failure, and those who are to look
    /// again. All questions are given up, so that none is kept for those who have left.
    pub fn is_down(&mut self, now: Instant) -> (bool, Vec<W>) {
        let pause = match self.outage {
            None => SHORTEST_PAUSE,
            Some(outage) => (outage.pause * 2).min(LONGEST_PAUSE),
        };
        let is_first = self.outage.is_none();
        self.failures += 1;
        let ends = now + pause;
        self.outage = Some(Outage { pause, ends });
        self.queue.clear();
        let waiting = self.open.drain().flat_map(|(_, waiting)| waiting);
        (is_first, waiting.map(|(_, waiter)| waiter).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> String {
        name.to_owned()
    }

    const FAILED: Look = Look::Refused(Unanswered::Failed);
    const TOO_MANY: Look = Look::Refused(Unanswered::TooMany);
    const SECOND: Duration = Duration::from_secs(1);

    /// Questions whose waiters are their numbers, and a clock.
    struct Stage {
        questions: Questions<String, usize>,
        start: Instant,
        now: Instant,
    }

    impl Stage {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                questions: Questions::default(),
                start,
                now: start,
            }
        }

        /// A client that waits for 2 seconds looks.
        fn look(&mut self, name: &str, view: View, number: usize) -> Look {
            let deadline = self.now + 2 * SECOND;
            self.look_until(name, view, number, deadline)
        }

        fn look_until(&mut self, name: &str, view: View, number: usize, deadline: Instant) -> Look {
            let waiter = (number, || number);
            self.questions
                .look(&id(name), view, waiter, deadline, self.now)
        }

        fn asked(&mut self, most: usize) -> Vec<String> {
            self.questions.next(most)
        }

        fn settled(&mut self, name: &str) -> Vec<usize> {
            let mut rung: Vec<usize> = self.questions.settled(&id(name)).collect();
            rung.sort_unstable();
            rung
        }

        fn is_down(&mut self) -> (bool, Vec<usize>) {
            let (is_first, mut rung) = self.questions.is_down(self.now);
            rung.sort_unstable();
            (is_first, rung)
        }
    }

    #[test]
    fn one_question_serves_all() {
        let mut stage = Stage::new();
        let until = stage.start + 2 * SECOND;
        assert_eq!(stage.look("a", View::Fresh, 1), Look::Go);
        assert!(!stage.questions.has_questions());
        for number in [1, 2, 2, 3] {
            assert_eq!(stage.look("a", View::Unknown, number), Look::Wait(until));
        }
        assert_eq!(stage.look("b", View::Stale, 4), Look::Wait(until));
        // Nobody waits for what can be used.
        assert_eq!(stage.look("c", View::Aging, 5), Look::Go);
        assert_eq!(stage.asked(2), ["a", "b"]);
        // It is under way: nobody asks twice.
        assert_eq!(stage.look("a", View::Unknown, 6), Look::Wait(until));
        assert_eq!(stage.asked(9), ["c"]);
        assert_eq!(stage.settled("a"), [1, 2, 3, 6]);
        assert!(stage.settled("a").is_empty());
        assert!(stage.settled("c").is_empty());
        assert_eq!(stage.look("a", View::Unknown, 1), Look::Wait(until));
        assert_eq!(stage.asked(9), ["a"]);
    }

    #[test]
    fn who_has_waited_long_enough_goes_on_or_gives_up() {
        let mut stage = Stage::new();
        let now = stage.now;
        assert_eq!(stage.look_until("a", View::Stale, 1, now), Look::Go);
        let look = stage.look_until("b", View::Unknown, 1, now);
        assert!(look == FAILED, "{look:?}");
        let look = stage.look("b", View::Failed, 1);
        assert!(look == FAILED, "{look:?}");
        // It is asked for in the background.
        assert_eq!(stage.asked(9), ["a"]);
    }

    // J14
    #[test]
    fn only_so_many_questions_are_open() {
        let mut stage = Stage::new();
        for number in 0..MOST_QUESTIONS {
            let look = stage.look(&number.to_string(), View::Unknown, number);
            assert!(matches!(look, Look::Wait(_)), "{look:?}");
        }
        let look = stage.look("more", View::Unknown, 0);
        assert!(look == TOO_MANY, "{look:?}");
        assert_eq!(stage.look("more", View::Stale, 0), Look::Go);
        assert_eq!(stage.look("more", View::Aging, 0), Look::Go);
        // Those that are asked already take one more.
        let look = stage.look("7", View::Unknown, 12_345);
        assert!(matches!(look, Look::Wait(_)), "{look:?}");
        assert_eq!(stage.asked(9).len(), 9);
        assert_eq!(stage.settled("7"), [7, 12_345]);
        let look = stage.look("more", View::Unknown, 0);
        assert!(matches!(look, Look::Wait(_)), "{look:?}");
    }

    // H5
    #[test]
    fn an_outage_has_its_pauses() {
        let mut stage = Stage::new();
        stage.look("a", View::Unknown, 1);
        stage.look("b", View::Stale, 2);
        assert_eq!(stage.asked(1), ["a"]);
        assert_eq!(stage.is_down(), (true, vec![1, 2]));
        assert!(!stage.questions.has_questions());
        for millis in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let ends = stage.now + Duration::from_millis(millis);
            assert_eq!(stage.questions.pauses_until(stage.now), Some(ends));
            let (too_soon, in_time) = (ends - Duration::from_millis(1), ends);
            let look = stage.look_until("a", View::Unknown, 1, too_soon);
            assert!(look == FAILED, "{millis}: {look:?}");
            let look = stage.look_until("a", View::Unknown, 1, in_time);
            assert_eq!(look, Look::Wait(in_time));
            // Who has something does not wait for a database that is down.
            assert_eq!(stage.look("b", View::Stale, 2), Look::Go);
            stage.now = ends;
            assert_eq!(stage.questions.pauses_until(stage.now), None);
            // One is enough to find out.
            assert_eq!(stage.asked(9), ["a"]);
            assert_eq!(stage.is_down(), (false, vec![1]));
        }
        stage.now += 5 * SECOND;
        stage.look("a", View::Unknown, 1);
        stage.look("b", View::Unknown, 2);
        assert_eq!(stage.asked(9), ["a"]);
        assert!(stage.questions.works());
        assert!(!stage.questions.works());
        assert_eq!(stage.settled("a"), [1]);
        assert_eq!(stage.asked(9), ["b"]);
        assert_eq!(stage.is_down(), (true, vec![2]));
    }
}
