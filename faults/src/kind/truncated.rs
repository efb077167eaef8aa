//! A body that declares more than it sends.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use super::Spec;
use crate::body::Broken;
use crate::fault::Field;
use crate::script::{Making, Reply, Script, Whole};

pub(super) const SPEC: Spec = Spec::call(
    "truncated",
    "the connection ends after `bytes` of the body, by default half of those declared",
    |fault| Script::answering(fault, Reply::Broken(truncate)),
)
.optional(&[Field::Bytes, Field::Processed]);

fn truncate(making: &Making<'_>, mut whole: Whole) -> Response {
    let length = whole.body.len();
    let asked = making.fault.bytes.map_or(length / 2, |bytes| bytes as usize);
    let sent = asked.min(length);
    let declared = length.max(sent + 1);
    whole.head.headers.insert(CONTENT_LENGTH, HeaderValue::from(declared));
    Response::from_parts(whole.head, Body::new(Broken::after(whole.body.slice(..sent))))
}
