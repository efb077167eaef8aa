//! What `faults` must know of this API to disturb it.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use faults::{Api, Call, Described};
use serde::Deserialize;

use crate::fake::FakeCj;
use crate::handlers;
use crate::wire::Endpoint;
use crate::wire::reply::Failure;

/// The name of every path that is no endpoint, so that a ledger of names stays small.
const ELSEWHERE: &str = "elsewhere";

/// The carrier's API as the fault layer sees it.
pub(crate) struct CarrierApi {
    fake: FakeCj,
}

impl CarrierApi {
    pub(crate) fn new(fake: FakeCj) -> CarrierApi {
        CarrierApi { fake }
    }
}

/// The two fields that are ever a key; all else is skipped unread.
#[derive(Deserialize)]
struct KeyEnvelope {
    #[serde(rename = "DATA")]
    data: KeyData,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct KeyData {
    cust_use_no: Option<String>,
    invc_no: Option<String>,
}

fn key_of(endpoint: Endpoint, body: &[u8]) -> Option<String> {
    let field = endpoint.key_field()?;
    let data = faults::json::read::<KeyEnvelope>(body).ok()?.data;
    let key = if field == "INVC_NO" { data.invc_no } else { data.cust_use_no };
    key.filter(|key| !key.is_empty())
}

impl Api for CarrierApi {
    fn describe(&self, parts: &Parts, body: &[u8]) -> Described {
        match Endpoint::at(parts.uri.path()) {
            Some(endpoint) => {
                Described { endpoint: endpoint.name().to_owned(), key: key_of(endpoint, body) }
            }
            None => Described { endpoint: ELSEWHERE.to_owned(), key: None },
        }
    }

    /// A `detail` that begins with a hyphen, such as `-20009`, is a `RESULT_CD` of `ReqAddrRfnSm`.
    fn refusal(&self, _: &Call, detail: Option<&str>) -> Response {
        let detail = detail.unwrap_or("처리 중 오류가 발생하였습니다.").to_owned();
        let mut failure = Failure::business(detail);
        if failure.detail.starts_with('-') {
            failure.code = failure.detail.clone();
        }
        failure.into_response()
    }

    fn ban(&self, client: IpAddr, length: Option<Duration>) -> Response {
        self.fake.ban(client, length);
        handlers::banned(self.fake.config())
    }

    fn expire_credentials(&self, _: &Call) -> Response {
        self.fake.revoke_token();
        Failure::unauthenticated().into_response()
    }

    /// The gateway's page, not the API's envelope: a client must not count on JSON.
    fn maintenance(&self, _: &Call) -> Response {
        let page = "<!doctype html><title>503</title><h1>시스템 점검 중입니다.</h1>\n";
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (StatusCode::SERVICE_UNAVAILABLE, kind, page).into_response()
    }
}
