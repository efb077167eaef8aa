//! What becomes of a message, and how the caller learns it.

use fake_kakao::ledger::DeliveredVia;
use serde_json::{Value, json};

use crate::support::{Bench, CUSTOMER};

#[tokio::test(start_paused = true)]
async fn a_report_comes_three_seconds_after_the_send_in_the_provider_s_shape() {
    let bench = Bench::new();
    let sent = bench.send(&bench.order("order-1")).await;
    let msg_key = sent.msg_key();
    bench.pass(2_999).await;
    let answer = bench.poll().await;
    assert_eq!(answer.data(), &json!({ "reportId": "", "report": null }), "nothing yet");
    bench.pass(1).await;
    let answer = bench.poll().await;
    let report = json!({
        "msgKey": msg_key,
        "serviceType": "ALIMTALK",
        "msgType": "AT",
        "sendTime": "2026-04-24T10:42:34+09:00",
        "reportTime": "2026-04-24T10:42:37+09:00",
        "reportType": "REPORT",
        "reportCode": "10000",
        "reportText": "성공",
        "ref": "order-1",
    });
    assert_eq!(answer.data(), &json!({ "reportId": "RPT0000000001", "report": [report] }));
    let inquiry = bench.get(&format!("/report/inquiry/{msg_key}")).await;
    assert_eq!(inquiry.data(), &json!({ "report": [report] }));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_delivered_again_until_it_is_acknowledged() {
    let bench = Bench::new();
    for n in 0..60 {
        bench.send(&bench.order(&format!("order-{n:02}"))).await;
    }
    bench.pass(3_000).await;
    let first = bench.poll().await;
    assert_eq!(first.data()["report"].as_array().unwrap().len(), 50);
    bench.pass(29_999).await;
    assert_eq!(bench.poll().await.data()["report"], Value::Null);
    bench.pass(1).await;
    let again = bench.poll().await;
    assert_eq!(again.data(), first.data(), "the same batch, by the same name");
    let report_id = first.data()["reportId"].as_str().unwrap();
    assert_eq!(bench.acknowledge(report_id).await.code(), "A000");
    bench.pass(1_000).await;
    let rest = bench.poll().await;
    assert_eq!(rest.data()["report"].as_array().unwrap().len(), 10);
    let repeated = bench.acknowledge(report_id).await;
    assert_eq!((repeated.status, repeated.code()), (200, "A000"), "its answer may have been lost");
    let invented = bench.acknowledge("RPT0000000009").await;
    assert_eq!((invented.status, invented.code()), (403, "A802"));
}

#[tokio::test(start_paused = true)]
async fn the_fallback_to_a_text_message_is_one_accepted_send() {
    let bench = Bench::toml("recipients = [{ to = '01012345678', kakao = 'none' }]");
    let sent = bench.send(&bench.order("order-1")).await;
    bench.pass(4_999).await;
    assert_eq!(bench.poll().await.data()["report"], Value::Null, "63019 alone is no report");
    assert_eq!(bench.fake.ledger().messages[0].delivered_via, DeliveredVia::None);
    bench.pass(1).await;
    let report = bench.poll().await.data()["report"][0].clone();
    assert_eq!((&report["serviceType"], &report["reportCode"]), (&json!("SMS"), &json!("10000")));

    let rows = bench.get(&format!("/message/inquiry/msgKey/{}", sent.msg_key())).await;
    let rows = rows.data()["messages"].as_array().unwrap().clone();
    let told = |row: &Value| {
        ["serviceType", "fallback", "responseCode", "reportCode"].map(|field| row[field].clone())
    };
    assert_eq!(told(&rows[0]), [json!("ALIMTALK"), json!("N"), json!("A000"), json!("63019")]);
    assert_eq!(told(&rows[1]), [json!("SMS"), json!("Y"), json!("A000"), json!("10000")]);
    assert_eq!(rows[1]["to"], CUSTOMER);
    assert_eq!(rows[1]["sendTime"], "2026-04-24T10:42:37+09:00");

    let ledger = bench.fake.ledger();
    assert_eq!((ledger.messages.len(), ledger.totals.accepted), (1, 1));
    assert_eq!(ledger.sends[0].accepted, 1);
    let message = &ledger.messages[0];
    assert_eq!(message.delivered_via, DeliveredVia::Sms);
    assert_eq!(message.report_code.as_deref(), Some("10000"));
    assert_eq!(message.channels[1].text, "배송 시작 123456789012");
}

#[tokio::test(start_paused = true)]
async fn every_reason_of_kakao_s_stands_in_the_report_when_there_is_no_fallback() {
    let reasons = [
        ("none", "63019"),
        ("blocked", "63020"),
        ("unknown", "63005"),
        ("inactive", "63018"),
        ("bad-number", "63008"),
        ("internal-error", "63006"),
    ];
    for (kakao, code) in reasons {
        let bench = Bench::toml(&format!(
            "recipients = [{{ to = '{CUSTOMER}', kakao = '{kakao}', sms = 'fail' }}]"
        ));
        let mut body = bench.order("order-1");
        body["messageFlow"].as_array_mut().unwrap().truncate(1);
        bench.send(&body).await;
        bench.pass(3_000).await;
        assert_eq!(bench.poll().await.data()["report"][0]["reportCode"], code);
        assert_eq!(bench.fake.ledger().messages[0].delivered_via, DeliveredVia::None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_not_the_template_s_is_accepted_and_reported_63016() {
    let bench = Bench::new();
    let mut body = bench.order("order-1");
    body["messageFlow"][0]["alimtalk"]["text"] = json!("주문이 배송됩니다!");
    body["messageFlow"].as_array_mut().unwrap().truncate(1);
    assert_eq!(bench.send(&body).await.codes(), ["A000"]);
    bench.pass(3_000).await;
    assert_eq!(bench.poll().await.data()["report"][0]["reportCode"], "63016");
}

#[tokio::test(start_paused = true)]
async fn a_late_alimtalk_beside_its_fallback_reaches_the_customer_twice() {
    let bench = Bench::toml(
        "recipients = [{ to = '01012345678', kakao = 'unknown' }]\nunknown_arrives_late = true",
    );
    bench.send(&bench.order("order-1")).await;
    bench.pass(59_999).await;
    let reached = |bench: &Bench| {
        let message = bench.fake.ledger().messages[0].clone();
        let reached = message.channels.iter().filter(|channel| channel.reached_at.is_some());
        (message.delivered_via, reached.count())
    };
    assert_eq!(reached(&bench), (DeliveredVia::Sms, 1));
    bench.pass(1).await;
    assert_eq!(reached(&bench), (DeliveredVia::Sms, 2));
    assert_eq!(bench.fake.ledger().totals.accepted, 1, "one send all the same");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_known_at_once_and_its_report_only_once_there_is_one() {
    let bench = Bench::new();
    let sent = bench.send(&bench.order("order-1")).await;
    let msg_key = sent.msg_key();
    let status = bench.get(&format!("/message/inquiry/msgKey/{msg_key}")).await;
    let row = &status.data()["messages"][0];
    assert_eq!(row["ref"], "order-1");
    assert_eq!(row["requestTime"], "2026-04-24T10:42:34+09:00");
    assert_eq!(row.get("reportCode"), None);
    let inquiry = format!("/report/inquiry/{msg_key}");
    assert_eq!(bench.get(&inquiry).await.data(), &json!({ "report": [] }));
    let thirty_days = 30 * 24 * 3_600 * 1_000;
    bench.pass(thirty_days).await;
    assert_eq!(bench.get(&inquiry).await.data()["report"][0]["reportCode"], "10000");
    bench.pass(1).await;
    assert_eq!(bench.get(&inquiry).await.code(), "A820", "older than thirty days");
    let request_id = &msg_key[..msg_key.len() - 3];
    for path in ["msgKey/none", "requestId/none", &format!("requestId/{}", &request_id[1..])] {
        bench.pass(1_000).await;
        let answer = bench.get(&format!("/message/inquiry/{path}")).await;
        assert_eq!((answer.status, answer.code()), (400, "A820"), "{path}");
    }
    let found = bench.get(&format!("/message/inquiry/requestId/{request_id}")).await;
    assert_eq!(found.data()["messages"][0]["msgKey"], msg_key);
}
