//! Asks a database of the operator's for one row at a time: one task with one connection of its own,
//! which is opened when the first question comes. What is to be asked, how long answers hold and who
//! waits for them is said in [`crate::lookup`]; what an answer means is the [`Subject`]'s to say.
//!
//! Nothing of a client's goes there but one text, and that as a parameter. The connection begins with
//! an empty `search_path`, whatever the role or the database would give it, so that the operator's query
//! means what it says (A2), and it cannot write.

mod conn;

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use self::conn::Row;
use self::conn::{Conn, write_question};
use super::{
    bell::{Bell, ring},
    keys::Keys,
    login::Broken,
    upstream::Way,
    worker::Workers,
};
use crate::{
    auth::upstream::Credential,
    config::settings::Query,
    lookup::{Health, Holds, Look, Questions, Unanswered, View},
    sync::Mutex,
};

/// Questions that are on their way at once. Their answers are awaited together, so that many new
/// ones do not cost as many round trips, and few enough that neither side waits for the other to
/// read.
const MOST_AT_ONCE: usize = 64;

/// Different complaints about rows that are logged. They are the operator's few mistakes, or as many
/// as there are rows.
const MOST_COMPLAINTS: usize = 100;

/// A mistake that lasts is told again after this time.
const AGAIN: Duration = Duration::from_secs(60 * 60);

/// What is said of a row that is not read.
const TOO_LARGE: &str = "it finds a row that is too large";

/// Rows that are asked for: the second one is one too many.
const MOST_ROWS: u32 = 2;

/// The name of the prepared query.
const STATEMENT: &[u8] = b"pgusher";

/// What is asked about.
pub(crate) trait Subject: Send + Sync + 'static {
    /// What a question is about: a text that somebody else has bounded.
    type Key: Borrow<str> + Clone + Eq + Hash + Send + Sync;

    /// Where the database is configured.
    const SECTION: &'static str;

    /// What the row that was found means, if one was; or what the operator has done wrong.
    fn answered(&self, key: &Self::Key, answer: &Answer<'_>, now: Instant) -> Result<(), String>;

    /// There is no answer, and it is not worth while to ask again at once.
    fn not_answered(&self, key: &Self::Key, now: Instant);

    /// The operator has made a mistake, and hears of it.
    fn complain(&self, key: &Self::Key, text: &str);

    /// The database does not answer any more, or it does again.
    fn is_reachable(&self, outcome: Result<(), &str>);
}

/// An answer.
pub(crate) struct Answer<'a> {
    /// Names of columns.
    pub(crate) columns: &'a [String],
    /// `None` = there is no such one.
    pub(crate) row: Option<&'a Row>,
    /// How long it holds.
    pub(crate) holds: Holds,
    /// Says what is wrong with it, where it can be used all the same.
    complaints: &'a Mutex<Vec<String>>,
}

impl Answer<'_> {
    pub(crate) fn complain(&self, text: String) {
        self.complaints.lock().push(text);
    }
}

/// Where questions about one subject are taken in.
pub(crate) struct Inquiry<S: Subject> {
    pub(crate) subject: S,
    config: Mutex<Arc<Query>>,
    workers: Workers,
    keys: Arc<Keys>,
    questions: Mutex<Questions<S::Key, Arc<Bell>>>,
    /// There are questions.
    asked: Notify,
    is_running: AtomicBool,
}

impl<S: Subject> Inquiry<S> {
    pub(crate) fn new(subject: S, config: Query, workers: Workers, keys: Arc<Keys>) -> Arc<Self> {
        Arc::new(Self {
            subject,
            config: Mutex::new(Arc::new(config)),
            workers,
            keys,
            questions: Mutex::default(),
            asked: Notify::new(),
            is_running: AtomicBool::new(false),
        })
    }

    fn config(&self) -> Arc<Query> {
        Arc::clone(&self.config.lock())
    }

    /// How long answers hold.
    pub(crate) fn holds(&self) -> Holds {
        let config = self.config();
        Holds {
            ttl: config.ttl,
            negative_ttl: config.negative_ttl,
            max_stale: config.max_stale,
        }
    }

    /// From now on it is asked in this way; what is known holds as long as it was to hold.
    pub(crate) fn revise(&self, config: Query) {
        *self.config.lock() = Arc::new(config);
    }

    /// The client with this bell needs the answer for `key`, of which so much is known. `asked` is
    /// until when it waits for it, if it does already.
    pub(crate) fn look(
        self: &Arc<Self>,
        key: &S::Key,
        view: View,
        bell: &Arc<Bell>,
        asked: &mut Option<Instant>,
        now: Instant,
    ) -> Look {
        if view == View::Fresh {
            *asked = None;
            return Look::Go;
        }
        let deadline = asked.unwrap_or_else(|| now + self.config().timeout);
        let waiter = (Arc::as_ptr(bell).addr(), || Arc::clone(bell));
        let (look, has_questions) = {
            let mut questions = self.questions.lock();
            let look = questions.look(key, view, waiter, deadline, now);
            (look, questions.has_questions())
        };
        *asked = match look {
            Look::Wait(until) => Some(until),
            _ => None,
        };
        self.see_to(has_questions);
        look
    }

    /// Waits until enough is known of `key`, for a client that does nothing else meanwhile.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        key: &S::Key,
        view: impl Fn(Instant) -> View,
        bell: &Arc<Bell>,
    ) -> Result<(), Unanswered> {
        let mut asked = None;
        loop {
            let now = Instant::now();
            match self.look(key, view(now), bell, &mut asked, now) {
                Look::Go => return Ok(()),
                Look::Refused(why) => return Err(why),
                Look::Wait(until) => {
                    let _ = tokio::time::timeout_at(until.into(), bell.rung()).await;
                }
            }
        }
    }

    /// Whether the database answers.
    pub(crate) fn health(&self) -> Health {
        self.questions.lock().health()
    }

    /// Somebody goes on and cannot wait: the next one is to know more.
    pub(crate) fn ask(self: &Arc<Self>, key: &S::Key) {
        let _ = self.questions.lock().ask(key);
        self.see_to(true);
    }

    fn see_to(self: &Arc<Self>, has_questions: bool) {
        if !has_questions {
            return;
        }
        if !self.is_running.swap(true, Ordering::Relaxed) {
            let worker = Arc::clone(self.workers.idlest());
            worker.spawn(Box::pin(Clerk::new(Arc::clone(self)).work()));
        }
        self.asked.notify_one();
    }
}

/// Who asks: lives as long as the program.
struct Clerk<S: Subject> {
    inquiry: Arc<Inquiry<S>>,
    conn: Option<Conn>,
    /// By what it was opened.
    config: Arc<Query>,
    complaints: Complaints,
}

/// What was said of the operator's mistakes: each once, and again only after a while (H5).
struct Complaints {
    said: HashSet<String>,
    since: Instant,
}

/// Why there is no answer.
enum Trouble {
    /// Not to this question.
    Question(String),
    /// Nor to any other, on this connection. Another one may help at once if it has worked before.
    Connection(String),
    /// Nor to any other.
    Silence(String),
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge(_) => Self::Connection(TOO_LARGE.to_owned()),
            broken => Self::Connection(broken.to_string()),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

impl<S: Subject> Clerk<S> {
    fn new(inquiry: Arc<Inquiry<S>>) -> Self {
        Self {
            config: inquiry.config(),
            inquiry,
            conn: None,
            complaints: Complaints {
                said: HashSet::new(),
                since: Instant::now(),
            },
        }
    }

    async fn work(mut self) {
        loop {
            let (has_questions, pause) = {
                let questions = self.inquiry.questions.lock();
                let pause = questions.pauses_until(Instant::now());
                (questions.has_questions(), pause)
            };
            match pause {
                _ if !has_questions => self.inquiry.asked.notified().await,
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => self.ask().await,
            }
        }
    }

    /// Asks what is to be asked now; on another connection if one that has worked does not any more.
    async fn ask(&mut self) {
        let mut keys = self.inquiry.questions.lock().next(MOST_AT_ONCE);
        while !keys.is_empty() {
            let (was_kept, before) = (self.conn.is_some(), keys.len());
            match self.try_to_ask(&mut keys).await {
                Err(Trouble::Connection(_)) if was_kept || keys.len() < before => {}
                Ok(()) => {}
                Err(Trouble::Question(why) | Trouble::Connection(why) | Trouble::Silence(why)) => {
                    return self.is_down(&why);
                }
            }
        }
    }

    /// Asks for these; those that were answered are taken away.
    async fn try_to_ask(&mut self, keys: &mut Vec<S::Key>) -> Result<(), Trouble> {
        let config = self.inquiry.config();
        let mut conn = match self.conn.take() {
            Some(conn) if Arc::ptr_eq(&config, &self.config) => conn,
            _ => {
                self.config = config;
                self.open().await?
            }
        };
        let mut batch = Vec::new();
        for key in keys.iter() {
            write_question(&mut batch, key.borrow());
        }
        conn.dialogue.write(&batch).await?;
        while let Some(key) = keys.first().cloned() {
            let patience = self.inquiry.config().timeout;
            let heard = tokio::time::timeout(patience, conn.answer(key.borrow())).await;
            let in_step = match heard.unwrap_or_else(|_| Err(silence(patience))) {
                Ok(rows) => {
                    self.understand(&key, &conn.columns, &rows);
                    true
                }
                Err(Trouble::Question(why)) => {
                    self.not_answered(&key, why);
                    true
                }
                Err(Trouble::Connection(why)) if why == TOO_LARGE => {
                    self.not_answered(&key, why);
                    false
                }
                Err(trouble) => return Err(trouble),
            };
            self.works();
            self.settled(&key);
            keys.remove(0);
            if !in_step {
                return Err(Trouble::Connection(TOO_LARGE.to_owned()));
            }
        }
        self.conn = Some(conn);
        Ok(())
    }

    async fn open(&self) -> Result<Conn, Trouble> {
        let config = Arc::clone(&self.config);
        let upstream = &config.upstream;
        let patience = config.timeout;
        let millis = patience.as_millis().to_string();
        let credential = upstream.password.as_ref();
        let way = Way {
            what: format!("the database of [{}]", S::SECTION),
            address: &upstream.address,
            user: upstream.user.as_deref().unwrap_or_default(),
            credential: credential.map_or(Credential::None, Credential::from),
            database: upstream.database.as_deref().unwrap_or_default(),
            settings: &[
                ("application_name", "pgusher"),
                ("client_encoding", "UTF8"),
                ("search_path", ""),
                ("default_transaction_read_only", "on"),
                ("statement_timeout", &millis),
            ],
            tls: &upstream.tls,
            keys: &self.inquiry.keys,
        };
        let opening = async {
            let opened = way.open().await;
            let opened = opened.map_err(|failure| Trouble::Silence(failure.error.to_string()))?;
            Conn::prepare(opened.dialogue, &config.query).await
        };
        let opened = tokio::time::timeout(patience, opening).await;
        opened.unwrap_or_else(|_| Err(silence(patience)))
    }

    /// What the rows that were found for `key` mean; those who wait for it go on.
    fn understand(&mut self, key: &S::Key, columns: &[String], rows: &[Row]) {
        if rows.len() > 1 {
            return self.not_answered(key, "it finds more than one row".to_owned());
        }
        let inquiry = Arc::clone(&self.inquiry);
        let complaints = Mutex::default();
        let answer = Answer {
            columns,
            row: rows.first(),
            holds: inquiry.holds(),
            complaints: &complaints,
        };
        let understood = inquiry.subject.answered(key, &answer, Instant::now());
        for text in std::mem::take(&mut *complaints.lock()) {
            self.complain(key, text);
        }
        if let Err(why) = understood {
            self.not_answered(key, why);
        }
    }

    fn not_answered(&mut self, key: &S::Key, why: String) {
        self.complain(key, why);
        self.inquiry.subject.not_answered(key, Instant::now());
    }

    /// The operator has made a mistake, and hears of it.
    fn complain(&mut self, key: &S::Key, text: String) {
        let Complaints { said, since } = &mut self.complaints;
        if since.elapsed() >= AGAIN {
            said.clear();
            *since = Instant::now();
        }
        if said.len() < MOST_COMPLAINTS && !said.contains(&text) {
            self.inquiry.subject.complain(key, &text);
            said.insert(text);
        }
    }

    fn settled(&self, key: &S::Key) {
        let waiting = self.inquiry.questions.lock().settled(key);
        for bell in waiting {
            bell.ring(ring::ANSWER);
        }
    }

    fn is_down(&self, why: &str) {
        let (is_first, waiting) = self.inquiry.questions.lock().is_down(Instant::now());
        if is_first {
            self.inquiry.subject.is_reachable(Err(why));
        }
        for bell in waiting {
            bell.ring(ring::ANSWER);
        }
    }

    fn works(&self) {
        let was_down = self.inquiry.questions.lock().works();
        if was_down {
            self.inquiry.subject.is_reachable(Ok(()));
        }
    }
}

fn silence(patience: Duration) -> Trouble {
    Trouble::Silence(format!("no answer within {patience:?}"))
}
