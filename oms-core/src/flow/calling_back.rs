//! Cancelling a booking: a refusal may mean "picked up" or "no such booking", so it is looked into.

use super::{Flow, Step};
use crate::call::Outcome;
use crate::carrier::Tracking;
use crate::env::Hands;
use crate::store::{ParcelOutcome, ParcelWork, Tries};

impl Flow {
    /// `cancelling`: cancels, and on a refusal asks where the parcel is.
    pub(super) async fn call_back(&self, hands: &Hands, work: ParcelWork) -> Step {
        let Some(intent) = work.intent.clone() else {
            tracing::error!(parcel = %work.key, "cancelling without an intent");
            return Step::Lost;
        };
        if work.rounds >= self.config.carrier.rounds_max {
            let reason = "cancellation not confirmed, however often it was sent".to_owned();
            return self.settle_parcel(&work, ParcelOutcome::Attention { reason }).await;
        }
        if let Some(outcome) = self.too_soon(&work) {
            return self.settle_parcel(&work, outcome).await;
        }
        let outcome = match self.carrier.cancel(hands, &self.context(&work), &intent).await {
            Outcome::Done(()) => ParcelOutcome::Cancelled,
            Outcome::Refused { .. } | Outcome::Duplicate => {
                let asked =
                    self.carrier.track(hands, &self.context(&work), &intent.invoice_no).await;
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

    /// A booking request that was given up may still be under way. Arriving after the cancellation
    /// it would book anew, under a key that the carrier has just set free: so it is waited for.
    fn too_soon(&self, work: &ParcelWork) -> Option<ParcelOutcome> {
        let arrived_by = work.sent_until? + self.config.carrier.lateness_max;
        (self.now() < arrived_by).then(|| ParcelOutcome::PutBack {
            reason: "an earlier booking request may still be under way".to_owned(),
            retry_at: arrived_by,
            tries: Tries { attempts: work.attempts, rounds: work.rounds },
        })
    }

    fn after_refused_cancellation(
        &self,
        work: &ParcelWork,
        asked: Outcome<Tracking>,
    ) -> ParcelOutcome {
        let proven_at = work.unknown_since.unwrap_or_else(|| self.now());
        let proven_at = proven_at + self.config.carrier.lateness_max;
        let reason = match asked {
            // The carrier knows no such booking (any longer): an earlier cancellation was heard.
            Outcome::Done(Tracking::None) if self.now() >= proven_at => {
                return ParcelOutcome::Cancelled;
            }
            // Or it was picked up, and tracking does not show it yet.
            Outcome::Done(Tracking::None) => {
                let (retry_at, tries) = self.next_try(work, None, false);
                let retry_at = retry_at.max(proven_at);
                let reason = "cancellation refused, tracking shows nothing yet".to_owned();
                return ParcelOutcome::PutBack { reason, retry_at, tries };
            }
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
