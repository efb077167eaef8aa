//! What is at its end and old is forgotten, page by page.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::failure::Result;
use crate::store::retention::{final_states, order_of};
use crate::store::{Page, Prune, Pruned};

/// Forgets one page.
pub(super) fn prune(db: &Connection, prune: &Prune) -> Result<Pruned> {
    match &prune.from {
        Page::Orders(after) => orders(db, prune, after),
        Page::Log(after) => log(db, prune, *after),
    }
}

/// Old orders at which nothing is to be done, behind `after`.
fn orders(db: &Connection, prune: &Prune, after: &str) -> Result<Pruned> {
    let states = final_states();
    let list = vec!["?"; states.len()].join(", ");
    let sql = format!(
        "SELECT id FROM orders WHERE state IN ({list}) AND id > ? AND updated_at < ?
         AND NOT EXISTS (SELECT 1 FROM parcels WHERE order_id = orders.id AND due_at IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM notices WHERE order_id = orders.id AND due_at IS NOT NULL)
         ORDER BY id LIMIT ?"
    );
    let mut given: Vec<rusqlite::types::Value> =
        states.into_iter().map(|state| state.to_owned().into()).collect();
    let limit = i64::try_from(prune.limit).unwrap_or(i64::MAX);
    given.extend([after.to_owned().into(), prune.before.micros().into(), limit.into()]);
    let ids: Vec<String> = db
        .prepare_cached(&sql)?
        .query_map(params_from_iter(given), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        let sql = "INSERT INTO pruned (order_id, state, content_hash, pruned_at)
                   SELECT id, state, content_hash, ?2 FROM orders WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![id, prune.now.micros()])?;
        for sql in [
            "DELETE FROM notices WHERE order_id = ?1",
            "DELETE FROM parcels WHERE order_id = ?1",
            "DELETE FROM orders WHERE id = ?1",
        ] {
            db.prepare_cached(sql)?.execute([id])?;
        }
    }
    let next = match ids.last() {
        Some(last) if ids.len() >= prune.limit => Page::Orders(last.clone()),
        _ => Page::Log(0),
    };
    Ok(Pruned { orders: ids.len() as u64, entries: 0, next: Some(next) })
}

/// Old edges whose order is forgotten, behind `after`; with the first page also old reports.
fn log(db: &Connection, prune: &Prune, after: i64) -> Result<Pruned> {
    let before = prune.before.micros();
    let mut entries = 0;
    if after == 0 {
        entries = db.execute("DELETE FROM reports WHERE received_at < ?1", [before])?;
    }
    let sql = "SELECT id, key FROM transitions WHERE id > ?1 AND at < ?2 ORDER BY id LIMIT ?3";
    let limit = i64::try_from(prune.limit).unwrap_or(i64::MAX);
    let page: Vec<(i64, String)> = db
        .prepare_cached(sql)?
        .query_map(params![after, before, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut forgotten: BTreeMap<&str, bool> = BTreeMap::new();
    for (id, key) in &page {
        let Some(order) = order_of(key) else { continue };
        let is_forgotten = match forgotten.get(order) {
            Some(known) => *known,
            None => *forgotten.entry(order).or_insert(is_forgotten(db, order)?),
        };
        if is_forgotten {
            entries += db.prepare_cached("DELETE FROM transitions WHERE id = ?1")?.execute([id])?;
        }
    }
    let last = page.last().filter(|_| page.len() >= prune.limit);
    let next = last.map(|(id, _)| Page::Log(*id));
    Ok(Pruned { orders: 0, entries: entries as u64, next })
}

fn is_forgotten(db: &Connection, order: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM pruned WHERE order_id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([order], |_| Ok(())).optional()?.is_some())
}
