//! Reads: one order, many, counts, and everything. Each sees one snapshot.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::failure::Result;
use super::presence;
use super::row::{Columns, limit};
use crate::member::WELCOME;
use crate::store::aggregate::by_of;
use crate::store::standing::{self, QUEUES, QUOTAS, Standing};
use crate::store::{
    Census, Filter, MemberView, NoticeKey, NoticeView, OrderView, ParcelView, Rows, Transition,
};

const PARCELS: &str = "SELECT order_id, number, state, cust_use_no, invoice_no, reason,
                              unknown_since
                       FROM parcels WHERE order_id = ANY($1) ORDER BY order_id, number";
const ALL_PARCELS: &str = "SELECT order_id, number, state, cust_use_no, invoice_no, reason,
                                  unknown_since
                           FROM parcels ORDER BY order_id, number";
const NOTICES: &str = "SELECT order_id, event, state, msg_key, report_code, report_channel, reason
                       FROM notices WHERE order_id = ANY($1) ORDER BY order_id, event";
const ALL_NOTICES: &str = "SELECT order_id, event, state, msg_key, report_code, report_channel,
                                  reason
                           FROM notices ORDER BY order_id, event";

/// The order `id`, if there is one.
pub(super) async fn order(db: &mut PgConnection, id: &str) -> Result<Option<OrderView>> {
    let sql = "SELECT id, state, reason, created_at, updated_at FROM orders WHERE id = $1";
    let rows = sqlx::query(sql).bind(id).fetch_all(&mut *db).await?;
    Ok(complete(db, orders_of(&rows)?).await?.pop())
}

/// Orders by id.
pub(super) async fn orders(db: &mut PgConnection, filter: &Filter) -> Result<Vec<OrderView>> {
    // Only what is asked for stands in the statement, so that the engine can use its indexes.
    let sql = match (filter.state.is_some(), filter.parcel_state.is_some()) {
        (false, false) => {
            "SELECT id, state, reason, created_at, updated_at FROM orders
             WHERE id > $1 AND $2::text IS NULL AND $3::text IS NULL ORDER BY id LIMIT $4"
        }
        // In the order of the index on states: else the planner goes by ids, and so through the past,
        // for it takes what is looked for to be as frequent as any state.
        (true, false) => {
            "SELECT id, state, reason, created_at, updated_at FROM orders
             WHERE (state, id) > ($2, $1) AND state <= $2 AND $3::text IS NULL
             ORDER BY state, id LIMIT $4"
        }
        (false, true) => {
            "SELECT id, state, reason, created_at, updated_at FROM orders
             WHERE id > $1 AND $2::text IS NULL
                   AND id IN (SELECT order_id FROM parcels WHERE state = $3)
             ORDER BY id LIMIT $4"
        }
        (true, true) => {
            "SELECT id, state, reason, created_at, updated_at FROM orders
             WHERE id > $1 AND state = $2
                   AND id IN (SELECT order_id FROM parcels WHERE state = $3)
             ORDER BY id LIMIT $4"
        }
    };
    let rows = sqlx::query(sql)
        .bind(filter.after.as_deref().unwrap_or(""))
        .bind(filter.state.map(|state| state.as_str()))
        .bind(filter.parcel_state.map(|state| state.as_str()))
        .bind(limit(filter.limit))
        .fetch_all(&mut *db)
        .await?;
    complete(db, orders_of(&rows)?).await
}

fn orders_of(rows: &[PgRow]) -> Result<Vec<OrderView>> {
    let order = |row| {
        let row = Columns::new(row, "orders");
        Ok(OrderView {
            id: row.text(0)?,
            state: row.state(1)?,
            reason: row.maybe_text(2)?,
            created_at: row.moment(3)?,
            updated_at: row.moment(4)?,
            parcels: Vec::new(),
            notices: Vec::new(),
        })
    };
    rows.iter().map(order).collect()
}

/// The same orders with their parcels and notifications.
async fn complete(db: &mut PgConnection, orders: Vec<OrderView>) -> Result<Vec<OrderView>> {
    let ids: Vec<&str> = orders.iter().map(|order| order.id.as_str()).collect();
    let parcels = sqlx::query(PARCELS).bind(&ids).fetch_all(&mut *db).await?;
    let notices = sqlx::query(NOTICES).bind(&ids).fetch_all(&mut *db).await?;
    put_together(orders, &parcels, &notices)
}

fn put_together(
    orders: Vec<OrderView>,
    parcels: &[PgRow],
    notices: &[PgRow],
) -> Result<Vec<OrderView>> {
    let mut orders: BTreeMap<String, OrderView> =
        orders.into_iter().map(|order| (order.id.clone(), order)).collect();
    for row in parcels {
        let row = Columns::new(row, "parcels");
        if let Some(order) = orders.get_mut(row.get::<&str>(0)?) {
            order.parcels.push(parcel(&row)?);
        }
    }
    for row in notices {
        let row = Columns::new(row, "notices");
        if let Some(order) = orders.get_mut(row.get::<&str>(0)?) {
            order.notices.push(notice(&row)?);
        }
    }
    Ok(orders.into_values().collect())
}

fn parcel(row: &Columns<'_>) -> Result<ParcelView> {
    Ok(ParcelView {
        number: row.count(1)?,
        state: row.state(2)?,
        cust_use_no: row.maybe_text(3)?,
        invoice_no: row.maybe_text(4)?,
        reason: row.maybe_text(5)?,
        unknown_since: row.maybe_moment(6)?,
    })
}

fn notice(row: &Columns<'_>) -> Result<NoticeView> {
    Ok(NoticeView {
        event: row.text(1)?,
        state: row.state(2)?,
        msg_key: row.maybe_text(3)?,
        report_code: row.maybe_text(4)?,
        report_channel: row.maybe_text(5)?,
        reason: row.maybe_text(6)?,
    })
}

/// The member `id`, if there is one.
pub(super) async fn member(db: &mut PgConnection, id: &str) -> Result<Option<MemberView>> {
    let sql = "SELECT m.id, m.created_at, p.member_id IS NOT NULL,
                      ARRAY(SELECT consent FROM member_consents WHERE member_id = m.id
                            ORDER BY consent)
               FROM members m LEFT JOIN member_profiles p ON p.member_id = m.id WHERE m.id = $1";
    let Some(row) = sqlx::query(sql).bind(id).fetch_optional(&mut *db).await? else {
        return Ok(None);
    };
    let mut member = member_of(&row)?;
    let owner = [NoticeKey::of_member(id, WELCOME).order];
    for row in sqlx::query(NOTICES).bind(&owner[..]).fetch_all(db).await? {
        member.notices.push(notice(&Columns::new(&row, "notices"))?);
    }
    Ok(Some(member))
}

/// All members, by id, also those of which only a part is there; `notices` are those of everybody.
async fn members(db: &mut PgConnection, notices: &[PgRow]) -> Result<Vec<MemberView>> {
    let sql = "SELECT ids.id, m.created_at, p.member_id IS NOT NULL,
                      ARRAY(SELECT consent FROM member_consents WHERE member_id = ids.id
                            ORDER BY consent)
               FROM (SELECT id FROM members UNION SELECT member_id FROM member_profiles
                     UNION SELECT member_id FROM member_consents) ids
               LEFT JOIN members m ON m.id = ids.id
               LEFT JOIN member_profiles p ON p.member_id = ids.id ORDER BY ids.id";
    let mut members = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(db).await? {
        let member = member_of(&row)?;
        members.insert(member.id.clone(), member);
    }
    for row in notices {
        let row = Columns::new(row, "notices");
        let key = NoticeKey { order: row.text(0)?, event: row.text(1)? };
        if let Some(member) = key.member().and_then(|id| members.get_mut(id)) {
            member.notices.push(notice(&row)?);
        }
    }
    Ok(members.into_values().collect())
}

fn member_of(row: &PgRow) -> Result<MemberView> {
    let row = Columns::new(row, "members");
    Ok(MemberView {
        id: row.text(0)?,
        created_at: row.maybe_moment(1)?,
        profile: row.get(2)?,
        consents: row.get(3)?,
        notices: Vec::new(),
    })
}

/// How many of each.
pub(super) async fn census(db: &mut PgConnection) -> Result<Census> {
    let leases = "SELECT (SELECT count(*) FROM parcels
                          WHERE due_at IS NOT NULL AND lease_worker IS NOT NULL)
                       + (SELECT count(*) FROM notices
                          WHERE due_at IS NOT NULL AND lease_worker IS NOT NULL)";
    let unknown = "SELECT min(unknown_since) FROM parcels WHERE state = 'unknown'";
    let oldest: Option<i64> = sqlx::query_scalar(unknown).fetch_one(&mut *db).await?;
    let leases: i64 = sqlx::query_scalar(leases).fetch_one(&mut *db).await?;
    let members: i64 =
        sqlx::query_scalar("SELECT count(*) FROM members").fetch_one(&mut *db).await?;
    // `;` is the character after `:`.
    let welcomes = "SELECT count(*) FROM notices
                    WHERE due_at IS NOT NULL AND order_id >= 'member:' AND order_id < 'member;'";
    let welcomes: i64 = sqlx::query_scalar(welcomes).fetch_one(&mut *db).await?;
    let orders = "SELECT state, count(*) FROM orders GROUP BY state";
    let parcels = "SELECT state, count(*) FROM parcels GROUP BY state";
    let notices = "SELECT state, count(*) FROM notices GROUP BY state";
    Ok(Census {
        orders: counts(db, orders, "orders").await?,
        parcels: counts(db, parcels, "parcels").await?,
        notices: counts(db, notices, "notices").await?,
        members: members.unsigned_abs(),
        welcomes: welcomes.unsigned_abs(),
        leases: leases.unsigned_abs(),
        oldest_unknown: oldest.map(Timestamp::from_micros),
    })
}

async fn counts<S>(
    db: &mut PgConnection,
    sql: &'static str,
    table: &'static str,
) -> Result<BTreeMap<S, u64>>
where
    S: std::str::FromStr<Err: std::fmt::Display> + Ord,
{
    let mut counts = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(db).await? {
        let row = Columns::new(&row, table);
        counts.insert(row.state(0)?, row.get::<i64>(1)?.unsigned_abs());
    }
    Ok(counts)
}

/// What waits, and what of each quota is used.
pub(super) async fn standing(db: &mut PgConnection, now: Timestamp) -> Result<Standing> {
    let counts = |row: &Columns<'_>, at: usize| -> Result<[i64; 3]> {
        Ok([row.get(at)?, row.get(at + 1)?, row.get(at + 2)?])
    };
    let mut standing = Standing::default();
    for row in sqlx::query(QUEUES).bind(now.micros()).fetch_all(&mut *db).await? {
        let row = Columns::new(&row, "parcels");
        standing.queues.push(standing::queue(row.text(0)?, counts(&row, 1)?));
    }
    for row in sqlx::query(QUOTAS).bind(now.micros()).fetch_all(&mut *db).await? {
        let row = Columns::new(&row, "quotas");
        let (name, until) = (row.text(0)?, row.moment(1)?);
        standing.quotas.push(standing::quota(name, until, counts(&row, 2)?, now));
    }
    standing.workers = presence::workers(db).await?;
    Ok(standing)
}

/// Everything that a judge reads.
pub(super) async fn rows(db: &mut PgConnection) -> Result<Rows> {
    let sql = "SELECT id, state, reason, created_at, updated_at FROM orders ORDER BY id";
    let orders = sqlx::query(sql).fetch_all(&mut *db).await?;
    let parcels = sqlx::query(ALL_PARCELS).fetch_all(&mut *db).await?;
    let notices = sqlx::query(ALL_NOTICES).fetch_all(&mut *db).await?;
    let orders = put_together(orders_of(&orders)?, &parcels, &notices)?;
    let members = members(db, &notices).await?;
    Ok(Rows { orders, members, transitions: transitions(db).await? })
}

async fn transitions(db: &mut PgConnection) -> Result<Vec<Transition>> {
    let sql = "SELECT id, at, entity, key, from_state, to_state, walked_by
               FROM transitions ORDER BY id";
    let mut transitions = Vec::new();
    for row in sqlx::query(sql).fetch_all(db).await? {
        let row = Columns::new(&row, "transitions");
        transitions.push(Transition {
            id: row.get(0)?,
            at: row.moment(1)?,
            entity: row.text(2)?,
            key: row.text(3)?,
            from: row.maybe_text(4)?,
            to: row.text(5)?,
            by: by_of(row.get(6)?)?,
        });
    }
    Ok(transitions)
}
