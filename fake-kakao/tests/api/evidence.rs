//! The ledger as evidence.

use fake_kakao::{Config, Ledger};
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER};

#[tokio::test(start_paused = true)]
async fn sends_are_counted_by_recipient_order_and_event_with_the_text_that_was_sent() {
    let bench = Bench::new();
    for (order, key, to) in [
        ("order-1", "a", CUSTOMER),
        ("order-1", "b", CUSTOMER),
        ("order-1", "c", "01099995678"),
        ("order-2", "d", CUSTOMER),
    ] {
        let mut body = bench.order_to(order, to);
        body["idempotencyKey"] = json!(key);
        bench.send(&body).await;
    }
    let ledger = bench.fake.ledger();
    let counted: Vec<_> = ledger.sends.iter().map(|row| row.accepted).collect();
    assert_eq!(counted, [2, 1, 1]);
    let row = &ledger.sends[0];
    assert_eq!(row.reference.as_deref(), Some("order-1"));
    assert_eq!(row.template_code.as_deref(), Some("ORDER_SHIPPED"));
    assert_eq!(row.recipient_hash, bench.fake.recipient_hash(CUSTOMER));
    assert_eq!(row.to_masked, ledger.sends[1].to_masked, "alike when masked");
    assert_ne!(row.recipient_hash, ledger.sends[1].recipient_hash, "but told apart");
    let message = &ledger.messages[0];
    assert_eq!(message.text, Bench::text("order-1"));
    assert_eq!(message.variables["invoice"], "123456789012");
    assert_eq!(message.idempotency_key.as_deref(), Some("a"));
    assert_eq!(message.request_id, message.msg_key[..29]);
    let next = &ledger.messages[1].msg_key;
    assert_eq!(next, "20260424104234546POM000000002000", "from the clock and a counter alone");
}

#[tokio::test(start_paused = true)]
async fn the_ledger_survives_json_and_shows_neither_numbers_nor_the_key() {
    let bench =
        Bench::toml("recipients = [{ to = '01012345678', kakao = 'none' }]\nsends_per_second = 2");
    for _ in 0..3 {
        bench.send(&bench.order("order-1")).await;
    }
    bench.pass(6_000).await;
    bench.poll().await;
    let ledger = bench.fake.ledger();
    let written = serde_json::to_string(&ledger).unwrap();
    assert_eq!(serde_json::from_str::<Ledger>(&written).unwrap(), ledger);
    let key = bench.fake.credentials().api_key.reveal().to_owned();
    assert!(!written.contains(CUSTOMER) && !written.contains(&key));
    assert!(written.contains("010****5678"));
    let value: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(value["messages"][0]["ref"], "order-1");
    assert_eq!(value["messages"][0]["delivered_via"], "sms");
    assert_eq!(value["totals"]["duplicates"], 1);
    assert_eq!(value["totals"]["rate_limited"], 1);
    assert_eq!(value["counts"]["send/omni"]["requests"], 3);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_bounded_and_counts_what_it_dropped() {
    let bench = Bench::toml("ledger_capacity = 10\nlimits = 'off'");
    for n in 0..25 {
        bench.send(&bench.order(&format!("order-{n:02}"))).await;
    }
    bench.pass(3_000).await;
    let ledger = bench.fake.ledger();
    assert_eq!(ledger.messages.len(), 10);
    assert_eq!(ledger.messages[0].reference.as_deref(), Some("order-15"));
    assert_eq!((ledger.totals.accepted, ledger.totals.messages_dropped), (25, 15));
    assert_eq!((ledger.requests.len(), ledger.requests_dropped), (10, 15));
    assert_eq!(bench.poll().await.data()["report"].as_array().unwrap().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_reset_gateway_has_seen_nothing() {
    let bench = Bench::new();
    bench.send(&bench.order("order-1")).await;
    bench.send(&bench.order("order-1")).await;
    bench.fake.reset();
    let empty = Bench::new().fake.ledger();
    assert_eq!(bench.fake.ledger(), empty);
    bench.pass(3_000).await;
    assert_eq!(bench.poll().await.data()["report"], Value::Null);
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_history() {
    let mut histories = Vec::new();
    for _ in 0..2 {
        let bench = Bench::toml("rates = { kakao_none = 0.5, sms_fail = 0.3 }");
        let mut answers = Vec::new();
        for n in 0..40 {
            let body = bench.order_to(&format!("order-{n}"), &format!("010{n:08}"));
            answers.push(bench.send(&body).await.body);
            bench.pass(7).await;
        }
        bench.pass(6_000).await;
        answers.push(bench.poll().await.body);
        histories.push((answers, serde_json::to_string(&bench.fake.ledger()).unwrap()));
    }
    assert_eq!(histories[0], histories[1]);
    assert!(histories[0].1.contains("63019"), "the rates did something");
}

#[test]
fn the_configuration_s_schema_names_its_fields() {
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["late_after"]["type"], "string");
}
