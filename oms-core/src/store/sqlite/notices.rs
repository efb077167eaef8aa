//! What became of a step on a notification, with all that follows for its order.

use clockwork::Timestamp;
use rusqlite::Connection;

use super::failure::Result;
use super::{records, reports};
use crate::policy::OrderPolicy;
use crate::store::aggregate::{Aggregate, Right};
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
    let written = settle(db, &mut aggregate, policy, key, token, outcome, now)?;
    records::save(db, &aggregate, now)?;
    Ok(written)
}

/// As [`notice`], in memory: the caller saves.
pub(super) fn settle(
    db: &Connection,
    aggregate: &mut Aggregate,
    policy: &dyn OrderPolicy,
    key: &NoticeKey,
    token: Option<i64>,
    outcome: &NoticeOutcome,
    now: Timestamp,
) -> Result<Written> {
    match aggregate.settle_notice(&key.event, token, outcome, now)? {
        Right::Held => {}
        Right::Repeated => return Ok(Written::Done),
        Right::Lost => return Ok(Written::Fenced),
    }
    reports::apply_early(db, aggregate, &key.event)?;
    aggregate.follow(policy, now)?;
    Ok(Written::Done)
}
