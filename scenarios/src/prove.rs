//! The proof that the net holds: planted bugs are found, and none is seen where none is.
//!
//! Each bug gets trials, each trial a seed of its own: generated plans are run with the bug until a
//! promise falls that the clean build keeps on the very same plan. So the figures are waiting
//! times, some of them cut short, and are told as medians with exact intervals. The same trials are
//! made with each power of the explorer taken away: a power that changes nothing has not earned its
//! place. And the clean build is run under plans of its own, and must never be accused.
//!
//! All but the CPU times is the same on every machine and with any number of threads.

mod detection;
mod json;
mod machine;
mod markdown;
mod median;
mod power;
mod table;
mod tally;
#[cfg(test)]
mod testing;
mod words;

pub use detection::{Accusation, Replays, Size};
pub use machine::Machine;
pub use median::{Median, Waited};
pub use power::Power;
pub use tally::{BugProof, Clean, PowerProof, Proof, Terms, Without};

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use clockwork::Entropy;

use crate::crew::{self, Stop};
use crate::explore::Powers;
use crate::runner;
use crate::sabotage::Sabotage;
use crate::sim;
use crate::trial::Trials;
use detection::{Detection, Series};

/// A bug to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bug {
    /// Its name, as plans have it; a name that no sabotage has plants nothing.
    pub name: String,
    /// What sort of bug it is.
    pub family: String,
    /// The promise that it is said to break.
    pub breaks: String,
}

impl From<&Sabotage> for Bug {
    fn from(sabotage: &Sabotage) -> Bug {
        Bug {
            name: sabotage.name.to_owned(),
            family: sabotage.family.name().to_owned(),
            breaks: sabotage.breaks.to_owned(),
        }
    }
}

/// What is to be proved, and how thoroughly.
#[derive(Debug, Clone)]
pub struct Options {
    /// The planted bugs.
    pub bugs: Vec<Bug>,
    /// A bug in the build that counts as clean: none, but in tests of the proof itself.
    pub clean: Option<String>,
    /// How much is done.
    pub terms: Terms,
    /// Threads.
    pub jobs: NonZeroUsize,
}

/// How far a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Trials of planted bugs that are over.
    pub trials: u64,
    /// Of so many.
    pub trials_all: u64,
    /// Trials in which the bug was found.
    pub found: u64,
    /// Clean runs that are over.
    pub clean: u64,
    /// Of so many.
    pub clean_all: u64,
    /// Accusations of the clean build.
    pub accusations: u64,
}

/// A run that says nothing of any promise, but something of this program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be simulated.
    #[error("run of `{plan}`{}", planted(.sabotage.as_deref()))]
    Simulation {
        /// The plan: its name has the seed and the number that it is generated from.
        plan: String,
        /// The planted bug.
        sabotage: Option<String>,
        /// Why.
        #[source]
        source: sim::Error,
    },
    /// It panicked.
    #[error("run of `{plan}`{} panicked", planted(.sabotage.as_deref()))]
    Panic {
        /// As above.
        plan: String,
        /// As above.
        sabotage: Option<String>,
    },
}

fn planted(sabotage: Option<&str>) -> String {
    sabotage.map(|name| format!(" with `{name}`")).unwrap_or_default()
}

/// One trial of a bug: with all powers, and without each.
#[derive(Debug, Clone, PartialEq)]
struct BugTrial {
    detection: Detection,
    replays: Replays,
    size: Option<Size>,
    /// In the order of [`Power::ALL`]; none when powers are not weighed.
    without: Vec<Detection>,
}

/// What came of a piece of work.
enum Done {
    Trial { bug: usize, trial: Box<BugTrial> },
    Clean(Clean),
}

/// So many clean runs are one piece of work: short enough that threads end together.
const CLEAN_RUNS_AT_ONCE: u64 = 250;

/// Makes the proof, or as much of it as could be made before `stop` was told.
///
/// # Errors
/// [`Error`], when a plan could not be run at all.
pub fn prove(
    options: &Options,
    stop: &Stop,
    mut on_progress: impl FnMut(Progress),
) -> Result<Proof, Error> {
    let Options { bugs, terms, .. } = options;
    let trials_all = bugs.len() as u64 * terms.trials;
    let pieces = trials_all + terms.clean_runs.div_ceil(CLEAN_RUNS_AT_ONCE);
    let mut progress = Progress { trials_all, clean_all: terms.clean_runs, ..Progress::default() };
    let began = runner::now();
    let mut failed = None;
    let mut of_bugs = vec![Vec::new(); bugs.len()];
    let mut clean = Clean::default();
    let trials = Trials::default();
    let work = |number| piece(options, &trials, number, stop);
    crew::run(options.jobs, pieces, stop, work, |_, done| {
        match done {
            // Told to stop: what was begun is left out.
            Ok(None) => {}
            Ok(Some(Done::Trial { bug, trial })) => {
                progress.trials += 1;
                progress.found += u64::from(trial.detection.runs.came());
                of_bugs[bug].push(*trial);
            }
            Ok(Some(Done::Clean(part))) => clean.add(part),
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        progress.clean = clean.runs;
        progress.accusations = clean.accusations.len() as u64;
        on_progress(progress);
        ControlFlow::Continue(())
    });
    match failed {
        Some(error) => Err(error),
        None => {
            let real = runner::now().since(began);
            Ok(Proof { real, ..Proof::new(options, of_bugs, clean) })
        }
    }
}

/// One piece of work: a trial of a bug, the first trials of all bugs first, or some clean runs.
fn piece(
    options: &Options,
    trials: &Trials,
    number: u64,
    stop: &Stop,
) -> Result<Option<Done>, Error> {
    let bugs = options.bugs.len() as u64;
    let trials_all = bugs * options.terms.trials;
    if number < trials_all {
        // Below the number of bugs, which is a usize.
        let bug = (number % bugs) as usize;
        let trial = bug_trial(options, trials, bug, number / bugs, stop)?;
        return Ok(trial.map(|trial| Done::Trial { bug, trial: Box::new(trial) }));
    }
    let first = (number - trials_all) * CLEAN_RUNS_AT_ONCE;
    let last = (first + CLEAN_RUNS_AT_ONCE).min(options.terms.clean_runs);
    let clean = clean_runs(options, trials, first..last, stop);
    clean.map(|clean| Some(Done::Clean(clean)))
}

fn bug_trial(
    options: &Options,
    trials: &Trials,
    bug: usize,
    number: u64,
    stop: &Stop,
) -> Result<Option<BugTrial>, Error> {
    let Options { terms, clean, .. } = options;
    let bug = &options.bugs[bug];
    let seed = seed(Entropy::new(terms.seed).fork("proof", (&bug.name, number)));
    let detect = |powers, runs_max| {
        let series = Series { sabotage: Some(&bug.name), seed, powers };
        detection::detect(trials, bug, clean.as_deref(), series, runs_max, stop)
    };
    let Some(detection) = detect(Powers::default(), terms.runs_max)? else { return Ok(None) };
    let mut replays = Replays::default();
    let mut size = None;
    if let Some(found) = &detection.found {
        replays = detection::replay(trials, found)?;
        if number < terms.shrunk_trials {
            size = Some(detection::size(trials, found, stop)?);
            if stop.is_told() {
                return Ok(None); // It may not be as small as it could have been.
            }
        }
    }
    let mut without = Vec::new();
    for power in Power::ALL.into_iter().filter(|_| terms.weighed_runs_max > 0) {
        let Some(weaker) = detect(power.taken_away(), terms.weighed_runs_max)? else {
            return Ok(None);
        };
        without.push(weaker);
    }
    Ok(Some(BugTrial { detection, replays, size, without }))
}

fn clean_runs(
    options: &Options,
    trials: &Trials,
    numbers: std::ops::Range<u64>,
    stop: &Stop,
) -> Result<Clean, Error> {
    let seed = seed(Entropy::new(options.terms.seed).fork("proof-clean", ()));
    let series = Series { sabotage: options.clean.as_deref(), seed, powers: Powers::default() };
    let began = machine::cpu_of_this_thread();
    let mut clean = Clean::default();
    for number in numbers {
        if stop.is_told() {
            break;
        }
        let plan = series.plan(number);
        let trial = detection::run(trials, &plan)?;
        clean.runs += 1;
        let mut judged = trial.judgement.promises.iter();
        clean.doubted += u64::from(judged.any(|promise| !promise.doubts.is_empty()));
        clean.accusations.extend(Accusation::of(&plan, &trial));
    }
    clean.cpu = machine::cpu_of_this_thread().saturating_sub(began);
    Ok(clean)
}

/// A seed that a plan file can hold: TOML's integers have 63 bits.
fn seed(entropy: Entropy) -> u64 {
    entropy.seed() >> 1
}
