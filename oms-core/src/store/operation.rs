//! What an operator does.

use clockwork::Timestamp;

use super::keys::MEMBER_PREFIX;
use crate::state::OrderState;

/// What an operator does to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tries again what failed or was parked; of a member, a welcome message that failed.
    Retry,
    /// States what truly happened to a parked parcel (all parked ones when no number is given).
    Resolve {
        /// Which parcel.
        parcel: Option<u32>,
        /// True: the carrier has it; false: it has not, and will not.
        booked: bool,
    },
    /// Calls the order back.
    Cancel,
}

/// An operator's action with its author, as the audit keeps it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The order; `member:` and its id of a member, whose messages alone can be tried again.
    pub order: String,
    /// What to do.
    pub action: Action,
    /// Who.
    pub by: String,
    /// Now.
    pub now: Timestamp,
}

impl Operation {
    /// Whether it is one on a member's messages.
    pub(crate) fn is_on_member(&self) -> bool {
        self.action == Action::Retry && self.order.starts_with(MEMBER_PREFIX)
    }
}

/// The answer to an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operated {
    /// Done; the order's state now.
    Done(OrderState),
    /// Done; the member's message is sent again.
    MessageQueued,
    /// There is no such order.
    NotFound,
    /// The order's state does not allow it.
    Refused(String),
}
