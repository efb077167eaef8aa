//! What the gateway tells later of the messages that it accepted.

use clockwork::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Result;
use super::records;
use crate::policy::OrderPolicy;
use crate::state::NoticeState;
use crate::store::aggregate::Aggregate;
use crate::store::{DeliveryReport, NoticeKey};

/// Writes `report`: to its notification, or aside while none is known.
pub(super) fn record(
    db: &Connection,
    policy: &dyn OrderPolicy,
    report: &DeliveryReport,
    now: Timestamp,
) -> Result<()> {
    let Some((mut aggregate, at)) = notification(db, &report.reference)? else {
        return keep(db, report, now);
    };
    if !aggregate.record_report(policy, at, report, now)? {
        return keep(db, report, now);
    }
    records::save(db, &aggregate, now)
}

/// The notification that `reference` names: `ORD-1:shipped`, `member:MEM-1:welcome`.
fn notification(db: &Connection, reference: &str) -> Result<Option<(Aggregate, usize)>> {
    let Some((order, event)) = reference.rsplit_once(':') else { return Ok(None) };
    let key = NoticeKey { order: order.to_owned(), event: event.to_owned() };
    let Some(aggregate) = records::owning(db, &key)? else { return Ok(None) };
    let at = aggregate.notice(event).ok();
    Ok(at.map(|at| (aggregate, at)))
}

/// Keeps a report until its notification is known.
fn keep(db: &Connection, report: &DeliveryReport, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO reports (msg_key, reference, code, channel, reported_at, received_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (msg_key) DO NOTHING";
    db.prepare_cached(sql)?.execute(params![
        report.msg_key,
        report.reference,
        report.code,
        report.channel,
        report.reported_at.map(Timestamp::micros),
        now.micros(),
    ])?;
    Ok(())
}

/// A notification that has just been settled takes the report that came before it.
pub(super) fn apply_early(db: &Connection, aggregate: &mut Aggregate, event: &str) -> Result<()> {
    let Some((at, reference, msg_key)) = aggregate.lacks_report(event)? else { return Ok(()) };
    let Some(report) = early(db, &reference, msg_key)? else { return Ok(()) };
    aggregate.take_early_report(at, &report);
    db.prepare_cached("DELETE FROM reports WHERE msg_key = ?1")?.execute([report.msg_key])?;
    Ok(())
}

fn early(
    db: &Connection,
    reference: &str,
    msg_key: Option<&str>,
) -> Result<Option<DeliveryReport>> {
    let sql = "SELECT msg_key, reference, code, channel, reported_at FROM reports
               WHERE reference = ?1 AND (?2 IS NULL OR msg_key = ?2)
               ORDER BY received_at, msg_key LIMIT 1";
    let report = |row: &rusqlite::Row<'_>| {
        let reported_at: Option<i64> = row.get(4)?;
        Ok(DeliveryReport {
            msg_key: row.get(0)?,
            reference: row.get(1)?,
            code: row.get(2)?,
            channel: row.get(3)?,
            reported_at: reported_at.map(Timestamp::from_micros),
        })
    };
    Ok(db.prepare_cached(sql)?.query_row(params![reference, msg_key], report).optional()?)
}

/// Whether some message that was, or may have been, accepted after `since` has no report yet.
pub(super) fn awaited(db: &Connection, since: Timestamp) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM notices
                              WHERE sent_at IS NOT NULL AND report_code IS NULL AND sent_at > ?1)
                   OR EXISTS (SELECT 1 FROM notices
                              WHERE state = ?2 AND report_code IS NULL AND first_sent_at > ?1)";
    let unknown = NoticeState::Unknown.as_str();
    Ok(db.prepare_cached(sql)?.query_row(params![since.micros(), unknown], |row| row.get(0))?)
}
