//! What workers say of themselves.

use sqlx::PgConnection;

use super::failure::{Failure, Result};
use super::row::Columns;
use crate::store::Presence;
use crate::store::presence::breakers_of;

/// Writes down that a worker lives, and forgets those that have long been silent.
pub(super) async fn hear(db: &mut PgConnection, presence: &Presence) -> Result<()> {
    let sql = "INSERT INTO workers (name, since, heard_at, breakers) VALUES ($1, $2, $3, $4)
               ON CONFLICT (name) DO UPDATE SET since = excluded.since,
                   heard_at = excluded.heard_at, breakers = excluded.breakers";
    sqlx::query(sql)
        .bind(&presence.worker)
        .bind(presence.since.micros())
        .bind(presence.heard_at.micros())
        .bind(presence.breakers_text())
        .execute(&mut *db)
        .await?;
    // Two workers may clear up at once: neither waits for the other.
    let silent = "DELETE FROM workers WHERE name IN (
                      SELECT name FROM workers WHERE heard_at < $1 FOR UPDATE SKIP LOCKED)";
    sqlx::query(silent).bind(presence.forgets_before().micros()).execute(db).await?;
    Ok(())
}

/// Forgets a worker that ends.
pub(super) async fn leave(db: &mut PgConnection, worker: &str) -> Result<()> {
    sqlx::query("DELETE FROM workers WHERE name = $1").bind(worker).execute(db).await?;
    Ok(())
}

/// All of them, by name.
pub(super) async fn workers(db: &mut PgConnection) -> Result<Vec<Presence>> {
    let sql = "SELECT name, since, heard_at, breakers FROM workers ORDER BY name";
    let mut workers = Vec::new();
    for row in sqlx::query(sql).fetch_all(db).await? {
        let row = Columns::new(&row, "workers");
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
