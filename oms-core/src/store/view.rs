//! What is read: orders as they are shown, counts, and everything that a judge reads.

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{By, NoticeState, OrderState, ParcelState};

/// An order as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: OrderState,
    /// Why, if it is not going well.
    pub reason: Option<String>,
    /// When it was taken in.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its parcels.
    pub parcels: Vec<ParcelView>,
    /// Its notifications.
    pub notices: Vec<NoticeView>,
}

/// A parcel as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelView {
    /// Its number, from 1.
    pub number: u32,
    /// Where it stands.
    pub state: ParcelState,
    /// The carrier's reference, once one is written down.
    pub cust_use_no: Option<String>,
    /// 운송장번호, once one is written down.
    pub invoice_no: Option<String>,
    /// Why, if it is not going well.
    pub reason: Option<String>,
    /// Since when its outcome is unknown.
    pub unknown_since: Option<Timestamp>,
}

/// A notification as it is shown; with the log of its sending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    /// What is told.
    pub event: String,
    /// Where it stands.
    pub state: NoticeState,
    /// The gateway's key of the message.
    pub msg_key: Option<String>,
    /// The gateway's code of the delivery, once reported.
    pub report_code: Option<String>,
    /// The channel of the delivery, once reported.
    pub report_channel: Option<String>,
    /// Why, if it is not going well.
    pub reason: Option<String>,
}

/// A member as it is shown. It holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its id.
    pub id: String,
    /// When it signed up, if its own row is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Whether its profile is there.
    pub profile: bool,
    /// The consents that are written down, given or not, by name.
    pub consents: Vec<String>,
    /// Its notifications.
    pub notices: Vec<NoticeView>,
}

impl MemberView {
    /// Whether its own row is there, and not only what belongs to it.
    pub fn is_registered(&self) -> bool {
        self.created_at.is_some()
    }
}

/// Which orders to list, by id.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<OrderState>,
    /// Only with a parcel in this state.
    pub parcel_state: Option<ParcelState>,
    /// Only after this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// How many of each, and what is oldest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Census {
    /// Orders by state.
    pub orders: std::collections::BTreeMap<OrderState, u64>,
    /// Parcels by state.
    pub parcels: std::collections::BTreeMap<ParcelState, u64>,
    /// Notifications by state.
    pub notices: std::collections::BTreeMap<NoticeState, u64>,
    /// Members.
    #[serde(default)]
    pub members: u64,
    /// Welcome messages about which something is still to be done.
    #[serde(default)]
    pub welcomes: u64,
    /// Leases that are held.
    pub leases: u64,
    /// Since when the oldest unknown outcome is unknown.
    pub oldest_unknown: Option<Timestamp>,
}

/// One walked edge of a state machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Its place in the log.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// `order`, `parcel` or `notice`.
    pub entity: String,
    /// `ORD-1`, `ORD-1/1`, `ORD-1:shipped` or `member:MEM-1:welcome`.
    pub key: String,
    /// From; `None` at its birth.
    pub from: Option<String>,
    /// To.
    pub to: String,
    /// Who.
    pub by: By,
}

/// An operator's action, as the audit has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// When.
    pub at: Timestamp,
    /// The order; of a member, `member:` and its id.
    pub order: String,
    /// `retry`, `cancel`, `resolve booked`, `resolve parcel 2 not-booked`.
    pub action: String,
    /// Who.
    pub by: String,
    /// The state that it led to, `message-queued`, or `refused: ` and why.
    pub answer: String,
}

/// Everything that a judge reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    /// All orders, by id.
    pub orders: Vec<OrderView>,
    /// All members, by id; also those of which only a part is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberView>,
    /// All walked edges, in order.
    pub transitions: Vec<Transition>,
}
