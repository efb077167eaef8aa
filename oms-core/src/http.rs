//! The HTTP API: orders and members in, their state out, operations, health and metrics.
//!
//! A 201 means committed. Every error is a `problem+json` ([RFC 9457]). No answer holds a
//! customer's data.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

mod members;
mod metrics;
mod orders;
mod problem;
mod view;

pub use metrics::Metrics;
pub use problem::Problem;
pub use view::{MemberBody, OrderBody};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::config::Config;
use crate::env::Env;
use crate::store::Filter;

/// The store must answer `/healthz` within this.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);

/// What the handlers work with.
pub struct App {
    /// The seams.
    pub env: Env,
    /// The settings.
    pub config: Arc<Config>,
    /// Called after a new order or member is kept and after an operation: there is work to look for.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    /// What is counted. To count the core's events too, tell it to the observer as well.
    pub metrics: Arc<Metrics>,
}

impl App {
    /// With counters of its own.
    pub fn new(env: Env, config: Arc<Config>, wake: Arc<dyn Fn() + Send + Sync>) -> App {
        App { env, config, wake, metrics: Arc::default() }
    }
}

/// The API.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/orders", get(orders::list).post(orders::take))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/cancel", post(orders::cancel))
        .route("/members", post(members::sign_up))
        .route("/members/{id}", get(members::show))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics::render))
        .fallback(async || Problem::NoSuchPath)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(app.config.service.body_bytes_max))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .with_state(app)
}

/// Counts each request by its route, never by its path: a path holds an id.
async fn count(
    State(app): State<Arc<App>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.request(method.as_str(), route, response.status().as_u16());
    response
}

/// Healthy when the store answers.
async fn healthz(State(app): State<Arc<App>>) -> Result<axum::Json<serde_json::Value>, Problem> {
    let look = app.env.store.orders(Filter { limit: 1, ..Filter::default() });
    match clockwork::timeout(&*app.env.clock, HEALTH_DEADLINE, look).await {
        Ok(Ok(_)) => Ok(axum::Json(serde_json::json!({ "status": "ok" }))),
        Ok(Err(error)) => {
            tracing::warn!(%error, "unhealthy");
            Err(Problem::Unavailable { why: "the database does not answer".to_owned() })
        }
        Err(late) => {
            tracing::warn!(error = %late, "unhealthy");
            Err(Problem::Unavailable { why: "the database does not answer in time".to_owned() })
        }
    }
}
