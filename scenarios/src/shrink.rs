//! Plans made small: the least that still breaks the same promise, and the story of it.
//!
//! Candidates go from coarse to fine: fewer faults, fewer orders, fewer nodes, default settings,
//! named calls in place of chance, shorter delays. Whatever is smaller ([`Size`]) and still breaks
//! the promise is taken, until nothing is. Of a plan that is not sound (a planted bug, a
//! strategy that is not the recommended one) a smaller one only counts when the core without either
//! is acquitted of that promise by the same plan: so no plan convicts for what it wrongly expects.
//! Of a sound one, only violations of the sort that the plan showed at first count.

mod calls;
mod faults;
mod file;
mod leaps;
mod orders;
mod search;
mod settings;
mod size;
mod story;

pub use file::to_file;
pub use size::Size;
pub use story::story;

use std::path::{Path, PathBuf};

use crate::crew::Stop;
use crate::plan::Plan;
use crate::promises;
use crate::sim;
use crate::trial::Trials;
use search::Search;

/// A plan that breaks a promise, made small.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// The plan. It expects no violation: running it fails.
    pub plan: Plan,
    /// The promise that falls.
    pub promise: &'static str,
    /// What breaks it, a sentence each.
    pub violations: Vec<String>,
    /// So many plans were tried.
    pub tries: u64,
    /// Orders of the small plan.
    pub orders: u32,
    /// Its faults.
    pub faults: usize,
}

/// A small plan that was written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// What stands there.
    pub shrunk: Shrunk,
}

/// A plan that could not be made small, or not be written down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A run that could not be made.
    #[error("run of the plan")]
    Run(#[from] sim::Error),
    /// The file could not be written.
    #[error("counterexample `{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Makes `plan`, which breaks `promise`, small. When it does not break it, or breaks it without its
/// planted bug too, it is handed back as it is.
///
/// The same plan gives the same small plan, unless `stop` is told: then it is the smallest so far.
///
/// # Errors
/// [`sim::Error`], when a plan cannot be run.
pub fn shrink(
    trials: &Trials,
    plan: &Plan,
    promise: &'static str,
    stop: &Stop,
) -> Result<Shrunk, sim::Error> {
    let Some(judge) = promises::named(promise) else { return Ok(as_it_is(plan, promise, 0)) };
    let mut search = Search::new(trials, judge, stop);
    let found = search.run(plan)?;
    let tries = search.tries;
    let Some(found) = found else { return Ok(as_it_is(plan, promise, tries)) };
    Ok(Shrunk {
        violations: found.violations.iter().map(ToString::to_string).collect(),
        ..as_it_is(&found.plan, promise, tries)
    })
}

fn as_it_is(plan: &Plan, promise: &'static str, tries: u64) -> Shrunk {
    let (orders, faults) = (plan.workload.orders, plan.faults.len());
    Shrunk { plan: plan.clone(), promise, violations: Vec::new(), tries, orders, faults }
}

/// Shrinks `plan`, which breaks `promise`, and writes the result to `dir`, under a name that says
/// plan, seed, bug and promise: the same plan is written to the same file.
///
/// # Errors
/// [`Error`], when a plan cannot be run or the file cannot be written.
pub fn keep(
    trials: &Trials,
    plan: &Plan,
    promise: &'static str,
    stop: &Stop,
    dir: &Path,
) -> Result<Kept, Error> {
    keep_at(trials, plan, promise, stop, dir.join(file_name(plan, promise)))
}

/// As [`keep`], in a file of this name.
///
/// # Errors
/// [`Error`], when a plan cannot be run or the file cannot be written.
pub fn keep_at(
    trials: &Trials,
    plan: &Plan,
    promise: &'static str,
    stop: &Stop,
    path: PathBuf,
) -> Result<Kept, Error> {
    let shrunk = shrink(trials, plan, promise, stop)?;
    let text = to_file(&shrunk, trials)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
    match written {
        Ok(()) => Ok(Kept { path, shrunk }),
        Err(source) => Err(Error::Write { path, source }),
    }
}

fn file_name(plan: &Plan, promise: &str) -> String {
    let wrong = plan.strategy.iter().chain(&plan.sabotage).map(|name| format!("-{name}"));
    format!("{}-{}{}-{promise}.toml", plan.name, plan.seed, wrong.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_all_that_makes_it() {
        let mut plan = Plan { seed: 7, ..Plan::healthy("generated", 3) };
        assert_eq!(file_name(&plan, "books-agree"), "generated-7-books-agree.toml");
        plan.sabotage = Some("limiter-off".to_owned());
        assert_eq!(file_name(&plan, "quota-kept"), "generated-7-limiter-off-quota-kept.toml");
    }
}
