//! `/members`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::orders::{is_json, whole};
use super::{App, MemberBody, Problem};
use crate::env::Event;
use crate::intake;
use crate::member::Member;
use crate::store::{Patience, SignedUp, patiently};
use crate::telemetry::Masked;

/// `POST /members`. Its answer waits for the database and never for the welcome message.
pub(super) async fn sign_up(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    if !is_json(&headers) {
        return Err(Problem::NotJson);
    }
    let member = Member::from_json(&whole(&app, body)?)?;
    let env = &app.env;
    let status = match intake::sign_up(&*env.store, &*env.clock, &member).await? {
        SignedUp::Created => StatusCode::CREATED,
        SignedUp::Same => StatusCode::OK,
        SignedUp::Taken => return Err(Problem::MemberExists),
    };
    // It is committed; whoever judges must know before the caller does.
    let event = Event::SignedUp { member: member.id.clone() };
    env.observer.observe(env.clock.now(), event);
    tracing::info!(member = member.id, phone = %Masked(&member.phone), "member kept");
    if status == StatusCode::CREATED {
        (app.wake)();
    }
    let location = format!("/members/{}", member.id);
    let body = Json(json!({ "id": member.id }));
    Ok((status, [(header::LOCATION, location)], body).into_response())
}

/// `GET /members/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<MemberBody>, Problem> {
    let Path(id) = id.map_err(|_| Problem::UnknownMember)?;
    let member = patiently(&*app.env.clock, Patience::Short, || app.env.store.member(&id)).await?;
    member.map(|member| Json(MemberBody::from(member))).ok_or(Problem::UnknownMember)
}
