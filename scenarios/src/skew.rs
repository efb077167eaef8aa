//! Clocks that are wrong: ahead of the right one, always or from one moment until another.

use std::sync::Arc;
use std::time::Duration;

use clockwork::{BoxFuture, Clock, Timestamp};
use faults::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// How far a clock is ahead, and when, in right time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ahead {
    by: Duration,
    from: Timestamp,
    /// Without one it stays ahead.
    until: Option<Timestamp>,
}

impl Ahead {
    fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// Whether `fault` is that the clock of node `number` is wrong; without a node it is the first's.
pub(crate) fn is_of(fault: &Fault, number: u32) -> bool {
    fault.kind == Kind::ClockSkew && fault.node.unwrap_or(0) == number
}

/// When the clock of node `number` is ahead, as `plan` has it. Faults that stop do not set it.
pub(crate) fn of_node(plan: &Plan, number: u32) -> Vec<Ahead> {
    let healed = |from: Duration| plan.heal_after.is_some_and(|heal_after| heal_after <= from);
    let skews = plan.faults.iter().filter(|fault| is_of(fault, number));
    let skews = skews.filter(|fault| !fault.from.is_some_and(healed));
    let ahead = |fault: &Fault| {
        // What is wrong from the start was so before it.
        let from = fault.from.map_or(Timestamp::EPOCH, |from| plan.start + from);
        Some(Ahead { by: fault.by?, from, until: fault.until.map(|until| plan.start + until) })
    };
    skews.filter_map(ahead).collect()
}

/// The moments of right time at which the clock of node `number` jumps.
pub(crate) fn jumps(plan: &Plan, number: u32) -> impl Iterator<Item = Timestamp> {
    let moments =
        of_node(plan, number).into_iter().flat_map(|ahead| [Some(ahead.from), ahead.until]);
    let started = plan.start;
    moments.flatten().filter(move |at| *at > started)
}

/// `inner`, ahead at times.
#[derive(Debug)]
pub(crate) struct Skewed {
    /// The right clock.
    inner: Arc<dyn Clock>,
    ahead: Vec<Ahead>,
}

impl Skewed {
    /// `inner`, as `ahead` has it.
    pub(crate) fn over(inner: Arc<dyn Clock>, ahead: Vec<Ahead>) -> Arc<dyn Clock> {
        if ahead.is_empty() { inner } else { Arc::new(Skewed { inner, ahead }) }
    }

    fn ahead_at(&self, at: Timestamp) -> Duration {
        self.ahead.iter().filter(|ahead| ahead.holds(at)).map(|ahead| ahead.by).sum()
    }
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        let right = self.inner.now();
        right + self.ahead_at(right)
    }

    /// A timer that runs is not moved when the clock is set.
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        self.inner.sleep_until(moment - self.ahead_at(self.inner.now()))
    }
}

#[cfg(test)]
mod tests {
    use clockwork::DrillClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A right clock, and that of the first node of a plan with this fault.
    fn clocks(change: impl FnOnce(&mut Fault)) -> (Arc<dyn Clock>, Arc<dyn Clock>) {
        let mut fault = Fault { by: Some(SECOND * 9), ..Fault::new(Kind::ClockSkew) };
        change(&mut fault);
        let plan = Plan { faults: vec![fault], ..Plan::healthy("p", 1) };
        let inner: Arc<dyn Clock> = Arc::new(DrillClock::starting_at(plan.start));
        (inner.clone(), Skewed::over(inner, of_node(&plan, 0)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_skewed_clock_is_ahead_and_waits_as_long_as_a_true_one() {
        let (right, skewed) = clocks(|_| {});
        let start = right.now();
        assert_eq!(skewed.now(), start + SECOND * 9);
        skewed.sleep(SECOND * 5).await;
        assert_eq!(right.now(), start + SECOND * 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_jumps_forward_at_one_moment_and_back_at_another() {
        let (right, skewed) = clocks(|fault| {
            (fault.from, fault.until) = (Some(SECOND * 10), Some(SECOND * 20));
        });
        let start = right.now();
        assert_eq!(skewed.now(), start);
        let timer = skewed.sleep(SECOND * 15);
        right.sleep(SECOND * 10).await;
        assert_eq!(skewed.now(), start + SECOND * 19);
        timer.await;
        assert_eq!(right.now(), start + SECOND * 15, "a timer is not moved");
        right.sleep(SECOND * 5).await;
        assert_eq!(skewed.now(), start + SECOND * 20, "it is right again");
    }

    #[test]
    fn whose_clock_jumps_and_when_is_the_plans_and_nothing_jumps_once_all_is_healed() {
        let from = |from: u64| Fault {
            by: Some(SECOND),
            from: Some(SECOND * from as u32),
            node: Some(1),
            ..Fault::new(Kind::ClockSkew)
        };
        let mut plan = Plan { faults: vec![from(5), from(50)], ..Plan::healthy("p", 1) };
        let jumps = |plan: &Plan, node| jumps(plan, node).collect::<Vec<_>>();
        assert_eq!(jumps(&plan, 1), [plan.start + SECOND * 5, plan.start + SECOND * 50]);
        assert_eq!(jumps(&plan, 0), []);
        plan.heal_after = Some(SECOND * 50);
        assert_eq!(jumps(&plan, 1), [plan.start + SECOND * 5]);
        plan.faults[0].from = None;
        assert_eq!(jumps(&plan, 1), [], "it is wrong from the start");
    }
}
