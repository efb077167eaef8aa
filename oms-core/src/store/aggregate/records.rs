//! The rows of one order, as they are in memory.

use clockwork::Timestamp;

use crate::state::{By, NoticeState, OrderState, ParcelState};
use crate::store::Intent;

/// A row of `orders`, as far as it changes.
pub(in crate::store) struct OrderRecord {
    pub(in crate::store) id: String,
    pub(in crate::store) state: OrderState,
    pub(in crate::store) called_back: bool,
    pub(in crate::store) reason: Option<String>,
    pub(in crate::store) changed: bool,
}

/// A row of `parcels`; of its intent only one that is new.
pub(in crate::store) struct Parcel {
    pub(in crate::store) number: u32,
    pub(in crate::store) state: ParcelState,
    pub(in crate::store) attempts: u32,
    pub(in crate::store) rounds: u32,
    pub(in crate::store) sent_until: Option<Timestamp>,
    pub(in crate::store) unknown_since: Option<Timestamp>,
    pub(in crate::store) picked_up: bool,
    pub(in crate::store) parked_from: Option<ParcelState>,
    pub(in crate::store) due_at: Option<Timestamp>,
    pub(in crate::store) lease: Lease,
    pub(in crate::store) reason: Option<String>,
    pub(in crate::store) intent: Option<Intent>,
    /// Its booking was undone: a new one needs another identity.
    pub(in crate::store) forgets_intent: bool,
    pub(in crate::store) changed: bool,
}

/// A row of `notices`.
pub(in crate::store) struct Notice {
    pub(in crate::store) event: String,
    pub(in crate::store) state: NoticeState,
    pub(in crate::store) msg_key: Option<String>,
    pub(in crate::store) sent_at: Option<Timestamp>,
    pub(in crate::store) report_code: Option<String>,
    pub(in crate::store) report_channel: Option<String>,
    pub(in crate::store) reported_at: Option<Timestamp>,
    pub(in crate::store) attempts: u32,
    pub(in crate::store) rounds: u32,
    pub(in crate::store) first_sent_at: Option<Timestamp>,
    pub(in crate::store) given_up: bool,
    pub(in crate::store) due_at: Option<Timestamp>,
    pub(in crate::store) lease: Lease,
    pub(in crate::store) reason: Option<String>,
    pub(in crate::store) changed: bool,
}

/// The right to work on a row, and how it was last given back.
#[derive(Default)]
pub(in crate::store) struct Lease {
    pub(in crate::store) worker: Option<String>,
    pub(in crate::store) token: i64,
    pub(in crate::store) until: Option<Timestamp>,
    pub(in crate::store) settled: Option<String>,
}

impl Lease {
    /// When it ends, if somebody has it.
    pub(in crate::store) fn end(&self) -> Option<Timestamp> {
        self.worker.as_ref().and(self.until)
    }

    /// Given back under `outcome`, so that the same write is known when it is repeated.
    pub(in crate::store) fn give_back(&mut self, outcome: &str) {
        self.worker = None;
        self.until = None;
        self.settled = Some(outcome.to_owned());
    }

    /// Taken away: a later write of its holder is fenced off.
    pub(super) fn revoke(&mut self) {
        if self.worker.take().is_some() {
            self.token += 1;
            self.until = None;
            self.settled = None;
        }
    }
}

impl Notice {
    /// A new row of the outbox.
    pub(super) fn born(event: String) -> Notice {
        Notice {
            event,
            state: NoticeState::Queued,
            msg_key: None,
            sent_at: None,
            report_code: None,
            report_channel: None,
            reported_at: None,
            attempts: 0,
            rounds: 0,
            first_sent_at: None,
            given_up: false,
            due_at: None,
            lease: Lease::default(),
            reason: None,
            changed: true,
        }
    }
}

/// One walked edge, to be logged.
pub(in crate::store) struct Edge {
    pub(in crate::store) entity: &'static str,
    pub(in crate::store) key: String,
    pub(in crate::store) from: Option<&'static str>,
    pub(in crate::store) to: &'static str,
    pub(in crate::store) by: By,
}
