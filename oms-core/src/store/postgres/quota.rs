//! Permits to call, shared by all workers of one address: one row's lock orders them.

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::Result;
use super::row::Columns;
use crate::store::quota::{Decision, decide};
use crate::store::{Permits, TakePermits};

/// Gives ended permits back and takes new ones, if any are wanted.
pub(super) async fn take(db: &mut PgConnection, take: &TakePermits) -> Result<Permits> {
    let (blocked_until, last_permit) = quota(db, take.quota).await?;
    give_back(db, take).await?;
    if take.want == 0 {
        return Ok(Permits::Granted(Vec::new()));
    }
    let blocked = (blocked_until > take.now).then_some(blocked_until);
    let want = usize::try_from(take.want).unwrap_or(usize::MAX);
    let ends = ends(db, take).await?;
    let granted = match (decide(&ends, &take.windows, take.now, want), blocked) {
        (Decision::Wait(moment), blocked) => {
            return Ok(Permits::Wait(blocked.map_or(moment, |until| until.max(moment))));
        }
        (Decision::Grant(_), Some(until)) => return Ok(Permits::Wait(until)),
        (Decision::Grant(granted), None) => granted,
    };
    forget_old(db, take).await?;
    let ids: Vec<i64> = (last_permit + 1..).take(granted).collect();
    hold(db, take, &ids).await?;
    Ok(Permits::Granted(ids))
}

/// Until when nobody may call, and the last permit given; locked until the end of the transaction.
async fn quota(db: &mut PgConnection, quota: &str) -> Result<(Timestamp, i64)> {
    // An update of a row that is there already locks it, and makes it where it is not.
    let sql = "INSERT INTO quotas (quota) VALUES ($1)
               ON CONFLICT (quota) DO UPDATE SET quota = excluded.quota
               RETURNING blocked_until, last_permit";
    let row = sqlx::query(sql).bind(quota).fetch_one(db).await?;
    let row = Columns::new(&row, "quotas");
    Ok((row.moment(0)?, row.get(1)?))
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

async fn hold(db: &mut PgConnection, take: &TakePermits, ids: &[i64]) -> Result<()> {
    let Some(last) = ids.last() else { return Ok(()) };
    // Numbers are never given twice: an end that is told late must not meet another call's permit.
    let sql = "WITH given AS (UPDATE quotas SET last_permit = $2 WHERE quota = $1)
               INSERT INTO permits (quota, id, ends_at)
               SELECT $1, id, $4 FROM unnest($3::bigint[]) AS id";
    let row = sqlx::query(sql).bind(take.quota).bind(last).bind(ids);
    row.bind(take.hold_until.micros()).execute(db).await?;
    Ok(())
}

/// Lets nobody call before `until`; an earlier moment than the one known changes nothing.
pub(super) async fn block(db: &mut PgConnection, quota: &str, until: Timestamp) -> Result<()> {
    let sql = "INSERT INTO quotas (quota, blocked_until) VALUES ($1, $2)
               ON CONFLICT (quota) DO UPDATE
               SET blocked_until = greatest(quotas.blocked_until, excluded.blocked_until)";
    sqlx::query(sql).bind(quota).bind(until.micros()).execute(db).await?;
    Ok(())
}
