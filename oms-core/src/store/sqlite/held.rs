//! A transaction that its caller holds, as a unit of work has it.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use rusqlite::Connection;
use tokio::sync::OwnedSemaphorePermit;

use super::failure::Result;
use super::{Shared, members, notices, query, records};
use crate::env::{TaskId, current_task};
use crate::member::Member;
use crate::policy::OrderPolicy;
use crate::store::aggregate::{Aggregate, Right};
use crate::store::{
    self, Lease, MemberPart, NoticeKey, NoticeOutcome, OrderView, ParcelKey, ParcelOutcome,
    ParcelWork, UnitOfWork, Written,
};

/// The name that it has in the history.
pub(super) const OP: &str = "unit-of-work";

/// Holds a place of the pool from its begin to its end; what is written waits for the commit.
pub(super) struct HeldTransaction {
    shared: Arc<Shared>,
    task: TaskId,
    writes: Vec<Write>,
    open: bool,
    _place: OwnedSemaphorePermit,
}

enum Write {
    Parcel { key: ParcelKey, token: i64, outcome: ParcelOutcome, now: Timestamp },
    Notice { key: NoticeKey, token: Option<i64>, outcome: NoticeOutcome, now: Timestamp },
    Member { member: Box<Member>, part: MemberPart, now: Timestamp },
}

impl HeldTransaction {
    pub(super) fn begin(shared: Arc<Shared>, place: OwnedSemaphorePermit) -> HeldTransaction {
        let task = current_task();
        shared.watch.begun(OP, task);
        HeldTransaction { shared, task, writes: Vec::new(), open: true, _place: place }
    }

    fn end(&mut self, committed: bool) {
        if std::mem::take(&mut self.open) {
            self.shared.watch.ended(OP, self.task, committed);
        }
    }
}

#[async_trait]
impl UnitOfWork for HeldTransaction {
    fn settle_parcel(&mut self, work: &ParcelWork, outcome: ParcelOutcome, now: Timestamp) {
        let (key, token) = (work.key.clone(), work.lease.token);
        self.writes.push(Write::Parcel { key, token, outcome, now });
    }

    fn settle_notice(
        &mut self,
        key: &NoticeKey,
        lease: Option<&Lease>,
        outcome: NoticeOutcome,
        now: Timestamp,
    ) {
        let (key, token) = (key.clone(), lease.map(|lease| lease.token));
        self.writes.push(Write::Notice { key, token, outcome, now });
    }

    async fn order(&self, id: &str) -> store::Result<Option<OrderView>> {
        let id = id.to_owned();
        self.shared.read_unobserved(OP, move |db| query::order(db, &id)).await
    }

    fn keep_member(&mut self, member: &Member, part: MemberPart, now: Timestamp) {
        self.writes.push(Write::Member { member: Box::new(member.clone()), part, now });
    }

    async fn commit(mut self: Box<Self>) -> store::Result<Written> {
        let writes = std::mem::take(&mut self.writes);
        let shared = self.shared.clone();
        let policy = shared.orders.clone();
        let work = move |db: &Connection| write(db, &*policy, &writes);
        let written = shared.execute_unobserved(OP, work).await;
        self.end(matches!(written, Ok(Written::Done)));
        written
    }

    fn roll_back(self: Box<Self>) {}
}

impl Drop for HeldTransaction {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// All of it, or nothing when one lease was lost, or a member would take what is another's.
fn write(db: &Connection, policy: &dyn OrderPolicy, writes: &[Write]) -> Result<Written> {
    let mut owners = Owners::default();
    for write in writes {
        let right = match write {
            Write::Parcel { key, token, outcome, .. } => {
                let order = owners.read(&key.order, || records::load_known(db, &key.order))?;
                order.parcel_right(key.number, *token, outcome)?
            }
            Write::Notice { key, token, outcome, .. } => {
                let owner = owners.read(&key.order, || records::load_owning(db, key))?;
                owner.notice_right(&key.event, *token, outcome)
            }
            Write::Member { member, .. } => members::member_right(db, member)?,
        };
        if right == Right::Lost {
            return Ok(Written::Fenced);
        }
    }
    for write in writes {
        match write {
            Write::Parcel { key, token, outcome, now } => {
                let load = || records::load_known(db, &key.order);
                let order = owners.at(db, *now, &key.order, load)?;
                order.settle_parcel(policy, key.number, *token, outcome, *now)?;
            }
            Write::Notice { key, token, outcome, now } => {
                let load = || records::load_owning(db, key);
                let owner = owners.at(db, *now, &key.order, load)?;
                notices::settle(db, owner, policy, key, *token, outcome, *now)?;
            }
            Write::Member { member, part, now } => {
                // It writes by itself, so what was read of the member is no longer true.
                owners.save(db)?;
                members::keep(db, member, *part, *now)?;
            }
        }
    }
    owners.save(db)?;
    Ok(Written::Done)
}

/// What a unit of work writes to, in the order of its writes: orders, and members with their
/// notifications. Each is read once, and written once for each moment of its writes.
#[derive(Default)]
struct Owners {
    owners: Vec<Owner>,
}

struct Owner {
    aggregate: Aggregate,
    /// The moment of what is not saved yet.
    unsaved: Option<Timestamp>,
}

impl Owners {
    /// The one called `id`.
    fn read(
        &mut self,
        id: &str,
        load: impl FnOnce() -> Result<Aggregate>,
    ) -> Result<&mut Aggregate> {
        self.owner(id, load).map(|owner| &mut owner.aggregate)
    }

    /// The same, to be written to at `now`.
    fn at(
        &mut self,
        db: &Connection,
        now: Timestamp,
        id: &str,
        load: impl Fn() -> Result<Aggregate>,
    ) -> Result<&mut Aggregate> {
        let owner = self.owner(id, &load)?;
        if let Some(moment) = owner.unsaved.filter(|moment| *moment != now) {
            records::save(db, &owner.aggregate, moment)?;
            owner.aggregate = load()?;
        }
        owner.unsaved = Some(now);
        Ok(&mut owner.aggregate)
    }

    fn owner(&mut self, id: &str, load: impl FnOnce() -> Result<Aggregate>) -> Result<&mut Owner> {
        let known = self.owners.iter().position(|owner| owner.aggregate.order.id == id);
        let place = match known {
            Some(place) => place,
            None => {
                self.owners.push(Owner { aggregate: load()?, unsaved: None });
                self.owners.len() - 1
            }
        };
        Ok(&mut self.owners[place])
    }

    /// Writes what is left to be written, and forgets what was read.
    fn save(&mut self, db: &Connection) -> Result<()> {
        self.owners.drain(..).try_for_each(|owner| match owner.unsaved {
            Some(moment) => records::save(db, &owner.aggregate, moment),
            None => Ok(()),
        })
    }
}
