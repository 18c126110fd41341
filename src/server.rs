//! `pgusher serve`: puts the parts together and waits for the signal to stop.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    admin,
    config::Config,
    net::{
        control::Shutdown,
        listener::{self, Listener},
        lobby::Lobby,
        pool::TICK,
        worker::Workers,
    },
    ops::{http::Http, limits},
    pool::Hold,
};

/// How often it is looked at whether the last client has left.
const WATCH: Duration = Duration::from_millis(20);

/// How often idle server connections are looked at for signs of life.
const WEED: Duration = Duration::from_secs(1);

/// Serves until it is told to stop, by a signal or on the console, and then in the way it is told.
pub fn run(config: Config) -> io::Result<()> {
    limits::raise_file_limit(&config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let mut listeners = Vec::new();
    for address in &config.listen.addresses {
        let bound = Listener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        listeners.extend(bound);
    }
    let http = match config.http {
        Some(address) => Some(Http::bind(address).await?),
        None => None,
    };
    let workers = Workers::start(config.workers)?;
    let lobby = Lobby::new(config, workers, admin::receive);
    // Probes are answered to the very end: that pgusher stops is what they are to hear.
    let mut probes = JoinSet::new();
    if let Some(http) = http {
        probes.spawn(http.run(Arc::clone(&lobby)));
    }
    listeners.iter().for_each(listener::announce);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(listener.run(Arc::clone(&lobby)));
    }
    let mut stage = Stage::Serving;
    tokio::select! {
        () = keep_house(&lobby) => {}
        () = async {
            while stage != Stage::Over {
                let next = stage.end(&lobby, &mut signals).await;
                if stage == Stage::Serving {
                    accepting.shutdown().await;
                }
                next.begin(&lobby);
                stage = next;
            }
        } => {}
    }
    Ok(())
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Nobody comes in, and clients stay as long as they like.
    Closed,
    /// Transactions that are open may finish.
    Stopping,
    Over,
}

impl Stage {
    /// Waits until it is over; what comes next.
    async fn end(self, lobby: &Arc<Lobby>, signals: &mut Signals) -> Self {
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

    fn begin(self, lobby: &Lobby) {
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
    Pause,
    Resume,
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End(Shutdown::WaitForServers),
            _ = self.interrupt.recv() => Told::End(Shutdown::WaitForServers),
            _ = self.quit.recv() => Told::End(Shutdown::AtOnce),
            _ = self.user1.recv() => Told::Pause,
            _ = self.user2.recv() => Told::Resume,
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

/// Everything that time brings and no client does.
async fn keep_house(lobby: &Lobby) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut weeded = Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        lobby.tick(now);
        if now - weeded >= WEED {
            weeded = now;
            for db in lobby.databases() {
                db.weed();
            }
        }
    }
}

/// Waits for the last guest. Who has not logged in by now has nothing to lose, and a stranger who
/// only stands there must not hold up the end.
async fn emptied(lobby: &Lobby) {
    while lobby.guests() > 0 || lobby.databases().iter().any(|db| !db.is_quiet()) {
        tokio::time::sleep(WATCH).await;
    }
}
