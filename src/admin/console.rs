//! One visitor of the console, from its welcome to its goodbye.
//!
//! Messages come one by one, are bounded before they are read, and are answered in order. An error
//! ends a command and never the connection; only bytes that are no message do.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tracing::debug;

use super::{
    command::{self, Command},
    courtesy::{Courtesy, SETTINGS},
    extended::{Extended, Fault, Progress},
    messages::{Forms, Messages},
    perform::Office,
    tables::Table,
};
use crate::{
    config::settings::Rights,
    error::{Error, Kind, Severity},
    net::{
        bell::{Bell, ring},
        cards::ClientCard,
        console::{Badge, Reception, Visitor},
        journal::{About, Attempt},
        login::{Broken, Dialogue, Message},
    },
    ops::reload::Reloader,
    sync::Mutex,
    wire::frontend,
};

/// What is written is sent when it has become so much, so that a long table is not held twice.
const CHUNK: usize = 64 * 1024;

/// How long a visitor that is sent away may take to hear why.
const GOODBYE: Duration = Duration::from_secs(1);

/// Takes care of a visitor until it leaves or pgusher stops.
pub(crate) fn reception(reloader: Arc<Reloader>) -> Reception {
    Box::new(move |visitor| Box::pin(serve(visitor, Arc::clone(&reloader))))
}

async fn serve(visitor: Visitor, reloader: Arc<Reloader>) {
    let lobby = Arc::clone(visitor.pass.lobby());
    let Badge { rights, bell, .. } = &visitor.badge;
    let rules = command::holders(*rights);
    let about = About::visitor(&visitor.badge.card);
    let journal = &lobby.journal;
    journal.done_on_console(
        &about,
        None,
        &format!("a visitor came to the console ({rules})"),
    );
    let is_stopping = lobby.is_stopping();
    let cancelled = Arc::new(Notify::new());
    let mut console = Console {
        office: Office {
            lobby,
            rights: *rights,
            cancelled: Arc::clone(&cancelled),
            parting: Mutex::new(None),
            reloader,
            notices: Mutex::default(),
        },
        card: Arc::clone(&visitor.badge.card),
        dialogue: visitor.dialogue,
        out: Messages::default(),
        extended: Extended::default(),
        in_transaction: false,
        skipping: false,
        writing: false,
    };
    let error = tokio::select! {
        biased;
        error = told_to_leave(bell, &cancelled), if !is_stopping => error,
        end = console.converse(&visitor.badge), if !is_stopping => match end {
            End::Gone => {
                debug!("a visitor left the console");
                return;
            }
            End::Told(error) => error,
        },
        else => stopping(),
    };
    // Nothing can be said in the middle of a message.
    if !console.writing {
        console.out = Messages::default();
        console.out.error(&error, Severity::Fatal);
        // Whether it hears it is its own business.
        let _ = tokio::time::timeout(GOODBYE, console.flush()).await;
    }
}

fn stopping() -> Error {
    Error::new(Kind::ShuttingDown, "pgusher is shutting down")
}

/// Waits until the visitor is to leave, and passes on that it does not want to wait.
async fn told_to_leave(bell: &Bell, cancelled: &Notify) -> Error {
    loop {
        let why = bell.rung().await;
        if why & ring::STOP != 0 {
            return stopping();
        }
        if why & ring::KILLED != 0 {
            let message = "terminating connection due to administrator command";
            return Error::new(Kind::ClientKilled, message);
        }
        if why & ring::CANCEL != 0 {
            // If it waits for nothing, there is nothing to cancel.
            cancelled.notify_waiters();
        }
    }
}

/// How a conversation ends.
enum End {
    /// The visitor has left.
    Gone,
    /// It is sent away with these words.
    Told(Error),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Io(_) => Self::Gone,
            broken => Self::Told(Error::new(Kind::ProtocolViolation, broken.to_string())),
        }
    }
}

struct Console {
    office: Office,
    card: Arc<ClientCard>,
    dialogue: Dialogue,
    out: Messages,
    extended: Extended,
    /// There are none here, but a client that began one is told that it is in it.
    in_transaction: bool,
    /// After an error, up to the next Sync.
    skipping: bool,
    /// A part of a message may have gone, and the rest not.
    writing: bool,
}

impl Console {
    async fn converse(&mut self, badge: &Badge) -> End {
        match self.talk(badge).await {
            Ok(()) => End::Gone,
            Err(end) => end,
        }
    }

    async fn talk(&mut self, badge: &Badge) -> Result<(), End> {
        self.out.authenticated();
        for setting in SETTINGS.iter().filter(|setting| setting.reported) {
            self.out.parameter(setting.name, setting.value);
        }
        self.out.key(&badge.key);
        self.ready().await?;
        loop {
            let message = self.dialogue.client_message().await?;
            match message.tag {
                b'X' => return Ok(()),
                b'S' => {
                    self.skipping = false;
                    if !self.in_transaction {
                        self.extended.close_portals();
                    }
                    self.ready().await?;
                }
                _ if self.skipping => {}
                b'Q' => {
                    if let Err(fault) = self.query(&message.body).await? {
                        self.refuse(fault)?;
                    }
                    if !self.in_transaction {
                        self.extended.close_portals();
                    }
                    self.ready().await?;
                }
                b'H' => self.flush().await?,
                // What is left of a COPY that never began is passed over, as PostgreSQL does.
                b'c' | b'd' | b'f' => {}
                b'F' => {
                    let error = Error::new(Kind::NotSupported, "there are no functions to call");
                    self.out.error(&error, Severity::Error);
                    self.ready().await?;
                }
                _ => {
                    if let Err(fault) = self.extended(&message).await? {
                        self.refuse(fault)?;
                        self.skipping = true;
                        // The Flush that somebody waits for is skipped, too.
                        self.flush().await?;
                    }
                }
            }
        }
    }

    fn refuse(&mut self, fault: Fault) -> Result<(), End> {
        match fault {
            Fault::Refused(error) => {
                self.out.error(&error, Severity::Error);
                Ok(())
            }
            Fault::Malformed => {
                let message = "a message is not of the form that its type has";
                Err(End::Told(Error::new(Kind::ProtocolViolation, message)))
            }
        }
    }

    /// A text with any number of commands: all are read before any is done, and the first that
    /// fails is the last.
    async fn query(&mut self, body: &[u8]) -> io::Result<Result<(), Fault>> {
        let commands = match frontend::query(body) {
            Ok(text) => command::read(text),
            Err(malformed) => return Ok(Err(malformed.into())),
        };
        let commands = match commands {
            Ok(commands) => commands,
            Err(error) => return Ok(Err(error.into())),
        };
        if commands.is_empty() {
            self.out.empty_query();
        }
        for command in &commands {
            let table = match self.perform(command).await? {
                Ok(table) => table,
                Err(error) => return Ok(Err(error.into())),
            };
            if let Some(table) = table {
                let forms = Forms::default();
                self.out.columns(&table.columns, &forms);
                for row in &table.rows {
                    self.out.row(&table.columns, row, &forms);
                    self.drain().await?;
                }
            }
            self.done(command);
        }
        Ok(Ok(()))
    }

    /// Does what is asked, and writes down who asked for it. Whoever leaves meanwhile does not want
    /// it any more.
    async fn perform(&mut self, command: &Command) -> io::Result<Result<Option<Table>, Error>> {
        let outcome = tokio::select! {
            biased;
            outcome = self.office.perform(command) => outcome,
            () = self.dialogue.hung_up() => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        for notice in self.office.notices.lock().drain(..) {
            self.out.notice(&notice);
        }
        let journal = &self.office.lobby.journal;
        let about = About::visitor(&self.card);
        match &outcome {
            Ok(_) if command.rights() == Rights::Change => {
                journal.done_on_console(&about, Some(command), "done on the console");
            }
            Ok(_) => journal.seen_on_console(&about, command),
            Err(error) => {
                let now = Instant::now();
                journal.refused(Attempt::Command, &about, error, None, now);
            }
        }
        Ok(outcome)
    }

    async fn extended(&mut self, message: &Message) -> io::Result<Result<(), Fault>> {
        let (body, out) = (message.body.as_slice(), &mut self.out);
        let outcome = match message.tag {
            b'P' => self.extended.parse(body, out),
            b'B' => self.extended.bind(body, out),
            b'D' => self.extended.describe(body, out),
            b'C' => self.extended.close(body, out),
            b'E' => return self.execute(body).await,
            // A password, say.
            _ => Err(Fault::Malformed),
        };
        // A visitor that never says Sync must not fill memory with answers.
        self.drain().await?;
        Ok(outcome)
    }

    async fn execute(&mut self, body: &[u8]) -> io::Result<Result<(), Fault>> {
        let (name, mut portal, most) = match self.extended.execute(body) {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        let Some(command) = portal.command.clone() else {
            self.out.empty_query();
            self.extended.put_back(name, portal);
            return Ok(Ok(()));
        };
        if matches!(portal.progress, Progress::New) {
            portal.progress = match self.perform(&command).await? {
                Ok(Some(table)) => Progress::Rows(table.columns, table.rows.into_iter()),
                Ok(None) => Progress::Over,
                Err(error) => return Ok(Err(error.into())),
            };
        }
        let mut left = if most == 0 { u32::MAX } else { most };
        if let Progress::Rows(columns, rows) = &mut portal.progress {
            for row in rows {
                self.out.row(columns, &row, &portal.forms);
                self.drain().await?;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        // As in PostgreSQL: whether a row is left is found out by asking for it.
        if left == 0 {
            self.out.suspended();
        } else {
            portal.progress = Progress::Over;
            self.done(&command);
        }
        self.extended.put_back(name, portal);
        Ok(Ok(()))
    }

    fn done(&mut self, command: &Command) {
        match command {
            Command::Courtesy(Courtesy::Begin) => self.in_transaction = true,
            Command::Courtesy(Courtesy::End(_)) => self.in_transaction = false,
            _ => {}
        }
        self.out.complete(command.tag());
    }

    async fn ready(&mut self) -> io::Result<()> {
        self.out.ready(self.in_transaction);
        self.flush().await?;
        self.office.part();
        Ok(())
    }

    async fn drain(&mut self) -> io::Result<()> {
        if self.out.len() < CHUNK {
            return Ok(());
        }
        self.flush().await?;
        // A socket that always takes more would keep this thread from those that relay on it.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let bytes = self.out.take();
        self.writing = true;
        self.dialogue.write(&bytes).await?;
        self.writing = false;
        Ok(())
    }
}
