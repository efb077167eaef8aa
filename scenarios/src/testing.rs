//! Evidence by hand, for tests. Times are milliseconds since the run's start.

mod events;
mod ledgers;
mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use oms_core::env::TaskId;
use oms_core::store::Rows;

use crate::evidence::Evidence;
use crate::history::{FinalReads, History, Mode};
use crate::plan::Plan;
use crate::promises::Finding;

/// What a finding says, a violation a line.
pub(crate) fn said(finding: &Finding) -> String {
    finding.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A run, put together by hand.
#[derive(Clone)]
pub(crate) struct Builder {
    history: History,
}

impl Builder {
    /// A plan of so many healthy orders, of which nothing is known yet.
    pub fn new(orders: u32) -> Builder {
        let plan = Plan::healthy("by-hand", orders);
        let reads = FinalReads {
            at: plan.start + Duration::from_hours(1),
            carrier: fake_cj::Ledger::default(),
            messenger: fake_kakao::Ledger {
                messages: Vec::new(),
                sends: Vec::new(),
                duplicates: Vec::new(),
                rate_limited: Vec::new(),
                bans: Vec::new(),
                totals: fake_kakao::ledger::Totals::default(),
                requests: Vec::new(),
                requests_dropped: 0,
                counts: BTreeMap::new(),
            },
            rows: Rows::default(),
            fired: BTreeMap::new(),
            baseline: None,
            queue: None,
        };
        let (mode, records) = (Mode::Simulated, Vec::new());
        Builder { history: History { plan, mode, clock_factor: 1.0, records, reads } }
    }

    /// So many orders, 10 ms apart, each of which goes well and is completed after 300 ms.
    pub fn clean(orders: u32) -> Builder {
        (1..=orders).fold(Builder::new(orders), |builder, number| builder.clean_order(number))
    }

    fn clean_order(self, number: u32) -> Builder {
        let id = format!("ORD-{number}");
        let (parcel, notice) = (format!("{id}/1"), format!("{id}:shipped"));
        let invoice = format!("6500000000{number}1");
        let at = |ms: u64| u64::from(number - 1) * 10 + ms;
        let task = TaskId::from(number) * 10;
        self.offered(&id, at(0))
            .acknowledged(&id, at(0))
            .call(0, task, "RegBook", &parcel, at(50), at(100), "done", Some(200))
            .tx(0, task, "settle-parcel", at(105), at(110))
            .call(0, task + 1, "send/omni", &notice, at(200), at(290), "done", Some(200))
            .order(&id, "completed")
            .parcel(&id, 1, "booked", Some(&invoice))
            .notice(&id, "sent")
            .walk("order", &id, &[("received", at(0)), ("accepted", at(0))])
            .walk("parcel", &parcel, &[("planned", at(0)), ("intended", at(40))])
            .walk("parcel", &parcel, &[("booked", at(110))])
            .walk("order", &id, &[("shipped", at(110)), ("completed", at(300))])
            .walk("notice", &notice, &[("queued", at(110)), ("sending", at(200))])
            .walk("notice", &notice, &[("sent", at(300))])
            .booking(&format!("{id}-1"), &invoice, at(80))
            .message(&notice, &format!("주문 {id} 운송장번호 {invoice}"), at(250))
    }

    pub fn history(self) -> History {
        let mut history = self.history;
        history.records.sort_by_key(|record| record.at);
        history
    }

    pub fn evidence(&self) -> Evidence {
        Evidence::from(self.clone().history())
    }

    pub fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Builder {
        change(&mut self.history.plan);
        self
    }

    pub fn orders_planned(self, orders: u32) -> Builder {
        self.plan(|plan| plan.workload.orders = orders)
    }

    pub fn live(mut self, clock_factor: f64) -> Builder {
        (self.history.mode, self.history.clock_factor) = (Mode::Live, clock_factor);
        self
    }

    pub fn baseline(mut self, ms: u64) -> Builder {
        self.history.reads.baseline = Some(Duration::from_millis(ms));
        self
    }

    fn at(&self, ms: u64) -> Timestamp {
        self.history.plan.start + Duration::from_millis(ms)
    }
}
