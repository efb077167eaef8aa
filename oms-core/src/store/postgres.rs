//! PostgreSQL through `sqlx`: the same use cases as on SQLite, for many workers on many machines.
//!
//! What is done to an order is the same code as on SQLite (`store/aggregate.rs`); here is how its rows are
//! read and written. Transactions are `READ COMMITTED`, and whoever changes an order locks its row
//! first, then the rows that belong to it, several orders by their ids: so each sees what the one
//! before it has committed, and nobody waits in a circle. A claim waits for nobody: it skips what is
//! locked. Reads see one snapshot and lock nothing.
//!
//! What was not answered is told apart: before `COMMIT` was sent nothing has happened
//! ([`Busy`]: ask again); after it, it may have ([`CommitUnknown`]: ask again too, for
//! every write can be repeated).
//!
//! Read in this order: `schema.sql`, `records` (an order's rows), `ingest`, `claim`, `settle`, `batch`,
//! `reports`, `operate`, `quota`, `bell`, `failure`.
//!
//! [`Busy`]: super::Error::Busy
//! [`CommitUnknown`]: super::Error::CommitUnknown

mod batch;
mod bell;
mod claim;
mod connect;
mod failure;
mod held;
mod ingest;
mod members;
mod migrate;
mod operate;
#[cfg(test)]
mod plans;
mod presence;
mod prune;
mod query;
mod quota;
mod records;
mod renew;
mod reports;
mod row;
mod settle;
mod transaction;

pub use connect::{WriteLock, end_connections, hold_write_lock};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use clockwork::{BoxFuture, Timestamp};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;

use super::group_commit::Watch;
use super::quota::Ahead;
use super::sqlite::{Options, Time};
use super::turns::Turns;
use super::{
    Audited, Census, Claim, Claimed, DeliveryReport, Filter, Ingested, MemberView, NoticeOutcome,
    NoticeWork, Operated, Operation, OrderView, ParcelOutcome, ParcelWork, Permits, Presence,
    Prune, Pruned, Result, Row, Rows, SignedUp, Standing, Store, TakePermits, UnitOfWork, Woken,
    Written,
};
use crate::env::{Event, Hands, TaskId, current_task};
use crate::member::Member;
use crate::order::Order;
use crate::policy::OrderPolicy;
use crate::state::OrderState;
use batch::Batches;
use bell::Bell;
use claim::AtOnce;
use failure::{before_commit, of_commit};
use held::HeldTransaction;
use ingest::Intake;
use settle::{Outcome, Step};
use transaction::Transaction;

/// Sees what others have committed, statement by statement. It does not insist on writing: a server that
/// is no primary any more shall refuse the write, in the words for it, and not the transaction.
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Sees one snapshot.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The store on PostgreSQL. Clones share its pool.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    bell: Arc<Bell>,
    watch: Watch,
    orders: Arc<dyn OrderPolicy>,
    time: Time,
    turns: Arc<Turns>,
    expected: Arc<Expected>,
    steps: Arc<Batches<Step>>,
    intakes: Arc<Batches<Intake>>,
}

/// Whether something is due, as far as this process knows: then a look before the claim is a round
/// trip for nothing.
#[derive(Default)]
struct Expected {
    parcels: AtomicBool,
    notices: AtomicBool,
}

impl PostgresStore {
    /// The database at `url` (`postgres://…`), migrated if need be. `pool_size` connections serve all
    /// transactions, held or not; `busy_wait` is how long a row's lock is waited for.
    ///
    /// # Errors
    /// [`Error`](super::Error) when the server cannot be reached, refuses, or the database was written by a newer
    /// program. No error says the URL, which may hold a password.
    pub async fn open(url: &str, options: Options) -> Result<PostgresStore> {
        let pool = connect::pool(url, &options).await?;
        let watch = Watch { clock: options.clock.clone(), observer: options.observer.clone() };
        let Options { clock, orders, time, .. } = options;
        let bell = Arc::new(Bell::new(clock, time.clone()));
        Ok(PostgresStore {
            pool,
            bell,
            watch,
            orders,
            time,
            turns: Arc::default(),
            expected: Arc::default(),
            steps: Arc::new(Batches::new()),
            intakes: Arc::new(Batches::new()),
        })
    }

    /// Ends all connections, once what is under way on them has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn write(&self, op: &'static str) -> Result<Transaction> {
        self.begin_as(op, WRITE).await
    }

    async fn read(&self, op: &'static str) -> Result<Transaction> {
        self.begin_as(op, READ).await
    }

    async fn begin_as(&self, op: &'static str, how: &'static str) -> Result<Transaction> {
        self.begin_for(Vec::from([(op, current_task())]), how).await
    }

    /// A transaction of several use cases, each of a task of its own; the first one's name is its.
    async fn begin_for(
        &self,
        parts: Vec<(&'static str, TaskId)>,
        how: &'static str,
    ) -> Result<Transaction> {
        let op = parts.first().map_or("nothing", |(op, _)| op);
        let begun = self.pooled(self.pool.begin_with(how)).await;
        let open = begun.map_err(|error| before_commit(&error, op))?;
        let watch = self.watch.clone();
        for (op, task) in &parts {
            watch.begun(op, *task);
        }
        Ok(Transaction { op, parts, watch, open: Some(open) })
    }

    /// A connection outside of any transaction, for single statements.
    async fn connection(&self, op: &'static str) -> Result<PoolConnection<Postgres>> {
        let taken = self.pooled(self.pool.acquire()).await;
        taken.map_err(|error| before_commit(&error, op))
    }

    /// What is `taken` from the pool, told where it had to wait.
    async fn pooled<T>(
        &self,
        taken: impl Future<Output = std::result::Result<T, sqlx::Error>>,
    ) -> std::result::Result<T, sqlx::Error> {
        // Whoever comes in between shows as a wait too, or as none: it is a figure for a report.
        let full = self.pool.num_idle() == 0
            && self.pool.size() >= self.pool.options().get_max_connections();
        let since = self.watch.clock.now();
        let taken = taken.await;
        if full {
            let granted = !matches!(taken, Err(sqlx::Error::PoolTimedOut));
            let event = Event::PoolWaited { task: current_task(), since, granted };
            self.watch.observer.observe(self.watch.clock.now(), event);
        }
        taken
    }

    /// Claims parcels by one statement, after a look where nothing is known to be due.
    async fn claim_parcels_at_once(
        &self,
        op: &'static str,
        claim: &Claim,
    ) -> Result<AtOnce<ParcelWork>> {
        let mut db = self.connection(op).await?;
        if !self.expected.parcels.load(Ordering::Acquire) {
            let nothing = claim::no_parcels(&mut db, claim.now).await;
            if let Some(claimed) = nothing.map_err(|failure| failure.of(op))? {
                return Ok(AtOnce { claimed, left: 0 });
            }
        }
        self.watch.begun(op, current_task());
        let done = claim::parcels_at_once(&mut db, claim, &self.turns.parcels).await;
        self.watch.ended(op, current_task(), done.is_ok());
        done.map_err(|failure| failure.of_statement(op))
    }

    /// Claims notifications by one statement, after a look where nothing is known to be due.
    async fn claim_notices_at_once(
        &self,
        op: &'static str,
        claim: &Claim,
    ) -> Result<AtOnce<NoticeWork>> {
        let mut db = self.connection(op).await?;
        if !self.expected.notices.load(Ordering::Acquire) {
            let nothing = claim::no_notices(&mut db, claim.now).await;
            if let Some(claimed) = nothing.map_err(|failure| failure.of(op))? {
                return Ok(AtOnce { claimed, left: 0 });
            }
        }
        self.watch.begun(op, current_task());
        let done = claim::notices_at_once(&mut db, claim, &self.turns.notices).await;
        self.watch.ended(op, current_task(), done.is_ok());
        done.map_err(|failure| failure.of_statement(op))
    }
}

/// What one claim got in two ways. What is leased is worked on, also when the rest cannot be had now.
fn together<W>(mut first: Claimed<W>, rest: Result<Claimed<W>>) -> Result<Claimed<W>> {
    match rest {
        Ok(rest) => {
            first.work.extend(rest.work);
            first.taken.extend(rest.taken);
            first.next_due = rest.next_due;
            Ok(first)
        }
        Err(error) if first.work.is_empty() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the rest of a claim is left for the next");
            Ok(first)
        }
    }
}

/// Whether something else may be due once this is written: a sibling is called back, the customer told.
fn brings_work(outcome: &ParcelOutcome) -> bool {
    use ParcelOutcome::{Booked, Cancelled, PickedUp, Refused};
    matches!(outcome, Booked | Refused { .. } | Cancelled | PickedUp)
}

#[async_trait]
impl Store for PostgresStore {
    async fn ingest(
        &self,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        let intake = Intake { order: order.clone(), rejection, now };
        let ingested = self.intakes.make(self, intake).await?;
        if ingested == Ingested::Created(OrderState::Accepted) {
            self.expected.parcels.store(true, Ordering::Release);
            self.bell.ring(&self.pool).await;
        }
        Ok(ingested)
    }

    async fn sign_up(&self, member: &Member, now: Timestamp) -> Result<SignedUp> {
        let mut write = self.write("sign-up").await?;
        let done = members::sign_up(write.db(), member, now).await;
        let signed_up = write.end(done).await?;
        if signed_up == SignedUp::Created {
            self.bell.ring(&self.pool).await;
        }
        Ok(signed_up)
    }

    async fn claim_parcels(&self, claim: Claim) -> Result<Claimed<ParcelWork>> {
        const OP: &str = "claim-parcels";
        let claimed = self.claim_parcels_at_once(OP, &claim).await?;
        let claimed = match claimed.left {
            0 => claimed.claimed,
            left => {
                let mut write = self.write(OP).await?;
                let rest = Claim { limit: left, ..claim.clone() };
                let done = claim::parcels(write.db(), &rest, &self.turns.parcels).await;
                together(claimed.claimed, write.end(done).await)?
            }
        };
        let more = claimed.next_due.is_some_and(|due| due <= claim.now);
        self.expected.parcels.store(more, Ordering::Release);
        Ok(claimed)
    }

    async fn settle_parcel(
        &self,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let brings_work = brings_work(&outcome);
        let outcome = Outcome::Parcel(work.key.clone(), outcome);
        let written = self.steps.make(self, Step { outcome, token: work.lease.token, now }).await?;
        if written == Written::Done && brings_work {
            self.expected.notices.store(true, Ordering::Release);
            self.bell.ring(&self.pool).await;
        }
        Ok(written)
    }

    async fn claim_notices(&self, claim: Claim) -> Result<Claimed<NoticeWork>> {
        const OP: &str = "claim-notices";
        let claimed = self.claim_notices_at_once(OP, &claim).await?;
        let claimed = match claimed.left {
            0 => claimed.claimed,
            left => {
                let mut write = self.write(OP).await?;
                let rest = Claim { limit: left, ..claim.clone() };
                let done = claim::notices(write.db(), &rest, &self.turns.notices).await;
                together(claimed.claimed, write.end(done).await)?
            }
        };
        let more = claimed.next_due.is_some_and(|due| due <= claim.now);
        self.expected.notices.store(more, Ordering::Release);
        Ok(claimed)
    }

    async fn settle_notice(
        &self,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let outcome = Outcome::Notice(work.key.clone(), outcome);
        self.steps.make(self, Step { outcome, token: work.lease.token, now }).await
    }

    async fn renew_leases(
        &self,
        held: Vec<(Row, i64)>,
        until: Timestamp,
    ) -> Result<Vec<(Row, i64)>> {
        let mut write = self.write("renew-leases").await?;
        let done = renew::leases(write.db(), &held, until).await;
        write.end(done).await
    }

    async fn take_permits(&self, take: TakePermits) -> Result<Permits> {
        let mut write = self.write("take-permits").await?;
        let done = quota::take(write.db(), take, &self.time).await;
        let (permits, now) = write.end(done).await?;
        // The worker's clock is looked at last: however long the answer took, it is not too early.
        let ahead = match self.time {
            Time::Callers => return Ok(permits),
            _ => Ahead::of(self.watch.clock.now(), now),
        };
        Ok(ahead.answer(permits))
    }

    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()> {
        let mut write = self.write("block-quota").await?;
        let now = self.watch.clock.now();
        let done = quota::block(write.db(), quota, until, now, &self.time).await;
        write.end(done).await
    }

    async fn blocked_until(&self, quota: &'static str) -> Result<Timestamp> {
        const OP: &str = "blocked-until";
        if let Some(until) = self.bell.blocked_until(quota) {
            return Ok(until);
        }
        let mut db = self.connection(OP).await?;
        let blocks = quota::blocks(&mut *db, &self.time, &*self.watch.clock).await;
        let mut blocks = blocks.map_err(|failure| failure.of(OP))?.into_iter();
        let lasts = blocks.find_map(|(blocked, lasts)| (blocked == quota).then_some(lasts));
        Ok(lasts.map_or(Timestamp::EPOCH, |lasts| self.watch.clock.now() + lasts))
    }

    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()> {
        let mut write = self.write("record-reports").await?;
        let done = reports::record_all(write.db(), &*self.orders, &reports, now).await;
        write.end(done).await
    }

    async fn awaits_reports(&self, since: Timestamp) -> Result<bool> {
        let mut read = self.read("awaits-reports").await?;
        let done = reports::awaited(read.db(), since).await;
        read.end(done).await
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        let mut write = self.write("prune").await?;
        let done = prune::prune(write.db(), prune).await;
        write.end(done).await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated> {
        let mut write = self.write("operate").await?;
        let done = operate::operate(write.db(), &*self.orders, &operation).await;
        write.end(done).await
    }

    async fn audit(&self, order: Option<String>, limit: usize) -> Result<Vec<Audited>> {
        let mut read = self.read("audit").await?;
        let done = operate::audited(read.db(), order.as_deref(), limit).await;
        read.end(done).await
    }

    async fn hear(&self, presence: &Presence) -> Result<()> {
        let mut write = self.write("hear").await?;
        let done = presence::hear(write.db(), presence).await;
        write.end(done).await
    }

    async fn leave(&self, worker: &str) -> Result<()> {
        let mut write = self.write("leave").await?;
        let done = presence::leave(write.db(), worker).await;
        write.end(done).await
    }

    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        let mut read = self.read("order").await?;
        let done = query::order(read.db(), id).await;
        read.end(done).await
    }

    async fn member(&self, id: &str) -> Result<Option<MemberView>> {
        let mut read = self.read("member").await?;
        let done = query::member(read.db(), id).await;
        read.end(done).await
    }

    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>> {
        let mut read = self.read("orders").await?;
        let done = query::orders(read.db(), &filter).await;
        read.end(done).await
    }

    async fn census(&self) -> Result<Census> {
        let mut read = self.read("census").await?;
        let done = query::census(read.db()).await;
        read.end(done).await
    }

    async fn standing(&self, now: Timestamp) -> Result<Standing> {
        let mut read = self.read("standing").await?;
        let done = query::standing(read.db(), now).await;
        read.end(done).await
    }

    async fn rows(&self) -> Result<Rows> {
        let mut read = self.read("rows").await?;
        let done = query::rows(read.db()).await;
        read.end(done).await
    }

    fn listener(&self, woken: Woken) -> Option<BoxFuture<'static, ()>> {
        Some(Box::pin(self.bell.clone().listen(self.pool.clone(), woken)))
    }

    async fn begin<'h>(&self, _: &'h mut Hands) -> Result<Box<dyn UnitOfWork + 'h>> {
        let transaction = self.write(held::OP).await?;
        Ok(Box::new(HeldTransaction::new(transaction, self.orders.clone())))
    }
}
