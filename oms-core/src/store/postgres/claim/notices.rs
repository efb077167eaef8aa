//! Notifications that are due.

use clockwork::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{
    AtOnce, Due, Found, ROW, Unreadable, by_turns, choose, column, lease, next_due, next_due_after,
    soon,
};
use crate::state::{By, NoticeState};
use crate::store::aggregate::{Edge, by_name};
use crate::store::claiming::{self, UNREADABLE, nothing};
use crate::store::postgres::failure::Result;
use crate::store::postgres::members;
use crate::store::postgres::records::Edges;
use crate::store::postgres::row::{Columns, micros};
use crate::store::turns::Turn;
use crate::store::{About, Claim, Claimed, NoticeKey, NoticeWork};

const NEXT_NOTICE: &str =
    "SELECT due_at FROM notices WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

/// Leases notifications that are due and were never tried, oldest first, by one statement that is a
/// transaction of its own: they become `sending`.
pub(in crate::store::postgres) async fn notices_at_once(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<AtOnce<NoticeWork>> {
    let query = by_turns(FRESH_NOTICES, claim, turn)
        .bind(&claim.worker)
        .bind(claim.until.micros())
        .bind(NoticeState::Queued.as_str())
        .bind(NoticeState::Sending.as_str())
        .bind(by_name(By::Core));
    let mut chosen = choose(db, query, turn).await?;
    let due = chosen.rows.len();
    chosen.rows.retain(|row| {
        let state = row.try_get::<&str, _>(ROW + 2);
        let held = row.try_get::<Option<&str>, _>(ROW + 6);
        state.is_ok_and(|it| it == NoticeState::Queued.as_str())
            && held.is_ok_and(|it| it.is_none())
    });
    let left = due - chosen.rows.len();
    let (fresh, unreadable) = due_notices(db, claim, &chosen.rows).await?;
    take_back_notices(db, &unreadable).await?;
    let mut work = Vec::new();
    for Due { work: mut due, .. } in fresh {
        // The edge is logged by the statement.
        claiming::begin_sending(&mut due, false, claim.now);
        work.push(due);
    }
    let next_due = next_due_after(db, NEXT_NOTICE, claim, &chosen, work.len()).await?;
    let next_due = soon(next_due, claim, left);
    Ok(AtOnce { claimed: Claimed { work, next_due, taken: Vec::new() }, left })
}

/// Leases notifications that are due, oldest first, whoever had them before.
///
/// A queued one becomes `sending`, for its request may be under way from now on; one whose lease
/// ran out while `sending` becomes `unknown`.
pub(in crate::store::postgres) async fn notices(
    db: &mut PgConnection,
    claim: &Claim,
    turn: &Turn,
) -> Result<Claimed<NoticeWork>> {
    let (mut taken, mut work, mut edges) = (Vec::new(), Vec::new(), Vec::new());
    let chosen = choose(db, by_turns(NOTICES, claim, turn), turn).await?;
    let (found, unreadable) = due_notices(db, claim, &chosen.rows).await?;
    put_aside_notices(db, &unreadable).await?;
    for Due { work: mut due, left_behind } in found {
        if left_behind.is_some() {
            taken.push((due.key.to_string(), due.state.to_string()));
        }
        edges.extend(claiming::begin_sending(&mut due, left_behind.is_some(), claim.now));
        work.push(due);
    }
    lease_notices(db, claim, &work, &edges).await?;
    let next_due = next_due_after(db, NEXT_NOTICE, claim, &chosen, work.len()).await?;
    Ok(Claimed { work, next_due, taken })
}

/// What [`notices`] would give at `now`, if that is nothing.
pub(in crate::store::postgres) async fn no_notices(
    db: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<Claimed<NoticeWork>>> {
    Ok(nothing(next_due(db, NEXT_NOTICE).await?, now))
}

/// With the invoice numbers of each order's parcels: no parcel gets another one while its customer is
/// to be told.
macro_rules! notice_rows {
    () => {
        "c.order_id, c.event, c.state, c.attempts, c.rounds, c.first_sent_at,
         c.lease_worker, c.lease_token, c.lease_until, o.content,
         ARRAY(SELECT invoice_no FROM parcels p
               WHERE p.order_id = c.order_id AND invoice_no IS NOT NULL ORDER BY number)
         FROM chosen c LEFT JOIN orders o ON o.id = c.order_id
         ORDER BY c.due_at, c.order_id, c.event"
    };
}
const NOTICES: &str = by_turns!("notices", "event", "", notice_rows!());
/// Leases those in the state `$6` that have no lease, and takes them to `$7`; the rows are as they were
/// before.
const FRESH_NOTICES: &str = by_turns!(
    "notices",
    "event",
    ", leased AS (
         UPDATE notices AS n
         SET state = $7, first_sent_at = coalesce(n.first_sent_at, $1), lease_worker = $4,
             lease_token = n.lease_token + 1, lease_until = $5, due_at = $5, settled = NULL
         FROM chosen c
         WHERE n.order_id = c.order_id AND n.event = c.event
               AND c.state = $6 AND c.lease_worker IS NULL
     ), walked AS (
         INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
         SELECT $1, 'notice', c.order_id || ':' || c.event, $6, $7, $8
         FROM chosen c WHERE c.state = $6 AND c.lease_worker IS NULL
         ORDER BY c.due_at, c.order_id, c.event)",
    notice_rows!()
);

async fn due_notices(
    db: &mut PgConnection,
    claim: &Claim,
    rows: &[PgRow],
) -> Result<Found<NoticeWork, NoticeKey>> {
    let rows = rows.iter().map(|row| {
        let row = Columns::new(row, "notices");
        let key = NoticeKey { order: row.text(ROW)?, event: row.text(ROW + 1)? };
        Ok((key, row))
    });
    let rows: Vec<(NoticeKey, Columns<'_>)> = rows.collect::<Result<_>>()?;
    let keys: Vec<NoticeKey> = rows.iter().map(|(key, _)| key.clone()).collect();
    let mut recipients = members::recipients(db, &keys).await?;
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    for (key, row) in rows {
        let about = match key.member() {
            None => {
                let invoices = row.get(ROW + 10)?;
                let order = row.readable_order(ROW + 9, &key.to_string())?;
                order.map(|order| About::Order { order, invoices })
            }
            Some(_) => recipients.remove(&key.order).map(About::Member),
        };
        let first_sent_at = row.maybe_moment(ROW + 5)?;
        let Some(about) = about else {
            unreadable.push(Unreadable { key, token: row.get(ROW + 7)?, first_sent_at });
            continue;
        };
        let (lease, left_behind) = lease(&row, ROW + 6, claim)?;
        let work = NoticeWork {
            key,
            about,
            state: row.state(ROW + 2)?,
            lease,
            attempts: row.count(ROW + 3)?,
            rounds: row.count(ROW + 4)?,
            first_sent_at,
        };
        due.push(Due { work, left_behind });
    }
    Ok((due, unreadable))
}

/// Puts notifications aside that are under this transaction's locks, and not leased by it.
async fn put_aside_notices(db: &mut PgConnection, rows: &[Unreadable<NoticeKey>]) -> Result<()> {
    const SQL: &str =
        "UPDATE notices SET due_at = NULL, reason = $3 WHERE order_id = $1 AND event = $2";
    for Unreadable { key: NoticeKey { order, event }, .. } in rows {
        sqlx::query(SQL).bind(order).bind(event).bind(UNREADABLE).execute(&mut *db).await?;
    }
    Ok(())
}

/// Puts notifications aside that [`FRESH_NOTICES`] has leased: nobody was told anything, so they are
/// `$4` again and the edge is taken back that the statement has logged. It is the last of its
/// notification, which nobody else can walk further under this token.
async fn take_back_notices(db: &mut PgConnection, rows: &[Unreadable<NoticeKey>]) -> Result<()> {
    const SQL: &str = "WITH back AS (
            UPDATE notices
            SET state = $4, first_sent_at = $5, due_at = NULL, lease_worker = NULL,
                lease_until = NULL, reason = $3
            WHERE order_id = $1 AND event = $2 AND lease_token = $6 + 1
            RETURNING order_id || ':' || event AS key
        )
        DELETE FROM transitions t USING back
        WHERE t.id = (SELECT l.id FROM transitions l
                      WHERE l.entity = 'notice' AND l.key = back.key ORDER BY l.id DESC LIMIT 1)";
    for Unreadable { key: NoticeKey { order, event }, token, first_sent_at } in rows {
        let row = sqlx::query(SQL).bind(order).bind(event).bind(UNREADABLE);
        let row = row.bind(NoticeState::Queued.as_str()).bind(micros(*first_sent_at));
        row.bind(token).execute(&mut *db).await?;
    }
    Ok(())
}

/// Leases them, and logs what they walked.
async fn lease_notices(
    db: &mut PgConnection,
    claim: &Claim,
    work: &[NoticeWork],
    edges: &[Edge],
) -> Result<()> {
    const SQL: &str = "WITH walked AS (
            INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
            SELECT at, entity, key, from_state, to_state, walked_by
            FROM unnest($8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[],
                        $13::text[])
                 WITH ORDINALITY AS e (at, entity, key, from_state, to_state, walked_by, place)
            ORDER BY place
        )
        UPDATE notices AS n
        SET state = c.state, first_sent_at = c.first_sent_at, lease_worker = $1,
            lease_token = c.token, lease_until = $2, due_at = $2, settled = NULL
        FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
             AS c (order_id, event, state, first_sent_at, token)
        WHERE n.order_id = c.order_id AND n.event = c.event";
    if work.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(SQL)
        .bind(&claim.worker)
        .bind(claim.until.micros())
        .bind(column(work, |work| work.key.order.as_str()))
        .bind(column(work, |work| work.key.event.as_str()))
        .bind(column(work, |work| work.state.as_str()))
        .bind(column(work, |work| micros(work.first_sent_at)))
        .bind(column(work, |work| work.lease.token));
    let query = Edges::of(edges.iter().map(|edge| (claim.now, edge))).bind(query);
    query.execute(db).await?;
    Ok(())
}
