//! An order is taken in, once.

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::failure::{Failure, Result};
use super::records::log;
use super::row::Columns;
use crate::order::{Order, hash_of};
use crate::state::{By, OrderState, ParcelState};
use crate::store::aggregate::Edge;
use crate::store::{Ingested, ParcelKey};

/// Keeps `order` with its parcels, due now. A rejected one has no parcels: nothing is to be done.
pub(super) async fn ingest(
    db: &mut PgConnection,
    order: &Order,
    rejection: Option<&str>,
    now: Timestamp,
) -> Result<Ingested> {
    let content = order.to_json();
    let hash = hash_of(&content);
    let state = if rejection.is_some() { OrderState::Rejected } else { OrderState::Accepted };
    let sql =
        "INSERT INTO orders (id, state, content, content_hash, reason, created_at, updated_at)
               SELECT $1, $2, $3, $4, $5, $6, $6
               WHERE NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = $1)
               ON CONFLICT (id) DO NOTHING";
    let row = sqlx::query(sql).bind(&order.id).bind(state.as_str()).bind(content).bind(&hash);
    let row = row.bind(rejection).bind(now.micros());
    if row.execute(&mut *db).await?.rows_affected() == 0 {
        let (state, kept) = kept(db, &order.id).await?;
        return Ok(if kept == hash { Ingested::Same(state) } else { Ingested::Conflict });
    }
    let received = OrderState::Received.as_str();
    let walked = |(from, to)| {
        let key = order.id.clone();
        Edge { entity: "order", key, from, to, by: By::Core }
    };
    let mut edges = Vec::from([(None, received), (Some(received), state.as_str())].map(walked));
    if state == OrderState::Accepted {
        plan_parcels(db, order, now, &mut edges).await?;
    }
    log(db, now, &edges).await?;
    Ok(Ingested::Created(state))
}

/// State and hash of the order that is there already, or was.
async fn kept(db: &mut PgConnection, id: &str) -> Result<(OrderState, String)> {
    let sql = "SELECT state, content_hash FROM orders WHERE id = $1
               UNION ALL SELECT state, content_hash FROM pruned WHERE order_id = $1";
    let row = sqlx::query(sql).bind(id).fetch_one(db).await?;
    let row = Columns::new(&row, "orders");
    Ok((row.state(0)?, row.text(1)?))
}

async fn plan_parcels(
    db: &mut PgConnection,
    order: &Order,
    now: Timestamp,
    edges: &mut Vec<Edge>,
) -> Result<()> {
    let sql = "INSERT INTO parcels (order_id, number, state, due_at, seller)
               SELECT $1, number, $2, $3, $5 FROM generate_series(1, $4::bigint) AS number
               WHERE NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = $1)";
    let planned = ParcelState::Planned.as_str();
    let row = sqlx::query(sql).bind(&order.id).bind(planned).bind(now.micros());
    let row = row.bind(i64::from(order.parcels())).bind(order.sold_by());
    let planned_now = row.execute(db).await?.rows_affected();
    if planned_now == 0 {
        // Forgotten while we waited to write it: asked again, it is known.
        return Err(Failure::Busy);
    }
    for number in 1..=order.parcels() {
        let key = ParcelKey { order: order.id.clone(), number }.to_string();
        edges.push(Edge { entity: "parcel", key, from: None, to: planned, by: By::Core });
    }
    Ok(())
}
