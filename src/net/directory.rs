//! Asks a database of the operator's who the tenants are: one task with one connection of its own, which
//! is opened when the first tenant is asked for. Who is to be asked for, how long answers hold and
//! who waits for them is said in [`crate::limit::directory`].
//!
//! Nothing of a client's goes there but the id, and that as a parameter. The connection begins with
//! an empty `search_path`, whatever the role or the database would give it, so that the operator's query
//! means what it says (A2), and it cannot write.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::{
    bell::{Bell, ring},
    keys::Keys,
    login::{Broken, Dialogue, Message},
    upstream::Way,
    worker::Workers,
};
use crate::{
    auth::upstream::Credential,
    config::settings::TenantsQuery,
    error::Error,
    limit::{Account, Accounts, Directory as Questions, Found, Holds, Look, View, Who, answer},
    session::printable,
    sync::Mutex,
    tenant::TenantId,
    wire::{
        backend::{self, Fields},
        write,
    },
};

/// Questions that are on their way at once. Their answers are awaited together, so that many new
/// tenants do not cost as many round trips, and few enough that neither side waits for the other to
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

/// The operator's directory of tenants.
pub(crate) struct Directory {
    config: Mutex<Arc<TenantsQuery>>,
    accounts: Arc<Accounts>,
    workers: Workers,
    keys: Arc<Keys>,
    questions: Mutex<Questions<Arc<Bell>>>,
    /// There are questions.
    asked: Notify,
    is_running: AtomicBool,
}

impl Directory {
    pub(crate) fn new(
        config: TenantsQuery,
        accounts: Arc<Accounts>,
        workers: Workers,
        keys: Arc<Keys>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: Mutex::new(Arc::new(config)),
            accounts,
            workers,
            keys,
            questions: Mutex::default(),
            asked: Notify::new(),
            is_running: AtomicBool::new(false),
        })
    }

    fn config(&self) -> Arc<TenantsQuery> {
        Arc::clone(&self.config.lock())
    }

    /// From now on it is asked in this way; what is known holds as long as it was to hold.
    pub(crate) fn revise(&self, config: TenantsQuery) {
        *self.config.lock() = Arc::new(config);
    }

    /// The client with this bell wants to go on in the name of `account`. `asked` is until when it
    /// waits for the answer, if it does already.
    pub(crate) fn look(
        self: &Arc<Self>,
        account: &Account,
        bell: &Arc<Bell>,
        asked: &mut Option<Instant>,
        now: Instant,
    ) -> Look {
        let Who::Tenant(id) = account.who() else {
            return Look::Go;
        };
        let view = account.view(now);
        if view == View::Fresh {
            *asked = None;
            return Look::Go;
        }
        let deadline = asked.unwrap_or_else(|| now + self.config().timeout);
        let waiter = (Arc::as_ptr(bell).addr(), || Arc::clone(bell));
        let (look, has_questions) = {
            let mut questions = self.questions.lock();
            let look = questions.look(id, view, waiter, deadline, now);
            (look, questions.has_questions())
        };
        *asked = match look {
            Look::Wait(until) => Some(until),
            _ => None,
        };
        self.see_to(has_questions);
        look
    }

    /// Waits until enough is known of `account`, for a client that does nothing else meanwhile.
    pub(crate) async fn introduce(
        self: &Arc<Self>,
        account: &Account,
        bell: &Arc<Bell>,
    ) -> Result<(), Error> {
        let mut asked = None;
        loop {
            match self.look(account, bell, &mut asked, Instant::now()) {
                Look::Go => return Ok(()),
                Look::Refused(error) => return Err(error),
                Look::Wait(until) => {
                    let _ = tokio::time::timeout_at(until.into(), bell.rung()).await;
                }
            }
        }
    }

    /// Somebody goes on in the name of `account` and cannot wait: the next one is to know more.
    pub(crate) fn ask(self: &Arc<Self>, account: &Account, now: Instant) {
        if let Who::Tenant(id) = account.who()
            && !matches!(account.view(now), View::Fresh | View::Failed)
        {
            let _ = self.questions.lock().ask(id);
            self.see_to(true);
        }
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
struct Clerk {
    directory: Arc<Directory>,
    conn: Option<Conn>,
    /// By what it was opened.
    config: Arc<TenantsQuery>,
    complaints: Complaints,
}

/// What was said of the operator's mistakes: each once, and again only after a while (H5).
struct Complaints {
    said: HashSet<String>,
    since: Instant,
}

/// A connection on which the query is prepared.
struct Conn {
    dialogue: Dialogue,
    columns: Vec<String>,
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

impl Clerk {
    fn new(directory: Arc<Directory>) -> Self {
        Self {
            config: directory.config(),
            directory,
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
                let questions = self.directory.questions.lock();
                let pause = questions.pauses_until(Instant::now());
                (questions.has_questions(), pause)
            };
            match pause {
                _ if !has_questions => self.directory.asked.notified().await,
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => self.ask().await,
            }
        }
    }

    /// Asks what is to be asked now; on another connection if one that has worked does not any more.
    async fn ask(&mut self) {
        let mut ids = self.directory.questions.lock().next(MOST_AT_ONCE);
        while !ids.is_empty() {
            let (was_kept, before) = (self.conn.is_some(), ids.len());
            match self.try_to_ask(&mut ids).await {
                Err(Trouble::Connection(_)) if was_kept || ids.len() < before => {}
                Ok(()) => {}
                Err(Trouble::Question(why) | Trouble::Connection(why) | Trouble::Silence(why)) => {
                    return self.is_down(&why);
                }
            }
        }
    }

    /// Asks for these tenants; those that were answered are taken away.
    async fn try_to_ask(&mut self, ids: &mut Vec<TenantId>) -> Result<(), Trouble> {
        let config = self.directory.config();
        let mut conn = match self.conn.take() {
            Some(conn) if Arc::ptr_eq(&config, &self.config) => conn,
            _ => {
                self.config = config;
                self.open().await?
            }
        };
        let mut batch = Vec::new();
        for id in ids.iter() {
            write_question(&mut batch, id);
        }
        conn.dialogue.write(&batch).await?;
        while let Some(id) = ids.first().cloned() {
            let patience = self.directory.config().timeout;
            let heard = tokio::time::timeout(patience, conn.answer(&id)).await;
            let in_step = match heard.unwrap_or_else(|_| Err(silence(patience))) {
                Ok(rows) => {
                    self.understand(&id, &conn.columns, &rows);
                    true
                }
                Err(Trouble::Question(why)) => {
                    self.not_answered(&id, why);
                    true
                }
                Err(Trouble::Connection(why)) if why == TOO_LARGE => {
                    self.not_answered(&id, why);
                    false
                }
                Err(trouble) => return Err(trouble),
            };
            self.works();
            self.settled(&id);
            ids.remove(0);
            if !in_step {
                return Err(Trouble::Connection(TOO_LARGE.to_owned()));
            }
        }
        self.conn = Some(conn);
        Ok(())
    }

    async fn open(&self) -> Result<Conn, Trouble> {
        let directory = &self.directory;
        let config = Arc::clone(&self.config);
        let upstream = &config.upstream;
        let patience = config.timeout;
        let millis = patience.as_millis().to_string();
        let credential = upstream.password.as_ref();
        let way = Way {
            what: "the database of [tenants_query]".to_owned(),
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
            keys: &directory.keys,
        };
        let opening = async {
            let opened = way.open().await;
            let opened = opened.map_err(|failure| Trouble::Silence(failure.error.to_string()))?;
            Conn::prepare(opened.dialogue, &config.query).await
        };
        let opened = tokio::time::timeout(patience, opening).await;
        opened.unwrap_or_else(|_| Err(silence(patience)))
    }

    /// What the rows that were found for `id` mean; those who wait for it go on.
    fn understand(&mut self, id: &TenantId, columns: &[String], rows: &[Row]) {
        let directory = Arc::clone(&self.directory);
        let (accounts, config) = (&directory.accounts, directory.config());
        let holds = Holds {
            ttl: config.ttl,
            negative_ttl: config.negative_ttl,
            max_stale: config.max_stale,
        };
        match rows {
            [] => accounts.not_found(id, config.refuses_unknown, &holds, Instant::now()),
            [row] => {
                let found = self.read(id, columns, row);
                accounts.found(id, found, &holds, Instant::now());
            }
            _ => self.not_answered(id, "it finds more than one row".to_owned()),
        }
    }

    fn not_answered(&mut self, id: &TenantId, why: String) {
        self.complain(id, why);
        self.directory.accounts.not_answered(id, Instant::now());
    }

    fn read(&mut self, id: &TenantId, columns: &[String], row: &Row) -> Found {
        let rules = self.directory.accounts.rules();
        let mut complaints = Vec::new();
        let row = columns
            .iter()
            .zip(row)
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let found = answer::read(&rules, row, |text| complaints.push(text));
        for text in complaints {
            self.complain(id, text);
        }
        found
    }

    /// The operator has made a mistake, and hears of it.
    fn complain(&mut self, id: &TenantId, text: String) {
        let Complaints { said, since } = &mut self.complaints;
        if since.elapsed() >= AGAIN {
            said.clear();
            *since = Instant::now();
        }
        if said.len() < MOST_COMPLAINTS && !said.contains(&text) {
            warn!(tenant = %id, "the query in [tenants_query]: {text}");
            said.insert(text);
        }
    }

    fn settled(&self, id: &TenantId) {
        let waiting = self.directory.questions.lock().settled(id);
        for bell in waiting {
            bell.ring(ring::ANSWER);
        }
    }

    fn is_down(&self, why: &str) {
        let (is_first, waiting) = self.directory.questions.lock().is_down(Instant::now());
        if is_first {
            warn!(
                why,
                "tenants cannot be asked for; those that are known go on"
            );
        }
        for bell in waiting {
            bell.ring(ring::ANSWER);
        }
    }

    fn works(&self) {
        let was_down = self.directory.questions.lock().works();
        if was_down {
            info!("tenants can be asked for again");
        }
    }
}

fn silence(patience: Duration) -> Trouble {
    Trouble::Silence(format!("no answer within {patience:?}"))
}

/// The values of a row; `None` = NULL.
type Row = Vec<Option<String>>;

impl Conn {
    /// Prepares the query on a connection that has just been let in.
    async fn prepare(mut dialogue: Dialogue, query: &str) -> Result<Self, Trouble> {
        let mut out = Vec::new();
        write::frame(&mut out, b'P', |body| {
            write::cstr(body, STATEMENT);
            write::cstr(body, query.as_bytes());
            body.extend_from_slice(&[0, 0]);
        });
        write::frame(&mut out, b'D', |body| {
            body.push(b'S');
            write::cstr(body, STATEMENT);
        });
        write::frame(&mut out, b'S', |_| {});
        dialogue.write(&out).await?;
        let (mut columns, mut error) = (Vec::new(), None);
        loop {
            let message = dialogue.server_message().await?;
            match message.tag {
                b'T' => {
                    let names = backend::column_names(&message.body).unwrap_or_default();
                    columns = names.into_iter().map(printable).collect();
                }
                b'E' => error = Some(said(&message)),
                b'Z' => break,
                _ => {}
            }
        }
        match error {
            Some(why) => Err(Trouble::Silence(format!("the query is refused: {why}"))),
            None => Ok(Self { dialogue, columns }),
        }
    }

    /// The rows that answer the next question.
    async fn answer(&mut self, id: &TenantId) -> Result<Vec<Row>, Trouble> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let message = self.dialogue.server_message().await?;
            match message.tag {
                b'D' => rows.push(row(&message)?),
                b'E' => error = Some(message),
                b'Z' => break,
                _ => {}
            }
        }
        let Some(error) = error else {
            return Ok(rows);
        };
        let fields = Fields::read(&error.body);
        match fields.code {
            // It cannot even be the id of a tenant: the column is a uuid, say, and this is none.
            b"22P02" | b"22003" if mentions(&fields, id) => Ok(vec![]),
            // What it gives has changed since it was prepared.
            b"0A000" | b"26000" => Err(Trouble::Connection(said(&error))),
            b"57014" => Err(Trouble::Silence(said(&error))),
            _ => Err(Trouble::Question(said(&error))),
        }
    }
}

fn write_question(out: &mut Vec<u8>, id: &TenantId) {
    write::frame(out, b'B', |body| {
        write::cstr(body, b"");
        write::cstr(body, STATEMENT);
        body.extend_from_slice(&[0, 0, 0, 1]);
        // Ids are bounded far below this.
        let length = u32::try_from(id.as_str().len()).unwrap_or_default();
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(id.as_str().as_bytes());
        body.extend_from_slice(&[0, 0]);
    });
    write::frame(out, b'E', |body| {
        write::cstr(body, b"");
        body.extend_from_slice(&MOST_ROWS.to_be_bytes());
    });
    write::frame(out, b'S', |_| {});
}

fn row(message: &Message) -> Result<Row, Trouble> {
    let malformed = |_| Trouble::Connection("a row is malformed".to_owned());
    let values = backend::data_row(&message.body).map_err(malformed)?;
    let text = |value: &[u8]| {
        std::str::from_utf8(value).map_or_else(|_| printable(value), ToOwned::to_owned)
    };
    Ok(values.into_iter().map(|value| value.map(text)).collect())
}

/// An error, for the log.
fn said(message: &Message) -> String {
    let fields = Fields::read(&message.body);
    format!("{} ({})", printable(fields.message), printable(fields.code))
}

fn mentions(fields: &Fields<'_>, id: &TenantId) -> bool {
    memchr::memmem::find(fields.message, id.as_str().as_bytes()).is_some()
}
