//! What one server connection knows of the tenant's context.

use std::collections::VecDeque;

use super::{inject::Opening, rewritten::Rewritten};
use crate::error::Error;

/// Whether the server's session has a context, around a request that can carry none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Around {
    /// It has none.
    #[default]
    No,
    /// It was sent and is not answered: the request waits for it.
    Opening,
    /// It has.
    Given,
}

/// What one server connection knows of the tenant's context.
#[derive(Debug)]
pub(super) struct Scoping {
    /// The open transaction has one, as far as the server has answered.
    pub(super) in_transaction: bool,
    /// The open batch has one, if nothing in it fails.
    pub(super) in_batch: bool,
    /// Something was bound in the open batch.
    pub(super) batch_bound: bool,
    /// What was known when the open batch began.
    pub(super) batch_opening: Opening,
    /// Something in the open batch changes the setting.
    pub(super) batch_drops: bool,
    pub(super) around: Around,
    /// The request that it was opened for has been sent.
    in_use: bool,
    /// The open batch is what it was opened for.
    pub(super) batch_given: bool,
    /// It was opened inside of a transaction, and is undone with it.
    pub(super) in_block: bool,
    /// The tenant's setting may have a value beyond the transaction, and must be reset before
    /// anybody else comes (T14).
    pub(super) lingers: bool,
    /// That was sent, and is not answered.
    pub(super) resetting: bool,
    /// What the server said to a context that it did not take.
    pub(super) failure: Option<Vec<u8>>,
    /// The texts that were changed, in the order in which they are answered.
    pub(super) rewritten: VecDeque<Rewritten>,
    /// The reasons of what is made to fail, in the same order.
    pub(super) refusals: VecDeque<Error>,
}

impl Default for Scoping {
    fn default() -> Self {
        Self {
            in_transaction: false,
            in_batch: false,
            batch_bound: false,
            batch_opening: Opening::Unknown,
            batch_drops: false,
            around: Around::No,
            in_use: false,
            batch_given: false,
            in_block: false,
            lingers: false,
            resetting: false,
            failure: None,
            rewritten: VecDeque::new(),
            refusals: VecDeque::new(),
        }
    }
}

impl Scoping {
    /// The session has the context for the next request. Not for a second one: what ran in the first may
    /// have changed it, and it may be on its way back.
    pub(super) fn is_given(&self) -> bool {
        self.around == Around::Given && !self.in_use
    }

    /// A context is sent to the server's session, `in_block` or outside of any transaction.
    pub(super) fn opening(&mut self, in_block: bool) {
        self.around = Around::Opening;
        self.in_use = false;
        self.in_block = in_block;
        self.lingers = true;
    }

    /// A request of the client was sent.
    pub(super) fn used(&mut self) {
        if self.around != Around::Given {
            return;
        }
        self.in_use = true;
        // The transaction may be rolled back, and then the session has none: what comes next can
        // rely on the transaction only.
        if self.in_block {
            self.around = Around::No;
            self.in_transaction = true;
        }
    }

    /// The context around the client's request was answered.
    pub(super) fn opened(&mut self) {
        if self.around == Around::Opening {
            self.around = Around::Given;
        }
    }

    /// The server did not take the context, and said why.
    pub(super) fn not_opened(&mut self, said: &[u8]) {
        self.around = Around::No;
        self.failure = Some(said.to_vec());
    }

    /// Between two transactions: the setting must be reset now.
    pub(super) fn must_reset(&self) -> bool {
        self.lingers && !self.resetting && (self.around == Around::No || self.in_use)
    }

    /// Nothing of a client is left.
    pub(super) fn is_clean(&self) -> bool {
        !self.lingers && !self.resetting && self.around == Around::No && self.failure.is_none()
    }

    /// The server's session is as new.
    pub(super) fn cleaned(&mut self) {
        *self = Self::default();
    }

    /// A reset of the setting is sent. From here on the session has no context, and what is sent
    /// before the answer may leave another value.
    pub(super) fn resets(&mut self) {
        self.resetting = true;
        self.lingers = false;
        self.around = Around::No;
    }

    /// The reset was cancelled.
    pub(super) fn was_not_reset(&mut self) {
        self.resetting = false;
        self.lingers = true;
    }

    /// The setting was reset.
    pub(super) fn was_reset(&mut self) {
        self.resetting = false;
    }
}
