//! What many runs came to, together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::coverage;
use crate::trial::Trial;

/// Doubts are told up to this number; all are counted.
const DOUBTS_TOLD: usize = 20;

/// What a set of runs came to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many.
    pub runs: u64,
    /// The virtual time that they took.
    pub virtual_time: Duration,
    /// In how many runs each state was reached.
    pub reached: BTreeMap<String, u64>,
    /// In how many runs each promise fell.
    pub fallen: BTreeMap<&'static str, u64>,
    /// How many doubts the checkers had.
    pub doubts: u64,
    /// The first of them.
    pub doubts_told: Vec<Doubt>,
    pub(crate) digest: Sha256,
}

/// Something that a checker could not find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// In which run.
    pub number: u64,
    /// About what.
    pub promise: &'static str,
    /// What the checker said.
    pub says: String,
}

impl Tally {
    /// Counts the run of this number.
    pub(super) fn count(&mut self, number: u64, trial: &Trial) {
        self.runs += 1;
        self.virtual_time += trial.virtual_time;
        for name in trial.reached() {
            *self.reached.entry(name.clone()).or_default() += 1;
        }
        for promise in trial.fallen() {
            *self.fallen.entry(promise).or_default() += 1;
        }
        for promise in &trial.judgement.promises {
            for says in &promise.doubts {
                self.doubts += 1;
                if self.doubts_told.len() < DOUBTS_TOLD {
                    let says = says.clone();
                    self.doubts_told.push(Doubt { number, promise: promise.id, says });
                }
            }
        }
    }

    /// Notes the hash of a history, of which all together make the digest.
    pub(super) fn note(&mut self, history_hash: &str) {
        self.digest.update(history_hash);
    }

    /// One hash of all histories, in the order of their runs.
    pub fn digest(&self) -> String {
        self.digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The states that generated plans reach and these runs did not.
    pub fn never_reached(&self) -> Vec<&'static str> {
        coverage::missing(|name| self.reached.contains_key(name)).collect()
    }

    /// How many of the states that generated plans reach were reached.
    pub fn states(&self) -> usize {
        coverage::wanted().len() - self.never_reached().len()
    }

    /// Whether so many runs should have come through everything.
    pub fn is_enough(&self) -> bool {
        self.runs >= coverage::RUNS_ENOUGH
    }
}
