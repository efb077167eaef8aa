//! What is logged of an order holds no personal data.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/api.rs"]
mod api;

use std::io;
use std::sync::{Arc, Mutex};

use api::{Api, member, order};
use clockwork::{DrillClock, Timestamp};
use oms_core::telemetry::{LogFormat, subscriber};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_of_orders_in_json_at_its_loudest_names_the_order_and_nobody() {
    let captured = Captured::default();
    let writer = captured.clone();
    let clock = Arc::new(DrillClock::starting_at(Timestamp::parse(api::START).unwrap()));
    let log = subscriber(LogFormat::Json, Some("trace"), clock, move || writer.clone()).unwrap();
    let work = async {
        let api = Api::new();
        api.post_order(&order("ORD-1")).await;
        api.post_order(&order("ORD-1")).await;
        let mut bad = order("ORD-2");
        bad["customer"]["phone"] = json!("010-1234-56789");
        api.post_order(&bad).await;
        let mut conflict = order("ORD-1");
        conflict["memo"] = json!("x");
        api.post_order(&conflict).await;
        api.get("/orders/ORD-1").await;
        api.get("/orders").await;
        api.post("/members", member("MEM-1", "010-1234-5678").to_string()).await;
        api.post("/members", member("MEM-2", "010-1234-5678").to_string()).await;
        api.get("/members/MEM-1").await;
    };
    work.with_subscriber(log).await;

    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    for secret in ["01012345678", "1234", "5678-", "홍길동", "테헤란로", "101호", "문 앞"]
    {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let kept = text.lines().find(|line| line.contains("order kept")).expect("the order is logged");
    let line: Value = serde_json::from_str(kept).unwrap();
    assert_eq!(line["timestamp"], "2026-11-21T10:00:00.000+09:00");
    assert_eq!((&line["order"], &line["phone"]), (&json!("ORD-1"), &json!("010****5678")));
}
