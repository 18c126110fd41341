//! Asks the server once for each pool whether row-level security applies to the pool's role, and
//! tells the log (J7). What to ask and what the answer means is said in [`crate::tenant::audit`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tracing::{debug, info, warn};

use super::{
    login::{Broken, Dialogue},
    pool::Pool,
};
use crate::{
    session::printable,
    sync::Mutex,
    tenant::audit::{Audit, Finding, QUERY},
    wire::{
        backend::{self, Fields},
        write,
    },
};

/// What a pool knows of its role.
#[derive(Debug, Default)]
pub(crate) struct Audited {
    /// A client with a tenant has come: before that nobody cares.
    wanted: AtomicBool,
    asked: AtomicBool,
    found: Mutex<Arc<[Finding]>>,
}

impl Audited {
    /// Tenants are served here. Users that work without one may have roles of their own, which
    /// are above row-level security on purpose.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// What was found wrong. Empty if nothing is, or nobody has asked yet.
    pub(crate) fn findings(&self) -> Arc<[Finding]> {
        Arc::clone(&self.found.lock())
    }

    /// It is to be asked once more: something may have been mended.
    pub(crate) fn ask_again(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    /// Whether it is to be asked now; true once.
    fn is_due(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) && !self.asked.swap(true, Ordering::Relaxed)
    }
}

/// Asks, if nobody has asked before, on a connection that has just been let in and does nothing else.
pub(super) async fn audit(pool: &Pool, dialogue: &mut Dialogue) -> Result<(), Broken> {
    if !pool.audited.is_due() {
        return Ok(());
    }
    let mut query = Vec::new();
    write::query(&mut query, QUERY.as_bytes());
    dialogue.write(&query).await?;
    let mut audit = None;
    loop {
        let message = dialogue.server_message().await?;
        match message.tag {
            b'D' => {
                let row = backend::data_row(&message.body);
                audit = row.ok().and_then(|row| Audit::read(&row));
            }
            b'E' => {
                let fields = Fields::read(&message.body);
                let why = printable(fields.message);
                debug!(database = pool.db.name, user = pool.user, %why, "the role cannot be examined");
            }
            b'Z' => break,
            _ => {}
        }
    }
    if let Some(audit) = audit {
        *pool.audited.found.lock() = audit.findings().into();
        tell(pool, audit.role());
    }
    Ok(())
}

fn tell(pool: &Pool, role: &str) {
    let config = pool.db.config();
    let database = config.upstream.database.as_ref();
    let database = database.unwrap_or(&pool.db.name);
    for finding in pool.audited.findings().iter() {
        match finding.is_dangerous() {
            true => warn!(database, role, "{finding}"),
            false => info!(database, role, "{finding}"),
        }
    }
}
