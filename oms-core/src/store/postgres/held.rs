//! A transaction that its caller holds, as a unit of work has it.

use std::sync::Arc;

use async_trait::async_trait;
use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::Result;
use super::{Transaction, members, records, settle};
use crate::member::Member;
use crate::policy::OrderPolicy;
use crate::store::aggregate::Right;
use crate::store::{
    self, MemberPart, NoticeKey, NoticeOutcome, ParcelKey, ParcelOutcome, ParcelWork, UnitOfWork,
    Written,
};

/// The name that it has in the history.
pub(super) const OP: &str = "unit-of-work";

/// Holds a connection of the pool, and an open transaction on it, from its begin to its end; what
/// is written waits for the commit.
pub(super) struct HeldTransaction {
    transaction: Transaction,
    orders: Arc<dyn OrderPolicy>,
    writes: Vec<Write>,
}

enum Write {
    Parcel { key: ParcelKey, token: i64, outcome: ParcelOutcome, now: Timestamp },
    Notice { key: NoticeKey, outcome: NoticeOutcome, now: Timestamp },
    Member { member: Box<Member>, part: MemberPart, now: Timestamp },
}

impl HeldTransaction {
    pub(super) fn new(transaction: Transaction, orders: Arc<dyn OrderPolicy>) -> HeldTransaction {
        HeldTransaction { transaction, orders, writes: Vec::new() }
    }
}

#[async_trait]
impl UnitOfWork for HeldTransaction {
    fn settle_parcel(&mut self, work: &ParcelWork, outcome: ParcelOutcome, now: Timestamp) {
        let (key, token) = (work.key.clone(), work.lease.token);
        self.writes.push(Write::Parcel { key, token, outcome, now });
    }

    fn settle_notice(&mut self, key: &NoticeKey, outcome: NoticeOutcome, now: Timestamp) {
        self.writes.push(Write::Notice { key: key.clone(), outcome, now });
    }

    fn keep_member(&mut self, member: &Member, part: MemberPart, now: Timestamp) {
        self.writes.push(Write::Member { member: Box::new(member.clone()), part, now });
    }

    async fn commit(mut self: Box<Self>) -> store::Result<Written> {
        let written = write(self.transaction.db(), &*self.orders, &self.writes).await;
        if matches!(written, Ok(Written::Fenced)) {
            self.transaction.roll_back().await;
            return Ok(Written::Fenced);
        }
        self.transaction.end(written).await
    }
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
            Write::Notice { key, outcome, .. } => {
                let aggregate = records::load_owning(db, key).await?;
                aggregate.notice_right(&key.event, None, outcome)
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
            Write::Notice { key, outcome, now } => {
                settle::notice(db, policy, key, None, outcome, *now).await?;
            }
            Write::Member { member, part, now } => members::keep(db, member, *part, *now).await?,
        }
    }
    Ok(Written::Done)
}
