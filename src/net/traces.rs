//! Spans of transactions: which are made, and how they wait to be sent ([`otlp`] sends them).
//!
//! A transaction whose client says which trace it belongs to is traced if that trace is; of the
//! others the configured part. Whether it is can be told from the trace's id alone, so that everybody who counts
//! in the same way decides the same. Nobody ever waits for a collector: what does not fit is
//! dropped, and counted.

mod otlp;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::{journal::About, report::Finished, upstream::fill_random};
use crate::{
    config::settings::{self, Endpoint},
    sql::traceparent::TraceParent,
    sync::Mutex,
};

/// Spans that wait to be sent.
const MOST_WAITING: usize = 8192;

/// Spans that are sent at once.
const BATCH: usize = 512;

/// How long a span waits for others, at most. Tests do not wait as long.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 1000 });

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which span a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    trace: [u8; 16],
    span: [u8; 8],
    parent: Option<[u8; 8]>,
}

/// A span that waits to be sent.
#[derive(Debug)]
struct Span {
    identity: Identity,
    client: u32,
    user: Box<str>,
    database: Box<str>,
    tenant: Option<Box<str>>,
    address: Option<SocketAddr>,
    ended: SystemTime,
    took: Duration,
    waited: Duration,
    queries: u64,
    errors: u64,
    bytes_out: u64,
    statement: Option<String>,
}

/// Spans of this process.
#[derive(Debug)]
pub(crate) struct Traces {
    endpoint: Endpoint,
    service: String,
    /// Trace ids below it are traced.
    below: u64,
    seeds: [u64; 2],
    made: AtomicU64,
    waiting: Mutex<Vec<Span>>,
    enough: Notify,
    dropped: AtomicU64,
    sent: AtomicU64,
    closing: AtomicBool,
}

impl Traces {
    pub(crate) fn new(config: &settings::Traces) -> Arc<Self> {
        let mut seeds = [[0; 8]; 2];
        seeds.iter_mut().for_each(|seed| fill_random(seed));
        Arc::new(Self {
            endpoint: config.endpoint.clone(),
            service: config.service_name.clone(),
            below: bound(config.sample.0),
            seeds: seeds.map(u64::from_be_bytes),
            made: AtomicU64::new(0),
            waiting: Mutex::default(),
            enough: Notify::new(),
            dropped: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        })
    }

    /// Whether a transaction is traced, and as what.
    pub(super) fn identify(&self, parent: Option<&TraceParent>) -> Option<Identity> {
        if let Some(parent) = parent {
            return parent.sampled.then(|| Identity {
                trace: parent.trace,
                span: self.random(self.count()).1,
                parent: Some(parent.span),
            });
        }
        let (trace, span) = self.random(self.count());
        is_below(&trace, self.below).then_some(Identity {
            trace,
            span,
            parent: None,
        })
    }

    fn count(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// Ids that nobody else makes up. They need not be hard to guess.
    fn random(&self, nth: u64) -> ([u8; 16], [u8; 8]) {
        let [one, other] = self.seeds.map(|seed| mix(seed.wrapping_add(nth)));
        let mut trace = [0; 16];
        trace
            .iter_mut()
            .zip(one.to_be_bytes().into_iter().chain(other.to_be_bytes()))
            .for_each(|(place, byte)| *place = byte);
        // Zero is no id.
        (trace, (mix(one ^ other.rotate_left(32)) | 1).to_be_bytes())
    }

    /// A transaction is over.
    pub(super) fn finished(
        &self,
        identity: Identity,
        about: &About<'_>,
        it: &Finished,
        statement: Option<String>,
    ) {
        let span = Span {
            identity,
            client: about.client,
            user: about.user.into(),
            database: about.database.into(),
            tenant: about.tenant.map(Box::from),
            address: about.address,
            ended: it.at,
            took: it.took,
            waited: it.waited,
            queries: it.queries,
            errors: it.errors,
            bytes_out: it.bytes_out,
            statement,
        };
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST_WAITING {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push(span);
        if waiting.len() == BATCH {
            self.enough.notify_one();
        }
    }

    /// Spans that were sent, and spans that could not be kept until they were.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        (read(&self.sent), read(&self.dropped))
    }

    /// The process ends: what waits is sent, and [`Traces::run`] returns.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.enough.notify_one();
    }

    /// Sends what there is, until [`Traces::close`].
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pause = PAUSE;
        let mut failing_since = None;
        loop {
            let closing = self.closing.load(Ordering::SeqCst);
            if !closing && (pause > PAUSE || self.waiting.lock().len() < BATCH) {
                // A collector that is away is not asked more often because there is much to tell it.
                let enough = async {
                    if pause > PAUSE && !self.closing.load(Ordering::SeqCst) {
                        std::future::pending().await
                    }
                    self.enough.notified().await;
                };
                let _ = tokio::time::timeout(pause, enough).await;
            }
            let batch = self.take();
            if batch.is_empty() {
                if closing {
                    return;
                }
                continue;
            }
            match otlp::send(&self.endpoint, &self.service, &batch).await {
                Ok(()) => {
                    self.sent.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    pause = PAUSE;
                    if failing_since.take().is_some() {
                        info!(endpoint = %self.endpoint, "spans are taken again");
                    }
                }
                Err(failure) => {
                    if failing_since.is_none() {
                        failing_since = Some(Instant::now());
                        warn!(endpoint = %self.endpoint, why = %failure.why, "spans are not taken");
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    self.keep(batch, failure.again && !closing);
                    if closing {
                        return;
                    }
                }
            }
        }
    }

    fn take(&self) -> Vec<Span> {
        let mut waiting = self.waiting.lock();
        let most = waiting.len().min(BATCH);
        waiting.drain(..most).collect()
    }

    /// What was not taken waits in front of the rest, if that makes sense and there is room.
    fn keep(&self, batch: Vec<Span>, again: bool) {
        let count = batch.len() as u64;
        let mut waiting = self.waiting.lock();
        if again && waiting.len() + batch.len() <= MOST_WAITING {
            waiting.splice(..0, batch);
        } else {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Trace ids whose last eight bytes, without one bit, are below this are that part of all.
fn bound(ratio: f64) -> u64 {
    let all = 1_u64 << 63;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a ratio of 0 to 1: the product is between 0 and 2^63"
    )]
    let below = (ratio * all as f64) as u64;
    below.min(all)
}

fn is_below(trace: &[u8; 16], bound: u64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = *trace;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < bound
}

/// The finalizer of SplitMix64: neighbours become strangers.
fn mix(nth: u64) -> u64 {
    let mut z = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
