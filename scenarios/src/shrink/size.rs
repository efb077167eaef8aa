//! How large a plan is: what shrinking makes less.

use std::time::Duration;

use faults::{Fault, Target};
use toml::Value;

use crate::plan::Plan;

/// The size of a plan. What stands first counts most: it is worth any amount of the rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Orders.
    pub orders: u32,
    /// Faults.
    pub faults: usize,
    /// Nodes.
    pub nodes: u32,
    /// How far the faults are from naming the very thing that they hit.
    vagueness: u32,
    /// Settings that are not the default.
    settings: usize,
    /// All delays of the faults.
    delays: Duration,
    /// The length of the file, in bytes.
    text_bytes: usize,
}

impl Size {
    /// The size of `plan`.
    pub fn of(plan: &Plan) -> Size {
        let delays = plan.faults.iter().flat_map(|fault| [fault.by, fault.from, fault.until]);
        let written = plan.differences();
        let counted = |key: &str| !matches!(key, "expect" | "fault" | "name" | "why" | "version");
        let settings =
            written.iter().filter(|(key, _)| counted(key)).map(|(_, value)| leaves(value));
        Size {
            orders: plan.workload.orders,
            faults: plan.faults.len(),
            nodes: plan.world.nodes,
            vagueness: plan.faults.iter().map(vagueness).sum(),
            settings: settings.sum(),
            delays: delays.flatten().sum(),
            text_bytes: plan.to_terse_toml().len(),
        }
    }
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Table(table) => table.values().map(leaves).sum(),
        Value::Array(list) if list.iter().all(Value::is_table) => list.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// The weights only put triggers in order: a named call is better than a window, a window better
/// than a scheduling point (which only the simulator has), and anything better than chance.
fn vagueness(fault: &Fault) -> u32 {
    let Fault { key, attempt, nth, times, .. } = fault;
    let named = key.is_some() || attempt.is_some() || nth.is_some() || times.is_some();
    // A clock is wrong all the time: it has no triggers.
    let triggers = fault.kind.target() != Target::Node || fault.when.is_some();
    let weights = [
        (fault.rate.is_some(), 8),
        (fault.point.is_some(), 3),
        (fault.only_simulated().is_some(), 2),
        (triggers && !named, 1),
        (fault.from.is_some(), 1),
        (fault.until.is_some(), 1),
    ];
    weights.into_iter().filter_map(|(holds, weight)| holds.then_some(weight)).sum()
}

#[cfg(test)]
mod tests {
    use faults::Kind;

    use super::*;

    #[track_caller]
    fn check_smaller(small: impl FnOnce(&mut Plan), large: impl FnOnce(&mut Plan)) {
        let mut plans = [Plan::healthy("p", 4), Plan::healthy("p", 4)];
        small(&mut plans[0]);
        large(&mut plans[1]);
        assert!(Size::of(&plans[0]) < Size::of(&plans[1]));
    }

    fn reset() -> Fault {
        let (on, endpoint) = (Some("carrier".to_owned()), Some("RegBook".to_owned()));
        Fault { on, endpoint, ..Fault::new(Kind::ResetAfter) }
    }

    #[test]
    fn an_order_less_is_worth_more_than_a_fault_and_a_fault_more_than_a_setting() {
        check_smaller(|plan| plan.faults = vec![reset(); 3], |plan| plan.workload.orders = 5);
        check_smaller(|plan| plan.carrier.ban_after = 3, |plan| plan.faults.push(reset()));
    }

    #[test]
    fn a_named_call_is_less_than_a_window_and_a_window_less_than_chance() {
        let with = |change: fn(&mut Fault)| {
            move |plan: &mut Plan| {
                let mut fault = reset();
                change(&mut fault);
                plan.faults.push(fault);
            }
        };
        let named = |fault: &mut Fault| fault.nth = Some(3);
        let window = |fault: &mut Fault| fault.until = Some(Duration::from_secs(5));
        check_smaller(with(named), with(window));
        check_smaller(with(window), with(|fault| fault.rate = Some(0.5)));
        check_smaller(with(named), with(|_| {}));
    }
}
