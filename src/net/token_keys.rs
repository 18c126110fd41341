//! The keys that tokens are signed with, as they are known now: out of a file, or from the URL where
//! the issuer publishes them.
//!
//! One task asks the URL, from the start, every `refresh`, and when a token comes of a key that is
//! not known: issuers change keys, and some forget to publish the new one ahead. Such tokens can be
//! made up by anybody, so they have the issuer asked at most every [`PAUSE`], all together; who waits
//! for the same answer waits together. While the issuer does not answer, what is known is good for
//! `max_stale`. That it cannot be asked is no reason not to start: it may be back in a minute.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustls::ClientConfig;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_rustls::TlsConnector;
use tracing::{debug, info, warn};

use super::{fetch, tls, worker::Workers};
use crate::{
    auth::token::{Bearer, KeySet, MAX_SET, Token, Verifier, Why},
    config::{
        cores,
        settings::{KeySource, KeysUrl, Tokens},
        tls::Pem,
    },
    lookup::Health,
    sync::Mutex,
};

/// The issuer is not asked again sooner, whatever tokens come.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest time for one answer. A client that waits for it has not logged in yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tiers that do not exist, and that are told of.
const MOST_COMPLAINTS: usize = 100;

/// The keys of the issuer.
pub(crate) struct TokenKeys {
    workers: Workers,
    /// Tiers that tokens have named, that do not exist, and that the log has heard of.
    strange_tiers: Mutex<HashSet<String>>,
    issuer: Mutex<Option<Arc<Issuer>>>,
    /// So many tokens are looked at at once: strangers may show some.
    places: Semaphore,
}

impl TokenKeys {
    pub(crate) fn new(tokens: Option<&Tokens>, workers: Workers) -> Self {
        let keys = Self {
            workers,
            strange_tiers: Mutex::default(),
            issuer: Mutex::default(),
            // A quarter of the machine, as for handshakes.
            places: Semaphore::new(cores().div_ceil(4)),
        };
        keys.revise(tokens);
        keys
    }

    /// From now on keys are had in this way. An issuer that is asked already goes on being asked; what
    /// is known of it holds.
    pub(crate) fn revise(&self, tokens: Option<&Tokens>) {
        let source = tokens.map(|tokens| &tokens.keys);
        let wanted = source.filter(|source| matches!(source, KeySource::Url { .. }));
        let mut issuer = self.issuer.lock();
        if issuer.as_ref().map(|issuer| &issuer.source) == wanted {
            return;
        }
        if let Some(old) = issuer.take() {
            old.retire();
        }
        *issuer = wanted.map(|source| {
            let new = Issuer::new(source.clone());
            let worker = Arc::clone(self.workers.idlest());
            worker.spawn(Box::pin(Arc::clone(&new).serve()));
            new
        });
    }

    /// A token that is good names a tier that does not exist: the operator hears of each once.
    pub(crate) fn complain_of_tier(&self, tier: &str) {
        let mut strange = self.strange_tiers.lock();
        if strange.len() < MOST_COMPLAINTS && strange.insert(tier.to_owned()) {
            warn!(
                tier,
                "tokens name a tier that does not exist; its tenants are in the default tier"
            );
        }
    }

    /// Whether the issuer answers, if one is asked.
    pub(crate) fn health(&self) -> Option<Health> {
        let issuer = self.issuer.lock().clone()?;
        let known = issuer.known.lock();
        Some(Health {
            is_failing: known.failing.is_some(),
            failures: known.failures,
        })
    }

    /// Whom a token stands for.
    pub(crate) async fn verify(&self, tokens: &Arc<Tokens>, token: &Token) -> Result<Bearer, Why> {
        let issuer = match &tokens.keys {
            KeySource::Known(keys) => return self.judge(tokens, keys, token).await,
            KeySource::Url { .. } => self.issuer.lock().clone().ok_or(Why::NoKeys)?,
        };
        let heard = issuer.heard();
        let judge = async || match issuer.keys() {
            Some(keys) => self.judge(tokens, &keys, token).await,
            // A text that is no token is none whatever the keys are, and nobody is asked for it.
            None => self
                .judge(tokens, &Arc::default(), token)
                .await
                .map_err(|why| match why {
                    Why::UnknownKey => Why::NoKeys,
                    why => why,
                }),
        };
        match judge().await {
            // A key may have been replaced by one of the same name, or of none.
            Err(Why::UnknownKey | Why::NoKeys | Why::Signature)
                if issuer.look_again(heard).await =>
            {
                judge().await
            }
            judged => judged,
        }
    }

    /// Looks at the signature on a thread that relays nothing: some take as long as a login (A13).
    async fn judge(
        &self,
        tokens: &Arc<Tokens>,
        keys: &Arc<KeySet>,
        token: &Token,
    ) -> Result<Bearer, Why> {
        let _place = self.places.acquire().await;
        let (tokens, keys, token) = (Arc::clone(tokens), Arc::clone(keys), token.clone());
        let verifying = tokio::task::spawn_blocking(move || {
            let (rules, keys) = (&tokens.rules, &*keys);
            Verifier { rules, keys }.verify(token.as_bytes(), now())
        });
        // Without a thread nothing is verified, and so nobody is let in.
        verifying.await.unwrap_or(Err(Why::NoKeys))
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // Before 1970 nothing has expired, but nothing holds yet either: tokens are refused.
    since.map_or(0, |since| since.as_secs())
}

/// An issuer that is asked for its keys.
struct Issuer {
    source: KeySource,
    known: Mutex<Known>,
    /// Somebody has come with a token of an unknown key.
    wanted: Notify,
    /// How often it was asked.
    answers: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    /// Since when it has not answered.
    failing: Option<Instant>,
    /// How often it has not.
    failures: u64,
    /// How often there was an answer, or none in time.
    heard: u64,
    /// When it was asked last.
    asked: Option<Instant>,
    is_asking: bool,
    is_retired: bool,
}

impl Issuer {
    fn new(source: KeySource) -> Arc<Self> {
        Arc::new(Self {
            source,
            known: Mutex::new(Known {
                is_asking: true,
                ..Known::default()
            }),
            wanted: Notify::new(),
            answers: watch::Sender::new(0),
        })
    }

    /// Nobody needs it any more.
    fn retire(&self) {
        self.known.lock().is_retired = true;
        self.wanted.notify_one();
    }

    /// The keys that are known, if they are still good.
    fn keys(&self) -> Option<Arc<KeySet>> {
        let known = self.known.lock();
        let KeySource::Url { max_stale, .. } = &self.source else {
            return None;
        };
        let is_good = known
            .failing
            .is_none_or(|since| since.elapsed() < *max_stale);
        known.keys.clone().filter(|_| is_good)
    }

    /// How often it has answered.
    fn heard(&self) -> u64 {
        self.known.lock().heard
    }

    /// Has it asked again, and waits for the answer, if there is none since `heard`; false: it was
    /// asked a moment ago.
    async fn look_again(&self, heard: u64) -> bool {
        let mut answers = self.answers.subscribe();
        {
            let mut known = self.known.lock();
            if known.heard != heard {
                return true;
            }
            let was_asked = known.asked.is_some_and(|at| at.elapsed() < PAUSE);
            if known.is_retired || was_asked && !known.is_asking {
                return false;
            }
            if !known.is_asking {
                known.is_asking = true;
                self.wanted.notify_one();
            }
        }
        // It takes `PATIENCE` at most, and the login's own deadline holds too.
        answers.changed().await.is_ok()
    }

    /// Asks, now and again, until it is retired.
    async fn serve(self: Arc<Self>) {
        let KeySource::Url {
            url, ca, refresh, ..
        } = &self.source
        else {
            return;
        };
        let ca = ca.clone().filter(|_| url.tls);
        let making = tokio::task::spawn_blocking(move || connector(ca.as_ref()));
        let tls = making.await.unwrap_or_else(|error| Err(error.to_string()));
        loop {
            {
                let mut known = self.known.lock();
                if known.is_retired {
                    break;
                }
                known.is_asking = true;
                known.asked = Some(Instant::now());
            }
            let fetched = match &tls {
                Err(why) if url.tls => Err(why.clone()),
                tls => fetch::get(url, tls.as_ref().ok(), MAX_SET, PATIENCE).await,
            };
            let read = fetched.and_then(|text| {
                KeySet::parse(&text).map_err(|error| format!("the answer {error}"))
            });
            let works = read.is_ok();
            self.take(url, read);
            self.answers
                .send_modify(|count| *count = count.wrapping_add(1));
            let pause = if works { *refresh } else { PAUSE.min(*refresh) };
            // Woken up or not, it is time.
            let _ = tokio::time::timeout(pause, self.wanted.notified()).await;
        }
        self.answers
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn take(&self, url: &KeysUrl, read: Result<KeySet, String>) {
        let mut known = self.known.lock();
        known.is_asking = false;
        known.heard += 1;
        known.failures += u64::from(read.is_err());
        match read {
            Ok(keys) => {
                let (count, skipped) = keys.counts();
                let is_new = known.keys.as_deref() != Some(&keys);
                if known.failing.take().is_some() {
                    info!(%url, count, skipped, "the issuer's keys can be had again");
                } else if is_new {
                    info!(%url, count, skipped, "the issuer's keys are known");
                } else {
                    debug!(%url, "the issuer's keys are as they were");
                }
                known.keys = Some(Arc::new(keys));
            }
            // Once, and then not before it has worked again (H5).
            Err(why) if known.failing.is_none() => {
                known.failing = Some(Instant::now());
                let is_known = known.keys.is_some();
                warn!(%url, why, is_known, "the issuer's keys cannot be had; those that are known are used");
            }
            Err(why) => debug!(%url, why, "the issuer's keys can still not be had"),
        }
    }
}

/// TLS that trusts these authorities, or the system's.
fn connector(ca: Option<&Pem>) -> Result<TlsConnector, String> {
    let roots = match ca {
        Some(pem) => tls::roots(pem)?,
        None => tls::servers::system_roots().cloned().map_err(|_| {
            "the system trusts no authorities that could be found: name some with keys_ca"
                .to_owned()
        })?,
    };
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
