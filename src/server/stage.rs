//! How pgusher comes to its end, and what it is told on the way there: by signals and on the console.

use std::{io, sync::Arc, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::{
    net::{control::Shutdown, lobby::Lobby},
    ops::reload::Reloader,
    pool::Hold,
};

/// How often it is looked at whether the last client has left.
const WATCH: Duration = Duration::from_millis(20);

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// Nobody comes in, and clients stay as long as they like.
    Closed,
    /// Transactions that are open may finish.
    Stopping,
    Over,
}

impl Stage {
    /// Waits until it is over; what comes next.
    pub(super) async fn end(
        self,
        lobby: &Arc<Lobby>,
        reloader: &Reloader,
        signals: &mut Signals,
    ) -> Self {
        loop {
            let told = tokio::select! {
                told = signals.told() => told,
                shutdown = lobby.ordered() => Told::End(shutdown),
                next = self.passes(lobby) => return next,
            };
            match told {
                Told::End(shutdown) => {
                    let next = self.after(shutdown);
                    if next == Self::Over {
                        warn!(clients = lobby.clients(), "stopped at once");
                    }
                    if next != self {
                        return next;
                    }
                }
                Told::Reload => reload(lobby, reloader).await,
                Told::Pause => hold(lobby, Hold::Paused),
                Told::Resume => hold(lobby, Hold::Off),
            }
        }
    }

    /// Waits until nothing is left to wait for.
    async fn passes(self, lobby: &Lobby) -> Self {
        match self {
            Self::Serving => std::future::pending().await,
            Self::Closed => {
                while lobby.patrons() > 0 {
                    tokio::time::sleep(WATCH).await;
                }
                Self::Stopping
            }
            Self::Stopping => {
                emptied(lobby).await;
                info!("stopped");
                Self::Over
            }
            Self::Over => Self::Over,
        }
    }

    /// What comes after this when somebody says so. Whoever says it twice does not want to wait.
    fn after(self, shutdown: Shutdown) -> Self {
        match (self, shutdown) {
            (Self::Serving | Self::Closed, Shutdown::WaitForClients) => Self::Closed,
            (Self::Serving | Self::Closed, Shutdown::WaitForServers) => Self::Stopping,
            (_, Shutdown::AtOnce) | (Self::Stopping | Self::Over, _) => Self::Over,
        }
    }

    /// It begins.
    pub(super) fn begin(self, lobby: &Lobby) {
        let clients = lobby.clients();
        match self {
            Self::Serving | Self::Over => {}
            Self::Closed => {
                info!(clients, "closed: pgusher stops when its clients have left");
                lobby.close();
            }
            Self::Stopping => {
                info!(clients, "stopping: transactions that are open may finish");
                lobby.stop();
            }
        }
    }
}

/// Somebody outside wants something.
enum Told {
    End(Shutdown),
    Reload,
    Pause,
    Resume,
}

/// The signals that mean something.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End(Shutdown::WaitForServers),
            _ = self.interrupt.recv() => Told::End(Shutdown::WaitForServers),
            _ = self.quit.recv() => Told::End(Shutdown::AtOnce),
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user1.recv() => Told::Pause,
            _ = self.user2.recv() => Told::Resume,
        }
    }
}

/// Reads the configuration again; what there is to say about it goes to the log.
async fn reload(lobby: &Lobby, reloader: &Reloader) {
    match reloader.reload(lobby).await {
        Ok(told) => {
            for line in told {
                warn!("{line}");
            }
        }
        Err(problems) => {
            for line in problems {
                error!("{line}");
            }
            error!("the configuration is wrong, and nothing has changed");
        }
    }
}

/// Pauses all databases, or lets them go on; a signal is not answered.
fn hold(lobby: &Lobby, hold: Hold) {
    let done = match hold {
        Hold::Off => lobby.resume(None),
        hold => lobby.hold(None, hold).map(drop),
    };
    match done {
        Ok(()) => info!(?hold, "a signal has changed the hold of all databases"),
        Err(error) => warn!(%error, "a signal could not be obeyed"),
    }
}

/// Waits for the last guest. Who has not logged in by now has nothing to lose, and a stranger who
/// only stands there must not hold up the end.
async fn emptied(lobby: &Lobby) {
    while lobby.guests() > 0 || lobby.databases().iter().any(|db| !db.is_quiet()) {
        tokio::time::sleep(WATCH).await;
    }
}
