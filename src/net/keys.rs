//! What it takes to log in, made once: keys that are derived from passwords, and what TLS needs.
//!
//! A derivation takes milliseconds of computing (PBKDF2 exists to take long), and is done on
//! threads that relay nothing. A thousand clients that log in at once must neither stop a relay for
//! seconds nor have it done a thousand times.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OnceCell, Semaphore};

use super::tls::Tls;
use crate::{
    auth::{Derivation, DerivedKeys},
    config::cores,
    sync::Mutex,
};

/// Keys that are remembered: one for each password and salt in use. Beyond it all are forgotten, and derived again when needed.
const MOST_KEYS: usize = 10_000;

type Slot = Arc<OnceCell<Arc<DerivedKeys>>>;

/// Keys by what they were derived from, and TLS.
pub(crate) struct Keys {
    pub(crate) tls: Tls,
    known: Mutex<HashMap<[u8; 32], Slot>>,
    /// As many are derived at once as half the machine can work on: strangers may ask for them.
    places: Semaphore,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            tls: Tls::default(),
            known: Mutex::default(),
            places: Semaphore::new(cores().div_ceil(2)),
        }
    }
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
            // It is never closed; without a place it would be done all the same.
            let _place = self.places.acquire().await;
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
