//! Parcels that are due.

use clockwork::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{
    AtOnce, Due, Found, ROW, Unreadable, by_turns, choose, column, lease, next_due, next_due_after,
    soon,
};
use crate::store::claiming::{self, UNREADABLE, VANISHED, nothing};
use crate::store::postgres::failure::Result;
use crate::store::postgres::records::log;
use crate::store::postgres::row::{Columns, micros};
use crate::store::turns::Turn;
use crate::store::{Claim, Claimed, ParcelKey, ParcelWork};

const NEXT_PARCEL: &str =
    "SELECT due_at FROM parcels WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

/// Leases parcels that are due and that nobody left behind, oldest first, by one statement that is a
/// transaction of its own. Nothing of them changes but the lease.
pub(in crate::store::postgres) async fn parcels_at_once(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<AtOnce<ParcelWork>> {
    let query = by_turns(FRESH_PARCELS, claim, turn).bind(&claim.worker).bind(claim.until.micros());
    let mut chosen = choose(db, query, turn).await?;
    let due = chosen.rows.len();
    // The leased ones: none of them was left behind, so all leases are as they were before.
    chosen.rows.retain(|row| row.try_get::<Option<&str>, _>(ROW + 7).is_ok_and(|it| it.is_none()));
    let left = due - chosen.rows.len();
    let (fresh, unreadable) = due_parcels(claim, &chosen.rows)?;
    give_back_parcels(db, &unreadable).await?;
    let work: Vec<ParcelWork> = fresh.into_iter().map(|due| due.work).collect();
    let next_due = next_due_after(db, NEXT_PARCEL, claim, &chosen, work.len()).await?;
    let next_due = soon(next_due, claim, left);
    Ok(AtOnce { claimed: Claimed { work, next_due, taken: Vec::new() }, left })
}

/// Leases parcels that are due, oldest first, whoever had them before.
///
/// One whose lease ran out while `intended` may have been sent until that lease's end: it becomes
/// `unknown`. An unknown one may have been sent again until then.
pub(in crate::store::postgres) async fn parcels(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<Claimed<ParcelWork>> {
    let (mut taken, mut work) = (Vec::new(), Vec::new());
    let (mut edges, mut in_doubt) = (Vec::new(), Vec::new());
    let chosen = choose(db, by_turns(PARCELS, claim, turn), turn).await?;
    let (found, unreadable) = due_parcels(claim, &chosen.rows)?;
    put_aside_parcels(db, &unreadable).await?;
    for Due { work: mut due, left_behind } in found {
        let mut doubt = false;
        if let Some(until) = left_behind {
            taken.push((due.key.to_string(), due.state.to_string()));
            let taken_over = claiming::take_over(&mut due, until, claim.now);
            edges.extend(taken_over.edge);
            doubt = taken_over.in_doubt;
        }
        in_doubt.push(doubt);
        work.push(due);
    }
    lease_parcels(db, claim, &work, in_doubt).await?;
    log(db, claim.now, &edges).await?;
    let next_due = next_due_after(db, NEXT_PARCEL, claim, &chosen, work.len()).await?;
    Ok(Claimed { work, next_due, taken })
}

/// What [`parcels`] would give at `now`, if that is nothing.
pub(in crate::store::postgres) async fn no_parcels(
    db: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<Claimed<ParcelWork>>> {
    Ok(nothing(next_due(db, NEXT_PARCEL).await?, now))
}

macro_rules! parcel_rows {
    () => {
        "c.order_id, c.number, c.state, c.attempts, c.rounds, c.sent_until, c.unknown_since,
         c.lease_worker, c.lease_token, c.lease_until,
         c.invoice_no, c.rcpt_ymd, c.cust_use_no, c.mpck_key, c.request, o.content
         FROM chosen c JOIN orders o ON o.id = c.order_id
         ORDER BY c.due_at, c.order_id, c.number"
    };
}
const PARCELS: &str = by_turns!("parcels", "number", "", parcel_rows!());
/// Leases those that have no lease; the rows are as they were before.
const FRESH_PARCELS: &str = by_turns!(
    "parcels",
    "number",
    ", leased AS (
         UPDATE parcels AS p
         SET lease_worker = $4, lease_token = p.lease_token + 1, lease_until = $5, due_at = $5,
             settled = NULL
         FROM chosen c
         WHERE p.order_id = c.order_id AND p.number = c.number AND c.lease_worker IS NULL)",
    parcel_rows!()
);

fn due_parcels(claim: &Claim, rows: &[PgRow]) -> Result<Found<ParcelWork, ParcelKey>> {
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        let row = Columns::new(row, "parcels");
        let key = ParcelKey { order: row.text(ROW)?, number: row.count(ROW + 1)? };
        let Some(order) = row.readable_order(ROW + 15, &key.to_string())? else {
            let token = row.get(ROW + 8)?;
            unreadable.push(Unreadable { key, token, first_sent_at: None });
            continue;
        };
        let (lease, left_behind) = lease(&row, ROW + 7, claim)?;
        let work = ParcelWork {
            key,
            state: row.state(ROW + 2)?,
            attempts: row.count(ROW + 3)?,
            rounds: row.count(ROW + 4)?,
            sent_until: row.maybe_moment(ROW + 5)?,
            unknown_since: row.maybe_moment(ROW + 6)?,
            lease,
            intent: row.intent(ROW + 10)?,
            order,
        };
        due.push(Due { work, left_behind });
    }
    Ok((due, unreadable))
}

/// Puts parcels aside that are under this transaction's locks, and not leased by it.
async fn put_aside_parcels(db: &mut PgConnection, rows: &[Unreadable<ParcelKey>]) -> Result<()> {
    const SQL: &str =
        "UPDATE parcels SET due_at = NULL, reason = $3 WHERE order_id = $1 AND number = $2";
    for Unreadable { key: ParcelKey { order, number }, .. } in rows {
        let row = sqlx::query(SQL).bind(order).bind(i64::from(*number)).bind(UNREADABLE);
        row.execute(&mut *db).await?;
    }
    Ok(())
}

/// Puts parcels aside that [`FRESH_PARCELS`] has leased: nobody had them, and nobody has them now.
async fn give_back_parcels(db: &mut PgConnection, rows: &[Unreadable<ParcelKey>]) -> Result<()> {
    const SQL: &str =
        "UPDATE parcels SET due_at = NULL, lease_worker = NULL, lease_until = NULL, reason = $3
         WHERE order_id = $1 AND number = $2 AND lease_token = $4 + 1";
    for Unreadable { key: ParcelKey { order, number }, token, .. } in rows {
        let row = sqlx::query(SQL).bind(order).bind(i64::from(*number)).bind(UNREADABLE);
        row.bind(token).execute(&mut *db).await?;
    }
    Ok(())
}

async fn lease_parcels(
    db: &mut PgConnection,
    claim: &Claim,
    work: &[ParcelWork],
    in_doubt: Vec<bool>,
) -> Result<()> {
    if work.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE parcels AS p
               SET state = c.state, sent_until = c.sent_until, unknown_since = c.unknown_since,
                   lease_worker = $1, lease_token = c.token, lease_until = $2, due_at = $2,
                   settled = NULL, reason = CASE WHEN c.in_doubt THEN $3 ELSE p.reason END
               FROM unnest($4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[],
                           $9::bigint[], $10::boolean[])
                    AS c (order_id, number, state, sent_until, unknown_since, token, in_doubt)
               WHERE p.order_id = c.order_id AND p.number = c.number";
    sqlx::query(sql)
        .bind(&claim.worker)
        .bind(claim.until.micros())
        .bind(VANISHED)
        .bind(column(work, |work| work.key.order.as_str()))
        .bind(column(work, |work| i64::from(work.key.number)))
        .bind(column(work, |work| work.state.as_str()))
        .bind(column(work, |work| micros(work.sent_until)))
        .bind(column(work, |work| micros(work.unknown_since)))
        .bind(column(work, |work| work.lease.token))
        .bind(in_doubt)
        .execute(db)
        .await?;
    Ok(())
}
