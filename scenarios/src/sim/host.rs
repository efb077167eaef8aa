//! A machine that a node runs on: boots the core, sees it die, boots it again on the same database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use clockwork::{Clock, Timestamp};
use http_body_util::BodyExt;
use oms_core::config::Config;
use oms_core::env::{Env, Spawner};
use oms_core::http::App;
use oms_core::store::Store;
use tokio::sync::{oneshot, watch};
use tower::ServiceExt;

use super::node::{Mark, Node};
use super::turns::Turns;
use crate::history::{Record, Step};
use crate::offering::Front;
use crate::queue::Queue;
use crate::recorder::Recorder;
use crate::sign_up::Form;
use crate::strategies::{Setup, Strategy};

/// Connects a node with these seams to the database.
pub type Connect = Arc<dyn Fn(&Env) -> Arc<dyn Store> + Send + Sync>;

/// What a host boots each time: the core's seams, all but those of the node itself.
pub struct Image {
    /// The seams, of which spawner, observer and store are replaced at each boot.
    pub env: Env,
    /// The way to the database.
    pub store: Connect,
    /// The settings.
    pub config: Arc<Config>,
    /// Wraps the seams, as a sabotage does.
    pub rig: fn(&mut Env, &Arc<Config>),
    /// How members are signed up, if not as is recommended.
    pub sign_up: Option<&'static Form>,
    /// The way to the message broker.
    pub queue: Arc<dyn Queue>,
    /// Who takes the steps.
    pub strategy: &'static Strategy,
}

/// One machine.
pub struct Host {
    number: u32,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    image: Image,
    marks: BTreeMap<u64, Mark>,
    restart_after: Duration,
    turns: Option<Turns>,
    /// How many scheduling points had been passed when it was healed.
    healed: watch::Sender<Option<u64>>,
    running: Mutex<Running>,
}

struct Running {
    node: Node,
    router: Option<Router>,
}

/// Tasks of different hosts have different names.
const TASKS_PER_HOST: u64 = 1_000_000_000;

impl Host {
    /// A machine that is switched off.
    pub fn new(
        number: u32,
        clock: Arc<dyn Clock>,
        recorder: Recorder,
        image: Image,
        marks: BTreeMap<u64, Mark>,
        restart_after: Duration,
        turns: Option<Turns>,
    ) -> Host {
        let first_task = 1 + u64::from(number) * TASKS_PER_HOST;
        let node = Node::start(0, &marks, first_task, turns.clone());
        let running = Mutex::new(Running { node, router: None });
        let healed = watch::Sender::new(None);
        Host { number, clock, recorder, image, marks, restart_after, turns, healed, running }
    }

    /// Boots the core, and boots it again whenever it dies. Runs until the simulation ends.
    pub async fn run(self: Arc<Host>) {
        loop {
            let node = self.boot();
            while let Some(length) = node.fate().await {
                self.stand_still(&node, length).await;
            }
            self.record(Step::NodeCrashed);
            self.pause_until(self.clock.now() + self.restart_after).await;
            let turns = self.turns.clone();
            let next = Node::start(node.points(), &self.marks, node.next_task(), turns);
            if self.is_healed() {
                next.heal();
            }
            *self.running() = Running { node: next, router: None };
        }
    }

    fn boot(&self) -> Node {
        let node = self.running().node.clone();
        let mut env = self.image.env.clone();
        env.spawner = Arc::new(node.clone());
        env.observer = self.recorder.of_node(self.number);
        env.store = (self.image.store)(&env);
        (self.image.rig)(&mut env, &self.image.config);
        if let Some(form) = self.image.sign_up {
            (form.seams)(&mut env, &self.image.config);
        }
        self.record(Step::NodeStarted);
        let setup = Setup {
            env: env.clone(),
            config: self.image.config.clone(),
            queue: self.image.queue.clone(),
        };
        let workers = (self.image.strategy.start)(setup);
        let wake = Arc::new(move || workers.wake());
        let metrics = Arc::default();
        let app = App { env, config: self.image.config.clone(), wake, metrics };
        self.running().router = Some(oms_core::http::router(Arc::new(app)));
        node
    }

    /// Makes a request to the node's own API. `None` when it is down, or dies over it.
    pub async fn request(&self, request: http::Request<Body>) -> Option<http::Response<Bytes>> {
        let (node, router) = {
            let running = self.running();
            (running.node.clone(), running.router.clone()?)
        };
        let (reply, arrival) = oneshot::channel();
        let work = async move {
            let Ok(response) = router.oneshot(request).await;
            let (head, body) = response.into_parts();
            if let Ok(body) = body.collect().await {
                // Whoever asked may have given up.
                let _ = reply.send(http::Response::from_parts(head, body.to_bytes()));
            }
        };
        node.spawn("request", Box::pin(work));
        arrival.await.ok()
    }

    /// Kills the node, as `kill -9` does.
    pub fn kill(&self) {
        let node = self.running().node.clone();
        node.kill();
    }

    /// Halts the node for `length`, as SIGSTOP and SIGCONT do.
    pub async fn stall(&self, length: Duration) {
        let node = self.running().node.clone();
        node.sleep();
        self.stand_still(&node, length).await;
    }

    async fn stand_still(&self, node: &Node, length: Duration) {
        let until = self.clock.now() + length;
        self.record(Step::NodeStalled { until });
        self.pause_until(until).await;
        node.wake();
    }

    /// Nothing happens to it any more: it boots if it is down, and goes on if it stands still.
    pub fn heal(&self) {
        let node = self.running().node.clone();
        node.heal();
        self.healed.send_replace(Some(node.points()));
    }

    fn is_healed(&self) -> bool {
        self.healed.borrow().is_some()
    }

    /// Sleeps until then, or until it is healed.
    async fn pause_until(&self, until: Timestamp) {
        let mut healed = self.healed.subscribe();
        tokio::select! {
            biased;
            // It holds the sender itself, so it cannot be closed.
            _ = healed.wait_for(Option::is_some) => {}
            () = self.clock.sleep_until(until) => {}
        }
    }

    /// Its number, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Scheduling points passed so far, at which something could happen to it.
    pub fn points(&self) -> u64 {
        let healed = *self.healed.borrow();
        healed.unwrap_or_else(|| self.running().node.points())
    }

    fn record(&self, step: Step) {
        self.recorder.push(Record::drill(self.clock.now(), Some(self.number), step));
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hosts as the shop's front reaches them.
pub struct Hosts(pub Arc<[Arc<Host>]>);

#[async_trait]
impl Front for Hosts {
    async fn post(&self, turn: usize, path: &str, body: String) -> Option<u16> {
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .ok()?;
        let host = &self.0[turn % self.0.len()];
        host.request(request).await.map(|response| response.status().as_u16())
    }
}
