//! A database that is busy for a time: somebody else holds its write lock.

use std::time::Duration;

use faults::Kind;
use rusqlite::Connection;

use super::{Stage, background, why_skipped};
use crate::plan::Site;

/// Somebody who finds the lock taken tries again so soon (drill time).
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Holds the write lock for the windows of the plan's `busy` faults.
pub(super) fn disturb(stage: &Stage<'_>) {
    let Some(path) = stage.store_url.strip_prefix("sqlite:").map(str::to_owned) else { return };
    for (_, fault) in stage.plan().faults_at(Site::Store) {
        let wanted = fault.kind == Kind::Busy && why_skipped(fault).is_none();
        let Some(until) = fault.until.filter(|_| wanted) else { continue };
        let (clock, path) = (stage.clock.clone(), path.clone());
        let from = stage.start + fault.from.unwrap_or_default();
        let until = stage.start + until;
        background(async move {
            clock.sleep_until(from).await;
            while clock.now() < until {
                if let Ok(lock) = take_lock(&path) {
                    clock.sleep_until(until).await;
                    drop(lock);
                    return;
                }
                clock.sleep(AGAIN_AFTER).await;
            }
        });
    }
}

/// A connection that holds the write lock until it is dropped.
fn take_lock(path: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    Ok(connection)
}
