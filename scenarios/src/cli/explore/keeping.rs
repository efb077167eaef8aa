//! Plans that broke a promise, made small and written down.

use std::collections::BTreeSet;
use std::path::Path;

use super::Error;
use crate::crew::Stop;
use crate::explore::{Counterexample, Outcome};
use crate::shrink;
use crate::trial::Trials;

/// Keeps the first plan of each promise that fell, made small, and the plan of a run that could not
/// be judged, as it is.
pub(super) fn keep(
    outcome: &Outcome,
    trials: &Trials,
    stop: &Stop,
    dir: &Path,
) -> Result<Vec<Counterexample>, Error> {
    let mut kept = Vec::new();
    let mut seen = BTreeSet::new();
    for finding in &outcome.findings {
        for promise in finding.fallen.iter().copied().filter(|promise| seen.insert(*promise)) {
            let found = shrink::keep(trials, &finding.plan, promise, stop, dir)?;
            kept.push(Counterexample {
                number: finding.number,
                promise: Some(promise),
                file: found.path,
                orders: found.shrunk.orders,
                faults: found.shrunk.faults,
            });
        }
    }
    if let Some(failure) = &outcome.failure {
        let file = dir.join(format!("{}-not-judged.toml", failure.plan.name));
        let written = std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&file, failure.plan.to_toml()));
        written.map_err(|source| Error::Write { path: file.clone(), source })?;
        let (orders, faults) = (failure.plan.workload.orders, failure.plan.faults.len());
        kept.push(Counterexample { number: failure.number, promise: None, file, orders, faults });
    }
    Ok(kept)
}
