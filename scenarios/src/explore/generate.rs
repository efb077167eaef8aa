//! A plan from a seed and a number.
//!
//! Each part draws from dice of its own name, so that a power that is taken away reshuffles nothing
//! else.

mod calls;
mod nodes;
mod orders;
mod queue;
mod store;
mod themes;
mod world;

use std::time::Duration;

use faults::Fault;

use super::dice::Dice;
use super::expect::{self, expect};
use super::powers::Powers;
use crate::plan::Plan;

/// The plan of run `number` of a search from `seed`. The same three give the same plan.
pub fn generate(seed: u64, number: u64, powers: Powers) -> Plan {
    let dice = Dice::of_run(seed, number);
    let mut draft = Draft::new(dice, powers);
    draft.plan.name = format!("explored-{seed}-{number}");
    draft.plan.why = format!("Generated: run {number} of seed {seed}.");
    world::draw(&mut draft);
    orders::draw(&mut draft);
    let themed = themes::draw(&mut draft);
    draft.draw_faults(themed);
    if powers.queue {
        draft.plan.faults.extend(queue::draw(draft.dice.fork("queue", 0)));
    }
    draft.end_chaos();
    let mut plan = draft.plan;
    if !draft.is_measured {
        // Beside crashes, bans and whatever else hits all alike it says little how long healthy
        // orders take: that they complete is what is asked.
        plan.expect.slowdown_max = f64::INFINITY;
    }
    plan.expect = expect(&plan);
    plan
}

/// A plan that is being drawn.
struct Draft {
    plan: Plan,
    dice: Dice,
    powers: Powers,
    /// A request may be under way for so long, and a node may stand still for as long.
    late_max: Duration,
    /// When the chaos ends.
    chaos: Duration,
    /// Whether it is measured how much slower healthy orders are, or whose turn it is: beside that
    /// nothing happens.
    is_measured: bool,
}

impl Draft {
    fn new(dice: Dice, powers: Powers) -> Draft {
        let plan = Plan { seed: dice.seed(), ..Plan::healthy("explored", 1) };
        let (late_max, chaos) = (Duration::ZERO, Duration::ZERO);
        Draft { plan, dice, powers, late_max, chaos, is_measured: false }
    }

    /// Faults that last stand first already: of the faults that match a call the first one wins.
    fn draw_faults(&mut self, themed: bool) {
        if !self.powers.swarm {
            self.draw_all_alike();
            return;
        }
        if self.is_measured {
            return;
        }
        let dice = self.dice.fork("faults", 0);
        // Some runs have none at all: what a fault does shows against them.
        let most = match themed {
            true => dice.pick("most", &[0, 0, 0, 1, 2]),
            false => dice.pick("most", &[0, 1, 2, 3, 3, 4, 4, 5, 6, 8]),
        };
        if !themed {
            orders::make_odd(self);
        }
        for place in 0..dice.count("how-many", most.min(1), most) {
            let dice = dice.fork("fault", place);
            let fault = match dice.between("where", 0, 99) {
                0..45 => calls::at_carrier(self, dice),
                45..65 => calls::at_messenger(self, dice),
                65..80 => store::draw(dice),
                _ => nodes::draw(self, dice),
            };
            self.plan.faults.extend(fault);
        }
    }

    /// Every kind of fault, each at the same few per cent.
    fn draw_all_alike(&mut self) {
        const RATE: f64 = 0.02;
        let faults = [calls::all(self), store::all(), nodes::all(self)].concat();
        self.plan
            .faults
            .extend(faults.into_iter().map(|fault| Fault { rate: Some(RATE), ..fault }));
    }

    /// Faults end all at one moment, or each at its own where one of them lasts.
    fn end_chaos(&mut self) {
        if !self.plan.faults.iter().any(|fault| expect::lasts(&self.plan, fault) && is_fate(fault))
        {
            self.plan.heal_after = Some(self.chaos);
            return;
        }
        let plan = self.plan.clone();
        for fault in &mut self.plan.faults {
            let endless = fault.until.is_none() && fault.times.is_none() && fault.nth.is_none();
            let at_calls = fault.point.is_none() && fault.kind.target() != faults::Target::Node;
            if endless && at_calls && !(expect::lasts(&plan, fault) && is_fate(fault)) {
                fault.until = Some(self.chaos.max(fault.from.unwrap_or_default() * 2));
            }
        }
    }
}

/// Whether a fault is the fate of one order: it names nothing else.
fn is_fate(fault: &Fault) -> bool {
    fault.key.is_some()
}

#[cfg(test)]
mod tests {
    use faults::Kind;

    use super::*;

    #[test]
    fn every_generated_plan_makes_sense_and_is_the_same_again() {
        let powers = Powers::default();
        for number in 0..2_000 {
            let plan = generate(1, number, powers);
            assert_eq!(plan.problems(), [], "{}", plan.to_toml());
            assert_eq!(plan.to_toml(), generate(1, number, powers).to_toml());
        }
    }

    #[test]
    fn a_power_that_is_taken_away_is_not_used() {
        let all = Powers::default();
        let (mut late, mut points, mut crashes, mut queues) = (0, 0, 0, 0);
        let is_of_queue = |fault: &Fault| fault.kind.target() == faults::Target::Queue;
        for number in 0..300 {
            let without = |powers: Powers| {
                let plan = generate(1, number, powers);
                assert_eq!(plan.problems(), [], "{}", plan.to_toml());
                plan.faults
            };
            let is_late = |fault: &Fault| fault.kind == Kind::LateDelivery;
            let at_point = |fault: &Fault| {
                // A power cut counts operations of the disk.
                let at_point = fault.point.is_some() && fault.kind != Kind::PowerCut;
                at_point || (fault.kind == Kind::Crash && fault.when.is_none())
            };
            let is_crash =
                |fault: &Fault| matches!(fault.kind, Kind::Crash | Kind::Stall | Kind::PowerCut);
            let with = without(all);
            late += usize::from(with.iter().any(is_late));
            points += usize::from(with.iter().any(at_point));
            crashes += usize::from(with.iter().any(is_crash));
            assert!(!without(Powers { late_delivery: false, ..all }).iter().any(is_late));
            assert!(!without(Powers { scheduling_points: false, ..all }).iter().any(at_point));
            assert!(!without(Powers { crash: false, ..all }).iter().any(is_crash));
            without(Powers { swarm: false, ..all });
            queues += usize::from(without(Powers { queue: true, ..all }).iter().any(is_of_queue));
            assert!(!with.iter().any(is_of_queue), "only a strategy with a queue has any");
        }
        assert!(queues > 150, "{queues}");
        assert!(late > 15 && points > 25 && crashes > 60, "{late} {points} {crashes}");
    }
}
