//! Cancelling a booking: a refusal may mean "picked up" or "no such booking", so it is looked into.

use super::{Flow, Step};
use crate::call::Outcome;
use crate::carrier::Tracking;
use crate::store::{ParcelOutcome, ParcelWork};

impl Flow {
    /// `cancelling`: cancels, and on a refusal asks where the parcel is.
    pub(super) async fn call_back(&self, work: ParcelWork) -> Step {
        let Some(intent) = work.intent.clone() else {
            tracing::error!(parcel = %work.key, "cancelling without an intent");
            return Step::Lost;
        };
        if work.rounds >= self.config.carrier.rounds_max {
            let reason = "cancellation not confirmed, however often it was sent".to_owned();
            return self.settle_parcel(&work, ParcelOutcome::Attention { reason }).await;
        }
        let outcome = match self.carrier.cancel(&self.context(&work), &intent).await {
            Outcome::Done(()) => ParcelOutcome::Cancelled,
            Outcome::Refused { .. } | Outcome::Duplicate => {
                let asked = self.carrier.track(&self.context(&work), &intent.invoice_no).await;
                self.after_refused_cancellation(&work, asked)
            }
            // Cancelling again is harmless, so an unknown outcome is tried again like the rest.
            Outcome::NotProcessed { reason, wait, spent } => {
                let (retry_at, tries) = self.next_try(&work, wait, spent);
                ParcelOutcome::PutBack { reason, retry_at, tries }
            }
            Outcome::Unknown { reason, wait } => {
                let (retry_at, tries) = self.next_try(&work, wait, true);
                ParcelOutcome::PutBack { reason, retry_at, tries }
            }
        };
        self.settle_parcel(&work, outcome).await
    }

    fn after_refused_cancellation(
        &self,
        work: &ParcelWork,
        asked: Outcome<Tracking>,
    ) -> ParcelOutcome {
        let reason = match asked {
            // The carrier knows no such booking (any longer): an earlier cancellation was heard.
            Outcome::Done(Tracking::None) => return ParcelOutcome::Cancelled,
            Outcome::Done(tracking @ Tracking::At { .. }) if tracking.picked_up() => {
                return ParcelOutcome::PickedUp;
            }
            Outcome::Done(Tracking::At { .. }) => "cancellation refused, not picked up".to_owned(),
            other => format!("cancellation refused, tracking answered {}", other.name()),
        };
        let (retry_at, tries) = self.next_try(work, None, true);
        ParcelOutcome::PutBack { reason, retry_at, tries }
    }
}
