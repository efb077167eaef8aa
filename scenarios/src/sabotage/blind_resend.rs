//! An unknown booking is sent again, whatever the carrier does with duplicates.

use std::sync::Arc;

use oms_core::policy::{BookingPolicy, Reconcile};
use oms_core::store::ParcelWork;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "blind-resend",
    family: Family::TimeOutTakenForFailure,
    why: "\"a time-out is retried\": true of the carrier that it was written for, which refuses \
          duplicates, and not of the next one",
    breaks: "no-double-shipment",
    seen_in: &["carrier-books-duplicates"],
    seams: |env, _| env.policies.booking = Arc::new(SendsAgain),
    ..Sabotage::NONE
};

struct SendsAgain;

impl BookingPolicy for SendsAgain {
    fn reconcile(&self, _work: &ParcelWork, _advised: Reconcile) -> Reconcile {
        Reconcile::Resend
    }
}
