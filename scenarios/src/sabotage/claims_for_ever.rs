//! Work that was claimed is nobody else's, ever.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oms_core::store::{Claim, Claimed, NoticeWork, ParcelWork, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "claims-for-ever",
    family: Family::LostWakeUp,
    why: "`UPDATE … SET status = 'IN_PROGRESS'`, and no column says until when: what a process \
          had in hand when it died stays in progress",
    breaks: "everything-settles",
    seen_in: &["crash-around-calls"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), Keeps)),
    ..Sabotage::NONE
};

struct Keeps;

fn for_ever(claim: Claim) -> Claim {
    Claim { until: claim.now + FOR_EVER, ..claim }
}

#[async_trait]
impl Tap for Keeps {
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        store.claim_parcels(for_ever(claim)).await
    }

    async fn claim_notices(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<NoticeWork>> {
        store.claim_notices(for_ever(claim)).await
    }
}
