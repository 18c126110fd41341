//! Unit tests of the limits, with stepped time.

mod accounts;
mod buckets;
mod queried;
mod transactions;

use std::time::{Duration, Instant};

use super::{Rate, Tier, Who};
use crate::tenant::{Format, TenantId};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn tenant(id: &str) -> TenantId {
    Format::Text.id(id.as_bytes()).unwrap()
}

fn acme() -> Who {
    Who::Tenant(tenant("acme"))
}

/// Ten transactions a second, five of them at once.
fn ten() -> Tier {
    Tier {
        name: "ten".into(),
        transactions: Some(Rate::new(10, 5)),
        ..Tier::default()
    }
}
