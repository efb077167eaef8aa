//! Fewer faults, with fewer words; fewer nodes; less of everything else that makes trouble.

use std::time::Duration;

use faults::Fault;

use super::search::Found;
use crate::plan::{OrderOverride, Plan};

/// Plans without some of the faults: without all, without halves, without quarters, and so on.
pub(super) fn fewer(found: &Found) -> Vec<Plan> {
    let faults = &found.plan.faults;
    let mut plans = Vec::new();
    let mut size = faults.len();
    while size > 0 {
        for from in (0..faults.len()).step_by(size) {
            let mut left = faults.clone();
            left.drain(from..(from + size).min(faults.len()));
            plans.push(Plan { faults: left, ..found.plan.clone() });
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    // One alone, which halving comes to late.
    let alone = faults.iter().map(|fault| vec![fault.clone()]);
    plans.extend(alone.map(|faults| Plan { faults, ..found.plan.clone() }));
    plans
}

/// Plans of fewer nodes; what befell the missing ones befalls one that is left, or nobody.
pub(super) fn fewer_nodes(found: &Found) -> Vec<Plan> {
    let plan = &found.plan;
    let fewer = (1..plan.world.nodes).flat_map(|nodes| {
        let mut moved = plan.clone();
        moved.world.nodes = nodes;
        for fault in &mut moved.faults {
            fault.node = fault.node.map(|node| node.min(nodes - 1));
        }
        let mut spared = moved.clone();
        spared.faults = plan.faults.clone();
        spared.faults.retain(|fault| fault.node.is_none_or(|node| node < nodes));
        [moved, spared]
    });
    fewer.collect()
}

/// Plans without the neighbour, without scans, and with plainer orders.
pub(super) fn fewer_troubles(found: &Found) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut try_without = |change: &dyn Fn(&mut Plan)| {
        let mut plan = found.plan.clone();
        change(&mut plan);
        plans.push(plan);
    };
    try_without(&|plan| plan.neighbour = None);
    try_without(&|plan| plan.scans.clear());
    try_without(&|plan| {
        plan.workload.order.clear();
        plan.workload.parcels = 1;
    });
    for place in 0..found.plan.scans.len() {
        try_without(&|plan| {
            plan.scans.remove(place);
        });
    }
    for place in 0..found.plan.operations.len() {
        try_without(&|plan| {
            plan.operations.remove(place);
        });
    }
    for place in 0..found.plan.workload.order.len() {
        try_without(&|plan| drop(plan.workload.order.remove(place)));
    }
    for plainer in PLAINER {
        for place in 0..found.plan.workload.order.len() {
            try_without(&|plan| plainer(&mut plan.workload.order[place]));
        }
    }
    for parcels in 1..found.plan.workload.parcels {
        try_without(&|plan| plan.workload.parcels = parcels);
    }
    plans
}

/// What can be taken away from what is said of one order.
const PLAINER: &[fn(&mut OrderOverride)] = &[
    |order| order.at = None,
    |order| order.parcels = None,
    |order| order.parcels = order.parcels.map(|parcels| parcels.min(2)),
    |order| order.name = None,
    |order| order.phone = None,
    |order| order.postcode = None,
    |order| order.line1 = None,
    |order| order.cancel_after = None,
    |order| order.cancel_after = order.cancel_after.map(|_| Duration::ZERO),
];

/// Plans of which a fault has a word less.
pub(super) fn fewer_fields(found: &Found) -> Vec<Plan> {
    each(&found.plan, FEWER_FIELDS)
}

const FEWER_FIELDS: &[fn(&mut Fault)] = &[
    |fault| (fault.from, fault.until) = (None, None),
    |fault| fault.from = None,
    |fault| fault.until = None,
    |fault| fault.rate = None,
    |fault| (fault.rate, fault.times) = (None, Some(1)),
    |fault| (fault.rate, fault.attempt) = (None, Some(1)),
    |fault| (fault.rate, fault.nth) = (None, Some(1)),
    |fault| (fault.rate, fault.times) = (None, Some(2)),
    |fault| (fault.rate, fault.times) = (None, Some(3)),
    |fault| fault.times = Some(1),
    |fault| fault.attempt = Some(1),
    |fault| (fault.times, fault.from, fault.until) = (Some(1), None, None),
    |fault| (fault.times, fault.from, fault.until) = (Some(2), None, None),
    |fault| fault.key = None,
    |fault| (fault.key, fault.attempt, fault.nth) = (None, None, Some(1)),
    |fault| (fault.key, fault.attempt, fault.times) = (None, None, Some(1)),
    |fault| fault.attempt = None,
    |fault| fault.nth = None,
    |fault| (fault.nth, fault.times) = (None, Some(1)),
    |fault| (fault.nth, fault.attempt) = (None, Some(1)),
    |fault| fault.nth = Some(1),
    |fault| fault.times = None,
    |fault| fault.endpoint = None,
    |fault| fault.processed = None,
    |fault| fault.retry_after = None,
    |fault| fault.detail = None,
    |fault| fault.bytes = None,
    |fault| fault.by = None,
    |fault| fault.node = None,
];

/// Plans whose orders all come in at once, or as orders usually do.
pub(super) fn at_once(found: &Found) -> Vec<Plan> {
    let mut burst = found.plan.clone();
    burst.workload.over = Duration::ZERO;
    for order in &mut burst.workload.order {
        order.at = None;
    }
    burst
        .workload
        .order
        .retain(|order| *order != OrderOverride { index: order.index, ..OrderOverride::default() });
    vec![burst]
}

/// Delays as a person would write them, the shortest first.
const ROUND_SECS: &[u64] =
    &[1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 14_400];

/// Plans whose faults take less long.
pub(super) fn shorter(found: &Found) -> Vec<Plan> {
    let plan = &found.plan;
    let mut plans = Vec::new();
    type Part = fn(&mut Fault) -> &mut Option<Duration>;
    let parts: [Part; 3] = [|f| &mut f.by, |f| &mut f.from, |f| &mut f.until];
    for place in 0..plan.faults.len() {
        for part in parts {
            let Some(now) = *part(&mut plan.faults[place].clone()) else { continue };
            let round = ROUND_SECS.iter().map(|secs| Duration::from_secs(*secs));
            let half = Duration::from_millis(u64::try_from(now.as_millis() / 2).unwrap_or(0));
            for shorter in round.chain([half]).filter(|shorter| *shorter < now) {
                let mut plan = plan.clone();
                *part(&mut plan.faults[place]) = Some(shorter);
                plans.push(plan);
            }
        }
    }
    plans
}

/// Plans of which one fault is changed in one of these ways.
fn each(plan: &Plan, ways: &[fn(&mut Fault)]) -> Vec<Plan> {
    let places = 0..plan.faults.len();
    let changed = places.flat_map(|place| ways.iter().map(move |way| (place, way)));
    let changed = changed.map(|(place, way)| {
        let mut plan = plan.clone();
        way(&mut plan.faults[place]);
        plan
    });
    changed.filter(|changed| changed != plan).collect()
}
