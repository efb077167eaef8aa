//! A worker that lost its lease goes on as if it had it.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::store::{Claim, Claimed, ParcelOutcome, ParcelWork, Result, Store, Written};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "lease-ignored",
    family: Family::LeaseAndFencing,
    why: "nobody looks at the lease's end before a call, and when `UPDATE … WHERE token = ?` \
          touches no row, nobody looks at the count",
    breaks: "no-double-shipment",
    seen_in: &["sleeps-through-lease"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), LooksAway)),
    ..Sabotage::NONE
};

struct LooksAway;

#[async_trait]
impl Tap for LooksAway {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let mut claimed = store.claim_parcels(claim).await?;
        for work in &mut claimed.work {
            work.lease.until = Timestamp::MAX;
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
        store.settle_parcel(work, outcome, now).await?;
        Ok(Written::Done)
    }
}
