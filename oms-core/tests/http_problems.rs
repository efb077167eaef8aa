//! Every error over HTTP is a problem that says what is wrong and where.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/api.rs"]
mod api;
#[path = "support/flaky.rs"]
mod flaky;

use api::{Api, order};
use axum::body::Body;
use flaky::Flaky;
use http::{Request, StatusCode};
use oms_core::config::Config;
use oms_core::store::Error;
use serde_json::{Value, json};

fn kind(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test(start_paused = true)]
async fn an_invalid_order_is_answered_with_every_field_that_is_wrong() {
    let api = Api::new();
    let mut bad = order("ORD 1");
    bad["customer"]["phone"] = json!("010-1234-56789");
    bad["items"][1]["quantity"] = json!("2");
    bad["items"][0].as_object_mut().unwrap().remove("sku");
    bad["note"] = json!("x");
    let answer = api.post_order(&bad).await;
    assert_eq!(answer.problem(), kind(422, "invalid"));
    let body = answer.json();
    let fields: Vec<&str> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["note", "items[0].sku", "items[1].quantity", "id", "customer.phone"]);
    assert!(!answer.text.contains("1234"), "phones are masked: {}", answer.text);
    assert!(api.told.acknowledged().is_empty());
    assert_eq!(api.woken(), 0);
    assert_eq!(api.get("/orders").await.json()["orders"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_is_answered_with_line_and_column() {
    let api = Api::new();
    let answer = api.post("/orders", "{\n  \"id\": \"ORD-1\",,\n}").await;
    assert_eq!(answer.problem(), kind(400, "malformed-json"));
    let body = answer.json();
    assert_eq!((&body["line"], &body["column"]), (&json!(2), &json!(17)));
    assert_eq!(api.post("/orders", "").await.problem(), kind(400, "malformed-json"));
    assert_eq!(api.post("/orders", "[]").await.problem(), kind(422, "invalid"));
    assert_eq!(api.post("/orders", &b"{\"id\":\"\xff\"}"[..]).await.problem().0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let text = order("ORD-1").to_string();
    let mut config = Config::default();
    config.service.body_bytes_max = text.len();
    let api = Api::with(config, |store| store);
    let larger = api.post("/orders", format!("{text} ")).await;
    assert_eq!(larger.problem(), kind(413, "too-large"));
    assert_eq!(api.post("/orders", text).await.status, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn another_media_type_is_refused_and_variants_of_json_are_not() {
    let api = Api::new();
    let post = async |id: &str, media: Option<&str>| {
        let mut request = Request::post("/orders");
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        api.ask(request.body(Body::from(order(id).to_string())).unwrap()).await
    };
    for media in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let problem = post("ORD-1", media).await.problem();
        assert_eq!(problem, kind(415, "unsupported-media-type"), "{media:?}");
    }
    for (id, media) in [("A", "Application/JSON; charset=utf-8"), ("B", "application/hal+json")] {
        assert_eq!(post(id, Some(media)).await.status, StatusCode::CREATED, "{media}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_problems_too() {
    let api = Api::new();
    assert_eq!(api.get("/nowhere").await.problem(), kind(404, "no-such-path"));
    let put = Request::put("/orders").body(Body::empty()).unwrap();
    let answer = api.ask(put).await;
    assert_eq!(answer.problem(), kind(405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_query_is_answered_with_every_key_that_is_wrong() {
    let api = Api::new();
    let answer = api.get("/orders?state=gone&limit=0&parcel_state=x&stat=y").await;
    assert_eq!(answer.problem(), kind(400, "invalid-query"));
    let body = answer.json();
    let fields: Vec<&Value> =
        body["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["limit", "parcel_state", "stat", "state"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_author_of_a_cancellation_is_refused() {
    let api = Api::new();
    api.post_order(&order("ORD-1")).await;
    for body in [r#"{"by":""}"#, r#"{"by":5}"#, r#"{"by":"x","why":"y"}"#, "[]"] {
        let answer = api.post("/orders/ORD-1/cancel", body).await;
        assert_eq!(answer.problem(), kind(422, "invalid"), "{body}");
    }
    let answer = api.post("/orders/ORD-1/cancel", "{").await;
    assert_eq!(answer.problem(), kind(400, "malformed-json"));
    assert_eq!(api.get("/orders/ORD-1").await.json()["state"], "accepted");
}

fn flaky(failures: usize, error: Error) -> Api {
    Api::with(Config::default(), |store| Flaky::wrap(store, failures, error))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_busy_for_a_moment_is_asked_again() {
    let api = flaky(4, Error::Busy { op: "ingest" });
    assert_eq!(api.post_order(&order("ORD-1")).await.status, StatusCode::CREATED);
    assert_eq!(api.told.acknowledged(), ["ORD-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_busy_is_answered_with_503_and_nothing_is_acknowledged() {
    let api = flaky(usize::MAX, Error::Busy { op: "ingest" });
    let begun = api.clock.now();
    let answer = api.post_order(&order("ORD-1")).await;
    assert_eq!(answer.problem(), kind(503, "unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
    assert!(api.clock.now().since(begun) < std::time::Duration::from_secs(2), "bounded");
    assert!(api.told.acknowledged().is_empty());
    assert_eq!(api.get("/orders/ORD-1").await.problem(), kind(503, "unavailable"));
    assert_eq!(api.get("/healthz").await.problem(), kind(503, "unavailable"));
    let metrics = api.get("/metrics").await;
    assert!(metrics.text.contains("oms_store_up 0\n"), "{}", metrics.text);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_made_sure_of_before_it_is_acknowledged() {
    let api = flaky(1, Error::CommitUnknown { op: "ingest" });
    let answer = api.post_order(&order("ORD-1")).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(api.told.acknowledged(), ["ORD-1"]);
    assert_eq!(api.get("/orders/ORD-1").await.json()["state"], "accepted");
}

#[tokio::test(start_paused = true)]
async fn an_order_for_which_the_disk_has_no_room_is_turned_away_for_now() {
    let answer = flaky(100, Error::Full { op: "ingest" }).post_order(&order("ORD-1")).await;
    assert_eq!(answer.problem(), kind(503, "unavailable"));
    assert!(answer.text.contains("the database has no room"), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_store_is_answered_without_its_details() {
    let error = Error::Engine { op: "ingest", reason: "disk at /secret is full".to_owned() };
    let answer = flaky(1, error).post_order(&order("ORD-1")).await;
    assert_eq!(answer.problem(), kind(500, "internal"));
    assert!(!answer.text.contains("secret"));
}
