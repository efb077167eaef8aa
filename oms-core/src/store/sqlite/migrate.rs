//! Brings a database to the schema of this program. Safe to run twice, and by two at once.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::{Failure, Result};

/// Each makes the schema of the version before it into its own; the first is version 1. Only ever
/// added to.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

const META: &str = "CREATE TABLE IF NOT EXISTS meta (
    key   TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// Runs the migrations that are missing, in one transaction.
pub(super) fn migrate(db: &Connection) -> Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let migrated = missing(db);
    db.execute_batch(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    migrated
}

fn missing(db: &Connection) -> Result<()> {
    db.execute_batch(META)?;
    let version = version(db)?;
    let Some(missing) = MIGRATIONS.get(version..) else {
        let newest = MIGRATIONS.len();
        let reason = format!("schema version {version}, this program knows up to {newest}");
        return Err(Failure::corrupt("meta", reason));
    };
    if missing.is_empty() {
        // So that a restart writes nothing.
        return Ok(());
    }
    for migration in missing {
        db.execute_batch(migration)?;
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let set = "INSERT INTO meta (key, value) VALUES ('schema_version', ?1)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    db.execute(set, params![newest])?;
    Ok(())
}

fn version(db: &Connection) -> Result<usize> {
    let read = "SELECT value FROM meta WHERE key = 'schema_version'";
    let version: Option<i64> = db.query_row(read, [], |row| row.get(0)).optional()?;
    usize::try_from(version.unwrap_or(0))
        .map_err(|_| Failure::corrupt("meta", "negative schema version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing() {
        let db = Connection::open_in_memory().unwrap();
        migrate(&db).unwrap();
        db.execute("INSERT INTO quotas (quota) VALUES ('carrier')", []).unwrap();
        migrate(&db).unwrap();
        let kept: i64 = db.query_row("SELECT count(*) FROM quotas", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 1);
        assert_eq!(version(&db).unwrap(), MIGRATIONS.len());
    }

    #[test]
    fn a_database_of_a_newer_program_is_left_alone() {
        let db = Connection::open_in_memory().unwrap();
        migrate(&db).unwrap();
        db.execute("UPDATE meta SET value = 99", []).unwrap();
        let refused = migrate(&db).unwrap_err();
        assert!(matches!(refused, Failure::Corrupt { table: "meta", .. }), "{refused:?}");
        assert!(db.is_autocommit(), "no transaction is left open");
    }
}
