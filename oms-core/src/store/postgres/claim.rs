//! Rows that are due are leased to a worker.
//!
//! A row that another transaction has under its lock is skipped: whoever holds it is about to
//! change it. So workers never wait for each other here, and never get the same row. A claim never
//! asks what follows for an order: nothing that it changes is an outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use clockwork::Timestamp;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::failure::Result;
use super::members;
use super::records::log;
use super::row::{Columns, limit, micros};
use crate::store::claiming::{self, UNREADABLE, VANISHED, nothing};
use crate::store::turns::Turn;
use crate::store::{
    About, Claim, Claimed, Lease, NoticeKey, NoticeWork, ParcelKey, ParcelWork, Row,
};

/// Rows that were skipped are looked at again after so long.
const SKIPPED_AGAIN: Duration = Duration::from_millis(20);

const NEXT_PARCEL: &str =
    "SELECT due_at FROM parcels WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
const NEXT_NOTICE: &str =
    "SELECT due_at FROM notices WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

/// The rows of a claim, made of the table's name and the query of what is due in `turns`: the sellers
/// whose turn it is, with something due at `$1`, at most `$2`, the one after `$3` first. Each step of a
/// walk is one look at the index.
macro_rules! by_turns {
    ($table:literal, $due:literal) => {
        concat!(
            "WITH RECURSIVE ahead (seller, due_at) AS (
                 (SELECT seller, due_at FROM ",
            $table,
            "
                  WHERE due_at IS NOT NULL AND seller > $3 ORDER BY seller, due_at LIMIT 1)
                 UNION ALL
                 SELECT n.seller, n.due_at FROM ahead CROSS JOIN LATERAL (
                     SELECT seller, due_at FROM ",
            $table,
            " s
                     WHERE s.due_at IS NOT NULL AND s.seller > ahead.seller
                     ORDER BY s.seller, s.due_at LIMIT 1) n
             ), behind (seller, due_at) AS (
                 (SELECT seller, due_at FROM ",
            $table,
            "
                  WHERE due_at IS NOT NULL AND seller <= $3 ORDER BY seller, due_at LIMIT 1)
                 UNION ALL
                 SELECT n.seller, n.due_at FROM behind CROSS JOIN LATERAL (
                     SELECT seller, due_at FROM ",
            $table,
            " s
                     WHERE s.due_at IS NOT NULL AND s.seller > behind.seller AND s.seller <= $3
                     ORDER BY s.seller, s.due_at LIMIT 1) n
             ), turns AS MATERIALIZED (
                 SELECT seller, row_number() OVER () AS turn
                 FROM (SELECT seller FROM ahead WHERE due_at <= $1
                       UNION ALL SELECT seller FROM behind WHERE due_at <= $1
                       LIMIT $2) walked
             ) ",
            $due
        )
    };
}

/// Runs a query of [`by_turns!`] whose columns from `at` on are seller and turn, and notes who was
/// served last.
async fn by_turns(
    db: &mut PgConnection,
    sql: &'static str,
    claim: &Claim,
    turn: &Turn,
    at: usize,
) -> Result<Vec<PgRow>> {
    let query = sqlx::query(sql).bind(claim.now.micros()).bind(limit(claim.limit));
    let rows = query.bind(turn.after()).fetch_all(db).await?;
    let mut last: Option<(i64, String)> = None;
    for row in &rows {
        let row = Columns::new(row, "parcels");
        last = last.max(Some((row.get(at + 1)?, row.text(at)?)));
    }
    if let Some((_, seller)) = last {
        turn.set(seller);
    }
    Ok(rows)
}

/// A row that is due, already under its new lease; `left_behind` is the end of one that ran out.
struct Due<W> {
    work: W,
    left_behind: Option<Timestamp>,
}

/// Leases parcels that are due, oldest first.
///
/// One whose lease ran out while `intended` may have been sent until that lease's end: it becomes
/// `unknown`. An unknown one may have been sent again until then.
pub(super) async fn parcels(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<Claimed<ParcelWork>> {
    let (mut taken, mut work) = (Vec::new(), Vec::new());
    let (mut edges, mut in_doubt) = (Vec::new(), Vec::new());
    for Due { work: mut due, left_behind } in due_parcels(db, claim, turn).await? {
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
    let next_due = next_due_after(db, NEXT_PARCEL, claim, work.len()).await?;
    Ok(Claimed { work, next_due, taken })
}

/// What [`parcels`] would give at `now`, if that is nothing.
pub(super) async fn no_parcels(
    db: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<Claimed<ParcelWork>>> {
    Ok(nothing(next_due(db, NEXT_PARCEL).await?, now))
}

async fn due_parcels(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<Vec<Due<ParcelWork>>> {
    const SQL: &str = by_turns!(
        "parcels",
        "SELECT p.order_id, p.number, p.state, p.attempts, p.rounds, p.sent_until,
                p.unknown_since, p.lease_worker, p.lease_token, p.lease_until,
                p.invoice_no, p.rcpt_ymd, p.cust_use_no, p.mpck_key, p.request, o.content,
                turns.seller, turns.turn
         FROM turns CROSS JOIN LATERAL (
             SELECT * FROM parcels d WHERE d.seller = turns.seller AND d.due_at <= $1
             ORDER BY d.due_at, d.order_id, d.number
             LIMIT greatest($2 / (SELECT count(*) FROM turns), 1) FOR UPDATE SKIP LOCKED) p
         JOIN orders o ON o.id = p.order_id
         ORDER BY p.due_at, p.order_id, p.number"
    );
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    for row in by_turns(db, SQL, claim, turn, 16).await? {
        let row = Columns::new(&row, "parcels");
        let key = ParcelKey { order: row.text(0)?, number: row.count(1)? };
        let Some(order) = row.readable_order(15, &key.to_string())? else {
            unreadable.push(key);
            continue;
        };
        let (lease, left_behind) = lease(&row, 7, claim)?;
        let work = ParcelWork {
            key,
            state: row.state(2)?,
            attempts: row.count(3)?,
            rounds: row.count(4)?,
            sent_until: row.maybe_moment(5)?,
            unknown_since: row.maybe_moment(6)?,
            lease,
            intent: row.intent(10)?,
            order,
        };
        due.push(Due { work, left_behind });
    }
    for ParcelKey { order, number } in unreadable {
        let sql =
            "UPDATE parcels SET due_at = NULL, reason = $3 WHERE order_id = $1 AND number = $2";
        let row = sqlx::query(sql).bind(order).bind(i64::from(number)).bind(UNREADABLE);
        row.execute(&mut *db).await?;
    }
    Ok(due)
}

/// The new lease on a row whose old one stands in the columns from `at` on, and the old one's end.
fn lease(row: &Columns<'_>, at: usize, claim: &Claim) -> Result<(Lease, Option<Timestamp>)> {
    let held: Option<String> = row.maybe_text(at)?;
    let until = row.maybe_moment(at + 2)?;
    Ok((claiming::lease(claim, row.get(at + 1)?), held.and(until)))
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

/// One column of many rows, as `unnest` takes it.
fn column<'w, W, T>(work: &'w [W], of: impl Fn(&'w W) -> T) -> Vec<T> {
    work.iter().map(of).collect()
}

async fn next_due(db: &mut PgConnection, sql: &'static str) -> Result<Option<Timestamp>> {
    let due: Option<i64> = sqlx::query_scalar(sql).fetch_optional(db).await?;
    Ok(due.map(Timestamp::from_micros))
}

/// When the next row falls due after a claim that brought so many. One that is due already and was
/// not brought was skipped, for another transaction has it.
async fn next_due_after(
    db: &mut PgConnection,
    sql: &'static str,
    claim: &Claim,
    brought: usize,
) -> Result<Option<Timestamp>> {
    let next = next_due(db, sql).await?;
    let skipped = |due: &Timestamp| *due <= claim.now && brought < claim.limit;
    Ok(next.map(|due| if skipped(&due) { claim.now + SKIPPED_AGAIN } else { due }))
}

/// Leases notifications that are due, oldest first.
///
/// A queued one becomes `sending`, for its request may be under way from now on; one whose lease
/// ran out while `sending` becomes `unknown`.
pub(super) async fn notices(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<Claimed<NoticeWork>> {
    let (mut taken, mut work, mut edges) = (Vec::new(), Vec::new(), Vec::new());
    for Due { work: mut due, left_behind } in due_notices(db, claim, turn).await? {
        if left_behind.is_some() {
            taken.push((due.key.to_string(), due.state.to_string()));
        }
        edges.extend(claiming::begin_sending(&mut due, left_behind.is_some(), claim.now));
        work.push(due);
    }
    lease_notices(db, claim, &work).await?;
    tell_invoices(db, &mut work).await?;
    log(db, claim.now, &edges).await?;
    let next_due = next_due_after(db, NEXT_NOTICE, claim, work.len()).await?;
    Ok(Claimed { work, next_due, taken })
}

/// What [`notices`] would give at `now`, if that is nothing.
pub(super) async fn no_notices(
    db: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<Claimed<NoticeWork>>> {
    Ok(nothing(next_due(db, NEXT_NOTICE).await?, now))
}

async fn due_notices(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<Vec<Due<NoticeWork>>> {
    const SQL: &str = by_turns!(
        "notices",
        "SELECT n.order_id, n.event, n.state, n.attempts, n.rounds, n.first_sent_at,
                n.lease_worker, n.lease_token, n.lease_until, o.content,
                turns.seller, turns.turn
         FROM turns CROSS JOIN LATERAL (
             SELECT * FROM notices d WHERE d.seller = turns.seller AND d.due_at <= $1
             ORDER BY d.due_at, d.order_id, d.event
             LIMIT greatest($2 / (SELECT count(*) FROM turns), 1) FOR UPDATE SKIP LOCKED) n
         LEFT JOIN orders o ON o.id = n.order_id
         ORDER BY n.due_at, n.order_id, n.event"
    );
    let rows = by_turns(db, SQL, claim, turn, 10).await?;
    let rows = rows.iter().map(|row| {
        let row = Columns::new(row, "notices");
        let key = NoticeKey { order: row.text(0)?, event: row.text(1)? };
        Ok((key, row))
    });
    let rows: Vec<(NoticeKey, Columns<'_>)> = rows.collect::<Result<_>>()?;
    let keys: Vec<NoticeKey> = rows.iter().map(|(key, _)| key.clone()).collect();
    let mut recipients = members::recipients(db, &keys).await?;
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    for (key, row) in rows {
        let about = match key.member() {
            None => row
                .readable_order(9, &key.to_string())?
                .map(|order| About::Order { order, invoices: Vec::new() }),
            Some(_) => recipients.remove(&key.order).map(About::Member),
        };
        let Some(about) = about else {
            unreadable.push(key);
            continue;
        };
        let (lease, left_behind) = lease(&row, 6, claim)?;
        let work = NoticeWork {
            key,
            about,
            state: row.state(2)?,
            lease,
            attempts: row.count(3)?,
            rounds: row.count(4)?,
            first_sent_at: row.maybe_moment(5)?,
        };
        due.push(Due { work, left_behind });
    }
    for NoticeKey { order, event } in unreadable {
        let sql =
            "UPDATE notices SET due_at = NULL, reason = $3 WHERE order_id = $1 AND event = $2";
        sqlx::query(sql).bind(order).bind(event).bind(UNREADABLE).execute(&mut *db).await?;
    }
    Ok(due)
}

async fn lease_notices(db: &mut PgConnection, claim: &Claim, work: &[NoticeWork]) -> Result<()> {
    if work.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE notices AS n
               SET state = c.state, first_sent_at = c.first_sent_at, lease_worker = $1,
                   lease_token = c.token, lease_until = $2, due_at = $2, settled = NULL
               FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
                    AS c (order_id, event, state, first_sent_at, token)
               WHERE n.order_id = c.order_id AND n.event = c.event";
    sqlx::query(sql)
        .bind(&claim.worker)
        .bind(claim.until.micros())
        .bind(column(work, |work| work.key.order.as_str()))
        .bind(column(work, |work| work.key.event.as_str()))
        .bind(column(work, |work| work.state.as_str()))
        .bind(column(work, |work| micros(work.first_sent_at)))
        .bind(column(work, |work| work.lease.token))
        .execute(db)
        .await?;
    Ok(())
}

/// Writes to each notification the invoice numbers of its order's parcels.
async fn tell_invoices(db: &mut PgConnection, work: &mut [NoticeWork]) -> Result<()> {
    if work.is_empty() {
        return Ok(());
    }
    let sql = "SELECT order_id, array_agg(invoice_no ORDER BY number) FROM parcels
               WHERE order_id = ANY($1) AND invoice_no IS NOT NULL GROUP BY order_id";
    let orders: Vec<&str> = work.iter().map(|work| work.key.order.as_str()).collect();
    let mut invoices = BTreeMap::new();
    for row in sqlx::query(sql).bind(orders).fetch_all(db).await? {
        let row = Columns::new(&row, "parcels");
        invoices.insert(row.text(0)?, row.get::<Vec<String>>(1)?);
    }
    for work in work {
        if let About::Order { invoices: told, .. } = &mut work.about {
            *told = invoices.get(&work.key.order).cloned().unwrap_or_default();
        }
    }
    Ok(())
}

/// Puts off the ends of leases that are still held under their tokens; which they are.
///
/// A row that another transaction has under its lock is skipped, as in a claim: it is about to be
/// settled, or its lease to be taken away.
pub(super) async fn renew(
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
