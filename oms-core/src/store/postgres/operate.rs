//! What a person does to an order or to a member's messages, with its audit row.

use sqlx::PgConnection;

use super::bell::ring_at_commit;
use super::failure::{Failure, Result};
use super::records;
use super::row::{self, Columns};
use crate::policy::OrderPolicy;
use crate::store::aggregate::{Aggregate, action_name, answer_name, answer_of};
use crate::store::{Audited, Operated, Operation};

/// Does what `operation` says, and all that follows.
///
/// The same operation again (same author, same moment) gets the same answer and does nothing.
pub(super) async fn operate(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    operation: &Operation,
) -> Result<Operated> {
    // The lock comes first: of the same operation twice at once, the second sees the first.
    let Some(mut aggregate) = load(db, operation).await? else {
        return Ok(Operated::NotFound);
    };
    if let Some(done) = done_before(db, operation).await? {
        return Ok(done);
    }
    let operated = aggregate.operate(policy, &operation.action, operation.now)?;
    if !matches!(operated, Operated::Refused(_)) {
        records::save(db, &aggregate, operation.now).await?;
        ring_at_commit(db).await?;
    }
    if let Some(answer) = answer_name(&operated) {
        audit(db, operation, &answer).await?;
    }
    Ok(operated)
}

/// The order, or the member with its messages, if there is such a one.
async fn load(db: &mut PgConnection, operation: &Operation) -> Result<Option<Aggregate>> {
    if !operation.is_on_member() {
        return records::load(db, &operation.order).await;
    }
    let member = records::of_member(db, &operation.order).await?;
    Ok(member.has_notices().then_some(member))
}

/// The answer to this very operation, if it was done before.
async fn done_before(db: &mut PgConnection, operation: &Operation) -> Result<Option<Operated>> {
    let sql = "SELECT answer FROM audit
               WHERE order_id = $1 AND at = $2 AND action = $3 AND done_by = $4
                     AND answer NOT LIKE 'refused:%' ORDER BY id LIMIT 1";
    let answer: Option<String> = sqlx::query_scalar(sql)
        .bind(&operation.order)
        .bind(operation.now.micros())
        .bind(action_name(&operation.action))
        .bind(&operation.by)
        .fetch_optional(db)
        .await?;
    let done = answer.map(|answer| answer_of(&answer)).transpose();
    done.map_err(|error| Failure::corrupt("audit", error.to_string()))
}

/// The last actions, on `order` alone where one is named; the latest first.
pub(super) async fn audited(
    db: &mut PgConnection,
    order: Option<&str>,
    limit: usize,
) -> Result<Vec<Audited>> {
    let sql = "SELECT at, order_id, action, done_by, answer FROM audit
               WHERE $1::text IS NULL OR order_id = $1 ORDER BY id DESC LIMIT $2";
    let rows = sqlx::query(sql).bind(order).bind(row::limit(limit)).fetch_all(db).await?;
    let audited = rows.iter().map(|row| {
        let row = Columns::new(row, "audit");
        Ok(Audited {
            at: row.moment(0)?,
            order: row.text(1)?,
            action: row.text(2)?,
            by: row.text(3)?,
            answer: row.text(4)?,
        })
    });
    audited.collect()
}

async fn audit(db: &mut PgConnection, operation: &Operation, answer: &str) -> Result<()> {
    let sql = "INSERT INTO audit (at, order_id, action, done_by, answer)
               VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(operation.now.micros())
        .bind(&operation.order)
        .bind(action_name(&operation.action))
        .bind(&operation.by)
        .bind(answer)
        .execute(db)
        .await?;
    Ok(())
}
