//! The room that the strategies of the texts share: what stands around `@Transactional` in them.
//!
//! A batch ([`Scheduler`]) finds unprocessed orders ([`Lab::unprocessed`]), a client without any
//! protection but its own calls the carrier ([`DeliveryClient`]), another one sends the message
//! ([`AlimtalkClient`]), and an order's status is set in a unit of work ([`status`]). It reads as
//! the texts' code does, flaws and all: a call that was not answered has failed.

mod alimtalk;
mod delivery;
mod events;
mod limiter;
mod listener;
mod notification;
mod scheduler;
pub(super) mod status;

pub(super) use alimtalk::AlimtalkClient;
pub(super) use delivery::{Cancelled, DeliveryClient, DeliveryResult};
pub(super) use events::{DeliveryCompleted, Events};
pub(super) use listener::{Exchange, Listener, consumer, event};
pub(super) use scheduler::{Job, Scheduler};

use std::sync::Arc;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::call::{Brake, Context, Tenure};
use oms_core::config::Config;
use oms_core::env::{Env, Event, Hands};
use oms_core::order::Order;
use oms_core::policy::PausePolicy;
use oms_core::state::ParcelState;
use oms_core::store::{
    self, Claim, Claimed, NoticeOutcome, NoticeWork, ParcelKey, ParcelOutcome, ParcelWork, Tries,
    UnitOfWork, Written,
};

use super::Setup;
use crate::queue;

/// The batch runs so often, and whenever an order comes in.
pub(super) const BATCH_EVERY: Duration = Duration::from_secs(10);

/// The texts' batches know no lease, so theirs lasts longer than any batch; what a process leaves
/// behind that dies is found again so much later.
const LEASE: Duration = Duration::from_secs(300);

/// A breaker that looks at so many calls never opens.
const NEVER: usize = 1_000_000;

/// An exception: it leaves the method, and what the method's transaction wrote is rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Exception {
    /// The database's.
    #[error("database")]
    Database(#[from] store::Error),
    /// The broker's.
    #[error("broker")]
    Broker(#[from] queue::Error),
    /// `orderRepository.findById(orderId).orElseThrow()`.
    #[error("no order {0}")]
    NoSuchElement(String),
    /// The order was processed by somebody else meanwhile.
    #[error("optimistic lock of {0}")]
    OptimisticLock(ParcelKey),
    /// The carrier did not take the delivery: `DeliveryFailedException`.
    #[error("delivery of {parcel}: {message}")]
    DeliveryFailed {
        /// Which.
        parcel: ParcelKey,
        /// Why.
        message: String,
    },
    /// The message was not sent.
    #[error("message {message}: {why}")]
    AlimtalkFailed {
        /// Which.
        message: String,
        /// Why.
        why: String,
        /// Whether that was the gateway's answer, and not the lack of one.
        refused: bool,
    },
}

/// What a method gives that may throw.
pub(super) type Thrown<T = ()> = Result<T, Exception>;

/// Settings of a client as the texts have it: connect 3 s, read 5 s (the defaults), and no breaker,
/// no permits that processes share, no pause.
pub(super) fn settings(config: &mut Config) {
    config.service.lease = LEASE;
    for calls in [&mut config.carrier.calls, &mut config.messenger.calls] {
        calls.windows.clear();
        (calls.breaker.window_calls, calls.breaker.calls_min) = (NEVER, NEVER);
    }
}

/// Settings of the first text's code before it was improved: no time-outs either. A minute stands
/// for the time until somebody restarts a thread that waits without end.
pub(super) fn settings_before(config: &mut Config) {
    const WITHOUT_END: Duration = Duration::from_secs(60);
    settings(config);
    for calls in [&mut config.carrier.calls, &mut config.messenger.calls] {
        (calls.connect_timeout, calls.read_timeout) = (WITHOUT_END, WITHOUT_END);
        calls.deadline = WITHOUT_END;
    }
}

/// Nobody stops for a 429 or a ban.
struct Heedless;

impl PausePolicy for Heedless {
    fn heeds(&self, _brake: Brake) -> bool {
        false
    }
}

/// Seams of a client that stops for nothing.
fn heedless(env: &Env) -> Env {
    let mut env = env.clone();
    env.policies.pauses = Arc::new(Heedless);
    env
}

/// A second pair of hands, for a call or another transaction inside an open one.
#[expect(clippy::disallowed_methods, reason = "the texts do it, and the drill shows what it costs")]
pub(super) fn inside_a_transaction() -> Hands {
    Hands::of_a_new_task()
}

/// The hands of a task of the lab's.
#[expect(clippy::disallowed_methods, reason = "a task begins here")]
pub(super) fn hands_of_a_task() -> Hands {
    Hands::of_a_new_task()
}

/// A call that nothing but its time-outs ends.
fn context(key: String) -> Context {
    Context { key, tenure: Tenure::for_ever() }
}

/// An order of which some parcels are not sent yet.
#[derive(Debug, Clone)]
pub(super) struct Unprocessed {
    /// The order.
    pub(super) order: Order,
    /// Those parcels, each claimed.
    pub(super) parcels: Vec<ParcelWork>,
}

/// The repositories and the two clients of a process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lab {
    /// The seams.
    pub(super) env: Env,
    config: Arc<Config>,
    /// The carrier's client.
    pub(super) delivery: Arc<DeliveryClient>,
    /// The gateway's client.
    pub(super) alimtalk: Arc<AlimtalkClient>,
}

impl Lab {
    /// With the clients of the first text's second part: limiter, three tries, time-outs.
    pub(super) fn new(setup: &Setup) -> Lab {
        Lab::with(setup, DeliveryClient::stable(setup))
    }

    /// With clients as they were before: none of it.
    pub(super) fn before(setup: &Setup) -> Lab {
        Lab::with(setup, DeliveryClient::plain(setup))
    }

    fn with(setup: &Setup, delivery: DeliveryClient) -> Lab {
        Lab {
            env: setup.env.clone(),
            config: setup.config.clone(),
            delivery: Arc::new(delivery),
            alimtalk: Arc::new(AlimtalkClient::new(setup)),
        }
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    /// Opens a transaction, as `@Transactional` does.
    pub(super) async fn begin<'h>(&self, hands: &'h mut Hands) -> Thrown<Box<dyn UnitOfWork + 'h>> {
        Ok(self.env.store.begin(hands).await?)
    }

    /// Commits what was written of `parcels`.
    pub(super) async fn commit(
        &self,
        unit: Box<dyn UnitOfWork + '_>,
        parcels: &[&ParcelWork],
    ) -> Thrown {
        match (unit.commit().await?, parcels) {
            (Written::Fenced, [first, ..]) => {
                for parcel in parcels {
                    let event = Event::Fenced { what: parcel.key.to_string() };
                    self.env.observer.observe(self.now(), event);
                }
                Err(Exception::OptimisticLock(first.key.clone()))
            }
            _ => Ok(()),
        }
    }

    /// `orderRepository.findUnprocessed()`. Parcels that are to be cancelled are none of the
    /// texts': nobody looks after them.
    pub(super) async fn unprocessed(&self) -> Vec<Unprocessed> {
        let due = self.due_parcels().await;
        let mut orders: Vec<Unprocessed> = Vec::new();
        for parcel in due.into_iter().filter(|work| work.state == ParcelState::Planned) {
            match orders.last_mut() {
                Some(last) if last.order.id == parcel.order.id => last.parcels.push(parcel),
                _ => {
                    orders.push(Unprocessed { order: parcel.order.clone(), parcels: vec![parcel] })
                }
            }
        }
        orders
    }

    /// Parcels with which anything is to be done, each claimed.
    pub(super) async fn due_parcels(&self) -> Vec<ParcelWork> {
        self.claimed(self.env.store.claim_parcels(self.claim()).await)
    }

    /// Messages that are not sent yet, each claimed.
    pub(super) async fn unsent(&self) -> Vec<NoticeWork> {
        self.claimed(self.env.store.claim_notices(self.claim()).await)
    }

    fn claim(&self) -> Claim {
        let (worker, now) = (self.env.worker.clone(), self.now());
        Claim { worker, now, until: now + self.config.service.lease, limit: 1_000 }
    }

    fn claimed<W>(&self, claimed: store::Result<Claimed<W>>) -> Vec<W> {
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "nothing found; the next batch looks again");
                return Vec::new();
            }
        };
        for (what, state) in claimed.taken {
            self.env.observer.observe(self.now(), Event::LeaseTaken { what, state });
        }
        claimed.work
    }

    /// It stays unprocessed: the next batch finds it. Where this cannot be written, a later one.
    pub(super) async fn leave(&self, order: &Unprocessed, why: &Exception) {
        let (now, reason) = (self.now(), chain(why));
        tracing::warn!(order = order.order.id, reason, "left to the next batch");
        for parcel in &order.parcels {
            let (retry_at, tries) = (now + BATCH_EVERY, Tries::default());
            let outcome = ParcelOutcome::PutBack { reason: reason.clone(), retry_at, tries };
            // A parcel that was written all the same is no longer this batch's.
            let _ = self.env.store.settle_parcel(parcel, outcome, now).await;
        }
    }

    /// The message stays unsent: the next poll finds it.
    pub(super) async fn leave_unsent(&self, message: &NoticeWork, why: &Exception) {
        let (now, reason) = (self.now(), chain(why));
        tracing::warn!(message = %message.key, reason, "left to the next poll");
        let (retry_at, tries) = (now + BATCH_EVERY, Tries::default());
        let outcome = NoticeOutcome::PutBack { reason, retry_at, tries };
        let _ = self.env.store.settle_notice(message, outcome, now).await;
    }
}

/// An exception with its cause, in one line.
fn chain(exception: &Exception) -> String {
    match exception {
        Exception::Database(error) => format!("{exception}: {error}"),
        Exception::Broker(error) => format!("{exception}: {error}"),
        _ => exception.to_string(),
    }
}
