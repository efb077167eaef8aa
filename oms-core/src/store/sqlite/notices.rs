//! What became of a step on a notification, with all that follows for its order.

use clockwork::Timestamp;
use rusqlite::Connection;

use super::failure::Result;
use super::{records, reports};
use crate::policy::OrderPolicy;
use crate::store::aggregate::Right;
use crate::store::{NoticeKey, NoticeOutcome, Written};

/// Writes `outcome` of a step taken under the fencing token `token`; without one, of a notification
/// that nobody has claimed: it may be born in this very transaction.
pub(super) fn notice(
    db: &Connection,
    policy: &dyn OrderPolicy,
    key: &NoticeKey,
    token: Option<i64>,
    outcome: &NoticeOutcome,
    now: Timestamp,
) -> Result<Written> {
    let mut aggregate = records::load_owning(db, key)?;
    match aggregate.settle_notice(&key.event, token, outcome, now)? {
        Right::Held => {}
        Right::Repeated => return Ok(Written::Done),
        Right::Lost => return Ok(Written::Fenced),
    }
    reports::apply_early(db, &mut aggregate, &key.event)?;
    aggregate.follow(policy, now)?;
    records::save(db, &aggregate, now)?;
    Ok(Written::Done)
}

/// Whether a write would be allowed; nothing is written. One that is not born yet may be written.
pub(super) fn notice_right(
    db: &Connection,
    key: &NoticeKey,
    token: Option<i64>,
    outcome: &NoticeOutcome,
) -> Result<Right> {
    Ok(records::load_owning(db, key)?.notice_right(&key.event, token, outcome))
}
