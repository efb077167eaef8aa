//! What the gateway tells later of the messages that it accepted.

use clockwork::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::aggregate::{Aggregate, Notice};
use super::failure::Result;
use super::notices::be_sent;
use crate::policy::OrderPolicy;
use crate::state::{By, NoticeState};
use crate::store::{DeliveryReport, NoticeKey};

/// Writes `report`: to its notification, or aside while none is known.
///
/// The first report of a message counts, a redelivered one changes nothing. It proves that the
/// message was sent: an open notification that nobody works on becomes `sent`; one that somebody
/// works on does when it is settled.
pub(super) fn record(
    db: &Connection,
    policy: &dyn OrderPolicy,
    report: &DeliveryReport,
    now: Timestamp,
) -> Result<()> {
    let Some((mut aggregate, at)) = notification(db, &report.reference)? else {
        return keep(db, report, now);
    };
    let notice = &mut aggregate.notices[at];
    if notice.msg_key.as_ref().is_some_and(|known| *known != report.msg_key) {
        // Another message under the same reference.
        return keep(db, report, now);
    }
    if notice.report_code.is_some() {
        return Ok(());
    }
    note(notice, report);
    if notice.lease.worker.is_none() && may_be_sent(notice.state) {
        be_sent(notice, now);
        notice.come_to_rest();
        if notice.state == NoticeState::Queued {
            aggregate.walk_notice(at, NoticeState::Sending, By::Core)?;
        }
        aggregate.walk_notice(at, NoticeState::Sent, By::Core)?;
        aggregate.follow(policy, now)?;
    }
    aggregate.save(db, now)
}

fn may_be_sent(state: NoticeState) -> bool {
    matches!(state, NoticeState::Queued | NoticeState::Sending | NoticeState::Unknown)
}

/// The notification that `reference` names: `ORD-1:shipped`, `member:MEM-1:welcome`.
fn notification(db: &Connection, reference: &str) -> Result<Option<(Aggregate, usize)>> {
    let Some((order, event)) = reference.rsplit_once(':') else { return Ok(None) };
    let key = NoticeKey { order: order.to_owned(), event: event.to_owned() };
    let Some(aggregate) = Aggregate::owning(db, &key)? else { return Ok(None) };
    let at = aggregate.notice(event).ok();
    Ok(at.map(|at| (aggregate, at)))
}

fn note(notice: &mut Notice, report: &DeliveryReport) {
    notice.msg_key = Some(report.msg_key.clone());
    notice.report_code = Some(report.code.clone());
    notice.report_channel = Some(report.channel.clone());
    notice.reported_at = report.reported_at;
    notice.changed = true;
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
pub(super) fn apply_early(db: &Connection, aggregate: &mut Aggregate, at: usize) -> Result<()> {
    let notice = &mut aggregate.notices[at];
    if notice.state != NoticeState::Sent || notice.report_code.is_some() {
        return Ok(());
    }
    let reference = format!("{}:{}", aggregate.order.id, notice.event);
    let Some(report) = early(db, &reference, notice.msg_key.as_deref())? else { return Ok(()) };
    note(notice, &report);
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
