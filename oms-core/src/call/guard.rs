//! The one way by which a call goes out: breaker, permit, deadline, one request, its meaning.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clockwork::{Clock, Timestamp};

use super::breaker::{Breaker, Ended, Ticket, Vain};
use super::pause::{Brake, Halt, Pause, Waits};
use super::permits::{NotNow, Permit, Permits};
use super::retry_after::retry_after;
use super::tenure::Tenure;
use super::{Outcome, Phase};
use crate::config::Calls;
use crate::env::{Deadlines, Env, Event, Hands, Observer, Transport, TransportError, current_task};
use crate::policy::PausePolicy;
use crate::store::Window;

/// On whose behalf a call is made.
#[derive(Debug, Clone)]
pub struct Context {
    /// The parcel or notification, as the history names it.
    pub key: String,
    /// How long the lease lasts: no call is begun after its end, and one under way is given up then.
    pub tenure: Tenure,
}

impl Context {
    /// What stands for the order that the call is about; `None` when it is about none.
    fn subject(&self) -> Option<u64> {
        let end = self.key.find(['/', ':'])?;
        // The same in every process: it has no key of its own.
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.key.as_bytes()[..end]);
        Some(hasher.finish())
    }
}

/// One request to an API.
pub struct Call {
    /// The API's name of the operation.
    pub endpoint: &'static str,
    /// Whether the other side acts on it. Of one that it does not act on, an answer that cannot
    /// be understood is no answer, and nothing else.
    pub changes: bool,
    /// Whether all orders wait for it, whichever it is made for: the token is everybody's.
    pub for_all: bool,
    /// The request itself: path and query, headers, body.
    pub request: http::Request<Bytes>,
}

/// What a response means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// For the work that it was made for.
    pub outcome: Outcome<T>,
    /// For all work that needs this API.
    pub brake: Option<Brake>,
}

impl<T> From<Outcome<T>> for Reading<T> {
    fn from(outcome: Outcome<T>) -> Reading<T> {
        Reading { outcome, brake: None }
    }
}

impl<T> Reading<T> {
    /// Refused unseen: nobody is to call for a while.
    pub fn braked(brake: Brake, reason: impl Into<String>) -> Reading<T> {
        let outcome = Outcome::NotProcessed { reason: reason.into(), wait: None, spent: true };
        Reading { outcome, brake: Some(brake) }
    }

    /// The same about another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        Reading { outcome: self.outcome.map(change), brake: self.brake }
    }
}

/// Which API, over which quota.
pub struct Line {
    /// `carrier` or `messenger`.
    pub api: &'static str,
    /// The quota's name in the store, and the breaker's in the history.
    pub quota: &'static str,
    /// The way there.
    pub transport: Arc<dyn Transport>,
    /// The quota's windows; empty for none.
    pub windows: Vec<Window>,
}

/// Makes the calls to one API. Cheap to clone; all clones share breaker and permits.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Shared>,
}

struct Shared {
    line: Line,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    deadlines: Deadlines,
    permit_wait: Duration,
    pauses: Arc<dyn PausePolicy>,
    permits: Permits,
    breaker: Mutex<Breaker>,
    pause: Mutex<Pause>,
}

/// What came back, before it is acted upon.
struct Answer<T> {
    reading: Reading<T>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    /// The request may still be under way: its permit cannot end yet.
    lingers: bool,
}

impl Guard {
    /// Calls over `line` in the manner of `calls`.
    pub fn new(env: &Env, line: Line, calls: &Calls) -> Guard {
        let permits = Permits::new(env, line.quota, line.windows.clone(), calls.deadline);
        let probe_patience = calls.deadline + calls.permit_wait;
        let waits = Waits {
            ban: calls.ban_wait,
            silence: calls.breaker.open_for,
            silent_calls_max: calls.breaker.calls_min.max(1),
        };
        let shared = Shared {
            line,
            clock: env.clock.clone(),
            observer: env.observer.clone(),
            deadlines: Deadlines {
                connect: calls.connect_timeout,
                read: calls.read_timeout,
                overall: calls.deadline,
            },
            permit_wait: calls.permit_wait,
            pauses: env.policies.pauses.clone(),
            permits,
            breaker: Mutex::new(Breaker::new(calls.breaker.clone(), probe_patience)),
            pause: Mutex::new(Pause::new(waits)),
        };
        Guard { shared: Arc::new(shared) }
    }

    /// Gives permits back, before the process ends.
    pub async fn hand_back(&self) {
        self.shared.permits.hand_back().await;
    }

    /// Makes one call; `read` says what the response means.
    pub async fn call<T>(
        &self,
        hands: &Hands,
        context: &Context,
        call: Call,
        read: impl FnOnce(&http::Response<Bytes>) -> Reading<T>,
    ) -> Outcome<T> {
        self.call_under(hands, None, context, call, read).await
    }

    /// As [`Guard::call`], under one more permit, of a quota that this call counts in too. Both end
    /// alike: not before the request can no longer arrive.
    pub async fn call_under<T>(
        &self,
        hands: &Hands,
        other: Option<Permit>,
        context: &Context,
        call: Call,
        read: impl FnOnce(&http::Response<Bytes>) -> Reading<T>,
    ) -> Outcome<T> {
        let shared = &self.shared;
        let order = if call.for_all { None } else { context.subject() };
        let (permit, ticket) = match shared.admit(context, order, other.as_ref()).await {
            Ok(admitted) => admitted,
            Err(NotNow { reason, wait }) => {
                if let Some(other) = other {
                    other.give_back();
                }
                return Outcome::NotProcessed { reason, wait, spent: false };
            }
        };
        let begun = shared.clock.now();
        let overall = shared.deadlines.overall.min(permit.held_until().since(begun));
        let deadlines = Deadlines { overall, ..shared.deadlines };
        let Call { endpoint, changes, request, .. } = call;
        shared.tell_begin(context, endpoint, begun);
        let response = tokio::select! {
            biased;
            response = shared.line.transport.call(hands, request, deadlines) => response,
            () = context.tenure.over(&*shared.clock) => Err(cut_off()),
        };
        let now = shared.clock.now();
        let answer = understand(response, read, now);
        if !answer.lingers {
            [Some(permit), other].into_iter().flatten().for_each(|permit| permit.end(now));
        }
        let vain = shared.judge(ticket, &answer, begun, now);
        let halt = shared.pause_after(&answer, vain, order, begun, now);
        let status = answer.status;
        let outcome = answer.outcome(changes, halt.map(|halt| halt.until.since(now)));
        shared.tell_end(context, endpoint, begun, &outcome, status, now);
        // Last, for the store is not to be used while the call still counts as under way.
        if let Some(Halt { until, all: true }) = halt {
            shared.permits.block(until).await;
        }
        outcome
    }
}

impl<T> Answer<T> {
    /// What it means for the work, with the longest of all waits that were asked for.
    fn outcome(self, changes: bool, pause: Option<Duration>) -> Outcome<T> {
        let asked = pause.max(self.retry_after);
        match self.reading.outcome {
            Outcome::NotProcessed { reason, wait, spent } => {
                Outcome::NotProcessed { reason, wait: wait.max(asked), spent }
            }
            Outcome::Unknown { reason, wait } if changes => {
                Outcome::Unknown { reason, wait: wait.max(asked) }
            }
            Outcome::Unknown { reason, wait } => {
                Outcome::NotProcessed { reason, wait: wait.max(asked), spent: true }
            }
            other => other,
        }
    }
}

/// A call that was under way when its lease ended: whoever takes over relies on its end.
fn cut_off() -> TransportError {
    TransportError::MaybeSent {
        reason: "given up, for the lease ended".to_owned(),
        timed_out: true,
    }
}

/// What came back, by what holds of every API; the rest is up to `read`.
fn understand<T>(
    response: Result<http::Response<Bytes>, TransportError>,
    read: impl FnOnce(&http::Response<Bytes>) -> Reading<T>,
    now: Timestamp,
) -> Answer<T> {
    let lost = |outcome: Outcome<T>, lingers| Answer {
        reading: outcome.into(),
        status: None,
        retry_after: None,
        lingers,
    };
    match response {
        Ok(response) => Answer {
            reading: read(&response),
            status: Some(response.status().as_u16()),
            retry_after: retry_after(response.headers(), now),
            lingers: false,
        },
        Err(error @ TransportError::NotSent { .. }) => {
            let reason = error.to_string();
            lost(Outcome::NotProcessed { reason, wait: None, spent: true }, false)
        }
        Err(error @ TransportError::MaybeSent { timed_out, .. }) => {
            lost(Outcome::Unknown { reason: error.to_string(), wait: None }, timed_out)
        }
    }
}

impl Shared {
    /// What a call needs before it may go out.
    async fn admit(
        &self,
        context: &Context,
        order: Option<u64>,
        other: Option<&Permit>,
    ) -> Result<(Permit, Ticket), NotNow> {
        let too_late = || NotNow::new("the lease has ended", None);
        let now = self.clock.now();
        if context.tenure.is_over(now) {
            return Err(too_late());
        }
        let open = |wait| NotNow::new("circuit breaker open", Some(wait));
        if let Some(wait) = self.breaker(|breaker| breaker.wait(now, order)) {
            return Err(open(wait));
        }
        // One that is granted just then counts until the end of its hold; its process is about to end.
        let permit = tokio::select! {
            biased;
            permit = self.permits.take(now + self.permit_wait) => permit?,
            () = context.tenure.cut() => return Err(too_late()),
        };
        let now = self.clock.now();
        if context.tenure.is_over(now) || now >= permit.held_until() {
            permit.give_back();
            return Err(too_late());
        }
        // The store may have been slow to give the first: what is held by then must last for a call.
        if other.is_some_and(|other| now + self.deadlines.overall > other.held_until()) {
            permit.give_back();
            return Err(NotNow::new("the other permit has run out", None));
        }
        match self.breaker(|breaker| breaker.admit(now, order)) {
            Ok(ticket) => Ok((permit, ticket)),
            Err(wait) => {
                permit.give_back();
                Err(open(wait))
            }
        }
    }

    /// Uses the breaker, and tells of its change.
    fn breaker<T>(&self, use_it: impl FnOnce(&mut Breaker) -> T) -> T {
        let (before, result, after) = {
            let mut breaker = lock(&self.breaker);
            let before = breaker.phase();
            let result = use_it(&mut breaker);
            (before, result, breaker.phase())
        };
        if before != after {
            let (api, to) = (self.line.quota, after.name());
            match after {
                Phase::Open => tracing::warn!(api, to, "circuit breaker"),
                Phase::Closed | Phase::HalfOpen => tracing::info!(api, to, "circuit breaker"),
            }
            let event = Event::Breaker { api: api.to_owned(), to: to.to_owned() };
            self.observer.observe(self.clock.now(), event);
        }
        result
    }

    /// Tells the breaker how the API did; of a probe, whether it was in vain.
    fn judge<T>(
        &self,
        ticket: Ticket,
        answer: &Answer<T>,
        begun: Timestamp,
        now: Timestamp,
    ) -> Option<Vain> {
        let took = now.since(begun);
        let ended = match (&answer.reading, answer.status) {
            (Reading { brake: Some(_), .. }, _) => Ended::Silent,
            (_, None) | (Reading { outcome: Outcome::Unknown { .. }, .. }, _) => {
                Ended::Failed { took }
            }
            _ => Ended::Answered { took },
        };
        self.breaker(|breaker| breaker.record(ticket, ended, now))
    }

    /// Until when no call is to be made, if that is what came back.
    fn pause_after<T>(
        &self,
        answer: &Answer<T>,
        vain: Option<Vain>,
        order: Option<u64>,
        begun: Timestamp,
        now: Timestamp,
    ) -> Option<Halt> {
        let is_closed = lock(&self.breaker).phase() == Phase::Closed;
        let mut pause = lock(&self.pause);
        let answered = answer.status.is_some();
        let alone = pause.hear(answered, order) && is_closed;
        let alone = alone || (!answered && vain == Some(Vain::Alone));
        if alone && answer.reading.brake.is_none() && self.pauses.heeds(Brake::Silent) {
            return Some(Halt { until: now + pause.for_one(), all: false });
        }
        let silent = (!answered && vain == Some(Vain::Too)).then_some(Brake::Silent);
        let brake = answer.reading.brake.or(silent).filter(|brake| self.pauses.heeds(*brake));
        let Some(brake) = brake else {
            if answered {
                pause.heard_well(begun);
            }
            return None;
        };
        let (until, is_new) = pause.set(brake, answer.retry_after, begun, now);
        drop(pause);
        self.breaker(|breaker| breaker.hold(until));
        if is_new {
            let (quota, why) = (self.line.quota, brake.name());
            tracing::warn!(quota, why, %until, "no calls for a while");
            let event = Event::QuotaBlocked { quota: quota.to_owned(), until, why: why.to_owned() };
            self.observer.observe(now, event);
        }
        Some(Halt { until, all: true })
    }

    fn tell_begin(&self, context: &Context, endpoint: &str, now: Timestamp) {
        let event = Event::CallBegin {
            task: current_task(),
            api: self.line.api.to_owned(),
            endpoint: endpoint.to_owned(),
            key: context.key.clone(),
        };
        self.observer.observe(now, event);
    }

    fn tell_end<T>(
        &self,
        context: &Context,
        endpoint: &str,
        begun: Timestamp,
        outcome: &Outcome<T>,
        status: Option<u16>,
        now: Timestamp,
    ) {
        let (api, key, name) = (self.line.api, context.key.as_str(), outcome.name());
        let took_ms = u64::try_from(now.since(begun).as_millis()).unwrap_or(u64::MAX);
        let reason = outcome.reason();
        tracing::debug!(api, endpoint, key, outcome = name, status, took_ms, reason, "call");
        let event = Event::CallEnd {
            task: current_task(),
            api: api.to_owned(),
            endpoint: endpoint.to_owned(),
            key: key.to_owned(),
            outcome: name.to_owned(),
            status,
        };
        self.observer.observe(now, event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
