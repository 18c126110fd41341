//! The threads that relay, each with a runtime of its own.

use std::{
    cell::Cell,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::runtime::{Builder, Handle};

use super::alarm::Alarm;

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
    load: AtomicUsize,
}

impl Worker {
    /// Starts a task on this worker.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// Counts a client in until the guard is dropped.
    pub(crate) fn occupy(self: &Arc<Self>) -> Seat {
        self.load.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(self))
    }
}

/// A client's place on a worker.
pub(crate) struct Seat(Arc<Worker>);

impl Seat {
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Workers(Arc<[Arc<Worker>]>);

impl Workers {
    /// Starts `count` threads. They live as long as the program.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let started = Instant::now();
        let workers: io::Result<Vec<_>> = (0..count.max(1))
            .map(|nth| start_one(nth, started))
            .collect();
        Ok(Self(workers?.into()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The worker this code runs on, or if it runs on none the one with the fewest clients.
    pub(crate) fn here(&self) -> &Arc<Worker> {
        CURRENT
            .get()
            .and_then(|nth| self.0.get(nth))
            .unwrap_or_else(|| self.idlest())
    }

    /// The worker with the fewest clients.
    #[expect(clippy::indexing_slicing, reason = "there is at least one worker")]
    pub(crate) fn idlest(&self) -> &Arc<Worker> {
        let least = self
            .0
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        least.unwrap_or(&self.0[0])
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
        load: AtomicUsize::new(0),
    });
    let own = Arc::clone(&worker);
    std::thread::Builder::new()
        .name(format!("pgusher-{nth}"))
        .spawn(move || {
            CURRENT.set(Some(nth));
            runtime.block_on(own.alarm.run());
        })?;
    Ok(worker)
}
