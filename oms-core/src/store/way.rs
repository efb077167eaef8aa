//! An order's whole way, for tests that look at the statements it takes.

use std::time::Duration;

use clockwork::Timestamp;

use crate::order::Order;
use crate::store::{
    Claim, DeliveryReport, Intent, NoticeOutcome, ParcelOutcome, Row, Store, TakePermits, Window,
};

/// Indexes that hold open work alone. A statement may go through one of them from end to end: it is
/// as short as what is to be done.
pub(super) const OPEN_WORK: [&str; 4] =
    ["parcels_due", "notices_due", "parcels_by_seller", "notices_by_seller"];

/// An order from its intake to the report of its message, and what workers ask meanwhile.
pub(super) async fn the_way_of_an_order(store: &dyn Store, now: Timestamp) {
    let json = r#"{"id":"ORD-1","customer":{"name":"홍길동","phone":"01012345678"},
        "address":{"postcode":"06236","line1":"서울 강남구 테헤란로 152"},
        "items":[{"sku":"S","name":"n","quantity":1,"unit_price":1}]}"#;
    let order = Order::from_json(json.as_bytes()).unwrap();
    store.ingest(&order, None, now).await.unwrap();
    let claim =
        Claim { worker: "w".to_owned(), now, until: now + Duration::from_secs(30), limit: 10 };
    let parcel = store.claim_parcels(claim.clone()).await.unwrap().work.remove(0);
    let (row, token) = (Row::Parcel(parcel.key.clone()), parcel.lease.token);
    store.renew_leases(vec![(row, token)], claim.until).await.unwrap();
    let text = || "1".to_owned();
    let intent = Intent {
        invoice_no: text(),
        rcpt_ymd: text(),
        cust_use_no: text(),
        mpck_key: text(),
        request: text(),
    };
    for outcome in [ParcelOutcome::Intended(intent), ParcelOutcome::Booked] {
        store.settle_parcel(&parcel, outcome, now).await.unwrap();
    }
    let notice = store.claim_notices(claim.clone()).await.unwrap().work.remove(0);
    let (row, token) = (Row::Notice(notice.key.clone()), notice.lease.token);
    store.renew_leases(vec![(row, token)], claim.until).await.unwrap();
    let sent = NoticeOutcome::Sent { msg_key: Some("M".to_owned()) };
    store.settle_notice(&notice, sent, now).await.unwrap();
    store.awaits_reports(now).await.unwrap();
    let report = DeliveryReport {
        msg_key: "M".to_owned(),
        reference: notice.key.to_string(),
        code: "10000".to_owned(),
        channel: "alimtalk".to_owned(),
        reported_at: Some(now),
    };
    store.record_reports(vec![report], now).await.unwrap();
    store.order("ORD-1").await.unwrap();
    // Nothing is due any longer.
    store.claim_parcels(claim.clone()).await.unwrap();
    store.claim_notices(claim).await.unwrap();
    let take = |ended| TakePermits {
        quota: "carrier",
        windows: vec![Window { calls: 10, per: Duration::from_secs(1) }],
        want: 1,
        spare: 0,
        now,
        ahead: Duration::ZERO,
        hold: Duration::from_secs(10),
        ended,
    };
    store.take_permits(take(Vec::new())).await.unwrap();
    store.take_permits(take(vec![(1, now)])).await.unwrap();
    store.block_quota("carrier", now).await.unwrap();
}
