//! A run put together: fakes, network, database, hosts, shop; and its phases.

mod chaos;
mod outside;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use fake_cj::FakeCj;
use fake_kakao::FakeKakao;
use faults::{Fault, Fired, Injector, Kind};
use oms_core::config::Config;
use oms_core::env::{Env, NullObserver, TokioSpawner, Transport};
use oms_core::policy::Policies;
use oms_core::store::group_commit::no_scheduling_point;
use oms_core::store::sqlite::{DiskFull, Options, SqliteStore, Time};
use oms_core::store::{Rows, Store};

use super::broker::Broker;
use super::database::{FaultyStore, StoreFaults};
use super::disk::Storage;
use super::host::{Host, Image};
use super::latency::Latencies;
use super::network::{Link, Server};
use super::postman::Postman;
use super::turns::Turns;
use super::{Error, Places, Run};
use crate::history::{FinalReads, History, Mode, Phase, Step};
use crate::plan::{Plan, Site};
use crate::recorder::Recorder;
use crate::settled;
use crate::skew::{self, Skewed};
use crate::workload::{self, Offer};

/// All workers share one address, and so one quota. It is from the block for documentation.
const OUR_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));

/// How often it is looked whether everything is settled.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is still under way when all is settled arrives within so long beyond the longest delay
/// that the plan's faults make.
const DRAIN: Duration = Duration::from_secs(30);

/// Everything of a run but its nodes.
pub struct World<'a> {
    run: &'a Run<'a>,
    clock: Arc<dyn Clock>,
    start: Timestamp,
    recorder: Recorder,
    carrier: FakeCj,
    gateway: FakeKakao,
    /// The fakes' ways in, made once: cloning one is cheap, making one is not.
    routers: [axum::Router; 2],
    storage: Storage,
    broker: Arc<Broker>,
    store_faults: Arc<StoreFaults>,
    node_faults: Vec<Fault>,
    /// Who runs next, where the plan has it drawn.
    turns: Option<Turns>,
    /// Orders that were not taken in.
    refused: Arc<AtomicUsize>,
    /// The plan's sign-ups.
    sign_ups: Vec<Offer>,
    /// People who have not signed up yet, nor gone, and operators who have not acted.
    awaited: Arc<AtomicUsize>,
}

/// Plays a plan from its start to the final reads.
pub async fn play(run: &Run<'_>, offers: &[Offer]) -> Result<(History, Places), Error> {
    let world = World::build(run)?;
    let hosts = world.boot();
    world.phase(Phase::Chaos);
    world.tell_what_is_skipped();
    world.disturb_nodes(&hosts);
    world.heal_in_time(&hosts);
    world.open_shop(&hosts, offers);
    world.restart_fakes();
    world.let_the_neighbour_call();
    world.let_couriers_scan();
    world.let_operators_act();
    world.wait_until_settled(offers).await?;
    world.phase(Phase::FinalReads);
    let history = world.read_finally(&hosts).await;
    let places = world.places(&hosts);
    world.switch_off(&hosts);
    history.map(|history| (history, places))
}

impl<'a> World<'a> {
    fn build(run: &'a Run<'a>) -> Result<World<'a>, Error> {
        let plan = run.plan;
        let entropy = Entropy::new(plan.seed);
        let clock: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(plan.start));
        let start = clock.now();
        let chance = |name: &str| entropy.fork(name, 0);
        let carrier = FakeCj::new(plan.carrier.clone(), clock.clone(), chance("carrier"));
        let gateway = FakeKakao::new(plan.gateway.clone(), clock.clone(), chance("messenger"));
        let at = |site| plan.faults_at(site).map(|(_, fault)| fault.clone()).collect::<Vec<_>>();
        let routers = [carrier.router(), gateway.router()];
        carrier.injector().install(at(Site::Carrier), start).map_err(Error::Faults)?;
        gateway.injector().install(at(Site::Messenger), start).map_err(Error::Faults)?;
        let queue_faults = Injector::new(clock.clone(), chance("queue"));
        queue_faults.install(at(Site::Queue), start).map_err(Error::Faults)?;
        let recorder = Recorder::default();
        let mut options = Options::new(clock.clone(), Arc::new(NullObserver));
        crate::sabotage::store(run.sabotage)(&mut options);
        let storage = Storage::new(plan, options.synchronous, clock.clone(), recorder.clone())?;
        let store_faults = at(Site::Store);
        let power = storage.power();
        let store_faults = StoreFaults::new(clock.clone(), chance("store"), store_faults, power);
        Ok(World {
            run,
            clock,
            start,
            recorder,
            carrier,
            gateway,
            routers,
            storage,
            broker: Arc::new(Broker::new(queue_faults)),
            store_faults: Arc::new(store_faults),
            node_faults: at(Site::Node),
            turns: (plan.world.priorities > 0)
                .then(|| Turns::new(entropy, plan.world.priorities, plan.workload.orders)),
            refused: Arc::default(),
            awaited: Arc::new(AtomicUsize::new(plan.awaited())),
            sign_ups: workload::sign_ups(plan),
        })
    }

    fn plan(&self) -> &'a Plan {
        self.run.plan
    }

    fn entropy(&self) -> Entropy {
        Entropy::new(self.plan().seed)
    }

    fn phase(&self, phase: Phase) {
        self.recorder.drill(self.clock.now(), None, Step::Phase { phase });
    }

    /// Without a queue nothing can go wrong with it: such faults are not the plan's failure.
    fn tell_what_is_skipped(&self) {
        if self.run.strategy.queue {
            return;
        }
        for (fault, _) in self.plan().faults_at(Site::Queue) {
            let why = format!("`{}` has no queue", self.run.strategy.name);
            self.recorder.drill(self.clock.now(), None, Step::FaultSkipped { fault, why });
        }
    }

    /// The settings of the service, with the fakes' credentials and the planted bug's.
    fn config(&self) -> Config {
        let mut config = self.plan().oms.clone();
        crate::credentials::enter(
            &mut config,
            &self.carrier.credentials(),
            &self.gateway.credentials(),
        );
        self.run.enter_settings(&mut config);
        config
    }

    fn boot(&self) -> Arc<[Arc<Host>]> {
        let config = Arc::new(self.config());
        let hosts = (0..self.plan().world.nodes).map(|number| {
            let host = Host::new(
                number,
                self.clock.clone(),
                self.recorder.clone(),
                self.image(number, config.clone()),
                self.marks(number),
                self.plan().world.restart_after,
                self.turns.clone(),
            );
            Arc::new(host)
        });
        let hosts: Arc<[Arc<Host>]> = hosts.collect();
        if let Some(power) = self.storage.power() {
            power.feeds(&hosts);
        }
        if let Some(turns) = &self.turns {
            background(turns.clone().serve());
        }
        for host in hosts.iter() {
            background(host.clone().run());
        }
        hosts
    }

    /// What a node boots.
    fn image(&self, number: u32, config: Arc<Config>) -> Image {
        let clock = self.clock_of(number);
        let world_clock = self.clock.clone();
        let (storage, point) = (self.storage.clone(), self.storage.scheduling_point());
        let faults = self.store_faults.clone();
        let fills = self.plan().faults.iter().any(|fault| fault.kind == Kind::DiskFull);
        let orders = crate::sabotage::orders(self.run.sabotage);
        let (pool_size, pool_wait) = (config.service.pool_size, config.service.pool_wait);
        let store = move |env: &Env| -> Arc<dyn Store> {
            let options = Options::new(env.clock.clone(), env.observer.clone());
            let time = Time::Database(world_clock.clone());
            let disk_full = fills.then(|| -> DiskFull {
                let faults = faults.clone();
                Arc::new(move || faults.disk_full())
            });
            let orders = orders.clone();
            let options = Options { orders, pool_size, pool_wait, time, disk_full, ..options };
            // Without a database every use case is an error, and that is what there is to see.
            let _ = storage.power_on();
            let connected = SqliteStore::inline(storage.database(), point.clone(), options);
            Arc::new(FaultyStore::new(Arc::new(connected), faults.clone()))
        };
        let seams = self.run.sabotage.map_or(crate::sabotage::NO_SEAMS, |s| s.seams);
        let env = Env {
            clock,
            carrier: self.link(Site::Carrier, number),
            messenger: self.link(Site::Messenger, number),
            // Replaced at each boot, as are spawner and observer.
            store: Arc::new(self.plain_store()),
            entropy: self.entropy().fork("node", number),
            spawner: Arc::new(TokioSpawner::default()),
            observer: Arc::new(NullObserver),
            policies: Policies::default(),
            worker: format!("node-{number}"),
        };
        Image {
            env,
            store: Arc::new(store),
            config,
            rig: seams,
            sign_up: self.run.sign_up,
            queue: Arc::new(self.way_to_broker(number)),
            strategy: self.run.strategy,
        }
    }

    /// The database without faults or scheduling points, for whoever looks at it from outside.
    fn plain_store(&self) -> SqliteStore {
        let options = Options::new(self.clock.clone(), Arc::new(NullObserver));
        SqliteStore::inline(self.storage.database(), no_scheduling_point(), options)
    }

    fn link(&self, site: Site, number: u32) -> Arc<dyn Transport> {
        let (router, injector) = match site {
            Site::Messenger => (self.routers[1].clone(), self.gateway.injector()),
            _ => (self.routers[0].clone(), self.carrier.injector()),
        };
        let world = &self.plan().world;
        let port = 40_000 + u16::try_from(number).unwrap_or(u16::MAX - 40_000);
        Arc::new(Link::new(
            Server { router, injector, falls: self.falls(site) },
            self.clock.clone(),
            self.entropy().fork("network", (site.as_str(), number)),
            SocketAddr::new(OUR_ADDRESS, port),
            Latencies::of(world),
            self.turns.clone(),
        ))
    }

    fn way_to_broker(&self, number: u32) -> Postman {
        Postman::new(
            self.broker.clone(),
            self.clock.clone(),
            self.entropy().fork("network", ("queue", number)),
            Latencies::of(&self.plan().world),
            self.turns.clone(),
        )
    }

    fn clock_of(&self, number: u32) -> Arc<dyn Clock> {
        Skewed::over(self.clock.clone(), skew::of_node(self.plan(), number))
    }

    /// When the last order is offered, the last member signs up, or the last operator acts.
    fn last_offer(&self, offers: &[Offer]) -> Duration {
        let all = offers.iter().chain(&self.sign_ups);
        let operated = self.plan().operations.iter().map(|operation| operation.at);
        all.map(|offer| offer.after).chain(operated).max().unwrap_or_default()
    }

    fn gives_up_at(&self, offers: &[Offer]) -> Timestamp {
        let quiet = self.last_offer(offers).max(self.plan().heal_after.unwrap_or_default());
        self.start + quiet + self.plan().world.patience
    }

    /// Waits until nothing moves any more, or patience is at its end.
    async fn wait_until_settled(&self, offers: &[Offer]) -> Result<(), Error> {
        let store = self.plain_store();
        let gives_up_at = self.gives_up_at(offers);
        let mut looked_at = None;
        // Before that there is nothing to look for: an order is still missing.
        self.clock.sleep_until(self.start + self.last_offer(offers)).await;
        while self.clock.now() < gives_up_at {
            self.clock.sleep(LOOK_EVERY).await;
            let refused = self.refused.load(Ordering::Acquire);
            let awaited = self.awaited.load(Ordering::Acquire);
            let changes = self.storage.database().changes();
            let seen = changes.map(|changes| (changes, refused, awaited, self.broker.changes()));
            if !self.storage.has_power() || (seen.is_some() && seen == looked_at) {
                continue;
            }
            looked_at = seen;
            if self.storage.database().is_moving().map_err(Error::Database)? {
                continue;
            }
            let census = store.census().await.map_err(Error::Database)?;
            let settled = settled::is_settled(&census, offers.len() - refused, awaited);
            if settled && self.broker.is_idle() {
                break;
            }
        }
        let longest = self.plan().faults.iter().filter_map(|fault| fault.by).max();
        self.clock.sleep(longest.unwrap_or_default() + DRAIN).await;
        Ok(())
    }

    /// Lets go of what holds itself, or every run stays in memory: the fakes know the hosts and the
    /// hosts their ways to the fakes, a node knows its tasks and each task its node.
    fn switch_off(&self, hosts: &[Arc<Host>]) {
        for injector in [self.carrier.injector(), self.gateway.injector()] {
            injector.on_crash(Arc::new(|_| {}));
        }
        for host in hosts {
            host.kill();
        }
    }

    async fn read_finally(&self, hosts: &[Arc<Host>]) -> Result<History, Error> {
        self.storage.power_on().map_err(Error::Database)?;
        let rows: Rows = self.plain_store().rows().await.map_err(Error::Database)?;
        let reads = FinalReads {
            at: self.clock.now(),
            carrier: self.carrier.ledger(),
            messenger: self.gateway.ledger(),
            rows,
            fired: self.fired(hosts),
            baseline: None,
            queue: self.broker.ledger(),
        };
        let mut plan = self.plan().clone();
        plan.replay_hash = None;
        let records = self.recorder.take();
        Ok(History { plan, mode: Mode::Simulated, clock_factor: 1.0, records, reads })
    }

    fn places(&self, hosts: &[Arc<Host>]) -> Places {
        let points = hosts.iter().map(|host| host.points()).collect();
        let disk_operations = self.storage.operations();
        Places { points, operations: self.store_faults.uses(), disk_operations }
    }

    fn fired(&self, hosts: &[Arc<Host>]) -> BTreeMap<Site, Vec<Fired>> {
        let of = |injector: Injector| injector.fired();
        let mut fired = BTreeMap::from([
            (Site::Carrier, of(self.carrier.injector())),
            (Site::Messenger, of(self.gateway.injector())),
            (Site::Store, self.store_faults.fired()),
            (Site::Node, self.node_faults.iter().map(|f| self.node_fired(hosts, f)).collect()),
        ]);
        // Most plans have no queue, and their histories say nothing of one.
        let of_queue = self.broker.fired();
        if !of_queue.is_empty() {
            fired.insert(Site::Queue, of_queue);
        }
        fired
    }
}

/// Starts a task of the simulation itself, which no crash reaches.
#[expect(clippy::disallowed_methods, reason = "the simulator's own tasks belong to no node")]
fn background(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
