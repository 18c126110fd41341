//! Keys that are derived from passwords: computed once, on threads that relay nothing.
//!
//! A derivation takes milliseconds of computing (PBKDF2 exists to take long). A thousand clients
//! that log in at once must neither stop a relay for seconds nor have it done a thousand times.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OnceCell;

use crate::{
    auth::{Derivation, DerivedKeys},
    sync::Mutex,
};

/// Keys that are remembered: one for each password and salt in use. Beyond it all are forgotten, and derived again when needed.
const MOST_KEYS: usize = 10_000;

type Slot = Arc<OnceCell<Arc<DerivedKeys>>>;

/// Keys by what they were derived from.
#[derive(Default)]
pub(crate) struct Keys {
    known: Mutex<HashMap<[u8; 32], Slot>>,
}

impl Keys {
    /// The keys; derived now if nobody has asked before.
    pub(crate) async fn derive(&self, derivation: Derivation) -> Arc<DerivedKeys> {
        let slot = {
            let mut known = self.known.lock();
            if known.len() >= MOST_KEYS {
                known.clear();
            }
            Arc::clone(known.entry(derivation.id()).or_default())
        };
        let keys = slot.get_or_init(|| async {
            let own = derivation.clone();
            match tokio::task::spawn_blocking(move || own.run()).await {
                Ok(keys) => Arc::new(keys),
                // The thread could not be had; then it is done here, late rather than never.
                Err(_) => Arc::new(derivation.run()),
            }
        });
        Arc::clone(keys.await)
    }
}
