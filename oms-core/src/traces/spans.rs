//! Spans as OpenTelemetry has them, made from steps and calls.

use clockwork::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use sha2::{Digest as _, Sha256};

use super::subject::{End, Subject};
use super::{CUT_OFF, Call, Piece};
use crate::store::member_of;

/// W3C's flag of a trace that is kept.
const SAMPLED: u32 = 1;

/// What stands before a hashed text, so that no other hash is mistaken for an id.
const TRACE: &str = "drillship trace";
const SPAN: &str = "drillship span";

/// Bytes of `parts`, each told apart from the next by its length.
fn hashed(kind: &str, parts: &[&[u8]], bytes: usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(kind);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..bytes].to_vec()
}

/// The trace of what was taken in at `taken_in` as `about`: 16 bytes, the same in each process.
fn trace_of(about: &str, taken_in: Timestamp) -> Vec<u8> {
    hashed(TRACE, &[about.as_bytes(), &taken_in.micros().to_be_bytes()], 16)
}

/// The root of a trace: 8 bytes, so that whoever tells of a step knows its parent.
fn root_of(trace: &[u8]) -> Vec<u8> {
    hashed(SPAN, &[trace, b"root"], 8)
}

/// All spans of `piece`, which the process `worker` has seen; the root among them when its subject
/// has come to its end. Of no `subject` it is a trace of its own.
pub(super) fn spans_of(piece: &Piece, subject: Option<&Subject>, worker: &str) -> Vec<Span> {
    let (task, begun) = (piece.task.to_be_bytes(), piece.begun.micros().to_be_bytes());
    let own: [&[u8]; 4] = [worker.as_bytes(), piece.step.as_bytes(), &task, &begun];
    let (trace, parent) = match subject {
        Some(subject) => {
            let trace = trace_of(&piece.about, subject.taken_in);
            let root = root_of(&trace);
            (trace, root)
        }
        None => (hashed(TRACE, &own, 16), Vec::new()),
    };
    let mut step = span(&trace, piece.step.to_owned(), piece.begun, piece.ended);
    step.span_id = hashed(SPAN, &own, 8);
    step.parent_span_id = parent;
    step.attributes = of_step(piece);
    step.status = failed(matches!(piece.came_to, "lost" | CUT_OFF));
    let mut spans = Vec::with_capacity(2 + piece.calls.len());
    for (nth, call) in piece.calls.iter().enumerate() {
        spans.push(of_call(piece, call, nth, &step));
    }
    spans.push(step);
    if let Some(Subject { taken_in, end: Some(end) }) = subject {
        spans.push(of_root(&trace, &piece.about, *taken_in, end));
    }
    spans
}

fn of_root(trace: &[u8], about: &str, taken_in: Timestamp, end: &End) -> Span {
    let name = if member_of(about).is_some() { "member" } else { "order" };
    let mut root = span(trace, name.to_owned(), taken_in, end.at);
    root.span_id = root_of(trace);
    root.attributes = vec![subject(about), text("oms.state", end.state)];
    root.status = failed(!end.well);
    root
}

fn of_step(piece: &Piece) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("oms.what", &piece.what),
        number("oms.attempt", piece.attempt.into()),
        number("oms.rounds", piece.rounds.into()),
        text("oms.came_to", piece.came_to),
    ];
    attributes.extend((!piece.about.is_empty()).then(|| subject(&piece.about)));
    attributes.extend(piece.wrote.map(|wrote| text("oms.outcome", wrote)));
    attributes
}

fn of_call(piece: &Piece, call: &Call, nth: usize, step: &Span) -> Span {
    let name = format!("{} {}", call.api, call.endpoint);
    let mut made = span(&step.trace_id, name, call.begun, call.ended.max(call.begun));
    made.span_id = hashed(SPAN, &[&step.span_id, &nth.to_be_bytes()], 8);
    made.parent_span_id.clone_from(&step.span_id);
    made.kind = SpanKind::Client.into();
    let effect = effect_of(&call.outcome);
    made.attributes = vec![
        text("oms.api", &call.api),
        text("oms.endpoint", &call.endpoint),
        text("oms.outcome", &call.outcome),
        text("oms.effect", effect),
        number("oms.attempt", piece.attempt.into()),
    ];
    made.attributes.extend((!piece.about.is_empty()).then(|| subject(&piece.about)));
    let status = call.status.map(|status| number("http.response.status_code", status.into()));
    made.attributes.extend(status);
    made.status = failed(!matches!(call.outcome.as_str(), "done" | "duplicate"));
    made
}

/// Whether the other side has acted on a call, by its outcome's name.
fn effect_of(outcome: &str) -> &'static str {
    match outcome {
        "done" | "duplicate" => "happened",
        "refused" | "not-processed" => "did not happen",
        // A call that was cut off may have arrived too.
        _ => "unknown",
    }
}

fn span(trace: &[u8], name: String, begun: Timestamp, ended: Timestamp) -> Span {
    Span {
        trace_id: trace.to_vec(),
        name,
        flags: SAMPLED,
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanos(begun),
        end_time_unix_nano: nanos(ended),
        ..Span::default()
    }
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.micros()).unwrap_or_default().saturating_mul(1000)
}

/// Without a word: what an API says may hold anything.
fn failed(failed: bool) -> Option<Status> {
    failed.then(|| Status { message: String::new(), code: StatusCode::Error.into() })
}

fn subject(about: &str) -> KeyValue {
    match member_of(about) {
        Some(member) => text("oms.member", member),
        None => text("oms.order", about),
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    with(key, Value::StringValue(text.to_owned()))
}

fn number(key: &str, number: i64) -> KeyValue {
    with(key, Value::IntValue(number))
}

fn with(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// What is sent to a collector: `spans` of the process `worker`.
pub(super) fn request(worker: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![
        text("service.name", "oms"),
        text("service.version", version),
        text("service.instance.id", worker),
    ];
    let scope = InstrumentationScope {
        name: "oms-core".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let of_worker = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_worker] }
}
