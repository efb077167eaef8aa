//! What the faults layer must know of this API.

use std::net::IpAddr;
use std::time::Duration;

use axum::response::Response;
use faults::{Api, Call, Described};
use http::Method;
use http::request::Parts;
use serde::Deserialize;

use crate::FakeKakao;
use crate::codes::Code;
use crate::wire::{PREFIX, Reply};

/// What a send is known by: `ref` of the request or of its first destination, or else the
/// idempotency key.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    destinations: Vec<NamedDestination>,
    #[serde(rename = "idempotencyKey")]
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
struct NamedDestination {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

fn key_of(body: &[u8]) -> Option<String> {
    let named: Named = faults::json::read(body).ok()?;
    let first = named.destinations.into_iter().next();
    let of_destination = first.and_then(|destination| destination.reference);
    named.reference.or(of_destination).or(named.idempotency_key)
}

/// The names that faults use; anything else is `other`.
fn endpoint_of(method: &Method, path: &str) -> &'static str {
    let Some(path) = path.strip_prefix(PREFIX) else { return "other" };
    match path {
        "/send/omni" => "send/omni",
        "/report/polling" => "report/polling",
        _ if path.starts_with("/report/polling/") && method == Method::DELETE => "report/ack",
        _ if path.starts_with("/report/inquiry/") => "report/inquiry",
        _ if path.starts_with("/message/inquiry/") => "message/inquiry",
        _ => "other",
    }
}

impl Api for FakeKakao {
    fn describe(&self, parts: &Parts, body: &[u8]) -> Described {
        let endpoint = endpoint_of(&parts.method, parts.uri.path());
        let key = if endpoint == "send/omni" { key_of(body) } else { None };
        Described { endpoint: endpoint.to_owned(), key }
    }

    /// `detail` is one of the service's codes, such as `A322`, or any text, which then stands
    /// beside A300.
    fn refusal(&self, call: &Call, detail: Option<&str>) -> Response {
        let reply = match detail {
            Some(code) if is_code(code) => {
                let result = Code::parse(code).map_or("Refused", Code::result);
                Reply::service(200, code, result)
            }
            text => {
                let wrong = Code::WrongRequest;
                Reply::service(200, wrong.code(), text.unwrap_or(wrong.result()))
            }
        };
        self.respond(call.id, reply)
    }

    /// Blocks the address: 403 with A110, as to a blocked account.
    fn ban(&self, client: IpAddr, length: Option<Duration>) -> Response {
        let reply = self.decide(|gateway, now| gateway.ban(client, length, now));
        self.respond(0, reply)
    }

    /// Answers as to an expired key. Nothing is revoked: this API has no call that would issue
    /// another key.
    fn expire_credentials(&self, call: &Call) -> Response {
        self.respond(call.id, Reply::refused(Code::ExpiredToken))
    }

    fn maintenance(&self, call: &Call) -> Response {
        self.respond(call.id, Reply::refused(Code::Busy))
    }
}

fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('A').unwrap_or_default();
    digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_the_name_that_faults_use() {
        let names = [
            (Method::POST, "/api/comm/v1/send/omni", "send/omni"),
            (Method::GET, "/api/comm/v1/report/polling", "report/polling"),
            (Method::DELETE, "/api/comm/v1/report/polling/RPT0000000001", "report/ack"),
            (Method::GET, "/api/comm/v1/report/inquiry/K", "report/inquiry"),
            (Method::GET, "/api/comm/v1/message/inquiry/msgKey/K", "message/inquiry"),
            (Method::GET, "/api/comm/v1/message/inquiry/requestId/K", "message/inquiry"),
            (Method::GET, "/send/omni", "other"),
        ];
        for (method, path, name) in names {
            assert_eq!(endpoint_of(&method, path), name, "{path}");
        }
    }

    #[test]
    fn a_send_is_known_by_its_ref_or_its_destination_s_or_its_idempotency_key() {
        let key = |body: &str| key_of(body.as_bytes());
        let whole = r#"{"ref":"r","destinations":[{"ref":"d"}],"idempotencyKey":"k"}"#;
        assert_eq!(key(whole).as_deref(), Some("r"));
        let no_ref = r#"{"destinations":[{"ref":"d"}],"idempotencyKey":"k"}"#;
        assert_eq!(key(no_ref).as_deref(), Some("d"));
        assert_eq!(key(r#"{"destinations":[{}],"idempotencyKey":"k"}"#).as_deref(), Some("k"));
        assert_eq!(key("{}"), None);
        assert_eq!(key("garbage"), None);
    }
}
