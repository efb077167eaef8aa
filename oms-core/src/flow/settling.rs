//! Writing outcomes down, through a database that may be busy or lose its answer.

use super::{Flow, Step};
use crate::env::{Event, Progress};
use crate::store::{
    Error, NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork, Patience, Written, patiently,
};

impl Flow {
    /// Writes a parcel's outcome; `None` when the database did not take it.
    pub(super) async fn write_parcel(
        &self,
        work: &ParcelWork,
        outcome: &ParcelOutcome,
    ) -> Option<Written> {
        self.tell(&Progress::Writes { outcome: outcome.name() });
        // One moment for all tries: a repeated write must be the same write.
        let now = self.now();
        let store = &self.env.store;
        let written = patiently(&*self.env.clock, Patience::Long, || {
            store.settle_parcel(work, outcome.clone(), now)
        })
        .await;
        self.understand(written, || work.key.to_string())
    }

    /// Writes what a step on a parcel came to.
    pub(super) async fn settle_parcel(&self, work: &ParcelWork, outcome: ParcelOutcome) -> Step {
        let step = match outcome {
            ParcelOutcome::PutBack { .. } | ParcelOutcome::Unknown { .. } => Step::PutBack,
            _ => Step::Moved,
        };
        if let ParcelOutcome::Attention { reason } = &outcome {
            let (order, reason) = (work.key.order.clone(), reason.clone());
            self.env.observer.observe(self.now(), Event::Parked { order, reason });
        }
        match self.write_parcel(work, &outcome).await {
            Some(Written::Done) => step,
            Some(Written::Fenced) | None => Step::Lost,
        }
    }

    /// Writes what a step on a notification came to.
    pub(super) async fn settle_notice(&self, work: &NoticeWork, outcome: NoticeOutcome) -> Step {
        let step = match outcome {
            NoticeOutcome::Sent { .. }
            | NoticeOutcome::Refused { .. }
            | NoticeOutcome::GivenUp { .. } => Step::Rested,
            NoticeOutcome::PutBack { .. }
            | NoticeOutcome::Unknown { .. }
            | NoticeOutcome::NotSent { .. } => Step::PutBack,
        };
        self.tell(&Progress::Writes { outcome: outcome.name() });
        let now = self.now();
        let store = &self.env.store;
        let written = patiently(&*self.env.clock, Patience::Long, || {
            store.settle_notice(work, outcome.clone(), now)
        })
        .await;
        match self.understand(written, || work.key.to_string()) {
            Some(Written::Done) => step,
            Some(Written::Fenced) | None => Step::Lost,
        }
    }

    fn understand(
        &self,
        written: Result<Written, Error>,
        what: impl Fn() -> String,
    ) -> Option<Written> {
        match written {
            Ok(Written::Fenced) => {
                tracing::warn!(what = what(), "lease lost; another worker has taken over");
                self.env.observer.observe(self.now(), Event::Fenced { what: what() });
                Some(Written::Fenced)
            }
            Ok(written) => Some(written),
            Err(error) => {
                // The lease runs out, and whoever takes over treats the outcome as unknown.
                tracing::error!(what = what(), %error, "outcome not written");
                None
            }
        }
    }
}
