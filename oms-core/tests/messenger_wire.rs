//! The gateway's client against hand-made replies on real sockets: a second opinion on the fake.
//! Nothing waits here, so real time is harmless.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/edges.rs"]
mod edges;

use std::sync::Arc;
use std::time::Duration;

use edges::{Recorder, Scripted, context, hands, order};
use oms_core::call::Outcome;
use oms_core::config::Config;
use oms_core::env::{Env, ReqwestTransport};
use oms_core::messenger::{Messenger, shipped_text};
use oms_core::state::NoticeState;
use oms_core::store::{About, Lease, NoticeKey, NoticeWork, Recipient};
use serde_json::{Value, json};
use wiremock::matchers::{any, body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const API_KEY: &str = "key-of-the-contract";

struct Drill {
    server: MockServer,
    env: Env,
    recorder: Arc<Recorder>,
    messenger: Messenger,
}

impl Drill {
    async fn new() -> Drill {
        let server = MockServer::start().await;
        let (mut env, recorder) = edges::env(Scripted::none(), Scripted::none());
        let connect = Duration::from_secs(30);
        let transport = ReqwestTransport::new(&server.uri(), connect, env.clock.clone(), 1.0, None);
        env.messenger = Arc::new(transport.unwrap());
        let mut config = Config::default();
        config.messenger.api_key = API_KEY.to_owned();
        config.messenger.calls.read_timeout = Duration::from_secs(30);
        config.messenger.calls.deadline = Duration::from_secs(40);
        let messenger = Messenger::new(&env, &config);
        Drill { server, env, recorder, messenger }
    }

    async fn answers(&self, reply: ResponseTemplate) {
        Mock::given(any()).respond_with(reply).mount(&self.server).await;
    }

    async fn send(&self) -> Outcome<Option<String>> {
        self.messenger.send(&hands(), &context(&self.env), &notice(&self.env)).await
    }
}

fn notice(env: &Env) -> NoticeWork {
    let until = env.clock.now() + Duration::from_secs(60);
    NoticeWork {
        key: NoticeKey { order: "ORD-1".to_owned(), event: "shipped".to_owned() },
        about: About::Order {
            order: order(),
            invoices: vec!["650000000033".to_owned(), "650000000070".to_owned()],
        },
        state: NoticeState::Sending,
        lease: Lease { worker: "test".to_owned(), token: 1, until },
        attempts: 0,
        rounds: 0,
        first_sent_at: None,
    }
}

/// A welcome to a new member.
fn welcome(env: &Env) -> NoticeWork {
    let member = Recipient { name: "홍길동".to_owned(), phone: "01012345678".to_owned() };
    NoticeWork {
        key: NoticeKey::of_member("MEM-1", "welcome"),
        about: About::Member(member),
        ..notice(env)
    }
}

fn envelope(data: Value) -> Value {
    let common = json!({"authCode": "A000", "authResult": "Success", "infobankTrId": "1"});
    json!({"common": common, "data": {"code": "A000", "result": "Success", "data": data}})
}

fn accepted(code: &str) -> ResponseTemplate {
    let row = json!({"to": "01012345678", "msgKey": "2026POM1001", "code": code, "result": "?"});
    ResponseTemplate::new(200).set_body_json(envelope(json!({"destinations": [row]})))
}

#[test]
fn the_customer_reads_who_sent_what_under_which_numbers() {
    let invoices = ["650000000033".to_owned(), "650000000070".to_owned()];
    let text = shipped_text("드릴십 상점", &order(), &invoices);
    let expected = "[드릴십 상점] 홍길동님, 주문 ORD-1의 배송이 접수되었습니다. \
                    운송장번호 650000000033, 650000000070";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_message_arrives_with_its_key_and_a_text_message_to_fall_back_to() {
    let drill = Drill::new().await;
    let text = "[드릴십 상점] 홍길동님, 주문 ORD-1의 배송이 접수되었습니다. \
                운송장번호 650000000033, 650000000070";
    let alimtalk = json!({"msgType": "AT", "senderKey": "drill-sender-key",
                          "templateCode": "ORDER_SHIPPED", "text": text});
    let expected = json!({
        "destinations": [{"to": "01012345678", "ref": "ORD-1:shipped"}],
        "messageFlow": [{"alimtalk": alimtalk}, {"mms": {"from": "021234567", "text": text}}],
        "ref": "ORD-1:shipped",
        "idempotencyKey": "ORD-1:shipped",
        "idempotencyTtl": 86400,
    });
    Mock::given(method("POST"))
        .and(path("/api/comm/v1/send/omni"))
        .and(header("Authorization", API_KEY))
        .and(body_json(expected))
        .respond_with(accepted("A000"))
        .expect(1)
        .mount(&drill.server)
        .await;
    assert_eq!(drill.send().await, Outcome::Done(Some("2026POM1001".to_owned())));
}

#[tokio::test]
async fn a_welcome_goes_out_under_its_own_template_and_a_key_that_no_order_has() {
    let drill = Drill::new().await;
    let text = "[드릴십 상점] 홍길동님, 회원가입을 환영합니다.";
    let alimtalk = json!({"msgType": "AT", "senderKey": "drill-sender-key",
                          "templateCode": "MEMBER_WELCOME", "text": text});
    let expected = json!({
        "destinations": [{"to": "01012345678", "ref": "member:MEM-1:welcome"}],
        "messageFlow": [{"alimtalk": alimtalk}, {"sms": {"from": "021234567", "text": text}}],
        "ref": "member:MEM-1:welcome",
        "idempotencyKey": "member:MEM-1:welcome",
        "idempotencyTtl": 86400,
    });
    Mock::given(method("POST"))
        .and(path("/api/comm/v1/send/omni"))
        .and(body_json(expected))
        .respond_with(accepted("A000"))
        .expect(1)
        .mount(&drill.server)
        .await;
    let welcome = welcome(&drill.env);
    let outcome = drill.messenger.send(&hands(), &context(&drill.env), &welcome).await;
    assert_eq!(outcome, Outcome::Done(Some("2026POM1001".to_owned())));
}

#[tokio::test]
async fn answers_to_a_message_are_understood() {
    let gate = |status, code: &str| {
        let common = json!({"authCode": code, "authResult": "?", "infobankTrId": "1"});
        ResponseTemplate::new(status).set_body_json(json!({"common": common}))
    };
    let service = |status, code: &str| {
        let mut body = envelope(Value::Null);
        body["data"] = json!({"code": code, "result": "?"});
        ResponseTemplate::new(status).set_body_json(body)
    };
    let table = [
        (accepted("A301"), "duplicate"),
        (service(400, "A301"), "duplicate"),
        (gate(200, "A301"), "unknown"),
        (accepted("A306"), "refused"),
        (service(400, "A505"), "refused"),
        (service(429, "A020"), "not-processed"),
        (gate(401, "A401"), "not-processed"),
        (service(403, "A110"), "not-processed"),
        (service(500, "A910"), "unknown"),
        (ResponseTemplate::new(200).set_body_string("{\"common\":"), "unknown"),
        (ResponseTemplate::new(502).set_body_string("<html/>"), "unknown"),
    ];
    for (reply, expected) in table {
        let drill = Drill::new().await;
        drill.answers(reply).await;
        let outcome = drill.send().await;
        assert_eq!(outcome.name(), expected);
        let arrived = drill.server.received_requests().await.unwrap();
        assert_eq!(arrived.len(), 1, "nothing is repeated: {expected}");
        let shown = format!("{outcome:?} {:?}", drill.recorder.events());
        assert!(!shown.contains("01012345678") && !shown.contains(API_KEY), "{shown}");
    }
}

#[tokio::test]
async fn reports_are_polled_and_acknowledged_by_their_id() {
    let drill = Drill::new().await;
    let context = context(&drill.env);
    let report = json!({"msgKey": "K1", "serviceType": "SMS", "msgType": "SM",
                        "ref": "ORD-1:shipped", "reportCode": "10000",
                        "reportTime": "2026-11-21T10:15:00+09:00"});
    let batch = json!({"reportId": "RPT-7", "report": [report]});
    Mock::given(method("GET"))
        .and(path("/api/comm/v1/report/polling"))
        .and(header("Authorization", API_KEY))
        .respond_with(ResponseTemplate::new(200).set_body_json(envelope(batch)))
        .mount(&drill.server)
        .await;
    Mock::given(method("DELETE"))
        .and(path("/api/comm/v1/report/polling/RPT-7"))
        .and(header("Authorization", API_KEY))
        .respond_with(ResponseTemplate::new(200).set_body_json(envelope(Value::Null)))
        .expect(1)
        .mount(&drill.server)
        .await;
    let Outcome::Done(Some(batch)) = drill.messenger.poll_reports(&hands(), &context).await else {
        panic!("a batch")
    };
    assert_eq!(batch.reports[0].reference, "ORD-1:shipped");
    assert_eq!(batch.reports[0].channel, "sms");
    let acknowledged = drill.messenger.acknowledge(&hands(), &context, &batch.report_id).await;
    assert_eq!(acknowledged, Outcome::Done(()));
    assert_eq!(drill.messenger.acknowledge(&hands(), &context, "../x").await.name(), "refused");
    let empty = json!({"reportId": "", "report": null});
    drill.server.reset().await;
    drill.answers(ResponseTemplate::new(200).set_body_json(envelope(empty))).await;
    assert_eq!(drill.messenger.poll_reports(&hands(), &context).await, Outcome::Done(None));
}

#[tokio::test]
async fn reports_that_fail_keep_no_message_back() {
    let drill = Drill::new().await;
    let context = context(&drill.env);
    drill.answers(ResponseTemplate::new(403)).await;
    assert_eq!(drill.messenger.poll_reports(&hands(), &context).await.name(), "not-processed");
    drill.server.reset().await;
    drill.answers(accepted("A000")).await;
    assert_eq!(drill.send().await.name(), "done");
}
