//! Judgements as values, so that a drill can replace a good one by a bad one and watch what breaks.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::call::{Brake, Outcome};
use crate::state::{NoticeState, OrderState, ParcelState};
use crate::store::ParcelWork;

/// How an unknown booking is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconcile {
    /// Send the same bytes again: the carrier says whether it knows them.
    Resend,
    /// Ask by invoice number.
    Ask,
    /// Leave it.
    Leave,
}

/// Judgements about a booking.
pub trait BookingPolicy: Send + Sync {
    /// Whether a new identity is made although one is written down. Never, if it is good.
    fn renews_identity(&self) -> bool {
        false
    }

    /// How an outcome of `RegBook` is understood: as what it is.
    fn reads(&self, outcome: Outcome<()>) -> Outcome<()> {
        outcome
    }

    /// How an unknown outcome is looked into; `advised` is what the carrier's contract allows.
    fn reconcile(&self, _work: &ParcelWork, advised: Reconcile) -> Reconcile {
        advised
    }
}

/// The recommended judgements.
#[derive(Debug, Default, Clone, Copy)]
pub struct SoundBooking;

impl BookingPolicy for SoundBooking {}

/// Judgements about an API that wants to be left alone.
pub trait PausePolicy: Send + Sync {
    /// Whether everybody stops calling when an API brakes. Always, if it is good.
    fn heeds(&self, _brake: Brake) -> bool {
        true
    }
}

/// The recommended judgements.
#[derive(Debug, Default, Clone, Copy)]
pub struct SoundPauses;

impl PausePolicy for SoundPauses {}

/// Judgements about a message.
pub trait MessagePolicy: Send + Sync {
    /// The idempotency key under which the message `key` travels: its own, with each attempt the same.
    /// Without one the gateway would take each attempt for another message.
    fn idempotency_key<'k>(&self, key: &'k str) -> Option<Cow<'k, str>> {
        Some(Cow::Borrowed(key))
    }
}

/// The recommended judgements.
#[derive(Debug, Default, Clone, Copy)]
pub struct SoundMessages;

impl MessagePolicy for SoundMessages {}

/// What an order's parcels and notifications look like when one of them has changed.
#[derive(Debug, Clone)]
pub struct OrderSnapshot {
    /// The order.
    pub state: OrderState,
    /// Its parcels by number.
    pub parcels: Vec<ParcelSnapshot>,
    /// Its notifications by event.
    pub notices: Vec<NoticeSnapshot>,
}

/// A parcel as the saga sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParcelSnapshot {
    /// Its number.
    pub number: u32,
    /// Where it stands.
    pub state: ParcelState,
    /// A cancellation came too late: the carrier has it in its hands.
    pub picked_up: bool,
}

/// A notification as the saga sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeSnapshot {
    /// What is told.
    pub event: String,
    /// Where it stands.
    pub state: NoticeState,
    /// Nothing more is tried, though it may be unknown.
    pub given_up: bool,
}

/// What follows for the order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consequence {
    /// Its next state.
    pub becomes: Option<OrderState>,
    /// Events to tell the customer: each is one row of the outbox.
    pub notify: Vec<String>,
    /// Parcels to move at once: `planned → cancelled` (never sent), `booked → cancelling`.
    pub parcels: Vec<(u32, ParcelState)>,
    /// Notifications to withdraw.
    pub withdraw: Vec<String>,
}

/// Judgements about an order as a whole: the saga of its parcels.
pub trait OrderPolicy: Send + Sync + fmt::Debug {
    /// What follows from a change. Called inside the transaction that makes the change.
    fn consequence(&self, order: &OrderSnapshot) -> Consequence;
}

/// The judgements that an [`Env`](crate::env::Env) carries.
#[derive(Clone)]
pub struct Policies {
    /// About a booking.
    pub booking: Arc<dyn BookingPolicy>,
    /// About an API that wants to be left alone.
    pub pauses: Arc<dyn PausePolicy>,
    /// About a message.
    pub messages: Arc<dyn MessagePolicy>,
}

impl Default for Policies {
    fn default() -> Policies {
        Policies {
            booking: Arc::new(SoundBooking),
            pauses: Arc::new(SoundPauses),
            messages: Arc::new(SoundMessages),
        }
    }
}
