//! Sign-ups over HTTP.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/api.rs"]
mod api;
#[path = "support/flaky.rs"]
mod flaky;

use std::sync::Arc;
use std::time::Duration;

use api::{Api, member};
use flaky::Flaky;
use http::StatusCode;
use oms_core::config::Config;
use oms_core::store::{Error, Store};
use serde_json::{Value, json};

async fn post(api: &Api, member: &Value) -> api::Answer {
    api.post("/members", member.to_string()).await
}

fn kind(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_kept_with_its_welcome_and_the_answer_does_not_wait_for_it() {
    let api = Api::new();
    let answer = post(&api, &member("MEM-1", "010-1234-5678")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "the gateway is not even there");
    assert_eq!(answer.header("location"), "/members/MEM-1");
    assert_eq!(answer.json(), json!({ "id": "MEM-1" }));
    assert_eq!(api.woken(), 1);
    let shown = api.get("/members/MEM-1").await;
    assert_eq!(shown.json()["notifications"], json!([{ "event": "welcome", "state": "queued" }]));
    for secret in ["홍길동", "1234", "5678"] {
        assert!(!shown.text.contains(secret), "{secret} in {}", shown.text);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_request_again_is_the_same_answer_and_no_second_member() {
    let api = Api::new();
    let first = post(&api, &member("MEM-1", "010-1234-5678")).await;
    let again = post(&api, &member("MEM-1", "01012345678")).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.text, first.text);
    assert_eq!(api.store.rows().await.unwrap().members.len(), 1);
    assert_eq!(api.woken(), 1, "there is nothing new to do");
}

#[tokio::test(start_paused = true)]
async fn an_existing_member_is_answered_with_409() {
    let api = Api::new();
    post(&api, &member("MEM-1", "010-1234-5678")).await;
    let same_phone = post(&api, &member("MEM-2", "010-1234-5678")).await;
    assert_eq!(same_phone.problem(), kind(409, "member-exists"));
    let same_id = post(&api, &member("MEM-1", "010-8765-4321")).await;
    assert_eq!(same_id.problem(), kind(409, "member-exists"));
    assert_eq!(api.store.rows().await.unwrap().members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_sign_up_is_answered_with_every_field_that_is_wrong() {
    let api = Api::new();
    let mut bad = member("MEM-1", "010-1234-56789");
    bad["age"] = json!(13);
    bad["consents"]["terms"] = json!(false);
    bad["nickname"] = json!("x");
    let answer = post(&api, &bad).await;
    assert_eq!(answer.problem(), kind(422, "invalid"));
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap().iter();
    let fields: Vec<&str> = errors.map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["nickname", "phone", "age", "consents.terms"]);
    assert!(!answer.text.contains("1234"), "phones are masked: {}", answer.text);
    assert_eq!(api.post("/members", "{").await.problem(), kind(400, "malformed-json"));
    assert_eq!(api.get("/members/MEM-1").await.problem(), kind(404, "unknown-member"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_database_is_asked_for_again_and_makes_no_second_member() {
    let lost = Error::CommitUnknown { op: "sign-up" };
    let wrap = |inner: Arc<dyn Store>| Flaky::wrap(inner, 1, lost);
    let api = Api::with(Config::default(), wrap);
    let before = api.clock.now();
    assert!(post(&api, &member("MEM-1", "010-1234-5678")).await.status.is_success());
    assert!(api.clock.now().since(before) < Duration::from_secs(5));
    assert_eq!(api.store.rows().await.unwrap().members.len(), 1);
}
