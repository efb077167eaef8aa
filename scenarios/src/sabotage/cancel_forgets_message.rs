//! An order is called back, and the message that says "shipped" goes out all the same.

use std::sync::Arc;

use oms_core::policy::{Consequence, OrderPolicy, OrderSnapshot};
use oms_core::saga::SoundOrders;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "cancel-forgets-message",
    family: Family::CompensationForgotten,
    why: "the cancellation undoes the booking; that a message is still waiting is known to \
          another module",
    breaks: "no-false-notification",
    seen_in: &["called-back"],
    orders: Some(|| Arc::new(NeverWithdraws)),
    ..Sabotage::NONE
};

#[derive(Debug)]
struct NeverWithdraws;

impl OrderPolicy for NeverWithdraws {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        Consequence { withdraw: Vec::new(), ..SoundOrders.consequence(order) }
    }
}
