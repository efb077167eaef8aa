//! `DeliveryCompletedEvent` on a message broker, and the consumer that sends the message.

use std::sync::Arc;
use std::time::Duration;

use oms_core::env::Hands;
use oms_core::order::Order;
use oms_core::state::ParcelState;
use oms_core::store::UnitOfWork;
use serde::{Deserialize, Serialize};

use super::{Exception, Lab, Thrown, hands_of_a_task, inside_a_transaction, status};
use crate::queue::{Consumer, Delivery, Message, Queue};
use crate::strategies::Setup;

const TOPIC: &str = "delivery-completed";

/// The message service, whichever process it runs in.
const ALIMTALK: Consumer = Consumer {
    name: "alimtalk",
    topic: TOPIC,
    ack_wait: Duration::from_secs(30),
    deliveries_max: 5,
};

/// So long a question for the next event stays open.
const WAIT: Duration = Duration::from_secs(30);
/// A consumer that could not handle an event, or did not reach its broker, waits so long.
const PAUSE: Duration = Duration::from_secs(5);

/// `DeliveryCompletedEvent(orderId, trackingNumber)`. The message needs the customer too, and the
/// service that sends it may have no other way to them: so the event carries the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::strategies) struct DeliveryCompleted {
    /// The order.
    pub(in crate::strategies) order: Order,
    /// The tracking numbers of its parcels.
    pub(in crate::strategies) tracking_numbers: Vec<String>,
}

/// The way of such events to their consumer and back.
#[derive(Clone)]
pub(in crate::strategies) struct Events {
    lab: Lab,
    queue: Arc<dyn Queue>,
}

impl Events {
    /// Over the broker of `setup`.
    pub(in crate::strategies) fn new(lab: &Lab, setup: &Setup) -> Events {
        Events { lab: lab.clone(), queue: setup.queue.clone() }
    }

    /// `rabbitTemplate.convertAndSend(event)`, and waits for the broker to say that it has it.
    pub(in crate::strategies) async fn publish(&self, event: &DeliveryCompleted) -> Thrown {
        // An order and texts: nothing that JSON cannot say.
        let body = serde_json::to_string(event).expect("an event is plain JSON");
        let id = format!("{}:{}", event.order.id, event.tracking_numbers.join("+"));
        Ok(self.queue.publish(Message { topic: TOPIC, id, body }).await?)
    }

    /// Starts the consumer, which runs until its process ends.
    pub(in crate::strategies) fn start_consumer(&self) {
        let events = self.clone();
        let consumer = async move {
            let mut hands = hands_of_a_task();
            loop {
                events.consume_next(&mut hands).await;
            }
        };
        self.lab.env.spawner.spawn("alimtalk-consumer", Box::pin(consumer));
    }

    async fn consume_next(&self, hands: &mut Hands) {
        let delivery = match self.queue.receive(&ALIMTALK, WAIT).await {
            Ok(None) => return,
            Ok(Some(delivery)) => delivery,
            Err(error) => {
                tracing::warn!(%error, "no event received");
                return self.lab.env.clock.sleep(PAUSE).await;
            }
        };
        // Whether the broker heard of it shows when the event comes again, or does not.
        let _ = match self.on_delivery_completed(hands, &delivery).await {
            Ok(()) => self.queue.ack(&ALIMTALK, &delivery).await,
            Err(exception) => {
                tracing::warn!(event = delivery.message.id, %exception, "to be delivered again");
                self.queue.nack(&ALIMTALK, &delivery, PAUSE).await
            }
        };
    }

    /// `@Transactional onDeliveryCompleted(event)`: as the listener of the text has it, it does not
    /// ask whether it has seen the event before.
    async fn on_delivery_completed(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown {
        let event: DeliveryCompleted =
            serde_json::from_str(&delivery.message.body).expect("we wrote it");
        let id = &event.order.id;
        let mut unit = self.lab.begin(hands).await?;
        let found = unit.order(id).await?;
        found.ok_or_else(|| Exception::NoSuchElement(id.clone()))?;
        let numbers = event.tracking_numbers;
        let sent = self.lab.alimtalk.send(&inside_a_transaction(), &event.order, numbers).await;
        let now = self.lab.now();
        match sent {
            Ok(msg_key) => status::mark_as_completed(&mut *unit, id, msg_key, now),
            Err(exception) => {
                status::mark_as_alimtalk_failed(&mut *unit, id, exception.to_string(), now);
            }
        }
        self.lab.commit(unit, &[]).await
    }
}

impl Lab {
    /// The tracking numbers of those of the order's parcels that were sent before.
    pub(in crate::strategies) async fn tracking_numbers(
        &self,
        unit: &dyn UnitOfWork,
        order: &Order,
    ) -> Thrown<Vec<String>> {
        let found = unit.order(&order.id).await?;
        let parcels = found.map(|order| order.parcels).unwrap_or_default();
        let sent = parcels.into_iter().filter(|parcel| parcel.state == ParcelState::Booked);
        Ok(sent.filter_map(|parcel| parcel.invoice_no).collect())
    }
}
