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
use sqlx::PgConnection;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;

use super::failure::Result;
use super::row::{Columns, limit};
use crate::store::claiming;
use crate::store::turns::Turn;
use crate::store::{Claim, Claimed, Lease};

/// Rows that were skipped are looked at again after so long.
const SKIPPED_AGAIN: Duration = Duration::from_millis(20);

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

// Below the macro, which they use.
mod notices;
mod parcels;

pub(super) use notices::{no_notices, notices, notices_at_once};
pub(super) use parcels::{no_parcels, parcels, parcels_at_once};

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

/// What is due, and what of it cannot be read.
type Found<W, K> = (Vec<Due<W>>, Vec<Unreadable<K>>);

/// The new lease on a row whose old one stands in the columns from `at` on, and the old one's end.
fn lease(row: &Columns<'_>, at: usize, claim: &Claim) -> Result<(Lease, Option<Timestamp>)> {
    let held: Option<String> = row.maybe_text(at)?;
    let until = row.maybe_moment(at + 2)?;
    Ok((claiming::lease(claim, row.get(at + 1)?), held.and(until)))
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
