//! That no statement of an order's way grows slower with what has been finished before: SQLite is
//! asked for the plan of each statement that the use cases prepare.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clockwork::{DrillClock, Timestamp};
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::{Options, SharedDatabase, SqliteStore};
use crate::env::NullObserver;
use crate::order::Order;
use crate::store::group_commit::no_scheduling_point;
use crate::store::{
    Claim, DeliveryReport, Intent, NoticeOutcome, ParcelOutcome, Row, Store, TakePermits, Window,
};

/// What was prepared on the one connection that is watched.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn see(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        SEEN.lock().unwrap().insert(statement.sql().into_owned());
    }
}

/// An order from its intake to the report of its message, and what workers ask meanwhile.
async fn the_way_of_an_order(store: &dyn Store, now: Timestamp) {
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

/// Whether a line of a plan goes through a table, or an index, from end to end. An index that holds
/// open work alone may be: it is as short as what is to be done.
fn grows_with_the_past(line: &str) -> bool {
    let open_work = ["parcels_due", "notices_due", "parcels_by_seller", "notices_by_seller"];
    // What the statement itself brings along.
    let own = line.contains("CONSTANT ROW") || line.contains("VALUES CLAUSE");
    line.starts_with("SCAN") && !own && !open_work.iter().any(|index| line.contains(index))
}

fn plan(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // A plan needs no values.
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get(3).unwrap());
    }
    lines
}

#[tokio::test]
async fn no_statement_of_an_orders_way_looks_through_the_past() {
    let database = SharedDatabase::fresh();
    let now = Timestamp::from_micros(1_795_000_000_000_000);
    let options = Options::new(Arc::new(DrillClock::starting_at(now)), Arc::new(NullObserver));
    let store = SqliteStore::inline(&database, no_scheduling_point(), options);
    database.lock().trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(see));
    the_way_of_an_order(&store, now).await;
    let db = database.lock();
    db.trace_v2(TraceEventCodes::empty(), None);
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    let asks = |sql: &&String| {
        let verb = sql.trim_start().split(' ').next().unwrap_or_default();
        ["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"].contains(&verb)
    };
    let hot: Vec<&String> = seen.iter().filter(asks).collect();
    assert!(hot.len() >= 20, "{hot:#?}");
    for sql in hot {
        let plan = plan(&db, sql);
        assert!(!plan.iter().any(|line| grows_with_the_past(line)), "{sql}\n{plan:#?}");
    }
    // And it would be seen.
    let scan = plan(&db, "SELECT id FROM orders WHERE reason = 'x'");
    assert!(scan.iter().any(|line| grows_with_the_past(line)), "{scan:?}");
}
