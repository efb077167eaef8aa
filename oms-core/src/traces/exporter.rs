//! Takes spans to a collector: OTLP over HTTP, protobuf.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clockwork::Clock;
use http::{Method, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::sync::{mpsc, watch};

use super::subject::Known;
use super::{Piece, Traces, spans};
use crate::env::{Deadlines, Hands, Transport};
use crate::store::Store;

/// Until the connection to a collector stands.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One try to hand spans over takes at most so long.
const DEADLINE: Duration = Duration::from_secs(5);
/// The first span of a batch waits so long for others.
const LINGER: Duration = Duration::from_secs(1);
/// A batch has at most so many steps.
const BATCH_MAX: usize = 256;
/// A batch that is not taken is tried so often, then dropped.
const TRIES: u32 = 4;
/// The wait after the first try, doubled after each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// Where the protocol has traces.
const PATH: &str = "/v1/traces";

/// Takes what a [`Traces`] has heard to a collector.
pub struct Exporter {
    worker: String,
    traces: Traces,
    pub(super) pieces: mpsc::Receiver<Piece>,
    ending: watch::Receiver<bool>,
    known: Known,
}

/// Why a batch was not taken.
enum Failure {
    /// It may be taken later.
    Passing(String),
    /// It will not be.
    ForGood(StatusCode),
}

impl Exporter {
    pub(super) fn new(
        worker: &str,
        traces: Traces,
        pieces: mpsc::Receiver<Piece>,
        ending: watch::Receiver<bool>,
    ) -> Exporter {
        Exporter { worker: worker.to_owned(), traces, pieces, ending, known: Known::default() }
    }

    /// Sends by `way` until [`Traces::finish`] ends it. What orders the spans belong to is asked of
    /// `store`.
    #[expect(clippy::disallowed_methods, reason = "the exporter begins as a task of its own")]
    pub async fn run(
        mut self,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        way: Arc<dyn Transport>,
    ) {
        let hands = Hands::of_a_new_task();
        while let Some(pieces) = self.gather(&*clock).await {
            let mut batch = Vec::new();
            for piece in &pieces {
                self.understand(piece, &*store, &*clock, &mut batch).await;
            }
            if !batch.is_empty() {
                self.send(&hands, batch, &*clock, &*way).await;
            }
        }
        self.traces.shared.done.notify_one();
    }

    /// The next steps to tell of; `None` when the end was told and nothing is left.
    async fn gather(&mut self, clock: &dyn Clock) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        tokio::select! {
            biased;
            _ = self.pieces.recv_many(&mut pieces, BATCH_MAX) => {}
            () = told(&mut self.ending) => {}
        }
        if pieces.is_empty() {
            return None;
        }
        let mut over = std::pin::pin!(clock.sleep(LINGER));
        while pieces.len() < BATCH_MAX {
            let room = BATCH_MAX - pieces.len();
            tokio::select! {
                biased;
                more = self.pieces.recv_many(&mut pieces, room) => if more == 0 { break },
                () = told(&mut self.ending) => break,
                () = &mut over => break,
            }
        }
        Some(pieces)
    }

    /// Adds the spans of `piece` to `batch`, if it can be known which trace they belong to.
    async fn understand(
        &mut self,
        piece: &Piece,
        store: &dyn Store,
        clock: &dyn Clock,
        batch: &mut Vec<Span>,
    ) {
        if piece.about.is_empty() {
            batch.extend(spans::spans_of(piece, None, &self.worker));
            return;
        }
        match self.known.subject(store, clock, piece).await {
            Ok(Some(subject)) => {
                batch.extend(spans::spans_of(piece, Some(&subject), &self.worker));
            }
            // It was refused, or has been pruned.
            Ok(None) => self.traces.dropped("no-order", piece),
            Err(error) => {
                tracing::debug!(%error, "spans without their order");
                self.traces.dropped("database", piece);
            }
        }
    }

    /// Hands `batch` over, or drops it.
    async fn send(
        &mut self,
        hands: &Hands,
        batch: Vec<Span>,
        clock: &dyn Clock,
        way: &dyn Transport,
    ) {
        let spans = batch.len();
        let body = Bytes::from(spans::request(&self.worker, batch).encode_to_vec());
        let metrics = self.traces.shared.metrics.clone();
        for tried in 0..TRIES {
            match post(hands, body.clone(), way).await {
                Ok(rejected) => {
                    metrics.spans("rejected", rejected.min(spans));
                    metrics.spans("sent", spans.saturating_sub(rejected));
                    return;
                }
                Err(Failure::ForGood(status)) => {
                    tracing::warn!(spans, %status, "the collector refuses spans");
                    return metrics.spans("refused", spans);
                }
                Err(Failure::Passing(reason)) => {
                    tracing::debug!(spans, reason, "the collector takes no spans");
                }
            }
            // Who is ending has no time for another try.
            if *self.ending.borrow() || tried + 1 == TRIES {
                break;
            }
            tokio::select! {
                biased;
                () = told(&mut self.ending) => {}
                () = clock.sleep(PAUSE * 2_u32.pow(tried)) => {}
            }
        }
        tracing::warn!(spans, "spans dropped, for the collector takes none");
        metrics.spans("not-taken", spans);
    }
}

/// Returns when the end was told.
async fn told(ending: &mut watch::Receiver<bool>) {
    // Who would tell it is held by this very exporter, so it is never gone.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// One try; of what was taken, how many spans the collector did not want.
async fn post(hands: &Hands, body: Bytes, way: &dyn Transport) -> Result<usize, Failure> {
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(body)
        .map_err(|error| Failure::Passing(error.to_string()))?;
    let deadlines = Deadlines { connect: CONNECT_TIMEOUT, read: DEADLINE, overall: DEADLINE };
    // One that may have arrived may be sent again: a span has one id.
    let answer = way.call(hands, request, deadlines).await;
    let answer = answer.map_err(|error| Failure::Passing(error.to_string()))?;
    match answer.status() {
        status if status.is_success() => Ok(rejected(answer.into_body())),
        status @ (StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT) => Err(Failure::Passing(status.to_string())),
        status => Err(Failure::ForGood(status)),
    }
}

fn rejected(body: Bytes) -> usize {
    let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |partly| partly.rejected_spans);
    usize::try_from(rejected).unwrap_or_default()
}
