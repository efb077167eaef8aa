//! What is old and at its end is forgotten, and known again.

use oms_core::state::OrderState;
use oms_core::store::{Ingested, Page, Prune, Pruned, Store};

use crate::members::member;
use crate::support::{at, ingest, intend, notice, order, order_state, parcel, sent, shipped, told};

const LATER: u64 = 1_000;

/// An order that is at its end.
async fn completed(store: &dyn Store, id: &str) {
    shipped(store, id).await;
    let work = notice(store, at(0)).await;
    told(store, &work, sent(id), at(0)).await;
    assert_eq!(order_state(store, id).await, OrderState::Completed);
}

/// Prunes all pages of so many rows: how many orders and entries went.
async fn prune(store: &dyn Store, before: u64, limit: usize) -> (u64, u64) {
    let mut page = Some(Page::default());
    let mut gone = (0, 0);
    while let Some(from) = page {
        let prune = Prune { before: at(before), from, limit, now: at(LATER) };
        let Pruned { orders, entries, next } = store.prune(&prune).await.unwrap();
        gone = (gone.0 + orders, gone.1 + entries);
        page = next;
    }
    gone
}

pub async fn an_old_order_at_its_end_is_forgotten_and_known_again(store: &dyn Store) {
    completed(store, "A").await;
    let walked = store.rows().await.unwrap().transitions.len();
    assert_eq!(prune(store, LATER, 100).await, (1, walked as u64));
    assert_eq!(store.order("A").await.unwrap(), None);
    let rows = store.rows().await.unwrap();
    assert!(rows.orders.is_empty() && rows.transitions.is_empty(), "{rows:?}");
    let again = store.ingest(&order("A", 1), None, at(LATER)).await.unwrap();
    assert_eq!(again, Ingested::Same(OrderState::Completed), "not shipped twice");
    let other = store.ingest(&order("A", 2), None, at(LATER)).await.unwrap();
    assert_eq!(other, Ingested::Conflict);
    assert!(store.order("A").await.unwrap().is_none());
    assert_eq!(prune(store, LATER, 100).await, (0, 0));
}

pub async fn what_is_young_or_under_way_is_kept(store: &dyn Store) {
    completed(store, "A").await;
    ingest(store, "B", 1).await;
    let work = parcel(store, at(1)).await;
    intend(store, &work, at(1)).await;
    assert_eq!(prune(store, 0, 100).await, (0, 0), "nothing is older than the first moment");
    let before = store.rows().await.unwrap();
    assert_eq!(prune(store, LATER, 100).await.0, 1);
    let after = store.rows().await.unwrap();
    assert_eq!(after.orders, before.orders[1..], "an order under way is as it was");
    let of_b = before.transitions.iter().filter(|edge| edge.key.starts_with('B'));
    assert!(after.transitions.iter().eq(of_b), "{:?}", after.transitions);
}

pub async fn many_are_forgotten_page_by_page(store: &dyn Store) {
    for id in ["A", "B", "C", "D", "E"] {
        completed(store, id).await;
    }
    let prune_one = Prune { before: at(LATER), from: Page::default(), limit: 2, now: at(LATER) };
    let first = store.prune(&prune_one).await.unwrap();
    assert_eq!((first.orders, first.next), (2, Some(Page::Orders("B".to_owned()))));
    let again = store.prune(&prune_one).await.unwrap();
    assert_eq!(again.orders, 2, "what is gone is not found again");
    assert_eq!(prune(store, LATER, 2).await.0, 1);
    assert!(store.rows().await.unwrap().transitions.is_empty());
}

pub async fn members_are_kept(store: &dyn Store) {
    let member = member("A", "010-1234-5678");
    store.sign_up(&member, at(0)).await.unwrap();
    let work = notice(store, at(0)).await;
    told(store, &work, sent("M"), at(0)).await;
    completed(store, "A").await;
    assert_eq!(prune(store, LATER, 100).await.0, 1);
    let rows = store.rows().await.unwrap();
    assert_eq!(rows.members.len(), 1);
    assert!(rows.transitions.iter().all(|edge| edge.key.starts_with("member:A:")));
    assert!(!rows.transitions.is_empty());
}
