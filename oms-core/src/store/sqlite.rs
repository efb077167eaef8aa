//! SQLite through `rusqlite`: every use case is one synchronous function with its SQL beside it.
//!
//! A use case sees a connection inside an open transaction and never commits: [`group_commit`]
//! does, for many at once. Live, a writer and a reader thread own a connection each; in memory
//! (under the simulator) the callers themselves run what waits, on one connection that outlives
//! them.
//!
//! Read in this order: `schema.sql`, `records` (an order's rows; what is done to them is in
//! `store/aggregate.rs`), `claim`, `settle`, `notices`, `operate`, `quota`.
//!
//! [`group_commit`]: super::group_commit

mod claim;
mod connect;
pub(super) mod failure;
mod held;
mod ingest;
mod members;
mod migrate;
mod notices;
mod operate;
mod options;
#[cfg(test)]
mod plans;
mod presence;
mod prune;
mod query;
mod quota;
mod records;
mod reports;
mod room;
mod row;
mod settle;
mod shared;

pub use connect::{WriteLock, hold_write_lock};
pub use options::{Options, Synchronous, Time};
pub use room::DiskFull;
pub(super) use room::Room;
pub use shared::SharedDatabase;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clockwork::Timestamp;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::group_commit::{
    Access, Inline, Job, Reply, SchedulingPoint, Watch, Worker, no_scheduling_point,
};
use super::quota::Ahead;
use super::turns::Turns;
use super::{
    Audited, Census, Claim, Claimed, DeliveryReport, Error, Filter, Ingested, MemberView,
    NoticeOutcome, NoticeWork, Operated, Operation, OrderView, ParcelOutcome, ParcelWork, Permits,
    Presence, Prune, Pruned, Result, Row, Rows, SignedUp, Standing, Store, TakePermits, UnitOfWork,
    Written,
};
use crate::env::{Event, Hands, current_task};
use crate::member::Member;
use crate::order::Order;
use crate::policy::OrderPolicy;
use held::HeldTransaction;

/// The store on SQLite.
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    driver: Driver,
    watch: Watch,
    orders: Arc<dyn OrderPolicy>,
    pool: Arc<Semaphore>,
    pool_wait: Duration,
    time: Time,
    turns: Arc<Turns>,
}

/// Where jobs are run.
enum Driver {
    /// Live.
    Threads { writer: Worker, reader: Worker },
    /// On the callers' own tasks.
    Inline(Inline),
}

impl SqliteStore {
    /// The database in the file at `path`, made and migrated if need be.
    ///
    /// # Errors
    /// [`Error`] when the file cannot be opened, or was written by a newer program.
    pub fn open(path: &Path, options: Options) -> Result<SqliteStore> {
        const OP: &str = "open";
        let wait = options.busy_wait;
        let writer = connect::file(path, wait, options.synchronous);
        let writer = writer.map_err(|failure| failure.of(OP))?;
        let reader = connect::file_for_reading(path, wait).map_err(|failure| failure.of(OP))?;
        let watch = watch(&options);
        let start = |name, db, access| {
            let room = Room::new(options.disk_full.clone());
            Worker::start(name, db, access, watch.clone(), room)
                .map_err(|error| Error::Engine { op: OP, reason: error.to_string() })
        };
        let driver = Driver::Threads {
            writer: start("store-writer", writer, Access::Write)?,
            reader: start("store-reader", reader, Access::Read)?,
        };
        Ok(SqliteStore::with(driver, options))
    }

    /// A store on `database` whose jobs run on their callers' tasks. `point` is awaited before and
    /// after each.
    pub fn inline(
        database: &SharedDatabase,
        point: SchedulingPoint,
        options: Options,
    ) -> SqliteStore {
        let room = Room::new(options.disk_full.clone());
        let driver = Inline::new(database.clone(), point, watch(&options), room);
        SqliteStore::with(Driver::Inline(driver), options)
    }

    /// A store on a new database in memory.
    pub fn in_memory(options: Options) -> SqliteStore {
        SqliteStore::inline(&SharedDatabase::fresh(), no_scheduling_point(), options)
    }

    fn with(driver: Driver, options: Options) -> SqliteStore {
        let watch = watch(&options);
        let pool = Arc::new(Semaphore::new(options.pool_size));
        let Options { orders, pool_wait, time, .. } = options;
        let turns = Arc::new(Turns::default());
        let shared = Shared { driver, watch, orders, pool, pool_wait, time, turns };
        SqliteStore { shared: Arc::new(shared) }
    }

    async fn write<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection, &dyn OrderPolicy) -> failure::Result<T> + Send + 'static,
    {
        let orders = self.shared.orders.clone();
        let (job, reply) = Job::new(op, move |db| work(db, &*orders));
        self.shared.write(op, job, reply).await
    }

    /// A write that is made only where the reading `glance` does not answer already.
    async fn write_unless<T, G, F>(&self, op: &'static str, glance: G, work: F) -> Result<T>
    where
        T: Send + 'static,
        G: FnOnce(&Connection) -> failure::Result<Option<T>> + Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        let (job, reply) = match &self.shared.driver {
            Driver::Threads { .. } => Job::unless(op, glance, work),
            Driver::Inline(inline) => match inline.glance(glance) {
                Some(answer) => return Ok(answer),
                None => Job::new(op, work),
            },
        };
        self.shared.write(op, job, reply).await
    }

    async fn read<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        let (job, reply) = Job::new(op, work);
        self.shared.read(op, job, reply).await
    }
}

impl Shared {
    /// By how much our clock is ahead of the database's, where it has one.
    fn ahead(&self) -> Option<Ahead> {
        match &self.time {
            Time::Database(clock) => Some(Ahead::of(self.watch.clock.now(), clock.now())),
            Time::Callers | Time::Server { .. } => None,
        }
    }

    /// A place in the pool; `None` when none came free in time. Who had to wait is told.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.pool.clone().try_acquire_owned() {
            return Some(place);
        }
        let Watch { clock, observer } = &self.watch;
        let since = clock.now();
        let place = self.pool.clone().acquire_owned();
        // The semaphore is never closed: only the time can run out.
        let place = clockwork::timeout(&**clock, self.pool_wait, place).await;
        let place = place.ok().and_then(|place| place.ok());
        let event = Event::PoolWaited { task: current_task(), since, granted: place.is_some() };
        observer.observe(clock.now(), event);
        place
    }

    /// A write whose transaction the caller tells of.
    async fn execute_unobserved<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        let (job, reply) = Job::new(op, work);
        self.write(op, job.unobserved(), reply).await
    }

    /// A reading in a transaction that the caller tells of.
    async fn read_unobserved<T, F>(&self, op: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> failure::Result<T> + Send + 'static,
    {
        let (job, reply) = Job::new(op, work);
        self.read(op, job.unobserved(), reply).await
    }

    async fn read<T>(&self, op: &'static str, job: Job, reply: Reply<T>) -> Result<T> {
        match &self.driver {
            Driver::Threads { reader, .. } => reader.execute(op, job, reply).await,
            Driver::Inline(inline) => inline.execute(op, job, reply).await,
        }
    }

    async fn write<T>(&self, op: &'static str, job: Job, reply: Reply<T>) -> Result<T> {
        match &self.driver {
            Driver::Threads { writer, .. } => writer.execute(op, job, reply).await,
            Driver::Inline(inline) => inline.execute(op, job, reply).await,
        }
    }
}

fn watch(options: &Options) -> Watch {
    Watch { clock: options.clock.clone(), observer: options.observer.clone() }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ingest(
        &self,
        order: &Order,
        rejection: Option<String>,
        now: Timestamp,
    ) -> Result<Ingested> {
        let order = order.clone();
        self.write("ingest", move |db, _| ingest::ingest(db, &order, rejection.as_deref(), now))
            .await
    }

    async fn sign_up(&self, member: &Member, now: Timestamp) -> Result<SignedUp> {
        let member = member.clone();
        self.write("sign-up", move |db, _| members::sign_up(db, &member, now)).await
    }

    async fn claim_parcels(&self, claim: Claim) -> Result<Claimed<ParcelWork>> {
        let now = claim.now;
        let glance = move |db: &Connection| claim::no_parcels(db, now);
        let turns = self.shared.turns.clone();
        let last = turns.parcels.after();
        let work = move |db: &Connection| {
            // Also when it is made again.
            turns.parcels.set(last.clone());
            claim::parcels(db, &claim, &turns.parcels)
        };
        self.write_unless("claim-parcels", glance, work).await
    }

    async fn settle_parcel(
        &self,
        work: &ParcelWork,
        outcome: ParcelOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let (key, token) = (work.key.clone(), work.lease.token);
        self.write("settle-parcel", move |db, orders| {
            settle::parcel(db, orders, &key, token, &outcome, now)
        })
        .await
    }

    async fn claim_notices(&self, claim: Claim) -> Result<Claimed<NoticeWork>> {
        let now = claim.now;
        let glance = move |db: &Connection| claim::no_notices(db, now);
        let turns = self.shared.turns.clone();
        let last = turns.notices.after();
        let work = move |db: &Connection| {
            // Also when it is made again.
            turns.notices.set(last.clone());
            claim::notices(db, &claim, &turns.notices)
        };
        self.write_unless("claim-notices", glance, work).await
    }

    async fn settle_notice(
        &self,
        work: &NoticeWork,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) -> Result<Written> {
        let (key, token) = (work.key.clone(), work.lease.token);
        self.write("settle-notice", move |db, orders| {
            notices::notice(db, orders, &key, Some(token), &outcome, now)
        })
        .await
    }

    async fn renew_leases(
        &self,
        held: Vec<(Row, i64)>,
        until: Timestamp,
    ) -> Result<Vec<(Row, i64)>> {
        self.write("renew-leases", move |db, _| claim::renew(db, &held, until)).await
    }

    async fn take_permits(&self, take: TakePermits) -> Result<Permits> {
        let Some(ahead) = self.shared.ahead() else {
            return self.write("take-permits", move |db, _| quota::take(db, &take)).await;
        };
        let take = ahead.question(take);
        let permits = self.write("take-permits", move |db, _| quota::take(db, &take)).await?;
        // However long the answer took, it is not too early.
        Ok(self.shared.ahead().unwrap_or(ahead).answer(permits))
    }

    async fn block_quota(&self, quota: &'static str, until: Timestamp) -> Result<()> {
        let until = self.shared.ahead().map_or(until, |ahead| ahead.taken_off(until));
        self.write("block-quota", move |db, _| quota::block(db, quota, until)).await
    }

    async fn blocked_until(&self, quota: &'static str) -> Result<Timestamp> {
        let look = move |db: &Connection| quota::blocked_until(db, quota);
        let until = match &self.shared.driver {
            Driver::Threads { .. } => self.shared.read_unobserved("blocked-until", look).await?,
            Driver::Inline(inline) => {
                inline.glance(|db| look(db).map(Some)).unwrap_or(Timestamp::EPOCH)
            }
        };
        Ok(self.shared.ahead().map_or(until, |ahead| ahead.added(until)))
    }

    async fn record_reports(&self, reports: Vec<DeliveryReport>, now: Timestamp) -> Result<()> {
        self.write("record-reports", move |db, orders| {
            reports.iter().try_for_each(|report| reports::record(db, orders, report, now))
        })
        .await
    }

    async fn awaits_reports(&self, since: Timestamp) -> Result<bool> {
        self.read("awaits-reports", move |db| reports::awaited(db, since)).await
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        let prune = prune.clone();
        self.write("prune", move |db, _| prune::prune(db, &prune)).await
    }

    async fn operate(&self, operation: Operation) -> Result<Operated> {
        self.write("operate", move |db, orders| operate::operate(db, orders, &operation)).await
    }

    async fn audit(&self, order: Option<String>, limit: usize) -> Result<Vec<Audited>> {
        self.read("audit", move |db| operate::audited(db, order.as_deref(), limit)).await
    }

    async fn hear(&self, presence: &Presence) -> Result<()> {
        let presence = presence.clone();
        self.write("hear", move |db, _| presence::hear(db, &presence)).await
    }

    async fn leave(&self, worker: &str) -> Result<()> {
        let worker = worker.to_owned();
        self.write("leave", move |db, _| presence::leave(db, &worker)).await
    }

    async fn order(&self, id: &str) -> Result<Option<OrderView>> {
        let id = id.to_owned();
        self.read("order", move |db| query::order(db, &id)).await
    }

    async fn member(&self, id: &str) -> Result<Option<MemberView>> {
        let id = id.to_owned();
        self.read("member", move |db| query::member(db, &id)).await
    }

    async fn orders(&self, filter: Filter) -> Result<Vec<OrderView>> {
        self.read("orders", move |db| query::orders(db, &filter)).await
    }

    async fn census(&self) -> Result<Census> {
        self.read("census", query::census).await
    }

    async fn standing(&self, now: Timestamp) -> Result<Standing> {
        self.read("standing", move |db| query::standing(db, now)).await
    }

    async fn rows(&self) -> Result<Rows> {
        self.read("rows", query::rows).await
    }

    async fn begin<'h>(&self, _: &'h mut Hands) -> Result<Box<dyn UnitOfWork + 'h>> {
        let busy = Error::Busy { op: held::OP };
        if let Driver::Inline(inline) = &self.shared.driver {
            inline.pause().await;
        }
        let place = self.shared.place().await.ok_or(busy)?;
        Ok(Box::new(HeldTransaction::begin(self.shared.clone(), place)))
    }
}
