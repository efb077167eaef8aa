//! What became of a step, with all that follows for its order.

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::Result;
use super::{records, reports};
use crate::policy::OrderPolicy;
use crate::store::aggregate::Right;
use crate::store::{NoticeKey, NoticeOutcome, ParcelKey, ParcelOutcome, Written};

/// Writes `outcome` of a step on a parcel, taken under the fencing token `token`.
pub(super) async fn parcel(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    key: &ParcelKey,
    token: i64,
    outcome: &ParcelOutcome,
    now: Timestamp,
) -> Result<Written> {
    let mut aggregate = records::load_known(db, &key.order).await?;
    let written = aggregate.settle_parcel(policy, key.number, token, outcome, now)?;
    records::save(db, &aggregate, now).await?;
    Ok(written)
}

/// Writes `outcome` of a step on a notification, taken under the fencing token `token`; without
/// one, of a notification that nobody has claimed: it may be born in this very transaction.
pub(super) async fn notice(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    key: &NoticeKey,
    token: Option<i64>,
    outcome: &NoticeOutcome,
    now: Timestamp,
) -> Result<Written> {
    let mut aggregate = records::load_owning(db, key).await?;
    match aggregate.settle_notice(&key.event, token, outcome, now)? {
        Right::Held => {}
        Right::Repeated => return Ok(Written::Done),
        Right::Lost => return Ok(Written::Fenced),
    }
    reports::apply_early(db, &mut aggregate, &key.event).await?;
    aggregate.follow(policy, now)?;
    records::save(db, &aggregate, now).await?;
    Ok(Written::Done)
}
