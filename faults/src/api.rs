//! What the layer must know of the API that it disturbs, and what it tells that API's handlers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use clockwork::Timestamp;
use serde::{Deserialize, Serialize};

/// An API that faults are done to. Each fake implements it once.
pub trait Api: Send + Sync + 'static {
    /// What the request is: read from its head and its whole body, changing nothing.
    fn describe(&self, parts: &http::request::Parts, body: &[u8]) -> Described;

    /// A business error inside HTTP 200; `detail` is the API's own code or text for it.
    fn refusal(&self, call: &Call, detail: Option<&str>) -> Response;

    /// Bans the address now, for `length` or as long as the API does; answers as to the banned.
    fn ban(&self, client: IpAddr, length: Option<Duration>) -> Response;

    /// Revokes the caller's credentials now; answers 401 as the API does.
    fn expire_credentials(&self, call: &Call) -> Response;

    /// What the API answers while it is being maintained.
    fn maintenance(&self, call: &Call) -> Response;
}

/// A request as the API names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The name that faults use for the endpoint, such as `RegBook`. One of a few: each has
    /// counts of its own, and what the API does not have goes by one name.
    pub endpoint: String,
    /// What tells one business call from another, such as an order's number; opaque here.
    pub key: Option<String>,
}

/// One request, numbered. The layer puts it into the request's extensions; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The request's number in the journal, from 1.
    pub id: u64,
    /// When it had wholly arrived.
    pub at: Timestamp,
    /// Who sent it.
    pub client: IpAddr,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The API's key of the business call.
    pub key: Option<Arc<str>>,
    /// The how-manieth request with this endpoint and key, from 1. Those without a key count as
    /// one key.
    pub attempt: u32,
    /// The how-manieth request of this endpoint, from 1.
    pub nth: u64,
}

/// [`Call::id`] alone, also in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// Response extension: the edge resets the connection instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset;

/// Response extension: the edge cuts the connection as one does to an unwanted client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refuse;
