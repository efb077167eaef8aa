//! What a person does to an order or to a member's messages, with its audit row.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::{Failure, Result};
use super::records;
use super::row::Columns;
use crate::policy::OrderPolicy;
use crate::store::aggregate::{Aggregate, action_name, answer_name, answer_of};
use crate::store::{Audited, Operated, Operation};

/// Does what `operation` says, and all that follows.
///
/// The same operation again (same author, same moment) gets the same answer and does nothing.
pub(super) fn operate(
    db: &Connection,
    policy: &dyn OrderPolicy,
    operation: &Operation,
) -> Result<Operated> {
    if let Some(done) = done_before(db, operation)? {
        return Ok(done);
    }
    let Some(mut aggregate) = load(db, operation)? else {
        return Ok(Operated::NotFound);
    };
    let operated = aggregate.operate(policy, &operation.action, operation.now)?;
    if !matches!(operated, Operated::Refused(_)) {
        records::save(db, &aggregate, operation.now)?;
    }
    if let Some(answer) = answer_name(&operated) {
        audit(db, operation, &answer)?;
    }
    Ok(operated)
}

/// The order, or the member with its messages, if there is such a one.
fn load(db: &Connection, operation: &Operation) -> Result<Option<Aggregate>> {
    if !operation.is_on_member() {
        return records::load(db, &operation.order);
    }
    let member = records::of_member(db, &operation.order)?;
    Ok(member.has_notices().then_some(member))
}

/// The answer to this very operation, if it was done before.
fn done_before(db: &Connection, operation: &Operation) -> Result<Option<Operated>> {
    let sql = "SELECT answer FROM audit
               WHERE order_id = ?1 AND at = ?2 AND action = ?3 AND done_by = ?4
                     AND answer NOT LIKE 'refused:%'";
    let (at, action) = (operation.now.micros(), action_name(&operation.action));
    let key = params![operation.order, at, action, operation.by];
    let answer: Option<String> =
        db.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
    let done = answer.map(|answer| answer_of(&answer)).transpose();
    done.map_err(|error| Failure::corrupt("audit", error.to_string()))
}

/// The last actions, on `order` alone where one is named; the latest first.
pub(super) fn audited(db: &Connection, order: Option<&str>, limit: usize) -> Result<Vec<Audited>> {
    let sql = "SELECT at, order_id, action, done_by, answer FROM audit
               WHERE ?1 IS NULL OR order_id = ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![order, limit])?;
    let mut audited = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "audit");
        audited.push(Audited {
            at: row.moment(0)?,
            order: row.text(1)?,
            action: row.text(2)?,
            by: row.text(3)?,
            answer: row.text(4)?,
        });
    }
    Ok(audited)
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
