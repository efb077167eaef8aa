//! A plan, run with real sockets, a real database and real processes.
//!
//! The children are this very program under hidden subcommands, so that one build serves. Crashes
//! are SIGKILL, sent when a fake sees the call that they wait for; stalls are SIGSTOP and SIGCONT.
//! Drill time runs at a stated factor of real time: every duration, window and date alike.
//!
//! A strategy with a queue has a real broker ([`jetstream`]): somebody's, or one that is started. A
//! plan whose faults end a database's server has a PostgreSQL server of its own.
//!
//! What only a simulation can do is skipped, and named: crashes at scheduling points, and faults on
//! use cases of the store but for a lock that is held for a time.

pub(crate) mod broker;
pub(crate) mod child;
pub(crate) mod database;
mod desk;
pub(crate) mod disturbed;
pub(crate) mod fakes;
mod front;
pub mod jetstream;
mod locking;
mod nodes;
mod queueing;
pub(crate) mod reading;

pub use broker::Brokers;
pub use database::Databases;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clockwork::{Clock, ClockSpec, DrillClock, Entropy, Timestamp};
use faults::{Fault, Fired, Kind, Target};
use oms_core::store::without_secrets;

use crate::history::{FinalReads, History, Mode, Phase, Record, Step};
use crate::offering::{Operator, Shop};
use crate::plan::{Plan, Site};
use crate::recorder::Recorder;
use crate::settled;
use crate::sim::Run;
use crate::strategies::Strategy;
use crate::workload::{self, Offer};
use queueing::RunningQueue;

/// Drill seconds in a real second, unless it is said otherwise.
pub const SPEED: f64 = 20.0;

/// Live drills at once, unless it is said otherwise: they mostly wait.
pub const AT_ONCE: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// How a live run is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Drill seconds in a real second.
    pub speed: f64,
    /// `--store`: a database to use in place of a fresh SQLite file.
    pub store: Option<String>,
    /// Where a strategy with a queue finds its broker.
    pub brokers: Brokers,
    /// Where a plan whose faults end a database's server finds the programs of one.
    pub databases: Databases,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            speed: SPEED,
            store: None,
            brokers: Brokers::default(),
            databases: Databases::default(),
        }
    }
}

/// A live run that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A child did not do what it was started for.
    #[error("child process")]
    Child(#[source] child::Error),
    /// A file of the run could not be written or read.
    #[error("`{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of the plan could not be written down for a child.
    #[error("settings for {0}")]
    Settings(&'static str, #[source] toml::ser::Error),
    /// A fake's admin address did not answer as it should.
    #[error("admin address of {0}")]
    Admin(Site, #[source] reqwest::Error),
    /// The database that the user named is no database to begin with.
    #[error("database {url}{}", holds_orders(.source))]
    Store {
        /// Which.
        url: String,
        /// Why, when it is not that it holds orders.
        #[source]
        source: Option<oms_core::store::Error>,
    },
    /// No database could be made for the plan, or not be dropped after it.
    #[error("a database of the drill's own")]
    Server(#[from] crate::server::Error),
    /// There is no database for the plan.
    #[error("{0}")]
    NoDatabase(&'static str),
    /// There is no message broker for the plan.
    #[error("{0}")]
    NoBroker(&'static str),
    /// The message broker was not reached, or did not do as a JetStream server does.
    #[error("message broker {url}")]
    Broker {
        /// Which.
        url: String,
        /// Why.
        #[source]
        source: crate::queue::Error,
    },
    /// The nodes could not be given a way to ask which faults hit the queue.
    #[error("loopback port of the runner's own")]
    Desk(#[source] std::io::Error),
    /// The queue's faults are none.
    #[error("faults of the queue")]
    Faults(#[source] faults::fault::Error),
    /// The database could not be read.
    #[error("the run's database")]
    Database(#[source] oms_core::store::Error),
    /// A node's history could not be understood.
    #[error("history of node {node}, line {line}")]
    NodeHistory {
        /// Which node.
        node: u32,
        /// Which line.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// What is said of a database that could be read.
fn holds_orders(failed: &Option<oms_core::store::Error>) -> &'static str {
    if failed.is_none() { ": holds orders; a drill begins with none" } else { "" }
}

/// How often it is looked whether everything is settled, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is still under way when all is settled arrives within so long (drill time) beyond the
/// longest delay that the plan's faults make.
const DRAIN: Duration = Duration::from_secs(5);

/// What all parts of a live run share.
pub(crate) struct Stage<'a> {
    pub(crate) run: &'a Run<'a>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) spec: ClockSpec,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) start: Timestamp,
    pub(crate) recorder: Recorder,
    pub(crate) store_url: String,
}

impl Stage<'_> {
    pub(crate) fn plan(&self) -> &Plan {
        self.run.plan
    }

    pub(crate) fn entropy(&self) -> Entropy {
        Entropy::new(self.plan().seed)
    }

    /// How often a fault has happened that needs no more than its moment.
    fn happened_by_now(&self, fault: &Fault) -> u64 {
        let at = self.start + fault.from.unwrap_or_default();
        u64::from(fault.only_simulated().is_none() && at <= self.clock.now())
    }

    /// When the disk of the database is full, each span from its begin to its end.
    fn disk_full(&self) -> Vec<(Timestamp, Timestamp)> {
        let full = self.plan().faults.iter().filter(|fault| fault.kind == Kind::DiskFull);
        let span = |fault: &Fault| {
            let from = self.start + fault.from.unwrap_or_default();
            fault.until.map(|until| (from, self.start + until))
        };
        full.filter_map(span).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path(name);
        std::fs::write(&path, text).map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(path)
    }
}

/// Why a live run of `plan` under `strategy` could show nothing; `None` when it can be made. Of a
/// strategy with a queue, where there is a broker.
pub fn why_not(plan: &Plan, strategy: &Strategy) -> Option<&'static str> {
    let simulated = |fault: &Fault| cannot_happen(fault, strategy).is_some();
    let nothing = !plan.faults.is_empty() && plan.faults.iter().all(simulated);
    nothing.then_some("all its faults exist in simulation only")
}

/// As [`why_not`], or why there is no broker or database for it.
pub fn why_not_here(plan: &Plan, strategy: &Strategy, options: &Options) -> Option<&'static str> {
    let no_broker = || strategy.queue.then(|| options.brokers.source(plan).err()).flatten();
    let no_database = || options.databases.source(plan, options.store.as_deref()).err();
    why_not(plan, strategy).or_else(no_broker).or_else(no_database)
}

/// Why a fault cannot be done live under a strategy; `None` when it can.
fn cannot_happen(fault: &Fault, strategy: &Strategy) -> Option<&'static str> {
    let no_queue = fault.kind.target() == Target::Queue && !strategy.queue;
    no_queue.then_some("its strategy has no queue").or_else(|| fault.only_simulated())
}

/// Runs a plan to its end and gives its history, which ends with the final reads.
///
/// # Errors
/// [`Error`]; what goes wrong in the run itself is history, not an error.
pub async fn run(run: &Run<'_>, options: &Options) -> Result<History, Error> {
    // Before the run's time begins: making a database takes seconds.
    let server = database::start(run.plan, options).await?;
    let stage = set_up(run, options, server.as_deref())?;
    if options.store.is_some() {
        refuse_used_store(&stage).await?;
    }
    let carrier = fakes::start(&stage, Site::Carrier).await?;
    let gateway = fakes::start(&stage, Site::Messenger).await?;
    let queue = match run.strategy.queue {
        true => Some(queueing::start(&stage, options).await?),
        false => None,
    };
    let nodes = nodes::start(&stage, &carrier, &gateway, queue.as_ref()).await?;
    let offers = match &run.offers {
        Some(offers) => offers.to_vec(),
        None => workload::generate(run.plan),
    };
    tell_what_is_skipped(&stage);
    stage.recorder.drill(stage.clock.now(), None, Step::Phase { phase: Phase::Chaos });
    let counters = Counters {
        refused: Arc::default(),
        awaited: Arc::new(AtomicUsize::new(run.plan.awaited())),
    };
    open_shop(&stage, &nodes, &offers, &counters);
    let_operators_act(&stage, &counters).await?;
    nodes::obey(&nodes, &carrier.signals);
    nodes::obey(&nodes, &gateway.signals);
    nodes::disturb(&stage, &nodes);
    locking::disturb(&stage);
    database::disturb(&stage, server.as_ref());
    fakes::disturb(&stage, &carrier);
    fakes::disturb(&stage, &gateway);
    fakes::let_the_neighbour_call(&stage, &carrier);
    fakes::let_couriers_scan(&stage, &carrier);
    let troubles = || {
        let of_queue = || queue.as_ref().and_then(RunningQueue::trouble);
        let of_children = nodes.trouble().or_else(of_queue);
        let of_children = of_children.or_else(|| server.as_ref()?.trouble());
        let of_fakes = || carrier.trouble().or_else(|| gateway.trouble());
        of_children.map(Error::Child).or_else(of_fakes)
    };
    wait_until_settled(&stage, troubles, queue.as_ref(), &offers, &counters).await?;
    stage.recorder.drill(stage.clock.now(), None, Step::Phase { phase: Phase::FinalReads });
    nodes.stop().await;
    if let Some(server) = &server {
        // A plan may end while it is down.
        server.boot().await.map_err(Error::Child)?;
    }
    let things =
        Things { nodes: &nodes, carrier: &carrier, gateway: &gateway, server: server.as_ref() };
    finish(&stage, things, queue.as_ref(), options).await
}

pub(crate) fn set_up<'a>(
    run: &'a Run<'a>,
    options: &Options,
    server: Option<&database::Server>,
) -> Result<Stage<'a>, Error> {
    let folder =
        tempfile::tempdir().map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
    let real = DrillClock::from_spec(None).now();
    let spec = ClockSpec { epoch: run.plan.start, real: Some(real), factor: options.speed };
    let clock: Arc<dyn Clock> = Arc::new(DrillClock::from_spec(Some(&spec)));
    let file = format!("sqlite:{}", folder.path().join("orders.db").display());
    let store_url = server.map(database::Server::url).or_else(|| options.store.clone());
    let store_url = store_url.unwrap_or(file);
    let recorder = Recorder::default();
    // The processes take a moment to start; the plan's time begins when they stand.
    Ok(Stage { run, folder, spec, start: clock.now(), clock, recorder, store_url })
}

/// What the shop's front counts.
struct Counters {
    /// Orders that were refused.
    refused: Arc<AtomicUsize>,
    /// People who have not signed up yet, nor gone, and operators who have not acted.
    awaited: Arc<AtomicUsize>,
}

/// A database of the user's is theirs: a drill adds to none that has orders.
async fn refuse_used_store(stage: &Stage<'_>) -> Result<(), Error> {
    let refused = |source| Error::Store { url: without_secrets(&stage.store_url), source };
    let store = match reading::open(stage).await {
        Err(Error::Database(source)) => return Err(refused(Some(source))),
        opened => opened?,
    };
    let census = store.census().await.map_err(|source| refused(Some(source)))?;
    let used = census.members > 0 || census.orders.values().any(|count| *count > 0);
    if used { Err(refused(None)) } else { Ok(()) }
}

fn tell_what_is_skipped(stage: &Stage<'_>) {
    for (fault, planned) in stage.plan().faults.iter().enumerate() {
        if let Some(why) = cannot_happen(planned, stage.run.strategy) {
            let step = Step::FaultSkipped { fault, why: why.to_owned() };
            stage.recorder.drill(stage.clock.now(), None, step);
        }
    }
}

fn gives_up_at(stage: &Stage<'_>, offers: &[Offer]) -> Timestamp {
    let sign_ups = &stage.plan().workload;
    let sign_ups = (1..=sign_ups.members).map(|index| sign_ups.sign_up_at(index));
    let operated = stage.plan().operations.iter().map(|operation| operation.at);
    let last = offers.iter().map(|offer| offer.after).chain(sign_ups).chain(operated).max();
    let last = last.unwrap_or_default();
    stage.start + last + stage.plan().world.patience
}

fn open_shop(stage: &Stage<'_>, nodes: &nodes::Nodes, offers: &[Offer], counters: &Counters) {
    let shop = Shop {
        front: Arc::new(front::HttpFront::new(nodes.clone())),
        clock: stage.clock.clone(),
        recorder: stage.recorder.clone(),
        gives_up_at: gives_up_at(stage, offers),
        refused: counters.refused.clone(),
        awaited: counters.awaited.clone(),
    };
    for (place, sign_up) in workload::sign_ups(stage.plan()).into_iter().enumerate() {
        background(shop.clone().sign_up(place, stage.start, sign_up));
    }
    for (place, offer) in offers.iter().enumerate() {
        background(shop.clone().offer(place, stage.start, offer.clone()));
    }
}

async fn let_operators_act(stage: &Stage<'_>, counters: &Counters) -> Result<(), Error> {
    for operation in &stage.plan().operations {
        let operator = Operator {
            store: reading::open(stage).await?,
            clock: stage.clock.clone(),
            recorder: stage.recorder.clone(),
            awaited: counters.awaited.clone(),
        };
        let order = stage.plan().workload.id(operation.order);
        background(operator.act(stage.start + operation.at, order, operation.deed));
    }
    Ok(())
}

async fn wait_until_settled(
    stage: &Stage<'_>,
    troubles: impl Fn() -> Option<Error>,
    queue: Option<&RunningQueue>,
    offers: &[Offer],
    counters: &Counters,
) -> Result<(), Error> {
    let store = reading::open(stage).await?;
    let gives_up_at = gives_up_at(stage, offers);
    let look_every = LOOK_EVERY.mul_f64(stage.spec.factor);
    while stage.clock.now() < gives_up_at {
        stage.clock.sleep(look_every).await;
        if let Some(trouble) = troubles() {
            return Err(trouble);
        }
        let taken_in = offers.len() - counters.refused.load(Ordering::Acquire);
        let awaited = counters.awaited.load(Ordering::Acquire);
        match store.census().await {
            Ok(census) if settled::is_settled(&census, taken_in, awaited) => match queue {
                Some(queue) if !queue.is_idle().await => {}
                _ => break,
            },
            Ok(_) => {}
            // A database that is locked or away is a fault of the plan, not an answer.
            Err(error) if error.retryable() => {}
            Err(error) => return Err(Error::Database(error)),
        }
    }
    // What a stalled node does when it wakes up is judged as well.
    let under_way = |fault: &&Fault| matches!(fault.kind, Kind::LateDelivery | Kind::Stall);
    let longest = stage.plan().faults.iter().filter(under_way).filter_map(|fault| fault.by).max();
    stage.clock.sleep(longest.unwrap_or_default() + DRAIN).await;
    Ok(())
}

/// What a run leaves behind to be read.
struct Things<'a> {
    nodes: &'a nodes::Nodes,
    carrier: &'a fakes::RunningFake,
    gateway: &'a fakes::RunningFake,
    server: Option<&'a Arc<database::Server>>,
}

async fn finish(
    stage: &Stage<'_>,
    Things { nodes, carrier, gateway, server }: Things<'_>,
    queue: Option<&RunningQueue>,
    options: &Options,
) -> Result<History, Error> {
    let mut fired = std::collections::BTreeMap::new();
    fired.insert(Site::Carrier, carrier.fired().await?);
    fired.insert(Site::Messenger, gateway.fired().await?);
    fired.insert(Site::Store, database::fired(stage, server));
    let felled = |(_, fault): (usize, &Fault)| Fired {
        fault: fault.clone(),
        times: stage.happened_by_now(fault),
    };
    fired.insert(Site::Node, stage.plan().faults_at(Site::Node).map(felled).collect());
    let ledger = match queue {
        Some(queue) => {
            fired.insert(Site::Queue, queue.fired(stage));
            queue.ledger(stage).await?
        }
        None => None,
    };
    let reads = FinalReads {
        at: stage.clock.now(),
        carrier: carrier.ledger().await?,
        messenger: gateway.ledger().await?,
        rows: reading::open(stage).await?.rows().await.map_err(Error::Database)?,
        fired,
        baseline: None,
        queue: ledger,
    };
    if let Some(queue) = queue {
        queue.take_away().await?;
    }
    let mut plan = stage.plan().clone();
    plan.replay_hash = None;
    let told = stage.recorder.take().into_iter().map(|record| (record.at, record));
    let mut records: Vec<(Timestamp, Record)> = told.collect();
    for (node, path) in nodes.histories() {
        // What one process wrote stays in its order, also where its clock was set back.
        let mut latest = Timestamp::EPOCH;
        records.extend(reading::node_history(node, &path)?.into_iter().map(|record| {
            latest = latest.max(record.at);
            (latest, record)
        }));
    }
    records.sort_by_key(|(at, _)| *at);
    let records = records.into_iter().map(|(_, record)| record).collect();
    Ok(History { plan, mode: Mode::Live, clock_factor: options.speed, records, reads })
}

/// Starts a task of the runner itself.
#[expect(clippy::disallowed_methods, reason = "the runner's own tasks belong to no node")]
pub(crate) fn background(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
