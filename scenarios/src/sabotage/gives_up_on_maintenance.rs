//! "Closed for maintenance" is taken for a refusal.

use std::sync::Arc;

use oms_core::call::Outcome;
use oms_core::policy::BookingPolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "gives-up-on-maintenance",
    family: Family::RetryClass,
    why: "the 503 page is no JSON, so the parser throws, and what cannot be read is written down \
          as refused",
    breaks: "everything-settles",
    seen_in: &["carrier-under-maintenance"],
    seams: |env, _| env.policies.booking = Arc::new(NoJson),
    ..Sabotage::NONE
};

struct NoJson;

impl BookingPolicy for NoJson {
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Outcome::Unknown { reason, .. } if reason.starts_with("503") => {
                Outcome::Refused { reason }
            }
            other => other,
        }
    }
}
