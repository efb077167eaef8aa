//! An HTTP status from something in front of the API.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use super::Spec;
use crate::fault::{Error, Fault, Field};
use crate::script::{Making, Reply, Script};

pub(super) const SPEC: Spec =
    Spec::call("status", "an HTTP status is answered, with the page of a gateway", |fault| {
        Script::answering(fault, Reply::Made(page))
    })
    .required(&[Field::Status])
    .optional(&[Field::RetryAfter, Field::Processed])
    .check(check);

const STATUSES: [u16; 6] = [307, 429, 500, 502, 503, 504];

/// How the header `Retry-After` is written.
#[derive(Debug, PartialEq)]
enum RetryAfter {
    Seconds(Duration),
    Date(Duration),
    Nonsense,
}

impl RetryAfter {
    fn parse(text: &str) -> Option<RetryAfter> {
        if text == "nonsense" {
            return Some(RetryAfter::Nonsense);
        }
        match text.strip_prefix("date:") {
            Some(length) => humantime::parse_duration(length).ok().map(RetryAfter::Date),
            None => humantime::parse_duration(text).ok().map(RetryAfter::Seconds),
        }
    }
}

fn check(fault: &Fault) -> Result<(), Error> {
    let known = fault.status.is_none_or(|status| STATUSES.contains(&status));
    fault.check(Field::Status, known, "must be 307, 429, 500, 502, 503 or 504")?;
    let readable = fault.retry_after.as_deref().is_none_or(|t| RetryAfter::parse(t).is_some());
    fault.check(Field::RetryAfter, readable, "must be like `30s`, `date:30s` or `nonsense`")
}

fn page(making: &Making<'_>) -> Response {
    let status = making.fault.status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = format!("<html><h1>{status}</h1></html>");
    let mut response = (status, Body::from(page)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if status.is_redirection() {
        // Back to the same place: a client that follows sends the same request once more.
        let here = making.uri.path_and_query().map_or("/", |here| here.as_str());
        headers.extend(HeaderValue::from_str(here).ok().map(|here| (LOCATION, here)));
    }
    if let Some(value) = retry_after(making) {
        headers.insert(RETRY_AFTER, value);
    }
    response
}

fn retry_after(making: &Making<'_>) -> Option<HeaderValue> {
    let text = match RetryAfter::parse(making.fault.retry_after.as_deref()?)? {
        RetryAfter::Seconds(length) => whole_seconds(length).to_string(),
        RetryAfter::Date(length) => {
            let length = Duration::from_secs(whole_seconds(length));
            (making.clock.now() + length).http_date()
        }
        RetryAfter::Nonsense => "soon".to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

/// The header knows whole seconds only (RFC 9110 §10.2.3); rounded up, as no server promises more
/// than it keeps.
fn whole_seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}
