//! A time-out is written down as a success.

use std::sync::Arc;

use oms_core::call::Outcome;
use oms_core::policy::BookingPolicy;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "unknown-as-booked",
    family: Family::TimeOutTakenForFailure,
    why: "a time-out is taken for a success, since \"it usually went through\"",
    breaks: "books-agree",
    seen_in: &["garbage-replies"],
    seams: |env, _| env.policies.booking = Arc::new(Optimist),
    ..Sabotage::NONE
};

struct Optimist;

impl BookingPolicy for Optimist {
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Outcome::Unknown { .. } => Outcome::Done(()),
            other => other,
        }
    }
}
