//! The event of a delivery goes over a message broker: it is published after the commit (by a
//! `@TransactionalEventListener`), and a consumer of its own sends the message, at least once. Until
//! it is published the event is in memory alone.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;

use super::Strategy;
use super::lab::{
    DeliveryCompleted, Events, Job, Lab, Scheduler, Thrown, Unprocessed, inside_a_transaction,
    settings, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "message-queue",
    says: "an event of the delivery is published to a message broker after the commit, and a consumer \
           of its own sends the message, at least once; until then the event is in memory alone",
    seed: "first text, part 1, way 2: message queue",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "everything-settles",
        "no-double-notification",
        "no-double-shipment",
        "no-false-notification",
        "no-io-in-transaction",
        "one-bad-order-blocks-none",
        "quota-kept",
    ],
    queue: true,
    settings,
    start: |setup| {
        let lab = Lab::new(&setup);
        let events = Events::new(&lab, &setup);
        events.start_consumer();
        let service = DeliveryService { lab, events };
        Scheduler::start(setup, vec![("batch", Arc::new(service))])
    },
};

struct DeliveryService {
    lab: Lab,
    events: Events,
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
    /// `@Transactional processDelivery(Order order)`.
    async fn process_delivery(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        let calls = inside_a_transaction();
        let mut unit = self.lab.begin(hands).await?;
        let mut tracking_numbers = self.lab.tracking_numbers(&*unit, &order.order).await?;
        let (mut sent, mut failed) = (Vec::new(), None);
        for parcel in &order.parcels {
            let number = parcel.key.number;
            let response = self.lab.delivery.send_delivery(&calls, &order.order, number).await;
            match response.or_throw(&parcel.key) {
                Ok(response) => {
                    status::mark_delivery(&mut *unit, parcel, &response, self.lab.now());
                    tracking_numbers.push(response.tracking_number());
                    sent.push(parcel);
                }
                Err(exception) => failed = Some(exception),
            }
        }
        self.lab.commit(unit, &sent).await?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        let event = DeliveryCompleted { order: order.order.clone(), tracking_numbers };
        // AFTER_COMMIT.
        if let Err(exception) = self.events.publish(&event).await {
            tracing::warn!(order = order.order.id, %exception, "lost: nobody publishes it again");
        }
        Ok(())
    }
}
