//! A transaction that its caller holds, as a unit of work has it.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::failure::Result;
use super::{Transaction, members, query, records, settle};
use crate::member::Member;
use crate::policy::OrderPolicy;
use crate::store::aggregate::Right;
use crate::store::{
    self, Lease, MemberPart, NoticeKey, NoticeOutcome, OrderView, ParcelKey, ParcelOutcome,
    ParcelWork, UnitOfWork, Written,
};

/// The name that it has in the history.
pub(super) const OP: &str = "unit-of-work";

/// Holds a connection of the pool, and an open transaction on it, from its begin to its end; what
/// is written waits for the commit.
pub(super) struct HeldTransaction {
    /// Behind a lock, for it is read through a shared reference.
    transaction: Mutex<Transaction>,
    orders: Arc<dyn OrderPolicy>,
    writes: Vec<Write>,
}

enum Write {
    Parcel { key: ParcelKey, token: i64, outcome: ParcelOutcome, now: Timestamp },
    Notice { key: NoticeKey, token: Option<i64>, outcome: NoticeOutcome, now: Timestamp },
    Member { member: Box<Member>, part: MemberPart, now: Timestamp },
}

impl HeldTransaction {
    pub(super) fn new(transaction: Transaction, orders: Arc<dyn OrderPolicy>) -> HeldTransaction {
        HeldTransaction { transaction: Mutex::new(transaction), orders, writes: Vec::new() }
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

    fn keep_member(&mut self, member: &Member, part: MemberPart, now: Timestamp) {
        self.writes.push(Write::Member { member: Box::new(member.clone()), part, now });
    }

    /// On this very connection, statement by statement: an order that others change at the same
    /// moment may be seen in between.
    async fn order(&self, id: &str) -> store::Result<Option<OrderView>> {
        let mut transaction = self.transaction.lock().await;
        query::order(transaction.db(), id).await.map_err(|failure| failure.of(OP))
    }

    async fn commit(self: Box<Self>) -> store::Result<Written> {
        let HeldTransaction { transaction, orders, writes } = *self;
        let mut transaction = transaction.into_inner();
        let written = write(transaction.db(), &*orders, &writes).await;
        if matches!(written, Ok(Written::Fenced)) {
            transaction.roll_back().await;
            return Ok(Written::Fenced);
        }
        transaction.end(written).await
    }

    fn roll_back(self: Box<Self>) {}
}

/// All of it, or nothing when one lease was lost, or a member would take what is another's.
async fn write(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    writes: &[Write],
) -> Result<Written> {
    let orders = writes.iter().filter_map(|write| match write {
        Write::Parcel { key, .. } => Some(key.order.as_str()),
        Write::Notice { key, .. } => Some(key.order.as_str()),
        Write::Member { .. } => None,
    });
    records::lock(db, &orders.collect::<Vec<_>>()).await?;
    for write in writes {
        let right = match write {
            Write::Parcel { key, token, outcome, .. } => {
                let aggregate = records::load_known(db, &key.order).await?;
                aggregate.parcel_right(key.number, *token, outcome)?
            }
            Write::Notice { key, token, outcome, .. } => {
                let aggregate = records::load_owning(db, key).await?;
                aggregate.notice_right(&key.event, *token, outcome)
            }
            Write::Member { member, .. } => members::member_right(db, member).await?,
        };
        if right == Right::Lost {
            return Ok(Written::Fenced);
        }
    }
    for write in writes {
        match write {
            Write::Parcel { key, token, outcome, now } => {
                settle::parcel(db, policy, key, *token, outcome, *now).await?;
            }
            Write::Notice { key, token, outcome, now } => {
                settle::notice(db, policy, key, *token, outcome, *now).await?;
            }
            Write::Member { member, part, now } => members::keep(db, member, *part, *now).await?,
        }
    }
    Ok(Written::Done)
}
