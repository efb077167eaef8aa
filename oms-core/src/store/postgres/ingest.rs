//! Orders are taken in, each once.

use std::collections::{BTreeMap, BTreeSet};

use clockwork::Timestamp;
use sqlx::PgConnection;

use super::claim::column;
use super::failure::{Failure, Result};
use super::records::{Edges, missing};
use super::row::Columns;
use crate::order::{Order, hash_of};
use crate::state::{By, OrderState, ParcelState};
use crate::store::aggregate::Edge;
use crate::store::{Ingested, ParcelKey};

/// An order that is to be kept, or why it is kept as rejected.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) order: Order,
    pub(super) rejection: Option<String>,
    pub(super) now: Timestamp,
}

impl Intake {
    fn state(&self) -> OrderState {
        match self.rejection {
            Some(_) => OrderState::Rejected,
            None => OrderState::Accepted,
        }
    }

    /// Numbers of its parcels. A rejected one has none: nothing is to be done.
    fn parcels(&self) -> std::ops::RangeInclusive<u32> {
        let count = if self.rejection.is_some() { 0 } else { self.order.parcels() };
        1..=count
    }

    fn edges(&self) -> impl Iterator<Item = Edge> + '_ {
        let received = OrderState::Received.as_str();
        let order = [(None, received), (Some(received), self.state().as_str())];
        let order = order.map(|(from, to)| Edge {
            entity: "order",
            key: self.order.id.clone(),
            from,
            to,
            by: By::Core,
        });
        order.into_iter().chain(self.parcels().map(|number| {
            let key = ParcelKey { order: self.order.id.clone(), number }.to_string();
            Edge {
                entity: "parcel",
                key,
                from: None,
                to: ParcelState::Planned.as_str(),
                by: By::Core,
            }
        }))
    }
}

/// Keeps orders with their parcels, due now; no two of one id.
pub(super) async fn all(db: &mut PgConnection, intakes: &[&Intake]) -> Result<Vec<Ingested>> {
    let contents: Vec<String> = intakes.iter().map(|intake| intake.order.to_json()).collect();
    let hashes: Vec<String> = contents.iter().map(|content| hash_of(content)).collect();
    let created = keep(db, intakes, &contents, &hashes).await?;
    let is_new = |intake: &Intake| created.contains(&intake.order.id);
    let new: Vec<&Intake> = intakes.iter().copied().filter(|intake| is_new(intake)).collect();
    plan_parcels(db, &new).await?;
    let known: Vec<&str> = intakes
        .iter()
        .filter(|intake| !is_new(intake))
        .map(|intake| intake.order.id.as_str())
        .collect();
    let mut kept = kept(db, &known).await?;
    let answer = |(intake, hash): (&&Intake, &String)| {
        if is_new(intake) {
            return Ok(Ingested::Created(intake.state()));
        }
        let (state, kept) =
            kept.remove(&intake.order.id).ok_or_else(|| missing(&intake.order.id))?;
        Ok(if kept == *hash { Ingested::Same(state) } else { Ingested::Conflict })
    };
    intakes.iter().zip(&hashes).map(answer).collect()
}

/// Writes the orders that were not there; their ids. In the order of their ids, so that two who
/// bring the same ones do not wait for each other in a circle.
async fn keep(
    db: &mut PgConnection,
    intakes: &[&Intake],
    contents: &[String],
    hashes: &[String],
) -> Result<BTreeSet<String>> {
    let sql =
        "INSERT INTO orders (id, state, content, content_hash, reason, created_at, updated_at)
               SELECT id, state, content, hash, reason, at, at
               FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
                    AS i (id, state, content, hash, reason, at)
               WHERE NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = i.id)
               ORDER BY id COLLATE \"C\"
               ON CONFLICT (id) DO NOTHING RETURNING id";
    let ids = sqlx::query_scalar(sql)
        .bind(column(intakes, |intake| intake.order.id.as_str()))
        .bind(column(intakes, |intake| intake.state().as_str()))
        .bind(contents)
        .bind(hashes)
        .bind(column(intakes, |intake| intake.rejection.as_deref()))
        .bind(column(intakes, |intake| intake.now.micros()));
    Ok(ids.fetch_all(db).await?.into_iter().collect())
}

/// State and hash of the orders that are there already, or were, by id.
async fn kept(
    db: &mut PgConnection,
    ids: &[&str],
) -> Result<BTreeMap<String, (OrderState, String)>> {
    let mut kept = BTreeMap::new();
    if ids.is_empty() {
        return Ok(kept);
    }
    let sql = "SELECT id, state, content_hash FROM orders WHERE id = ANY($1)
               UNION ALL SELECT order_id, state, content_hash FROM pruned WHERE order_id = ANY($1)";
    for row in sqlx::query(sql).bind(ids).fetch_all(db).await? {
        let row = Columns::new(&row, "orders");
        kept.insert(row.text(0)?, (row.state(1)?, row.text(2)?));
    }
    Ok(kept)
}

/// Writes the parcels of new orders, and logs what all of it has walked.
async fn plan_parcels(db: &mut PgConnection, new: &[&Intake]) -> Result<()> {
    const SQL: &str = "WITH walked AS (
            INSERT INTO transitions (at, entity, key, from_state, to_state, walked_by)
            SELECT at, entity, key, from_state, to_state, walked_by
            FROM unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
                 WITH ORDINALITY AS e (at, entity, key, from_state, to_state, walked_by, place)
            ORDER BY place
        )
        INSERT INTO parcels (order_id, number, state, due_at, seller)
        SELECT order_id, number, $5, at, seller
        FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
             AS p (order_id, number, at, seller)
        WHERE NOT EXISTS (SELECT 1 FROM pruned WHERE order_id = p.order_id)";
    if new.is_empty() {
        return Ok(());
    }
    let parcels = new.iter().flat_map(|intake| intake.parcels().map(move |it| (*intake, it)));
    let parcels: Vec<(&Intake, u32)> = parcels.collect();
    let edges = new.iter().flat_map(|intake| intake.edges().map(|edge| (intake.now, edge)));
    let edges: Vec<(Timestamp, Edge)> = edges.collect();
    let query = sqlx::query(SQL)
        .bind(column(&parcels, |(intake, _)| intake.order.id.as_str()))
        .bind(column(&parcels, |(_, number)| i64::from(*number)))
        .bind(column(&parcels, |(intake, _)| intake.now.micros()))
        .bind(column(&parcels, |(intake, _)| intake.order.sold_by()))
        .bind(ParcelState::Planned.as_str());
    let query = Edges::of(edges.iter().map(|(at, edge)| (*at, edge))).bind(query);
    let planned = query.execute(db).await?.rows_affected();
    if planned != parcels.len() as u64 {
        // Forgotten while we waited to write it: asked again, it is known.
        return Err(Failure::Busy);
    }
    Ok(())
}
