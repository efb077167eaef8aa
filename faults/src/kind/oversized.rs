//! A body that is far too large.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_LENGTH;

use super::Spec;
use crate::body::Filler;
use crate::fault::Field;
use crate::script::{Making, Reply, Script, Whole};

pub(super) const SPEC: Spec =
    Spec::call("oversized", "a body of `bytes`, by default 8 MiB", |fault| {
        Script::answering(fault, Reply::Altered(swell))
    })
    .optional(&[Field::Bytes, Field::Processed]);

/// Past every buffer in between, and still quick to send.
const DEFAULT_BYTES: u64 = 8 << 20;

fn swell(making: &Making<'_>, mut whole: Whole) -> Response {
    whole.head.headers.remove(CONTENT_LENGTH);
    let body = Filler::new(making.fault.bytes.unwrap_or(DEFAULT_BYTES));
    Response::from_parts(whole.head, Body::new(body))
}
