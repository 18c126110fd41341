//! The way to the console: who wants it, and how the visitor is handed over.
//!
//! The console itself is above this layer (`admin`); the lobby is given the function that takes
//! care of visitors when it is made.

use std::{future::Future, pin::Pin, sync::Arc};

use super::{
    bell::Bell,
    cards::ClientCard,
    lobby::{Pass, Registration, UserSeat, Visit},
    login::Dialogue,
    worker::Seat,
};
use crate::{cancel::Key, config::settings::Rights};

/// Takes care of a visitor until it leaves.
pub(crate) type Reception =
    Box<dyn Fn(Visitor) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A client of the console: it has shown who it is, and been told nothing yet.
pub(crate) struct Visitor {
    pub(crate) dialogue: Dialogue,
    pub(crate) badge: Badge,
    pub(crate) pass: Pass,
    #[expect(dead_code, reason = "held until the visitor leaves")]
    pub(crate) seat: Seat,
}

/// Who a visitor is.
pub(crate) struct Badge {
    pub(crate) rights: Rights,
    /// As it is seen.
    pub(crate) card: Arc<ClientCard>,
    /// Rung when it is to leave.
    pub(crate) bell: Arc<Bell>,
    pub(crate) key: Key,
    #[expect(
        dead_code,
        reason = "held until the visitor leaves: dropping it takes the key away"
    )]
    pub(crate) registration: Registration,
    #[expect(dead_code, reason = "held until the visitor leaves")]
    pub(crate) user_seat: UserSeat,
    #[expect(dead_code, reason = "held until the visitor leaves")]
    pub(crate) visit: Visit,
}
