//! Permits to call, shared by all workers of one address: one row's lock orders them.

use std::time::Duration;

use clockwork::{Clock, Timestamp};
use sqlx::postgres::Postgres;
use sqlx::{Executor, PgConnection};

use super::bell::tell_block_at_commit;
use super::failure::Result;
use super::row::Columns;
use crate::store::quota::{Ahead, Decision, decide};
use crate::store::sqlite::Time;
use crate::store::{Grant, Permits, TakePermits};

/// Gives ended permits back and takes new ones, if any are wanted.
///
/// The answer is by the database's clock, as is what it read then.
pub(super) async fn take(
    db: &mut PgConnection,
    take: TakePermits,
    time: &Time,
) -> Result<(Permits, Timestamp)> {
    let Quota { blocked_until, last_permit, server } = quota(db, take.quota).await?;
    let now = time.of_server(server).unwrap_or(take.now);
    let take = Ahead::of(take.now, now).question(take);
    give_back(db, &take).await?;
    if take.want == 0 {
        return Ok((Permits::Granted(Vec::new()), now));
    }
    let granted = match decide(ends(db, &take).await?, &take, blocked_until) {
        Decision::Wait(moment) => return Ok((Permits::Wait(moment), now)),
        Decision::Grant(granted) => granted,
    };
    let grants = (last_permit + 1..).zip(granted).map(|(id, from)| Grant { id, from });
    let grants: Vec<Grant> = grants.collect();
    forget_old(db, &take).await?;
    hold(db, &take, &grants).await?;
    Ok((Permits::Granted(grants), now))
}

struct Quota {
    /// Nobody may call before.
    blocked_until: Timestamp,
    /// The last permit given.
    last_permit: i64,
    /// What the server's clock reads, in microseconds since the epoch.
    server: i64,
}

/// The quota's row, locked until the end of the transaction.
async fn quota(db: &mut PgConnection, quota: &str) -> Result<Quota> {
    // An update of a row that is there already locks it, and makes it where it is not.
    let sql = "INSERT INTO quotas (quota) VALUES ($1)
               ON CONFLICT (quota) DO UPDATE SET quota = excluded.quota
               RETURNING blocked_until, last_permit,
                         (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let row = sqlx::query(sql).bind(quota).fetch_one(db).await?;
    let row = Columns::new(&row, "quotas");
    Ok(Quota { blocked_until: row.moment(0)?, last_permit: row.get(1)?, server: row.get(2)? })
}

async fn give_back(db: &mut PgConnection, take: &TakePermits) -> Result<()> {
    if take.ended.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE permits AS p SET ends_at = e.ends_at
               FROM unnest($2::bigint[], $3::bigint[]) AS e (id, ends_at)
               WHERE p.quota = $1 AND p.id = e.id";
    let (ids, ends): (Vec<i64>, Vec<i64>) =
        take.ended.iter().map(|(id, ended_at)| (*id, ended_at.micros())).unzip();
    sqlx::query(sql).bind(take.quota).bind(ids).bind(ends).execute(db).await?;
    Ok(())
}

async fn ends(db: &mut PgConnection, take: &TakePermits) -> Result<Vec<Timestamp>> {
    let most = take.windows.iter().map(|window| window.calls).max().unwrap_or(0);
    let sql = "SELECT ends_at FROM permits WHERE quota = $1 ORDER BY ends_at DESC LIMIT $2";
    let ends = sqlx::query_scalar(sql).bind(take.quota).bind(i64::from(most));
    let ends: Vec<i64> = ends.fetch_all(db).await?;
    Ok(ends.into_iter().map(Timestamp::from_micros).collect())
}

/// Keeps the table as small as the longest window.
async fn forget_old(db: &mut PgConnection, take: &TakePermits) -> Result<()> {
    let longest = take.windows.iter().map(|window| window.per).max().unwrap_or_default();
    let sql = "DELETE FROM permits WHERE quota = $1 AND ends_at <= $2";
    let row = sqlx::query(sql).bind(take.quota).bind((take.now - longest).micros());
    row.execute(db).await?;
    Ok(())
}

async fn hold(db: &mut PgConnection, take: &TakePermits, grants: &[Grant]) -> Result<()> {
    let Some(last) = grants.last() else { return Ok(()) };
    // Numbers are never given twice: an end that is told late must not meet another call's permit.
    let sql = "WITH given AS (UPDATE quotas SET last_permit = $2 WHERE quota = $1)
               INSERT INTO permits (quota, id, ends_at)
               SELECT $1, id, ends_at FROM unnest($3::bigint[], $4::bigint[]) AS g (id, ends_at)";
    let ids: Vec<i64> = grants.iter().map(|grant| grant.id).collect();
    let ends: Vec<i64> = grants.iter().map(|grant| (grant.from + take.hold).micros()).collect();
    let row = sqlx::query(sql).bind(take.quota).bind(last.id).bind(ids).bind(ends);
    row.execute(db).await?;
    Ok(())
}

/// Lets nobody call before `until`, and tells all who listen; an earlier moment than the one known
/// changes nothing.
///
/// `until` is by the clock of a worker, which reads `now`.
pub(super) async fn block(
    db: &mut PgConnection,
    quota: &str,
    until: Timestamp,
    now: Timestamp,
    time: &Time,
) -> Result<()> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let server: i64 = sqlx::query_scalar(sql).fetch_one(&mut *db).await?;
    let lasts = until.since(now);
    let until = Ahead::of(now, time.of_server(server).unwrap_or(now)).taken_off(until);
    let sql = "INSERT INTO quotas (quota, blocked_until) VALUES ($1, $2)
               ON CONFLICT (quota) DO UPDATE
               SET blocked_until = greatest(quotas.blocked_until, excluded.blocked_until)";
    sqlx::query(sql).bind(quota).bind(until.micros()).execute(&mut *db).await?;
    tell_block_at_commit(db, quota, lasts).await
}

/// Over which quotas nobody may call, and for how long from now on by the clock of a worker.
pub(super) async fn blocks(
    db: impl Executor<'_, Database = Postgres>,
    time: &Time,
    clock: &dyn Clock,
) -> Result<Vec<(String, Duration)>> {
    let sql =
        "SELECT quota, blocked_until, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
               FROM quotas WHERE blocked_until > 0";
    let rows = sqlx::query(sql).fetch_all(db).await?;
    let blocks = rows.iter().map(|row| {
        let row = Columns::new(row, "quotas");
        let now = time.of_server(row.get(2)?).unwrap_or_else(|| clock.now());
        Ok((row.text(0)?, row.moment(1)?.since(now)))
    });
    blocks.collect()
}
