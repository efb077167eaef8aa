//! A gateway on a bench: requests in process, time that is virtual.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use fake_kakao::{Config, FakeKakao};
use http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The recipient of [`Bench::order`].
pub const CUSTOMER: &str = "01012345678";
const API: &str = "/api/comm/v1";

/// A gateway, and a caller who is let in.
#[derive(Clone)]
pub struct Bench {
    pub fake: FakeKakao,
    pub clock: Arc<dyn Clock>,
    pub router: Router,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Answer {
    /// `data.code`.
    pub fn code(&self) -> &str {
        self.body["data"]["code"].as_str().unwrap_or_default()
    }

    /// `destinations[].code`.
    pub fn codes(&self) -> Vec<&str> {
        let rows = self.body["data"]["data"]["destinations"].as_array();
        let codes = rows.into_iter().flatten().filter_map(|row| row["code"].as_str());
        codes.collect()
    }

    /// The key of the first destination's message.
    pub fn msg_key(&self) -> &str {
        self.body["data"]["data"]["destinations"][0]["msgKey"].as_str().unwrap_or_default()
    }

    /// What the service gives: `data.data`.
    pub fn data(&self) -> &Value {
        &self.body["data"]["data"]
    }
}

impl Bench {
    /// A gateway with `config`, at the moment of the provider's own example.
    pub fn with(config: Config) -> Bench {
        config.validate().unwrap();
        let start = Timestamp::parse("2026-04-24T10:42:34.546+09:00").unwrap();
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(start));
        let fake = FakeKakao::new(config, Arc::clone(&clock), Entropy::new(7));
        let router = fake.router();
        Bench { fake, clock, router }
    }

    /// A gateway with the configuration that `toml` gives.
    pub fn toml(toml: &str) -> Bench {
        Bench::with(Config::from_toml(toml).unwrap())
    }

    /// A gateway as it comes.
    pub fn new() -> Bench {
        Bench::with(Config::default())
    }

    /// The text of a shipped order.
    pub fn text(order: &str) -> String {
        format!(
            "[드릴상회] 홍길동님, 주문 {order}의 배송이 접수되었습니다. 운송장번호 123456789012"
        )
    }

    /// What tells `to` that `order` was shipped: Alimtalk, then a text message.
    pub fn order_to(&self, order: &str, to: &str) -> Value {
        let credentials = self.fake.credentials();
        json!({
            "destinations": [{ "to": to }],
            "messageFlow": [
                { "alimtalk": {
                    "msgType": "AT",
                    "senderKey": credentials.sender_key,
                    "templateCode": "ORDER_SHIPPED",
                    "text": Bench::text(order),
                } },
                { "sms": { "from": credentials.sms_from, "text": "배송 시작 123456789012" } },
            ],
            "ref": order,
            "idempotencyKey": order,
            "idempotencyTtl": 86_400,
        })
    }

    /// The same to [`CUSTOMER`].
    pub fn order(&self, order: &str) -> Value {
        self.order_to(order, CUSTOMER)
    }

    pub async fn send(&self, body: &Value) -> Answer {
        self.call(Method::POST, "/send/omni", body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, String::new()).await
    }

    pub async fn poll(&self) -> Answer {
        self.get("/report/polling").await
    }

    pub async fn acknowledge(&self, report_id: &str) -> Answer {
        let path = format!("/report/polling/{report_id}");
        self.call(Method::DELETE, &path, String::new()).await
    }

    pub async fn call(&self, method: Method, path: &str, body: String) -> Answer {
        let key = self.fake.credentials().api_key.reveal().to_owned();
        self.call_as(Some(&key), method, path, body).await
    }

    pub async fn call_as(
        &self,
        key: Option<&str>,
        method: Method,
        path: &str,
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{API}{path}"));
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        let request = request.header("content-type", "application/json");
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await;
        let response = response.unwrap();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, retry_after, body: serde_json::from_slice(&body).unwrap() }
    }

    pub async fn pass(&self, millis: u64) {
        self.clock.sleep(Duration::from_millis(millis)).await;
    }
}
