//! `@Scheduled`: jobs that run again and again, one run at a time each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use oms_core::env::Hands;
use oms_core::service::Workers;
use tokio::sync::Notify;

use super::{BATCH_EVERY, hands_of_a_task};
use crate::strategies::Setup;

/// What is done at each run.
#[async_trait]
pub(in crate::strategies) trait Job: Send + Sync {
    /// One run.
    async fn run(&self, hands: &mut Hands);
}

/// The jobs of a process.
pub(in crate::strategies) struct Scheduler {
    setup: Setup,
    /// One a job.
    wakes: Vec<Notify>,
    stopping: AtomicBool,
    running: AtomicUsize,
}

impl Scheduler {
    /// Runs each job at once, every [`BATCH_EVERY`], and when something new has come in.
    pub(in crate::strategies) fn start(
        setup: Setup,
        jobs: Vec<(&'static str, Arc<dyn Job>)>,
    ) -> Arc<dyn Workers> {
        let spawner = setup.env.spawner.clone();
        let scheduler = Arc::new(Scheduler {
            setup,
            wakes: jobs.iter().map(|_| Notify::new()).collect(),
            stopping: AtomicBool::new(false),
            running: AtomicUsize::new(0),
        });
        for (place, (name, job)) in jobs.into_iter().enumerate() {
            let scheduler = scheduler.clone();
            spawner.spawn(name, Box::pin(async move { scheduler.repeat(place, &*job).await }));
        }
        scheduler
    }

    async fn repeat(&self, place: usize, job: &dyn Job) {
        let mut hands = hands_of_a_task();
        while !self.stopping.load(Ordering::Acquire) {
            self.running.fetch_add(1, Ordering::AcqRel);
            job.run(&mut hands).await;
            self.running.fetch_sub(1, Ordering::AcqRel);
            tokio::select! {
                biased;
                () = self.wakes[place].notified() => {}
                () = self.setup.env.clock.sleep(BATCH_EVERY) => {}
            }
        }
    }
}

#[async_trait]
impl Workers for Scheduler {
    fn wake(&self) {
        self.wakes.iter().for_each(Notify::notify_one);
    }

    async fn stop(&self, within: Duration) -> usize {
        self.stopping.store(true, Ordering::Release);
        self.wake();
        let clock = &self.setup.env.clock;
        let deadline = clock.now() + within.min(self.setup.config.service.lease);
        while self.running.load(Ordering::Acquire) > 0 && clock.now() < deadline {
            clock.sleep(Duration::from_millis(20)).await;
        }
        self.running.load(Ordering::Acquire)
    }
}
