//! A coordinator takes the steps of an order one after the other (book each parcel, tell the
//! customer), and writes down before and after each where the saga stands. When one fails, those
//! before it are undone by their compensations: each booking is cancelled.
//!
//! A process that finds a step begun and not ended takes it again, with the request that is written
//! down; so steps and compensations can be repeated. A step that was not answered has failed, and
//! what failed is not compensated: the texts know no third outcome.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::env::{Event, Hands};
use oms_core::state::{NoticeState, ParcelState};
use oms_core::store::{
    Intent, NoticeOutcome, NoticeWork, ParcelOutcome, ParcelWork, Tries, Written,
};

use super::Strategy;
use super::lab::{BATCH_EVERY, Cancelled, Exception, Job, Lab, Scheduler, Thrown, settings};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "saga",
    says: "a coordinator takes the steps of an order one after the other, and writes down before and \
           after each where it stands; when one fails, those before it are compensated",
    seed: "first text, its extension \"Saga Coordinator\"; second text, compensating transactions",
    breaks: &[
        "all-or-nothing",
        "books-agree",
        "everything-settles",
        "no-double-shipment",
        "one-bad-order-blocks-none",
        "quota-kept",
    ],
    queue: false,
    settings,
    start: |setup| {
        let coordinator = Coordinator { lab: Lab::new(&setup) };
        Scheduler::start(setup, vec![("saga", Arc::new(coordinator))])
    },
};

struct Coordinator {
    lab: Lab,
}

#[async_trait]
impl Job for Coordinator {
    /// Goes on until no saga can go on: the end of one step is the begin of the next.
    async fn run(&self, hands: &mut Hands) {
        loop {
            let (parcels, messages) = (self.lab.due_parcels().await, self.lab.unsent().await);
            if parcels.is_empty() && messages.is_empty() {
                return;
            }
            for parcel in parcels {
                if let Err(exception) = self.step(hands, parcel).await {
                    tracing::warn!(%exception, "the saga goes on when its lease has ended");
                }
            }
            for message in messages {
                if let Err(exception) = self.tell(hands, &message).await {
                    tracing::warn!(%exception, "the saga goes on when its lease has ended");
                }
            }
        }
    }
}

impl Coordinator {
    /// What is to be done with a parcel, by where its saga stands.
    async fn step(&self, hands: &Hands, parcel: ParcelWork) -> Thrown {
        match (parcel.state, parcel.intent.clone()) {
            (ParcelState::Cancelling, Some(request)) => {
                self.compensate(hands, &parcel, &request).await
            }
            // It was begun by a process that died over it: it is taken again.
            (ParcelState::Unknown, _) => {
                let (reason, retry_at) = ("to be taken again".to_owned(), self.lab.now());
                self.write(&parcel, ParcelOutcome::NotBooked { reason, retry_at }).await
            }
            (_, written) => self.act(hands, &parcel, written).await,
        }
    }

    /// The step "book a parcel".
    async fn act(&self, hands: &Hands, parcel: &ParcelWork, written: Option<Intent>) -> Thrown {
        let request = match written {
            Some(written) => written,
            None => {
                let prepared =
                    self.lab.delivery.prepare(hands, &parcel.order, parcel.key.number).await;
                match prepared {
                    Ok(request) => request,
                    // Nothing was begun: it is no step that has failed.
                    Err(reason) => return self.again(parcel, reason).await,
                }
            }
        };
        self.write(parcel, ParcelOutcome::Intended(request.clone())).await?;
        let response = self.lab.delivery.send_prepared(hands, &parcel.key, request).await;
        // Whoever booked it under the one number that is written down, it was this saga.
        let booked = response.is_success() || response.is_registered_already();
        self.write(
            parcel,
            match response.failure {
                Some(reason) if !booked => ParcelOutcome::Refused { reason },
                _ => ParcelOutcome::Booked,
            },
        )
        .await
    }

    /// Its compensation "cancel the booking", which is tried until it succeeds.
    async fn compensate(&self, hands: &Hands, parcel: &ParcelWork, request: &Intent) -> Thrown {
        match self.lab.delivery.cancel_delivery(hands, &parcel.key, request).await {
            Cancelled::Yes => self.write(parcel, ParcelOutcome::Cancelled).await,
            Cancelled::PickedUp => self.write(parcel, ParcelOutcome::PickedUp).await,
            Cancelled::Failed(reason) => self.again(parcel, reason).await,
        }
    }

    /// The last step "tell the customer". It has no compensation, and undoes none before it.
    async fn tell(&self, hands: &Hands, message: &NoticeWork) -> Thrown {
        let outcome = match self.lab.alimtalk.send_once(hands, message).await {
            Ok(msg_key) => NoticeOutcome::Sent { msg_key },
            // Of a message that may have been sent before it cannot be said that it was not.
            Err(exception) if message.state == NoticeState::Unknown => {
                NoticeOutcome::GivenUp { reason: exception.to_string() }
            }
            Err(exception) => NoticeOutcome::Refused { reason: exception.to_string() },
        };
        self.lab.env.store.settle_notice(message, outcome, self.lab.now()).await?;
        Ok(())
    }

    /// Writes down where the saga stands. What follows for the order, and which steps are to be
    /// compensated, is decided in the same transaction.
    async fn write(&self, parcel: &ParcelWork, outcome: ParcelOutcome) -> Thrown {
        match self.lab.env.store.settle_parcel(parcel, outcome, self.lab.now()).await? {
            Written::Done => Ok(()),
            Written::Fenced => {
                let event = Event::Fenced { what: parcel.key.to_string() };
                self.lab.env.observer.observe(self.lab.now(), event);
                Err(Exception::OptimisticLock(parcel.key.clone()))
            }
        }
    }

    async fn again(&self, parcel: &ParcelWork, reason: String) -> Thrown {
        let (retry_at, tries) = (self.lab.now() + BATCH_EVERY, Tries::default());
        self.write(parcel, ParcelOutcome::PutBack { reason, retry_at, tries }).await
    }
}
