//! What the tests of calls share: an [`Env`] over a scripted transport, and a recorder of events.
#![allow(dead_code, reason = "each file of tests uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clockwork::{BoxFuture, Clock, DrillClock, Entropy, Timestamp};
use oms_core::call::{Context, Tenure};
use oms_core::env::{
    Deadlines, Env, Event, Hands, NullObserver, Observer, TokioSpawner, Transport, TransportError,
};
use oms_core::order::Order;
use oms_core::policy::Policies;
use oms_core::store::Store;
use oms_core::store::sqlite::{Options, SqliteStore};

pub const START: &str = "2026-11-21T10:00:00+09:00";

/// What a transport answers.
pub type Reply = Result<http::Response<Bytes>, TransportError>;

type Script =
    dyn Fn(http::Request<Bytes>, Deadlines) -> BoxFuture<'static, Reply> + Send + Sync + 'static;

/// A transport that answers as it is told.
pub struct Scripted(Box<Script>);

impl Scripted {
    pub fn new<F>(
        script: impl Fn(http::Request<Bytes>, Deadlines) -> F + Send + Sync + 'static,
    ) -> Arc<Scripted>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Arc::new(Scripted(Box::new(move |request, deadlines| Box::pin(script(request, deadlines)))))
    }

    /// No call is expected.
    pub fn none() -> Arc<Scripted> {
        Scripted::new(|request, _| async move { panic!("unexpected call: {}", request.uri()) })
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn call(&self, _: &Hands, request: http::Request<Bytes>, deadlines: Deadlines) -> Reply {
        (self.0)(request, deadlines).await
    }
}

/// Remembers all events.
#[derive(Default)]
pub struct Recorder(Mutex<Vec<(Timestamp, Event)>>);

impl Observer for Recorder {
    fn observe(&self, at: Timestamp, event: Event) {
        self.0.lock().unwrap().push((at, event));
    }
}

impl Recorder {
    pub fn events(&self) -> Vec<(Timestamp, Event)> {
        self.0.lock().unwrap().clone()
    }

    /// How the calls ended: endpoint, outcome, status.
    pub fn ends(&self) -> Vec<(String, String, Option<u16>)> {
        let ends = self.events().into_iter().filter_map(|(_, event)| match event {
            Event::CallEnd { endpoint, outcome, status, .. } => Some((endpoint, outcome, status)),
            _ => None,
        });
        ends.collect()
    }
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(DrillClock::starting_at(Timestamp::parse(START).unwrap()))
}

/// A store in memory that tells nobody what it does.
pub fn store(clock: &Arc<dyn Clock>) -> Arc<dyn Store> {
    Arc::new(SqliteStore::in_memory(Options::new(clock.clone(), Arc::new(NullObserver))))
}

pub fn env(carrier: Arc<dyn Transport>, messenger: Arc<dyn Transport>) -> (Env, Arc<Recorder>) {
    let clock = clock();
    let recorder = Arc::new(Recorder::default());
    let env = Env {
        store: store(&clock),
        clock,
        carrier,
        messenger,
        entropy: Entropy::new(7),
        spawner: Arc::new(TokioSpawner::default()),
        observer: recorder.clone(),
        policies: Policies::default(),
        worker: "test".to_owned(),
    };
    (env, recorder)
}

/// The hands of a test, which is a task of its own.
#[expect(clippy::disallowed_methods, reason = "a test begins here")]
pub fn hands() -> Hands {
    Hands::of_a_new_task()
}

/// On behalf of a parcel whose lease lasts long enough.
pub fn context(env: &Env) -> Context {
    Context {
        key: "ORD-1/1".to_owned(),
        tenure: Tenure::until(env.clock.now() + Duration::from_secs(60)),
    }
}

pub fn response(status: u16, body: &str) -> http::Response<Bytes> {
    let body = Bytes::from(body.to_owned());
    http::Response::builder().status(status).body(body).unwrap()
}

pub fn order() -> Order {
    let json = r#"{
        "id": "ORD-1",
        "customer": { "name": "홍길동", "phone": "010-1234-5678" },
        "address": { "postcode": "06236", "line1": "서울 강남구 테헤란로 1", "line2": "101호" },
        "items": [{ "sku": "SKU1", "name": "한라봉 3kg", "quantity": 2, "unit_price": 19900 }]
    }"#;
    Order::from_json(json.as_bytes()).unwrap()
}
