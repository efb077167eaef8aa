//! A message that could not be handed over is given up.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::state::NoticeState;
use oms_core::store::{NoticeOutcome, NoticeWork, Result, Store, Written};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "gives-up-on-refused-connection",
    family: Family::RetryClass,
    why: "only time-outs are on the list of retryable exceptions; `ConnectException` is not",
    breaks: "everything-settles",
    seen_in: &["gateway-down"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), ShortList)),
    ..Sabotage::NONE
};

struct ShortList;

#[async_trait]
impl Tap for ShortList {
    async fn settle_notice(
        &self,
        store: &dyn Store,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let outcome = match outcome {
            NoticeOutcome::PutBack { reason, .. }
                if work.state == NoticeState::Sending && reason.starts_with("not sent") =>
            {
                NoticeOutcome::Refused { reason }
            }
            other => other,
        };
        store.settle_notice(work, outcome, now).await
    }
}
