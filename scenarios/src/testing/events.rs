//! What happened.

use oms_core::env::{Event, TaskId};

use super::Builder;
use crate::history::{Record, Step};
use crate::plan::{MESSENGER_ENDPOINTS, Site};

impl Builder {
    fn record(mut self, ms: u64, node: Option<u32>, step: Step) -> Builder {
        let at = self.at(ms);
        self.history.records.push(Record::drill(at, node, step));
        self
    }

    pub fn event(mut self, node: u32, ms: u64, event: Event) -> Builder {
        let at = self.at(ms);
        self.history.records.push(Record::oms(at, node, event));
        self
    }

    pub fn offered(self, order: &str, ms: u64) -> Builder {
        self.record(ms, None, Step::OrderOffered { order: order.to_owned() })
    }

    pub fn acknowledged(self, order: &str, ms: u64) -> Builder {
        self.record(ms, None, Step::OrderAcknowledged { order: order.to_owned() })
    }

    pub fn refused(self, order: &str, why: &str) -> Builder {
        let (order, why) = (order.to_owned(), why.to_owned());
        self.record(0, None, Step::OrderRefused { order, why })
    }

    pub fn cancel_asked(self, order: &str, ms: u64) -> Builder {
        self.record(ms, None, Step::CancelAsked { order: order.to_owned() })
    }

    pub fn crash(self, node: u32, ms: u64) -> Builder {
        self.record(ms, Some(node), Step::NodeCrashed)
    }

    pub fn stall(self, node: u32, ms: u64, until: u64) -> Builder {
        let until = self.at(until);
        self.record(ms, Some(node), Step::NodeStalled { until })
    }

    pub fn fired(self, site: Site, fault: usize, ms: u64) -> Builder {
        self.record(ms, None, Step::FaultFired { site, fault, hit: "it".to_owned() })
    }

    pub fn skipped(self, fault: usize, why: &str) -> Builder {
        self.record(0, None, Step::FaultSkipped { fault, why: why.to_owned() })
    }

    /// The plan's first fault, one of the store, fired so often, nobody knows when.
    pub fn counted(mut self, times: u64) -> Builder {
        let fault = self.history.plan.faults[0].clone();
        self.history.reads.fired.insert(Site::Store, vec![faults::Fired { fault, times }]);
        self
    }

    pub fn store_fault(self, ms: u64) -> Builder {
        self.fired(Site::Store, 0, ms)
    }

    pub fn fenced(self, what: &str, ms: u64) -> Builder {
        self.event(0, ms, Event::Fenced { what: what.to_owned() })
    }

    pub fn blocked(self, quota: &str, ms: u64, until: u64) -> Builder {
        let (quota, until) = (quota.to_owned(), self.at(until));
        self.event(0, ms, Event::QuotaBlocked { quota, until, why: "rate-limited".to_owned() })
    }

    pub fn tx_begins(self, node: u32, task: TaskId, op: &str, ms: u64) -> Builder {
        self.event(node, ms, Event::TxBegin { task, op: op.to_owned() })
    }

    pub fn tx_ends(self, node: u32, task: TaskId, op: &str, ms: u64) -> Builder {
        self.event(node, ms, Event::TxEnd { task, op: op.to_owned(), committed: true })
    }

    pub fn tx(self, node: u32, task: TaskId, op: &str, from: u64, until: u64) -> Builder {
        self.tx_begins(node, task, op, from).tx_ends(node, task, op, until)
    }

    pub fn call_begins(
        self,
        node: u32,
        task: TaskId,
        endpoint: &str,
        key: &str,
        ms: u64,
    ) -> Builder {
        let (api, key) = (api_of(endpoint), key.to_owned());
        self.event(node, ms, Event::CallBegin { task, api, endpoint: endpoint.to_owned(), key })
    }

    #[expect(clippy::too_many_arguments, reason = "a call has so many sides")]
    pub fn call_ends(
        self,
        node: u32,
        task: TaskId,
        endpoint: &str,
        key: &str,
        ms: u64,
        outcome: &str,
        status: Option<u16>,
    ) -> Builder {
        let event = Event::CallEnd {
            task,
            api: api_of(endpoint),
            endpoint: endpoint.to_owned(),
            key: key.to_owned(),
            outcome: outcome.to_owned(),
            status,
        };
        self.event(node, ms, event)
    }

    #[expect(clippy::too_many_arguments, reason = "a call has so many sides")]
    pub fn call(
        self,
        node: u32,
        task: TaskId,
        endpoint: &str,
        key: &str,
        from: u64,
        until: u64,
        outcome: &str,
        status: Option<u16>,
    ) -> Builder {
        self.call_begins(node, task, endpoint, key, from)
            .call_ends(node, task, endpoint, key, until, outcome, status)
    }

    pub fn drill(mut self, ms: u64, step: Step) -> Builder {
        let at = self.at(ms);
        self.history.records.push(Record::drill(at, None, step));
        self
    }
}

fn api_of(endpoint: &str) -> String {
    let messenger = MESSENGER_ENDPOINTS.contains(&endpoint);
    if messenger { "messenger" } else { "carrier" }.to_owned()
}
