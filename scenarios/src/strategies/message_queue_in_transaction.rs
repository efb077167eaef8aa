//! The event is published to the broker inside `@Transactional`, as one line more of the method. When
//! the transaction rolls back, the event is out all the same: that is the text's warning.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;

use super::Strategy;
use super::lab::{
    DeliveryCompleted, Events, Job, Lab, Scheduler, Thrown, Unprocessed, inside_a_transaction,
    settings, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "message-queue-in-transaction",
    says: "the event is published to the broker inside the transaction; when that rolls back, the \
           event is out all the same",
    seed: "first text, part 1, way 2: the warning below it",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        // The record waits for the broker, and goes with the transaction when it does not answer.
        "delivery-survives-notification",
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
        if failed.is_none() {
            // Before the commit: from here on it is out, whatever becomes of the record.
            let event = DeliveryCompleted { order: order.order.clone(), tracking_numbers };
            self.events.publish(&event).await?;
        }
        self.lab.commit(unit, &sent).await?;
        failed.map_or(Ok(()), Err)
    }
}
