//! When a row falls due, and when it is held.
//!
//! A held row has no due time, so that nobody claims it and nobody is woken by it in vain; it gets
//! one again when its order's state changes. Neither has a row that was put aside, for its order
//! could not be read; it gets one again then, or when an operator retries the order.

use clockwork::Timestamp;

use super::{Aggregate, Notice, Parcel};
use crate::state::{NoticeState, OrderState, ParcelState};

/// Whether a notification of such an order must wait: what it tells may not be true, or not for
/// long. (An accepted order has one only after an operator has reopened it.)
pub(super) fn holds_notices(order: OrderState) -> bool {
    use OrderState::{Accepted, Attention, Cancelling};
    matches!(order, Accepted | Cancelling | Attention)
}

/// Whether a parcel that was not sent yet must wait: a person looks at its order.
fn holds_parcel(order: OrderState, parcel: ParcelState) -> bool {
    order == OrderState::Attention && parcel == ParcelState::Planned
}

impl Aggregate {
    /// Makes the parcel at `at` due at `due`, unless it is held.
    pub(super) fn put_back_parcel(&mut self, at: usize, due: Timestamp) {
        let held = holds_parcel(self.order.state, self.parcels[at].state);
        self.parcels[at].due_at = (!held).then_some(due);
    }

    /// Makes the notification at `at` due at `due`, unless it is held.
    pub(super) fn put_back_notice(&mut self, at: usize, due: Timestamp) {
        self.notices[at].due_at = (!holds_notices(self.order.state)).then_some(due);
    }

    /// Makes work due that a claim has put aside, for its order could not be read: it waits for a
    /// step and nothing holds it, yet it has no due time. Whether there was any.
    pub(super) fn take_up(&mut self, now: Timestamp) -> bool {
        let order = self.order.state;
        let parcel = |parcel: &Parcel| {
            parcel.due_at.is_none() && is_work(parcel.state) && !holds_parcel(order, parcel.state)
        };
        let notice =
            |notice: &Notice| notice.due_at.is_none() && notice.is_open() && !holds_notices(order);
        let any = self.parcels.iter().any(parcel) || self.notices.iter().any(notice);
        if any {
            self.hold_or_release(now);
        }
        any
    }

    /// After the order's state has changed.
    pub(super) fn hold_or_release(&mut self, now: Timestamp) {
        let order = self.order.state;
        for parcel in &mut self.parcels {
            if holds_parcel(order, parcel.state) {
                // Fenced off too: whoever has it has not sent it yet, and must not.
                parcel.come_to_rest();
            } else if parcel.due_at.is_none() && is_work(parcel.state) {
                parcel.due_at = Some(parcel.lease.end().unwrap_or(now).max(now));
                parcel.changed = true;
            }
        }
        for notice in self.notices.iter_mut().filter(|notice| notice.is_open()) {
            if holds_notices(order) {
                notice.due_at = None;
                notice.changed = true;
            } else if notice.due_at.is_none() {
                notice.due_at = Some(notice.lease.end().unwrap_or(now).max(now));
                notice.changed = true;
            }
        }
    }
}

/// Whether a parcel in this state waits for a step.
fn is_work(state: ParcelState) -> bool {
    use ParcelState::{Cancelling, Intended, Planned, Unknown};
    matches!(state, Planned | Intended | Unknown | Cancelling)
}

impl Parcel {
    /// Nothing more to do; whoever still works on it is fenced off.
    pub(super) fn come_to_rest(&mut self) {
        self.lease.revoke();
        self.due_at = None;
        self.changed = true;
    }

    /// Begins the work of its new state afresh, or rests where there is none.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.come_to_rest();
        (self.attempts, self.rounds) = (0, 0);
        self.due_at = is_work(self.state).then_some(now);
    }
}

impl Notice {
    /// Whether something is still to be done about it.
    pub(super) fn is_open(&self) -> bool {
        use NoticeState::{Queued, Sending, Unknown};
        matches!(self.state, Queued | Sending | Unknown) && !self.given_up
    }

    /// Nothing more to do; whoever still works on it is fenced off.
    pub(super) fn come_to_rest(&mut self) {
        self.lease.revoke();
        self.due_at = None;
        self.changed = true;
    }

    /// Begins its sending afresh.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.come_to_rest();
        (self.attempts, self.rounds) = (0, 0);
        self.given_up = false;
        self.due_at = Some(now);
    }
}
