//! Strategies side by side: the same generated plans under each, judged by the same promises.
//!
//! Runs are paired: a plan is run under every strategy before anything is counted of it, so that a
//! difference between two rows is a difference between two strategies. What is counted is virtual,
//! so it is the same on every machine and with any number of threads.

mod carriers;
mod counterexamples;
mod dominated;
mod json;
mod markdown;
mod measure;
mod questions;
mod sums;
mod text;
mod words;

pub use carriers::Carrier;
pub use counterexamples::{Kept, keep, path_of};
pub use measure::Measure;
pub use questions::Together;
pub use sums::Sums;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::crew::{self, Stop};
use crate::evidence::Evidence;
use crate::explore::{self, Powers};
use crate::plan::Plan;
use crate::sim;
use crate::strategies::Strategy;
use crate::trial::Trials;
use crate::verdict;

/// What is compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// All chance comes from here.
    pub seed: u64,
    /// So many plans, each under every strategy.
    pub runs: u64,
    /// Threads.
    pub jobs: NonZeroUsize,
    /// The strategies, in the order of the rows.
    pub strategies: Vec<&'static Strategy>,
}

/// What came of it: a row a strategy.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The seed.
    pub seed: u64,
    /// So many plans were run under each.
    pub runs: u64,
    /// In the order in which they were asked for.
    pub rows: Vec<Row>,
}

/// One strategy.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub strategy: &'static Strategy,
    /// Over all plans.
    pub all: Sums,
    /// Over the plans with each kind of carrier.
    pub by_carrier: BTreeMap<Carrier, Sums>,
    /// What becomes of a batch of which one order is refused.
    pub together: Together,
    /// Strategies that are nowhere worse and somewhere better.
    pub dominated_by: Vec<&'static str>,
    /// For each promise that fell the smallest plan under which it did.
    pub smallest: BTreeMap<&'static str, Plan>,
}

/// A run that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be simulated.
    #[error("run of `{plan}` under `{strategy}`")]
    Simulation {
        /// The plan: its name has the seed and the number that it is generated from.
        plan: String,
        /// The strategy.
        strategy: &'static str,
        /// Why.
        #[source]
        source: sim::Error,
    },
    /// It panicked.
    #[error("run of `{plan}` under `{strategy}` panicked")]
    Panic {
        /// As above.
        plan: String,
        /// As above.
        strategy: &'static str,
    },
}

/// Compares. `None` when `stop` was told before all was run: half a comparison is none. `watch` is
/// told how many of how many runs are over.
///
/// # Errors
/// [`Error`], for the first run that could not be made.
pub fn compare(
    options: &Options,
    trials: &Trials,
    stop: &Stop,
    mut watch: impl FnMut(u64, u64),
) -> Result<Option<Comparison>, Error> {
    let strategies = &options.strategies;
    let all = options.runs * strategies.len() as u64;
    let mut rows = Vec::new();
    for strategy in strategies {
        rows.push(Row::new(strategy, questions::together(trials, strategy)?));
    }
    let (mut failed, mut done) = (None, 0);
    let work = |number| options.measure(trials, number);
    crew::run(options.jobs, all, stop, work, |number, measured| {
        let (plan, measure) = match measured {
            Ok(measured) => measured,
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        rows[options.row(number)].add(plan, measure);
        done += 1;
        watch(done, all);
        ControlFlow::Continue(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if done < all {
        return Ok(None);
    }
    dominated::mark(&mut rows);
    Ok(Some(Comparison { seed: options.seed, runs: options.runs, rows }))
}

impl Options {
    /// Which row a run belongs to: a plan's runs come one after the other.
    fn row(&self, number: u64) -> usize {
        // Below the number of strategies, which is a usize.
        (number % self.strategies.len() as u64) as usize
    }

    fn measure(&self, trials: &Trials, number: u64) -> Result<(Plan, Measure), Error> {
        let strategy = self.strategies[self.row(number)];
        let number = number / self.strategies.len() as u64;
        let plan = explore::plan_under(strategy.in_plans(), self.seed, number, Powers::default());
        let measure = measure_run(trials, &plan, strategy)?;
        Ok((plan, measure))
    }
}

/// Runs a plan under its strategy and measures what came of it.
fn measure_run(
    trials: &Trials,
    plan: &Plan,
    strategy: &'static Strategy,
) -> Result<Measure, Error> {
    let run = || {
        let evidence = Evidence::from(trials.record(plan)?);
        let judgement = verdict::judge(&evidence);
        Ok(Measure::of(&evidence, &judgement))
    };
    let named = || plan.name.clone();
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(measured) => measured.map_err(|source| Error::Simulation {
            plan: named(),
            strategy: strategy.name,
            source,
        }),
        Err(_) => Err(Error::Panic { plan: named(), strategy: strategy.name }),
    }
}

impl Row {
    fn new(strategy: &'static Strategy, together: Together) -> Row {
        Row {
            strategy,
            all: Sums::default(),
            by_carrier: BTreeMap::new(),
            together,
            dominated_by: Vec::new(),
            smallest: BTreeMap::new(),
        }
    }

    fn add(&mut self, plan: Plan, measure: Measure) {
        for promise in measure.broken.iter().copied() {
            let smaller = |known: &Plan| size(&plan) < size(known);
            if self.smallest.get(promise).is_none_or(smaller) {
                self.smallest.insert(promise, plan.clone());
            }
        }
        self.by_carrier.entry(Carrier::of(&plan)).or_default().add(&measure);
        self.all.add(&measure);
    }
}

/// How large a plan is, before it is made small: fewer orders and faults are quicker to shrink.
fn size(plan: &Plan) -> usize {
    plan.workload.orders as usize + 2 * plan.faults.len()
}
