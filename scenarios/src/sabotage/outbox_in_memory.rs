//! The message waits in the memory of the process that booked, and nobody reads the table.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{
    Claim, Claimed, NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork, Result, Store, Tries,
    Written,
};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "outbox-in-memory",
    family: Family::OutboxOrder,
    why: "`@TransactionalEventListener(AFTER_COMMIT)` sends the message: a process that dies \
          between the commit and the event takes the event with it",
    breaks: "everything-settles",
    seen_in: &["crash-between-steps"],
    seams: |env, _| {
        let tap = AfterCommit { events: Mutex::default() };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

/// A row of another process's is left to it for so long.
const LEFT_FOR: Duration = Duration::from_secs(10);

/// Orders whose booking this process committed.
struct AfterCommit {
    events: Mutex<BTreeSet<String>>,
}

impl AfterCommit {
    fn is_mine(&self, order: &str) -> bool {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).contains(order)
    }
}

#[async_trait]
impl Tap for AfterCommit {
    async fn settle_parcel(
        &self,
        store: &dyn Store,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let booked = outcome == ParcelOutcome::Booked;
        let written = store.settle_parcel(work, outcome, now).await?;
        if booked {
            let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            events.insert(work.key.order.clone());
        }
        Ok(written)
    }

    async fn claim_notices(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<NoticeWork>> {
        let now = claim.now;
        let claimed = store.claim_notices(claim).await?;
        let (mine, others): (Vec<_>, Vec<_>) =
            claimed.work.into_iter().partition(|work| self.is_mine(&work.key.order));
        for work in &others {
            let tries = Tries { attempts: work.attempts, rounds: work.rounds };
            let reason = "another process has its event".to_owned();
            let outcome = NoticeOutcome::PutBack { reason, retry_at: now + LEFT_FOR, tries };
            store.settle_notice(work, outcome, now).await?;
        }
        Ok(Claimed { work: mine, next_due: claimed.next_due, taken: claimed.taken })
    }
}
