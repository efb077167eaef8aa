//! `@RabbitListener`: a consumer that hands each message to a method, one after the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oms_core::env::Hands;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Lab, Thrown, hands_of_a_task};
use crate::queue::{Consumer, Delivery, Message, Queue};
use crate::strategies::Setup;

/// So long a question for the next message stays open.
const WAIT: Duration = Duration::from_secs(30);
/// A consumer that could not handle a message, or did not reach its broker, waits so long.
const PAUSE: Duration = Duration::from_secs(5);

/// A durable consumer as the strategies have them, whichever process it runs in.
pub(in crate::strategies) const fn consumer(name: &'static str, topic: &'static str) -> Consumer {
    Consumer { name, topic, ack_wait: Duration::from_secs(30), backoff: &[], deliveries_max: 5 }
}

/// What is done with a message.
#[async_trait]
pub(in crate::strategies) trait Listener: Send + Sync {
    /// Handles one delivery of it. After an exception it is delivered again.
    async fn on(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown;
}

/// The broker of a process: what is said and heard over it. Cheap to clone.
#[derive(Clone)]
pub(in crate::strategies) struct Exchange {
    lab: Lab,
    queue: Arc<dyn Queue>,
}

impl Exchange {
    /// Over the broker of `setup`.
    pub(in crate::strategies) fn new(lab: &Lab, setup: &Setup) -> Exchange {
        Exchange { lab: lab.clone(), queue: setup.queue.clone() }
    }

    /// `rabbitTemplate.convertAndSend(event)`, and waits for the broker to say that it has it.
    pub(in crate::strategies) async fn publish(
        &self,
        topic: &'static str,
        id: String,
        event: &(impl Serialize + Sync),
    ) -> Thrown {
        // Orders, numbers and texts: nothing that JSON cannot say.
        let body = serde_json::to_string(event).expect("an event is plain JSON");
        Ok(self.queue.publish(Message { topic, id, body }).await?)
    }

    /// Hands what comes for `consumer` to `listener`, until the process ends.
    pub(in crate::strategies) fn listen(&self, consumer: Consumer, listener: Arc<dyn Listener>) {
        let (exchange, name) = (self.clone(), consumer.name);
        let listens = async move {
            let mut hands = hands_of_a_task();
            loop {
                exchange.next(&consumer, &*listener, &mut hands).await;
            }
        };
        self.lab.env.spawner.spawn(name, Box::pin(listens));
    }

    async fn next(&self, consumer: &Consumer, listener: &dyn Listener, hands: &mut Hands) {
        let delivery = match self.queue.receive(consumer, WAIT).await {
            Ok(None) => return,
            Ok(Some(delivery)) => delivery,
            Err(error) => {
                tracing::warn!(%error, "no event received");
                return self.lab.env.clock.sleep(PAUSE).await;
            }
        };
        // Whether the broker heard of it shows when the event comes again, or does not.
        let _ = match listener.on(hands, &delivery).await {
            Ok(()) => self.queue.ack(consumer, &delivery).await,
            Err(exception) => {
                tracing::warn!(event = delivery.message.id, %exception, "to be delivered again");
                self.queue.nack(consumer, &delivery, PAUSE).await
            }
        };
    }
}

/// The event that a delivery carries.
pub(in crate::strategies) fn event<T: DeserializeOwned>(delivery: &Delivery) -> T {
    serde_json::from_str(&delivery.message.body).expect("we wrote it")
}
