//! Rows that are due are leased to a worker.
//!
//! A row that another transaction has under its lock is skipped: whoever holds it is about to
//! change it. So workers never wait for each other here, and never get the same row. A claim never
//! asks what follows for an order: nothing that it changes is an outcome.
//!
//! Work that nobody has had is chosen and leased by one statement. What a worker left behind, or what
//! is tried again, is looked at first, in a transaction.

use std::time::Duration;

use clockwork::Timestamp;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{PgConnection, Row};

use super::failure::Result;
use super::members;
use super::records::{Edges, log};
use super::row::{Columns, limit, micros};
use crate::state::{By, NoticeState};
use crate::store::aggregate::{Edge, by_name};
use crate::store::claiming::{self, UNREADABLE, VANISHED, nothing};
use crate::store::turns::Turn;
use crate::store::{About, Claim, Claimed, Lease, NoticeKey, NoticeWork, ParcelKey, ParcelWork};

/// Rows that were skipped are looked at again after so long.
const SKIPPED_AGAIN: Duration = Duration::from_millis(20);

const NEXT_PARCEL: &str =
    "SELECT due_at FROM parcels WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
const NEXT_NOTICE: &str =
    "SELECT due_at FROM notices WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

/// The rows of a claim, made of the table's name, what makes its key beside the order, what is done to
/// them in the same statement, and the query that reads them: `chosen` are those that are due, under
/// their locks; `next` is when the first of the others falls due.
///
/// `turns` are the sellers whose turn it is, with something due at `$1`, at most `$2`, the one after
/// `$3` first. Each step of a walk is one look at the index.
macro_rules! by_turns {
    ($table:literal, $part:literal, $leases:expr, $rows:expr) => {
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
             ), chosen AS MATERIALIZED (
                 SELECT due.*, turns.turn FROM turns CROSS JOIN LATERAL (
                     SELECT * FROM ",
            $table,
            " d WHERE d.seller = turns.seller AND d.due_at <= $1
                     ORDER BY d.due_at, d.order_id, d.",
            $part,
            "
                     LIMIT greatest($2 / (SELECT count(*) FROM turns), 1) FOR UPDATE SKIP LOCKED
                 ) due
             ), next AS MATERIALIZED (
                 SELECT d.due_at FROM ",
            $table,
            " d WHERE d.due_at IS NOT NULL
                     AND (d.order_id, d.",
            $part,
            ") NOT IN (SELECT c.order_id, c.",
            $part,
            " FROM chosen c)
                 ORDER BY d.due_at LIMIT 1
             )",
            $leases,
            " SELECT c.seller, c.turn, (SELECT due_at FROM next), ",
            $rows
        )
    };
}

/// The first column of a row itself, after those that [`by_turns!`] puts before it.
const ROW: usize = 3;

/// Rows that are under this transaction's locks.
struct Chosen {
    rows: Vec<PgRow>,
    /// When the first of all others falls due; `None` too when nothing was chosen.
    next: Option<Timestamp>,
}

/// A query of [`by_turns!`] with what all of them are told.
fn by_turns(
    sql: &'static str,
    claim: &Claim,
    turn: &Turn,
) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sql).bind(claim.now.micros()).bind(limit(claim.limit)).bind(turn.after())
}

/// Runs a query of [`by_turns!`], and notes who was served last.
async fn choose(
    db: &mut PgConnection,
    query: Query<'static, Postgres, PgArguments>,
    turn: &Turn,
) -> Result<Chosen> {
    let rows = query.fetch_all(db).await?;
    let mut last: Option<(i64, String)> = None;
    let mut next = None;
    for row in &rows {
        let row = Columns::new(row, "parcels");
        last = last.max(Some((row.get(1)?, row.text(0)?)));
        next = row.maybe_moment(2)?;
    }
    if let Some((_, seller)) = last {
        turn.set(seller);
    }
    Ok(Chosen { rows, next })
}

/// What came of a claim by one statement. Where some are left, `next_due` is soon.
pub(super) struct AtOnce<W> {
    /// Those that were leased.
    pub(super) claimed: Claimed<W>,
    /// So many more are due, and want a look before they are leased.
    pub(super) left: usize,
}

/// Leases parcels that are due and that nobody left behind, oldest first, by one statement that is a
/// transaction of its own. Nothing of them changes but the lease.
pub(super) async fn parcels_at_once(
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

/// When to look again after a claim that left so many of what is due.
fn soon(next_due: Option<Timestamp>, claim: &Claim, left: usize) -> Option<Timestamp> {
    let soon = (left > 0).then(|| claim.now + SKIPPED_AGAIN);
    next_due.into_iter().chain(soon).min()
}

/// A row that is due, already under its new lease; `left_behind` is the end of one that ran out.
struct Due<W> {
    work: W,
    left_behind: Option<Timestamp>,
}

/// A row whose order cannot be read, as the claim found it.
///
/// It is put aside, and the others are claimed. Once its content is mended, whatever was true of it
/// before must still be: a lease that a worker left behind stays, for that worker may have sent.
struct Unreadable<K> {
    key: K,
    /// Its fencing token before the claim.
    token: i64,
    /// When it may first have been sent, before the claim; of notifications alone.
    first_sent_at: Option<Timestamp>,
}

/// Leases parcels that are due, oldest first, whoever had them before.
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
pub(super) async fn no_parcels(
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

/// What is due, and what of it cannot be read.
type Found<W, K> = (Vec<Due<W>>, Vec<Unreadable<K>>);

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
pub(super) fn column<'w, W, T>(work: &'w [W], of: impl Fn(&'w W) -> T) -> Vec<T> {
    work.iter().map(of).collect()
}

async fn next_due(db: &mut PgConnection, sql: &'static str) -> Result<Option<Timestamp>> {
    let due: Option<i64> = sqlx::query_scalar(sql).fetch_optional(db).await?;
    Ok(due.map(Timestamp::from_micros))
}

/// When the next row falls due after a claim that brought so many: the first of the others, or the
/// brought ones when their leases end. One that is due already and was not brought was skipped, for
/// another transaction has it.
async fn next_due_after(
    db: &mut PgConnection,
    sql: &'static str,
    claim: &Claim,
    chosen: &Chosen,
    brought: usize,
) -> Result<Option<Timestamp>> {
    let next = match chosen.rows.is_empty() {
        true => next_due(db, sql).await?,
        false => chosen.next,
    };
    let skipped = |due: &Timestamp| *due <= claim.now && brought < claim.limit;
    let next = next.map(|due| if skipped(&due) { claim.now + SKIPPED_AGAIN } else { due });
    let ends = (brought > 0).then_some(claim.until);
    Ok(next.into_iter().chain(ends).min())
}

/// Leases notifications that are due and were never tried, oldest first, by one statement that is a
/// transaction of its own: they become `sending`.
pub(super) async fn notices_at_once(
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
pub(super) async fn notices(
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
pub(super) async fn no_notices(
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
