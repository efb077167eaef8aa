//! The carrier is called and the delivery's status set in one transaction, which publishes an event;
//! a listener sends the message after the commit, on another thread
//! (`@Async @TransactionalEventListener(AFTER_COMMIT)`). The event is only in memory.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::order::Order;

use super::Strategy;
use super::lab::{
    Exception, Job, Lab, Scheduler, Thrown, Unprocessed, hands_of_a_task, inside_a_transaction,
    settings, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "event-listener",
    says: "the carrier is called and the delivery's status set in one transaction, which publishes an \
           event; a listener sends the message after the commit, on another thread",
    seed: "first text, part 1, way 2: @TransactionalEventListener",
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

/// `DeliveryCompletedEvent`.
struct DeliveryCompleted {
    order: Order,
}

struct DeliveryService {
    lab: Lab,
}

#[async_trait]
impl Job for DeliveryService {
    async fn run(&self, hands: &mut Hands) {
        for order in self.lab.unprocessed().await {
            if let Err(exception) = self.process_delivery(hands, &order).await {
                self.lab.leave(&order, &exception).await;
            }
        }
    }
}

impl DeliveryService {
    /// `@Transactional processDelivery(Order order)`: of a failure it writes nothing, so the next
    /// batch finds the order again.
    async fn process_delivery(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        let calls = inside_a_transaction();
        let mut unit = self.lab.begin(hands).await?;
        let (mut sent, mut failed) = (Vec::new(), None);
        for parcel in &order.parcels {
            let number = parcel.key.number;
            let response = self.lab.delivery.send_delivery(&calls, &order.order, number).await;
            match response.or_throw(&parcel.key) {
                Ok(response) => {
                    status::mark_delivery(&mut *unit, parcel, &response, self.lab.now());
                    sent.push(parcel);
                }
                Err(exception) => failed = Some(exception),
            }
        }
        // Published in the transaction, handled after its commit.
        let event = DeliveryCompleted { order: order.order.clone() };
        self.lab.commit(unit, &sent).await?;
        match failed {
            None => {
                self.on_delivery_completed(event);
                Ok(())
            }
            Some(failed) => Err(failed),
        }
    }

    /// `@Async onDeliveryCompleted(DeliveryCompletedEvent event)`: a task of its own.
    fn on_delivery_completed(&self, event: DeliveryCompleted) {
        let lab = self.lab.clone();
        let handler = async move {
            let mut hands = hands_of_a_task();
            if let Err(exception) = lab.send_alimtalk(&mut hands, &event.order).await {
                let exception: Exception = exception;
                tracing::warn!(order = event.order.id, %exception, "lost: nobody handles it again");
            }
        };
        self.lab.env.spawner.spawn("alimtalk", Box::pin(handler));
    }
}
