//! What is at its end and old is forgotten, page by page.

use sqlx::PgConnection;

use super::failure::Result;
use super::row::{Columns, limit};
use crate::store::retention::{final_states, order_of};
use crate::store::{Page, Prune, Pruned};

/// Forgets one page.
pub(super) async fn prune(db: &mut PgConnection, prune: &Prune) -> Result<Pruned> {
    match &prune.from {
        Page::Orders(after) => orders(db, prune, after).await,
        Page::Log(after) => log(db, prune, *after).await,
    }
}

/// Old orders at which nothing is to be done, behind `after`. One that somebody works on is left.
async fn orders(db: &mut PgConnection, prune: &Prune, after: &str) -> Result<Pruned> {
    let sql = "SELECT id FROM orders
         WHERE id > $1 AND state = ANY($2) AND updated_at < $3
         AND NOT EXISTS (SELECT 1 FROM parcels WHERE order_id = orders.id AND due_at IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM notices WHERE order_id = orders.id AND due_at IS NOT NULL)
         ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED";
    let ids: Vec<String> = sqlx::query_scalar(sql)
        .bind(after)
        .bind(final_states())
        .bind(prune.before.micros())
        .bind(limit(prune.limit))
        .fetch_all(&mut *db)
        .await?;
    let sql = "INSERT INTO pruned (order_id, state, content_hash, pruned_at)
               SELECT id, state, content_hash, $2 FROM orders WHERE id = ANY($1)";
    sqlx::query(sql).bind(&ids).bind(prune.now.micros()).execute(&mut *db).await?;
    for sql in [
        "DELETE FROM notices WHERE order_id = ANY($1)",
        "DELETE FROM parcels WHERE order_id = ANY($1)",
        "DELETE FROM orders WHERE id = ANY($1)",
    ] {
        sqlx::query(sql).bind(&ids).execute(&mut *db).await?;
    }
    let next = match ids.last() {
        Some(last) if ids.len() >= prune.limit => Page::Orders(last.clone()),
        _ => Page::Log(0),
    };
    Ok(Pruned { orders: ids.len() as u64, entries: 0, next: Some(next) })
}

/// Old edges whose order is forgotten, behind `after`; with the first page also old reports.
async fn log(db: &mut PgConnection, prune: &Prune, after: i64) -> Result<Pruned> {
    let before = prune.before.micros();
    let mut entries = 0;
    if after == 0 {
        let sql = "DELETE FROM reports WHERE received_at < $1";
        entries += sqlx::query(sql).bind(before).execute(&mut *db).await?.rows_affected();
    }
    let sql = "SELECT id, key FROM transitions WHERE id > $1 AND at < $2 ORDER BY id LIMIT $3";
    let rows = sqlx::query(sql).bind(after).bind(before).bind(limit(prune.limit));
    let rows = rows.fetch_all(&mut *db).await?;
    let (mut ids, mut orders) = (Vec::new(), Vec::new());
    let mut last = None;
    for row in &rows {
        let row = Columns::new(row, "transitions");
        let (id, key): (i64, String) = (row.get(0)?, row.text(1)?);
        last = Some(id);
        if let Some(order) = order_of(&key) {
            ids.push(id);
            orders.push(order.to_owned());
        }
    }
    let sql = "DELETE FROM transitions USING unnest($1::bigint[], $2::text[]) AS old (id, order_id)
               JOIN pruned ON pruned.order_id = old.order_id WHERE transitions.id = old.id";
    entries += sqlx::query(sql).bind(&ids).bind(&orders).execute(db).await?.rows_affected();
    let next = last.filter(|_| rows.len() >= prune.limit).map(Page::Log);
    Ok(Pruned { orders: 0, entries, next })
}
