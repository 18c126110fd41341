//! What machines and people see of pgusher: the page for Prometheus, and the state for the dashboard.
//!
//! [`table`] says which metrics there are, once; [`page`] writes them in either of two formats, and
//! [`pools`], [`process`] and [`tenants`] fill it. [`history`] remembers the last minutes, and
//! [`state`] is what the dashboard shows of all that. The [`Observatory`] is where they meet.
//!
//! Nothing here is asked for by a relay thread, and no lock that one needs is held for longer than
//! it takes to copy a few numbers.

pub mod page;
pub mod reference;
pub mod table;

mod history;
mod pools;
mod process;
mod state;
mod tenants;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::spawn_blocking;

pub use self::page::Format;
use self::{history::History, page::Page, tenants::Tenants};
use crate::{config::settings, net::lobby::Lobby, sync::Mutex};

/// How often the history gets a new point.
pub(crate) const STEP: Duration = Duration::from_secs(1);

/// How often tenants are looked at if nobody asks, so that whoever does finds the rates of the last
/// seconds.
const LOOK: Duration = Duration::from_secs(5);

/// Everything that can be seen.
pub(crate) struct Observatory {
    lobby: Arc<Lobby>,
    tenants: Mutex<Tenants>,
    history: Mutex<History>,
    /// About as long is a page.
    room: AtomicUsize,
}

impl Observatory {
    /// Looks at `lobby`.
    pub(crate) fn new(lobby: Arc<Lobby>) -> Arc<Self> {
        Arc::new(Self {
            tenants: Mutex::new(Tenants::default()),
            history: Mutex::new(History::new()),
            room: AtomicUsize::new(64 * 1024),
            lobby,
        })
    }

    /// Whether new clients should be sent here; if not, why.
    pub(crate) fn is_ready(&self) -> Result<(), String> {
        self.lobby.readiness()
    }

    /// What is asked of visitors, as configured now.
    pub(crate) fn http(&self) -> Option<settings::Http> {
        self.lobby.config().http.clone()
    }

    /// The page for Prometheus. Whoever waits for it holds up nobody else.
    pub(crate) async fn page(self: &Arc<Self>, format: Format) -> String {
        let here = Arc::clone(self);
        let written = spawn_blocking(move || here.write(format)).await;
        written.unwrap_or_default()
    }

    fn write(&self, format: Format) -> String {
        let mut page = Page::new(format, self.room.load(Ordering::Relaxed));
        process::write(&self.lobby, &mut page);
        pools::write(&self.lobby, &mut page);
        let mut tenants = self.tenants.lock();
        tenants.look(&self.lobby);
        tenants.write(&mut page);
        let page = page.finish();
        self.room
            .store(page.len() + page.len() / 8, Ordering::Relaxed);
        page
    }

    /// The state for the dashboard, in JSON.
    pub(crate) async fn state(self: &Arc<Self>) -> String {
        let here = Arc::clone(self);
        let written = spawn_blocking(move || {
            let mut tenants = here.tenants.lock();
            if tenants.are_older_than(STEP / 2, &here.lobby) {
                tenants.look(&here.lobby);
            }
            state::write(&here.lobby, &tenants, &here.history.lock())
        });
        written.await.unwrap_or_default()
    }

    /// Remembers how things are, again and again.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            steps.tick().await;
            self.history.lock().step(&self.lobby);
            let is_due = self.tenants.lock().are_older_than(LOOK, &self.lobby);
            if is_due {
                let here = Arc::clone(&self);
                let looked = spawn_blocking(move || here.tenants.lock().look(&here.lobby));
                let _ = looked.await;
            }
        }
    }
}
