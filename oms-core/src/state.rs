//! The three state machines: which states there are, and which edges.
//!
//! ```text
//! parcel        planned → intended → booked | refused | unknown
//!               unknown → booked | planned (proved not booked) | attention
//!               booked → cancelling → cancelled | booked (picked up)
//! notification  queued → sending → sent | refused | unknown;  unknown → sent | queued
//! order         received → accepted | rejected
//!               accepted → shipped | delivery-failed | attention
//!               shipped → completed | notify-failed
//!               accepted | shipped → cancelling → cancelled | shipped
//! ```
//! An operator's `retry` reopens, `resolve` settles; those edges are told apart by [`By`]. A parcel
//! that was never sent is cancelled straight away, a cancellation whose outcome stays unknown goes
//! to `attention`, and a notification whose order is called back before it was sent is `withdrawn`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who walked an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The core itself.
    Core,
    /// A person.
    Operator,
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state of {1}")]
pub struct UnknownState(pub String, pub &'static str);

/// An enum of states with its texts.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident of $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All states, in the order of the flow.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The name in the database, the API and plans.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownState;
            fn from_str(text: &str) -> Result<$name, UnknownState> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err(UnknownState(text.to_owned(), $what)),
                }
            }
        }
    };
}

states! {
    /// Where an order stands.
    OrderState of "an order" {
        /// Taken in, not yet looked at.
        Received = "received",
        /// Will be shipped.
        Accepted = "accepted",
        /// The shop does not take it.
        Rejected = "rejected",
        /// Every parcel is booked.
        Shipped = "shipped",
        /// The carrier refused; nothing is booked.
        DeliveryFailed = "delivery-failed",
        /// Shipped, and the customer was told.
        Completed = "completed",
        /// Shipped, but the customer could not be told.
        NotifyFailed = "notify-failed",
        /// Being called back.
        Cancelling = "cancelling",
        /// Called back; nothing is booked.
        Cancelled = "cancelled",
        /// A person must look.
        Attention = "attention",
    }
}

states! {
    /// Where a parcel stands with the carrier.
    ParcelState of "a parcel" {
        /// To be booked.
        Planned = "planned",
        /// The exact request is written down; it may be under way.
        Intended = "intended",
        /// The carrier has it.
        Booked = "booked",
        /// The carrier refused it.
        Refused = "refused",
        /// Sent, and nobody knows what became of it.
        Unknown = "unknown",
        /// A cancellation is under way.
        Cancelling = "cancelling",
        /// The booking is undone.
        Cancelled = "cancelled",
        /// A person must look.
        Attention = "attention",
    }
}

states! {
    /// Where a notification stands with the gateway.
    NoticeState of "a notification" {
        /// To be sent.
        Queued = "queued",
        /// May be under way.
        Sending = "sending",
        /// The gateway accepted it.
        Sent = "sent",
        /// The gateway refused it, or it was given up.
        Refused = "refused",
        /// Sent, and nobody knows what became of it.
        Unknown = "unknown",
        /// Its order was called back before it was sent.
        Withdrawn = "withdrawn",
    }
}

impl OrderState {
    /// Whether `by` may take an order from here to `to`.
    pub fn may_become(self, to: OrderState, by: By) -> bool {
        use OrderState::*;
        match by {
            By::Core => matches!(
                (self, to),
                (Received, Accepted | Rejected)
                    | (Accepted, Shipped | DeliveryFailed | Attention | Cancelling)
                    | (Shipped, Completed | NotifyFailed | Cancelling)
                    | (Cancelling, Cancelled | Shipped | Attention)
            ),
            By::Operator => matches!(
                (self, to),
                (DeliveryFailed | Attention, Accepted)
                    | (NotifyFailed, Shipped)
                    | (Accepted | Shipped, Cancelling)
                    | (Attention, Shipped | DeliveryFailed | Cancelled)
            ),
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_final(self) -> bool {
        use OrderState::*;
        matches!(self, Rejected | DeliveryFailed | NotifyFailed | Completed | Cancelled)
    }

    /// What the shop's staff reads (the names of the seed text).
    pub const fn korean(self) -> &'static str {
        use OrderState::*;
        match self {
            Received => "주문수집",
            Accepted => "배송접수대기",
            Rejected => "주문거절",
            Shipped => "배송접수완료",
            DeliveryFailed => "배송접수실패",
            Completed => "처리완료",
            NotifyFailed => "알림발송실패",
            Cancelling => "취소처리중",
            Cancelled => "취소완료",
            Attention => "확인필요",
        }
    }
}

impl ParcelState {
    /// Whether `by` may take a parcel from here to `to`.
    pub fn may_become(self, to: ParcelState, by: By) -> bool {
        use ParcelState::*;
        match by {
            By::Core => matches!(
                (self, to),
                (Planned, Intended | Cancelled)
                    | (Intended, Booked | Refused | Unknown)
                    | (Unknown, Booked | Planned | Attention)
                    | (Booked, Cancelling)
                    | (Cancelling, Cancelled | Booked | Attention)
            ),
            By::Operator => matches!(
                (self, to),
                (Refused | Cancelled | Attention, Planned)
                    | (Booked, Cancelling)
                    | (Planned, Cancelled)
                    | (Attention, Booked | Unknown | Refused | Cancelled)
            ),
        }
    }
}

impl NoticeState {
    /// Whether `by` may take a notification from here to `to`.
    pub fn may_become(self, to: NoticeState, by: By) -> bool {
        use NoticeState::*;
        match by {
            By::Core => matches!(
                (self, to),
                (Queued, Sending | Withdrawn)
                    | (Sending, Sent | Refused | Unknown | Withdrawn)
                    | (Unknown, Sent | Queued | Withdrawn)
            ),
            By::Operator => matches!((self, to), (Refused | Unknown | Withdrawn, Queued)),
        }
    }
}
