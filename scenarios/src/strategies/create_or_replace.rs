//! When the carrier says "registered already", what is registered is deleted and created again.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::store::ParcelWork;

use super::Strategy;
use super::lab::{
    Cancelled, Exception, Job, Lab, Scheduler, Thrown, inside_a_transaction, settings, status,
};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "create-or-replace",
    says: "when the carrier says \"registered already\", an earlier transaction rolled back after its \
           call: the booking is deleted and created again",
    seed: "second text, \"create and delete\": delete and create again",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "everything-settles",
        "no-double-shipment",
        "no-false-notification",
        "no-io-in-transaction",
        "one-bad-order-blocks-none",
        "quota-kept",
    ],
    queue: false,
    settings,
    start: |setup| {
        let service = DeliveryService { lab: Lab::new(&setup) };
        Scheduler::start(setup, vec![("batch", Arc::new(service))])
    },
};

struct DeliveryService {
    lab: Lab,
}

#[async_trait]
impl Job for DeliveryService {
    async fn run(&self, hands: &mut Hands) {
        for order in self.lab.unprocessed().await {
            if let Err(exception) = self.process_order(hands, &order.parcels).await {
                self.lab.leave(&order, &exception).await;
                continue;
            }
            if let Err(exception) = self.lab.send_alimtalk(hands, &order.order).await {
                tracing::warn!(order = order.order.id, %exception, "the message is lost");
            }
        }
    }
}

impl DeliveryService {
    async fn process_order(&self, hands: &mut Hands, parcels: &[ParcelWork]) -> Thrown {
        for parcel in parcels {
            self.process_delivery(hands, parcel).await?;
        }
        Ok(())
    }

    /// `@Transactional`.
    async fn process_delivery(&self, hands: &mut Hands, parcel: &ParcelWork) -> Thrown {
        let Lab { delivery, .. } = &self.lab;
        let (calls, number) = (inside_a_transaction(), parcel.key.number);
        let mut unit = self.lab.begin(hands).await?;
        let mut response = delivery.send_delivery(&calls, &parcel.order, number).await;
        if response.is_registered_already() {
            // The key of what is registered is that of the new request: the order's.
            match delivery.cancel_delivery(&calls, &parcel.key, &response.request).await {
                Cancelled::Yes => {
                    let request = response.request;
                    response = delivery.send_prepared(&calls, &parcel.key, request).await;
                }
                Cancelled::PickedUp => return Err(not_replaced(parcel, "picked up already")),
                Cancelled::Failed(message) => return Err(not_replaced(parcel, &message)),
            }
        }
        let response = response.or_throw(&parcel.key)?;
        status::mark_delivery(&mut *unit, parcel, &response, self.lab.now());
        self.lab.commit(unit, &[parcel]).await
    }
}

fn not_replaced(parcel: &ParcelWork, message: &str) -> Exception {
    Exception::DeliveryFailed { parcel: parcel.key.clone(), message: message.to_owned() }
}
