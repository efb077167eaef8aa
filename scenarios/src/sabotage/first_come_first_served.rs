//! Orders are worked on by age alone: whoever pours in a thousand is served a thousand times first.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::order::Order;
use oms_core::store::{Ingested, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "first-come-first-served",
    family: Family::Fairness,
    why: "`ORDER BY created_at LIMIT n`: the queue knows orders and no sellers, for when it was \
          written there was one",
    breaks: "everything-settles",
    seen_in: &["fairness"],
    seams: |env, _| {
        env.store = Arc::new(TappedStore::new(env.store.clone(), NoSellers));
    },
    ..Sabotage::NONE
};

struct NoSellers;

#[async_trait]
impl Tap for NoSellers {
    async fn ingest(
        &self,
        store: &dyn Store,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        let mut of_nobody = order.clone();
        of_nobody.seller = None;
        store.ingest(&of_nobody, rejection, now).await
    }
}
