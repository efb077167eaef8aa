//! A reply without a body.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_LENGTH;

use super::Spec;
use crate::fault::Field;
use crate::script::{Making, Reply, Script, Whole};

pub(super) const SPEC: Spec = Spec::call("empty", "the head of a reply, and no body", |fault| {
    Script::answering(fault, Reply::Altered(empty))
})
.optional(&[Field::Processed]);

fn empty(_: &Making<'_>, mut whole: Whole) -> Response {
    whole.head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(whole.head, Body::empty())
}
