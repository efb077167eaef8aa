//! What a person does to an order, with its audit row.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::{Failure, Result};
use super::records;
use crate::policy::OrderPolicy;
use crate::state::OrderState;
use crate::store::aggregate::action_name;
use crate::store::{Operated, Operation};

/// Does what `operation` says, and all that follows.
///
/// The same operation again (same author, same moment) gets the same answer and does nothing.
pub(super) fn operate(
    db: &Connection,
    policy: &dyn OrderPolicy,
    operation: &Operation,
) -> Result<Operated> {
    if let Some(state) = done_before(db, operation)? {
        return Ok(Operated::Done(state));
    }
    let Some(mut aggregate) = records::load(db, &operation.order)? else {
        return Ok(Operated::NotFound);
    };
    let now = operation.now;
    let refused = aggregate.operate(policy, &operation.action, now)?;
    if let Some(reason) = refused {
        audit(db, operation, &format!("refused: {reason}"))?;
        return Ok(Operated::Refused(reason));
    }
    records::save(db, &aggregate, now)?;
    audit(db, operation, aggregate.order.state.as_str())?;
    Ok(Operated::Done(aggregate.order.state))
}

/// The answer to this very operation, if it was done before.
fn done_before(db: &Connection, operation: &Operation) -> Result<Option<OrderState>> {
    let sql = "SELECT answer FROM audit
               WHERE order_id = ?1 AND at = ?2 AND action = ?3 AND done_by = ?4
                     AND answer NOT LIKE 'refused:%'";
    let (at, action) = (operation.now.micros(), action_name(&operation.action));
    let key = params![operation.order, at, action, operation.by];
    let answer: Option<String> =
        db.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
    let state = answer.map(|answer| answer.parse()).transpose();
    state.map_err(|error: crate::state::UnknownState| Failure::corrupt("audit", error.to_string()))
}

fn audit(db: &Connection, operation: &Operation, answer: &str) -> Result<()> {
    let sql = "INSERT INTO audit (at, order_id, action, done_by, answer)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![
        operation.now.micros(),
        operation.order,
        action_name(&operation.action),
        operation.by,
        answer,
    ])?;
    Ok(())
}
