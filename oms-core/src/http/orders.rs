//! `/orders`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, OrderBody, Problem};
use crate::env::{Event, Progress};
use crate::intake;
use crate::order::{self, Order};
use crate::state::{OrderState, ParcelState};
use crate::store::{Action, Filter, Ingested, Operated, Operation, Patience, patiently};
use crate::telemetry::Masked;

/// Orders on a page, when the caller does not say.
const PAGE: usize = 100;
/// Orders on a page, at most.
const PAGE_MAX: usize = 500;
/// Who cancels, when the caller does not say.
const NOBODY: &str = "api";

/// `POST /orders`.
pub(super) async fn take(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    if !is_json(&headers) {
        return Err(Problem::NotJson);
    }
    let order = Order::from_json(&whole(&app, body)?)?;
    let env = &app.env;
    let shop = &app.config.shop;
    let kept = intake::keep_told(&*env.store, &*env.clock, shop, &order, &*env.observer).await?;
    let (status, state) = match kept {
        Ingested::Created(state) => (StatusCode::CREATED, state),
        Ingested::Same(state) => (StatusCode::OK, state),
        Ingested::Conflict => return Err(Problem::OrderExists),
    };
    // It is committed; whoever judges must know before the caller does.
    let event = Event::Acknowledged { order: order.id.clone() };
    env.observer.observe(env.clock.now(), event);
    tracing::info!(order = order.id, %state, phone = %Masked(&order.customer.phone), "order kept");
    if status == StatusCode::CREATED {
        (app.wake)();
    }
    let location = format!("/orders/{}", order.id);
    Ok((status, [(header::LOCATION, location)], Json(standing(&order.id, state))).into_response())
}

/// `GET /orders/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<OrderBody>, Problem> {
    let Path(id) = id.map_err(|_| Problem::UnknownOrder)?;
    let order = patiently(&*app.env.clock, Patience::Short, || app.env.store.order(&id)).await?;
    order.map(|order| Json(OrderBody::from(order))).ok_or(Problem::UnknownOrder)
}

/// `GET /orders?state=&parcel_state=&after=&limit=`, by id.
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let filter = read_filter(&uri)?;
    let limit = filter.limit;
    // One more than is shown tells whether there is another page.
    let asked = Filter { limit: limit + 1, ..filter.clone() };
    let clock = &*app.env.clock;
    let mut found =
        patiently(clock, Patience::Short, || app.env.store.orders(asked.clone())).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|order| order.id.as_str());
    let next = last.map(|last| next_page(&filter, last));
    let orders: Vec<OrderBody> = found.into_iter().map(OrderBody::from).collect();
    Ok(Json(json!({ "orders": orders, "next": next })))
}

/// `POST /orders/{id}/cancel`, with `{"by": NAME}` or nothing.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    order: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Path(order) = order.map_err(|_| Problem::UnknownOrder)?;
    let by = read_author(&headers, &whole(&app, body)?)?;
    let now = app.env.clock.now();
    let operation = Operation { order: order.clone(), action: Action::Cancel, by, now };
    let ask = || app.env.store.operate(operation.clone());
    begins(&app, "cancel", &order);
    let operated = patiently(&*app.env.clock, Patience::Short, ask).await;
    ends(
        &app,
        match operated {
            Ok(Operated::Done(_)) => "moved",
            Ok(_) => "refused",
            Err(_) => LOST,
        },
    );
    match operated? {
        Operated::Done(state) => {
            tracing::info!(order, %state, by = operation.by, "order cancelled");
            (app.wake)();
            // What is booked is yet to be undone at the carrier.
            let status = match state {
                OrderState::Cancelling => StatusCode::ACCEPTED,
                _ => StatusCode::OK,
            };
            Ok((status, Json(standing(&order, state))).into_response())
        }
        // A member is not called back.
        Operated::NotFound | Operated::MessageQueued => Err(Problem::UnknownOrder),
        Operated::Refused(why) => Err(Problem::NotNow { why }),
    }
}

/// What a step came to that the database did not answer.
const LOST: &str = "lost";

/// Tells whoever keeps traces that a request begins `step` on the order `id`.
fn begins(app: &App, step: &'static str, id: &str) {
    let begun = Progress::Begun { step, about: id, what: &id, attempt: 1, rounds: 0 };
    app.env.observer.progress(app.env.clock.now(), &begun);
}

fn ends(app: &App, came_to: &'static str) {
    app.env.observer.progress(app.env.clock.now(), &Progress::Ended { came_to });
}

fn standing(id: &str, state: OrderState) -> Value {
    json!({ "id": id, "state": state, "state_name": state.korean() })
}

/// The body, if it was read to its end.
pub(super) fn whole(app: &App, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::TooLarge { bytes_max: app.config.service.body_bytes_max }
        }
        _ => Problem::UnreadableBody,
    })
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = given.unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn read_author(headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Author {
        by: String,
    }
    if body.is_empty() {
        return Ok(NOBODY.to_owned());
    }
    if !is_json(headers) {
        return Err(Problem::NotJson);
    }
    let invalid = |why: &str| {
        Problem::Invalid(vec![order::Problem { field: "by".to_owned(), why: why.to_owned() }])
    };
    let author =
        serde_json::from_slice::<Author>(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => invalid("must be a text, and the only key"),
            _ => order::malformed(&error).into(),
        })?;
    let by = author.by.trim();
    if by.is_empty() || by.len() > 100 || by.chars().any(char::is_control) {
        return Err(invalid("must be 1 to 100 bytes without control characters"));
    }
    Ok(by.to_owned())
}

fn read_filter(uri: &Uri) -> Result<Filter, Problem> {
    let mut filter = Filter { limit: PAGE, ..Filter::default() };
    let mut problems = Vec::new();
    // As pairs, since a typed query would tell of one wrong key only; the last of a key counts.
    let Query(pairs) = Query::<BTreeMap<String, String>>::try_from_uri(uri)
        .map_err(|_| Problem::InvalidQuery(Vec::new()))?;
    for (key, text) in pairs.iter().filter(|(_, text)| !text.is_empty()) {
        let why = match key.as_str() {
            "state" => take_value(order_state(text), &mut filter.state),
            "parcel_state" => {
                let state = text.parse::<ParcelState>().map_err(|error| error.to_string());
                take_value(state, &mut filter.parcel_state)
            }
            "after" => take_value(Ok(text.clone()), &mut filter.after),
            "limit" => match text.parse() {
                Ok(limit) if (1..=PAGE_MAX).contains(&limit) => {
                    filter.limit = limit;
                    None
                }
                _ => Some(format!("must be 1 to {PAGE_MAX}")),
            },
            _ => Some("is unknown; known are state, parcel_state, after, limit".to_owned()),
        };
        problems.extend(why.map(|why| order::Problem { field: key.clone(), why }));
    }
    if problems.is_empty() { Ok(filter) } else { Err(Problem::InvalidQuery(problems)) }
}

/// Puts a value that could be read into its place; else tells why it could not.
fn take_value<T>(value: Result<T, String>, place: &mut Option<T>) -> Option<String> {
    match value {
        Ok(value) => {
            *place = Some(value);
            None
        }
        Err(why) => Some(why),
    }
}

/// A state by its id or its Korean name.
fn order_state(text: &str) -> Result<OrderState, String> {
    let named = OrderState::ALL.iter().find(|state| state.korean() == text);
    match named {
        Some(state) => Ok(*state),
        None => text.parse::<OrderState>().map_err(|error| error.to_string()),
    }
}

/// The path of the page behind `last`. Ids and states hold nothing that a query must escape.
fn next_page(filter: &Filter, last: &str) -> String {
    let mut path = format!("/orders?after={last}&limit={}", filter.limit);
    if let Some(state) = filter.state {
        path.push_str(&format!("&state={state}"));
    }
    if let Some(state) = filter.parcel_state {
        path.push_str(&format!("&parcel_state={state}"));
    }
    path
}
