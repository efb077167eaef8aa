//! What the types of a plan cannot refuse.

use std::fmt;
use std::time::Duration;

use clockwork::Timestamp;
use faults::{Fault, Kind, Target};

use super::load::near;
use super::sites::{CARRIER_ENDPOINTS, MESSENGER_ENDPOINTS, STORE_OPERATIONS, Site};
use super::{Plan, VERSION};
use crate::{promises, queue, reach, sabotage, sign_up, strategies};

/// A value that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `fault[1].endpoint`, counted from 0.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// Nothing in a plan takes longer.
const TIME_MAX: Duration = Duration::from_hours(31 * 24);

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn check(&mut self, holds: bool, field: impl Into<String>, why: impl Into<String>) {
        if !holds {
            self.0.push(Problem { field: field.into(), why: why.into() });
        }
    }

    fn add(&mut self, field: impl Into<String>, error: &dyn std::error::Error) {
        self.check(false, field, chain(error));
    }
}

/// An error with all its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Plan {
    /// Everything that is wrong with the plan, each with its place; empty when it can be run.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        self.check_head(&mut problems);
        self.check_world(&mut problems);
        self.check_workload(&mut problems);
        self.check_times(&mut problems);
        self.check_expectations(&mut problems);
        for (place, fault) in self.faults.iter().enumerate() {
            self.check_fault(place, fault, &mut problems);
        }
        if let Err(error) = self.carrier.validate() {
            problems.add("carrier", &error);
        }
        if let Err(error) = self.gateway.validate() {
            problems.add("gateway", &error);
        }
        for impossible in self.oms.check().err().unwrap_or_default() {
            problems.check(false, format!("oms.{}", impossible.key), impossible.why);
        }
        problems.0
    }

    fn check_head(&self, problems: &mut Problems) {
        let version = format!("this program reads version {VERSION}");
        problems.check(self.version == VERSION, "version", version);
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let name = !self.name.is_empty() && self.name.bytes().all(known);
        problems.check(name, "name", "must be of a-z, 0-9 and hyphens");
        problems.check(!self.why.trim().is_empty(), "why", "must say why the drill exists");
        let seed = i64::try_from(self.seed).is_ok();
        problems.check(seed, "seed", "must be below 2^63, which is what TOML can write");
        let whole = self.start.micros() % 1_000 == 0;
        problems.check(whole, "start", "must be a whole millisecond");
        problems.check(self.start >= Timestamp::EPOCH, "start", "must not be before 1970");
        if let Some(name) = &self.strategy {
            let known = strategies::ALL.iter().map(|strategy| strategy.name);
            let why = unknown("there is no strategy", name, known);
            problems.check(strategies::named(name).is_some(), "strategy", why);
        }
        if let Some(name) = &self.sabotage {
            let why = unknown("there is no sabotage", name, sabotage::ALL.iter().map(|s| s.name));
            problems.check(sabotage::named(name).is_some(), "sabotage", why);
        }
        let heals = self.heal_after.is_none_or(|after| !after.is_zero());
        problems.check(heals, "heal_after", "must be more than nothing");
        if let Some(name) = &self.sign_up {
            let why = unknown("no form of sign-up is", name, sign_up::ALL.iter().map(|f| f.name));
            problems.check(sign_up::named(name).is_some(), "sign_up", why);
        }
        let hash = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let hash = self.replay_hash.as_ref().is_none_or(hash);
        problems.check(hash, "replay_hash", "must be 64 hexadecimal digits");
    }

    fn check_world(&self, problems: &mut Problems) {
        let world = &self.world;
        problems.check((1..=64).contains(&world.nodes), "world.nodes", "must be 1 to 64");
        let latency = world.latency_min <= world.latency_max;
        problems.check(latency, "world.latency_max", "must not be less than `latency_min`");
        problems.check(world.priorities <= 3, "world.priorities", "must be 0 to 3");
        problems.check(!world.patience.is_zero(), "world.patience", "must be more than nothing");
        if let Some(neighbour) = &self.neighbour {
            let lasting = !neighbour.lasting.is_zero();
            problems.check(lasting, "neighbour.for", "must be more than nothing");
            let often = neighbour.calls_per_second > 0.0 && neighbour.calls_per_second <= 10_000.0;
            problems.check(often, "neighbour.calls_per_second", "must be over 0, up to 10000");
        }
    }

    fn check_workload(&self, problems: &mut Problems) {
        let workload = &self.workload;
        // Without orders there must be something else to judge.
        let orders = (1..=1_000_000).contains(&workload.orders)
            || (workload.orders == 0 && workload.members > 0);
        problems.check(orders, "workload.orders", "must be 1 to 1000000");
        let members = workload.members <= 100_000;
        problems.check(members, "workload.members", "must be at most 100000");
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let length = (1..=30).contains(&workload.prefix.len());
        let prefix = length && workload.prefix.bytes().all(known);
        problems.check(prefix, "workload.prefix", "must be 1 to 30 of A-Z a-z 0-9 - _");
        let parcels = 1..=oms_core::order::PARCELS_MAX;
        let why = format!("must be 1 to {}", parcels.end());
        problems.check(parcels.contains(&workload.parcels), "workload.parcels", &why);
        for (place, order) in workload.order.iter().enumerate() {
            let field = |name: &str| format!("workload.order[{place}].{name}");
            let index = (1..=workload.orders).contains(&order.index);
            problems.check(index, field("index"), "is no order of this workload");
            let first = workload.order.iter().position(|other| other.index == order.index);
            problems.check(first == Some(place), field("index"), "stands there twice");
            let parcels = order.parcels.is_none_or(|count| parcels.contains(&count));
            problems.check(parcels, field("parcels"), &why);
            let id = |text: &str| (1..=40).contains(&text.len()) && text.bytes().all(known);
            let seller = order.seller.as_deref().is_none_or(id);
            problems.check(seller, field("seller"), "must be 1 to 40 of A-Z a-z 0-9 - _");
        }
        for (place, scan) in self.scans.iter().enumerate() {
            let order = (1..=workload.orders).contains(&scan.order);
            problems.check(order, format!("scan[{place}].order"), "is no order of this workload");
            let parcel = (1..=workload.parcels_of(scan.order)).contains(&scan.parcel);
            problems.check(parcel, format!("scan[{place}].parcel"), "is no parcel of that order");
        }
        for (place, operation) in self.operations.iter().enumerate() {
            let order = (1..=workload.orders).contains(&operation.order);
            let field = format!("operation[{place}].order");
            problems.check(order, field, "is no order of this workload");
        }
    }

    /// What takes so long that nobody would see the run end.
    fn check_times(&self, problems: &mut Problems) {
        let mut check = |time: Option<Duration>, field: &dyn Fn() -> String| {
            let ends = time.is_none_or(|time| time <= TIME_MAX);
            if !ends {
                problems.check(false, field(), "must be at most 31 days");
            }
        };
        let Plan { world, workload, .. } = self;
        let fixed = [
            (self.heal_after, "heal_after"),
            (Some(world.latency_max), "world.latency_max"),
            (Some(world.patience), "world.patience"),
            (Some(world.restart_after), "world.restart_after"),
            (Some(workload.over), "workload.over"),
            (self.neighbour.as_ref().map(|it| it.from), "neighbour.from"),
            (self.neighbour.as_ref().map(|it| it.lasting), "neighbour.for"),
        ];
        for (time, field) in fixed {
            check(time, &|| field.to_owned());
        }
        for (place, order) in workload.order.iter().enumerate() {
            check(order.at, &|| format!("workload.order[{place}].at"));
            check(order.cancel_after, &|| format!("workload.order[{place}].cancel_after"));
        }
        for (place, scan) in self.scans.iter().enumerate() {
            check(Some(scan.at), &|| format!("scan[{place}].at"));
        }
        for (place, operation) in self.operations.iter().enumerate() {
            check(Some(operation.at), &|| format!("operation[{place}].at"));
        }
        for (place, fault) in self.faults.iter().enumerate() {
            check(fault.by, &|| format!("fault[{place}].by"));
        }
    }

    fn check_expectations(&self, problems: &mut Problems) {
        let expect = &self.expect;
        let (total, orders) = (expect.total(), u64::from(self.workload.orders));
        let why = format!("accounts for {total} orders, and there are {orders}");
        problems.check(total == orders, "expect", why);
        let members = expect.members <= u64::from(self.workload.members);
        problems.check(members, "expect.members", "must not be more than sign up");
        let silent = expect.members == 0 && self.workload.members > 0;
        let why = format!("says how many of the {} are kept", self.workload.members);
        problems.check(!silent, "expect.members", why);
        let park = expect.may_park <= expect.undecided;
        problems.check(park, "expect.may_park", "must not be more than `undecided`");
        problems.check(expect.slowdown_max >= 1.0, "expect.slowdown_max", "must be 1 or more");
        for (place, id) in expect.violated.iter().enumerate() {
            let known = promises::ALL.iter().map(|promise| promise.id);
            let why = unknown("there is no promise", id, known.clone());
            let known = known.into_iter().any(|promise| promise == id);
            problems.check(known, format!("expect.violated[{place}]"), why);
        }
        for (place, name) in expect.must_reach.iter().enumerate() {
            let why = match near(name, reach::names()) {
                Some(near) => format!("no state `{name}` can be reached; is `{near}` meant?"),
                None => format!("no state `{name}` can be reached"),
            };
            problems.check(reach::knows(name), format!("expect.must_reach[{place}]"), why);
        }
    }

    fn check_fault(&self, place: usize, fault: &Fault, problems: &mut Problems) {
        let field = |name: &str| format!("fault[{place}].{name}");
        if let Err(error) = fault.validate() {
            let wrong = error.field().map(|name| field(&name.to_string()));
            problems.add(wrong.unwrap_or_else(|| format!("fault[{place}]")), &error);
        }
        let named = fault.on.as_deref();
        match fault.kind.target() {
            Target::Server if fault.kind == Kind::ApiRestart => {
                let known = matches!(named, Some("carrier" | "messenger"));
                problems.check(known, field("on"), "must be `carrier` or `messenger`");
            }
            Target::Call | Target::Connection => {
                let known = matches!(named, Some("carrier" | "messenger"));
                problems.check(known, field("on"), "must be `carrier` or `messenger`");
            }
            Target::Node if fault.when.is_some() => {
                let known = matches!(named, None | Some("node" | "carrier" | "messenger"));
                problems.check(known, field("on"), "must be `carrier`, `messenger` or `node`");
            }
            Target::Node => {
                problems.check(matches!(named, None | Some("node")), field("on"), "must be `node`");
            }
            Target::Store | Target::Server => {
                let known = matches!(named, None | Some("store"));
                problems.check(known, field("on"), "must be `store`");
            }
            Target::Queue => {
                let known = matches!(named, None | Some("queue"));
                problems.check(known, field("on"), "must be `queue`");
            }
        }
        if let Some(endpoint) = &fault.endpoint {
            let known = match Site::of(fault) {
                Some(Site::Carrier) => CARRIER_ENDPOINTS.to_vec(),
                Some(Site::Messenger) => MESSENGER_ENDPOINTS.to_vec(),
                Some(Site::Store) => STORE_OPERATIONS.to_vec(),
                Some(Site::Queue) => queue::OPERATIONS.to_vec(),
                Some(Site::Node) | None => [CARRIER_ENDPOINTS, MESSENGER_ENDPOINTS].concat(),
            };
            let why = unknown("there is no endpoint", endpoint, known.iter().copied());
            problems.check(known.contains(&endpoint.as_str()), field("endpoint"), why);
        } else if fault.when.is_some() {
            problems.check(false, field("when"), "needs the `endpoint` of the call");
        }
        let node = fault.node.is_none_or(|node| node < self.world.nodes);
        problems.check(node, field("node"), "is no node of this world (they count from 0)");
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match near(name, known) {
        Some(near) => format!("{what} `{name}`; is `{near}` meant?"),
        None => format!("{what} `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use faults::When;

    use super::*;
    use crate::plan::{Deed, Neighbour, Operation, OrderOverride, Scan};

    /// What is said of a good plan after `change`.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Plan), expected: &str) {
        let mut plan = Plan::healthy("good", 20);
        assert_eq!(plan.problems(), []);
        change(&mut plan);
        let said: Vec<String> = plan.problems().iter().map(Problem::to_string).collect();
        assert_eq!(said.join("\n"), expected);
    }

    #[test]
    fn the_head_is_checked() {
        check(|plan| plan.version = 2, "version: this program reads version 1");
        check(|plan| plan.name = "A b".to_owned(), "name: must be of a-z, 0-9 and hyphens");
        check(|plan| plan.why = " ".to_owned(), "why: must say why the drill exists");
        check(
            |plan| plan.seed = u64::MAX,
            "seed: must be below 2^63, which is what TOML can write",
        );
        check(
            |plan| plan.strategy = Some("durabel".to_owned()),
            "strategy: there is no strategy `durabel`; is `durable` meant?",
        );
        check(
            |plan| plan.sabotage = Some("limiter-of".to_owned()),
            "sabotage: there is no sabotage `limiter-of`; is `limiter-off` meant?",
        );
        check(
            |plan| plan.replay_hash = Some("beef".to_owned()),
            "replay_hash: must be 64 hexadecimal digits",
        );
    }

    #[test]
    fn world_workload_and_scans_are_checked() {
        check(|plan| plan.world.nodes = 0, "world.nodes: must be 1 to 64");
        check(
            |plan| plan.world.latency_min = Duration::from_secs(1),
            "world.latency_max: must not be less than `latency_min`",
        );
        let silent = Neighbour {
            from: Duration::ZERO,
            lasting: Duration::from_secs(1),
            calls_per_second: 0.0,
        };
        check(
            |plan| plan.neighbour = Some(silent),
            "neighbour.calls_per_second: must be over 0, up to 10000",
        );
        let order = |index| OrderOverride { index, ..OrderOverride::default() };
        check(
            |plan| plan.workload.order = vec![order(3), order(3), order(21)],
            "workload.order[1].index: stands there twice\n\
             workload.order[2].index: is no order of this workload",
        );
        let sold_by = |seller: &str| OrderOverride { seller: Some(seller.to_owned()), ..order(3) };
        check(
            |plan| plan.workload.order = vec![sold_by("the shop")],
            "workload.order[0].seller: must be 1 to 40 of A-Z a-z 0-9 - _",
        );
        let state = fake_cj::tracking::ParcelState::PickedUp;
        check(
            |plan| plan.scans.push(Scan { order: 1, parcel: 2, at: Duration::ZERO, state }),
            "scan[0].parcel: is no parcel of that order",
        );
        let (at, deed) = (Duration::ZERO, Deed::Retry);
        check(
            |plan| plan.operations.push(Operation { order: 99, at, deed }),
            "operation[0].order: is no order of this workload",
        );
    }

    #[test]
    fn what_would_never_end_is_refused() {
        let ages = Duration::from_hours(1_000_000);
        check(|plan| plan.workload.over = ages, "workload.over: must be at most 31 days");
        check(|plan| plan.world.patience = ages, "world.patience: must be at most 31 days");
        check(
            |plan| {
                let order = OrderOverride { index: 2, at: Some(ages), ..OrderOverride::default() };
                plan.workload.order = vec![order];
            },
            "workload.order[0].at: must be at most 31 days",
        );
        check(
            |plan| {
                let skew = Fault { by: Some(ages), ..Fault::new(Kind::ClockSkew) };
                plan.faults = vec![skew];
            },
            "fault[0].by: must be at most 31 days",
        );
        let early = Timestamp::parse("1969-12-31T23:59:59+09:00").expect("a time");
        check(|plan| plan.start = early, "start: must not be before 1970");
    }

    #[test]
    fn members_who_sign_up_are_accounted_for() {
        check(|plan| plan.workload.members = 2, "expect.members: says how many of the 2 are kept");
    }

    #[test]
    fn expected_counts_must_account_for_every_order() {
        check(
            |plan| plan.expect.completed = 19,
            "expect: accounts for 19 orders, and there are 20",
        );
        check(
            |plan| plan.expect.violated = vec!["no-double-shipmnt".to_owned()],
            "expect.violated[0]: there is no promise `no-double-shipmnt`; \
             is `no-double-shipment` meant?",
        );
    }

    #[test]
    fn faults_are_checked_for_sense_and_for_their_place() {
        let fault = |kind, change: fn(&mut Fault)| {
            let mut fault = Fault::new(kind);
            change(&mut fault);
            move |plan: &mut Plan| plan.faults = vec![fault]
        };
        check(
            fault(Kind::Status, |fault| fault.on = Some("carrier".to_owned())),
            "fault[0]: `status` needs `status`",
        );
        check(
            fault(Kind::Empty, |fault| {
                fault.on = Some("messenger".to_owned());
                fault.endpoint = Some("RegBook".to_owned());
            }),
            "fault[0].endpoint: there is no endpoint `RegBook`",
        );
        check(
            fault(Kind::Busy, |fault| {
                fault.on = Some("carrier".to_owned());
                fault.endpoint = Some("settle-parcl".to_owned());
            }),
            "fault[0].on: must be `store`\n\
             fault[0].endpoint: there is no endpoint `settle-parcl`; is `settle-parcel` meant?",
        );
        check(
            fault(Kind::BrokerRestart, |fault| {
                fault.on = Some("store".to_owned());
                fault.endpoint = Some("delivr".to_owned());
                (fault.by, fault.times) = (Some(Duration::from_secs(1)), Some(1));
            }),
            "fault[0].on: must be `queue`\n\
             fault[0].endpoint: there is no endpoint `delivr`; is `deliver` meant?",
        );
        check(
            fault(Kind::Crash, |fault| {
                fault.node = Some(1);
                fault.when = Some(When::After);
            }),
            "fault[0].when: needs the `endpoint` of the call\n\
             fault[0].node: is no node of this world (they count from 0)",
        );
    }

    #[test]
    fn the_settings_of_the_fakes_are_checked_in_their_own_words() {
        check(
            |plan| plan.gateway.sends_per_second = 0,
            "gateway: `sends_per_second` must be at least 1; \
             `limits = \"off\"` takes the limits away",
        );
        check(
            |plan| plan.carrier.windows[0].calls = 0,
            "carrier: carrier settings: `windows` must each admit a call and last a microsecond",
        );
        check(
            |plan| plan.oms.carrier.calls.attempts = 0,
            "oms.carrier.calls.attempts: must be at least 1",
        );
    }
}
