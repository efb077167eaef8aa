//! A breaker that takes refused orders for a carrier that is down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clockwork::{Clock, Timestamp};
use http::{Request, Response};
use oms_core::env::{Deadlines, Hands, Transport, TransportError};
use serde_json::Value;

use super::{Family, Sabotage};

/// Refusals in a row that open it.
const REFUSALS: u32 = 2;
/// How long it stays open.
const OPEN_FOR: Duration = Duration::from_secs(300);

pub(super) const SABOTAGE: Sabotage = Sabotage {
    name: "breaker-counts-refusals",
    family: Family::BreakerStuck,
    why: "the client throws one exception for all that is no success, and the breaker counts \
          exceptions: two bad addresses in a row close the way for all",
    breaks: "one-bad-order-blocks-none",
    seen_in: &["bad-addresses"],
    seams: |env, _| {
        let state = Mutex::new(State { refused: 0, open_until: Timestamp::EPOCH });
        let (inner, clock) = (env.carrier.clone(), env.clock.clone());
        env.carrier = Arc::new(Touchy { inner, clock, state });
    },
    ..Sabotage::NONE
};

struct Touchy {
    inner: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    refused: u32,
    open_until: Timestamp,
}

#[async_trait]
impl Transport for Touchy {
    async fn call(
        &self,
        hands: &Hands,
        request: Request<Bytes>,
        deadlines: Deadlines,
    ) -> Result<Response<Bytes>, TransportError> {
        if self.clock.now() < self.state.lock().unwrap_or_else(PoisonError::into_inner).open_until {
            return Err(TransportError::NotSent { reason: "circuit breaker open".to_owned() });
        }
        let books = request.uri().path().ends_with("RegBook");
        let answer = self.inner.call(hands, request, deadlines).await;
        if let Some(answer) = answer.as_ref().ok().filter(|_| books) {
            self.count(is_refusal(answer));
        }
        answer
    }
}

impl Touchy {
    fn count(&self, refused: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refused = if refused { state.refused + 1 } else { 0 };
        if state.refused >= REFUSALS {
            *state = State { refused: 0, open_until: self.clock.now() + OPEN_FOR };
        }
    }
}

/// The carrier has looked at the order, and does not take it.
fn is_refusal(answer: &Response<Bytes>) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else { return false };
    let code = body.get("RESULT_CD").and_then(Value::as_str);
    answer.status().is_success() && code.is_some_and(|code| !code.starts_with('S'))
}
