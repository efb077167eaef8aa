//! The calls that the service made, put together from their beginnings and ends.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::{Event, TaskId};

use crate::history::{Record, Step, What};
use crate::plan::Plan;

/// One call as the service saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whose.
    pub node: Option<u32>,
    /// The task that waited for it.
    pub task: TaskId,
    /// `carrier` or `messenger`.
    pub api: String,
    /// The API's name of the operation.
    pub endpoint: String,
    /// What it was about.
    pub key: String,
    /// When it went out.
    pub begun: Timestamp,
    /// How it ended; `None` when its node died first, or the run did.
    pub end: Option<CallEnd>,
    /// From then on it is certain that the service knows it to be over.
    pub over: Timestamp,
    /// When its node died over it.
    pub died: Option<Timestamp>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnd {
    /// When.
    pub at: Timestamp,
    /// How it was understood.
    pub outcome: String,
    /// The HTTP status, when there was one.
    pub status: Option<u16>,
    /// The place of its record in the history.
    pub place: usize,
}

impl Call {
    /// Whether it was answered 429.
    pub fn was_limited(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.status == Some(429))
    }

    /// Whether the service was told plainly that it was done by this very call.
    pub fn was_told_yes(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.outcome == "done")
    }
}

/// One task makes one call at a time of a kind about a thing.
type Open = (Option<u32>, TaskId, String, String, String);

/// All calls, in the order in which they went out.
pub(super) fn collect(records: &[Record], plan: &Plan) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: BTreeMap<Open, usize> = BTreeMap::new();
    for (record_place, record) in records.iter().enumerate() {
        match &record.what {
            What::Oms(Event::CallBegin { task, api, endpoint, key }) => {
                let place = calls.len();
                calls.push(Call {
                    node: record.node,
                    task: *task,
                    api: api.clone(),
                    endpoint: endpoint.clone(),
                    key: key.clone(),
                    begun: record.at,
                    end: None,
                    over: record.at + deadline(plan, api),
                    died: None,
                });
                let call = (record.node, *task, api.clone(), endpoint.clone(), key.clone());
                open.insert(call, place);
            }
            What::Oms(Event::CallEnd { task, api, endpoint, key, outcome, status }) => {
                let call = (record.node, *task, api.clone(), endpoint.clone(), key.clone());
                if let Some(place) = open.remove(&call) {
                    calls[place].end = Some(CallEnd {
                        at: record.at,
                        outcome: outcome.clone(),
                        status: *status,
                        place: record_place,
                    });
                    // A node that stood still tells late of what had long come and gone.
                    calls[place].over = record.at.min(calls[place].over);
                }
            }
            What::Drill(Step::NodeCrashed | Step::NodeStarted) => {
                open.retain(|(node, ..), place| {
                    let lives = *node != record.node;
                    if !lives {
                        calls[*place].died = Some(record.at);
                    }
                    lives
                });
            }
            _ => {}
        }
    }
    calls
}

fn deadline(plan: &Plan, api: &str) -> Duration {
    match api {
        "carrier" => plan.oms.carrier.calls.deadline,
        _ => plan.oms.messenger.calls.deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Builder;

    #[test]
    fn a_call_whose_node_stood_still_over_it_was_not_under_way_all_the_time() {
        let evidence = Builder::new(1)
            .call(0, 7, "RegBook", "ORD-1/1", 100, 130_000, "unknown", None)
            .evidence();
        assert_eq!(evidence.calls[0].over.since(evidence.calls[0].begun).as_secs(), 10);
    }

    #[test]
    fn beginnings_and_ends_of_one_task_belong_together() {
        let evidence = Builder::new(1)
            .call(0, 7, "RegBook", "ORD-1/1", 100, 150, "done", Some(200))
            .call_begins(0, 8, "RegBook", "ORD-1/1", 200)
            .crash(0, 300)
            .call_ends(0, 8, "RegBook", "ORD-1/1", 400, "done", Some(200))
            .evidence();
        let [first, second] = evidence.calls.as_slice() else { panic!("{:?}", evidence.calls) };
        assert!(first.was_told_yes() && !first.was_limited());
        assert_eq!(first.over.since(first.begun), Duration::from_millis(50));
        assert_eq!(second.end, None, "the dead do not hear replies");
        assert_eq!(second.over.since(second.begun), Duration::from_secs(10));
    }
}
