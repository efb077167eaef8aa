//! The log of what became of messages: polled, written, and only then acknowledged.

use clockwork::Timestamp;

use super::Flow;
use crate::call::{Context, Outcome, Tenure};
use crate::env::{Hands, Progress};

impl Flow {
    /// Polls one batch of delivery reports. True when there may be more.
    ///
    /// The batch is acknowledged after its commit: a crash in between brings it again, and writing
    /// it again changes nothing.
    pub async fn poll_reports(&self, hands: &Hands) -> bool {
        let now = self.now();
        let since = now - self.config.messenger.report_patience;
        if !self.env.store.awaits_reports(since).await.unwrap_or(false) {
            return false;
        }
        let (step, what) = ("poll-reports", &"reports");
        self.tell(&Progress::Begun { step, about: "", what, attempt: 1, rounds: 0 });
        let more = self.poll_one_batch(hands, now).await;
        self.tell(&Progress::Ended { came_to: if more { "moved" } else { "rested" } });
        more
    }

    async fn poll_one_batch(&self, hands: &Hands, now: Timestamp) -> bool {
        let context = Context {
            key: "reports".to_owned(),
            tenure: Tenure::until(now + self.config.messenger.calls.deadline * 2),
        };
        let Outcome::Done(Some(batch)) = self.messenger.poll_reports(hands, &context).await else {
            return false;
        };
        if let Err(error) = self.env.store.record_reports(batch.reports, self.now()).await {
            tracing::warn!(%error, "delivery reports not written; they will come again");
            return false;
        }
        matches!(
            self.messenger.acknowledge(hands, &context, &batch.report_id).await,
            Outcome::Done(())
        )
    }
}
