//! HTTP on the outside, one locked decision on the inside.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use faults::Call;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;

use crate::FakeKakao;
use crate::codes::GatewayCode;
use crate::gateway::Caller;
use crate::wire::{PREFIX, Reply, SendRequest};

/// The API without faults.
pub(crate) fn router(fake: FakeKakao) -> Router {
    let api = Router::new()
        .route("/send/omni", post(send))
        .route("/report/polling", get(poll))
        .route("/report/polling/{report_id}", delete(acknowledge))
        .route("/report/inquiry/{msg_key}", get(report))
        .route("/message/inquiry/msgKey/{msg_key}", get(message))
        .route("/message/inquiry/requestId/{request_id}", get(messages_of))
        .method_not_allowed_fallback(method_not_allowed);
    Router::new().nest(PREFIX, api).fallback(not_found).with_state(fake)
}

async fn send(State(fake): State<FakeKakao>, caller: Caller, body: Bytes) -> Response {
    let request = SendRequest::parse(&body);
    let reply = fake.decide(|gateway, now| gateway.send(&caller, request, now));
    fake.respond(caller.request, reply)
}

async fn poll(State(fake): State<FakeKakao>, caller: Caller) -> Response {
    let reply = fake.decide(|gateway, now| gateway.poll(&caller, now));
    fake.respond(caller.request, reply)
}

async fn acknowledge(
    State(fake): State<FakeKakao>,
    caller: Caller,
    Path(report_id): Path<String>,
) -> Response {
    let reply = fake.decide(|gateway, now| gateway.acknowledge(&caller, &report_id, now));
    fake.respond(caller.request, reply)
}

async fn report(
    State(fake): State<FakeKakao>,
    caller: Caller,
    Path(msg_key): Path<String>,
) -> Response {
    let reply = fake.decide(|gateway, now| gateway.report(&caller, &msg_key, now));
    fake.respond(caller.request, reply)
}

async fn message(
    State(fake): State<FakeKakao>,
    caller: Caller,
    Path(msg_key): Path<String>,
) -> Response {
    let reply = fake.decide(|gateway, now| gateway.message(&caller, &msg_key, now));
    fake.respond(caller.request, reply)
}

async fn messages_of(
    State(fake): State<FakeKakao>,
    caller: Caller,
    Path(request_id): Path<String>,
) -> Response {
    let reply = fake.decide(|gateway, now| gateway.messages_of(&caller, &request_id, now));
    fake.respond(caller.request, reply)
}

async fn not_found(State(fake): State<FakeKakao>, caller: Caller) -> Response {
    fake.respond(caller.request, Reply::gateway(GatewayCode::NotFound))
}

async fn method_not_allowed(State(fake): State<FakeKakao>, caller: Caller) -> Response {
    fake.respond(caller.request, Reply::gateway(GatewayCode::MethodNotAllowed))
}

impl FakeKakao {
    /// The reply as HTTP; the provider's id of the request is made from the seed and its number.
    pub(crate) fn respond(&self, request: u64, reply: Reply) -> Response {
        // Every status comes from a table of codes.
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
        let retry_after = reply.retry_after;
        // Texts, numbers and lists: nothing here that JSON cannot write.
        let body = serde_json::to_vec(&reply.envelope(self.transaction(request)));
        let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let body = (json, body.unwrap_or_default());
        match retry_after {
            Some(seconds) => (status, [(RETRY_AFTER, seconds.to_string())], body).into_response(),
            None => (status, body).into_response(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        let call = parts.extensions.get::<Call>();
        let authorization = parts.headers.get(AUTHORIZATION);
        Ok(Caller {
            request: call.map_or(0, |call| call.id),
            client: call.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |call| call.client),
            authorization: authorization.and_then(|key| key.to_str().ok()).map(str::to_owned),
        })
    }
}
