//! Reading the configuration again while pgusher runs: all of it is taken over, or nothing.

use std::{sync::Arc, time::Instant};

use tracing::info;

use super::{
    cli::{NoConfig, Source},
    log,
};
use crate::{
    config::{
        Config,
        overlay::{Overlay, Place, Typed},
    },
    net::{lobby::Lobby, tls::Made},
};

/// Where the configuration comes from.
pub struct Reloader {
    source: Source,
    /// What stands for a file.
    url: Option<String>,
    /// What was changed on the console. One reload at a time: what is read later holds.
    overlay: tokio::sync::Mutex<Overlay>,
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
            overlay: tokio::sync::Mutex::default(),
        })
    }

    /// Reads the configuration again and takes it over.
    pub(crate) async fn reload(&self, lobby: &Lobby) -> Reloaded {
        let mut overlay = self.overlay.lock().await;
        let same = overlay.clone();
        self.take(lobby, &mut overlay, vec![same]).await
    }

    /// Gives a key another value, which goes before the file's, or the file's own again.
    pub(crate) async fn set(
        &self,
        lobby: &Lobby,
        place: &Place,
        value: Option<&Typed>,
    ) -> Reloaded {
        let mut overlay = self.overlay.lock().await;
        let meant = match value {
            Some(value) => overlay.with(place, value),
            None => vec![overlay.without(place)],
        };
        self.take(lobby, &mut overlay, meant).await
    }

    /// Takes over the file under the first of these that is right.
    async fn take(&self, lobby: &Lobby, own: &mut Overlay, meant: Vec<Overlay>) -> Reloaded {
        let (source, url) = (self.source.clone(), self.url.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut least: Option<Vec<String>> = None;
            for overlay in meant {
                match read(&source, url.as_deref(), &overlay) {
                    Ok(read) => return Ok((read, overlay)),
                    // What was meant is nearest to being right.
                    Err(problems) => match &least {
                        Some(least) if least.len() <= problems.len() => {}
                        _ => least = Some(problems),
                    },
                }
            }
            Err(least.unwrap_or_default())
        });
        let reloaded = match reading.await {
            Ok(Ok(((config, made), overlay))) => {
                *own = overlay;
                Ok(take_over(lobby, config, made))
            }
            Ok(Err(problems)) => Err(problems),
            Err(_) => Err(vec!["pgusher is shutting down".to_owned()]),
        };
        lobby.was_reloaded(reloaded.is_ok());
        reloaded
    }
}

/// The configuration, if all of it is right.
fn read(
    source: &Source,
    url: Option<&str>,
    overlay: &Overlay,
) -> Result<(Config, Made), Vec<String>> {
    let config = source
        .load_under(url, overlay)
        .map_err(|error| match error {
            NoConfig::Wrong(errors) => errors.lines().to_vec(),
            error @ NoConfig::NotGiven => vec![error.to_string()],
        })?;
    let made = Made::of(&config).map_err(|error| vec![error])?;
    // The last thing that can be wrong, and it changes nothing then.
    log::apply(&config.log).map_err(|error| vec![error])?;
    Ok((config, made))
}

fn take_over(lobby: &Lobby, mut config: Config, made: Made) -> Vec<String> {
    let warnings = std::mem::take(&mut config.warnings);
    let later = lobby.take_over(config, made, Instant::now());
    info!("the configuration was read again and taken over");
    let later = later
        .into_iter()
        .map(|what| format!("{what}: takes effect at the next start"));
    warnings.into_iter().chain(later).collect()
}
