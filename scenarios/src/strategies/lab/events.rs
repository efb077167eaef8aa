//! `DeliveryCompletedEvent` on a message broker, and the consumer that sends the message.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::order::Order;
use oms_core::state::ParcelState;
use oms_core::store::UnitOfWork;
use serde::{Deserialize, Serialize};

use super::listener::{Exchange, Listener, consumer, event};
use super::{Exception, Lab, Thrown, inside_a_transaction, status};
use crate::queue::Delivery;
use crate::strategies::Setup;

const TOPIC: &str = "delivery-completed";

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
    exchange: Exchange,
}

impl Events {
    /// Over the broker of `setup`.
    pub(in crate::strategies) fn new(lab: &Lab, setup: &Setup) -> Events {
        Events { lab: lab.clone(), exchange: Exchange::new(lab, setup) }
    }

    /// Publishes one.
    pub(in crate::strategies) async fn publish(&self, event: &DeliveryCompleted) -> Thrown {
        let id = format!("{}:{}", event.order.id, event.tracking_numbers.join("+"));
        self.exchange.publish(TOPIC, id, event).await
    }

    /// Starts the message service, whichever process it runs in.
    pub(in crate::strategies) fn start_consumer(&self) {
        self.exchange.listen(consumer("alimtalk", TOPIC), Arc::new(self.clone()));
    }
}

#[async_trait]
impl Listener for Events {
    /// `@Transactional onDeliveryCompleted(event)`: as the listener of the text has it, it does not
    /// ask whether it has seen the event before.
    async fn on(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown {
        let event: DeliveryCompleted = event(delivery);
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
