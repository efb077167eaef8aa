//! The admin API that the fakes share: the evidence, and the faults.
//!
//! - `GET /ledger`: what truly happened;
//! - `GET /faults`: the faults and how often each fired; `PUT` replaces them; `DELETE` takes them
//!   away and answers how often each had fired;
//! - `POST /faults/heal`: no fault fires any more, the counts stay to be read;
//! - `POST /reset`: forgets the ledger and starts all counts anew; the faults stay.
//!
//! Errors are problem documents (RFC 9457).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use clockwork::{Clock, Entropy, Timestamp};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fake::chain;
use crate::fault::{self, Fault};
use crate::injector::{Fired, Injector};
use crate::kind::{Kind, Target};

/// What a fake can tell about itself.
pub trait Evidence: Send + Sync + 'static {
    /// All that truly happened, as JSON.
    fn ledger(&self) -> Value;

    /// Forgets it all: the state of a fake that has just started.
    fn reset(&self);
}

/// The admin API. A fake may merge routes of its own into it.
pub fn router(evidence: Arc<dyn Evidence>, injector: Injector, clock: Arc<dyn Clock>) -> Router {
    let faults = get(fired).put(install).delete(clear);
    Router::new()
        .route("/ledger", get(ledger))
        .route("/faults", faults)
        .route("/faults/heal", post(heal))
        .route("/reset", post(reset))
        .with_state(Arc::new(Admin { evidence, injector, clock }))
}

struct Admin {
    evidence: Arc<dyn Evidence>,
    injector: Injector,
    clock: Arc<dyn Clock>,
}

/// The body of `PUT /faults`, when it is no bare list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Installation {
    /// What `from` and `until` count from, in microseconds since the epoch; without it, now.
    start: Option<Timestamp>,
    /// What rates are drawn from; without it, as before.
    seed: Option<u64>,
    faults: Vec<Fault>,
}

/// Why `PUT /faults` is refused.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("body is no list of faults")]
    Json(#[source] serde_json::Error),
    #[error("unusable fault")]
    Faults(#[source] fault::Error),
    #[error("`{0}` is none that an API can do")]
    Elsewhere(Kind),
}

async fn ledger(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(admin.evidence.ledger())
}

async fn fired(State(admin): State<Arc<Admin>>) -> Json<Vec<Fired>> {
    Json(admin.injector.fired())
}

async fn install(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<StatusCode, Problem> {
    let Installation { start, seed, faults } = parse(&body).map_err(Problem::Json)?;
    if let Some(fault) = faults.iter().find(|fault| !is_of_an_api(fault)) {
        return Err(Problem::Elsewhere(fault.kind));
    }
    let start = start.unwrap_or_else(|| admin.clock.now());
    let entropy = seed.map_or_else(|| admin.injector.entropy(), Entropy::new);
    admin.injector.install_seeded(faults, start, entropy).map_err(Problem::Faults)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether it is done at an API: by its answer, its connection, because of one of its calls, or to it.
fn is_of_an_api(fault: &Fault) -> bool {
    match fault.kind.target() {
        Target::Call | Target::Connection => true,
        Target::Node => fault.when.is_some(),
        // Whoever runs the API carries it out. It is listed all the same, for a hit names its fault by
        // the place among all faults of the API.
        Target::Server => fault.kind == Kind::ApiRestart,
        Target::Store | Target::Queue => false,
    }
}

async fn clear(State(admin): State<Arc<Admin>>) -> Json<Vec<Fired>> {
    let fired = admin.injector.fired();
    admin.injector.clear();
    Json(fired)
}

async fn heal(State(admin): State<Arc<Admin>>) -> StatusCode {
    admin.injector.heal();
    StatusCode::NO_CONTENT
}

async fn reset(State(admin): State<Arc<Admin>>) -> StatusCode {
    admin.evidence.reset();
    admin.injector.reset();
    StatusCode::NO_CONTENT
}

/// By its first byte, not by trial: so an error keeps its line and column.
fn parse(body: &[u8]) -> Result<Installation, serde_json::Error> {
    if body.trim_ascii_start().starts_with(b"[") {
        let faults = serde_json::from_slice(body)?;
        return Ok(Installation { start: None, seed: None, faults });
    }
    serde_json::from_slice(body)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::BAD_REQUEST;
        let problem = json!({
            "type": "about:blank",
            "title": "faults refused",
            "status": status.as_u16(),
            "detail": chain(&self),
        });
        let mut response = (status, Json(problem)).into_response();
        let document = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, document);
        response
    }
}
