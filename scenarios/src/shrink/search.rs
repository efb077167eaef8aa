//! The search for the smallest plan: whatever is smaller and still breaks the promise is taken.

use std::collections::BTreeSet;

use super::size::Size;
use super::{calls, faults, leaps, orders, settings};
use crate::crew::Stop;
use crate::evidence::Evidence;
use crate::explore;
use crate::plan::Plan;
use crate::promises::{Finding, Promise, Violation};
use crate::sim;
use crate::trial::Trials;

/// So many plans are run at most: a search that has not ended by then has all but ended.
const TRIES_MAX: u64 = 4_000;

/// A fault by chance hits other calls in a smaller plan: so many other seeds are tried then.
const SEEDS: u64 = 4;

/// The promises that fall when nothing more happens: a plan whose faults never end breaks them by
/// itself.
const LIVENESS: &[&str] = &["everything-settles", "one-bad-order-blocks-none"];

/// A plan that breaks the promise, and its run.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) plan: Plan,
    pub(super) size: Size,
    pub(super) evidence: Evidence,
    pub(super) violations: Vec<Violation>,
}

impl Found {
    /// The orders that the violations name, by their places from 1, in their order.
    pub(super) fn orders_named(&self) -> Vec<u32> {
        let mut named = Vec::new();
        for violation in &self.violations {
            let text = violation.to_string();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_/:".contains(c));
            for id in words.filter_map(|word| self.evidence.order_of(word)) {
                named.extend(orders::index_of(&self.plan, id).filter(|i| !named.contains(i)));
            }
        }
        named
    }
}

/// A way to make a plan smaller: from what was found, plans to try, the most promising first.
struct Pass {
    candidates: fn(&Found) -> Vec<Plan>,
    /// Faults may hit more than before, or never end.
    widens: bool,
    /// Other seeds are tried too.
    seeds: bool,
}

const PASSES: &[Pass] = &[
    Pass { candidates: faults::fewer, widens: false, seeds: true },
    Pass { candidates: orders::candidates, widens: false, seeds: true },
    Pass { candidates: faults::fewer_nodes, widens: false, seeds: true },
    Pass { candidates: faults::fewer_troubles, widens: false, seeds: false },
    Pass { candidates: |found| settings::candidates(&found.plan), widens: true, seeds: false },
    Pass { candidates: calls::named, widens: false, seeds: false },
    Pass { candidates: faults::fewer_fields, widens: true, seeds: false },
    Pass { candidates: faults::at_once, widens: true, seeds: false },
    Pass { candidates: faults::shorter, widens: false, seeds: false },
    Pass { candidates: leaps::candidates, widens: true, seeds: false },
    Pass { candidates: calls::points, widens: false, seeds: false },
];

/// The search's state.
pub(super) struct Search<'a> {
    trials: &'a Trials,
    promise: &'static Promise,
    stop: &'a Stop,
    pub(super) tries: u64,
    tried: BTreeSet<String>,
    /// Of a sound plan there is none to compare with: then only what the plan broke at first
    /// counts.
    allowed: Option<BTreeSet<String>>,
    generated: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(trials: &'a Trials, promise: &'static Promise, stop: &'a Stop) -> Self {
        Search {
            trials,
            promise,
            stop,
            tries: 0,
            tried: BTreeSet::new(),
            allowed: None,
            generated: false,
        }
    }

    /// The smallest plan that is found on the way from `plan`; `None` when `plan` itself does not
    /// break the promise, or breaks it with nothing wrong in it too.
    pub(super) fn run(&mut self, plan: &Plan) -> Result<Option<Found>, sim::Error> {
        self.generated = explore::expect(plan) == plan.expect;
        let mut plan = plan.clone();
        // What is wanted now is a violation, and nothing else.
        plan.expect.violated.clear();
        plan.expect.must_reach.clear();
        (plan.replay_hash, plan.title) = (None, None);
        let Some(mut best) = self.judged(plan)? else { return Ok(None) };
        if best.plan.is_sound() {
            self.allowed = Some(best.violations.iter().map(signature).collect());
        }
        loop {
            let before = best.size.clone();
            for pass in PASSES {
                best = self.exhausted(best, pass)?;
            }
            if best.size == before || self.is_over() {
                return Ok(Some(best));
            }
        }
    }

    /// Goes on with one pass until it finds nothing smaller.
    fn exhausted(&mut self, mut best: Found, pass: &Pass) -> Result<Found, sim::Error> {
        let liveness = LIVENESS.contains(&self.promise.id);
        if pass.widens && liveness && best.plan.is_sound() {
            return Ok(best);
        }
        'again: loop {
            for candidate in (pass.candidates)(&best) {
                if let Some(smaller) = self.tried(candidate, &best.size, pass.seeds)? {
                    best = smaller;
                    continue 'again;
                }
                if self.is_over() {
                    break;
                }
            }
            return Ok(best);
        }
    }

    fn tried(
        &mut self,
        candidate: Plan,
        largest: &Size,
        seeds: bool,
    ) -> Result<Option<Found>, sim::Error> {
        let by_chance = candidate.faults.iter().any(|fault| fault.rate.is_some());
        let seeds = if seeds && by_chance { SEEDS } else { 0 };
        let first = candidate.seed;
        for seed in std::iter::once(first).chain((1..=seeds).filter(|seed| *seed != first)) {
            let candidate = Plan { seed, ..candidate.clone() };
            if Size::of(&candidate) >= *largest || !self.tried.insert(candidate.to_terse_toml()) {
                continue;
            }
            if let Some(found) = self.judged(candidate)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn is_over(&self) -> bool {
        self.tries >= TRIES_MAX || self.stop.is_told()
    }

    /// Runs a plan; `None` unless it breaks the promise, and does so for the bug's sake.
    fn judged(&mut self, mut plan: Plan) -> Result<Option<Found>, sim::Error> {
        if self.is_over() {
            return Ok(None);
        }
        self.tries += 1;
        let planted = !plan.is_sound();
        if self.generated {
            plan.expect = explore::expect(&plan);
        } else if planted {
            // Of the right sum, so that the plan can be run; what the sound core does comes below.
            let completed = u64::from(plan.workload.orders);
            let slowdown_max = plan.expect.slowdown_max;
            plan.expect = crate::plan::Expect { completed, slowdown_max, ..Default::default() };
        }
        if !plan.problems().is_empty() {
            return Ok(None);
        }
        // A promise about counts is judged when the counts are known.
        let counts = self.promise.id == "everything-settles";
        if planted && counts && !self.is_sound(&mut plan)? {
            return Ok(None);
        }
        let Some((evidence, violations)) = self.broken(&plan)? else { return Ok(None) };
        if planted && !counts && !self.is_sound(&mut plan)? {
            return Ok(None);
        }
        let familiar = |allowed: &BTreeSet<String>| {
            violations.iter().all(|violation| allowed.contains(&signature(violation)))
        };
        if !self.allowed.as_ref().is_none_or(familiar) {
            return Ok(None);
        }
        Ok(Some(Found { size: Size::of(&plan), plan, evidence, violations }))
    }

    /// Whether the core without the bug is acquitted of the promise. What it makes of the orders
    /// is what the plan expects.
    fn is_sound(&self, plan: &mut Plan) -> Result<bool, sim::Error> {
        let mut sound = plan.made_sound();
        let mut evidence = self.evidence(&sound)?;
        let open = self.generated && plan.expect.undecided > 0;
        if !open {
            let ended = evidence.counts();
            let count = |state| ended.get(&state).copied().unwrap_or(0);
            use oms_core::state::OrderState::*;
            let expect = &mut plan.expect;
            expect.completed = count(Completed);
            expect.rejected = count(Rejected);
            expect.delivery_failed = count(DeliveryFailed);
            expect.notify_failed = count(NotifyFailed);
            expect.cancelled = count(Cancelled);
            expect.attention = count(Attention);
            expect.refused = evidence.refused().len() as u64;
            (expect.undecided, expect.may_park) = (0, 0);
            if expect.total() != u64::from(plan.workload.orders) {
                return Ok(false);
            }
        }
        sound.expect = plan.expect.clone();
        evidence.plan = sound;
        Ok(self.promise.judge(&evidence) == Finding::default())
    }

    fn broken(&self, plan: &Plan) -> Result<Option<(Evidence, Vec<Violation>)>, sim::Error> {
        let evidence = self.evidence(plan)?;
        let violations = self.promise.judge(&evidence).violations;
        Ok((!violations.is_empty()).then_some((evidence, violations)))
    }

    fn evidence(&self, plan: &Plan) -> Result<Evidence, sim::Error> {
        // Only one promise needs the second run without the bad orders.
        let history = match self.promise.id {
            "one-bad-order-blocks-none" => self.trials.record(plan)?,
            _ => self.trials.record_alone(plan)?,
        };
        Ok(Evidence::from(history))
    }
}

/// What sort of violation it is, whatever order it hit.
fn signature(violation: &Violation) -> String {
    let Ok(told) = serde_json::to_value(violation) else { return String::new() };
    let text = |key: &str| told.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let number = |key: &str| told.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let side = number("found").cmp(&number("expected"));
    format!("{} {} {side:?}", text("kind"), text("state"))
}
