//! One order is tried until it is through, and all others wait behind it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{
    Claim, Claimed, ParcelKey, ParcelOutcome, ParcelWork, Result, Store, Tries, Written,
};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

/// The loop looks at what it is stuck with again so long after its retry at the latest.
const GONE_AFTER: Duration = Duration::from_secs(60);

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "poison-stops-the-lane",
    family: Family::OneBadOrder,
    why: "`while (!done) { sleep(backoff); retry(); }` inside the loop that takes the orders: the \
          next one is not looked at before this one is through",
    breaks: "one-bad-order-blocks-none",
    seen_in: &["poison-orders"],
    seams: |env, _| {
        env.store =
            Arc::new(TappedStore::new(env.store.clone(), OneByOne { head: Mutex::default() }));
    },
    ..Sabotage::NONE
};

struct OneByOne {
    head: Mutex<Option<Head>>,
}

/// What the loop is stuck with, and when it is tried again.
#[derive(Clone)]
struct Head {
    key: ParcelKey,
    retry_at: Timestamp,
}

#[async_trait]
impl Tap for OneByOne {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let now = claim.now;
        let mut claimed = store.claim_parcels(claim).await?;
        // Another process may have brought it to its end.
        let head = self.head().clone().filter(|head| now < head.retry_at + GONE_AFTER);
        let Some(head) = head else { return Ok(claimed) };
        let taken = std::mem::take(&mut claimed.work);
        let (work, others): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|work| work.key == head.key);
        claimed.work = work;
        let behind = head.retry_at.max(now) + Duration::from_millis(1);
        for other in others {
            let waits = ParcelOutcome::PutBack {
                reason: format!("behind {}", head.key),
                retry_at: behind,
                tries: Tries { attempts: other.attempts, rounds: other.rounds },
            };
            store.settle_parcel(&other, waits, now).await?;
        }
        Ok(claimed)
    }

    async fn settle_parcel(
        &self,
        store: &dyn Store,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.look_at(work, &outcome);
        store.settle_parcel(work, outcome, now).await
    }
}

impl OneByOne {
    /// A spent attempt makes its parcel the head of the lane, anything final gives the lane free.
    fn look_at(&self, work: &ParcelWork, outcome: &ParcelOutcome) {
        let mut head = self.head();
        let is_head = head.as_ref().is_some_and(|head| head.key == work.key);
        match outcome {
            ParcelOutcome::PutBack { retry_at, tries, .. }
            | ParcelOutcome::Unknown { retry_at, tries, .. } => {
                let spent = (tries.attempts, tries.rounds) != (work.attempts, work.rounds);
                if is_head || (head.is_none() && spent) {
                    *head = Some(Head { key: work.key.clone(), retry_at: *retry_at });
                }
            }
            ParcelOutcome::Intended(_) | ParcelOutcome::NotBooked { .. } => {}
            _ if is_head => *head = None,
            _ => {}
        }
    }

    fn head(&self) -> MutexGuard<'_, Option<Head>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
