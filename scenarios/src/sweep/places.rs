//! Where faults can hit: every call, every operation of the store and of the queue, every scheduling
//! point of one order of events.

use std::collections::BTreeSet;

use oms_core::env::Event;

use super::{Error, power};
use crate::history::What;
use crate::plan::{Plan, Site};
use crate::queue::Ledger;
use crate::sim::{self, Run};

/// What one order of events offers to faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Every request, in the order in which each fake saw them.
    pub calls: Vec<CallPlace>,
    /// Every use of an operation of the store that opens a transaction.
    pub commits: Vec<CommitPlace>,
    /// Every operation on a message; none of a strategy that has no queue.
    pub messages: Vec<MessagePlace>,
    /// Scheduling points of each node.
    pub points: Vec<u64>,
    /// Operations of the disk.
    pub disk_operations: u64,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPlace {
    /// At which fake.
    pub site: Site,
    /// Its operation.
    pub endpoint: String,
    /// The how-manieth request of that operation, from 1.
    pub nth: u64,
    /// The how-manieth connection to that fake, from 1: the simulator opens one for each request.
    pub connection: u64,
}

/// One use of an operation of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPlace {
    /// The operation.
    pub operation: &'static str,
    /// The how-manieth use of it, from 1.
    pub nth: u64,
}

/// One operation on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePlace {
    /// The operation: one of [`queue::OPERATIONS`](crate::queue::OPERATIONS).
    pub operation: &'static str,
    /// The how-manieth of them, from 1.
    pub nth: u64,
}

/// Without faults nothing is refused, so nothing is asked for again.
fn messages(ledger: &Ledger) -> Vec<MessagePlace> {
    let (published, acked) =
        (ledger.messages.len(), ledger.messages.iter().filter(|kept| kept.acked.is_some()).count());
    let delivered = ledger.messages.iter().map(|kept| kept.delivered.len()).sum();
    [("publish", published), ("deliver", delivered), ("ack", acked)]
        .into_iter()
        .flat_map(|(operation, uses)| {
            (1..=uses as u64).map(move |nth| MessagePlace { operation, nth })
        })
        .collect()
}

impl Places {
    /// Runs `plan`, which has no faults, and takes down everything that a fault could hit.
    ///
    /// # Errors
    /// [`Error::Run`].
    pub fn of(plan: &Plan) -> Result<Places, Error> {
        let (history, seen) = sim::survey(&Run::of(plan))?;
        let mut calls = Vec::new();
        for (site, requests) in [
            (Site::Carrier, &history.reads.carrier.requests),
            (Site::Messenger, &history.reads.messenger.requests),
        ] {
            calls.extend(requests.iter().zip(1..).map(|(request, connection)| CallPlace {
                site,
                endpoint: request.endpoint.clone(),
                nth: request.nth,
                connection,
            }));
        }
        let opened: BTreeSet<&str> = history
            .records
            .iter()
            .filter_map(|record| match &record.what {
                What::Oms(Event::TxBegin { op, .. }) => Some(op.as_str()),
                _ => None,
            })
            .collect();
        let writing = seen.operations.iter().filter(|(operation, _)| opened.contains(*operation));
        let commits = writing
            .flat_map(|(operation, uses)| (1..=*uses).map(|nth| CommitPlace { operation, nth }));
        let (commits, points) = (commits.collect(), seen.points);
        let messages = history.reads.queue.as_ref().map(messages).unwrap_or_default();
        let disk_operations = power::io_operations(plan)?;
        Ok(Places { calls, commits, messages, points, disk_operations })
    }
}
