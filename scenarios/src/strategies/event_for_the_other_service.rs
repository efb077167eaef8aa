//! We tell nobody what to do: after our commit we publish what has happened, "order accepted", and
//! are done. The service that owns what must change hears of it, changes it itself in a transaction
//! of its own, and publishes what came of that, which changes our state.
//!
//! Both external calls are placed so. The delivery service books parcels and the message service
//! tells customers: adapters with consumers of their own, whose rows are the carrier's books and the
//! gateway's. The text says no more than to leave it to them, so they do not ask whether they have
//! seen an event before, and their client is no better than ours: an unanswered call has failed.
//! Our own listeners are held right by the status that they set: an answer that comes twice, or too
//! late, changes nothing.
//!
//! Each of the four publishes after something that it cannot be one with: two after our commits,
//! which nobody repeats, and two after the others', which are repeated with all that came before.
//! The adapters run beside our own code here, so a crash takes both.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oms_core::config::Config;
use oms_core::env::Hands;
use oms_core::order::Order;
use oms_core::state::ParcelState;
use oms_core::store::{Lease, ParcelKey, ParcelWork};
use serde::{Deserialize, Serialize};

use super::Strategy;
use super::lab::{
    DeliveryResult, Exception, Exchange, Job, Lab, Listener, Scheduler, Thrown, Unprocessed,
    consumer, event, settings, status,
};
use crate::queue::{DELIVERY_ANSWERED, Delivery, ORDER_ACCEPTED, answer_id};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "event-for-the-other-service",
    says: "nobody is told what to do: we publish after our commit what has happened; the service that \
           owns what must change hears of it, changes it itself, and publishes what came of that",
    seed: "second text, its conclusion: an event, and the change left to the other service",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "everything-settles",
        "no-double-notification",
        "no-double-shipment",
        "no-false-notification",
        "one-bad-order-blocks-none",
        "quota-kept",
    ],
    queue: true,
    settings: |config: &mut Config| {
        settings(config);
        config.service.lease = FOR_GOOD;
    },
    start: |setup| {
        let lab = Lab::new(&setup);
        let exchange = Exchange::new(&lab, &setup);
        let service = |name, topic, listener: Arc<dyn Listener>| {
            exchange.listen(consumer(name, topic), listener);
        };
        let part = Part { lab, exchange: exchange.clone() };
        service("delivery-service", ORDER_ACCEPTED, Arc::new(DeliveryService(part.clone())));
        service("orders", DELIVERY_ANSWERED, Arc::new(OnDeliveryAnswered(part.clone())));
        service("message-service", ORDER_SHIPPED, Arc::new(MessageService(part.clone())));
        service("orders-told", MESSAGE_ANSWERED, Arc::new(OnMessageAnswered(part.clone())));
        Scheduler::start(setup, vec![("accepted", Arc::new(OrderService(part)))])
    },
};

/// Who has accepted an order publishes it and looks after it no more: it is taken up once.
const FOR_GOOD: Duration = Duration::from_hours(365 * 24);

const ORDER_SHIPPED: &str = "order-shipped";
const MESSAGE_ANSWERED: &str = "message-answered";

/// Ours, of fact.
#[derive(Serialize, Deserialize)]
struct OrderAccepted {
    order: Order,
    parcels: Vec<Accepted>,
}

/// A parcel of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Accepted {
    number: u32,
    /// By which we know the answer: the token under which the parcel was taken up.
    correlation: i64,
}

/// The delivery service's: what became of the parcels, up to the first failure.
#[derive(Serialize, Deserialize)]
struct DeliveryAnswered {
    order: Order,
    results: Vec<(Accepted, DeliveryResult)>,
}

/// Ours again.
#[derive(Serialize, Deserialize)]
struct OrderShipped {
    order: Order,
    tracking_numbers: Vec<String>,
}

/// The message service's: the gateway's key of the message, or why there is none.
#[derive(Serialize, Deserialize)]
struct MessageAnswered {
    order: String,
    sent: Result<Option<String>, String>,
}

/// What each part of it has.
#[derive(Clone)]
struct Part {
    lab: Lab,
    exchange: Exchange,
}

/// Our side: orders that were accepted.
struct OrderService(Part);

#[async_trait]
impl Job for OrderService {
    /// They are taken up by a transaction that is committed when they are found; what is published
    /// after it is in this process's memory until the broker has it.
    async fn run(&self, _: &mut Hands) {
        for order in self.0.lab.unprocessed().await {
            if let Err(exception) = self.accepted(&order).await {
                lost(&order.order, &exception);
            }
        }
    }
}

impl OrderService {
    async fn accepted(&self, order: &Unprocessed) -> Thrown {
        let accepted = |parcel: &ParcelWork| Accepted {
            number: parcel.key.number,
            correlation: parcel.lease.token,
        };
        let parcels = order.parcels.iter().map(accepted).collect();
        let event = OrderAccepted { order: order.order.clone(), parcels };
        self.0.exchange.publish(ORDER_ACCEPTED, order.order.id.clone(), &event).await
    }
}

/// The carrier's side: it books what it hears of.
struct DeliveryService(Part);

#[async_trait]
impl Listener for DeliveryService {
    async fn on(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown {
        let OrderAccepted { order, parcels } = event(delivery);
        let mut results = Vec::new();
        for parcel in parcels {
            let result = self.0.lab.delivery.send_delivery(hands, &order, parcel.number).await;
            let is_success = result.is_success();
            results.push((parcel, result));
            if !is_success {
                break;
            }
        }
        let booked = results.iter().filter(|(_, result)| result.is_success());
        let booked = booked.map(|(parcel, _)| parcel.number);
        let id = answer_id(&order.id, delivery.attempt, booked);
        let answer = DeliveryAnswered { order, results };
        self.0.exchange.publish(DELIVERY_ANSWERED, id, &answer).await
    }
}

/// Our side: the order's status, by what the delivery service says.
struct OnDeliveryAnswered(Part);

#[async_trait]
impl Listener for OnDeliveryAnswered {
    async fn on(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown {
        let DeliveryAnswered { order, results } = event(delivery);
        let is_success = results.iter().all(|(_, result)| result.is_success());
        let tracking_numbers = results.iter().map(|(_, result)| result.tracking_number()).collect();
        match self.update(hands, &order, results).await {
            Ok(()) => {}
            // It is not waited for any more: it was answered before.
            Err(Exception::OptimisticLock(_)) => return Ok(()),
            Err(exception) => return Err(exception),
        }
        if is_success {
            // AFTER_COMMIT.
            let event = OrderShipped { order: order.clone(), tracking_numbers };
            let published = self.0.exchange.publish(ORDER_SHIPPED, order.id.clone(), &event).await;
            published.unwrap_or_else(|exception| lost(&order, &exception));
        }
        Ok(())
    }
}

impl OnDeliveryAnswered {
    /// `@Transactional`.
    async fn update(
        &self,
        hands: &mut Hands,
        order: &Order,
        results: Vec<(Accepted, DeliveryResult)>,
    ) -> Thrown {
        let Lab { env, .. } = &self.0.lab;
        let waiting = |accepted: &Accepted| ParcelWork {
            key: ParcelKey { order: order.id.clone(), number: accepted.number },
            order: order.clone(),
            state: ParcelState::Planned,
            intent: None,
            lease: Lease {
                worker: env.worker.clone(),
                token: accepted.correlation,
                until: self.0.lab.now() + FOR_GOOD,
            },
            attempts: 0,
            rounds: 0,
            sent_until: None,
            unknown_since: None,
        };
        let mut unit = self.0.lab.begin(hands).await?;
        let mut parcels = Vec::new();
        for (accepted, result) in &results {
            let parcel = waiting(accepted);
            status::mark_delivery(&mut *unit, &parcel, result, self.0.lab.now());
            parcels.push(parcel);
        }
        self.0.lab.commit(unit, &parcels.iter().collect::<Vec<_>>()).await
    }
}

/// The gateway's side: it tells the customers of whose orders it hears.
struct MessageService(Part);

#[async_trait]
impl Listener for MessageService {
    async fn on(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown {
        let OrderShipped { order, tracking_numbers } = event(delivery);
        let sent = self.0.lab.alimtalk.send(hands, &order, tracking_numbers).await;
        let sent = sent.map_err(|exception| exception.to_string());
        // Each handling of an event has an answer of its own.
        let id = format!("{}#{}", order.id, delivery.attempt);
        let answer = MessageAnswered { order: order.id, sent };
        self.0.exchange.publish(MESSAGE_ANSWERED, id, &answer).await
    }
}

/// Our side: the order's status, by what the message service says.
struct OnMessageAnswered(Part);

#[async_trait]
impl Listener for OnMessageAnswered {
    /// `@Transactional`.
    async fn on(&self, hands: &mut Hands, delivery: &Delivery) -> Thrown {
        let MessageAnswered { order, sent } = event(delivery);
        let (mut unit, now) = (self.0.lab.begin(hands).await?, self.0.lab.now());
        match sent {
            Ok(msg_key) => status::mark_as_completed(&mut *unit, &order, msg_key, now),
            Err(reason) => status::mark_as_alimtalk_failed(&mut *unit, &order, reason, now),
        }
        self.0.lab.commit(unit, &[]).await
    }
}

fn lost(order: &Order, exception: &Exception) {
    tracing::warn!(order = order.id, %exception, "lost: nobody publishes it again");
}
