//! Reads.

use std::time::Duration;

use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{
    BreakerView, Claim, Filter, Permits, Presence, Queue, Store, TakePermits, Window,
};

use crate::quota;
use crate::support::{
    at, claim, ingest, intend, notice, order, parcel, sent, settle, shipped, told, unknown,
};

async fn ids(store: &dyn Store, filter: Filter) -> Vec<String> {
    store.orders(filter).await.unwrap().into_iter().map(|order| order.id).collect()
}

/// `A` is completed, `B` unknown, `C` accepted, `D` rejected.
async fn four(store: &dyn Store) {
    shipped(store, "A").await;
    told(store, &notice(store, at(1)).await, sent("M1"), at(1)).await;
    ingest(store, "B", 1).await;
    let work = parcel(store, at(1)).await;
    intend(store, &work, at(1)).await;
    settle(store, &work, unknown(at(2), at(99)), at(2)).await;
    ingest(store, "C", 2).await;
    store.ingest(&order("D", 1), Some("no".to_owned()), at(0)).await.unwrap();
}

pub async fn orders_are_listed_by_id_page_by_page_and_by_state(store: &dyn Store) {
    four(store).await;
    let all = Filter { limit: 100, ..Filter::default() };
    assert_eq!(ids(store, all.clone()).await, ["A", "B", "C", "D"]);
    let page = Filter { limit: 2, after: Some("A".to_owned()), ..Filter::default() };
    assert_eq!(ids(store, page).await, ["B", "C"]);
    let accepted = Filter { state: Some(OrderState::Accepted), ..all.clone() };
    assert_eq!(ids(store, accepted.clone()).await, ["B", "C"]);
    let unknown = Filter { parcel_state: Some(ParcelState::Unknown), ..all.clone() };
    assert_eq!(ids(store, unknown).await, ["B"]);
    let both = Filter { parcel_state: Some(ParcelState::Planned), ..accepted };
    assert_eq!(ids(store, both).await, ["C"]);
    assert!(ids(store, Filter { limit: 0, ..all }).await.is_empty());
    assert_eq!(store.order("nobody").await.unwrap(), None);
}

pub async fn a_census_counts_everything(store: &dyn Store) {
    let empty = store.census().await.unwrap();
    assert_eq!(empty, Default::default());
    four(store).await;
    let one = Claim { limit: 1, ..claim("w1", at(98)) };
    assert_eq!(store.claim_parcels(one).await.unwrap().work.len(), 1);
    let census = store.census().await.unwrap();
    assert_eq!(census.orders[&OrderState::Accepted], 2);
    assert_eq!(census.orders[&OrderState::Completed], 1);
    assert_eq!(census.parcels[&ParcelState::Unknown], 1);
    assert_eq!(census.parcels[&ParcelState::Planned], 2);
    assert_eq!(census.notices[&NoticeState::Sent], 1);
    assert_eq!((census.leases, census.oldest_unknown), (1, Some(at(2))));
}

pub async fn rows_tell_everything_in_order(store: &dyn Store) {
    four(store).await;
    let rows = store.rows().await.unwrap();
    let listed = store.orders(Filter { limit: 100, ..Filter::default() }).await.unwrap();
    assert_eq!(rows.orders, listed);
    assert_eq!(rows.orders[0].notices.len(), 1);
    assert_eq!(rows.orders[2].parcels.len(), 2);
    assert!(rows.transitions.is_sorted_by_key(|edge| edge.id));
    let born = rows.transitions.iter().filter(|edge| edge.from.is_none()).count();
    assert_eq!(born, 4 + 4 + 1, "orders, parcels, notices");
}

pub async fn what_waits_and_what_is_used_of_a_quota_is_counted(store: &dyn Store) {
    assert_eq!(store.standing(at(0)).await.unwrap().quotas, []);
    four(store).await;
    let one = Claim { limit: 1, ..claim("w1", at(3)) };
    assert_eq!(store.claim_parcels(one).await.unwrap().work.len(), 1);
    let counts = |queue: &Queue| (queue.of.clone(), queue.due, queue.later, queue.leased);
    let queues: Vec<_> = store.standing(at(3)).await.unwrap().queues.iter().map(counts).collect();
    let none = ("notifications".to_owned(), 0, 0, 0);
    assert_eq!(queues, [("parcels".to_owned(), 1, 1, 1), none]);

    let take = |now, want, ended: &[_]| TakePermits {
        windows: vec![Window { calls: 10, per: Duration::from_secs(60) }],
        ..quota::take(now, want, ended)
    };
    let Permits::Granted(grants) = store.take_permits(take(at(0), 4, &[])).await.unwrap() else {
        panic!("four are free")
    };
    let ends = [(grants[0].id, at(1)), (grants[1].id, at(3))];
    store.take_permits(take(at(3), 0, &ends)).await.unwrap();
    store.block_quota("carrier", at(300)).await.unwrap();
    let quota = store.standing(at(3)).await.unwrap().quotas.remove(0);
    assert_eq!((quota.under_way, quota.of_a_second, quota.of_a_minute), (2, 3, 4));
    assert!(quota.closed_until.is_some_and(|until| until > at(290)), "{quota:?}");
    assert_eq!(store.standing(at(400)).await.unwrap().quotas[0].closed_until, None);
}

pub async fn workers_are_told_until_they_leave_or_have_long_been_silent(store: &dyn Store) {
    let breaker = |state: &str| BreakerView {
        api: "carrier".to_owned(),
        state: state.to_owned(),
        since: at(3),
    };
    let worker = |name: &str, heard: u64, breakers| Presence {
        worker: name.to_owned(),
        since: at(0),
        heard_at: at(heard),
        breakers,
    };
    let told = async || store.standing(at(5)).await.unwrap().workers;
    assert_eq!(told().await, []);
    for presence in [
        worker("w2", 1, Vec::new()),
        worker("w1", 2, Vec::new()),
        worker("w2", 4, vec![breaker("open")]),
    ] {
        store.hear(&presence).await.unwrap();
    }
    let two = [worker("w1", 2, Vec::new()), worker("w2", 4, vec![breaker("open")])];
    assert_eq!(told().await, two);
    store.leave("w1").await.unwrap();
    store.leave("nobody").await.unwrap();
    assert_eq!(told().await, two[1..]);
    let late = worker("w3", 3605, vec![breaker("half-open")]);
    store.hear(&late).await.unwrap();
    assert_eq!(told().await, [late], "the other was silent for an hour");
}
