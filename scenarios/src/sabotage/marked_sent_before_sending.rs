//! A message is marked as sent, and then it is sent.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::state::NoticeState;
use oms_core::store::{Claim, Claimed, NoticeOutcome, NoticeWork, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "marked-sent-before-sending",
    family: Family::OutboxOrder,
    why: "the outbox row is marked as sent first, so that no other worker takes it; whoever then \
          dies or is turned away has lost the message",
    breaks: "books-agree",
    seen_in: &["gateway-down", "crash-around-calls"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), MarksFirst)),
    ..Sabotage::NONE
};

struct MarksFirst;

#[async_trait]
impl Tap for MarksFirst {
    async fn claim_notices(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<NoticeWork>> {
        let now = claim.now;
        let claimed = store.claim_notices(claim).await?;
        for work in claimed.work.iter().filter(|work| work.state == NoticeState::Sending) {
            store.settle_notice(work, NoticeOutcome::Sent { msg_key: None }, now).await?;
        }
        Ok(claimed)
    }
}
