//! Run after run of generated plans, until a promise falls, or all are done, or time is up.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use clockwork::Timestamp;

use super::generate::generate;
use super::powers::Powers;
use super::tally::Tally;
use crate::crew::{self, Stop};
use crate::evidence::Evidence;
use crate::plan::Plan;
use crate::runner;
use crate::sim;
use crate::strategies;
use crate::trial::{Trial, Trials};
use crate::verdict;

/// How long a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// So many runs. What is found does not depend on the number of threads.
    Runs(u64),
    /// So long, in real time.
    For(Duration),
}

/// What is searched, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// All chance comes from here.
    pub seed: u64,
    /// What generated plans may use.
    pub powers: Powers,
    /// How long it goes on.
    pub budget: Budget,
    /// Threads.
    pub jobs: NonZeroUsize,
    /// The strategy; the recommended one without it.
    pub strategy: Option<String>,
    /// The planted bug.
    pub sabotage: Option<String>,
    /// Whether it goes on once a promise has fallen.
    pub keep_going: bool,
    /// Whether each plan is run twice, and the bytes of both histories compared.
    pub twice: bool,
}

/// A run in which a promise fell.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its number.
    pub number: u64,
    /// Its plan.
    pub plan: Plan,
    /// The promises that fell.
    pub fallen: Vec<&'static str>,
}

/// A run that says nothing of any promise, but something of this program.
#[derive(Debug)]
pub struct Failure {
    /// Its number.
    pub number: u64,
    /// Its plan.
    pub plan: Plan,
    /// What went wrong.
    pub error: Error,
}

/// What can go wrong with a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be simulated.
    #[error("simulation")]
    Simulation(#[from] sim::Error),
    /// It panicked.
    #[error("the run panicked")]
    Panic,
    /// It was run twice, and the histories differ.
    #[error("two runs of the same plan gave the histories {first} and {second}")]
    NotDeterministic {
        /// The first one's hash.
        first: String,
        /// The second one's.
        second: String,
    },
}

/// What came of a search.
#[derive(Debug)]
pub struct Outcome {
    /// All runs together.
    pub tally: Tally,
    /// The runs in which a promise fell, by number.
    pub findings: Vec<Finding>,
    /// The run that ended the search because it could not be judged.
    pub failure: Option<Failure>,
    /// Whether it ended because it was told to, before its budget was used up.
    pub interrupted: bool,
}

/// Searches until the budget is used up, a promise falls or `stop` is told. `watch` is told after
/// each run, in the order of the numbers.
pub fn search(
    options: &Options,
    trials: &Trials,
    stop: &Stop,
    mut watch: impl FnMut(&Tally),
) -> Outcome {
    let (runs, ends_at) = match options.budget {
        Budget::Runs(runs) => (runs, Timestamp::MAX),
        Budget::For(length) => (u64::MAX, runner::now() + length),
    };
    let mut outcome = Outcome {
        tally: Tally::default(),
        findings: Vec::new(),
        failure: None,
        interrupted: false,
    };
    let work = |number| options.run(trials, number);
    crew::run(options.jobs, runs, stop, work, |number, done| {
        let ended = outcome.add(options, number, done);
        watch(&outcome.tally);
        match ended || runner::now() >= ends_at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    outcome.interrupted = stop.is_told() && outcome.tally.runs < runs;
    outcome
}

/// A run, judged, and its history's hash where it was asked for.
type Done = Result<(Trial, Option<String>), Error>;

/// What is stuck is stuck: that nothing moves for hours need not be watched under a strategy that
/// breaks promises.
const STUCK_AFTER: Duration = Duration::from_mins(20);

/// The generated plan of this number, to be run under a strategy; `None` is the recommended one.
/// Where it uses a queue, the queue has its faults beside those that all strategies meet.
pub fn plan_under(strategy: Option<String>, seed: u64, number: u64, powers: Powers) -> Plan {
    let queue = strategy.as_deref().and_then(strategies::named).is_some_and(|found| found.queue);
    let powers = Powers { queue: queue || powers.queue, ..powers };
    let mut plan = Plan { strategy, ..generate(seed, number, powers) };
    if plan.strategy.is_some() {
        plan.world.patience = plan.world.patience.min(STUCK_AFTER);
    }
    plan
}

impl Options {
    /// The plan of the run of this number.
    pub fn plan(&self, number: u64) -> Plan {
        let mut plan = plan_under(self.strategy.clone(), self.seed, number, self.powers);
        plan.sabotage.clone_from(&self.sabotage);
        plan
    }

    fn run(&self, trials: &Trials, number: u64) -> Done {
        let plan = self.plan(number);
        let run = || if self.twice { run_twice(trials, &plan) } else { once(trials, &plan) };
        // A run that panics ends the search, and is named.
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Error::Panic))
    }
}

fn once(trials: &Trials, plan: &Plan) -> Done {
    Ok((trials.run(plan)?, None))
}

fn run_twice(trials: &Trials, plan: &Plan) -> Done {
    let history = trials.record(plan)?;
    let (first, second) = (history.hash(), trials.record(plan)?.hash());
    if first != second {
        return Err(Error::NotDeterministic { first, second });
    }
    let virtual_time = history.reads.at.since(plan.start);
    let judgement = verdict::judge(&Evidence::from(history));
    Ok((Trial { judgement, virtual_time }, Some(first)))
}

impl Outcome {
    /// Adds a run; whether the search ends with it.
    fn add(&mut self, options: &Options, number: u64, done: Done) -> bool {
        let (trial, hash) = match done {
            Ok(done) => done,
            Err(error) => {
                self.failure = Some(Failure { number, plan: options.plan(number), error });
                return true;
            }
        };
        self.tally.count(number, &trial);
        if let Some(hash) = hash {
            self.tally.note(&hash);
        }
        let fallen = trial.fallen();
        if fallen.is_empty() {
            return false;
        }
        self.findings.push(Finding { number, plan: options.plan(number), fallen });
        !options.keep_going
    }
}
