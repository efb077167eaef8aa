//! The database as a node sees it: the real one, with the faults that a plan does to it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clockwork::{Clock, Entropy, Timestamp};
use faults::{Fault, Fired, Kind};
use oms_core::order::Order;
use oms_core::store::{
    Census, Claim, Claimed, DeliveryReport, Error, Filter, Ingested, NoticeOutcome, NoticeWork,
    Operated, Operation, OrderView, ParcelOutcome, ParcelWork, Permits, Result, Rows, Store,
    TakePermits, UnitOfWork, Written,
};

/// Decides which use case is hit, as an injector does for calls.
pub struct StoreFaults {
    clock: Arc<dyn Clock>,
    start: Timestamp,
    entropy: Entropy,
    state: Mutex<Vec<Armed>>,
}

struct Armed {
    fault: Fault,
    seen: u64,
    fired: u64,
}

impl StoreFaults {
    /// Faults on the store; `from` and `until` count from now.
    pub fn new(clock: Arc<dyn Clock>, entropy: Entropy, faults: Vec<Fault>) -> StoreFaults {
        let armed = faults.into_iter().map(|fault| Armed { fault, seen: 0, fired: 0 });
        let state = Mutex::new(armed.collect());
        StoreFaults { start: clock.now(), clock, entropy, state }
    }

    /// The faults and how often each fired.
    pub fn fired(&self) -> Vec<Fired> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.iter().map(|a| Fired { fault: a.fault.clone(), times: a.fired }).collect()
    }

    /// The fault that hits this use of `op`, if one does.
    fn hit(&self, op: &'static str) -> Option<Fault> {
        let passed = self.clock.now().since(self.start);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, armed) in state.iter_mut().enumerate() {
            let fault = &armed.fault;
            if fault.endpoint.as_deref().is_some_and(|endpoint| endpoint != op) {
                continue;
            }
            armed.seen += 1;
            let in_window = fault.from.is_none_or(|from| passed >= from)
                && fault.until.is_none_or(|until| passed < until);
            let on_turn = fault.nth.is_none_or(|nth| nth == armed.seen);
            let spent = fault.times.is_some_and(|times| armed.fired >= times);
            let drawn = fault.rate.is_none_or(|rate| {
                self.entropy.fork("store-fault", (place, op, armed.seen)).chance(rate)
            });
            if in_window && on_turn && drawn && !spent {
                armed.fired += 1;
                return Some(armed.fault.clone());
            }
        }
        None
    }
}

/// A store that a plan's faults are done to.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Arc<StoreFaults>,
}

impl FaultyStore {
    /// `inner`, disturbed by `faults`.
    pub fn new(inner: Arc<dyn Store>, faults: Arc<StoreFaults>) -> FaultyStore {
        FaultyStore { inner, faults }
    }

    async fn disturbed<T>(
        &self,
        op: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(fault) = self.faults.hit(op) else { return work.await };
        let failed = |reason: &str| Err(Error::Engine { op, reason: reason.to_owned() });
        match fault.kind {
            Kind::Busy => Err(Error::Busy { op }),
            Kind::CommitFails => failed("commit failed, rolled back"),
            Kind::Disconnect => failed("connection lost before the commit"),
            Kind::CommitUnknown => {
                work.await?;
                Err(Error::CommitUnknown { op })
            }
            // `slow`: it takes longer, and then it is done.
            _ => {
                self.faults.clock.sleep(fault.by.unwrap_or_default()).await;
                work.await
            }
        }
    }
}

/// Every use case goes through [`FaultyStore::disturbed`] under its own name.
#[async_trait]
impl Store for FaultyStore {
    async fn ingest(
        &self,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        self.disturbed("ingest", self.inner.ingest(order, rejection, now)).await
    }
    async fn claim_parcels(&self, claim: Claim) -> Result<Claimed<ParcelWork>> {
        self.disturbed("claim-parcels", self.inner.claim_parcels(claim)).await
    }
    async fn settle_parcel(
        &self,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.disturbed("settle-parcel", self.inner.settle_parcel(work, outcome, now)).await
    }
    async fn claim_notices(&self, claim: Claim) -> Result<Claimed<NoticeWork>> {
        self.disturbed("claim-notices", self.inner.claim_notices(claim)).await
    }
    async fn settle_notice(
        &self,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.disturbed("settle-notice", self.inner.settle_notice(work, outcome, now)).await
    }
    async fn take_permits(&self, take: TakePermits) -> Result<Permits> {
        self.disturbed("take-permits", self.inner.take_permits(take)).await
    }
    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()> {
        self.disturbed("block-quota", self.inner.block_quota(quota, until)).await
    }
    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()> {
        self.disturbed("record-reports", self.inner.record_reports(reports, now)).await
    }
    async fn awaits_reports(&self, since: Timestamp) -> Result<bool> {
        self.disturbed("awaits-reports", self.inner.awaits_reports(since)).await
    }
    async fn operate(&self, operation: Operation) -> Result<Operated> {
        self.disturbed("operate", self.inner.operate(operation)).await
    }
    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        self.disturbed("order", self.inner.order(id)).await
    }
    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>> {
        self.disturbed("orders", self.inner.orders(filter)).await
    }
    async fn census(&self) -> Result<Census> {
        self.disturbed("census", self.inner.census()).await
    }
    async fn rows(&self) -> Result<Rows> {
        self.disturbed("rows", self.inner.rows()).await
    }
    async fn begin(&self) -> Result<Box<dyn UnitOfWork>> {
        self.disturbed("begin", self.inner.begin()).await
    }
}
