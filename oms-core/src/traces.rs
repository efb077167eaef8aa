//! Traces on request, by OpenTelemetry: one for each order, over all its steps, workers and restarts.
//!
//! A trace's id is made from the order's id and the moment at which it was taken in (a member's
//! likewise). So the spans of all workers meet in one trace, and nothing is stored for it. Its root
//! lasts from intake to the order's end, and is told by whoever sees that end, be it a command of an
//! operator's. Below it stands each step,
//! below each step its calls. A poll of delivery reports is for no order alone: it is a trace of its own.
//!
//! Nothing waits for a trace. [`Traces`] listens as an observer and hands what is over to a queue that
//! never grows beyond its bound; [`Exporter`] takes it from there to the collector. What finds no room,
//! or no collector that takes it, is dropped and counted (`oms_spans_total` in `/metrics`).
//!
//! No span carries what an API or a person wrote: names, ids, outcomes and numbers alone.

mod exporter;
mod spans;
mod subject;

pub use exporter::{CONNECT_TIMEOUT, Exporter};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clockwork::{Clock, Timestamp};
use tokio::sync::{Notify, mpsc, watch};

use crate::env::{Event, Observer, Progress, TaskId, current_task};
use crate::http::Metrics;

/// Steps that are over and wait for the exporter; more are dropped.
const QUEUE_MAX: usize = 4096;
/// Steps under way; of more the oldest is given up, for its task has ended without a word.
const OPEN_MAX: usize = 4096;
/// When all else has ended, the collector has so long to take the last spans.
pub const LAST_SPANS: Duration = Duration::from_secs(2);
/// What a step or a call came to that the process's end cut off.
const CUT_OFF: &str = "cut-off";

/// Listens to one process's steps and calls. Clones share what is under way.
#[derive(Clone)]
pub struct Traces {
    shared: Arc<Shared>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

struct Shared {
    open: Mutex<BTreeMap<TaskId, Piece>>,
    queue: mpsc::Sender<Piece>,
    metrics: Arc<Metrics>,
    /// Spans that found no room in the queue.
    no_room: AtomicU64,
    /// Whether the exporter is to come to its end.
    ending: watch::Sender<bool>,
    /// It has.
    done: Notify,
}

/// A step with its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    task: TaskId,
    step: &'static str,
    about: String,
    what: String,
    attempt: u32,
    rounds: u32,
    begun: Timestamp,
    ended: Timestamp,
    wrote: Option<&'static str>,
    came_to: &'static str,
    calls: Vec<Call>,
}

impl Piece {
    /// How many spans it makes, without a root.
    fn spans(&self) -> usize {
        1 + self.calls.len()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    api: String,
    endpoint: String,
    begun: Timestamp,
    ended: Timestamp,
    outcome: String,
    status: Option<u16>,
}

/// Traces of the process `worker`, and who takes them to a collector. What becomes of its spans is
/// counted in `metrics`.
pub fn begin(worker: &str, metrics: Arc<Metrics>) -> (Traces, Exporter) {
    let (queue, pieces) = mpsc::channel(QUEUE_MAX);
    let (ending, told) = watch::channel(false);
    let shared = Shared {
        open: Mutex::default(),
        queue,
        metrics: metrics.clone(),
        no_room: AtomicU64::new(0),
        ending,
        done: Notify::new(),
    };
    let traces = Traces { shared: Arc::new(shared) };
    let exporter = Exporter::new(worker, traces.clone(), pieces, told);
    (traces, exporter)
}

impl Traces {
    /// Tells what is under way as cut off, and waits until the exporter has nothing more to send, at
    /// most for `within`. Whether it came to that.
    pub async fn finish(&self, clock: &dyn Clock, within: Duration) -> bool {
        let (now, open) = (clock.now(), std::mem::take(&mut *self.open()));
        for piece in open.into_values() {
            self.over(Piece { ended: now, came_to: CUT_OFF, ..piece });
        }
        self.shared.ending.send_replace(true);
        let sent = clockwork::timeout(clock, within, self.shared.done.notified()).await.is_ok();
        let spans = self.shared.no_room.load(Ordering::Relaxed);
        if spans > 0 {
            tracing::warn!(spans, "spans dropped, for they came faster than they were sent");
        }
        if !sent {
            tracing::warn!("the process ends with spans that no collector has taken");
        }
        sent
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<TaskId, Piece>> {
        // Nothing under this lock can panic half-way through a change.
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self, piece: Piece) {
        let given_up = {
            let mut open = self.open();
            open.insert(piece.task, piece);
            if open.len() > OPEN_MAX { open.pop_first() } else { None }
        };
        if let Some((_, piece)) = given_up {
            self.dropped("never-ended", &piece);
        }
    }

    /// Changes the running task's step, if it takes one.
    fn change(&self, change: impl FnOnce(&mut Piece)) {
        self.open().get_mut(&current_task()).map(change);
    }

    /// A step is over: never waits.
    fn over(&self, piece: Piece) {
        if let Err(
            mpsc::error::TrySendError::Full(piece) | mpsc::error::TrySendError::Closed(piece),
        ) = self.shared.queue.try_send(piece)
        {
            self.shared.no_room.fetch_add(piece.spans() as u64, Ordering::Relaxed);
            self.dropped("queue-full", &piece);
        }
    }

    fn dropped(&self, why: &str, piece: &Piece) {
        self.shared.metrics.spans(why, piece.spans());
    }
}

impl Observer for Traces {
    fn observe(&self, at: Timestamp, event: Event) {
        match event {
            Event::CallBegin { api, endpoint, .. } => self.change(|piece| {
                let outcome = CUT_OFF.to_owned();
                piece.calls.push(Call {
                    api,
                    endpoint,
                    begun: at,
                    ended: at,
                    outcome,
                    status: None,
                });
            }),
            Event::CallEnd { outcome, status, .. } => self.change(|piece| {
                // A task makes one call at a time.
                if let Some(call) = piece.calls.last_mut() {
                    (call.ended, call.outcome, call.status) = (at, outcome, status);
                }
            }),
            _ => {}
        }
    }

    fn progress(&self, at: Timestamp, progress: &Progress<'_>) {
        match *progress {
            Progress::Begun { step, about, what, attempt, rounds } => self.begins(Piece {
                task: current_task(),
                step,
                about: about.to_owned(),
                what: what.to_string(),
                attempt,
                rounds,
                begun: at,
                ended: at,
                wrote: None,
                came_to: CUT_OFF,
                calls: Vec::new(),
            }),
            Progress::Writes { outcome } => self.change(|piece| piece.wrote = Some(outcome)),
            Progress::Ended { came_to } => {
                let piece = self.open().remove(&current_task());
                if let Some(piece) = piece {
                    self.over(Piece { ended: at, came_to, ..piece });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
