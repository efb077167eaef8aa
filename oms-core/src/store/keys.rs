//! Which row it is, and the right to work on it.

use std::fmt;

use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

/// One parcel of one order. Displays as `ORD-1/1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ParcelKey {
    /// The order.
    pub order: String,
    /// The parcel's number in it, from 1.
    pub number: u32,
}

impl fmt::Display for ParcelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.order, self.number)
    }
}

/// One notification: an order or a member, and what is told of it. Displays as `ORD-1:shipped`,
/// `member:MEM-1:welcome`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoticeKey {
    /// The order; or a member, as `member:` and its id, which no order's id can be.
    pub order: String,
    /// What is told: `shipped`, `welcome`.
    pub event: String,
}

/// What stands before a member's id where an order's may stand too.
pub(super) const MEMBER_PREFIX: &str = "member:";

impl NoticeKey {
    /// What is told of a member.
    pub fn of_member(id: &str, event: &str) -> NoticeKey {
        NoticeKey { order: format!("{MEMBER_PREFIX}{id}"), event: event.to_owned() }
    }

    /// The member's id, if it is about a member.
    pub fn member(&self) -> Option<&str> {
        member_of(&self.order)
    }
}

/// The member's id, if `about` names a member where it could name an order.
pub(crate) fn member_of(about: &str) -> Option<&str> {
    about.strip_prefix(MEMBER_PREFIX)
}

impl fmt::Display for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.order, self.event)
    }
}

/// The right to work on one row until a moment.
///
/// `token` is the fencing token: it grows with each claim, and a write under an older one is
/// refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who works on it.
    pub worker: String,
    /// The fencing token.
    pub token: i64,
    /// Until when.
    pub until: Timestamp,
}

/// A row that is worked on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A parcel.
    Parcel(ParcelKey),
    /// A notification.
    Notice(NoticeKey),
}
