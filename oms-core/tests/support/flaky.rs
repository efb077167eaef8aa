//! A store that fails a number of times before it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use clockwork::Timestamp;
use oms_core::env::Hands;
use oms_core::member::Member;
use oms_core::order::Order;
use oms_core::store::{
    Audited, Census, Claim, Claimed, DeliveryReport, Error, Filter, Ingested, MemberView,
    NoticeOutcome, NoticeWork, Operated, Operation, OrderView, ParcelOutcome, ParcelWork, Permits,
    Presence, Prune, Pruned, Result, Row, Rows, SignedUp, Standing, Store, TakePermits, UnitOfWork,
    Written,
};

/// Fails the first `failures` calls with `error`.
pub struct Flaky {
    pub inner: Arc<dyn Store>,
    pub failures: AtomicUsize,
    pub error: Error,
}

impl Flaky {
    pub fn wrap(inner: Arc<dyn Store>, failures: usize, error: Error) -> Arc<dyn Store> {
        Arc::new(Flaky { inner, failures: AtomicUsize::new(failures), error })
    }

    fn fail(&self) -> bool {
        let count = |left: usize| left.checked_sub(1);
        self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
    }

    /// The answer of the store itself: lost when the commit is unknown, and never asked for when
    /// the store is busy.
    async fn answer<T>(&self, ask: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.fail() {
            return ask.await;
        }
        if matches!(self.error, Error::CommitUnknown { .. }) {
            ask.await?;
        }
        Err(self.error.clone())
    }
}

#[async_trait]
impl Store for Flaky {
    async fn ingest(
        &self,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        self.answer(self.inner.ingest(order, rejection, now)).await
    }

    async fn sign_up(&self, member: &Member, now: Timestamp) -> Result<SignedUp> {
        self.answer(self.inner.sign_up(member, now)).await
    }
    async fn claim_parcels(&self, claim: Claim) -> Result<Claimed<ParcelWork>> {
        self.answer(self.inner.claim_parcels(claim)).await
    }

    async fn settle_parcel(
        &self,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.answer(self.inner.settle_parcel(work, outcome, now)).await
    }

    async fn claim_notices(&self, claim: Claim) -> Result<Claimed<NoticeWork>> {
        self.answer(self.inner.claim_notices(claim)).await
    }

    async fn settle_notice(
        &self,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.answer(self.inner.settle_notice(work, outcome, now)).await
    }

    async fn renew_leases(
        &self,
        held: Vec<(Row, i64)>,
        until: Timestamp,
    ) -> Result<Vec<(Row, i64)>> {
        self.answer(self.inner.renew_leases(held, until)).await
    }

    async fn take_permits(&self, take: TakePermits) -> Result<Permits> {
        self.answer(self.inner.take_permits(take)).await
    }

    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()> {
        self.answer(self.inner.block_quota(quota, until)).await
    }

    async fn blocked_until(&self, quota: &'static str) -> Result<Timestamp> {
        self.answer(self.inner.blocked_until(quota)).await
    }

    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()> {
        self.answer(self.inner.record_reports(reports, now)).await
    }

    async fn awaits_reports(&self, since: Timestamp) -> Result<bool> {
        self.answer(self.inner.awaits_reports(since)).await
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.answer(self.inner.prune(prune)).await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated> {
        self.answer(self.inner.operate(operation)).await
    }

    async fn audit(&self, order: Option<String>, limit: usize) -> Result<Vec<Audited>> {
        self.answer(self.inner.audit(order, limit)).await
    }

    async fn hear(&self, presence: &Presence) -> Result<()> {
        self.answer(self.inner.hear(presence)).await
    }

    async fn leave(&self, worker: &str) -> Result<()> {
        self.answer(self.inner.leave(worker)).await
    }

    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        self.answer(self.inner.order(id)).await
    }

    async fn member(&self, id: &str) -> Result<Option<MemberView>> {
        self.answer(self.inner.member(id)).await
    }
    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>> {
        self.answer(self.inner.orders(filter)).await
    }

    async fn census(&self) -> Result<Census> {
        self.answer(self.inner.census()).await
    }

    async fn standing(&self, now: Timestamp) -> Result<Standing> {
        self.answer(self.inner.standing(now)).await
    }

    async fn rows(&self) -> Result<Rows> {
        self.answer(self.inner.rows()).await
    }

    async fn begin<'h>(&self, hands: &'h mut Hands) -> Result<Box<dyn UnitOfWork + 'h>> {
        self.answer(self.inner.begin(hands)).await
    }
}
