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

/// Notifications that have just been settled, of orders named with their events, take the reports
/// that came before them.
pub(super) async fn apply_early(
    db: &mut PgConnection,
    settled: &mut [(&mut Aggregate, &str)],
) -> Result<()> {
    let mut lacking = Vec::new();
    for (aggregate, event) in settled.iter() {
        lacking.extend(aggregate.lacks_report(event)?.map(|(_, reference, _)| reference));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let early = early(db, &lacking).await?;
    take_early(db, settled, &early).await
}

/// As [`apply_early`], of reports that were read before, under the same locks.
pub(super) async fn take_early(
    db: &mut PgConnection,
    settled: &mut [(&mut Aggregate, &str)],
    early: &[DeliveryReport],
) -> Result<()> {
    let mut taken = Vec::new();
    for (aggregate, event) in settled {
        let Some((at, reference, msg_key)) = aggregate.lacks_report(event)? else { continue };
        let msg_key = msg_key.map(plain);
        let fits = |report: &&DeliveryReport| {
            report.reference == reference && msg_key.as_ref().is_none_or(|it| *it == report.msg_key)
        };
        if let Some(report) = early.iter().find(fits) {
            aggregate.take_early_report(at, report);
            taken.push(report.msg_key.as_str());
        }
    }
    if !taken.is_empty() {
        let sql = "DELETE FROM reports WHERE msg_key = ANY($1)";
        sqlx::query(sql).bind(taken).execute(db).await?;
    }
    Ok(())
}

/// Reports that were kept for these references, oldest first.
async fn early(db: &mut PgConnection, references: &[String]) -> Result<Vec<DeliveryReport>> {
    let sql = "SELECT msg_key, reference, code, channel, reported_at FROM reports
               WHERE reference = ANY($1) ORDER BY received_at, msg_key";
    let rows = sqlx::query(sql).bind(references).fetch_all(db).await?;
    rows.iter().map(|row| records::report(&Columns::new(row, "reports"), 0)).collect()
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
