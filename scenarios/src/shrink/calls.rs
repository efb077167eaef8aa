//! Faults that name the very thing that they hit, in place of chance, windows and points.

use std::time::Duration;

use faults::{Fault, Kind, RequestRecord, Target, When};
use oms_core::env::Event;

use super::orders::requests;
use super::search::Found;
use crate::history::{Step, What};
use crate::plan::{Plan, Site};
use crate::queue;

/// So many calls that a fault hit are tried in its place.
const HITS_MAX: usize = 24;
/// So many calls around a crash are tried in its place.
const NEAR_MAX: usize = 24;
/// So many uses of each of the store's operations are tried.
const USES_MAX: u64 = 6;
/// So many openings of a connection are tried.
const OPENINGS_MAX: u64 = 12;
/// So many scheduling points are tried: those of the first few orders.
const POINTS_MAX: u64 = 400;

/// Plans of which a fault names what it hits.
pub(super) fn named(found: &Found) -> Vec<Plan> {
    let faults = found.plan.faults.iter().enumerate();
    let plans = faults.flat_map(|(place, fault)| {
        let replaced = match fault.kind.target() {
            Target::Call => of_calls(found, place, fault),
            Target::Connection => of_connections(fault),
            Target::Store => of_store(found, fault),
            Target::Node => of_nodes(found, fault),
            Target::Queue => of_queue(found, place, fault),
            // It names its moment already.
            Target::Server => Vec::new(),
        };
        replaced.into_iter().map(move |fault| replace(&found.plan, place, fault))
    });
    plans.collect()
}

fn replace(plan: &Plan, place: usize, fault: Fault) -> Plan {
    let mut plan = plan.clone();
    plan.faults[place] = fault;
    plan
}

/// The fault without all that says when it fires.
pub(super) fn untriggered(fault: &Fault) -> Fault {
    Fault {
        endpoint: None,
        key: None,
        attempt: None,
        nth: None,
        from: None,
        until: None,
        rate: None,
        times: None,
        point: None,
        ..fault.clone()
    }
}

fn of_calls(found: &Found, place: usize, fault: &Fault) -> Vec<Fault> {
    if !is_vague(fault) {
        return Vec::new();
    }
    let site = Site::of(fault);
    let Some(requests) = requests(&found.evidence, site) else { return Vec::new() };
    let before = &found.plan.faults[..place];
    let index = before.iter().filter(|other| Site::of(other) == site).count();
    let hit = |request: &&RequestRecord| request.fault.as_ref().is_some_and(|h| h.index == index);
    let hits = requests.iter().filter(hit).take(HITS_MAX);
    hits.flat_map(|request| this_call(fault, request)).collect()
}

fn is_vague(fault: &Fault) -> bool {
    let Fault { nth, key, attempt, .. } = fault;
    fault.rate.is_some() || (nth.is_none() && (key.is_none() || attempt.is_none()))
}

/// The fault on one call, by its number and by its key.
fn this_call(fault: &Fault, request: &RequestRecord) -> [Fault; 2] {
    let plain = Fault { endpoint: Some(request.endpoint.clone()), ..untriggered(fault) };
    let numbered = Fault { nth: Some(request.nth), ..plain.clone() };
    let keyed = Fault { key: request.key.clone(), attempt: Some(request.attempt), ..plain };
    [numbered, keyed]
}

fn of_connections(fault: &Fault) -> Vec<Fault> {
    if fault.nth.is_some() {
        return Vec::new();
    }
    (1..=OPENINGS_MAX).map(|nth| Fault { nth: Some(nth), ..untriggered(fault) }).collect()
}

fn of_store(found: &Found, fault: &Fault) -> Vec<Fault> {
    if fault.nth.is_some() && fault.endpoint.is_some() {
        return Vec::new();
    }
    let mut operations: Vec<&str> = Vec::new();
    for record in &found.evidence.records {
        if let What::Oms(Event::TxBegin { op, .. }) = &record.what
            && !operations.contains(&op.as_str())
        {
            operations.push(op);
        }
    }
    operations.retain(|op| crate::plan::STORE_OPERATIONS.contains(op));
    let uses = (1..=USES_MAX).flat_map(|nth| operations.iter().map(move |op| (nth, *op)));
    uses.map(|(nth, op)| {
        let endpoint = Some(op.to_owned());
        Fault { endpoint, nth: Some(nth), ..untriggered(fault) }
    })
    .collect()
}

/// The fault on one message, by the number of the operation and by the message.
fn of_queue(found: &Found, place: usize, fault: &Fault) -> Vec<Fault> {
    let Some(ledger) = found.evidence.queue.as_ref().filter(|_| is_vague(fault)) else {
        return Vec::new();
    };
    let before = &found.plan.faults[..place];
    let index = before.iter().filter(|other| Site::of(other) == Some(Site::Queue)).count();
    let hits = ledger.hits.iter().filter(|hit| hit.by.index == index).take(HITS_MAX);
    let named = |hit: &queue::Hit| {
        let endpoint = fault.kind.endpoint().is_none().then(|| hit.operation.clone());
        let plain = Fault { endpoint, ..untriggered(fault) };
        let keyed = Fault { key: Some(hit.id.clone()), attempt: Some(1), ..plain.clone() };
        let numbered = (1..=USES_MAX).map(move |nth| Fault { nth: Some(nth), ..plain.clone() });
        numbered.chain([keyed]).collect::<Vec<_>>()
    };
    hits.flat_map(named).collect()
}

/// A node that dies or stands still at a call, which a real one can do too.
fn of_nodes(found: &Found, fault: &Fault) -> Vec<Fault> {
    if !matches!(fault.kind, Kind::Crash | Kind::Stall)
        || (fault.when.is_some() && !is_vague(fault))
    {
        return Vec::new();
    }
    let felled = found.evidence.records.iter().filter(|record| {
        matches!(&record.what, What::Drill(Step::NodeCrashed | Step::NodeStalled { .. }))
    });
    let felled: Vec<_> = felled.map(|record| record.at).collect();
    let distance = |request: &RequestRecord| {
        let distances =
            felled.iter().map(|felled| request.at.max(*felled).since(request.at.min(*felled)));
        distances.min()
    };
    let mut near: Vec<(Duration, &str, &RequestRecord)> = Vec::new();
    for (on, requests) in [
        ("carrier", &found.evidence.carrier.requests),
        ("messenger", &found.evidence.messenger.requests),
    ] {
        near.extend(
            requests
                .iter()
                .filter_map(|request| distance(request).map(|distance| (distance, on, request))),
        );
    }
    near.sort_by_key(|(distance, _, request)| (*distance, request.id));
    let near = near.into_iter().take(NEAR_MAX);
    let at_calls = near.flat_map(|(_, on, request)| {
        [When::After, When::Before].into_iter().flat_map(move |when| {
            this_call(fault, request).map(|at_call| Fault {
                on: Some(on.to_owned()),
                when: Some(when),
                ..at_call
            })
        })
    });
    at_calls.collect()
}

/// Plans of which a crash or a stall is at another scheduling point, in as many orders as there
/// are and in fewer: which point it is depends on everything that happens before.
pub(super) fn points(found: &Found) -> Vec<Plan> {
    let plan = &found.plan;
    let at_points = |fault: &Fault| {
        fault.kind.target() == Target::Node
            && (fault.point.is_some() || fault.rate.is_some())
            && fault.when.is_none()
    };
    let Some(place) = plan.faults.iter().position(at_points) else { return Vec::new() };
    let mut bases = super::orders::candidates(found);
    bases.retain(|base| base.workload.orders <= 2 && base.faults.len() == plan.faults.len());
    bases.truncate(2);
    if plan.faults[place].rate.is_some() {
        bases.push(plan.clone());
    }
    // A late order passes many points before it comes in.
    for base in bases.clone() {
        let mut early = base;
        early.workload.order.retain(|order| order.at.is_none());
        bases.insert(0, early);
    }
    bases.dedup();
    let points = bases.iter().flat_map(|base| {
        (1..=POINTS_MAX).map(move |point| {
            let fault = Fault { point: Some(point), ..untriggered(&base.faults[place]) };
            replace(base, place, fault)
        })
    });
    points.collect()
}
