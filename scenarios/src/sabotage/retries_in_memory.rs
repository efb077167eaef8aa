//! What waits to be tried again is known to the process alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{
    Claim, Claimed, NoticeKey, NoticeOutcome, NoticeWork, ParcelKey, ParcelOutcome, ParcelWork,
    Result, Store, Written,
};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

/// Nobody looks at the table by the clock.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "retries-in-memory",
    family: Family::LostWakeUp,
    why: "a retry is a timer in memory (`scheduler.schedule(retry, delay)`), and \"the table is \
          only for reports\": a restart brings the rows back and not the timers",
    breaks: "everything-settles",
    seen_in: &["crash-between-steps"],
    settings: |config| config.service.poll = NEVER,
    seams: |env, _| {
        let tap = Timers { parcels: Timer::default(), notices: Timer::default() };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

/// The timers of one process, by what they are for.
struct Timer<K>(Mutex<BTreeMap<K, Timestamp>>);

impl<K> Default for Timer<K> {
    fn default() -> Timer<K> {
        Timer(Mutex::default())
    }
}

impl<K: Ord + Clone> Timer<K> {
    fn set(&self, key: &K, retry_at: Option<Timestamp>) {
        let mut timers = self.timers();
        match retry_at {
            Some(moment) => timers.insert(key.clone(), moment),
            None => timers.remove(key),
        };
    }

    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.timers().values().copied().filter(|moment| *moment > now).min()
    }

    fn timers(&self) -> MutexGuard<'_, BTreeMap<K, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Timers {
    parcels: Timer<ParcelKey>,
    notices: Timer<NoticeKey>,
}

#[async_trait]
impl Tap for Timers {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let now = claim.now;
        let claimed = store.claim_parcels(claim).await?;
        Ok(Claimed { next_due: self.parcels.next(now), ..claimed })
    }

    async fn settle_parcel(
        &self,
        store: &dyn Store,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let retry_at = match &outcome {
            ParcelOutcome::PutBack { retry_at, .. }
            | ParcelOutcome::Unknown { retry_at, .. }
            | ParcelOutcome::NotBooked { retry_at, .. } => Some(*retry_at),
            _ => None,
        };
        self.parcels.set(&work.key, retry_at);
        store.settle_parcel(work, outcome, now).await
    }

    async fn claim_notices(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<NoticeWork>> {
        let now = claim.now;
        let claimed = store.claim_notices(claim).await?;
        Ok(Claimed { next_due: self.notices.next(now), ..claimed })
    }

    async fn settle_notice(
        &self,
        store: &dyn Store,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let retry_at = match &outcome {
            NoticeOutcome::PutBack { retry_at, .. }
            | NoticeOutcome::Unknown { retry_at, .. }
            | NoticeOutcome::NotSent { retry_at, .. } => Some(*retry_at),
            _ => None,
        };
        self.notices.set(&work.key, retry_at);
        store.settle_notice(work, outcome, now).await
    }
}
