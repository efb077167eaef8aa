//! A run put together: fakes, network, database, hosts, shop; and its phases.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use clockwork::{Clock, DrillClock, Entropy, Timestamp};
use fake_cj::FakeCj;
use fake_kakao::FakeKakao;
use faults::{CrashSignal, Fault, Fired, Injector, Kind};
use oms_core::config::Config;
use oms_core::env::{Env, NullObserver, TokioSpawner, Transport};
use oms_core::policy::Policies;
use oms_core::store::group_commit::no_scheduling_point;
use oms_core::store::sqlite::{DiskFull, Options, SqliteStore, Time};
use oms_core::store::{Rows, Store};

use super::broker::Broker;
use super::database::{FaultyStore, StoreFaults};
use super::disk::Storage;
use super::host::{Host, Hosts, Image};
use super::latency::Latencies;
use super::network::{Fall, Link, Server};
use super::node::Mark;
use super::postman::Postman;
use super::turns::Turns;
use super::{Error, Places, Run};
use crate::history::{FinalReads, History, Mode, Phase, Step};
use crate::offering::Shop;
use crate::plan::{Plan, Site};
use crate::recorder::Recorder;
use crate::settled;
use crate::skew::{self, Skewed};
use crate::workload::{self, Offer};

/// All workers share one address, and so one quota. It is from the block for documentation.
const OUR_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));

/// How often it is looked whether everything is settled.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// By chance a node dies at none of its scheduling points beyond this one.
const POINTS_MAX: u64 = 100_000;

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
    /// People who have not signed up yet, nor gone.
    signing_up: Arc<AtomicUsize>,
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
            signing_up: Arc::new(AtomicUsize::new(plan.workload.members as usize)),
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

    /// When the server of `site` is down.
    fn falls(&self, site: Site) -> Vec<Fall> {
        let heals_at = self.heals_at().unwrap_or(Timestamp::from_micros(i64::MAX));
        let fall = |(_, fault): (usize, &Fault)| {
            let from = self.start + fault.from.unwrap_or_default();
            Fall { from, until: (from + fault.by.unwrap_or_default()).min(heals_at) }
        };
        let restarts = self.plan().faults_at(site);
        let restarts = restarts.filter(|(_, fault)| fault.kind == Kind::ApiRestart);
        restarts.map(fall).filter(|fall| fall.from < heals_at).collect()
    }

    /// Counts the restarts of the fakes, and has them forget what they say.
    fn restart_fakes(&self) {
        for site in [Site::Carrier, Site::Messenger] {
            let faults = self.plan().faults_at(site).enumerate();
            for (place, (_, fault)) in faults {
                let at = self.start + fault.from.unwrap_or_default();
                if fault.kind != Kind::ApiRestart
                    || self.heals_at().is_some_and(|heals| heals <= at)
                {
                    continue;
                }
                let (clock, forgets) = (self.clock.clone(), fault.forgets == Some(true));
                let (carrier, gateway) = (self.carrier.clone(), self.gateway.clone());
                background(async move {
                    clock.sleep_until(at).await;
                    match site {
                        Site::Messenger => {
                            gateway.injector().note_fired(place);
                            forgets.then(|| gateway.forget());
                        }
                        _ => {
                            carrier.injector().note_fired(place);
                            forgets.then(|| carrier.forget());
                        }
                    }
                });
            }
        }
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

    /// What happens to a node at its scheduling points.
    fn marks(&self, number: u32) -> BTreeMap<u64, Mark> {
        let mine = self.node_faults.iter().filter(|fault| hits(fault, number));
        mine.flat_map(|fault| self.marks_of(fault)).collect()
    }

    fn marks_of(&self, fault: &Fault) -> BTreeMap<u64, Mark> {
        let mark = match (fault.kind, fault.by) {
            (Kind::Crash, _) => Mark::Crash,
            (Kind::Stall, Some(length)) => Mark::Stall(length),
            _ => return BTreeMap::new(),
        };
        if let Some(rate) = fault.rate {
            let chance = self.entropy().fork("crash", fault.node);
            let hit = |point: &u64| chance.fork("point", *point).chance(rate);
            let times = usize::try_from(fault.times.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
            return (1..POINTS_MAX).filter(hit).take(times).map(|point| (point, mark)).collect();
        }
        fault.point.map(|point| (point, mark)).into_iter().collect()
    }

    /// Kills and stalls nodes at their times, and whenever a fake sees the call that they wait for.
    fn disturb_nodes(&self, hosts: &Arc<[Arc<Host>]>) {
        for injector in [self.carrier.injector(), self.gateway.injector()] {
            let hosts = hosts.clone();
            injector.on_crash(Arc::new(move |signal: CrashSignal| fell(&hosts, &signal.fault)));
        }
        // A clock jumps by itself.
        let falls = |fault: &&Fault| !at_points(fault) && fault.kind != Kind::ClockSkew;
        for fault in self.node_faults.iter().filter(falls) {
            let Some(from) = fault.from else { continue };
            let (clock, at) = (self.clock.clone(), self.start + from);
            let (hosts, fault) = (hosts.clone(), fault.clone());
            if self.heals_at().is_some_and(|heals_at| heals_at <= at) {
                continue;
            }
            background(async move {
                clock.sleep_until(at).await;
                fell(&hosts, &fault);
            });
        }
    }

    /// When the chaos ends, if the plan says so.
    fn heals_at(&self) -> Option<Timestamp> {
        self.plan().heal_after.map(|after| self.start + after)
    }

    /// From one moment on no fault fires any more and every node runs. What is under way by then
    /// still arrives, and a clock that is wrong stays wrong: it would have to jump.
    fn heal_in_time(&self, hosts: &Arc<[Arc<Host>]>) {
        let Some(heals_at) = self.heals_at() else { return };
        let (clock, recorder) = (self.clock.clone(), self.recorder.clone());
        let injectors = [self.carrier.injector(), self.gateway.injector()];
        let (store_faults, broker) = (self.store_faults.clone(), self.broker.clone());
        let hosts = hosts.clone();
        background(async move {
            clock.sleep_until(heals_at).await;
            recorder.drill(clock.now(), None, Step::Phase { phase: Phase::Heal });
            for injector in injectors {
                injector.heal();
            }
            store_faults.heal();
            broker.heal();
            for host in hosts.iter() {
                host.heal();
            }
        });
    }

    fn open_shop(&self, hosts: &Arc<[Arc<Host>]>, offers: &[Offer]) {
        let shop = Shop {
            front: Arc::new(Hosts(hosts.clone())),
            clock: self.clock.clone(),
            recorder: self.recorder.clone(),
            gives_up_at: self.gives_up_at(offers),
            refused: self.refused.clone(),
            signing_up: self.signing_up.clone(),
        };
        for (place, sign_up) in self.sign_ups.iter().enumerate() {
            background(shop.clone().sign_up(place, self.start, sign_up.clone()));
        }
        for (place, offer) in offers.iter().enumerate() {
            background(shop.clone().offer(place, self.start, offer.clone()));
        }
    }

    /// Somebody else on our address uses up the quota, and does not stop at a 429.
    fn let_the_neighbour_call(&self) {
        let Some(neighbour) = self.plan().neighbour.clone() else { return };
        let (clock, router) = (self.clock.clone(), self.routers[0].clone());
        let from = self.start + neighbour.from;
        let gap = Duration::from_secs_f64(1.0 / neighbour.calls_per_second.max(0.001));
        background(async move {
            clock.sleep_until(from).await;
            while clock.now() < from + neighbour.lasting {
                call_as_neighbour(router.clone()).await;
                clock.sleep(gap).await;
            }
        });
    }

    fn let_couriers_scan(&self) {
        for scan in &self.plan().scans {
            let (clock, carrier) = (self.clock.clone(), self.carrier.clone());
            let at = self.start + scan.at;
            let reference = settled::reference(self.plan(), scan);
            let state = scan.state;
            background(async move {
                clock.sleep_until(at).await;
                let bookings = carrier.ledger().bookings;
                let live = bookings.iter().find(|b| b.is_live() && b.cust_use_no == reference);
                if let Some(booking) = live {
                    // A number from the ledger is a number that the carrier knows.
                    let _ = carrier.scan(&booking.invoice_no, state);
                }
            });
        }
    }

    /// When the last order is offered, or the last member signs up.
    fn last_offer(&self, offers: &[Offer]) -> Duration {
        let all = offers.iter().chain(&self.sign_ups);
        all.map(|offer| offer.after).max().unwrap_or_default()
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
            let signing_up = self.signing_up.load(Ordering::Acquire);
            let changes = self.storage.database().changes();
            let seen = changes.map(|changes| (changes, refused, signing_up, self.broker.changes()));
            if !self.storage.has_power() || (seen.is_some() && seen == looked_at) {
                continue;
            }
            looked_at = seen;
            if self.storage.database().is_moving().map_err(Error::Database)? {
                continue;
            }
            let census = store.census().await.map_err(Error::Database)?;
            let settled = settled::is_settled(&census, offers.len() - refused, signing_up);
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

    fn node_fired(&self, hosts: &[Arc<Host>], fault: &Fault) -> Fired {
        let passed = |host: &&Arc<Host>| hits(fault, host.number());
        let passed = hosts.iter().find(passed).map_or(0, |host| host.points());
        let times = match (at_points(fault), fault.from) {
            (true, _) => self.marks_of(fault).range(..=passed).count() as u64,
            (false, Some(from)) => {
                let at = self.start + from;
                let healed = self.heals_at().is_some_and(|heals_at| heals_at <= at);
                u64::from(!healed && at <= self.clock.now())
            }
            // A clock is wrong from the start.
            (false, None) => u64::from(fault.kind == Kind::ClockSkew),
        };
        Fired { fault: fault.clone(), times }
    }
}

/// Whether a node's fault happens at scheduling points.
fn at_points(fault: &Fault) -> bool {
    fault.point.is_some() || fault.rate.is_some()
}

/// Whether a node's fault hits the node of this number; without one it is the first.
fn hits(fault: &Fault, number: u32) -> bool {
    fault.node.unwrap_or(0) == number
}

/// Does to its node what the fault says.
fn fell(hosts: &Arc<[Arc<Host>]>, fault: &Fault) {
    let Some(host) = hosts.iter().find(|host| hits(fault, host.number())).cloned() else { return };
    match (fault.kind, fault.by) {
        (Kind::Stall, Some(length)) => background(async move { host.stall(length).await }),
        _ => host.kill(),
    }
}

/// A request that the carrier counts against our address: the cheapest that it answers at all.
async fn call_as_neighbour(router: axum::Router) {
    use axum::extract::ConnectInfo;
    use tower::ServiceExt;

    let Ok(mut request) = http::Request::post("/ReqOneGdsTrc").body(Body::from("{}")) else {
        return;
    };
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(OUR_ADDRESS, 50_000)));
    let Ok(_) = router.oneshot(request).await;
}

/// Starts a task of the simulation itself, which no crash reaches.
#[expect(clippy::disallowed_methods, reason = "the simulator's own tasks belong to no node")]
fn background(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
