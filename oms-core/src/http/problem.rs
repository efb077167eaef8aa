//! Errors as `problem+json`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::order;
use crate::store;

/// Everything that the API answers with an error.
#[derive(Debug)]
pub enum Problem {
    /// The body is no JSON.
    MalformedJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser says.
        why: String,
    },
    /// The body could not be read to its end.
    UnreadableBody,
    /// The query holds what is no filter.
    InvalidQuery(Vec<order::Problem>),
    /// There is no such order.
    UnknownOrder,
    /// There is no such member.
    UnknownMember,
    /// There is nothing at this path.
    NoSuchPath,
    /// Not with this method.
    MethodNotAllowed,
    /// Another content is kept under this id.
    OrderExists,
    /// The id or the phone number is another member's, or the member's with other content.
    MemberExists,
    /// The order's state does not allow it.
    NotNow {
        /// Why.
        why: String,
    },
    /// The body is larger than is taken.
    TooLarge {
        /// At most so many bytes.
        bytes_max: usize,
    },
    /// The body says not to be JSON.
    NotJson,
    /// The body breaks rules.
    Invalid(Vec<order::Problem>),
    /// Later again: the same request may succeed then.
    Unavailable {
        /// Why.
        why: String,
    },
    /// A fault of the service.
    Internal,
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        if error.retryable() {
            tracing::warn!(%error, "given up for now");
            let why = match error {
                store::Error::Full { .. } => "the database has no room",
                _ => "the database is busy",
            };
            return Problem::Unavailable { why: why.to_owned() };
        }
        tracing::error!(%error, "request failed");
        Problem::Internal
    }
}

impl From<order::Error> for Problem {
    fn from(error: order::Error) -> Problem {
        match error {
            order::Error::Invalid(problems) => Problem::Invalid(problems),
            order::Error::Malformed { line, column, reason } => {
                Problem::MalformedJson { line, column, why: reason }
            }
        }
    }
}

impl Problem {
    /// The status, the last part of the type, and the title, which is the same for each of a type.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        use Problem::*;
        match self {
            MalformedJson { .. } => {
                (StatusCode::BAD_REQUEST, "malformed-json", "the body is no JSON")
            }
            UnreadableBody => (StatusCode::BAD_REQUEST, "unreadable-body", "the body broke off"),
            InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid-query", "the query breaks rules"),
            UnknownOrder => (StatusCode::NOT_FOUND, "unknown-order", "there is no such order"),
            UnknownMember => (StatusCode::NOT_FOUND, "unknown-member", "there is no such member"),
            NoSuchPath => (StatusCode::NOT_FOUND, "no-such-path", "there is nothing here"),
            MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "not with this method")
            }
            OrderExists => (
                StatusCode::CONFLICT,
                "order-exists",
                "an order with this id and another content is kept",
            ),
            MemberExists => (
                StatusCode::CONFLICT,
                "member-exists",
                "a member with this id or this phone number and another content is kept",
            ),
            NotNow { .. } => {
                (StatusCode::CONFLICT, "not-now", "the order's state does not allow this")
            }
            TooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large")
            }
            NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "the body must be application/json",
            ),
            Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the body breaks rules"),
            Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "try again later")
            }
            Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "a fault of the service"),
        }
    }

    /// What is told of this one alone.
    fn members(self) -> Map<String, Value> {
        use Problem::*;
        let members = match self {
            MalformedJson { line, column, why } => {
                json!({ "detail": why, "line": line, "column": column })
            }
            InvalidQuery(problems) | Invalid(problems) => {
                let detail: Vec<String> = problems.iter().map(ToString::to_string).collect();
                json!({ "detail": detail.join("; "), "errors": problems })
            }
            NotNow { why } | Unavailable { why } => json!({ "detail": why }),
            TooLarge { bytes_max } => json!({ "detail": format!("at most {bytes_max} bytes") }),
            UnreadableBody | UnknownOrder | UnknownMember | NoSuchPath | MethodNotAllowed
            | OrderExists | MemberExists | NotJson | Internal => json!({}),
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.kind();
        let retry = matches!(self, Problem::Unavailable { .. });
        let mut body = json!({
            "type": format!("urn:problem:oms:{kind}"),
            "title": title,
            "status": status.as_u16(),
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.members());
        }
        let content = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (status, [content], body.to_string()).into_response();
        if retry {
            let name: HeaderName = header::RETRY_AFTER;
            response.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        response
    }
}
