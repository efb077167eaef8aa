//! Connections, as this program opens them.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Synchronous;
use super::failure::{Failure, Result};
use super::migrate::migrate;

/// More than the program has, so that none is ever prepared twice.
const STATEMENTS_MAX: usize = 128;

/// For a database in memory, which stays small: before a transaction's first write to a page the
/// whole page is copied, and copies of SQLite's usual 4,096 bytes took 4 % of a simulated run.
const PAGE_IN_MEMORY_BYTES: u32 = 1024;

/// Empties every table, each at one stroke.
const WIPE: [&str; 15] = [
    "BEGIN",
    "DELETE FROM parcels",
    "DELETE FROM notices",
    "DELETE FROM orders",
    "DELETE FROM pruned",
    "DELETE FROM reports",
    "DELETE FROM transitions",
    "DELETE FROM quotas",
    "DELETE FROM permits",
    "DELETE FROM audit",
    "DELETE FROM workers",
    "DELETE FROM members",
    "DELETE FROM member_profiles",
    "DELETE FROM member_consents",
    "COMMIT",
];

/// The file at `path`, made and migrated if need be.
///
/// In WAL mode a reader never waits for the writer.
pub(super) fn file(
    path: &Path,
    busy_wait: Duration,
    synchronous: Synchronous,
) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(busy_wait)?;
    prepare_file(&db, synchronous)?;
    Ok(db)
}

/// The file at `path` of the virtual file system `vfs`, for one connection alone: it needs no
/// memory that is shared with others. What is written and synced is as with [`file`].
///
/// A file that does not read as it was written, as after a power cut without syncs, is an error
/// here and not later.
pub(super) fn file_alone(vfs: &str, path: &str, synchronous: Synchronous) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = Connection::open_with_flags_and_vfs(path, flags, vfs)?;
    db.busy_timeout(Duration::ZERO)?;
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Failure::corrupt("sqlite_schema", found));
    }
    prepare_file(&db, synchronous)?;
    Ok(db)
}

fn prepare_file(db: &Connection, synchronous: Synchronous) -> Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous.as_str())?;
    keep_statements(db)?;
    migrate(db)
}

/// Another connection to the file at `path`, which only reads.
pub(super) fn file_for_reading(path: &Path, busy_wait: Duration) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(busy_wait)?;
    db.pragma_update(None, "query_only", true)?;
    keep_statements(&db)?;
    Ok(db)
}

/// Lets each statement be prepared once. Without the planner's stability guarantee SQLite prepares
/// those again whose plan might be better for other values: half the time of a claim.
fn keep_statements(db: &Connection) -> Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A migrated database in memory.
pub(super) fn in_memory() -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.pragma_update(None, "page_size", PAGE_IN_MEMORY_BYTES)?;
    keep_statements(&db)?;
    migrate(&db)?;
    Ok(db)
}

/// Somebody else's write lock on a database file, given back when dropped.
pub struct WriteLock {
    db: Connection,
}

/// Takes the write lock of the database file at `path`, as a backup or a person at a prompt might:
/// every write of others waits for it, and is busy when it has waited long enough.
///
/// # Errors
/// [`store::Error::Busy`](crate::store::Error::Busy) when it is taken.
pub fn hold_write_lock(path: &Path) -> crate::store::Result<WriteLock> {
    let taken = || -> Result<WriteLock> {
        let db = Connection::open(path)?;
        db.busy_timeout(Duration::ZERO)?;
        db.execute_batch("BEGIN IMMEDIATE")?;
        Ok(WriteLock { db })
    };
    taken().map_err(|failure| failure.of("hold-write-lock"))
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Closing the connection would do as well.
        let _ = self.db.execute_batch("ROLLBACK");
    }
}

/// Makes a migrated database as good as new. Nothing here may change a setting: SQLite would
/// prepare every statement of the connection again.
pub(super) fn wipe(db: &Connection) -> Result<()> {
    for statement in WIPE {
        db.prepare_cached(statement)?.execute([])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiping_forgets_no_table() {
        let db = in_memory().unwrap();
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'";
        let mut statement = db.prepare(sql).unwrap();
        let tables = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for table in tables {
            let delete = format!("DELETE FROM {}", table.unwrap());
            assert!(WIPE.contains(&delete.as_str()), "{delete}");
        }
    }
}
