//! A reply that says 200 and is no document.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_LENGTH;

use super::Spec;
use crate::fault::Field;
use crate::script::{Making, Reply, Script, Whole};

pub(super) const SPEC: Spec =
    Spec::call("malformed", "valid HTTP around half a document, or around `detail`", |fault| {
        Script::answering(fault, Reply::Altered(garble))
    })
    .optional(&[Field::Detail, Field::Processed]);

fn garble(making: &Making<'_>, mut whole: Whole) -> Response {
    let body = match &making.fault.detail {
        Some(text) => Body::from(text.clone()),
        None => Body::from(whole.body.slice(..whole.body.len() / 2)),
    };
    whole.head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(whole.head, body)
}
