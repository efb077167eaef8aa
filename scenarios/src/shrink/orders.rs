//! Fewer orders: some are kept and counted anew, and with them what the plan says of them.

use std::time::Duration;

use clockwork::Entropy;
use faults::Fault;

use super::search::Found;
use crate::evidence::Evidence;
use crate::plan::{Pattern, Plan, Site};

/// So many orders that a violation names are tried alone.
const NAMED_MAX: usize = 3;
/// Of more orders than this single ones are not left out.
const SINGLY_MAX: u32 = 24;

/// Plans of fewer orders, the fewest first.
pub(super) fn candidates(found: &Found) -> Vec<Plan> {
    sets(found).iter().flat_map(|kept| keep(found, kept)).collect()
}

/// Plans of so many orders at most: this one, where it has no more.
pub(super) fn at_most(found: &Found, orders: u32) -> Vec<Plan> {
    if found.plan.workload.orders <= orders {
        return vec![found.plan.clone()];
    }
    let kept = sets(found).into_iter().filter(|kept| kept.len() <= orders as usize);
    kept.flat_map(|kept| keep(found, &kept)).collect()
}

/// Which orders are kept, by their places from 1.
fn sets(found: &Found) -> Vec<Vec<u32>> {
    let orders = found.plan.workload.orders;
    let named = found.orders_named();
    let bad = found.evidence.bad_orders();
    let bad: Vec<u32> = bad.into_iter().filter_map(|id| index_of(&found.plan, id)).collect();
    let mut sets: Vec<Vec<u32>> = Vec::new();
    let interesting = named.iter().chain(&bad).copied().take(2 * NAMED_MAX);
    sets.extend(interesting.map(|index| vec![index]));
    sets.extend([vec![1], vec![1, 2]]);
    for place in named.iter().copied().take(NAMED_MAX) {
        let other = bad.iter().chain(&named).copied().find(|other| *other != place);
        sets.extend(other.map(|other| vec![place, other]));
        // Whoever came next before or after it.
        sets.push(vec![place.saturating_sub(1), place]);
        sets.push(vec![place, place + 1]);
    }
    let all: Vec<u32> = (1..=orders).collect();
    let mut size = orders.div_ceil(2);
    while size > 1 {
        let chunks = all.chunks(size as usize);
        sets.extend(chunks.map(|gone| without(&all, gone)));
        if orders > SINGLY_MAX && size <= orders / 8 {
            break;
        }
        size /= 2;
    }
    if orders <= SINGLY_MAX {
        sets.extend(all.iter().map(|gone| without(&all, &[*gone])));
    }
    for kept in &mut sets {
        kept.retain(|index| (1..=orders).contains(index));
        kept.sort_unstable();
        kept.dedup();
    }
    sets.retain(|kept| !kept.is_empty() && kept.len() < all.len());
    sets.sort_by_key(Vec::len);
    let mut seen = std::collections::BTreeSet::new();
    sets.retain(|kept| seen.insert(kept.clone()));
    sets
}

fn without(all: &[u32], gone: &[u32]) -> Vec<u32> {
    all.iter().copied().filter(|index| !gone.contains(index)).collect()
}

/// The place of the order called `id`.
pub(super) fn index_of(plan: &Plan, id: &str) -> Option<u32> {
    let number = id.strip_prefix(plan.workload.prefix.as_str())?.strip_prefix('-')?;
    number.parse().ok().filter(|index| (1..=plan.workload.orders).contains(index))
}

/// The plan of the orders `kept` alone, with several ways for them to come in.
fn keep(found: &Found, kept: &[u32]) -> Vec<Plan> {
    let mut plan = found.plan.clone();
    let place = |index: u32| (1..).zip(kept).find(|(_, old)| **old == index).map(|(new, _)| new);
    plan.workload.orders = kept.len() as u32;
    plan.workload
        .order
        .retain_mut(|order| place(order.index).map(|index| order.index = index).is_some());
    plan.scans.retain_mut(|scan| place(scan.order).map(|order| scan.order = order).is_some());
    plan.operations.retain_mut(|it| place(it.order).map(|order| it.order = order).is_some());
    let renamed = |text: &str| -> Option<String> {
        let Some(id) = found.evidence.order_of(text) else { return Some(text.to_owned()) };
        let index = place(index_of(&found.plan, id)?)?;
        Some(format!("{}{}", plan.workload.id(index), &text[id.len()..]))
    };
    plan.bad = plan.bad.iter().filter_map(|id| renamed(id)).collect();
    let counted = |named: bool| -> Vec<Fault> {
        let faults = found.plan.faults.iter().filter_map(|fault| {
            let mut fault = fault.clone();
            if let Some(key) = &fault.key {
                fault.key = Some(renamed(key)?);
            }
            recount(&mut fault, found, kept, named);
            if let (true, Some(key)) = (named, &fault.key) {
                fault.key = Some(renamed(key).unwrap_or_else(|| key.clone()));
            }
            Some(fault)
        });
        faults.collect()
    };
    let (by_number, by_name) = (counted(false), counted(true));
    settle(&mut plan, found, kept);
    let mut plans = Vec::new();
    let named = (by_name != by_number).then_some(by_name);
    for faults in std::iter::once(by_number).chain(named) {
        let plan = Plan { faults, ..plan.clone() };
        plans.extend(arrivals(&plan, found, kept));
    }
    plans
}

/// Takes the orders that are gone out of what the plan expects, each where it ended.
fn settle(plan: &mut Plan, found: &Found, kept: &[u32]) {
    use oms_core::state::OrderState::*;
    let expect = &mut plan.expect;
    for index in (1..=found.plan.workload.orders).filter(|index| !kept.contains(index)) {
        let id = found.plan.workload.id(index);
        let ended = found.evidence.row(&id).map(|row| row.state);
        let first = match ended {
            None => &mut expect.refused,
            Some(Rejected) => &mut expect.rejected,
            Some(DeliveryFailed) => &mut expect.delivery_failed,
            Some(NotifyFailed) => &mut expect.notify_failed,
            Some(Cancelled) => &mut expect.cancelled,
            Some(Attention) => &mut expect.attention,
            Some(_) => &mut expect.completed,
        };
        if *first > 0 {
            *first -= 1;
            continue;
        }
        let others = [
            &mut expect.completed,
            &mut expect.rejected,
            &mut expect.delivery_failed,
            &mut expect.notify_failed,
            &mut expect.cancelled,
            &mut expect.attention,
            &mut expect.refused,
        ];
        if let Some(count) = others.into_iter().find(|count| **count > 0) {
            *count -= 1;
        }
    }
}

/// Where the fault counts calls: the count without the calls of the orders that are gone, or the
/// very call by its key.
fn recount(fault: &mut Fault, found: &Found, kept: &[u32], named: bool) {
    let Some(nth) = fault.nth else { return };
    let Some(requests) = requests(&found.evidence, Site::of(fault)) else { return };
    let counts = |request: &&faults::RequestRecord| {
        fault.endpoint.as_ref().is_none_or(|endpoint| *endpoint == request.endpoint)
    };
    let same = || requests.iter().filter(counts);
    let Some(hit) = same().nth(usize::try_from(nth - 1).unwrap_or(usize::MAX)) else { return };
    let stays = |request: &&faults::RequestRecord| {
        let order = request.key.as_deref().and_then(|key| found.evidence.order_of(key));
        let index = order.and_then(|order| index_of(&found.plan, order));
        index.is_none_or(|index| kept.contains(&index))
    };
    let earlier = same().take_while(|request| request.id < hit.id).filter(stays).count();
    if named {
        (fault.nth, fault.key, fault.attempt) = (None, hit.key.clone(), Some(hit.attempt));
        fault.endpoint = Some(hit.endpoint.clone());
    } else {
        fault.nth = Some(earlier as u64 + 1);
    }
}

/// The requests that a fake saw.
pub(super) fn requests(
    evidence: &Evidence,
    site: Option<Site>,
) -> Option<&[faults::RequestRecord]> {
    match site? {
        Site::Carrier => Some(&evidence.carrier.requests),
        Site::Messenger => Some(&evidence.messenger.requests),
        Site::Node | Site::Store | Site::Queue => None,
    }
}

/// The orders come in as the plan spreads them, all at once, or each when it came in before.
fn arrivals(plan: &Plan, found: &Found, kept: &[u32]) -> Vec<Plan> {
    let mut plain = plan.clone();
    (plain.workload.over, plain.workload.pattern) = (Duration::from_secs(10), Pattern::Even);
    let mut burst = plain.clone();
    burst.workload.over = Duration::ZERO;
    let mut pinned = plain.clone();
    let entropy = Entropy::new(found.plan.seed).fork("workload", 0);
    for (new, old) in (1..).zip(kept) {
        let at = Some(found.plan.workload.arrival(*old, entropy));
        match pinned.workload.order.iter_mut().find(|order| order.index == new) {
            Some(order) => order.at = at,
            None => pinned.workload.order.push(crate::plan::OrderOverride {
                index: new,
                at,
                ..crate::plan::OrderOverride::default()
            }),
        }
    }
    vec![plain, burst, pinned, plan.clone()]
}
