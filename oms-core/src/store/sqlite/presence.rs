//! What workers say of themselves.

use rusqlite::{Connection, params};

use super::failure::{Failure, Result};
use super::row::Columns;
use crate::store::Presence;
use crate::store::presence::breakers_of;

/// Writes down that a worker lives, and forgets those that have long been silent.
pub(super) fn hear(db: &Connection, presence: &Presence) -> Result<()> {
    let sql = "INSERT INTO workers (name, since, heard_at, breakers) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (name) DO UPDATE SET since = excluded.since,
                   heard_at = excluded.heard_at, breakers = excluded.breakers";
    db.prepare_cached(sql)?.execute(params![
        presence.worker,
        presence.since.micros(),
        presence.heard_at.micros(),
        presence.breakers_text(),
    ])?;
    let silent = "DELETE FROM workers WHERE heard_at < ?1";
    db.prepare_cached(silent)?.execute([presence.forgets_before().micros()])?;
    Ok(())
}

/// Forgets a worker that ends.
pub(super) fn leave(db: &Connection, worker: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM workers WHERE name = ?1")?.execute([worker])?;
    Ok(())
}

/// All of them, by name.
pub(super) fn workers(db: &Connection) -> Result<Vec<Presence>> {
    let sql = "SELECT name, since, heard_at, breakers FROM workers ORDER BY name";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, "workers");
        let breakers = breakers_of(&row.text(3)?);
        workers.push(Presence {
            worker: row.text(0)?,
            since: row.moment(1)?,
            heard_at: row.moment(2)?,
            breakers: breakers.map_err(|why| Failure::corrupt("workers", why))?,
        });
    }
    Ok(workers)
}
