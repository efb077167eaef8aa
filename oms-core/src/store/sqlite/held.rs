//! A transaction that its caller holds, as a unit of work has it.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use rusqlite::Connection;
use tokio::sync::OwnedSemaphorePermit;

use super::failure::Result;
use super::{Shared, members, notices, query, settle};
use crate::env::{TaskId, current_task};
use crate::member::Member;
use crate::policy::OrderPolicy;
use crate::store::aggregate::Right;
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
    for write in writes {
        let right = match write {
            Write::Parcel { key, token, outcome, .. } => {
                settle::parcel_right(db, key, *token, outcome)?
            }
            Write::Notice { key, token, outcome, .. } => {
                notices::notice_right(db, key, *token, outcome)?
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
                settle::parcel(db, policy, key, *token, outcome, *now)?;
            }
            Write::Notice { key, token, outcome, now } => {
                notices::notice(db, policy, key, *token, outcome, *now)?;
            }
            Write::Member { member, part, now } => members::keep(db, member, *part, *now)?,
        }
    }
    Ok(Written::Done)
}
