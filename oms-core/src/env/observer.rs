//! What the core tells of itself: the history that promises are judged from.

use std::fmt;

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

use super::TaskId;

/// One thing that happened at a seam. It carries no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A database transaction opened.
    TxBegin {
        /// The task that it belongs to.
        task: TaskId,
        /// The store's use case.
        op: String,
    },
    /// It closed.
    TxEnd {
        /// The task that it belongs to.
        task: TaskId,
        /// The store's use case.
        op: String,
        /// False when it was rolled back, or nobody knows.
        committed: bool,
    },
    /// A place in the pool of connections was waited for, and the wait is over.
    PoolWaited {
        /// The task that waited.
        task: TaskId,
        /// Since when.
        since: Timestamp,
        /// False when the time ran out.
        granted: bool,
    },
    /// An external call went out.
    CallBegin {
        /// The task that waits for it.
        task: TaskId,
        /// `carrier` or `messenger`.
        api: String,
        /// The API's name of the operation.
        endpoint: String,
        /// What it is about: a parcel, an order and event.
        key: String,
    },
    /// It ended.
    CallEnd {
        /// The task that waited for it.
        task: TaskId,
        /// `carrier` or `messenger`.
        api: String,
        /// The API's name of the operation.
        endpoint: String,
        /// What it is about.
        key: String,
        /// How it was understood: `done`, `refused`, `duplicate`, `not-processed`, `unknown`.
        outcome: String,
        /// The HTTP status, when there was one.
        status: Option<u16>,
    },
    /// A caller was told that its order is kept.
    Acknowledged {
        /// The order.
        order: String,
    },
    /// A caller was told that its member is kept.
    SignedUp {
        /// The member.
        member: String,
    },
    /// Work whose lease had run out was taken over.
    LeaseTaken {
        /// The parcel or notification.
        what: String,
        /// Its state then.
        state: String,
    },
    /// A write under an old lease was refused.
    Fenced {
        /// The parcel or notification.
        what: String,
    },
    /// An unknown outcome became known.
    Reconciled {
        /// The parcel.
        parcel: String,
        /// `booked` or `not-booked`.
        to: String,
        /// `resent` or `asked`.
        how: String,
    },
    /// A circuit breaker changed.
    Breaker {
        /// `carrier` or `messenger`.
        api: String,
        /// `closed`, `open` or `half-open`.
        to: String,
    },
    /// No call is made until a moment, since the API said so or banned us.
    QuotaBlocked {
        /// The quota.
        quota: String,
        /// Until when.
        until: Timestamp,
        /// `rate-limited` or `banned`.
        why: String,
    },
    /// Something went to the operator.
    Parked {
        /// The order.
        order: String,
        /// Why.
        reason: String,
    },
}

/// How a step of work goes on, for whoever keeps traces. It is no part of the history, it carries no
/// personal data, and telling it costs nothing where nobody listens.
#[derive(Clone, Copy)]
pub enum Progress<'a> {
    /// The running task begins a step.
    Begun {
        /// Which: `plan`, `book`, `notify`.
        step: &'static str,
        /// The order that it is for, or the member as a [`NoticeKey`] names it; empty for neither.
        ///
        /// [`NoticeKey`]: crate::store::NoticeKey
        about: &'a str,
        /// The parcel, the notification or the order that it works on.
        what: &'a dyn fmt::Display,
        /// Which attempt of the round it is, from 1.
        attempt: u32,
        /// Rounds spent before.
        rounds: u32,
    },
    /// The step's outcome goes to the database.
    Writes {
        /// Its name.
        outcome: &'static str,
    },
    /// The step is over.
    Ended {
        /// What it came to: `moved`, `rested`, `put-back`, `lost`, or what else its caller names.
        came_to: &'static str,
    },
}

/// Who is told. Called inline: an implementation must be quick and must not block.
pub trait Observer: Send + Sync {
    /// `event` happened at `at`.
    fn observe(&self, at: Timestamp, event: Event);

    /// The step of the running task has come so far at `at`. Who keeps no traces leaves it.
    fn progress(&self, _at: Timestamp, _progress: &Progress<'_>) {}
}

/// Nobody.
#[derive(Debug, Default, Clone, Copy)]
pub struct NullObserver;

impl Observer for NullObserver {
    fn observe(&self, _at: Timestamp, _event: Event) {}
}
