//! The coordinator has a transaction too, and the delivery's status is set in one of its own inside
//! it (`REQUIRES_NEW`), on a second connection. When the message fails the parent rolls back, and
//! the child stays.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;

use super::Strategy;
use super::lab::{
    Job, Lab, Scheduler, Thrown, Unprocessed, inside_a_transaction, settings, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "requires-new-in-outer-transaction",
    says: "the coordinator has a transaction too, and the delivery's status is set in one of its own \
           inside it (REQUIRES_NEW), on a second connection; when the message fails the parent rolls \
           back, and the child stays",
    seed: "first text, part 1, way 1: the warning in its table",
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
    /// `@Transactional processOrder(Order order)`.
    async fn process_order(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        let Unprocessed { order, parcels } = order;
        let mut others = inside_a_transaction();
        let mut parent = self.lab.begin(hands).await?;
        let mut tracking_numbers = Vec::new();
        for parcel in parcels {
            let result = self.lab.delivery.send_delivery(&others, order, parcel.key.number).await;
            // A second connection, while the first one waits.
            self.lab.update_delivery_status(&mut others, parcel, &result).await?;
            tracking_numbers.push(result.or_throw(&parcel.key)?.tracking_number());
        }
        // An exception here rolls the parent back; what the children wrote is committed.
        let msg_key = self.lab.alimtalk.send(&others, order, tracking_numbers).await?;
        status::mark_as_completed(&mut *parent, &order.id, msg_key, self.lab.now());
        self.lab.commit(parent, &[]).await
    }
}
