//! The database as a node sees it: the real one, with the faults that a plan does to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clockwork::{Clock, Entropy, Timestamp};
use faults::{Fault, Fired, Kind, Mode, Target};
use oms_core::env::Hands;
use oms_core::member::Member;
use oms_core::order::Order;
use oms_core::store::{
    Audited, Census, Claim, Claimed, DeliveryReport, Error, Filter, Ingested, Lease, MemberPart,
    MemberView, NoticeKey, NoticeOutcome, NoticeWork, Operated, Operation, OrderView,
    ParcelOutcome, ParcelWork, Permits, Presence, Prune, Pruned, Result, Row, Rows, SignedUp,
    Standing, Store, TakePermits, UnitOfWork, Written,
};

use super::disk::Power;

/// Decides which use case is hit, as an injector does for calls.
pub struct StoreFaults {
    clock: Arc<dyn Clock>,
    start: Timestamp,
    entropy: Entropy,
    state: Mutex<State>,
    power: Option<Arc<Power>>,
}

struct State {
    armed: Vec<Armed>,
    /// How often each operation was used.
    uses: BTreeMap<&'static str, u64>,
    healed: bool,
}

struct Armed {
    fault: Fault,
    seen: u64,
    fired: u64,
}

impl StoreFaults {
    /// Faults on the store, and on the power under it if it can go; `from` and `until` count from
    /// now.
    pub fn new(
        clock: Arc<dyn Clock>,
        entropy: Entropy,
        faults: Vec<Fault>,
        power: Option<Arc<Power>>,
    ) -> StoreFaults {
        let armed = faults.into_iter().map(|fault| Armed { fault, seen: 0, fired: 0 });
        let state = State { armed: armed.collect(), uses: BTreeMap::new(), healed: false };
        let state = Mutex::new(state);
        StoreFaults { start: clock.now(), clock, entropy, state, power }
    }

    /// No fault fires any more.
    pub fn heal(&self) {
        self.state().healed = true;
        if let Some(power) = &self.power {
            power.heal();
        }
    }

    /// The faults and how often each fired.
    pub fn fired(&self) -> Vec<Fired> {
        let at_points = |fault: &Fault| self.power.as_ref().map_or(0, |power| power.times(fault));
        let fired = |armed: &Armed| Fired {
            times: armed.fired + at_points(&armed.fault),
            fault: armed.fault.clone(),
        };
        self.state().armed.iter().map(fired).collect()
    }

    /// How often each operation was used.
    pub fn uses(&self) -> BTreeMap<&'static str, u64> {
        self.state().uses.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that hits this use of `op`, if one does, and its place among them.
    fn hit(&self, op: &'static str) -> Option<(usize, Fault)> {
        let mut state = self.state();
        *state.uses.entry(op).or_default() += 1;
        if state.healed || state.armed.is_empty() {
            return None;
        }
        let passed = self.clock.now().since(self.start);
        for (place, armed) in state.armed.iter_mut().enumerate() {
            let fault = &armed.fault;
            // Those on the whole server are asked first, those at a point of the disk are its own matter.
            if fault.kind.target() == Target::Server || fault.point.is_some() {
                continue;
            }
            let elsewhere = fault.endpoint.as_deref().is_some_and(|endpoint| endpoint != op);
            if elsewhere {
                continue;
            }
            armed.seen += 1;
            let in_window = fault.from.is_none_or(|from| passed >= from)
                && fault.until.is_none_or(|until| passed < until);
            let on_turn = fault.nth.is_none_or(|nth| nth == armed.seen);
            let once = fault.kind == Kind::PowerCut && fault.rate.is_none();
            let times = fault.times.or(once.then_some(1));
            let spent = times.is_some_and(|times| armed.fired >= times);
            let drawn = fault.rate.is_none_or(|rate| {
                self.entropy.fork("store-fault", (place, op, armed.seen)).chance(rate)
            });
            if in_window && on_turn && drawn && !spent {
                // A power cut fires when the power goes, unless its node dies before.
                armed.fired += u64::from(fault.kind != Kind::PowerCut);
                return Some((place, armed.fault.clone()));
            }
        }
        None
    }

    /// What becomes of a use case because of its server.
    fn ended(&self) -> Option<Ended> {
        let mut state = self.state();
        if state.healed {
            return None;
        }
        let passed = self.clock.now().since(self.start);
        let of_server = |armed: &&mut Armed| armed.fault.kind.target() == Target::Server;
        state.armed.iter_mut().filter(of_server).find_map(|armed| armed.ends(passed))
    }

    /// Whether the disk is full just now.
    pub fn disk_full(&self) -> bool {
        let state = self.state();
        let passed = self.clock.now().since(self.start);
        !state.healed && state.armed.iter().any(|armed| armed.fills(passed))
    }

    /// A use case found no room.
    fn note_full(&self) {
        let passed = self.clock.now().since(self.start);
        let mut state = self.state();
        state
            .armed
            .iter_mut()
            .filter(|armed| armed.fills(passed))
            .for_each(|armed| armed.fired += 1);
    }

    /// The power goes because of the fault at `place`.
    fn cut_power(&self, place: usize) {
        self.state().armed[place].fired += 1;
        if let Some(power) = &self.power {
            power.cut();
        }
    }
}

/// What a server that is ended does to a use case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Its connection ends before its commit, or there is none to be had.
    Before,
    /// Its connection ends after its commit and before the answer.
    After,
}

impl Armed {
    /// Whether it has the disk full when so much of the run has `passed`.
    fn fills(&self, passed: Duration) -> bool {
        let Fault { kind, from, until, .. } = &self.fault;
        *kind == Kind::DiskFull
            && from.is_none_or(|from| passed >= from)
            && until.is_none_or(|until| passed < until)
    }

    /// What a fault on the whole server does to a use case when so much of the run has `passed`. The
    /// first one from its moment on is cut off; while the server is down none comes through.
    fn ends(&mut self, passed: Duration) -> Option<Ended> {
        if self.fault.kind == Kind::DiskFull {
            // The engine itself finds that out.
            return None;
        }
        let since = passed.checked_sub(self.fault.from.unwrap_or_default())?;
        let first = self.fired == 0;
        self.fired += u64::from(first);
        match (first, self.fault.mode) {
            (true, Some(Mode::Immediate)) => Some(Ended::After),
            (true, _) => Some(Ended::Before),
            (false, _) => {
                let down = self.fault.by.is_some_and(|by| since < by);
                down.then_some(Ended::Before)
            }
        }
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
        self.faults.disturbed(op, work).await
    }
}

impl StoreFaults {
    /// One use of `op`, and what the faults make of it.
    async fn disturbed<T>(
        &self,
        op: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.ended() {
            Some(Ended::Before) => return Err(Error::Busy { op }),
            Some(Ended::After) => {
                work.await?;
                return Err(Error::CommitUnknown { op });
            }
            None => {}
        }
        let Some((place, fault)) = self.hit(op) else {
            let answer = work.await;
            if matches!(answer, Err(Error::Full { .. })) {
                self.note_full();
            }
            return answer;
        };
        let failed = |reason: &str| Err(Error::Engine { op, reason: reason.to_owned() });
        match fault.kind {
            Kind::Busy => Err(Error::Busy { op }),
            Kind::CommitFails => failed("commit failed, rolled back"),
            Kind::Disconnect => failed("connection lost before the commit"),
            Kind::CommitUnknown => {
                work.await?;
                Err(Error::CommitUnknown { op })
            }
            Kind::PowerCut => {
                // What it answers, nobody is there to hear.
                let _ = work.await;
                self.cut_power(place);
                std::future::pending().await
            }
            // `slow`: it takes longer, and then it is done.
            _ => {
                self.clock.sleep(fault.by.unwrap_or_default()).await;
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
    async fn sign_up(&self, member: &Member, now: Timestamp) -> Result<SignedUp> {
        self.disturbed("sign-up", self.inner.sign_up(member, now)).await
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
    async fn renew_leases(
        &self,
        held: Vec<(Row, i64)>,
        until: Timestamp,
    ) -> Result<Vec<(Row, i64)>> {
        self.disturbed("renew-leases", self.inner.renew_leases(held, until)).await
    }
    async fn take_permits(&self, take: TakePermits) -> Result<Permits> {
        self.disturbed("take-permits", self.inner.take_permits(take)).await
    }
    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()> {
        self.disturbed("block-quota", self.inner.block_quota(quota, until)).await
    }
    // A look beside the use cases: no fault is for it, and nobody dies over it.
    async fn blocked_until(&self, quota: &'static str) -> Result<Timestamp> {
        self.inner.blocked_until(quota).await
    }
    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()> {
        self.disturbed("record-reports", self.inner.record_reports(reports, now)).await
    }
    async fn awaits_reports(&self, since: Timestamp) -> Result<bool> {
        self.disturbed("awaits-reports", self.inner.awaits_reports(since)).await
    }
    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        self.disturbed("prune", self.inner.prune(prune)).await
    }
    async fn operate(&self, operation: Operation) -> Result<Operated> {
        self.disturbed("operate", self.inner.operate(operation)).await
    }
    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        self.disturbed("order", self.inner.order(id)).await
    }
    async fn member(&self, id: &str) -> Result<Option<MemberView>> {
        self.disturbed("member", self.inner.member(id)).await
    }
    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>> {
        self.disturbed("orders", self.inner.orders(filter)).await
    }
    async fn census(&self) -> Result<Census> {
        self.disturbed("census", self.inner.census()).await
    }
    async fn audit(&self, order: Option<String>, limit: usize) -> Result<Vec<Audited>> {
        self.disturbed("audit", self.inner.audit(order, limit)).await
    }
    async fn hear(&self, presence: &Presence) -> Result<()> {
        self.disturbed("hear", self.inner.hear(presence)).await
    }
    async fn leave(&self, worker: &str) -> Result<()> {
        self.disturbed("leave", self.inner.leave(worker)).await
    }
    async fn standing(&self, now: Timestamp) -> Result<Standing> {
        self.disturbed("standing", self.inner.standing(now)).await
    }
    async fn rows(&self) -> Result<Rows> {
        self.disturbed("rows", self.inner.rows()).await
    }
    async fn begin<'h>(&self, hands: &'h mut Hands) -> Result<Box<dyn UnitOfWork + 'h>> {
        let inner = self.disturbed("begin", self.inner.begin(hands)).await?;
        Ok(Box::new(FaultyUnit { inner, faults: self.faults.clone() }))
    }
}

/// A held transaction whose end a plan's faults are done to, under the name of `commit`.
struct FaultyUnit<'h> {
    inner: Box<dyn UnitOfWork + 'h>,
    faults: Arc<StoreFaults>,
}

#[async_trait]
impl UnitOfWork for FaultyUnit<'_> {
    fn settle_parcel(&mut self, work: &ParcelWork, outcome: ParcelOutcome, now: Timestamp) {
        self.inner.settle_parcel(work, outcome, now);
    }
    fn settle_notice(
        &mut self,
        key: &NoticeKey,
        lease: Option<&Lease>,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) {
        self.inner.settle_notice(key, lease, outcome, now);
    }
    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        self.inner.order(id).await
    }
    fn keep_member(&mut self, member: &Member, part: MemberPart, now: Timestamp) {
        self.inner.keep_member(member, part, now);
    }
    async fn commit(self: Box<Self>) -> Result<Written> {
        let FaultyUnit { inner, faults } = *self;
        faults.disturbed("commit", inner.commit()).await
    }
    fn roll_back(self: Box<Self>) {
        self.inner.roll_back();
    }
}

#[cfg(test)]
mod tests;
