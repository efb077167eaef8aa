//! What is due is read first and claimed afterwards.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::state::ParcelState;
use oms_core::store::{Claim, Claimed, ParcelWork, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

/// From the reading to the claim.
const GAP: Duration = Duration::from_millis(20);

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "reads-before-claim",
    family: Family::StaleRead,
    why: "`SELECT` what is due, then `UPDATE` it by its id, in two transactions: a second reader \
          in the gap takes the same rows",
    breaks: "books-agree",
    seen_in: &["burst-of-300"],
    seams: |env, _| {
        let tap = ReadsFirst { taken: Mutex::default() };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

/// Two claims of one process that follow closely upon each other are two threads of it: the second
/// one reads before the first one has written.
struct ReadsFirst {
    taken: Mutex<Vec<(Timestamp, ParcelWork)>>,
}

#[async_trait]
impl Tap for ReadsFirst {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let now = claim.now;
        let mut stale = self.stale(now, claim.limit);
        let limit = claim.limit - stale.len();
        let mut claimed = store.claim_parcels(Claim { limit, ..claim }).await?;
        let fresh = claimed.work.iter().filter(|work| work.state == ParcelState::Planned);
        self.taken().extend(fresh.map(|work| (now, work.clone())));
        claimed.work.append(&mut stale);
        Ok(claimed)
    }
}

impl ReadsFirst {
    /// What another reader has just taken.
    fn stale(&self, now: Timestamp, limit: usize) -> Vec<ParcelWork> {
        let mut taken = self.taken();
        taken.retain(|(at, _)| now < *at + GAP);
        let read = taken.len().min(limit);
        taken.drain(..read).map(|(_, work)| work).collect()
    }

    fn taken(&self) -> MutexGuard<'_, Vec<(Timestamp, ParcelWork)>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
