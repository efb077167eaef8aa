//! Permits to call, shared by all workers of one address.

use clockwork::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Result;
use crate::store::quota::{Decision, decide};
use crate::store::{Grant, Permits, TakePermits};

/// Gives ended permits back and takes new ones, if any are wanted.
pub(super) fn take(db: &Connection, take: &TakePermits) -> Result<Permits> {
    for (id, ended_at) in &take.ended {
        let sql = "UPDATE permits SET ends_at = ?3 WHERE quota = ?1 AND id = ?2";
        db.prepare_cached(sql)?.execute(params![take.quota, id, ended_at.micros()])?;
    }
    if take.want == 0 {
        return Ok(Permits::Granted(Vec::new()));
    }
    let (blocked_until, last_permit) = quota(db, take.quota)?;
    let granted = match decide(ends(db, take)?, take, blocked_until) {
        Decision::Wait(moment) => return Ok(Permits::Wait(moment)),
        Decision::Grant(granted) => granted,
    };
    forget_old(db, take)?;
    let grants = (last_permit + 1..).zip(granted).map(|(id, from)| Grant { id, from });
    let grants: Vec<Grant> = grants.collect();
    hold(db, take, &grants)?;
    Ok(Permits::Granted(grants))
}

/// Until when nobody may call, and the last permit given.
fn quota(db: &Connection, quota: &str) -> Result<(Timestamp, i64)> {
    let sql = "SELECT blocked_until, last_permit FROM quotas WHERE quota = ?1";
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let known: Option<(i64, i64)> =
        db.prepare_cached(sql)?.query_row([quota], columns).optional()?;
    let (blocked_until, last_permit) = known.unwrap_or_default();
    Ok((Timestamp::from_micros(blocked_until), last_permit))
}

fn ends(db: &Connection, take: &TakePermits) -> Result<Vec<Timestamp>> {
    let most = take.windows.iter().map(|window| window.calls).max().unwrap_or(0);
    let sql = "SELECT ends_at FROM permits WHERE quota = ?1 ORDER BY ends_at DESC LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let ends = statement.query_map(params![take.quota, most], |row| row.get(0))?;
    Ok(ends.map(|end| end.map(Timestamp::from_micros)).collect::<rusqlite::Result<_>>()?)
}

/// Keeps the table as small as the longest window.
fn forget_old(db: &Connection, take: &TakePermits) -> Result<()> {
    let longest = take.windows.iter().map(|window| window.per).max().unwrap_or_default();
    let sql = "DELETE FROM permits WHERE quota = ?1 AND ends_at <= ?2";
    db.prepare_cached(sql)?.execute(params![take.quota, (take.now - longest).micros()])?;
    Ok(())
}

fn hold(db: &Connection, take: &TakePermits, grants: &[Grant]) -> Result<()> {
    let Some(last) = grants.last() else { return Ok(()) };
    let sql = "INSERT INTO permits (quota, id, ends_at) VALUES (?1, ?2, ?3)";
    for Grant { id, from } in grants {
        let ends_at = *from + take.hold;
        db.prepare_cached(sql)?.execute(params![take.quota, id, ends_at.micros()])?;
    }
    // Numbers are never given twice: an end that is told late must not meet another call's permit.
    let sql = "INSERT INTO quotas (quota, last_permit) VALUES (?1, ?2)
               ON CONFLICT (quota) DO UPDATE SET last_permit = excluded.last_permit";
    db.prepare_cached(sql)?.execute(params![take.quota, last.id])?;
    Ok(())
}

/// Until when nobody may call.
pub(super) fn blocked_until(db: &Connection, name: &str) -> Result<Timestamp> {
    Ok(quota(db, name)?.0)
}

/// Lets nobody call before `until`; an earlier moment than the one known changes nothing.
pub(super) fn block(db: &Connection, quota: &str, until: Timestamp) -> Result<()> {
    let sql = "INSERT INTO quotas (quota, blocked_until) VALUES (?1, ?2)
               ON CONFLICT (quota) DO UPDATE
               SET blocked_until = max(blocked_until, excluded.blocked_until)";
    db.prepare_cached(sql)?.execute(params![quota, until.micros()])?;
    Ok(())
}
