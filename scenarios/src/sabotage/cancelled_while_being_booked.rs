//! An order is cancelled by what was read before its booking was answered.

use std::sync::Arc;

use oms_core::policy::{Consequence, OrderPolicy, OrderSnapshot};
use oms_core::saga::SoundOrders;
use oms_core::state::{OrderState, ParcelState};

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "cancelled-while-being-booked",
    family: Family::StaleRead,
    why: "the cancellation reads \"not booked\", so there is nothing to undo, and writes \
          \"cancelled\"; the booking that was under way meanwhile comes through",
    breaks: "books-agree",
    seen_in: &["called-back-over-booking"],
    orders: Some(|| Arc::new(TrustsWhatItRead)),
    ..Sabotage::NONE
};

#[derive(Debug)]
struct TrustsWhatItRead;

impl OrderPolicy for TrustsWhatItRead {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        let sound = SoundOrders.consequence(order);
        let booked = order
            .parcels
            .iter()
            .any(|parcel| matches!(parcel.state, ParcelState::Booked | ParcelState::Cancelling));
        if order.state != OrderState::Cancelling || booked || sound.becomes.is_some() {
            return sound;
        }
        Consequence { becomes: Some(OrderState::Cancelled), ..sound }
    }
}
