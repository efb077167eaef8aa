//! Leaps: two orders and two faults at most, and several more changes at once, drawn.
//!
//! A plan can be one from which no single change leads on: where a fault counts what all orders do,
//! fewer orders want another count, and often another time of day or fewer nodes with it. What takes
//! many orders takes few where the quota is narrow, breakers are touchy or orders have many parcels.

use std::time::Duration;

use faults::{Fault, Kind, Target, When};

use super::calls::untriggered;
use super::orders;
use super::search::Found;
use crate::explore::Dice;
use crate::plan::{
    CARRIER_ENDPOINTS, MESSENGER_ENDPOINTS, OrderOverride, Plan, STORE_OPERATIONS, Site,
};

/// What every plan should be shrunk to: so many orders, and so many faults.
const ENOUGH: (u32, usize) = (2, 2);
/// So many leaps are tried.
const LEAPS: u64 = 3_000;
/// So many changes are made at once, beside the orders and faults that go.
const CHANGES_MAX: u32 = 4;

/// Plans that are small enough; none, when this one is.
pub(super) fn candidates(found: &Found) -> Vec<Plan> {
    let plan = &found.plan;
    if plan.workload.orders <= ENOUGH.0 && plan.faults.len() <= ENOUGH.1 {
        return Vec::new();
    }
    let bases: Vec<Plan> = orders::at_most(found, ENOUGH.0).iter().flat_map(few_faults).collect();
    if bases.is_empty() {
        return Vec::new();
    }
    (0..LEAPS).map(|number| leap(&bases, Dice::of_leap(plan.seed, number))).collect()
}

/// The plan with one or two of its faults.
fn few_faults(plan: &Plan) -> Vec<Plan> {
    if plan.faults.len() <= ENOUGH.1 {
        return vec![plan.clone()];
    }
    let faults = &plan.faults;
    let places = 0..faults.len();
    let pairs = places.flat_map(|one| (one..faults.len()).map(move |other| (one, other)));
    pairs
        .map(|(one, other)| {
            let mut left = vec![faults[one].clone()];
            left.extend((one != other).then(|| faults[other].clone()));
            Plan { faults: left, ..plan.clone() }
        })
        .collect()
}

fn leap(bases: &[Plan], dice: Dice) -> Plan {
    let mut plan = bases[dice.between("base", 0, bases.len() as u64 - 1) as usize].clone();
    if dice.chance("plain", 0.5) {
        plain_world(&mut plan);
    }
    for number in 0..dice.count("changes", 1, CHANGES_MAX) {
        let dice = dice.fork("change", number);
        dice.pick("which", CHANGES)(&mut plan, dice);
    }
    plan
}

type Change = fn(&mut Plan, Dice);

/// What a leap may change.
const CHANGES: &[Change] = &[
    count_anew,
    count_in_turn,
    elsewhere,
    elsewhere,
    at_all_calls,
    narrower_quota,
    touchier_breakers,
    more_parcels,
    another_seed,
    call_back_at_another_time,
    start_at_another_time,
    come_at_another_time,
    stay_down_longer,
];

/// Delays that things may take, from too short to matter to longer than all that a plan waits for.
const DELAYS: &[Duration] = &[
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];

/// The highest number that a count is given.
const COUNT_MAX: u64 = 6;
/// The highest seed.
const SEED_MAX: u64 = 64;

fn drawn_fault(plan: &mut Plan, dice: Dice) -> Option<&mut Fault> {
    let last = (plan.faults.len() as u64).checked_sub(1)?;
    plan.faults.get_mut(dice.between("fault", 0, last) as usize)
}

/// A fault hits another one of the things that it counts.
fn count_anew(plan: &mut Plan, dice: Dice) {
    let Some(fault) = drawn_fault(plan, dice) else { return };
    hit_the(fault, dice.between("count", 1, COUNT_MAX));
}

/// One after another is hit, each fault by the next.
fn count_in_turn(plan: &mut Plan, dice: Dice) {
    let first = dice.between("count", 1, COUNT_MAX);
    for (count, fault) in (first..).zip(&mut plan.faults) {
        hit_the(fault, count);
    }
}

fn hit_the(fault: &mut Fault, count: u64) {
    let (endpoint, at_point) = (fault.endpoint.clone(), fault.point.is_some());
    let (point, nth) = if at_point { (Some(count), None) } else { (None, Some(count)) };
    *fault = Fault { endpoint, point, nth, ..untriggered(fault) };
}

/// A fault hits another endpoint, another operation, or fells a node at a call.
fn elsewhere(plan: &mut Plan, dice: Dice) {
    let Some(fault) = drawn_fault(plan, dice) else { return };
    let called = [CARRIER_ENDPOINTS, MESSENGER_ENDPOINTS].concat();
    let endpoint = match Site::of(fault) {
        Some(Site::Carrier) if fault.when.is_none() => dice.pick("endpoint", CARRIER_ENDPOINTS),
        Some(Site::Messenger) if fault.when.is_none() => dice.pick("endpoint", MESSENGER_ENDPOINTS),
        Some(Site::Store) => dice.pick("endpoint", STORE_OPERATIONS),
        Some(Site::Queue) | None => return,
        Some(_) => dice.pick("endpoint", &called),
    };
    *fault = Fault {
        endpoint: Some(endpoint.to_owned()),
        nth: Some(dice.between("count", 1, COUNT_MAX)),
        ..untriggered(fault)
    };
    if matches!(fault.kind, Kind::Crash | Kind::Stall) {
        let messenger = MESSENGER_ENDPOINTS.contains(&endpoint);
        fault.on = Some(if messenger { "messenger" } else { "carrier" }.to_owned());
        fault.when = Some(dice.pick("when", &[When::Before, When::After]));
    }
}

/// A fault hits the first calls of its endpoint, whosever they are.
fn at_all_calls(plan: &mut Plan, dice: Dice) {
    let Some(fault) = drawn_fault(plan, dice) else { return };
    if fault.kind.target() == Target::Call {
        let (endpoint, times) = (fault.endpoint.clone(), Some(dice.count("times", 1, 3)));
        *fault = Fault { endpoint, times: times.map(Into::into), ..untriggered(fault) };
    }
}

/// One node, and nobody who decides what comes first.
fn plain_world(plan: &mut Plan) {
    (plan.world.nodes, plan.world.priorities) = (1, 0);
    for fault in &mut plan.faults {
        fault.node = fault.node.map(|_| 0);
    }
}

/// So many calls in a second on both sides, or ten a second and so many in a minute.
fn narrower_quota(plan: &mut Plan, dice: Dice) {
    let calls = dice.pick("calls", &[1, 2, 4]);
    let windows: &[(u32, u64)] =
        if dice.chance("minute", 0.5) { &[(10, 1), (calls, 60)] } else { &[(calls, 1)] };
    let windows = windows.iter().map(|(calls, secs)| (*calls, Duration::from_secs(*secs)));
    let carrier = windows.clone().map(|(calls, per)| fake_cj::config::Window { calls, per });
    plan.carrier.windows = carrier.collect();
    let service = windows.map(|(calls, per)| oms_core::store::Window { calls, per });
    plan.oms.carrier.calls.windows = service.collect();
}

/// Breakers that look at one or two calls and no more.
fn touchier_breakers(plan: &mut Plan, dice: Dice) {
    let calls = dice.between("calls", 1, 2) as usize;
    for calls_of in [&mut plan.oms.carrier.calls, &mut plan.oms.messenger.calls] {
        (calls_of.breaker.calls_min, calls_of.breaker.window_calls) = (calls, calls);
    }
}

/// One order does with many parcels what many do.
fn more_parcels(plan: &mut Plan, dice: Dice) {
    let parcels = dice.pick("parcels", &[2, 3, 10]);
    match dice.between("of", 0, 2) as u32 {
        0 => plan.workload.parcels = parcels,
        index => of_order(plan, index).parcels = Some(parcels),
    }
}

fn another_seed(plan: &mut Plan, dice: Dice) {
    plan.seed = dice.between("another", 1, SEED_MAX);
}

fn call_back_at_another_time(plan: &mut Plan, dice: Dice) {
    for order in plan.workload.order.iter_mut().filter(|order| order.cancel_after.is_some()) {
        order.cancel_after = Some(dice.pick("after", DELAYS));
    }
}

/// Earlier: what was at midnight, say, is later in the run.
fn start_at_another_time(plan: &mut Plan, dice: Dice) {
    plan.start = plan.start - dice.pick("earlier", DELAYS);
}

fn come_at_another_time(plan: &mut Plan, dice: Dice) {
    plan.workload.over = dice.pick("over", DELAYS);
    for order in &mut plan.workload.order {
        order.at = None;
    }
}

fn stay_down_longer(plan: &mut Plan, dice: Dice) {
    plan.world.restart_after = dice.pick("down", DELAYS);
}

/// What is said of the order at place `index`.
fn of_order(plan: &mut Plan, index: u32) -> &mut OrderOverride {
    let orders = &mut plan.workload.order;
    let place = orders.iter().position(|order| order.index == index).unwrap_or_else(|| {
        orders.push(OrderOverride { index, ..OrderOverride::default() });
        orders.len() - 1
    });
    &mut orders[place]
}

#[cfg(test)]
mod tests {
    use super::super::size::Size;
    use super::*;
    use crate::testing::Builder;

    fn found(change: impl FnOnce(&mut Plan)) -> Found {
        let evidence = Builder::clean(5).plan(change).evidence();
        let plan = evidence.plan.clone();
        Found { size: Size::of(&plan), plan, evidence, violations: Vec::new() }
    }

    fn refusal(nth: u64) -> Fault {
        let (on, endpoint) = (Some("carrier".to_owned()), Some("RegBook".to_owned()));
        Fault { on, endpoint, nth: Some(nth), ..Fault::new(Kind::Refuse) }
    }

    #[test]
    fn leaps_are_small_and_the_same_each_time_and_a_small_plan_needs_none() {
        let large = found(|plan| plan.faults = (1..=3).map(refusal).collect());
        let leaps = candidates(&large);
        assert_eq!(leaps.len() as u64, LEAPS);
        assert!(leaps.iter().all(|plan| plan.workload.orders <= 2 && plan.faults.len() <= 2));
        assert_eq!(leaps, candidates(&large));
        let small = Found { plan: leaps[0].clone(), ..large };
        assert_eq!(candidates(&small), []);
    }

    #[test]
    fn each_change_changes_what_it_is_named_for_and_leaves_a_plan_that_can_be_run() {
        let mut plan = Plan::healthy("p", 2);
        plan.faults = vec![refusal(3)];
        of_order(&mut plan, 1).cancel_after = Some(Duration::from_secs(3));
        for (place, change) in CHANGES.iter().enumerate() {
            let changed = (0..40).map(|number| {
                let mut changed = plan.clone();
                change(&mut changed, Dice::of_leap(1, number));
                changed
            });
            let sound = changed.filter(|changed| *changed != plan && changed.problems().is_empty());
            assert!(sound.count() >= 5, "change {place}");
        }
    }
}
