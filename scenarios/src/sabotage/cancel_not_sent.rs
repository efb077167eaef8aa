//! A cancellation is written down and never sent.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::state::ParcelState;
use oms_core::store::{Claim, Claimed, ParcelOutcome, ParcelWork, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "cancel-not-sent",
    family: Family::CompensationForgotten,
    why: "cancelling sets the status; the call to the carrier was to come with the next release",
    breaks: "books-agree",
    seen_in: &["called-back"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), SetsStatus)),
    ..Sabotage::NONE
};

struct SetsStatus;

#[async_trait]
impl Tap for SetsStatus {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let now = claim.now;
        let mut claimed = store.claim_parcels(claim).await?;
        let is_cancelling = |work: &mut ParcelWork| work.state == ParcelState::Cancelling;
        for work in claimed.work.extract_if(.., is_cancelling) {
            store.settle_parcel(&work, ParcelOutcome::Cancelled, now).await?;
        }
        Ok(claimed)
    }
}
