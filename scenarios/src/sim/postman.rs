//! The way between a node and the broker. What is under way belongs to the network: a node that
//! dies does not un-send it, and a delivery to a dead node is one that is not acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{Clock, Entropy, timeout};
use oms_core::env::current_task;
use tokio::sync::oneshot;

use super::broker::{Answered, Broker};
use super::latency::Latencies;
use super::turns::Turns;
use crate::queue::{ANSWER_WAIT, Consumer, Delivery, Error, Message, Queue};

/// The way of one node. Clones share it.
#[derive(Clone)]
pub struct Postman {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<Broker>,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    latency: Latencies,
    turns: Option<Turns>,
    /// How often each operation was done on each message: it travels differently each time.
    sent: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Postman {
    /// A way to `broker`, with `latency` a leg: by the caller's priority where there are `turns`.
    pub fn new(
        broker: Arc<Broker>,
        clock: Arc<dyn Clock>,
        entropy: Entropy,
        latency: Latencies,
        turns: Option<Turns>,
    ) -> Postman {
        let sent = Mutex::default();
        Postman { shared: Arc::new(Shared { broker, clock, entropy, latency, turns, sent }) }
    }

    /// The times under way there and back.
    fn legs(&self, operation: &'static str, key: &str) -> (Duration, Duration) {
        let shared = &self.shared;
        if let Some(turns) = &shared.turns {
            let travel = |leg: &str| shared.latency.of_rank(turns.slowness(current_task(), leg));
            return (travel("there"), travel("back"));
        }
        let mut sent = shared.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let times = sent.entry((operation, key.to_owned())).or_default();
        *times += 1;
        let draw = |leg: &str| {
            shared.latency.at(shared.entropy.fork(leg, (operation, key, *times)).unit())
        };
        (draw("there"), draw("back"))
    }

    /// Has the network carry an operation out, and wait for its answer if one is to come.
    #[expect(clippy::disallowed_methods, reason = "what is under way belongs to the network")]
    async fn ask<T: Send + 'static>(
        &self,
        (there, back): (Duration, Duration),
        operation: impl FnOnce(&Shared) -> Result<Answered<T>, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, arrival) = oneshot::channel();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            shared.clock.sleep(there).await;
            let answered = match operation(&shared) {
                Ok(Answered::Yes(value)) => Ok(value),
                Ok(Answered::No) => return,
                Err(error) => Err(error),
            };
            shared.clock.sleep(back).await;
            // Whoever asked may be dead.
            let _ = answer.send(answered);
        });
        let clock = self.shared.clock.as_ref();
        let gives_up_at = clock.now() + ANSWER_WAIT;
        match timeout(clock, ANSWER_WAIT, arrival).await {
            Ok(Ok(answered)) => answered,
            // The answer is lost, and whoever asked does not know it yet.
            Ok(Err(_)) => {
                clock.sleep_until(gives_up_at).await;
                Err(Error::NoAnswer)
            }
            Err(_) => Err(Error::NoAnswer),
        }
    }

    /// Has the network carry something out that nobody answers.
    #[expect(clippy::disallowed_methods, reason = "what is under way belongs to the network")]
    fn tell(&self, there: Duration, operation: impl FnOnce(&Shared) + Send + 'static) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            shared.clock.sleep(there).await;
            operation(&shared);
        });
    }

    async fn wait_for(
        &self,
        consumer: &Consumer,
        wait: Duration,
    ) -> Result<Option<Answered<Delivery>>, Error> {
        let Shared { broker, clock, .. } = &*self.shared;
        let until = clock.now() + wait;
        loop {
            let changed = broker.changed();
            let now = clock.now();
            if let Some(delivery) = broker.deliver(consumer, now)? {
                return Ok(Some(delivery));
            }
            if now >= until {
                return Ok(None);
            }
            let due = broker.next_due(consumer).map_or(until, |due| due.min(until));
            tokio::select! {
                biased;
                () = changed => {}
                () = clock.sleep_until(due) => {}
            }
        }
    }
}

#[async_trait]
impl Queue for Postman {
    async fn publish(&self, message: Message) -> Result<(), Error> {
        let legs = self.legs("publish", &message.id);
        self.ask(legs, move |shared| shared.broker.publish(message, shared.clock.now())).await
    }

    async fn receive(
        &self,
        consumer: &Consumer,
        wait: Duration,
    ) -> Result<Option<Delivery>, Error> {
        let (there, back) = self.legs("deliver", consumer.name);
        self.shared.clock.sleep(there).await;
        let delivery = self.wait_for(consumer, wait).await?;
        self.shared.clock.sleep(back).await;
        Ok(match delivery {
            Some(Answered::Yes(delivery)) => Some(delivery),
            Some(Answered::No) | None => None,
        })
    }

    async fn ack(&self, consumer: &Consumer, delivery: &Delivery) -> Result<(), Error> {
        let (there, _) = self.legs("ack", &delivery.message.id);
        let (consumer, delivery) = (consumer.clone(), delivery.clone());
        self.tell(there, move |shared| {
            // Nobody answers, so nobody hears of it.
            let _ = shared.broker.ack(&consumer, &delivery, shared.clock.now());
        });
        Ok(())
    }

    async fn nack(
        &self,
        consumer: &Consumer,
        delivery: &Delivery,
        after: Duration,
    ) -> Result<(), Error> {
        let (there, _) = self.legs("nack", &delivery.message.id);
        let (consumer, delivery) = (consumer.clone(), delivery.clone());
        self.tell(there, move |shared| {
            // Nobody answers, so nobody hears of it.
            let _ = shared.broker.nack(&consumer, &delivery, after, shared.clock.now());
        });
        Ok(())
    }
}
