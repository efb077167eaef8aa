//! What follows for an order when one of its parcels or notifications has changed.
//!
//! A bundle of parcels is a saga: booked whole, or compensated until nothing is booked, or with the
//! operator. The decision is a pure function of the order's snapshot, taken inside the transaction
//! of the change, so that cause and consequence commit together.

use crate::policy::{Consequence, NoticeSnapshot, OrderPolicy, OrderSnapshot, ParcelSnapshot};
use crate::state::{NoticeState, OrderState, ParcelState};

/// The event that tells the customer of the shipment.
pub const SHIPPED: &str = "shipped";

/// The recommended consequences.
#[derive(Debug, Default, Clone, Copy)]
pub struct SoundOrders;

impl OrderPolicy for SoundOrders {
    fn consequence(&self, order: &OrderSnapshot) -> Consequence {
        match order.state {
            OrderState::Accepted => booking(order),
            OrderState::Shipped => telling(order),
            OrderState::Cancelling => calling_back(order),
            _ => Consequence::default(),
        }
    }
}

/// An accepted order: shipped when the last parcel is booked, undone when one is refused.
fn booking(order: &OrderSnapshot) -> Consequence {
    if any(order, ParcelState::Attention) {
        return becomes(OrderState::Attention);
    }
    if order.parcels.iter().all(|parcel| parcel.state == ParcelState::Booked) {
        let notify = if order.notices.is_empty() { vec![SHIPPED.to_owned()] } else { Vec::new() };
        return Consequence { notify, ..becomes(OrderState::Shipped) };
    }
    if any(order, ParcelState::Refused) || any(order, ParcelState::Cancelled) {
        return undo(order, OrderState::DeliveryFailed, OrderState::Attention);
    }
    Consequence::default()
}

/// A shipped order ends when its notifications have ended.
fn telling(order: &OrderSnapshot) -> Consequence {
    use NoticeState::{Refused, Sent};
    if order.notices.is_empty() {
        // Called back before it was shipped, and then the carrier kept it all the same.
        return Consequence { notify: vec![SHIPPED.to_owned()], ..Consequence::default() };
    }
    let failed = |notice: &NoticeSnapshot| notice.given_up || notice.state == Refused;
    if !order.notices.iter().all(|notice| failed(notice) || notice.state == Sent) {
        return Consequence::default();
    }
    match order.notices.iter().any(failed) {
        true => becomes(OrderState::NotifyFailed),
        false => becomes(OrderState::Completed),
    }
}

/// An order that is called back: nothing is booked at the end, or all was picked up before.
fn calling_back(order: &OrderSnapshot) -> Consequence {
    if any(order, ParcelState::Attention) {
        return becomes(OrderState::Attention);
    }
    let kept = |parcel: &ParcelSnapshot| parcel.state == ParcelState::Booked && parcel.picked_up;
    if order.parcels.iter().all(kept) {
        return becomes(OrderState::Shipped);
    }
    let mut next = undo(order, OrderState::Cancelled, OrderState::Attention);
    if next.becomes == Some(OrderState::Cancelled) {
        let open = |notice: &&NoticeSnapshot| {
            use NoticeState::{Queued, Sending, Unknown};
            matches!(notice.state, Queued | Sending | Unknown)
        };
        next.withdraw = order.notices.iter().filter(open).map(|n| n.event.clone()).collect();
    }
    next
}

/// Compensates what is booked; once at rest the order is `undone`, or `stuck` with a parcel that
/// was picked up.
fn undo(order: &OrderSnapshot, undone: OrderState, stuck: OrderState) -> Consequence {
    let mut next = Consequence::default();
    let mut at_rest = true;
    for parcel in &order.parcels {
        match parcel.state {
            ParcelState::Planned => next.parcels.push((parcel.number, ParcelState::Cancelled)),
            ParcelState::Booked if !parcel.picked_up => {
                next.parcels.push((parcel.number, ParcelState::Cancelling));
                at_rest = false;
            }
            ParcelState::Intended | ParcelState::Unknown | ParcelState::Cancelling => {
                at_rest = false;
            }
            _ => {}
        }
    }
    if at_rest {
        next.becomes = Some(if any(order, ParcelState::Booked) { stuck } else { undone });
    }
    next
}

fn any(order: &OrderSnapshot, state: ParcelState) -> bool {
    order.parcels.iter().any(|parcel| parcel.state == state)
}

fn becomes(state: OrderState) -> Consequence {
    Consequence { becomes: Some(state), ..Consequence::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(state: OrderState, parcels: &[ParcelState]) -> OrderSnapshot {
        let parcels = (1..).zip(parcels).map(|(number, state)| ParcelSnapshot {
            number,
            state: *state,
            picked_up: false,
        });
        OrderSnapshot { state, parcels: parcels.collect(), notices: Vec::new() }
    }

    #[test]
    fn a_bundle_ships_only_when_its_last_parcel_is_booked() {
        use ParcelState::{Booked, Intended};
        let half = order(OrderState::Accepted, &[Booked, Intended]);
        assert_eq!(SoundOrders.consequence(&half), Consequence::default());
        let whole = SoundOrders.consequence(&order(OrderState::Accepted, &[Booked, Booked]));
        assert_eq!(whole.becomes, Some(OrderState::Shipped));
        assert_eq!(whole.notify, [SHIPPED]);
    }

    #[test]
    fn a_refused_parcel_calls_its_siblings_back_before_the_order_fails() {
        use ParcelState::{Booked, Cancelled, Cancelling, Planned, Refused, Unknown};
        let next =
            SoundOrders.consequence(&order(OrderState::Accepted, &[Refused, Booked, Planned]));
        assert_eq!(next.parcels, [(2, Cancelling), (3, Cancelled)]);
        assert_eq!(next.becomes, None, "not while one is booked");
        let waits = SoundOrders.consequence(&order(OrderState::Accepted, &[Refused, Unknown]));
        assert_eq!(waits.becomes, None, "not while one is unknown");
        let undone = SoundOrders.consequence(&order(OrderState::Accepted, &[Refused, Cancelled]));
        assert_eq!(undone.becomes, Some(OrderState::DeliveryFailed));
    }

    #[test]
    fn a_parcel_picked_up_before_its_cancellation_brings_a_bundle_to_the_operator() {
        let mut bundle = order(OrderState::Accepted, &[ParcelState::Refused, ParcelState::Booked]);
        bundle.parcels[1].picked_up = true;
        let next = SoundOrders.consequence(&bundle);
        assert_eq!(next.becomes, Some(OrderState::Attention));
        assert!(next.parcels.is_empty(), "it is not cancelled again");
    }

    #[test]
    fn an_order_called_back_is_cancelled_or_stays_shipped() {
        let cancelled = order(OrderState::Cancelling, &[ParcelState::Cancelled]);
        assert_eq!(SoundOrders.consequence(&cancelled).becomes, Some(OrderState::Cancelled));
        let mut kept = order(OrderState::Cancelling, &[ParcelState::Booked]);
        assert_eq!(SoundOrders.consequence(&kept).parcels, [(1, ParcelState::Cancelling)]);
        kept.parcels[0].picked_up = true;
        assert_eq!(SoundOrders.consequence(&kept).becomes, Some(OrderState::Shipped));
    }

    #[test]
    fn an_order_is_not_completed_before_its_customer_was_told() {
        let kept = order(OrderState::Shipped, &[ParcelState::Booked]);
        let next = SoundOrders.consequence(&kept);
        assert_eq!((next.becomes, next.notify), (None, vec![SHIPPED.to_owned()]));
    }

    #[test]
    fn a_message_given_up_leaves_the_shipment_alone() {
        let mut shipped = order(OrderState::Shipped, &[ParcelState::Booked]);
        let notice =
            |state, given_up| NoticeSnapshot { event: SHIPPED.to_owned(), state, given_up };
        shipped.notices = vec![notice(NoticeState::Unknown, true)];
        let next = SoundOrders.consequence(&shipped);
        assert_eq!(next, becomes(OrderState::NotifyFailed));
        shipped.notices = vec![notice(NoticeState::Unknown, false)];
        assert_eq!(SoundOrders.consequence(&shipped), Consequence::default());
    }
}
