//! The rows of one order, read under their locks and written back.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;

use super::failure::{Failure, Result};
use super::row::{Columns, micros, plain};
use crate::state::ParcelState;
use crate::store::NoticeKey;
use crate::store::aggregate::{Aggregate, Edge, Notice, OrderRecord, Parcel, by_name};

/// Reads the order `id` with all that belongs to it, if there is one, and locks it until the end of
/// the transaction: first the order, then what belongs to it.
pub(super) async fn load(db: &mut PgConnection, id: &str) -> Result<Option<Aggregate>> {
    Ok(load_all(db, &[id], &[]).await?.remove(id))
}

/// As [`load`], of several orders, and of what belongs to members: those that there are, by id. Each
/// table's rows are locked in the order of their keys.
pub(super) async fn load_all(
    db: &mut PgConnection,
    orders: &[&str],
    members: &[&str],
) -> Result<BTreeMap<String, Aggregate>> {
    let found = match orders {
        [] => Vec::new(),
        ids => order_rows(db, ids).await?,
    };
    let ids: Vec<&str> = found.iter().map(|order| order.id.as_str()).collect();
    let mut parcels = match ids.as_slice() {
        [] => BTreeMap::new(),
        ids => parcels(db, ids).await?,
    };
    let owners: Vec<&str> = ids.iter().chain(members).copied().collect();
    let mut notices = match owners.as_slice() {
        [] => BTreeMap::new(),
        owners => notices(db, owners).await?,
    };
    let mut all = BTreeMap::new();
    for owner in members {
        let notices = notices.remove(*owner).unwrap_or_default();
        all.insert((*owner).to_owned(), Aggregate::of_member(owner, notices));
    }
    for order in found {
        let parcels = parcels.remove(&order.id).unwrap_or_default();
        let notices = notices.remove(&order.id).unwrap_or_default();
        all.insert(order.id.clone(), Aggregate::new(order, parcels, notices));
    }
    Ok(all)
}

/// As [`load`], of an order that must be there.
pub(super) async fn load_known(db: &mut PgConnection, id: &str) -> Result<Aggregate> {
    load(db, id).await?.ok_or_else(|| missing(id))
}

/// Reads what the notification `key` belongs to: an order with all of its own, or a member.
pub(super) async fn owning(db: &mut PgConnection, key: &NoticeKey) -> Result<Option<Aggregate>> {
    match key.member() {
        None => load(db, &key.order).await,
        Some(_) => of_member(db, &key.order).await.map(Some),
    }
}

/// As [`owning`], where there must be one.
pub(super) async fn load_owning(db: &mut PgConnection, key: &NoticeKey) -> Result<Aggregate> {
    owning(db, key).await?.ok_or_else(|| missing(&key.order))
}

/// A member's notifications.
pub(super) async fn of_member(db: &mut PgConnection, owner: &str) -> Result<Aggregate> {
    let notices = notices(db, &[owner]).await?.remove(owner);
    Ok(Aggregate::of_member(owner, notices.unwrap_or_default()))
}

pub(super) fn missing(order: &str) -> Failure {
    Failure::corrupt("orders", format!("{order} missing"))
}

/// Locks several orders, always in the order of their ids: so two transactions that want the same
/// ones wait for each other, and not in a circle.
pub(super) async fn lock(db: &mut PgConnection, ids: &[&str]) -> Result<()> {
    if ids.len() > 1 {
        let sql = "SELECT 1 FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE";
        sqlx::query(sql).bind(ids).execute(db).await?;
    }
    Ok(())
}

async fn order_rows(db: &mut PgConnection, ids: &[&str]) -> Result<Vec<OrderRecord>> {
    let sql = "SELECT id, state, called_back, reason FROM orders
               WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    let mut orders = Vec::new();
    for row in sqlx::query(sql).bind(ids).fetch_all(db).await? {
        let row = Columns::new(&row, "orders");
        orders.push(OrderRecord {
            id: row.text(0)?,
            state: row.state(1)?,
            called_back: row.get(2)?,
            reason: row.maybe_text(3)?,
            changed: false,
        });
    }
    Ok(orders)
}

/// By order.
async fn parcels(db: &mut PgConnection, orders: &[&str]) -> Result<BTreeMap<String, Vec<Parcel>>> {
    let sql =
        "SELECT order_id, number, state, attempts, rounds, sent_until, unknown_since, picked_up,
                      parked_from, due_at, reason, lease_worker, lease_token, lease_until, settled
               FROM parcels WHERE order_id = ANY($1) ORDER BY order_id, number FOR UPDATE";
    let mut parcels: BTreeMap<String, Vec<Parcel>> = BTreeMap::new();
    for row in sqlx::query(sql).bind(orders).fetch_all(db).await? {
        let row = Columns::new(&row, "parcels");
        parcels.entry(row.text(0)?).or_default().push(Parcel {
            number: row.count(1)?,
            state: row.state(2)?,
            attempts: row.count(3)?,
            rounds: row.count(4)?,
            sent_until: row.maybe_moment(5)?,
            unknown_since: row.maybe_moment(6)?,
            picked_up: row.get(7)?,
            parked_from: row.maybe_state(8)?,
            due_at: row.maybe_moment(9)?,
            reason: row.maybe_text(10)?,
            lease: row.lease(11)?,
            intent: None,
            forgets_intent: false,
            changed: false,
        });
    }
    Ok(parcels)
}

/// By order, or member.
async fn notices(db: &mut PgConnection, owners: &[&str]) -> Result<BTreeMap<String, Vec<Notice>>> {
    let sql =
        "SELECT order_id, event, state, msg_key, sent_at, report_code, report_channel, reported_at,
                      attempts, rounds, first_sent_at, given_up, due_at, reason,
                      lease_worker, lease_token, lease_until, settled
               FROM notices WHERE order_id = ANY($1) ORDER BY order_id, event FOR UPDATE";
    let mut notices: BTreeMap<String, Vec<Notice>> = BTreeMap::new();
    for row in sqlx::query(sql).bind(owners).fetch_all(db).await? {
        let row = Columns::new(&row, "notices");
        notices.entry(row.text(0)?).or_default().push(Notice {
            event: row.text(1)?,
            state: row.state(2)?,
            msg_key: row.maybe_text(3)?,
            sent_at: row.maybe_moment(4)?,
            report_code: row.maybe_text(5)?,
            report_channel: row.maybe_text(6)?,
            reported_at: row.maybe_moment(7)?,
            attempts: row.count(8)?,
            rounds: row.count(9)?,
            first_sent_at: row.maybe_moment(10)?,
            given_up: row.get(11)?,
            due_at: row.maybe_moment(12)?,
            reason: row.maybe_text(13)?,
            lease: row.lease(14)?,
            changed: false,
        });
    }
    Ok(notices)
}

/// Writes what has changed.
pub(super) async fn save(
    db: &mut PgConnection,
    aggregate: &Aggregate,
    now: Timestamp,
) -> Result<()> {
    save_all(db, &[(aggregate, now)]).await
}

/// Writes what has changed of several orders, each at its moment, with the edges that they walked,
/// by one statement: the rows travel as JSON, so that one text serves any number of them.
pub(super) async fn save_all(
    db: &mut PgConnection,
    changed: &[(&Aggregate, Timestamp)],
) -> Result<()> {
    const SAVE: &str = "
        WITH order_rows AS (
            UPDATE orders SET state = c.state, called_back = c.called_back, reason = c.reason,
                   updated_at = c.updated_at
            FROM jsonb_to_recordset($1::jsonb) AS c (
                id TEXT, state TEXT, called_back BOOLEAN, reason TEXT, updated_at BIGINT)
            WHERE orders.id = c.id
        ), parcel_rows AS (
            UPDATE parcels AS p
            SET state = c.state, attempts = c.attempts, rounds = c.rounds,
                sent_until = c.sent_until, unknown_since = c.unknown_since,
                picked_up = c.picked_up, parked_from = c.parked_from, due_at = c.due_at,
                reason = c.reason, lease_worker = c.lease_worker, lease_token = c.lease_token,
                lease_until = c.lease_until, settled = c.settled,
                invoice_no = CASE WHEN c.keeps THEN p.invoice_no ELSE c.invoice_no END,
                rcpt_ymd = CASE WHEN c.keeps THEN p.rcpt_ymd ELSE c.rcpt_ymd END,
                cust_use_no = CASE WHEN c.keeps THEN p.cust_use_no ELSE c.cust_use_no END,
                mpck_key = CASE WHEN c.keeps THEN p.mpck_key ELSE c.mpck_key END,
                request = CASE WHEN c.keeps THEN p.request ELSE c.request END
            FROM jsonb_to_recordset($2::jsonb) AS c (
                order_id TEXT, number BIGINT, state TEXT, attempts BIGINT, rounds BIGINT, sent_until BIGINT,
                unknown_since BIGINT, picked_up BOOLEAN, parked_from TEXT, due_at BIGINT,
                reason TEXT, lease_worker TEXT, lease_token BIGINT, lease_until BIGINT,
                settled TEXT, keeps BOOLEAN, invoice_no TEXT, rcpt_ymd TEXT, cust_use_no TEXT,
                mpck_key TEXT, request TEXT)
            WHERE p.order_id = c.order_id AND p.number = c.number
        ), walked AS (
            INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
            SELECT at, entity, key, from_state, to_state, walked_by
            FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
                 WITH ORDINALITY AS e (at, entity, key, from_state, to_state, walked_by, place)
            ORDER BY place
        )
        INSERT INTO notices (order_id, event, state, msg_key, sent_at, report_code,
               report_channel, reported_at, attempts, rounds, first_sent_at, given_up, due_at,
               reason, lease_worker, lease_token, lease_until, settled, seller)
        SELECT order_id, event, state, msg_key, sent_at, report_code, report_channel, reported_at,
               attempts, rounds, first_sent_at, given_up, due_at, reason, lease_worker,
               lease_token, lease_until, settled, coalesce((SELECT seller FROM parcels AS p
                   WHERE p.order_id = c.order_id AND p.number = 1), '')
        FROM jsonb_to_recordset($3::jsonb) AS c (
            order_id TEXT, event TEXT, state TEXT, msg_key TEXT, sent_at BIGINT, report_code TEXT,
            report_channel TEXT, reported_at BIGINT, attempts BIGINT, rounds BIGINT,
            first_sent_at BIGINT, given_up BOOLEAN, due_at BIGINT, reason TEXT,
            lease_worker TEXT, lease_token BIGINT, lease_until BIGINT, settled TEXT)
        ON CONFLICT (order_id, event) DO UPDATE SET
               state = excluded.state, msg_key = excluded.msg_key, sent_at = excluded.sent_at,
               report_code = excluded.report_code, report_channel = excluded.report_channel,
               reported_at = excluded.reported_at, attempts = excluded.attempts,
               rounds = excluded.rounds, first_sent_at = excluded.first_sent_at,
               given_up = excluded.given_up, due_at = excluded.due_at, reason = excluded.reason,
               lease_worker = excluded.lease_worker, lease_token = excluded.lease_token,
               lease_until = excluded.lease_until, settled = excluded.settled";
    let (mut orders, mut parcels, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    let mut edges: Vec<(Timestamp, &Edge)> = Vec::new();
    for (aggregate, now) in changed {
        let order = &aggregate.order;
        orders.extend(order.changed.then(|| order_json(order, *now)));
        let changed = aggregate.parcels.iter().filter(|parcel| parcel.changed);
        parcels.extend(changed.map(|parcel| parcel_json(&order.id, parcel)));
        let changed = aggregate.notices.iter().filter(|notice| notice.changed);
        notices.extend(changed.map(|notice| notice_json(&order.id, notice)));
        edges.extend(aggregate.walked().iter().map(|edge| (*now, edge)));
    }
    if orders.is_empty() && parcels.is_empty() && notices.is_empty() && edges.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(SAVE)
        .bind(json!(orders).to_string())
        .bind(json!(parcels).to_string())
        .bind(json!(notices).to_string());
    Edges::of(edges).bind(query).execute(db).await?;
    Ok(())
}

fn order_json(order: &OrderRecord, now: Timestamp) -> Value {
    json!({
        "id": order.id,
        "updated_at": now.micros(),
        "state": order.state.as_str(),
        "called_back": order.called_back,
        "reason": order.reason.as_deref().map(plain),
    })
}

fn parcel_json(order: &str, parcel: &Parcel) -> Value {
    let intent = parcel.intent.as_ref();
    json!({
        "order_id": order,
        "number": parcel.number,
        "state": parcel.state.as_str(),
        "attempts": parcel.attempts,
        "rounds": parcel.rounds,
        "sent_until": micros(parcel.sent_until),
        "unknown_since": micros(parcel.unknown_since),
        "picked_up": parcel.picked_up,
        "parked_from": parcel.parked_from.map(ParcelState::as_str),
        "due_at": micros(parcel.due_at),
        "reason": parcel.reason.as_deref().map(plain),
        "lease_worker": parcel.lease.worker,
        "lease_token": parcel.lease.token,
        "lease_until": micros(parcel.lease.until),
        "settled": parcel.lease.settled,
        "keeps": intent.is_none() && !parcel.forgets_intent,
        "invoice_no": intent.map(|intent| &intent.invoice_no),
        "rcpt_ymd": intent.map(|intent| &intent.rcpt_ymd),
        "cust_use_no": intent.map(|intent| &intent.cust_use_no),
        "mpck_key": intent.map(|intent| &intent.mpck_key),
        "request": intent.map(|intent| &intent.request),
    })
}

fn notice_json(order: &str, notice: &Notice) -> Value {
    json!({
        "order_id": order,
        "event": notice.event,
        "state": notice.state.as_str(),
        "msg_key": notice.msg_key.as_deref().map(plain),
        "sent_at": micros(notice.sent_at),
        "report_code": notice.report_code.as_deref().map(plain),
        "report_channel": notice.report_channel.as_deref().map(plain),
        "reported_at": micros(notice.reported_at),
        "attempts": notice.attempts,
        "rounds": notice.rounds,
        "first_sent_at": micros(notice.first_sent_at),
        "given_up": notice.given_up,
        "due_at": micros(notice.due_at),
        "reason": notice.reason.as_deref().map(plain),
        "lease_worker": notice.lease.worker,
        "lease_token": notice.lease.token,
        "lease_until": micros(notice.lease.until),
        "settled": notice.lease.settled,
    })
}

/// Walked edges, column by column, as `unnest` takes them.
#[derive(Default)]
pub(super) struct Edges<'e> {
    at: Vec<i64>,
    entities: Vec<&'e str>,
    keys: Vec<&'e str>,
    from: Vec<Option<&'e str>>,
    to: Vec<&'e str>,
    by: Vec<&'e str>,
}

impl<'e> Edges<'e> {
    pub(super) fn of(edges: impl IntoIterator<Item = (Timestamp, &'e Edge)>) -> Edges<'e> {
        let mut columns = Edges::default();
        for (at, edge) in edges {
            columns.at.push(at.micros());
            columns.entities.push(edge.entity);
            columns.keys.push(&edge.key);
            columns.from.push(edge.from);
            columns.to.push(edge.to);
            columns.by.push(by_name(edge.by));
        }
        columns
    }

    /// Six values, in the order of the columns of `transitions`.
    pub(super) fn bind<'q>(
        self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(self.at)
            .bind(self.entities)
            .bind(self.keys)
            .bind(self.from)
            .bind(self.to)
            .bind(self.by)
    }
}

/// Logs edges that were walked at `at`, in their order.
pub(super) async fn log(db: &mut PgConnection, at: Timestamp, edges: &[Edge]) -> Result<()> {
    if edges.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
               SELECT at, entity, key, from_state, to_state, walked_by
               FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                    WITH ORDINALITY AS e (at, entity, key, from_state, to_state, walked_by, place)
               ORDER BY place";
    let edges = Edges::of(edges.iter().map(|edge| (at, edge)));
    edges.bind(sqlx::query(sql)).execute(db).await?;
    Ok(())
}
