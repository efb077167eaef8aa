//! Rows that are due are leased to a worker.
//!
//! A claim never asks what follows for an order: nothing that it changes is an outcome.

use std::fmt::Display;

use clockwork::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::failure::{Failure, Result};
use super::members;
use super::records::{log, log_all};
use super::row::{Columns, micros};
use crate::order::Order;
use crate::store::claiming::{self, UNREADABLE, VANISHED, nothing};
use crate::store::turns::{Turn, share};
use crate::store::{
    About, Claim, Claimed, Intent, Lease, NoticeKey, NoticeWork, ParcelKey, ParcelWork, Row,
};

const NEXT_PARCEL: &str =
    "SELECT due_at FROM parcels WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
const NEXT_NOTICE: &str =
    "SELECT due_at FROM notices WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
/// Two statements. The first seller that has work, when its oldest falls due, and the last seller that
/// has work; and of those after seller `?1` the first, and when its oldest falls due.
type Walk = [&'static str; 2];
const PARCELS: Walk = [
    "SELECT seller, due_at, (SELECT seller FROM parcels
                             WHERE due_at IS NOT NULL ORDER BY seller DESC LIMIT 1)
     FROM parcels WHERE due_at IS NOT NULL ORDER BY seller, due_at LIMIT 1",
    "SELECT seller, due_at FROM parcels
     WHERE due_at IS NOT NULL AND seller > ?1 ORDER BY seller, due_at LIMIT 1",
];
const NOTICES: Walk = [
    "SELECT seller, due_at, (SELECT seller FROM notices
                             WHERE due_at IS NOT NULL ORDER BY seller DESC LIMIT 1)
     FROM notices WHERE due_at IS NOT NULL ORDER BY seller, due_at LIMIT 1",
    "SELECT seller, due_at FROM notices
     WHERE due_at IS NOT NULL AND seller > ?1 ORDER BY seller, due_at LIMIT 1",
];

/// Leases parcels that are due, oldest first.
///
/// One whose lease ran out while `intended` may have been sent until that lease's end: it becomes
/// `unknown`. An unknown one may have been sent again until then.
pub(super) fn parcels(db: &Connection, claim: &Claim, turn: &Turn) -> Result<Claimed<ParcelWork>> {
    let mut taken = Vec::new();
    let mut work = Vec::new();
    for Due { work: mut due, left_behind } in due_parcels(db, claim, turn)? {
        if let Some(until) = left_behind {
            taken.push((due.key.to_string(), due.state.to_string()));
            take_over(db, &mut due, until, claim.now)?;
        }
        lease_parcel(db, &due)?;
        work.push(due);
    }
    Ok(Claimed { work, next_due: next_due(db, NEXT_PARCEL)?, taken })
}

/// What [`parcels`] would give at `now`, if that is nothing.
pub(super) fn no_parcels(db: &Connection, now: Timestamp) -> Result<Option<Claimed<ParcelWork>>> {
    Ok(nothing(next_due(db, NEXT_PARCEL)?, now))
}

/// A row that is due, already under its new lease; `left_behind` is the end of one that ran out.
struct Due<W> {
    work: W,
    left_behind: Option<Timestamp>,
}

/// What is due of each seller whose turn it is, in all oldest first.
fn due_parcels(db: &Connection, claim: &Claim, turn: &Turn) -> Result<Vec<Due<ParcelWork>>> {
    let sellers = sellers(db, PARCELS, claim, turn)?;
    let share = limit(share(claim.limit, sellers.len()));
    let mut due = Vec::new();
    for seller in &sellers {
        due.extend(due_parcels_of(db, claim, seller, share)?);
    }
    due.sort_by(|(at, one), (other_at, other)| {
        (at, &one.work.key).cmp(&(other_at, &other.work.key))
    });
    Ok(due.into_iter().map(|(_, due)| due).collect())
}

/// With each the moment at which it fell due.
fn due_parcels_of(
    db: &Connection,
    claim: &Claim,
    seller: &str,
    share: i64,
) -> Result<Vec<(Timestamp, Due<ParcelWork>)>> {
    let sql = "SELECT p.order_id, p.number, p.state, p.attempts, p.rounds, p.sent_until,
                      p.unknown_since, p.lease_worker, p.lease_token, p.lease_until,
                      p.invoice_no, p.rcpt_ymd, p.cust_use_no, p.mpck_key, p.request, o.content,
                      p.due_at
               FROM parcels p JOIN orders o ON o.id = p.order_id
               WHERE p.seller = ?3 AND p.due_at <= ?1
               ORDER BY p.due_at, p.order_id, p.number LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![claim.now.micros(), share, seller])?;
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "parcels");
        let key = ParcelKey { order: row.text(0)?, number: row.get(1)? };
        let Some(order) = readable(row.order(15), &key)? else {
            unreadable.push(key);
            continue;
        };
        let (lease, left_behind) = lease(&row, 7, claim)?;
        let work = ParcelWork {
            key,
            state: row.state(2)?,
            attempts: row.get(3)?,
            rounds: row.get(4)?,
            sent_until: row.maybe_moment(5)?,
            unknown_since: row.maybe_moment(6)?,
            lease,
            intent: intent(&row, 10)?,
            order,
        };
        due.push((row.moment(16)?, Due { work, left_behind }));
    }
    for ParcelKey { order, number } in unreadable {
        let sql =
            "UPDATE parcels SET due_at = NULL, reason = ?3 WHERE order_id = ?1 AND number = ?2";
        db.prepare_cached(sql)?.execute(params![order, number, UNREADABLE])?;
    }
    Ok(due)
}

/// The order of a row that is due; `None` when its content cannot be read.
///
/// One bad order never blocks the rest: such a row is put aside, and the others are claimed.
fn readable(order: Result<Order>, key: &impl Display) -> Result<Option<Order>> {
    match order {
        Ok(order) => Ok(Some(order)),
        Err(Failure::Corrupt { reason, .. }) => {
            tracing::error!(%key, reason, "put aside: its order cannot be read");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The sellers whose turn it is: with something due, the one after the last that was served first.
fn sellers(db: &Connection, walk: Walk, claim: &Claim, turn: &Turn) -> Result<Vec<String>> {
    let Some((first, the_last)) = first_and_last(db, walk)? else { return Ok(Vec::new()) };
    if first.0 == the_last {
        // Where one seller has all the work, nobody else is to be looked for.
        let found = (first.1 <= claim.now && claim.limit > 0).then_some(first.0);
        if let Some(seller) = &found {
            turn.set(seller.clone());
        }
        return Ok(found.into_iter().collect());
    }
    let last = turn.after();
    let mut found = Vec::new();
    let mut first = Some(first);
    let mut at = next_seller(db, walk, &last)?;
    while found.len() < claim.limit {
        // Past the end it goes on with the first, once, and up to whom it began after.
        let Some((seller, due_at)) = at.or_else(|| first.take()) else { break };
        if first.is_none() && seller > last {
            break;
        }
        at = next_seller(db, walk, &seller)?;
        if due_at <= claim.now {
            found.push(seller);
        }
    }
    if let Some(seller) = found.last() {
        turn.set(seller.clone());
    }
    Ok(found)
}

/// A seller that has work, and when its oldest falls due.
type Waiting = (String, Timestamp);

fn waiting(row: &rusqlite::Row<'_>) -> rusqlite::Result<Waiting> {
    Ok((row.get(0)?, Timestamp::from_micros(row.get(1)?)))
}

fn first_and_last(db: &Connection, [first, _]: Walk) -> Result<Option<(Waiting, String)>> {
    let mut statement = db.prepare_cached(first)?;
    let both = statement.query_row([], |row| Ok((waiting(row)?, row.get(2)?)));
    Ok(both.optional()?)
}

fn next_seller(db: &Connection, [_, after]: Walk, seller: &str) -> Result<Option<Waiting>> {
    Ok(db.prepare_cached(after)?.query_row([seller], waiting).optional()?)
}

/// The new lease on a row whose old one stands in the columns from `at` on, and the old one's end.
fn lease(row: &Columns<'_>, at: usize, claim: &Claim) -> Result<(Lease, Option<Timestamp>)> {
    let held: Option<String> = row.maybe_text(at)?;
    let token: i64 = row.get(at + 1)?;
    let until = row.maybe_moment(at + 2)?;
    Ok((claiming::lease(claim, token), held.and(until)))
}

/// The five columns of an intent, from `at` on.
fn intent(row: &Columns<'_>, at: usize) -> Result<Option<Intent>> {
    let Some(invoice_no) = row.maybe_text(at)? else { return Ok(None) };
    Ok(Some(Intent {
        invoice_no,
        rcpt_ymd: row.text(at + 1)?,
        cust_use_no: row.text(at + 2)?,
        mpck_key: row.text(at + 3)?,
        request: row.text(at + 4)?,
    }))
}

/// `left_at` is when the lease of the vanished worker ended: it may have sent until then.
fn take_over(
    db: &Connection,
    work: &mut ParcelWork,
    left_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let taken = claiming::take_over(work, left_at, now);
    if let Some(edge) = &taken.edge {
        log(db, now, edge)?;
    }
    if !taken.in_doubt {
        return Ok(());
    }
    let sql = "UPDATE parcels SET reason = ?3 WHERE order_id = ?1 AND number = ?2";
    db.prepare_cached(sql)?.execute(params![work.key.order, work.key.number, VANISHED])?;
    Ok(())
}

fn lease_parcel(db: &Connection, work: &ParcelWork) -> Result<()> {
    let sql = "UPDATE parcels SET state = ?3, sent_until = ?4, unknown_since = ?5,
                      lease_worker = ?6, lease_token = ?7, lease_until = ?8, due_at = ?8,
                      settled = NULL
               WHERE order_id = ?1 AND number = ?2";
    db.prepare_cached(sql)?.execute(params![
        work.key.order,
        work.key.number,
        work.state.as_str(),
        micros(work.sent_until),
        micros(work.unknown_since),
        work.lease.worker,
        work.lease.token,
        work.lease.until.micros(),
    ])?;
    Ok(())
}

fn next_due(db: &Connection, sql: &str) -> Result<Option<Timestamp>> {
    let mut statement = db.prepare_cached(sql)?;
    let due = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(due.map(Timestamp::from_micros))
}

/// Leases notifications that are due, oldest first.
///
/// A queued one becomes `sending`, for its request may be under way from now on; one whose lease
/// ran out while `sending` becomes `unknown`.
pub(super) fn notices(db: &Connection, claim: &Claim, turn: &Turn) -> Result<Claimed<NoticeWork>> {
    let mut taken = Vec::new();
    let mut work = Vec::new();
    let mut walked = Vec::new();
    for Due { work: mut due, left_behind } in due_notices(db, claim, turn)? {
        if left_behind.is_some() {
            taken.push((due.key.to_string(), due.state.to_string()));
        }
        walked.extend(claiming::begin_sending(&mut due, left_behind.is_some(), claim.now));
        lease_notice(db, &due)?;
        if let About::Order { invoices, .. } = &mut due.about {
            *invoices = invoices_of(db, &due.key.order)?;
        }
        work.push(due);
    }
    log_all(db, claim.now, &walked)?;
    Ok(Claimed { work, next_due: next_due(db, NEXT_NOTICE)?, taken })
}

/// What [`notices`] would give at `now`, if that is nothing.
pub(super) fn no_notices(db: &Connection, now: Timestamp) -> Result<Option<Claimed<NoticeWork>>> {
    Ok(nothing(next_due(db, NEXT_NOTICE)?, now))
}

/// What is due of each seller whose turn it is, in all oldest first.
fn due_notices(db: &Connection, claim: &Claim, turn: &Turn) -> Result<Vec<Due<NoticeWork>>> {
    let sellers = sellers(db, NOTICES, claim, turn)?;
    let share = limit(share(claim.limit, sellers.len()));
    let mut due = Vec::new();
    for seller in &sellers {
        due.extend(due_notices_of(db, claim, seller, share)?);
    }
    due.sort_by(|(at, one), (other_at, other)| {
        (at, &one.work.key).cmp(&(other_at, &other.work.key))
    });
    Ok(due.into_iter().map(|(_, due)| due).collect())
}

/// With each the moment at which it fell due.
fn due_notices_of(
    db: &Connection,
    claim: &Claim,
    seller: &str,
    share: i64,
) -> Result<Vec<(Timestamp, Due<NoticeWork>)>> {
    let sql = "SELECT n.order_id, n.event, n.state, n.attempts, n.rounds, n.first_sent_at,
                      n.lease_worker, n.lease_token, n.lease_until, o.content, n.due_at
               FROM notices n LEFT JOIN orders o ON o.id = n.order_id
               WHERE n.seller = ?3 AND n.due_at <= ?1
               ORDER BY n.due_at, n.order_id, n.event LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![claim.now.micros(), share, seller])?;
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "notices");
        let key = NoticeKey { order: row.text(0)?, event: row.text(1)? };
        let about = match key.member() {
            None => readable(row.order(9), &key)?
                .map(|order| About::Order { order, invoices: Vec::new() }),
            Some(member) => members::recipient(db, member)?.map(About::Member),
        };
        let Some(about) = about else {
            unreadable.push(key);
            continue;
        };
        let (lease, left_behind) = lease(&row, 6, claim)?;
        let work = NoticeWork {
            key,
            state: row.state(2)?,
            attempts: row.get(3)?,
            rounds: row.get(4)?,
            first_sent_at: row.maybe_moment(5)?,
            lease,
            about,
        };
        due.push((row.moment(10)?, Due { work, left_behind }));
    }
    for NoticeKey { order, event } in unreadable {
        let sql =
            "UPDATE notices SET due_at = NULL, reason = ?3 WHERE order_id = ?1 AND event = ?2";
        db.prepare_cached(sql)?.execute(params![order, event, UNREADABLE])?;
    }
    Ok(due)
}

fn invoices_of(db: &Connection, order: &str) -> Result<Vec<String>> {
    let sql = "SELECT invoice_no FROM parcels
               WHERE order_id = ?1 AND invoice_no IS NOT NULL ORDER BY number";
    let mut statement = db.prepare_cached(sql)?;
    let invoices = statement.query_map([order], |row| row.get(0))?;
    Ok(invoices.collect::<rusqlite::Result<_>>()?)
}

fn lease_notice(db: &Connection, work: &NoticeWork) -> Result<()> {
    let sql = "UPDATE notices SET state = ?3, first_sent_at = ?4,
                      lease_worker = ?5, lease_token = ?6, lease_until = ?7, due_at = ?7,
                      settled = NULL
               WHERE order_id = ?1 AND event = ?2";
    db.prepare_cached(sql)?.execute(params![
        work.key.order,
        work.key.event,
        work.state.as_str(),
        micros(work.first_sent_at),
        work.lease.worker,
        work.lease.token,
        work.lease.until.micros(),
    ])?;
    Ok(())
}

/// Puts off the ends of leases that are still held under their tokens; which they are.
pub(super) fn renew(
    db: &Connection,
    held: &[(Row, i64)],
    until: Timestamp,
) -> Result<Vec<(Row, i64)>> {
    // A row whose order holds it back is not due, leased or not.
    const PARCEL: &str = "UPDATE parcels
        SET lease_until = ?4, due_at = CASE WHEN due_at IS NULL THEN NULL ELSE ?4 END
        WHERE order_id = ?1 AND number = ?2 AND lease_token = ?3 AND lease_worker IS NOT NULL";
    const NOTICE: &str = "UPDATE notices
        SET lease_until = ?4, due_at = CASE WHEN due_at IS NULL THEN NULL ELSE ?4 END
        WHERE order_id = ?1 AND event = ?2 AND lease_token = ?3 AND lease_worker IS NOT NULL";
    let mut renewed = Vec::new();
    for (row, token) in held {
        let changed = match row {
            Row::Parcel(ParcelKey { order, number }) => {
                db.prepare_cached(PARCEL)?.execute(params![order, number, token, until.micros()])?
            }
            Row::Notice(NoticeKey { order, event }) => {
                db.prepare_cached(NOTICE)?.execute(params![order, event, token, until.micros()])?
            }
        };
        if changed > 0 {
            renewed.push((row.clone(), *token));
        }
    }
    Ok(renewed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::sqlite::{connect, ingest};

    #[test]
    fn an_order_that_cannot_be_read_is_put_aside_and_the_rest_are_claimed() {
        let db = connect::in_memory().unwrap();
        let now = Timestamp::EPOCH;
        for id in ["ORD-1", "ORD-2", "ORD-3"] {
            let json = format!(
                r#"{{"id":"{id}","customer":{{"name":"홍길동","phone":"01012345678"}},
                    "address":{{"postcode":"06236","line1":"서울 강남구 테헤란로 152"}},
                    "items":[{{"sku":"S","name":"n","quantity":1,"unit_price":1}}]}}"#
            );
            let order = Order::from_json(json.as_bytes()).unwrap();
            ingest::ingest(&db, &order, None, now).unwrap();
        }
        db.execute("UPDATE orders SET content = '{}' WHERE id = 'ORD-2'", []).unwrap();
        let turn = Turn::default();
        let claim = || Claim {
            worker: "w".to_owned(),
            now,
            until: now + Duration::from_secs(30),
            limit: 10,
        };
        let claimed = parcels(&db, &claim(), &turn).unwrap();
        let keys: Vec<String> = claimed.work.iter().map(|work| work.key.to_string()).collect();
        assert_eq!(keys, ["ORD-1/1", "ORD-3/1"]);
        let reason = "SELECT reason FROM parcels WHERE order_id = 'ORD-2' AND due_at IS NULL";
        let reason: String = db.query_row(reason, [], |row| row.get(0)).unwrap();
        assert_eq!(reason, UNREADABLE);
        assert!(parcels(&db, &claim(), &turn).unwrap().work.is_empty(), "and it does not spin");
    }
}
