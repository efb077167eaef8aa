//! The rows of one order, read under their locks and written back.

use std::collections::BTreeMap;

use clockwork::Timestamp;
use sqlx::PgConnection;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;

use super::claim::column;
use super::failure::{Failure, Result};
use super::row::{Columns, micros, plain};
use crate::state::ParcelState;
use crate::store::aggregate::{Aggregate, Edge, Notice, OrderRecord, Parcel, by_name};
use crate::store::{DeliveryReport, Intent, NoticeKey};

/// Reads the order `id` with all that belongs to it, if there is one, and locks it until the end of
/// the transaction: first the order, then what belongs to it.
pub(super) async fn load(db: &mut PgConnection, id: &str) -> Result<Option<Aggregate>> {
    Ok(load_all(db, &[id], &[]).await?.remove(id))
}

/// As [`load`], of several orders, and of what belongs to members: those that there are, by id.
pub(super) async fn load_all(
    db: &mut PgConnection,
    orders: &[&str],
    members: &[&str],
) -> Result<BTreeMap<String, Aggregate>> {
    Ok(load_with_reports(db, orders, members, &[]).await?.0)
}

/// As [`load_all`], with the reports that were kept under `references`, oldest first.
///
/// Two round trips: what belongs to orders is read once they are locked, by a statement that sees what
/// was committed until then. Each table's rows are locked in the order of their keys.
pub(super) async fn load_with_reports(
    db: &mut PgConnection,
    orders: &[&str],
    members: &[&str],
    references: &[String],
) -> Result<(BTreeMap<String, Aggregate>, Vec<DeliveryReport>)> {
    let found = match orders {
        [] => Vec::new(),
        ids => order_rows(db, ids).await?,
    };
    let ids: Vec<&str> = found.iter().map(|order| order.id.as_str()).collect();
    let owners: Vec<&str> = ids.iter().chain(members).copied().collect();
    let mut belongings = belongings(db, &ids, &owners, references).await?;
    let mut all = BTreeMap::new();
    for owner in members {
        let notices = belongings.notices.remove(*owner).unwrap_or_default();
        all.insert((*owner).to_owned(), Aggregate::of_member(owner, notices));
    }
    for order in found {
        let parcels = belongings.parcels.remove(&order.id).unwrap_or_default();
        let notices = belongings.notices.remove(&order.id).unwrap_or_default();
        all.insert(order.id.clone(), Aggregate::new(order, parcels, notices));
    }
    Ok((all, belongings.reports))
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
    let notices = belongings(db, &[], &[owner], &[]).await?.notices.remove(owner);
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

/// What belongs to orders and members, by owner.
#[derive(Default)]
struct Belongings {
    parcels: BTreeMap<String, Vec<Parcel>>,
    notices: BTreeMap<String, Vec<Notice>>,
    reports: Vec<DeliveryReport>,
}

/// Parcels of `orders`, notifications of `owners`, and reports that were kept under `references`; each
/// row is one of the three, with nothing in the columns of the others.
async fn belongings(
    db: &mut PgConnection,
    orders: &[&str],
    owners: &[&str],
    references: &[String],
) -> Result<Belongings> {
    const SQL: &str = "
        WITH p AS MATERIALIZED (
            SELECT order_id, number, state, attempts, rounds, sent_until, unknown_since, picked_up,
                   parked_from, due_at, reason, lease_worker, lease_token, lease_until, settled
            FROM parcels WHERE order_id = ANY($1) ORDER BY order_id, number FOR UPDATE
        ), n AS MATERIALIZED (
            SELECT order_id, event, state, msg_key, sent_at, report_code, report_channel,
                   reported_at, attempts, rounds, first_sent_at, given_up, due_at, reason,
                   lease_worker, lease_token, lease_until, settled
            FROM notices WHERE order_id = ANY($2) ORDER BY order_id, event FOR UPDATE
        ), r AS MATERIALIZED (
            SELECT msg_key, reference, code, channel, reported_at, received_at
            FROM reports WHERE reference = ANY($3)
        )
        SELECT * FROM p FULL JOIN n ON FALSE FULL JOIN r ON FALSE
        ORDER BY p.number, n.event, r.received_at, r.msg_key";
    let mut all = Belongings::default();
    if owners.is_empty() {
        return Ok(all);
    }
    let rows = sqlx::query(SQL).bind(orders).bind(owners).bind(references);
    for row in rows.fetch_all(db).await? {
        if let Some(order) = Columns::new(&row, "parcels").maybe_text(PARCEL)? {
            let parcel = parcel(&Columns::new(&row, "parcels"))?;
            all.parcels.entry(order).or_default().push(parcel);
        } else if let Some(owner) = Columns::new(&row, "notices").maybe_text(NOTICE)? {
            let notice = notice(&Columns::new(&row, "notices"))?;
            all.notices.entry(owner).or_default().push(notice);
        } else {
            all.reports.push(report(&Columns::new(&row, "reports"), REPORT)?);
        }
    }
    Ok(all)
}

/// Where in a row of [`belongings`] each of the three begins.
const PARCEL: usize = 0;
const NOTICE: usize = 15;
const REPORT: usize = 33;

fn parcel(row: &Columns<'_>) -> Result<Parcel> {
    Ok(Parcel {
        number: row.count(PARCEL + 1)?,
        state: row.state(PARCEL + 2)?,
        attempts: row.count(PARCEL + 3)?,
        rounds: row.count(PARCEL + 4)?,
        sent_until: row.maybe_moment(PARCEL + 5)?,
        unknown_since: row.maybe_moment(PARCEL + 6)?,
        picked_up: row.get(PARCEL + 7)?,
        parked_from: row.maybe_state(PARCEL + 8)?,
        due_at: row.maybe_moment(PARCEL + 9)?,
        reason: row.maybe_text(PARCEL + 10)?,
        lease: row.lease(PARCEL + 11)?,
        intent: None,
        forgets_intent: false,
        changed: false,
    })
}

fn notice(row: &Columns<'_>) -> Result<Notice> {
    Ok(Notice {
        event: row.text(NOTICE + 1)?,
        state: row.state(NOTICE + 2)?,
        msg_key: row.maybe_text(NOTICE + 3)?,
        sent_at: row.maybe_moment(NOTICE + 4)?,
        report_code: row.maybe_text(NOTICE + 5)?,
        report_channel: row.maybe_text(NOTICE + 6)?,
        reported_at: row.maybe_moment(NOTICE + 7)?,
        attempts: row.count(NOTICE + 8)?,
        rounds: row.count(NOTICE + 9)?,
        first_sent_at: row.maybe_moment(NOTICE + 10)?,
        given_up: row.get(NOTICE + 11)?,
        due_at: row.maybe_moment(NOTICE + 12)?,
        reason: row.maybe_text(NOTICE + 13)?,
        lease: row.lease(NOTICE + 14)?,
        changed: false,
    })
}

/// A report that was kept, its five columns from `at` on.
pub(super) fn report(row: &Columns<'_>, at: usize) -> Result<DeliveryReport> {
    Ok(DeliveryReport {
        msg_key: row.text(at)?,
        reference: row.text(at + 1)?,
        code: row.text(at + 2)?,
        channel: row.text(at + 3)?,
        reported_at: row.maybe_moment(at + 4)?,
    })
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
/// by one statement: the rows travel column by column, so that one text serves any number of them.
pub(super) async fn save_all(
    db: &mut PgConnection,
    changed: &[(&Aggregate, Timestamp)],
) -> Result<()> {
    const SAVE: &str = "
        WITH order_rows AS (
            UPDATE orders SET state = c.state, called_back = c.called_back, reason = c.reason,
                   updated_at = c.updated_at
            FROM unnest(
                $7::text[], $8::text[], $9::boolean[], $10::text[], $11::bigint[]
            ) AS c (
                id, state, called_back, reason, updated_at)
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
            FROM unnest(
                $12::text[], $13::bigint[], $14::text[], $15::bigint[], $16::bigint[],
                $17::bigint[], $18::bigint[], $19::boolean[], $20::text[], $21::bigint[],
                $22::text[], $23::text[], $24::bigint[], $25::bigint[], $26::text[],
                $27::boolean[], $28::text[], $29::text[], $30::text[], $31::text[], $32::text[]
            ) AS c (
                order_id, number, state, attempts, rounds, sent_until, unknown_since, picked_up,
                parked_from, due_at, reason, lease_worker, lease_token, lease_until, settled,
                keeps, invoice_no, rcpt_ymd, cust_use_no, mpck_key, request)
            WHERE p.order_id = c.order_id AND p.number = c.number
        ), walked AS (
            INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
            SELECT at, entity, key, from_state, to_state, walked_by
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
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
        FROM unnest(
            $33::text[], $34::text[], $35::text[], $36::text[], $37::bigint[], $38::text[],
            $39::text[], $40::bigint[], $41::bigint[], $42::bigint[], $43::bigint[],
            $44::boolean[], $45::bigint[], $46::text[], $47::text[], $48::bigint[], $49::bigint[],
            $50::text[]
        ) AS c (
            order_id, event, state, msg_key, sent_at, report_code, report_channel, reported_at,
            attempts, rounds, first_sent_at, given_up, due_at, reason, lease_worker, lease_token,
            lease_until, settled)
        ON CONFLICT (order_id, event) DO UPDATE SET
               state = excluded.state, msg_key = excluded.msg_key, sent_at = excluded.sent_at,
               report_code = excluded.report_code, report_channel = excluded.report_channel,
               reported_at = excluded.reported_at, attempts = excluded.attempts,
               rounds = excluded.rounds, first_sent_at = excluded.first_sent_at,
               given_up = excluded.given_up, due_at = excluded.due_at, reason = excluded.reason,
               lease_worker = excluded.lease_worker, lease_token = excluded.lease_token,
               lease_until = excluded.lease_until, settled = excluded.settled";
    let mut orders: Vec<(&OrderRecord, Timestamp)> = Vec::new();
    let mut parcels: Vec<(&str, &Parcel)> = Vec::new();
    let mut notices: Vec<(&str, &Notice)> = Vec::new();
    let mut edges: Vec<(Timestamp, &Edge)> = Vec::new();
    for (aggregate, now) in changed {
        let order = &aggregate.order;
        orders.extend(order.changed.then_some((order, *now)));
        let changed = aggregate.parcels.iter().filter(|parcel| parcel.changed);
        parcels.extend(changed.map(|parcel| (order.id.as_str(), parcel)));
        let changed = aggregate.notices.iter().filter(|notice| notice.changed);
        notices.extend(changed.map(|notice| (order.id.as_str(), notice)));
        edges.extend(aggregate.walked().iter().map(|edge| (*now, edge)));
    }
    if orders.is_empty() && parcels.is_empty() && notices.is_empty() && edges.is_empty() {
        return Ok(());
    }
    let query = Edges::of(edges).bind(sqlx::query(SAVE));
    let query = bind_orders(query, &orders);
    let query = bind_parcels(query, &parcels);
    bind_notices(query, &notices).execute(db).await?;
    Ok(())
}

/// A statement whose values are being put in, one column of many rows each.
type Values<'q> = Query<'q, Postgres, PgArguments>;

fn bind_orders<'q>(query: Values<'q>, orders: &[(&OrderRecord, Timestamp)]) -> Values<'q> {
    query
        .bind(column(orders, |(order, _)| order.id.as_str()))
        .bind(column(orders, |(order, _)| order.state.as_str()))
        .bind(column(orders, |(order, _)| order.called_back))
        .bind(column(orders, |(order, _)| order.reason.as_deref().map(plain)))
        .bind(column(orders, |(_, now)| now.micros()))
}

fn bind_parcels<'q>(query: Values<'q>, parcels: &[(&str, &Parcel)]) -> Values<'q> {
    fn intent<'p>(parcel: &'p Parcel, of: fn(&'p Intent) -> &'p String) -> Option<&'p str> {
        parcel.intent.as_ref().map(|intent| of(intent).as_str())
    }
    query
        .bind(column(parcels, |(order, _)| *order))
        .bind(column(parcels, |(_, parcel)| i64::from(parcel.number)))
        .bind(column(parcels, |(_, parcel)| parcel.state.as_str()))
        .bind(column(parcels, |(_, parcel)| i64::from(parcel.attempts)))
        .bind(column(parcels, |(_, parcel)| i64::from(parcel.rounds)))
        .bind(column(parcels, |(_, parcel)| micros(parcel.sent_until)))
        .bind(column(parcels, |(_, parcel)| micros(parcel.unknown_since)))
        .bind(column(parcels, |(_, parcel)| parcel.picked_up))
        .bind(column(parcels, |(_, parcel)| parcel.parked_from.map(ParcelState::as_str)))
        .bind(column(parcels, |(_, parcel)| micros(parcel.due_at)))
        .bind(column(parcels, |(_, parcel)| parcel.reason.as_deref().map(plain)))
        .bind(column(parcels, |(_, parcel)| parcel.lease.worker.as_deref()))
        .bind(column(parcels, |(_, parcel)| parcel.lease.token))
        .bind(column(parcels, |(_, parcel)| micros(parcel.lease.until)))
        .bind(column(parcels, |(_, parcel)| parcel.lease.settled.as_deref()))
        .bind(column(parcels, |(_, parcel)| parcel.intent.is_none() && !parcel.forgets_intent))
        .bind(column(parcels, |(_, parcel)| intent(parcel, |intent| &intent.invoice_no)))
        .bind(column(parcels, |(_, parcel)| intent(parcel, |intent| &intent.rcpt_ymd)))
        .bind(column(parcels, |(_, parcel)| intent(parcel, |intent| &intent.cust_use_no)))
        .bind(column(parcels, |(_, parcel)| intent(parcel, |intent| &intent.mpck_key)))
        .bind(column(parcels, |(_, parcel)| intent(parcel, |intent| &intent.request)))
}

fn bind_notices<'q>(query: Values<'q>, notices: &[(&str, &Notice)]) -> Values<'q> {
    query
        .bind(column(notices, |(owner, _)| *owner))
        .bind(column(notices, |(_, notice)| notice.event.as_str()))
        .bind(column(notices, |(_, notice)| notice.state.as_str()))
        .bind(column(notices, |(_, notice)| notice.msg_key.as_deref().map(plain)))
        .bind(column(notices, |(_, notice)| micros(notice.sent_at)))
        .bind(column(notices, |(_, notice)| notice.report_code.as_deref().map(plain)))
        .bind(column(notices, |(_, notice)| notice.report_channel.as_deref().map(plain)))
        .bind(column(notices, |(_, notice)| micros(notice.reported_at)))
        .bind(column(notices, |(_, notice)| i64::from(notice.attempts)))
        .bind(column(notices, |(_, notice)| i64::from(notice.rounds)))
        .bind(column(notices, |(_, notice)| micros(notice.first_sent_at)))
        .bind(column(notices, |(_, notice)| notice.given_up))
        .bind(column(notices, |(_, notice)| micros(notice.due_at)))
        .bind(column(notices, |(_, notice)| notice.reason.as_deref().map(plain)))
        .bind(column(notices, |(_, notice)| notice.lease.worker.as_deref()))
        .bind(column(notices, |(_, notice)| notice.lease.token))
        .bind(column(notices, |(_, notice)| micros(notice.lease.until)))
        .bind(column(notices, |(_, notice)| notice.lease.settled.as_deref()))
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
