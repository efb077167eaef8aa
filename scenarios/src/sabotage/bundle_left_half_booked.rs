//! A refused parcel fails its order, and nobody calls its siblings back.

use std::sync::Arc;

use oms_core::policy::{Consequence, OrderPolicy, OrderSnapshot};
use oms_core::saga::SoundOrders;
use oms_core::state::{OrderState, ParcelState};

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "bundle-left-half-booked",
    family: Family::CompensationForgotten,
    why: "the loop over the parcels throws at the refused one, and the handler fails the order; \
          what the loop had booked by then is nobody's concern",
    breaks: "all-or-nothing",
    seen_in: &["bundle-refused"],
    orders: Some(|| Arc::new(WalksAway)),
    ..Sabotage::NONE
};

#[derive(Debug)]
struct WalksAway;

impl OrderPolicy for WalksAway {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        let refused = order.parcels.iter().any(|parcel| parcel.state == ParcelState::Refused);
        if order.state == OrderState::Accepted && refused {
            let becomes = Some(OrderState::DeliveryFailed);
            return Consequence { becomes, ..Consequence::default() };
        }
        SoundOrders.consequence(order)
    }
}
