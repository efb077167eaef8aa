//! Orders over HTTP: taken once, shown, listed, cancelled, counted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/api.rs"]
mod api;

use api::{Api, order};
use http::StatusCode;
use oms_core::config::Config;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_new_order_is_created_once_and_the_same_again_gets_the_first_result() {
    let api = Api::new();
    let created = api.post_order(&order("ORD-1")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.header("location"), "/orders/ORD-1");
    let first = created.json();
    assert_eq!(first, json!({ "id": "ORD-1", "state": "accepted", "state_name": "배송접수대기" }));
    assert_eq!(api.woken(), 1, "dispatchers look at once");

    let mut written_otherwise = order("ORD-1");
    written_otherwise["customer"]["phone"] = json!("01012345678");
    let again = api.post_order(&written_otherwise).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, first));
    assert_eq!(api.woken(), 1);
    assert_eq!(api.told.acknowledged(), ["ORD-1", "ORD-1"]);
}

#[tokio::test(start_paused = true)]
async fn another_content_under_the_same_id_is_a_conflict_and_changes_nothing() {
    let api = Api::new();
    api.post_order(&order("ORD-1")).await;
    let mut other = order("ORD-1");
    other["items"][0]["quantity"] = json!(3);
    assert_eq!(api.post_order(&other).await.problem(), (409, "order-exists".to_owned()));
    assert_eq!(api.told.acknowledged(), ["ORD-1"]);
    assert_eq!(api.post_order(&order("ORD-1")).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_the_shop_does_not_take_is_kept_as_rejected() {
    let mut config = Config::default();
    config.shop.refused_postcodes = vec!["062".to_owned()];
    let api = Api::with(config, |store| store);
    let created = api.post_order(&order("ORD-1")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.json()["state_name"], "주문거절");
    let shown = api.get("/orders/ORD-1").await.json();
    assert_eq!(shown["reason"], "no shipping to postcodes that begin with 062");
}

#[tokio::test(start_paused = true)]
async fn an_order_is_shown_with_its_parcels_and_without_its_customer() {
    let api = Api::new();
    api.post_order(&order("ORD-1")).await;
    let shown = api.get("/orders/ORD-1").await;
    assert_eq!(shown.status, StatusCode::OK);
    let body = shown.json();
    assert_eq!(body["state"], "accepted");
    assert_eq!(body["state_name"], "배송접수대기");
    assert_eq!(body["created_at"], "2026-11-21T10:00:00.000+09:00");
    assert_eq!(body["parcels"].as_array().unwrap().len(), 2);
    assert_eq!(body["parcels"][1], json!({ "number": 2, "state": "planned" }));
    assert_eq!(body["notifications"], json!([]));
    for secret in ["홍길동", "1234", "5678", "06236", "테헤란로"] {
        assert!(!shown.text.contains(secret), "{secret} in {}", shown.text);
    }
    assert_eq!(api.get("/orders/ORD-2").await.problem(), (404, "unknown-order".to_owned()));
    assert_eq!(api.get("/orders/%ff").await.problem(), (404, "unknown-order".to_owned()));
}

fn ids(page: &Value) -> Vec<&str> {
    page["orders"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_paged_by_id_and_filtered_by_state() {
    let mut config = Config::default();
    config.shop.refused_postcodes = vec!["63".to_owned()];
    let api = Api::with(config, |store| store);
    for number in 1..=5 {
        let mut order = order(&format!("ORD-{number}"));
        if number == 4 {
            order["address"]["postcode"] = json!("63001");
        }
        api.post_order(&order).await;
    }
    let first = api.get("/orders?limit=2").await.json();
    assert_eq!(ids(&first), ["ORD-1", "ORD-2"]);
    assert_eq!(first["next"], "/orders?after=ORD-2&limit=2");
    let second = api.get(first["next"].as_str().unwrap()).await.json();
    assert_eq!(ids(&second), ["ORD-3", "ORD-4"]);
    let third = api.get(second["next"].as_str().unwrap()).await.json();
    assert_eq!((ids(&third), &third["next"]), (vec!["ORD-5"], &Value::Null));

    let accepted = api.get("/orders?state=accepted&limit=3").await.json();
    assert_eq!(ids(&accepted), ["ORD-1", "ORD-2", "ORD-3"]);
    let rest = api.get(accepted["next"].as_str().unwrap()).await.json();
    assert_eq!(ids(&rest), ["ORD-5"]);
    // 주문거절
    let korean = "/orders?state=%EC%A3%BC%EB%AC%B8%EA%B1%B0%EC%A0%88";
    assert_eq!(ids(&api.get(korean).await.json()), ["ORD-4"]);
    let planned = api.get("/orders?parcel_state=planned").await.json();
    assert_eq!(ids(&planned), ["ORD-1", "ORD-2", "ORD-3", "ORD-5"]);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_called_back_with_the_name_of_who_did_it() {
    let api = Api::new();
    api.post_order(&order("ORD-1")).await;
    api.post_order(&order("ORD-2")).await;
    let woken = api.woken();
    let cancelled = api.post("/orders/ORD-1/cancel", r#"{"by":"김상담"}"#).await;
    assert!(cancelled.status.is_success(), "{cancelled:?}");
    assert!(["cancelling", "cancelled"].contains(&cancelled.json()["state"].as_str().unwrap()));
    assert!(api.woken() > woken, "dispatchers look at once");
    let nameless = http::Request::post("/orders/ORD-2/cancel").body(axum::body::Body::empty());
    assert!(api.ask(nameless.unwrap()).await.status.is_success());
    let absent = api.post("/orders/ORD-9/cancel", "").await;
    assert_eq!(absent.problem(), (404, "unknown-order".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_rejected_cannot_be_called_back() {
    let mut config = Config::default();
    config.shop.refused_postcodes = vec!["06".to_owned()];
    let api = Api::with(config, |store| store);
    api.post_order(&order("ORD-1")).await;
    let refused = api.post("/orders/ORD-1/cancel", "").await;
    assert_eq!(refused.problem(), (409, "not-now".to_owned()));
    assert!(refused.json()["detail"].is_string());
}

#[tokio::test(start_paused = true)]
async fn metrics_count_orders_by_state_and_requests_by_route() {
    let api = Api::new();
    api.post_order(&order("ORD-1")).await;
    api.post_order(&order("ORD-1")).await;
    api.get("/orders/ORD-1").await;
    api.get("/nowhere").await;
    let metrics = api.get("/metrics").await;
    assert_eq!(metrics.status, StatusCode::OK);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "oms_store_up 1",
        "oms_orders{state=\"accepted\",name=\"배송접수대기\"} 1",
        "oms_orders{state=\"attention\",name=\"확인필요\"} 0",
        "oms_parcels{state=\"planned\"} 2",
        "oms_http_requests_total{method=\"POST\",route=\"/orders\",status=\"201\"} 1",
        "oms_http_requests_total{method=\"POST\",route=\"/orders\",status=\"200\"} 1",
        "oms_http_requests_total{method=\"GET\",route=\"/orders/{id}\",status=\"200\"} 1",
        "oms_http_requests_total{method=\"GET\",route=\"other\",status=\"404\"} 1",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line} in {}", metrics.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_store_answers_is_healthy() {
    let healthy = Api::new().get("/healthz").await;
    assert_eq!((healthy.status, healthy.json()), (StatusCode::OK, json!({ "status": "ok" })));
}
