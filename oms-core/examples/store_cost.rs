#![allow(clippy::all, clippy::disallowed_methods, missing_docs)]
use clockwork::*;
use oms_core::env::NullObserver;
use oms_core::store::group_commit::*;
use oms_core::store::sqlite::*;
use oms_core::store::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn order(id: &str) -> oms_core::order::Order {
    serde_json::from_value(serde_json::json!({
        "id": id, "customer": { "name": "홍길동", "phone": "010-1234-5678" },
        "address": { "postcode": "06236", "line1": "서울 강남구 테헤란로 1", "line2": "101호" },
        "items": [{ "sku": "SKU-1", "name": "양말", "quantity": 2, "unit_price": 3500, "parcel": 1 }],
    })).unwrap()
}
struct T(Vec<(&'static str, Duration, u32)>);
impl T {
    fn add(&mut self, n: &'static str, d: Duration) {
        for e in &mut self.0 {
            if e.0 == n {
                e.1 += d;
                e.2 += 1;
                return;
            }
        }
        self.0.push((n, d, 1));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let opts = || {
        Options::new(
            Arc::new(DrillClock::starting_at(Timestamp::from_micros(1_795_000_000_000_000))),
            Arc::new(NullObserver),
        )
    };
    let orders: Vec<_> = (0..20).map(|i| order(&format!("ORD-{i:03}"))).collect();
    let mut t = T(vec![]);
    let request = "x".repeat(1100);
    let total = Instant::now();
    let runs = 500u32;
    for _ in 0..runs {
        let s = Instant::now();
        let db = SharedDatabase::fresh();
        t.add("fresh", s.elapsed());
        let store = SqliteStore::inline(&db, no_scheduling_point(), opts());
        let t0 = Timestamp::from_micros(1_795_000_000_000_000);
        for o in &orders {
            let s = Instant::now();
            store.ingest(o, None, t0).await.unwrap();
            t.add("ingest", s.elapsed());
        }
        for i in 0..20 {
            let now = t0 + Duration::from_secs(i);
            let s = Instant::now();
            let c = store
                .claim_parcels(Claim {
                    worker: "w".into(),
                    now,
                    until: now + Duration::from_secs(30),
                    limit: 1,
                })
                .await
                .unwrap();
            t.add("claim_parcel(1)", s.elapsed());
            let w = c.work.into_iter().next().unwrap();
            let s = Instant::now();
            let p = store
                .take_permits(TakePermits {
                    quota: "carrier",
                    windows: vec![
                        Window { calls: 10, per: Duration::from_secs(1) },
                        Window { calls: 100, per: Duration::from_secs(60) },
                    ],
                    want: 1,
                    now,
                    hold_until: now + Duration::from_secs(10),
                    ended: vec![],
                })
                .await
                .unwrap();
            t.add("take_permits(1)", s.elapsed());
            std::hint::black_box(p);
            let intent = Intent {
                invoice_no: format!("6500000{i:05}"),
                rcpt_ymd: "20261121".into(),
                cust_use_no: w.key.to_string(),
                mpck_key: w.key.to_string(),
                request: request.clone(),
            };
            let s = Instant::now();
            store.settle_parcel(&w, ParcelOutcome::Intended(intent), now).await.unwrap();
            t.add("settle intended", s.elapsed());
            let s = Instant::now();
            store.settle_parcel(&w, ParcelOutcome::Booked, now).await.unwrap();
            t.add("settle booked+outbox", s.elapsed());
            let s = Instant::now();
            let c = store
                .claim_notices(Claim {
                    worker: "w".into(),
                    now,
                    until: now + Duration::from_secs(30),
                    limit: 1,
                })
                .await
                .unwrap();
            t.add("claim_notice(1)", s.elapsed());
            let n = c.work.into_iter().next().unwrap();
            let s = Instant::now();
            store
                .settle_notice(&n, NoticeOutcome::Sent { msg_key: Some(format!("M{i}")) }, now)
                .await
                .unwrap();
            t.add("settle sent", s.elapsed());
        }
        let s = Instant::now();
        let r = store.rows().await.unwrap();
        t.add("rows(20)", s.elapsed());
        std::hint::black_box(r);
    }
    println!("whole run of 20 orders: {:?}", total.elapsed() / runs);
    for (n, d, c) in &t.0 {
        println!("{n:24} {:8.2} us", d.as_secs_f64() * 1e6 / *c as f64);
    }
    // live
    let folder = std::env::temp_dir().join("oms-store-cost");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let store = Arc::new(SqliteStore::open(&folder.join("x.db"), opts()).unwrap());
    let s = Instant::now();
    let many: Vec<_> = (0..20000).map(|i| order(&format!("L-{i:05}"))).collect();
    for chunk in many.chunks(64) {
        let f = chunk
            .iter()
            .map(|o| store.ingest(o, None, Timestamp::from_micros(1_795_000_000_000_000)));
        futures_util::future::join_all(f).await.into_iter().for_each(|r| {
            r.unwrap();
        });
    }
    println!("live ingest, 64 in flight: {:.0}/s", 20000.0 / s.elapsed().as_secs_f64());
    let s = Instant::now();
    let one: Vec<_> = (0..500).map(|i| order(&format!("S-{i:05}"))).collect();
    for o in &one {
        store.ingest(o, None, Timestamp::from_micros(1_795_000_000_000_000)).await.unwrap();
    }
    println!("live ingest, one by one: {:.0}/s", 500.0 / s.elapsed().as_secs_f64());
}
