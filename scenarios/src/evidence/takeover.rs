//! How soon somebody else had what a process left behind: killed, or halted for long.

use std::collections::BTreeSet;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::{Event, TaskId};
use serde::Serialize;

use super::{Call, Evidence};
use crate::history::{Mode, Step, What};

/// Work in which a process was interrupted: a call was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// What the call was about.
    pub key: String,
    /// Whose it was.
    pub node: Option<u32>,
    /// When its process died, or was halted.
    pub at: Timestamp,
    /// When somebody took it over; `None` when nobody ever did.
    pub taken_at: Option<Timestamp>,
    /// From when on it could be: a process that was halted in the middle of a transaction may have kept
    /// all others from it, until it went on.
    pub free_at: Timestamp,
}

impl Interrupted {
    /// Whether a halted process may have kept it locked for a while.
    fn was_locked(&self) -> bool {
        self.free_at > self.at
    }
}

/// All of that in figures. Times are drill time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Takeovers {
    /// How many deaths and halts met a call under way.
    pub falls: usize,
    /// How many pieces of work were left behind.
    pub left_behind: usize,
    /// How many of them somebody took over.
    pub taken: usize,
    /// How many a halted process may have kept locked, so that nobody could take them over sooner.
    pub locked: usize,
    /// The longest that one of the others waited, in milliseconds.
    pub slowest_ms: u64,
    /// Half of them waited for no longer, in milliseconds.
    pub median_ms: u64,
}

impl Evidence {
    /// What was left behind, by the time of each call.
    pub fn interrupted(&self) -> Vec<Interrupted> {
        let locks = self.locks();
        let falls: Vec<(Option<u32>, Timestamp, Timestamp)> = self
            .records
            .iter()
            .filter_map(|record| match record.what {
                What::Drill(Step::NodeCrashed) => Some((record.node, record.at, Timestamp::MAX)),
                What::Drill(Step::NodeStalled { until }) => Some((record.node, record.at, until)),
                _ => None,
            })
            .collect();
        // A question for all, as for the token, is asked on behalf of one order as well.
        let calls = self.calls.iter().filter(|call| call.key.contains(['/', ':']));
        let left = calls.filter_map(|call| {
            let interrupts = |(node, at, until): &&(Option<u32>, Timestamp, Timestamp)| {
                *node == call.node
                    && call.begun <= *at
                    && ended(call) > *at
                    && until.since(*at) > self.plan.oms.service.lease
            };
            let (node, at, _) = *falls.iter().find(interrupts)?;
            let key = call.key.clone();
            let taken_at = match self.taken_at(&key, at) {
                Some(taken_at) => Some(taken_at),
                // The end of the history of whoever died may be lost, but what it wrote down is not.
                None => match self.steps_of(&key).find(|step| step.at > call.begun) {
                    Some(step) if step.at <= at => return None,
                    step => step.map(|step| step.at),
                },
            };
            let before =
                locks.iter().filter(|(from, _)| taken_at.is_none_or(|taken| *from <= taken));
            let free_at = free_at(before, at, self.plan.oms.service.lease);
            Some(Interrupted { key, node, at, taken_at, free_at })
        });
        left.collect()
    }

    /// When a process stood still that had a transaction open. Only live does it keep others from
    /// anything: in a simulation one is begun and ended at once.
    fn locks(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut open: BTreeSet<(Option<u32>, TaskId)> = BTreeSet::new();
        let mut locks = Vec::new();
        for record in self.records.iter().filter(|_| self.mode == Mode::Live) {
            match &record.what {
                What::Oms(Event::TxBegin { task, .. }) => {
                    open.insert((record.node, *task));
                }
                What::Oms(Event::TxEnd { task, .. }) => {
                    open.remove(&(record.node, *task));
                }
                What::Drill(Step::NodeCrashed) => open.retain(|(node, _)| *node != record.node),
                What::Drill(Step::NodeStalled { until }) => {
                    let halted = open.iter().any(|(node, _)| *node == record.node);
                    locks.extend(halted.then_some((record.at, *until)));
                }
                _ => {}
            }
        }
        locks
    }

    /// The same in figures; `None` where nothing was left behind.
    pub fn takeovers(&self) -> Option<Takeovers> {
        let left = self.interrupted();
        let free = left.iter().filter(|work| !work.was_locked());
        let waits = free.filter_map(|work| Some(work.taken_at?.since(work.at)));
        let mut waits: Vec<Duration> = waits.collect();
        waits.sort_unstable();
        let slowest = waits.last().copied().unwrap_or_default();
        let median = waits.get(waits.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let falls: BTreeSet<_> = left.iter().map(|work| (work.node, work.at)).collect();
        (!left.is_empty()).then(|| Takeovers {
            falls: falls.len(),
            left_behind: left.len(),
            taken: left.iter().filter(|work| work.taken_at.is_some()).count(),
            locked: left.iter().filter(|work| work.was_locked()).count(),
            slowest_ms: millis(slowest),
            median_ms: millis(median),
        })
    }

    /// When somebody took over what is called `key`, after `at`.
    fn taken_at(&self, key: &str, at: Timestamp) -> Option<Timestamp> {
        let mut after = self.records.iter().filter(|record| record.at >= at);
        let taken = after.find(|record| match &record.what {
            What::Oms(Event::LeaseTaken { what, .. }) => what == key,
            _ => false,
        });
        taken.map(|record| record.at)
    }
}

/// When a call's process heard of its end.
fn ended(call: &Call) -> Timestamp {
    call.end.as_ref().map_or(Timestamp::MAX, |end| end.at)
}

/// When what was left at `at` was locked by no halted process any more. One that is halted while the
/// lease of whoever died still runs, or another's lock was just over, comes before the take-over too.
fn free_at<'a>(
    locks: impl Iterator<Item = &'a (Timestamp, Timestamp)>,
    at: Timestamp,
    lease: Duration,
) -> Timestamp {
    locks.fold(at, |free, (from, until)| match *from <= free + lease {
        true => free.max(*until),
        false => free,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    fn taken(builder: Builder, what: &str, ms: u64) -> Builder {
        let event = Event::LeaseTaken { what: what.to_owned(), state: "intended".to_owned() };
        builder.event(1, ms, event)
    }

    #[test]
    fn only_calls_that_a_death_or_a_long_halt_cut_short_are_left_behind() {
        let begun = || {
            Builder::new(2)
                .call(0, 7, "RegBook", "ORD-1/1", 100, 150, "done", Some(200))
                .call_begins(0, 8, "RegBook", "ORD-2/1", 100)
        };
        assert_eq!(begun().evidence().takeovers(), None, "nobody died");
        assert_eq!(begun().crash(1, 200).evidence().takeovers(), None, "another node died");
        assert_eq!(begun().stall(0, 200, 900).evidence().takeovers(), None, "within its lease");
        let figures = |builder: Builder| builder.evidence().takeovers().unwrap();
        let lost = figures(begun().crash(0, 200));
        assert_eq!((lost.left_behind, lost.taken), (1, 0));
        let saved = figures(taken(begun().crash(0, 200), "ORD-2/1", 7_200));
        assert_eq!((saved.left_behind, saved.taken, saved.slowest_ms), (1, 1, 7_000));
        assert_eq!((lost.falls, saved.falls), (1, 1));
        let halted = figures(taken(begun().stall(0, 200, 90_000), "ORD-2/1", 8_000));
        assert_eq!((halted.taken, halted.slowest_ms), (1, 7_800));
    }

    #[test]
    fn what_was_written_down_before_the_death_was_not_left_behind_though_its_record_is_lost() {
        let died =
            || Builder::clean(1).call_begins(0, 9, "RegBook", "ORD-1/1", 5_000).crash(0, 6_000);
        let step = |ms| died().walk("parcel", "ORD-1/1", &[("booked", ms)]).evidence().takeovers();
        assert_eq!(step(5_500), None);
        let later = step(7_500).unwrap();
        assert_eq!((later.taken, later.slowest_ms), (1, 1_500), "by whoever took it over");
    }

    #[test]
    fn a_halt_within_a_transaction_may_have_locked_all_others_out_but_only_live() {
        let left = |builder: Builder| builder.evidence().interrupted().remove(0).was_locked();
        let died = || Builder::new(1).call_begins(0, 8, "RegBook", "ORD-1/1", 100);
        let halted = || died().tx_begins(1, 5, "claim", 150).stall(1, 180, 30_000).crash(0, 200);
        assert!(left(halted().live(20.0)));
        let told = taken(halted().live(20.0), "ORD-1/1", 25_000).evidence().takeovers().unwrap();
        assert_eq!((told.taken, told.locked, told.slowest_ms), (1, 1, 0));
        assert!(!left(halted()));
        let between = died().tx(1, 5, "claim", 150, 160).stall(1, 180, 30_000).crash(0, 200);
        assert!(!left(between.live(20.0)));
    }
}
