//! A node's way to the real broker, on which the plan's faults happen: the same by name and by
//! meaning as at the simulated one (`sim/broker.rs`). What hits what is said by the runner's desk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Clock;
use faults::{Fault, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::desk::{Again, Letter, Operation, Restart};
use super::front::plain_client;
use super::jetstream::{JetStream, Place};
use crate::queue::{ANSWER_WAIT, Consumer, Delivery, Error, Message, Queue};

/// The variable by which a node is told its way to the broker.
pub(crate) const VARIABLE: &str = "DRILL_QUEUE";

/// A node's way to the broker, as it is handed to its process.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Way {
    /// Where the stream is.
    pub(crate) place: Place,
    /// Where the runner's desk is.
    pub(crate) desk: String,
}

/// That way.
pub(crate) struct Disturbed {
    broker: JetStream,
    clock: Arc<dyn Clock>,
    desk: String,
    client: reqwest::Client,
}

impl Disturbed {
    /// The way as it was handed over.
    pub(crate) fn new(way: Way, clock: Arc<dyn Clock>) -> Disturbed {
        let broker = JetStream::new(way.place, clock.clone());
        Disturbed { broker, clock, desk: way.desk, client: plain_client() }
    }

    /// Asks the desk. When it does not answer, the run is over and nothing is to happen any more.
    async fn ask<T: DeserializeOwned + Default>(&self, path: &str, what: &impl Serialize) -> T {
        let asked = self.client.post(format!("{}{path}", self.desk)).json(what).send().await;
        match asked {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the runner's desk");
                T::default()
            }
        }
    }

    async fn fault(
        &self,
        operation: &str,
        id: &str,
        of: Option<(&Consumer, &Delivery)>,
    ) -> Option<Fault> {
        let (operation, id) = (operation.to_owned(), id.to_owned());
        let consumer = of.map(|(consumer, _)| consumer.name.to_owned()).unwrap_or_default();
        let letter = of.map(|(_, delivery)| letter(delivery));
        self.ask("/operation", &Operation { operation, id, consumer, letter }).await
    }

    /// The broker goes down when the fault says so.
    async fn go_down(&self, fault: &Fault) {
        if fault.kind == Kind::BrokerRestart {
            let by = fault.by.unwrap_or_default();
            self.ask("/restart", &Restart { by }).await
        }
    }

    /// What is to be delivered once more, or comes from the broker within `wait`.
    async fn next(&self, consumer: &Consumer, wait: Duration) -> Result<Option<Delivery>, Error> {
        let until = self.clock.now() + wait;
        loop {
            let again: Again = self.ask("/again", &consumer.name).await;
            if let Some(letter) = again.letter {
                return Ok(Some(delivery(consumer, letter)));
            }
            let left = until.since(self.clock.now());
            let wait = again.next.map_or(left, |next| next.min(left));
            let came = self.broker.receive(consumer, wait).await?;
            if came.is_some() || wait == left {
                return Ok(came);
            }
        }
    }
}

fn letter(delivery: &Delivery) -> Letter {
    let Delivery { sequence, attempt, receipt, message } = delivery.clone();
    Letter { sequence, attempt, receipt, id: message.id, body: message.body }
}

fn delivery(consumer: &Consumer, letter: Letter) -> Delivery {
    let Letter { sequence, attempt, receipt, id, body } = letter;
    Delivery { sequence, attempt, receipt, message: Message { topic: consumer.topic, id, body } }
}

/// Whether what a fault hits is done all the same.
fn is_done(fault: &Fault) -> bool {
    fault.processed == Some(true)
}

#[async_trait]
impl Queue for Disturbed {
    async fn publish(&self, message: Message) -> Result<(), Error> {
        let gives_up_at = self.clock.now() + ANSWER_WAIT;
        let Some(fault) = self.fault("publish", &message.id, None).await else {
            return self.broker.publish(message).await;
        };
        if is_done(&fault) {
            // Its answer is what is lost.
            let _ = self.broker.publish(message).await;
        }
        self.go_down(&fault).await;
        self.clock.sleep_until(gives_up_at).await;
        Err(Error::NoAnswer)
    }

    async fn receive(
        &self,
        consumer: &Consumer,
        wait: Duration,
    ) -> Result<Option<Delivery>, Error> {
        let Some(delivery) = self.next(consumer, wait).await? else { return Ok(None) };
        let fault = self.fault("deliver", &delivery.message.id, Some((consumer, &delivery))).await;
        match fault.filter(|fault| fault.kind == Kind::BrokerRestart) {
            Some(fault) => {
                self.go_down(&fault).await;
                Ok(None)
            }
            None => Ok(Some(delivery)),
        }
    }

    async fn ack(&self, consumer: &Consumer, delivery: &Delivery) -> Result<(), Error> {
        let fault = self.fault("ack", &delivery.message.id, Some((consumer, delivery))).await;
        let Some(fault) = fault else { return self.broker.ack(consumer, delivery).await };
        if is_done(&fault) {
            // As with every acknowledgement, nobody hears whether it arrived.
            let _ = self.broker.ack(consumer, delivery).await;
        }
        self.go_down(&fault).await;
        Ok(())
    }

    async fn nack(
        &self,
        consumer: &Consumer,
        delivery: &Delivery,
        after: Duration,
    ) -> Result<(), Error> {
        let fault = self.fault("nack", &delivery.message.id, Some((consumer, delivery))).await;
        let Some(fault) = fault else { return self.broker.nack(consumer, delivery, after).await };
        if is_done(&fault) {
            let _ = self.broker.nack(consumer, delivery, after).await;
        }
        self.go_down(&fault).await;
        Ok(())
    }
}
