//! A drill as data: the same plan gives the same history, byte for byte.
//!
//! A plan is a TOML file. Unknown keys and impossible values are refused with their place:
//! [`Plan::load`] and [`Plan::parse`] read, [`Plan::problems`] judges what the types cannot,
//! [`Plan::to_toml`] writes all of it out, defaults too.

mod expand;
mod load;
pub mod schema;
mod sites;
mod terse;
mod validate;
mod workload;

pub(crate) use load::near;

pub use load::Error;
pub use sites::{CARRIER_ENDPOINTS, MESSENGER_ENDPOINTS, STORE_OPERATIONS, Site};
pub use validate::Problem;
pub use workload::{OrderOverride, Pattern, Workload};

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use fake_cj::tracking::ParcelState;
use faults::Fault;
use oms_core::state::OrderState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::strategies;

/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// A drill.
///
/// Durations are texts with a unit: `300ms`, `5s`, `2h`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of the format: 1.
    pub version: u32,
    /// The drill's name: `a-z`, `0-9` and hyphens.
    pub name: String,
    /// What the catalogue shows; without one, the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Why the drill exists, in one sentence.
    pub why: String,
    /// All chance of the run comes from here.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// The date at which the run begins, RFC 3339.
    #[serde(default = "defaults::start", with = "moment")]
    #[schemars(with = "String")]
    pub start: Timestamp,
    /// How external calls are placed around transactions: one of `drill list --format json`; the
    /// recommended `durable` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// A bug to plant: one of `drill list --format json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sabotage: Option<String>,
    /// How members are signed up: one of `drill list --format json`; without it, as recommended,
    /// with the welcome message in the outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_up: Option<String>,
    /// The SHA-256 of the history that this plan gives, for `drill replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_hash: Option<String>,
    /// Faults stop so long after the start, and machines that are down come up again: from then on
    /// everything must settle. Without it each fault ends when its own window does.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub heal_after: Option<Duration>,
    /// Orders that are not healthy, beside those that a fault's key or an override names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<String>,
    /// The machines and the network.
    #[serde(default)]
    pub world: World,
    /// The orders.
    #[serde(default)]
    pub workload: Workload,
    /// Somebody else on our address, who uses up the carrier's quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Neighbour>,
    /// What must come out.
    #[serde(default)]
    pub expect: Expect,
    /// What goes wrong.
    #[serde(default, rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Parcels that the carrier scans at a given time.
    #[serde(default, rename = "scan", skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<Scan>,
    /// What an operator does at a given time, while the workers go on.
    #[serde(default, rename = "operation", skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// What kind of carrier it is.
    #[serde(default)]
    pub carrier: fake_cj::Config,
    /// What kind of message gateway it is.
    #[serde(default)]
    pub gateway: fake_kakao::Config,
    /// The settings of the service under test.
    #[serde(default)]
    pub oms: oms_core::config::Config,
}

/// The machines and the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// Processes of the service, on one database.
    pub nodes: u32,
    /// The shortest time that a request or a reply is under way.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub latency_min: Duration,
    /// The longest.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub latency_max: Duration,
    /// How the time under way is drawn.
    pub latency: Latency,
    /// The order in which tasks run and replies arrive, where the plan leaves it open, is drawn by
    /// priorities that change so often: 1 to 3. With 0 tasks run in the order in which they became
    /// ready.
    pub priorities: u32,
    /// Everything must be settled so long after the last order came in.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub patience: Duration,
    /// A machine that crashed is up again so long afterwards.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub restart_after: Duration,
}

/// How the time under way is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// Evenly between `latency_min` and `latency_max`.
    #[default]
    Uniform,
    /// Log-normal, with a heavy tail: never under `latency_min`, and one in a hundred takes longer
    /// than `latency_max`.
    LogNormal,
}

/// Somebody else on our address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Since the run's start.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "String")]
    pub from: Duration,
    /// How long they go on.
    #[serde(rename = "for", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lasting: Duration,
    /// How often they call the carrier.
    pub calls_per_second: f64,
}

/// A parcel that the carrier scans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// The order's place in the workload, from 1.
    pub order: u32,
    /// The parcel's number in it.
    #[serde(default = "defaults::one")]
    pub parcel: u32,
    /// When, since the run's start.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub at: Duration,
    /// What the scan makes of it; without one, picked up.
    #[serde(default = "defaults::picked_up")]
    pub state: ParcelState,
}

/// What an operator does to an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The order's place in the workload, from 1.
    pub order: u32,
    /// When, since the run's start.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub at: Duration,
    /// What.
    #[serde(rename = "do")]
    pub deed: Deed,
}

/// What an operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// `oms retry`.
    Retry,
    /// `oms resolve --booked`: the carrier has its parked parcels.
    ResolveBooked,
    /// `oms resolve --not-booked`: it has not, and will not.
    ResolveNotBooked,
}

/// What must come out. The counts are exact, and together they are all orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Orders that end `completed`.
    #[serde(skip_serializing_if = "is_zero")]
    pub completed: u64,
    /// Orders that end `rejected`.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejected: u64,
    /// Orders that end `delivery-failed`.
    #[serde(rename = "delivery-failed", skip_serializing_if = "is_zero")]
    pub delivery_failed: u64,
    /// Orders that end `notify-failed`.
    #[serde(rename = "notify-failed", skip_serializing_if = "is_zero")]
    pub notify_failed: u64,
    /// Orders that end `cancelled`.
    #[serde(skip_serializing_if = "is_zero")]
    pub cancelled: u64,
    /// Orders that end with the operator.
    #[serde(skip_serializing_if = "is_zero")]
    pub attention: u64,
    /// Orders that are not even taken in.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Orders of which a race decides, as between a cancellation and a courier: each ends in any
    /// final state.
    #[serde(skip_serializing_if = "is_zero")]
    pub undecided: u64,
    /// So many of the undecided may end with the operator instead. They are counted there.
    #[serde(skip_serializing_if = "is_zero")]
    pub may_park: u64,
    /// Members that are kept in the end.
    #[serde(skip_serializing_if = "is_zero")]
    pub members: u64,
    /// Promises that must fall: a bug that is known must be convicted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<String>,
    /// What the run must have come through, or it proves nothing: names of `reach::NAMES`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub must_reach: Vec<String>,
    /// However much is to be called, each call that the carrier accepts comes at most so much later
    /// than a hundredth after the best schedule of its windows and one mean way there.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub quota_late_max: Option<Duration>,
    /// While a parcel of one seller waits, at most so many parcels of any one other seller are
    /// begun before one of its own is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_max: Option<u32>,
    /// What a process leaves behind that dies or is halted over a call is another's within so long.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub taken_over_within: Option<Duration>,
    /// Healthy orders may take so many times as long as in the same run without the bad ones; `inf`
    /// times means that they must only complete.
    pub slowdown_max: f64,
}

impl Default for World {
    fn default() -> World {
        World {
            nodes: 1,
            latency_min: Duration::from_millis(5),
            latency_max: Duration::from_millis(60),
            latency: Latency::Uniform,
            priorities: 0,
            patience: Duration::from_hours(2),
            restart_after: Duration::from_secs(1),
        }
    }
}

impl Default for Expect {
    fn default() -> Expect {
        Expect {
            completed: 0,
            rejected: 0,
            delivery_failed: 0,
            notify_failed: 0,
            cancelled: 0,
            attention: 0,
            refused: 0,
            undecided: 0,
            may_park: 0,
            members: 0,
            violated: Vec::new(),
            must_reach: Vec::new(),
            quota_late_max: None,
            turn_max: None,
            taken_over_within: None,
            slowdown_max: 2.0,
        }
    }
}

impl Expect {
    /// How many orders must end in each state; states that none ends in are left out, and so are
    /// orders that are undecided.
    pub fn orders(&self) -> BTreeMap<OrderState, u64> {
        let counts = [
            (OrderState::Completed, self.completed),
            (OrderState::Rejected, self.rejected),
            (OrderState::DeliveryFailed, self.delivery_failed),
            (OrderState::NotifyFailed, self.notify_failed),
            (OrderState::Cancelled, self.cancelled),
            (OrderState::Attention, self.attention),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// How many orders are expected in all.
    pub fn total(&self) -> u64 {
        self.orders().values().sum::<u64>() + self.refused + self.undecided
    }
}

impl Plan {
    /// A plan of `orders` healthy orders, of which all complete.
    pub fn healthy(name: &str, orders: u32) -> Plan {
        Plan {
            version: VERSION,
            name: name.to_owned(),
            title: None,
            why: "Nothing goes wrong.".to_owned(),
            seed: defaults::seed(),
            start: defaults::start(),
            strategy: None,
            sabotage: None,
            sign_up: None,
            replay_hash: None,
            heal_after: None,
            bad: Vec::new(),
            world: World::default(),
            workload: Workload { orders, ..Workload::default() },
            neighbour: None,
            expect: Expect { completed: u64::from(orders), ..Expect::default() },
            faults: Vec::new(),
            scans: Vec::new(),
            operations: Vec::new(),
            carrier: fake_cj::Config::default(),
            gateway: fake_kakao::Config::default(),
            oms: oms_core::config::Config::default(),
        }
    }

    /// How many people sign up and how often an operator acts.
    pub(crate) fn awaited(&self) -> usize {
        self.workload.members as usize + self.operations.len()
    }

    /// Whether the gateway forgets which keys it has seen, always or at some moment.
    pub fn gateway_forgets(&self) -> bool {
        let forgets = |(_, fault): (usize, &Fault)| fault.forgets == Some(true);
        self.gateway.forgets_keys || self.faults_at(Site::Messenger).any(forgets)
    }

    /// The title, or the name.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    /// Whether nothing in it is known to be wrong: the recommended strategy, and no planted bug.
    pub fn is_sound(&self) -> bool {
        self.sabotage.is_none() && self.sign_up.is_none() && strategies::of(self).is_recommended()
    }

    /// The same plan with nothing in it that is known to be wrong.
    pub fn made_sound(&self) -> Plan {
        Plan { strategy: None, sabotage: None, sign_up: None, ..self.clone() }
    }

    /// The same run without its bad orders' troubles: what healthy orders are measured against.
    /// `None` when there is nothing to take away, or when they may take as long as they like.
    pub fn without_the_bad(&self) -> Option<Plan> {
        if self.expect.slowdown_max.is_infinite() {
            return None;
        }
        let mut plan = self.clone();
        // A fault that names one call makes one order bad; the others hit all alike.
        plan.faults.retain(|fault| fault.key.is_none() && fault.nth.is_none());
        for order in &mut plan.workload.order {
            order.heal();
        }
        (plan.faults.len() < self.faults.len() || plan.workload != self.workload).then_some(plan)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

mod defaults {
    use super::{ParcelState, Timestamp};

    pub(super) const fn seed() -> u64 {
        1
    }

    /// 2026-11-21, ten in the morning in Seoul.
    pub(super) const fn start() -> Timestamp {
        Timestamp::from_micros(1_795_222_800_000_000)
    }

    pub(super) const fn one() -> u32 {
        1
    }

    pub(super) const fn picked_up() -> ParcelState {
        ParcelState::PickedUp
    }
}

/// A moment as RFC 3339 text.
mod moment {
    use clockwork::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_start_is_ten_in_the_morning_in_seoul() {
        assert_eq!(defaults::start(), Timestamp::parse("2026-11-21T10:00:00+09:00").unwrap());
    }

    #[test]
    fn expected_counts_leave_out_what_is_zero_and_add_up() {
        let expect = Expect { completed: 19, delivery_failed: 1, refused: 2, ..Expect::default() };
        assert_eq!(
            expect.orders().into_iter().collect::<Vec<_>>(),
            [(OrderState::DeliveryFailed, 1), (OrderState::Completed, 19)]
        );
        assert_eq!(expect.total(), 22);
    }

    #[test]
    fn without_the_bad_orders_only_what_hits_all_alike_is_left() {
        let mut plan = Plan::healthy("p", 3);
        assert_eq!(plan.without_the_bad(), None);
        let everywhere = Fault::new(faults::Kind::DelayBefore);
        plan.faults.push(everywhere.clone());
        assert_eq!(plan.without_the_bad(), None);
        let keyed = Fault { key: Some("ORD-2-1".to_owned()), ..Fault::new(faults::Kind::Refuse) };
        plan.faults.push(keyed);
        plan.workload.order = vec![OrderOverride {
            index: 3,
            postcode: Some("63000".to_owned()),
            parcels: Some(2),
            ..OrderOverride::default()
        }];
        let healed = plan.without_the_bad().unwrap();
        assert_eq!(healed.faults, [everywhere]);
        assert_eq!(healed.workload.order[0].postcode, None);
        assert_eq!(healed.workload.order[0].parcels, Some(2), "size is no illness");
    }
}
