//! The delivery's status and the message to be sent, a row of the outbox, are written in one
//! transaction; a relay polls the rows and sends them until the gateway has taken them. Nothing is
//! asked about: what was not answered has failed, or is sent again.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::state::NoticeState;
use oms_core::store::{NoticeOutcome, NoticeWork};

use super::Strategy;
use super::lab::{Exception, Job, Lab, Scheduler, Thrown, Unprocessed, settings};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "outbox",
    says: "the delivery's status and the message to be sent, a row of the outbox, are written in one \
           transaction; a relay polls the rows and sends each until the gateway has taken it",
    seed: "first text, part 1, way 2: transactional outbox",
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
    queue: false,
    settings,
    start: |setup| {
        let lab = Lab::new(&setup);
        let (deliveries, relay) = (DeliveryService { lab: lab.clone() }, Relay { lab });
        let jobs: Vec<(_, Arc<dyn Job>)> =
            vec![("deliveries", Arc::new(deliveries)), ("relay", Arc::new(relay))];
        Scheduler::start(setup, jobs)
    },
};

struct DeliveryService {
    lab: Lab,
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
    async fn process_delivery(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        for parcel in &order.parcels {
            let number = parcel.key.number;
            let result = self.lab.delivery.send_delivery(hands, &order.order, number).await;
            // The order's status, and with its last parcel the row of the outbox, at once.
            self.lab.update_delivery_status(hands, parcel, &result).await?;
            if !result.is_success() {
                break;
            }
        }
        Ok(())
    }
}

/// The scheduler that polls the outbox.
struct Relay {
    lab: Lab,
}

#[async_trait]
impl Job for Relay {
    async fn run(&self, hands: &mut Hands) {
        for message in self.lab.unsent().await {
            if let Err(exception) = self.relay(hands, &message).await {
                self.lab.leave_unsent(&message, &exception).await;
            }
        }
    }
}

impl Relay {
    async fn relay(&self, hands: &mut Hands, message: &NoticeWork) -> Thrown {
        let outcome = match self.lab.alimtalk.send_message(hands, message).await {
            Ok(msg_key) => NoticeOutcome::Sent { msg_key },
            Err(Exception::AlimtalkFailed { why: reason, refused: true, .. }) => {
                match message.state {
                    // It was claimed once before, and nobody knows what became of it.
                    NoticeState::Unknown => NoticeOutcome::GivenUp { reason },
                    _ => NoticeOutcome::Refused { reason },
                }
            }
            // It is polled again.
            Err(exception) => return Err(exception),
        };
        let mut unit = self.lab.begin(hands).await?;
        unit.settle_notice(&message.key, Some(&message.lease), outcome, self.lab.now());
        self.lab.commit(unit, &[]).await
    }
}
