//! The carrier is called while a transaction is open.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use oms_core::env::{Deadlines, Hands, Transport, TransportError};
use oms_core::store::Store;

use super::{Family, Sabotage, second_pair};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "call-in-transaction",
    family: Family::TransactionBorder,
    why: "`@Transactional` on the method that books: its HTTP call holds a pooled connection for \
          as long as the carrier takes",
    breaks: "no-io-in-transaction",
    seen_in: &["seed-batch"],
    seams: |env, _| {
        let held = HoldsTransaction { inner: env.carrier.clone(), store: env.store.clone() };
        env.carrier = Arc::new(held);
    },
    ..Sabotage::NONE
};

struct HoldsTransaction {
    inner: Arc<dyn Transport>,
    store: Arc<dyn Store>,
}

#[async_trait]
impl Transport for HoldsTransaction {
    async fn call(
        &self,
        hands: &Hands,
        request: Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<Response<Bytes>, TransportError> {
        if !request.uri().path().ends_with("RegBook") {
            return self.inner.call(hands, request, deadlines).await;
        }
        let mut held = second_pair();
        // Without a free connection the method is not even entered.
        let transaction = self
            .store
            .begin(&mut held)
            .await
            .map_err(|error| TransportError::NotSent { reason: error.to_string() })?;
        let response = self.inner.call(hands, request, deadlines).await;
        // It has written nothing of its own: its end is a roll-back of nothing.
        drop(transaction);
        response
    }
}
