//! How long transactions were open, each of which holds a connection of the pool, and how long of
//! that a call was under way.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::{Event, TaskId};

use super::Evidence;
use crate::history::{Step, What};

/// What a run did with its connections. Durations are drill time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Transactions that were opened.
    pub transactions: u64,
    /// Those in which a call was made.
    pub with_calls: u64,
    /// How long all were open, added up.
    pub held: Duration,
    /// How long the longest was.
    pub longest: Duration,
    /// How long a call of the same task was under way meanwhile, added up.
    pub during_calls: Duration,
    /// The most that one node held at one moment.
    pub peak: usize,
}

/// A transaction from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub node: Option<u32>,
    /// The task that opened it.
    pub task: TaskId,
    /// When it opened.
    pub from: Timestamp,
    /// When it closed, or its node died, or the run ended.
    pub until: Timestamp,
}

/// By node and task: the transactions that are open, innermost last, each with its name and begin.
type Open<'a> = BTreeMap<(Option<u32>, TaskId), Vec<(&'a str, Timestamp)>>;

impl Evidence {
    /// All transactions, in the order in which they closed.
    pub fn transactions(&self) -> Vec<Held> {
        let mut open = Open::new();
        let mut all = Vec::new();
        for record in &self.records {
            let (node, at) = (record.node, record.at);
            match &record.what {
                What::Oms(Event::TxBegin { task, op }) => {
                    open.entry((node, *task)).or_default().push((op, at));
                }
                What::Oms(Event::TxEnd { task, op, .. }) => {
                    let stack = open.entry((node, *task)).or_default();
                    // The innermost of that name: a nested one ends first.
                    if let Some(place) = stack.iter().rposition(|(name, _)| name == op) {
                        let (_, from) = stack.remove(place);
                        all.push(Held { node, task: *task, from, until: at });
                    }
                }
                What::Drill(Step::NodeCrashed) => {
                    close(&mut open, &mut all, at, |of| of == node);
                }
                _ => {}
            }
        }
        close(&mut open, &mut all, self.ended_at, |_| true);
        all
    }

    /// What the run did with its connections.
    pub fn connections(&self) -> Connections {
        let held = self.transactions();
        let mut sums = Connections { peak: peak(&held), ..Connections::default() };
        let mut calls: BTreeMap<_, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
        for call in &self.calls {
            // A new process counts its tasks anew: what the dead left is none of theirs.
            let ended = call.end.as_ref().map(|end| end.at).or(call.died);
            let over = ended.unwrap_or(call.over);
            calls.entry((call.node, call.task)).or_default().push((call.begun, over));
        }
        for Held { node, task, from, until } in held {
            let length = until.since(from);
            sums.transactions += 1;
            sums.held += length;
            sums.longest = sums.longest.max(length);
            let of_task = calls.get(&(node, task)).map(Vec::as_slice).unwrap_or_default();
            let inside = of_task.iter().filter(|(begun, over)| *begun < until && from < *over);
            let mut is_with_call = false;
            for (begun, over) in inside {
                is_with_call = true;
                sums.during_calls += (*over).min(until).since((*begun).max(from));
            }
            sums.with_calls += u64::from(is_with_call);
        }
        sums
    }
}

fn close(
    open: &mut Open<'_>,
    all: &mut Vec<Held>,
    until: Timestamp,
    whose: impl Fn(Option<u32>) -> bool,
) {
    for ((node, task), stack) in open.iter_mut().filter(|((node, _), _)| whose(*node)) {
        let ended = stack.drain(..).map(|(_, from)| Held { node: *node, task: *task, from, until });
        all.extend(ended);
    }
}

/// The most that one node held at one moment.
fn peak(held: &[Held]) -> usize {
    let mut edges: Vec<(Option<u32>, Timestamp, bool)> = Vec::new();
    for Held { node, from, until, .. } in held.iter().filter(|held| held.from < held.until) {
        edges.push((*node, *from, true));
        edges.push((*node, *until, false));
    }
    // What ends at a moment makes room for what begins then.
    edges.sort();
    let (mut peak, mut now, mut of) = (0, 0_usize, None);
    for (node, _, begins) in edges {
        if of != Some(node) {
            (now, of) = (0, Some(node));
        }
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        peak = peak.max(now);
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_call_inside_a_transaction_holds_its_connection_for_as_long_as_both_last() {
        let evidence = Builder::new(1)
            .tx_begins(0, 7, "unit-of-work", 100)
            .call(0, 7, "RegBook", "ORD-1/1", 150, 350, "done", Some(200))
            .tx_ends(0, 7, "unit-of-work", 400)
            .tx(0, 8, "ingest", 200, 210)
            .evidence();
        let connections = evidence.connections();
        assert_eq!((connections.transactions, connections.with_calls), (2, 1));
        assert_eq!((connections.held, connections.longest), (ms(310), ms(300)));
        assert_eq!((connections.during_calls, connections.peak), (ms(200), 2));
    }

    #[test]
    fn calls_of_other_tasks_hold_nothing_and_the_dead_let_go() {
        let evidence = Builder::new(1)
            .tx_begins(0, 7, "unit-of-work", 100)
            .call(0, 9, "RegBook", "ORD-1/1", 150, 350, "done", Some(200))
            .call(1, 7, "RegBook", "ORD-1/1", 150, 350, "done", Some(200))
            .crash(0, 500)
            .evidence();
        let connections = evidence.connections();
        assert_eq!((connections.with_calls, connections.during_calls), (0, Duration::ZERO));
        assert_eq!(connections.longest, ms(400));
    }

    #[test]
    fn a_call_that_the_dead_left_is_in_no_transaction_of_the_next_process() {
        let evidence = Builder::new(1)
            .call_begins(0, 7, "RegBook", "ORD-1/1", 100)
            .crash(0, 200)
            .tx(0, 7, "claim-parcels", 300, 400)
            .evidence();
        let connections = evidence.connections();
        assert_eq!((connections.with_calls, connections.during_calls), (0, Duration::ZERO));
    }

    #[test]
    fn one_ends_where_another_begins_and_both_need_one_connection() {
        let evidence = Builder::new(1)
            .tx(0, 7, "unit-of-work", 100, 200)
            .tx(0, 8, "unit-of-work", 200, 300)
            .tx(1, 7, "unit-of-work", 100, 300)
            .evidence();
        assert_eq!(evidence.connections().peak, 1, "each node has a pool of its own");
    }
}
