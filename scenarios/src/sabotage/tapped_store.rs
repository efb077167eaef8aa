//! A store with some of its use cases replaced.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::{BoxFuture, Timestamp};
use oms_core::env::Hands;
use oms_core::member::Member;
use oms_core::order::Order;
use oms_core::store::{
    Audited, Census, Claim, Claimed, DeliveryReport, Filter, Ingested, MemberView, NoticeOutcome,
    NoticeWork, Operated, Operation, OrderView, ParcelOutcome, ParcelWork, Permits, Presence,
    Prune, Pruned, Result, Row, Rows, SignedUp, Standing, Store, TakePermits, UnitOfWork, Woken,
    Written,
};

/// The use cases that a bug may replace; the others go straight through.
#[async_trait]
pub(crate) trait Tap: Send + Sync {
    /// In place of the store's own.
    async fn claim_parcels(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<ParcelWork>> {
        store.claim_parcels(claim).await
    }

    /// In place of the store's own.
    async fn settle_parcel(
        &self,
        store: &dyn Store,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        store.settle_parcel(work, outcome, now).await
    }

    /// In place of the store's own.
    async fn ingest(
        &self,
        store: &dyn Store,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        store.ingest(order, rejection, now).await
    }

    /// In place of the store's own.
    async fn sign_up(
        &self,
        store: &dyn Store,
        member: &Member,
        now: Timestamp,
    ) -> Result<SignedUp> {
        store.sign_up(member, now).await
    }

    /// In place of the store's own.
    async fn claim_notices(&self, store: &dyn Store, claim: Claim) -> Result<Claimed<NoticeWork>> {
        store.claim_notices(claim).await
    }

    /// In place of the store's own.
    async fn settle_notice(
        &self,
        store: &dyn Store,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        store.settle_notice(work, outcome, now).await
    }

    /// In place of the store's own.
    async fn take_permits(&self, store: &dyn Store, take: TakePermits) -> Result<Permits> {
        store.take_permits(take).await
    }

    /// In place of the store's own.
    async fn block_quota(
        &self,
        store: &dyn Store,
        quota: &'static str,
        until: Timestamp,
    ) -> Result<()> {
        store.block_quota(quota, until).await
    }

    /// In place of the store's own.
    async fn record_reports(
        &self,
        store: &dyn Store,
        reports: Vec<DeliveryReport>,
        now: Timestamp,
    ) -> Result<()> {
        store.record_reports(reports, now).await
    }

    /// In place of the store's own.
    async fn operate(&self, store: &dyn Store, operation: Operation) -> Result<Operated> {
        store.operate(operation).await
    }
}

/// `inner`, with a tap in it.
pub(crate) struct TappedStore<T> {
    inner: Arc<dyn Store>,
    tap: T,
}

impl<T: Tap> TappedStore<T> {
    pub(crate) fn new(inner: Arc<dyn Store>, tap: T) -> TappedStore<T> {
        TappedStore { inner, tap }
    }
}

#[async_trait]
impl<T: Tap> Store for TappedStore<T> {
    async fn sign_up(&self, member: &Member, now: Timestamp) -> Result<SignedUp> {
        self.tap.sign_up(&*self.inner, member, now).await
    }

    async fn claim_parcels(&self, claim: Claim) -> Result<Claimed<ParcelWork>> {
        self.tap.claim_parcels(self.inner.as_ref(), claim).await
    }
    async fn settle_parcel(
        &self,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.tap.settle_parcel(self.inner.as_ref(), work, outcome, now).await
    }

    async fn ingest(
        &self,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        self.tap.ingest(self.inner.as_ref(), order, rejection, now).await
    }
    async fn claim_notices(&self, claim: Claim) -> Result<Claimed<NoticeWork>> {
        self.tap.claim_notices(self.inner.as_ref(), claim).await
    }
    async fn settle_notice(
        &self,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        self.tap.settle_notice(self.inner.as_ref(), work, outcome, now).await
    }
    async fn renew_leases(
        &self,
        held: Vec<(Row, i64)>,
        until: Timestamp,
    ) -> Result<Vec<(Row, i64)>> {
        self.inner.renew_leases(held, until).await
    }
    async fn take_permits(&self, take: TakePermits) -> Result<Permits> {
        self.tap.take_permits(self.inner.as_ref(), take).await
    }
    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()> {
        self.tap.block_quota(self.inner.as_ref(), quota, until).await
    }
    async fn blocked_until(&self, quota: &'static str) -> Result<Timestamp> {
        self.inner.blocked_until(quota).await
    }
    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()> {
        self.tap.record_reports(self.inner.as_ref(), reports, now).await
    }
    async fn awaits_reports(&self, since: Timestamp) -> Result<bool> {
        self.inner.awaits_reports(since).await
    }
    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.inner.prune(prune).await
    }
    async fn operate(&self, operation: Operation) -> Result<Operated> {
        self.tap.operate(self.inner.as_ref(), operation).await
    }
    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        self.inner.order(id).await
    }
    async fn member(&self, id: &str) -> Result<Option<MemberView>> {
        self.inner.member(id).await
    }

    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>> {
        self.inner.orders(filter).await
    }
    async fn census(&self) -> Result<Census> {
        self.inner.census().await
    }
    async fn audit(&self, order: Option<String>, limit: usize) -> Result<Vec<Audited>> {
        self.inner.audit(order, limit).await
    }
    async fn hear(&self, presence: &Presence) -> Result<()> {
        self.inner.hear(presence).await
    }
    async fn leave(&self, worker: &str) -> Result<()> {
        self.inner.leave(worker).await
    }
    async fn standing(&self, now: Timestamp) -> Result<Standing> {
        self.inner.standing(now).await
    }
    async fn rows(&self) -> Result<Rows> {
        self.inner.rows().await
    }
    async fn begin<'h>(&self, hands: &'h mut Hands) -> Result<Box<dyn UnitOfWork + 'h>> {
        self.inner.begin(hands).await
    }
    fn listener(&self, woken: Woken) -> Option<BoxFuture<'static, ()>> {
        self.inner.listener(woken)
    }
}
