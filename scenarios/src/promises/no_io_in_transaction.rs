//! No database transaction is open while an external call is in flight.
//!
//! Both are events of a task: a call that begins between a transaction's begin and end convicts,
//! and so does a transaction that begins while a call is in flight. Task 0 is code outside of any
//! task; there nobody can tell what belongs together.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use oms_core::env::{Event, TaskId};
use serde::Serialize;

use super::Finding;
use crate::evidence::Evidence;
use crate::history::{Step, What};

/// How it was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// A call went out while a transaction was open.
    #[error("{endpoint} for {key} went out at {at} inside the transaction `{op}`")]
    CallInTransaction {
        /// The API's operation.
        endpoint: String,
        /// What it was about.
        key: String,
        /// The store's use case.
        op: String,
        /// The node.
        node: Option<u32>,
        /// The task of both.
        task: TaskId,
        /// When.
        at: Timestamp,
    },
    /// A transaction was opened while a call was in flight.
    #[error("the transaction `{op}` was opened at {at} while {endpoint} for {key} was in flight")]
    TransactionInCall {
        /// The API's operation.
        endpoint: String,
        /// What it was about.
        key: String,
        /// The store's use case.
        op: String,
        /// The node.
        node: Option<u32>,
        /// The task of both.
        task: TaskId,
        /// When.
        at: Timestamp,
    },
}

/// What one task has open.
#[derive(Default)]
struct Open<'a> {
    transactions: Vec<&'a str>,
    calls: Vec<(&'a str, &'a str)>,
}

/// Judges it.
pub fn check(evidence: &Evidence) -> Finding {
    let mut tasks: BTreeMap<(Option<u32>, TaskId), Open<'_>> = BTreeMap::new();
    let mut violations = Vec::new();
    let mut homeless = 0;
    for record in &evidence.records {
        let (node, at) = (record.node, record.at);
        match &record.what {
            What::Oms(Event::TxBegin { task, op }) if *task != 0 => {
                let open = tasks.entry((node, *task)).or_default();
                if let Some((endpoint, key)) = open.calls.last() {
                    let (endpoint, key) = ((*endpoint).to_owned(), (*key).to_owned());
                    let (op, task) = (op.clone(), *task);
                    let violation =
                        Violation::TransactionInCall { endpoint, key, op, node, task, at };
                    violations.push(violation);
                }
                open.transactions.push(op);
            }
            What::Oms(Event::TxEnd { task, op, .. }) => {
                let open = tasks.entry((node, *task)).or_default();
                remove(&mut open.transactions, &op.as_str());
            }
            What::Oms(Event::CallBegin { task: 0, .. }) => homeless += 1,
            What::Oms(Event::CallBegin { task, endpoint, key, .. }) => {
                let open = tasks.entry((node, *task)).or_default();
                if let Some(op) = open.transactions.last() {
                    let (endpoint, key) = (endpoint.clone(), key.clone());
                    let (op, task) = ((*op).to_owned(), *task);
                    let violation =
                        Violation::CallInTransaction { endpoint, key, op, node, task, at };
                    violations.push(violation);
                }
                open.calls.push((endpoint, key));
            }
            What::Oms(Event::CallEnd { task, endpoint, key, .. }) => {
                let open = tasks.entry((node, *task)).or_default();
                remove(&mut open.calls, &(endpoint.as_str(), key.as_str()));
            }
            // The dead hold nothing open, and a new process counts its tasks anew.
            What::Drill(Step::NodeCrashed | Step::NodeStarted) => {
                tasks.retain(|(of, _), _| *of != node);
            }
            _ => {}
        }
    }
    let mut finding: Finding = violations.into_iter().collect();
    if homeless > 0 {
        finding.doubts.push(format!("{homeless} calls were made outside of any task"));
    }
    finding
}

fn remove<T: PartialEq>(list: &mut Vec<T>, item: &T) {
    if let Some(place) = list.iter().rposition(|other| other == item) {
        list.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Builder, said};

    #[test]
    fn a_call_inside_a_transaction_convicts() {
        let evidence = Builder::new(1)
            .tx_begins(0, 7, "settle-parcel", 10)
            .call(0, 7, "send/omni", "ORD-1:shipped", 20, 30, "done", Some(200))
            .tx_ends(0, 7, "settle-parcel", 40)
            .evidence();
        assert_eq!(
            said(&check(&evidence)),
            "send/omni for ORD-1:shipped went out at 2026-11-21T10:00:00.020+09:00 \
             inside the transaction `settle-parcel`"
        );
    }

    #[test]
    fn a_transaction_opened_during_a_call_convicts() {
        let evidence = Builder::new(1)
            .call_begins(0, 7, "RegBook", "ORD-1/1", 10)
            .tx(0, 7, "settle-parcel", 20, 30)
            .call_ends(0, 7, "RegBook", "ORD-1/1", 40, "done", Some(200))
            .evidence();
        let heard = said(&check(&evidence));
        assert!(heard.contains("was opened at 2026-11-21T10:00:00.020"), "{heard}");
    }

    #[test]
    fn other_tasks_and_other_nodes_may_do_both_at_once() {
        let evidence = Builder::new(1)
            .tx_begins(0, 7, "settle-parcel", 10)
            .call(0, 8, "RegBook", "ORD-1/1", 20, 30, "done", Some(200))
            .call(1, 7, "RegBook", "ORD-2/1", 20, 30, "done", Some(200))
            .tx_ends(0, 7, "settle-parcel", 40)
            .evidence();
        assert_eq!(check(&evidence), Finding::default());
    }

    #[test]
    fn a_crash_closes_what_the_node_had_open() {
        let evidence = Builder::new(1)
            .tx_begins(0, 7, "settle-parcel", 10)
            .crash(0, 15)
            .call(0, 7, "RegBook", "ORD-1/1", 20, 30, "done", Some(200))
            .evidence();
        assert_eq!(check(&evidence), Finding::default());
    }

    #[test]
    fn a_call_outside_of_any_task_is_a_doubt() {
        let evidence = Builder::new(1)
            .tx(0, 0, "ingest", 0, 5)
            .call(0, 0, "RegBook", "ORD-1/1", 2, 30, "done", Some(200))
            .evidence();
        assert_eq!(check(&evidence), Finding::doubt("1 calls were made outside of any task"));
    }
}
