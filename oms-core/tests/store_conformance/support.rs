//! Orders, moments and steps that the cases are made of.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::Hands;
use oms_core::order::Order;
use oms_core::state::{NoticeState, OrderState, ParcelState};
use oms_core::store::{
    About, Action, Claim, Claimed, Intent, NoticeOutcome, NoticeWork, Operated, Operation,
    OrderView, ParcelOutcome, ParcelWork, Store, Tries, Written,
};

/// How long a lease of these cases lasts.
pub const LEASE: Duration = Duration::from_secs(30);

/// The moment `seconds` after the cases' beginning.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000) + Duration::from_secs(seconds)
}

/// The hands of a case, which is a task of its own.
#[expect(clippy::disallowed_methods, reason = "a case begins here")]
pub fn hands() -> Hands {
    Hands::of_a_new_task()
}

/// A valid order of so many parcels.
pub fn order(id: &str, parcels: u32) -> Order {
    let items: Vec<_> = (1..=parcels)
        .map(|parcel| {
            serde_json::json!({
                "sku": format!("SKU-{parcel}"), "name": "양말", "quantity": 2,
                "unit_price": 3_500, "parcel": parcel,
            })
        })
        .collect();
    let draft = serde_json::json!({
        "id": id,
        "customer": { "name": "홍길동", "phone": "010-1234-5678" },
        "address": { "postcode": "06236", "line1": "서울 강남구 테헤란로 1", "line2": "101호" },
        "items": items,
    });
    serde_json::from_value(draft).unwrap()
}

/// The order that `work` tells of.
pub fn order_of(work: &NoticeWork) -> &Order {
    match &work.about {
        About::Order { order, .. } => order,
        About::Member(_) => panic!("{} is about a member", work.key),
    }
}

/// The invoice numbers that `work` tells.
pub fn invoices(work: &NoticeWork) -> &[String] {
    match &work.about {
        About::Order { invoices, .. } => invoices,
        About::Member(_) => panic!("{} is about a member", work.key),
    }
}

/// The request that a worker would write down for `work`.
pub fn intent(work: &ParcelWork) -> Intent {
    let name = format!("{}-{}", work.key.order, work.key.number);
    Intent {
        invoice_no: format!("INV-{name}"),
        rcpt_ymd: "20261121".to_owned(),
        mpck_key: format!("20261121_30000001_{name}"),
        request: format!(r#"{{"CUST_USE_NO":"{name}"}}"#),
        cust_use_no: name,
    }
}

pub fn claim(worker: &str, now: Timestamp) -> Claim {
    Claim { worker: worker.to_owned(), now, until: now + LEASE, limit: 100 }
}

pub async fn ingest(store: &dyn Store, id: &str, parcels: u32) {
    store.ingest(&order(id, parcels), None, at(0)).await.unwrap();
}

/// All parcels that are due.
pub async fn parcels(store: &dyn Store, now: Timestamp) -> Claimed<ParcelWork> {
    store.claim_parcels(claim("w1", now)).await.unwrap()
}

/// The one parcel that is due.
pub async fn parcel(store: &dyn Store, now: Timestamp) -> ParcelWork {
    let mut claimed = parcels(store, now).await;
    assert_eq!(claimed.work.len(), 1, "one parcel due: {:?}", claimed.work);
    claimed.work.remove(0)
}

/// The one notification that is due.
pub async fn notice(store: &dyn Store, now: Timestamp) -> NoticeWork {
    let mut claimed = store.claim_notices(claim("w1", now)).await.unwrap();
    assert_eq!(claimed.work.len(), 1, "one notification due: {:?}", claimed.work);
    claimed.work.remove(0)
}

/// Writes an outcome that must be taken.
pub async fn settle(store: &dyn Store, work: &ParcelWork, outcome: ParcelOutcome, now: Timestamp) {
    let written = store.settle_parcel(work, outcome, now).await;
    assert_eq!(written.unwrap(), Written::Done);
}

/// Writes an outcome that must be taken.
pub async fn told(store: &dyn Store, work: &NoticeWork, outcome: NoticeOutcome, now: Timestamp) {
    let written = store.settle_notice(work, outcome, now).await;
    assert_eq!(written.unwrap(), Written::Done);
}

pub async fn intend(store: &dyn Store, work: &ParcelWork, now: Timestamp) {
    settle(store, work, ParcelOutcome::Intended(intent(work)), now).await;
}

/// Takes a claimed `planned` parcel through its booking.
pub async fn book(store: &dyn Store, work: &ParcelWork, now: Timestamp) {
    intend(store, work, now).await;
    settle(store, work, ParcelOutcome::Booked, now).await;
}

/// An order of one parcel, booked, its notification due.
pub async fn shipped(store: &dyn Store, id: &str) {
    ingest(store, id, 1).await;
    let work = parcel(store, at(0)).await;
    book(store, &work, at(0)).await;
}

pub fn unknown(sent_until: Timestamp, retry_at: Timestamp) -> ParcelOutcome {
    let (reason, tries) = ("no answer".to_owned(), Tries { attempts: 1, rounds: 0 });
    ParcelOutcome::Unknown { reason, sent_until, retry_at, tries }
}

pub fn refused(reason: &str) -> ParcelOutcome {
    ParcelOutcome::Refused { reason: reason.to_owned() }
}

pub fn attention(reason: &str) -> ParcelOutcome {
    ParcelOutcome::Attention { reason: reason.to_owned() }
}

pub fn put_back(retry_at: Timestamp) -> ParcelOutcome {
    let (reason, tries) = ("refused connection".to_owned(), Tries { attempts: 2, rounds: 1 });
    ParcelOutcome::PutBack { reason, retry_at, tries }
}

pub fn sent(msg_key: &str) -> NoticeOutcome {
    NoticeOutcome::Sent { msg_key: Some(msg_key.to_owned()) }
}

pub fn notice_unknown(retry_at: Timestamp) -> NoticeOutcome {
    let (reason, tries) = ("no answer".to_owned(), Tries { attempts: 1, rounds: 0 });
    NoticeOutcome::Unknown { reason, retry_at, tries }
}

pub fn notice_put_back(retry_at: Timestamp) -> NoticeOutcome {
    let (reason, tries) = ("refused connection".to_owned(), Tries { attempts: 1, rounds: 0 });
    NoticeOutcome::PutBack { reason, retry_at, tries }
}

pub async fn operate(store: &dyn Store, id: &str, action: Action, now: Timestamp) -> Operated {
    let operation = Operation { order: id.to_owned(), action, by: "kim".to_owned(), now };
    store.operate(operation).await.unwrap()
}

pub async fn view(store: &dyn Store, id: &str) -> OrderView {
    store.order(id).await.unwrap().unwrap()
}

pub async fn order_state(store: &dyn Store, id: &str) -> OrderState {
    view(store, id).await.state
}

pub async fn parcel_states(store: &dyn Store, id: &str) -> Vec<ParcelState> {
    view(store, id).await.parcels.iter().map(|parcel| parcel.state).collect()
}

pub async fn notice_state(store: &dyn Store, id: &str) -> NoticeState {
    let notices = view(store, id).await.notices;
    assert_eq!(notices.len(), 1, "{notices:?}");
    notices[0].state
}

/// The states that `key` has walked through, in order.
pub async fn walked(store: &dyn Store, key: &str) -> Vec<String> {
    let log = store.rows().await.unwrap().transitions;
    log.into_iter().filter(|edge| edge.key == key).map(|edge| edge.to).collect()
}
