//! A time-out is written down as a failure.

use std::sync::Arc;

use oms_core::call::Outcome;
use oms_core::policy::BookingPolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "unknown-as-failed",
    family: Family::TimeOutTakenForFailure,
    why: "`catch (Exception e) { markAsFailed(); }`: a time-out is taken for a refusal",
    breaks: "books-agree",
    seen_in: &["booking-reply-lost"],
    seams: |env, _| env.policies.booking = Arc::new(Pessimist),
    ..Sabotage::NONE
};

struct Pessimist;

impl BookingPolicy for Pessimist {
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Outcome::Unknown { reason, .. } => Outcome::Refused { reason },
            other => other,
        }
    }
}
