//! What promises are judged from: the fakes' ledgers, the service's rows, and the history.
//!
//! Bookings and messages are brought home to orders here, by what the service wrote down *and* by
//! the order's id in front of every reference, so that a reference changed on the way is still
//! found.

mod calls;
mod connections;
mod gaps;
mod owners;
mod pool;
mod quota;
mod takeover;
mod turns;

pub use calls::{Call, CallEnd};
pub use connections::{Connections, Held};
pub use gaps::LeftBehind;
pub use pool::Pool;
pub use quota::QuotaUse;
pub use takeover::{Interrupted, Takeovers};
pub use turns::Turns;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clockwork::Timestamp;
use fake_cj::ledger::Booking;
use fake_kakao::ledger::Message;
use faults::Fault;
use oms_core::env::Event;
use oms_core::state::OrderState;
use oms_core::store::{MemberView, OrderView, ParcelKey, Rows, Transition};
use serde::{Deserialize, Serialize};

use crate::history::{FinalReads, History, Mode, Record, Step, What};
use crate::plan::{Plan, Site};
use crate::queue;
use crate::skew;
use owners::Owners;

/// All that is known of a run, ready to be judged.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The plan.
    pub plan: Plan,
    /// How it was run.
    pub mode: Mode,
    /// Drill seconds in a real second.
    pub clock_factor: f64,
    /// What happened, in order.
    pub records: Vec<Record>,
    /// What the carrier holds.
    pub carrier: fake_cj::Ledger,
    /// What the message gateway holds.
    pub messenger: fake_kakao::Ledger,
    /// What the service's database holds.
    pub rows: Rows,
    /// Each fault of the plan, and how often it fired.
    pub faults: Vec<FaultCount>,
    /// When ledgers and rows were read.
    pub ended_at: Timestamp,
    /// How long the healthy orders took in the same run without the bad ones.
    pub baseline: Option<Duration>,
    /// What the message broker holds, if anything was ever published.
    pub queue: Option<queue::Ledger>,
    /// The calls that the service made.
    pub calls: Vec<Call>,
    owners: Owners,
    /// Places in the carrier's book, by parcel.
    booked: BTreeMap<ParcelKey, Vec<usize>>,
    /// Places of bookings of which the order is known, but not the parcel.
    adrift: BTreeMap<String, Vec<usize>>,
    /// Places of bookings of no known order.
    orphans: Vec<usize>,
    /// Places of messages, by order.
    told: BTreeMap<String, Vec<usize>>,
    /// Places of walked edges, by what walked them.
    walked: BTreeMap<String, Vec<usize>>,
}

/// A fault of the plan, and how often it fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultCount {
    /// Its place in the plan, from 0.
    pub place: usize,
    /// The fault.
    pub fault: Fault,
    /// How often it fired.
    pub times: u64,
    /// Why it was not even tried in this mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl FaultCount {
    /// Neither fired nor skipped: the run says nothing of it.
    pub fn is_missing(&self) -> bool {
        self.times == 0 && self.skipped.is_none()
    }
}

impl From<History> for Evidence {
    fn from(history: History) -> Evidence {
        let History { plan, mode, clock_factor, records, reads } = history;
        let faults = count_faults(&plan, &records, &reads);
        let FinalReads { at, carrier, messenger, rows, baseline, queue, .. } = reads;
        let owners = Owners::new(&plan, &records, &rows);
        let mut evidence = Evidence {
            calls: calls::collect(&records, &plan),
            plan,
            mode,
            clock_factor,
            records,
            carrier,
            messenger,
            rows,
            faults,
            ended_at: at,
            baseline,
            queue,
            owners,
            booked: BTreeMap::new(),
            adrift: BTreeMap::new(),
            orphans: Vec::new(),
            told: BTreeMap::new(),
            walked: BTreeMap::new(),
        };
        evidence.bring_bookings_home();
        evidence.bring_the_rest_home();
        evidence
    }
}

/// How often each fault fired, as whoever carries it out counted, or as the history shows.
fn count_faults(plan: &Plan, records: &[Record], reads: &FinalReads) -> Vec<FaultCount> {
    let count = |(place, fault): (usize, &Fault)| FaultCount {
        place,
        fault: fault.clone(),
        times: 0,
        skipped: None,
    };
    let mut counts: Vec<FaultCount> = plan.faults.iter().enumerate().map(count).collect();
    for record in records {
        match &record.what {
            What::Drill(Step::FaultFired { fault, .. }) => {
                if let Some(count) = counts.get_mut(*fault) {
                    count.times += 1;
                }
            }
            What::Drill(Step::FaultSkipped { fault, why }) => {
                if let Some(count) = counts.get_mut(*fault) {
                    count.skipped = Some(why.clone());
                }
            }
            _ => {}
        }
    }
    for site in Site::ALL {
        let fired = reads.fired.get(&site).map(Vec::as_slice).unwrap_or_default();
        for ((place, _), fired) in plan.faults_at(site).zip(fired) {
            counts[place].times = counts[place].times.max(fired.times);
        }
    }
    counts
}

impl Evidence {
    fn bring_bookings_home(&mut self) {
        for (place, booking) in self.carrier.bookings.iter().enumerate() {
            if let Some(parcel) = self.owners.parcel_of(&booking.cust_use_no) {
                self.booked.entry(parcel).or_default().push(place);
            } else if let Some(order) = self.owners.order_of(&booking.cust_use_no) {
                self.adrift.entry(order.to_owned()).or_default().push(place);
            } else {
                self.orphans.push(place);
            }
        }
    }

    fn bring_the_rest_home(&mut self) {
        let mut told: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, message) in self.messenger.messages.iter().enumerate() {
            if let Some(order) = self.order_of_message(message) {
                told.entry(order.to_owned()).or_default().push(place);
            }
        }
        self.told = told;
        for (place, step) in self.rows.transitions.iter().enumerate() {
            self.walked.entry(step.key.clone()).or_default().push(place);
        }
    }

    /// The order whose id stands in front of `reference`, the longest one if several do.
    pub fn order_of(&self, reference: &str) -> Option<&str> {
        self.owners.order_of(reference)
    }

    /// The parcel that `reference` names: a `CUST_USE_NO` that the service wrote down, or an
    /// order's id with the parcel's number behind it.
    pub fn parcel_of(&self, reference: &str) -> Option<ParcelKey> {
        self.owners.parcel_of(reference)
    }

    /// The order that a message is about.
    pub fn order_of_message(&self, message: &Message) -> Option<&str> {
        let named = [message.reference.as_deref(), message.idempotency_key.as_deref()];
        let told = message.variables.get("order").map(String::as_str);
        named.into_iter().chain([told]).flatten().find_map(|text| self.order_of(text))
    }

    /// All messages about an order, as they were accepted.
    pub fn messages_of<'a>(&'a self, order: &str) -> impl Iterator<Item = &'a Message> + use<'a> {
        let places = self.told.get(order).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|place| &self.messenger.messages[*place])
    }

    /// The row of a member.
    pub fn member(&self, member: &str) -> Option<&MemberView> {
        self.rows.members.iter().find(|row| row.id == member)
    }

    /// The member that a message is about.
    pub fn member_of_message(message: &Message) -> Option<&str> {
        let named = [message.reference.as_deref(), message.idempotency_key.as_deref()];
        let rest = named.into_iter().flatten().find_map(|text| text.strip_prefix("member:"))?;
        Some(rest.split_once(':').map_or(rest, |(member, _)| member))
    }

    /// All messages about members, with whom each is about, as they were accepted.
    pub fn welcomes(&self) -> impl Iterator<Item = (&str, &Message)> {
        let messages = self.messenger.messages.iter();
        messages.filter_map(|message| Some((Evidence::member_of_message(message)?, message)))
    }

    /// Whether a fault of the store fired, or a node was disturbed, between two moments.
    pub fn database_was_disturbed(&self, from: Timestamp, until: Timestamp) -> bool {
        let nodes = 0..self.plan.world.nodes;
        nodes.into_iter().any(|node| self.was_disturbed(Some(node), from, until))
    }

    /// The edges that an order, a parcel (`ORD-1/1`) or a notification (`ORD-1:shipped`) walked.
    pub fn steps_of<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Transition> + use<'a> {
        let places = self.walked.get(key).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|place| &self.rows.transitions[*place])
    }

    /// The row of an order.
    pub fn row(&self, order: &str) -> Option<&OrderView> {
        // The rows come by id.
        let place = self.rows.orders.binary_search_by(|row| row.id.as_str().cmp(order));
        match place {
            Ok(place) => self.rows.orders.get(place),
            Err(_) => self.rows.orders.iter().find(|row| row.id == order),
        }
    }

    /// All bookings ever made for a parcel.
    pub fn bookings_of<'a>(
        &'a self,
        parcel: &ParcelKey,
    ) -> impl Iterator<Item = &'a Booking> + use<'a> {
        let places = self.booked.get(parcel).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|place| &self.carrier.bookings[*place])
    }

    /// All bookings ever made for an order, its parcels' and those that name none.
    pub fn bookings_of_order(&self, order: &str) -> impl Iterator<Item = &Booking> {
        let first = ParcelKey { order: order.to_owned(), number: 0 };
        let last = ParcelKey { order: order.to_owned(), number: u32::MAX };
        let parcels = self.booked.range(first..=last).flat_map(|(_, places)| places);
        parcels.chain(self.places_adrift(order)).map(|place| &self.carrier.bookings[*place])
    }

    fn places_adrift(&self, order: &str) -> &[usize] {
        self.adrift.get(order).map(Vec::as_slice).unwrap_or_default()
    }

    /// The parcels that were ever booked.
    pub fn booked_parcels(&self) -> impl Iterator<Item = &ParcelKey> {
        self.booked.keys()
    }

    /// Bookings of a known order that name none of its parcels, by order.
    pub fn bookings_adrift(&self) -> impl Iterator<Item = (&str, &Booking)> {
        self.adrift.iter().flat_map(move |(order, places)| {
            places.iter().map(move |place| (order.as_str(), &self.carrier.bookings[*place]))
        })
    }

    /// Bookings of no known order.
    pub fn orphans(&self) -> impl Iterator<Item = &Booking> {
        self.orphans.iter().map(|place| &self.carrier.bookings[*place])
    }

    /// The orders that a caller was told are kept, with the first time that it was told.
    pub fn acknowledged(&self) -> BTreeMap<&str, Timestamp> {
        let mut acknowledged = BTreeMap::new();
        for record in &self.records {
            match &record.what {
                What::Drill(Step::OrderAcknowledged { order })
                | What::Oms(Event::Acknowledged { order }) => {
                    acknowledged.entry(order.as_str()).or_insert(record.at);
                }
                _ => {}
            }
        }
        acknowledged
    }

    /// The orders that the service refused to take in, and never took later.
    pub fn refused(&self) -> BTreeSet<&str> {
        let refused = self.records.iter().filter_map(|record| match &record.what {
            What::Drill(Step::OrderRefused { order, .. }) => Some(order.as_str()),
            _ => None,
        });
        refused.filter(|order| self.row(order).is_none()).collect()
    }

    /// How many orders are in each state.
    pub fn counts(&self) -> BTreeMap<OrderState, u64> {
        let mut counts = BTreeMap::new();
        for order in &self.rows.orders {
            *counts.entry(order.state).or_default() += 1;
        }
        counts
    }

    /// The orders that something was done to which they may not survive: the plan names them, a
    /// fault names them or hit a call of theirs, or their data is out of the ordinary.
    pub fn bad_orders(&self) -> BTreeSet<&str> {
        let mut bad = BTreeSet::new();
        let named = self.plan.bad.iter().map(String::as_str);
        let keyed = self.plan.faults.iter().filter_map(|fault| fault.key.as_deref());
        let requests = self.carrier.requests.iter().chain(&self.messenger.requests);
        let hit = requests.filter(|request| request.fault.is_some());
        let hit = hit.filter_map(|request| request.key.as_deref());
        bad.extend(named.chain(keyed).chain(hit).filter_map(|text| self.order_of(text)));
        for order in self.plan.workload.order.iter().filter(|order| order.makes_bad()) {
            let id = self.plan.workload.id(order.index);
            bad.extend(self.owners.order_of(&id));
        }
        bad
    }

    /// The orders that were taken in and to which nothing was done.
    pub fn healthy_orders(&self) -> BTreeSet<&str> {
        let bad = self.bad_orders();
        self.acknowledged().into_keys().filter(|order| !bad.contains(order)).collect()
    }

    /// When the last of `orders` completed, since the run's start; `None` when one did not.
    pub fn completed_after(&self, orders: &BTreeSet<&str>) -> Option<Duration> {
        let mut completed = BTreeMap::new();
        for step in self.rows.transitions.iter().filter(|step| step.entity == "order") {
            if step.to == OrderState::Completed.as_str() {
                completed.insert(step.key.as_str(), step.at);
            }
        }
        let moments = orders.iter().map(|order| completed.get(order).copied());
        let last = moments.collect::<Option<Vec<_>>>()?.into_iter().max();
        Some(last.map_or(Duration::ZERO, |at| at.since(self.plan.start)))
    }

    /// Whether something befell `node` between two moments of its clock that excuses lateness: a
    /// crash, a stall, a clock that was set, or a fault of the store.
    pub fn was_disturbed(&self, node: Option<u32>, from: Timestamp, until: Timestamp) -> bool {
        // What befalls a node is told by the right clock, which its own may be ahead of.
        let from = from - self.ahead(node);
        let disturbed = self.records.iter().any(|record| match &record.what {
            What::Drill(Step::NodeCrashed) => {
                record.node == node && (from..=until).contains(&record.at)
            }
            What::Drill(Step::NodeStalled { until: end }) => {
                // Live, a process that is stopped may hold the database's write lock for all.
                let befell = record.node == node || self.mode == Mode::Live;
                befell && record.at <= until && *end >= from
            }
            What::Drill(Step::FaultFired { site: Site::Store, .. }) => {
                (from..=until).contains(&record.at)
            }
            _ => false,
        });
        let jumped = node.is_some_and(|node| {
            skew::jumps(&self.plan, node).any(|at| (from..=until).contains(&at))
        });
        disturbed || jumped || self.store_failed_at_unknown_times()
    }

    /// How far the clock of `node` is ahead, at most.
    pub fn ahead(&self, node: Option<u32>) -> Duration {
        let skews = |fault: &&Fault| node.is_some_and(|node| skew::is_of(fault, node));
        self.plan.faults.iter().filter(skews).filter_map(|fault| fault.by).sum()
    }

    /// Whether faults of the store fired of which only the number is known.
    fn store_failed_at_unknown_times(&self) -> bool {
        let told = |record: &Record| {
            matches!(record.what, What::Drill(Step::FaultFired { site: Site::Store, .. }))
        };
        let of_store = |count: &&FaultCount| Site::of(&count.fault) == Some(Site::Store);
        let fired = self.faults.iter().filter(of_store).any(|count| count.times > 0);
        fired && !self.records.iter().any(told)
    }
}
