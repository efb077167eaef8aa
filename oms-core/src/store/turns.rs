//! Whose turn it is: claims go round the sellers, so that one's flood does not hold up another's
//! order.
//!
//! A claim begins with the seller after the last one that was served, and each seller that has work
//! gets an equal share. So where one row is claimed at a time, a seller that waits is served after at
//! most one row of each other seller, however much those have. Each process goes round by itself, and
//! a claim costs one look at the index for each seller that it passes, however long their queues are.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The sellers that a process has served last; work of no seller is that of the seller without a
/// name.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pub(super) parcels: Turn,
    pub(super) notices: Turn,
}

/// The seller that was served last.
#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<String>);

impl Turn {
    /// After whom to go on.
    pub(super) fn after(&self) -> String {
        self.lock().clone()
    }

    /// The last seller of a claim.
    pub(super) fn set(&self, seller: String) {
        *self.lock() = seller;
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many rows of `limit` are each of `sellers`; a rest is the next claim's.
pub(super) fn share(limit: usize, sellers: usize) -> usize {
    (limit / sellers.max(1)).max(1)
}
