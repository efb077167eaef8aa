//! How soon somebody else had what a process left behind: killed, or halted for long.

use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::Event;
use serde::Serialize;

use super::{Call, Evidence};
use crate::history::{Step, What};

/// Work in which a process was interrupted: a call was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// What the call was about.
    pub key: String,
    /// When its process died, or was halted.
    pub at: Timestamp,
    /// When somebody took it over; `None` when nobody ever did.
    pub taken_at: Option<Timestamp>,
}

/// All of that in figures. Times are drill time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Takeovers {
    /// How many pieces of work were left behind.
    pub left_behind: usize,
    /// How many of them somebody took over.
    pub taken: usize,
    /// The longest that one of these waited, in milliseconds.
    pub slowest_ms: u64,
}

impl Evidence {
    /// What was left behind, by the time of each call.
    pub fn interrupted(&self) -> Vec<Interrupted> {
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
            let (_, at, _) = falls.iter().find(interrupts)?;
            let key = call.key.clone();
            Some(Interrupted { taken_at: self.taken_at(&key, *at), key, at: *at })
        });
        left.collect()
    }

    /// The same in figures; `None` where nothing was left behind.
    pub fn takeovers(&self) -> Option<Takeovers> {
        let left = self.interrupted();
        let waits = left.iter().filter_map(|work| Some(work.taken_at?.since(work.at)));
        let slowest: Duration = waits.clone().max().unwrap_or_default();
        (!left.is_empty()).then(|| Takeovers {
            left_behind: left.len(),
            taken: waits.count(),
            slowest_ms: u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX),
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
        let halted = figures(taken(begun().stall(0, 200, 90_000), "ORD-2/1", 8_000));
        assert_eq!((halted.taken, halted.slowest_ms), (1, 7_800));
    }
}
