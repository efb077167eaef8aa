//! The way of every call: past the gate, past the key, then its own handler.

mod address;
mod book;
mod invoice;
mod token;
mod track;

use std::net::IpAddr;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clockwork::Timestamp;
use serde::Serialize;

use crate::carrier::Carrier;
use crate::config::{BannedSees, Config, RetryAfter, Window};
use crate::ledger::{Refusal, Violation};
use crate::windows::Admission;
use crate::wire::Endpoint;
use crate::wire::reply::{self, Failure};
use crate::wire::request::{Data, Envelope};

/// The header that carries the token everywhere but on `ReqOneDayToken`.
pub(crate) const KEY_HEADER: &str = "cj-gateway-apikey";

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) config: &'a Config,
    /// The request's number in the journal.
    pub(crate) request_id: u64,
    pub(crate) client: IpAddr,
    /// Read under the lock, so that the order of calls is the order of time.
    pub(crate) now: Timestamp,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    /// The value of [`KEY_HEADER`].
    pub(crate) header_key: Option<&'a str>,
    /// The body, read before the lock was taken.
    pub(crate) data: &'a Result<Data<'a>, serde_json::Error>,
}

/// What a handler makes of a call.
type Outcome<T> = Result<Option<T>, Failure>;

/// Reads a body for [`Incoming::data`].
pub(crate) fn read(body: &[u8]) -> Result<Data<'_>, serde_json::Error> {
    Envelope::parse(body)
}

/// Answers one call. Every call counts against the quota, also one that fails.
pub(crate) fn answer(carrier: &mut Carrier, call: &Incoming<'_>) -> Response {
    if let Some(refused) = pass_gate(carrier, call) {
        return refused;
    }
    let Some(endpoint) = Endpoint::at(call.path) else {
        return Failure::with_status(StatusCode::NOT_FOUND, "Not Found").into_response();
    };
    if call.method != Method::POST {
        let refused = Failure::with_status(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        return refused.into_response();
    }
    let data = match authenticate(carrier, call, endpoint) {
        Ok(data) => data,
        Err(failure) => return failure.into_response(),
    };
    match endpoint {
        Endpoint::Token => token::request(carrier, call, data),
        Endpoint::Address => finish(carrier, call, endpoint, address::refine(call, data)),
        Endpoint::Invoice => {
            let outcome = invoice::issue(carrier, call, data);
            finish(carrier, call, endpoint, outcome)
        }
        Endpoint::Book => {
            let outcome = book::book(carrier, call, data);
            finish(carrier, call, endpoint, outcome)
        }
        Endpoint::Cancel => {
            let outcome = book::cancel(carrier, call, data);
            finish(carrier, call, endpoint, outcome)
        }
        Endpoint::Track => {
            let outcome = track::one(carrier, call, data);
            finish(carrier, call, endpoint, outcome)
        }
        Endpoint::TrackDay => {
            let outcome = track::day(carrier, call, data);
            finish(carrier, call, endpoint, outcome)
        }
        Endpoint::Acknowledge => {
            let outcome = track::acknowledge(carrier, call, data);
            finish(carrier, call, endpoint, outcome)
        }
    }
}

/// What a banned client sees.
pub(crate) fn banned(config: &Config) -> Response {
    let forbidden = Failure::with_status(StatusCode::FORBIDDEN, "Forbidden").into_response();
    match config.banned_sees {
        BannedSees::Forbidden => forbidden,
        BannedSees::Refused => {
            let mut cut = forbidden;
            cut.extensions_mut().insert(faults::Refuse);
            cut
        }
    }
}

/// HTTP 429 with the `Retry-After` that the settings ask for.
fn too_many_requests(config: &Config, now: Timestamp, retry_at: Timestamp) -> Response {
    let failure = Failure::with_status(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    let mut response = failure.into_response();
    let wait = retry_at.since(now).as_micros().div_ceil(1_000_000);
    let value = match config.retry_after {
        RetryAfter::Absent => None,
        RetryAfter::Seconds => Some(wait.to_string()),
        RetryAfter::Date => {
            let second = retry_at.micros().max(0).div_euclid(1_000_000);
            let rounded_up = second + i64::from(retry_at.micros().rem_euclid(1_000_000) > 0);
            Some(Timestamp::from_micros(rounded_up * 1_000_000).http_date())
        }
    };
    if let Some(value) = value.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// The refusal, when the quota or a ban stands in the way.
fn pass_gate(carrier: &mut Carrier, call: &Incoming<'_>) -> Option<Response> {
    let (client, at, request_id) = (call.client, call.now, call.request_id);
    match carrier.gate.admit(client, at) {
        Admission::Admitted => None,
        Admission::Banned { until } => {
            carrier.evidence.call_while_banned(client, at, until);
            Some(banned(call.config))
        }
        Admission::Violation { window, retry_at, banned_until } => {
            let window = window_name(call.config.windows[window]);
            carrier.evidence.violation(Violation { at, client, request_id, window });
            if let Some(until) = banned_until {
                carrier.evidence.banned(client, at, until);
            }
            Some(too_many_requests(call.config, at, retry_at))
        }
    }
}

fn window_name(window: Window) -> String {
    let seconds = window.per.as_secs_f64();
    format!("{}/{seconds}s", window.calls)
}

/// The body's fields, when header and body both carry the valid token (`ReqOneDayToken`: none).
fn authenticate<'a>(
    carrier: &mut Carrier,
    call: &Incoming<'a>,
    endpoint: Endpoint,
) -> Result<&'a Data<'a>, Failure> {
    let is_valid = |number: &str| carrier.tokens.is_valid(number, call.now);
    let is_open = endpoint == Endpoint::Token;
    let authentic = match call.data {
        _ if is_open => true,
        Ok(data) => call.header_key.is_some_and(is_valid) && is_valid(data.text("TOKEN_NUM")),
        Err(_) => call.header_key.is_some_and(is_valid),
    };
    if !authentic {
        carrier.evidence.totals.unauthenticated += 1;
        return Err(Failure::unauthenticated());
    }
    call.data.as_ref().map_err(|error| {
        // The place alone: the parser's text may quote the body, which holds personal data.
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::with_status(
            StatusCode::BAD_REQUEST,
            format!("Bad Request: expected {{\"DATA\":{{…}}}} of strings, at {place}"),
        )
    })
}

/// Refuses a customer that the carrier does not know.
fn check_customer(call: &Incoming<'_>, data: &Data<'_>, field: &str) -> Result<(), Failure> {
    if data.text(field) == call.config.cust_id {
        return Ok(());
    }
    Err(unknown_customer())
}

/// The customer's code does not exist; so the carrier also answers a hyphen in `BIZ_REG_NUM`.
fn unknown_customer() -> Failure {
    Failure::business("고객사 코드가 존재하지 않습니다.")
}

/// The answer of a handler's outcome; a business failure goes to the evidence as well.
fn finish<T: Serialize>(
    carrier: &mut Carrier,
    call: &Incoming<'_>,
    endpoint: Endpoint,
    outcome: Outcome<T>,
) -> Response {
    match outcome {
        Ok(data) => reply::success(data),
        Err(failure) => {
            note_refusal(carrier, call, endpoint, &failure);
            failure.into_response()
        }
    }
}

fn note_refusal(carrier: &mut Carrier, call: &Incoming<'_>, endpoint: Endpoint, failure: &Failure) {
    let data = call.data.as_ref().ok();
    let key = data.zip(endpoint.key_field()).map(|(data, field)| data.text(field).to_owned());
    carrier.evidence.refusal(Refusal {
        at: call.now,
        request_id: call.request_id,
        endpoint: endpoint.name().to_owned(),
        key,
        result_cd: failure.code.to_string(),
        result_detail: failure.detail.to_string(),
    });
}
