//! The batch loop is one transaction, with the calls inside; any error leaves the loop, and all is
//! rolled back. The database rolls back, the carrier does not.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;

use super::Strategy;
use super::lab::{
    Job, Lab, Scheduler, Thrown, Unprocessed, inside_a_transaction, settings_before, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "single-transaction",
    says: "the batch loop is one transaction, with the calls inside, and any error leaves the loop; \
           the database rolls back, and the carrier does not",
    seed: "first text, the business code before",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "delivery-survives-notification",
        "everything-settles",
        "no-double-notification",
        "no-double-shipment",
        "no-false-notification",
        "no-io-in-transaction",
        "one-bad-order-blocks-none",
        "quota-kept",
    ],
    queue: false,
    settings: settings_before,
    start: |setup| {
        let service = DeliveryService { lab: Lab::before(&setup) };
        Scheduler::start(setup, vec![("batch", Arc::new(service))])
    },
};

struct DeliveryService {
    lab: Lab,
}

#[async_trait]
impl Job for DeliveryService {
    async fn run(&self, hands: &mut Hands) {
        let orders = self.lab.unprocessed().await;
        if orders.is_empty() {
            return;
        }
        if let Err(exception) = self.send_delivery_info(hands, &orders).await {
            for order in &orders {
                self.lab.leave(order, &exception).await;
            }
        }
    }
}

impl DeliveryService {
    /// `@Transactional sendDeliveryInfo(List<Order> orders)`.
    async fn send_delivery_info(&self, hands: &mut Hands, orders: &[Unprocessed]) -> Thrown {
        let Lab { delivery, alimtalk, .. } = &self.lab;
        let calls = inside_a_transaction();
        let mut unit = self.lab.begin(hands).await?;
        for Unprocessed { order, parcels } in orders {
            let mut tracking_numbers = Vec::new();
            for parcel in parcels {
                // 1. The call to the carrier.
                let response = delivery.send_delivery(&calls, order, parcel.key.number).await;
                let response = response.or_throw(&parcel.key)?;
                // 2. The order's status.
                status::mark_delivery(&mut *unit, parcel, &response, self.lab.now());
                tracking_numbers.push(response.tracking_number());
            }
            // 3. The message: what if an exception is thrown here?
            let msg_key = alimtalk.send(&calls, order, tracking_numbers).await?;
            status::mark_as_completed(&mut *unit, &order.id, msg_key, self.lab.now());
        }
        let parcels: Vec<_> = orders.iter().flat_map(|order| &order.parcels).collect();
        self.lab.commit(unit, &parcels).await
    }
}
