//! A coordinator calls the carrier outside any transaction, and each status is set in a transaction
//! of its own (`REQUIRES_NEW`), so that a failed message leaves the delivery's record alone. The
//! message is sent inside the last of these transactions, as the text's code has it.
//!
//! The text's coordinator sends the message whatever the carrier said; its diagram says not to after
//! a failure, and that is what is done here.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::store::ParcelWork;

use super::Strategy;
use super::lab::{DeliveryResult, Job, Lab, Scheduler, Thrown, Unprocessed, settings, status};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "requires-new",
    says: "a coordinator calls the carrier outside any transaction, and each status is set in a \
           transaction of its own (REQUIRES_NEW); the message is sent inside the last of them",
    seed: "first text, part 1, way 1",
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
        let coordinator = OrderProcessCoordinator { lab: Lab::new(&setup) };
        Scheduler::start(setup, vec![("batch", Arc::new(coordinator))])
    },
};

struct OrderProcessCoordinator {
    lab: Lab,
}

#[async_trait]
impl Job for OrderProcessCoordinator {
    async fn run(&self, hands: &mut Hands) {
        for order in self.lab.unprocessed().await {
            if let Err(exception) = self.process_order(hands, &order).await {
                self.lab.leave(&order, &exception).await;
            }
        }
    }
}

impl OrderProcessCoordinator {
    /// `processOrder(Order order)`.
    async fn process_order(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        for parcel in &order.parcels {
            // 1. The call to the carrier (no transaction).
            let number = parcel.key.number;
            let result = self.lab.delivery.send_delivery(hands, &order.order, number).await;
            // 2. The order's status (a transaction of its own).
            self.lab.update_delivery_status(hands, parcel, &result).await?;
            if !result.is_success() {
                return Ok(());
            }
        }
        // 3. The message (a transaction of its own).
        self.lab.send_alimtalk(hands, &order.order).await
    }
}

impl Lab {
    /// `updateDeliveryStatus(orderId, result)`, `REQUIRES_NEW`.
    pub(super) async fn update_delivery_status(
        &self,
        hands: &mut Hands,
        parcel: &ParcelWork,
        result: &DeliveryResult,
    ) -> Thrown {
        let mut unit = self.begin(hands).await?;
        status::mark_delivery(&mut *unit, parcel, result, self.now());
        self.commit(unit, &[parcel]).await
    }
}
