//! The carrier's client against hand-made replies on real sockets: a second opinion on the fake.
//! Nothing waits here, so real time is harmless.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/edges.rs"]
mod edges;

use std::sync::Arc;
use std::time::Duration;

use edges::{Recorder, Scripted, context, hands, order};
use oms_core::call::Outcome;
use oms_core::carrier::{Carrier, Tracking};
use oms_core::config::Config;
use oms_core::env::{Env, ReqwestTransport};
use oms_core::store::Intent;
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TOKEN: &str = "3f0c9a52-1111-2222-3333-444455556666";

struct Drill {
    server: MockServer,
    env: Env,
    recorder: Arc<Recorder>,
    carrier: Carrier,
}

impl Drill {
    /// A carrier that hands out a token, and nothing else yet.
    async fn new() -> Drill {
        let server = MockServer::start().await;
        let (mut env, recorder) = edges::env(Scripted::none(), Scripted::none());
        let connect = Duration::from_secs(30);
        let transport = ReqwestTransport::new(&server.uri(), connect, env.clock.clone(), 1.0, None);
        env.carrier = Arc::new(transport.unwrap());
        let mut config = Config::default();
        config.carrier.calls.read_timeout = Duration::from_secs(30);
        config.carrier.calls.deadline = Duration::from_secs(40);
        let carrier = Carrier::new(&env, &config);
        let drill = Drill { server, env, recorder, carrier };
        let asked = json!({"DATA": {"CUST_ID": "30000001", "BIZ_REG_NUM": "1234567890"}});
        let data = json!({"TOKEN_NUM": TOKEN, "TOKEN_EXPRTN_DTM": "20991231000000", "NOTICE": ""});
        Mock::given(method("POST"))
            .and(path("/ReqOneDayToken"))
            .and(body_partial_json(asked))
            .respond_with(success(data))
            .mount(&drill.server)
            .await;
        drill
    }

    /// Answers `endpoint` under the token with `reply`.
    async fn answers(&self, endpoint: &str, reply: ResponseTemplate) {
        Mock::given(method("POST"))
            .and(path(format!("/{endpoint}")))
            .and(header("CJ-Gateway-APIKey", TOKEN))
            .and(header("Content-Type", "application/json"))
            .and(body_partial_json(json!({"DATA": {"TOKEN_NUM": TOKEN}})))
            .respond_with(reply)
            .mount(&self.server)
            .await;
    }

    fn intent(&self) -> Intent {
        self.carrier.request_of(&order(), 1, "650000000033", self.env.clock.now())
    }

    async fn book(&self) -> Outcome<()> {
        self.carrier.book(&hands(), &context(&self.env), &self.intent()).await
    }

    /// The bodies that arrived at `endpoint`.
    async fn arrived(&self, endpoint: &str) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        let here = requests.into_iter().filter(|r| r.url.path() == format!("/{endpoint}"));
        here.map(|request| String::from_utf8(request.body).unwrap()).collect()
    }
}

fn success(data: Value) -> ResponseTemplate {
    let body = json!({"RESULT_CD": "S", "RESULT_DETAIL": "Success", "DATA": data});
    ResponseTemplate::new(200).set_body_json(body)
}

fn failure(detail: &str) -> ResponseTemplate {
    let body = json!({"RESULT_CD": "E", "RESULT_DETAIL": detail});
    ResponseTemplate::new(200).set_body_json(body)
}

#[tokio::test]
async fn a_booking_arrives_as_it_was_written_down_under_one_token() {
    let drill = Drill::new().await;
    drill.answers("RegBook", success(Value::Null)).await;
    assert_eq!(drill.book().await, Outcome::Done(()));
    assert_eq!(drill.book().await, Outcome::Done(()));
    assert_eq!(drill.arrived("ReqOneDayToken").await.len(), 1, "the token is kept");
    let [first, second] = &drill.arrived("RegBook").await[..] else { panic!("two bookings") };
    assert_eq!(first, second, "the same bytes");
    let request = drill.intent().request;
    assert_eq!(*first, format!(r#"{{"DATA":{{"TOKEN_NUM":"{TOKEN}",{}}}"#, &request[1..]));
    let data: Value = serde_json::from_str(first).unwrap();
    assert_eq!(data["DATA"]["RCVR_TEL_NO1"], "010");
    assert_eq!(data["DATA"]["CUST_USE_NO"], "ORD-1-1");
}

#[tokio::test]
async fn answers_to_a_booking_are_understood() {
    let html = ResponseTemplate::new(502).set_body_string("<h1>Bad Gateway</h1>");
    let table = [
        (failure("ORA-00001: unique constraint (DX.RCPT_PK) violated"), "duplicate"),
        (failure("배송 불가 지역입니다."), "refused"),
        (html, "unknown"),
        (ResponseTemplate::new(200).set_body_string("{\"RESULT_CD\":\"S\","), "unknown"),
        (ResponseTemplate::new(200), "unknown"),
        (ResponseTemplate::new(307).insert_header("location", "/RegBook"), "unknown"),
        (ResponseTemplate::new(404), "not-processed"),
        (ResponseTemplate::new(429), "not-processed"),
        (ResponseTemplate::new(403), "not-processed"),
    ];
    for (reply, expected) in table {
        let drill = Drill::new().await;
        drill.answers("RegBook", reply).await;
        assert_eq!(drill.book().await.name(), expected);
        assert_eq!(drill.arrived("RegBook").await.len(), 1, "nothing is repeated: {expected}");
    }
}

#[tokio::test]
async fn a_cancellation_carries_the_key_of_the_booking() {
    let drill = Drill::new().await;
    drill.answers("CnclBook", failure("예약 취소가 불가합니다.")).await;
    let outcome = drill.carrier.cancel(&hands(), &context(&drill.env), &drill.intent()).await;
    assert_eq!(outcome.name(), "refused");
    let sent: Value = serde_json::from_str(&drill.arrived("CnclBook").await[0]).unwrap();
    let written: Value = serde_json::from_str(&drill.intent().request).unwrap();
    assert_eq!(sent["DATA"]["REQ_DV_CD"], "02");
    for field in ["CUST_ID", "RCPT_YMD", "CUST_USE_NO", "RCPT_DV", "WORK_DV_CD", "MPCK_KEY"] {
        assert_eq!(sent["DATA"][field], written[field], "{field}");
    }
}

#[tokio::test]
async fn an_invoice_number_with_a_wrong_check_digit_is_no_number() {
    let drill = Drill::new().await;
    let context = context(&drill.env);
    drill.answers("ReqInvcNo", success(json!({"INVC_NO": "650000000033"}))).await;
    let outcome = drill.carrier.allocate_invoice(&hands(), &context).await;
    assert_eq!(outcome, Outcome::Done("650000000033".to_owned()));
    drill.server.reset().await;
    drill.answers("ReqInvcNo", success(json!({"INVC_NO": "650000000034"}))).await;
    assert_eq!(drill.carrier.allocate_invoice(&hands(), &context).await.name(), "not-processed");
}

#[tokio::test]
async fn tracking_is_asked_for_by_invoice_number() {
    let drill = Drill::new().await;
    let context = context(&drill.env);
    let row = json!({"INVC_NO": "650000000033", "CRG_ST": "11", "SCAN_YMD": "20261121",
                     "SCAN_HOUR": "180000", "CRG_ST_NM": "집화처리"});
    drill.answers("ReqOneGdsTrc", success(json!([row]))).await;
    let found = drill.carrier.track(&hands(), &context, "650000000033").await;
    assert_eq!(found, Outcome::Done(Tracking::At { state: "11".to_owned() }));
    let not_found = drill.carrier.track(&hands(), &context, "650000000070").await;
    assert_eq!(not_found, Outcome::Done(Tracking::None));
    let sent: Value = serde_json::from_str(&drill.arrived("ReqOneGdsTrc").await[0]).unwrap();
    assert_eq!(sent["DATA"]["CLNTNUM"], "30000001");
    assert_eq!(sent["DATA"]["INVC_NO"], "650000000033");
}

#[tokio::test]
async fn neither_outcome_nor_history_shows_token_or_customer() {
    let echo = format!("no such token {TOKEN}; call 010-1234-5678 (홍길동)");
    for reply in [failure(&echo), ResponseTemplate::new(401), ResponseTemplate::new(500)] {
        let drill = Drill::new().await;
        drill.answers("RegBook", reply).await;
        let outcome = drill.book().await;
        let shown = format!("{outcome:?} {:?} {:?}", drill.recorder.events(), order());
        for secret in [TOKEN, "1234-5678", "01012345678", "5678"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
