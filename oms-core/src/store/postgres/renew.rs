//! Leases that are held are made to last longer.

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::claim::column;
use super::failure::Result;
use super::row::Columns;
use crate::store::{NoticeKey, ParcelKey, Row};

/// Puts off the ends of leases that are still held under their tokens; which they are.
///
/// A row that another transaction has under its lock is skipped, as in a claim: it is about to be
/// settled, or its lease to be taken away.
pub(super) async fn leases(
    db: &mut PgConnection,
    held: &[(Row, i64)],
    until: Timestamp,
) -> Result<Vec<(Row, i64)>> {
    let mut renewed = renew_parcels(db, held, until).await?;
    renewed.extend(renew_notices(db, held, until).await?);
    Ok(renewed)
}

async fn renew_parcels(
    db: &mut PgConnection,
    held: &[(Row, i64)],
    until: Timestamp,
) -> Result<Vec<(Row, i64)>> {
    // A row whose order holds it back is not due, leased or not.
    const SQL: &str = "WITH held AS (
            SELECT p.order_id, p.number
            FROM parcels p JOIN unnest($1::text[], $2::bigint[], $3::bigint[])
                 AS c (order_id, number, token) ON p.order_id = c.order_id AND p.number = c.number
            WHERE p.lease_token = c.token AND p.lease_worker IS NOT NULL
            FOR UPDATE OF p SKIP LOCKED)
        UPDATE parcels AS p
        SET lease_until = $4, due_at = CASE WHEN p.due_at IS NULL THEN NULL ELSE $4 END
        FROM held WHERE p.order_id = held.order_id AND p.number = held.number
        RETURNING p.order_id, p.number, p.lease_token";
    let parcels = held.iter().filter_map(|(row, token)| match row {
        Row::Parcel(key) => Some((key.order.as_str(), i64::from(key.number), *token)),
        Row::Notice(_) => None,
    });
    let parcels: Vec<(&str, i64, i64)> = parcels.collect();
    if parcels.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(SQL)
        .bind(column(&parcels, |row| row.0))
        .bind(column(&parcels, |row| row.1))
        .bind(column(&parcels, |row| row.2))
        .bind(until.micros());
    let rows = rows.fetch_all(db).await?;
    let rows = rows.iter().map(|row| {
        let row = Columns::new(row, "parcels");
        let key = ParcelKey { order: row.text(0)?, number: row.count(1)? };
        Ok((Row::Parcel(key), row.get(2)?))
    });
    rows.collect()
}

async fn renew_notices(
    db: &mut PgConnection,
    held: &[(Row, i64)],
    until: Timestamp,
) -> Result<Vec<(Row, i64)>> {
    const SQL: &str = "WITH held AS (
            SELECT n.order_id, n.event
            FROM notices n JOIN unnest($1::text[], $2::text[], $3::bigint[])
                 AS c (order_id, event, token) ON n.order_id = c.order_id AND n.event = c.event
            WHERE n.lease_token = c.token AND n.lease_worker IS NOT NULL
            FOR UPDATE OF n SKIP LOCKED)
        UPDATE notices AS n
        SET lease_until = $4, due_at = CASE WHEN n.due_at IS NULL THEN NULL ELSE $4 END
        FROM held WHERE n.order_id = held.order_id AND n.event = held.event
        RETURNING n.order_id, n.event, n.lease_token";
    let notices = held.iter().filter_map(|(row, token)| match row {
        Row::Notice(key) => Some((key.order.as_str(), key.event.as_str(), *token)),
        Row::Parcel(_) => None,
    });
    let notices: Vec<(&str, &str, i64)> = notices.collect();
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(SQL)
        .bind(column(&notices, |row| row.0))
        .bind(column(&notices, |row| row.1))
        .bind(column(&notices, |row| row.2))
        .bind(until.micros());
    let rows = rows.fetch_all(db).await?;
    let rows = rows.iter().map(|row| {
        let row = Columns::new(row, "notices");
        let key = NoticeKey { order: row.text(0)?, event: row.text(1)? };
        Ok((Row::Notice(key), row.get(2)?))
    });
    rows.collect()
}
