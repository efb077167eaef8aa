//! `oms serve --otlp` with both fakes: one trace an order, over two workers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../oms-core/tests/support/collector.rs"]
mod collector;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use clockwork::{Clock as _, DrillClock};
use collector::Collector;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

/// A process that says where it is on its first line; ended with the test.
struct Running {
    child: Child,
    told: Value,
}

impl Running {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drill"));
        // A child ends with its standard input.
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Running { child, told: serde_json::from_str(&line).unwrap() }
    }

    /// A worker on `store` that has the keys which `fakes` gave out.
    fn worker(name: &str, store: &Path, otlp: &str, carrier: &str, fakes: &Value) -> Running {
        let messenger = &fakes["messenger"];
        let key = |name: &str| messenger["credentials"][name].as_str().unwrap();
        Running::start(
            &[
                "__oms",
                "serve",
                "--store",
                store.to_str().unwrap(),
                "--listen",
                "127.0.0.1:0",
                "--format",
                "json",
                "--worker-name",
                name,
                "--otlp",
                otlp,
                "--carrier",
                carrier,
                "--messenger",
                messenger["api"].as_str().unwrap(),
            ],
            &[
                ("OMS_MESSENGER__API_KEY", key("api_key")),
                ("OMS_MESSENGER__SENDER_KEY", key("sender_key")),
                ("OMS_MESSENGER__SMS_FROM", key("sms_from")),
            ],
        )
    }

    fn end(mut self) {
        // Waiting would close it, and with it end the child at once.
        let stdin = self.child.stdin.take();
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        drop(stdin);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn order(id: &str) -> Value {
    json!({
        "id": id,
        "customer": { "name": "홍길동", "phone": "010-1234-5678" },
        "address": { "postcode": "06236", "line1": "서울 강남구 테헤란로 1", "line2": "101호" },
        "items": [
            { "sku": "SKU-1", "name": "한라봉 3kg", "quantity": 2, "unit_price": 19_900 },
            { "sku": "SKU-2", "name": "감귤 5kg", "quantity": 1, "unit_price": 15_000, "parcel": 2 },
        ],
        "memo": "문 앞에 놓아 주세요",
    })
}

/// What must never leave: names, numbers and addresses.
const SECRETS: [&str; 7] =
    ["홍길동", "01012345678", "1234-5678", "06236", "테헤란로", "101호", "드릴십"];

async fn wait(milliseconds: u64) {
    DrillClock::from_spec(None).sleep(Duration::from_millis(milliseconds)).await;
}

fn text<'s>(span: &'s Span, key: &str) -> &'s str {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(Attribute::StringValue(text)) => text,
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

fn number(span: &Span, key: &str) -> Option<i64> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Attribute::IntValue(number) => Some(*number),
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_order_has_one_trace_over_all_its_steps_and_both_workers() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("oms.db");
    let fakes = Running::start(&["__held", "serve", "--format", "json"], &[]);
    let carrier = fakes.told["carrier"]["api"].as_str().unwrap();
    let (collector, otlp) = Collector::start(StatusCode::OK, Duration::ZERO).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(oms_core::env::tls::trusting_nobody().unwrap())
        .build()
        .unwrap();

    // The first takes the orders in and reaches no carrier; the second ships them.
    let first = Running::worker("oms-a", &store, &otlp, "http://127.0.0.1:1", &fakes.told);
    let orders = ["ORD-1", "ORD-2", "ORD-3"];
    let api = first.told["api"].as_str().unwrap();
    for id in orders {
        let answer = client.post(format!("{api}/orders")).json(&order(id)).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    while !collector.spans().iter().any(|(_, span)| span.name == "plan") {
        wait(20).await;
    }
    first.end();
    let second = Running::worker("oms-b", &store, &otlp, carrier, &fakes.told);
    let api = second.told["api"].as_str().unwrap();
    for id in orders {
        loop {
            let answer = client.get(format!("{api}/orders/{id}")).send().await.unwrap();
            let shown: Value = answer.json().await.unwrap();
            if shown["state"] == "completed" {
                break;
            }
            wait(50).await;
        }
    }
    second.end();

    let mut traces: BTreeMap<Vec<u8>, Vec<(String, Span)>> = BTreeMap::new();
    for (worker, span) in collector.spans() {
        if span.attributes.iter().any(|attribute| attribute.key == "oms.order") {
            traces.entry(span.trace_id.clone()).or_default().push((worker, span));
        }
    }
    assert_eq!(traces.len(), orders.len(), "one trace an order");
    let told: BTreeSet<&str> =
        traces.values().map(|spans| text(&spans[0].1, "oms.order")).collect();
    assert_eq!(told, BTreeSet::from(orders));
    for spans in traces.values() {
        assert_is_whole(spans);
    }

    let token = token(&client, &fakes.told).await;
    let bytes = collector.bytes();
    let found = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(found("ORD-1"), "what is looked for would be found");
    let keys = &fakes.told["messenger"]["credentials"];
    let keys = ["api_key", "sender_key", "sms_from"].map(|name| keys[name].as_str().unwrap());
    for secret in SECRETS.into_iter().chain(keys).chain([token.as_str()]) {
        assert!(!found(secret), "{secret} left the house");
    }
}

/// One order of two parcels, taken in by `oms-a` and shipped by `oms-b`.
fn assert_is_whole(spans: &[(String, Span)]) {
    let ids: BTreeSet<&[u8]> = spans.iter().map(|(_, span)| span.span_id.as_slice()).collect();
    assert_eq!(ids.len(), spans.len(), "each span has its own id");
    let named = |name: &str| -> Vec<&(String, Span)> {
        spans.iter().filter(|(_, span)| span.name == name).collect()
    };
    let [(worker, root)] = named("order")[..] else { panic!("one root: {spans:?}") };
    assert!(root.parent_span_id.is_empty());
    assert_eq!((worker.as_str(), text(root, "oms.state")), ("oms-b", "completed"));
    let by: BTreeSet<&str> = spans.iter().map(|(worker, _)| worker.as_str()).collect();
    assert_eq!(by, BTreeSet::from(["oms-a", "oms-b"]));
    assert_eq!(named("take-in").len(), 1);
    assert_eq!((named("book").len(), named("notify").len()), (2, 1));
    let booked: Vec<&str> =
        named("book").into_iter().map(|(_, span)| text(span, "oms.outcome")).collect();
    assert_eq!(booked, ["booked"; 2]);
    for (name, calls) in [("carrier RegBook", 2), ("messenger send/omni", 1)] {
        let made = named(name);
        assert_eq!(made.len(), calls, "{name}: {spans:?}");
        for (_, call) in made {
            assert_eq!((text(call, "oms.outcome"), text(call, "oms.effect")), ("done", "happened"));
            assert_eq!(number(call, "http.response.status_code"), Some(200));
            assert!(number(call, "oms.attempt").unwrap() >= 1);
        }
    }
    for (_, span) in spans {
        // An order is taken in at a moment of its taking in.
        let first = match span.name.as_str() {
            "take-in" => span.end_time_unix_nano,
            _ => span.start_time_unix_nano,
        };
        let within = root.start_time_unix_nano <= first
            && span.start_time_unix_nano <= span.end_time_unix_nano;
        assert!(within, "{span:?}");
        let is_call = span.attributes.iter().any(|attribute| attribute.key == "oms.api");
        let parent = spans.iter().find(|(_, other)| other.span_id == span.parent_span_id);
        match parent {
            None => assert_eq!(span.name, "order", "{span:?}"),
            Some((worker, parent)) if is_call => {
                assert!(text(parent, "oms.what").starts_with(text(span, "oms.order")));
                assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{worker}");
                assert!(parent.end_time_unix_nano >= span.end_time_unix_nano);
            }
            Some((_, parent)) => assert_eq!(parent.name, "order"),
        }
    }
}

/// The token of the carrier that this day has.
async fn token(client: &reqwest::Client, told: &Value) -> String {
    let known = &told["carrier"]["credentials"];
    let who = json!({ "CUST_ID": known["cust_id"], "BIZ_REG_NUM": known["biz_reg_num"] });
    let url = format!("{}/ReqOneDayToken", told["carrier"]["api"].as_str().unwrap());
    let asked = client.post(url).json(&json!({ "DATA": who })).send().await.unwrap();
    let answer: Value = asked.json().await.unwrap();
    answer["DATA"]["TOKEN_NUM"].as_str().unwrap().to_owned()
}
