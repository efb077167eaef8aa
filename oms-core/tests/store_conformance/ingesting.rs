//! Orders taken in.

use oms_core::state::{OrderState, ParcelState};
use oms_core::store::{Ingested, Store};

use crate::support::{at, order, order_state, parcels, view, walked};

pub async fn an_order_is_kept_with_its_parcels(store: &dyn Store) {
    let ingested = store.ingest(&order("A", 2), None, at(0)).await.unwrap();
    assert_eq!(ingested, Ingested::Created(OrderState::Accepted));
    let view = view(store, "A").await;
    assert_eq!((view.state, view.created_at), (OrderState::Accepted, at(0)));
    let numbers: Vec<_> = view.parcels.iter().map(|parcel| parcel.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert!(view.notices.is_empty());
    assert_eq!(walked(store, "A").await, ["received", "accepted"]);
    assert_eq!(walked(store, "A/2").await, ["planned"]);

    let claimed = parcels(store, at(0)).await;
    assert_eq!(claimed.work.len(), 2);
    assert_eq!(claimed.work[0].order, order("A", 2), "the order comes back as it went in");
    assert_eq!(claimed.work[0].state, ParcelState::Planned);
    assert_eq!(claimed.work[0].intent, None);
}

pub async fn the_same_order_again_changes_nothing_and_another_content_is_a_conflict(
    store: &dyn Store,
) {
    store.ingest(&order("A", 1), None, at(0)).await.unwrap();
    let again = store.ingest(&order("A", 1), None, at(5)).await.unwrap();
    assert_eq!(again, Ingested::Same(OrderState::Accepted));
    let other = store.ingest(&order("A", 2), None, at(5)).await.unwrap();
    assert_eq!(other, Ingested::Conflict);
    assert_eq!(view(store, "A").await.parcels.len(), 1);
    assert_eq!(walked(store, "A").await.len(), 2, "nothing was logged again");
}

pub async fn a_rejected_order_is_kept_with_its_reason_and_no_work(store: &dyn Store) {
    let why = Some("no delivery to 63000".to_owned());
    let ingested = store.ingest(&order("A", 1), why.clone(), at(0)).await.unwrap();
    assert_eq!(ingested, Ingested::Created(OrderState::Rejected));
    let again = store.ingest(&order("A", 1), why.clone(), at(0)).await.unwrap();
    assert_eq!(again, Ingested::Same(OrderState::Rejected));
    assert_eq!(order_state(store, "A").await, OrderState::Rejected);
    assert_eq!(view(store, "A").await.reason, why);
    assert_eq!(walked(store, "A").await, ["received", "rejected"]);
    let claimed = parcels(store, at(100)).await;
    assert!(claimed.work.is_empty() && claimed.next_due.is_none());
}
