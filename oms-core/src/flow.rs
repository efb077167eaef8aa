//! One step of work each: at most one thing is asked of the outside, and its outcome is written.
//!
//! A step never sleeps between attempts: work that must wait is put back with the moment at which
//! it is due, so that a crash loses no waiting and no lease is held for nothing. [`crate::service`]
//! takes the steps; a test may take them one by one.

mod booking;
mod calling_back;
mod leases;
mod notifying;
mod reporting;
mod settling;

use std::sync::Arc;
use std::time::Duration;

use clockwork::Timestamp;

use crate::call::{Backoff, Context};
use crate::carrier::Carrier;
use crate::config::Config;
use crate::env::{Env, Hands, Progress};
use crate::messenger::Messenger;
use crate::state::ParcelState;
use crate::store::{ParcelWork, Row, Tries};
use leases::Leases;

/// The steps, with all that they need. Cheap to clone.
#[derive(Clone)]
pub struct Flow {
    env: Env,
    config: Arc<Config>,
    carrier: Carrier,
    messenger: Messenger,
    leases: Leases,
}

/// What a step came to, for whoever takes the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The work moved on, and something else may have fallen due by it.
    Moved,
    /// The work has come to rest, and nothing follows.
    Rested,
    /// The work was put back until it is due again.
    PutBack,
    /// Another worker has taken over, or the database did not answer: nothing more to do here.
    Lost,
}

impl Step {
    /// Its name in traces.
    const fn name(self) -> &'static str {
        match self {
            Step::Moved => "moved",
            Step::Rested => "rested",
            Step::PutBack => "put-back",
            Step::Lost => "lost",
        }
    }
}

impl Flow {
    /// The steps of one process.
    pub fn new(env: Env, config: Arc<Config>) -> Flow {
        let carrier = Carrier::new(&env, &config);
        let messenger = Messenger::new(&env, &config);
        Flow { env, config, carrier, messenger, leases: Leases::default() }
    }

    /// Renews the leases of the steps that are under way, for ever.
    pub async fn keep_leases(&self) {
        self.leases.keep(&self.env, self.config.service.lease).await;
    }

    /// Cuts the steps short that are under way: each writes what is known, and so gives its lease back.
    pub fn cut_short(&self) {
        self.leases.cut_short();
    }

    /// Gives back all permits that this process holds, before it ends.
    pub async fn hand_back(&self) {
        self.carrier.hand_back().await;
        self.messenger.hand_back().await;
    }

    /// One step on a parcel.
    pub async fn step_parcel(&self, hands: &Hands, work: ParcelWork) -> Step {
        let _held = self.leases.hold(Row::Parcel(work.key.clone()), &work.lease);
        let name = match work.state {
            ParcelState::Planned => "plan",
            ParcelState::Intended => "book",
            ParcelState::Unknown => "reconcile",
            ParcelState::Cancelling => "call-back",
            ParcelState::Booked
            | ParcelState::Refused
            | ParcelState::Cancelled
            | ParcelState::Attention => {
                tracing::error!(parcel = %work.key, state = %work.state, "claimed a resting parcel");
                return Step::Lost;
            }
        };
        self.begins(name, &work);
        let step = match work.state {
            ParcelState::Planned => self.plan(hands, work).await,
            ParcelState::Intended => self.book(hands, work).await,
            ParcelState::Unknown => self.reconcile(hands, work).await,
            _ => self.call_back(hands, work).await,
        };
        self.ends(step);
        step
    }

    /// Tells that the running task begins `step` on a parcel.
    fn begins(&self, step: &'static str, work: &ParcelWork) {
        let (about, what) = (work.key.order.as_str(), &work.key);
        let (attempt, rounds) = (work.attempts + 1, work.rounds);
        self.tell(&Progress::Begun { step, about, what, attempt, rounds });
    }

    /// Tells what the step of the running task came to.
    fn ends(&self, step: Step) {
        self.tell(&Progress::Ended { came_to: step.name() });
    }

    fn tell(&self, progress: &Progress<'_>) {
        self.env.observer.progress(self.now(), progress);
    }

    fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    fn context(&self, work: &ParcelWork) -> Context {
        let tenure = self.leases.tenure(Row::Parcel(work.key.clone()), &work.lease);
        Context { key: work.key.to_string(), tenure }
    }

    /// When to try a parcel again after a try that may be counted, and the counters then.
    fn next_try(
        &self,
        work: &ParcelWork,
        wait: Option<Duration>,
        spent: bool,
    ) -> (Timestamp, Tries) {
        let tries = Tries { attempts: work.attempts, rounds: work.rounds };
        let backoff = Backoff::new(&self.config.carrier.calls, self.env.entropy);
        after(&backoff, self.now(), &work.key.to_string(), tries, wait, spent)
    }
}

/// When to try again: what the other side asked for, or our own backoff when that is longer.
fn after(
    backoff: &Backoff,
    now: Timestamp,
    key: &str,
    tries: Tries,
    wait: Option<Duration>,
    spent: bool,
) -> (Timestamp, Tries) {
    if !spent {
        // Nothing was tried: only the wait counts, and never a busy loop.
        return (now + wait.unwrap_or(Duration::ZERO).max(Duration::from_millis(100)), tries);
    }
    let (delay, tries) = backoff.next(key, tries);
    (now + delay.max(wait.unwrap_or_default()), tries)
}
