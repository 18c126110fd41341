//! A client comes in: what it wants, who it is, where it sits.

mod opening;
mod proving;
mod seating;

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tracing::{debug, warn};

use super::{
    bell::Bell,
    console::{Badge, Visitor},
    journal::{About, Attempt},
    listener::Door,
    lobby::{Lobby, Pass},
    login::{Broken, Dialogue},
    relay::{self, Client},
    stream::{Detached, Stream},
    worker::Seat,
};
use crate::{
    error::{Error, Kind, Severity},
    session::{Session, printable},
    tenant::TenantId,
    wire::startup::{Fault, Startup},
};

/// How a connection ends before it is a session.
enum End {
    /// With these words; and perhaps with others, which are for the log only.
    Told(Error, Option<String>),
    /// With words, but not at once: what was shown is wrong, and may have been a guess.
    Failed(Box<Failed>),
    /// With these words, and no more is said about it.
    Muted(Error),
    /// It has heard why; this is for the log.
    Noted(Error),
    /// Without any: it only wanted to cancel, or it has gone.
    Silent,
}

/// Somebody has shown something that is wrong.
struct Failed {
    /// What it hears.
    error: Error,
    /// What the log hears.
    why: String,
    /// Who it would have been.
    user: String,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Told(error, None)
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Silent
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Io(_) => Self::Silent,
            Broken::Startup(bad) => {
                let kind = match bad.fault {
                    Fault::Protocol => Kind::ProtocolViolation,
                    Fault::Unsupported => Kind::UnsupportedProtocol,
                    Fault::NoUser => Kind::InvalidStartup,
                    Fault::Setting | Fault::UnknownSetting | Fault::Syntax => Kind::StartupSetting,
                };
                Error::new(kind, bad.message).into()
            }
            broken => Error::new(Kind::ProtocolViolation, broken.to_string()).into(),
        }
    }
}

/// Serves one connection from its first byte to its last.
pub(crate) async fn serve(pass: Pass, seat: Seat, stream: Detached, door: Door) {
    let stream = match stream.attach() {
        Ok(stream) => stream,
        Err(error) => return warn!(%error, "a connection could not be taken over"),
    };
    // A future has room for the largest of all that it ever waits for, and keeps it. The login is
    // large and short, and the client would be in it twice, so both lie beside it.
    if let Some(client) = Box::pin(come_in(pass, seat, stream, door)).await {
        relay::run(client).await;
    }
}

async fn come_in(pass: Pass, seat: Seat, stream: Stream, door: Door) -> Option<Box<Client>> {
    let came = Instant::now();
    let mut dialogue = Dialogue::new(stream);
    let lobby = Arc::clone(pass.lobby());
    let mut caller = Caller::default();
    match log_in(&lobby, &seat, &mut dialogue, &mut caller, door).await {
        Ok(Arrival::Session(session, parts)) => {
            let traffic = parts.membership.pool().traffic();
            traffic.logins.observe(came.elapsed());
            let side = dialogue.into_side();
            let about = About::of(&parts.card, parts.presence.account().who());
            lobby.journal.connected(&about, Instant::now());
            Some(Box::new(Client::new(side, *session, parts, pass, seat)))
        }
        Ok(Arrival::Visit(badge)) => {
            let receive = &lobby.reception;
            let visitor = Visitor {
                dialogue,
                badge,
                pass,
                seat,
            };
            receive(visitor).await;
            None
        }
        Err(End::Told(error, why)) => {
            caller.is_refused(&lobby, &dialogue, &error, why.as_deref());
            tell(&mut dialogue, &error).await;
            None
        }
        Err(End::Failed(failed)) => {
            let Failed { error, why, user } = *failed;
            caller.is_refused(&lobby, &dialogue, &error, Some(&why));
            let terms = &lobby.config().guard;
            lobby.gate.hold_back(terms, dialogue.source(), &user).await;
            tell(&mut dialogue, &error).await;
            None
        }
        Err(End::Muted(error)) => {
            lobby.meters.refusals.told(error.kind);
            tell(&mut dialogue, &error).await;
            None
        }
        Err(End::Noted(error)) => {
            caller.is_refused(&lobby, &dialogue, &error, None);
            None
        }
        Err(End::Silent) => {
            debug!("a connection ended before it became a session");
            None
        }
    }
}

/// The last words.
async fn tell(dialogue: &mut Dialogue, error: &Error) {
    let mut out = Vec::new();
    error.write_as(Severity::Fatal, &mut out);
    // Whether it hears it is its own business.
    let _ = tokio::time::timeout(Duration::from_secs(1), dialogue.write(&out)).await;
    dialogue.farewell();
}

/// What is known of who wants to come in: what it says of itself, until it has logged in.
#[derive(Default)]
struct Caller {
    user: String,
    database: String,
    tenant: Option<TenantId>,
}

impl Caller {
    /// Names that are longer than any that PostgreSQL takes tell nobody more.
    const MOST: usize = 128;

    fn of(startup: &Startup) -> Self {
        let name = |bytes: &[u8]| printable(bytes.get(..Self::MOST).unwrap_or(bytes));
        Self {
            user: name(&startup.user),
            database: name(&startup.database),
            tenant: None,
        }
    }

    fn about(&self, dialogue: &Dialogue) -> About<'_> {
        About {
            client: 0,
            user: &self.user,
            database: &self.database,
            tenant: self.tenant.as_ref().map(TenantId::as_str),
            address: dialogue.ends().peer,
        }
    }

    /// Writes down that it is, and counts it.
    fn is_refused(&self, lobby: &Lobby, dialogue: &Dialogue, error: &Error, why: Option<&str>) {
        let about = self.about(dialogue);
        let journal = &lobby.journal;
        journal.refused(Attempt::Login, &about, error, why, Instant::now());
        lobby.meters.refusals.told(error.kind);
    }
}

/// Somebody has logged in.
enum Arrival {
    /// Everything that a session begins with.
    Session(Box<Session>, relay::Parts),
    /// To the console.
    Visit(Badge),
}

async fn log_in(
    lobby: &Arc<Lobby>,
    seat: &Seat,
    dialogue: &mut Dialogue,
    caller: &mut Caller,
    door: Door,
) -> Result<Arrival, End> {
    let config = lobby.config();
    let (limit, terms) = (config.listen.client_login_timeout, &config.guard);
    let bell = Arc::new(Bell::new());
    let (opened, proven) = {
        let Some(_handshaking) = lobby.begin_handshake() else {
            let message = "too many clients are logging in at once";
            return Err(Error::new(Kind::TooManyClients, message)
                .hint("Try again later.")
                .into());
        };
        let shown = async {
            // One that is gone already has no address, and must not be taken for a unix socket, nor
            // for a proxy: what it has sent can still be read.
            if dialogue.source().is_none() && !dialogue.stream().is_unix() {
                return Err(End::Silent);
            }
            if door == Door::Proxies {
                opening::announced(lobby, dialogue).await?;
            }
            let from = dialogue.source();
            if !lobby.gate.connects(terms, from) {
                let message = "too many connections from this address";
                return Err(Error::new(Kind::TooManyClients, message).into());
            }
            let opened = opening::open(lobby, dialogue).await?;
            *caller = Caller::of(&opened.startup);
            opening::check(lobby, &opened.startup)?;
            if lobby.gate.is_blocked(terms, from) {
                // What a wrong password would hear, whether there is such a user or not (A4).
                return Err(End::Muted(proving::refused(&opened.startup.user)));
            }
            let proven = proving::authenticate(lobby, dialogue, &opened).await?;
            Ok::<_, End>((opened, proven))
        };
        let alarm = &seat.worker().alarm;
        alarm.set(&bell, limit.map(|limit| Instant::now() + limit));
        let in_time = until_rung(&bell, shown).await;
        alarm.set(&bell, None);
        let Some(shown) = in_time else {
            let limit = limit.unwrap_or_default();
            let message = format!("the login was not finished within {limit:?}");
            return Err(Error::new(Kind::LoginTimeout, message).into());
        };
        shown?
    };
    lobby.gate.passed(terms, dialogue.source(), &proven.user);
    seating::take_a_seat(lobby, dialogue, caller, bell, opened, proven).await
}

/// What comes of `what`, if it comes before the bell is rung.
async fn until_rung<T>(bell: &Bell, what: impl Future<Output = T>) -> Option<T> {
    let mut what = pin!(what);
    poll_fn(|cx| {
        bell.belongs_to(cx.waker());
        match what.as_mut().poll(cx) {
            Poll::Ready(came) => Poll::Ready(Some(came)),
            Poll::Pending => bell.poll_rung().map(|_| None),
        }
    })
    .await
}
