//! A write that failed is taken for one that was made.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::order::Order;
use oms_core::state::OrderState;
use oms_core::store::{Ingested, Result, Store};

use super::tapped_store::{Tap, TappedStore};
use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "failed-commit-as-done",
    family: Family::TransactionBorder,
    why: "`catch (DataAccessException e) { log.warn(…); }` around the insert, since a repeated \
          order raises one: so every error of the database means \"we have it already\"",
    breaks: "no-lost-order",
    seen_in: &["database-trouble"],
    seams: |env, _| env.store = Arc::new(TappedStore::new(env.store.clone(), Swallows)),
    ..Sabotage::NONE
};

struct Swallows;

#[async_trait]
impl Tap for Swallows {
    async fn ingest(
        &self,
        store: &dyn Store,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        let kept = store.ingest(order, rejection, now).await;
        Ok(kept.unwrap_or(Ingested::Same(OrderState::Accepted)))
    }
}
