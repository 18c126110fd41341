//! How others reach the task of a client: a bell it can be rung with, and a tray for what it waits for.

use std::{
    future::poll_fn,
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
};

use super::lease::Lease;
use crate::{error::Error, sync::Mutex};

/// Why a bell was rung.
pub(crate) mod ring {
    /// A server connection, or a refusal, lies in the tray.
    pub(crate) const TRAY: u8 = 1;
    /// The deadline has passed.
    pub(crate) const TIME: u8 = 2;
    /// Somebody who knows the client's key asks to cancel what it does.
    pub(crate) const CANCEL: u8 = 4;
    /// pgusher is being stopped: leave when the transaction is over.
    pub(crate) const STOP: u8 = 8;
    /// A cancel request that was sent to the server has arrived there.
    pub(crate) const CANCELLED: u8 = 16;
    /// Clients of some account, or of some database, are to leave: see whether one is meant.
    pub(crate) const EXPELLED: u8 = 32;
    /// What was asked about a tenant is answered, or will not be: look again.
    pub(crate) const ANSWER: u8 = 64;
    /// The operator sends this client away.
    pub(crate) const KILLED: u8 = 128;
}

/// What a waiter finds.
#[derive(Debug)]
pub(crate) enum Tray {
    /// It does not wait.
    Closed,
    /// It waits.
    Empty,
    /// It has been served.
    Granted(Lease),
    /// It waits in vain.
    Refused(Error),
}

/// One client's bell.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: AtomicU8,
    waker: OnceLock<Waker>,
    tray: Mutex<Tray>,
    /// When to ring for time, in the worker's milliseconds; `u64::MAX` = never.
    pub(super) deadline: AtomicU64,
    /// The earliest time at which the worker's alarm will look at `deadline`.
    pub(super) armed: AtomicU64,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            rung: AtomicU8::new(0),
            waker: OnceLock::new(),
            tray: Mutex::new(Tray::Closed),
            deadline: AtomicU64::new(u64::MAX),
            armed: AtomicU64::new(u64::MAX),
        }
    }

    /// Wakes the client's task for `why`.
    pub(crate) fn ring(&self, why: u8) {
        self.rung.fetch_or(why, Ordering::Release);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Takes what it was rung for, if it was.
    pub(crate) fn poll_rung(&self) -> Poll<u8> {
        // The plain load is all that an undisturbed client pays.
        if self.rung.load(Ordering::Relaxed) == 0 {
            return Poll::Pending;
        }
        Poll::Ready(self.rung.swap(0, Ordering::Acquire))
    }

    /// Waits until it is rung, in a task that does nothing else with it.
    pub(crate) async fn rung(&self) -> u8 {
        poll_fn(|cx| {
            self.belongs_to(cx.waker());
            self.poll_rung()
        })
        .await
    }

    /// Says which task is to be woken: once, before it first waits. A task is woken by any of its
    /// wakers, whatever it waits for, so this one serves as long as the client; and because
    /// ringing does not use it up, no ring can find none.
    pub(crate) fn belongs_to(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// From now on something may be laid into the tray.
    pub(crate) fn open_tray(&self) {
        *self.tray.lock() = Tray::Empty;
    }

    /// Takes what lies in the tray, and closes it.
    pub(crate) fn close_tray(&self) -> Tray {
        std::mem::replace(&mut *self.tray.lock(), Tray::Closed)
    }

    /// Takes what lies in the tray, if anything does; if not, it stays open.
    pub(crate) fn take(&self) -> Option<Tray> {
        let mut tray = self.tray.lock();
        match *tray {
            Tray::Granted(_) | Tray::Refused(_) => {
                Some(std::mem::replace(&mut *tray, Tray::Closed))
            }
            Tray::Closed | Tray::Empty => None,
        }
    }

    /// Hands over a server connection. It comes back if nobody waits any more (G1).
    pub(crate) fn grant(&self, lease: Lease) -> Result<(), Lease> {
        {
            let mut tray = self.tray.lock();
            if !matches!(*tray, Tray::Empty) {
                return Err(lease);
            }
            *tray = Tray::Granted(lease);
        }
        self.ring(ring::TRAY);
        Ok(())
    }

    /// Says that there is no point in waiting.
    pub(crate) fn refuse(&self, error: Error) {
        {
            let mut tray = self.tray.lock();
            if !matches!(*tray, Tray::Empty) {
                return;
            }
            *tray = Tray::Refused(error);
        }
        self.ring(ring::TRAY);
    }
}
