//! One measurement: real fakes, a real database, the service as a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clockwork::{Clock, Timestamp};
use nix::sys::signal::Signal;
use oms_core::env::NullObserver;
use oms_core::intake;
use oms_core::state::OrderState;
use oms_core::store::{Filter, Rows, Store, Transition};
use serde::Deserialize;

use super::bare::{self, Commits};
use super::database::Database;
use super::usage::{self, Usage};
use super::{Error, orders_of};
use crate::history::{FinalReads, History, Mode, Phase, Step};
use crate::live::child::Child;
use crate::live::fakes::{self, RunningFake};
use crate::live::{self, Stage, reading};
use crate::plan::{Plan, Site};
use crate::report::Circumstances;
use crate::runner;
use crate::sim::Run;
use crate::verdict::Verdict;

/// It is looked so often whether all orders are finished.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A measurement that takes longer is given up; its promises tell.
const PATIENCE: Duration = Duration::from_secs(600);
/// Orders are read so many at once at the end.
const PAGE: usize = 500;
/// Before it there are only ids of orders of the past.
const FIRST_ID: &str = "ORC";

/// How measurements are made.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) orders: u32,
    pub(super) folder: PathBuf,
    /// Since the bench began: what a measurement leaves in a database lies in the past of the next.
    pub(super) clock: Arc<dyn Clock>,
}

/// What one measurement brought.
pub(super) struct Measured {
    pub(super) orders: u32,
    pub(super) per_second: f64,
    pub(super) taken_in_per_second: f64,
    pub(super) before: Option<Usage>,
    pub(super) after: Option<Usage>,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<String>,
}

/// The first line that the service says.
#[derive(Deserialize)]
struct Greeting {
    #[serde(rename = "api")]
    _api: String,
}

/// Everything that limits nothing, and stands.
struct Scene<'a> {
    stage: Stage<'a>,
    carrier: Arc<RunningFake>,
    gateway: Arc<RunningFake>,
    config: oms_core::config::Config,
}

impl Bench {
    /// Healthy orders, a carrier and a gateway without limits, and a service that has none either.
    pub(super) fn plan(&self, in_flight: usize, name: &str) -> Plan {
        let mut plan = Plan::healthy("bench", self.orders);
        // Measurements may share a database.
        plan.workload.prefix = format!("ORD-{name}");
        plan.world.patience = PATIENCE;
        plan.start = self.clock.now();
        plan.carrier.limits = fake_cj::config::Switch::Off;
        plan.gateway.limits = fake_kakao::config::Limits::Off;
        let bound = usize::try_from(self.orders).unwrap_or(usize::MAX).saturating_mul(8);
        plan.carrier.ledger_capacity = plan.carrier.ledger_capacity.max(bound);
        plan.gateway.ledger_capacity = plan.gateway.ledger_capacity.max(bound);
        for calls in [&mut plan.oms.carrier.calls, &mut plan.oms.messenger.calls] {
            calls.windows.clear();
            calls.at_once = in_flight;
        }
        plan
    }

    /// Orders a second of the bare loop.
    pub(super) async fn measure_bare(
        &self,
        in_flight: usize,
        commits: Commits,
        name: &str,
    ) -> Result<f64, Error> {
        let plan = self.plan(in_flight, name);
        let run = Run::of(&plan);
        let scene = Scene::set_up(&run, String::new()).await?;
        let clock = scene.stage.clock.clone();
        let (path, orders) = (scene.stage.path("bare.db"), orders_of(&plan)?);
        bare::orders_per_second(&path, clock, scene.config, orders, in_flight, commits).await
    }

    /// The service over `database`, with orders of its own for each `name`.
    pub(super) async fn measure(
        &self,
        database: &Database,
        in_flight: usize,
        name: &str,
    ) -> Result<Measured, Error> {
        let plan = self.plan(in_flight, name);
        let run = Run::of(&plan);
        let scene = Scene::set_up(&run, database.url()).await?;
        let store = reading::open_with(&scene.stage, 10).await?;
        let last = database.last_transition().await?;
        let taken_in = scene.take_in(&*store).await?;
        scene.record(Step::Phase { phase: Phase::Chaos });
        let (mut child, start) = scene.serve(in_flight).await?;
        let id = child.id();
        let before = id.and_then(usage::of);
        scene.wait(&*store, start).await?;
        let after = id.and_then(usage::of);
        // A process that has ended already is what is wanted.
        let _ = child.signal(Signal::SIGTERM);
        child.ended().await;
        scene.record(Step::Phase { phase: Phase::FinalReads });
        let transitions = database.transitions_after(last).await?;
        let end = transitions.iter().map(|edge| edge.at).max().unwrap_or(start);
        let (verdict, reasons) = scene.judge(&*store, transitions).await?;
        let orders = f64::from(self.orders);
        Ok(Measured {
            orders: self.orders,
            per_second: orders / end.since(start).as_secs_f64().max(1e-6),
            taken_in_per_second: orders / taken_in.as_secs_f64().max(1e-6),
            before,
            after,
            verdict,
            reasons,
        })
    }
}

impl<'a> Scene<'a> {
    async fn set_up(run: &'a Run<'a>, store: String) -> Result<Scene<'a>, Error> {
        let options = live::Options { speed: 1.0, store: Some(store), ..live::Options::default() };
        let stage = live::set_up(run, &options, None)?;
        let carrier = fakes::start(&stage, Site::Carrier).await?;
        let gateway = fakes::start(&stage, Site::Messenger).await?;
        let mut config = stage.plan().oms.clone();
        crate::credentials::enter_json(&mut config, &carrier.credentials, &gateway.credentials);
        config.carrier.calls.url.clone_from(&carrier.api);
        config.messenger.calls.url.clone_from(&gateway.api);
        Ok(Scene { stage, carrier, gateway, config })
    }

    fn record(&self, step: Step) {
        self.stage.recorder.drill(self.stage.clock.now(), None, step);
    }

    /// Takes all orders in; how long it took.
    async fn take_in(&self, store: &dyn Store) -> Result<Duration, Error> {
        let orders = orders_of(self.stage.plan())?;
        let ids: Vec<String> = orders.iter().map(|order| order.id.clone()).collect();
        for order in &ids {
            self.record(Step::OrderOffered { order: order.clone() });
        }
        let entries =
            (1..).zip(orders).map(|(line, order)| intake::Entry { line, order: Ok(order) });
        let entries: Vec<intake::Entry> = entries.collect();
        let (clock, shop) = (&*self.stage.clock, &self.config.shop);
        let start = clock.now();
        let taken_in = intake::ingest(entries, store, clock, shop, &NullObserver, |_| {}).await;
        taken_in.map_err(Error::Intake)?;
        let took = clock.now().since(start);
        for order in ids {
            self.record(Step::OrderAcknowledged { order });
        }
        Ok(took)
    }

    /// Starts the service; it works from now on.
    async fn serve(&self, in_flight: usize) -> Result<(Child, Timestamp), Error> {
        let text = toml::to_string(&self.config)
            .map_err(|source| live::Error::Settings("the service", source))?;
        let config = self.stage.write("oms.toml", &text)?;
        let mut arguments = vec!["__oms".into(), "serve".into()];
        arguments.extend(["--listen", "127.0.0.1:0", "--format", "json"].map(Into::into));
        arguments.extend(["--config".into(), config.into()]);
        arguments.extend(["--workers".into(), in_flight.to_string().into()]);
        arguments.extend(["--clock".into(), self.stage.spec.to_string().into()]);
        let variables = [("OMS_STORE", self.stage.store_url.clone())];
        let log = self.stage.path("oms.log");
        let started = Child::start::<Greeting>("the service", arguments, &variables, log).await;
        let (child, _) = started.map_err(live::Error::Child)?;
        self.record(Step::NodeStarted);
        Ok((child, self.stage.clock.now()))
    }

    /// Waits until no order is under way any longer.
    async fn wait(&self, store: &dyn Store, start: Timestamp) -> Result<(), Error> {
        let clock = &self.stage.clock;
        while clock.now() < start + PATIENCE {
            clock.sleep(LOOK_EVERY).await;
            let mut under_way = false;
            for state in [OrderState::Accepted, OrderState::Shipped] {
                let filter = Filter { state: Some(state), limit: 1, ..Filter::default() };
                let found = store.orders(filter).await.map_err(live::Error::Database)?;
                under_way |= !found.is_empty();
            }
            if !under_way {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the promises say of it.
    async fn judge(
        self,
        store: &dyn Store,
        transitions: Vec<Transition>,
    ) -> Result<(Verdict, Vec<String>), Error> {
        let mut fired = BTreeMap::new();
        fired.insert(Site::Carrier, self.carrier.fired().await?);
        fired.insert(Site::Messenger, self.gateway.fired().await?);
        let reads = FinalReads {
            at: self.stage.clock.now(),
            carrier: self.carrier.ledger().await?,
            messenger: self.gateway.ledger().await?,
            rows: self.rows(store, transitions).await?,
            fired,
            baseline: None,
            queue: None,
        };
        let history = History {
            plan: self.stage.plan().clone(),
            mode: Mode::Live,
            clock_factor: self.stage.spec.factor,
            records: self.stage.recorder.take(),
            reads,
        };
        let how = Circumstances {
            replay: "drill bench".to_owned(),
            real: Duration::ZERO,
            history_hash: None,
        };
        let result = runner::judged(history, how);
        let told = result.promises.iter().flat_map(|promise| &promise.violations);
        let reasons = result.reasons.iter().chain(told.map(|told| &told.says));
        let reasons = reasons.take(10).cloned().collect();
        Ok((result.verdict, reasons))
    }

    /// The rows of this measurement's own orders.
    async fn rows(&self, store: &dyn Store, transitions: Vec<Transition>) -> Result<Rows, Error> {
        let mut rows = Rows { transitions, ..Rows::default() };
        let prefix = format!("{}-", self.stage.plan().workload.prefix);
        let mut after = FIRST_ID.to_owned();
        loop {
            let filter = Filter { after: Some(after), limit: PAGE, ..Filter::default() };
            let page = store.orders(filter).await.map_err(live::Error::Database)?;
            let Some(last) = page.last() else { return Ok(rows) };
            after = last.id.clone();
            rows.orders.extend(page.into_iter().filter(|order| order.id.starts_with(&prefix)));
        }
    }
}
