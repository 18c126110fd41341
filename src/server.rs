//! `pgusher serve`: puts the parts together and waits for the signal to stop.

mod stage;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
#[cfg(feature = "traces")]
use tracing::warn;

use self::stage::{Signals, Stage};

use crate::{
    admin,
    config::Config,
    metrics::Observatory,
    net::{
        listener::{self, Door, Listener},
        lobby::Lobby,
        pool::TICK,
        tls::Made,
        worker::{Balance, Workers},
    },
    ops::{http::Http, limits, reload::Reloader},
};

/// How often idle server connections are looked at for signs of life.
const WEED: Duration = Duration::from_secs(1);

/// What can only be told by making what the configuration asks for: its certificates and keys.
///
/// # Errors
/// What is wrong with them.
pub fn check(config: &Config) -> Result<(), String> {
    Made::of(config).map(drop)
}

/// Serves until it is told to stop, by a signal or on the console, and then in the way it is told.
pub fn run(config: Config, reloader: Arc<Reloader>) -> io::Result<()> {
    limits::raise_file_limit(&config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config, reloader))
}

async fn serve(config: Config, reloader: Arc<Reloader>) -> io::Result<()> {
    let made = Made::of(&config).map_err(io::Error::other)?;
    let mut signals = Signals::new()?;
    let mut listeners = Vec::new();
    let listen = &config.listen;
    for (addresses, door) in [
        (&listen.addresses, Door::Clients),
        (&listen.proxy_addresses, Door::Proxies),
    ] {
        for address in addresses {
            let bound = Listener::bind(address).await.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            listeners.extend(bound.into_iter().map(|listener| (listener, door)));
        }
    }
    let http = match &config.http {
        Some(http) => Some(Http::bind(http).await?),
        None => None,
    };
    let workers = Workers::start(&config.runtime)?;
    let balance = Balance::of(&workers, &config.runtime, Instant::now());
    let lobby = Lobby::new(config, workers, admin::reception(Arc::clone(&reloader)));
    lobby.keys.tls.replace(made);
    lobby.prepare_logins(&lobby.config());
    // Probes are answered to the very end: that pgusher stops is what they are to hear.
    let mut probes = JoinSet::new();
    if let Some(http) = http {
        let observatory = Observatory::new(Arc::clone(&lobby));
        probes.spawn(Arc::clone(&observatory).watch());
        probes.spawn(http.run(observatory));
    }
    #[cfg(feature = "traces")]
    let tracing = Tracing::start(&lobby);
    for (listener, door) in &listeners {
        listener::announce(listener, *door);
    }
    let mut accepting = JoinSet::new();
    for (listener, door) in listeners {
        accepting.spawn(listener.run(Arc::clone(&lobby), door));
    }
    let mut stage = Stage::Serving;
    tokio::select! {
        () = keep_house(&lobby, balance) => {}
        () = async {
            while stage != Stage::Over {
                let next = stage.end(&lobby, &reloader, &mut signals).await;
                if stage == Stage::Serving {
                    accepting.shutdown().await;
                }
                next.begin(&lobby);
                stage = next;
            }
        } => {}
    }
    #[cfg(feature = "traces")]
    tracing.finish().await;
    Ok(())
}

/// Sends spans, if any are made.
#[cfg(feature = "traces")]
struct Tracing {
    lobby: Arc<Lobby>,
    sending: JoinSet<()>,
}

#[cfg(feature = "traces")]
impl Tracing {
    /// How long the last spans may take.
    const PATIENCE: Duration = Duration::from_secs(2);

    fn start(lobby: &Arc<Lobby>) -> Self {
        let mut sending = JoinSet::new();
        if let Some(traces) = &lobby.reports.traces {
            sending.spawn(Arc::clone(traces).run());
        }
        Self {
            lobby: Arc::clone(lobby),
            sending,
        }
    }

    async fn finish(mut self) {
        if let Some(traces) = &self.lobby.reports.traces {
            traces.close();
        }
        let sent = self.sending.join_next();
        if tokio::time::timeout(Self::PATIENCE, sent).await.is_err() {
            warn!("the last spans could not be sent in time");
        }
    }
}

/// Everything that time brings and no client does.
async fn keep_house(lobby: &Lobby, mut balance: Option<Balance>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut weeded = Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        lobby.tick(now);
        if let Some(balance) = &mut balance {
            balance.look(now);
        }
        if now - weeded >= WEED {
            weeded = now;
            for db in lobby.databases() {
                db.weed();
            }
        }
    }
}
