//! What became of a step, and of its write.

use clockwork::Timestamp;

use super::Intent;

/// What became of a write under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is committed (now, or by an earlier call with the same arguments).
    Done,
    /// Another worker has taken over: nothing was written.
    Fenced,
}

/// What became of a step on a parcel. All but `Intended` give the lease back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParcelOutcome {
    /// `planned → intended`: the request is about to be sent; the lease is kept.
    Intended(Intent),
    /// The carrier has it.
    Booked,
    /// The carrier refused it for good.
    Refused {
        /// The carrier's words.
        reason: String,
    },
    /// Sent, and nobody knows.
    Unknown {
        /// What was seen.
        reason: String,
        /// The last moment at which a request may have been sent.
        sent_until: Timestamp,
        /// When to look again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// `unknown → planned`: proved not booked. The intent is kept, so the same bytes are sent.
    NotBooked {
        /// How it was proved.
        reason: String,
        /// When to book again.
        retry_at: Timestamp,
    },
    /// No change: it certainly did not happen; later again.
    PutBack {
        /// Why.
        reason: String,
        /// When to try again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// A person must look.
    Attention {
        /// Why.
        reason: String,
    },
    /// The booking is undone.
    Cancelled,
    /// The carrier has picked it up already: it stays booked.
    PickedUp,
}

/// Attempts in this round, and rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// Attempts spent in this round.
    pub attempts: u32,
    /// Rounds spent.
    pub rounds: u32,
}

/// What became of a step on a notification. All give the lease back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// The gateway accepted it, now or before (then without its message key).
    Sent {
        /// The gateway's key of the message, learnt from reports when `None`.
        msg_key: Option<String>,
    },
    /// The gateway refused it for good, or it was given up before it was ever sent.
    Refused {
        /// The gateway's words.
        reason: String,
    },
    /// Sent, and nobody knows.
    Unknown {
        /// What was seen.
        reason: String,
        /// When to ask again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// `unknown → queued`: proved not sent.
    NotSent {
        /// How it was proved.
        reason: String,
        /// When to send again.
        retry_at: Timestamp,
    },
    /// No change: it certainly did not happen; later again.
    PutBack {
        /// Why.
        reason: String,
        /// When to try again.
        retry_at: Timestamp,
        /// Counters after this step.
        tries: Tries,
    },
    /// Given up while unknown: the notification stays `unknown`, its order is `notify-failed`.
    GivenUp {
        /// Why.
        reason: String,
    },
}

/// The fate of a message, as the gateway reports it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The gateway's key of the message.
    pub msg_key: String,
    /// Our reference, as the request carried it: `ORD-1:shipped`.
    pub reference: String,
    /// The gateway's code; `10000` is delivered.
    pub code: String,
    /// `alimtalk` or `sms`.
    pub channel: String,
    /// When the gateway says it happened.
    pub reported_at: Option<Timestamp>,
}
