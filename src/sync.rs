//! The one home of locks, so that a model checker can stand in for them.

use std::sync::PoisonError;

/// A mutex that a panic elsewhere does not poison: what it guards here is kept consistent by
/// each short critical section, never across one.
#[derive(Debug, Default)]
pub struct Mutex<T>(
    #[expect(
        clippy::disallowed_types,
        reason = "this is the wrapper that everybody else uses"
    )]
    std::sync::Mutex<T>,
);

/// The guard of a [`Mutex`].
pub type Guard<'a, T> = std::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// Guards `value`.
    #[expect(
        clippy::disallowed_types,
        reason = "this is the wrapper that everybody else uses"
    )]
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Waits for the lock. Held for a few instructions only, never across an await.
    pub fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
