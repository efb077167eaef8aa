//! For each promise that a strategy broke the smallest plan that shows it, as a file.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Comparison;
use crate::crew::{self, Stop};
use crate::plan::Plan;
use crate::shrink;
use crate::trial::Trials;

/// A counterexample that was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The strategy.
    pub strategy: &'static str,
    /// The promise that falls.
    pub promise: &'static str,
    /// Where it stands.
    pub file: PathBuf,
    /// Orders of it.
    pub orders: u32,
    /// Faults of it.
    pub faults: usize,
}

/// Where the counterexample of a strategy and a promise stands below `dir`.
pub fn path_of(dir: &Path, strategy: &str, promise: &str) -> PathBuf {
    dir.join(strategy).join(format!("{promise}.toml"))
}

/// Makes the smallest plan of each promise that fell smaller still, and writes all of them below
/// `dir`. What is begun when `stop` is told is written as small as it is by then.
///
/// # Errors
/// [`shrink::Error`], for the first that cannot be run or written.
pub fn keep(
    comparison: &Comparison,
    trials: &Trials,
    stop: &Stop,
    jobs: NonZeroUsize,
    dir: &Path,
) -> Result<Vec<Kept>, shrink::Error> {
    let found: Vec<(&'static str, &'static str, &Plan)> = comparison
        .rows
        .iter()
        .flat_map(|row| {
            let name = row.strategy.name;
            row.smallest.iter().map(move |(promise, plan)| (name, *promise, plan))
        })
        .collect();
    let (mut kept, mut failed) = (Vec::new(), None);
    let work = |number: u64| {
        // Below the number of counterexamples, which is a usize.
        let (strategy, promise, plan) = found[number as usize];
        let plan = Plan { name: format!("{strategy}-{promise}"), ..plan.clone() };
        let file = path_of(dir, strategy, promise);
        shrink::keep_at(trials, &plan, promise, stop, file).map(|kept| Kept {
            strategy,
            promise,
            file: kept.path,
            orders: kept.shrunk.orders,
            faults: kept.shrunk.faults,
        })
    };
    crew::run(jobs, found.len() as u64, stop, work, |_, done| match done {
        Ok(one) => {
            kept.push(one);
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    });
    failed.map_or(Ok(kept), Err)
}
