//! An order is acknowledged before it is written.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::env::Spawner;
use oms_core::order::Order;
use oms_core::state::OrderState;
use oms_core::store::{Ingested, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "acks-before-commit",
    family: Family::TransactionBorder,
    why: "the endpoint answers at once and writes in the background (`@Async`), to be fast: a \
          crash in between loses the order, and so does a write that fails",
    breaks: "no-lost-order",
    seen_in: &["crash-between-steps"],
    seams: |env, _| {
        let tap = WritesLater { store: env.store.clone(), spawner: env.spawner.clone() };
        env.store = Arc::new(TappedStore::new(env.store.clone(), tap));
    },
    ..Sabotage::NONE
};

struct WritesLater {
    store: Arc<dyn Store>,
    spawner: Arc<dyn Spawner>,
}

#[async_trait]
impl Tap for WritesLater {
    async fn ingest(
        &self,
        _store: &dyn Store,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        let state = match rejection {
            Some(_) => OrderState::Rejected,
            None => OrderState::Accepted,
        };
        let (store, order) = (self.store.clone(), order.clone());
        let write = async move {
            // An error would be a line in a log.
            let _ = store.ingest(&order, rejection, now).await;
        };
        self.spawner.spawn("ingest", Box::pin(write));
        Ok(Ingested::Created(state))
    }
}
