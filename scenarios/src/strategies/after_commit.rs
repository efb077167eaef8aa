//! The delivery's status is set in a transaction, and the message is registered with it, to be sent
//! after its commit (`TransactionSynchronization.afterCommit`). The order is detached by then, so it
//! is read again in a new transaction.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::order::Order;

use super::Strategy;
use super::lab::{Job, Lab, Scheduler, Thrown, Unprocessed, settings, status};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "after-commit",
    says: "the delivery's status is set in a transaction, and the message is registered to be sent \
           after its commit; the order is detached by then, and read again in a new transaction",
    seed: "first text, part 1, way 1: afterCommit",
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
    async fn process_order(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        let mut results = Vec::new();
        for parcel in &order.parcels {
            let number = parcel.key.number;
            let result = self.lab.delivery.send_delivery(hands, &order.order, number).await;
            let is_success = result.is_success();
            results.push((parcel, result));
            if !is_success {
                break;
            }
        }
        // What is to be done after the commit; it lives in this process's memory.
        let mut synchronizations: Vec<&Order> = Vec::new();
        let mut unit = self.lab.begin(hands).await?;
        for (parcel, result) in &results {
            status::mark_delivery(&mut *unit, parcel, result, self.lab.now());
        }
        if results.iter().all(|(_, result)| result.is_success()) {
            synchronizations.push(&order.order);
        }
        let parcels: Vec<_> = results.iter().map(|(parcel, _)| *parcel).collect();
        self.lab.commit(unit, &parcels).await?;
        for order in synchronizations {
            self.lab.send_alimtalk(hands, order).await?;
        }
        Ok(())
    }
}
