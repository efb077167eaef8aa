//! The service as processes: started, killed over a call, stopped for a while, started again.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clockwork::Clock;
use faults::{Fault, Kind};
use nix::sys::signal::Signal;
use serde::Deserialize;
use tokio::sync::broadcast;

use super::child::{self, Child};
use super::fakes::RunningFake;
use super::queueing::RunningQueue;
use super::{Error, Stage, background, disturbed};
use crate::history::Step;
use crate::plan::Site;
use crate::recorder::Recorder;
use crate::skew;

/// All nodes. Clones share them.
#[derive(Clone)]
pub(super) struct Nodes {
    nodes: Arc<[Arc<Node>]>,
}

struct Node {
    number: u32,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    restart_after: Duration,
    folder: PathBuf,
    arguments: Vec<OsString>,
    /// Where database and broker are: their URLs may hold passwords.
    variables: Vec<(&'static str, String)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where its API is, while it runs.
    api: Option<String>,
    child: Option<Child>,
    incarnation: u32,
    stopping: bool,
    /// It could not be killed or started again: the run cannot go on.
    trouble: Option<child::Error>,
}

/// The first line that the service says.
#[derive(Deserialize)]
struct Greeting {
    api: String,
}

/// Starts all nodes of the plan.
pub(super) async fn start(
    stage: &Stage<'_>,
    carrier: &RunningFake,
    gateway: &RunningFake,
    queue: Option<&RunningQueue>,
) -> Result<Nodes, Error> {
    let config = write_config(stage, carrier, gateway)?;
    let mut nodes = Vec::new();
    for number in 0..stage.plan().world.nodes {
        let node = Arc::new(Node {
            number,
            clock: stage.clock.clone(),
            recorder: stage.recorder.clone(),
            restart_after: stage.plan().world.restart_after,
            folder: stage.folder.path().to_owned(),
            arguments: arguments(stage, number, carrier, gateway, &config),
            variables: variables(stage, queue),
            state: Mutex::default(),
        });
        node.boot().await.map_err(Error::Child)?;
        nodes.push(node);
    }
    Ok(Nodes { nodes: nodes.into() })
}

fn variables(stage: &Stage<'_>, queue: Option<&RunningQueue>) -> Vec<(&'static str, String)> {
    // Texts and a number: nothing that JSON cannot say.
    let way = queue.map(|queue| serde_json::to_string(&queue.way).expect("a way is plain JSON"));
    let way = way.map(|way| (disturbed::VARIABLE, way));
    [("OMS_STORE", stage.store_url.clone())].into_iter().chain(way).collect()
}

fn write_config(
    stage: &Stage<'_>,
    carrier: &RunningFake,
    gateway: &RunningFake,
) -> Result<PathBuf, Error> {
    let mut config = stage.plan().oms.clone();
    crate::credentials::enter_json(&mut config, &carrier.credentials, &gateway.credentials);
    stage.run.enter_settings(&mut config);
    let text = toml::to_string(&config).map_err(|source| Error::Settings("the service", source))?;
    stage.write("oms.toml", &text)
}

fn arguments(
    stage: &Stage<'_>,
    number: u32,
    carrier: &RunningFake,
    gateway: &RunningFake,
    config: &std::path::Path,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["__oms".into()];
    if !stage.run.strategy.is_recommended() {
        arguments.extend(["--strategy".into(), stage.run.strategy.name.into()]);
    }
    if let Some(sabotage) = stage.run.sabotage {
        arguments.extend(["--sabotage".into(), sabotage.name.into()]);
    }
    if let Some(form) = stage.run.sign_up {
        arguments.extend(["--sign-up".into(), form.name.into()]);
    }
    let full = stage.disk_full();
    if !full.is_empty() {
        // Pairs of moments: nothing that JSON cannot say.
        let full = serde_json::to_string(&full).expect("moments are plain JSON");
        arguments.extend(["--disk-full".into(), full.into()]);
    }
    let ahead = skew::of_node(stage.plan(), number);
    if !ahead.is_empty() {
        // Durations and moments: nothing that JSON cannot say.
        let ahead = serde_json::to_string(&ahead).expect("durations and moments are plain JSON");
        arguments.extend(["--clock-skew".into(), ahead.into()]);
    }
    let flags: [(&str, OsString); 7] = [
        ("--carrier", carrier.api.clone().into()),
        ("--messenger", gateway.api.clone().into()),
        ("--listen", "127.0.0.1:0".into()),
        // A plan may have it restarted just then, and drill time is short.
        ("--store-wait", "5m".into()),
        ("--config", config.into()),
        ("--clock", stage.spec.to_string().into()),
        ("--format", "json".into()),
    ];
    arguments.push("serve".into());
    for (flag, value) in flags {
        arguments.extend([flag.into(), value]);
    }
    arguments
}

/// Kills or stalls nodes whenever a fake sees the call that they wait for.
pub(super) fn obey(nodes: &Nodes, signals: &broadcast::Sender<Fault>) {
    let (nodes, mut signals) = (nodes.clone(), signals.subscribe());
    background(async move {
        while let Ok(fault) = signals.recv().await {
            nodes.fell(&fault);
        }
    });
}

/// Kills and stalls nodes at the times that the plan names.
pub(super) fn disturb(stage: &Stage<'_>, nodes: &Nodes) {
    // A clock jumps by itself.
    let falls = |(_, fault): &(usize, &Fault)| fault.kind != Kind::ClockSkew;
    for (_, fault) in stage.plan().faults_at(Site::Node).filter(falls) {
        let Some(from) = fault.from.filter(|_| fault.only_simulated().is_none()) else { continue };
        let (clock, at) = (stage.clock.clone(), stage.start + from);
        let (nodes, fault) = (nodes.clone(), fault.clone());
        background(async move {
            clock.sleep_until(at).await;
            nodes.fell(&fault);
        });
    }
}

impl Nodes {
    /// The address of a node's API, by turn; `None` while it is down.
    pub(super) fn api(&self, turn: usize) -> Option<String> {
        self.nodes[turn % self.nodes.len()].state().api.clone()
    }

    /// Why a node could not be killed or started again, if so.
    pub(super) fn trouble(&self) -> Option<child::Error> {
        self.nodes.iter().find_map(|node| node.state().trouble.take())
    }

    /// The histories that the nodes wrote, one an incarnation.
    pub(super) fn histories(&self) -> Vec<(u32, PathBuf)> {
        let of = |node: &Arc<Node>| -> Vec<(u32, PathBuf)> {
            let incarnations = 1..=node.state().incarnation;
            incarnations.map(|incarnation| (node.number, node.history(incarnation))).collect()
        };
        self.nodes.iter().flat_map(of).collect()
    }

    /// Ends all nodes as an operator does: SIGTERM, and their time to finish.
    pub(super) async fn stop(&self) {
        for node in self.nodes.iter() {
            let child = {
                let mut state = node.state();
                state.stopping = true;
                state.api = None;
                state.child.take()
            };
            if let Some(mut child) = child {
                // A process that has ended already is what is wanted.
                let _ = child.signal(Signal::SIGTERM);
                // One that is stalled hears of it when it goes on.
                let _ = child.signal(Signal::SIGCONT);
                child.ended().await;
            }
        }
    }

    fn fell(&self, fault: &Fault) {
        let number = fault.node.unwrap_or(0);
        let Some(node) = self.nodes.iter().find(|node| node.number == number).cloned() else {
            return;
        };
        match (fault.kind, fault.by) {
            (Kind::Stall, Some(length)) => background(async move { node.stall(length).await }),
            _ => background(async move { node.crash().await }),
        }
    }
}

impl Node {
    /// Starts the process and waits until it says where it listens.
    async fn boot(&self) -> Result<(), child::Error> {
        let incarnation = {
            let mut state = self.state();
            state.incarnation += 1;
            state.incarnation
        };
        let mut arguments = self.arguments.clone();
        let worker = format!("node-{}-{incarnation}", self.number);
        arguments.extend(["--worker-name".into(), worker.clone().into()]);
        arguments.extend(["--history".into(), self.history(incarnation).into()]);
        let log = self.folder.join(format!("node-{}.log", self.number));
        let (child, greeting) =
            Child::start::<Greeting>(&worker, arguments, &self.variables, log).await?;
        let mut state = self.state();
        state.api = Some(greeting.api);
        state.child = Some(child);
        self.record(Step::NodeStarted);
        Ok(())
    }

    /// SIGKILL, and a new process after its time.
    async fn crash(&self) {
        let child = {
            let mut state = self.state();
            state.api = None;
            state.child.take()
        };
        // Two faults may want the same process; it dies once.
        let Some(mut child) = child else { return };
        if let Err(error) = child.signal(Signal::SIGKILL) {
            self.state().trouble = Some(error);
            return;
        }
        child.ended().await;
        self.record(Step::NodeCrashed);
        self.clock.sleep(self.restart_after).await;
        if self.state().stopping {
            return;
        }
        if let Err(error) = self.boot().await {
            self.state().trouble = Some(error);
        }
    }

    /// SIGSTOP, and SIGCONT after `length` of drill time.
    async fn stall(&self, length: Duration) {
        let until = self.clock.now() + length;
        if self.signal(Signal::SIGSTOP) {
            self.record(Step::NodeStalled { until });
            self.clock.sleep_until(until).await;
            self.signal(Signal::SIGCONT);
        }
    }

    fn signal(&self, signal: Signal) -> bool {
        let state = self.state();
        state.child.as_ref().is_some_and(|child| child.signal(signal).is_ok())
    }

    /// Where an incarnation writes what it does.
    fn history(&self, incarnation: u32) -> PathBuf {
        self.folder.join(format!("node-{}-{incarnation}.jsonl", self.number))
    }

    fn record(&self, step: Step) {
        self.recorder.drill(self.clock.now(), Some(self.number), step);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
