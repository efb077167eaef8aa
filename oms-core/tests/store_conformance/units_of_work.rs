//! Transactions held on purpose.

use std::future::Future;

use oms_core::env::Hands;
use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{Error, NoticeKey, ParcelOutcome, Store, UnitOfWork, Written};

use crate::support::{
    at, hands, ingest, intend, intent, notice, notice_state, order_state, parcel, parcel_states,
    parcels, sent, settle, shipped, walked,
};

fn shipped_notice(id: &str) -> NoticeKey {
    NoticeKey { order: id.to_owned(), event: "shipped".to_owned() }
}

pub async fn a_unit_of_work_commits_all_of_it_at_its_end(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    let mut hands = hands();
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_parcel(&work, ParcelOutcome::Booked, at(1));
    unit.settle_notice(&shipped_notice("A"), None, sent("M1"), at(1));
    assert_eq!(order_state(store, "A").await, OrderState::Accepted, "nothing before the end");
    assert_eq!(unit.commit().await.unwrap(), Written::Done);
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
    assert_eq!(notice_state(store, "A").await, NoticeState::Sent);
    assert_eq!(walked(store, "A:shipped").await, ["queued", "sending", "sent"]);
}

pub async fn a_unit_of_work_that_is_dropped_or_fenced_writes_nothing(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    let before = store.rows().await.unwrap();
    let mut hands = hands();
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_parcel(&work, ParcelOutcome::Booked, at(1));
    drop(unit);
    assert_eq!(store.rows().await.unwrap(), before);

    ingest(store, "B", 1).await;
    let other = parcel(store, at(1)).await;
    let heir = parcel(store, at(30)).await;
    assert_eq!(heir.key.order, "A");
    let before = store.rows().await.unwrap();
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_parcel(&other, ParcelOutcome::Intended(intent(&other)), at(30));
    unit.settle_parcel(&work, ParcelOutcome::Booked, at(30));
    assert_eq!(unit.commit().await.unwrap(), Written::Fenced);
    assert_eq!(store.rows().await.unwrap(), before, "not even what it had the right to");

    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_parcel(&heir, ParcelOutcome::Booked, at(31));
    unit.settle_notice(&shipped_notice("nobody"), None, sent("M1"), at(31));
    assert!(matches!(unit.commit().await, Err(Error::Corrupt { .. })));
    assert_eq!(parcel_states(store, "A").await, [ParcelState::Unknown], "all or nothing");
}

pub async fn a_unit_of_work_writes_intent_and_outcome_at_once(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    let mut hands = hands();
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_parcel(&work, ParcelOutcome::Intended(intent(&work)), at(1));
    unit.settle_parcel(&work, ParcelOutcome::Booked, at(1));
    assert_eq!(unit.commit().await.unwrap(), Written::Done);
    assert_eq!(walked(store, "A/1").await, ["planned", "intended", "booked"]);
    assert_eq!(order_state(store, "A").await, OrderState::Shipped);
}

pub async fn a_unit_of_work_reads_what_others_have_committed_meanwhile(store: &dyn Store) {
    ingest(store, "A", 1).await;
    let work = parcel(store, at(0)).await;
    intend(store, &work, at(0)).await;
    let mut hands = hands();
    let mut unit = store.begin(&mut hands).await.unwrap();
    let state = async |unit: &dyn UnitOfWork| unit.order("A").await.unwrap().unwrap().state;
    assert_eq!(state(&*unit).await, OrderState::Accepted);
    settle(store, &work, ParcelOutcome::Booked, at(1)).await;
    assert_eq!(state(&*unit).await, OrderState::Shipped);
    unit.settle_notice(&shipped_notice("A"), None, sent("M1"), at(1));
    assert_eq!(state(&*unit).await, OrderState::Shipped, "its own writes come at its end");
    assert_eq!(unit.order("nobody").await.unwrap(), None);
    assert_eq!(unit.commit().await.unwrap(), Written::Done);
}

pub async fn a_unit_of_work_inside_another_stays_when_the_other_rolls_back(store: &dyn Store) {
    ingest(store, "A", 2).await;
    let claimed = parcels(store, at(0)).await.work;
    let [first, second] = &claimed[..] else { panic!("two parcels: {claimed:?}") };
    for work in [first, second] {
        intend(store, work, at(0)).await;
    }
    let (mut hands, mut others) = (hands(), hands());
    let mut parent = store.begin(&mut hands).await.unwrap();
    parent.settle_parcel(first, ParcelOutcome::Booked, at(1));
    let mut child = store.begin(&mut others).await.unwrap();
    child.settle_parcel(second, ParcelOutcome::Booked, at(1));
    assert_eq!(child.commit().await.unwrap(), Written::Done);
    parent.roll_back();
    let states = [ParcelState::Intended, ParcelState::Booked];
    assert_eq!(parcel_states(store, "A").await, states);
}

pub async fn a_unit_of_work_settles_a_claimed_notice_under_its_lease(store: &dyn Store) {
    shipped(store, "A").await;
    let work = notice(store, at(1)).await;
    let mut hands = hands();
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_notice(&work.key, None, sent("M1"), at(2));
    assert_eq!(unit.commit().await.unwrap(), Written::Fenced, "it is claimed");
    let mut unit = store.begin(&mut hands).await.unwrap();
    unit.settle_notice(&work.key, Some(&work.lease), sent("M1"), at(2));
    assert_eq!(unit.commit().await.unwrap(), Written::Done);
    assert_eq!(order_state(store, "A").await, OrderState::Completed);
}

pub async fn a_pool_has_so_many_places_and_no_more(store: &dyn Store) {
    let mut callers: [Hands; 11] = std::array::from_fn(|_| hands());
    let [others @ .., eleventh] = &mut callers;
    let mut held = Vec::new();
    for hands in others {
        held.push(store.begin(hands).await.unwrap());
    }
    let waiting = store.begin(eleventh);
    tokio::pin!(waiting);
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx)));
    assert!(polled.await.is_pending(), "the eleventh waits");
    drop(held.pop());
    assert!(waiting.await.is_ok());
}
