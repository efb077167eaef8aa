use opentelemetry_proto::tonic::trace::v1::Span;

use super::spans::spans_of;
use super::subject::{End, Subject};
use super::*;
use crate::env::scoped;
use crate::store::ParcelKey;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn called(endpoint: &str) -> (Event, Event) {
    let (task, api, key) = (0, "carrier".to_owned(), "ORD-1/1".to_owned());
    let begin = Event::CallBegin {
        task,
        api: api.clone(),
        endpoint: endpoint.to_owned(),
        key: key.clone(),
    };
    let (outcome, status) = ("unknown".to_owned(), Some(502));
    (begin, Event::CallEnd { task, api, endpoint: endpoint.to_owned(), key, outcome, status })
}

/// Tells `traces` of a step with one call, as the task `task`.
async fn step(traces: &Traces, task: TaskId) {
    let what = ParcelKey { order: "ORD-1".to_owned(), number: 1 };
    let begun =
        Progress::Begun { step: "book", about: "ORD-1", what: &what, attempt: 2, rounds: 1 };
    let (call, end) = called("RegBook");
    scoped(task, async {
        traces.progress(at(10), &begun);
        traces.observe(at(11), call);
        traces.observe(at(12), end);
        traces.progress(at(12), &Progress::Writes { outcome: "unknown" });
        traces.progress(at(13), &Progress::Ended { came_to: "put-back" });
    })
    .await;
}

fn subject(taken_in: i64, end: Option<i64>) -> Subject {
    let end = end.map(|end| End { at: at(end), state: "completed", well: true });
    Subject { taken_in: at(taken_in), end }
}

/// The step that [`step`] tells of, as a process hears it.
async fn heard() -> Piece {
    let (traces, mut exporter) = begin("oms-1", Arc::default());
    step(&traces, 7).await;
    exporter.pieces.try_recv().unwrap()
}

fn attribute<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[tokio::test]
async fn a_step_has_its_calls_below_it_and_its_order_above() {
    let spans = spans_of(&heard().await, Some(&subject(1, Some(13))), "oms-1");
    let [call, step, root] = spans.try_into().unwrap();
    assert_eq!([&call.name, &step.name, &root.name], ["carrier RegBook", "book", "order"]);
    assert!(root.parent_span_id.is_empty());
    assert_eq!(step.parent_span_id, root.span_id);
    assert_eq!(call.parent_span_id, step.span_id);
    for span in [&call, &step, &root] {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert_eq!(span.trace_id, root.trace_id);
        assert_eq!(attribute(span, "oms.order"), Some("ORD-1"));
    }
    let times = |span: &Span| [span.start_time_unix_nano, span.end_time_unix_nano];
    let seconds = |from: u64, to: u64| [from * 1_000_000_000, to * 1_000_000_000];
    assert_eq!(times(&root), seconds(1, 13));
    assert_eq!(times(&step), seconds(10, 13));
    assert_eq!(times(&call), seconds(11, 12));
    assert_eq!(attribute(&call, "oms.outcome"), Some("unknown"));
    assert_eq!(attribute(&call, "oms.effect"), Some("unknown"));
    assert_eq!(attribute(&step, "oms.outcome"), Some("unknown"));
    assert_eq!(attribute(&step, "oms.came_to"), Some("put-back"));
    assert!(call.status.is_some() && root.status.is_none());
}

#[tokio::test]
async fn all_workers_give_an_order_one_trace_and_each_step_its_own_id() {
    let piece = heard().await;
    let of = |worker, subject: &Subject| spans_of(&piece, Some(subject), worker).remove(1);
    let (one, other) = (of("oms-1", &subject(1, None)), of("oms-2", &subject(1, None)));
    assert_eq!(one.trace_id, other.trace_id);
    assert_eq!(one.parent_span_id, other.parent_span_id);
    assert_ne!(one.span_id, other.span_id);
    assert_ne!(of("oms-1", &subject(2, None)).trace_id, one.trace_id, "another order of that name");
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_nobody_waits() {
    let metrics = Arc::new(Metrics::default());
    let (traces, mut exporter) = begin("oms-1", metrics.clone());
    for task in 0..QUEUE_MAX + 3 {
        step(&traces, task as TaskId).await;
    }
    assert_eq!(metrics.told("oms_spans_total"), ["oms_spans_total{fate=\"queue-full\"} 6"]);
    assert!(exporter.pieces.try_recv().is_ok());
}

#[tokio::test]
async fn steps_that_never_end_are_given_up() {
    let metrics = Arc::new(Metrics::default());
    let (traces, _exporter) = begin("oms-1", metrics.clone());
    let begun = Progress::Begun { step: "plan", about: "A", what: &"A/1", attempt: 1, rounds: 0 };
    for task in 0..OPEN_MAX + 2 {
        scoped(task as TaskId, async { traces.progress(at(1), &begun) }).await;
    }
    assert_eq!(metrics.told("oms_spans_total"), ["oms_spans_total{fate=\"never-ended\"} 2"]);
}
