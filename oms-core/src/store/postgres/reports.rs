//! What the gateway tells later of the messages that it accepted.

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::Result;
use super::records;
use super::row::{Columns, micros, plain};
use crate::policy::OrderPolicy;
use crate::state::NoticeState;
use crate::store::aggregate::Aggregate;
use crate::store::{DeliveryReport, NoticeKey};

/// Writes all of `reports`, in their order.
pub(super) async fn record_all(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    reports: &[DeliveryReport],
    now: Timestamp,
) -> Result<()> {
    let named = reports.iter().filter_map(|report| report.reference.rsplit_once(':'));
    let orders: Vec<&str> = named.map(|(order, _)| order).collect();
    records::lock(db, &orders).await?;
    for report in reports {
        record(db, policy, report, now).await?;
    }
    Ok(())
}

/// Writes `report`: to its notification, or aside while none is known.
async fn record(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    report: &DeliveryReport,
    now: Timestamp,
) -> Result<()> {
    let Some((mut aggregate, at)) = notification(db, &report.reference).await? else {
        return keep(db, report, now).await;
    };
    if !aggregate.record_report(policy, at, report, now)? {
        return keep(db, report, now).await;
    }
    records::save(db, &aggregate, now).await
}

/// The notification that `reference` names: `ORD-1:shipped`, `member:MEM-1:welcome`.
async fn notification(
    db: &mut PgConnection,
    reference: &str,
) -> Result<Option<(Aggregate, usize)>> {
    let Some((order, event)) = reference.rsplit_once(':') else { return Ok(None) };
    let key = NoticeKey { order: plain(order), event: event.to_owned() };
    let Some(aggregate) = records::owning(db, &key).await? else { return Ok(None) };
    let at = aggregate.notice(event).ok();
    Ok(at.map(|at| (aggregate, at)))
}

/// Keeps a report until its notification is known.
async fn keep(db: &mut PgConnection, report: &DeliveryReport, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO reports (msg_key, reference, code, channel, reported_at, received_at)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (msg_key) DO NOTHING";
    sqlx::query(sql)
        .bind(plain(&report.msg_key))
        .bind(plain(&report.reference))
        .bind(plain(&report.code))
        .bind(plain(&report.channel))
        .bind(micros(report.reported_at))
        .bind(now.micros())
        .execute(db)
        .await?;
    Ok(())
}

/// A notification that has just been settled takes the report that came before it.
pub(super) async fn apply_early(
    db: &mut PgConnection,
    aggregate: &mut Aggregate,
    event: &str,
) -> Result<()> {
    let Some((at, reference, msg_key)) = aggregate.lacks_report(event)? else { return Ok(()) };
    let Some(report) = early(db, &reference, msg_key).await? else { return Ok(()) };
    aggregate.take_early_report(at, &report);
    let sql = "DELETE FROM reports WHERE msg_key = $1";
    sqlx::query(sql).bind(&report.msg_key).execute(db).await?;
    Ok(())
}

async fn early(
    db: &mut PgConnection,
    reference: &str,
    msg_key: Option<&str>,
) -> Result<Option<DeliveryReport>> {
    let sql = "SELECT msg_key, reference, code, channel, reported_at FROM reports
               WHERE reference = $1 AND ($2::text IS NULL OR msg_key = $2)
               ORDER BY received_at, msg_key LIMIT 1";
    let row = sqlx::query(sql).bind(reference).bind(msg_key.map(plain));
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    let row = Columns::new(&row, "reports");
    Ok(Some(DeliveryReport {
        msg_key: row.text(0)?,
        reference: row.text(1)?,
        code: row.text(2)?,
        channel: row.text(3)?,
        reported_at: row.maybe_moment(4)?,
    }))
}

/// Whether some message that was, or may have been, accepted after `since` has no report yet.
pub(super) async fn awaited(db: &mut PgConnection, since: Timestamp) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM notices
                              WHERE sent_at IS NOT NULL AND report_code IS NULL AND sent_at > $1)
                   OR EXISTS (SELECT 1 FROM notices
                              WHERE state = $2 AND report_code IS NULL AND first_sent_at > $1)";
    let asked = sqlx::query_scalar(sql).bind(since.micros()).bind(NoticeState::Unknown.as_str());
    Ok(asked.fetch_one(db).await?)
}
