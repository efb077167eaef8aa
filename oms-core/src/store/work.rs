//! What a claim brings: rows that are due, with all that a step needs.

use std::fmt;

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Lease, NoticeKey, ParcelKey};
use crate::order::Order;
use crate::state::{NoticeState, ParcelState};

/// The exact request to the carrier, written down before it is sent.
///
/// A retry sends the same bytes, also after midnight in Seoul.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// 운송장번호: the only invoice number ever used for this parcel.
    pub invoice_no: String,
    /// The carrier's reception date, `YYYYMMDD` in Seoul.
    pub rcpt_ymd: String,
    /// The carrier's customer reference of this parcel.
    pub cust_use_no: String,
    /// The carrier's key of the parcel.
    pub mpck_key: String,
    /// `DATA` of `RegBook` as JSON, all but the token.
    pub request: String,
}

/// Which rows to claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who claims.
    pub worker: String,
    /// Now.
    pub now: Timestamp,
    /// The end of the lease.
    pub until: Timestamp,
    /// At most so many rows.
    pub limit: usize,
}

/// What a claim brought.
#[derive(Debug, Clone)]
pub struct Claimed<W> {
    /// The work, oldest due first.
    pub work: Vec<W>,
    /// When the next row falls due, if any waits.
    pub next_due: Option<Timestamp>,
    /// What was taken over from a worker whose lease had run out: its key, and its state then.
    pub taken: Vec<(String, String)>,
}

/// A parcel to work on.
#[derive(Debug, Clone)]
pub struct ParcelWork {
    /// Which.
    pub key: ParcelKey,
    /// Its order.
    pub order: Order,
    /// Its state now (after the claim).
    pub state: ParcelState,
    /// The request written down, if any.
    pub intent: Option<Intent>,
    /// The right to work on it.
    pub lease: Lease,
    /// Attempts spent in this round.
    pub attempts: u32,
    /// Rounds spent.
    pub rounds: u32,
    /// The last moment at which a request of unknown outcome may have been sent, if one may have
    /// been. Kept while the parcel is booked: such a request may still arrive.
    pub sent_until: Option<Timestamp>,
    /// Since when the outcome is unknown; of a cancellation, since its first try.
    pub unknown_since: Option<Timestamp>,
}

/// What a notification tells of, and so to whom.
#[derive(Debug, Clone)]
pub enum About {
    /// A shipped order.
    Order {
        /// The order.
        order: Order,
        /// The invoice numbers of its parcels, by parcel number.
        invoices: Vec<String>,
    },
    /// A new member.
    Member(Recipient),
}

/// Who is told, where the notification needs no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Full name.
    pub name: String,
    /// A Korean phone number, digits only.
    pub phone: String,
}

// Personal data stays out of every log.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient(..)")
    }
}

/// A notification to work on.
#[derive(Debug, Clone)]
pub struct NoticeWork {
    /// Which.
    pub key: NoticeKey,
    /// What it tells of.
    pub about: About,
    /// Its state now (after the claim): `sending`, or `unknown` while it is asked again.
    pub state: NoticeState,
    /// The right to work on it.
    pub lease: Lease,
    /// Attempts spent in this round.
    pub attempts: u32,
    /// Rounds spent.
    pub rounds: u32,
    /// When the first request may have been sent; the gateway remembers keys for a time from then.
    pub first_sent_at: Option<Timestamp>,
}
