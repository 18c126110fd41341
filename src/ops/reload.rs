//! Reading the configuration again while pgusher runs: all of it is taken over, or nothing.

use std::{sync::Arc, time::Instant};

use tracing::info;

use super::{
    cli::{NoConfig, Source},
    log,
};
use crate::{config::Config, net::lobby::Lobby};

/// Where the configuration comes from.
pub struct Reloader {
    source: Source,
    /// What stands for a file.
    url: Option<String>,
    /// One at a time: what is read later holds.
    turn: tokio::sync::Mutex<()>,
}

/// What there is to say about a configuration that was taken over, or why it was not; line by line.
pub type Reloaded = Result<Vec<String>, Vec<String>>;

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = self.source.name();
        f.debug_tuple("Reloader").field(&source).finish()
    }
}

impl Reloader {
    /// It is read from where it was read at the start.
    pub fn new(source: Source, url: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            source,
            url,
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Reads the configuration again and takes it over.
    pub(crate) async fn reload(&self, lobby: &Lobby) -> Reloaded {
        let _turn = self.turn.lock().await;
        let (source, url) = (self.source.clone(), self.url.clone());
        let reading = tokio::task::spawn_blocking(move || read(&source, url.as_deref()));
        let reloaded = match reading.await {
            Ok(Ok(config)) => Ok(take_over(lobby, config)),
            Ok(Err(problems)) => Err(problems),
            Err(_) => Err(vec!["pgusher is shutting down".to_owned()]),
        };
        lobby.was_reloaded(reloaded.is_ok());
        reloaded
    }
}

/// The configuration, if all of it is right.
fn read(source: &Source, url: Option<&str>) -> Result<Config, Vec<String>> {
    let config = source.load(url).map_err(|error| match error {
        NoConfig::Wrong(errors) => errors.lines().to_vec(),
        error @ NoConfig::NotGiven => vec![error.to_string()],
    })?;
    // The last thing that can be wrong, and it changes nothing then.
    log::apply(&config.log).map_err(|error| vec![error])?;
    Ok(config)
}

fn take_over(lobby: &Lobby, mut config: Config) -> Vec<String> {
    let warnings = std::mem::take(&mut config.warnings);
    let later = lobby.take_over(config, Instant::now());
    info!("the configuration was read again and taken over");
    let later = later
        .into_iter()
        .map(|what| format!("{what}: takes effect at the next start"));
    warnings.into_iter().chain(later).collect()
}
