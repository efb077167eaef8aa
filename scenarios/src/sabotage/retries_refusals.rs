//! What the carrier refused for good is sent again and again.

use std::sync::Arc;

use oms_core::call::Outcome;
use oms_core::policy::BookingPolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "retries-refusals",
    family: Family::RetryClass,
    why: "whatever is no success is thrown as one `CarrierException`, and `@Retryable` takes all \
          of them",
    breaks: "everything-settles",
    seen_in: &["seed-batch"],
    seams: |env, _| env.policies.booking = Arc::new(NeverTakesNo),
    ..Sabotage::NONE
};

struct NeverTakesNo;

impl BookingPolicy for NeverTakesNo {
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Outcome::Refused { reason } => {
                Outcome::NotProcessed { reason, wait: None, spent: true }
            }
            other => other,
        }
    }
}
