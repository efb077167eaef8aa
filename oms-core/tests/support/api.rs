//! The HTTP API over a database in memory, asked without a socket.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use http::{HeaderMap, Request, StatusCode};
use oms_core::config::Config;
use oms_core::env::{
    Deadlines, Env, Event, Hands, Observer, TokioSpawner, Transport, TransportError,
};
use oms_core::http::{App, router};
use oms_core::policy::Policies;
use oms_core::store::Store;
use oms_core::store::sqlite::{Options, SqliteStore};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// When the tests happen.
pub const START: &str = "2026-11-21T10:00:00+09:00";

/// Keeps what it is told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<Event>>);

impl Observer for Told {
    fn observe(&self, _at: Timestamp, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Told {
    /// The orders of which a caller was told that they are kept.
    pub fn acknowledged(&self) -> Vec<String> {
        let order = |event: &Event| match event {
            Event::Acknowledged { order } => Some(order.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(order).collect()
    }
}

/// Taking orders in calls nobody.
struct NoTransport;

#[async_trait]
impl Transport for NoTransport {
    async fn call(
        &self,
        _hands: &Hands,
        _request: Request<Bytes>,
        _deadlines: Deadlines,
    ) -> Result<http::Response<Bytes>, TransportError> {
        Err(TransportError::NotSent { reason: "nobody is there".to_owned() })
    }
}

/// An API to ask.
pub struct Api {
    pub router: axum::Router,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub told: Arc<Told>,
    pub woken: Arc<AtomicUsize>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The last part of a problem's type, with its status, after a look at its form.
    #[track_caller]
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert!(body["title"].is_string());
        let kind = body["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (self.status.as_u16(), kind)
    }
}

impl Api {
    pub fn new() -> Api {
        Api::with(Config::default(), |store| store)
    }

    /// An API with settings, and with something between it and its store.
    pub fn with(config: Config, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Api {
        let clock: Arc<dyn Clock> =
            Arc::new(DrillClock::starting_at(Timestamp::parse(START).unwrap()));
        let told = Arc::new(Told::default());
        let options = Options::new(clock.clone(), told.clone());
        let store = wrap(Arc::new(SqliteStore::in_memory(options)));
        let env = Env {
            clock: clock.clone(),
            carrier: Arc::new(NoTransport),
            messenger: Arc::new(NoTransport),
            store: store.clone(),
            entropy: Entropy::new(1),
            spawner: Arc::new(TokioSpawner::default()),
            observer: told.clone(),
            policies: Policies::default(),
            worker: "test".to_owned(),
        };
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = woken.clone();
        let wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let router = router(Arc::new(App::new(env, Arc::new(config), wake)));
        Api { router, clock, store, told, woken }
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.ask(request.body(body.into()).unwrap()).await
    }

    pub async fn post_order(&self, order: &Value) -> Answer {
        self.post("/orders", order.to_string()).await
    }

    pub fn woken(&self) -> usize {
        self.woken.load(Ordering::Relaxed)
    }
}

/// An order with nothing wrong.
pub fn order(id: &str) -> Value {
    json!({
        "id": id,
        "customer": { "name": "홍길동", "phone": "010-1234-5678" },
        "address": { "postcode": "06236", "line1": "서울 강남구 테헤란로 1", "line2": "101호" },
        "items": [
            { "sku": "SKU-1", "name": "한라봉 3kg", "quantity": 2, "unit_price": 19_900 },
            { "sku": "SKU-2", "name": "감귤 5kg", "quantity": 1, "unit_price": 15_000, "parcel": 2 },
        ],
        "memo": "문 앞에 놓아 주세요",
    })
}

/// A member with nothing wrong.
pub fn member(id: &str, phone: &str) -> Value {
    json!({
        "id": id, "name": "홍길동", "phone": phone, "age": 30,
        "consents": { "terms": true, "privacy": true, "marketing": false },
    })
}
