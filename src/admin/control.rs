//! The commands that change how pgusher works: what they are and how they are done.

use std::{fmt, sync::Arc, time::Duration};

use super::{command::Rest, perform::Office, words::Word};
use crate::{
    error::{Error, Kind},
    net::{control::Shutdown, lobby::Lobby, pool::Db},
    pool::Hold,
};

/// How often it is looked at whether what was waited for has come.
const WATCH: Duration = Duration::from_millis(10);

/// Something that an operator does. Where a database may be named, none means all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// No server connections are given out, and none are kept.
    Pause(Option<String>),
    /// No server connections are given out.
    Suspend,
    /// The end of both.
    Resume(Option<String>),
    /// No new clients.
    Disable(String),
    /// New clients again.
    Enable(String),
    /// New server connections for old ones.
    Reconnect(Option<String>),
    /// Wait until the old ones are closed.
    WaitClose(Option<String>),
    /// Send clients away and pause.
    Kill(Option<String>),
    /// Send one client away.
    KillClient(u32),
    /// End.
    Shutdown(End),
}

/// How to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Now.
    AtOnce,
    /// When transactions that are open are over.
    WaitForServers,
    /// When clients have left by themselves.
    WaitForClients,
}

impl End {
    fn order(self) -> Shutdown {
        match self {
            Self::AtOnce => Shutdown::AtOnce,
            Self::WaitForServers => Shutdown::WaitForServers,
            Self::WaitForClients => Shutdown::WaitForClients,
        }
    }
}

/// The command that begins with `verb`, which has been read.
pub(super) fn read(verb: &Word<'_>, rest: &mut Rest<'_>) -> Result<Control, Error> {
    let is = |keyword| verb.is(keyword);
    Ok(if is("PAUSE") {
        Control::Pause(rest.optional_name()?)
    } else if is("SUSPEND") {
        Control::Suspend
    } else if is("RESUME") {
        Control::Resume(rest.optional_name()?)
    } else if is("DISABLE") {
        Control::Disable(rest.name()?)
    } else if is("ENABLE") {
        Control::Enable(rest.name()?)
    } else if is("RECONNECT") {
        Control::Reconnect(rest.optional_name()?)
    } else if is("WAIT_CLOSE") {
        Control::WaitClose(rest.optional_name()?)
    } else if is("KILL") {
        Control::Kill(rest.optional_name()?)
    } else if is("KILL_CLIENT") {
        let number = |word: &Word<'_>| word.name().and_then(|name| name.parse().ok());
        let word = rest.expect(|word| number(word).is_some())?;
        Control::KillClient(number(word).unwrap_or_default())
    } else if rest.eat("WAIT_FOR_SERVERS") {
        Control::Shutdown(End::WaitForServers)
    } else if rest.eat("WAIT_FOR_CLIENTS") {
        Control::Shutdown(End::WaitForClients)
    } else {
        Control::Shutdown(End::AtOnce)
    })
}

impl Control {
    /// What is said when it is done.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Pause(_) => "PAUSE",
            Self::Suspend => "SUSPEND",
            Self::Resume(_) => "RESUME",
            Self::Disable(_) => "DISABLE",
            Self::Enable(_) => "ENABLE",
            Self::Reconnect(_) => "RECONNECT",
            Self::WaitClose(_) => "WAIT_CLOSE",
            Self::Kill(_) => "KILL",
            Self::KillClient(_) => "KILL_CLIENT",
            Self::Shutdown(_) => "SHUTDOWN",
        }
    }
}

/// As it is written in the log.
impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())?;
        match self {
            Self::Pause(name)
            | Self::Resume(name)
            | Self::Reconnect(name)
            | Self::WaitClose(name)
            | Self::Kill(name) => match name {
                Some(name) => write!(f, " {name:?}"),
                None => Ok(()),
            },
            Self::Disable(name) | Self::Enable(name) => write!(f, " {name:?}"),
            Self::KillClient(id) => write!(f, " {id}"),
            Self::Shutdown(End::WaitForServers) => f.write_str(" WAIT_FOR_SERVERS"),
            Self::Shutdown(End::WaitForClients) => f.write_str(" WAIT_FOR_CLIENTS"),
            Self::Suspend | Self::Shutdown(End::AtOnce) => Ok(()),
        }
    }
}

/// Ends the hold that a command began if the command does not come to its end.
struct Undo {
    lobby: Arc<Lobby>,
    /// Those that were not held before, and whether it is all of them, those included that come to be.
    begun: Vec<Arc<Db>>,
    all: bool,
}

impl Undo {
    fn keep(mut self) {
        self.begun = Vec::new();
        self.all = false;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        self.lobby.resume_these(&self.begun, self.all);
    }
}

impl Office {
    pub(super) async fn control(&self, control: &Control) -> Result<(), Error> {
        let lobby = &self.lobby;
        match control {
            Control::Pause(name) => self.hold(name.as_deref(), Hold::Paused).await,
            Control::Suspend => self.hold(None, Hold::Suspended).await,
            Control::Resume(name) => lobby.resume(name.as_deref()),
            Control::Disable(name) => lobby.disable(name, true),
            Control::Enable(name) => lobby.disable(name, false),
            Control::Reconnect(name) => lobby.reconnect(name.as_deref()),
            Control::WaitClose(name) => {
                let chosen = lobby.chosen(name.as_deref())?;
                self.until(|| Ok(!chosen.iter().any(|db| db.has_past())))
                    .await
            }
            Control::Kill(name) => lobby.kill_database(name.as_deref()),
            Control::KillClient(id) if lobby.kill_client(*id) => Ok(()),
            Control::KillClient(id) => {
                let message = format!("no client has the id {id}");
                Err(Error::new(Kind::ConsoleUnknown, message))
            }
            // Whoever asked for it hears first that it is done.
            Control::Shutdown(end) => {
                *self.parting.lock() = Some(end.order());
                Ok(())
            }
        }
    }

    /// Holds databases, and waits until that has come into effect.
    async fn hold(&self, name: Option<&str>, hold: Hold) -> Result<(), Error> {
        let mut begun = self.lobby.chosen(name)?;
        begun.retain(|db| db.held() == Hold::Off);
        let undo = Undo {
            lobby: Arc::clone(&self.lobby),
            begun,
            all: name.is_none() && self.lobby.held_new() == Hold::Off,
        };
        let chosen = self.lobby.hold(name, hold)?;
        let is_done = || {
            if chosen.iter().any(|db| db.held() == Hold::Off) {
                let message = "the databases were resumed before all was at rest";
                return Err(Error::new(Kind::Canceled, message));
            }
            Ok(chosen.iter().all(|db| db.is_at_rest()))
        };
        self.until(is_done).await?;
        undo.keep();
        Ok(())
    }

    /// Waits, but no longer than the visitor does.
    async fn until(&self, is_done: impl Fn() -> Result<bool, Error>) -> Result<(), Error> {
        while !is_done()? {
            tokio::select! {
                () = self.cancelled.notified() => {
                    let message = "canceling statement due to user request";
                    return Err(Error::new(Kind::Canceled, message));
                }
                () = tokio::time::sleep(WATCH) => {}
            }
        }
        Ok(())
    }

    /// Does what was to be done when the visitor has heard that it is done.
    pub(super) fn part(&self) {
        if let Some(shutdown) = self.parting.lock().take() {
            self.lobby.order(shutdown);
        }
    }
}
