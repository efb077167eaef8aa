//! What is written to the gateway.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use serde::Serialize;

use crate::config;
use crate::order::carrier_bytes;

/// The path that everything stands under.
const PREFIX: &str = "/api/comm/v1";
/// The longest time that the gateway remembers a key, in seconds.
const TTL_SECONDS_MAX: u64 = 86_400;

/// The body of `send/omni`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Send<'a> {
    destinations: [Destination<'a>; 1],
    /// In the order of fallback.
    message_flow: Vec<Step<'a>>,
    #[serde(rename = "ref")]
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    idempotency_ttl: u64,
}

#[derive(Serialize)]
struct Destination<'a> {
    to: &'a str,
    /// Comes back in the report, by which a lost message key is learnt.
    #[serde(rename = "ref")]
    reference: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Step<'a> {
    #[serde(rename_all = "camelCase")]
    Alimtalk {
        msg_type: &'static str,
        sender_key: &'a str,
        template_code: &'a str,
        text: &'a str,
    },
    Sms {
        from: &'a str,
        text: &'a str,
    },
    Mms {
        from: &'a str,
        text: &'a str,
    },
}

/// The longest text that travels as an SMS, in bytes of EUC-KR (Bizgo); a longer one is refused
/// also as a fallback, so it travels as an MMS, which takes 2,000.
const SMS_BYTES_MAX: usize = 90;

/// The message `key` to one recipient, under an idempotency key.
pub(super) fn send(
    config: &config::Messenger,
    key: &str,
    idempotency_key: Option<&str>,
    to: &str,
    template: &str,
    text: &str,
) -> Request<Bytes> {
    let alimtalk = Step::Alimtalk {
        msg_type: "AT",
        sender_key: &config.sender_key,
        template_code: template,
        text,
    };
    let mut message_flow = vec![alimtalk];
    if !config.sms_from.is_empty() {
        let from = &config.sms_from;
        message_flow.push(match carrier_bytes(text) > SMS_BYTES_MAX {
            true => Step::Mms { from, text },
            false => Step::Sms { from, text },
        });
    }
    let body = Send {
        destinations: [Destination { to, reference: key }],
        message_flow,
        reference: key,
        idempotency_key,
        idempotency_ttl: config.idempotency_ttl.as_secs().min(TTL_SECONDS_MAX),
    };
    // Texts and numbers: nothing that JSON cannot write.
    let body = serde_json::to_vec(&body).expect("texts and numbers are always JSON");
    request(config, Method::POST, "/send/omni", Bytes::from(body))
}

/// Asks for a batch of reports.
pub(super) fn poll(config: &config::Messenger) -> Request<Bytes> {
    request(config, Method::GET, "/report/polling", Bytes::new())
}

/// Acknowledges a batch; `None` when its id does not fit into a path as it is.
pub(super) fn acknowledge(config: &config::Messenger, report_id: &str) -> Option<Request<Bytes>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte);
    let fits = !report_id.is_empty() && !report_id.starts_with('.');
    (fits && report_id.bytes().all(plain)).then(|| {
        let path = format!("/report/polling/{report_id}");
        request(config, Method::DELETE, &path, Bytes::new())
    })
}

fn request(config: &config::Messenger, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // Letters, digits and what `acknowledge` lets pass.
    *request.uri_mut() = format!("{PREFIX}{path}").parse().expect("plain text makes a path");
    // A key that no header can carry is as wrong as any other: the gateway says so.
    let key = HeaderValue::from_str(&config.api_key);
    let mut key = key.unwrap_or_else(|_| HeaderValue::from_static(""));
    key.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, key);
    if !request.body().is_empty() {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
    }
    request
}

#[cfg(test)]
mod tests;
