//! A message queue, as strategies see it: durable messages, durable consumers, at least once.
//!
//! It belongs to the lab: the recommended flow needs no broker. The seam asks of a broker what
//! NATS JetStream has: a publish that is acknowledged, with an id by which a repeated one is known
//! again for a time; a durable consumer that asks for messages and acknowledges each; redelivery
//! after a deadline, with back-off; an end to redelivery. RabbitMQ and SQS have the same. In a
//! simulation the broker is a model (`sim/broker.rs`).

use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use faults::FaultHit;
use serde::{Deserialize, Serialize};

/// The operations, as faults name them.
pub const OPERATIONS: &[&str] = &["publish", "deliver", "ack", "nack"];

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: &'static str,
    /// By which the broker knows a repeated publish again, for [`DEDUPE_WINDOW`]
    /// (JetStream: `Nats-Msg-Id`).
    pub id: String,
    /// The content.
    pub body: String,
}

/// A broker forgets the id of a message so long after it was published: JetStream's default.
pub const DEDUPE_WINDOW: Duration = Duration::from_secs(120);

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
    /// After so many deliveries a message is dead: it is kept apart, and delivered no more.
    pub deliveries_max: u32,
}

/// A message, delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's place in the broker's log.
    pub sequence: u64,
    /// How often it has been delivered, with this time.
    pub attempt: u32,
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
