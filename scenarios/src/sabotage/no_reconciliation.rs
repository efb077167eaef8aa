//! Unknown outcomes are written down and then forgotten.

use std::sync::Arc;

use oms_core::policy::{BookingPolicy, Reconcile};
use oms_core::store::ParcelWork;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "no-reconciliation",
    family: Family::TimeOutTakenForFailure,
    why: "an unknown outcome is written down and left: the job that asks was put off to next sprint",
    breaks: "everything-settles",
    seen_in: &["booking-reply-lost"],
    seams: |env, _| env.policies.booking = Arc::new(NeverAsks),
    ..Sabotage::NONE
};

struct NeverAsks;

impl BookingPolicy for NeverAsks {
    fn reconcile(&self, _work: &ParcelWork, _advised: Reconcile) -> Reconcile {
        Reconcile::Leave
    }
}
