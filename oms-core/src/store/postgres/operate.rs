//! What a person does to an order, with its audit row.

use sqlx::PgConnection;

use super::failure::{Failure, Result};
use super::records;
use crate::policy::OrderPolicy;
use crate::state::{OrderState, UnknownState};
use crate::store::aggregate::action_name;
use crate::store::{Operated, Operation};

/// Does what `operation` says, and all that follows.
///
/// The same operation again (same author, same moment) gets the same answer and does nothing.
pub(super) async fn operate(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    operation: &Operation,
) -> Result<Operated> {
    // The lock comes first: of the same operation twice at once, the second sees the first.
    let Some(mut aggregate) = records::load(db, &operation.order).await? else {
        return Ok(Operated::NotFound);
    };
    if let Some(state) = done_before(db, operation).await? {
        return Ok(Operated::Done(state));
    }
    let refused = aggregate.operate(policy, &operation.action, operation.now)?;
    if let Some(reason) = refused {
        audit(db, operation, &format!("refused: {reason}")).await?;
        return Ok(Operated::Refused(reason));
    }
    records::save(db, &aggregate, operation.now).await?;
    audit(db, operation, aggregate.order.state.as_str()).await?;
    Ok(Operated::Done(aggregate.order.state))
}

/// The answer to this very operation, if it was done before.
async fn done_before(db: &mut PgConnection, operation: &Operation) -> Result<Option<OrderState>> {
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
    let state = answer.map(|answer| answer.parse()).transpose();
    state.map_err(|error: UnknownState| Failure::corrupt("audit", error.to_string()))
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
