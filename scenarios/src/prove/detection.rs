//! One trial of a planted bug: generated plans, one after another, until a promise falls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::Serialize;

use super::{Bug, Error, Waited, machine};
use crate::crew::Stop;
use crate::evidence::Evidence;
use crate::explore::{self, Powers};
use crate::plan::Plan;
use crate::shrink;
use crate::sim;
use crate::trial::{Trial, Trials};
use crate::verdict::{self, Verdict};

/// What is run: generated plans of one seed, with or without a bug.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series<'a> {
    /// The planted bug; none in a clean build.
    pub(super) sabotage: Option<&'a str>,
    /// What the plans are generated from.
    pub(super) seed: u64,
    /// What they can do.
    pub(super) powers: Powers,
}

impl Series<'_> {
    /// The plan of run `number`, from 0.
    pub(super) fn plan(&self, number: u64) -> Plan {
        let mut plan = explore::generate(self.seed, number, self.powers);
        plan.sabotage = self.sabotage.map(str::to_owned);
        plan
    }
}

/// Runs a plan and judges it.
pub(super) fn run(trials: &Trials, plan: &Plan) -> Result<Trial, Error> {
    careful(plan, || trials.run(plan))
}

/// Does something with a plan, and tells which plan it was if it goes wrong.
fn careful<T>(plan: &Plan, work: impl FnOnce() -> Result<T, sim::Error>) -> Result<T, Error> {
    let (name, sabotage) = (|| plan.name.clone(), || plan.sabotage.clone());
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => {
            done.map_err(|source| Error::Simulation { plan: name(), sabotage: sabotage(), source })
        }
        Err(_) => Err(Error::Panic { plan: name(), sabotage: sabotage() }),
    }
}

/// A promise that the clean build was said to break.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accusation {
    /// The promises that fell.
    pub promises: Vec<&'static str>,
    /// What broke them, a sentence each.
    pub says: Vec<String>,
    /// The plan, unshrunk, as its file has it.
    pub plan: String,
}

impl Accusation {
    /// What the clean build is accused of in this run, if anything.
    pub(super) fn of(plan: &Plan, trial: &Trial) -> Option<Accusation> {
        let promises = trial.fallen();
        if promises.is_empty() {
            return None;
        }
        let fallen = trial.judgement.promises.iter().filter(|judged| promises.contains(&judged.id));
        let says = fallen.flat_map(|judged| &judged.violations);
        let says = says.map(|told| told.says.clone()).collect();
        Some(Accusation { promises, says, plan: plan.to_toml() })
    }
}

/// How long a planted bug stayed hidden.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Detection {
    /// Runs until a promise fell, the one in which it fell included.
    pub(super) runs: Waited,
    /// CPU time that they took, in microseconds.
    pub(super) cpu_micros: Waited,
    /// What was found.
    pub(super) found: Option<Found>,
    /// What the clean build was accused of on the way.
    pub(super) accusations: Vec<Accusation>,
}

/// A planted bug, found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// The promise that fell with the bug and held without it: the one that the bug is said to
    /// break, or else the first.
    pub(super) promise: &'static str,
    /// The plan, with the bug.
    pub(super) plan: Plan,
}

/// Runs `bug` under generated plans until a promise falls that the clean build keeps on the same
/// plan. `None` when it was told to stop before.
pub(super) fn detect(
    trials: &Trials,
    bug: &Bug,
    clean: Option<&str>,
    series: Series<'_>,
    runs_max: u64,
    stop: &Stop,
) -> Result<Option<Detection>, Error> {
    let began = machine::cpu_of_this_thread();
    let cpu_micros = || micros(machine::cpu_of_this_thread().saturating_sub(began));
    let mut accusations = Vec::new();
    for number in 0..runs_max {
        if stop.is_told() {
            return Ok(None);
        }
        let plan = series.plan(number);
        let fallen = run(trials, &plan)?.fallen();
        if fallen.is_empty() {
            continue;
        }
        let sound = Plan { sabotage: clean.map(str::to_owned), ..plan.clone() };
        let without = run(trials, &sound)?;
        accusations.extend(Accusation::of(&sound, &without));
        let of_the_bug = || fallen.iter().copied().filter(|promise| !without.breaks(promise));
        let said = of_the_bug().find(|promise| *promise == bug.breaks);
        if let Some(promise) = said.or_else(|| of_the_bug().next()) {
            return Ok(Some(Detection {
                runs: Waited::At(number + 1),
                cpu_micros: Waited::At(cpu_micros()),
                found: Some(Found { promise, plan }),
                accusations,
            }));
        }
    }
    let (runs, cpu_micros) = (Waited::Beyond(runs_max), Waited::Beyond(cpu_micros()));
    Ok(Some(Detection { runs, cpu_micros, found: None, accusations }))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How often a found plan, run again, gave the same bytes and broke the same promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Replays {
    /// So often.
    pub same: u64,
    /// Of so many.
    pub of: u64,
}

/// So often is each found plan run again.
const REPLAYS: u64 = 3;

/// Runs a found plan again and again.
pub(super) fn replay(trials: &Trials, found: &Found) -> Result<Replays, Error> {
    let again = || {
        let history = trials.record(&found.plan)?;
        let hash = history.hash();
        let judgement = verdict::judge(&Evidence::from(history));
        let mut judged = judgement.promises.iter();
        let fell = judged.any(|p| p.id == found.promise && p.verdict == Verdict::Violated);
        Ok((hash, fell))
    };
    let run = || careful(&found.plan, again);
    let (first, _) = run()?;
    let mut replays = Replays { same: 0, of: REPLAYS };
    for _ in 0..REPLAYS {
        let (hash, fell) = run()?;
        replays.same += u64::from(fell && hash == first);
    }
    Ok(replays)
}

/// How large a counterexample is after shrinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Its orders.
    pub orders: u64,
    /// Its faults.
    pub faults: u64,
}

/// Makes a found plan small and measures it.
pub(super) fn size(trials: &Trials, found: &Found, stop: &Stop) -> Result<Size, Error> {
    let shrink = || shrink::shrink(trials, &found.plan, found.promise, stop);
    let small = careful(&found.plan, shrink)?;
    Ok(Size { orders: u64::from(small.orders), faults: small.faults as u64 })
}
