//! The booking is written, its notification is not.

use std::sync::Arc;

use oms_core::policy::{Consequence, OrderPolicy, OrderSnapshot};
use oms_core::saga::SoundOrders;

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "outbox-dropped",
    family: Family::OutboxOrder,
    why: "the outbox row is written by another call than the booking's record, and that call was \
          lost in a merge",
    breaks: "everything-settles",
    seen_in: &["seed-batch"],
    orders: Some(|| Arc::new(Forgetful)),
    ..Sabotage::NONE
};

#[derive(Debug)]
struct Forgetful;

impl OrderPolicy for Forgetful {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        Consequence { notify: Vec::new(), ..SoundOrders.consequence(order) }
    }
}
