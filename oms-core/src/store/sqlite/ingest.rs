//! An order is taken in, once.

use clockwork::Timestamp;
use rusqlite::{Connection, params};

use super::failure::{Failure, Result};
use super::records::log_all;
use crate::order::{Order, hash_of};
use crate::state::{By, OrderState, ParcelState};
use crate::store::aggregate::Edge;
use crate::store::{Ingested, ParcelKey};

/// Keeps `order` with its parcels, due now. A rejected one has no parcels: nothing is to be done.
pub(super) fn ingest(
    db: &Connection,
    order: &Order,
    rejection: Option<&str>,
    now: Timestamp,
) -> Result<Ingested> {
    let content = order.to_json();
    let hash = hash_of(&content);
    let state = if rejection.is_some() { OrderState::Rejected } else { OrderState::Accepted };
    let sql =
        "INSERT INTO orders (id, state, content, content_hash, reason, created_at, updated_at)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6
               WHERE NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = ?1)
               ON CONFLICT (id) DO NOTHING";
    let row = params![order.id, state.as_str(), content, hash, rejection, now.micros()];
    if db.prepare_cached(sql)?.execute(row)? == 0 {
        let (state, kept) = kept(db, &order.id)?;
        return Ok(if kept == hash { Ingested::Same(state) } else { Ingested::Conflict });
    }
    let received = OrderState::Received.as_str();
    let walked = |(from, to)| {
        let key = order.id.clone();
        Edge { entity: "order", key, from, to, by: By::Core }
    };
    let mut edges = Vec::from([(None, received), (Some(received), state.as_str())].map(walked));
    if state == OrderState::Accepted {
        plan_parcels(db, order, now, &mut edges)?;
    }
    log_all(db, now, &edges)?;
    Ok(Ingested::Created(state))
}

/// State and hash of the order that is there already, or was.
fn kept(db: &Connection, id: &str) -> Result<(OrderState, String)> {
    let sql = "SELECT state, content_hash FROM orders WHERE id = ?1
               UNION ALL SELECT state, content_hash FROM pruned WHERE order_id = ?1";
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    let (state, hash) = db.prepare_cached(sql)?.query_row([id], columns)?;
    let state = state.parse::<OrderState>();
    let state = state.map_err(|error| Failure::corrupt("orders", error.to_string()))?;
    Ok((state, hash))
}

fn plan_parcels(
    db: &Connection,
    order: &Order,
    now: Timestamp,
    edges: &mut Vec<Edge>,
) -> Result<()> {
    let sql = "INSERT INTO parcels (order_id, number, state, due_at, seller)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let planned = ParcelState::Planned.as_str();
    for number in 1..=order.parcels() {
        let row = params![order.id, number, planned, now.micros(), order.sold_by()];
        db.prepare_cached(sql)?.execute(row)?;
        let key = ParcelKey { order: order.id.clone(), number }.to_string();
        edges.push(Edge { entity: "parcel", key, from: None, to: planned, by: By::Core });
    }
    Ok(())
}
