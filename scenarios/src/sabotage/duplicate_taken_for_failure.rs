//! The carrier's "I have it already" is taken for a refusal.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::call::Outcome;
use oms_core::policy::BookingPolicy;
use oms_core::state::ParcelState;
use oms_core::store::{ParcelOutcome, ParcelWork, Result, Store, Written};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "duplicate-taken-for-failure",
    family: Family::Idempotency,
    why: "`RESULT_CD` is not `S`, so it failed: nobody reads `RESULT_DETAIL`, where `ORA-00001` \
          says that an earlier request went through",
    breaks: "books-agree",
    seen_in: &["booking-reply-lost"],
    seams: |env, _| {
        env.policies.booking = Arc::new(ReadsTheCode);
        env.store = Arc::new(TappedStore::new(env.store.clone(), FailsForGood));
    },
    ..Sabotage::NONE
};

const FAILED: &str = "RESULT_CD is E";

struct ReadsTheCode;

impl BookingPolicy for ReadsTheCode {
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        match outcome {
            Outcome::Duplicate => Outcome::Refused { reason: FAILED.to_owned() },
            other => other,
        }
    }
}

/// A resend that "failed" proves to it that nothing was booked.
struct FailsForGood;

#[async_trait]
impl Tap for FailsForGood {
    async fn settle_parcel(
        &self,
        store: &dyn Store,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let outcome = match outcome {
            ParcelOutcome::PutBack { reason, retry_at, .. }
                if work.state == ParcelState::Unknown && reason == FAILED =>
            {
                ParcelOutcome::NotBooked { reason, retry_at }
            }
            other => other,
        };
        store.settle_parcel(work, outcome, now).await
    }
}
