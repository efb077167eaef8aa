//! One run of one plan, judged: the unit that exploring, sweeping, shrinking and proving count in.
//!
//! It is what `drill run` does without telling anything: simulate, bring the evidence together,
//! judge all promises. The run without the bad orders, against which healthy ones are measured, is
//! made once for all plans that have it in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::evidence::Evidence;
use crate::history::History;
use crate::plan::Plan;
use crate::sim::{self, Run};
use crate::verdict::{self, Judgement, Verdict};

/// What came of one run.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The judgement over all promises.
    pub judgement: Judgement,
    /// How much virtual time the run took.
    pub virtual_time: Duration,
}

impl Trial {
    /// The promises that were broken and that the plan does not expect to be.
    pub fn fallen(&self) -> Vec<&'static str> {
        let broken = self.judgement.promises.iter();
        let broken = broken.filter(|p| p.verdict == Verdict::Violated && !p.expected);
        broken.map(|promise| promise.id).collect()
    }

    /// Whether this promise fell.
    pub fn breaks(&self, promise: &str) -> bool {
        self.fallen().contains(&promise)
    }

    /// What the run came through: names of `reach`.
    pub fn reached(&self) -> &BTreeSet<String> {
        &self.judgement.reached
    }
}

/// Runs plans, and remembers what they have in common. Shared by all threads of a search.
#[derive(Default)]
pub struct Trials {
    /// By the healed plan, as its file would have it.
    baselines: Mutex<BTreeMap<String, Option<Duration>>>,
}

/// So many baselines are kept: a sweep needs one, an exploration one a run.
const BASELINES_MAX: usize = 64;

impl Trials {
    /// Runs `plan`, with the bug that it names, and judges it.
    ///
    /// # Errors
    /// [`sim::Error`], when there is nothing to judge.
    pub fn run(&self, plan: &Plan) -> Result<Trial, sim::Error> {
        let history = self.record(plan)?;
        let virtual_time = history.reads.at.since(plan.start);
        let evidence = Evidence::from(history);
        Ok(Trial { judgement: verdict::judge(&evidence), virtual_time })
    }

    /// The history of `plan`, as `drill run` would have it.
    ///
    /// # Errors
    /// [`sim::Error`].
    pub fn record(&self, plan: &Plan) -> Result<History, sim::Error> {
        let mut history = play(plan)?;
        if let Some(healed) = plan.without_the_bad() {
            history.reads.baseline = self.baseline(&healed)?;
        }
        Ok(history)
    }

    /// As [`Trials::record`], without the run that healthy orders are measured against.
    ///
    /// # Errors
    /// [`sim::Error`].
    pub fn record_alone(&self, plan: &Plan) -> Result<History, sim::Error> {
        play(plan)
    }

    fn baseline(&self, healed: &Plan) -> Result<Option<Duration>, sim::Error> {
        let key = healed.to_toml();
        let known = |trials: &Trials| {
            let baselines = trials.baselines.lock().unwrap_or_else(PoisonError::into_inner);
            baselines.get(&key).copied()
        };
        if let Some(baseline) = known(self) {
            return Ok(baseline);
        }
        let evidence = Evidence::from(play(healed)?);
        let baseline = evidence.completed_after(&evidence.healthy_orders());
        let mut baselines = self.baselines.lock().unwrap_or_else(PoisonError::into_inner);
        if baselines.len() < BASELINES_MAX {
            baselines.insert(key.clone(), baseline);
        }
        Ok(baseline)
    }
}

fn play(plan: &Plan) -> Result<History, sim::Error> {
    sim::run(&Run::of(plan))
}

#[cfg(test)]
mod tests {
    use faults::{Fault, Kind};

    use super::*;

    fn refusing(seed: u64) -> Plan {
        let mut plan = Plan { seed, ..Plan::healthy("refusing", 3) };
        let key = Some("ORD-2-1".to_owned());
        let (on, endpoint) = (Some("carrier".to_owned()), Some("RegBook".to_owned()));
        plan.faults = vec![Fault { on, endpoint, key, ..Fault::new(Kind::Refuse) }];
        plan.expect.completed = 2;
        plan.expect.delivery_failed = 1;
        plan
    }

    #[test]
    fn a_trial_is_the_run_that_drill_run_makes() {
        let plan = refusing(7);
        let trials = Trials::default();
        let recorded = crate::runner::record(&plan, &crate::runner::Settings::default()).unwrap();
        assert_eq!(trials.record(&plan).unwrap().hash(), recorded.hash());
        assert_eq!(trials.record(&plan).unwrap().hash(), recorded.hash(), "from memory too");
    }

    #[test]
    fn a_trial_tells_what_fell_and_what_was_reached() {
        let trials = Trials::default();
        let held = trials.run(&refusing(1)).unwrap();
        assert_eq!((held.judgement.verdict, held.fallen()), (Verdict::Held, vec![]));
        assert!(held.reached().contains("fault:refuse") && !held.virtual_time.is_zero());
        let mut broken = refusing(1);
        broken.expect.completed = 3;
        broken.expect.delivery_failed = 0;
        assert!(trials.run(&broken).unwrap().breaks("everything-settles"));
    }
}
