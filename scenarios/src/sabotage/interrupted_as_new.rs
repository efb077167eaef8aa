//! What was being booked when its process died is booked as if it were new.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use oms_core::state::ParcelState;
use oms_core::store::{Claim, Claimed, ParcelOutcome, ParcelWork, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "interrupted-as-new",
    family: Family::LeaseAndFencing,
    why: "`UPDATE … SET status = 'NEW' WHERE status = 'IN_PROGRESS'` on what a dead worker left: \
          the request that it had sent is not thought of",
    breaks: "no-double-shipment",
    seen_in: &["crash-on-the-worst-carrier"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), StartsOver)),
    ..Sabotage::NONE
};

struct StartsOver;

#[async_trait]
impl Tap for StartsOver {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let now = claim.now;
        let mut claimed = store.claim_parcels(claim).await?;
        let left: BTreeSet<String> = claimed.taken.iter().map(|(key, _)| key.clone()).collect();
        let (left, work): (Vec<_>, Vec<_>) =
            std::mem::take(&mut claimed.work).into_iter().partition(|work| {
                work.state == ParcelState::Unknown && left.contains(&work.key.to_string())
            });
        claimed.work = work;
        for work in left {
            let reason = "interrupted, to be done anew".to_owned();
            let anew = ParcelOutcome::NotBooked { reason, retry_at: now };
            store.settle_parcel(&work, anew, now).await?;
            claimed.next_due = Some(now);
        }
        Ok(claimed)
    }
}
