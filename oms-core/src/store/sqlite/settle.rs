//! What became of a step on a parcel, with all that follows for its order.

use clockwork::Timestamp;
use rusqlite::Connection;

use super::failure::Result;
use super::records;
use crate::policy::OrderPolicy;
use crate::store::{ParcelKey, ParcelOutcome, Written};

/// Writes `outcome` of a step taken under the fencing token `token`.
pub(super) fn parcel(
    db: &Connection,
    policy: &dyn OrderPolicy,
    key: &ParcelKey,
    token: i64,
    outcome: &ParcelOutcome,
    now: Timestamp,
) -> Result<Written> {
    let mut aggregate = records::load_known(db, &key.order)?;
    let written = aggregate.settle_parcel(policy, key.number, token, outcome, now)?;
    records::save(db, &aggregate, now)?;
    Ok(written)
}
