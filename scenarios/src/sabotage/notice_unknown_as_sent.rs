//! A message that was not answered is written down as sent.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{NoticeOutcome, NoticeWork, Result, Store, Written};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "notice-unknown-as-sent",
    family: Family::TimeOutTakenForFailure,
    why: "messages are fire and forget: an answer that does not come is nothing to worry about",
    breaks: "books-agree",
    seen_in: &["garbage-replies"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), FireAndForget)),
    ..Sabotage::NONE
};

struct FireAndForget;

#[async_trait]
impl Tap for FireAndForget {
    async fn settle_notice(
        &self,
        store: &dyn Store,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let outcome = match outcome {
            NoticeOutcome::Unknown { .. } => NoticeOutcome::Sent { msg_key: None },
            other => other,
        };
        store.settle_notice(work, outcome, now).await
    }
}
