//! The customer is told as soon as the booking's request is written down.

use std::sync::Arc;

use oms_core::policy::{Consequence, OrderPolicy, OrderSnapshot};
use oms_core::saga::{SHIPPED, SoundOrders};
use oms_core::state::{OrderState, ParcelState};

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "told-before-booked",
    family: Family::OutboxOrder,
    why: "`setStatus(SHIPPED)` and `outbox.add(...)` stand before the call to the carrier, since \
          the invoice number is known by then",
    breaks: "no-false-notification",
    seen_in: &["seed-batch"],
    orders: Some(|| Arc::new(Hasty)),
    ..Sabotage::NONE
};

#[derive(Debug)]
struct Hasty;

impl OrderPolicy for Hasty {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        let on_its_way = |state| !matches!(state, ParcelState::Planned | ParcelState::Refused);
        let all = order.parcels.iter().all(|parcel| on_its_way(parcel.state));
        if order.state == OrderState::Accepted && all && order.notices.is_empty() {
            let becomes = Some(OrderState::Shipped);
            let notify = vec![SHIPPED.to_owned()];
            return Consequence { becomes, notify, ..Consequence::default() };
        }
        SoundOrders.consequence(order)
    }
}
