//! The record comes first and the call last of all, in one transaction: when the call fails its
//! exception rolls the record back. What the call has done all the same is not rolled back.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::store::{NoticeOutcome, NoticeWork, ParcelWork};

use super::Strategy;
use super::lab::{
    DeliveryResult, Exception, Job, Lab, Scheduler, Thrown, inside_a_transaction, settings, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "call-last",
    says: "the record comes first and the call last of all, in one transaction: when the call fails \
           its exception rolls the record back; what the call has done all the same is not",
    seed: "second text, \"make the external call last of all\"",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "everything-settles",
        "no-double-notification",
        "no-double-shipment",
        "no-false-notification",
        "no-io-in-transaction",
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
            for parcel in &order.parcels {
                if let Err(exception) = self.send(hands, parcel).await {
                    self.lab.leave(&order, &exception).await;
                    break;
                }
            }
        }
    }
}

impl Deliveries {
    async fn send(&self, hands: &mut Hands, parcel: &ParcelWork) -> Thrown {
        let Lab { delivery, .. } = &self.lab;
        // The number stands in the record, so it must be known before. It books nothing.
        let request = delivery.prepare(hands, &parcel.order, parcel.key.number).await;
        let request = request.map_err(|message| {
            let parcel = parcel.key.clone();
            Exception::DeliveryFailed { parcel, message }
        })?;
        let mut unit = self.lab.begin(hands).await?;
        let sent = DeliveryResult { request: request.clone(), failure: None };
        status::mark_delivery(&mut *unit, parcel, &sent, self.lab.now());
        let response = delivery.send_prepared(&inside_a_transaction(), &parcel.key, request).await;
        response.or_throw(&parcel.key)?;
        self.lab.commit(unit, &[parcel]).await
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
        let mut unit = self.lab.begin(hands).await?;
        let outcome = NoticeOutcome::Sent { msg_key: None };
        unit.settle_notice(&message.key, Some(&message.lease), outcome, self.lab.now());
        self.lab.alimtalk.send_message(&inside_a_transaction(), message).await?;
        self.lab.commit(unit, &[]).await
    }
}
