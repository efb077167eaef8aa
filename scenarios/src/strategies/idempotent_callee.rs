//! The carrier is trusted to be idempotent: the call is inside the transaction, and on any failure
//! the transaction rolls back and the call is simply made again with the same key, the order's id.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::store::ParcelWork;

use super::Strategy;
use super::lab::{Job, Lab, Scheduler, Thrown, inside_a_transaction, settings, status};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "idempotent-callee",
    says: "the carrier is trusted to be idempotent: on any failure the transaction rolls back, and \
           the call is made again with the same key",
    seed: "second text, \"what if the side that is called is idempotent?\"",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "everything-settles",
        "no-double-shipment",
        "no-false-notification",
        "no-io-in-transaction",
        "one-bad-order-blocks-none",
        "quota-kept",
    ],
    queue: false,
    settings,
    start: |setup| {
        let service = DeliveryService { lab: Lab::new(&setup) };
        Scheduler::start(setup, vec![("batch", Arc::new(service))])
    },
};

struct DeliveryService {
    lab: Lab,
}

#[async_trait]
impl Job for DeliveryService {
    async fn run(&self, hands: &mut Hands) {
        for order in self.lab.unprocessed().await {
            if let Err(exception) = self.process_order(hands, &order.parcels).await {
                self.lab.leave(&order, &exception).await;
                continue;
            }
            if let Err(exception) = self.lab.send_alimtalk(hands, &order.order).await {
                tracing::warn!(order = order.order.id, %exception, "the message is lost");
            }
        }
    }
}

impl DeliveryService {
    async fn process_order(&self, hands: &mut Hands, parcels: &[ParcelWork]) -> Thrown {
        for parcel in parcels {
            self.process_delivery(hands, parcel).await?;
        }
        Ok(())
    }

    /// `@Transactional`. The key by which the carrier is to know the call again is made of the order
    /// (`CUST_USE_NO`); the tracking number is a new one each time, for the last one was rolled back.
    async fn process_delivery(&self, hands: &mut Hands, parcel: &ParcelWork) -> Thrown {
        let (calls, number) = (inside_a_transaction(), parcel.key.number);
        let mut unit = self.lab.begin(hands).await?;
        let response = self.lab.delivery.send_delivery(&calls, &parcel.order, number).await;
        let response = response.or_throw(&parcel.key)?;
        status::mark_delivery(&mut *unit, parcel, &response, self.lab.now());
        self.lab.commit(unit, &[parcel]).await
    }
}
