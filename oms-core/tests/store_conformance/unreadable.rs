//! Work whose order cannot be read, for somebody has changed the database by hand.

use std::path::PathBuf;

use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{Action, Claim, Operated, Store};
use sqlx::Connection as _;

use crate::postgres::Database;
use crate::support::{
    at, book, claim, ingest, intend, notice, notice_state, operate, order_state, parcel,
    parcel_states, parcels, sent, shipped, told, view, walked,
};

/// What such work says of itself.
const REASON: &str = "its order cannot be read; mend its content, then retry it";

/// Whoever changes the database behind the store's back.
pub enum Hand {
    /// Where the store is a file.
    InAFile(PathBuf),
    /// Where it is a server.
    InPostgres(Database),
}

impl Hand {
    async fn runs(&self, sql: String) {
        match self {
            Hand::InAFile(path) => {
                rusqlite::Connection::open(path).unwrap().execute_batch(&sql).unwrap();
            }
            Hand::InPostgres(database) => {
                let mut db = database.connect().await;
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
                db.close().await.unwrap();
            }
        }
    }

    /// As a repair that went wrong: what is left is JSON, but no order.
    async fn breaks(&self, id: &str) {
        self.runs(format!("UPDATE orders SET content = '{{}}' WHERE id = '{id}'")).await;
    }

    /// Gives the order `id` the content of the order `of`, which is as good to whoever reads it.
    async fn mends(&self, id: &str, of: &str) {
        let content = format!("SELECT content FROM orders WHERE id = '{of}'");
        self.runs(format!("UPDATE orders SET content = ({content}) WHERE id = '{id}'")).await;
    }
}

/// A claim that nothing but a lease's end stands in the way of.
fn later(worker: &str) -> Claim {
    claim(worker, at(999))
}

fn keys<K: ToString>(keys: impl Iterator<Item = K>) -> Vec<String> {
    keys.map(|key| key.to_string()).collect()
}

pub async fn a_parcel_whose_order_cannot_be_read_is_put_aside_until_it_is_mended_and_retried(
    store: &dyn Store,
    hand: &Hand,
) {
    for id in ["A", "B", "C"] {
        ingest(store, id, 1).await;
    }
    hand.breaks("B").await;
    let claimed = parcels(store, at(1)).await;
    assert_eq!(keys(claimed.work.iter().map(|work| &work.key)), ["A/1", "C/1"]);
    for work in &claimed.work {
        book(store, work, at(1)).await;
    }
    let next = store.claim_parcels(later("w2")).await.unwrap();
    assert!(next.work.is_empty() && next.next_due.is_none(), "it does not spin: {next:?}");

    let broken = view(store, "B").await;
    assert_eq!((broken.state, broken.reason), (OrderState::Accepted, None));
    let parcel_of_it = &broken.parcels[0];
    assert_eq!(parcel_of_it.state, ParcelState::Planned);
    assert_eq!(parcel_of_it.reason.as_deref(), Some(REASON), "whoever lists it is told");
    assert_eq!(walked(store, "B/1").await, ["planned"]);
    assert_eq!(store.census().await.unwrap().leases, 0);

    let again = operate(store, "B", Action::Retry, at(2)).await;
    assert_eq!(again, Operated::Done(OrderState::Accepted));
    assert!(parcels(store, at(2)).await.work.is_empty(), "it is as broken as before");
    hand.mends("B", "A").await;
    let again = operate(store, "B", Action::Retry, at(3)).await;
    assert_eq!(again, Operated::Done(OrderState::Accepted));
    book(store, &parcel(store, at(3)).await, at(4)).await;
    assert_eq!(order_state(store, "B").await, OrderState::Shipped);
    assert_eq!(view(store, "B").await.parcels[0].reason, None);
    assert_eq!(walked(store, "B/1").await, ["planned", "intended", "booked"]);
    let nothing = operate(store, "B", Action::Retry, at(5)).await;
    assert!(matches!(nothing, Operated::Refused(_)), "nothing is put aside: {nothing:?}");
}

pub async fn a_notice_whose_order_cannot_be_read_is_put_aside_as_if_never_claimed(
    store: &dyn Store,
    hand: &Hand,
) {
    for id in ["A", "B", "C"] {
        shipped(store, id).await;
    }
    hand.breaks("B").await;
    let before = store.rows().await.unwrap().transitions;
    let claimed = store.claim_notices(claim("w1", at(1))).await.unwrap();
    assert_eq!(keys(claimed.work.iter().map(|work| &work.key)), ["A:shipped", "C:shipped"]);
    let edges = store.rows().await.unwrap().transitions;
    let (old, new) = edges.split_at(before.len());
    assert_eq!(old, before, "no edge but those of this claim is touched");
    assert_eq!(keys(new.iter().map(|edge| &edge.key)), ["A:shipped", "C:shipped"]);
    for work in &claimed.work {
        told(store, work, sent(&work.key.order), at(1)).await;
    }
    let next = store.claim_notices(later("w2")).await.unwrap();
    assert!(next.work.is_empty() && next.next_due.is_none(), "it does not spin: {next:?}");

    let broken = view(store, "B").await;
    assert_eq!((broken.state, broken.reason), (OrderState::Shipped, None));
    assert_eq!(broken.notices[0].state, NoticeState::Queued, "nothing was ever sent");
    assert_eq!(broken.notices[0].reason.as_deref(), Some(REASON), "whoever lists it is told");
    assert_eq!(walked(store, "B:shipped").await, ["queued"]);
    assert_eq!(store.census().await.unwrap().leases, 0);

    hand.mends("B", "A").await;
    let again = operate(store, "B", Action::Retry, at(2)).await;
    assert_eq!(again, Operated::Done(OrderState::Shipped));
    let work = notice(store, at(3)).await;
    assert_eq!((work.state, work.first_sent_at), (NoticeState::Sending, Some(at(3))));
    told(store, &work, sent("M"), at(4)).await;
    assert_eq!(order_state(store, "B").await, OrderState::Completed);
    assert_eq!(walked(store, "B:shipped").await, ["queued", "sending", "sent"]);
}

pub async fn what_was_left_behind_and_cannot_be_read_is_in_doubt_once_it_is_mended(
    store: &dyn Store,
    hand: &Hand,
) {
    ingest(store, "A", 1).await;
    intend(store, &parcel(store, at(0)).await, at(0)).await;
    shipped(store, "B").await;
    notice(store, at(0)).await;
    for id in ["A", "B"] {
        hand.breaks(id).await;
    }
    assert!(store.claim_parcels(claim("w2", at(40))).await.unwrap().work.is_empty());
    assert!(store.claim_notices(claim("w2", at(40))).await.unwrap().work.is_empty());
    assert_eq!(parcel_states(store, "A").await, [ParcelState::Intended]);
    assert_eq!(notice_state(store, "B").await, NoticeState::Sending);
    assert_eq!(view(store, "A").await.parcels[0].reason.as_deref(), Some(REASON));
    assert_eq!(view(store, "B").await.notices[0].reason.as_deref(), Some(REASON));

    ingest(store, "C", 1).await;
    for id in ["A", "B"] {
        hand.mends(id, "C").await;
        operate(store, id, Action::Retry, at(50)).await;
    }
    let parcels = store.claim_parcels(claim("w2", at(50))).await.unwrap();
    let mended = parcels.work.iter().find(|work| work.key.order == "A").unwrap();
    assert_eq!((mended.state, mended.sent_until), (ParcelState::Unknown, Some(at(30))));
    let mended = notice(store, at(50)).await;
    assert_eq!((mended.state, mended.first_sent_at), (NoticeState::Unknown, Some(at(0))));
    assert_eq!(walked(store, "A/1").await, ["planned", "intended", "unknown"]);
    assert_eq!(walked(store, "B:shipped").await, ["queued", "sending", "unknown"]);
}

pub async fn a_notice_of_no_order_at_all_keeps_nobody_waiting(store: &dyn Store, hand: &Hand) {
    for id in ["A", "B"] {
        shipped(store, id).await;
    }
    hand.runs("DELETE FROM orders WHERE id = 'A'".to_owned()).await;
    let claimed = store.claim_notices(claim("w1", at(1))).await.unwrap();
    assert_eq!(keys(claimed.work.iter().map(|work| &work.key)), ["B:shipped"]);
    told(store, &claimed.work[0], sent("M"), at(2)).await;
    assert_eq!(store.claim_notices(later("w2")).await.unwrap().next_due, None);
    assert_eq!(walked(store, "A:shipped").await, ["queued"]);
}
