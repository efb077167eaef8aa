//! A message that cannot be sent takes the booking with it.

use std::sync::Arc;

use oms_core::policy::{Consequence, OrderPolicy, OrderSnapshot};
use oms_core::saga::SoundOrders;
use oms_core::state::{OrderState, ParcelState};

use super::{Family, Sabotage};

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "notification-failure-undoes-delivery",
    family: Family::OneBadOrder,
    why: "the saga's framework compensates all steps when the last one fails, and telling the \
          customer is its last step",
    breaks: "delivery-survives-notification",
    seen_in: &["message-refused"],
    orders: Some(|| Arc::new(UndoesAll)),
    ..Sabotage::NONE
};

#[derive(Debug)]
struct UndoesAll;

impl OrderPolicy for UndoesAll {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        let sound = SoundOrders.consequence(order);
        if sound.becomes != Some(OrderState::NotifyFailed) {
            return sound;
        }
        let booked = order.parcels.iter().filter(|parcel| parcel.state == ParcelState::Booked);
        let undone = booked.map(|parcel| (parcel.number, ParcelState::Cancelling));
        Consequence { parcels: undone.collect(), ..sound }
    }
}
