//! `oms serve --otlp`: a collector that is down, slow or refuses does no harm.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/collector.rs"]
mod collector;
#[path = "support/oms.rs"]
mod oms;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use clockwork::{Clock as _, DrillClock};
use collector::Collector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oms::{arg, command, line, oms};
use serde_json::Value;

/// Ends the process also when a test fails.
struct Serving {
    child: Child,
    api: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
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
        let store = folder.path().join("oms.db");
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
        Serving { child, api, client, _folder: folder }
    }

    /// Keeps an order, and waits until a metric says something of its spans.
    async fn works(&self, fate: &str) {
        let post = self.client.post(format!("{}/orders", self.api));
        let post = post.header("content-type", "application/json").body(line("ORD-1"));
        assert_eq!(post.send().await.unwrap().status(), 201);
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
    let post = serving.client.post(format!("{}/orders", serving.api));
    let post = post.header("content-type", "application/json").body(line("ORD-1"));
    assert_eq!(post.send().await.unwrap().status(), 201);
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
    let post = serving.client.post(format!("{}/orders", serving.api));
    let post = post.header("content-type", "application/json").body(line("ORD-1"));
    assert_eq!(post.send().await.unwrap().status(), 201);
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
