//! A body that trickles in.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use super::Spec;
use crate::body::Trickle;
use crate::fault::Field;
use crate::script::{Making, Reply, Script, Whole};

pub(super) const SPEC: Spec =
    Spec::call("slow-body", "the head at once, the body in small pieces over `by`", |fault| {
        Script::answering(fault, Reply::Altered(trickle))
    })
    .required(&[Field::By])
    .optional(&[Field::Processed]);

fn trickle(making: &Making<'_>, mut whole: Whole) -> Response {
    whole.head.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.body.len()));
    let over = making.fault.by.unwrap_or_default();
    let body = Trickle::new(whole.body, over, Arc::clone(making.clock));
    Response::from_parts(whole.head, Body::new(body))
}
