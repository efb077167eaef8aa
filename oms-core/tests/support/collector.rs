//! A collector of traces on a loopback port.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use clockwork::{Clock as _, DrillClock};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// What a collector was sent.
#[derive(Clone, Default)]
pub struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    /// Starts one that answers `status` after `delay`; and its address.
    pub async fn start(status: StatusCode, delay: Duration) -> (Collector, String) {
        let collector = Collector::default();
        let bodies = collector.bodies.clone();
        let answer = move |body: Bytes| {
            bodies.lock().unwrap().push(body);
            async move {
                DrillClock::from_spec(None).sleep(delay).await;
                status
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/v1/traces", post(answer));
        spawn(async move { axum::serve(listener, router).await.unwrap() });
        (collector, url)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    /// All that it was sent, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.bodies.lock().unwrap().concat()
    }

    /// All spans that it was sent, each with the worker that sent it.
    pub fn spans(&self) -> Vec<(String, Span)> {
        use opentelemetry_proto::tonic::common::v1::any_value::Value;
        let mut spans = Vec::new();
        for body in self.bodies.lock().unwrap().iter() {
            let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
            for of_worker in request.resource_spans {
                let resource = of_worker.resource.unwrap().attributes;
                let named = |name: &str| {
                    let found = resource.iter().find(|attribute| attribute.key == name).unwrap();
                    match found.value.clone().unwrap().value.unwrap() {
                        Value::StringValue(text) => text,
                        other => panic!("{name} is {other:?}"),
                    }
                };
                assert_eq!(named("service.name"), "oms");
                let worker = named("service.instance.id");
                let found = of_worker.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(found.map(|span| (worker.clone(), span)));
            }
        }
        spans
    }
}

#[expect(clippy::disallowed_methods, reason = "the collector belongs to no node")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
