//! Claims take turns between sellers.

use std::collections::BTreeMap;

use oms_core::order::Order;
use oms_core::store::{Claim, Store};

use crate::support::{at, book, claim, order};

/// A valid order of one parcel that `seller` sells; nobody, if it has no name.
fn of(seller: &str, id: &str) -> Order {
    let mut draft = serde_json::to_value(order(id, 1)).unwrap();
    if !seller.is_empty() {
        draft["seller"] = seller.into();
    }
    serde_json::from_value(draft).unwrap()
}

async fn flood(store: &dyn Store, seller: &str, orders: usize) {
    for number in 0..orders {
        let order = of(seller, &format!("{seller}-{number:03}"));
        store.ingest(&order, None, at(0)).await.unwrap();
    }
}

/// How many rows of each seller a claim of `limit` brings; they are leased then.
async fn brought(store: &dyn Store, limit: usize, seconds: u64) -> BTreeMap<String, usize> {
    let wanted = Claim { limit, ..claim("w1", at(seconds)) };
    let claimed = store.claim_parcels(wanted).await.unwrap();
    let mut counts = BTreeMap::new();
    for work in claimed.work {
        *counts.entry(work.order.sold_by().to_owned()).or_default() += 1;
    }
    counts
}

pub async fn each_seller_with_work_gets_an_equal_share_of_a_claim(store: &dyn Store) {
    flood(store, "flood", 60).await;
    flood(store, "", 60).await;
    store.ingest(&of("small", "small-1"), None, at(9)).await.unwrap();
    let first = brought(store, 9, 10).await;
    let share = |seller: &str, count| (seller.to_owned(), count);
    assert_eq!(first, [share("", 3), share("flood", 3), share("small", 1)].into());
    let alone = brought(store, 9, 10).await;
    assert_eq!(alone, [share("", 4), share("flood", 4)].into(), "who has nothing gets nothing");
}

pub async fn claims_of_one_row_go_round_the_sellers(store: &dyn Store) {
    for seller in ["a", "b", "c"] {
        flood(store, seller, 20).await;
    }
    store.ingest(&of("d", "d-1"), None, at(9)).await.unwrap();
    let mut served = Vec::new();
    for _ in 0..8 {
        served.extend(brought(store, 1, 10).await.into_keys());
    }
    assert_eq!(served, ["a", "b", "c", "d", "a", "b", "c", "a"], "the youngest waits for three");
}

pub async fn who_waits_is_served_after_at_most_one_of_each_other_seller(store: &dyn Store) {
    for seller in ["a", "b", "e", "f"] {
        flood(store, seller, 30).await;
    }
    for round in 0..6_u64 {
        let now = 10 + round;
        store.ingest(&of("c", &format!("c-{round}")), None, at(now)).await.unwrap();
        let mut others = Vec::new();
        loop {
            let served = brought(store, 1, now).await;
            if served.contains_key("c") {
                break;
            }
            others.extend(served.into_keys());
        }
        let distinct: std::collections::BTreeSet<&String> = others.iter().collect();
        assert_eq!(others.len(), distinct.len(), "{others:?}");
    }
}

pub async fn work_that_is_not_due_takes_no_turn(store: &dyn Store) {
    flood(store, "a", 3).await;
    store.ingest(&of("b", "b-1"), None, at(100)).await.unwrap();
    assert_eq!(brought(store, 2, 10).await, [("a".to_owned(), 2)].into());
}

pub async fn messages_take_turns_as_well(store: &dyn Store) {
    flood(store, "flood", 10).await;
    store.ingest(&of("small", "small-1"), None, at(9)).await.unwrap();
    let claimed = store.claim_parcels(claim("w1", at(10))).await.unwrap();
    for work in &claimed.work {
        book(store, work, at(10)).await;
    }
    let wanted = Claim { limit: 4, ..claim("w1", at(11)) };
    let claimed = store.claim_notices(wanted).await.unwrap();
    let keys: Vec<&str> = claimed.work.iter().map(|work| work.key.order.as_str()).collect();
    assert_eq!(keys, ["flood-000", "flood-001", "small-1"]);
}
