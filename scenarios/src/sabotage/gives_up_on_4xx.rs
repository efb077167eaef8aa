//! Every 4xx is taken for a refusal.

use std::sync::Arc;

use oms_core::call::Outcome;
use oms_core::policy::BookingPolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "gives-up-on-4xx",
    family: Family::RetryClass,
    why: "`if (status >= 400 && status < 500) fail()`: every 4xx is the caller's fault, and is \
          not tried again",
    breaks: "everything-settles",
    seen_in: &["token-revoked"],
    seams: |env, _| env.policies.booking = Arc::new(OurFault),
    ..Sabotage::NONE
};

struct OurFault;

impl BookingPolicy for OurFault {
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Outcome::NotProcessed { reason, .. } if reason.starts_with('4') => {
                Outcome::Refused { reason }
            }
            other => other,
        }
    }
}
