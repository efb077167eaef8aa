//! The shop's front: offers each order until its ingest is acknowledged, and signs people up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{Clock, Timestamp};
use oms_core::store::{Action, Operated, Operation, Store};

use crate::history::Step;
use crate::plan::Deed;
use crate::recorder::Recorder;
use crate::workload::Offer;

/// A client whose request was lost, or whose node is down, asks again so soon.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A cancellation is refused for a moment while a message is being sent, and for good when it comes
/// too late: the answer is the same, so it is asked for so often.
const CANCELS_MAX: usize = 20;

/// An operator, who works on the database beside the workers, as `oms retry` and `oms resolve` do.
pub struct Operator {
    /// Their way into the database.
    pub store: Arc<dyn Store>,
    /// When.
    pub clock: Arc<dyn Clock>,
    /// What is told.
    pub recorder: Recorder,
    /// As [`Shop::awaited`].
    pub awaited: Arc<AtomicUsize>,
}

impl Operator {
    /// Does to the order called `order` what is planned for `at`, until it is answered.
    pub async fn act(self, at: Timestamp, order: String, deed: Deed) {
        self.clock.sleep_until(at).await;
        let (by, now) = ("operator".to_owned(), self.clock.now());
        let action = match deed {
            Deed::Retry => Action::Retry,
            Deed::ResolveBooked => Action::Resolve { parcel: None, booked: true },
            Deed::ResolveNotBooked => Action::Resolve { parcel: None, booked: false },
        };
        let operation = Operation { order: order.clone(), action, by, now };
        let answer = loop {
            match self.store.operate(operation.clone()).await {
                Ok(Operated::Done(state)) => break state.to_string(),
                Ok(Operated::Refused(why)) => break format!("refused: {why}"),
                Ok(Operated::NotFound | Operated::MessageQueued) => {
                    break "no such order".to_owned();
                }
                // The same again is answered as the first time.
                Err(_) => self.clock.sleep(AGAIN_AFTER).await,
            }
        };
        self.recorder.drill(self.clock.now(), None, Step::OperatorActed { order, deed, answer });
        self.awaited.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The way to the service's own API.
#[async_trait]
pub trait Front: Send + Sync {
    /// Posts JSON to one of the nodes, by `turn`; the HTTP status, or `None` without an answer.
    async fn post(&self, turn: usize, path: &str, body: String) -> Option<u16>;
}

/// Whoever hands in orders.
#[derive(Clone)]
pub struct Shop {
    /// Where to.
    pub front: Arc<dyn Front>,
    /// When.
    pub clock: Arc<dyn Clock>,
    /// What is told.
    pub recorder: Recorder,
    /// Nothing is offered any longer from here on.
    pub gives_up_at: Timestamp,
    /// So many orders were refused: they are never in the database.
    pub refused: Arc<AtomicUsize>,
    /// So many are not done yet: people who have not signed up nor gone, and operators.
    pub awaited: Arc<AtomicUsize>,
}

impl Shop {
    /// Offers an order at its time, then calls it back if it says so.
    pub async fn offer(self, place: usize, start: Timestamp, offer: Offer) {
        self.clock.sleep_until(start + offer.after).await;
        let order = offer.id.clone();
        self.tell(Step::OrderOffered { order: order.clone() });
        match self.insist(place, "/orders", offer.body, |status| status < 500).await {
            Some(200 | 201) => self.tell(Step::OrderAcknowledged { order: order.clone() }),
            Some(status) => {
                let why = format!("HTTP {status}");
                self.refused.fetch_add(1, Ordering::AcqRel);
                return self.tell(Step::OrderRefused { order, why });
            }
            None => return,
        }
        let Some(after) = offer.cancel_after else { return };
        self.clock.sleep(after).await;
        self.tell(Step::CancelAsked { order: order.clone() });
        let path = format!("/orders/{order}/cancel");
        for _ in 0..CANCELS_MAX {
            let answer = self.insist(place, &path, String::new(), |status| status < 500).await;
            if answer != Some(409) {
                return;
            }
            self.clock.sleep(AGAIN_AFTER).await;
        }
    }

    /// Signs somebody up at their time. Where no answer comes, or one that says to try again, the
    /// page does so by itself; at an error people go.
    pub async fn sign_up(self, place: usize, start: Timestamp, offer: Offer) {
        self.clock.sleep_until(start + offer.after).await;
        let member = offer.id;
        self.tell(Step::SignUpAsked { member: member.clone() });
        match self.insist(place, "/members", offer.body, |status| status != 503).await {
            Some(200 | 201) => self.tell(Step::SignUpConfirmed { member }),
            Some(status) => {
                self.tell(Step::SignUpFailed { member, why: format!("HTTP {status}") });
            }
            None => {}
        }
        self.awaited.fetch_sub(1, Ordering::AcqRel);
    }

    /// Asks one node after the other until one answers with something final.
    async fn insist(
        &self,
        place: usize,
        path: &str,
        body: String,
        is_final: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let mut turn = place;
        while self.clock.now() < self.gives_up_at {
            let status = self.front.post(turn, path, body.clone()).await;
            if let Some(status) = status.filter(|status| is_final(*status)) {
                return Some(status);
            }
            self.clock.sleep(AGAIN_AFTER).await;
            turn += 1;
        }
        None
    }

    fn tell(&self, step: Step) {
        self.recorder.drill(self.clock.now(), None, step);
    }
}
