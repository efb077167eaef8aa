//! The runner's desk for the queue: every operation of every node passes it, so a fault that waits
//! for the n-th of them counts as the simulated broker does, whichever process it is, and what was
//! delivered and acknowledged is written down in one place.
//!
//! The nodes ask over HTTP, on a loopback port (`live/disturbed.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::extract::State as Shared;
use axum::routing::post;
use axum::{Json, Router};
use clockwork::{Clock, Entropy, Timestamp};
use faults::{Described, Fault, FaultHit, Fired, Injector, Kind, Target};
use serde::{Deserialize, Serialize};

use super::background;
use super::broker::Server;
use super::child;
use crate::queue::Hit;

/// A delivery, as it is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) sequence: u64,
    pub(super) attempt: u32,
    pub(super) receipt: String,
    pub(super) id: String,
    pub(super) body: String,
}

/// A node is about to do something with a message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Operation {
    /// One of [`crate::queue::OPERATIONS`].
    pub(super) operation: String,
    /// The message's id.
    pub(super) id: String,
    /// To or from which consumer.
    pub(super) consumer: String,
    /// What was delivered.
    pub(super) letter: Option<Letter>,
}

/// What is due again although it may be acknowledged.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Again {
    pub(super) letter: Option<Letter>,
    /// Something is so much later.
    pub(super) next: Option<Duration>,
}

/// A broker that was felled is up again so much later.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Restart {
    pub(super) by: Duration,
}

/// What passed the desk of one message.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) delivered: Vec<Timestamp>,
    pub(super) acked: Option<Timestamp>,
}

/// The desk.
pub(super) struct Desk {
    clock: Arc<dyn Clock>,
    injector: Injector,
    /// The drill's own broker. Its end is not the desk's to say: whoever asks may outlive the run.
    server: Weak<Server>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: BTreeMap<u64, Seen>,
    hits: Vec<Hit>,
    again: Vec<(Timestamp, String, Letter)>,
    trouble: Option<child::Error>,
}

impl Desk {
    /// A desk where `faults` happen. There is a `server` when the broker is the drill's own.
    pub(super) fn open(
        clock: Arc<dyn Clock>,
        entropy: Entropy,
        faults: Vec<Fault>,
        start: Timestamp,
        server: Weak<Server>,
    ) -> Result<Arc<Desk>, faults::fault::Error> {
        let injector = Injector::new(clock.clone(), entropy);
        injector.install(faults, start)?;
        Ok(Arc::new(Desk { clock, injector, server, state: Mutex::default() }))
    }

    /// What the nodes ask.
    pub(super) fn router(self: Arc<Desk>) -> Router {
        Router::new()
            .route("/operation", post(operation))
            .route("/again", post(again))
            .route("/restart", post(restart))
            .with_state(self)
    }

    /// How often each fault fired.
    pub(super) fn fired(&self) -> Vec<Fired> {
        self.injector.fired()
    }

    /// What passed, by the messages' places in the stream, and which faults hit what.
    pub(super) fn written_down(&self) -> (BTreeMap<u64, Seen>, Vec<Hit>) {
        let state = self.state();
        (state.seen.clone(), state.hits.clone())
    }

    /// Whether nothing is to be delivered once more.
    pub(super) fn is_idle(&self) -> bool {
        self.state().again.is_empty()
    }

    /// Why the broker could not be started again, if so.
    pub(super) fn trouble(&self) -> Option<child::Error> {
        self.state().trouble.take()
    }

    /// The fault that hits an operation, which is written down as far as it happens.
    fn pass(&self, what: Operation) -> Option<Fault> {
        let now = self.clock.now();
        let described = Described { endpoint: what.operation.clone(), key: Some(what.id.clone()) };
        let decision = self.injector.decide(Target::Queue, &described);
        let mut state = self.state();
        if let Some(decision) = &decision {
            let kind = decision.fault.kind;
            let by = FaultHit { index: decision.index, kind, why: decision.why.clone() };
            let (operation, id) = (what.operation.clone(), what.id);
            state.hits.push(Hit { at: now, operation, id, by });
        }
        let fault = decision.map(|decision| Fault::clone(&decision.fault));
        if let Some(mut letter) = what.letter {
            let seen = state.seen.entry(letter.sequence).or_default();
            match what.operation.as_str() {
                "deliver" => seen.delivered.push(now),
                "ack" if fault.as_ref().is_none_or(|fault| fault.processed == Some(true)) => {
                    seen.acked.get_or_insert(now);
                }
                _ => {}
            }
            if let Some(fault) = fault.as_ref().filter(|fault| fault.kind == Kind::Redeliver) {
                letter.attempt += 1;
                let due = now + fault.by.unwrap_or_default();
                state.again.push((due, what.consumer, letter));
            }
        }
        fault
    }

    fn again(&self, consumer: &str) -> Again {
        let now = self.clock.now();
        let mut state = self.state();
        let of = |entry: &&(Timestamp, String, Letter)| entry.1 == consumer;
        let due = state.again.iter().position(|entry| of(&entry) && entry.0 <= now);
        if let Some(place) = due {
            let (_, _, letter) = state.again.remove(place);
            return Again { letter: Some(letter), next: None };
        }
        let next = state.again.iter().filter(of).map(|(due, ..)| due.since(now)).min();
        Again { letter: None, next }
    }

    /// Kills the broker, and has it started again `by` later.
    async fn restart(self: Arc<Desk>, by: Duration) {
        // A plan that restarts a broker of somebody else's is not run.
        let Some(server) = self.server.upgrade() else { return };
        let up_at = self.clock.now() + by;
        server.fell().await;
        drop(server);
        background(async move {
            self.clock.sleep_until(up_at).await;
            let Some(server) = self.server.upgrade() else { return };
            if let Err(error) = server.boot().await {
                self.state().trouble = Some(error);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn operation(
    Shared(desk): Shared<Arc<Desk>>,
    Json(what): Json<Operation>,
) -> Json<Option<Fault>> {
    Json(desk.pass(what))
}

async fn again(Shared(desk): Shared<Arc<Desk>>, Json(consumer): Json<String>) -> Json<Again> {
    Json(desk.again(&consumer))
}

async fn restart(Shared(desk): Shared<Arc<Desk>>, Json(restart): Json<Restart>) -> Json<()> {
    desk.restart(restart.by).await;
    Json(())
}
