//! A message that was not answered is written down as failed.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::state::NoticeState;
use oms_core::store::{NoticeOutcome, NoticeWork, Result, Store, Written};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "notice-unknown-as-failed",
    family: Family::TimeOutTakenForFailure,
    why: "`catch (IOException e) { notice.fail(e); }`: somebody then calls a customer who has \
          read the message long ago",
    breaks: "books-agree",
    seen_in: &["message-reply-lost"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), CatchesAll)),
    ..Sabotage::NONE
};

struct CatchesAll;

#[async_trait]
impl Tap for CatchesAll {
    async fn settle_notice(
        &self,
        store: &dyn Store,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let outcome = match outcome {
            NoticeOutcome::Unknown { reason, .. } if work.state == NoticeState::Sending => {
                NoticeOutcome::Refused { reason }
            }
            other => other,
        };
        store.settle_notice(work, outcome, now).await
    }
}
