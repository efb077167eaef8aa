//! What `faults` must know of this API to disturb it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use faults::{Api, Call, Described};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::fake::FakeCj;
use crate::handlers;
use crate::wire::Endpoint;
use crate::wire::reply::Failure;
use crate::wire::request::Text;

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

/// Looks for the field that is a key, and reads no further: it stands near the head of a long body.
struct KeyFinder<'k> {
    /// The name of the object that is looked into, then the field's.
    path: &'k [&'static str],
    found: &'k mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for KeyFinder<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path {
            [] => *self.found = Option::deserialize(deserializer)?,
            _ => deserializer.deserialize_map(self)?,
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for KeyFinder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((name, path)) = self.path.split_first() else { return Ok(()) };
        while let Some(Text(field)) = map.next_key()? {
            if field == *name {
                return map.next_value_seed(KeyFinder { path, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

fn key_of(endpoint: Endpoint, body: &[u8]) -> Option<String> {
    let mut found = None;
    let finder = KeyFinder { path: &["DATA", endpoint.key_field()?], found: &mut found };
    // The parser complains of what was not read: that is the handler's to judge.
    let _ = finder.deserialize(&mut serde_json::Deserializer::from_slice(body));
    found.filter(|key| !key.is_empty())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_call_is_found_where_it_stands() {
        let body =
            br#"{"EXTRA":{"CUST_USE_NO":"no"},"DATA":{"A":[{}],"CUST_USE_NO":"ORD-1-1","B":1}}"#;
        assert_eq!(key_of(Endpoint::Book, body).as_deref(), Some("ORD-1-1"));
        assert_eq!(key_of(Endpoint::Track, body), None, "its key is another field");
        assert_eq!(key_of(Endpoint::Invoice, body), None, "it has none");
        for none in [r#"{"DATA":{"CUST_USE_NO":""}}"#, r#"{"DATA":{"CUST_USE_NO":null}}"#, "{}", ""]
        {
            assert_eq!(key_of(Endpoint::Book, none.as_bytes()), None, "{none}");
        }
    }
}
