//! The calls that twenty orders make, as the core makes them: asked of the core once, then replayed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use clockwork::{Clock, DrillClock, Entropy};
use fake_cj::FakeCj;
use fake_kakao::FakeKakao;
use http_body_util::BodyExt;
use oms_core::env::{Deadlines, Env, Hands, NullObserver, TokioSpawner, Transport, TransportError};
use oms_core::order::Order;
use oms_core::policy::Policies;
use oms_core::service::{Service, Workers};
use oms_core::store::Store;
use oms_core::store::sqlite::{Options, SqliteStore};
use scenarios::plan::Plan;
use scenarios::workload;
use tower::ServiceExt;

/// Between two orders: time enough for all calls of one, so that they can be told apart.
const APART: Duration = Duration::from_secs(10);

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Carrier,
    Messenger,
}

/// One request, and to whom.
pub type Call = (Peer, http::Request<Bytes>);

/// The fakes of a run, new ones. The same requests get the same answers from each pair.
pub fn fakes(plan: &Plan) -> (FakeCj, FakeKakao) {
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(plan.start));
    let entropy = Entropy::new(plan.seed);
    let carrier = FakeCj::new(plan.carrier.clone(), clock.clone(), entropy.fork("carrier", 0));
    let gateway = FakeKakao::new(plan.gateway.clone(), clock, entropy.fork("messenger", 0));
    (carrier, gateway)
}

/// The calls of the orders of `plan`, order by order. The first order's begin with the token's.
pub async fn of_each_order(plan: &Plan) -> Vec<Vec<Call>> {
    let (carrier, gateway) = fakes(plan);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let line = |peer, router| Arc::new(Tapped { peer, router, seen: seen.clone() });
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(plan.start));
    let mut config = plan.oms.clone();
    let (cj, kakao) = (carrier.credentials(), gateway.credentials());
    config.carrier.cust_id = cj.cust_id;
    config.carrier.biz_reg_num = cj.biz_reg_num;
    config.messenger.api_key = kakao.api_key.reveal().to_owned();
    config.messenger.sender_key = kakao.sender_key;
    if !config.messenger.sms_from.is_empty() {
        config.messenger.sms_from = kakao.sms_from;
    }
    config.messenger.report_poll = APART * 1_000;
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::in_memory(Options::new(clock.clone(), Arc::new(NullObserver))));
    let env = Env {
        clock: clock.clone(),
        carrier: line(Peer::Carrier, carrier.router()),
        messenger: line(Peer::Messenger, gateway.router()),
        store: store.clone(),
        entropy: Entropy::new(plan.seed),
        spawner: Arc::new(TokioSpawner::default()),
        observer: Arc::new(NullObserver),
        policies: Policies::default(),
        worker: "bench".to_owned(),
    };
    let service = Service::start(env, Arc::new(config));
    let mut calls = Vec::new();
    for offer in workload::generate(plan) {
        let order = Order::from_json(offer.body.as_bytes()).expect("an order of the workload");
        store.ingest(&order, None, clock.now()).await.expect("a database in memory");
        service.wake();
        clock.sleep(APART).await;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(std::mem::take(&mut *seen));
    }
    calls
}

/// The way to a fake, in process and at once, that keeps a copy of each request.
struct Tapped {
    peer: Peer,
    router: Router,
    seen: Arc<Mutex<Vec<Call>>>,
}

#[async_trait]
impl Transport for Tapped {
    async fn call(
        &self,
        _: &Hands,
        request: http::Request<Bytes>,
        _: Deadlines,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let copy = (self.peer, request.clone());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        let Ok(response) = self.router.clone().oneshot(request.map(Body::from)).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes();
        Ok(http::Response::from_parts(head, body))
    }
}
