//! `--otlp` of `oms serve`, of `oms ingest` and of an operator's commands: what is told, and that a
//! collector that is down, slow or refuses does no harm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/collector.rs"]
mod collector;
#[path = "support/oms.rs"]
mod oms;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use clockwork::{Clock as _, DrillClock};
use collector::Collector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms::{Ran, arg, command, line, oms};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tempfile::TempDir;

/// Ends the process also when a test fails.
struct Serving {
    child: Child,
    api: String,
    client: reqwest::Client,
    folder: TempDir,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// Nobody listens at port 1: orders stay.
    fn start(otlp: &str) -> Serving {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(&folder);
        let nobody = "http://127.0.0.1:1";
        let mut command = command(&["serve", "--store", arg(&store), "--listen", "127.0.0.1:0"]);
        command.args(["--format", "json", "--carrier", nobody, "--messenger", nobody]);
        command.env("OMS_OTLP", otlp);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(oms_core::env::tls::trusting_nobody().unwrap())
            .build()
            .unwrap();
        let api = first["api"].as_str().unwrap().to_owned();
        Serving { child, api, client, folder }
    }

    /// Keeps an order.
    async fn takes_in(&self) {
        let post = self.client.post(format!("{}/orders", self.api));
        let post = post.header("content-type", "application/json").body(line("ORD-1"));
        assert_eq!(post.send().await.unwrap().status(), 201);
    }

    /// Keeps an order, and waits until a metric says something of its spans.
    async fn works(&self, fate: &str) {
        self.takes_in().await;
        let wanted = format!("oms_spans_total{{fate=\"{fate}\"}}");
        for _ in 0..600 {
            if self.metrics().await.contains(&wanted) {
                return;
            }
            DrillClock::from_spec(None).sleep(Duration::from_millis(50)).await;
        }
        panic!("{}", self.metrics().await);
    }

    async fn metrics(&self) -> String {
        let answer = self.client.get(format!("{}/metrics", self.api)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Ends it as an operator does: how long it took.
    fn end(mut self) -> Duration {
        let clock = DrillClock::from_spec(None);
        let told = clock.now();
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        clock.now().since(told)
    }
}

const AT_ONCE: Duration = Duration::ZERO;

fn store_in(folder: &TempDir) -> PathBuf {
    folder.path().join("oms.db")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_collector_that_is_down() {
    let serving = Serving::start("http://127.0.0.1:1");
    serving.works("not-taken").await;
    assert!(serving.metrics().await.contains("oms_calls_total{"), "the carrier was tried");
    let took = serving.end();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_a_collector_refuses_are_dropped_and_counted() {
    let (collector, url) = Collector::start(StatusCode::FORBIDDEN, AT_ONCE).await;
    let serving = Serving::start(&url);
    serving.works("refused").await;
    assert!(collector.asked() > 0);
    serving.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_collector_does_not_keep_a_service_from_its_end() {
    let (collector, url) = Collector::start(StatusCode::OK, Duration::from_secs(600)).await;
    let serving = Serving::start(&format!("{url}/"));
    serving.takes_in().await;
    while collector.asked() == 0 {
        DrillClock::from_spec(None).sleep(Duration::from_millis(20)).await;
    }
    let took = serving.end();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_are_sent_before_the_process_ends() {
    let (collector, url) = Collector::start(StatusCode::OK, AT_ONCE).await;
    let serving = Serving::start(&url);
    serving.takes_in().await;
    serving.end();
    let names: Vec<String> = collector.spans().into_iter().map(|(_, span)| span.name).collect();
    assert!(names.contains(&"take-in".to_owned()), "{names:?}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let nobody = "http://127.0.0.1:1";
    let told = oms(&[
        "serve",
        "--store",
        "no-such-folder/oms.db",
        "--carrier",
        nobody,
        "--messenger",
        nobody,
        "--otlp",
        "collector:4318",
    ]);
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.err.contains("service.otlp must"), "{told:?}");
}

/// An operator's command, with the time that it took.
fn operate(words: &[&str], folder: &TempDir, otlp: &str) -> (Ran, Duration) {
    let clock = DrillClock::from_spec(None);
    let begun = clock.now();
    let store = store_in(folder);
    let told = oms(&[words, &["--by", "kim", "--store", arg(&store), "--otlp", otlp]].concat());
    (told, clock.now().since(begun))
}

/// A folder with a database that holds ORD-1, which nobody works on.
fn with_an_order() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, line("ORD-1")).unwrap();
    let taken = oms(&["ingest", arg(&file), "--store", arg(&store_in(&folder))]);
    assert_eq!(taken.code, 0, "{taken:?}");
    folder
}

fn text<'s>(span: &'s Span, key: &str) -> &'s str {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(Attribute::StringValue(text)) => text,
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

fn named<'s>(spans: &'s [(String, Span)], name: &str) -> Vec<&'s Span> {
    spans.iter().map(|(_, span)| span).filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ends_an_order_tells_its_step_and_the_root_of_its_trace() {
    let (collector, url) = Collector::start(StatusCode::OK, AT_ONCE).await;
    let serving = Serving::start(&url);
    serving.takes_in().await;
    let (told, _) = operate(&["cancel", "ORD-1"], &serving.folder, &url);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
    serving.end();
    let spans = collector.spans();
    let ([taken_in], [cancel]) = (&named(&spans, "take-in")[..], &named(&spans, "cancel")[..])
    else {
        panic!("{spans:?}")
    };
    assert_eq!(cancel.trace_id, taken_in.trace_id, "one trace, whoever tells of it");
    assert_eq!(text(cancel, "oms.came_to"), "moved");
    let roots: Vec<_> = spans.iter().filter(|(_, span)| span.name == "order").collect();
    let by_command = roots.iter().find(|(worker, _)| *worker == worker_of(&spans, cancel));
    let (_, root) = by_command.expect("the command saw the order's end");
    assert_eq!((&root.trace_id, text(root, "oms.state")), (&cancel.trace_id, "cancelled"));
    assert_eq!(cancel.parent_span_id, root.span_id);
    assert!(roots.iter().all(|(_, other)| other.span_id == root.span_id), "no second root");
    assert!(!collector.bytes().windows(3).any(|part| part == b"kim"), "who it was stays here");
}

fn worker_of(spans: &[(String, Span)], of: &Span) -> String {
    spans.iter().find(|(_, span)| span.span_id == of.span_id).unwrap().0.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_refused_is_told_and_ends_nothing() {
    let (collector, url) = Collector::start(StatusCode::OK, AT_ONCE).await;
    let folder = with_an_order();
    assert_eq!(operate(&["cancel", "ORD-1"], &folder, &url).0.code, 0);
    for words in [&["retry", "ORD-1"][..], &["resolve", "ORD-1", "--booked"]] {
        let (told, _) = operate(words, &folder, &url);
        assert_eq!(told.code, 1, "{told:?}");
        let spans = collector.spans();
        let [refused] = &named(&spans, words[0])[..] else { panic!("{spans:?}") };
        assert_eq!(text(refused, "oms.came_to"), "refused");
        assert_eq!(named(&spans, "order").len(), 1, "the end is told once");
        assert_eq!(refused.parent_span_id, named(&spans, "order")[0].span_id);
    }
    assert_eq!(operate(&["cancel", "ORD-2"], &folder, &url).0.code, 1);
    assert_eq!(named(&collector.spans(), "cancel").len(), 1, "an order that is none has no trace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_does_what_it_is_told_without_its_collector_and_is_not_kept_by_it() {
    let (collector, never) = Collector::start(StatusCode::OK, Duration::from_secs(600)).await;
    for otlp in ["http://127.0.0.1:1", never.as_str()] {
        let folder = with_an_order();
        let (told, took) = operate(&["cancel", "ORD-1"], &folder, otlp);
        assert_eq!(told.code, 0, "{told:?}");
        assert!(told.out.starts_with("ORD-1: cancelled"), "{told:?}");
        assert!(told.err.contains("WARN") && told.err.contains("spans"), "{told:?}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
    assert_eq!(collector.asked(), 1);
    let (told, _) = operate(&["cancel", "ORD-1"], &with_an_order(), "collector:4318");
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.err.contains("service.otlp must"), "{told:?}");
}

/// Takes in a file of these lines, with the time that it took.
fn ingest(lines: &[String], folder: &TempDir, flags: &[&str]) -> (Ran, Duration) {
    let clock = DrillClock::from_spec(None);
    let begun = clock.now();
    let file = folder.path().join("orders.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let store = store_in(folder);
    let told = oms(&[&["ingest", arg(&file), "--store", arg(&store)], flags].concat());
    (told, clock.now().since(begun))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_orders_tells_the_intake_of_each_in_its_own_trace() {
    let (collector, url) = Collector::start(StatusCode::OK, AT_ONCE).await;
    let folder = tempfile::tempdir().unwrap();
    let far = line("ORD-2").replace("06236", "63365");
    let lines = [line("ORD-1"), far, "{".to_owned()];
    let config = folder.path().join("oms.toml");
    std::fs::write(&config, "[shop]\nrefused_postcodes = [\"63\"]\n").unwrap();
    let (told, _) = ingest(&lines, &folder, &["--config", arg(&config), "--otlp", &url]);
    assert_eq!((told.code, told.err.as_str()), (1, ""), "{told:?}");
    let spans = collector.spans();
    let [kept, rejected] = &named(&spans, "take-in")[..] else { panic!("{spans:?}") };
    assert_eq!([text(kept, "oms.order"), text(rejected, "oms.order")], ["ORD-1", "ORD-2"]);
    assert_eq!([text(kept, "oms.came_to"), text(rejected, "oms.came_to")], ["moved", "moved"]);
    let [root] = &named(&spans, "order")[..] else { panic!("{spans:?}") };
    assert_eq!(text(root, "oms.state"), "rejected", "it is at its end");
    assert_eq!((&root.trace_id, &root.span_id), (&rejected.trace_id, &rejected.parent_span_id));
    assert_ne!(kept.trace_id, rejected.trace_id);

    // A service's settings name its collector; the same order is told in the same trace.
    std::fs::write(&config, format!("[service]\notlp = \"{url}\"\n")).unwrap();
    assert_eq!(ingest(&lines[..1], &folder, &["--config", arg(&config)]).0.code, 0);
    assert_eq!(operate(&["cancel", "ORD-1"], &folder, &url).0.code, 0);
    let spans = collector.spans();
    let (steps, cancel) = (named(&spans, "take-in"), named(&spans, "cancel")[0]);
    assert_eq!(text(steps[2], "oms.came_to"), "same");
    let root = named(&spans, "order")[1];
    for step in [steps[0], steps[2], cancel] {
        assert_eq!((&step.trace_id, &step.parent_span_id), (&root.trace_id, &root.span_id));
    }
    assert!(steps[0].span_id != steps[2].span_id, "each step has an id of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_orders_is_taken_in_without_its_collector_and_says_what_was_not_told() {
    let (_collector, never) = Collector::start(StatusCode::OK, Duration::from_secs(600)).await;
    for otlp in ["http://127.0.0.1:1", never.as_str()] {
        let folder = tempfile::tempdir().unwrap();
        let (told, took) = ingest(&[line("ORD-1")], &folder, &["--otlp", otlp]);
        assert_eq!(told.code, 0, "{told:?}");
        assert!(told.out.starts_with("1 orders: 1 created"), "{told:?}");
        assert!(told.err.contains("WARN") && told.err.contains("spans"), "{told:?}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
    let many: Vec<String> = (0..4800).map(|number| line(&format!("ORD-{number}"))).collect();
    let (told, _) = ingest(&many, &tempfile::tempdir().unwrap(), &["--otlp", &never]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.starts_with("4800 orders: 4800 created"), "{told:?}");
    assert!(told.err.contains("spans dropped, for they came faster"), "{}", told.err);

    let folder = tempfile::tempdir().unwrap();
    let (told, _) = ingest(&[line("ORD-1")], &folder, &["--otlp", "collector:4318"]);
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.err.contains("service.otlp must"), "{told:?}");
    assert!(!store_in(&folder).exists(), "and nothing was begun");
}
