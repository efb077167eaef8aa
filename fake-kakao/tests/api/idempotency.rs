//! Idempotency keys: a repeat is refused, never replayed.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Bench, CUSTOMER};

#[tokio::test(start_paused = true)]
async fn a_repeat_is_answered_a301_for_each_destination_and_nothing_is_replayed() {
    let bench = Bench::new();
    let mut body = bench.order("order-1");
    body["destinations"] = json!([{ "to": CUSTOMER }, { "to": "01011112222" }]);
    assert_eq!(bench.send(&body).await.codes(), ["A000", "A000"]);
    let mut answer = bench.send(&body).await;
    answer.body["common"]["infobankTrId"].take();
    let row = |to| json!({ "to": to, "code": "A301", "result": "Duplicate idempotencyKey" });
    let expected = json!({
        "common": { "authCode": "A000", "authResult": "Success", "infobankTrId": null },
        "data": {
            "code": "A000",
            "result": "Success",
            "ref": "order-1",
            "data": { "destinations": [row(CUSTOMER), row("01011112222")] },
        },
    });
    assert_eq!((answer.status, &answer.body), (200, &expected));
    let ledger = bench.fake.ledger();
    assert_eq!(ledger.messages.len(), 2);
    assert_eq!(ledger.duplicates.len(), 1);
    assert_eq!(ledger.duplicates[0].idempotency_key, "order-1");
    assert_eq!(ledger.duplicates[0].request, 2);
}

#[tokio::test(start_paused = true)]
async fn another_content_under_the_same_key_is_a_repeat_too() {
    let bench = Bench::new();
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
    let mut other = bench.order_to("order-2", "01011112222");
    other["idempotencyKey"] = json!("order-1");
    assert_eq!(bench.send(&other).await.codes(), ["A301"]);
}

#[tokio::test(start_paused = true)]
async fn the_key_lives_to_the_millisecond_and_a_repeat_does_not_prolong_it() {
    let bench = Bench::new();
    let mut body = bench.order("order-1");
    body["idempotencyTtl"] = json!(60);
    assert_eq!(bench.send(&body).await.codes(), ["A000"]);
    bench.pass(30_000).await;
    assert_eq!(bench.send(&body).await.codes(), ["A301"]);
    bench.pass(29_999).await;
    assert_eq!(bench.send(&body).await.codes(), ["A301"]);
    bench.pass(1).await;
    assert_eq!(bench.send(&body).await.codes(), ["A000"]);
    assert_eq!(bench.fake.ledger().sends[0].accepted, 2, "a retry after the ttl is sent again");
}

#[tokio::test(start_paused = true)]
async fn without_a_key_or_with_a_ttl_of_zero_every_send_is_new() {
    let bench = Bench::new();
    let mut body = bench.order("order-1");
    body["idempotencyTtl"] = json!(0);
    for _ in 0..2 {
        assert_eq!(bench.send(&body).await.codes(), ["A000"]);
    }
    body["idempotencyKey"] = Value::Null;
    for _ in 0..2 {
        assert_eq!(bench.send(&body).await.codes(), ["A000"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_forgets_keys_sends_every_repeat() {
    let bench = Bench::toml("forgets_keys = true");
    for _ in 0..3 {
        assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
    }
    let ledger = bench.fake.ledger();
    assert_eq!((ledger.sends.len(), ledger.sends[0].accepted), (1, 3));
    assert_eq!(ledger.duplicates, []);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_may_refuse_the_repeat_as_a_whole() {
    let bench = Bench::toml("idempotency = 'request'");
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
    let answer = bench.send(&bench.order("order-1")).await;
    assert_eq!((answer.status, answer.code()), (400, "A301"));
    assert_eq!(answer.body["common"]["authCode"], "A000", "in this layer A301 means a redirect");
    assert_eq!(bench.fake.ledger().duplicates.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_which_nothing_was_accepted_leaves_its_key_free() {
    let bench = Bench::new();
    assert_eq!(bench.send(&bench.order_to("order-1", "02123")).await.codes(), ["A306"]);
    assert_eq!(bench.send(&bench.order("order-1")).await.codes(), ["A000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_sends_with_one_key_at_once_exactly_one_is_accepted() {
    let bench = Bench::new();
    let mut sends = JoinSet::new();
    for _ in 0..100 {
        let bench = bench.clone();
        sends.spawn(async move { bench.send(&bench.order("order-1")).await });
    }
    let answers = sends.join_all().await;
    let with = |code| answers.iter().filter(|answer| answer.codes() == [code]).count();
    assert_eq!((with("A000"), with("A301")), (1, 99));
    let ledger = bench.fake.ledger();
    assert_eq!((ledger.messages.len(), ledger.duplicates.len()), (1, 99));
}
