//! A message queue, as strategies see it: durable messages, durable consumers, at least once.
//!
//! It belongs to the lab: the recommended flow needs no broker. The seam asks of a broker what
//! NATS JetStream has: a publish that is acknowledged, with an id by which a repeated one is known
//! again for a time; a durable consumer that asks for messages and acknowledges each; redelivery
//! after a deadline, with back-off; an end to redelivery. RabbitMQ and SQS have the same. In a
//! simulation the broker is a model (`sim/broker.rs`), live it is JetStream itself
//! (`live/jetstream.rs`); one suite of tests (`queue/conformance.rs`) holds both.

use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use faults::FaultHit;
use serde::{Deserialize, Serialize};

/// The operations, as faults name them.
pub const OPERATIONS: &[&str] = &["publish", "deliver", "ack", "nack"];

/// The topic on which orders are handed over to whoever books them; an id is the order's.
pub const ORDER_ACCEPTED: &str = "order-accepted";

/// The topic on which those answer; for the ids see [`answer_id`].
pub const DELIVERY_ANSWERED: &str = "delivery-answered";

/// The id of an answer about `order`, which was handed over for the `attempt`-th time: it says which
/// parcels are booked.
pub fn answer_id(order: &str, attempt: u32, booked: impl Iterator<Item = u32>) -> String {
    let booked: Vec<String> = booked.map(|number| number.to_string()).collect();
    format!("{order}#{attempt}:{}", booked.join("+"))
}

/// Whether the answer of this id says that the parcel `number` of `order` is booked.
fn says_booked(id: &str, order: &str, number: u32) -> bool {
    let Some((of, (_, booked))) =
        id.rsplit_once('#').and_then(|(of, rest)| Some((of, rest.split_once(':')?)))
    else {
        return false;
    };
    of == order && booked.split('+').any(|booked| booked.parse() == Ok(number))
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: &'static str,
    /// By which the broker knows a repeated publish on its topic again, for [`DEDUPE_WINDOW`]
    /// (JetStream: `Nats-Msg-Id`).
    pub id: String,
    /// The content.
    pub body: String,
}

/// A broker forgets the id of a message so long after it was published: JetStream's default.
pub const DEDUPE_WINDOW: Duration = Duration::from_secs(120);

/// An answer is waited for so long.
pub const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// What became of a publish that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The broker was not reached: it does not have the message.
    #[error("broker not reached")]
    NotReached,
    /// Sent, and not answered: it may have the message.
    #[error("no answer from the broker")]
    NoAnswer,
}

/// A durable consumer: all processes that name the same one share its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its name. The broker remembers by it what was acknowledged.
    pub name: &'static str,
    /// The topic.
    pub topic: &'static str,
    /// A delivery that is not acknowledged so soon is made again.
    pub ack_wait: Duration,
    /// In place of `ack_wait`, after the first delivery, the second, and so on; the last one stands
    /// for all that follow. Without any it is always `ack_wait`.
    pub backoff: &'static [Duration],
    /// After so many deliveries a message is dead: it is kept apart, and delivered no more.
    pub deliveries_max: u32,
}

impl Consumer {
    /// How long the broker waits for the acknowledgement of the delivery of this number, from 1.
    pub fn ack_wait_of(&self, attempt: u32) -> Duration {
        let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.backoff.last();
        self.backoff.get(place).or(last).copied().unwrap_or(self.ack_wait)
    }
}

/// A message, delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's place in the broker's log.
    pub sequence: u64,
    /// How often it has been delivered, with this time.
    pub attempt: u32,
    /// What the broker wants to be shown with the acknowledgement (JetStream: the subject of the
    /// reply).
    pub receipt: String,
    /// The message.
    pub message: Message,
}

/// The way to a broker.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Publishes a message, and waits until the broker says that it keeps it.
    ///
    /// # Errors
    /// [`Error`]. After [`Error::NoAnswer`] the broker may have it.
    async fn publish(&self, message: Message) -> Result<(), Error>;

    /// The next message for `consumer`, waited for at most so long. It comes again unless it is
    /// acknowledged within the consumer's `ack_wait`.
    ///
    /// # Errors
    /// [`Error::NotReached`]. Of a delivery that was lost on its way the broker waits for the
    /// acknowledgement all the same.
    async fn receive(&self, consumer: &Consumer, wait: Duration)
    -> Result<Option<Delivery>, Error>;

    /// Says that the message was worked on. As with most brokers, nobody answers: an
    /// acknowledgement that was lost on its way is lost.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    async fn ack(&self, consumer: &Consumer, delivery: &Delivery) -> Result<(), Error>;

    /// Asks for the message to be delivered again, not before so long. Nobody answers either.
    ///
    /// # Errors
    /// [`Error::NotReached`].
    async fn nack(
        &self,
        consumer: &Consumer,
        delivery: &Delivery,
        after: Duration,
    ) -> Result<(), Error>;
}

/// The way to a broker that is not there.
#[derive(Debug, Clone, Copy)]
pub struct NoBroker;

#[async_trait]
impl Queue for NoBroker {
    async fn publish(&self, _: Message) -> Result<(), Error> {
        Err(Error::NotReached)
    }
    async fn receive(&self, _: &Consumer, _: Duration) -> Result<Option<Delivery>, Error> {
        Err(Error::NotReached)
    }
    async fn ack(&self, _: &Consumer, _: &Delivery) -> Result<(), Error> {
        Err(Error::NotReached)
    }
    async fn nack(&self, _: &Consumer, _: &Delivery, _: Duration) -> Result<(), Error> {
        Err(Error::NotReached)
    }
}

/// What a broker has truly done, by message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Every message that it kept, as they came.
    pub messages: Vec<Kept>,
    /// Every operation that a fault hit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<Hit>,
}

impl Ledger {
    /// Whether another service was left to book the parcels of `order`.
    pub fn left_to_another_service(&self, order: &str) -> bool {
        self.messages.iter().any(|kept| kept.topic == ORDER_ACCEPTED && kept.id == order)
    }

    /// When its answers were handed out to us that say that this parcel is booked.
    pub fn told_booked(&self, order: &str, number: u32) -> impl Iterator<Item = Timestamp> {
        let says = move |kept: &&Kept| {
            kept.topic == DELIVERY_ANSWERED && says_booked(&kept.id, order, number)
        };
        self.messages.iter().filter(says).flat_map(|kept| kept.delivered.iter().copied())
    }
}

/// An operation that a fault hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hit {
    /// When.
    pub at: Timestamp,
    /// Which operation: one of [`OPERATIONS`].
    pub operation: String,
    /// The id of its message.
    pub id: String,
    /// Which fault, and why.
    pub by: FaultHit,
}

/// A message in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its topic.
    pub topic: String,
    /// Its id.
    pub id: String,
    /// When the broker took it.
    pub published: Timestamp,
    /// When it was handed out, each time.
    pub delivered: Vec<Timestamp>,
    /// When it was first acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked: Option<Timestamp>,
    /// When it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<Timestamp>,
}

#[cfg(test)]
mod conformance;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_answer_says_which_parcels_are_booked() {
        let id = answer_id("ORD#1", 2, [1, 12].into_iter());
        assert!(says_booked(&id, "ORD#1", 1) && says_booked(&id, "ORD#1", 12));
        assert!(!says_booked(&id, "ORD#1", 2) && !says_booked(&id, "ORD", 1));
        assert!(!says_booked(&answer_id("ORD-1", 1, std::iter::empty()), "ORD-1", 1));
    }
}
