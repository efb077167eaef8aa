//! Where a run writes what happens, from all its parts.

use std::sync::{Arc, Mutex, PoisonError};

use clockwork::Timestamp;
use oms_core::env::{Event, Observer};

use crate::history::{Record, Step};

/// The growing list of a run's records. Clones share it.
#[derive(Clone, Default)]
pub struct Recorder {
    records: Arc<Mutex<Vec<Record>>>,
}

impl Recorder {
    /// Adds a record.
    pub fn push(&self, record: Record) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Adds what the drill saw or did.
    pub fn drill(&self, at: Timestamp, node: Option<u32>, step: Step) {
        self.push(Record::drill(at, node, step));
    }

    /// Takes all records out.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a node's core is told to report to.
    pub fn of_node(&self, number: u32) -> Arc<dyn Observer> {
        Arc::new(NodeRecorder { number, recorder: self.clone() })
    }
}

struct NodeRecorder {
    number: u32,
    recorder: Recorder,
}

impl Observer for NodeRecorder {
    fn observe(&self, at: Timestamp, event: Event) {
        self.recorder.push(Record::oms(at, self.number, event));
    }
}
