//! Orders of several parcels: what follows for one from another.

use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{ParcelOutcome, ParcelWork, Store, Written};

use crate::support::{
    at, attention, book, claim, ingest, intend, intent, invoices, notice, order_state, parcel,
    parcel_states, parcels, refused, settle, unknown, view, walked,
};

async fn bundle(store: &dyn Store, id: &str, count: u32) -> Vec<ParcelWork> {
    ingest(store, id, count).await;
    parcels(store, at(0)).await.work
}

pub async fn a_bundle_ships_with_its_last_parcel_and_its_outbox_row_in_one_commit(
    store: &dyn Store,
) {
    let work = bundle(store, "A", 2).await;
    book(store, &work[0], at(1)).await;
    assert_eq!(order_state(store, "A").await, OrderState::Accepted);
    assert!(store.claim_notices(claim("w1", at(1))).await.unwrap().work.is_empty());
    book(store, &work[1], at(2)).await;
    let shipped = view(store, "A").await;
    assert_eq!((shipped.state, shipped.updated_at), (OrderState::Shipped, at(2)));
    assert_eq!(shipped.notices[0].state, NoticeState::Queued);
    let notice = notice(store, at(2)).await;
    assert_eq!(invoices(&notice), ["INV-A-1", "INV-A-2"]);
    assert_eq!(notice.key.to_string(), "A:shipped");
}

pub async fn a_refused_parcel_calls_its_siblings_back_before_the_order_fails(store: &dyn Store) {
    let work = bundle(store, "A", 3).await;
    book(store, &work[0], at(1)).await;
    intend(store, &work[1], at(1)).await;
    settle(store, &work[1], refused("ORA-01400"), at(2)).await;
    use ParcelState::{Cancelled, Cancelling, Refused};
    assert_eq!(parcel_states(store, "A").await, [Cancelling, Refused, Cancelled]);
    assert_eq!(order_state(store, "A").await, OrderState::Accepted, "not while one is booked");

    let undoing = parcel(store, at(2)).await;
    assert_eq!((undoing.state, undoing.attempts), (Cancelling, 0));
    assert_eq!(undoing.intent, Some(intent(&work[0])), "what is cancelled is what was booked");
    settle(store, &undoing, ParcelOutcome::Cancelled, at(3)).await;
    let failed = view(store, "A").await;
    assert_eq!(failed.state, OrderState::DeliveryFailed);
    assert_eq!(failed.reason.as_deref(), Some("parcel 2: ORA-01400"));
    assert!(failed.notices.is_empty(), "nobody is told of a shipment");
    assert_eq!(parcels(store, at(1000)).await.next_due, None);
    assert_eq!(walked(store, "A").await, ["received", "accepted", "delivery-failed"]);
}

pub async fn a_worker_on_a_parcel_that_is_not_wanted_any_more_is_fenced_off(store: &dyn Store) {
    let work = bundle(store, "A", 2).await;
    intend(store, &work[0], at(1)).await;
    settle(store, &work[0], refused("no"), at(1)).await;
    assert_eq!(order_state(store, "A").await, OrderState::DeliveryFailed);
    let late = ParcelOutcome::Intended(intent(&work[1]));
    let written = store.settle_parcel(&work[1], late, at(2)).await.unwrap();
    assert_eq!(written, Written::Fenced, "it must not be sent");
    assert_eq!(parcel_states(store, "A").await[1], ParcelState::Cancelled);
}

pub async fn a_parcel_picked_up_before_its_cancellation_goes_to_the_operator(store: &dyn Store) {
    let work = bundle(store, "A", 2).await;
    book(store, &work[0], at(1)).await;
    intend(store, &work[1], at(1)).await;
    settle(store, &work[1], refused("no"), at(1)).await;
    let undoing = parcel(store, at(1)).await;
    settle(store, &undoing, ParcelOutcome::PickedUp, at(2)).await;
    use ParcelState::{Booked, Refused};
    assert_eq!(parcel_states(store, "A").await, [Booked, Refused]);
    let stuck = view(store, "A").await;
    assert_eq!(stuck.state, OrderState::Attention);
    assert!(stuck.reason.unwrap().contains("picked up"));
    assert_eq!(parcels(store, at(1000)).await.next_due, None, "it is not cancelled again");
}

pub async fn the_planned_parcels_of_an_order_in_attention_wait_for_a_person(store: &dyn Store) {
    let work = bundle(store, "A", 3).await;
    intend(store, &work[0], at(0)).await;
    intend(store, &work[1], at(0)).await;
    settle(store, &work[0], unknown(at(1), at(5)), at(1)).await;
    let asked = parcel(store, at(5)).await;
    settle(store, &asked, attention("nobody can tell"), at(6)).await;
    let order = view(store, "A").await;
    assert_eq!(order.state, OrderState::Attention);
    assert_eq!(order.reason.as_deref(), Some("parcel 1: nobody can tell"));
    assert_eq!(order.parcels[0].unknown_since, Some(at(1)), "it is still not known");

    let held = ParcelOutcome::Intended(intent(&work[2]));
    let written = store.settle_parcel(&work[2], held, at(7)).await.unwrap();
    assert_eq!(written, Written::Fenced, "it was not sent yet, and must not be now");
    settle(store, &work[1], ParcelOutcome::Booked, at(7)).await;
    let idle = parcels(store, at(1000)).await;
    assert!(idle.work.is_empty() && idle.next_due.is_none(), "{idle:?}");
}
