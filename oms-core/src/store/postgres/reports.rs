//! What the gateway tells later of the messages that it accepted.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::claim::column;
use super::failure::Result;
use super::records;
use super::row::{Columns, micros, plain};
use crate::policy::OrderPolicy;
use crate::state::NoticeState;
use crate::store::aggregate::Aggregate;
use crate::store::{DeliveryReport, NoticeKey};

/// Writes all of `reports`, in their order: each to its notification, or aside while none is known.
/// What they name is read once and written once, by one statement each for any number of them.
pub(super) async fn record_all(
    db: &mut PgConnection,
    policy: &dyn OrderPolicy,
    reports: &[DeliveryReport],
    now: Timestamp,
) -> Result<()> {
    let keys: Vec<Option<NoticeKey>> = reports.iter().map(key).collect();
    let owners = |of_member: bool| -> Vec<&str> {
        let keys = keys.iter().flatten().filter(|key| key.member().is_some() == of_member);
        keys.map(|key| key.order.as_str()).collect()
    };
    let mut loaded = records::load_all(db, &owners(false), &owners(true)).await?;
    let mut aside = Vec::new();
    for (report, key) in reports.iter().zip(&keys) {
        let recorded = match key.as_ref().and_then(|key| notification(&mut loaded, key)) {
            Some((aggregate, at)) => aggregate.record_report(policy, at, report, now)?,
            None => false,
        };
        if !recorded {
            aside.push(report);
        }
    }
    keep(db, &aside, now).await?;
    let changed: Vec<_> = loaded.values().map(|aggregate| (aggregate, now)).collect();
    records::save_all(db, &changed).await
}

fn notification<'l>(
    loaded: &'l mut BTreeMap<String, Aggregate>,
    key: &NoticeKey,
) -> Option<(&'l mut Aggregate, usize)> {
    let aggregate = loaded.get_mut(&key.order)?;
    let at = aggregate.notice(&key.event).ok()?;
    Some((aggregate, at))
}

/// What a report names: `ORD-1:shipped`, `member:MEM-1:welcome`.
fn key(report: &DeliveryReport) -> Option<NoticeKey> {
    let (order, event) = report.reference.rsplit_once(':')?;
    Some(NoticeKey { order: plain(order), event: event.to_owned() })
}

/// Keeps reports until their notifications are known. In the order of their keys, so that two who
/// bring the same ones do not wait for each other in a circle.
async fn keep(db: &mut PgConnection, reports: &[&DeliveryReport], now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO reports (msg_key, reference, code, channel, reported_at, received_at)
               SELECT msg_key, reference, code, channel, reported_at, $6
               FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
                    WITH ORDINALITY AS r (msg_key, reference, code, channel, reported_at, place)
               ORDER BY msg_key COLLATE \"C\", place ON CONFLICT (msg_key) DO NOTHING";
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query(sql)
        .bind(column(reports, |report| plain(&report.msg_key)))
        .bind(column(reports, |report| plain(&report.reference)))
        .bind(column(reports, |report| plain(&report.code)))
        .bind(column(reports, |report| plain(&report.channel)))
        .bind(column(reports, |report| micros(report.reported_at)))
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
