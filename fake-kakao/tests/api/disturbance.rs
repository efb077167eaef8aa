//! Faults around this API: what the caller sees, and what truly happened.

use std::time::Duration;

use fake_kakao::ledger::DeliveredVia;
use faults::{Fault, ReplyFate};
use http::Method;
use serde_json::{Value, json};

use crate::support::Bench;

fn disturbed(faults: Value) -> Bench {
    let bench = Bench::new();
    let faults: Vec<Fault> = serde_json::from_value(faults).unwrap();
    bench.fake.injector().install(faults, bench.clock.now()).unwrap();
    bench
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_reply_is_lost_was_sent_and_its_repeat_says_so() {
    let bench = disturbed(json!([{
        "kind": "status", "status": 502, "processed": true,
        "endpoint": "send/omni", "key": "order-1", "attempt": 1,
    }]));
    let body = bench.order("order-1").to_string();
    let key = bench.fake.credentials().api_key.reveal().to_owned();
    let request = http::Request::post("/api/comm/v1/send/omni").header("authorization", key);
    let request = request.body(axum::body::Body::from(body)).unwrap();
    let lost = tower::ServiceExt::oneshot(bench.router.clone(), request).await.unwrap();
    assert_eq!(lost.status(), 502);
    assert_eq!(
        bench.send(&bench.order("order-2")).await.codes(),
        ["A000"],
        "another key, no fault"
    );
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A301"]);
    let ledger = bench.fake.ledger();
    assert_eq!(ledger.messages[0].request, 1);
    assert_eq!(ledger.messages[0].reference.as_deref(), Some("order-1"));
    let request = &ledger.requests[0];
    assert!(request.processed && request.fault.is_some());
    assert_eq!((request.endpoint.as_str(), request.key.as_deref()), ("send/omni", Some("order-1")));
    assert_eq!(request.reply, ReplyFate::Answered);
    assert_eq!(bench.fake.injector().fired()[0].times, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_service_s_own_code_inside_http_200() {
    let bench = disturbed(json!([
        { "kind": "refuse", "detail": "A322", "key": "spam" },
        { "kind": "refuse", "detail": "A505", "key": "template" },
        { "kind": "refuse", "key": "plain" },
    ]));
    for (order, code) in [("spam", "A322"), ("template", "A505"), ("plain", "A300")] {
        let answer = bench.send(&bench.order(order)).await;
        assert_eq!((answer.status, answer.code()), (200, code));
        assert_eq!(answer.body["common"]["authCode"], "A000");
    }
    assert_eq!(bench.fake.ledger().messages, []);
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_and_maintenance_have_codes_of_their_own() {
    let bench = disturbed(json!([
        { "kind": "auth-expired", "nth": 1 },
        { "kind": "maintenance", "nth": 2 },
    ]));
    let answer = bench.send(&bench.order("order-1")).await;
    assert_eq!((answer.status, answer.code()), (401, "A001"));
    let answer = bench.send(&bench.order("order-1")).await;
    assert_eq!((answer.status, answer.code()), (503, "A920"));
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
}

#[tokio::test(start_paused = true)]
async fn a_banned_address_is_let_in_again_to_the_millisecond() {
    let bench = disturbed(json!([{ "kind": "ban", "by": "10s", "nth": 1 }]));
    let answer = bench.send(&bench.order("order-1")).await;
    assert_eq!((answer.status, answer.code()), (403, "A110"));
    bench.pass(9_999).await;
    assert_eq!(bench.poll().await.code(), "A110");
    bench.pass(1).await;
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
    let ledger = bench.fake.ledger();
    assert_eq!(ledger.totals.calls_while_banned, 1);
    assert_eq!(ledger.bans.len(), 1);
    assert_eq!(ledger.bans[0].until.since(ledger.bans[0].from), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_late_delivery_reaches_the_customer_although_the_caller_gave_up() {
    let bench = disturbed(json!([{ "kind": "late-delivery", "by": "20s", "nth": 1 }]));
    let body = bench.order("order-1");
    let gave_up = clockwork::timeout(&*bench.clock, Duration::from_secs(5), bench.send(&body));
    assert!(gave_up.await.is_err());
    assert_eq!(bench.fake.ledger().messages, []);
    bench.pass(15_000).await;
    // One more moment: the detached request and this test wake up at the same time.
    bench.pass(1).await;
    assert_eq!(bench.fake.ledger().messages.len(), 1);
    bench.pass(3_000).await;
    assert_eq!(bench.fake.ledger().messages[0].delivered_via, DeliveredVia::Alimtalk);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_lost_brings_the_batch_again() {
    let bench = disturbed(json!([{
        "kind": "status", "status": 503, "processed": false, "endpoint": "report/ack", "nth": 1,
    }]));
    bench.send(&bench.order("order-1")).await;
    bench.pass(3_000).await;
    let first = bench.poll().await;
    let report_id = first.data()["reportId"].as_str().unwrap().to_owned();
    let path = format!("/api/comm/v1/report/polling/{report_id}");
    let key = bench.fake.credentials().api_key.reveal().to_owned();
    let lost = http::Request::builder().method(Method::DELETE).uri(path);
    let lost = lost.header("authorization", key).body(axum::body::Body::empty()).unwrap();
    let lost = tower::ServiceExt::oneshot(bench.router.clone(), lost).await.unwrap();
    assert_eq!(lost.status(), 503);
    bench.pass(30_000).await;
    assert_eq!(bench.poll().await.data(), first.data());
    assert_eq!(bench.acknowledge(&report_id).await.status, 200);
    bench.pass(60_000).await;
    assert_eq!(bench.poll().await.data()["report"], Value::Null);
}
