//! A tiny API that counts what it does, and a place to run it in.

#![allow(dead_code, reason = "each test file uses a part")]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use faults::{Api, Call, Described, Fault, Injector, Journal, Refuse, RequestRecord, disturb};
use http::StatusCode;
use serde_json::{Value, json};

/// The effects of the tiny API.
#[derive(Default)]
pub struct Tiny {
    pub booked: AtomicU64,
    pub bans: AtomicU64,
    pub revocations: AtomicU64,
    /// Whether the handler wants no more of its clients.
    pub refuses: AtomicBool,
}

impl Tiny {
    pub fn booked(&self) -> u64 {
        self.booked.load(Ordering::SeqCst)
    }
}

impl Api for Tiny {
    /// `POST /book` with `{"order": …}`, and `POST /token` without a key.
    fn describe(&self, parts: &http::request::Parts, body: &[u8]) -> Described {
        let endpoint = parts.uri.path().trim_start_matches('/').to_owned();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        Described { endpoint, key: body["order"].as_str().map(str::to_owned) }
    }

    fn refusal(&self, _: &Call, detail: Option<&str>) -> Response {
        Json(json!({ "result": "E", "detail": detail })).into_response()
    }

    fn ban(&self, _: IpAddr, length: Option<Duration>) -> Response {
        self.bans.fetch_add(length.map_or(1, |length| length.as_secs()), Ordering::SeqCst);
        (StatusCode::FORBIDDEN, "banned").into_response()
    }

    fn expire_credentials(&self, _: &Call) -> Response {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        (StatusCode::UNAUTHORIZED, "expired").into_response()
    }

    fn maintenance(&self, _: &Call) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, "back soon").into_response()
    }
}

/// The tiny API with faults around it.
pub struct Room {
    pub clock: Arc<dyn Clock>,
    pub start: Timestamp,
    pub tiny: Arc<Tiny>,
    pub injector: Injector,
    pub journal: Journal,
    pub router: Router,
}

impl Room {
    /// With the faults of a plan's `[[fault]]` tables.
    pub fn with(faults: &str) -> Room {
        Room::seeded(7, faults)
    }

    pub fn seeded(seed: u64, faults: &str) -> Room {
        let start = Timestamp::parse("2026-11-21T23:59:50+09:00").unwrap();
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(start));
        let tiny = Arc::new(Tiny::default());
        let injector = Injector::new(Arc::clone(&clock), Entropy::new(seed));
        injector.install(parse(faults), start).unwrap();
        let journal = Journal::new(Arc::clone(&clock), Journal::DEFAULT_CAPACITY);
        let router = disturb(routes(&tiny), tiny.clone(), injector.clone(), journal.clone());
        Room { clock, start, tiny, injector, journal, router }
    }

    /// The only request in the journal.
    pub fn only_record(&self) -> RequestRecord {
        let records = self.journal.records();
        assert_eq!(records.len(), 1, "{records:?}");
        records[0].clone()
    }

    /// How much of the run has passed.
    pub fn passed(&self) -> Duration {
        self.clock.now().since(self.start)
    }
}

fn routes(tiny: &Arc<Tiny>) -> Router {
    async fn book(State(tiny): State<Arc<Tiny>>, _: Bytes) -> Response {
        if tiny.refuses.load(Ordering::SeqCst) {
            return Extension(Refuse).into_response();
        }
        tiny.booked.fetch_add(1, Ordering::SeqCst);
        Json(json!({ "result": "S", "message": "booked" })).into_response()
    }
    Router::new().route("/book", post(book)).route("/token", post(book)).with_state(tiny.clone())
}

/// `[[fault]]` tables, as in a plan.
pub fn parse(faults: &str) -> Vec<Fault> {
    #[derive(serde::Deserialize)]
    struct List {
        #[serde(default)]
        fault: Vec<Fault>,
    }
    toml::from_str::<List>(faults).unwrap().fault
}

/// A booking of `order`.
pub fn booking(order: &str) -> Request {
    let body = json!({ "order": order }).to_string();
    Request::post("/book").body(body.into()).unwrap()
}

/// All in one thread: any order will do.
pub const SEEN: Ordering = Ordering::SeqCst;
