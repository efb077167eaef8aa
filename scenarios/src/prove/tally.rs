//! What all trials together come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Accusation, BugTrial, Machine, Median, Options, Power, Replays, Size, Waited};
use crate::verdict::exit;

/// How much a proof does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Terms {
    /// All chance comes from here.
    pub seed: u64,
    /// Trials of each bug.
    pub trials: u64,
    /// A bug counts as not found after so many runs.
    pub runs_max: u64,
    /// So many trials of each bug have their counterexample made small.
    pub shrunk_trials: u64,
    /// A bug counts as not found without a power after so many runs; with 0 powers are not weighed.
    pub weighed_runs_max: u64,
    /// Runs of the clean build.
    pub clean_runs: u64,
}

/// The proof, as far as it was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// How much was to be done.
    pub terms: Terms,
    /// Where and when.
    pub machine: Machine,
    /// Each bug.
    pub bugs: Vec<BugProof>,
    /// Each power; none when they are not weighed.
    pub powers: Vec<PowerProof>,
    /// The clean build.
    pub clean: Clean,
    /// How long it took.
    #[serde(rename = "real_seconds", serialize_with = "seconds")]
    pub real: Duration,
}

/// A bug, over all its trials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BugProof {
    /// Its name.
    pub name: String,
    /// What sort of bug it is.
    pub family: String,
    /// The promise that it is said to break.
    pub breaks: String,
    /// Trials that were made.
    pub trials: u64,
    /// Trials in which it was found.
    pub found: u64,
    /// Runs until it was found, the last one included.
    pub runs: Option<Median>,
    /// CPU time until it was found, in microseconds, the check of the clean build included.
    pub cpu_micros: Option<Median>,
    /// The promises that fell, and in how many trials.
    pub fell: BTreeMap<&'static str, u64>,
    /// The largest of the shrunk counterexamples, by orders and by faults.
    pub size: Option<Size>,
    /// Found plans, run again.
    pub replays: Replays,
    /// The same trials with a power taken away each.
    pub without: Vec<Without>,
}

/// A bug, over all its trials, with a power taken away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Without {
    /// The power.
    pub power: Power,
    /// Trials in which the bug was found nevertheless.
    pub found: u64,
    /// Runs until it was found.
    pub runs: Option<Median>,
}

/// What a power is worth, over all bugs. All of it is counted up to the same number of runs, with
/// the power and without.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PowerProof {
    /// The power.
    pub power: Power,
    /// Trials in which the bug was found with all powers.
    pub found_with: u64,
    /// Trials in which it was found without this one.
    pub found_without: u64,
    /// Runs that all trials took with all powers.
    pub runs_with: u64,
    /// Runs that they took without this one.
    pub runs_without: u64,
    /// Bugs found in every trial with all powers, and in none without this one.
    pub only_with: Vec<String>,
    /// Other bugs whose median is at least twice as large without it.
    pub slower: Vec<String>,
}

/// The clean build.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Clean {
    /// Runs under plans of its own.
    pub runs: u64,
    /// Runs of these in which a promise's evidence did not suffice.
    pub doubted: u64,
    /// What it was accused of, also under the plans in which bugs were found.
    pub accusations: Vec<Accusation>,
    /// CPU time of these runs.
    #[serde(rename = "cpu_seconds", serialize_with = "seconds")]
    pub cpu: Duration,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

impl Clean {
    pub(super) fn add(&mut self, part: Clean) {
        let Clean { runs, doubted, accusations, cpu } = part;
        self.runs += runs;
        self.doubted += doubted;
        self.accusations.extend(accusations);
        self.cpu += cpu;
    }
}

impl Proof {
    pub(super) fn new(options: &Options, of_bugs: Vec<Vec<BugTrial>>, mut clean: Clean) -> Proof {
        let terms = options.terms.clone();
        let weighed = Power::ALL.into_iter().enumerate().filter(|_| terms.weighed_runs_max > 0);
        let bugs: Vec<BugProof> = options.bugs.iter().zip(&of_bugs).map(BugProof::new).collect();
        let weigh = |(place, power)| weigh(power, place, &bugs, &of_bugs, terms.weighed_runs_max);
        let powers = weighed.map(weigh).collect();
        for trial in of_bugs.into_iter().flatten() {
            clean.accusations.extend(trial.detection.accusations);
            clean.accusations.extend(trial.without.into_iter().flat_map(|one| one.accusations));
        }
        // A power that a plan does not use leaves it as it is: it is accused once.
        let mut seen = BTreeSet::new();
        clean.accusations.retain(|accusation| seen.insert(accusation.plan.clone()));
        let machine = Machine::here();
        Proof { terms, machine, bugs, powers, clean, real: Duration::ZERO }
    }

    /// Whether all that was to be done was done.
    pub fn is_complete(&self) -> bool {
        let Terms { trials, clean_runs, .. } = self.terms;
        self.clean.runs == clean_runs && self.bugs.iter().all(|bug| bug.trials == trials)
    }

    /// Bugs that were not found in each of their trials.
    pub fn missed(&self) -> impl Iterator<Item = &BugProof> {
        self.bugs.iter().filter(|bug| bug.found < bug.trials)
    }

    /// 1 when the clean build was accused; 3 when a bug was not found, or the proof is not
    /// complete; or else 0.
    pub fn exit_code(&self) -> u8 {
        if !self.clean.accusations.is_empty() {
            exit::VIOLATED
        } else if !self.is_complete() || self.missed().next().is_some() {
            exit::INCONCLUSIVE
        } else {
            exit::HELD
        }
    }
}

impl BugProof {
    fn new((bug, trials): (&super::Bug, &Vec<BugTrial>)) -> BugProof {
        let detections = || trials.iter().map(|trial| &trial.detection);
        let mut fell = BTreeMap::new();
        for found in detections().filter_map(|detection| detection.found.as_ref()) {
            *fell.entry(found.promise).or_insert(0) += 1;
        }
        let sizes = || trials.iter().filter_map(|trial| trial.size);
        let orders = sizes().map(|size| size.orders).max();
        let faults = sizes().map(|size| size.faults).max();
        let replays = trials.iter().map(|trial| trial.replays);
        let of_power = |(place, power)| {
            let runs = || trials.iter().filter_map(move |trial| runs_without(trial, place));
            let found = runs().filter(|runs| runs.came()).count() as u64;
            runs().next().map(|_| Without { power, found, runs: Median::of(runs()) })
        };
        BugProof {
            name: bug.name.clone(),
            family: bug.family.clone(),
            breaks: bug.breaks.clone(),
            trials: trials.len() as u64,
            found: detections().filter(|detection| detection.runs.came()).count() as u64,
            runs: Median::of(detections().map(|detection| detection.runs)),
            cpu_micros: Median::of(detections().map(|detection| detection.cpu_micros)),
            fell,
            size: orders.zip(faults).map(|(orders, faults)| Size { orders, faults }),
            replays: replays.fold(Replays::default(), |sum, one| Replays {
                same: sum.same + one.same,
                of: sum.of + one.of,
            }),
            without: Power::ALL.into_iter().enumerate().filter_map(of_power).collect(),
        }
    }
}

/// Runs until the bug was found without the power at `place` in [`Power::ALL`].
fn runs_without(trial: &BugTrial, place: usize) -> Option<Waited> {
    trial.without.get(place).map(|detection| detection.runs)
}

/// As if nobody had waited longer than `runs_max`.
fn cut(waited: Waited, runs_max: u64) -> Waited {
    if waited.amount() > runs_max { Waited::Beyond(runs_max) } else { waited }
}

fn weigh(
    power: Power,
    place: usize,
    bugs: &[BugProof],
    of_bugs: &[Vec<BugTrial>],
    runs_max: u64,
) -> PowerProof {
    let mut weighed = PowerProof {
        power,
        found_with: 0,
        found_without: 0,
        runs_with: 0,
        runs_without: 0,
        only_with: Vec::new(),
        slower: Vec::new(),
    };
    for (bug, trials) in bugs.iter().zip(of_bugs) {
        let pairs = trials.iter().filter_map(|trial| {
            Some((cut(trial.detection.runs, runs_max), runs_without(trial, place)?))
        });
        let (with, without): (Vec<Waited>, Vec<Waited>) = pairs.unzip();
        let found = |runs: &[Waited]| runs.iter().filter(|runs| runs.came()).count() as u64;
        let total = |runs: &[Waited]| runs.iter().map(|runs| runs.amount()).sum::<u64>();
        let (Some(before), Some(after)) =
            (Median::of(with.iter().copied()), Median::of(without.iter().copied()))
        else {
            continue;
        };
        weighed.found_with += found(&with);
        weighed.found_without += found(&without);
        weighed.runs_with += total(&with);
        weighed.runs_without += total(&without);
        if found(&with) == with.len() as u64 && found(&without) == 0 {
            weighed.only_with.push(bug.name.clone());
        } else if after.median.amount() >= 2 * before.median.amount() {
            weighed.slower.push(bug.name.clone());
        }
    }
    weighed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::testing;

    #[test]
    fn a_power_without_which_a_bug_is_never_found_is_told_so() {
        let proof = testing::proof();
        let crash = proof.powers.iter().find(|weighed| weighed.power == Power::Crash).unwrap();
        assert_eq!(crash.only_with, ["outbox-dropped"]);
        assert_eq!((crash.found_with, crash.found_without), (4, 2), "of a bound of 100 runs");
        assert_eq!(crash.runs_with, (3 + 5 + 9) + (100 + 20 + 100) + 300);
        let swarm = proof.powers.iter().find(|weighed| weighed.power == Power::Swarm).unwrap();
        assert_eq!((&swarm.only_with, swarm.slower.len()), (&Vec::new(), 1));
    }

    #[test]
    fn the_exit_code_is_the_worst_that_there_is_to_tell() {
        let proof = testing::proof();
        assert_eq!(proof.missed().map(|bug| bug.name.as_str()).collect::<Vec<_>>(), ["no-bug"]);
        assert_eq!(proof.exit_code(), exit::INCONCLUSIVE);
        let mut found = proof.clone();
        found.bugs.retain(|bug| bug.found == bug.trials);
        assert_eq!(found.exit_code(), exit::HELD);
        found.clean.runs -= 1;
        assert_eq!(found.exit_code(), exit::INCONCLUSIVE, "cut short");
        found.clean.accusations.push(testing::accusation());
        assert_eq!(found.exit_code(), exit::VIOLATED);
    }
}
