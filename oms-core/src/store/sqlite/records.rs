//! The rows of one order, read and written.

use clockwork::Timestamp;
use rusqlite::{Connection, ToSql, params};

use super::failure::{Failure, Result};
use super::row::{Columns, micros};
use crate::state::ParcelState;
use crate::store::aggregate::{Aggregate, Edge, Lease, Notice, OrderRecord, Parcel, by_name};
use crate::store::{Intent, NoticeKey};

/// Reads the order `id` with all that belongs to it, if there is one.
pub(super) fn load(db: &Connection, id: &str) -> Result<Option<Aggregate>> {
    let Some((order, parcels)) = order(db, id)? else { return Ok(None) };
    let notices = notices(db, id)?;
    Ok(Some(Aggregate::new(order, parcels, notices)))
}

/// Reads what the notification `key` belongs to: an order with all of its own, or a member.
pub(super) fn owning(db: &Connection, key: &NoticeKey) -> Result<Option<Aggregate>> {
    match key.member() {
        None => load(db, &key.order),
        Some(_) => of_member(db, &key.order).map(Some),
    }
}

/// As [`owning`], where there must be one.
pub(super) fn load_owning(db: &Connection, key: &NoticeKey) -> Result<Aggregate> {
    owning(db, key)?.ok_or_else(|| missing(&key.order))
}

/// A member's notifications.
pub(super) fn of_member(db: &Connection, owner: &str) -> Result<Aggregate> {
    Ok(Aggregate::of_member(owner, notices(db, owner)?))
}

fn missing(order: &str) -> Failure {
    Failure::corrupt("orders", format!("{order} missing"))
}

/// As [`load`], of an order that must be there.
pub(super) fn load_known(db: &Connection, id: &str) -> Result<Aggregate> {
    load(db, id)?.ok_or_else(|| missing(id))
}

/// Writes what has changed.
pub(super) fn save(db: &Connection, aggregate: &Aggregate, now: Timestamp) -> Result<()> {
    let order = &aggregate.order;
    if order.changed {
        save_order(db, order, now)?;
    }
    for parcel in aggregate.parcels.iter().filter(|parcel| parcel.changed) {
        save_parcel(db, &order.id, parcel)?;
        if parcel.forgets_intent {
            forget_intent(db, &order.id, parcel.number)?;
        }
    }
    for notice in aggregate.notices.iter().filter(|notice| notice.changed) {
        save_notice(db, &order.id, notice)?;
    }
    log_all(db, now, aggregate.walked())
}

/// The order `id` with its parcels, by one statement.
fn order(db: &Connection, id: &str) -> Result<Option<(OrderRecord, Vec<Parcel>)>> {
    let sql = "SELECT o.state, o.called_back, o.reason,
                      p.number, p.state, p.attempts, p.rounds, p.sent_until, p.unknown_since,
                      p.picked_up, p.parked_from, p.due_at, p.reason,
                      p.lease_worker, p.lease_token, p.lease_until, p.settled
               FROM orders o LEFT JOIN parcels p ON p.order_id = o.id
               WHERE o.id = ?1 ORDER BY p.number";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let columns = Columns::new(row, "orders");
    let order = OrderRecord {
        id: id.to_owned(),
        state: columns.state(0)?,
        called_back: columns.get(1)?,
        reason: columns.maybe_text(2)?,
        changed: false,
    };
    let mut parcels = Vec::new();
    let mut next = Some(row);
    while let Some(row) = next {
        let row = Columns::new(row, "parcels");
        // A rejected order has none.
        if let Some(number) = row.get(3)? {
            parcels.push(parcel(&row, number)?);
        }
        next = rows.next()?;
    }
    Ok(Some((order, parcels)))
}

/// The parcel `number`, whose other columns begin with the fifth.
fn parcel(row: &Columns<'_>, number: u32) -> Result<Parcel> {
    Ok(Parcel {
        number,
        state: row.state(4)?,
        attempts: row.get(5)?,
        rounds: row.get(6)?,
        sent_until: row.maybe_moment(7)?,
        unknown_since: row.maybe_moment(8)?,
        picked_up: row.get(9)?,
        parked_from: row.maybe_state(10)?,
        due_at: row.maybe_moment(11)?,
        reason: row.maybe_text(12)?,
        lease: lease(row, 13)?,
        intent: None,
        forgets_intent: false,
        changed: false,
    })
}

fn save_order(db: &Connection, order: &OrderRecord, now: Timestamp) -> Result<()> {
    let sql = "UPDATE orders SET state = ?2, called_back = ?3, reason = ?4, updated_at = ?5
               WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![
        order.id,
        order.state.as_str(),
        order.called_back,
        order.reason,
        now.micros()
    ])?;
    Ok(())
}

/// The four columns of a lease, from `at` on.
fn lease(row: &Columns<'_>, at: usize) -> Result<Lease> {
    Ok(Lease {
        worker: row.maybe_text(at)?,
        token: row.get(at + 1)?,
        until: row.maybe_moment(at + 2)?,
        settled: row.maybe_text(at + 3)?,
    })
}

fn save_parcel(db: &Connection, order: &str, parcel: &Parcel) -> Result<()> {
    const PLAIN: &str = "UPDATE parcels
               SET state = ?3, attempts = ?4, rounds = ?5, sent_until = ?6, unknown_since = ?7,
                   picked_up = ?8, parked_from = ?9, due_at = ?10, reason = ?11,
                   lease_worker = ?12, lease_token = ?13, lease_until = ?14, settled = ?15
               WHERE order_id = ?1 AND number = ?2";
    const WITH_INTENT: &str = "UPDATE parcels
               SET state = ?3, attempts = ?4, rounds = ?5, sent_until = ?6, unknown_since = ?7,
                   picked_up = ?8, parked_from = ?9, due_at = ?10, reason = ?11,
                   lease_worker = ?12, lease_token = ?13, lease_until = ?14, settled = ?15,
                   invoice_no = ?16, rcpt_ymd = ?17, cust_use_no = ?18, mpck_key = ?19,
                   request = ?20
               WHERE order_id = ?1 AND number = ?2";
    let columns: [&dyn ToSql; 15] = [
        &order,
        &parcel.number,
        &parcel.state.as_str(),
        &parcel.attempts,
        &parcel.rounds,
        &micros(parcel.sent_until),
        &micros(parcel.unknown_since),
        &parcel.picked_up,
        &parcel.parked_from.map(ParcelState::as_str),
        &micros(parcel.due_at),
        &parcel.reason,
        &parcel.lease.worker,
        &parcel.lease.token,
        &micros(parcel.lease.until),
        &parcel.lease.settled,
    ];
    let intent = parcel.intent.as_ref().map(|intent| -> [&dyn ToSql; 5] {
        let Intent { invoice_no, rcpt_ymd, cust_use_no, mpck_key, request } = intent;
        [invoice_no, rcpt_ymd, cust_use_no, mpck_key, request]
    });
    let sql = if intent.is_some() { WITH_INTENT } else { PLAIN };
    let columns = columns.into_iter().chain(intent.into_iter().flatten());
    db.prepare_cached(sql)?.execute(rusqlite::params_from_iter(columns))?;
    Ok(())
}

/// Forgets the intent of a parcel.
fn forget_intent(db: &Connection, order: &str, number: u32) -> Result<()> {
    let sql = "UPDATE parcels SET invoice_no = NULL, rcpt_ymd = NULL, cust_use_no = NULL,
                      mpck_key = NULL, request = NULL
               WHERE order_id = ?1 AND number = ?2";
    db.prepare_cached(sql)?.execute(params![order, number])?;
    Ok(())
}

fn notices(db: &Connection, order: &str) -> Result<Vec<Notice>> {
    let sql = "SELECT event, state, msg_key, sent_at, report_code, report_channel, reported_at,
                      attempts, rounds, first_sent_at, given_up, due_at, reason,
                      lease_worker, lease_token, lease_until, settled
               FROM notices WHERE order_id = ?1 ORDER BY event";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([order])?;
    let mut notices = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "notices");
        notices.push(Notice {
            event: row.text(0)?,
            state: row.state(1)?,
            msg_key: row.maybe_text(2)?,
            sent_at: row.maybe_moment(3)?,
            report_code: row.maybe_text(4)?,
            report_channel: row.maybe_text(5)?,
            reported_at: row.maybe_moment(6)?,
            attempts: row.get(7)?,
            rounds: row.get(8)?,
            first_sent_at: row.maybe_moment(9)?,
            given_up: row.get(10)?,
            due_at: row.maybe_moment(11)?,
            reason: row.maybe_text(12)?,
            lease: lease(&row, 13)?,
            changed: false,
        });
    }
    Ok(notices)
}

/// Writes a notification, new or known.
fn save_notice(db: &Connection, order: &str, notice: &Notice) -> Result<()> {
    let sql = "INSERT INTO notices (order_id, event, state, msg_key, sent_at, report_code,
                      report_channel, reported_at, attempts, rounds, first_sent_at, given_up,
                      due_at, reason, lease_worker, lease_token, lease_until, settled, seller)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
                       ?17, ?18, coalesce((SELECT seller FROM parcels
                                           WHERE order_id = ?1 AND number = 1), ''))
               ON CONFLICT (order_id, event) DO UPDATE SET
                      state = ?3, msg_key = ?4, sent_at = ?5, report_code = ?6,
                      report_channel = ?7, reported_at = ?8, attempts = ?9, rounds = ?10,
                      first_sent_at = ?11, given_up = ?12, due_at = ?13, reason = ?14,
                      lease_worker = ?15, lease_token = ?16, lease_until = ?17, settled = ?18";
    db.prepare_cached(sql)?.execute(params![
        order,
        notice.event,
        notice.state.as_str(),
        notice.msg_key,
        micros(notice.sent_at),
        notice.report_code,
        notice.report_channel,
        micros(notice.reported_at),
        notice.attempts,
        notice.rounds,
        micros(notice.first_sent_at),
        notice.given_up,
        micros(notice.due_at),
        notice.reason,
        notice.lease.worker,
        notice.lease.token,
        micros(notice.lease.until),
        notice.lease.settled,
    ])?;
    Ok(())
}

/// Logs a walked edge.
pub(super) fn log(db: &Connection, at: Timestamp, edge: &Edge) -> Result<()> {
    log_all(db, at, std::slice::from_ref(edge))
}

/// Logs walked edges in their order, up to three with one statement.
pub(super) fn log_all(db: &Connection, at: Timestamp, edges: &[Edge]) -> Result<()> {
    const EACH: usize = 3;
    // One text for each number of edges: the same text is prepared once.
    const INSERT: [&str; EACH] = [
        "INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6), (?1, ?7, ?8, ?9, ?10, ?11)",
        "INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6), (?1, ?7, ?8, ?9, ?10, ?11),
                (?1, ?12, ?13, ?14, ?15, ?16)",
    ];
    for edges in edges.chunks(EACH) {
        let mut statement = db.prepare_cached(INSERT[edges.len() - 1])?;
        statement.raw_bind_parameter(1, at.micros())?;
        for (place, edge) in edges.iter().enumerate() {
            let first = 2 + 5 * place;
            statement.raw_bind_parameter(first, edge.entity)?;
            statement.raw_bind_parameter(first + 1, &edge.key)?;
            statement.raw_bind_parameter(first + 2, edge.from)?;
            statement.raw_bind_parameter(first + 3, edge.to)?;
            statement.raw_bind_parameter(first + 4, by_name(edge.by))?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}
