//! The call comes first and the record of it after, in a transaction that holds nothing else. When
//! the record fails the call is simply made again, as it is where the call itself failed.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::store::{NoticeOutcome, NoticeWork};

use super::Strategy;
use super::lab::{Job, Lab, Scheduler, Thrown, Unprocessed, settings};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "call-first",
    says: "the call comes first and the record of it after, in a transaction that holds nothing else; \
           when either fails the call is simply made again",
    seed: "second text, \"make the external call first of all\"",
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
        let (deliveries, messages) = (Deliveries { lab: lab.clone() }, Messages { lab });
        let jobs: Vec<(_, Arc<dyn Job>)> =
            vec![("deliveries", Arc::new(deliveries)), ("messages", Arc::new(messages))];
        Scheduler::start(setup, jobs)
    },
};

struct Deliveries {
    lab: Lab,
}

#[async_trait]
impl Job for Deliveries {
    async fn run(&self, hands: &mut Hands) {
        for order in self.lab.unprocessed().await {
            if let Err(exception) = self.send(hands, &order).await {
                self.lab.leave(&order, &exception).await;
            }
        }
    }
}

impl Deliveries {
    async fn send(&self, hands: &mut Hands, order: &Unprocessed) -> Thrown {
        for parcel in &order.parcels {
            let number = parcel.key.number;
            let response = self.lab.delivery.send_delivery(hands, &order.order, number).await;
            let response = response.or_throw(&parcel.key)?;
            self.lab.update_delivery_status(hands, parcel, &response).await?;
        }
        Ok(())
    }
}

struct Messages {
    lab: Lab,
}

#[async_trait]
impl Job for Messages {
    async fn run(&self, hands: &mut Hands) {
        for message in self.lab.unsent().await {
            if let Err(exception) = self.send(hands, &message).await {
                self.lab.leave_unsent(&message, &exception).await;
            }
        }
    }
}

impl Messages {
    async fn send(&self, hands: &mut Hands, message: &NoticeWork) -> Thrown {
        let msg_key = self.lab.alimtalk.send_message(hands, message).await?;
        let mut unit = self.lab.begin(hands).await?;
        let outcome = NoticeOutcome::Sent { msg_key };
        unit.settle_notice(&message.key, Some(&message.lease), outcome, self.lab.now());
        self.lab.commit(unit, &[]).await
    }
}
