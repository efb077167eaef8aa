//! Who takes the steps: one dispatcher a lane, a task a step, a bulkhead around each API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{BoxFuture, Timestamp};
use tokio::sync::Notify;

use crate::config::Config;
use crate::env::{Env, Event, Hands};
use crate::flow::{Flow, Step};
use crate::store::{Claim, Claimed, NoticeWork, ParcelWork, Result};

/// Steps that were cut short have so long to write what is known of them.
const HAND_BACK: Duration = Duration::from_secs(2);

/// Whoever takes the steps of a process: [`Service`], or what a drill runs in its place.
#[async_trait]
pub trait Workers: Send + Sync {
    /// Something new is in the database: look at once.
    fn wake(&self);

    /// Takes no further step and waits until those under way have ended, at most for `within`; hands
    /// back the rest, and gives back what others may use. How many steps could not be handed back: of
    /// those the leases end by themselves.
    async fn stop(&self, within: Duration) -> usize;
}

/// A running service. Dropping it does not stop its tasks; [`Workers::stop`] does.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    config: Arc<Config>,
    flow: Flow,
    parcels: Lane,
    notices: Lane,
    stopping: AtomicBool,
    /// Dispatchers that may still begin a step.
    dispatching: AtomicUsize,
}

/// The work that goes to one API.
struct Lane {
    /// Steps under way.
    busy: AtomicUsize,
    /// At most so many: slowness of one API never takes what the other needs.
    at_once: usize,
    /// Something may have fallen due, or a full lane has room again.
    wake: Notify,
}

impl Lane {
    fn new(at_once: usize) -> Lane {
        Lane { busy: AtomicUsize::new(0), at_once, wake: Notify::new() }
    }

    fn free(&self) -> usize {
        self.at_once.saturating_sub(self.busy.load(Ordering::Acquire))
    }
}

impl Service {
    /// Starts the dispatchers.
    pub fn start(env: Env, config: Arc<Config>) -> Service {
        let shared = Arc::new(Shared {
            flow: Flow::new(env.clone(), config.clone()),
            parcels: Lane::new(config.carrier.calls.at_once),
            notices: Lane::new(config.messenger.calls.at_once),
            stopping: AtomicBool::new(false),
            dispatching: AtomicUsize::new(2),
            env,
            config,
        });
        let spawner = &shared.env.spawner;
        spawner.spawn("parcels", Box::pin(shared.clone().dispatch_parcels()));
        spawner.spawn("notices", Box::pin(shared.clone().dispatch_notices()));
        spawner.spawn("reports", Box::pin(shared.clone().poll_reports()));
        let flow = shared.flow.clone();
        spawner.spawn("leases", Box::pin(async move { flow.keep_leases().await }));
        let woken = shared.clone();
        if let Some(listener) = shared.env.store.listener(Arc::new(move || woken.wake())) {
            spawner.spawn("listener", listener);
        }
        Service { shared }
    }
}

#[async_trait]
impl Workers for Service {
    fn wake(&self) {
        self.shared.wake();
    }

    async fn stop(&self, within: Duration) -> usize {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::Release);
        shared.wake();
        let mut busy = shared.wait_for_steps(within).await;
        if busy > 0 {
            tracing::warn!(steps = busy, "not finished in time: handed back");
            shared.flow.cut_short();
            busy = shared.wait_for_steps(HAND_BACK).await;
        }
        // A database that takes nothing back must not keep a process from its end.
        let given_back = shared.flow.hand_back();
        if clockwork::timeout(&*shared.env.clock, HAND_BACK, given_back).await.is_err() {
            tracing::warn!("permits not given back");
        }
        busy
    }
}

impl Shared {
    fn wake(&self) {
        self.parcels.wake.notify_one();
        self.notices.wake.notify_one();
    }

    /// Steps under way, and dispatchers whose claim may bring more: what it took is worked on.
    fn busy(&self) -> usize {
        let steps = [&self.parcels.busy, &self.notices.busy, &self.dispatching];
        steps.into_iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// Waits until no step is under way, at most for `patience`; how many still are.
    async fn wait_for_steps(&self, patience: Duration) -> usize {
        let clock = &self.env.clock;
        let deadline = clock.now() + patience;
        while self.busy() > 0 && clock.now() < deadline {
            clock.sleep(Duration::from_millis(20)).await;
        }
        self.busy()
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn claim(&self, limit: usize) -> Claim {
        let now = self.env.clock.now();
        let until = now + self.config.service.lease;
        Claim { worker: self.env.worker.clone(), now, until, limit }
    }

    async fn dispatch_parcels(self: Arc<Shared>) {
        while !self.stopping() {
            let free = self.parcels.free();
            let mut next_due = None;
            if free > 0 {
                let claimed = self.env.store.claim_parcels(self.claim(free)).await;
                let (work, due) = self.accept(claimed);
                next_due = due;
                for work in work {
                    self.clone().take_parcel(work);
                }
            }
            self.rest(&self.parcels, next_due).await;
        }
        self.dispatching.fetch_sub(1, Ordering::AcqRel);
    }

    async fn dispatch_notices(self: Arc<Shared>) {
        while !self.stopping() {
            let free = self.notices.free();
            let mut next_due = None;
            if free > 0 {
                let claimed = self.env.store.claim_notices(self.claim(free)).await;
                let (work, due) = self.accept(claimed);
                next_due = due;
                for work in work {
                    self.clone().take_notice(work);
                }
            }
            self.rest(&self.notices, next_due).await;
        }
        self.dispatching.fetch_sub(1, Ordering::AcqRel);
    }

    /// The work of a claim; an error is a claim of nothing, for the lane looks again soon.
    fn accept<W>(&self, claimed: Result<Claimed<W>>) -> (Vec<W>, Option<Timestamp>) {
        match claimed {
            Ok(claimed) => {
                for (what, state) in claimed.taken {
                    let event = Event::LeaseTaken { what, state };
                    self.env.observer.observe(self.env.clock.now(), event);
                }
                (claimed.work, claimed.next_due)
            }
            Err(error) => {
                tracing::warn!(%error, "nothing claimed");
                (Vec::new(), None)
            }
        }
    }

    /// Waits until a step has ended, something is due, or the database should be looked at again.
    async fn rest(&self, lane: &Lane, next_due: Option<Timestamp>) {
        let now = self.env.clock.now();
        let poll = now + self.config.service.poll;
        let until = match next_due {
            Some(due) if lane.free() > 0 => due.min(poll),
            _ => poll,
        };
        tokio::select! {
            biased;
            () = lane.wake.notified() => {}
            () = self.env.clock.sleep_until(until) => {}
        }
    }

    fn take_parcel(self: Arc<Shared>, work: ParcelWork) {
        let shared = self.clone();
        let step = |hands| -> BoxFuture<'static, Step> {
            Box::pin(async move { shared.flow.step_parcel(&hands, work).await })
        };
        self.take("parcel", |shared| &shared.parcels, step);
    }

    fn take_notice(self: Arc<Shared>, work: NoticeWork) {
        let shared = self.clone();
        let step = |hands| -> BoxFuture<'static, Step> {
            Box::pin(async move { shared.flow.step_notice(&hands, work).await })
        };
        self.take("notice", |shared| &shared.notices, step);
    }

    #[expect(clippy::disallowed_methods, reason = "a step begins as a task of its own")]
    fn take(
        self: Arc<Shared>,
        name: &'static str,
        lane: fn(&Shared) -> &Lane,
        step: impl FnOnce(Hands) -> BoxFuture<'static, Step>,
    ) {
        lane(&self).busy.fetch_add(1, Ordering::AcqRel);
        let step = step(Hands::of_a_new_task());
        let shared = self.clone();
        let work = async move {
            // Frees the slot also when the step panics.
            let _slot = Slot { shared: shared.clone(), lane };
            match step.await {
                // Siblings may have to be called back, and the customer told.
                Step::Moved => shared.wake(),
                Step::PutBack => lane(&shared).wake.notify_one(),
                Step::Rested | Step::Lost => {}
            }
        };
        self.env.spawner.spawn(name, Box::pin(work));
    }

    #[expect(clippy::disallowed_methods, reason = "the poller begins as a task of its own")]
    async fn poll_reports(self: Arc<Shared>) {
        let hands = Hands::of_a_new_task();
        while !self.stopping() {
            self.env.clock.sleep(self.config.messenger.report_poll).await;
            while !self.stopping() && self.flow.poll_reports(&hands).await {}
        }
    }
}

struct Slot {
    shared: Arc<Shared>,
    lane: fn(&Shared) -> &Lane,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let lane = (self.lane)(&self.shared);
        let busy = lane.busy.fetch_sub(1, Ordering::AcqRel);
        // A lane that was full may have left work behind that was due.
        if busy == lane.at_once {
            lane.wake.notify_one();
        }
    }
}
