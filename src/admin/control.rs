//! The commands that change how pgusher works: what they are and how they are done.

use std::{fmt, sync::Arc, time::Duration};

use super::{command::Rest, perform::Office, words::Word};
use crate::{
    config::overlay::{self, Fixed, Place, Typed},
    error::{Error, Kind},
    net::{control::Shutdown, lobby::Lobby, pool::Db},
    ops::reload::Reloaded,
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
    /// Read the configuration again.
    Reload,
    /// Give a key of the configuration another value; `None`: the file's.
    Set(Key, Option<Typed>),
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
    } else if is("RELOAD") {
        Control::Reload
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
            Self::Reload => "RELOAD",
            Self::Set(..) => "SET",
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
            // A value may be long, or wrong, or in the wrong place.
            Self::Set(key, _) => write!(f, " {}", key.name),
            Self::Suspend | Self::Reload | Self::Shutdown(End::AtOnce) => Ok(()),
        }
    }
}

/// A key of the configuration, as it was typed and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    name: String,
    place: Place,
}

/// `key = value`, behind SET; `None` if it is no key of ours.
pub(super) fn assignment(rest: &mut Rest<'_>) -> Result<Option<Control>, Error> {
    let (mut parts, mut name) = (Vec::new(), String::new());
    let is_end = |word: &Word<'_>| *word == Word::Equals || word.is("TO");
    while let Some(word) = rest.next_unless(is_end) {
        let is_joined = name.is_empty() || name.ends_with('.') || word.is_dotted();
        match word {
            // `SET SESSION name`, say.
            _ if !is_joined => return Ok(None),
            Word::Plain(text) => {
                let plain = text.split('.').filter(|part| !part.is_empty());
                parts.extend(plain.map(str::to_owned));
            }
            Word::Quoted(text) => parts.push(text.to_string()),
            Word::Equals | Word::Comma => return Ok(None),
        }
        name += &word.to_string();
    }
    let (place, alias) = match overlay::place(&parts) {
        Ok(found) => found,
        // Drivers set what is not ours to know.
        Err(Fixed::Unknown) if parts.len() < 2 => return Ok(None),
        Err(why) => return Err(cannot_change(&name, why)),
    };
    rest.expect(is_end)?;
    let value = rest.expect(|word| word.name().is_some())?;
    let value = match value {
        Word::Plain(text) if text.eq_ignore_ascii_case("DEFAULT") => None,
        Word::Plain(text) => Some(Typed::Plain((*text).to_owned())),
        other => Some(Typed::Quoted(other.name().unwrap_or_default().to_owned())),
    };
    let value = match alias {
        Some(alias) if alias.seconds => value.map(in_seconds),
        _ => value,
    };
    Ok(Some(Control::Set(Key { name, place }, value)))
}

/// PgBouncer's numbers are seconds.
fn in_seconds(value: Typed) -> Typed {
    let (Typed::Quoted(text) | Typed::Plain(text)) = &value;
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => {
            let millis = Duration::from_secs_f64(seconds).as_millis();
            Typed::Quoted(format!("{millis}ms"))
        }
        _ => value,
    }
}

fn cannot_change(name: &str, why: Fixed) -> Error {
    match why {
        Fixed::Unknown => {
            let message = format!("there is no setting {name}");
            let hint = "SHOW CONFIG lists all settings.";
            Error::new(Kind::ConsoleUnknown, message).hint(hint)
        }
        Fixed::Secret => {
            let message = format!("{name} is a secret, which is not for the console");
            let hint = "Change the file, and RELOAD.";
            Error::new(Kind::ConsoleRefused, message).hint(hint)
        }
        Fixed::AtStart => {
            let message = format!("{name} takes effect at the start only");
            let hint = "Change the file, and start pgusher again.";
            Error::new(Kind::ConsoleRefused, message).hint(hint)
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
            Control::Reload => {
                let reloaded = self.reloader.reload(lobby).await;
                self.took_over(
                    reloaded,
                    "the configuration is wrong, and nothing has changed",
                )
            }
            Control::Set(key, value) => {
                let reloaded = self.reloader.set(lobby, &key.place, value.as_ref()).await;
                let refusal = format!(
                    "{} cannot have this value, and nothing has changed",
                    key.name
                );
                self.took_over(reloaded, &refusal)
            }
            // Whoever asked for it hears first that it is done.
            Control::Shutdown(end) => {
                *self.parting.lock() = Some(end.order());
                Ok(())
            }
        }
    }

    /// Tells what became of a new configuration.
    fn took_over(&self, reloaded: Reloaded, refusal: &str) -> Result<(), Error> {
        let told = reloaded.map_err(|problems| {
            Error::new(Kind::ConsoleConfig, refusal).detail(problems.join("\n"))
        })?;
        self.notices.lock().extend(told);
        Ok(())
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
