//! The threads that relay, each with a runtime of its own.

use std::{
    cell::Cell,
    fs::File,
    future::Future,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Handle};
use tracing::debug;

use super::{
    alarm::Alarm,
    spread::{Departure, Load, Spread},
};
use crate::config::settings::{self, Runtime};

/// How many sockets are looked at in one sleep of a worker.
const EVENTS: usize = 1024;

thread_local! {
    /// Which worker this thread is.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// One relaying thread, seen from outside.
pub(crate) struct Worker {
    pub(crate) nth: usize,
    pub(crate) alarm: Alarm,
    handle: Handle,
    /// Clients that were handed to it and have not left.
    clients: AtomicUsize,
    /// What the kernel says of its thread, if it does.
    schedule: OnceLock<File>,
    /// How often it was looked at.
    looks: AtomicU32,
    /// Its clients that have ended a transaction since.
    active: AtomicUsize,
    /// Of those that will, so many are to move,
    leaving: AtomicUsize,
    /// to this worker.
    towards: AtomicUsize,
}

impl Worker {
    /// Starts a task on this worker.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// Counts a client in until the guard is dropped.
    pub(crate) fn occupy(self: &Arc<Self>) -> Seat {
        self.clients.fetch_add(1, Ordering::Relaxed);
        Seat {
            worker: Arc::clone(self),
            looks: self.looks.load(Ordering::Relaxed),
        }
    }

    /// Clients that are served here.
    fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// How long its thread has run so far, if the kernel says so.
    fn ran(&self) -> Option<Duration> {
        let file = self.schedule.get()?;
        let mut text = [0; 64];
        let length = file.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        let nanos = text.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(nanos)).filter(|ran| !ran.is_zero())
    }

    fn send_away(&self, departure: &Departure) {
        self.towards.store(departure.to, Ordering::Relaxed);
        self.leaving.store(departure.clients, Ordering::Relaxed);
    }

    /// Whether one more is to leave, and where to.
    fn sends_one_away(&self) -> Option<usize> {
        let one_less = |leaving: usize| leaving.checked_sub(1);
        self.leaving
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .ok()?;
        Some(self.towards.load(Ordering::Relaxed))
    }
}

/// A client's place on a worker.
pub(crate) struct Seat {
    worker: Arc<Worker>,
    /// How often the worker had been looked at when the client last ended a transaction.
    looks: u32,
}

impl Seat {
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The client has ended a transaction; says which worker it is to move to, if it is.
    pub(crate) fn changes(&mut self) -> Option<usize> {
        // All that most transactions pay.
        let looks = self.worker.looks.load(Ordering::Relaxed);
        if looks == self.looks {
            return None;
        }
        self.looks = looks;
        self.worker.active.fetch_add(1, Ordering::Relaxed);
        self.worker.sends_one_away()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Workers {
    all: Arc<[Arc<Worker>]>,
    /// The first so many are given clients.
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts them. They live as long as the program.
    pub(crate) fn start(config: &Runtime) -> io::Result<Self> {
        let (started, count) = (Instant::now(), config.workers.max(1));
        let workers: io::Result<Vec<_>> = (0..count).map(|nth| start_one(nth, started)).collect();
        Ok(Self {
            all: workers?.into(),
            open: Arc::new(AtomicUsize::new(count)),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are in use.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, nth: usize) -> Option<&Arc<Worker>> {
        self.all.get(nth)
    }

    /// The worker this code runs on, or if it runs on none the one with the fewest clients.
    pub(crate) fn here(&self) -> &Arc<Worker> {
        CURRENT
            .get()
            .and_then(|nth| self.all.get(nth))
            .unwrap_or_else(|| self.idlest())
    }

    /// Of those in use the worker with the fewest clients.
    #[expect(clippy::indexing_slicing, reason = "there is at least one worker")]
    pub(crate) fn idlest(&self) -> &Arc<Worker> {
        let open = self.all.iter().take(self.open());
        let least = open.min_by_key(|worker| worker.clients());
        least.unwrap_or(&self.all[0])
    }
}

fn start_one(nth: usize, started: Instant) -> io::Result<Arc<Worker>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(EVENTS)
        .build()?;
    let worker = Arc::new(Worker {
        nth,
        alarm: Alarm::new(started),
        handle: runtime.handle().clone(),
        clients: AtomicUsize::new(0),
        schedule: OnceLock::new(),
        looks: AtomicU32::new(0),
        active: AtomicUsize::new(0),
        leaving: AtomicUsize::new(0),
        towards: AtomicUsize::new(nth),
    });
    let own = Arc::clone(&worker);
    std::thread::Builder::new()
        .name(format!("pgusher-{nth}"))
        .spawn(move || {
            CURRENT.set(Some(nth));
            if let Ok(file) = File::open("/proc/thread-self/schedstat") {
                own.schedule.get_or_init(|| file);
            }
            runtime.block_on(own.alarm.run());
        })?;
    Ok(worker)
}

/// Looks now and then how busy the workers are, and has clients move.
pub(crate) struct Balance {
    workers: Workers,
    spread: Spread,
    looked: Instant,
    /// How long each had run then.
    ran: Vec<Duration>,
}

impl Balance {
    /// `None` if there is nothing to balance: one worker, or it is not wanted.
    pub(crate) fn of(workers: &Workers, config: &Runtime, now: Instant) -> Option<Self> {
        if workers.len() < 2 || config.spread == settings::Spread::Even {
            return None;
        }
        let spread = Spread::new();
        workers.open.store(spread.open(), Ordering::Relaxed);
        Some(Self {
            ran: vec![Duration::ZERO; workers.len()],
            workers: workers.clone(),
            spread,
            looked: now,
        })
    }

    pub(crate) fn look(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.looked);
        self.looked = now;
        let Some(ran) = self.workers.all.iter().map(|it| it.ran()).collect() else {
            // Who cannot see how busy they are gives each as many.
            let all = self.workers.len();
            return self.workers.open.store(all, Ordering::Relaxed);
        };
        let before: Vec<Duration> = std::mem::replace(&mut self.ran, ran);
        let loads: Vec<Load> = self
            .workers
            .all
            .iter()
            .zip(self.ran.iter().zip(before))
            .map(|(worker, (ran, before))| {
                worker.looks.fetch_add(1, Ordering::Relaxed);
                worker.leaving.store(0, Ordering::Relaxed);
                let ran = ran.saturating_sub(before);
                Load {
                    busy: thousandths(ran, passed),
                    active: worker.active.swap(0, Ordering::Relaxed),
                }
            })
            .collect();
        for departure in self.spread.look(&loads) {
            if let Some(worker) = self.workers.get(departure.from) {
                worker.send_away(&departure);
            }
        }
        let open = self.spread.open();
        if self.workers.open.swap(open, Ordering::Relaxed) != open {
            debug!(workers = open, "the load has changed: so many are in use");
        }
    }
}

fn thousandths(part: Duration, whole: Duration) -> usize {
    let thousandths = part.as_micros() * 1000 / whole.as_micros().max(1);
    usize::try_from(thousandths).unwrap_or(usize::MAX)
}
