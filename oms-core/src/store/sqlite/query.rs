//! Reads: one order, many, counts, and everything.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use rusqlite::{Connection, params};

use super::failure::{Failure, Result};
use super::presence;
use super::row::Columns;
use crate::member::WELCOME;
use crate::store::aggregate::by_of;
use crate::store::standing::{self, QUEUES, QUOTAS, Standing};
use crate::store::{
    Census, Filter, MemberView, NoticeKey, NoticeView, OrderView, ParcelView, Rows, Transition,
};

const ORDER: &str = "SELECT id, state, reason, created_at, updated_at FROM orders";
const PARCEL: &str = "SELECT order_id, number, state, cust_use_no, invoice_no, reason,
                             unknown_since FROM parcels";
const MEMBER: &str = "SELECT ids.id, m.created_at,
                             EXISTS (SELECT 1 FROM member_profiles WHERE member_id = ids.id)";
const NOTICE: &str = "SELECT order_id, event, state, msg_key, report_code, report_channel, reason
                      FROM notices";

/// The order `id`, if there is one.
pub(super) fn order(db: &Connection, id: &str) -> Result<Option<OrderView>> {
    let mut orders = orders_by(db, &format!("{ORDER} WHERE id = ?1"), params![id])?;
    let Some(order) = orders.first_mut() else { return Ok(None) };
    complete(db, order)?;
    Ok(orders.pop())
}

/// Orders by id.
pub(super) fn orders(db: &Connection, filter: &Filter) -> Result<Vec<OrderView>> {
    let mut sql = format!("{ORDER} WHERE id > ?1");
    // Only what is asked for stands in the statement, so that the engine can use its indexes.
    if filter.state.is_some() {
        sql.push_str(" AND state = ?2");
    }
    if filter.parcel_state.is_some() {
        sql.push_str(" AND id IN (SELECT order_id FROM parcels WHERE state = ?3)");
    }
    sql.push_str(" ORDER BY id LIMIT ?4");
    let after = filter.after.as_deref().unwrap_or("");
    let state = filter.state.map(|state| state.as_str());
    let parcel_state = filter.parcel_state.map(|state| state.as_str());
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let mut orders = orders_by(db, &sql, params![after, state, parcel_state, limit])?;
    for order in &mut orders {
        complete(db, order)?;
    }
    Ok(orders)
}

fn complete(db: &Connection, order: &mut OrderView) -> Result<()> {
    let sql = format!("{PARCEL} WHERE order_id = ?1 ORDER BY number");
    each_parcel(db, &sql, params![order.id], |_, parcel| order.parcels.push(parcel))?;
    order.notices = notices_of(db, &order.id)?;
    Ok(())
}

fn notices_of(db: &Connection, owner: &str) -> Result<Vec<NoticeView>> {
    let sql = format!("{NOTICE} WHERE order_id = ?1 ORDER BY event");
    let mut notices = Vec::new();
    each_notice(db, &sql, params![owner], |_, notice| notices.push(notice))?;
    Ok(notices)
}

/// The member `id`, if there is one.
pub(super) fn member(db: &Connection, id: &str) -> Result<Option<MemberView>> {
    let sql =
        format!("{MEMBER} FROM members ids JOIN members m ON m.id = ids.id WHERE ids.id = ?1");
    let mut members = members_by(db, &sql, params![id])?;
    Ok(members.pop())
}

fn members_by(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<MemberView>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "members");
        let id = row.text(0)?;
        members.push(MemberView {
            created_at: row.maybe_moment(1)?,
            profile: row.get(2)?,
            consents: consents_of(db, &id)?,
            notices: notices_of(db, &NoticeKey::of_member(&id, WELCOME).order)?,
            id,
        });
    }
    Ok(members)
}

/// All members, also those of which only a part is there.
fn all_members(db: &Connection) -> Result<Vec<MemberView>> {
    let ids = "SELECT id FROM members
               UNION SELECT member_id FROM member_profiles
               UNION SELECT member_id FROM member_consents";
    let joined = "LEFT JOIN members m ON m.id = ids.id ORDER BY ids.id";
    members_by(db, &format!("{MEMBER} FROM ({ids}) ids {joined}"), [])
}

fn consents_of(db: &Connection, member: &str) -> Result<Vec<String>> {
    let sql = "SELECT consent FROM member_consents WHERE member_id = ?1 ORDER BY consent";
    let mut statement = db.prepare_cached(sql)?;
    let consents = statement.query_map([member], |row| row.get(0))?;
    Ok(consents.collect::<rusqlite::Result<_>>()?)
}

fn orders_by(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<OrderView>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut orders = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "orders");
        orders.push(OrderView {
            id: row.text(0)?,
            state: row.state(1)?,
            reason: row.maybe_text(2)?,
            created_at: row.moment(3)?,
            updated_at: row.moment(4)?,
            parcels: Vec::new(),
            notices: Vec::new(),
        });
    }
    Ok(orders)
}

/// Hands each parcel with its order's id to `take`.
fn each_parcel(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut take: impl FnMut(String, ParcelView),
) -> Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "parcels");
        let parcel = ParcelView {
            number: row.get(1)?,
            state: row.state(2)?,
            cust_use_no: row.maybe_text(3)?,
            invoice_no: row.maybe_text(4)?,
            reason: row.maybe_text(5)?,
            unknown_since: row.maybe_moment(6)?,
        };
        take(row.text(0)?, parcel);
    }
    Ok(())
}

/// Hands each notification with its order's id to `take`.
fn each_notice(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut take: impl FnMut(String, NoticeView),
) -> Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "notices");
        let notice = NoticeView {
            event: row.text(1)?,
            state: row.state(2)?,
            msg_key: row.maybe_text(3)?,
            report_code: row.maybe_text(4)?,
            report_channel: row.maybe_text(5)?,
            reason: row.maybe_text(6)?,
        };
        take(row.text(0)?, notice);
    }
    Ok(())
}

/// How many of each.
pub(super) fn census(db: &Connection) -> Result<Census> {
    let leases = "SELECT (SELECT count(*) FROM parcels
                          WHERE due_at IS NOT NULL AND lease_worker IS NOT NULL)
                       + (SELECT count(*) FROM notices
                          WHERE due_at IS NOT NULL AND lease_worker IS NOT NULL)";
    let members = "SELECT count(*) FROM members";
    // `;` is the character after `:`.
    let welcomes = "SELECT count(*) FROM notices
                    WHERE due_at IS NOT NULL AND order_id >= 'member:' AND order_id < 'member;'";
    let unknown = "SELECT min(unknown_since) FROM parcels WHERE state = 'unknown'";
    let oldest: Option<i64> = db.prepare_cached(unknown)?.query_row([], |row| row.get(0))?;
    Ok(Census {
        orders: counts(db, "SELECT state, count(*) FROM orders GROUP BY state", "orders")?,
        parcels: counts(db, "SELECT state, count(*) FROM parcels GROUP BY state", "parcels")?,
        notices: counts(db, "SELECT state, count(*) FROM notices GROUP BY state", "notices")?,
        members: count(db.prepare_cached(members)?.query_row([], |row| row.get(0))?),
        welcomes: count(db.prepare_cached(welcomes)?.query_row([], |row| row.get(0))?),
        leases: count(db.prepare_cached(leases)?.query_row([], |row| row.get(0))?),
        oldest_unknown: oldest.map(Timestamp::from_micros),
    })
}

/// Whether an order moves by itself.
pub(super) fn is_moving(db: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM orders
                              WHERE state IN ('received', 'accepted', 'shipped', 'cancelling'))";
    Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn counts<S>(db: &Connection, sql: &str, table: &'static str) -> Result<BTreeMap<S, u64>>
where
    S: std::str::FromStr<Err: std::fmt::Display> + Ord,
{
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut counts = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, table);
        counts.insert(row.state(0)?, count(row.get(1)?));
    }
    Ok(counts)
}

/// What waits, and what of each quota is used.
pub(super) fn standing(db: &Connection, now: Timestamp) -> Result<Standing> {
    let counts = |row: &Columns<'_>, at: usize| -> Result<[i64; 3]> {
        Ok([row.get(at)?, row.get(at + 1)?, row.get(at + 2)?])
    };
    let mut standing = Standing::default();
    let mut statement = db.prepare_cached(QUEUES)?;
    let mut rows = statement.query([now.micros()])?;
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "parcels");
        standing.queues.push(standing::queue(row.text(0)?, counts(&row, 1)?));
    }
    let mut statement = db.prepare_cached(QUOTAS)?;
    let mut rows = statement.query([now.micros()])?;
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "quotas");
        let (name, until) = (row.text(0)?, row.moment(1)?);
        standing.quotas.push(standing::quota(name, until, counts(&row, 2)?, now));
    }
    standing.workers = presence::workers(db)?;
    Ok(standing)
}

/// SQLite counts in signed numbers.
fn count(number: i64) -> u64 {
    number.unsigned_abs()
}

/// Everything that a judge reads.
pub(super) fn rows(db: &Connection) -> Result<Rows> {
    let orders = orders_by(db, &format!("{ORDER} ORDER BY id"), [])?;
    let mut orders: BTreeMap<String, OrderView> =
        orders.into_iter().map(|order| (order.id.clone(), order)).collect();
    let sql = format!("{PARCEL} ORDER BY order_id, number");
    each_parcel(db, &sql, [], |id, parcel| {
        if let Some(order) = orders.get_mut(&id) {
            order.parcels.push(parcel);
        }
    })?;
    let sql = format!("{NOTICE} ORDER BY order_id, event");
    each_notice(db, &sql, [], |id, notice| {
        if let Some(order) = orders.get_mut(&id) {
            order.notices.push(notice);
        }
    })?;
    Ok(Rows {
        orders: orders.into_values().collect(),
        members: all_members(db)?,
        transitions: transitions(db)?,
    })
}

fn transitions(db: &Connection) -> Result<Vec<Transition>> {
    let sql = "SELECT id, at, entity, key, from_state, to_state, walked_by
               FROM transitions ORDER BY id";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut transitions = Vec::new();
    while let Some(row) = rows.next()? {
        let walked_by = row.get_ref(6)?.as_str().map_err(rusqlite::Error::from);
        let walked_by = walked_by.map_err(Failure::from)?;
        transitions.push(Transition {
            id: row.get(0)?,
            at: Timestamp::from_micros(row.get(1)?),
            entity: row.get(2)?,
            key: row.get(3)?,
            from: row.get(4)?,
            to: row.get(5)?,
            by: by_of(walked_by)?,
        });
    }
    Ok(transitions)
}
